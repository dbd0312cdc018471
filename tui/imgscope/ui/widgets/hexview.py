"""Bytes as numbers and as ASCII, a row for 16 of them, or for 8 where there is little room."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.message import Message

from imgscope.text import clean
from imgscope.ui.widgets.lines import Piece, fit
from imgscope.ui.widgets.sideways import Sideways
from imgscope.viewing.content import Content
from imgscope.viewing.document import Search

_WIDE = 78  # cells from which on a row has 16 bytes


class HexView(Sideways):
    """All rows that the file is to have; what of them was not read yet is asked for when it is seen."""

    DEFAULT_CSS = """
    HexView {
        & > .lines--number { color: $text-dim; }
        & > .lines--zero { color: $text-dim; }
        & > .lines--found { background: $accent 40%; text-style: bold underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--number", "lines--zero", "lines--found"}

    @dataclass
    class More(Message):
        """Bytes up to `upto` are to be seen, and were not read yet."""

        upto: int

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, HexView.More)

    def __init__(self) -> None:
        super().__init__("hex")
        self.content: Content | None = None
        self.search: Search | None = None
        self.summary = ""
        self.asked = 0  # bytes that were asked for
        self._had = 16  # bytes in a row, when the cursor was put where it is

    @property
    def per_row(self) -> int:
        return 16 if self.screen.size.width >= _WIDE else 8  # also before it is shown

    @property
    def row_count(self) -> int:
        if self.content is None:
            return 0
        count = self.content.raw.size if self.content.ended else self.content.size
        return -(-count // self.per_row) + bool(count and self.content.problem)  # the note has it else

    def on_resize(self) -> None:
        """The cursor stays on its byte."""
        if self.per_row != self._had:
            self.cursor, self._had = self.cursor * self._had // self.per_row, self.per_row
        super().on_resize()

    def on_mount(self) -> None:
        self._had = self.per_row

    def head(self, width: int) -> str:
        return fit(self.summary, width)

    def action_side(self, step: int) -> None:
        """All of a row is seen."""

    @property
    def offset_here(self) -> int:
        """The first byte of the row under the cursor."""
        return self.cursor * self.per_row

    def row(self, number: int, width: int) -> Iterable[Piece]:
        content, per_row = self.content, self.per_row
        assert content is not None
        start = number * per_row
        raw, ended = content.raw, content.ended
        if ended and start >= raw.size:
            yield fit(f"✗ {clean(content.problem)}", width), "dead"
            return
        yield f"{start:0{max(len(f'{content.size:x}'), 6)}x}  ", "number"
        data = raw.read(start, per_row)
        wanted = min(start + (2 * self.page + 1) * per_row, content.size)
        if not ended and raw.size < wanted and self.asked < wanted:
            self.asked = wanted
            self.post_message(self.More(wanted))
        if not data:
            yield "… not read yet", "dim"
            return
        found = self._found(start, len(data))
        for place in range(per_row):
            gap = " " * (1 + (place % 8 == 7))
            if place >= len(data):
                yield "  " + gap, ""
            else:
                yield f"{data[place]:02x}", "found" if found[place] else "" if data[place] else "zero"
                yield gap, ""
        yield "│", "zero"
        for place, byte in enumerate(data):
            plain = 0x20 <= byte < 0x7F
            yield chr(byte) if plain else "·", "found" if found[place] else "" if plain else "zero"
        yield "│", "zero"

    def _found(self, start: int, length: int) -> bytearray:
        """For each byte of a row whether it is part of what is looked for."""
        marks = bytearray(length)
        if self.search is not None and (size := self.search.length):
            starts = self.search.starts
            for number in range(bisect_left(starts, start - size + 1), len(starts)):
                if (at := starts[number]) >= start + length:
                    break
                for place in range(max(at - start, 0), min(at + size - start, length)):
                    marks[place] = 1
        return marks
