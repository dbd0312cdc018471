"""How a container is to run: the words of `docker run`, checked before an engine is asked."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from imgscope.errors import UsageError
from imgscope.images.model import Image

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")  # moby, daemon/names
_PORT = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):)?"
    r"(?P<host>[0-9]{1,6}(?:-[0-9]{1,6})?)?:)?"
    r"(?P<inner>[0-9]{1,6}(?:-[0-9]{1,6})?)(?:/(?P<protocol>[a-zA-Z]+))?"
)
_PROTOCOLS = ("tcp", "udp", "sctp")
_VOLUME_MODES = frozenset(("ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated")) | {
    f"{recursive}{kind}" for recursive in ("", "r") for kind in ("private", "shared", "slave")
}
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


@dataclass(frozen=True, slots=True)
class Port:
    """A published port: `inner` in the container, `host` on the engine's host, 0 where it may choose."""

    inner: int
    host: int = 0
    protocol: str = "tcp"
    ip: str = ""

    @classmethod
    def parse(cls, text: str) -> tuple[Port, ...]:
        """`80`, `8080:80`, `127.0.0.1:8080:80/udp`, `8000-8009:80-89` as ports; raises `UsageError`."""
        found = _PORT.fullmatch(text)
        if found is None:
            raise UsageError(
                f"{text!r} is no port; write it as CONTAINER, HOST:CONTAINER or IP:HOST:CONTAINER[/udp]."
            )
        protocol = (found["protocol"] or "tcp").lower()
        if protocol not in _PROTOCOLS:
            raise UsageError(f"{text!r} names the protocol {protocol}; ports are tcp, udp or sctp.")
        inner = _range(found["inner"], text, lowest=1)
        host = _range(found["host"], text, lowest=0) if found["host"] else range(0)
        if len(host) not in (0, len(inner)):
            raise UsageError(f"{text!r} has ranges of different lengths; make them the same.")
        ip = (found["ip"] or "").strip("[]")
        if found["ip"] and not ip.count(":") and any(int(part) > 255 for part in ip.split(".")):
            raise UsageError(f"{text!r} has an IP address that is none.")
        return tuple(
            cls(number, host[place] if host else 0, protocol, ip) for place, number in enumerate(inner)
        )

    def __str__(self) -> str:
        """As `docker run --publish` takes it."""
        inner = f"{self.inner}" if self.protocol == "tcp" else f"{self.inner}/{self.protocol}"
        host = str(self.host or "")
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"{ip}:{host}:{inner}" if ip else f"{host}:{inner}" if host else inner


