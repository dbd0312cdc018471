"""What one looks at in an overlay: a layer's own changes, or the merged tree up to it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from imgscope.layers.index import Kind
from imgscope.layers.overlay import REMOVED, ROOT, Dead, Overlay, State


class LayerView:
    """The tree of one layer, ready to be walked from `ROOT` down.

    With `merged`, all paths that are there once layers 1..layer are stacked; else the paths that
    this layer adds, changes or removes, and the directories on the way to them. Sums over subtrees
    are made once, at construction: O(paths). `dead` are the image's dead copies.
    """

    def __init__(
        self, overlay: Overlay, layer: int, *, merged: bool = False, dead: Iterable[Dead] = ()
    ) -> None:
        self.overlay = overlay
        self.layer = layer
        self.merged = merged
        # a copy that its own layer replaced is seen in no view
        self._dead = {(copy.node, copy.stored_in) for copy in dead if copy.dead_since > copy.stored_in}
        count = len(overlay)
        self._sizes = array("q", bytes(8 * count))
        self._gone = array("q", bytes(8 * count))
        self._children: dict[int, list[int]] = {}
        self._versions: dict[int, int] = {}
        self._strays: dict[int, int] = {}  # file → one of its names, where its first name is gone
        if merged:
            self._take_merged(count)
        else:
            self._take_changes()
        for version, node in self._strays.items():
            self._sizes[node] = overlay.file_size(version)
        self._sum(count)

    def _take_merged(self, count: int) -> None:
        overlay = self.overlay
        for node in range(1, count):
            version = overlay.at(node, self.layer)
            if version >= 0:
                self._take(node, version)
                self._children.setdefault(overlay.parents[node], []).append(node)

    def _take(self, node: int, version: int) -> None:
        overlay = self.overlay
        self._versions[node] = version
        self._sizes[node] = overlay.file_size(version)
        made = overlay.inode(version)
        if made == version or overlay.at(overlay.node[made], self.layer) == made:
            return
        if self.merged or overlay.layer[made] == self.layer:
            self._strays.setdefault(made, node)

    def _take_changes(self) -> None:
        overlay = self.overlay
        parents = overlay.parents
        seen = bytearray(len(overlay))
        seen[ROOT] = 1
        for version in overlay.versions(self.layer):
            node = overlay.node[version]
            if overlay.state[version] == State.UNCHANGED and not overlay.file_size(version):
                continue  # a directory that layers carry along
            self._take(node, version)
            if overlay.entry[version] == REMOVED:
                below = overlay.at(node, self.layer - 1)
                self._gone[node] = overlay.file_size(below) if below >= 0 else 0
            while not seen[node]:
                seen[node] = 1
                self._children.setdefault(parents[node], []).append(node)
                node = parents[node]

    def _sum(self, count: int) -> None:
        parents, sizes, gone = self.overlay.parents, self._sizes, self._gone
        for node in range(count - 1, 0, -1):  # children have higher numbers than their parents
            if sizes[node]:
                sizes[parents[node]] += sizes[node]
            if gone[node]:
                gone[parents[node]] += gone[node]

    def children(self, node: int = ROOT) -> Sequence[int]:
        """The nodes in a directory: directories first, then by name."""
        names = self.overlay.names
        return sorted(
            self._children.get(node, ()), key=lambda child: (not self.is_directory(child), names[child])
        )

    def has_children(self, node: int) -> bool:
        return node in self._children

    def size(self, node: int) -> int:
        """Bytes of the files at and below a node: all of them in the merged tree, else this layer's own.

        A file of several names counts once, in the merged tree under one that is there.
        """
        return self._sizes[node]

    def gone(self, node: int) -> int:
        """Bytes of the files that this layer removes at and below a node.

        A file of several names is gone with the one that it was stored under.
        """
        return self._gone[node]

    def state(self, node: int) -> State:
        """What the layer does to a node; UNCHANGED for a directory that is only on the way."""
        return self.overlay.state_in(node, self.layer)

    def version(self, node: int) -> int:
        """The version shown: for a removal what was removed, -1 for a directory that no layer stores."""
        version = self._versions.get(node, -1)
        if version >= 0 and self.overlay.entry[version] == REMOVED:
            return self.overlay.at(node, self.layer - 1)
        return version if version >= 0 else self.overlay.at(node, self.layer)

    def is_directory(self, node: int) -> bool:
        version = self.version(node)
        return version < 0 or self.overlay.kind(version) == Kind.DIRECTORY

    def is_dead(self, node: int) -> bool:
        """Whether the copy that is shown is dead in the final image."""
        version = self.version(node)
        return version >= 0 and (node, self.overlay.layer[version]) in self._dead
