"""A tab that reads what it shows in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from imgscope.errors import CancelledError, ImgscopeError
from imgscope.job import Job
from imgscope.text import clean
from imgscope.ui import loader
from imgscope.ui.widgets.tabs import TabPane

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.sources.base import Source


class ReadingPane(TabPane):
    """Subclasses give `read`, for the thread, and `present`. What was read stays until the next is there."""

    @dataclass
    class Found(Message):
        """What was read, or why it cannot be."""

        job: Job
        found: object
        problem: str = ""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._job = Job()
        self._shown = ""  # the id of the image whose rows these are

    def read(self, source: Source, image: Image, analysis: Analysis | None, job: Job) -> object:
        """Read what is shown, in a thread. Raises `ImgscopeError` and `CancelledError`."""
        raise NotImplementedError

    def present(self, found: object) -> None:
        """Show what `read` gave; None: nothing. The cursor goes to the first row of a new image."""
        raise NotImplementedError

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        self._job.cancel()
        job = self._job = Job()
        if image.id != self._shown:
            self.present(None)
            self.cursor = 0
            self.set_note("reading …")
        self._shown = image.id

        def work() -> None:
            try:
                whole = image
                if not image.layers and not source.cheap:  # an engine may not have told of it yet
                    whole = source.find(image.id)
                self.post_message(self.Found(job, self.read(source, whole, analysis, job)))
            except ImgscopeError as error:
                self.post_message(self.Found(job, None, str(error)))
            except CancelledError:
                pass

        self.run_worker(loader.in_thread(work))

    @on(Found)
    def _found(self, message: Found) -> None:
        if message.job is self._job and not message.job.cancelled:
            self.set_note(clean(message.problem))
            self.present(message.found)

    def clear(self, note: str) -> None:
        self._job.cancel()
        self._shown = ""
        self.present(None)
        self.set_note(note)

    def on_unmount(self) -> None:
        self._job.cancel()

    def open_text(self, title: str, data: bytes, media_type: str) -> None:
        """A text or a document on a screen of its own."""
        from imgscope.ui.screens.viewer import ViewerScreen

        self.app.push_screen(ViewerScreen.for_bytes(title, data, media_type))
