"""What is drawn in ASCII only: one filter behind all widgets."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from imgscope.plain import sign


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """A text of as many cells in ASCII: signs by their likeness, letters of names as ?"""
    if text.isascii():
        return text
    shown = "".join(sign(character) or "?" * cell_len(character) for character in text)
    return set_cell_size(shown, cell_len(text))


class Ascii(LineFilter):
    """Every line, once it is drawn."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(plain(segment.text), segment.style)
            for segment in segments
        ]
