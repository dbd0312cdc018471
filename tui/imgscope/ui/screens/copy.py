"""What to copy of what is under the cursor: shown, then put into the terminal's clipboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from imgscope.text import clean
from imgscope.ui.widgets.lines import Lines, Piece, fit

_LONG = 1000  # characters of a text that are shown: more than a row takes

Copies = Sequence[tuple[str, str]]  # what it is, and the text


def copy_one(app: App[Any], copies: Copies) -> None:
    """Copy the one text there is, or ask which."""
    if not copies:
        app.notify("There is nothing to copy here.", severity="warning", markup=False)
    elif len(copies) == 1:
        copy_text(app, copies[0][1])
    else:
        app.push_screen(CopyScreen(copies))


def copy_text(app: App[Any], text: str) -> None:
    """Put a text into the clipboard of the terminal (OSC 52), and show it: not all terminals take it.

    Characters that would act when they are pasted, such as line breaks, come as they are shown.
    """
    text = clean(text)
    app.copy_to_clipboard(text)
    app.notify(text, title="copied, where the terminal allows it", markup=False, timeout=8)


class CopyTable(Lines):
    """One row per text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "select", "copy", id="copy.take", tooltip="Copy the text under the cursor"),
    ]

    def __init__(self, copies: Copies) -> None:
        super().__init__("copy")
        self._copies = copies
        self.set_title("copy")

    @property
    def row_count(self) -> int:
        return len(self._copies)

    def copies(self) -> Copies:
        return self._copies[self.cursor : self.cursor + 1]

    def row(self, number: int, width: int) -> Iterable[Piece]:
        what, text = self._copies[number]
        yield fit(clean(what[:_LONG]), 12), "dim"
        yield fit(clean(text[:_LONG]), max(width - 12, 1)), ""


class CopyScreen(ModalScreen[None]):
    """Asks which of several texts is meant: `y` again takes the first."""

    DEFAULT_CSS = """
    CopyScreen {
        align: center middle;
        Vertical { width: 100; max-width: 96%; height: auto; max-height: 80%; padding: 1; }
        Vertical { background: $surface; }
        CopyTable { height: auto; background: $surface; }
        Static { color: $text-muted; background: $surface; padding: 1 1 0 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "close", id="copy.close", tooltip="Copy nothing"),
    ]

    def __init__(self, copies: Copies) -> None:
        super().__init__()
        self._table = CopyTable(copies)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self._table
            yield Static("enter or y copies  ·  esc closes", markup=False)

    def on_mount(self) -> None:
        self._table.changed(0)
        self._table.focus()

    def on_lines_selected(self) -> None:
        (_, text), *_ = self._table.copies()
        self.dismiss()
        copy_text(self.app, text)
