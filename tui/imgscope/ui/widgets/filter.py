"""The line in which a person types what to look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from imgscope.ui.widgets.lines import Lines

_HELP = "a part, a glob (*.so), a path (/etc/) or ~regex"


class Entry(Input):
    """The text itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "keep", id="filter.keep", tooltip="Back to the tree, filtered"),
    ]


class FilterLine(Horizontal):
    """One line above the footer. The keys that move, move in the pane that is filtered.

    It ends where enter, tab or esc say so, and goes away as soon as something else has the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "tab,shift+tab",
            "end(True)",
            "Keep",
            show=False,
            id="filter.tab",
            tooltip="Back to the tree, filtered",
        ),
        Binding("escape", "end(False)", "clear", id="filter.clear", tooltip="All again"),
        Binding("up", "move(-1)", "Up", show=False, id="filter.up"),
        Binding("down", "move(1)", "Down", show=False, id="filter.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="filter.page-up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="filter.page-down"),
    ]

    @dataclass
    class Typed(Message):
        """The text is another one."""

        pane: Lines
        text: str

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, FilterLine.Typed) and message.pane is self.pane

    @dataclass
    class Ended(Message):
        """The person is done; the filter stays where `keep`."""

        pane: Lines
        keep: bool

    def __init__(self, pane: Lines, name: str = "filter") -> None:
        super().__init__(id=name)
        self.pane = pane

    def compose(self) -> ComposeResult:
        yield Static("/", id="filter-sign")
        yield Entry(compact=True, id="filter-text", select_on_focus=False)
        yield Static(_HELP, id="filter-note", markup=False)

    def open(self, text: str) -> None:
        """Let the person type, after what is there."""
        self.display = True
        entry = self.query_one(Input)
        entry.value = text
        entry.action_end()
        self.screen.set_focus(entry)  # at once: `focus` would come after the keys that are waiting

    def tell(self, note: str) -> None:
        """What the text means and what it finds; empty: how it is used."""
        self.query_one("#filter-note", Static).update(Content(note or _HELP))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.pane, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_end(True)

    def on_descendant_blur(self) -> None:
        self.call_later(self._leave)  # who has the focus next is not known yet

    def _leave(self) -> None:
        """Hide after a click elsewhere; not where another window or screen is before this one."""
        if (
            self.display
            and self.app.app_focus
            and self.app.screen is self.screen
            and not self.has_focus_within
        ):
            self.display = False

    def action_end(self, keep: bool) -> None:
        self.display = False
        self.post_message(self.Ended(self.pane, keep))

    def action_move(self, rows: int) -> None:
        self.pane.action_move(rows)

    def action_page(self, pages: int) -> None:
        self.pane.action_page(pages)
