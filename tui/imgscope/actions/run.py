"""Running containers, and a shell in an image."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from docker.utils.socket import STDERR, SocketError, frames_iter

from imgscope.actions.engine import Engine
from imgscope.actions.options import RunOptions, environment
from imgscope.actions.plan import Done, Event, Plan, Said, command
from imgscope.errors import EngineError, ImgscopeError, NotFoundError, UsageError
from imgscope.images.model import Image, short_id
from imgscope.images.reference import same
from imgscope.job import Job

SHELLS = ("/bin/bash", "/bin/sh", "/bin/ash", "/busybox/sh")
_STOP_SECONDS = 3  # between asking a cancelled container to end and killing it
_LONGEST = 1 << 16  # bytes of a line that wait for its end
_GO_SYMLINK = 1 << 27  # of Go's os.FileMode, as the engine writes it
_GO_TYPES = 0x8F280000


@dataclass(frozen=True)
class Run:
    """Create a container of an image and start it. `reference` is what the image was called.

    Detached, `Done.result` is the container's id, and `published` tells its addresses. Else its output
    comes as `Said` until it ends, and `Done.status` is its exit status; cancelling ends the container.
    """

    engine: Engine
    image: Image
    options: RunOptions = field(default_factory=RunOptions)
    reference: str = ""

    @property
    def _name(self) -> str:
        return self.reference or self.image.name

    def describe(self) -> Plan:
        self.options.check()
        options = self.options
        lines = [f"{'starts' if options.detach else 'runs'} a container of {self._name}"]
        for port in options.ports:
            where = f"{port.ip or 'all addresses'}, port {port.host or 'that is free'}"
            lines.append(f"port     {port.inner}/{port.protocol} at {where}")
        if options.remove:
            lines.append("It is removed when it ends, with the volumes that have no name.")
        return Plan(
            title=f"Run {self._name}",
            command=command("docker", "run", *options.words(self.image, self._name)),
            lines=tuple(lines),
        )

    def execute(self, job: Job) -> Generator[Event]:
        self.options.check()
        job.check()
        identifier = self._create()
        if self.options.detach:
            self._start(identifier)
            yield self._started(identifier)
        else:
            yield from self._attached(identifier, job)

    # -- creating and starting ------------------------------------------------------------------------

    def _create(self) -> str:
        api, options = self.engine.client, self.options.own(self.image)
        bindings: dict[str, list[tuple[str, int | None]]] = {}
        for port in options.ports:
            bindings.setdefault(f"{port.inner}/{port.protocol}", []).append((port.ip, port.host or None))
        binds = [volume for volume in options.volumes if ":" in volume]
        policy, _, count = options.restart.partition(":")
        restart = {"Name": policy, "MaximumRetryCount": int(count or 0)} if policy != "no" else None
        with self._errors():
            host = api.create_host_config(
                port_bindings=bindings or None,
                binds=binds or None,
                network_mode=options.network or None,
                restart_policy=restart,
                publish_all_ports=options.publish_all,
                # a container that is followed is removed here, after its exit status was read
                auto_remove=options.remove and options.detach,
            )
            made = api.create_container(
                self._image_name(),
                command=list(options.command) or None,
                entrypoint=[options.entrypoint] if options.entrypoint else options.entrypoint,
                environment=environment(options.env) or None,
                ports=[(port.inner, port.protocol) for port in options.ports] or None,
                volumes=[volume for volume in options.volumes if ":" not in volume] or None,
                name=options.name or None,
                host_config=host,
            )
        return str(made["Id"])

    def _image_name(self) -> str:
        """The name that the container's list shows, as long as it is a name of this very image."""
        return self._name if any(same(self._name, name) for name in self.image.references) else self.image.id

    def _start(self, identifier: str) -> None:
        """Start it, or leave nothing behind."""
        try:
            with self._errors():
                self.engine.client.start(identifier)
        except BaseException:
            self._remove(identifier)
            raise

    def _started(self, identifier: str) -> Done:
        short = self.options.name or short_id(identifier)
        try:
            with self.engine.errors():
                found = self.engine.client.inspect_container(identifier)
        except NotFoundError:  # removed after exit
            return Done(f"Container {short} ran and has ended already.", result=identifier)
        state = found.get("State") or {}
        if not state.get("Running") and not state.get("Restarting"):
            status = state.get("ExitCode")
            logs = "" if self.options.remove else "; look at its logs"
            text = f"Container {short} ended at once with exit status {status}{logs}."
            return Done(text, result=identifier, status=status)
        addresses = "".join(f", {address}" for address in _published(found))
        return Done(f"Container {short} runs{addresses}.", result=identifier)

    # -- following ------------------------------------------------------------------------------------

    def _attached(self, identifier: str, job: Job) -> Iterator[Event]:
        api = self.engine.client
        started = False
        try:
            with self._errors():
                # The engine holds our ends of the streams before it answers: nothing is lost. With the logs
                # as well, what it wrote by then would come twice.
                stream = api.attach_socket(identifier, params={"stdout": 1, "stderr": 1, "stream": 1})
                try:
                    api.start(identifier)
                    started = True
                    with job.on_cancel(cutter(stream)):
                        yield from _lines(stream)
                        job.check()
                        status = int(api.wait(identifier)["StatusCode"])
                finally:
                    _close(stream)
        except BaseException:
            if started and not self.options.remove:
                with suppress(ImgscopeError), self.engine.errors():
                    api.stop(identifier, timeout=_STOP_SECONDS)
            else:
                self._remove(identifier)
            job.check()
            raise
        if self.options.remove:
            self._remove(identifier)
        short = self.options.name or short_id(identifier)
        yield Done(f"Container {short} ended with exit status {status}.", result=identifier, status=status)

    def _remove(self, identifier: str) -> None:
        with suppress(ImgscopeError), self.engine.errors():
            self.engine.client.remove_container(identifier, force=True, v=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with self.engine.errors():
                yield
        except (EngineError, NotFoundError) as error:
            text = _refused(str(error), self._name, self.options)
            if text is None:
                raise
            raise EngineError(text, getattr(error, "status", None)) from None


@dataclass(frozen=True)
class Shell:
    """A shell in an image, in the person's own terminal.

    `has` tells whether the image has a file, where its layers were read already; else the engine is asked.
    """

    engine: Engine
    image: Image
    reference: str = ""
    has: Callable[[str], bool] | None = None

    def find(self) -> str:
        """The path of the image's shell. Raises `NotFoundError` where it has none."""
        if self.has is not None:
            found = next(filter(self.has, SHELLS), None)
        else:
            found = _engine_finds(self.engine, self.image, SHELLS)
        if found is None:
            name = self.reference or self.image.name
            raise NotFoundError(
                f"{name} has no shell (none of {', '.join(SHELLS)}); look at its files instead."
            )
        return found

    def options(self) -> RunOptions:
        """How the shell is run. Raises `NotFoundError` where there is none."""
        return RunOptions(detach=False, remove=True, terminal=True, entrypoint=self.find())

    def command(self) -> list[str]:
        """The command for the terminal. Raises `ImgscopeError` where there is no shell, or no docker."""
        return interactive_command(self.engine, self.image, self.options(), self.reference)


def published(engine: Engine, container: str) -> list[str]:
    """The addresses at which a container's ports are to be reached: `0.0.0.0:49153 → 80/tcp`."""
    with engine.errors():
        return _published(engine.client.inspect_container(container))


def interactive_command(engine: Engine, image: Image, options: RunOptions, reference: str = "") -> list[str]:
    """`docker run -it …` for a real terminal, to be run with `interactive_environment`.

    Raises `UsageError` for options that are wrong, and where neither docker nor podman is installed.
    """
    options.check()
    words = ["run", *replace(options, terminal=True).words(image, reference or image.name)]
    podman = engine.label.startswith("podman")
    if program := shutil.which("docker"):
        return [program, *words]
    if podman and (program := shutil.which("podman")):
        return [program, "--remote", "--url", engine.where, *words]
    raise UsageError(
        f"For a container in this terminal, docker{' or podman' if podman else ''} has to be on PATH; "
        "install its command line, or run it detached."
    )


def interactive_environment(engine: Engine) -> dict[str, str]:
    """The environment in which the docker command line talks to this engine and no other."""
    found = dict(os.environ)
    if engine.where.startswith("unix:"):
        found.pop("DOCKER_CONTEXT", None)
        found["DOCKER_HOST"] = engine.where
    return found  # for others, DOCKER_HOST or the context led here, and the certificates with it


# -- the engine's answers -----------------------------------------------------------------------------


def _published(found: dict[str, Any]) -> list[str]:
    made: list[str] = []
    ports = (found.get("NetworkSettings") or {}).get("Ports") or {}
    for inner, bindings in sorted(ports.items(), key=lambda item: int(item[0].partition("/")[0])):
        for binding in bindings or []:
            ip = binding.get("HostIp") or "0.0.0.0"  # noqa: S104 - as engines write it
            address = f"[{ip}]" if ":" in ip else ip
            made.append(f"{address}:{binding.get('HostPort')} → {inner}")
    # the same port at all addresses of IPv6 says nothing new
    return [text for text in made if text.replace("[::]:", "0.0.0.0:") not in made or "[::]:" not in text]


def _lines(stream: Any) -> Iterator[Said]:
    """The container's output by lines; what comes in the middle of one waits for its end."""
    left = {False: b"", True: b""}
    frames: Iterator[tuple[int, bytes]] = frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]
    with suppress(SocketError, OSError):
        for kind, data in frames:
            error = kind == STDERR
            *whole, rest = (left[error] + data).split(b"\n")
            if len(rest) > _LONGEST:
                whole, rest = [*whole, rest], b""
            left[error] = rest
            yield from (Said(os.fsdecode(line), error) for line in whole)
    yield from (Said(os.fsdecode(rest), error) for error, rest in left.items() if rest)


