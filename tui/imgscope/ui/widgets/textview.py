"""A text in rows: line numbers, colours, what is looked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.message import Message

from imgscope.text import clean
from imgscope.ui.widgets.lines import Piece, fit, fit_end
from imgscope.ui.widgets.sideways import Sideways, cut, moved, shown
from imgscope.viewing.document import Search
from imgscope.viewing.highlight import STYLES, Spans
from imgscope.viewing.rows import Rows


class TextView(Sideways):
    """The rows that there are; where the last of them is near, more is asked for."""

    DEFAULT_CSS = """
    TextView {
        & > .lines--number { color: $text-dim; }
        & > .lines--syntax-comment { color: $text-dim; text-style: italic; }
        & > .lines--syntax-keyword { color: $primary; text-style: bold; }
        & > .lines--syntax-name { color: $accent; }
        & > .lines--syntax-string { color: $success; }
        & > .lines--syntax-number { color: $warning; }
        & > .lines--syntax-operator { color: $foreground 80%; }
        & > .lines--syntax-heading { text-style: bold; }
        & > .lines--syntax-added { color: $diff-added; }
        & > .lines--syntax-removed { color: $diff-removed; }
        & > .lines--syntax-wrong { color: $foreground; }
        & > .lines--found { background: $accent 40%; text-style: bold underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--number",
        "lines--found",
        *(f"lines--syntax-{name}" for name in STYLES if name),
    }

    @dataclass
    class More(Message):
        """Rows near the end of what was read are seen."""

    @dataclass
    class ToEnd(Message):
        """The end is wanted, and was not read yet."""

    def __init__(self) -> None:
        super().__init__("text")
        self.rows: Rows | None = None
        self.spans: Spans | None = None
        self.search: Search | None = None
        self.summary = ""
        self.end = ""  # why there is no more, where that is no file's end
        self.digits = 4  # of line numbers
        self.partial = False  # whether there is more to be read …
        self.waits = False  # … and it was not asked for

    @property
    def row_count(self) -> int:
        return (len(self.rows) if self.rows else 0) + bool(self.end)

    @property
    def widest(self) -> int:
        return self.rows.limit if self.rows else 0

    @property
    def room(self) -> int:
        """Cells for the text of a row."""
        return max(self.size.width - 2 - self.digits - 1, 16)

    @property
    def offset_here(self) -> int:
        """Where the row under the cursor starts in the text, in bytes."""
        return self.rows[min(self.cursor, len(self.rows) - 1)].start if self.rows else 0

    def action_jump(self, row: int) -> None:
        super().action_jump(row)
        if row < 0 and self.partial:
            self.post_message(self.ToEnd())

    def bring(self, byte: int) -> None:
        """Move sideways so that a byte of the row under the cursor is seen."""
        if self.rows is None or self.rows.limit <= self.room:
            return
        row = self.rows[self.cursor]
        before = self.rows.spool.read(row.start, min(byte, row.end - row.start))
        cell = cell_len(shown(before.decode("utf-8", "surrogateescape"), 0))
        if not self.left <= cell < self.left + self.room - 8:
            self.left = max(cell - self.room // 2, 0) if cell >= self.room - 8 else 0

    def head(self, width: int) -> str:
        return fit(self.summary, width)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        rows = self.rows
        assert rows is not None
        if self.waits and number >= len(rows) - 2 * self.page:
            self.waits = False
            self.post_message(self.More())
        if number >= len(rows):
            return [(fit(f"✗ {clean(self.end)}", width), "dead")]
        row = rows[number]
        label = fit_end(str(row.line), self.digits).strip() if row.first else "↪"
        left = 0 if rows.limit <= self.room else self.left
        return [
            (fit(label, self.digits, right=True) + " ", "number"),
            *cut(moved(self._pieces(row.start, row.end), left), width - self.digits - 1),
        ]

    def _pieces(self, start: int, end: int) -> Iterator[Piece]:
        assert self.rows is not None
        data = self.rows.spool.read(start, end - start)
        cell = 0
        for stop, style in self._stretches(start, end):
            text = shown(data[: stop - start].decode("utf-8", "surrogateescape"), cell)
            data, start = data[stop - start :], stop
            yield text, style
            cell += cell_len(text)

    def _stretches(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """(end, style) of what looks the same."""
        search, colours = self.search, self._colours(start, end)
        if search is None or not search.length:
            yield from colours
            return
        place = max(bisect_left(search.starts, start) - 1, 0)
        for stop, style in colours:
            while place < len(search.starts) and (found := search.starts[place]) < stop:
                over = min(found + search.length, stop)
                if over > start:
                    if found > start:
                        yield found, style
                    yield over, "found"
                    start = over
                if found + search.length > stop:
                    break
                place += 1
            if start < stop:
                yield stop, style
                start = stop

    def _colours(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        if self.spans is None:
            yield end, ""
        else:
            for stop, style in self.spans.within(start, end):
                yield stop, f"syntax-{style}" if style else ""
