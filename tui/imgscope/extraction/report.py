"""What was written, and what was left out or made harmless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from imgscope.text import count_text, path_text, size_text

_KEPT = 1000  # paths that are kept of one reason
_NAMED = 3  # paths that a line names


class Why(Enum):
    """Why a path is not as in the image. The first word is for JSON, the rest follows a number."""

    SPECIAL = "special", "left out (device or fifo)"
    OUT = "leads-out", "left out (symlink that leads out of the folder, or in a circle)"
    REWRITTEN = "rewritten", "written relative (symlink that is absolute or leads through the root)"
    BITS = "bits", "without the setuid, setgid or sticky bit"
    XATTRS = "xattrs", "without extended attributes"
    EMPTY = "empty", "empty (hardlink that leads nowhere)"
    SIZE = "size", "left out (larger than a file can be here)"
    NAME = "name", "left out (a name that cannot be here)"
    THERE = "there", "left out (something has the name: another case of it, or it came meanwhile)"

    @property
    def key(self) -> str:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]

    @property
    def is_left_out(self) -> bool:
        return self.text.startswith("left out")


@dataclass(slots=True)
class Note:
    """Some paths, by number, and the first of them."""

    count: int = 0
    paths: list[bytes] = field(default_factory=list)

    def add(self, path: bytes) -> None:
        self.count += 1
        if len(self.paths) < _KEPT:
            self.paths.append(path)

    def __str__(self) -> str:
        more = f" and {self.count - _NAMED:,} more" if self.count > _NAMED else ""
        return ", ".join(path_text(path) for path in self.paths[:_NAMED]) + more


@dataclass(slots=True)
class Report:
    """What is written, or would be. `size` are bytes, each content once, holes left out."""

    files: int = 0
    folders: int = 0
    symlinks: int = 0
    hardlinks: int = 0  # further names of files
    size: int = 0
    replaced: int = 0
    notes: dict[Why, Note] = field(default_factory=dict)

    def note(self, why: Why, path: bytes) -> None:
        self.notes.setdefault(why, Note()).add(path)

    def __str__(self) -> str:
        counts = (
            (self.files, "file"),
            (self.folders, "folder"),
            (self.symlinks, "symlink"),
            (self.hardlinks, "hardlink"),
        )
        parts = [count_text(count, noun) for count, noun in counts if count]
        return ", ".join([*parts, size_text(self.size)]) if parts else "nothing"

    def lines(self) -> Iterator[str]:
        """A line for each reason."""
        for why in Why:
            if (note := self.notes.get(why)) is not None:
                yield f"{note.count:,} {why.text}: {note}"

    def as_json(self) -> dict[str, Any]:
        """Counts, bytes, and a list of reasons, each with at most 1,000 of its paths."""
        return {
            "files": self.files,
            "folders": self.folders,
            "symlinks": self.symlinks,
            "hardlinks": self.hardlinks,
            "bytes": self.size,
            "replaced": self.replaced,
            "notes": [
                {
                    "reason": why.key,
                    "left_out": why.is_left_out,
                    "count": note.count,
                    "paths": [path_text(path) for path in note.paths],
                }
                for why in Why
                if (note := self.notes.get(why)) is not None
            ],
        }
