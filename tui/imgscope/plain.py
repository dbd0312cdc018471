"""ASCII in place of the signs that are drawn, cell for cell, for terminals that have no others."""

from __future__ import annotations

import codecs
import io
import unicodedata
from functools import lru_cache

SIGNS = {
    **dict(zip("→←↑↓▸▾▶▼◀▲‹›«»", "><^v>v>v<^<><>", strict=True)),
    **dict(zip("…·•●○◉◆◇−–—×≈≤≥µ✓✔✗✕⚠╱", "~|**o**o---x%<>uvvxx!/", strict=True)),
    **dict(zip("█▉▊▋▌▍▎▏▐▕▁▂▃▄▅▆▇▀▔░▒▓", "#|||||||||___==##--.:%", strict=True)),
    **dict(zip("╱╲╳↪⏎", "/\\x><", strict=True)),
    **dict(zip("‘’“”", "''\"\"", strict=True)),
}


@lru_cache(maxsize=4096)
def sign(character: str) -> str:
    """The ASCII character that stands for one that is drawn; empty for a letter, as names have them."""
    if character.isascii():
        return character
    if (found := SIGNS.get(character)) is not None:
        return found
    words = unicodedata.name(character, "").split()
    if words[:2] != ["BOX", "DRAWINGS"]:
        return " " if unicodedata.category(character) == "Zs" else ""
    across = "HORIZONTAL" in words or ("LEFT" in words and "RIGHT" in words)
    down = "VERTICAL" in words or ("UP" in words and "DOWN" in words)
    turns = not {"UP", "DOWN", "LEFT", "RIGHT"}.isdisjoint(words)
    return "+" if across == down or turns else "-" if across else "|"


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(
        sign(character) or character.encode("ascii", "backslashreplace").decode() for character in text
    ), error.end


codecs.register_error("imgscope", _replace)


def prepare(stream: object, encoding: str | None = None) -> None:
    """Have a stream write a sign that it has not in ASCII, and a letter that it has not as \\xe9.

    `encoding` is what it is to write from now on, None what it does.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="imgscope")


def speaks_unicode(stream: object) -> bool:
    """Whether what is drawn can be written to a stream."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        return bool("█─→".encode(encoding))
    except (UnicodeEncodeError, LookupError):
        return False
