"""The themes, each tried on the whole screen while the cursor is on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from imgscope.config import read, remember
from imgscope.errors import UsageError
from imgscope.text import clean
from imgscope.ui.theme import Themes
from imgscope.ui.widgets.lines import Lines, Piece, fit

_CALM = 0.05  # seconds on one theme before it is drawn: a held key runs through the list
_NAMES = 24  # cells


class ThemeLines(Lines):
    """One row per theme: the name, dark or light, where it comes from."""

    def __init__(self, themes: Themes, now: str) -> None:
        super().__init__("theme-lines")
        self._themes, self._now = themes, now
        self.names = sorted(
            themes.by_name, key=lambda name: (themes.origins[name] == "textual", not self._dark(name), name)
        )
        self.title = ("themes", f"{len(self.names)}")

    def _dark(self, name: str) -> bool:
        return self._themes.by_name[name].dark

    @property
    def row_count(self) -> int:
        return len(self.names)

    def head(self, width: int) -> str:
        return f"  {fit('name', _NAMES)} {'':5}  from"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        name = self.names[number]
        origin = self._themes.origins[name]
        yield "▸ " if name == self._now else "  ", "bar"
        yield fit(clean(name), _NAMES), "strong" if name == self._now else ""
        yield " dark " if self._dark(name) else " light", "dim"
        yield fit(f"  {origin if origin in ('textual', 'imgscope') else 'you'}", 12), "dim"


class ThemesScreen(ModalScreen[None]):
    """Moving tries a theme, enter keeps it for this run and the next ones, esc takes the one before."""

    DEFAULT_CSS = """
    ThemesScreen { align: right top; background: $background 0%; }
    #themes {
        width: 50;
        max-width: 100%;
        height: 100%;
        max-height: 36;
        padding: 1 2;
        background: $surface;

        ThemeLines { height: 1fr; background: $surface; }
        #themes-keys { height: auto; margin-top: 1; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f2", "leave", "as before", id="theme.leave", tooltip="The theme that was"),
    ]

    def __init__(self, themes: Themes) -> None:
        super().__init__()
        self._themes = themes
        self._before = self.app.theme
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="themes"):
            yield ThemeLines(self._themes, self._before)
            yield Static("enter keeps it   esc takes the one before", id="themes-keys", markup=False)

    def on_mount(self) -> None:
        lines = self.query_one(ThemeLines)
        lines.focus()
        lines.changed(lines.names.index(self._before))

    @on(Lines.Highlighted)
    def _try(self, message: Lines.Highlighted) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_CALM, self._draw)

    def _draw(self) -> None:
        lines = self.query_one(ThemeLines)
        self.app.theme = lines.names[lines.cursor]

    @on(Lines.Selected)
    def _keep(self) -> None:
        self._draw()
        name = self.app.theme
        if not remember("theme", name):
            self._say(f"{name} counts for this run; the state folder cannot be written.")
        elif where := _set_elsewhere(name):
            self._say(
                f'{name} counts for this run; at the next start {where}. There, write theme = "{name}".'
            )
        self.dismiss()

    def _say(self, text: str) -> None:
        self.app.notify(clean(text), markup=False, timeout=12)

    def action_leave(self) -> None:
        self.app.theme = self._before
        self.dismiss()


def _set_elsewhere(name: str) -> str:
    """What will choose another theme at the next start, or nothing."""
    try:
        document = read()
    except UsageError:
        return ""
    if document is None or document.values.get("theme", name) == name:
        return ""
    return f"{document.where('theme')} decides"
