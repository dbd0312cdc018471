"""The keys that look deeper: each takes what is under the cursor to a screen of its own.

Nothing here changes an image or an engine; what does is in `acting`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on, work
from textual.binding import Binding, BindingType

from imgscope.layers.index import Kind
from imgscope.layers.overlay import IMPLIED, State
from imgscope.sources.base import Source
from imgscope.text import name_text
from imgscope.ui.screens.acting import ActingScreen
from imgscope.ui.widgets.explorer import Explorer, Place
from imgscope.ui.widgets.images import ImageTree
from imgscope.ui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.layers.view import LayerView


_LONG = 4096  # bytes from which on a path is none for Linux (PATH_MAX), and nothing to type in


class Picked(NamedTuple):
    """What is under the cursor of the file tree: a node of a view, of an image that was read."""

    source: Source
    analysis: Analysis
    view: LayerView
    node: int


class ExploringScreen(ActingScreen):
    """A screen on which an image can be looked into."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "find",
            "find",
            show=False,
            id="find",
            tooltip="Find where a path comes from, and who has it",
        ),
        Binding(
            "e",
            "extract",
            "extract",
            show=False,
            id="files.extract",
            tooltip="Save a file or folder of the image to a folder of yours: docker cp",
        ),
        Binding(
            "D",
            "diff",
            "diff",
            show=False,
            id="files.diff",
            tooltip="What the layer changed, against the version below",
        ),
        Binding(
            "equals_sign",
            "compare",
            "compare",
            show=False,
            id="images.compare",
            tooltip="Compare the two marked images",
        ),
        Binding("m", "map", "map", show=False, id="map", tooltip="What takes the bytes, as a map"),
        Binding("T", "timeline", "timeline", show=False, id="timeline", tooltip="The layers by age"),
    ]

    # -- what the screen gives ------------------------------------------------------------------------

    def analyses(self) -> Mapping[str, Analysis]:
        """Those images that were read, by id."""
        raise NotImplementedError

    def go_to(self, place: Place) -> None:
        """Show a place, reading its image first where it was not read."""
        raise NotImplementedError

    def listed(self) -> Sequence[Image]:
        """All images of the list, in the order of their tree; with layers where any list or reading told."""
        forest, known = self.query_one(ImageTree).forest, self.analyses()
        images = [node.image for node, _ in forest.walk() if node.image is not None] if forest else []
        return [
            replace(image, layers=known[image.id].image.layers, history=known[image.id].image.history)
            if not image.layers and image.id in known  # a list that begins anew has names only
            else image
            for image in images
        ]

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

    @on(Lines.Selected, "#files")
    def _file_selected(self) -> None:
        """Open a file, and follow a symlink. Directories fold by themselves."""
        if (picked := self.picked()) is None:
            return
        from imgscope.ui.screens.viewer import Subject, ViewerScreen
        from imgscope.viewing.versions import no_content, target

        overlay, view, node = picked.analysis.overlay, picked.view, picked.node
        version = view.version(node)
        if version < 0 or overlay.kind(version) == Kind.DIRECTORY:
            return
        if overlay.kind(version) != Kind.SYMLINK:
            self.app.push_screen(ViewerScreen(Subject(picked.source, picked.analysis, node), version))
        elif (found := target(overlay, version, view.layer)) >= 0:
            self.go_to(Place(picked.analysis.image, view.layer, overlay.path(found), merged=True))
        else:
            where = f"layer {view.layer}" if view.layer == 1 else f"layers 1 to {view.layer}"
            self._say(f"This is {no_content(overlay, version)}, which is not there in {where}.")

    def action_diff(self) -> None:
        """What the layer did to a file, or a lower one whose work it shows."""
        if (picked := self.picked()) is None:
            return
        from imgscope.ui.screens.diff import DiffScreen
        from imgscope.viewing.versions import newest

        overlay, view, node = picked.analysis.overlay, picked.view, picked.node
        if view.state(node) == State.REMOVED:
            version = newest(overlay, node, view.layer)
        else:
            version = view.version(node)
        if version < 0 or overlay.entry[version] == IMPLIED:
            self._say("No layer stores this directory; it is there for what is in it.")
        else:
            self.app.push_screen(DiffScreen.against_below(picked.source, picked.analysis, version))

    @work(group="act")
    async def action_find(self) -> None:
        if self.source is None:
            return
        from imgscope.analysis import known_indexes
        from imgscope.ui.screens.find import FindScreen

        tree = self.explorer.file_tree
        text = ""
        if tree.has_focus and tree.view is not None and tree.node is not None:
            path = tree.view.overlay.path(tree.node)
            text = "/" + name_text(path) if len(path) < _LONG else ""
        indexes = known_indexes(self.source, dict(self.analyses()))
        place = await self.app.push_screen_wait(
            FindScreen(self.explorer.analysis, self.listed(), indexes, text)
        )
        if place is not None:
            self.go_to(place)

    def action_timeline(self) -> None:
        from imgscope.images.timeline import timeline
        from imgscope.ui.screens.timeline import TimelineScreen

        explorer = self.explorer
        table = explorer.layer_table
        if (image := table.image) is None or not image.layers:
            self._say("There are no layers to show by age; open an image first.")
            return
        sizes = {layer.index: layer.size for layer in image.layers if layer.size is not None}
        if (analysis := explorer.analysis) is not None:
            sizes = {number: layer.size for number, layer in enumerate(analysis.waste.layers, 1)}
        found = timeline(image, self.query_one(ImageTree).forest)
        self.app.push_screen(TimelineScreen(image, table.number or 0, found, sizes), self._go)

    def action_map(self) -> None:
        from imgscope.ui.screens.treemap import MapScreen

        explorer = self.explorer
        layer = explorer.layer_table.number or 0
        self.app.push_screen(MapScreen(explorer.analysis, layer, self.listed()), self._go)

    def _go(self, place: Place | None) -> None:
        """Go where a screen led to, if anywhere."""
        if place is not None:
            self.go_to(place)

    def action_compare(self) -> None:
        tree = self.query_one(ImageTree)
        images, here = tree.chosen, tree.node.image if tree.node else None
        if len(images) == 1 and here is not None and here.id != images[0].id:
            images.append(here)  # one is marked, the other under the cursor
        if self.source is None or len(images) != 2:
            count = f"{len(images)} images are marked. " if len(images) > 2 else ""
            self._say(f"{count}Mark two images with space, or one and go to another; then = compares them.")
            return
        from imgscope.ui.screens.compare import CompareScreen

        self.app.push_screen(CompareScreen(self.source, images, self.analyses()))

    @work(group="act")
    async def action_extract(self) -> None:
        picked = self.picked()
        if picked is None:
            return
        from imgscope.ui.screens.extracting import ExtractForm, ask

        source, analysis, view, node = picked
        await ask(self.app, ExtractForm(source, analysis, node, view.layer, merged=view.merged))
