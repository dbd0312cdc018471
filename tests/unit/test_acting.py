"""What every command that changes something keeps to: plan, question, progress, answer."""

from __future__ import annotations

import argparse
import io
import json
import os
import pty
import select
import subprocess
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import imgscope
from imgscope.actions.plan import Blocker, Done, Event, Plan, Said, Transfer
from imgscope.commands.acting import act, add_acting, plan_text
from imgscope.errors import EngineError, ImgscopeError, UsageError
from imgscope.job import Job

PLAN = Plan(
    title="Remove a:1",
    command="docker rmi a:1",
    lines=("deleted: image 0123",),
    frees=2000,
    deletes=("sha256:0123",),
    untags=("a:1",),
    keeps=("1 layer (5 B): used by b:1",),
    destructive=True,
)
DONE = Done("Removed a:1; 2 kB freed, as planned.", 2000, ("sha256:0123",), ("a:1",))


@dataclass
class Fake:
    """An action that notes whether it was carried out."""

    plan: Plan = PLAN
    events: Sequence[Event] = (Said("Untagged a:1."), DONE)
    executed: list[bool] = field(default_factory=list)

    def describe(self) -> Plan:
        return self.plan

    def execute(self, job: Job) -> Iterator[Event]:
        self.executed.append(True)
        yield from self.events


def options(*words: str) -> Namespace:
    parser = argparse.ArgumentParser()
    add_acting(parser)
    return parser.parse_args(words)


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))


def test_a_dry_run_prints_the_plan_and_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    action = Fake()
    assert act(action, options("--dry-run")) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "Remove a:1",
        "  deleted: image 0123",
        "stays: 1 layer (5 B): used by b:1",
        "frees 2 kB",
        "the same by hand: docker rmi a:1",
    ]
    assert said.err == ""
    assert not action.executed


def test_the_json_of_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan("t", "docker rmi a", blocked_by=(Blocker("it has the name b", "b", forceable=True),))
    assert act(Fake(plan), options("--dry-run", "--json", "--yes")) == 0
    assert json.loads(capsys.readouterr().out) == {
        "frees": 0,
        "deletes": [],
        "untags": [],
        "keeps": [],
        "blocked_by": [{"what": "it has the name b", "id": "b", "forceable": True}],
        "command": "docker rmi a",
    }


def test_done_with_yes(capsys: pytest.CaptureFixture[str], no_terminal: None) -> None:
    action = Fake()
    assert act(action, options("-y")) == 0
    assert capsys.readouterr() == ("Removed a:1; 2 kB freed, as planned.\n", "Untagged a:1.\n")
    assert action.executed


def test_the_json_of_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    action = Fake(events=[Done("Done.", 1999, result="sha256:99")])
    assert act(action, options("--yes", "--json")) == 0
    assert json.loads(capsys.readouterr().out) == {**PLAN.as_json(), "freed": 1999, "result": "sha256:99"}


def test_nobody_to_ask(capsys: pytest.CaptureFixture[str], no_terminal: None) -> None:
    action = Fake()
    with pytest.raises(UsageError, match="no terminal to ask on"):
        act(action, options())
    assert capsys.readouterr() == ("", "")
    assert not action.executed
    assert act(action, options(), ask=False) == 0
    assert action.executed


@pytest.mark.parametrize("way", ["option", "environment"])
def test_read_only(way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--yes"]
    if way == "option":
        words.append("--read-only")
    else:
        monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    action = Fake()
    with pytest.raises(UsageError, match="read-only"):
        act(action, options(*words))
    assert not action.executed
    assert act(action, options(*words, "--dry-run")) == 0
    assert "Remove a:1" in capsys.readouterr().out


@pytest.mark.parametrize("forceable", [True, False])
def test_what_is_blocked_is_not_begun(forceable: bool) -> None:
    plan = Plan("t", "c", blocked_by=(Blocker("container x runs", "x", forceable),))
    action = Fake(plan)
    with pytest.raises(EngineError) as refusal:
        act(action, options("--yes"))
    assert str(refusal.value).startswith("Nothing was changed: container x runs")
    assert ("--force" in str(refusal.value)) is forceable
    assert not action.executed


def test_progress_without_a_terminal_tells_each_status_once(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = [
        Transfer("abc", "Pushing", 1, 10),
        Transfer("abc", "Pushing", 5, 10),
        Transfer("def", "Waiting"),
        Transfer("abc", "Pushed", 10, 10),
        Said("two\nlines"),
        DONE,
    ]
    act(Fake(events=events), options("--yes"))
    assert capsys.readouterr().err == "abc: Pushing\ndef: Waiting\nabc: Pushed\ntwo\nlines\n"


def test_nothing_from_outside_reaches_the_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\u202e"
    plan = Plan(evil, evil, (evil,), 0, keeps=(evil,), blocked_by=(Blocker(evil, "", forceable=True),))
    assert all(line.isprintable() for line in plan_text(plan))
    act(Fake(Plan("t", "c"), [Said(evil), Transfer(evil, evil), Done(evil)]), options("--yes"))
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\\x1b[2J\\u202e" in said.out
    with pytest.raises(EngineError) as refusal:
        act(Fake(plan), options("--yes"))
    assert str(refusal.value).isprintable()


def test_an_action_that_ends_without_a_word_is_an_error() -> None:
    with pytest.raises(ImgscopeError, match="without a word"):
        act(Fake(events=[Said("x")]), options("--yes"))


# -- at a terminal --------------------------------------------------------------------------------------

PROGRAM = """
from argparse import Namespace
from imgscope.actions.plan import Done, Plan, Transfer
from imgscope.commands.acting import act

class Fake:
    def describe(self):
        return Plan("Remove a:1", "docker rmi a:1", frees=2000)
    def execute(self, job):
        yield Transfer("abc", "Pushing", 1000, 4000)
        yield Done("It is done.")

raise SystemExit(act(Fake(), Namespace(dry_run=False, json=False, yes=False, read_only=False)))
"""


@pytest.mark.parametrize(
    ("answer", "status", "done"),
    [("y", 0, True), ("YES", 0, True), ("n", 1, False), ("", 1, False), ("\x04", 1, False)],
)
def test_a_person_is_asked(answer: str, status: int, done: bool) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        env={**os.environ, "PYTHONPATH": str(Path(imgscope.__file__).parent.parent)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = _read(ours, b"[y/N] ")
    assert b"Remove a:1\r\nfrees 2 kB\r\nthe same by hand: docker rmi a:1\r\nGo on? [y/N] " in said
    os.write(ours, answer.encode() + (b"" if answer == "\x04" else b"\n"))
    said = _read(ours, None)
    os.close(ours)
    assert process.wait(20) == status
    assert (b"It is done." in said) is done
    assert (b"abc: Pushing 1 kB of 4 kB" in said) is done
    assert (b"Nothing was changed." in said) is not done


def _read(terminal: int, until: bytes | None) -> bytes:
    """What comes, up to some words or the end."""
    said = b""
    while until is None or until not in said:
        assert select.select([terminal], [], [], 30)[0], said
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not chunk:
            break
        said += chunk
    return said
