"""Building an image from a folder: by BuildKit where the docker command line has it, else by the API."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from imgscope.actions.context import Context
from imgscope.actions.credentials import Credentials, key
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, Said, Transfer, command
from imgscope.actions.run import cutter, interactive_environment
from imgscope.errors import EngineError, ImgscopeError, UsageError
from imgscope.images.model import short_id
from imgscope.images.reference import Reference
from imgscope.job import Job

_STOP_SECONDS = 5  # between asking the docker command to end and killing it
_CHUNK = 1 << 16
_INSIDE = 22  # up to this version the docker command has BuildKit without a plugin
_STEP = re.compile(r"#(\d+) (\[.*)")  # of --progress=plain: #5 [stage 2/3] RUN make
_STEP_ERROR = re.compile(r"#(\d+) ERROR: (.*)")
_CLASSIC_STEP = re.compile(r"Step (\d+/\d+) : (.*)")
_CLASSIC_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})")
_CLASSIC = "classic"  # the key of its steps, which it tells one after the other
_CLASSIC_ERROR = re.compile(r"The command '(.*)' returned a non-zero code: (\d+)", re.DOTALL)
_PODMAN_ERROR = re.compile(r'building at STEP "(.*?)": (.*)', re.DOTALL)
_BUILDKIT_ERROR = re.compile(
    r"(?:executor failed running \[.*\]|process \".*\" did not complete successfully): (.*)", re.DOTALL
)
_PREFIXES = re.compile(
    r"^(?:ERROR: |failed to solve(?: with frontend \S+)?: |failed to create LLB definition: "
    r"|rpc error: code = \S+ desc = |failed to read dockerfile: )+"
)
_FROM = re.compile(rb"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)


class BuildError(EngineError):
    """The Dockerfile was tried, and a step of it failed."""


@dataclass(frozen=True)
class Build:
    """Build `folder` and name the image `tag`, and `more_tags`; `Done.result` is its id.

    `dockerfile` is found from the current folder or in `folder`, "" for the usual one; `args` are
    NAME=VALUE, or NAME alone for its value here. Output comes as `Said`. Raises `BuildError` with the
    step that failed.
    """

    engine: Engine
    folder: Path
    tag: str = ""
    more_tags: tuple[str, ...] = ()
    dockerfile: str = ""
    target: str = ""
    args: tuple[str, ...] = ()
    network: str = ""
    no_cache: bool = False
    pull: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """All names that the image gets."""
        return tuple(tag for tag in (self.tag, *self.more_tags) if tag)

    def check(self) -> None:
        """Raise `UsageError` for a tag or an argument that no builder accepts."""
        for tag in self.tags:
            if Reference.parse(tag).digest:
                raise UsageError(f"{tag} names a digest, which only a registry gives; build it as name:tag.")
        for item in self.args:
            name = item.partition("=")[0]
            if not name or any(character.isspace() for character in name):
                raise UsageError(f"{item!r} is no build argument; write it as NAME=VALUE.")

    def context(self, job: Job | None = None) -> Context:
        """What the build would send. Raises `UsageError`."""
        return Context.read(self.folder, self.dockerfile, job)

    def describe(self) -> Plan:
        self.check()
        context = self.context()
        how = "with BuildKit" if self._buildkit() else "with the engine's classic builder"
        return Plan(
            title=f"Build {', '.join(self.tags) or 'an image without a name'} from {context.folder}",
            command=command("docker", "build", *self._words(context), str(self.folder)),
            lines=(*context.lines(), f"builder  {how}"),
        )

    def execute(self, job: Job) -> Generator[Event]:
        self.check()
        context = self.context(job)
        program = self._buildkit()
        steps = _Steps()
        run = self._by_command(program, context, steps, job) if program else self._by_api(context, steps, job)
        yield from run
        with self.engine.errors():  # a builder elsewhere may have kept the image to itself
            identifier = str(self.engine.client.inspect_image(steps.image)["Id"])
        if ":" not in identifier:
            identifier = f"sha256:{identifier}"  # as podman writes it
        names = f" as {', '.join(self.tags)}" if self.tags else ""
        yield Done(f"Built {short_id(identifier)}{names}.", result=identifier)

    def _words(self, context: Context) -> list[str]:
        """The options of `docker build`."""
        made = []
        for tag in self.tags:
            made += ["-t", tag]
        if context.dockerfile_path != "Dockerfile":
            made += ["-f", str(context.dockerfile)]
        made += ["--target", self.target] if self.target else []
        for item in self.args:
            made += ["--build-arg", item]
        made += ["--network", self.network] if self.network else []
        made += ["--no-cache"] if self.no_cache else []
        made += ["--pull"] if self.pull else []
        return made

    # -- with the docker command line -----------------------------------------------------------------

    def _buildkit(self) -> str:
        """The docker command that builds with BuildKit on this engine; empty where there is none."""
        if self.engine.label.startswith("podman"):
            return ""  # its API knows no BuildKit
        return _buildkit_command(os.environ.get("PATH", os.defpath))

    def _by_command(self, program: str, context: Context, steps: _Steps, job: Job) -> Iterator[Event]:
        with tempfile.TemporaryDirectory(prefix="imgscope-") as folder:
            result = Path(folder, "id")
            words = ["--progress=plain", "--iidfile", str(result), *self._words(context), str(context.folder)]
            try:
                process = subprocess.Popen(
                    [program, "build", *words],
                    env={**interactive_environment(self.engine), "DOCKER_BUILDKIT": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a ctrl-C is ours to pass on
                )
            except OSError as error:
                raise EngineError(f"{program} does not run ({error.strerror}).") from None
            assert process.stdout is not None
            try:
                with job.on_cancel(process.terminate):
                    for line in process.stdout:
                        text = os.fsdecode(line).rstrip("\r\n")
                        steps.hear(text)
                        yield Said(text)
                    status = process.wait()
                job.check()
            finally:
                _end(process)
            if status:
                raise BuildError(steps.failure(f"docker build gave exit status {status}"))
            steps.image = result.read_text().strip()

    # -- with the classic builder ---------------------------------------------------------------------

    def _by_api(self, context: Context, steps: _Steps, job: Job) -> Iterator[Event]:
        name, tar = context.tar(job)
        yield Transfer("context", "sending", 0, context.total)
        api = self.engine.client
        headers = {"Content-Type": "application/tar", **_logins(context)}
        with self.engine.errors():
            # APIClient.build hides its connection, which esc has to cut
            answer = api._post(
                api._url("/build"), data=tar, params=self._query(name), headers=headers, stream=True,
                timeout=None,
            )  # fmt: skip
            with closing(answer):
                api._raise_for_status(answer)
                yield Transfer("context", "sent", context.total, context.total)
                with job.on_cancel(cutter(api._get_raw_response_socket(answer))):
                    try:
                        for line in answer.iter_lines(_CHUNK):
                            yield from steps.hear_event(_event(line))
                    finally:
                        job.check()  # where the connection was cut, that is why
        if not steps.image:
            raise EngineError("The engine ended the build without an image; look at what it said.")

    def _query(self, dockerfile: str) -> dict[str, Any]:
        arguments = {}
        for item in self.args:
            name, equals, value = item.partition("=")
            arguments[name] = value if equals else os.environ.get(name)
        return {
            "t": list(self.tags),
            "dockerfile": dockerfile,
            "rm": True,
            "forcerm": True,
            "nocache": self.no_cache,
            "pull": self.pull,
            "buildargs": json.dumps(arguments),
            **({"target": self.target} if self.target else {}),
            **({"networkmode": self.network} if self.network else {}),
        }


class _Steps:
    """What the output says of the steps and of what went wrong: words for a sentence, and the image."""

    def __init__(self) -> None:
        self.image = ""
        self._titles: dict[str, str] = {}
        self._failed: tuple[str, str] | None = None
        self._last = ""

    def hear(self, line: str) -> None:
        """One line of BuildKit's plain progress."""
        if match := _STEP_ERROR.fullmatch(line):
            self._failed = self._titles.get(match[1], ""), match[2]
        elif match := _STEP.fullmatch(line):
            self._titles.setdefault(match[1], match[2])
        if line.strip():
            self._last = line

    def hear_event(self, event: dict[str, Any]) -> Iterator[Event]:
        """One event of the classic builder's answer. Raises `BuildError`: failures come in-band."""
        detail = event.get("errorDetail")
        if said := (detail.get("message") if isinstance(detail, dict) else None) or event.get("error"):
            if title := self._titles.get(_CLASSIC):
                raise BuildError(step_failed(title, str(said)))
            if match := _PODMAN_ERROR.fullmatch(str(said)):
                raise BuildError(step_failed(match[1], match[2]))
            raise BuildError(f"The build failed: {' '.join(str(said).split()).rstrip('.')}.")
        aux = event.get("aux")
        if isinstance(aux, dict) and isinstance(aux.get("ID"), str):
            self.image = aux["ID"]
        for line in str(event.get("stream") or "").splitlines():
            if match := _CLASSIC_STEP.fullmatch(line):
                self._titles[_CLASSIC] = f"{match[1]} {match[2]}"
            elif (match := _CLASSIC_BUILT.fullmatch(line)) and not self.image:
                self.image = match[1]  # podman says it so only
            if line.strip():
                yield Said(line)
        if "status" in event:  # a base image is pulled
            counts = event.get("progressDetail") or {}
            status = str(event["status"])
            if part := event.get("id"):
                yield Transfer(str(part), status, counts.get("current") or 0, counts.get("total"))
            else:
                yield Said(status)

    def failure(self, otherwise: str) -> str:
        """The sentence."""
        title, said = self._failed or ("", "")
        if title and not title.startswith("[internal]"):
            return step_failed(title, said)
        words = _PREFIXES.sub("", self._last).rstrip(".") or otherwise
        return f"The build failed: {words}."


