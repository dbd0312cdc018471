"""What differs between two versions of a file: metadata, lines of text, digests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from imgscope.errors import CancelledError
from imgscope.job import Job
from imgscope.layers.overlay import REMOVED
from imgscope.text import clean, path_text, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Piece, fit
from imgscope.ui.widgets.sideways import Sideways, cut, moved, shown
from imgscope.viewing.filediff import FileDiff, Side, compare, side
from imgscope.viewing.textdiff import Change
from imgscope.viewing.versions import below

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.sources.base import Source

_LONG = 4000  # bytes of a line that are shown
_STYLES = {"+": "added", "-": "removed", "@": "hunk", " ": ""}
_FRAME = 1 / 15
_SHORT = 50  # cells of two facts up to which they stand in one row


class DiffView(Sideways):
    """The facts that differ, then the diff by lines."""

    DEFAULT_CSS = """
    DiffView {
        & > .lines--number { color: $text-dim; }
        & > .lines--hunk { color: $primary; }
        & > .lines--label { color: $foreground 60%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--number", "lines--hunk", "lines--label"}

    def __init__(self) -> None:
        super().__init__("diff")
        self._facts: list[tuple[str, str, str]] = []
        self._changes: tuple[Change, ...] = ()
        self._digits = 3
        self._widest = 0

    @property
    def row_count(self) -> int:
        return len(self._facts) + len(self._changes)

    @property
    def widest(self) -> int:
        return self._widest

    def show(self, diff: FileDiff) -> None:
        """A diff; the note is for whoever shows it."""
        self._facts = []
        for what, old, new in diff.facts:
            if old != new and cell_len(old) + cell_len(new) > _SHORT:
                self._facts += [(what, old, ""), ("", "", new)]
            else:
                self._facts.append((what, old, new))
        self._changes = diff.changes
        self._digits = max(len(str(max((max(item.old, item.new) for item in diff.changes), default=0))), 3)
        longest = max((len(item.text) for item in diff.changes), default=0)
        self._widest = 4 * min(longest, _LONG)
        self.changed(0)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        if number < len(self._facts):
            what, old, new = self._facts[number]
            pieces: list[Piece] = [(fit(what, 18), "label")]
            if old:
                pieces += [("− ", "removed"), (old, "removed" if old != new else "")]
            if new:
                pieces += [("  " if old else "", ""), ("+ ", "added"), (new, "added" if old != new else "")]
            if old == new:
                pieces = [pieces[0], ("= ", ""), (old, "")]
            return cut(moved(pieces, self.left), width)
        change = self._changes[number - len(self._facts)]
        text = shown(change.text[:_LONG].decode("utf-8", "surrogateescape"), 0)
        if len(change.text) > _LONG:
            text += f"… {len(change.text) - _LONG:,} bytes more"
        style = _STYLES[change.sign]
        if change.sign == "@":
            return [(fit(text, width), style)]
        places = "".join(f"{line or '':>{self._digits}} " for line in (change.old, change.new))
        sign = "−" if change.sign == "-" else change.sign
        line = cut(moved([(text, style)], self.left), width - len(places) - 2)
        return [(places, "number"), (f"{sign} ", style), *line]

    def next_hunk(self, step: int) -> bool:
        """Go to the next hunk, or the one before; False where there is none."""
        heads = [place for place, item in enumerate(self._changes, len(self._facts)) if item.sign == "@"]
        found = [place for place in heads if (place > self.cursor if step > 0 else place < self.cursor)]
        if found:
            self.cursor = found[0 if step > 0 else -1]
            # what follows it is to be seen, too
            self.scroll_to(y=max(self.cursor - 2, 0), animate=False, immediate=True)
        return bool(found)


class DiffScreen(Screen[None]):
    """Two versions, of one image or of two: None where one of both has no such file."""

    DEFAULT_CSS = """
    DiffScreen {
        #diff-note { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
        DiffView { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "hunk(1)", "next change", id="diff.next", tooltip="To the next change"),
        Binding("N", "hunk(-1)", "change before", id="diff.before", tooltip="To the change before"),
        Binding("escape,q,D", "close", "close", id="diff.close", tooltip="Stop comparing, close"),
    ]

    @dataclass
    class Came(Message):
        """So many bytes were read."""

        done: int

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, DiffScreen.Came)

    def __init__(self, path: bytes, old: Side | None, new: Side | None) -> None:
        """`path` as in `LayerIndex`."""
        super().__init__()
        self._path = path
        self._old = old
        self._new = new
        self._job = Job(self._report)
        self._last = 0.0
        self.diff: FileDiff | None = None  # once it is known

    @classmethod
    def against_below(cls, source: Source, analysis: Analysis, version: int) -> DiffScreen:
        """A version of a path against what the layers below have there; of a removal what it removes."""
        overlay = analysis.overlay
        old = side(source, analysis, below(overlay, version))
        new = side(source, analysis, version)
        if overlay.entry[version] == REMOVED and old is not None:
            old = old._replace(label=f"layer {overlay.layer[old.version]}")
        return cls(overlay.path(overlay.node[version]), old, new)

    def compose(self) -> ComposeResult:
        yield DiffView()
        yield Static("", id="diff-note", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        view = self.query_one(DiffView)
        labels = " → ".join(clean(item.label) for item in (self._old, self._new) if item is not None)
        view.set_title("diff", path_text(self._path), labels)
        cheap = all(item is None or item.source.cheap for item in (self._old, self._new))
        view.set_note(f"{'comparing' if cheap else 'waiting for the engine'} …\nesc cancels")
        view.focus()
        self.run_worker(self._compare())

    def _report(self, done: int, total: int | None) -> None:
        if (now := time.monotonic()) - self._last >= _FRAME:
            self._last = now
            self.post_message(self.Came(done))

    @on(Came)
    def _came(self, message: Came) -> None:
        if self.diff is None:
            self.query_one(DiffView).set_note(f"comparing, {size_text(message.done)} read …\nesc cancels")

    async def _compare(self) -> None:
        with suppress(CancelledError):
            self.diff = diff = await in_thread(partial(compare, self._old, self._new, self._job))
            view = self.query_one(DiffView)
            view.set_note(clean(diff.note) or "nothing differs")
            view.show(diff)
            if view.row_count:
                self.query_one("#diff-note", Static).update(clean(diff.note))

    def action_hunk(self, step: int) -> None:
        if not self.query_one(DiffView).next_hunk(step) and self.diff is not None:
            self.notify("There is no other change that way.", markup=False)

    def action_close(self) -> None:
        self._job.cancel()
        self.dismiss(None)

    def on_unmount(self) -> None:
        self._job.cancel()
