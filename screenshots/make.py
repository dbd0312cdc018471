"""Draws the pictures of the README: the real program on the demo images, without a terminal.

make screenshots

A test draws them too, and fails where one is out of date (tests/ui/test_screenshots.py).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from imgscope import text
from imgscope.sources import demo
from imgscope.ui import loader
from imgscope.ui.app import ImgscopeApp

HERE = Path(__file__).parent
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # ages must not depend on the day the pictures are made
DARK, LIGHT = "imgscope-dark", "imgscope-light"
TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
LARGE, SMALL = (120, 36), (80, 24)


class Picture(NamedTuple):
    """A screen: what is opened and the keys that lead to it."""

    name: str
    reference: str
    keys: Sequence[str]
    size: tuple[int, int] = LARGE
    themes: Sequence[str] = (DARK, LIGHT)

    def files(self) -> Iterator[tuple[Path, str]]:
        """Where it lies in each theme."""
        for theme in self.themes:
            yield HERE / f"{self.name}-{theme.removeprefix('imgscope-')}.svg", theme


PICTURES: Sequence[Picture] = (
    Picture("images", "demo:", ("down", "down", "down", "tab", "down", "down")),
    Picture("bigfile", "demo:bigfile", ("tab", "G")),
    Picture("merged", "demo:simple-node:case-1", ("G", "enter", "v")),
    Picture("filter", "demo:golang:c", ("tab", "slash", *"*.so")),
    Picture("waste", "demo:golang:c", ("2",)),
    Picture("config", "demo:kuard:blue", ("3",)),
    Picture("manifest", "demo:rails-4.2:d", ("4",)),
    Picture("dockerfile", "demo:simple-node:case-1", ("5",)),
    Picture("viewer", "demo:bigfile", ("tab", "G", "enter")),
    Picture("diff", "demo:ruby:b", ("down", "down", "f", *"dpkg/status", "enter", "D")),
    Picture("find", "demo:golang:c", ("f", *"dpkg/status")),
    Picture("compare", "demo:rails-4.2:d", ("shift+tab", "space", "up", "up", "space", "equals_sign")),
    Picture("map", "demo:golang:c", ("m",)),
    Picture("timeline", "demo:rails-4.2:d", ("T",)),
    Picture("remove", "demo:", ("down", "down", "d")),
    Picture("themes", "demo:bigfile", ("f2",), themes=(DARK,)),
    Picture("help", "demo:bigfile", ("question_mark",)),
    Picture("small", "demo:", ("down", "down", "down"), SMALL, (DARK,)),
)


class Folder:
    """The demo's folder under a name that is the same each time: a plan shows it."""

    def __init__(self, **_: object) -> None:
        self.name = "/tmp/imgscope-demo"
        self.cleanup()
        Path(self.name).mkdir()

    def cleanup(self) -> None:
        shutil.rmtree(self.name, ignore_errors=True)


@contextmanager
def steady() -> Iterator[None]:
    """Nothing of the day, the machine or the person who draws is in the pictures."""
    with (
        tempfile.TemporaryDirectory() as home,
        patch.dict(os.environ, dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), home) | TERMINAL),
        patch.object(demo, "TemporaryDirectory", Folder),
        patch.object(text, "today", lambda: NOW),
    ):
        for name in list(os.environ):
            if name.startswith(("IMGSCOPE_", "TEXTUAL")) or name == "NO_COLOR":
                del os.environ[name]
        yield


async def draw(picture: Picture, theme: str) -> str:
    """The screen as SVG, once all is read and the keys are pressed."""
    app = ImgscopeApp(picture.reference)
    app.theme = theme
    async with app.run_test(size=picture.size) as pilot:
        for key in ("", *picture.keys):
            if key:
                await pilot.press(key)
            quiet = 0
            while quiet < 3:  # a worker's message may start the next worker
                quiet = 0 if is_busy(app) else quiet + 1
                await pilot.pause()
        return app.export_screenshot(title="imgscope")


def is_busy(app: ImgscopeApp) -> bool:
    """Whether work is under way; workers that act may wait for the person, but no thread of theirs does."""
    workers = any(worker.group != "act" and not worker.is_finished for worker in app.workers)
    return workers or loader.is_busy()


def main() -> None:
    wanted = sys.argv[1:]
    with steady():
        for picture in PICTURES:
            if wanted and picture.name not in wanted:
                continue
            for file, theme in picture.files():
                file.write_text(asyncio.run(draw(picture, theme)), "utf-8")
                print(f"screenshots/{file.name}")


if __name__ == "__main__":
    main()
