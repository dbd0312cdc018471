"""Draws the pictures of the README: the real program on the demo images, without a terminal.

make screenshots
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from imgscope.ui.app import ImgscopeApp
from imgscope.ui.widgets import images

HERE = Path(__file__).parent
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # ages must not depend on the day the pictures are made

# name, reference, size, theme, keys
PICTURES: Sequence[tuple[str, str, tuple[int, int], str, Sequence[str]]] = (
    ("tree", "demo:", (120, 34), "imgscope-dark", ("down", "down", "down", "tab", "down", "down")),
    ("bigfile", "demo:bigfile", (120, 28), "imgscope-dark", ("tab", "tab", "enter")),
    ("merged", "demo:simple-node:case-1", (120, 34), "imgscope-light", ("G", "enter", "v")),
    ("small", "demo:", (80, 24), "imgscope-dark", ("down", "down", "down")),
    ("help", "demo:", (120, 34), "imgscope-dark", ("question_mark",)),
)


async def picture(reference: str, size: tuple[int, int], theme: str, keys: Sequence[str]) -> str:
    """The screen as SVG, once all is read and the keys are pressed."""
    app = ImgscopeApp(reference)
    app.theme = theme
    async with app.run_test(size=size) as pilot:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            for _ in range(3):  # a worker's message may start the next worker
                await app.workers.wait_for_complete()
                await pilot.pause()
        return app.export_screenshot(title="imgscope")


def main() -> None:
    images.age_text = partial(images.age_text, now=NOW)  # type: ignore[attr-defined]
    for name, reference, size, theme, keys in PICTURES:
        svg = asyncio.run(picture(reference, size, theme, keys))
        (HERE / f"{name}.svg").write_text(svg, "utf-8")
        print(f"screenshots/{name}.svg")


if __name__ == "__main__":
    main()
