"""The keys that look deeper: each takes what is under the cursor to a screen of its own.

Nothing here changes an image or an engine; what does is in `acting`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import work
from textual.binding import Binding, BindingType

from imgscope.sources.base import Source
from imgscope.text import name_text
from imgscope.ui.screens.acting import ActingScreen
from imgscope.ui.widgets.explorer import Explorer, Place
from imgscope.ui.widgets.images import ImageTree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.layers.view import LayerView


class Picked(NamedTuple):
    """What is under the cursor of the file tree: a node of a view, of an image that was read."""

    source: Source
    analysis: Analysis
    view: LayerView
    node: int


class ExploringScreen(ActingScreen):
    """A screen on which an image can be looked into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "find", "find", show=False, id="find", tooltip="Where a path comes from; who has it"),
        Binding(
            "e",
            "extract",
            "extract",
            show=False,
            id="files.extract",
            tooltip="Write a file or folder of the image into a folder of yours: docker cp",
        ),
        Binding("m", "map", "map", show=False, id="map", tooltip="What takes the bytes, as a map"),
    ]

    _extract_to = "."  # the folder that was extracted to last

    # -- what the screen gives ------------------------------------------------------------------------

    def analyses(self) -> Mapping[str, Analysis]:
        """Those images that were read, by id."""
        raise NotImplementedError

    def go_to(self, place: Place) -> None:
        """Show a place, reading its image first where it was not read."""
        raise NotImplementedError

    def listed(self) -> Sequence[Image]:
        """All images of the list, in the order of their tree."""
        forest = self.query_one(ImageTree).forest
        return [node.image for node, _ in forest.walk() if node.image is not None] if forest else []

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

    # -- keys -----------------------------------------------------------------------------------------

    @work(group="act")
    async def action_find(self) -> None:
        if self.source is None:
            return
        from imgscope.ui.finding import known_indexes
        from imgscope.ui.screens.find import FindScreen

        tree = self.explorer.file_tree
        text = ""
        if tree.has_focus and tree.view is not None and tree.node is not None:
            text = "/" + name_text(tree.view.overlay.path(tree.node))
        indexes = known_indexes(self.source, dict(self.analyses()))
        place = await self.app.push_screen_wait(
            FindScreen(self.explorer.analysis, self.listed(), indexes, text)
        )
        if place is not None:
            self.go_to(place)

    @work(group="act")
    async def action_map(self) -> None:
        from imgscope.ui.screens.treemap import MapScreen

        explorer = self.explorer
        place = await self.app.push_screen_wait(
            MapScreen(explorer.analysis, explorer.layer_table.number or 0, self.listed())
        )
        if place is not None:
            self.go_to(place)

    @work(group="act")
    async def action_extract(self) -> None:
        picked = self.picked()
        if picked is None:
            return
        from imgscope.ui.screens.extracting import ExtractForm, acting

        action = await self.app.push_screen_wait(ExtractForm(picked, self._extract_to))
        if action is not None:
            self._extract_to = action.to
            await self.app.push_screen_wait(acting(action))
