"""Two merged file trees side by side: which paths are only in one of them, and what differs in the others.

The trees are those of whole images, A and B. Every path that either of them ever named is a number: a node of
A's overlay keeps its own, one that only B knows is `len(a)` + its number there. A parent's number is lower
than its children's. What differs is kept in columns by these numbers, and nothing else is kept of a path.

Contents are the same for sure where both are the same entry of the same layer (diff ID) or have the same
digest. They differ for sure where their sizes do, or the CRC-64 that an engine noted. Everything else must be
read: `undecided` says what, `settle` takes the answers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from heapq import merge
from typing import NamedTuple

from imgscope.findings.pairs import Pairs
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import REMOVED, ROOT, Overlay, State
from imgscope.layers.rows import BLOCK, Tree

DIFFERENT = (State.ADDED, State.REMOVED, State.CONTENT, State.METADATA)


class Order(Enum):
    """The order of what stands in one directory."""

    NAME = "name"  # directories first
    SIZE = "size"  # most bytes that differ first


class Total(NamedTuple):
    """All paths of one state: how many, and the bytes of their files in A and in B."""

    paths: int
    a: int
    b: int


class FileComparison:
    """The files of A and B. `layers_a` and `layers_b` name the layers' contents, None: like no other.

    States are those of B against A: ADDED is only in B, REMOVED only in A. Paths that were made a different
    kind of thing count as CONTENT. Construction takes time in the number of all paths and raises
    `CancelledError`; until `settle` the undecided count as CONTENT.
    """

    def __init__(
        self,
        a: Overlay,
        b: Overlay,
        layers_a: Sequence[str | None] = (),
        layers_b: Sequence[str | None] = (),
        job: Job | None = None,
    ) -> None:
        self._job = job or Job()
        self.a, self.b = a, b
        self._shift = len(a)
        self.names = a.names + b.names
        self._match = self._matched()  # node of B → number
        self._partner = array("i", (-1,)) * len(a)  # node of A → node of B, or -1
        for node, number in enumerate(self._match):
            if number < self._shift:
                self._partner[number] = node
        self.parents = a.parents + array("i", (self._match[up] if up >= 0 else -1 for up in b.parents))
        self._pairs = Pairs(a, b, layers_a, layers_b)
        self.states = bytearray(len(self.parents))  # a `State` for each number
        self._unread = array("i")  # the numbers of those that must be read
        self._timed = bytearray(len(self.parents))  # 1 where nothing but the mtime differs
        self._own = tuple(array("q", bytes(8 * len(self.parents))) for _ in range(2))  # bytes in A, in B
        self._judge()
        self._finish()

    # -- building ---------------------------------------------------------------------------------

    def _matched(self) -> array[int]:
        """For each node of B its number."""
        a, b, shift = self.a, self.b, self._shift
        match = array("i", (ROOT,))
        last, siblings = -1, a.named(ROOT)
        for node in range(1, len(b)):
            if node % BLOCK == 0:
                self._job.check()
            if (parent := b.parents[node]) != last:
                last, number = parent, match[parent]
                siblings = a.named(number) if number < shift else {}
            match.append(siblings.get(b.names[node], shift + node))
        return match

    def _judge(self) -> None:
        """Give each path that is there its state, and its own bytes on both sides."""
        own = self._pairs.own
        sizes_a, sizes_b = self._own
        heads_a, heads_b = self.a.heads, self.b.heads
        entry_a, entry_b = self.a.entry, self.b.entry
        states, shift = self.states, self._shift
        for number in range(len(states)):
            if number % BLOCK == 0:
                self._job.check()
            node_a = number if number < shift else -1
            node_b = self._partner[number] if node_a >= 0 else number - shift
            was = heads_a[node_a] if node_a >= 0 else -1
            now = heads_b[node_b] if node_b >= 0 else -1
            there = was >= 0 and entry_a[was] != REMOVED
            here = now >= 0 and entry_b[now] != REMOVED
            if number == ROOT:
                there = here = True
            elif node_a < 0 and self._match[node_b] != number:
                continue  # a node of B that goes by its number in A
            if there:
                sizes_a[number] = own(0, node_a, was)
            if here:
                sizes_b[number] = own(1, node_b, now)
            if there and here:
                states[number] = self._compared(number, was, now)
            elif there or here:
                states[number] = State.REMOVED if there else State.ADDED

    def _compared(self, number: int, was: int, now: int) -> State:
        same = self._pairs.same(was, now)
        if same is None:
            self._unread.append(number)
        return self._same(number, was, now) if same else State.CONTENT

    def _same(self, number: int, was: int, now: int) -> State:
        """The state of a path whose content is the same."""
        differs = tuple(self._pairs.metadata(was, now))
        self._timed[number] = differs == ("mtime",)
        return State.METADATA if differs else State.UNCHANGED

    # -- contents -----------------------------------------------------------------------------------

    def undecided(self) -> tuple[list[int], list[int]]:
        """The contents to be read: versions of A, and of B, that store files; each once."""
        wanted = []
        for side, overlay in enumerate((self.a, self.b)):
            made = {overlay.inode(self.version(number, side)) for number in self._unread}
            wanted.append(sorted(version for version in made if self._pairs.digest(side, version) is None))
        return wanted[0], wanted[1]

    def settle(self, a: Mapping[int, bytes], b: Mapping[int, bytes]) -> int:
        """Take the SHA-256 of contents, holes filled, by version; decide and sum up anew.

        Returns how many paths are undecided still, for want of a digest. They count as CONTENT.
        """
        left = array("i")
        for number in self._unread:
            was, now = self.version(number, 0), self.version(number, 1)
            digests = [
                read.get(overlay.inode(version)) or self._pairs.digest(side, version)
                for side, (overlay, version, read) in enumerate(((self.a, was, a), (self.b, now, b)))
            ]
            if None in digests:
                left.append(number)
            elif digests[0] == digests[1]:
                self.states[number] = self._same(number, was, now)
        self._unread = left
        self._finish()
        return len(left)

    # -- summing up ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The totals, and the bytes that differ at and below each path."""
        states, parents, (own_a, own_b) = self.states, self.parents, self._own
        sizes_a, sizes_b, weights = own_a[:], own_b[:], array("q", bytes(8 * len(states)))
        found = {state: [0, 0, 0] for state in DIFFERENT}
        for number, state in enumerate(states):
            if number % BLOCK == 0:
                self._job.check()
            if state <= State.UNCHANGED:
                continue
            weights[number] = self._weigh(number)
            total = found[State(state)]
            total[0] += 1
            total[1] += own_a[number]
            total[2] += own_b[number]
        for number in range(len(states) - 1, ROOT, -1):
            parent = parents[number]
            sizes_a[parent] += sizes_a[number]
            sizes_b[parent] += sizes_b[number]
            weights[parent] += weights[number]
        self.totals = {state: Total(*numbers) for state, numbers in found.items()}
        self.only_times = self._timed.count(1)  # paths of which nothing but the mtime differs
        self._sizes, self._weights = (sizes_a, sizes_b), weights

    def _weigh(self, number: int) -> int:
        """The bytes that differ of a path itself."""
        a, b = self._own[0][number], self._own[1][number]
        return abs(b - a) if self.states[number] == State.METADATA else max(a, b)

    # -- asking -------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many paths differ."""
        return sum(total.paths for total in self.totals.values())

    def number(self, node: int, side: int) -> int:
        """The number of a node of A (side 0) or of B (1)."""
        return node if side == 0 else self._match[node]

    def node(self, number: int, side: int) -> int:
        """The node of a path in A (side 0) or in B (1), or -1."""
        if side == 0:
            return number if number < self._shift else -1
        return self._partner[number] if number < self._shift else number - self._shift

    def version(self, number: int, side: int) -> int:
        """The version of a path in A (side 0) or in B (1), -1 where it is not there, or only implied."""
        node = self.node(number, side)
        return (self.a, self.b)[side].at(node) if node >= 0 else -1

    def path(self, number: int) -> bytes:
        """The path, without a leading slash; the root is empty."""
        if number < self._shift:
            return self.a.path(number)
        return self.b.path(number - self._shift)

    def state(self, number: int) -> State:
        """What became of a path from A to B; UNCHANGED for a directory that is only on the way."""
        return State(self.states[number])

    def size(self, number: int) -> tuple[int, int]:
        """Bytes of the files at and below a path, in A and in B; a file of several names counts once."""
        return self._sizes[0][number], self._sizes[1][number]

    def own(self, number: int) -> tuple[int, int]:
        """Bytes of a path itself, in A and in B: 0 for directories, and for all but one name of a file."""
        return self._own[0][number], self._own[1][number]

    def weight(self, number: int) -> int:
        """Bytes of what differs at and below a path: of a changed file the larger of its sizes."""
        return self._weights[number]

    def kinds(self, number: int) -> tuple[Kind | None, Kind | None]:
        """What the path is in A and in B, None where it is not there."""
        was, now = (self.version(number, side) for side in (0, 1))
        root = number == ROOT
        return (
            self._pairs.kind(0, was) if was >= 0 or root else None,
            self._pairs.kind(1, now) if now >= 0 or root else None,
        )

    def is_directory(self, number: int) -> bool:
        """Whether the path is a directory in B, or in A where B does not have it."""
        was, now = self.kinds(number)
        return (was if now is None else now) == Kind.DIRECTORY

    def changes(self, number: int) -> tuple[str, ...]:
        """What differs: among kind, content, target, device, mode, owner, mtime, xattrs, links, entry.

        `links` are the other names of a file; `entry` is a directory that only one image stores as such,
        while the other has just paths in it.
        """
        state = self.states[number]
        if state not in (State.CONTENT, State.METADATA):
            return ()
        found: list[str] = []
        if state == State.CONTENT:
            was, now = self.kinds(number)
            if was != now:
                return ("kind",)
            names = {Kind.FILE: "content", Kind.SYMLINK: "target"}
            found.append(names.get(was or Kind.FILE, "device"))
        found += self._pairs.metadata(self.version(number, 0), self.version(number, 1))
        return tuple(found)

    def arranged(
        self,
        order: Order = Order.NAME,
        shown: Collection[State] = DIFFERENT,
        job: Job | None = None,
    ) -> Tree:
        """What differs as a tree of numbers, with the directories on the way; raises `CancelledError`.

        No more than the states of `shown`.
        """
        job = job or Job()
        weights, below = self._weights, self._inside(frozenset(shown), job)
        nodes, folders = array("i"), array("i")
        ends: list[tuple[int, int]] = []
        stack = [ROOT]
        while stack:
            number = stack.pop()
            if number < 0:  # all that is below a directory was seen
                ends.append((~number, len(nodes)))
                continue
            if inside := below.get(number):
                job.check()
                stack.append(~len(nodes))
                folders.append(len(nodes))
                inside = _sorted(inside, self.names.__getitem__)
                if order == Order.SIZE:
                    inside = _sorted(inside, lambda number: -weights[number])
                else:
                    inside = _sorted(
                        inside, lambda number: not (number in below or self.is_directory(number))
                    )
                stack += reversed(inside)  # the last is taken first
            nodes.append(number)
        spans = array("i", (1,)) * len(nodes)
        for place, end in ends:
            spans[place] = end - place
        return Tree(nodes, spans, folders)

    def _inside(self, shown: Collection[int], job: Job) -> dict[int, list[int]]:
        """For each directory that has any, what is to be shown right in it."""
        parents, below = self.parents, dict[int, list[int]]()
        seen = bytearray(len(self.states))
        seen[ROOT] = 1
        for number, state in enumerate(self.states):
            if number % BLOCK == 0:
                job.check()
            if state > State.UNCHANGED and state in shown:
                while not seen[number]:
                    seen[number] = 1
                    below.setdefault(parents[number], []).append(number)
                    number = parents[number]
        return below

    def largest(self) -> list[int]:
        """All paths that differ: most bytes first, those with another mtime only last, else by path."""
        numbers = [number for number, state in enumerate(self.states) if state > State.UNCHANGED]
        paths = dict(zip(numbers, self.paths(numbers), strict=True))
        return sorted(numbers, key=lambda number: (-self._weigh(number), self._timed[number], paths[number]))

    def listed(self) -> Iterator[int]:
        """All paths that differ, in the order of the tree."""
        return (number for number in self.arranged().nodes if self.states[number] > State.UNCHANGED)

    def paths(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The paths of many, each directory's put together once."""
        folders = {ROOT: b""}
        for number in numbers:
            if number == ROOT:
                yield b""
                continue
            parent = self.parents[number]
            if parent not in folders:
                folders[parent] = self.path(parent) + b"/"
            yield folders[parent] + self.names[number]


def _sorted(numbers: list[int], key: Callable[[int], bytes | int]) -> list[int]:
    """Sorted, a long list in pieces: other threads wait for a sort however long it takes."""
    if len(numbers) <= BLOCK:
        return sorted(numbers, key=key)
    starts = range(0, len(numbers), BLOCK)
    return list(merge(*(sorted(numbers[start : start + BLOCK], key=key) for start in starts), key=key))