def cutter(stream: Any) -> Callable[[], None]:
    """What ends a read that waits in another thread."""
    connection = getattr(stream, "_sock", stream)

    def cut() -> None:
        with suppress(OSError, AttributeError):
            connection.shutdown(socket.SHUT_RDWR)

    return cut


def _close(stream: Any) -> None:
    """Close an attached socket: the answer that holds it, the connection, the SDK's file of it."""
    for part in (getattr(stream, "_response", None), getattr(stream, "_sock", None), stream):
        if part is not None:
            part.close()


def _engine_finds(engine: Engine, image: Image, paths: tuple[str, ...]) -> str | None:
    """The first of the paths that is a program in the image; asked of a container that never starts."""
    api = engine.client
    with engine.errors():
        made = api.create_container(image.id, command=["-"], entrypoint=["-"])
        try:
            return next((path for path in paths if _is_program(api, made["Id"], path)), None)
        finally:
            api.remove_container(made["Id"], force=True, v=True)


def _is_program(api: Any, container: str, path: str) -> bool:
    for _ in range(40):  # links on the way, as Linux counts them
        answer = api.head(
            api._url("/containers/{0}/archive", container), params={"path": path}, timeout=api.timeout
        )
        encoded = answer.headers.get("X-Docker-Container-Path-Stat")
        if answer.status_code != 200 or not encoded:
            return False
        found = _decoded(encoded)
        mode, target = int(found.get("mode") or 0), str(found.get("linkTarget") or "")
        if not mode & _GO_SYMLINK:
            return not mode & _GO_TYPES and bool(mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH))
        if not target or target == path:
            return False
        path = target if target.startswith("/") else os.path.join(os.path.dirname(path), target)
    return False


