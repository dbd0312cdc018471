"""When the layers of an image were made: which after which, how long after, and which are its base's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from imgscope.images.ancestry import Forest
from imgscope.images.base import base_of
from imgscope.images.model import Image, Layer
from imgscope.text import date_of


@dataclass(frozen=True, slots=True)
class Moment:
    """One layer. `created` is in UTC, None where no date is known (see `date_of`).

    `since` is the time from the nearest layer below that has a date, below 0 where that is the younger one;
    `place` is where the date is between the first (0) and the last (1) of all.
    """

    layer: Layer
    created: datetime | None = None
    since: timedelta | None = None
    place: float | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The layers up to `last` and above those of the origin before are of the image `name` (untrusted text).

    `older` is the time from its last date to the first of the origin that follows, if both are known.
    """

    name: str
    last: int
    older: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The layers from the bottom up, and whose they are: the bases from the bottom up, then the image.

    Without a known base there are no origins, and `base` is a base's name that only a label tells, or "".
    """

    moments: tuple[Moment, ...]
    origins: tuple[Origin, ...] = ()
    base: str = ""

    @property
    def undated(self) -> int:
        """How many layers have no date."""
        return sum(moment.created is None for moment in self.moments)

    @property
    def ends(self) -> tuple[datetime, datetime] | None:
        """The first and the last date."""
        dates = [moment.created for moment in self.moments if moment.created]
        return (min(dates), max(dates)) if dates else None


def timeline(image: Image, forest: Forest | None = None) -> Timeline:
    """The timeline of an image, its bases among those of the forest."""
    dates = [date_of(layer.history.created if layer.history else None) for layer in image.layers]
    known = [date for date in dates if date]
    first = min(known, default=None)
    span = max(known) - first if first else timedelta()
    moments, before = [], None
    for layer, date in zip(image.layers, dates, strict=True):
        if date is None or first is None:
            moments.append(Moment(layer))
            continue
        place = (date - first) / span if span else 0.0
        moments.append(Moment(layer, date, date - before if before else None, place))
        before = date
    if forest is None:
        return Timeline(tuple(moments))
    bases, label = _bases(image, forest)
    origins = [Origin(image.name, len(image.layers))] if bases else []
    for name, last in bases:
        start = origins[0]
        below = [date for date in dates[:last] if date]
        above = [date for date in dates[last : start.last] if date]
        older = above[0] - below[-1] if above and below else None
        origins.insert(0, Origin(name, last, older))
    return Timeline(tuple(moments), tuple(origins), label)


def _bases(image: Image, forest: Forest) -> tuple[list[tuple[str, int]], str]:
    """The image's base, that one's base and so on, with their numbers of layers; what only a label tells."""
    by_layers = {node.diff_ids: node.image for node in forest.nodes.values() if node.image}
    found: list[tuple[str, int]] = []
    label = ""
    at: Image | None = image
    while at is not None and (base := base_of(at, forest)) is not None:
        if base.by_label:
            label = "" if found else base.name
            break
        found.append((base.name, base.layers))
        at = by_layers.get(image.diff_ids[: base.layers])
    return found, label
