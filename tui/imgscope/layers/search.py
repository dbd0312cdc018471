"""Which paths of a tree a pattern finds: part of a name, a glob, or a regular expression.

What is looked at is what is shown: a name with an escape character is found by the `\\x1b` that stands
for it. Regular expressions are those of the package `regex`, for it gives other threads their turn while
it looks, and gives up in time: one that backtracks would hold the whole program up. A glob does not
backtrack; each of its stars takes the first place that fits (`fnmatch.translate`).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import translate
from itertools import repeat
from operator import and_, contains
from time import thread_time
from typing import TYPE_CHECKING, Protocol

from imgscope.job import Job
from imgscope.layers.overlay import ROOT
from imgscope.layers.rows import BLOCK, Tree
from imgscope.text import clean, name_text

if TYPE_CHECKING:
    import regex

REGEX = "~"  # what a regular expression starts with
GIVEN_UP = "This regex takes too long; it was given up."
_LONG = 4096  # characters of a path that are looked at, its end (PATH_MAX of Linux)
_LONGEST_REGEX = 1000  # characters
_BUDGET = 2.0  # seconds of a processor that a regular expression may take, unless told otherwise …
_SHARE = 5e-6  # … and for each of them; most take a fifth of it
_ONE = 1.0  # seconds that it may take for one name
_GLANCE = 0.01  # seconds to find what to point out in a name that is drawn
_STEP = 256  # names that a regular expression is tried on before a job is asked whether it goes on


class Pattern:
    """What a person typed.

    After a `~` a regular expression that is searched for in the name, or with a slash in it in the
    absolute path, where it must end in the name. Else with `*`, `?` or `[` a glob of the whole name, else
    a part of it: with a slash, what stands after the last one is for the name, and begins it; what
    stands before is for the path of its directory, and ends it. A glob that starts with a slash starts
    at the root. Without capitals both cases are found.

    `error` says what is wrong in a regular expression; nothing is found by it then. All searches for a
    regular expression may take so many `seconds`, and 5 µs a name: then they raise `TimeoutError`.
    """

    def __init__(self, text: str, seconds: float = _BUDGET) -> None:
        self.text = text
        self.error = ""
        self._left = seconds
        self.is_regex = text.startswith(REGEX)
        shown = clean(text)
        if self.is_regex:
            self.is_glob, self.folder, self.name = False, "/" if "/" in text else "", text[1:]
            self.folds = (plain := re.sub(r"\\.", "", self.name)) == plain.lower()
            self._regex = self._compiled()
            return
        self.folds = shown == shown.lower()
        self.is_glob = any(sign in shown for sign in "*?[")
        folder, slash, self.name = shown.rpartition("/")
        self.folder = folder + slash
        start = "" if text.startswith("/") else "*/"
        self._folder_glob = re.compile(translate(start + self.folder)).match
        self._name_glob: Callable[[str], object] = re.compile(translate(self.name or "*")).match

    def _compiled(self) -> regex.Pattern[str] | None:
        import regex  # takes its time, and few need it

        if len(self.name) > _LONGEST_REGEX:
            self.error = "not a regex: it is too long"
            return None
        try:
            found = regex.compile(self.name, flags := regex.IGNORECASE if self.folds else 0)
            return regex.compile(rf"(?:{self.name})(?=[^/]*\Z)", flags) if self.folder else found
        except RecursionError:
            self.error = "not a regex: it is too deep"
            return None
        except Exception as error:  # also what its parser trips over
            self.error = f"not a regex: {clean(str(error))}"
            return None

    def __str__(self) -> str:
        kind = "regex" if self.is_regex else "glob" if self.is_glob else "part"
        return f"{kind} of the {'path' if self.folder else 'name'}"

    def narrows(self, other: Pattern) -> bool:
        """Whether all that this finds is among what another pattern finds, as while one types on."""
        rich = any(one.is_regex or one.is_glob or one.folder for one in (self, other))
        return not rich and other.name in self.name

    def names(self, names: Sequence[bytes]) -> bytes:
        """A byte for each name: 1 where its own part of the pattern is found.

        Where `folder` is not empty it takes `is_folder` as well, and for a regular expression `paths`.
        """
        if self.is_regex:
            return b"\1" * len(names) if self.folder else self.searched(_shown(names))
        parts = _shown(names, folds=self.folds)
        if self.is_glob:
            return bytes(map(bool, map(self._name_glob, parts)))
        return bytes(map(str.startswith if self.folder else contains, parts, repeat(self.name)))

    def paths(self, folders: Sequence[str], names: Sequence[bytes]) -> bytes:
        """A byte for each path that a regular expression finds; directories begin and end with a slash."""
        return self.searched(list(map(str.__add__, folders, _shown(names))))

    def searched(self, texts: Sequence[str]) -> bytes:
        """A byte for each text, as it is shown, that a regular expression finds."""
        if self._regex is None:
            return bytes(len(texts))
        self._left += len(texts) * _SHARE
        marks, start, search = bytearray(), thread_time(), self._regex.search
        timeout = max(min(self._left, _ONE), _GLANCE)
        try:
            for text in texts:
                marks.append(search(text[-_LONG:], concurrent=True, timeout=timeout) is not None)
                if thread_time() - start > self._left:
                    raise TimeoutError
        except (TimeoutError, MemoryError):
            raise TimeoutError(GIVEN_UP) from None
        self._left -= thread_time() - start
        return bytes(marks)

    def is_folder(self, path: str) -> bool:
        """Whether a directory is meant; its path begins and ends with a slash."""
        path = path.lower() if self.folds else path
        return bool(self._folder_glob(path)) if self.is_glob else path.endswith(self.folder)

    def span(self, name: str, folder: str = "/") -> tuple[int, int]:
        """The part of a name to point out, where it is found; `folder` is the path of its directory."""
        start, end = self._span(name, folder if self.is_regex and self.folder else "")
        return (start, end) if 0 <= start < end else (0, len(name))

    def _span(self, name: str, before: str) -> tuple[int, int]:
        if self.is_regex:
            with suppress(TimeoutError):
                if self._regex and (found := self._regex.search(before + name, timeout=_GLANCE)):
                    return max(found.start() - len(before), 0), found.end() - len(before)
            return 0, 0
        letters, wanted = name.lower() if self.folds else name, self.name
        if not self.is_glob:
            return (start := letters.find(wanted)), start + len(wanted)
        wanted = wanted.strip("*")  # the rest of most globs is plain: *.so, lib*
        if any(sign in wanted for sign in "*?["):
            return 0, 0
        start = letters.find(wanted) if self.name.endswith("*") else letters.rfind(wanted)
        return start, start + len(wanted)


class Paths(Protocol):
    """What the numbers in a tree stand for: an overlay's nodes, or two of them compared."""

    names: list[bytes]
    parents: array[int]


