"""Draws the pictures of the README: the real program on the demo images, without a terminal.

make screenshots
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from imgscope.sources import demo
from imgscope.ui.app import ImgscopeApp
from imgscope.ui.widgets import images

HERE = Path(__file__).parent
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # ages must not depend on the day the pictures are made

# name, reference, size, theme, keys
PICTURES: Sequence[tuple[str, str, tuple[int, int], str, Sequence[str]]] = (
    ("tree", "demo:", (120, 34), "imgscope-dark", ("down", "down", "down", "tab", "down", "down")),
    ("bigfile", "demo:bigfile", (120, 28), "imgscope-dark", ("tab", "tab", "enter")),
    ("merged", "demo:simple-node:case-1", (120, 34), "imgscope-light", ("G", "enter", "v")),
    ("remove", "demo:", (100, 30), "imgscope-dark", ("down", "down", "d")),
    ("small", "demo:", (80, 24), "imgscope-dark", ("down", "down", "down")),
    ("help", "demo:", (120, 34), "imgscope-dark", ("question_mark",)),
)


class Folder:
    """The demo's folder under a name that is the same each time: a plan shows it."""

    def __init__(self, **_: object) -> None:
        self.name = "/tmp/imgscope-demo"
        self.cleanup()
        Path(self.name).mkdir()

    def cleanup(self) -> None:
        shutil.rmtree(self.name, ignore_errors=True)


async def picture(reference: str, size: tuple[int, int], theme: str, keys: Sequence[str]) -> str:
    """The screen as SVG, once all is read and the keys are pressed."""
    app = ImgscopeApp(reference)
    app.theme = theme
    async with app.run_test(size=size) as pilot:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            for _ in range(3):  # a worker's message may start the next worker
                # those that act wait for the person
                if workers := [worker for worker in app.workers if worker.group != "act"]:
                    await app.workers.wait_for_complete(workers)
                await pilot.pause()
        return app.export_screenshot(title="imgscope")


def main() -> None:
    vars(demo)["TemporaryDirectory"] = Folder
    images.age_text = partial(images.age_text, now=NOW)  # type: ignore[attr-defined]
    for name, reference, size, theme, keys in PICTURES:
        svg = asyncio.run(picture(reference, size, theme, keys))
        (HERE / f"{name}.svg").write_text(svg, "utf-8")
        print(f"screenshots/{name}.svg")


if __name__ == "__main__":
    main()