def _decoded(encoded: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(encoded))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(said: str, image: str, options: RunOptions) -> str | None:
    """The engine's refusal of a container in one plain sentence; None where its own words are the best."""
    if match := re.search(
        r'container name "/?([^"]+)" is already in use by container "?([0-9a-f]{12})', said
    ):
        return (
            f"The name {match[1]} is taken by the container {match[2]}; choose another, or remove that one."
        )
    if match := re.search(r"name \"?([^\" ]+)\"? is already in use", said):
        return f"The name {match[1]} is taken by another container; choose another, or remove that one."
    if re.search(r"address already in use|port is already allocated", said):
        match = re.search(r"(?:listen (?:tcp|udp)\d? |Bind for )(\S+?):(\d+)", said)
        port = f"port {match[2]}" if match else "published port"
        return f"The {port} is taken on the engine's host; choose another, or stop what listens there."
    if re.search(r"no command specified|no CMD or ENTRYPOINT", said, re.IGNORECASE):
        return f"{image} says no command and none was given; give one."
    if match := re.search(r'exec: \\*"([^"\\]+)\\*": ?(.*?)(?:: unknown)?\.?$', said):
        why = match[2].rstrip(".")
        if re.search("not found|no such file", why):
            return f"There is no program {match[1]} in {image}; give another command."
        if "permission denied" in why or "is a directory" in why:
            return f"{match[1]} in {image} is no program that may be run ({why}); give another command."
        return f"{match[1]} in {image} does not start: {why}."
    if "exec format error" in said:
        return f"The program of {image} is for another kind of processor, or no program at all."
    if match := re.search(r"network (\S+) not found|unable to find network .*?name or ID (\S+?):", said):
        return f"There is no network {match[1] or match[2]}; docker network ls lists them."
    if match := re.search(
        r'error mounting \\*"([^"\\]+)\\*" to rootfs at \\*"([^"\\]+)\\*".*not a directory', said
    ):
        return f"{match[1]} cannot be mounted at {match[2]}: one is a file and the other a directory."
    if re.search("No such image|no such image", said):
        return f"The image {image} is not there any more; list the images anew."
    return None