def _range(text: str, whole: str, lowest: int) -> range:
    first, _, last = text.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers or numbers[0] < lowest or numbers[-1] > 65535:
        raise UsageError(f"{whole!r} is no port; they go from {lowest} to 65535.")
    return numbers


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of one run. What equals the image's own configuration changes nothing.

    `env` are NAME=VALUE, or NAME alone for its value here; `volumes` are SOURCE:TARGET[:MODE], or TARGET
    alone for a volume without a name; `restart` is a policy as docker writes it: on-failure:3.
    `entrypoint` is None for the image's own.
    """

    name: str = ""
    detach: bool = True
    remove: bool = False
    ports: tuple[Port, ...] = ()
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    network: str = ""
    restart: str = "no"
    publish_all: bool = False
    terminal: bool = False  # in the person's own, with -it

    @classmethod
    def for_image(cls, image: Image) -> RunOptions:
        """What the image's configuration says; its ports at free ports of the host."""
        return cls(
            ports=tuple(_exposed(image.config.get("ExposedPorts"))),
            env=tuple(_texts(image.config.get("Env"))),
            volumes=tuple(_names(image.config.get("Volumes"))),
            command=tuple(_texts(image.config.get("Cmd"))),
        )

    @classmethod
    def from_texts(cls, values: Mapping[str, str]) -> RunOptions:
        """The options as a form has them: words parted by spaces, flags "yes" or "".

        Raises `UsageError` for the first thing that is wrong.
        """
        made = cls(
            name=values.get("name", "").strip(),
            detach=bool(values.get("detach")),
            remove=bool(values.get("remove")),
            ports=parse_ports(_split(values, "ports")),
            env=tuple(_split(values, "env")),
            volumes=tuple(_split(values, "volumes")),
            command=tuple(_split(values, "command")),
            entrypoint=values.get("entrypoint", "").strip() or None,
            network=values.get("network", "").strip(),
            restart=values.get("restart", "").strip() or "no",
        )
        made.check()
        return made

    def texts(self) -> dict[str, str]:
        """The options as `from_texts` takes them."""
        return {
            "name": self.name,
            "detach": "yes" if self.detach else "",
            "remove": "yes" if self.remove else "",
            "ports": " ".join(map(str, self.ports)),
            "env": shlex.join(self.env),
            "volumes": shlex.join(self.volumes),
            "command": shlex.join(self.command),
            "entrypoint": self.entrypoint or "",
            "network": self.network,
            "restart": self.restart,
        }

    def check(self) -> None:
        """Raise `UsageError` for the first thing that no engine would accept."""
        for problem in self.problems():
            raise UsageError(problem)

    def problems(self) -> list[str]:
        """All that is wrong, a sentence each."""
        found = []
        if self.name and not _NAME.fullmatch(self.name):
            found.append(
                f"{self.name!r} is no name for a container; "
                "use two or more letters, digits, _ . and -, a letter or digit first."
            )
        found += [problem for problem in map(_env_problem, self.env) if problem]
        found += [problem for problem in map(_volume_problem, self.volumes) if problem]
        policy, colon, count = self.restart.partition(":")
        if policy not in _RESTARTS:
            found.append(f"{self.restart!r} is no restart policy; there are {', '.join(_RESTARTS)}.")
        elif colon and (policy != "on-failure" or not count.isdecimal()):
            found.append(f"{self.restart!r} is no restart policy; only on-failure takes a count, as in :3.")
        elif self.remove and policy != "no":
            found.append(f"Remove after exit and restart {policy} exclude each other; leave one out.")
        hosts = [(port.ip, port.host, port.protocol) for port in self.ports if port.host]
        found += [
            f"The port {host} is published twice; leave one out."
            for ip, host, protocol in sorted({item for item in hosts if hosts.count(item) > 1})
        ]
        if self.ports and self.network in ("host", "none"):
            found.append(f"With the network {self.network} no ports are published; leave one out.")
        return found

    def own(self, image: Image) -> RunOptions:
        """Without what the image says already."""
        theirs = RunOptions.for_image(image)
        return replace(
            self,
            env=tuple(item for item in self.env if item not in theirs.env),
            volumes=tuple(item for item in self.volumes if item not in theirs.volumes),
            # an entrypoint of one's own drops the image's command, so there it has to be said
            command=() if self.command == theirs.command and self.entrypoint is None else self.command,
        )

    def words(self, image: Image, reference: str) -> list[str]:
        """The words of `docker run` after it: options, image, command."""
        own = self.own(image)
        made = ["-it"] if own.terminal else ["-d"] if own.detach else []
        made += ["--rm"] if own.remove else []
        for option, value in (("--name", own.name), ("--network", own.network)):
            made += [option, value] if value else []
        made += ["--restart", own.restart] if own.restart != "no" else []
        made += ["--publish-all"] if own.publish_all else []
        for option, values in (("-p", map(str, own.ports)), ("-e", own.env), ("-v", own.volumes)):
            for value in values:
                made += [option, value]
        made += ["--entrypoint", own.entrypoint] if own.entrypoint is not None else []
        return [*made, reference, *own.command]


def parse_ports(texts: Iterable[str]) -> tuple[Port, ...]:
    """Ports as they were written; raises `UsageError`."""
    return tuple(port for text in texts for port in Port.parse(text.strip(",")))


def environment(env: Iterable[str]) -> list[str]:
    """NAME alone gets its value from here, and is left out where there is none, as docker does."""
    made = []
    for item in env:
        if "=" in item:
            made.append(item)
        elif item in os.environ:
            made.append(f"{item}={os.environ[item]}")
    return made


def _split(values: Mapping[str, str], name: str) -> list[str]:
    try:
        return shlex.split(values.get(name, ""))
    except ValueError as error:
        raise UsageError(f"The {name} end within quotes ({error}); close them.") from None


def _env_problem(item: str) -> str:
    name = item.partition("=")[0]
    if not name or any(character.isspace() for character in name) or "\0" in item:
        return f"{item!r} is no variable; write it as NAME=VALUE."
    return ""


def _volume_problem(item: str) -> str:
    parts = item.split(":")
    how = "write it as /HOST/PATH:/PATH or NAME:/PATH, with :ro if you like."
    if len(parts) > 3 or not all(parts):
        return f"{item!r} is no volume; {how}"
    if len(parts) == 3 and not _VOLUME_MODES.issuperset(parts[2].split(",")):
        return f"The volume {item!r} has the mode {parts[2]!r}; modes are ro and rw."
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if not target.startswith("/"):
        return f"The volume {item!r} leads to {target!r} in the container; give a path from /."
    if target.strip("/") == "":
        return f"The volume {item!r} would hide the whole image; give a path below /."
    if source and not source.startswith("/") and not _NAME.fullmatch(source):
        if "/" in source or source.startswith((".", "~")):
            return f"The volume {item!r} has the relative host path {source!r}; give it from /."
        return f"The volume {item!r} has the name {source!r}; {how}"
    return ""


# -- an image's configuration is untrusted JSON -------------------------------------------------------


def _exposed(found: Any) -> Iterable[Port]:
    for text in _names(found):
        try:
            yield from Port.parse(text)
        except UsageError:
            continue  # an image may say anything


def _names(found: Any) -> list[str]:
    return sorted(item for item in found if isinstance(item, str)) if isinstance(found, dict) else []


def _texts(found: Any) -> list[str]:
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
