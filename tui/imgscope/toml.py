"""A TOML file with the line of each of its keys, so that what is wrong in it can be pointed at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgscope.errors import UsageError

LIMIT = 1 << 18  # bytes; no file that a person writes is larger

_Key = tuple[str, ...]  # the names of the tables, then of the key


@dataclass(frozen=True)
class Document:
    """What a TOML file says. `what` names the kind of file in sentences: "The settings"."""

    path: Path
    what: str
    text: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, what: str) -> Document:
        """Raises `FileNotFoundError`, and `UsageError` with the line where the file is no TOML."""
        try:
            with path.open("rb") as file:
                data = file.read(LIMIT + 1)
            if len(data) > LIMIT:
                raise UsageError(f"{what} {path}: more than {LIMIT:,} bytes are not read.")
            text = data.decode("utf-8").replace("\r\n", "\n")
            return cls(path, what, text, tomllib.loads(text))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UsageError(f"{what} {path} cannot be read: {reason or 'nested too deep'}.") from None

    def line(self, name: str) -> int:
        """The line on which a key, or the first one of a table, stands; 0 for none. Names go with dots."""
        for line, key in _keys(self.text):
            if ".".join(key) == name or ".".join(key).startswith(f"{name}."):
                return line
        return 0

    def where(self, name: str) -> str:
        """The file and the line of a key, as compilers write it: PATH:LINE."""
        line = self.line(name)
        return f"{self.path}:{line}" if line else str(self.path)

    def error(self, name: str, says: str) -> UsageError:
        """An error at a key, or at the file where `name` is empty; `says` is the rest of the sentence."""
        line = self.line(name) if name else 0
        at = f", line {line}" if line else ""
        return UsageError(f"{self.what} {self.path}{at}: {says}.")


def _keys(text: str) -> Iterator[tuple[int, _Key]]:
    """The line and the full name of each key of a text that is TOML.

    A statement is the shortest run of lines that is TOML by itself: strings and arrays may be longer than a
    line. The header of a table gives the names before those of the keys below it.
    """
    table: _Key = ()
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        pending.append(line)
        try:
            found = tomllib.loads("\n".join(pending))
        except ValueError:
            continue
        start, pending = number - len(pending) + 1, []
        if line.lstrip().startswith("[") and not any(_leaves(found)):
            table = _path(found)
            yield start, table
        for key in _leaves(found):
            yield start, (*table, *key)


def _path(values: Any) -> _Key:
    """The names of a table that stands alone in its document."""
    names: list[str] = []
    while values:
        if isinstance(values, list):  # [[a table of an array]]
            values = values[0]
            continue
        ((name, values),) = values.items()
        names.append(name)
    return tuple(names)


def _leaves(values: Mapping[str, Any]) -> Iterator[_Key]:
    for name, value in values.items():
        if isinstance(value, dict):
            for key in _leaves(value):
                yield (name, *key)
        elif not (isinstance(value, list) and value and all(item == {} for item in value)):
            yield (name,)
