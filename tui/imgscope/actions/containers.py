"""The containers of an image: which there are, what they say, stopping and removing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from imgscope.actions.engine import Engine
from imgscope.actions.inventory import Container, Inventory
from imgscope.actions.plan import Blocker, Done, Event, Plan, Said, command
from imgscope.errors import EngineError, NotFoundError
from imgscope.images.model import chain_ids, short_id
from imgscope.job import Job
from imgscope.sources.http import Answer
from imgscope.text import size_text

_TAIL = 1000  # lines of a log that are shown before what follows
_LINE = 1 << 16  # bytes of a log's line that are kept in one piece
_HEADER = 8  # bytes before each piece of a log: the stream, three zeros, the length


@dataclass(frozen=True, slots=True)
class Use:
    """A container that uses an image. `through` names the image it was made from where that is another."""

    container: Container
    through: str = ""


def containers_of(inventory: Inventory, image_id: str) -> list[Use]:
    """The containers made from an image, under whatever name, or from one built on it; running ones first.

    Built on it: by the engine's parent field, or by a list of layers that begins with all of its layers.
    A container whose own image is removed counts where the layers that it keeps begin so.
    """
    image = inventory.image(image_id)
    stack = tuple(chain_ids(image.diff_ids)) if image else ()
    above = _descendants(inventory, image_id)
    uses = []
    for container in inventory.containers:
        if container.image == image_id:
            uses.append(Use(container))
        elif container.image in above or (stack and container.chains[: len(stack)] == stack):
            via = inventory.image(container.image)
            uses.append(Use(container, via.name if via else f"{short_id(container.image)} (removed)"))
    return sorted(uses, key=lambda use: (not use.container.running, -use.container.created))


def _descendants(inventory: Inventory, image_id: str) -> set[str]:
    found = {image_id}
    while more := {image.id for image in inventory.images if image.parent in found} - found:
        found |= more
    return found - {image_id}


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Stops a container: its own signal first, after `grace` seconds SIGKILL."""

    engine: Engine
    container: str
    grace: int = 10

    def describe(self) -> Plan:
        """Raises `NotFoundError`."""
        name, state, _ = _look(self.engine, self.container)
        running = "it is asked to end" if state in ("running", "paused", "restarting") else "it does not run"
        return Plan(
            title=f"Stop container {name}",
            command=command("docker", "stop", name),
            lines=(f"{running}, and killed after {self.grace} seconds" if "asked" in running else running,),
            keeps=("the container stays, with what it wrote",),
            destructive=True,
        )

    def execute(self, job: Job) -> Iterator[Event]:
        name, _, identifier = _look(self.engine, self.container)
        job.check()
        yield Said(f"Stopping {name} …")
        with self.engine.errors():
            # the engine answers after the grace time only
            self.engine.client.stop(identifier, timeout=self.grace)
        yield Done(f"Container {name} is stopped.", result=identifier)


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Removes a container with what it wrote; its volumes stay. A running one only by `force`."""

    engine: Engine
    container: str
    force: bool = False

    def describe(self) -> Plan:
        """Says what it wrote, and which layers only it still keeps. Raises `NotFoundError`."""
        name, state, identifier = _look(self.engine, self.container)
        inventory = self.engine.inventory()
        found = next((item for item in inventory.containers if item.id == identifier), None)
        written = found.written if found else None
        lines = [f"what it wrote goes: {size_text(written)}" if written else "it wrote nothing"]
        others = {chain for item in inventory.containers if item.id != identifier for chain in item.chains}
        lost = sum(
            inventory.lost.get(chain, 0) for chain in (found.chains if found else ()) if chain not in others
        )
        if lost:
            lines.append(f"layers of its removed image go, which only it kept: {size_text(lost)}")
        elif found and found.unknown and not found.chains:
            lines.append("its image is removed; the engine does not tell which layers go with it")
        running = state in ("running", "paused", "restarting")
        return Plan(
            title=f"Remove container {name}",
            command=command("docker", "rm", *(["--force"] if self.force else []), name),
            lines=(*lines, *(["it is killed first"] if running and self.force else [])),
            frees=(written or 0) + lost,
            deletes=(identifier,),
            keeps=("its volumes stay",) if _volumes(self.engine, identifier) else (),
            blocked_by=(Blocker(f"container {name} is running", identifier, True, "running", name),)
            if running and not self.force
            else (),
            destructive=True,
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """`Done.freed` is measured."""
        name, _, identifier = _look(self.engine, self.container)
        before = self.engine.disk_bytes()
        job.check()
        try:
            with self.engine.errors():
                self.engine.client.remove_container(identifier, force=self.force)
        except EngineError as error:
            if error.status == 409 and not self.force:
                raise EngineError(
                    f"Container {name} was not removed: it is running; stop it first, or force it.", 409
                ) from None
            raise
        freed = before - self.engine.disk_bytes()
        yield Done(f"Removed container {name}; {size_text(freed)} freed.", freed, deleted=(identifier,))


@dataclass(frozen=True, slots=True)
class Logs:
    """What a container said, its last lines first in time; with `follow` also what it says from now on.

    Follows until the container ends or the job is cancelled. Lines come as they are: whoever shows them
    cleans them.
    """

    engine: Engine
    container: str
    follow: bool = False
    tail: int = _TAIL

    def describe(self) -> Plan:
        """Raises `NotFoundError`."""
        name, *_ = _look(self.engine, self.container)
        words = ["--follow"] if self.follow else []
        return Plan(
            title=f"Logs of container {name}",
            command=command("docker", "logs", *words, "--tail", str(self.tail), name),
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """`Said` for each line of both streams. Raises `CancelledError`, and `EngineError`."""
        name, _, identifier = _look(self.engine, self.container)
        with self.engine.errors():
            config = self.engine.client.inspect_container(identifier).get("Config") or {}
        query = f"stdout=1&stderr=1&follow={int(self.follow)}&tail={self.tail}"
        lines = 0
        with (
            self.engine.errors(),
            self.engine.source.connection.get(f"/containers/{identifier}/logs?{query}", job) as response,
        ):
            for line in _lines(_raw(response) if config.get("Tty") else _frames(response)):
                job.check()
                lines += 1
                yield Said(line)
            job.check()  # an answer without a stated length just ends where it is cut
        yield Done(f"{lines} {'line' if lines == 1 else 'lines'} of {name}.", result=identifier)


def _look(engine: Engine, container: str) -> tuple[str, str, str]:
    """(name, state, id) of a container by name or id. Raises `NotFoundError` with those that are there."""
    try:
        with engine.errors():
            found = engine.client.inspect_container(container)
    except NotFoundError:
        with engine.errors():
            names = [item["Names"][0].lstrip("/") for item in engine.client.containers(all=True)]
        there = f"there are {', '.join(sorted(names)[:20])}" if names else "there are none"
        raise NotFoundError(f"There is no container {container!r}; {there}.") from None
    return found["Name"].lstrip("/"), (found.get("State") or {}).get("Status") or "", found["Id"]


def _volumes(engine: Engine, identifier: str) -> bool:
    with suppress(NotFoundError), engine.errors():
        mounts = engine.client.inspect_container(identifier).get("Mounts") or []
        return any(mount.get("Type") == "volume" for mount in mounts)
    return False


def _raw(response: Answer) -> Iterator[tuple[int, bytes]]:
    """What a container on a terminal said: one stream."""
    while chunk := response.read1(_LINE):
        yield 1, chunk


def _frames(response: Answer) -> Iterator[tuple[int, bytes]]:
    """(1 stdout or 2 stderr, bytes), as the engine mixes both (Docker API, "Stream format")."""
    while len(header := response.read(_HEADER)) == _HEADER:
        left = int.from_bytes(header[4:], "big")
        while left:
            chunk = response.read(min(left, _LINE))
            if not chunk:
                return
            left -= len(chunk)
            yield header[0], chunk


def _lines(chunks: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    """Pieces of both streams as lines; one that does not end is cut."""
    rests = {1: b"", 2: b""}
    for stream, chunk in chunks:
        *whole, rest = (rests.get(stream, b"") + chunk).split(b"\n")
        yield from map(_text, whole)
        while len(rest) > _LINE:
            yield _text(rest[:_LINE])
            rest = rest[_LINE:]
        rests[stream] = rest
    yield from (_text(rest) for rest in rests.values() if rest)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
