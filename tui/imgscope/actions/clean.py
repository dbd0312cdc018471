"""Clean up: everything that can go, as lines to tick; at first only what nobody can miss."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgscope.actions.engine import Engine
from imgscope.actions.inventory import Container
from imgscope.actions.plan import Event, Plan
from imgscope.actions.prune import OWN_NETWORKS, by_digest, dangling, last_tagged, stopped
from imgscope.actions.sweep import Item, Outlook, Stock, carry_out, foresee
from imgscope.errors import UsageError
from imgscope.images.history import instruction
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.text import clean, size_text

_DAY = 86400.0
# unused images with a tag, by the time since they were last tagged or pulled: the least of it, the key
_AGES = ((90, "images-90d"), (30, "images-30d"), (7, "images-7d"), (0, "images-new"))
_AGE_TITLES: Mapping[str, str] = {
    "images-90d": "unused images of more than 90 days",
    "images-30d": "unused images of 30 to 90 days",
    "images-7d": "unused images of 7 to 30 days",
    "images-new": "unused images of less than 7 days",
    "images-undated": "unused images of unknown age",
}


@dataclass(frozen=True, slots=True)
class CleanLine:
    """One line of the plan. `bytes` is what the line frees if it goes alone, None where nobody says.

    The lines share layers: what several free together tells `CleanUp.plan`.
    """

    key: str
    title: str
    reason: str
    bytes: int | None
    items: tuple[Item, ...]
    ticked: bool

    @property
    def text(self) -> str:
        """The line for a list: how many, of what, how much, why."""
        return f"{self.title}: {len(self.items)}, {size_text(self.bytes)} alone; {self.reason}"


class CleanUp:
    """Everything on an engine that can go. `keys` are the ticked lines, None for those ticked at first.

    The engine is asked once, by `lines` (or whatever comes first); `look` asks again.
    """

    def __init__(
        self, engine: Engine, keys: Iterable[str] | None = None, *, now: float | None = None
    ) -> None:
        self.engine = engine
        self.now = now
        self._keys = None if keys is None else frozenset(keys)
        self._stock: Stock | None = None
        self._lines: tuple[CleanLine, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the lines that are to go."""
        if self._keys is None:
            return frozenset(line.key for line in self.lines() if line.ticked)
        return self._keys

    def choose(self, keys: Iterable[str]) -> None:
        """Tick just these lines; raises `UsageError` where there is no such line."""
        wanted = frozenset(keys)
        there = [line.key for line in self.lines()]
        if unknown := sorted(wanted.difference(there)):
            listed = f"there are {', '.join(map(clean, there))}" if there else "there is nothing to clean up"
            raise UsageError(f"There is no line {clean(unknown[0])!r} to clean up; {listed}.")
        self._keys = wanted

    def lines(self, job: Job | None = None) -> tuple[CleanLine, ...]:
        """All lines that have something to remove, the safe ones first."""
        if self._stock is None:
            self.look(job)
        return self._lines

    def look(self, job: Job | None = None) -> None:
        """Ask the engine what it holds. Raises `EngineError`."""
        stock = Stock.of(self.engine, job)
        lines = _Lines(self.engine, stock, time.time() if self.now is None else self.now)
        self._lines = tuple(lines.all())
        self._stock = stock

    def plan(self, keys: Iterable[str]) -> Plan:
        """What these lines come to together, without asking the engine again."""
        wanted = frozenset(keys)
        lines = self.lines()
        outlook = self._outlook(wanted)
        going = set(outlook.going)
        text = []
        for line in lines:
            text.append(f"[{'x' if line.key in wanted else ' '}] {line.key}: {line.text}")
            if line.key in wanted:
                text += [f"  {item.text}" for item in line.items if item in going]
        left = [f"{line.title}: not chosen" for line in lines if line.key not in wanted]
        return outlook.plan("Clean up", text, left)

    def describe(self) -> Plan:
        """The plan of the chosen lines."""
        self.lines()
        return self.plan(self.keys)

    def execute(self, job: Job) -> Iterator[Event]:
        """Remove the chosen lines as they were listed; what changed since then is kept and reported."""
        self.lines(job)
        outlook = self._outlook(self.keys)
        self._stock = None  # the next plan is a new one
        yield from carry_out(self.engine, outlook, job)

    def _outlook(self, keys: frozenset[str]) -> Outlook:
        assert self._stock is not None, "lines() comes first"
        return foresee(self._stock, [item for line in self._lines if line.key in keys for item in line.items])


