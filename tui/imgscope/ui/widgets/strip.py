"""The line of tabs between the images and what is shown of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from imgscope.ui.widgets.lines import fit
from imgscope.ui.widgets.splitter import Border
from imgscope.ui.widgets.tabs import TABS

_CUTS = (12, 6, 4, 3, 0)  # cells of a tab's name, as there is room


class TabStrip(Border):
    """`[1 Files]  2 Waste  3 Config …`: the tab that is shown stands in brackets. A click shows another.

    It is the border between the images and what is below, too.
    """

    DEFAULT_CSS = """
    TabStrip {
        height: 1;
        background: $background;

        & > .strip--rule { color: $foreground 20%; }
        & > .strip--tab { color: $text-muted; }
        & > .strip--shown { color: $primary; text-style: bold; }
        & > .strip--hover { color: $foreground; text-style: underline; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"strip--rule", "strip--tab", "strip--shown", "strip--hover"}

    border_name = "images"
    shown: reactive[str] = reactive(TABS[0])
    hovered: reactive[str] = reactive("")

    @dataclass
    class Picked(Message):
        """A tab was clicked."""

        tab: str

    def _names(self) -> Iterator[tuple[str, str]]:
        """The tabs with what is written of each, in at most the width there is."""
        names = list(TABS)
        for cut in _CUTS:
            names = [
                f"{number} {fit(tab.title(), min(cut, len(tab)))}".rstrip()
                for number, tab in enumerate(TABS, 1)
            ]
            if sum(map(len, names)) + 2 * len(names) + 1 <= self.size.width:
                break
        for tab, name in zip(TABS, names, strict=True):
            yield tab, f"[{name}]" if tab == self.shown else f" {name} "

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        segments = [Segment("─", self.get_component_rich_style("strip--rule"))]
        for tab, name in self._names():
            style = "shown" if tab == self.shown else "hover" if tab == self.hovered else "tab"
            segments.append(Segment(name, self.get_component_rich_style(f"strip--{style}")))
        strip = Strip(segments)
        rule = Segment("─" * max(width - strip.cell_length, 0), segments[0].style)
        return Strip([*segments, rule]).adjust_cell_length(width)

    def _at(self, x: int) -> str:
        """The tab in a column, or nothing."""
        end = 1
        for tab, name in self._names():
            start, end = end, end + len(name)
            if start <= x < end:
                return tab
        return ""

    def grips(self, event: events.MouseEvent) -> bool:
        return not self._at(event.x)

    def on_click(self, event: events.Click) -> None:
        if tab := self._at(event.x):
            self.post_message(self.Picked(tab))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self.hovered = self._at(event.x)

    def on_leave(self) -> None:
        self.hovered = ""
