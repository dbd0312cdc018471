"""The line of keys at the foot of a screen."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

MOST = 8  # keys that a place may show; the help lists all


class KeyBar(Footer):
    """The keys most wanted where one is. Where there is no room for all, the last ones go; help stays."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        room = self.app.size.width - sum(_width(key) for key in keys if key.action.endswith("help"))
        full = False
        for key in keys:
            if not key.action.endswith("help"):
                room -= _width(key)
                full = full or room < 0
                if full:
                    continue
            yield key

    def on_resize(self) -> None:
        self.call_after_refresh(self.recompose)


def _width(key: FooterKey) -> int:
    """Cells: a blank on both sides of the key, one behind its word."""
    return cell_len(key.key_display) + cell_len(key.description) + 3
