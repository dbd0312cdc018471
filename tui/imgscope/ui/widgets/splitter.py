"""Borders between panes that can be dragged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class Border(Widget):
    """Mixed into what can be dragged: the whole widget, or the part of it that `grips` says."""

    border_name: ClassVar[str] = ""

    @dataclass
    class Dragged(Message):
        """The border is wanted at a place on the screen."""

        border: str
        x: int
        y: int

    @dataclass
    class Reset(Message):
        """The border is wanted where it was at first."""

        border: str

    def grips(self, event: events.MouseEvent) -> bool:
        """Whether the mouse takes hold of the border here."""
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self.border_name and self.grips(event):
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.border_name and self.app.mouse_captured is self:
            self.post_message(self.Dragged(self.border_name, round(event.screen_x), round(event.screen_y)))

    def on_mouse_up(self) -> None:
        if self.border_name:
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if self.border_name and event.chain == 2 and self.grips(event):
            self.post_message(self.Reset(self.border_name))


class Splitter(Border):
    """A column between two panes."""

    DEFAULT_CSS = """
    Splitter {
        width: 1;
        background: $background;

        & > .splitter--line { color: $foreground 20%; }
        & > .splitter--hover { color: $primary; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"splitter--line", "splitter--hover"}
    border_name = "layers"

    def render_line(self, y: int) -> Strip:
        style = "hover" if self.mouse_hover or self.app.mouse_captured is self else "line"
        return Strip([Segment("│" if y else "┬", self.get_component_rich_style(f"splitter--{style}"))])

    def on_enter(self) -> None:
        self.refresh()

    def on_leave(self) -> None:
        self.refresh()
