"""Themes: the bundled ones, those of Textual, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from imgscope.errors import UsageError
from imgscope.ui.app import ImgscopeApp
from imgscope.ui.theme import DEFAULT, bundled_themes, load_theme
from imgscope.ui.widgets.lines import Lines

HOUSE = ("imgscope-dark", "imgscope-light", "colour-blind", "high-contrast")
OURS = (*HOUSE, "everforest", "kanagawa")
FEW = ("bar", "added", "changed", "metadata", "removed", "dead")


def test_the_bundled_themes() -> None:
    themes = bundled_themes()
    assert set(themes) == set(OURS)
    assert DEFAULT in themes
    assert (themes["imgscope-dark"].dark, themes["imgscope-light"].dark) == (True, False)


@pytest.mark.parametrize("name", [*OURS, *sorted(BUILTIN_THEMES)])
async def test_every_theme_draws_the_screen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable of the style sheets is there, and the text can be read on the cursor's row too."""
    monkeypatch.setenv("TEXTUAL_THEME", name)
    app = ImgscopeApp("demo:")
    async with app.run_test(size=(100, 30)) as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.theme == name
        for lines in app.screen.query(Lines):
            assert lines.render_line(2).cell_length == lines.size.width
            for style in FEW:
                assert lines._style(style).color is not None
            for cursor in ("cursor", "cursor-blurred"):
                assert lines._style(cursor).bgcolor is not None


@pytest.mark.parametrize("name", HOUSE)
async def test_our_colours_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least 3:1 (WCAG's large text) for what means something, on the background and under the cursor."""
    monkeypatch.setenv("TEXTUAL_THEME", name)
    app = ImgscopeApp("demo:")
    async with app.run_test():
        await app.workers.wait_for_complete()
        lines = next(iter(app.screen.query(Lines)))
        background = lines.styles.background
        for style in FEW:
            colour = lines._style(style).color
            assert colour is not None
            for under in ("", "cursor", "cursor-blurred"):
                behind = Color.from_rich_color(lines._style(under).bgcolor) if under else background
                contrast = _contrast(Color.from_rich_color(colour), behind)
                assert contrast >= 3, f"{style} on {under or 'background'}: {contrast:.2f}"


def _contrast(one: Color, other: Color) -> float:
    """WCAG 2.1, "contrast ratio"."""

    def luminance(colour: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_theme_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_THEME", "no-such-theme")
    with pytest.raises(UsageError, match=r"TEXTUAL_THEME.*imgscope-dark"):
        ImgscopeApp("demo:")


@pytest.mark.parametrize(
    "text",
    [
        "",  # no primary colour
        "primary = ",
        'primary = "no colour"',
        "primary = 5",
        'primary = "#fff"\nsparkle = "#fff"',
        'primary = "#fff"\nvariables = 3',
        'primary = "#fff"\n[variables]\ndead = 7',
        'primary = "#fff"\n[variables]\ndead = "no colour"',
        b"primary = '\xff'",
    ],
)
def test_a_file_that_is_no_theme(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        load_theme(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_theme_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_theme(tmp_path / "none.toml")


def test_a_theme_is_called_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('primary = "#123456"')
    assert load_theme(path).name == "mine"
