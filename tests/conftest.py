"""What holds for every test."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from tests.support.needs import REQUIRED

# Time says little on a machine with other work to do. CI tries the same examples every time.
hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("required", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("required" if REQUIRED else "here")


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from the person's settings, cache, engine and terminal, and these from the tests."""
    home: Path = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("DOCKER_", "CONTAINER_", "IMGSCOPE_", "XDG_", "TEXTUAL")):
            monkeypatch.delenv(name)
    for name in ("COLORTERM", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
