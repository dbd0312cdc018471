"""The person's settings: a TOML file, read into a frozen dataclass.

::

    theme = "imgscope-light"   # see `imgscope config`; f2 on the screen tries them
    engine = "ssh://me@host"   # as DOCKER_HOST, where neither that nor DOCKER_CONTEXT is set
    source = "~/images.tar"    # what is opened where nothing is named: default the engine
    columns = ["size", "unique", "wasted", "used-by", "age"]  # of the list of images
    images-sort = "unique"     # of the list of images: name, size, unique, wasted, age
    sort = "dead"              # of files: name, size, state, dead
    confirm = "always"         # ask before every action: usual (before what removes or sends), always
    ascii = true               # draw with ASCII only
    read-only = true           # no action changes anything
    cache = false              # keep no index of layers on disk
    cache-limit = "500 MB"     # of it at most; or a number of bytes
    engine-internals = true    # read an engine's own layer metadata through a container, never started

    [keymap]                   # keys by the id of what they do: `imgscope config --keys` lists them
    act.run = "f9"
    "files.filter" = "slash,f3"

An option comes before a variable of the environment, that before the file, that before what f2 left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imgscope.errors import UsageError

if TYPE_CHECKING:
    from imgscope.toml import Document

READ_ONLY = "IMGSCOPE_READ_ONLY"
PATH = "IMGSCOPE_CONFIG"
CACHE = "IMGSCOPE_CACHE"
NO_CACHE = "IMGSCOPE_NO_CACHE"
INTERNALS = "IMGSCOPE_ENGINE_INTERNALS"
ASCII = "IMGSCOPE_ASCII"
THEME = "TEXTUAL_THEME"

DARK, LIGHT = "imgscope-dark", "imgscope-light"
COLUMNS = ("size", "unique", "wasted", "used-by", "age")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "columns": COLUMNS,
    "images-sort": ("name", "size", "unique", "wasted", "age"),
    "sort": ("name", "size", "state", "dead"),
    "confirm": ("usual", "always"),
}
_UNITS = {unit: 1000**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))}
_VARIABLES = {  # of the environment
    "ascii": ASCII,
    "read-only": READ_ONLY,
    "cache": NO_CACHE,
    "engine-internals": INTERNALS,
}
_ENGINE = re.compile(r"(unix|tcp|ssh|https?|npipe)://.+")
_LIGHT_GREYS = frozenset(("7", *map(str, range(9, 16))))  # as vim takes COLORFGBG


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of the file with `_` for `-`; what the defaults are is what the values must be.

    `theme`, `engine` and `source` are empty where the person has no wish. `cache` is whether the indexes
    of layers are kept on disk, `cache_limit` how many bytes of them: some 5,000 layers of 5,000 files.
    `engine_internals` lets layers of an engine whose data root cannot be read be indexed through a
    container with that folder in it, created and removed again (sources/datadir/helper.py).
    `keymap` gives keys, with commas between them, by the id of a binding.
    """

    theme: str = ""
    engine: str = ""
    source: str = ""
    columns: tuple[str, ...] = COLUMNS
    images_sort: str = "name"
    sort: str = "name"
    confirm: str = "usual"
    ascii: bool = False
    read_only: bool = False
    cache: bool = True
    cache_limit: int = 500_000_000
    engine_internals: bool = False
    keymap: Mapping[str, str] = field(default_factory=dict)


class Value(NamedTuple):
    """A setting as it counts, and where it comes from."""

    key: str
    value: Any
    origin: str


# -- places ---------------------------------------------------------------------------------------------


def config_path() -> Path:
    """Where the settings are: IMGSCOPE_CONFIG, else config.toml in the person's configuration folder."""
    if path := os.environ.get(PATH):
        return Path(path)
    from platformdirs import user_config_path

    return user_config_path("imgscope") / "config.toml"


def user_themes_folder() -> Path:
    """Where the person's own themes are: beside the settings."""
    return config_path().parent / "themes"


def cache_folder() -> Path:
    """Where indexes are kept: IMGSCOPE_CACHE, else the person's cache folder (XDG_CACHE_HOME)."""
    if path := os.environ.get(CACHE):
        return Path(path).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("imgscope")


def state_folder() -> Path:
    """Where is kept what the program itself notes of a person's use (XDG_STATE_HOME)."""
    from platformdirs import user_state_path

    return user_state_path("imgscope")


def first_time(what: str) -> bool:
    """Whether this person was never asked or told `what` before; from now on they were.

    Kept as an empty file in their state folder; where that cannot be written it is always the first time.
    """
    try:
        folder = state_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / what).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        pass
    return True


def remember(what: str, text: str) -> bool:
    """Keep a line for the next time; False where the state folder cannot be written."""
    try:
        folder = state_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f".{what}.{os.getpid()}"
        new.write_text(f"{text}\n", "utf-8")
        new.replace(folder / what)
    except OSError:
        return False
    return True


def recall(what: str) -> str:
    """The line that was kept, or nothing."""
    try:
        return (state_folder() / what).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


# -- the file -------------------------------------------------------------------------------------------


def read(path: Path | None = None) -> Document | None:
    """The file of settings; None where there is none. Raises `UsageError` where it is no TOML."""
    path = path or config_path()
    if not os.path.lexists(path):
        return None  # most people have none, and need no reader
    from imgscope.toml import Document

    try:
        return Document.read(path, "The settings in")
    except FileNotFoundError:
        return None


def load(path: Path | None = None) -> Config:
    """The settings; the usual ones where there is no file.

    Raises `UsageError` that names the file, the line and what is wrong in it.
    """
    document = read(path)
    return parse(document) if document is not None else Config()