class _Lines:
    def __init__(self, engine: Engine, stock: Stock, now: float) -> None:
        self.engine = engine
        self.stock = stock
        self.now = now
        inventory = stock.inventory
        self.used = {container.image for container in inventory.containers}
        self.empty = [item for item in stopped(inventory) if item.state == "exited" and item.written == 0]

    def all(self) -> Iterator[CleanLine]:
        for key, title, reason, items, ticked in (*self._safe(), *self._unsafe()):
            found = tuple(items)
            if found:
                yield CleanLine(key, title, reason, self._bytes(found), found, ticked)

    def _bytes(self, items: tuple[Item, ...]) -> int | None:
        if all(item.bytes is None for item in items):
            return None
        return foresee(self.stock, items).bytes

    def _safe(self) -> Iterator[tuple[str, str, str, Iterable[Item], bool]]:
        stock, inventory = self.stock, self.stock.inventory
        yield (
            "containers",
            "exited containers, nothing written",
            "their file systems are those of their images",
            map(stock.container, self.empty),
            True,
        )
        # those that only such a container holds go with it
        free = self._unused(dangling(inventory), but=self.empty)
        yield (
            "dangling",
            "dangling images of builds",
            "no name, no container; a build makes them again",
            stock.images(filter(from_build, free)),
            True,
        )
        yield (
            "cache",
            "build cache",
            "no build uses it; the next build takes longer",
            [stock.record(record) for record in inventory.cache if not record.in_use],
            True,
        )
        yield (
            "networks",
            "unused networks",
            "no container is on them, running or not",
            [
                stock.network(network)
                for network in inventory.networks
                if network.name not in OWN_NETWORKS and not stock.in_use(network)
            ],
            True,
        )

    def _unsafe(self) -> Iterator[tuple[str, str, str, Iterable[Item], bool]]:
        stock, inventory = self.stock, self.stock.inventory
        others = [item for item in stopped(inventory) if item not in self.empty]
        yield (
            "containers-written",
            "stopped containers that wrote",
            "what they wrote would be lost",
            [stock.container(item) for item in others if item.state != "created"],
            False,
        )
        yield (
            "containers-created",
            "containers that never started",
            "somebody may have made them to start later",
            [stock.container(item) for item in others if item.state == "created"],
            False,
        )
        free = self._unused(dangling(inventory))
        yield (
            "untagged",
            "untagged images that no build made",
            "imported or committed: perhaps the only copy",
            stock.images(image for image in free if not from_build(image)),
            False,
        )
        yield (
            "by-digest",
            "images pulled by digest",
            "dangling for the engine, but somebody asked for just these",
            stock.images(self._unused(by_digest(inventory))),
            False,
        )
        for key, images in self._by_age().items():
            yield (
                key,
                _AGE_TITLES[key],
                "no container; by the time since they were tagged or pulled",
                stock.images(images),
                False,
            )
        volumes = [volume for volume in inventory.volumes if not stock.in_use(volume)]
        yield (
            "volumes",
            "anonymous volumes",
            "no container uses them; their data would be lost",
            [stock.volume(volume) for volume in volumes if volume.anonymous],
            False,
        )
        for volume in volumes:
            if not volume.anonymous:
                yield (
                    f"volume:{volume.name}",
                    f"volume {clean(volume.name)}",
                    "somebody named it; its data would be lost",
                    [stock.volume(volume)],
                    False,
                )

    def _unused(self, images: Iterable[Image], but: Iterable[Container] = ()) -> list[Image]:
        """Those of the images that no container has, those apart that go before."""
        going = {container.id for container in but}
        used = {item.image for item in self.stock.inventory.containers if item.id not in going}
        return [image for image in images if image.id not in used]

    def _by_age(self) -> dict[str, list[Image]]:
        groups: dict[str, list[Image]] = {key: [] for key in _AGE_TITLES}
        tagged = [image for image in self.stock.inventory.images if image.references]
        for image in self._unused(tagged):
            moment = last_tagged(self.engine, image)
            age = None if moment is None else max(0.0, self.now - moment)
            key = "images-undated" if age is None else next(key for days, key in _AGES if age >= days * _DAY)
            groups[key].append(image)
        return groups


def from_build(image: Image) -> bool:
    """Whether a builder's step made the top of an image, so that a build makes it again.

    BuildKit says so in its comment. The classic builder marks what is no RUN by `#(nop)`; its RUN looks
    like the commit of a container, which however keeps the command that the container ran.
    """
    if not image.history:
        return False
    step = image.history[-1]
    if "buildkit" in step.comment or "#(nop)" in step.created_by:
        return True
    command = image.config.get("Cmd")
    ran = " ".join(map(str, command)) if isinstance(command, list) else ""
    made_by_run = instruction(step).startswith("RUN ") and step.created_by.startswith("/bin/sh -c ")
    return made_by_run and not step.comment and step.created_by != ran
