"""Lines that are wider than the screen, and moved sideways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive

from imgscope.text import clean
from imgscope.ui.widgets.lines import TOP, Lines, Piece
from imgscope.viewing.rows import TAB, width

_STEP = 8  # cells to the side at once
_MOVES = [
    item for item in Lines.BINDINGS if isinstance(item, Binding) and (item.id or "").startswith("move.")
]


class Sideways(Lines, inherit_bindings=False):
    """Rows that begin `left` cells before what is seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *_MOVES,
        Binding("left,h", "side(-1)", "Left", show=False, id="move.left", tooltip="To what is left of it"),
        Binding("right,l", "side(1)", "Right", show=False, id="move.right", tooltip="To what is right of it"),
    ]

    left: reactive[int] = reactive(0)

    @property
    def widest(self) -> int:
        """Cells of the widest row there may be."""
        return 1000

    def grown(self) -> None:
        """There are more rows now: what is seen stays where it is."""
        self.virtual_size = Size(self.size.width, self.row_count + TOP)
        self.refresh()

    def action_side(self, step: int) -> None:
        self.left = min(max(self.left + step * _STEP, 0), self.widest)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        self.action_side(-1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        self.action_side(1)


def shown(text: str, cell: int) -> str:
    """A piece of a text that begins at a cell, as it is shown: tabs to their stops, the rest by `clean`."""
    if "\t" not in text:
        return clean(text)
    found = ""
    parts = text.split("\t")
    for part in parts[:-1]:
        cell += width(part)
        stop = TAB - cell % TAB
        found += clean(part) + "→" + " " * (stop - 1)
        cell += stop
    return found + clean(parts[-1])


def moved(pieces: Iterable[Piece], left: int) -> Iterator[Piece]:
    """Pieces without their first `left` cells."""
    for text, style in pieces:
        if left <= 0:
            yield text, style
            continue
        cells = cell_len(text)
        if cells <= left:
            left -= cells
            continue
        yield text[left:] if text.isascii() else _without(text, left), style
        left = 0


def cut(pieces: Iterable[Piece], room: int) -> Iterator[Piece]:
    """Pieces in at most `room` cells; where that is not all, a sign at the end says so."""
    taken = list(pieces)
    if sum(cell_len(text) for text, _ in taken) <= room:
        yield from taken
        return
    room -= 1
    for text, style in taken:
        yield set_cell_size(text, min(cell_len(text), room)), style
        room -= cell_len(text)
        if room <= 0:
            break
    yield "›", "dim"


def _without(text: str, left: int) -> str:
    """A text without its first cells; half of a wide character is a blank."""
    for place, character in enumerate(text):
        if left <= 0:
            return " " * -left + text[place:]
        left -= cell_len(character)
    return ""
