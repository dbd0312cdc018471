"""The terminal application: themes, screens, the way out."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from imgscope.errors import UsageError
from imgscope.images.model import Platform
from imgscope.sources.base import Source
from imgscope.text import clean
from imgscope.ui import loader
from imgscope.ui.screens.main import MainScreen
from imgscope.ui.theme import DEFAULT, bundled_themes, variable_defaults

SWITCH = 0.0005  # seconds that a working thread computes on while the screen wants to: a key needs many turns
_PLAIN = ("move", "page", "jump", "fold(", "select", "quit", "command_palette", "interrupt")


class ImgscopeApp(App[None]):
    """One screen, opened on a reference or on all that the engine has."""

    CSS_PATH = "app.tcss"
    TITLE = "imgscope"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", id="help", tooltip="All keys"),
        Binding("q", "quit", "quit", id="quit", tooltip="Leave imgscope"),
        Binding("ctrl+c", "interrupt", "Interrupt", show=False, priority=True, system=True, id="interrupt"),
    ]

    def __init__(
        self,
        reference: str = "",
        platform: Platform | None = None,
        opened: Callable[[], Source] | None = None,
    ) -> None:
        super().__init__()
        self._first_screen = partial(MainScreen, reference, platform, opened)
        self.failure = ""  # why the app had to end, in one sentence
        for theme in bundled_themes().values():
            self.register_theme(theme)
        wanted = os.environ.get("TEXTUAL_THEME") or DEFAULT
        if wanted not in self.available_themes:
            there = ", ".join(sorted(self.available_themes))
            raise UsageError(f"TEXTUAL_THEME names no theme that is there; choose one of {there}.")
        self.theme = wanted

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def get_default_screen(self) -> MainScreen:
        return self._first_screen()

    def fail(self, text: str) -> None:
        """Leave, and say why once the terminal is as it was."""
        self.failure = text
        self.exit(return_code=2)

    def on_key(self, event: events.Key) -> None:
        """A letter that was typed before the line it is meant for had the focus is text, and no key."""
        insert = getattr(self.focused, "insert_text_at_cursor", None)
        if insert is not None and event.is_printable and event.character:
            insert(event.character)
            event.prevent_default()

    def action_interrupt(self) -> None:
        """What ctrl+c means on a command line."""
        self.exit(return_code=130)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every key of where one is, with what it does, beside Textual's own commands."""
        for _, (namespace, binding, enabled, tooltip) in sorted(screen.active_bindings.items()):
            if enabled and (binding.tooltip or tooltip) and not binding.action.startswith(_PLAIN):
                action = partial(self.run_action, binding.action, namespace)
                title = f"{binding.description[:1].upper()}{binding.description[1:]}"
                yield SystemCommand(title, f"{binding.tooltip or tooltip} · {binding.key}", action)
        yield from super().get_system_commands(screen)

    def action_help(self) -> None:
        from imgscope.ui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))


def run(reference: str, platform: Platform | None, opened: Callable[[], Source] | None = None) -> int:
    """Open the screen; gives the exit status: 2 and a sentence where the source cannot be opened.

    `opened` gives the source where it is being opened already.
    """
    gc.freeze()  # what is loaded stays: no search for unused objects looks at it again
    app = ImgscopeApp(reference, platform, opened)
    sys.setswitchinterval(SWITCH)
    try:
        app.run()
    finally:
        # A signal ends it without Textual's own way out. Its thread that reads the terminal would go on, at
        # full speed where the terminal was closed, and the interpreter waits for it.
        if (ended := getattr(app._driver, "exit_event", None)) is not None:
            ended.set()
    loader.finish(1)
    if app.failure:
        print(f"imgscope: {clean(app.failure)}", file=sys.stderr)
        return 2
    return app.return_code or 0