def parse(document: Document) -> Config:
    """What a file of settings says. Raises `UsageError` that names the line and what is wrong in it."""
    usual = _by_key(Config())
    values: dict[str, Any] = {}
    for key, value in document.values.items():
        if key not in usual:
            raise document.error(
                key,
                f"there is no setting {key!r}{did_you_mean(key, usual)}; there are {', '.join(usual)}",
            )
        try:
            values[key.replace("-", "_")] = _value(key, value, usual[key])
        except ValueError as error:
            says, name = (*error.args, key)[:2]
            raise document.error(name, says) from None
    return Config(**values)


def _by_key(config: Config) -> dict[str, Any]:
    return {field.name.replace("_", "-"): getattr(config, field.name) for field in fields(Config)}


def _value(key: str, value: Any, usual: Any) -> Any:
    """A value of the file as the settings have it.

    Raises `ValueError` with what it should be, and with the key where it is one in a table.
    """
    wrong = f"{key} = {shown(value)} is not what it should be: "
    if isinstance(usual, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{wrong}a table of keys by id, as [keymap]")
        return dict(_keymap(value))
    if key == "cache-limit" and isinstance(value, str):
        number, unit = value.rstrip("kMGTB").strip(), value[len(value.rstrip("kMGTB")) :]
        if not number.replace(".", "", 1).isdecimal() or unit not in _UNITS:
            raise ValueError(f'{wrong}a number of bytes, or a size as "500 MB"')
        return int(float(number) * _UNITS[unit])
    if isinstance(usual, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f'{wrong}a list of names, as ["size", "age"]')
    elif type(value) is not type(usual):
        kinds = {bool: "true or false", int: "a whole number", str: 'text, as "…"'}
        raise ValueError(f"{wrong}{kinds[type(usual)]}")
    if key == "engine" and not _ENGINE.fullmatch(value):
        raise ValueError(f'{wrong}an address, as "unix:///var/run/docker.sock" or "ssh://user@host"')
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{wrong}no less than 0")
    for item in value if isinstance(value, list) else [value]:
        if (choices := _CHOICES.get(key)) and item not in choices:
            raise ValueError(
                f"{key} knows no {item!r}{did_you_mean(item, choices)}; it knows {', '.join(choices)}"
            )
    return tuple(value) if isinstance(value, list) else value


def _keymap(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Keys by binding id: `act.run = "r"` is a table in a table to TOML, and an id here."""
    for name, keys in table.items():
        identifier = before + name
        if isinstance(keys, dict):
            yield from _keymap(keys, f"{identifier}.")
        elif isinstance(keys, str) and keys.strip(", "):
            yield identifier, ",".join(key.strip() for key in keys.split(","))
        else:
            says = f"keymap: {identifier} = {shown(keys)} is not what it should be"
            raise ValueError(f'{says}: a key, as "r", or some, as "r,f9"', f"keymap.{identifier}")


def did_you_mean(word: str, there: Iterator[str] | Any) -> str:
    """A hint at the most similar of the words that there are, to go on a sentence; empty without one."""
    from difflib import get_close_matches

    close = get_close_matches(str(word).lower(), [str(other) for other in there], 1, 0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def shown(value: Any) -> str:
    """A value about as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{shown(key)} = {shown(item)}' for key, item in value.items())}}}"
    return str(value)


# -- what counts ----------------------------------------------------------------------------------------


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


def is_ascii(asked: bool = False) -> bool:
    """Whether only ASCII is to be drawn: by the option, the environment or the settings.

    Settings that are none are no reason to; whoever needs them tells of that.
    """
    if asked or os.environ.get(ASCII):
        return True
    try:
        return load().ascii
    except UsageError:
        return False


def themes_wanted(asked: str = "") -> Iterator[tuple[str, str]]:
    """The names of the themes that are asked for, the one that counts first, each with who asks.

    TEXTUAL_THEME may hold several names with commas between them: the first that is there counts.
    """
    if asked:
        yield asked, "--theme"
    if names := os.environ.get(THEME):
        yield names, THEME
    if (document := read()) is not None and (theme := parse(document).theme):
        yield theme, document.where("theme")


def theme_by_itself() -> tuple[str, str]:
    """The theme where nobody asks for one: the one that f2 left, else one for the terminal's background.

    COLORFGBG is what rxvt, Konsole, iTerm2 and others tell of their colours: "15;0" or "0;default;15".
    Asking the terminal itself (OSC 11) is left: those that do not answer are waited for, or answer into
    what is typed.
    """
    if theme := recall("theme"):
        return theme, f"f2, in {state_folder() / 'theme'}"
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    if not background.isdecimal():
        return DARK, "default"
    return (LIGHT if background in _LIGHT_GREYS else DARK), "COLORFGBG"


def effective(options: Mapping[str, Any], theme: Callable[[], tuple[str, str]]) -> list[Value]:
    """Every setting as it counts. `options` are those of the command line that were given, by key.

    `theme` gives the theme that is used, and who asks for it. Raises `UsageError`.
    """
    document = read()
    config = _by_key(parse(document) if document is not None else Config())
    found = []
    for key, value in config.items():
        origin = document.where(key) if document is not None and key in document.values else "default"
        variable = _VARIABLES.get(key)
        if key == "theme":
            value, origin = theme()
        elif key in options:
            value, origin = options[key], f"--{'no-' * (key == 'cache')}{key}"
        elif variable and os.environ.get(variable):
            value, origin = key != "cache", variable
        found.append(Value(key, value, origin))
    return found
