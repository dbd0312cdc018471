"""The tabs of an image: what each is called, and what makes those that are one pane of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from imgscope.ui.widgets.lines import PANE_KEYS, Lines, Piece

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.sources.base import Source


class TabPane(Lines):
    """One tab's pane. It is made when its tab is first shown, and then kept."""

    BINDINGS: ClassVar[list[BindingType]] = [*PANE_KEYS[:1], *PANE_KEYS[2:]]  # nothing is merged here

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        """Show an image; called as the tab is shown, for every other image, and where it is looked at anew.

        Must return at once: what blocks runs in a thread with a `Job` of the pane's own, which the next
        call and `clear` cancel. `analysis` is None as long as the layers are not read.
        """
        raise NotImplementedError

    def clear(self, note: str) -> None:
        """No image, and why."""
        raise NotImplementedError


class _Coming(TabPane):
    row_count = 0

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        self.clear("nothing to see yet")

    def clear(self, note: str) -> None:
        self.note = note
        self.changed(0)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        return ()


FILES, WASTE = "files", "waste"  # these tabs are made of the explorer's own panes
PANES: dict[str, Callable[[], TabPane]] = {
    "config": partial(_Coming, "config"),
    "manifest": partial(_Coming, "manifest"),
    "dockerfile": partial(_Coming, "dockerfile"),
    "containers": partial(_Coming, "containers"),
}
TABS = (FILES, WASTE, *PANES)  # in the order of their keys, from 1