def step_failed(step: str, said: str) -> str:
    """`Step [2/3] RUN make failed: exit code: 2.`"""
    if match := _BUILDKIT_ERROR.fullmatch(said):
        said = match[1]
    elif match := _CLASSIC_ERROR.fullmatch(said):
        said = f"exit code: {match[2]}"
    return f"Step {' '.join(step.split())} failed: {' '.join(said.split()).rstrip('.')}."


def _event(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line or b"{}")
    except ValueError:
        raise EngineError("The engine's answer to the build broke off; look whether it still runs.") from None
    return found if isinstance(found, dict) else {}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have the docker command end, which cancels its build."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


@lru_cache(maxsize=4)
def _buildkit_command(path: str) -> str:
    """The first docker command on the path that builds with BuildKit, by itself or by its buildx plugin."""
    for folder in path.split(os.pathsep):
        program = shutil.which("docker", path=folder) if folder else None
        if program is None:
            continue
        with suppress(OSError, subprocess.TimeoutExpired):
            said = _said(program, "--version")
            version = re.match(r"Docker version (\d+)", said or "")
            if version is None:
                continue  # podman's stand-in
            if int(version[1]) <= _INSIDE or _said(program, "buildx", "version") is not None:
                return program
    return ""


def _said(*words: str) -> str | None:
    """What a program prints; None where it fails."""
    done = subprocess.run(
        words,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=20,
    )
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _logins(context: Context) -> dict[str, str]:
    """The header with the logins of the registries that the Dockerfile's images come from."""
    credentials = Credentials()
    found: dict[str, Any] = {}
    with suppress(OSError):
        for name in _FROM.findall(context.dockerfile.read_bytes()):
            with suppress(ImgscopeError, UnicodeDecodeError):
                domain = Reference.parse(name.decode()).domain
                if login := credentials.find(domain):
                    found[key(domain)] = json.loads(base64.urlsafe_b64decode(login.header(domain)))
    if not found:
        return {}
    return {"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(found).encode()).decode()}
