"""The real program in a real terminal (tmux): what leaves it leaves it as it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.terminal import Open
from tests.support.terminal import terminal as terminal  # noqa: PLC0414 – a fixture
from tests.support.wait import wait_for


def program(shell: int) -> int:
    """The process that a terminal's shell waits for."""
    return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])


def test_suspended_the_terminal_is_the_shells_and_comes_back(terminal: Open) -> None:
    it = terminal("demo:bigfile")
    it.until("BigFile")
    it.press("C-z")
    wait_for("the screen to be given back", lambda: not it.alternate)
    assert it.flag("mouse_any_flag") == "0"
    assert it.flag("cursor_flag") == "1"
    os.kill(program(int(it.flag("pane_pid"))), signal.SIGCONT)
    wait_for("the screen to be taken again", lambda: it.alternate)
    it.until("BigFile", "efficiency")
    it.press("q")
    it.check_restored(0)


def test_a_new_size_draws_all_anew(terminal: Open) -> None:
    it = terminal("demo:bigfile", size=(120, 36))
    it.until("BigFile", "efficiency")
    for width, height in ((60, 20), (160, 45), (80, 24)):
        it.resize(width, height)
        wait_for("rules as wide as the terminal", lambda: max(map(len, it.lines)) == width)
        it.until("bigfile:latest", "⏎ open")
        assert len(it.lines) == height
    it.press("C-c")
    it.check_restored(130)
