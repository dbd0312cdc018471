"""Themes: TOML files whose fields are those of Textual's Theme, `[variables]` for ours.

The bundled ones lie in the checkout's themes/ and are installed as imgscope/themes.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

from textual.color import Color
from textual.theme import Theme

from imgscope.errors import UsageError

DEFAULT = "imgscope-dark"
_FIELDS = {field.name for field in fields(Theme)}


def themes_folder() -> Path:
    """Where the bundled themes are: beside the package where it was installed, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "themes"
    # hatchling's force-include does not reach an editable install
    return installed if installed.is_dir() else package.parents[1] / "themes"


def load_theme(path: Path) -> Theme:
    """One theme from its file; raises `UsageError` that names the file and what is wrong in it."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The theme {path} cannot be read: {error}.") from None
    unknown = values.keys() - _FIELDS
    if unknown:
        raise UsageError(f"The theme {path} has a field {min(unknown)!r} that themes do not have.")
    try:
        theme = Theme(**{"name": path.stem, **values})
        theme.to_color_system().generate()
        for name in variable_defaults(theme).keys() & theme.variables.keys():
            Color.parse(theme.variables[name])
    except Exception as error:  # Textual raises what its colour parser raises
        raise UsageError(f"The theme {path} is not usable: {error}.") from None
    return theme


def bundled_themes() -> dict[str, Theme]:
    """The themes that come with imgscope, by name."""
    themes = (load_theme(path) for path in sorted(themes_folder().glob("*.toml")))
    return {theme.name: theme for theme in themes}


def variable_defaults(theme: Theme) -> dict[str, str]:
    """Our variables for a theme that does not set them, so that every Textual theme works."""
    dark = theme.dark
    return {
        "diff-added": theme.success or ("#7fc97f" if dark else "#2e7d32"),
        "diff-changed": theme.warning or ("#e0af68" if dark else "#8a5a00"),
        "diff-metadata": theme.secondary or ("#7aa2f7" if dark else "#3451a4"),
        "diff-removed": theme.error or ("#f7768e" if dark else "#b3261e"),
        "dead": theme.error or ("#f7768e" if dark else "#b3261e"),
        "size-bar": theme.primary,
    }
