"""The paths whose bytes are dead, the largest first; above them what is damaged in the image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType

from imgscope.layers.index import Problem
from imgscope.report import cause_text
from imgscope.text import bar, clean, path_text, size_text
from imgscope.ui.widgets.lines import BACK, FIND, MAP, NEXT, ZOOM, Lines, Piece, fit, fit_end
from imgscope.ui.widgets.splitter import Border

if TYPE_CHECKING:
    from imgscope.findings.waste import WastedPath

_SIZE = 8
_SEEN = 1000  # paths kept for the next paint
_LONG = 1000  # bytes of a path, or characters of a message, that are looked at: more than a screen is wide


class WastedPaths(Lines, Border):
    """One row per path: dead bytes, path, which layers stored it and which one made it dead.

    Its title is the border to what is above.
    """

    BINDINGS: ClassVar[list[BindingType]] = [NEXT, FIND, MAP, ZOOM, BACK]
    border_name = "wasted"

    def __init__(self) -> None:
        super().__init__("wasted")
        self.paths: Sequence[WastedPath] = ()
        self.problems: Sequence[Problem] = ()
        self._items: dict[int, WastedPath] = {}  # those seen last
        self._most = 0  # dead bytes of the first path, which has the most

    def grips(self, event: events.MouseEvent) -> bool:
        return event.y == 0

    @property
    def row_count(self) -> int:
        return len(self.problems) + len(self.paths)

    def clear(self, note: str) -> None:
        """Nothing to show, and why."""
        self.show((), (), note, "wasted")

    def show(self, paths: Sequence[WastedPath], problems: Sequence[Problem], note: str, *title: str) -> None:
        self.paths, self.problems, self.note = paths, problems, note
        self._items.clear()
        self._most = paths[0].dead if paths else 0
        self.set_title(*title)
        self.changed(0)

    def item(self, row: int) -> WastedPath | Problem:
        """What a row shows."""
        if row < len(self.problems):
            return self.problems[row]
        item = self._items.get(row)
        if item is None:  # put together anew each time that it is asked for
            if len(self._items) >= _SEEN:
                self._items.clear()
            item = self._items[row] = self.paths[row - len(self.problems)]
        return item

    def copies(self) -> Sequence[tuple[str, str]]:
        item = self.item(self.cursor)
        if isinstance(item, Problem):
            return (("problem", item.message),)
        return (("path", "/" + os.fsdecode(item.path)),)

    def head(self, width: int) -> str:
        if not self.paths:
            return ""
        space, cause, bar_width = self._columns(width)
        return (
            " " * bar_width
            + fit("dead", _SIZE, right=True)
            + f"  {fit('path', space)}  {fit('cause', cause)}"
        )

    @staticmethod
    def _columns(width: int) -> tuple[int, int, int]:
        """Cells of path, cause and bar."""
        cause = min(40, max(width * 2 // 5, 10))
        bar_width = 9 if width >= 90 else 6 if width >= 70 else 0
        return max(width - bar_width - _SIZE - 4 - cause, 8), cause, bar_width

    def row(self, number: int, width: int) -> Iterable[Piece]:
        item = self.item(number)
        if isinstance(item, Problem):
            where = f"layer {item.layer}: " if item.layer else ""
            yield fit("!", _SIZE, right=True) + "  ", "changed"
            yield fit(where + clean(item.message[:_LONG]), max(width - _SIZE - 2, 1)), "changed"
            return
        space, cause, bar_width = self._columns(width)
        if bar_width:
            yield f" {bar(item.dead, self._most, bar_width - 1)}", "dead"
        yield fit(size_text(item.dead), _SIZE, right=True) + "  ", "dead"
        yield fit_end(path_text(item.path[-_LONG:]), space) + "  ", ""
        yield fit(cause_text(item), cause), "dim"
