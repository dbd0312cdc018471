"""Dead bytes: what an image ships and no path of its final file system shows.

Live + dead = the sum of all file sizes in all layers, exactly.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from imgscope.layers.overlay import Cause, Dead, Overlay


class LayerWaste(NamedTuple):
    """Bytes of the files in one layer."""

    size: int
    dead: int

    @property
    def live(self) -> int:
        return self.size - self.dead


class WastedPath(NamedTuple):
    """All dead copies of one path. `cause` and `dead_since` are of the copy that died last."""

    path: bytes
    dead: int
    cause: Cause
    stored_in: tuple[int, ...]
    dead_since: int
    copies: tuple[Dead, ...]


class WastedPaths(Sequence[WastedPath]):
    """The paths with dead copies, the most bytes first, then by path.

    There may be as many as files: each is put together when it is asked for.
    """

    def __init__(self, overlay: Overlay, lasts: array[int], before: array[int]) -> None:
        self._overlay = overlay
        self._lasts = lasts  # per path the number of its last death
        self._before = before  # per death the number of the path's death before, or -1

    def __len__(self) -> int:
        return len(self._lasts)

    @overload
    def __getitem__(self, row: int) -> WastedPath: ...
    @overload
    def __getitem__(self, row: slice) -> WastedPaths: ...
    def __getitem__(self, row: int | slice) -> WastedPath | WastedPaths:
        if isinstance(row, slice):
            return WastedPaths(self._overlay, self._lasts[row], self._before)
        return next(iter(WastedPaths(self._overlay, array("i", (self._lasts[row],)), self._before)))

    def __iter__(self) -> Iterator[WastedPath]:
        overlay = self._overlay
        paths = overlay.paths(overlay.node[overlay.died[number]] for number in self._lasts)
        return map(self._wasted, self._lasts, paths)

    def _wasted(self, number: int, path: bytes) -> WastedPath:
        last = self._overlay.death(number)
        if self._before[number] < 0:
            return WastedPath(path, last.size, last.cause, (last.stored_in,), last.dead_since, (last,))
        copies = [last]
        while (number := self._before[number]) >= 0:
            copies.append(self._overlay.death(number))
        copies.reverse()
        last = max(copies, key=lambda copy: (copy.dead_since, copy.stored_in))
        return WastedPath(
            path,
            sum(copy.size for copy in copies),
            last.cause,
            tuple(sorted({copy.stored_in for copy in copies})),
            last.dead_since,
            tuple(copies),
        )


class Waste(NamedTuple):
    """The waste of an image: per layer, and per path with the largest first."""

    layers: tuple[LayerWaste, ...]
    paths: WastedPaths

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
    layers = [0] * len(overlay.layers)
    dead: dict[int, int] = {}  # node → bytes
    lasts: dict[int, int] = {}  # node → its last death
    before = array("i")
    for number, version in enumerate(overlay.died):
        size, node = overlay.file_size(version), overlay.node[version]
        before.append(lasts.get(node, -1))
        if size:
            layers[overlay.layer[version] - 1] += size
            dead[node] = dead.get(node, 0) + size
            lasts[node] = number
    paths = dict(zip(dead, overlay.paths(dead), strict=True))
    order = sorted(dead, key=paths.__getitem__)
    order.sort(key=dead.__getitem__, reverse=True)  # what weighs the same stays in order
    return Waste(
        tuple(LayerWaste(index.total, size) for index, size in zip(overlay.layers, layers, strict=True)),
        WastedPaths(overlay, array("i", map(lasts.__getitem__, order)), before),
    )
