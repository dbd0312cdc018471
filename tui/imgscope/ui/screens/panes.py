"""The panes of the main screen: moving among them, what they show, how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Static

from imgscope.layers.search import Pattern
from imgscope.text import clean, path_text
from imgscope.ui.borders import Borders
from imgscope.ui.screens.exploring import ExploringScreen
from imgscope.ui.widgets.crumbs import Crumbs
from imgscope.ui.widgets.explorer import Explorer
from imgscope.ui.widgets.images import ImageTree
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.splitter import Border
from imgscope.ui.widgets.strip import TabStrip
from imgscope.ui.widgets.tabs import FILES, TABS

if TYPE_CHECKING:
    from imgscope.ui.widgets.filter import FilterLine

_SAVE = 1.0  # seconds without another move before the borders are remembered
_LONG = 1000  # bytes of a path, or characters of a name, that are looked at
_AT_ONCE = 0.2  # seconds that a regular expression may take for the images
_TABS = {
    "files": "Layers and their files",
    "waste": "What is wasted",
    "config": "How it runs: docker inspect",
    "manifest": "What it is made of: docker manifest inspect",
    "dockerfile": "How it was built: docker history",
    "containers": "What runs it: docker ps --all --filter ancestor=IMAGE",
}


class PanesScreen(ExploringScreen):
    """The list of images above, the tabs of one image below."""

    ALLOW_IN_MAXIMIZED_VIEW = "Footer, FilterLine, Crumbs"
    # what gives way as a screen gets lower: the bar of shares, the wasted paths (they have a tab), the crumbs
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (16, "-low"), (22, "-middle"), (30, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Next pane", show=False, id="pane.next", tooltip="To the next pane"),
        Binding(
            "shift+tab",
            "pane(-1)",
            "Previous pane",
            show=False,
            id="pane.previous",
            tooltip="To the pane before",
        ),
        Binding(
            "slash",
            "filter",
            "Filter files",
            show=False,
            id="files.filter",
            tooltip="Filter by name, glob, path or ~regex",
        ),
        Binding(
            "v",
            "toggle_view",
            "Changes/merged",
            show=False,
            id="view.toggle",
            tooltip="What the layer changes, or all files up to it",
        ),
        Binding("z", "zoom", "Zoom", show=False, id="pane.zoom", tooltip="The pane alone, or all panes"),
        *(
            Binding(
                str(number), f"tab('{tab}')", tab.title(), show=False, id=f"tab.{tab}", tooltip=_TABS[tab]
            )
            for number, tab in enumerate(TABS, 1)
        ),
        Binding(
            "B",
            "only_mine",
            "Only mine",
            show=False,
            id="layers.mine",
            tooltip="Hide the layers of the base image",
        ),
        *(
            Binding(key, f"border('{border}', {cells})", name, show=False, id=f"split.{way}", tooltip=tooltip)
            for key, border, cells, way, name, tooltip in (
                (
                    "less_than_sign",
                    "layers",
                    -2,
                    "left",
                    "Border left",
                    "Less room for layers, more for files",
                ),
                ("greater_than_sign", "layers", 2, "right", "Border right", "More room for layers"),
                ("left_curly_bracket", "images", -1, "up", "Border up", "Less room for images, more below"),
                ("right_curly_bracket", "images", 1, "down", "Border down", "More room for images"),
            )
        ),
        Binding("escape", "back", "Back", show=False, id="back", tooltip="Cancel reading, or one pane back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._filters: dict[Lines, FilterLine] = {}  # those that were asked for, by what they filter
        self._saving: Timer | None = None
        self._images, self._explorer = ImageTree(), Explorer()
        self._layers, self._files = self._explorer.layer_table, self._explorer.file_tree
        self._borders = Borders(self._images, self._explorer)

    def compose(self) -> ComposeResult:
        yield Static("imgscope", id="head", markup=False)
        yield Static("", id="notice", markup=False)
        yield self._images
        yield TabStrip()
        yield self._explorer
        yield Crumbs(self._where)
        yield KeyBar()

    def on_mount(self) -> None:
        self.watch(self, "maximized", self._borders.place, init=False)

    def cancel_reading(self) -> bool:
        """End what is being read for the person; False where nothing is."""
        raise NotImplementedError

    # -- where one is -----------------------------------------------------------------------------------

    def _where(self) -> Sequence[str]:
        explorer, image = self._explorer, self._explorer.image
        parts = [clean(self.source.label.split(" · ")[0])] if self.source else []
        if image is not None:
            parts.append(clean(image.name[:_LONG]))
            view, node = explorer.file_tree.view, explorer.file_tree.node
            if explorer.tab != FILES:
                parts.append(explorer.tab)
            elif (number := explorer.layer_table.number) is not None:
                parts.append(f"layer {number}")
                if view is not None and node is not None and view.layer == number:
                    parts.append(path_text(view.overlay.path(node)[-_LONG:]))
        return parts

    @on(Explorer.Moved)
    def _moved(self) -> None:
        self.query_one(TabStrip).shown = self._explorer.tab
        self.query_one(Crumbs).refresh()

    # -- panes and tabs ---------------------------------------------------------------------------------

    def action_pane(self, step: int) -> None:
        panes: list[Lines] = [self._images, *self._explorer.panes]
        here = panes.index(self.focused) if self.focused in panes else min(-step, 0)
        panes[(here + step) % len(panes)].enter()

    async def action_tab(self, tab: str) -> None:
        """Show a tab; who looks through the images goes on doing so."""
        staying = self.focused is self._images and self.maximized is None
        await self._explorer.show_tab(tab)
        self._borders.place()
        if not staying:
            self._explorer.panes[0].enter()

    @on(TabStrip.Picked)
    async def _tab_picked(self, message: TabStrip.Picked) -> None:
        await self.action_tab(message.tab)

    def action_toggle_view(self) -> None:
        self._explorer.toggle_view()

    def action_only_mine(self) -> None:
        if why := self._explorer.toggle_mine():
            self._say(why)

    async def action_back(self) -> None:
        if self.cancel_reading():
            self._files.clear("cancelling …")
        elif self.maximized is not None:
            self.minimize()
        elif self.focused is self._files and self._files.pattern is not None:
            self._explorer.clear_filter()
        elif self.focused is self._images and self._images.pattern is not None:
            self._images.filter(None)
        elif self._explorer.tab != FILES and self.focused is not self._images:
            await self.action_tab(FILES)
        elif isinstance(self.focused, Lines) and self.focused in self._explorer.panes[1:]:
            self._layers.focus()
        else:
            self._images.focus()

    def action_zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif isinstance(self.focused, Lines):
            self.maximize(self.focused)

    # -- borders ----------------------------------------------------------------------------------------

    def action_border(self, border: str, cells: int) -> None:
        """Move a border; the one above the wasted paths from there."""
        if border == "images" and self.focused is self._explorer.wasted_paths:
            border = "wasted"
        if self.maximized is None:
            self._borders.move(border, cells)
            self._save_later()

    @on(Border.Dragged)
    def _dragged(self, message: Border.Dragged) -> None:
        self._borders.drag(message.border, message.x, message.y)
        self._save_later()

    @on(Border.Reset)
    def _reset(self, message: Border.Reset) -> None:
        self._borders.reset(message.border)
        self._save_later()

    def _save_later(self) -> None:
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(_SAVE, self._borders.save)

    def on_resize(self) -> None:
        self._borders.place()

    @on(Explorer.Resized)
    def _resized(self) -> None:
        self._borders.place()

    def on_unmount(self) -> None:
        self._borders.save()

    # -- filter -----------------------------------------------------------------------------------------

    async def action_filter(self) -> None:
        """Ask for what a tree is to show: the images from there, else the files, also where there are none.

        What is typed next is no key.
        """
        pane = self._images if self.focused is self._images else self._files
        name = "filter" if pane is self._files else "filter-images"
        if (line := self._filters.get(pane)) is None:
            from imgscope.ui.widgets.filter import FilterLine

            line = self._filters[pane] = FilterLine(pane, name)
            await self.mount(line, before=self.query_one(KeyBar))
        if pane is self._files and self._explorer.tab != FILES:
            await self._explorer.show_tab(FILES)
        if self.maximized is not None:  # what is found must be seen
            self.maximize(pane)
        line.open(pane.pattern.text if pane.pattern else "")

    @on(Explorer.Matched)
    @on(ImageTree.Matched)
    def _matched(self, message: Explorer.Matched | ImageTree.Matched) -> None:
        pane = self._images if isinstance(message, ImageTree.Matched) else self._files
        if (line := self._filters.get(pane)) is not None:
            line.tell(message.text)
            if pane.pattern is None and not line.has_focus_within:
                line.display = False

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        owner = self._images if message.pane is self._images else self._explorer
        # images are looked through at once, files in a thread
        pattern = Pattern(message.text, _AT_ONCE) if owner is self._images else Pattern(message.text)
        owner.filter(pattern if message.text else None)

    def on_filter_line_ended(self, message: FilterLine.Ended) -> None:
        if message.pane is self._images:
            self._images.enter()
            if not message.keep:
                self._images.filter(None)
            return
        (self._images if self._explorer.analysis is None else self._files).enter()
        if not message.keep:
            self._explorer.clear_filter()

    @property
    def typing(self) -> bool:
        """Whether somebody is typing what to look for."""
        return any(line.display for line in self._filters.values())
