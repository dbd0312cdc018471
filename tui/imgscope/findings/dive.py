"""dive's three figures by dive's own formulas, for those who come from dive.

Source of the formulas: dive 0.13, `dive/filetree/efficiency.go`, `dive/filetree/file_tree.go` and
`dive/image/analysis.go`. They differ from our dead bytes: a removed directory counts only once with
what was below it, and the live copy of a path that was stored twice counts as wasted.

Left out is where dive goes wrong: after a whiteout of a path that does not exist it drops the rest
of that layer, it takes a layer that an archive stores as a symlink to another for empty, and without
a manifest.json it takes the layers of an OCI layout in any order.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, compress
from typing import NamedTuple

from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import ROOT, Overlay


class DiveFigures(NamedTuple):
    """`wasted_bytes` in bytes; `user_wasted_percent` in 0..100 (and beyond), None where dive divides by 0."""

    efficiency: float
    wasted_bytes: int
    user_wasted_percent: float | None


def figures(overlay: Overlay) -> DiveFigures:
    """Over every leaf path of each layer's own tree: the sum of its sizes (Cum) and the smallest (Min)."""
    layers = overlay.layers
    hidden: list[list[int]] = [[] for _ in layers]
    for layer, node in overlay.whiteouts:
        hidden[layer - 1].append(node)
    # the opaque marker goes, its directory stays
    opaque = [
        [node for entry in index.opaques if (node := overlay.find(index.path(entry))) > ROOT]
        for index in layers
    ]
    # What a path adds that one layer names, once, is its size, to both sums: only the others are looked at.
    shared = _shared(overlay, [node for nodes in (*hidden, *opaque) for node in nodes])
    stored = _stored(overlay, shared)
    total = sum(index.total for index in layers)
    alone = total - sum(overlay.file_size(version) for versions in stored for version in versions)
    user = total - layers[0].total if layers else 0
    sums: dict[int, int] = {}
    least: dict[int, int] = {}
    repeated: set[int] = set()
    merged = _Merged(overlay) if any(overlay.children(node) for nodes in hidden for node in nodes) else None
    for number, index in enumerate(layers, 1):
        # what the layer's own tree holds: node → entry, or -1 where none names it
        tree = dict.fromkeys(opaque[number - 1], -1)
        tree.update((overlay.node[version], overlay.entry[version]) for version in stored[number - 1])
        gone = hidden[number - 1]
        inner = _inner(overlay, number, [*tree, *gone]) if tree or gone else ()
        # a whiteout is a leaf of its own, under the path that it hides
        found = chain(
            (
                (node, index.sizes[entry] if entry >= 0 else 0)
                for node, entry in tree.items()
                if node not in inner
            ),
            ((node, merged.hidden_by(node) if merged else 0) for node in gone),
        )
        for node, size in found:
            if node in sums:
                repeated.add(node)
                sums[node] += size
                least[node] = min(least[node], size)
            else:
                sums[node] = least[node] = size
        if merged:
            for node in inner:
                tree.setdefault(node, -1)
            merged.stack(index, tree, gone)
    total = alone + sum(sums.values())
    wasted = sum(map(sums.__getitem__, repeated))
    return DiveFigures(
        (alone + sum(least.values())) / total if total else 1.0,
        wasted,
        100 * wasted / user if user else None,
    )


def _shared(overlay: Overlay, nodes: Iterable[int]) -> bytearray:
    """Marks all paths but those that one entry of one layer names: `nodes` and those above them, too."""
    marks = bytearray(len(overlay))
    for node, below in zip(overlay.node, overlay.below, strict=True):
        if below >= 0:
            marks[node] = 1
    for node in nodes:
        while node >= 0 and marks[node] < 2:
            marks[node] = 2
            node = overlay.parents[node]
    return marks


def _stored(overlay: Overlay, marks: bytearray) -> list[list[int]]:
    """Per layer, the versions that entries of its tar made of the marked paths, in their order."""
    stored: list[list[int]] = [[] for _ in overlay.layers]
    for node in compress(range(len(overlay)), marks):
        version = overlay.heads[node]
        while version >= 0:
            if overlay.entry[version] >= 0:
                stored[overlay.layer[version] - 1].append(version)
            version = overlay.below[version]
    for versions in stored:
        versions.sort()
    return stored


class _Merged:
    """The layers merged as dive does it, which whiteouts alone take something out of.

    An opaque directory hides nothing, and what a file replaces stays below the file.
    """

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._sizes = array("q", [-1]) * len(overlay)  # -1: not there
        self._directories = bytearray(len(overlay))

    def stack(self, index: LayerIndex, tree: Mapping[int, int], hidden: Iterable[int]) -> None:
        """Put a layer on top; a directory that none of its entries names is no directory from then on."""
        for node in hidden:
            for gone in list(self._below(node)):
                self._sizes[gone] = -1
        for node, entry in tree.items():
            self._sizes[node] = index.sizes[entry] if entry >= 0 else 0
            self._directories[node] = entry >= 0 and index.kinds[entry] == Kind.DIRECTORY

    def hidden_by(self, node: int) -> int:
        """The bytes that a whiteout counts for: of a directory, all below it; of anything else, none."""
        if self._sizes[node] < 0 or not self._directories[node]:
            return 0
        return sum(self._sizes[other] for other in self._below(node))

    def _below(self, node: int) -> Iterator[int]:
        """A node and all below it that is there."""
        stack = [node]
        while stack:
            node = stack.pop()
            if self._sizes[node] >= 0:
                yield node
                stack.extend(self._overlay.children(node))


def _inner(overlay: Overlay, layer: int, nodes: Iterable[int]) -> set[int]:
    """The directories that have something below them that the layer stores, or one of `nodes`."""
    parents, node = overlay.parents, overlay.node
    found = {parents[node[version]] for version in overlay.versions_stored(layer)}
    found.update(map(parents.__getitem__, nodes))
    inner: set[int] = set()
    for directory in found:
        while directory >= 0 and directory not in inner:
            inner.add(directory)
            directory = parents[directory]
    return inner
