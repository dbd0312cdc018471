"""Dead bytes: what an image ships and no path of its final file system shows.

Live + dead = the sum of all file sizes in all layers, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgscope.layers.overlay import Cause, Dead, Overlay


@dataclass(frozen=True, slots=True)
class LayerWaste:
    """Bytes of the files in one layer."""

    size: int
    dead: int

    @property
    def live(self) -> int:
        return self.size - self.dead


@dataclass(frozen=True, slots=True)
class WastedPath:
    """All dead copies of one path. `cause` and `dead_since` are of the copy that died last."""

    path: bytes
    dead: int
    cause: Cause
    stored_in: tuple[int, ...]
    dead_since: int
    copies: tuple[Dead, ...]


@dataclass(frozen=True, slots=True)
class Waste:
    """The waste of an image: per layer, and per path with the largest first."""

    layers: tuple[LayerWaste, ...]
    paths: tuple[WastedPath, ...]

    @property
    def live(self) -> int:
        return sum(layer.live for layer in self.layers)

    @property
    def dead(self) -> int:
        return sum(layer.dead for layer in self.layers)

    @property
    def efficiency(self) -> float:
        """live / (live + dead); 1 for an image of no bytes."""
        return self.live / (self.live + self.dead) if self.live + self.dead else 1.0


def measure(overlay: Overlay) -> Waste:
    """The waste of a settled overlay."""
    dead = [0] * len(overlay.layers)
    copies: dict[int, list[Dead]] = {}
    for item in overlay.dead():
        dead[item.stored_in - 1] += item.size
        copies.setdefault(item.node, []).append(item)
    paths = [_path(overlay.path(node), items) for node, items in copies.items()]
    paths.sort(key=lambda wasted: (-wasted.dead, wasted.path))
    layers = [LayerWaste(index.total, dead[number]) for number, index in enumerate(overlay.layers)]
    return Waste(tuple(layers), tuple(paths))


def _path(path: bytes, items: Sequence[Dead]) -> WastedPath:
    last = max(items, key=lambda item: (item.dead_since, item.stored_in))
    return WastedPath(
        path,
        sum(item.size for item in items),
        last.cause,
        tuple(sorted({item.stored_in for item in items})),
        last.dead_since,
        tuple(items),
    )
