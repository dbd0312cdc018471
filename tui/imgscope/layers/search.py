"""Which paths of a tree a pattern finds: part of a name, or a glob.

There are no regular expressions: one that backtracks would hold the whole program up. A glob does
not; each of its stars takes the first place that fits (`fnmatch.translate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from itertools import repeat
from operator import and_, contains

from imgscope.job import Job
from imgscope.layers.overlay import ROOT, Overlay
from imgscope.layers.rows import BLOCK, Tree

_LONG = 4096  # characters of a directory's path that are looked at, its end (PATH_MAX of Linux)


class Pattern:
    """What a person typed: with `*`, `?` or `[` a glob of the whole name, else a part of it.

    With a slash, what stands after the last one is for the name, and begins it; what stands before
    is for the path of its directory, and ends it. A glob that starts with a slash starts at the root.
    Without capitals both cases are found.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.folds = text == text.lower()
        self.is_glob = any(sign in text for sign in "*?[")
        folder, slash, self.name = text.rpartition("/")
        self.folder = folder + slash
        start = "" if text.startswith("/") else "*/"
        self._folder_glob = re.compile(translate(start + self.folder)).match
        self._name_glob: Callable[[str], object] = re.compile(translate(self.name or "*")).match

    def __str__(self) -> str:
        return f"{'glob' if self.is_glob else 'part'} of the {'path' if self.folder else 'name'}"

    def narrows(self, other: Pattern) -> bool:
        """Whether all that this finds is among what another pattern finds, as while one types on."""
        plain = not (self.is_glob or other.is_glob or self.folder or other.folder)
        return plain and other.name in self.name

    def names(self, names: Sequence[bytes]) -> bytes:
        """A byte for each name: 1 where its own part of the pattern is found."""
        text = b"/".join(names).decode("utf-8", "surrogateescape")  # no name has a slash
        letters = (text.lower() if self.folds else text).split("/")
        if self.is_glob:
            return bytes(map(bool, map(self._name_glob, letters)))
        return bytes(map(str.startswith if self.folder else contains, letters, repeat(self.name)))

    def is_folder(self, path: str) -> bool:
        """Whether a directory is meant; its path begins and ends with a slash."""
        path = path.lower() if self.folds else path
        return bool(self._folder_glob(path)) if self.is_glob else path.endswith(self.folder)

    def span(self, name: str) -> tuple[int, int]:
        """The part of a name to point out, where it is found."""
        start = (name.lower() if self.folds else name).find(self.name)
        return (0, len(name)) if self.is_glob or start < 0 else (start, start + len(self.name))


def search(overlay: Overlay, tree: Tree, pattern: Pattern, job: Job) -> Tree:
    """The part of a tree that a pattern finds, what is below, and the way there; raises `CancelledError`."""
    names, parents = overlay.names.__getitem__, overlay.parents.__getitem__
    folders = _folders(overlay, tree, pattern, job) if pattern.folder else b""
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
    marks[0] = 0
    return tree.filtered(marks)


def _folders(overlay: Overlay, tree: Tree, pattern: Pattern, job: Job) -> bytearray:
    """A byte for each node: 1 for a directory in which the pattern looks for names."""
    parents, names = overlay.parents, overlay.names
    paths = {ROOT: "/"}
    wanted = bytearray(len(overlay))
    for count, position in enumerate(tree.folders):
        if count % BLOCK == 0:
            job.check()
        node = tree.nodes[position]
        if position:
            name = names[node].decode("utf-8", "surrogateescape")
            paths[node] = f"{paths[parents[node]]}{name}/"[-_LONG:]
        wanted[node] = pattern.is_folder(paths[node])
    return wanted
