"""The terminal application: themes, screens, the way out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen

from imgscope import config
from imgscope.images.model import Platform
from imgscope.plain import speaks_unicode
from imgscope.sources.base import Source
from imgscope.text import clean
from imgscope.ui import loader
from imgscope.ui.screens.main import MainScreen
from imgscope.ui.theme import Themes, variable_defaults

SWITCH = 0.0005  # seconds that a working thread computes on while the screen wants to: a key needs many turns
_LONG = 400  # characters of a note; its end is cut
_PLAIN = ("move", "page", "jump", "fold(", "select", "quit", "command_palette", "interrupt")


class ImgscopeApp(App[None]):
    """One screen, opened on a reference or on all that the engine has."""

    CSS_PATH = "app.tcss"
    CSS = """
    /* where tints are not seen, a dialog is told from what is behind it by a line */
    .-few-colours ModalScreen > Vertical, .-few-colours ModalScreen > VerticalScroll {
        border: round $foreground !important;
    }
    """
    TITLE = "imgscope"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "help", "help", id="help", tooltip="All keys"),
        Binding(
            "f2", "change_theme", "theme", show=False, id="theme", tooltip="Try the themes, and keep one"
        ),
        Binding("q", "quit", "quit", id="quit", tooltip="Leave imgscope"),
        Binding("ctrl+c", "interrupt", "Interrupt", show=False, priority=True, system=True, id="interrupt"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "Suspend",
            show=False,
            priority=True,
            system=True,
            id="suspend",
            tooltip="Back to the shell; fg returns",
        ),
    ]

    def __init__(
        self,
        reference: str = "",
        platform: Platform | None = None,
        opened: Callable[[], Source] | None = None,
        theme: str = "",
    ) -> None:
        """`theme` is the one that the command line names. Raises `UsageError` for what the person set."""
        super().__init__()
        self._first_screen = partial(MainScreen, reference, platform, opened)
        self.failure = ""  # why the app had to end, in one sentence
        self.themes = Themes.find()
        for found in self.themes.by_name.values():
            self.register_theme(found)
        # TEXTUAL_THEME is named already, by Textual, which had no such theme then and drew another
        self.set_reactive(App.theme, "")
        self.theme, _ = self.themes.choose(theme)
        document = config.read()
        self.settings = config.parse(document) if document is not None else config.Config()
        self.set_class(self.few_colours, "-few-colours")
        self._keys: dict[str, str] = {}
        if document is not None and self.settings.keymap:
            from imgscope.ui.keymap import check

            self._keys = check(
                self.settings.keymap, lambda name, says: document.error(f"keymap.{name}", says)
            )
        self._ascii = config.is_ascii() or not speaks_unicode(sys.__stderr__)  # where Textual draws
        if self._ascii:
            from imgscope.ui.plain import Ascii

            self._filters.append(Ascii())

    def on_mount(self) -> None:
        if self._keys:
            self.set_keymap(self._keys)

    def on_ready(self) -> None:
        """There is a screen that can show notes."""
        for problem in self.themes.problems:
            self.notify(clean(problem), severity="warning", markup=False, timeout=15)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """A word in a corner, cut where it would fill the screen.

        What is said may hold a name or a value from an image, as long as that likes.
        """
        text = message if len(message) <= _LONG else f"{message[:_LONG]}…"
        super().notify(text, title=title, severity=severity, timeout=timeout, markup=markup)

    @property
    def few_colours(self) -> bool:
        """Whether a tint may not be seen: 16 colours or none (NO_COLOR)."""
        return self.no_color or self.console.color_system in (None, "standard")

    def get_key_display(self, binding: Binding) -> str:
        """Keys whose signs are not ASCII go by their names where only that is drawn."""
        sign = super().get_key_display(binding)
        return binding.key if self._ascii and not sign.isascii() else sign

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def get_css_variables(self) -> dict[str, str]:
        """With few colours the cursor is told by reversing its row."""
        variables = super().get_css_variables()
        if hasattr(self, "console") and self.few_colours:  # Textual asks before it has one
            ground = variables["background"]
            variables |= dict.fromkeys(("row-cursor", "row-cursor-blurred"), ground)
            variables |= dict.fromkeys(("row-cursor-style", "block-cursor-text-style"), "reverse")
            variables["row-cursor-blurred-style"] = "underline"
        return variables

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
        """Every key of where one is, what it does and docker's command for it, and Textual's own."""
        for _, (namespace, binding, enabled, tooltip) in sorted(screen.active_bindings.items()):
            if enabled and (binding.tooltip or tooltip) and not binding.action.startswith(_PLAIN):
                action = partial(self.run_action, binding.action, namespace)
                title = f"{binding.description[:1].upper()}{binding.description[1:]}"
                text = tooltip or binding.tooltip
                if (docker := text.find("docker ")) >= 0:  # so that it is found by it
                    title += f" ({text[docker:]})"
                yield SystemCommand(title, f"{text} · {self.get_key_display(binding)}", action)
        yield from super().get_system_commands(screen)

    def action_change_theme(self) -> None:
        """The list of themes; the command palette's own command comes here, too."""
        from imgscope.ui.screens.themes import ThemesScreen

        self.push_screen(ThemesScreen(self.themes))

    def action_help(self) -> None:
        from imgscope.ui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))


def run(
    reference: str,
    platform: Platform | None,
    opened: Callable[[], Source] | None = None,
    theme: str = "",
) -> int:
    """Open the screen; gives the exit status: 2 and a sentence where the source cannot be opened.

    `opened` gives the source where it is being opened already, `theme` is the one that is asked for.
    """
    gc.freeze()  # what is loaded stays: no search for unused objects looks at it again
    app = ImgscopeApp(reference, platform, opened, theme)
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
