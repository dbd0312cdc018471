"""One image, from its layers to their files: the panes below the list of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message

from imgscope.images.base import base_of, shared_layers
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Problem
from imgscope.layers.overlay import ROOT
from imgscope.layers.search import Pattern
from imgscope.layers.view import Lens, Views
from imgscope.text import clean, count_text, percent_text, size_text
from imgscope.ui import loader, messages
from imgscope.ui.widgets.files import FileTree
from imgscope.ui.widgets.layers import LayerTable
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.shares import ShareBar
from imgscope.ui.widgets.splitter import Splitter
from imgscope.ui.widgets.tabs import FILES, PANES, WASTE, TabPane
from imgscope.ui.widgets.wasted import WastedPaths

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.ancestry import Forest
    from imgscope.sources.base import Source


class Place(NamedTuple):
    """A path in a layer of an image, or in the merge up to it; without a path the layer itself."""

    image: Image
    layer: int
    path: bytes = b""
    merged: bool = False


class Explorer(Vertical):
    """The panes of one image. What they show comes from the screen; the trees of its layers are made here."""

    @dataclass
    class Matched(Message):
        """What the filter means and what it found; empty where there is none."""

        text: str

    @dataclass
    class Moved(Message):
        """One is somewhere else: another tab, image, layer or path is shown."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Explorer.Moved)

    @dataclass
    class Resized(Message):
        """There is more room, or less."""

    def __init__(self) -> None:
        super().__init__(id="explorer", classes=f"-{FILES}")
        self.layer_table, self.file_tree, self.wasted_paths = LayerTable(), FileTree(), WastedPaths()
        self.share_bar = ShareBar()
        self.source: Source | None = None
        self.image: Image | None = None  # the one that is shown, read or not
        self.analysis: Analysis | None = None
        self.tab = FILES
        self._pages: dict[str, TabPane] = {}  # the tabs that were shown and are one pane
        self._note = ""  # why there is no image
        self._forest: Forest | None = None
        self._listed: Image | None = None  # the image as it was in the list last
        self.merged = False
        self._views: Views | None = None
        self._viewing = Job()
        self._goal: Place | None = None  # where to go once its image was read
        self._reveal: bytes | None = None  # a path to show as soon as its layer's tree is there

    def compose(self) -> ComposeResult:
        yield self.share_bar
        with Horizontal(id="middle"):
            yield self.layer_table
            yield Splitter()
            yield self.file_tree
        yield self.wasted_paths

    @property
    def panes(self) -> tuple[Lines, ...]:
        """All that can have the focus now, in the order of tab."""
        if (page := self._pages.get(self.tab)) is not None:
            return (page,)
        own = (
            (self.wasted_paths,)
            if self.tab == WASTE
            else (self.layer_table, self.file_tree, self.wasted_paths)
        )
        return tuple(pane for pane in own if pane.display)

    # -- tabs -----------------------------------------------------------------------------------------

    async def show_tab(self, tab: str) -> None:
        """Show a tab, making its pane where there is none yet."""
        self.remove_class(f"-{self.tab}")
        self.add_class(f"-{tab}")
        self.tab = tab
        for name, pane in self._pages.items():
            pane.display = name == tab
        if tab in PANES and tab not in self._pages:
            page = self._pages[tab] = PANES[tab]()
            await self.mount(page)
        self.reload()
        self.post_message(self.Moved())

    def reload(self) -> None:
        """Have the tab look at its image anew, where it is one that reads by itself."""
        if (page := self._pages.get(self.tab)) is None:
            return
        if self.source is None or self.image is None:
            page.clear(self._note)
        else:
            page.load(self.source, self.image, self.analysis)

    # -- one image ----------------------------------------------------------------------------------

    def listed(self, forest: Forest) -> None:
        """All images, as far as they are known by now; an engine tells names first and layers later."""
        self._forest = forest
        image = node.image if self.image and (node := forest.nodes.get(self.image.id)) else None
        if self.image is None or image is None:
            return
        base = self.layer_table.base
        self._stand(image)
        if image == self._listed and base == self.layer_table.base:
            return
        self._listed = image
        if self.analysis is None:
            known, self.image = self.image, image
            if (known.layers, known.history) != (image.layers, image.history):
                self.layer_table.show(image)
        self.reload()
        self.post_message(self.Moved())

    def _stand(self, image: Image) -> None:
        """Tell what an image stands on, and what of it others have, as far as the forest tells."""
        forest = self._forest
        self.layer_table.set_base(base_of(image, forest) if forest else None)
        images = [node.image for node in forest.nodes.values() if node.image] if forest else []
        named_only = any(item.size and not item.layers for item in images)  # what they share is not known
        waste = self.analysis.waste if self.analysis and not named_only else None
        self.share_bar.show(waste, shared_layers(image, images) if waste else 0)

    def clear(self, layers: str, files: str) -> None:
        """No image, and why."""
        self.image = self.analysis = self._listed = None
        self._note = files
        self.share_bar.show(None)
        self.layer_table.clear(layers)
        self.file_tree.clear(files)
        self.wasted_paths.clear("")
        self.reload()
        self.post_message(self.Moved())

    def announce(self, image: Image) -> None:
        """The layers as listed; their files are not read yet."""
        self.image, self.analysis, self._listed = image, None, image
        self.layer_table.show(image)
        self._stand(image)
        size = f" ({size_text(image.size)})" if image.size else ""
        self.file_tree.clear(f"enter reads the layers of {clean(image.name)[:200]}{size}")
        self.wasted_paths.clear("known once the layers are read")
        self.reload()
        self.post_message(self.Moved())

    def failed(self, text: str) -> None:
        """The image cannot be read."""
        self.file_tree.clear(clean(text))
        self.wasted_paths.clear("")

    def show(self, analysis: Analysis, views: Views, *, keep_filter: bool) -> None:
        """An image that was read."""
        image, waste, problems = analysis.image, analysis.waste, analysis.problems
        if self.analysis is None or self.analysis.image.id != image.id:
            if not keep_filter:
                self.file_tree.pattern = None
            self._reveal = None
        self.image, self.analysis, self._views = image, analysis, views
        self.layer_table.show_waste(image, waste)
        self._stand(image)
        title = ["wasted", size_text(waste.dead), f"efficiency {percent_text(waste.efficiency)}"]
        if problems:
            title += [count_text(len(problems), "problem"), "totals are partial"]
        self.wasted_paths.show(waste.paths, problems, "nothing: every stored byte is in use", *title)
        self._show_view()
        self.reload()
        self.post_message(self.Moved())
        if (goal := self._goal) is not None:
            self._goal = None
            if goal.image.id == image.id:
                self.call_next(self.go, goal)

    # -- one layer ----------------------------------------------------------------------------------

    @on(Lines.Highlighted, "#layers")
    def _layer_highlighted(self) -> None:
        view = self.file_tree.view
        if view is None or view.layer != self.layer_table.number or view.merged != self.merged:
            self._show_view()
        self.post_message(self.Moved())

    @on(Lines.Highlighted, "#files")
    def _file_highlighted(self) -> None:
        self.post_message(self.Moved())

    @property
    def _above(self) -> int:
        """How many layers the merged tree leaves out: the base's, where one does not look at the base."""
        hidden, number = self.layer_table.hidden, self.layer_table.number
        return hidden if number is not None and number > hidden else 0

    def _show_view(self) -> None:
        analysis, layer = self.analysis, self.layer_table.number
        if analysis is None:
            return
        self._viewing.cancel()
        if layer is None:
            self.file_tree.clear("this image has no files")
            return
        job = self._viewing = Job()
        views, merged, lens = self._views, self.merged, replace(self.file_tree.lens, above=self._above)
        assert views is not None
        self.run_worker(
            loader.in_thread(lambda: loader.make_view(views, layer, merged, lens, self.post_message, job))
        )

    @on(messages.ViewReady)
    def _view_ready(self, message: messages.ViewReady) -> None:
        view = message.view
        if message.job is not self._viewing or message.job.cancelled or self.analysis is None:
            return
        if view.merged:
            first = self._above + 1
            stack = f"layer {first}" if view.layer == first else f"layers {first}–{view.layer}"
            title = [f"{stack} merged", size_text(view.size(ROOT))] if first == 1 else [f"{stack} merged"]
            note = "no file is there yet" if first == 1 else "no file that the base does not have"
        else:
            title = [f"layer {view.layer}, changes", size_text(view.size(ROOT))]
            if gone := view.gone(ROOT):
                title.append(f"removes {size_text(gone)}")
            note = "this layer changes no file"
        title += self.file_tree.words(view.merged)
        if len(view.tree) > 1:
            note = "all that there is has a state that is hidden; A M R U show them again"
        if (pattern := self.file_tree.pattern) is not None:
            count = message.tree.marks.count(1)
            found = f"{count:,} match{'' if count == 1 else 'es'}"
            title.append(f"/{clean(pattern.text)}: {found}")
            note = message.tree.error or f"nothing is found by this {pattern}"
            self.post_message(self.Matched(message.tree.error or f"{pattern}: {found}"))
        else:
            self.post_message(self.Matched(""))
        broken = next((problem for problem in self.analysis.problems if problem.layer == view.layer), None)
        note = clean(broken.message) if broken else note
        self.file_tree.show(view, message.tree, note, "files", *title)
        if self._reveal is not None:
            path, self._reveal = self._reveal, None
            self.file_tree.reveal(view.overlay.find(path))
        self.post_message(self.Moved())

    @on(Lines.Selected, "#layers")
    def _layer_selected(self) -> None:
        if self.analysis is not None:
            self.file_tree.enter()

    @on(Lines.Selected, "#wasted")
    async def _wasted_selected(self, message: Lines.Selected) -> None:
        """Go to the copy that lies dead, or to the layer that is damaged."""
        item = self.wasted_paths.item(message.row)
        if isinstance(item, Problem):
            if item.layer is not None and self.analysis is not None:
                await self.go(Place(self.analysis.image, item.layer))
            return
        if self.analysis is not None:
            await self.go(Place(self.analysis.image, item.stored_in[0], item.path))

    @on(TabPane.LayerWanted)
    async def _layer_wanted(self, message: TabPane.LayerWanted) -> None:
        if self.analysis is not None:
            await self.go(Place(self.analysis.image, message.layer))
        else:  # its files are not read, its layers are listed
            await self.show_tab(FILES)
            self.layer_table.go(message.layer)
            self.layer_table.enter()

    async def go(self, place: Place) -> None:
        """Show a place; where its image is being read, as soon as that is done."""
        if self.analysis is None or self.analysis.image.id != place.image.id:
            self._goal = place
            return
        self._goal = None
        await self.show_tab(FILES)
        if place.layer < self.layer_table.hidden or (place.merged and self.layer_table.hidden):
            self.layer_table.set_base(self.layer_table.base, only_mine=False)
        self.layer_table.go(place.layer)
        if not place.path:
            self.layer_table.enter()
            return
        self.merged = place.merged
        self.file_tree.lens = Lens(self.file_tree.sort)  # what one goes to must not be hidden
        self._reveal = place.path
        self.file_tree.enter()
        self._show_view()

    # -- what of it is shown --------------------------------------------------------------------------

    @on(FileTree.Rearranged)
    def _rearranged(self) -> None:
        self._show_view()

    def toggle_view(self) -> None:
        """A layer's own changes, or all files up to it."""
        self.merged = not self.merged
        self._show_view()

    def toggle_mine(self) -> str:
        """Leave out what the base holds, or show it again; says why where that cannot be."""
        table = self.layer_table
        if not table.only_mine and (table.base is None or table.base.by_label):
            return "No image here is known to be the base of this one."
        table.set_base(table.base, only_mine=not table.only_mine)
        self._show_view()
        return ""

    def filter(self, pattern: Pattern | None) -> None:
        """No more of the files than a pattern finds; the files stay as they are while it is wrong."""
        if pattern and pattern.error:
            self.post_message(self.Matched(pattern.error))
            return
        if (pattern and pattern.text) != (self.file_tree.pattern and self.file_tree.pattern.text):
            self.file_tree.pattern = pattern
            if self.analysis is None:
                self.post_message(self.Matched("no image is read yet whose files could be found"))
            self._show_view()

    def clear_filter(self) -> None:
        """All files again, with the cursor on what was found."""
        view, node = self.file_tree.view, self.file_tree.node
        if view is not None and node is not None:
            self._reveal = view.overlay.path(node)
        self.file_tree.pattern = None
        self._show_view()

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def on_unmount(self) -> None:
        self._viewing.cancel()
