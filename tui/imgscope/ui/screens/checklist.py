"""Lines to tick, and what the ticked ones come to together: the clean-up of one key."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from imgscope.actions.clean import CleanLine, CleanUp
from imgscope.actions.plan import Plan
from imgscope.errors import ImgscopeError
from imgscope.text import clean, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.screens.action import GUARD
from imgscope.ui.widgets.lines import TOP, Lines, Piece, fit


class CleanLines(Lines):
    """One row per line of the plan: ticked or not, how many, bytes, why."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "tick", "tick", id="clean.tick")]

    @dataclass
    class Ticked(Message):
        """Other lines are ticked now."""

    def __init__(self) -> None:
        super().__init__("clean-lines")
        self._lines: tuple[CleanLine, ...] = ()
        self.ticked: set[str] = set()

    @property
    def row_count(self) -> int:
        return len(self._lines)

    def show(self, lines: tuple[CleanLine, ...]) -> None:
        """These lines, ticked as they propose."""
        self._lines = lines
        self.ticked = {line.key for line in lines if line.ticked}
        self.styles.height = len(lines) + TOP
        self.set_title("what can go")
        self.changed(0)

    def action_tick(self) -> None:
        if self._lines:
            self.toggle(self.cursor)

    def toggle(self, number: int) -> None:
        """Tick a line, or not any more; a double click does it, too."""
        self.ticked ^= {self._lines[number].key}
        self.refresh()
        self.post_message(self.Ticked())

    def head(self, width: int) -> str:
        return f"    {'':>5}  {'':<34}{'alone':>9}   why"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        line = self._lines[number]
        yield "[x] " if line.key in self.ticked else "[ ] ", "strong"
        yield f"{len(line.items):>5}  ", "dim"
        yield fit(clean(line.title), 34), ""
        yield fit(size_text(line.bytes), 9, right=True), "" if line.bytes else "dim"
        yield fit(f"   {clean(line.reason)}", max(width - 54, 1)), "dim"


class CleanScreen(ModalScreen[bool]):
    """Everything that can go, line by line. True where the ticked lines are to go."""

    DEFAULT_CSS = """
    CleanScreen { align: center middle; background: $background 60%; }
    #clean {
        width: 110;
        max-width: 100%;
        height: auto;
        max-height: 92%;
        padding: 1 2;
        background: $surface;

        CleanLines { max-height: 16; background: $surface; margin: 1 0; }
        #clean-sum { height: auto; max-height: 12; }
        #clean-keys { height: 1; margin-top: 1; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "cancel", id="clean.leave"),
        Binding("enter", "go", "clean up", id="clean.go", priority=True),
    ]

    @dataclass
    class Looked(Message):
        """The engine was asked."""

        lines: tuple[CleanLine, ...]

    @dataclass
    class Summed(Message):
        """What the ticked lines come to."""

        plan: Plan

    @dataclass
    class Failed(Message):
        """The engine did not answer."""

        text: str

    def __init__(self, action: CleanUp) -> None:
        super().__init__()
        self._action = action
        self._plan: Plan | None = None
        self._shown_at = 0.0

    def compose(self) -> ComposeResult:
        with Vertical(id="clean"):
            yield Static(Content.assemble(("Clean up", "bold $primary")), id="clean-title")
            yield Static("looking what can go …", id="clean-note", markup=False)
            yield CleanLines()
            yield Static("", id="clean-sum", markup=False)
            yield Static("", id="clean-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(CleanLines).display = False
        action = self._action

        def work() -> None:
            try:
                self.post_message(self.Looked(action.lines()))
            except ImgscopeError as error:
                self.post_message(self.Failed(str(error)))

        self.run_worker(in_thread(work))

    @on(Looked)
    def _looked(self, message: Looked) -> None:
        note = self.query_one("#clean-note", Static)
        if not message.lines:
            note.update(Content("There is nothing to clean up."))
            self._keys("esc closes")
            return
        note.update(
            Content("Ticked is what nobody can miss. Bytes are what a line frees alone; layers are shared.")
        )
        self._shown_at = time.monotonic()
        choices = self.query_one(CleanLines)
        choices.display = True
        choices.show(message.lines)
        choices.focus()
        self._keys("space ticks   enter cleans up   esc leaves all as it is")
        self._sum()

    @on(CleanLines.Ticked)
    def _sum(self) -> None:
        plan = self._plan = self._action.plan(self.query_one(CleanLines).ticked)
        pieces: list[str | tuple[str, str]] = [
            (f"{len(plan.deletes):,} things go, ", ""),
            (size_text(plan.frees), "bold"),
            " are freed",
        ]
        named = [line for line in plan.lines if line.startswith("  ")][:8]
        pieces += [(f"\n{clean(line)}", "$foreground 60%") for line in named]
        self.query_one("#clean-sum", Static).update(Content.assemble(*pieces))

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.query_one("#clean-note", Static).update(Content.assemble((clean(message.text), "bold $error")))
        self._keys("esc closes")

    def _keys(self, text: str) -> None:
        self.query_one("#clean-keys", Static).update(Content(text))

    def action_go(self) -> None:
        if self._plan is None or time.monotonic() - self._shown_at < GUARD:
            return
        ticked = self.query_one(CleanLines).ticked
        self._action.choose(ticked)
        self.dismiss(bool(ticked))

    def action_leave(self) -> None:
        self.dismiss(False)
