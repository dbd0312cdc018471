"""The person's settings: a TOML file, read into a frozen dataclass.

::

    read-only = true           # no action changes anything
    cache = false              # keep no index of layers on disk
    cache-limit = 500_000_000  # bytes of it at most
    engine-internals = true    # read an engine's own layer metadata through a container, never started
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from imgscope.errors import UsageError

READ_ONLY = "IMGSCOPE_READ_ONLY"
PATH = "IMGSCOPE_CONFIG"
CACHE = "IMGSCOPE_CACHE"
NO_CACHE = "IMGSCOPE_NO_CACHE"
INTERNALS = "IMGSCOPE_ENGINE_INTERNALS"


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of the file with `_` for `-`; what the defaults are is what the values must be.

    `read_only` takes every changing action away. `cache` is whether the indexes of layers are kept on
    disk, `cache_limit` how many bytes of them: some 5,000 layers of 5,000 files.
    `engine_internals` lets layers of an engine whose data root cannot be read be indexed through a
    container with that folder in it, created and removed again (sources/datadir/helper.py).
    """

    read_only: bool = False
    cache: bool = True
    cache_limit: int = 500_000_000
    engine_internals: bool = False


def config_path() -> Path:
    """Where the settings are: IMGSCOPE_CONFIG, else config.toml in the person's configuration folder."""
    if path := os.environ.get(PATH):
        return Path(path)
    from platformdirs import user_config_path

    return user_config_path("imgscope") / "config.toml"


def cache_folder() -> Path:
    """Where indexes are kept: IMGSCOPE_CACHE, else the person's cache folder (XDG_CACHE_HOME)."""
    if path := os.environ.get(CACHE):
        return Path(path).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("imgscope")


def first_time(what: str) -> bool:
    """Whether this person was never asked or told `what` before; from now on they were.

    Kept as an empty file in their state folder; where that cannot be written it is always the first time.
    """
    from platformdirs import user_state_path

    try:
        folder = user_state_path("imgscope")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / what).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        pass
    return True


def load(path: Path | None = None) -> Config:
    """The settings; the usual ones where there is no file.

    Raises `UsageError` that names the file and what is wrong in it.
    """
    path = path or config_path()
    try:
        text = path.read_text("utf-8")
        import tomllib  # most people have no file

        values = tomllib.loads(text)
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as error:
        raise UsageError(f"The settings in {path} cannot be read: {error}.") from None
    usual = {field.name.replace("_", "-"): field.default for field in fields(Config)}
    if unknown := values.keys() - usual.keys():
        raise UsageError(
            f"The settings in {path} have a key {min(unknown)!r} that there is not; "
            f"there are {', '.join(usual)}."
        )
    for key, value in values.items():
        if type(value) is not type(usual[key]):
            wanted = "true or false" if isinstance(usual[key], bool) else "a whole number"
            raise UsageError(f"The settings in {path} have {key} = {value!r}; it is {wanted}.")
    return Config(**{key.replace("-", "_"): value for key, value in values.items()})


def is_read_only(asked: bool = False) -> bool:
    """Whether nothing may be changed: by the option, the environment or the settings."""
    return asked or bool(os.environ.get(READ_ONLY)) or load().read_only


def is_cache_off(asked: bool = False) -> bool:
    """Whether nothing is kept on disk: by the option, the environment or the settings."""
    return asked or bool(os.environ.get(NO_CACHE)) or not load().cache


def may_use_internals() -> bool:
    """Whether an engine's metadata may be read through a container: never where nothing may be changed.

    Raises `UsageError` for settings that are none.
    """
    return not is_read_only() and (bool(os.environ.get(INTERNALS)) or load().engine_internals)
