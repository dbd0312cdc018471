"""The layers of an image by age: each on an axis of time, with its size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from imgscope.images.history import instruction, one_line
from imgscope.images.timeline import Moment, Origin, Timeline
from imgscope.text import bar, clean, size_text, span_text
from imgscope.ui.widgets.lines import Lines, Piece, fit

_SINCE, _SIZE = 12, 7
_DATES = 72  # cells from which on dates are shown …
_BARS = 96  # … and from which on the time of day, and bars
_LONG = 1000  # characters of a text that are kept: more than any screen is wide


class TimelineTable(Lines):
    """One row per layer, the lowest first: date, time since the one before, place in time, size, instruction.

    Where bases are known, a row above their layers names them.
    """

    def __init__(self, found: Timeline, sizes: Mapping[int, int]) -> None:
        """`sizes` are bytes by the number of the layer, as far as they are known."""
        super().__init__("timeline")
        self.found = found
        self.sizes = sizes
        self.rows: list[Moment | Origin] = []
        start = 0
        for origin in found.origins:
            self.rows += [origin, *found.moments[start : origin.last]]
            start = origin.last
        self.rows += found.moments[start:]
        self.note = "this image has no layers"

    @property
    def row_count(self) -> int:
        return len(self.rows)

    @property
    def moment(self) -> Moment | None:
        """The layer under the cursor; on a base's name, the first of its layers."""
        below = self.rows[self.cursor :]
        return next((row for row in below if isinstance(row, Moment)), None)

    def go(self, layer: int) -> None:
        """Put the cursor on a layer."""
        for number, row in enumerate(self.rows):
            if isinstance(row, Moment) and row.layer.index == layer:
                self.cursor = number

    def copies(self) -> Sequence[tuple[str, str]]:
        row = self.rows[self.cursor]
        if isinstance(row, Origin):
            return (("image", row.name),)
        date = [("date", row.created.isoformat())] if row.created else []
        step = [("instruction", instruction(row.layer.history))] if row.layer.history else []
        return (("diff ID", row.layer.diff_id), *date, *step)

    @staticmethod
    def _columns(width: int) -> tuple[int, int, int]:
        """The cells of date, axis and bar."""
        if width < _DATES:
            return 0, 12, 0
        return (17, min(width // 4, 40), 8) if width >= _BARS else (11, 18, 0)

    def head(self, width: int) -> str:
        date, axis, bars = self._columns(width)
        text = "time"
        if (ends := self.found.ends) is not None:
            form = "%H:%M:%S" if ends[0].date() == ends[1].date() else "%Y-%m-%d"
            first, last = (end.strftime(form) for end in ends)
            text = f"{first}{last:>{axis - len(first)}}" if axis > 20 else first[: axis - 1]
        size = f"{'size':>{_SIZE + bars + bool(bars)}}"
        return f"{'#':>3} {fit('date', date)}{fit('since', _SINCE)}{fit(text, axis)} {size}  instruction"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        row = self.rows[number]
        if isinstance(row, Origin):
            yield f"{clean(row.name[:_LONG])}", "strong"
            if row.older is not None:
                after = self.found.origins[self.found.origins.index(row) + 1]
                word = "younger" if row.older < timedelta() else "older"
                yield (
                    f"  {span_text(abs(row.older), months=False)} {word} than {clean(after.name[:_LONG])}",
                    "dim",
                )
            return
        date, axis, bars = self._columns(width)
        layer, size = row.layer, self.sizes.get(row.layer.index)
        yield f"{layer.index:>3} ", "dim"
        yield fit(f"{row.created:%Y-%m-%d %H:%M}"[: date - 1] if row.created else "no date", date), ""
        yield fit(since_text(row), _SINCE), "dim" if row.since is None else ""
        yield from _axis(row.place, axis)
        if bars:
            yield " " + bar(size or 0, max(self.sizes.values(), default=0), bars), "bar"
        yield " " + fit(size_text(size), _SIZE, right=True), ""
        step = clean(one_line(instruction(layer.history))[:_LONG]) if layer.history else ""
        yield "  " + step, "" if step else "dim"


def since_text(moment: Moment) -> str:
    """The time from the layer before: +2 days, −5 min; nothing for the first."""
    if moment.since is None:
        return "" if moment.created else "no date"
    return ("−" if moment.since < timedelta() else "+") + span_text(abs(moment.since), months=False)


def _axis(place: float | None, width: int) -> Iterable[Piece]:
    """A line of time with a mark on it."""
    if place is None:
        yield " " * width, "dim"
        return
    at = round(place * (width - 1))
    yield "·" * at, "dim"
    yield "●", "bar"
    yield "·" * (width - 1 - at), "dim"
