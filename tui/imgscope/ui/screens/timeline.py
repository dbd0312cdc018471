"""The layers of an image by age, and which of them came with its bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from imgscope import text
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Image
from imgscope.images.timeline import Moment, Timeline
from imgscope.text import clean, size_text, span_text
from imgscope.ui.widgets.explorer import Place
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Lines, fit
from imgscope.ui.widgets.timeline import TimelineTable

_LONG = 1000  # characters of a text that are kept: more than any screen is wide


class TimelineScreen(Screen[Place | None]):
    """Gives the layer to go to, if one was picked."""

    DEFAULT_CSS = """
    TimelineScreen {
        TimelineTable { height: 1fr; }
        #moment { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        #step { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "close", id="timeline.close", tooltip="Back to the images"),
    ]

    def __init__(self, image: Image, layer: int, found: Timeline, sizes: Mapping[int, int]) -> None:
        """`layer` is the number of the one to start on, `sizes` are bytes by number."""
        super().__init__()
        self._image = image
        self._layer = layer
        self._table = TimelineTable(found, sizes)

    def compose(self) -> ComposeResult:
        yield self._table
        yield Static("", id="moment", markup=False)
        yield Static("", id="step", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        table, found = self._table, self._table.found
        parts = ["timeline", clean(self._image.name)[:_LONG]]
        if (ends := found.ends) is not None:
            parts.append(f"{span_text(ends[1] - ends[0], months=False)} from first to last")
        if found.undated:
            parts.append(f"{found.undated} without a date (1970, or none)")
        if found.base:
            parts.append(f"from {clean(found.base)[:_LONG]} (its label)")
        table.set_title(*parts)
        table.changed()
        table.go(self._layer)
        table.focus()
        self._tell()

    @on(Lines.Highlighted)
    def _tell(self) -> None:
        """All of the layer under the cursor that its row may have no room for."""
        moment = self._table.moment
        texts = (_moment_text(moment, self._table.sizes), _step_text(moment)) if moment else ("", "")
        for name, line in zip(("#moment", "#step"), texts, strict=True):
            self.query_one(name, Static).update(Content(fit(line, max(self.size.width - 2, 1))))

    @on(Lines.Selected)
    def _selected(self) -> None:
        if (moment := self._table.moment) is not None:
            self.dismiss(Place(self._image, moment.layer.index, b""))

    def on_resize(self) -> None:
        self._tell()

    def action_close(self) -> None:
        self.dismiss(None)


def _moment_text(moment: Moment, sizes: Mapping[int, int]) -> str:
    parts = [f"layer {moment.layer.index}"]
    if moment.created is None:
        parts.append("no date: builds that are to be reproducible leave it out")
    else:
        age = span_text(text.today() - moment.created)
        parts += [f"{moment.created:%Y-%m-%d %H:%M:%S} UTC", f"{age} ago"]
    parts.append(size_text(sizes.get(moment.layer.index)))
    return " · ".join(parts)


def _step_text(moment: Moment) -> str:
    step = moment.layer.history
    return clean(one_line(instruction(step))[:_LONG]) if step else "(no instruction recorded)"
