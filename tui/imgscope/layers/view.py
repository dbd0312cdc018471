"""What one looks at in an overlay: a layer's own changes, or the merged tree up to it."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from operator import and_, sub
from threading import Lock

from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.rows import BLOCK, Tree, gathered, joined, sort, sums
from imgscope.layers.search import Pattern, search
from imgscope.layers.taking import Taking

_KEPT = 1_000_000  # rows of all the views of an image that are kept


class Sort(Enum):
    """The order of what stands in one directory."""

    NAME = "name"  # directories first
    SIZE = "size"  # the largest first
    STATE = "state"  # added, changed, removed, unchanged; a directory by the first of these at or below it
    DEAD = "dead"  # most dead bytes first


STATES = frozenset(State) - {State.NONE}  # all that a path which is shown can have


@dataclass(frozen=True)
class Lens:
    """What of a view is shown, and in what order.

    Of paths in other `states`, and in the merged tree of those that layers up to `above` hold (which no
    layer from there on changes, or stores bytes of), only the directories on the way to others are shown.
    In a layer's own changes an UNCHANGED directory with something in it is never more than that.
    """

    sort: Sort = Sort.NAME
    pattern: Pattern | None = None
    states: frozenset[State] = STATES
    above: int = 0


class LayerView:
    """The tree of one layer: nodes are those of the overlay, from `ROOT` down.

    With `merged`, all paths that are there once layers 1..layer are stacked; else the paths that
    this layer adds, changes or removes, and the directories on the way to them. `dead` has a byte
    per version of the overlay, 1 for a copy that is dead (see `dead_versions`). `tree` is in the order of
    names. Construction takes time in the number of paths shown, not of all there are, and raises
    `CancelledError`.
    """

    def __init__(
        self,
        overlay: Overlay,
        layer: int,
        *,
        merged: bool = False,
        dead: bytes | bytearray = b"",
        job: Job | None = None,
    ) -> None:
        self.overlay = overlay
        self.layer = layer
        self.merged = merged
        self._dead = dead
        self._dying = array("q")  # sums of what is dead, once they are asked for
        self._orders: dict[Sort, Tree] = {}
        self._reduced: tuple[Lens, Tree] | None = None  # what was shown last of it, before a search
        self._found: tuple[Lens, Pattern, Tree] | None = None  # the last search
        take = Taking(overlay, layer, merged, job or Job())
        self.tree = take.tree()
        nodes = self.tree.nodes
        if len(nodes) * 16 < len(overlay):
            self._places: dict[int, int] | array[int] = {node: place for place, node in enumerate(nodes)}
        else:
            self._places = array("i", (-1,)) * len(overlay)
            for place, node in enumerate(nodes):
                self._places[node] = place
        # sums of all that stands before a position: a subtree is one range
        self._sizes = sums("q", map(take.sizes.__getitem__, nodes))
        self._gone = sums("q", (take.gone.get(node, 0) for node in nodes)) if take.gone else array("q")

    def _sum(self, totals: array[int], node: int) -> int:
        if not totals:
            return 0
        place = self._places[node]
        return totals[place + self.tree.spans[place]] - totals[place]

    def children(self, node: int = ROOT) -> Sequence[int]:
        """The nodes in a directory: directories first, then by name."""
        nodes = self.tree.nodes
        return [nodes[place] for place in self.tree.children(self._places[node])]

    def has_children(self, node: int) -> bool:
        return self.tree.spans[self._places[node]] > 1

    def size(self, node: int) -> int:
        """Bytes of the files at and below a node: all of them in the merged tree, else this layer's own.

        A file of several names counts once, in the merged tree under one that is there.
        """
        return self._sum(self._sizes, node)

    def gone(self, node: int) -> int:
        """Bytes of the files that this layer removes at and below a node.

        A file of several names is gone with the one that it was stored under.
        """
        return self._sum(self._gone, node)

    def dead(self, node: int) -> int:
        """Bytes of the copies at and below a node that are shown and dead in the final image."""
        return self._sum(self._dead_totals(), node)

    def _dead_totals(self) -> array[int]:
        if not self._dying:
            size, version = self.overlay.file_size, self.version
            own = (size(version(node)) if self.is_dead(node) else 0 for node in self.tree.nodes)
            self._dying = sums("q", own)
        return self._dying

    def state(self, node: int) -> State:
        """What the layer does to a node; UNCHANGED for a directory that is only on the way."""
        return self.overlay.state_in(node, self.layer)

    def version(self, node: int) -> int:
        """The version shown: for a removal what was removed, -1 for a directory that no layer stores."""
        version = self.overlay.at(node, self.layer)
        return version if version >= 0 or self.merged else self.overlay.at(node, self.layer - 1)

    def is_directory(self, node: int) -> bool:
        version = self.version(node)
        return version < 0 or self.overlay.kind(version) == Kind.DIRECTORY

    def is_dead(self, node: int) -> bool:
        """Whether the copy that is shown is dead in the final image."""
        version = self.version(node)
        return 0 <= version < len(self._dead) and self._dead[version] == 1

    def arranged(self, lens: Lens = Lens(), job: Job | None = None) -> Tree:
        """The tree as a lens shows it; raises `CancelledError`."""
        job, pattern, lens = job or Job(), lens.pattern, replace(lens, pattern=None)
        if (last := self._reduced) is not None and last[0] == lens:
            tree = last[1]
        else:
            tree = self.tree
            if lens.sort != Sort.NAME:
                known = self._orders.get(lens.sort)
                tree = self._orders[lens.sort] = known or self._sorted(lens.sort, job)
            tree = self._reduce(tree, lens, job)
            self._reduced = lens, tree
        if pattern is None:
            return tree
        if (found := self._found) is not None and found[0] == lens and pattern.narrows(found[1]):
            tree = found[2]
        tree = search(self.overlay, tree, pattern, job)
        self._found = lens, pattern, tree
        return tree

    def _reduce(self, tree: Tree, lens: Lens, job: Job) -> Tree:
        """The states and layers of a tree that a lens shows, and the way there."""
        above = lens.above if self.merged else 0
        if lens.states >= STATES and not above:
            return tree
        states = self._states()
        marks = states.translate(bytes(state in lens.states for state in range(256)))
        if not self.merged:
            for place in self.tree.folders:
                marks[place] &= states[place] != State.UNCHANGED
        if above:
            mine = bytearray(len(marks))
            for number in range(above + 1, self.layer + 1):
                job.check()
                for place, version in self._touched(number):
                    # what a layer only carries along stays that of the layers below
                    if self.overlay.state[version] != State.UNCHANGED or self.overlay.file_size(version):
                        mine[place] = 1
            marks = joined(and_, marks, mine)
        wanted = bytearray()
        for start in range(0, len(tree), BLOCK):
            job.check()
            places = map(self._places.__getitem__, tree.nodes[start : start + BLOCK])
            wanted += bytes(map(marks.__getitem__, places))
        return tree.reduced(wanted)

    def _states(self) -> bytearray:
        """The state of each place."""
        states = bytearray((State.UNCHANGED,)) * len(self.tree)
        for place, version in self._touched(self.layer):
            states[place] = self.overlay.state[version]
        return states

    def _touched(self, layer: int) -> Iterator[tuple[int, int]]:
        """The places that a layer touches, and how it leaves them."""
        places, nodes = self._places, self.overlay.node
        known = (lambda node: places.get(node, -1)) if isinstance(places, dict) else places.__getitem__
        for version in self.overlay.versions(layer):
            if (place := known(nodes[version])) >= 0:
                yield place, version

    def _sorted(self, order: Sort, job: Job) -> Tree:
        nodes, spans = self.tree.nodes, self.tree.spans
        keys = self._keys(order)
        places, folders = array("i"), array("i")
        stack = [0]
        while stack:
            place = stack.pop()
            places.append(place)
            if spans[place] > 1:
                job.check()
                folders.append(len(places) - 1)
                below = list(self.tree.children(place))
                below.reverse()  # the last is taken first, and equals stay in the order of their names
                sort(below, keys.__getitem__)
                stack += below
        return Tree(gathered(nodes, places), gathered(spans, places), folders)

    def _keys(self, order: Sort) -> array[int]:
        """What is sorted by, for each place."""
        nodes, spans = self.tree.nodes, self.tree.spans
        if order == Sort.STATE:
            return self._ranks()
        totals = self._dead_totals() if order == Sort.DEAD else self._sizes
        keys = array("q")
        for start in range(0, len(nodes), BLOCK):
            keys.extend(map(sub, totals[start + 1 : start + 1 + BLOCK], totals[start : start + BLOCK]))
        for place in self.tree.folders:
            keys[place] = totals[place + spans[place]] - totals[place]
        if order == Sort.SIZE and self._gone:  # where nothing is stored, what is gone is shown
            for place, node in enumerate(nodes):
                keys[place] = keys[place] or self.gone(node)
        return keys

    def _ranks(self) -> array[int]:
        """For each place how early its state comes in the order of states."""
        order = (State.UNCHANGED, State.REMOVED, State.METADATA, State.CONTENT, State.ADDED)
        ranks = self._states().translate(
            bytes(order.index(State(n)) if n in order else 0 for n in range(256))
        )
        for place in reversed(self.tree.folders):
            below = max(map(ranks.__getitem__, self.tree.children(place)))
            ranks[place] = max(ranks[place], below)
        return array("q", iter(ranks))


class Views:
    """The views of one image: those looked at last are kept, for the way back and forth. Safe in threads."""

    def __init__(self, overlay: Overlay) -> None:
        self.overlay = overlay
        self._dead: bytearray | None = None
        self._kept: OrderedDict[tuple[int, bool], LayerView] = OrderedDict()
        self._lock = Lock()

    def get(self, layer: int, merged: bool, job: Job) -> LayerView:
        """The view of a layer, made where it is not kept; raises `CancelledError`."""
        with self._lock:
            view = self._kept.pop((layer, merged), None)
            if self._dead is None:
                self._dead = dead_versions(self.overlay)
            if view is None:
                view = LayerView(self.overlay, layer, merged=merged, dead=self._dead, job=job)
            self._kept[layer, merged] = view
            while len(self._kept) > 1 and sum(len(kept.tree) for kept in self._kept.values()) > _KEPT:
                self._kept.popitem(last=False)
            return view


def dead_versions(overlay: Overlay) -> bytearray:
    """A byte for each version of an overlay: 1 for a copy of some bytes that is dead in the final image."""
    marks = bytearray(len(overlay.node))
    for version in overlay.died:
        marks[version] = overlay.file_size(version) > 0
    return marks
