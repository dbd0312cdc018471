"""The main screens as pictures. After a change that is meant: IMGSCOPE_UPDATE_SNAPSHOTS=1 pytest tests/ui

The pictures are SVG, for people to look at; they are compared with all that varies taken out.
"""

from __future__ import annotations

import difflib
import html
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from imgscope.text import age_text
from imgscope.ui.widgets import images
from tests.ui.driver import screen

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = bool(os.environ.get("IMGSCOPE_UPDATE_SNAPSHOTS"))  # before the tests are kept from such settings
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def normal(svg: str) -> str:
    """Without the ids and fonts that differ from one version of the library to the next."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(r"\s*@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)


def words(svg: str) -> list[str]:
    """The text of a picture, line by line."""
    lines: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*\by="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return [lines[y].rstrip() for y in sorted(lines)]


@pytest.mark.parametrize(
    ("name", "reference", "size", "theme", "keys"),
    [
        ("tree", "demo:", (120, 36), "imgscope-dark", ["down", "down", "down", "tab", "j", "j"]),
        ("small", "demo:", (80, 24), "imgscope-dark", ["down", "down", "down"]),
        ("light", "demo:bigfile", (120, 36), "imgscope-light", ["tab"]),
        ("merged", "demo:ruby:b", (140, 36), "imgscope-dark", ["G", "v", "enter"]),
        ("filter", "demo:golang:c", (100, 30), "imgscope-dark", ["tab", "slash", *"*.so"]),
        ("help", "demo:", (120, 48), "imgscope-dark", ["question_mark"]),
    ],
)
async def test_the_screen_looks_as_before(
    name: str,
    reference: str,
    size: tuple[int, int],
    theme: str,
    keys: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TEXTUAL_THEME", theme)
    monkeypatch.setattr(images, "age_text", partial(age_text, now=NOW))
    async with screen(reference, size) as it:
        await it.press(*keys)
        svg = normal(it.app.export_screenshot(title="imgscope"))
    stored = SNAPSHOTS / f"{name}.svg"
    if UPDATE:
        SNAPSHOTS.mkdir(exist_ok=True)
        stored.write_text(svg, "utf-8")
        return
    before = stored.read_text("utf-8") if stored.exists() else ""
    if svg != before:
        seen = tmp_path / f"{name}.svg"
        seen.write_text(svg, "utf-8")
        changes = list(difflib.unified_diff(words(before), words(svg), "before", "now", lineterm="", n=0))
        told = "\n".join(changes) or "the text is the same; colours or places differ"
        pytest.fail(
            f"{name}: not as in {stored}\n{told}\nIt is now {seen}; where that is meant, "
            "run with IMGSCOPE_UPDATE_SNAPSHOTS=1.",
            pytrace=False,
        )
