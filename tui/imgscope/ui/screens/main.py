"""The one screen to live in: images, layers, files, wasted paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from imgscope.config import load
from imgscope.images.arrange import Order
from imgscope.images.model import Image, Platform
from imgscope.images.reference import same
from imgscope.job import Job
from imgscope.layers.view import Lens, Sort
from imgscope.text import bar, clean, count_text, size_text
from imgscope.ui import loader, messages
from imgscope.ui.kept import Kept
from imgscope.ui.screens.panes import PanesScreen
from imgscope.ui.widgets.explorer import Place
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.tabs import FILES, WASTE

if TYPE_CHECKING:
    from imgscope.actions.plan import Done
    from imgscope.analysis import Analysis
    from imgscope.sources.base import Source

_PAUSE = 0.4  # seconds without another change before the images are listed anew


@runtime_checkable
class Leaving(Protocol):
    """An app that can end with a sentence."""

    def fail(self, text: str) -> None: ...


class MainScreen(PanesScreen):
    """Data comes in by messages of the workers; what the person does goes out as jobs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+r", "reload", "Reload", show=False, id="reload", tooltip="List the images anew"),
    ]

    def __init__(
        self,
        reference: str = "",
        platform: Platform | None = None,
        opened: Callable[[], Source] | None = None,
    ) -> None:
        """`opened` gives the source where it is being opened already."""
        super().__init__()
        self._reference = reference
        self._opened_source = opened
        self._platform = platform
        self._named: str | None = None  # what the command line names, until it is found
        self._listing = Job()
        self._opening: Job | None = None
        self._watching = Job()
        self._pause: Timer | None = None
        self._wanted: str | None = None  # the image shown in the layers pane
        self._kept = Kept()

    def on_mount(self) -> None:
        settings = load()
        self._images.columns, self._images.order = settings.columns, Order(settings.images_sort)
        self._files.lens = Lens(Sort(settings.sort))
        self._images.set_note("looking for images …")
        self._images.focus()
        job = self._listing
        opened = self._opened_source
        self._work(lambda: loader.open_target(self._reference, self.post_message, job, opened))

    def _work(self, work: Callable[[], None]) -> None:
        self.run_worker(loader.in_thread(work))

    def _notice(self, text: str) -> None:
        """A line for the person, above all panes; empty: none."""
        notice = self.query_one("#notice", Static)
        notice.update(Content(clean(text)))
        notice.display = bool(text)

    # -- the source and its list --------------------------------------------------------------------

    @on(messages.SourceOpened)
    def _source_opened(self, message: messages.SourceOpened) -> None:
        self.source = self._explorer.source = source = message.source
        self._named = message.name
        self._head(source.label)
        self._notice(message.notice)
        self._list()
        watching = self._watching
        self._work(lambda: loader.watch(source, self.post_message, watching))
        if (name := message.name) is not None:
            job = self._listing
            self._work(lambda: loader.find_image(source, name, self._platform, self.post_message, job))

    def _list(self) -> None:
        if (source := self.source) is not None:
            job = self._listing
            first = self._images.in_view
            self._work(lambda: loader.list_images(source, self.post_message, job, first))

    @on(messages.ImagesListed)
    def _images_listed(self, message: messages.ImagesListed) -> None:
        first = self._images.forest is None
        self._images.set_note("no images here yet: pull or build one, or look at imgscope demo")
        self._images.show(message.forest, message.unique)
        if self.source is not None:
            count = sum(not node.virtual for node in message.forest.nodes.values())
            parts = [count_text(count, "image")]
            if message.usage is not None:
                parts.append(size_text(message.usage.total))
                if message.usage.reclaimable is not None:
                    parts.append(f"{size_text(message.usage.reclaimable)} reclaimable")
            self._head(*parts, self.source.label)
        self._explorer.listed(message.forest)
        if first and self._wanted is not None:
            self._images.go(self._wanted)
        elif self._named is None:
            self._look()

    @on(messages.Hint)
    def _hint(self, message: messages.Hint) -> None:
        self.notify(clean(message.text), markup=False, timeout=15)

    @on(messages.EngineChanged)
    def _engine_changed(self) -> None:
        """Look again once the changes pause."""
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_PAUSE, self.action_reload)

    def _head(self, *parts: str) -> None:
        pieces: list[str | tuple[str, str]] = [("imgscope", "bold $primary")]
        for part in parts:
            pieces += [("  ·  ", "$foreground 30%"), (clean(part), "$foreground 70%")]
        self.query_one("#head", Static).update(Content.assemble(*pieces))

    @on(messages.Found)
    def _found(self, message: messages.Found) -> None:
        self._named = None
        self._open(message.image)
        self._images.go(message.image.id)
        if not self.typing:
            self._layers.enter()

    @on(messages.Measured)
    def _measured(self, message: messages.Measured) -> None:
        self._images.wasted[message.image_id] = message.dead
        self._images.refresh()

    @on(messages.Failed)
    def _failed(self, message: messages.Failed) -> None:
        if message.fatal:
            assert isinstance(self.app, Leaving)
            self.app.fail(message.text)
        elif message.job is None:
            self._named = None
            self._notice(message.text)
            self._images.set_note("esc goes back, f5 lists the images anew, q quits")
            self._look()
        elif message.job is self._opening:
            self._opening = None
            self._explorer.failed(message.text)

    # -- one image ----------------------------------------------------------------------------------

    @on(Lines.Highlighted, "#images")
    def _image_highlighted(self) -> None:
        self._look()

    def _look(self) -> None:
        """Show what is known of the image under the cursor, reading it where that costs little."""
        node, source = self._images.node, self.source
        if node is None or source is None or node.id == self._wanted:
            return
        if self._opening is not None and not source.cheap:
            return  # what the person waits for stays on the screen
        if node.image is None:
            self._cancel()
            self._wanted = node.id
            self._explorer.clear(
                "these layers are what the images below have in common", "no image here has just these layers"
            )
        elif source.cheap or node.image.id in self._kept:
            self._open(node.image)
        else:
            self._announce(node.image)

    def _announce(self, image: Image) -> None:
        """The layers as listed; their files are not read yet."""
        self._wanted = self._images.shown_id = image.id
        self._images.refresh()
        self._explorer.announce(image)

    @on(Lines.Selected, "#images")
    def _image_selected(self, message: Lines.Selected) -> None:
        node = self._images.node
        if node is None:
            return
        if node.image is None:
            self._images.toggle(message.row)
        else:
            if self._explorer.tab in (FILES, WASTE):  # the others need no layer
                self._open(node.image)
            self._explorer.panes[0].enter()

    def _open(self, image: Image) -> None:
        job = self._opening
        if job is not None and image.id == self._wanted and not job.cancelled:
            return  # it is being read
        self._cancel()
        if (known := self._kept.get(image.id)) is not None:
            self._wanted = image.id
            self._present(known)
        elif (source := self.source) is not None:
            self._announce(image)
            wait = (
                "reading the layers"
                if source.cheap
                else "waiting for the engine, which puts the layers together first"
            )
            self._files.set_note(f"{wait} …\nesc cancels")
            self._opening = opening = Job()
            self._work(lambda: loader.open_image(source, image, self.post_message, opening))

    def _cancel(self) -> None:
        """Whatever is being read is not wanted any more."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    @on(messages.Progress)
    def _progress(self, message: messages.Progress) -> None:
        if message.job is not self._opening or message.job.cancelled:
            return
        text = size_text(message.done)
        if message.total and message.done <= message.total:
            text = f"{bar(message.done, message.total, 16)}▏ {text} of {size_text(message.total)}"
        self._files.set_note(f"reading the layers\n{text}\nesc cancels")

    @on(messages.LayerRead)
    def _layer_read(self, message: messages.LayerRead) -> None:
        if message.job is self._opening:
            self._layers.show_layer(message.number, message.index)

    @on(messages.Cancelled)
    def _cancelled(self, message: messages.Cancelled) -> None:
        if message.job is self._opening:
            self._opening = None
            self._files.clear("cancelled; enter on the image reads it again")

    @on(messages.Opened)
    def _opened(self, message: messages.Opened) -> None:
        if message.job is self._opening:
            self._opening = None
            self._present(message.analysis)

    def _present(self, analysis: Analysis) -> None:
        """Show an image that was read."""
        image = analysis.image
        views = self._kept.put(analysis)
        self._images.wasted[image.id] = analysis.waste.dead
        self._images.shown_id = image.id
        self._images.refresh()
        self._explorer.show(analysis, views, keep_filter=self.typing)

    @property
    def analysis(self) -> Analysis | None:
        """The image that is shown, once it is read."""
        return self._explorer.analysis

    def analyses(self) -> Mapping[str, Analysis]:
        return self._kept

    def go_to(self, place: Place) -> None:
        self._images.go(place.image.id)
        self._open(place.image)
        self.call_next(self._explorer.go, place)

    # -- acting -------------------------------------------------------------------------------------

    def chosen(self) -> Sequence[Image]:
        return self._images.chosen

    def holder(self, name: str) -> Image | None:
        forest = self._images.forest
        images = [node.image for node in forest.nodes.values() if node.image] if forest else []
        return next((item for item in images if any(same(name, known) for known in item.references)), None)

    def acted(self, done: Done) -> None:
        self._images.unmark()
        self.action_reload()

    def cancel_reading(self) -> bool:
        if self._opening is None or self._opening.cancelled:
            return False
        self._opening.cancel()
        return True

    def action_reload(self) -> None:
        if self.source is not None:
            self._listing.cancel()
            self._listing = Job()
            self._notice("")
            self._list()
            self._explorer.reload()

    def on_unmount(self) -> None:
        self._listing.cancel()
        self._watching.cancel()
        self._cancel()
        if self.source is not None:
            self.source.close()
