"""What an action will do, before it does it; and what it tells while it does.

Every action is one object with `describe()`, which changes nothing, and `execute(job)`, which does
what the plan says and yields events. The dialogs of the screen and the commands are both thin over
these two.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from imgscope.job import Job


@dataclass(frozen=True, slots=True)
class Blocker:
    """What stands in the way: a sentence, the id of the thing, and whether force would overcome it.

    `kind` says what to do about it: child (an image built on it), running or stopped (a container), name
    (one of its names); `name` is what to call the thing.
    """

    what: str
    id: str
    forceable: bool
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do.

    `frees` is in bytes on the engine's disk, None where the action frees nothing by its nature.
    `deletes` are ids (images, containers, …), `untags` references, `keeps` sentences on what stays
    and why. `lines` are for a person to read. `command` is the docker command that does the same.
    `sends` are the bytes of layers that would travel to or from a registry, None where none do by the
    action's nature; `estimate` says that they are no more than that.
    """

    title: str
    command: str
    lines: tuple[str, ...] = ()
    frees: int | None = None
    deletes: tuple[str, ...] = ()
    untags: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    blocked_by: tuple[Blocker, ...] = ()
    destructive: bool = False
    sends: int | None = None
    estimate: bool = False

    @property
    def blocked(self) -> bool:
        """Whether the engine would refuse."""
        return bool(self.blocked_by)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.deletes or self.untags)

    def as_json(self) -> dict[str, Any]:
        """The documented object of `--dry-run --json`."""
        return {
            "frees": self.frees or 0,
            "deletes": list(self.deletes),
            "untags": list(self.untags),
            "keeps": list(self.keeps),
            "blocked_by": [
                {"what": item.what, "id": item.id, "forceable": item.forceable} for item in self.blocked_by
            ],
            "command": self.command,
            **({} if self.sends is None else {"sends": self.sends, "estimate": self.estimate}),
        }


@dataclass(frozen=True, slots=True)
class Said:
    """A line that the engine or a program said: build output, a status. `error`: on its stderr."""

    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes of one part (a layer) on their way; `total` None where nobody knows."""

    part: str
    status: str
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an action: a sentence, the bytes that were really freed, and what came of it.

    `sent` are the bytes of layers that really travelled to or from a registry, None where nobody counted.
    """

    text: str
    freed: int | None = None
    deleted: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    result: str = ""  # an image id, a container id, a digest
    status: int | None = None  # the exit status of a container that ran to its end
    sent: int | None = None


Event = Said | Transfer | Done


class Action(Protocol):
    """One thing that a person can have done. Both methods may block: call them from a worker."""

    def describe(self) -> Plan:
        """Say what would happen; nothing is changed. Raises `ImgscopeError`."""

    def execute(self, job: Job) -> Iterator[Event]:
        """Do it; the last event is `Done`. Raises `ImgscopeError`, and `CancelledError` by `job`."""


def command(*words: str) -> str:
    """A command line as a person could type it."""
    return shlex.join(words)
