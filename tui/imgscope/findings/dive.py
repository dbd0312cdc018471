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
from dataclasses import dataclass

from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import ROOT, Overlay


@dataclass(frozen=True, slots=True)
class DiveFigures:
    """`wasted_bytes` in bytes; `user_wasted_percent` in 0..100 (and beyond), None where dive divides by 0."""

    efficiency: float
    wasted_bytes: int
    user_wasted_percent: float | None


def figures(overlay: Overlay) -> DiveFigures:
    """Over every leaf path of each layer's own tree: the sum of its sizes (Cum) and the smallest (Min)."""
    count = len(overlay)
    sums, least, seen = (
        array("q", bytes(8 * count)),
        array("q", bytes(8 * count)),
        array("I", bytes(4 * count)),
    )
    merged = _Merged(overlay)
    whiteouts: dict[int, list[int]] = {}
    for layer, node in overlay.whiteouts:
        whiteouts.setdefault(layer, []).append(node)
    for number, index in enumerate(overlay.layers, 1):
        tree: dict[int, int] = {}  # what the layer's own tree holds: node → entry, or -1 where none names it
        for entry in index.opaques:
            if (node := overlay.find(index.path(entry))) > ROOT:  # the marker goes, its directory stays
                tree[node] = -1
        for version in overlay.versions_stored(number):
            tree[overlay.node[version]] = overlay.entry[version]
        hidden = whiteouts.get(number, [])
        inner = _ancestors(overlay, [*tree, *hidden])
        found = [
            (node, index.sizes[entry] if entry >= 0 else 0)
            for node, entry in tree.items()
            if node not in inner
        ]
        # a whiteout is a leaf of its own, under the path that it hides
        found += [(node, merged.hidden_by(node)) for node in hidden]
        for node, size in found:
            sums[node] += size
            least[node] = min(least[node], size) if seen[node] else size
            seen[node] += 1
        for node in inner:
            tree.setdefault(node, -1)
        merged.stack(index, tree, hidden)
    total = sum(sums)
    wasted = sum(size for size, times in zip(sums, seen, strict=True) if times > 1)
    user = sum(index.total for index in overlay.layers[1:])
    return DiveFigures(sum(least) / total if total else 1.0, wasted, 100 * wasted / user if user else None)


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


def _ancestors(overlay: Overlay, nodes: list[int]) -> set[int]:
    """The directories that have something below them among `nodes`."""
    parents = overlay.parents
    inner: set[int] = set()
    for node in nodes:
        node = parents[node]
        while node >= 0 and node not in inner:
            inner.add(node)
            node = parents[node]
    return inner
