"""Themes: TOML files whose fields are those of Textual's Theme, `[variables]` for ours and Textual's.

The bundled ones lie in the checkout's themes/ and are installed as imgscope/themes; a person's own lie in
themes/ beside their settings. One that cannot be used would crash Textual as soon as it is chosen, so every
value is tried before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from textual.color import Color
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import BUILTIN_THEMES, Theme

from imgscope.config import DARK, did_you_mean, shown, theme_by_itself, themes_wanted, user_themes_folder
from imgscope.errors import UsageError
from imgscope.toml import Document

DEFAULT = DARK
_FIELDS = {field.name: field.type for field in fields(Theme)}
_FLAGS = {"dark", "ansi"}
_PARTS = {"luminosity_spread", "text_alpha"}


@dataclass(frozen=True)
class Themes:
    """The themes that are there by name, where each comes from, and a sentence for each file that is none."""

    by_name: dict[str, Theme] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def find(cls) -> Themes:
        """Textual's, the bundled and the person's own; of two with one name the later counts."""
        found = cls(dict(BUILTIN_THEMES), dict.fromkeys(BUILTIN_THEMES, "textual"))
        found._add(themes_folder(), lambda _: "imgscope")
        found._add(user_themes_folder(), str)
        return found

    def _add(self, folder: Path, origin: Callable[[Path], str]) -> None:
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = load_theme(path)
            except UsageError as error:
                self.problems.append(str(error))
            else:
                self.by_name[theme.name] = theme
                self.origins[theme.name] = origin(path)

    def choose(self, asked: str = "") -> tuple[str, str]:
        """The theme that counts, and who asks for it; `asked` is the option's.

        Raises `UsageError` for one that is not there. One whose file is bad is told of elsewhere.
        """
        for names, origin in themes_wanted(asked):
            for name in (name.strip() for name in names.split(",")):
                if name in self.by_name:
                    return name, origin
            if not (user_themes_folder() / f"{names}.toml").is_file():
                there = ", ".join(sorted(self.by_name))
                hint = did_you_mean(names, self.by_name)
                raise UsageError(
                    f"{origin} names no theme that is there, {names!r}{hint}; there are {there}."
                )
        name, origin = theme_by_itself()
        return (name, origin) if name in self.by_name else (DEFAULT, "default")


def themes_folder() -> Path:
    """Where the bundled themes are: beside the package where it was installed, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "themes"
    # hatchling's force-include does not reach an editable install
    return installed if installed.is_dir() else package.parents[1] / "themes"


def bundled_themes() -> dict[str, Theme]:
    """The themes that come with imgscope, by name. Raises `UsageError`."""
    themes = (load_theme(path) for path in sorted(themes_folder().glob("*.toml")))
    return {theme.name: theme for theme in themes}


def load_theme(path: Path) -> Theme:
    """One theme from its file; raises `UsageError` that names the file, the line and what is wrong in it."""
    try:
        document = Document.read(path, "The theme")
    except FileNotFoundError:
        raise UsageError(f"The theme {path} cannot be read: there is no such file.") from None
    for key, value in document.values.items():
        if key not in _FIELDS:
            raise document.error(key, f"there is no field {key!r}{did_you_mean(key, _FIELDS)}")
        wrong = _wrong(key, value)
        if wrong:
            raise document.error(key, f"{key} = {shown(value)} is {wrong}")
    if "primary" not in document.values:
        raise document.error("", "it lacks the field primary, a colour")
    theme = Theme(**{"name": path.stem, **document.values})
    try:
        theme.to_color_system().generate()
    except Exception as error:  # Textual raises what its colour parser raises
        raise document.error("", f"it is not usable ({error})") from None
    known = Theme("", "#000000").to_color_system().generate() | variable_defaults(theme)
    for name, value in theme.variables.items():
        _check_variable(document, name, value, known)
    return theme


def _wrong(key: str, value: object) -> str:
    """Why a value of a field is none, or nothing."""
    if key == "variables":
        return "" if isinstance(value, dict) else "no table, as [variables]"
    if key in _FLAGS:
        return "" if isinstance(value, bool) else "neither true nor false"
    if key in _PARTS:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
        return "" if good else "no part, 0 to 1"
    if key == "name":
        return "" if isinstance(value, str) and value.strip() and "," not in value else "no name"
    return "" if isinstance(value, str) and _is_colour(value) else "no colour"


def _check_variable(document: Document, name: str, value: object, known: Mapping[str, str]) -> None:
    key = f"variables.{name}"
    if name not in known:
        raise document.error(key, f"there is no variable {name!r}{did_you_mean(name, known)}")
    if "style" in name:
        words = value.split() if isinstance(value, str) else []
        if not words or not set(words) <= VALID_STYLE_FLAGS:
            raise document.error(key, f"{name} = {shown(value)} is no style of text, as bold or reverse")
    elif not isinstance(value, str) or not _is_colour(value, mixed=True):
        raise document.error(key, f"{name} = {shown(value)} is no colour")


def _is_colour(text: str, *, mixed: bool = False) -> bool:
    """Whether a text is a colour to Textual; where `mixed`, `auto` and a percentage after it are too."""
    if mixed and (words := text.split())[1:] and words[-1][-1] == "%":
        part = words[-1][:-1]
        if not part.replace(".", "", 1).isdecimal():
            return False
        text = " ".join(words[:-1])
    try:
        return (mixed and text == "auto") or bool(Color.parse(text))
    except Exception:  # ColorParseError, and what it takes from odd values
        return False


def variable_defaults(theme: Theme) -> dict[str, str]:
    """Our variables for a theme that does not set them, so that every Textual theme works."""
    dark = theme.dark
    foreground = theme.foreground or theme.to_color_system().generate()["foreground"]
    return {
        "diff-added": theme.success or ("#7fc97f" if dark else "#2e7d32"),
        "diff-changed": theme.warning or ("#e0af68" if dark else "#8a5a00"),
        "diff-metadata": theme.secondary or ("#7aa2f7" if dark else "#3451a4"),
        "diff-removed": theme.error or ("#f7768e" if dark else "#b3261e"),
        "dead": theme.error or ("#f7768e" if dark else "#b3261e"),
        "size-bar": theme.primary,
        "text-dim": f"{foreground} 55%",
        "row-cursor": f"{theme.primary} 30%",  # a tint: the colours of the text stay readable on it
        "row-cursor-blurred": f"{foreground} 9%",
        "row-cursor-style": "none",
        "row-cursor-blurred-style": "none",
    }
