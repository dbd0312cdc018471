"""The columns of the file tree: which there is room for, and what stands in them; the signs of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from rich.cells import cell_len

from imgscope.layers.index import Entry, Kind
from imgscope.layers.overlay import State
from imgscope.text import bar, name_text
from imgscope.ui.widgets.lines import Piece, fit

SIZE = 8
SIGNS = {  # what became of a path, and its style
    State.NONE: (" ", ""),
    State.UNCHANGED: (" ", ""),
    State.ADDED: ("+", "added"),
    State.CONTENT: ("~", "changed"),
    State.METADATA: ("≈", "metadata"),
    State.REMOVED: ("−", "removed"),
}
_MODE, _OWNER, _TIME, _BAR = 11, 9, 16, 8
_WIDE = 64  # cells from which on mode and owner are shown unasked
_ROOMY = 30  # cells for names that a bar leaves
_KIND_LETTERS = {
    Kind.DIRECTORY: "d",
    Kind.SYMLINK: "l",
    Kind.CHAR_DEVICE: "c",
    Kind.BLOCK_DEVICE: "b",
    Kind.FIFO: "p",
}
_LONG = 1000  # bytes of a name that are looked at: more than any screen is wide


class Attributes(Enum):
    """How much of mode, owner, time and link target is shown."""

    AUTO = "auto"  # mode and owner where the pane is wide; link targets
    ALL = "all"  # as much as fits
    NONE = "none"


@dataclass(frozen=True)
class Columns:
    """What a row of so many cells has room for; `name` is what is left for signs and names."""

    name: int
    mode: bool = False
    owner: bool = False
    time: bool = False
    bar: bool = False
    dead: bool = False  # a column of dead bytes, instead of the word

    @classmethod
    def fitting(cls, width: int, attributes: Attributes, *, by_dead: bool) -> Columns:
        dead = by_dead and width - 2 * SIZE - 1 >= 16
        name = width - SIZE - (SIZE + 1 if dead else len(" dead"))
        if attributes == Attributes.ALL:
            mode = name - _MODE - 1 >= 12
        else:
            mode = attributes == Attributes.AUTO and width >= _WIDE
        name -= (_MODE + 1) * mode
        owner = mode and name - _OWNER - 1 >= 16
        name -= (_OWNER + 1) * owner
        time = owner and attributes == Attributes.ALL and name - _TIME - 1 >= 20
        name -= (_TIME + 1) * time
        has_bar = name - _BAR - 1 >= _ROOMY
        return cls(max(name - (_BAR + 1) * has_bar, 8), mode, owner, time, has_bar, dead)

    def head(self) -> str:
        """The names of the columns."""
        return (
            fit("  name", self.name)
            + fit("mode", _MODE + 1) * self.mode
            + f"{'owner':>{_OWNER}} " * self.owner
            + fit("modified (UTC)", _TIME + 1) * self.time
            + fit("share", _BAR + 1) * self.bar
            + f"{'dead':>{SIZE}} " * self.dead
            + f"{'size':>{SIZE}}"
        )

    def attributes(self, kind: Kind, entry: Entry | None) -> str:
        """Mode, owner and time of an entry; blank for a directory that no layer stores."""
        mode = _mode(kind, entry.mode) if entry else ""
        owner = f"{entry.uid}:{entry.gid}" if entry else ""
        return (
            fit(mode, _MODE + 1) * self.mode
            + (fit(owner, _OWNER, right=True) + " ") * self.owner
            + fit(time_text(entry.mtime) if entry else "", _TIME + 1) * self.time
        )

    def share(self, part: int, whole: int, style: str) -> Piece:
        """A bar of a part of all bytes of the view."""
        return (bar(part, whole, _BAR) + " " if self.bar else "", style)


def title_text(title: Sequence[str], width: int) -> str:
    """The title of the files in at most `width` cells.

    What is hidden and how many were found comes before all else: before how large it all is, what it is
    sorted by, which layer it is, and what the pane is called.
    """
    parts = list(title)

    def over() -> int:
        return cell_len(" · ".join(parts)) - width

    def cut(number: int, least: int) -> None:
        """Cut a part, the count at its end left out."""
        start, colon, count = parts[number].rpartition(": ")
        start, count = (start, count) if colon else (count, "")
        if over() > 0:
            parts[number] = (
                fit(start, min(cell_len(start), max(cell_len(start) - over(), least))) + colon + count
            )

    kept = [part for part in title[2:] if part.startswith(("by ", "without ", "only ", "/"))]
    sizes = [part for part in title[2:] if part not in kept]
    orders = [part for part in kept if part.startswith("by ")]
    for part in [*title[:1], *reversed(sizes), *orders] if len(title) > 1 else ():
        if over() > 0:
            parts.remove(part)
    cut(0, 8)
    if over() > 0:
        parts[-1] = parts[-1].removesuffix(" matches").removesuffix(" match")
    if over() > 0 and len(parts) > 1:
        del parts[0]
    for number in reversed(range(len(parts))):
        cut(number, 1)
    return " · ".join(parts)


def time_text(seconds: float) -> str:
    """Seconds since 1970 as a date and time in UTC; ? where no calendar has them."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "?"


def _mode(kind: Kind, mode: int) -> str:
    """Permissions as ls shows them."""
    letters = "".join(
        letter if mode & (1 << (8 - place)) else "-" for place, letter in enumerate("rwxrwxrwx")
    )
    marks = [(0o4000, 2, "s", "S"), (0o2000, 5, "s", "S"), (0o1000, 8, "t", "T")]
    cells = list(letters)
    for bit, place, lower, upper in marks:
        if mode & bit:
            cells[place] = lower if cells[place] == "x" else upper
    return _KIND_LETTERS.get(kind, "-") + "".join(cells)


def short(name: bytes) -> str:
    """A name or a path, as much of it as could be seen."""
    return name_text(name) if len(name) <= _LONG else name_text(name[:_LONG]) + "…"
