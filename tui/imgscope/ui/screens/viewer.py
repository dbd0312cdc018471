"""One file from inside: as text, or byte by byte; as far as it is looked at."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from imgscope.errors import CancelledError
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import REMOVED
from imgscope.text import bar, clean, path_text, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.screens.seeking import SeekingScreen
from imgscope.ui.widgets.ask import AskLine
from imgscope.ui.widgets.hexview import HexView
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.textview import TextView
from imgscope.viewing.content import FIRST, MEGABYTE, Content
from imgscope.viewing.document import Document
from imgscope.viewing.highlight import highlight
from imgscope.viewing.versions import fate, no_content, versions

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.sources.base import Source

_LONG = 1000  # cells of a row that is not wrapped; longer lines go on in the next
_FRAME = 1 / 15  # seconds between two messages of progress
_NAMES = {"json": b"x.json", "xml": b"x.xml", "html": b"x.html", "toml": b"x.toml", "yaml": b"x.yaml"}


@dataclass(frozen=True, slots=True)
class Subject:
    """A file of an image: one path in all its versions."""

    source: Source
    analysis: Analysis
    node: int


class ViewerScreen(SeekingScreen):
    """Reads in threads; what they read is taken up here. `[` and `]` take another version of the path."""

    DEFAULT_CSS = """
    ViewerScreen {
        #viewer-fate, #viewer-summary { display: none; height: auto; max-height: 3; padding: 0 1; }
        #viewer-fate { color: $dead; }
        #viewer-summary { color: $text-muted; }
        #viewer-status { height: 1; padding: 0 1; color: $text-muted; }
        TextView, HexView { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "e",
            "extract",
            "extract",
            id="files.extract",
            tooltip="Save the file to a folder of yours: docker cp",
        ),
        Binding("x", "hex", "hex", show=False, id="viewer.hex", tooltip="Show bytes (hex), or text again"),
        Binding("w", "wrap", "wrap", id="viewer.wrap", tooltip="Wrap long lines, or not"),
        Binding("p", "pretty", "pretty", id="viewer.pretty", tooltip="Make JSON readable, or as it is"),
        Binding(
            "D", "diff", "diff", id="files.diff", tooltip="What the layer changed, against the version below"
        ),
        Binding(
            "right_square_bracket",
            "version(1)",
            "version",
            id="viewer.later",
            tooltip="The version of the next layer that has it",
        ),
        Binding(
            "left_square_bracket",
            "version(-1)",
            "Version before",
            show=False,
            id="viewer.earlier",
            tooltip="The version of the layer before that has it",
        ),
        Binding("escape", "leave", "close", id="viewer.leave", tooltip="Stop reading, or close"),
        Binding("q", "close", "Close", show=False, id="viewer.close", tooltip="Close"),
    ]

    @dataclass
    class Came(Message):
        """More bytes are there."""

        document: Document

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, ViewerScreen.Came)

    def __init__(self, subject: Subject | None, version: int = -1, *, title: str = "") -> None:
        """A version of a file of an image. Without one `for_bytes` is the way."""
        super().__init__()
        self._subject = subject
        self._version = version
        self._versions: list[int] = versions(subject.analysis.overlay, subject.node) if subject else []
        self._given = title
        self._document = Document(b"", Content.of(b""))
        self._target = 0  # bytes that are to be read
        self._reading = False
        self._wraps = False
        self._wants_pretty = True
        self._shows_hex = False

    @classmethod
    def for_bytes(cls, title: str, data: bytes, media_type: str = "text/plain") -> ViewerScreen:
        """Bytes that are there already; the media type tells the language: application/vnd.…+json."""
        screen = cls(None, title=title)
        suffix = media_type.partition(";")[0].rpartition("/")[2].rpartition("+")[2]
        screen._document = Document(_NAMES.get(suffix, b""), Content.of(data))
        return screen

    def compose(self) -> ComposeResult:
        yield Static("", id="viewer-fate", markup=False)
        yield Static("", id="viewer-summary", markup=False)
        yield TextView()
        yield HexView()
        yield AskLine()
        yield Static("", id="viewer-status", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._text, self._hex = self.query_one(TextView), self.query_one(HexView)
        self._hex.display = False
        self._text.focus()
        if self._subject is not None:
            self._open(self._version)
        else:
            self._begin()

    # -- opening ------------------------------------------------------------------------------------

    def _open(self, version: int) -> None:
        """Show a version of the file."""
        from imgscope.contents import read_file

        assert self._subject is not None
        source, analysis = self._subject.source, self._subject.analysis
        overlay = analysis.overlay
        self._document.close()
        self._version = version
        job = Job()
        size = 0
        if overlay.entry[version] != REMOVED and overlay.kind(inode := overlay.inode(version)) == Kind.FILE:
            size = overlay.file_size(inode)
        content = Content(read_file(source, analysis, version, job), size, job)
        name = overlay.names[self._subject.node]
        self._document = Document(name, content)
        self._begin()

    def _begin(self) -> None:
        document = self._document
        self.forget()
        self._reading, self._target, self.lays_out = False, 0, False
        self._text.summary = self._hex.summary = ""
        self.query_one("#viewer-summary").display = False
        self._text.rows, self._text.spans, self._text.end, self._text.left = None, None, "", 0
        self._text.cursor = self._hex.cursor = 0
        self._hex.content, self._hex.asked = None, 0
        self._show(self._text)
        note = no_content(self._subject.analysis.overlay, self._version) if self._subject else ""
        source = self._subject.source if self._subject else None
        wait = "reading" if source is None or source.cheap else "waiting for the engine"
        self._text.set_note(
            note or ("this file is empty" if not document.content.size else f"{wait} …\nesc cancels")
        )
        self._text.changed(0)
        self._tell_fate()
        self._title()
        if not note and document.content.size:
            self.read_on(FIRST if self._subject else document.content.size)
        else:
            self._status("")

    def _tell_fate(self) -> None:
        text = ""
        if self._subject is not None and self._version >= 0:
            analysis = self._subject.analysis
            parts = [fate(analysis.overlay, self._version)]
            layer = analysis.overlay.layer[self._version]
            parts += [clean(str(problem)) for problem in analysis.problems if problem.layer == layer][:1]
            text = " · ".join(filter(None, parts))
        line = self.query_one("#viewer-fate", Static)
        line.update(text)
        line.display = bool(text)

    # -- reading ------------------------------------------------------------------------------------

    def read_on(self, upto: int) -> None:
        self._target = max(self._target, min(upto, self._document.content.size))
        if not self._reading:
            self._reading = True
            self.run_worker(self._go_on(self._document))

    async def _go_on(self, document: Document) -> None:
        """Read until no more is asked for."""
        last = 0.0

        def told() -> None:
            nonlocal last
            if (now := time.monotonic()) - last >= _FRAME:
                last = now
                self.post_message(self.Came(document))

        with suppress(CancelledError):
            while document is self._document and self._target > document.content.raw.size:
                target, fresh = self._target, self._hex.content is None
                await in_thread(partial(document.read, target, told))
                if document is not self._document:
                    return
                if fresh:
                    await self._present(document)
                self._take_up()
                if document.content.ended or document.content.raw.size < target:
                    break  # all there is, or it was stopped
        if document is self._document:
            self._reading = False
            self._target = document.content.raw.size
            await self.arrived()

    async def _present(self, document: Document) -> None:
        """The first bytes are there: show them as what they are."""
        is_text = document.utf8 is not None
        if is_text:
            await self._lay_out(document)
        self._hex.content = document.content
        self._show(self._text if is_text else self._hex)
        if is_text:
            self.run_worker(self._colour(document))

    async def _lay_out(self, document: Document, around: int = 0) -> None:
        """Put the text into rows, as wide as they are to be."""
        digits = max(len(str(document.content.size // 10)), 4)
        limit = max(self._text.size.width - 3 - digits, 16) if self._wraps else _LONG
        pretty = self._wants_pretty
        await in_thread(lambda: document.lay_out(limit, pretty=pretty, around=around))
        if document is self._document:
            self._text.rows, self._text.digits = document.rows, digits
            self._text.spans, self._text.left = None, 0
            self.lays_out = True
            self.run_worker(self._catch_up(document), group="layout", exclusive=True)

    async def _catch_up(self, document: Document) -> None:
        """The rows of a long text that are not seen yet."""
        await in_thread(document.catch_up)
        if document is self._document:
            self.lays_out = False
            self._take_up()
            await self.arrived()

    async def _colour(self, document: Document) -> None:
        """Colours for a text that is there whole; it is shown without them meanwhile."""
        rows = document.rows
        if rows is None or not (document.content.ended or document.is_pretty):
            return
        name, job = os.fsdecode(document.name), document.content.job
        alias = "json" if document.is_pretty else ""

        with suppress(CancelledError):
            spans = await in_thread(lambda: highlight(name, rows.spool.read(0, rows.spool.size), job, alias))
            if document is self._document and rows is document.rows:
                self._text.spans = spans
                self._text.refresh()

    @on(Came)
    def _came(self, message: Came) -> None:
        if message.document is self._document:
            self._take_up()

    def _take_up(self) -> None:
        """Show what was read since."""
        content = self._document.content
        if content.problem and not content.raw.size:  # all there is to show: the whole sentence
            for view in (self._text, self._hex):
                view.set_note(f"✗ {clean(content.problem)}")
        rows = content.raw.size and self._document.utf8 is not None and not self._document.is_pretty
        self._text.end = content.problem if rows else ""
        self._text.waits = not content.ended and not self._document.is_pretty
        self._text.partial = self._text.waits or self.lays_out
        self._text.grown()
        self._hex.grown()
        self._summarize()
        self._title()
        self.where()

    def _summarize(self) -> None:
        """What the file is: above its rows, or where that is too long in lines of its own."""
        summary = clean(self._document.preview.summary)
        fits = cell_len(summary) <= self.size.width - 4
        self._text.summary = self._hex.summary = summary if fits else ""
        line = self.query_one("#viewer-summary", Static)
        line.update(summary)
        line.display = not fits

    @on(TextView.More)
    def _more_text(self) -> None:
        self.read_on(self._document.content.raw.size + MEGABYTE)

    @on(HexView.More)
    def _more_bytes(self, message: HexView.More) -> None:
        self.read_on(message.upto)

    # -- what is shown ------------------------------------------------------------------------------

    @property
    def document(self) -> Document:
        return self._document

    @property
    def view(self) -> TextView | HexView:
        return self._hex if self._shows_hex else self._text

    def _show(self, view: TextView | HexView) -> None:
        """One of both views."""
        had = self._text.has_focus or self._hex.has_focus
        self._shows_hex = view is self._hex
        for other in (self._text, self._hex):
            other.display = other is view
        if had:
            view.focus()
        view.changed()
        self._title()
        self.refresh_bindings()

    def _title(self) -> None:
        content, found = self._document.content, self._document.preview
        parts = ["file"]
        if self._subject is not None:
            overlay = self._subject.analysis.overlay
            parts += [path_text(overlay.path(self._subject.node)), f"layer {overlay.layer[self._version]}"]
            if len(self._versions) > 1 and self._version in self._versions:
                parts[-1] += f" ({self._versions.index(self._version) + 1} of {len(self._versions)})"
        else:
            parts.append(clean(self._given))
        have = content.raw.size
        if content.ended and not content.problem:
            parts.append(size_text(have))
        elif have:
            parts.append(f"first {size_text(have)} of {size_text(content.size)}")
        else:
            parts.append(size_text(content.size))
        if found.encoding is not None and content.size:
            parts.append(str(found.encoding))
        if self._document.is_pretty and not self._shows_hex:
            parts.append("pretty")
        self._text.set_title(*parts)
        self._hex.set_title(*parts)

    def _status(self, text: str) -> None:
        self.query_one("#viewer-status", Static).update(text)

    @on(Lines.Highlighted)
    def _moved(self) -> None:
        self.where()

    def where(self, more: str = "") -> None:
        """Where one is, what is found, what is going on."""
        content, view = self._document.content, self.view
        parts = []
        if self._reading and self._document.rows is not None and self._target > content.raw.size:
            done = f"{bar(content.raw.size, self._target, 12)}▏ {size_text(content.raw.size)}"
            parts.append(f"reading {done} of {size_text(self._target)} · esc stops")
        if isinstance(view, HexView):
            if view.row_count:
                parts.append(f"byte {view.offset_here:,} of {content.size:,}")
        elif view.rows:
            line = view.rows[min(view.cursor, len(view.rows) - 1)].line
            least = "" if self.is_whole and not self.lays_out else "+"
            parts.append(f"line {line:,} of {view.rows.lines:,}{least}")
        self._status(" · ".join(part for part in (*parts, self.found_text(), more) if part))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        document = self._document
        if action == "pretty":
            return document.could_be_json and not self._shows_hex
        if action == "wrap":
            return not self._shows_hex
        if action == "version":
            return len(self._versions) > 1
        if action in ("diff", "extract"):
            return self._subject is not None
        return True

    # -- keys ---------------------------------------------------------------------------------------

    def action_hex(self) -> None:
        """As bytes, and back; what is no text can be looked at as one, too."""
        document, view = self._document, self.view
        if document.content.raw.size == 0:
            return
        self.forget()
        if isinstance(view, TextView):
            offset = view.offset_here if not document.is_pretty else 0
            self._hex.cursor = offset // self._hex.per_row
            self._show(self._hex)
        else:
            self.run_worker(self._to_text(document, view.offset_here))
        self.where()

    async def _to_text(self, document: Document, offset: int) -> None:
        if document.rows is None:
            await in_thread(document.as_text)
            await self._lay_out(document, offset)
            self._text.waits = not document.content.ended
        if document is self._document:
            if document.rows and not document.is_pretty:
                self._text.cursor = document.rows.at(offset)
            self._show(self._text)
            self.where()

    def action_wrap(self) -> None:
        self._wraps = not self._wraps
        self.run_worker(self._again(self._document))

    def action_pretty(self) -> None:
        """JSON made readable, and back. All of it must be there for that."""
        self._wants_pretty = not self._document.is_pretty
        self.run_worker(self._again(self._document))

    async def _again(self, document: Document) -> None:
        """Lay the text out anew, with the cursor on what it was on."""
        if document.rows is None:
            return
        was, offset, spans = document.is_pretty, self._text.offset_here, self._text.spans
        if self._wants_pretty and not was and document.could_be_json and not document.content.ended:
            with suppress(CancelledError):
                await in_thread(lambda: document.read(document.content.size))
        await self._lay_out(document, offset)
        if document is not self._document or document.rows is None:
            return
        if document.is_pretty == was:
            self._text.spans = spans
            self._text.cursor = document.rows.at(offset) if document.rows else 0
        else:
            self._text.cursor = 0
            self.forget()
            self.run_worker(self._colour(document))
        self._take_up()
        self._show(self._text)

    def on_resize(self) -> None:
        if self._wraps and self._document.rows is not None:
            self.run_worker(self._again(self._document), group="resize", exclusive=True)

    def action_diff(self) -> None:
        """Against the version below."""
        if self._subject is None or self._version < 0:
            return
        from imgscope.ui.screens.diff import DiffScreen

        self.app.push_screen(
            DiffScreen.against_below(self._subject.source, self._subject.analysis, self._version)
        )

    @work(group="act")
    async def action_extract(self) -> None:
        """Save this version, also where a later layer removed it."""
        if (subject := self._subject) is None or self._version < 0:
            return
        from imgscope.ui.screens.extracting import ExtractForm, ask

        layer = subject.analysis.overlay.layer[self._version]
        await ask(self.app, ExtractForm(subject.source, subject.analysis, subject.node, layer, merged=False))

    def action_version(self, step: int) -> None:
        """The version of another layer."""
        if self._version not in self._versions:
            return
        place = self._versions.index(self._version) + step
        if 0 <= place < len(self._versions):
            self._open(self._versions[place])
        else:
            self._status("no layer before has it" if step < 0 else "no later layer changes it")

    def action_leave(self) -> None:
        """Stop what is being read for somebody who waits, else close."""
        have = self._document.content.raw.size
        if self._reading and have and (self.seeks or self._target - have > 4 * MEGABYTE):
            self.give_up()
            self._document.stop()
            self._target, self._hex.asked = 0, 0
            if self._shows_hex:
                self._hex.cursor = min(self._hex.cursor, have // self._hex.per_row - 1)
            self.where("stopped")
        else:
            self.action_close()

    def action_close(self) -> None:
        self._document.close()
        self.dismiss(None)

    def on_unmount(self) -> None:
        self._document.close()
