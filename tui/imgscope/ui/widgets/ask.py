"""One line in which a person types an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static


class AskLine(Horizontal):
    """Hidden until it is opened. `sign` tells what is asked: / a word to find, : a line to go to."""

    DEFAULT_CSS = """
    AskLine {
        display: none;
        height: 1;
        padding: 0 1;
        background: $background;

        #ask-sign { width: auto; color: $primary; text-style: bold; }
        #ask-text { width: 1fr; min-width: 10; background: $background; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "end(False)", "cancel", id="ask.cancel", tooltip="Back, as it was"),
        Binding("tab,shift+tab", "end(True)", "keep", show=False, id="ask.keep", tooltip="Back to the text"),
    ]

    @dataclass
    class Typed(Message):
        """The text is another one."""

        sign: str
        text: str

    @dataclass
    class Ended(Message):
        """The person is done, and means it where `keep`."""

        sign: str
        text: str
        keep: bool

    def __init__(self) -> None:
        super().__init__()
        self.sign = "/"

    def compose(self) -> ComposeResult:
        yield Static("/", id="ask-sign", markup=False)
        yield Input(compact=True, id="ask-text", select_on_focus=False)

    def open(self, sign: str, text: str = "") -> None:
        """Let the person type, after what is there."""
        self.sign = sign
        self.query_one("#ask-sign", Static).update(sign)
        self.display = True
        entry = self.query_one(Input)
        entry.value = text
        entry.action_end()
        self.screen.set_focus(entry)  # at once: `focus` would come after the keys that are waiting

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self.post_message(self.Typed(self.sign, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_end(True)

    def action_end(self, keep: bool) -> None:
        self.display = False
        self.post_message(self.Ended(self.sign, self.query_one(Input).value, keep))
