"""JSON made readable: its own words in its own order, one to a line. Nothing is decoded and written anew.

So numbers keep their digits and doubled keys stay. Bounded in time, depth and output for any input.
"""

from __future__ import annotations

import json
import re

LIMIT = 4_000_000  # bytes of a document that is made readable …
_MOST = 40_000_000  # … and of what comes of it
_DEEPEST = 200  # levels; what people write has ten
_STEP = 2
_WORD = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def _nothing(_: object) -> None:
    """What is kept of a number or an object; other threads have a turn at each, as they have not in C."""


def pretty(data: bytes) -> bytes | None:
    """The document with a member or an item to a line; None where it is no JSON, or passes a limit."""
    if len(data) > LIMIT or data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        text = data.decode("utf-8-sig")
        json.loads(text, parse_int=_nothing, parse_float=_nothing, object_pairs_hook=_nothing)
    except (ValueError, RecursionError):
        return None
    lines: list[str] = []
    line, depth, total, opened = "", 0, 0, False  # `opened`: the last word opened what may be empty
    for match in _WORD.finditer(text):
        word = match[0]
        if word in ("]", "}"):
            depth -= 1
            if not opened:
                lines.append(line)
                total += len(line)
                line = " " * (depth * _STEP)
            line, opened = line + word, False
            continue
        if opened:
            lines.append(line)
            total += len(line)
            line, opened = " " * (depth * _STEP), False
        line += ": " if word == ":" else word
        if word in ("[", "{"):
            depth, opened = depth + 1, True
            if depth > _DEEPEST:
                return None
        elif word == ",":
            lines.append(line)
            total += len(line)
            line = " " * (depth * _STEP)
        if total > _MOST:
            return None
    return "\n".join([*lines, line, ""]).encode()
