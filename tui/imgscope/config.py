"""The person's settings: a TOML file, read into a frozen dataclass.

::

    read-only = true      # no action changes anything
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from imgscope.errors import UsageError

READ_ONLY = "IMGSCOPE_READ_ONLY"
PATH = "IMGSCOPE_CONFIG"


@dataclass(frozen=True, slots=True)
class Config:
    """`read_only` takes every changing action away."""

    read_only: bool = False


def config_path() -> Path:
    """Where the settings are: IMGSCOPE_CONFIG, else config.toml in the person's configuration folder."""
    if path := os.environ.get(PATH):
        return Path(path)
    from platformdirs import user_config_path

    return user_config_path("imgscope") / "config.toml"


def load(path: Path | None = None) -> Config:
    """The settings; the usual ones where there is no file.

    Raises `UsageError` that names the file and what is wrong in it.
    """
    path = path or config_path()
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as error:
        raise UsageError(f"The settings in {path} cannot be read: {error}.") from None
    read_only = values.pop("read-only", False)
    if values:
        raise UsageError(
            f"The settings in {path} have a key {min(values)!r} that there is not; there is read-only."
        )
    if not isinstance(read_only, bool):
        raise UsageError(f"The settings in {path} have read-only = {read_only!r}; it is true or false.")
    return Config(read_only)


def is_read_only(asked: bool = False) -> bool:
    """Whether nothing may be changed: by the option, the environment or the settings."""
    return asked or bool(os.environ.get(READ_ONLY)) or load().read_only
