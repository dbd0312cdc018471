"""File trees in the order they are shown, and which of their rows are seen.

A tree lists its nodes depth first. All that is below a directory then stands right after it: a closed
directory hides one range, opening everything makes one long range, and no row is an object.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import accumulate, compress, islice
from operator import or_
from typing import TypeVar

BLOCK = (
    1 << 14
)  # numbers that one call works on: other threads, and a cancelled job, wait as long as it takes

T = TypeVar("T")


def sums(kind: str, numbers: Iterable[int]) -> array[int]:
    """The sums of all that stands before each place, and of all: one number more than there are."""
    found = array(kind, (0,))
    rest = iter(numbers)
    while block := list(islice(rest, BLOCK)):
        found.extend(islice(accumulate(block, initial=found[-1]), 1, None))
    return found


def gathered(column: array[int], places: array[int]) -> array[int]:
    """What a column has at each of some places."""
    found = array(column.typecode)
    for start in range(0, len(places), BLOCK):
        found.extend(map(column.__getitem__, places[start : start + BLOCK]))
    return found


def joined(how: Callable[[int, int], int], one: bytearray, other: bytearray) -> bytearray:
    """Two columns of 0 and 1 made one, by `and_` or `or_`: as large numbers, all at once."""
    return bytearray(how(int.from_bytes(one), int.from_bytes(other)).to_bytes(len(one)))


def sort(nodes: list[T], key: Callable[[T], int | bytes], *, reverse: bool = False) -> None:
    """Sort in place; a long list in pieces, for other threads wait for a sort however long it takes."""
    if len(nodes) <= BLOCK:
        nodes.sort(key=key, reverse=reverse)
        return
    starts = range(0, len(nodes), BLOCK)
    pieces = [sorted(nodes[start : start + BLOCK], key=key, reverse=reverse) for start in starts]
    nodes[:] = merge(*pieces, key=key, reverse=reverse)


class Tree:
    """Nodes of an overlay, depth first. A position is an index into the columns; 0 is the root.

    `spans` counts a node and all below it. `folders` are the positions of all nodes that have any
    below them, rising. Where the tree is filtered, `marks` has a byte per position, 1 for a match,
    and `on_way` one that is 1 where a match stands below; else both are empty. `error` says why a search
    came to nothing.
    """

    __slots__ = ("error", "folders", "marks", "nodes", "on_way", "spans")

    def __init__(
        self,
        nodes: array[int],
        spans: array[int],
        folders: array[int],
        marks: bytes = b"",
        on_way: bytes = b"",
    ) -> None:
        self.nodes = nodes
        self.spans = spans
        self.folders = folders
        self.marks = marks
        self.on_way = on_way
        self.error = ""

    def __len__(self) -> int:
        return len(self.nodes)

    def children(self, position: int = 0) -> Iterator[int]:
        """The positions right below one."""
        spans = self.spans
        end = position + spans[position]
        position += 1
        while position < end:
            yield position
            position += spans[position]

    def pages(self, room: int) -> Iterable[int]:
        """What to open first: level by level, as long as at most `room` nodes are seen, or but one path."""
        level = [0]
        opened: list[int] = []
        while level:
            below: list[int] = []
            for position in level:
                below += islice(self.children(position), max(room, len(level)) + 1)
            room -= len(below)
            if room < 0 and len(below) > len(level):
                break
            opened += level
            level = [child for child in below if self.spans[child] > 1]
        return opened

    def way(self, nodes: Iterable[int]) -> Iterator[int]:
        """The positions of nodes, each the parent of the next, as far as they are in the tree."""
        start, end = 0, len(self)
        for node in nodes:
            try:
                position = self.nodes.index(node, start, end)
            except ValueError:
                return
            yield position
            start, end = position + 1, position + self.spans[position]

    def filtered(self, marks: bytearray) -> Tree:
        """The nodes that match, what is below them, and the way there; `marks` tells matches by position."""
        on_way = self._way_to(marks)
        shown = joined(or_, marks, on_way)
        covered = 0
        for position in self.folders:
            if marks[position] and position >= covered:
                covered = position + self.spans[position]
                shown[position:covered] = b"\1" * (covered - position)
        return self._part(shown, marks, on_way)

    def reduced(self, wanted: bytearray) -> Tree:
        """The nodes that are wanted, by position, and the way there; nothing counts as a match."""
        return self._part(joined(or_, wanted, self._way_to(wanted)))

    def _way_to(self, marks: bytearray) -> bytearray:
        """A byte per position, 1 where a mark stands below."""
        on_way = bytearray(len(marks))
        for position in self.folders:
            on_way[position] = marks.find(1, position + 1, position + self.spans[position]) >= 0
        return on_way

    def _part(self, shown: bytearray, *columns: bytearray) -> Tree:
        """What is shown, and the root; with what is shown of further columns."""
        shown[0] = 1
        places = sums("i", shown)
        spans, folders = array("i", (1,)) * places[-1], array("i")
        for position in self.folders:
            place = places[position]
            span = places[position + self.spans[position]] - place
            if shown[position] and span > 1:
                spans[place] = span
                folders.append(place)
        nodes = array("i")
        for start in range(0, len(self), BLOCK):
            nodes.extend(compress(self.nodes[start : start + BLOCK], shown[start : start + BLOCK]))
        return Tree(nodes, spans, folders, *(bytes(compress(column, shown)) for column in columns))


class Rows:
    """The positions of a tree that are seen, row by row: all that no closed directory hides.

    `closed` has a byte per position, 1 for what is closed; the rows keep it and change it.
    """

    def __init__(self, tree: Tree, closed: bytearray) -> None:
        self.tree = tree
        self.closed = closed
        self._rows = self._below(0)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> int:
        return self._rows[row]

    def row(self, position: int) -> int:
        """The row of a position, or that of the nearest one above it where it is not seen."""
        row = bisect_left(self._rows, position)
        return row if row < len(self._rows) and self._rows[row] == position else max(row - 1, 0)

    def fold(self, row: int) -> None:
        """Close what stands in a row."""
        position = self._rows[row]
        self.closed[position] = 1
        del self._rows[row + 1 : bisect_left(self._rows, position + self.tree.spans[position], row + 1)]

    def unfold(self, row: int) -> None:
        """Open what stands in a row and is closed; what was open below it is so still."""
        position = self._rows[row]
        self.closed[position] = 0
        self._rows[row + 1 : row + 1] = self._below(position)

    def _below(self, position: int) -> array[int]:
        """What is seen below an open directory."""
        rows, spans = array("i"), self.tree.spans
        start, end = position + 1, position + spans[position]
        while start < end:
            stop = self.closed.find(1, start, end)
            if stop < 0:
                rows.extend(_run(start, end))
                break
            if stop > start:
                rows.extend(_run(start, stop))
            rows.append(stop)
            start = stop + spans[stop]
        return rows


_numbers = array("i")  # 0, 1, 2, … as far as they were needed: copied faster than counted


def _run(start: int, end: int) -> array[int]:
    if end > len(_numbers):
        _numbers.extend(range(len(_numbers), end))
    return _numbers[start:end]
