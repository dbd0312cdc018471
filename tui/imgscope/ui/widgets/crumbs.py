"""The line that says where one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from imgscope.ui.widgets.lines import fit, fit_end

_GAP = " › "


class Crumbs(Widget):
    """source › image › layer 2 › /path/of/the/cursor, as `parts` gives it each time that it is drawn."""

    DEFAULT_CSS = """
    Crumbs { height: 1; background: $background; color: $text-muted; }
    """

    def __init__(self, parts: Callable[[], Sequence[str]]) -> None:
        super().__init__()
        self._parts = parts

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        text = fit(" " + crumbs(self._parts(), width - 2), width)
        return Strip([Segment(text, self.rich_style)])


def crumbs(parts: Sequence[str], width: int) -> str:
    """Where one is, in at most `width` cells.

    The end of the last part matters most. Where it does not fit, the source goes first, then the image
    loses the beginning of its name, then the path its own.
    """
    whole = _GAP.join(parts)
    if cell_len(whole) <= width or not parts:
        return whole
    *way, last = parts
    if len(way) > 1:
        del way[0]
    room = width - cell_len(last)
    spare = cell_len(_GAP.join(way)) - max(room - len(_GAP), width // 2)
    if way and spare > 0:
        way[0] = fit_end(way[0], max(cell_len(way[0]) - spare, 6)).rstrip()
    start = "".join(part + _GAP for part in way)
    text = start + fit_end(last, max(min(width - cell_len(start), cell_len(last)), 0))
    return text if cell_len(text) <= width else fit_end(text, width)