def search(overlay: Paths, tree: Tree, pattern: Pattern, job: Job) -> Tree:
    """The part of a tree that a pattern finds, what is below, and the way there; raises `CancelledError`.

    The tree's `error` says why nothing was found where the pattern is wrong, or takes too long.
    """
    pattern = Pattern(pattern.text)  # one that has all its time left
    error = pattern.error
    try:
        marks = (_searched if pattern.is_regex else _compared)(overlay, tree, pattern, job)
    except TimeoutError as given_up:
        marks, error = bytearray(len(tree)), str(given_up)
    marks[0] = 0
    found = tree.filtered(marks)
    found.error = error
    return found


def _searched(overlay: Paths, tree: Tree, pattern: Pattern, job: Job) -> bytearray:
    """A byte for each position: 1 where a regular expression is found."""
    names, parents = overlay.names.__getitem__, overlay.parents.__getitem__
    folders = _paths(overlay, tree, job) if pattern.folder else {}
    marks = bytearray()
    for start in range(0, len(tree), _STEP):
        job.check()
        nodes = tree.nodes[start : start + _STEP]
        here = list(map(names, nodes))
        ways = [folders.get(parent, "/") for parent in map(parents, nodes)] if folders else []
        marks += pattern.paths(ways, here) if folders else pattern.names(here)
    return marks


def _compared(overlay: Paths, tree: Tree, pattern: Pattern, job: Job) -> bytearray:
    """A byte for each position: 1 where a glob or a part of a name is found."""
    names, parents = overlay.names.__getitem__, overlay.parents.__getitem__
    folders = bytearray()
    if pattern.folder:
        folders = bytearray(len(overlay.names))
        for node, path in _paths(overlay, tree, job).items():
            folders[node] = pattern.is_folder(path)
    marks = bytearray()
    for start in range(0, len(tree), BLOCK):
        job.check()
        nodes = tree.nodes[start : start + BLOCK]
        wanted = bytes(map(folders.__getitem__, map(parents, nodes))) if folders else b""
        if folders and 1 not in wanted:
            marks += wanted
            continue
        found = pattern.names(list(map(names, nodes)))
        marks += bytes(map(and_, found, wanted)) if folders else found
    return marks


def _shown(names: Sequence[bytes], *, folds: bool = False) -> list[str]:
    """Names as they are shown; many of them at once, where none has anything to escape."""
    text = b"/".join(names).decode("utf-8", "surrogateescape")  # no name has a slash
    if not (text.isascii() and text.isprintable()):
        text = "/".join(map(clean, text.split("/")))
    return (text.lower() if folds else text).split("/")


def _paths(overlay: Paths, tree: Tree, job: Job) -> dict[int, str]:
    """The paths of all directories of a tree, as they are shown, with a slash at both ends."""
    parents, names = overlay.parents, overlay.names
    paths = {ROOT: "/"}
    for count, position in enumerate(tree.folders):
        if count % BLOCK == 0:
            job.check()
        if position:
            node = tree.nodes[position]
            paths[node] = f"{paths[parents[node]]}{name_text(names[node])}/"[-_LONG:]
    return paths
