"""Themes: the bundled ones, those of Textual, and files that are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from math import dist
from operator import mul
from pathlib import Path

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from imgscope.config import remember, state_folder
from imgscope.errors import UsageError
from imgscope.ui.app import ImgscopeApp
from imgscope.ui.theme import DEFAULT, Themes, bundled_themes, load_theme, variable_defaults
from imgscope.ui.widgets.lines import Lines

HOUSE = ("imgscope-dark", "imgscope-light", "colour-blind", "high-contrast")
OURS = (*HOUSE, "everforest", "kanagawa")
FEW = ("bar", "added", "changed", "metadata", "removed", "dead")
MEANINGS = ("diff-added", "diff-changed", "diff-metadata", "diff-removed", "dead")
TEXTS = (
    *MEANINGS,
    *("foreground", "text-dim", "size-bar", "footer-key-foreground"),
    *("primary", "secondary", "accent", "success", "warning", "error"),
)
GROUNDS = ("surface", "panel", "row-cursor", "row-cursor-blurred", "footer-background")


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
def test_text_can_be_read(name: str) -> None:
    """WCAG 2.1's AA (1.4.3) wants 4.5:1 for text, AAA (1.4.6) 7:1; on every ground that we draw it on."""
    wanted = 7 if name == "high-contrast" else 4.5
    colours = _colours(name)
    ground = colours["background"]
    grounds = [ground, *(ground + colours[over] for over in GROUNDS)]
    for text in TEXTS:
        for behind in grounds:
            contrast = _contrast(behind + colours[text], behind)
            assert contrast >= wanted, f"{text} on {behind.hex}: {contrast:.2f}"


@pytest.mark.parametrize("name", OURS)
def test_the_cursor_is_seen_with_256_colours(name: str) -> None:
    colours = _colours(name)
    ground = colours["background"]
    seen = {
        (ground + colours[over]).rich_color.downgrade(ColorSystem.EIGHT_BIT).number
        for over in ("background", "row-cursor", "row-cursor-blurred")
    }
    assert len(seen) == 3


@pytest.mark.parametrize("name", OURS)
def test_a_dark_theme_is_dark(name: str) -> None:
    colours = _colours(name)
    assert bundled_themes()[name].dark is (
        colours["background"].brightness < colours["foreground"].brightness
    )


# What people with a kind of colour blindness see of linear red, green and blue: Machado, Oliveira, Fernandes,
# "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
SEEN = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


@pytest.mark.parametrize("eyes", SEEN)
def test_meanings_are_told_apart(eyes: str) -> None:
    """The colours with a meaning differ by 15 or more (CIE 1976; 2.3 can just be seen) for everybody."""
    seen = {name: _lab(_colours("colour-blind")[name], SEEN[eyes]) for name in MEANINGS}
    for one, other in combinations(MEANINGS, 2):
        assert dist(seen[one], seen[other]) >= 15, f"{one} and {other}"


def test_not_every_theme_is_for_everybody() -> None:
    """The test above would fail for others."""
    colours = _colours("imgscope-dark")
    seen = [_lab(colours[name], SEEN["deuteranopia"]) for name in ("diff-added", "diff-removed")]
    assert dist(*seen) < 15


def _colours(name: str) -> dict[str, Color]:
    """The colours of a bundled theme, with what is not opaque as alpha."""
    theme = bundled_themes()[name]
    texts = {**variable_defaults(theme), **theme.to_color_system().generate(), **theme.variables}
    found = {}
    for key in ("background", *GROUNDS, *TEXTS):
        colour, _, part = texts[key].partition(" ")
        found[key] = Color.parse(colour).with_alpha(float(part.rstrip("%") or 100) / 100)
    return found


def _linear(colour: Color) -> list[float]:
    return [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    ]


def _lab(colour: Color, eyes: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """CIE 1976 L*a*b*, D65, of a colour as such eyes see it."""
    own = _linear(colour)
    red, green, blue = (min(max(sum(map(mul, row, own)), 0), 1) for row in eyes)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _contrast(one: Color, other: Color) -> float:
    """WCAG 2.1, "contrast ratio"."""

    def luminance(colour: Color) -> float:
        return sum(map(mul, (0.2126, 0.7152, 0.0722), _linear(colour)), 0.0)

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(path))
    return path


