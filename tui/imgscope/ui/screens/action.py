"""One action from its plan to its end: what will happen, the doing, what really happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import RichLog, Static

from imgscope.actions.plan import Action, Done, Event, Plan, Said, Transfer
from imgscope.errors import CancelledError, ImgscopeError
from imgscope.job import Job
from imgscope.text import bar, clean, size_text
from imgscope.ui.loader import in_thread

GUARD = 0.4  # seconds in which a key that is held down cannot confirm
_LISTED = 12  # ids and references shown by name
_FRAME = 1 / 15

Piece = str | tuple[str, str]


class ActionScreen(ModalScreen[Done | None]):
    """Shows a plan, asks, does it and reports. Gives what came of it, None where nothing was done."""

    DEFAULT_CSS = """
    ActionScreen { align: center middle; background: $background 60%; }
    #action {
        width: 96;
        max-width: 100%;
        height: auto;
        max-height: 90%;
        padding: 1 2;
        background: $surface;

        /* together never higher than the dialog, so that the keys and the last lines are seen */
        #action-plan { height: auto; max-height: 65vh; }
        #action-plan.-above-log { max-height: 25vh; }
        #action-transfers { height: auto; margin-top: 1; }
        #action-log { height: 14; max-height: 40vh; margin-top: 1; background: $surface; }
        #action-keys { dock: bottom; height: 1; margin-top: 1; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "do it", id="action.go"),
        Binding("escape,q", "leave", "cancel", id="action.leave"),
        Binding("f", "force", "force", id="action.force", show=False),
        Binding("o", "containers", "containers", id="action.containers", show=False),
    ]

    @dataclass
    class Planned(Message):
        """The plan is there."""

        plan: Plan

    @dataclass
    class Happened(Message):
        """Events of the action since the last message."""

        events: list[Event]

    @dataclass
    class Failed(Message):
        """It did not work, in one sentence."""

        text: str
        error: ImgscopeError | None = None

    def __init__(
        self, action: Action, *, forced: Action | None = None, ask: bool = True, containers: bool = False
    ) -> None:
        """`forced` is the same action with force, offered where the plan is blocked and force would help.

        `containers`: whether whoever shows this can show the containers that are in the way, too.
        """
        super().__init__()
        self._action = action
        self._forced = forced
        self._ask = ask
        self._plan: Plan | None = None
        self._job: Job | None = None
        self._containers = containers
        self.done: Done | None = None
        self.to_containers = False  # it was left to look at what is in the way
        self._finished = False
        self._shown_at = 0.0
        self._transfers: dict[str, Transfer] = {}
        self.failure: ImgscopeError | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="action"):
            with VerticalScroll(id="action-plan"):
                yield Static("looking what would happen …", id="action-text", markup=False)
            yield Static("", id="action-transfers", markup=False)
            yield RichLog(id="action-log", markup=False, highlight=False, max_lines=5000, wrap=True)
            yield Static("", id="action-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#action-log").display = False
        self.query_one("#action-transfers").display = False
        self._describe()

    def _describe(self) -> None:
        action = self._action

        def work() -> None:
            try:
                self.post_message(self.Planned(action.describe()))
            except ImgscopeError as error:
                self.post_message(self.Failed(str(error), error))

        self.run_worker(in_thread(work))

    # -- the plan -----------------------------------------------------------------------------------

    @on(Planned)
    def _planned(self, message: Planned) -> None:
        plan = self._plan = message.plan
        self._shown_at = time.monotonic()
        self.query_one("#action-text", Static).update(Content.assemble(*plan_pieces(plan)))
        if plan.blocked:
            force = "f forces it   " if self._can_force else ""
            containers = "o shows the containers   " if self._has_containers else ""
            self._keys(f"{force}{containers}esc {'leaves all as it is' if force else 'closes'}")
        elif not self._ask:
            self._run()
        else:
            self._keys("enter does it   esc leaves all as it is")

    def _keys(self, text: str) -> None:
        self.query_one("#action-keys", Static).update(Content(text))

    @property
    def _can_force(self) -> bool:
        """Whether the plan is blocked, and by nothing that force would not overcome."""
        plan = self._plan
        if self._forced is None or plan is None or not plan.blocked:
            return False
        return all(item.forceable for item in plan.blocked_by)

    @property
    def _has_containers(self) -> bool:
        """Whether containers are in the way, and can be shown."""
        blockers = self._plan.blocked_by if self._plan is not None else ()
        return self._containers and any(item.kind in ("running", "stopped") for item in blockers)

    @property
    def begun(self) -> bool:
        """Whether it was started, so that something may be changed."""
        return self._job is not None

    def action_containers(self) -> None:
        if self._has_containers and self._job is None:
            self.to_containers = True
            self.dismiss(None)

    def action_force(self) -> None:
        if self._can_force and self._forced is not None and self._job is None:
            self._action, self._forced, self._plan = self._forced, None, None
            self._describe()

    def action_go(self) -> None:
        if self._finished:
            self.dismiss(self.done)
        elif self._plan is not None and not self._plan.blocked and self._job is None:
            # a key that is held down must not run into a destructive action
            held = time.monotonic() - self._shown_at < GUARD
            if not (self._plan.destructive and held):
                self._run()

    def action_leave(self) -> None:
        if self._finished or self._job is None:
            self.dismiss(self.done)
        else:
            self._job.cancel()
            self._keys("cancelling …")

    def on_unmount(self) -> None:
        if self._job is not None:
            self._job.cancel()  # the program ends, and with it what it does

    # -- the doing ----------------------------------------------------------------------------------

    def _run(self) -> None:
        job = self._job = Job()
        action = self._action
        self._keys("esc cancels")

        def work() -> None:
            waiting: list[Event] = []
            last = 0.0
            try:
                for event in action.execute(job):
                    waiting.append(event)
                    if isinstance(event, Done) or time.monotonic() - last >= _FRAME:
                        last = time.monotonic()
                        self.post_message(self.Happened(waiting))
                        waiting = []
                if waiting:
                    self.post_message(self.Happened(waiting))
            except CancelledError as error:
                self.post_message(self.Failed(str(error) or "cancelled"))
            except ImgscopeError as error:
                if waiting:
                    self.post_message(self.Happened(waiting))
                self.post_message(self.Failed(str(error), error))

        self.run_worker(in_thread(work))

    @on(Happened)
    def _happened(self, message: Happened) -> None:
        for event in message.events:
            if isinstance(event, Said):
                log = self.query_one("#action-log", RichLog)
                log.display = True
                self.query_one("#action-plan").add_class("-above-log")
                for line in event.text.splitlines() or [""]:
                    log.write(Text(clean(line)))
            elif isinstance(event, Transfer):
                self._transfers[event.part] = event
            else:
                self._finish(event)
        if self._transfers:
            shown = self.query_one("#action-transfers", Static)
            shown.display = True
            shown.update(Content.assemble(*transfer_pieces(list(self._transfers.values())[-16:])))

    def _finish(self, done: Done) -> None:
        self.done = done
        self._finished = True
        freed = f"\n{size_text(done.freed)} freed" if done.freed is not None else ""
        self.query_one("#action-text", Static).update(
            Content.assemble(
                ("\n".join(map(clean, done.text.splitlines())), "bold $success"), (freed, "$foreground 60%")
            )
        )
        self._keys("enter closes")

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self._finished = True
        self.failure = message.error
        colour = "$foreground 60%" if message.error is None else "bold $error"
        self.query_one("#action-text", Static).update(Content.assemble((clean(message.text), colour)))
        self._keys("esc closes")


