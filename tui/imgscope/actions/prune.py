"""Prune: all of a kind that nothing uses, listed by id before it goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from imgscope.actions.engine import Engine
from imgscope.actions.inventory import Container, Inventory
from imgscope.actions.plan import Event, Plan
from imgscope.actions.sweep import ORDER, Item, Outlook, Stock, carry_out, foresee
from imgscope.actions.sweep import Kind as ItemKind
from imgscope.errors import NotFoundError, UsageError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.text import size_text

Kind = Literal["dangling", "images", "containers", "networks", "cache", "volumes"]
DEFAULT: tuple[Kind, ...] = ("dangling", "networks", "cache")
TITLES: Mapping[Kind, str] = {
    "containers": "stopped containers",
    "dangling": "dangling images",
    "images": "unused images",
    "cache": "build cache",
    "networks": "unused networks",
    "volumes": "unused volumes",
}
KINDS: tuple[Kind, ...] = tuple(TITLES)
OWN_NETWORKS = ("podman", "ingress", "docker_gwbridge")  # the engines', though not of docker's three

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|[smhdw])", re.ASCII)
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")


def parse_until(text: str, now: datetime | None = None) -> float:
    """A moment in seconds since 1970, from the forms that docker's `until` filter takes.

    A duration before now in Go's form (10m, 1h30m), and here also in days and weeks (30d, 2w); a date
    or time (2024-01-31, 2024-01-31T08:00:00, with Z or +02:00, else local time); seconds since 1970.
    Raises `UsageError`.
    """
    text = text.strip()
    moment = now or datetime.now(UTC)
    try:
        if text == "0":
            return moment.timestamp()
        parts = _PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            ago = sum(float(number) * _UNITS[unit] for number, unit in parts)
            return (moment - timedelta(seconds=ago)).timestamp()
        if re.fullmatch(r"[0-9]{5,11}(\.[0-9]{1,9})?", text):
            return float(text)
        if re.match(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return datetime.fromisoformat(_NANOSECONDS.sub(r"\1", text)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{text!r} is no time; write a duration as 24h, 1h30m or 30d, or a date as 2024-01-31T08:00:00."
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a prune: all of it must hold.

    `until`: only what is older than this moment (seconds since 1970). `labels`: only what has all of
    them, `not_labels`: nothing that has any of them; each as KEY or KEY=VALUE.
    """

    until: float | None = None
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, until: str | None = None, labels: Iterable[str] = (), not_labels: Iterable[str] = ()
    ) -> Filters:
        """From a person's words; raises `UsageError`."""
        filters = cls(parse_until(until) if until else None, tuple(labels), tuple(not_labels))
        for label in (*filters.labels, *filters.not_labels):
            if not label.partition("=")[0].strip():
                raise UsageError(f"{label!r} is no label; write it as KEY or KEY=VALUE.")
        return filters

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is meant."""

        def has(wanted: str) -> bool:
            key, equals, value = wanted.partition("=")
            return key in labels and (not equals or labels[key] == value)

        return all(map(has, self.labels)) and not any(map(has, self.not_labels))

    def old(self, moment: float | None) -> bool:
        """Whether something of that moment is old enough; what has no believable date is not."""
        return self.until is None or (moment is not None and moment <= self.until)


def seconds(text: str | None) -> float | None:
    """An engine's RFC 3339 time as seconds since 1970; None for the dates that stand for none."""
    try:
        moment = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", text or ""))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        count = moment.timestamp()
    except (ValueError, OverflowError):
        return None
    return count if count > 86400 else None  # reproducible builds date from 1970, Go's zero from year 1


def last_tagged(engine: Engine, image: Image) -> float | None:
    """When an image was last tagged or pulled, in seconds since 1970; None where the engine does not tell."""
    try:
        with engine.errors():
            found = engine.client.inspect_image(image.id)
    except NotFoundError:
        return None
    return seconds((found.get("Metadata") or {}).get("LastTagTime"))


