"""The real program in a real terminal (tmux): a way through it, and what leaves it leaves it as it was."""

from __future__ import annotations

import hashlib
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.support.terminal import SIZES, Open, Terminal
from tests.support.terminal import terminal as terminal  # noqa: PLC0414 – a fixture
from tests.support.wait import wait_for

BIGFILE = "e479a2b3c286fe643c3e035c1d478ea43f8aaf53d9bf2e766d72bea56fa94858"  # sha256


def is_as_wide(it: Terminal, width: int) -> bool:
    return max(map(len, it.lines)) == width


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
        wait_for("rules as wide as the terminal", partial(is_as_wide, it, width))
        it.until("bigfile:latest", "⏎ open")
        assert len(it.lines) == height
    it.press("C-c")
    it.check_restored(130)


@pytest.mark.parametrize("size", SIZES)
def test_from_the_tree_to_a_dead_file_and_its_bytes(
    terminal: Open, size: tuple[int, int], tmp_path: Path
) -> None:
    it = terminal("demo", size=size)
    it.go_to("bigfile:latest")
    it.press("Enter")
    it.until("ADD BigFile", "layer 1, changes", gone="r run")  # the layers have the keys
    it.press("Tab")
    it.until("/ filter")  # the files have them
    it.press("G")
    it.until("layer 1 › /BigFile")
    it.press("Enter")
    it.until("removed in layer 2, still ships", "c23e50bd24e6 BigFile")
    it.press("Escape")
    it.until("layer 1 › /BigFile")
    it.press("e")
    it.until("Extract /BigFile from layer 1", "into the folder")
    folder = tmp_path / "out"
    it.tmux("send-keys", "-l", str(folder))
    it.press("Enter")
    it.until("1 file, 3 MB into", "enter does it")
    assert not folder.exists()
    it.press("Enter")
    it.until("3 MB written to")
    assert hashlib.sha256((folder / "BigFile").read_bytes()).hexdigest() == BIGFILE
    it.press("Enter", "q")
    it.check_restored(0)
