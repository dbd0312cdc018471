"""dive's three figures by dive's own formulas, for those who come from dive.

Source of the formulas: dive 0.13, `dive/filetree/efficiency.go` and `dive/image/analysis.go`. They
differ from our dead bytes: a removed directory counts only once with what was below it, and the
live copy of a path that was stored twice counts as wasted.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from imgscope.layers.index import Kind
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
    gone: dict[int, list[tuple[int, int]]] = {}
    for layer, node, hidden in overlay.whiteouts:
        gone.setdefault(layer, []).append((node, hidden))
    for number, index in enumerate(overlay.layers, 1):
        stored: dict[int, int] = {}
        for version in overlay.versions_stored(number):
            node, entry = overlay.node[version], overlay.entry[version]
            stored[node] = index.sizes[entry] if index.kinds[entry] == Kind.FILE else 0
        removed = gone.get(number, [])
        inner = _ancestors(overlay, [*stored, *(node for node, _ in removed)])
        found = [(node, size) for node, size in stored.items() if node != ROOT and node not in inner]
        # a whiteout is a leaf of its own in dive's tree, under the path that it hides
        for node, size in found + removed:
            sums[node] += size
            least[node] = min(least[node], size) if seen[node] else size
            seen[node] += 1
    total = sum(sums)
    wasted = sum(size for size, times in zip(sums, seen, strict=True) if times > 1)
    user = sum(index.total for index in overlay.layers[1:])
    return DiveFigures(sum(least) / total if total else 1.0, wasted, 100 * wasted / user if user else None)


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