def image_labels(image: Image) -> Mapping[str, str]:
    """The labels of an image's config, which nobody checked: only what is text."""
    labels = image.config.get("Labels")
    return {key: str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def dangling(inventory: Inventory) -> list[Image]:
    """Images without any name that no other names as its parent (the engine prunes none with children)."""
    parents = {image.parent for image in inventory.images}
    return [
        image
        for image in inventory.images
        if not image.references and not image.digests and image.id not in parents
    ]


def by_digest(inventory: Inventory) -> list[Image]:
    """Images with names by digest only, as pulled so, or left by a newer pull of their tag.

    For the engine these are dangling (moby `daemon/images/image_prune.go`: none of their names is a tag).
    """
    return [image for image in inventory.images if image.digests and not image.references]


def stopped(inventory: Inventory) -> list[Container]:
    """Containers that do not run: exited, dead, or never started."""
    return [item for item in inventory.containers if not item.running and item.state != "removing"]


@dataclass
class Prune:
    """Removes all of some kinds that nothing uses and that the filters mean.

    `execute` removes what the last `describe` listed. Raises `UsageError` where a filter says nothing
    about a kind.
    """

    engine: Engine
    kinds: Sequence[Kind] = DEFAULT
    filters: Filters = Filters()
    _outlook: Outlook | None = field(default=None, init=False, repr=False)
    _keeps: tuple[str, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        self.check(self.kinds, self.filters)
        self.kinds = tuple(kind for kind in KINDS if kind in self.kinds)

    @staticmethod
    def check(kinds: Sequence[Kind], filters: Filters) -> None:
        """Raise `UsageError` where a filter says nothing about a kind, or no kind is named."""
        if not kinds:
            raise UsageError(f"Nothing to prune was named; there are {', '.join(KINDS)}.")
        if "volumes" in kinds and filters.until is not None:
            raise UsageError("Volumes have no date to go by; leave out the volumes, or the time.")
        if "cache" in kinds and (filters.labels or filters.not_labels):
            raise UsageError("The build cache has no labels; leave out the build cache, or the labels.")

    def describe(self) -> Plan:
        """List what goes, by kind, with its bytes."""
        self._outlook = self._look()
        lines = []
        for kind, going in self._by_kind(self._outlook).items():
            size = f", {size_text(going.bytes)}" if kind != "networks" else ""
            lines.append(f"{TITLES[kind]}: {len(going.items) or 'none'}{size if going.items else ''}")
            lines += [f"  {item.text}" for item in going.items]
        title = f"Prune {' and '.join(_listed([TITLES[kind] for kind in self.kinds]))}"
        return self._outlook.plan(title, lines, self._keeps)

    def execute(self, job: Job) -> Iterator[Event]:
        """Remove what was listed, one by one; what changed since then is kept and reported."""
        outlook = self._outlook or self._look(job)
        self._outlook = None
        yield from carry_out(self.engine, outlook, job)

    def _look(self, job: Job | None = None) -> Outlook:
        stock = Stock.of(self.engine, job)
        self._keeps = ()
        return foresee(stock, self._items(stock))

    def _items(self, stock: Stock) -> list[Item]:
        inventory, filters = stock.inventory, self.filters
        items: list[Item] = []
        gone: set[str] = set()
        if "containers" in self.kinds:
            found = [
                item for item in stopped(inventory) if filters.fits(item.labels) and filters.old(item.created)
            ]
            gone = {item.id for item in found}
            items += map(stock.container, found)
        items += stock.images(self._images(inventory, gone))
        if "cache" in self.kinds:
            items += [
                stock.record(record)
                for record in inventory.cache
                if not record.in_use and filters.old(seconds(record.used) or seconds(record.created))
            ]
        if "networks" in self.kinds:
            items += [
                stock.network(network)
                for network in inventory.networks
                if network.name not in OWN_NETWORKS
                and filters.fits(network.labels)
                and filters.old(seconds(network.created))
                and not stock.networks.get(network.name, frozenset()) - gone
            ]
        if "volumes" in self.kinds:
            items += [
                stock.volume(volume)
                for volume in inventory.volumes
                if filters.fits(volume.labels) and not stock.volumes.get(volume.name, frozenset()) - gone
            ]
        return items

    def _images(self, inventory: Inventory, gone: set[str]) -> list[Image]:
        found: list[Image] = []
        if "images" in self.kinds:
            used = {item.image for item in inventory.containers if item.id not in gone}
            named = [image for image in inventory.images if image.references or image.digests]
            found = [image for image in named if image.id not in used] + dangling(inventory)
        elif "dangling" in self.kinds:
            found = dangling(inventory)
            if pulled := by_digest(inventory):
                what = "1 image has a name" if len(pulled) == 1 else f"{len(pulled)} images have names"
                note = f"{what} by digest only: dangling for the engine, and it would prune them; "
                self._keeps = (note + "here they count as unused images.",)
        found = [image for image in found if self.filters.fits(image_labels(image))]
        if self.filters.until is None:
            return found
        # a creation date is what the builder says; whoever tagged or pulled it later still wants it
        ages = [(image, last_tagged(self.engine, image) or seconds(image.created)) for image in found]
        if undated := sum(moment is None for _, moment in ages):
            what = "1 image has" if undated == 1 else f"{undated} images have"
            self._keeps += (f"{what} no date to believe; without a time limit they would go.",)
        return [image for image, moment in ages if self.filters.old(moment)]

    def _by_kind(self, outlook: Outlook) -> dict[Kind, _Going]:
        kinds: Mapping[ItemKind, Kind] = {
            "container": "containers",
            "image": "images" if "images" in self.kinds else "dangling",
            "cache": "cache",
            "network": "networks",
            "volume": "volumes",
        }
        return {
            kinds[kind]: _Going(
                tuple(item for item in outlook.going if item.kind == kind), outlook.frees.get(kind, 0)
            )
            for kind in ORDER
            if kinds[kind] in self.kinds
        }


@dataclass(frozen=True, slots=True)
class _Going:
    items: tuple[Item, ...]
    bytes: int


def _listed(words: Sequence[str]) -> list[str]:
    """`a, b` and `c`, to be joined by and."""
    return [", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words)
