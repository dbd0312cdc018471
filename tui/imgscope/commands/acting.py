"""What all commands that change something have in common: the plan, the question, the doing, the answer."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from imgscope.commands import print_json, print_lines
from imgscope.config import READ_ONLY, is_read_only
from imgscope.errors import EngineError, ImgscopeError, UsageError
from imgscope.text import clean, size_text

if TYPE_CHECKING:
    from imgscope.actions.engine import Engine
    from imgscope.actions.plan import Action, Done, Event, Plan, Transfer
    from imgscope.job import Job


def add_acting(command: ArgumentParser) -> None:
    """The options that `act` reads."""
    command.add_argument("--dry-run", action="store_true", help="print what would happen, and change nothing")
    command.add_argument("--json", action="store_true", help="the plan, and what came of it, as JSON")
    command.add_argument("-y", "--yes", action="store_true", help="do it without asking")
    command.add_argument(
        "--read-only", action="store_true", help=f"refuse to change anything; {READ_ONLY}=1 does the same"
    )


@contextmanager
def connected() -> Iterator[Engine]:
    """The engine that the docker CLI would talk to. Raises `EngineError`."""
    from imgscope.actions.engine import Engine
    from imgscope.sources.engine import EngineSource

    with closing(EngineSource.connect()) as source:
        yield Engine(source)


def act(action: Action, options: Namespace, *, ask: bool = True) -> int:
    """Carry out one action as the options say; gives the exit status.

    With --dry-run the plan is the answer on stdout. Else a person at a terminal is asked (unless
    `ask` is off or --yes given), progress comes on stderr, and what came of it is the answer.
    Raises `UsageError` where it is read-only or nobody can be asked, and `EngineError` where the
    plan says that the engine would refuse.
    """
    if not options.dry_run and is_read_only(options.read_only):
        raise UsageError(
            "Nothing was changed: imgscope is read-only here; --dry-run shows what would happen."
        )
    plan = action.describe()
    if options.dry_run:
        if options.json:
            print_json(plan.as_json())
        else:
            print_lines(plan_text(plan))
        return 0
    if plan.blocked:
        raise EngineError(f"Nothing was changed: {_refusal(plan)}", status=409)
    idle = plan.destructive and plan.empty  # nothing would go: nothing to ask
    if ask and not idle and not options.yes and not _confirmed(plan):
        print("Nothing was changed.", file=sys.stderr)
        return 1
    done = run(action)
    if options.json:
        answer: dict[str, Any] = {**plan.as_json(), "freed": done.freed}
        if done.sent is not None:
            answer["sent"] = done.sent
        if done.result:
            answer["result"] = done.result
        print_json(answer)
    else:
        print_lines(map(clean, done.text.splitlines()))
    return 0


def run(action: Action, job: Job | None = None) -> Done:
    """Execute an action with its progress on stderr; gives how it ended. Raises `ImgscopeError`."""
    from imgscope.actions.plan import Done
    from imgscope.job import Job

    progress = _Progress()
    done: Event | None = None
    try:
        for event in action.execute(job or Job()):
            if isinstance(event, Done):
                done = event
            else:
                progress.show(event)
    finally:
        progress.end()
    if not isinstance(done, Done):
        raise ImgscopeError("The action ended without a word on what came of it; look before you repeat it.")
    return done


def plan_text(plan: Plan) -> list[str]:
    """The plan as lines to read."""
    lines = [clean(plan.title), *(f"  {clean(line)}" for line in plan.lines)]
    lines += [f"stays: {clean(line)}" for line in plan.keeps]
    for blocker in plan.blocked_by:
        way = " (--force overcomes it)" if blocker.forceable else ""
        lines.append(f"blocked: {clean(blocker.what)}{way}")
    if plan.frees is not None and not plan.blocked:
        lines.append(f"frees {size_text(plan.frees)}")
    if plan.command:
        lines.append(f"the same by hand: {clean(plan.command)}")
    return lines


def _refusal(plan: Plan) -> str:
    """What blocks a plan, as the rest of a sentence."""
    what = "; ".join(clean(blocker.what) for blocker in plan.blocked_by)
    forceable = all(blocker.forceable for blocker in plan.blocked_by)
    return f"{what}; --force does it all the same." if forceable else f"{what}."


def _confirmed(plan: Plan) -> bool:
    """Show the plan on the terminal and ask. Raises `UsageError` where nobody is there to answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("There is no terminal to ask on; add --yes to do it, or --dry-run to see the plan.")
    print(*plan_text(plan), sep="\n", file=sys.stderr)
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Progress:
    """Events on stderr: on a terminal the latest transfer on one line, elsewhere each change of status."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._statuses: dict[str, str] = {}
        self._open = False

    def show(self, event: Event) -> None:
        from imgscope.actions.plan import Said, Transfer

        if isinstance(event, Said):
            self._line(*map(clean, event.text.splitlines()))
        elif isinstance(event, Transfer):
            self._transfer(event)

    def _transfer(self, event: Transfer) -> None:
        text = clean(f"{event.part}: {event.status}" if event.part else event.status)
        if self._terminal:
            if event.done or event.total:
                text += f" {size_text(event.done)}" + (f" of {size_text(event.total)}" if event.total else "")
            print(f"\r\x1b[K{text[: _width()]}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif self._statuses.get(event.part) != event.status:
            self._statuses[event.part] = event.status
            self._line(text)

    def _line(self, *lines: str) -> None:
        self.end()
        for line in lines:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line that is rewritten."""
        if self._open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._open = False


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1
