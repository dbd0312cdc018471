"""The pictures of the README are how the screens look. After a change that is meant: make screenshots

They are SVG, for people to look at; they are compared with all that varies taken out.
"""

from __future__ import annotations

import difflib
import html
import re
from pathlib import Path

import pytest

from screenshots.make import HERE, PICTURES, Picture, draw, steady

README = HERE.parent / "README.md"


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
    ("picture", "file", "theme"),
    [pytest.param(item, *file, id=file[0].stem) for item in PICTURES for file in item.files()],
)
async def test_the_screen_looks_as_in_the_picture(
    picture: Picture, file: Path, theme: str, tmp_path: Path
) -> None:
    with steady():
        svg = normal(await draw(picture, theme))
    before = normal(file.read_text("utf-8")) if file.exists() else ""
    if svg != before:
        seen = tmp_path / file.name
        seen.write_text(svg, "utf-8")
        changes = list(difflib.unified_diff(words(before), words(svg), "before", "now", lineterm="", n=0))
        told = "\n".join(changes) or "the text is the same; colours or places differ"
        pytest.fail(
            f"{file.name} is out of date\n{told}\nIt is now {seen}; where that is meant: make screenshots",
            pytrace=False,
        )


def test_no_picture_is_left_over() -> None:
    assert {file for item in PICTURES for file, _ in item.files()} == set(HERE.glob("*.svg"))


def test_the_readme_shows_pictures_that_there_are() -> None:
    shown = re.findall(r"screenshots/([\w-]+\.svg)", README.read_text("utf-8"))
    assert shown
    assert {name for name in shown if not (HERE / name).exists()} == set()
