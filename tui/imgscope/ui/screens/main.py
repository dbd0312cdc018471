"""The one screen to live in: images, layers, files, wasted paths."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar, Protocol, runtime_checkable

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from imgscope.analysis import Analysis
from imgscope.images.model import Image, Platform
from imgscope.job import Job
from imgscope.sources.base import Source
from imgscope.text import bar, clean, size_text
from imgscope.ui import loader, messages
from imgscope.ui.widgets.files import FileTree
from imgscope.ui.widgets.images import ImageTree
from imgscope.ui.widgets.layers import LayerTable
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.wasted import WastedPaths

_KEPT = 8  # analyses kept for the way back


@runtime_checkable
class Leaving(Protocol):
    """An app that can end with a sentence."""

    def fail(self, text: str) -> None: ...


class MainScreen(Screen[None]):
    """Data comes in by messages of the workers; what the person does goes out as jobs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "toggle_view", "changes/merged", id="view.toggle", tooltip="Own changes or merged tree"),
        Binding("escape", "back", "back", id="back", tooltip="Cancel reading, or one pane back"),
        Binding("tab", "app.focus_next", "next pane", id="pane.next", tooltip="To the next pane"),
        Binding("shift+tab", "app.focus_previous", "Previous pane", show=False, id="pane.previous"),
        Binding("z", "zoom", "zoom", id="pane.zoom", tooltip="The pane alone, or all panes"),
        Binding("f5,ctrl+r", "reload", "Reload", show=False, id="reload", tooltip="List the images anew"),
    ]

    def __init__(self, reference: str = "", platform: Platform | None = None) -> None:
        super().__init__()
        self._reference = reference
        self._platform = platform
        self._named: str | None = None
        self.source: Source | None = None
        self._listing = Job()
        self._opening: Job | None = None
        self._viewing = Job()
        self._wanted: str | None = None  # the image shown in the layers pane
        self._analyses: OrderedDict[str, Analysis] = OrderedDict()
        self.analysis: Analysis | None = None
        self.merged = False
        self._reveal: bytes | None = None  # a path to show as soon as its layer's tree is there

    def compose(self) -> ComposeResult:
        yield Static("imgscope", id="head", markup=False)
        yield Static("", id="notice", markup=False)
        yield ImageTree()
        with Horizontal(id="middle"):
            yield LayerTable()
            yield FileTree()
        yield WastedPaths()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._images, self._layers = self.query_one(ImageTree), self.query_one(LayerTable)
        self._files, self._wasted = self.query_one(FileTree), self.query_one(WastedPaths)
        self._images.set_note("looking for images …")
        self._images.focus()
        self._work(lambda: loader.open_target(self._reference, self.post_message, self._listing))

    def _work(self, work: object) -> None:
        self.run_worker(work, thread=True, exit_on_error=True)  # type: ignore[arg-type]

    # -- the source and its list --------------------------------------------------------------------

    @on(messages.SourceOpened)
    def _source_opened(self, message: messages.SourceOpened) -> None:
        self.source = message.source
        self._named = message.name
        self._head(message.source.label)
        notice = self.query_one("#notice", Static)
        notice.update(Content(clean(message.notice)))
        notice.display = bool(message.notice)
        source = message.source
        if message.name is not None:
            name = message.name
            self._work(lambda: loader.find_image(source, name, self._platform, self.post_message))
        self._list()

    def _list(self) -> None:
        source, job = self.source, self._listing
        if source is not None:
            self._work(lambda: loader.list_images(source, self.post_message, job))

    @on(messages.ImagesListed)
    def _images_listed(self, message: messages.ImagesListed) -> None:
        first = self._images.forest is None
        self._images.set_note("no images here yet: pull or build one, or look at imgscope demo")
        self._images.show(message.forest, message.unique)
        if self.source is not None:
            count = sum(not node.virtual for node in message.forest.nodes.values())
            parts = [self.source.label, f"{count:,} image{'' if count == 1 else 's'}"]
            if message.usage is not None:
                parts.append(size_text(message.usage.total))
                if message.usage.reclaimable is not None:
                    parts.append(f"{size_text(message.usage.reclaimable)} reclaimable")
            self._head(*parts)
        if first and self._named is None:
            self._look()

    def _head(self, *parts: str) -> None:
        pieces: list[str | tuple[str, str]] = [("imgscope", "bold $primary")]
        for part in parts:
            pieces += [("  ·  ", "$foreground 30%"), (clean(part), "$text-muted")]
        self.query_one("#head", Static).update(Content.assemble(*pieces))

    @on(messages.Found)
    def _found(self, message: messages.Found) -> None:
        self._images.go(message.image.id)
        self._open(message.image)
        self._layers.focus()

    @on(messages.Measured)
    def _measured(self, message: messages.Measured) -> None:
        self._images.wasted[message.image_id] = message.dead
        self._images.refresh()

    @on(messages.Failed)
    def _failed(self, message: messages.Failed) -> None:
        if message.fatal:
            assert isinstance(self.app, Leaving)
            self.app.fail(message.text)
            return
        if message.image_id is not None and message.image_id == self._wanted:
            self._opening = None
            self._files.clear(clean(message.text))
        self.notify(clean(message.text), severity="error", markup=False, timeout=10)

    # -- one image ----------------------------------------------------------------------------------

    @on(Lines.Highlighted, "#images")
    def _image_highlighted(self) -> None:
        self._look()

    def _look(self) -> None:
        """Show what is known of the image under the cursor, reading it where that costs little."""
        node = self._images.node
        if node is None or node.image is None or self.source is None:
            return
        image = node.image
        if image.id == self._wanted:
            return
        if self.source.cheap or image.id in self._analyses:
            self._open(image)
        elif self._opening is None:
            self._announce(image)

    def _announce(self, image: Image) -> None:
        """The layers as listed; their files are not read yet."""
        self._wanted = image.id
        self.analysis = None
        self._show_layers(image)
        size = f" ({size_text(image.size)})" if image.size else ""
        self._files.clear(f"enter reads the layers of {clean(image.name)}{size}")
        self._files.set_title("files")
        self._wasted.show((), "wasted", "known once the layers are read")

    @on(Lines.Selected, "#images")
    def _image_selected(self) -> None:
        node = self._images.node
        if node is not None and node.image is not None:
            self._open(node.image)
            self._layers.focus()

    def _open(self, image: Image) -> None:
        known = self._analyses.get(image.id)
        if self._opening is not None:
            if image.id == self._wanted:
                return
            self._opening.cancel()
            self._opening = None
        if known is not None:
            self._wanted = image.id
            self._show_layers(known.image)
            self._opened(messages.Opened(known))
            return
        if self.source is None:
            return
        self._announce(image)
        self._files.clear("reading the layers …\nesc cancels")
        source, job = self.source, Job()
        self._opening = job
        self._work(lambda: loader.open_image(source, image, self.post_message, job))

    def _show_layers(self, image: Image) -> None:
        count = len(image.layers)
        self._layers.set_title(f"layers · {clean(image.name)} · {count} layer{'' if count == 1 else 's'}")
        self._layers.set_note(
            "this image has no layers" if image.history else "not known before it is opened"
        )
        self._layers.show(image)

    @on(messages.Progress)
    def _progress(self, message: messages.Progress) -> None:
        if message.image_id != self._wanted or self._opening is None:
            return
        done = size_text(message.done)
        if message.total:
            share = bar(message.done, message.total, 20)
            text = f"reading the layers  {share}  {done} of {size_text(message.total)}"
        else:
            text = f"reading the layers  {done}"
        self._files.set_note(f"{text}\nesc cancels")

    @on(messages.LayerRead)
    def _layer_read(self, message: messages.LayerRead) -> None:
        if message.image_id == self._wanted:
            self._layers.show_layer(message.number, message.index)

    @on(messages.Cancelled)
    def _cancelled(self, message: messages.Cancelled) -> None:
        if message.image_id == self._wanted and self._opening is None:
            self._files.clear("cancelled; enter on the image reads it again")

    @on(messages.Opened)
    def _opened(self, message: messages.Opened) -> None:
        analysis = message.analysis
        image = analysis.image
        self._analyses[image.id] = analysis
        self._analyses.move_to_end(image.id)
        while len(self._analyses) > _KEPT:
            self._analyses.popitem(last=False)
        self._images.wasted[image.id] = analysis.waste.dead
        self._images.refresh()
        if image.id != self._wanted:
            return
        self._opening = None
        self.analysis = analysis
        self._images.opened_id = image.id
        waste = analysis.waste
        self._show_layers(image)
        self._layers.show_waste(image, waste)
        partial = f" · {len(analysis.problems)} problems, totals are partial" if analysis.problems else ""
        title = f"wasted · {size_text(waste.dead)} · efficiency {waste.efficiency:.0%}{partial}"
        first = (
            clean(analysis.problems[0].message)
            if analysis.problems
            else "nothing: every stored byte is in use"
        )
        self._wasted.show(waste.paths, title, first)
        self._show_view()

    # -- one layer ----------------------------------------------------------------------------------

    @on(Lines.Highlighted, "#layers")
    def _layer_highlighted(self) -> None:
        view = self._files.view
        if self.analysis is not None and (
            view is None or view.layer != self._layers.number or view.merged != self.merged
        ):
            self._show_view()

    def _show_view(self) -> None:
        analysis, layer = self.analysis, self._layers.number
        if analysis is None:
            return
        if layer is None:
            self._files.clear("this image has no files")
            return
        self._viewing.cancel()
        job = self._viewing = Job()
        merged = self.merged
        self._work(lambda: loader.make_view(analysis, layer, merged, self.post_message, job))

    @on(messages.ViewReady)
    def _view_ready(self, message: messages.ViewReady) -> None:
        view = message.view
        if (
            message.image_id != self._wanted
            or view.layer != self._layers.number
            or view.merged != self.merged
        ):
            return
        if view.merged:
            stack = "layer 1" if view.layer == 1 else f"layers 1–{view.layer}"
            title = f"files · {stack} merged · {size_text(view.size(0))}"
        else:
            title = f"files · layer {view.layer}, changes · {size_text(view.size(0))}"
            if view.gone(0):
                title += f" · hides {size_text(view.gone(0))}"
        self._files.set_title(title)
        self._files.show(view)
        if self._reveal is not None:
            path, self._reveal = self._reveal, None
            self._files.reveal(view.overlay.find(path))

    @on(Lines.Selected, "#layers")
    def _layer_selected(self) -> None:
        if self.analysis is not None:
            self._files.focus()

    @on(Lines.Selected, "#wasted")
    def _wasted_selected(self, message: Lines.Selected) -> None:
        """Go to the copy that lies dead."""
        wasted = self._wasted.paths[message.row]
        self.merged = False
        self._reveal = wasted.path
        self._layers.go(wasted.stored_in[0])
        self._files.focus()
        self._show_view()

    # -- keys ---------------------------------------------------------------------------------------

    def action_toggle_view(self) -> None:
        self.merged = not self.merged
        if self._files.node is not None and self._files.view is not None:
            self._reveal = self._files.view.overlay.path(self._files.node)
        self._show_view()

    def action_back(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
            self._files.clear("cancelling …")
        elif self.maximized is not None:
            self.minimize()
        elif self.focused is self._files or self.focused is self._wasted:
            self._layers.focus()
        else:
            self._images.focus()

    def action_zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif isinstance(self.focused, Lines):
            self.maximize(self.focused)

    def action_reload(self) -> None:
        self._list()

    def on_unmount(self) -> None:
        self._listing.cancel()
        self._viewing.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self.source is not None:
            self.source.close()
