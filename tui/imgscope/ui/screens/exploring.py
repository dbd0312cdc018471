"""The keys that look deeper: each takes what is under the cursor to a screen of its own.

Nothing here changes an image or an engine; what does is in `acting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import BindingType

from imgscope.sources.base import Source
from imgscope.ui.screens.acting import ActingScreen
from imgscope.ui.widgets.explorer import Explorer

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.layers.view import LayerView


class Picked(NamedTuple):
    """What is under the cursor of the file tree: a node of a view, of an image that was read."""

    source: Source
    analysis: Analysis
    view: LayerView
    node: int


class ExploringScreen(ActingScreen):
    """A screen on which an image can be looked into."""

    BINDINGS: ClassVar[list[BindingType]] = []

    @property
    def explorer(self) -> Explorer:
        return self.query_one(Explorer)

    def picked(self) -> Picked | None:
        """What a key means that is about a file; None with a word on why there is none."""
        explorer = self.explorer
        view, node = explorer.file_tree.view, explorer.file_tree.node
        if self.source is None or explorer.analysis is None or view is None or node is None:
            self._say("There is no file under the cursor; open an image first.")
            return None
        return Picked(self.source, explorer.analysis, view, node)
