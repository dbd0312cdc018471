"""The paths whose bytes are dead, the largest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgscope.findings.waste import WastedPath
from imgscope.report import cause_text
from imgscope.text import path_text, size_text
from imgscope.ui.widgets.lines import Lines, Piece, fit

_SIZE = 8


class WastedPaths(Lines):
    """One row per path: dead bytes, path, which layers stored it and which one made it dead."""

    def __init__(self) -> None:
        super().__init__("wasted", "wasted")
        self.paths: Sequence[WastedPath] = ()

    @property
    def row_count(self) -> int:
        return len(self.paths)

    def show(self, paths: Sequence[WastedPath], title: str, note: str) -> None:
        self.paths = paths
        self.note = note
        self.set_title(title)
        self.changed(0)

    def head(self, width: int) -> str:
        space, cause = self._columns(width)
        return fit("dead", _SIZE, right=True) + "  " + fit("path", space) + "  " + fit("cause", cause)

    @staticmethod
    def _columns(width: int) -> tuple[int, int]:
        cause = min(30, max(width // 3, 10))
        return max(width - _SIZE - 5 - cause, 8), cause

    def row(self, number: int, width: int) -> Iterable[Piece]:
        wasted = self.paths[number]
        space, cause = self._columns(width)
        path = path_text(wasted.path)
        if len(path) > space:  # the end of a path tells more than its beginning
            path = "…" + path[len(path) - space + 1 :]
        yield fit(size_text(wasted.dead), _SIZE, right=True) + "  ", "dead"
        yield fit(path, space) + "  ", ""
        yield fit(cause_text(wasted), cause), "dim"
