"""The real program in a real terminal (tmux)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.needs import require_tool
from tests.support.wait import wait_for

_PATH = os.pathsep.join(path for path in sys.path if path)
SIZES = [(120, 36), (80, 24)]


class Terminal:
    """A terminal in which a shell runs `imgscope WORDS`, says with which status it ended, and stays."""

    def __init__(
        self, folder: Path, words: str, environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        self._tmux = [require_tool("tmux"), "-u", "-S", str(folder / "tmux"), "-f", os.devnull]
        kept = {**environment, "PYTHONPATH": _PATH, "LC_ALL": "C.UTF-8"}
        self._environment = {name: value for name, value in kept.items() if name != "TMUX"}
        program = f"{shlex.quote(sys.executable)} -m imgscope {words}"
        script = f"echo before; {program}; echo ended with $?; exec cat"
        width, height = size
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height), script)

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=self._environment, capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def lines(self) -> list[str]:
        """What the terminal shows."""
        return self.tmux("capture-pane", "-p").splitlines()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def alternate(self) -> bool:
        """Whether a program has taken the whole screen."""
        return self.tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def flag(self, name: str) -> str:
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def until(self, *words: str, gone: str | None = None) -> None:
        """Wait until the terminal shows all the words, in one line or wrapped, and not what shall be gone."""

        def there() -> bool:
            text = self.text
            even = " ".join(text.split())
            return all(word in text or word in even for word in words) and (gone is None or gone not in text)

        try:
            wait_for(f"{words}", there)
        except TimeoutError as error:
            raise AssertionError(f"{error}; there is\n{self.text}") from None

    def row(self, *words: str) -> str:
        """The first line with all the words, its blanks evened out."""
        self.until(*words)
        found = [line for line in self.lines if all(word in line for word in words)]
        assert found, f"{words} on one line; there is\n{self.text}"
        return " ".join(found[0].split())

    def go_to(self, name: str) -> None:
        """Put the cursor of the list on an image."""
        self.until(name)
        names = self.lines[3 : next(n for n, line in enumerate(self.lines) if "─ layers" in line)]
        self.press("g", *["Down"] * next(n for n, line in enumerate(names) if name in line))
        self.until(f"› {name}")

    def check_restored(self, status: int) -> None:
        """The program has ended and the terminal is as it was."""
        self.until("before", f"ended with {status}")
        assert not self.alternate
        assert self.flag("mouse_any_flag") == "0"
        assert self.flag("cursor_flag") == "1"
        assert "Traceback" not in self.text


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    """Open a terminal with imgscope in it; its shell goes with the test."""
    opened: list[Terminal] = []

    def start(
        words: str = "", environment: Mapping[str, str] | None = None, size: tuple[int, int] = SIZES[0]
    ) -> Terminal:
        (tmp_path / str(len(opened))).mkdir()
        it = Terminal(tmp_path / str(len(opened)), words, environment or dict(os.environ), size)
        opened.append(it)
        return it

    yield start
    for it in opened:
        it.tmux("kill-server")
