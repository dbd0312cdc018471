"""The commands: each module adds its words to the parser and runs them, thin over the core.

Only the one that is called is imported, and what costs time (engines, screens) it imports where it runs.
"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from imgscope.images.model import Platform
    from imgscope.job import Job
    from imgscope.layers.index import Problem

_WARNED = 5  # problems of one image that are said

Run = Callable[[Namespace], int]  # gives the exit status

# command → the module that has it
HOMES = {
    **dict.fromkeys(("view", "analyze", "tree", "demo"), "show"),
    **dict.fromkeys(("run", "shell"), "run"),
    "build": "build",
    **dict.fromkeys(("tag", "push", "pull", "login"), "registry"),
    "rmi": "remove",
    **dict.fromkeys(("prune", "clean"), "prune"),
    "cache": "cache",
    **dict.fromkeys(("config", "completion", "man"), "config"),
    **dict.fromkeys(("cat", "extract", "files"), "files"),
    "dockerfile": "dockerfile",
    "compare": "compare",
    "find": "find",
}


class Add(Protocol):
    """Adds a command: its name, a summary for the help, and what runs it."""

    def __call__(self, name: str, summary: str, run: Run) -> ArgumentParser: ...


def add_platform(command: ArgumentParser) -> None:
    """The option `--platform`; `platform` reads it."""
    command.add_argument(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        help="which image of a multi-platform index (default: the host's)",
    )


def add_no_cache(command: ArgumentParser) -> None:
    """The option `--no-cache`."""
    from imgscope.config import NO_CACHE

    command.add_argument(
        "--no-cache",
        action="store_true",
        help=f"neither read nor keep the index of layers on disk; {NO_CACHE}=1 does the same",
    )


def platform(options: Namespace) -> Platform | None:
    """The platform asked for, None for the host's; raises `UsageError`."""
    if options.platform is None:
        return None
    from imgscope.images.model import Platform

    return Platform.parse(options.platform)


@contextmanager
def interruptible() -> Iterator[Job]:
    """A job that ctrl+c and the like cancel before they end the command.

    A thread that waits for input is woken by that; else the way out would wait for it.
    """
    from imgscope.job import Job

    job = Job()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def handle(number: int, frame: FrameType | None) -> None:
        job.cancel()
        usual = handlers[signal.Signals(number)]
        if callable(usual):
            usual(number, frame)

    try:
        for number, usual in handlers.items():
            if callable(usual):
                signal.signal(number, handle)
        yield job
    finally:
        for number, usual in handlers.items():
            signal.signal(number, usual)


def warn(problems: Sequence[Problem]) -> None:
    """Say on stderr what of an image is damaged or missing: what is answered may not be all there was."""
    from imgscope.text import clean, count_text

    for problem in problems[:_WARNED]:
        print(f"imgscope: {clean(str(problem))}", file=sys.stderr)
    if (more := len(problems) - _WARNED) > 0:
        print(f"imgscope: {count_text(more, 'more problem')}; imgscope analyze tells them", file=sys.stderr)


def print_json(value: object) -> None:
    """The answer as JSON, on stdout."""
    import json

    json.dump(value, sys.stdout, indent=2)
    print()


def print_lines(lines: Iterable[str]) -> None:
    """The answer as text, on stdout."""
    for line in lines:
        print(line)