def plan_pieces(plan: Plan) -> list[Piece]:
    """A plan as styled text: what happens, what goes, what stays, what is in the way, the command."""
    pieces: list[Piece] = [(clean(plan.title) + "\n\n", "bold $primary")]
    pieces += [clean(line) + "\n" for line in plan.lines]
    for title, items, colour in (
        ("untags", plan.untags, "$diff-changed"),
        ("deletes", plan.deletes, "$diff-removed"),
    ):
        for number, item in enumerate(items[:_LISTED]):
            pieces.append((f"{title if not number else '':<9}", "$foreground 60%"))
            pieces.append((clean(item) + "\n", colour))
        if len(items) > _LISTED:
            pieces.append((f"{'':<9}… and {len(items) - _LISTED:,} more\n", "$foreground 60%"))
    for number, item in enumerate(plan.keeps[:_LISTED]):
        pieces += [(f"{'keeps' if not number else '':<9}", "$foreground 60%"), clean(item) + "\n"]
    for blocker in plan.blocked_by:
        way = "force helps" if blocker.forceable else "force does not help"
        pieces += [("blocked  ", "bold $error"), clean(blocker.what), (f" ({way})\n", "$foreground 60%")]
    if plan.frees is not None:
        pieces += [("frees    ", "$foreground 60%"), (size_text(plan.frees) + "\n", "bold")]
    pieces += [("\n$ " + clean(plan.command), "$foreground 60%")]
    return pieces


def transfer_pieces(transfers: list[Transfer]) -> list[Piece]:
    """One line per part: its id, its status, a bar."""
    pieces: list[Piece] = []
    for item in transfers:
        share = bar(min(item.done, item.total), item.total, 20) if item.total else " " * 20
        amount = f"{size_text(item.done)}" + (f" of {size_text(item.total)}" if item.total else "")
        pieces += [
            (f"{clean(item.part):<14}", "$foreground 60%"),
            (share, "$size-bar"),
            f"  {clean(item.status):<22}",
            (f"{amount if item.done or item.total else ''}\n", "$foreground 60%"),
        ]
    return pieces