def test_a_theme_that_is_not_there(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_THEME", "no-such-theme")
    with pytest.raises(UsageError, match=r"TEXTUAL_THEME.*imgscope-dark"):
        ImgscopeApp("demo:")
    with pytest.raises(UsageError, match=r"--theme names no theme.*'norf' \(did you mean nord\?\)"):
        ImgscopeApp("demo:", theme="norf")
    monkeypatch.delenv("TEXTUAL_THEME")
    config.write_text('\ntheme = "norf"\n')
    with pytest.raises(UsageError) as caught:
        ImgscopeApp("demo:")
    assert str(caught.value).startswith(
        f"{config}:2 names no theme that is there, 'norf' (did you mean nord?)"
    )


def test_who_says_what_theme_it_is(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, the environment, the settings, what f2 left, the terminal: the first that says one."""
    themes = Themes.find()
    assert themes.choose() == ("imgscope-dark", "default")
    monkeypatch.setenv("COLORFGBG", "0;15")
    assert themes.choose() == ("imgscope-light", "COLORFGBG")
    remember("theme", "nord")
    assert themes.choose() == ("nord", f"f2, in {state_folder() / 'theme'}")
    config.write_text('theme = "gruvbox"')
    assert themes.choose() == ("gruvbox", f"{config}:1")
    monkeypatch.setenv("TEXTUAL_THEME", "not-here, dracula")
    assert themes.choose() == ("dracula", "TEXTUAL_THEME")
    assert themes.choose("kanagawa") == ("kanagawa", "--theme")


@pytest.mark.parametrize(
    "name", ["imgscope-light", "everforest", "no-such, kanagawa", "nord", "textual-dark"]
)
def test_the_environment_s_theme_is_drawn(name: str) -> None:
    """Textual reads TEXTUAL_THEME as it is loaded, so this takes a process of its own."""
    code = """
import asyncio
from imgscope.ui.app import ImgscopeApp
async def main():
    app = ImgscopeApp("demo:")
    async with app.run_test():
        print(app.theme, app.screen.styles.background.hex)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TEXTUAL_THEME": name, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    used, background = done.stdout.split()
    assert used == name.rsplit(", ", maxsplit=1)[-1]
    theme = Themes.find().by_name[used]
    assert background == Color.parse(theme.to_color_system().generate()["background"]).hex


def test_what_f2_left_may_be_gone() -> None:
    remember("theme", "it was mine")
    assert Themes.find().choose() == ("imgscope-dark", "default")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks the field primary"),
        ("primary = ", "(at end of document)"),
        ('\nprimary = "no colour"', ", line 2: primary"),
        ("primary = 5", ", line 1: primary = 5 is no colour"),
        ('primary = "#fff"\nsparkle = "#fff"', ", line 2: there is no field 'sparkle'"),
        ('primary = "#fff"\nsecundary = "#fff"', "(did you mean secondary?)"),
        ('primary = "#fff"\nvariables = 3', ", line 2: variables = 3 is no table"),
        ('primary = "#fff"\ndark = "no"', ', line 2: dark = "no" is neither true nor false'),
        ('primary = "#fff"\ntext_alpha = 95', ", line 2: text_alpha = 95 is no part, 0 to 1"),
        ('primary = "#fff"\nname = ""', ", line 2: name"),
        ('primary = "#fff"\n[variables]\n# mine\ndead = 7', ", line 4: dead = 7 is no colour"),
        ('primary = "#fff"\n[variables]\ndead = "no colour"', ', line 3: dead = "no colour" is no colour'),
        ('primary = "#fff"\n[variables]\ndead = "#fff 3x%"', ", line 3: dead"),
        ('primary = "#fff"\n[variables]\ndaed = "#fff"', "'daed' (did you mean dead?)"),
        ('primary = "#fff"\n[variables]\nlink-style = "boldly"', ", line 3: link-style"),
        ('primary = "#fff"\n[variables]\nborder = "#ff"', ", line 3: border"),
        ('primary = "#fff"\nvariables.border = ["red"]', ', line 2: border = ["red"] is no colour'),
        (b"primary = '\xff'", "cannot be read: "),
    ],
)
def test_a_file_that_is_no_theme(text: str | bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        load_theme(path)
    assert str(caught.value).startswith(f"The theme {path}")
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_what_textual_takes_is_taken(theme: Theme, tmp_path: Path) -> None:
    """Each of its own themes, written as a file, is the same theme again."""
    path = tmp_path / f"{theme.name}.toml"
    values = {name: value for name, value in vars(theme).items() if value is not None and name != "variables"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    lines += ["[variables]", *(f"{name} = {json.dumps(value)}" for name, value in theme.variables.items())]
    path.write_text("\n".join(lines))
    assert load_theme(path) == theme


def test_a_theme_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        load_theme(tmp_path / "none.toml")


def test_a_theme_is_called_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('primary = "#123456"')
    assert load_theme(path).name == "mine"
