"""Where a path comes from, in this image; and which images here have it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from imgscope.analysis import Analysis, Indexes
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.overlay import State
from imgscope.layers.search import Pattern
from imgscope.layers.whereabouts import Holder, Stop, Trace
from imgscope.text import clean, path_text, size_text
from imgscope.ui import finding, messages
from imgscope.ui.loader import in_thread
from imgscope.ui.widgets.explorer import Place
from imgscope.ui.widgets.filecolumns import SIGNS
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Lines, Piece, bar_cells, fit, fit_end, size_bar

_MOST = 2000  # rows that are shown; all are counted
_LONG = 1000  # bytes of a path that are looked at: more than any screen is wide
_SIGNS = {**SIGNS, State.UNCHANGED: ("=", "metadata")}  # stored again, the same


class Row(NamedTuple):
    """One row: an image, a path, or what one layer did to it."""

    image: Image
    trace: Trace | None = None
    stop: Stop | None = None


class Whereabouts(Lines):
    """What was found: a path, then each layer that touched it; of many images, each with its paths."""

    def __init__(self) -> None:
        super().__init__("found")
        self.rows: list[Row] = []
        self.paths = 0  # found, shown or not
        self.images = 0
        self._most = 0  # bytes of the largest copy

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def clear(self, note: str) -> None:
        """Nothing found, and why."""
        self.rows.clear()
        self.paths = self.images = self._most = 0
        self.note = note
        self.set_title("found")
        self.changed(0)

    def add(self, image: Image, traces: Sequence[Trace], *, head: bool) -> None:
        """The paths of one more image; with `head` below a row for it."""
        self.images += 1
        self.paths += len(traces)
        if len(self.rows) < _MOST and head:
            self.rows.append(Row(image))
        for trace in traces:
            if len(self.rows) >= _MOST:
                break
            self.rows.append(Row(image, trace))
            self.rows += (Row(image, trace, stop) for stop in trace.stops)
            self._most = max(self._most, *(stop.size or 0 for stop in trace.stops))
        self.changed()

    def place(self) -> Place | None:
        """What is under the cursor: for a path, the layer that has it last."""
        if not self.rows:
            return None
        row = self.rows[self.cursor]
        if row.trace is None:
            row = self.rows[self.cursor + 1]
        assert row.trace is not None
        stop = row.stop or row.trace.stops[-1]
        return Place(row.image, stop.layer, row.trace.path)

    def copies(self) -> Sequence[tuple[str, str]]:
        place = self.place()
        if place is None:
            return ()
        return (("path", "/" + os.fsdecode(place.path)), ("image", place.image.name))

    def row(self, number: int, width: int) -> Iterable[Piece]:
        image, trace, stop = self.rows[number]
        if trace is None:
            yield fit(clean(image.name), width), "strong"
        elif stop is None:
            last = trace.stops[-1]
            text = f"  {size_text(last.size)}" if trace.there else "  not in the image"
            yield fit_end(path_text(trace.path[-_LONG:]), max(width - len(text), 1)), ""
            yield text, "dim" if trace.there else "removed"
        else:
            sign, style = _SIGNS[stop.state]
            dead = " dead" if stop.dead else " " * 5
            size = fit(size_text(stop.size), 8, right=True) if stop.size else " " * 8
            what = fit(stop.verb, 26)
            room = max(width - 47 - bar_cells(width), 0)
            yield f"  layer {stop.layer:<3} ", "dim"
            yield f"{sign} {what}", style
            yield size_bar(stop.size, self._most, width)
            yield size, "removed" if stop.state == State.REMOVED else ""
            yield dead, "dead"
            yield fit("  " + _made_by(image, stop.layer), room), "dim"


def _made_by(image: Image, layer: int) -> str:
    step = image.layers[layer - 1].history
    return clean(one_line(instruction(step))[:_LONG]) if step else ""


class FindScreen(Screen[Place | None]):
    """A line to type in, and what it finds. Gives the place to go to."""

    DEFAULT_CSS = """
    FindScreen {
        #find-head { height: 1; padding: 0 1; color: $text-muted; }
        #find-line { height: 1; padding: 0 1; }
        #find-sign { width: 6; color: $primary; text-style: bold; }
        #find-text { width: 1fr; background: $background; }
        Whereabouts { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", id="find.close", tooltip="Back to the images"),
        Binding("enter", "go", "go there", priority=True, id="find.go", tooltip="To the layer and the path"),
        Binding("tab", "scope", "this image / all images", priority=True, id="find.scope"),
        Binding("up", "move(-1)", "Up", show=False, id="find.up"),
        Binding("down", "move(1)", "Down", show=False, id="find.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="find.page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="find.page-down"),
    ]

    def __init__(
        self, analysis: Analysis | None, images: Sequence[Image], indexes: Indexes, text: str = ""
    ) -> None:
        """`analysis` is of the image shown, if one was read."""
        super().__init__()
        self._analysis = analysis
        self._images = images
        self._indexes = indexes
        self._text = text
        self._all = analysis is None
        self._job = Job()

    def compose(self) -> ComposeResult:
        yield Static("", id="find-head", markup=False)
        with Horizontal(id="find-line"):
            yield Static("find", id="find-sign")
            yield Input(self._text, compact=True, id="find-text", select_on_focus=True)
        yield Whereabouts()
        yield KeyBar()

    def on_mount(self) -> None:
        self._found = self.query_one(Whereabouts)
        self.query_one(Input).focus()
        self._look()

    def _look(self) -> None:
        """Look for what is typed, and for nothing else any more."""
        self._job.cancel()
        self._job = job = Job()
        analysis, images, indexes, text = self._analysis, self._images, self._indexes, self._text
        where = "all images" if self._all or analysis is None else clean(analysis.image.name)[:_LONG]
        self.query_one("#find-head", Static).update(Content(f"looking in {where}"))
        if not text:
            self._found.clear(
                "a part of a name, a path as /etc/passwd, a glob as *.so.3, or ~ and a regex\n"
                "each layer that stored, changed or removed it is told"
            )
            return
        pattern, post = Pattern(text), self.post_message
        if pattern.error:
            self._found.clear(pattern.error)
            return
        self._found.clear("looking …")
        if self._all or analysis is None:
            work = in_thread(lambda: finding.find_holders(images, indexes, pattern, post, job))
        else:
            work = in_thread(lambda: finding.find_traces(analysis, pattern, post, job))
        self.run_worker(work)

    @on(messages.TracesFound)
    def _traces_found(self, message: messages.TracesFound) -> None:
        if message.job is self._job and self._analysis is not None:
            self._found.add(self._analysis.image, message.traces, head=False)
            self._ended("no layer of this image has it; tab looks in all images")

    @on(messages.HolderFound)
    def _holder_found(self, message: messages.HolderFound) -> None:
        if message.job is self._job:
            holder: Holder = message.holder
            self._found.add(holder.image, holder.traces, head=True)

    @on(messages.SearchEnded)
    def _search_ended(self, message: messages.SearchEnded) -> None:
        if message.job is self._job and message.error:
            self._found.clear(message.error)
        elif message.job is self._job:
            searched = len(self._images) - message.unknown
            more = f"{message.unknown} of {len(self._images)} images not read yet" if message.unknown else ""
            self._ended(f"none of {searched} images has it", more)

    def _ended(self, none: str, more: str = "") -> None:
        found = self._found
        paths = f"{found.paths:,} path{'' if found.paths == 1 else 's'}"
        images = f" in {found.images:,} image{'' if found.images == 1 else 's'}" if self._all else ""
        first = "; the first are shown" if len(found.rows) >= _MOST else ""
        found.note = f"{none}\n{more}"
        found.set_title("found", *([paths + images + first] if found.rows else []), *([more] if more else []))
        found.refresh()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        if event.value != self._text:
            self._text = event.value
            self._look()

    def on_lines_selected(self) -> None:
        self.action_go()

    def action_go(self) -> None:
        if (place := self._found.place()) is not None:
            self.dismiss(place)

    def action_scope(self) -> None:
        if self._analysis is not None:
            self._all = not self._all
            self._look()

    def action_move(self, rows: int) -> None:
        self._found.action_move(rows)

    def action_page(self, pages: int) -> None:
        self._found.action_page(pages)

    def action_close(self) -> None:
        self.dismiss(None)

    def on_unmount(self) -> None:
        self._job.cancel()
