"""What of an overlay belongs to a view, before it is sorted."""

from __future__ import annotations

from array import array

from imgscope.job import Job
from imgscope.layers.overlay import REMOVED, ROOT, Overlay, State
from imgscope.layers.rows import BLOCK, Tree, sort


class Taking:
    """The nodes of a view and their own bytes, before they are in order."""

    def __init__(self, overlay: Overlay, layer: int, merged: bool, job: Job) -> None:
        self._overlay = overlay
        self._layer = layer
        self._job = job
        count = len(overlay)
        self.sizes = array("q", bytes(8 * count))
        self.gone: dict[int, int] = {}
        self._plain = bytearray(count)  # 1 for what is shown and no directory
        self._children: dict[int, list[int]] = {}
        strays: dict[int, int] = {}  # file → one of its names, where its first name is gone
        if merged:
            self._take_merged(strays)
        else:
            self._take_changes(strays)
        for version, node in strays.items():
            self.sizes[node] = overlay.file_size(version)

    def _take_merged(self, strays: dict[int, int]) -> None:
        overlay, top = self._overlay, self._layer
        heads, layers, below, entries = overlay.heads, overlay.layer, overlay.below, overlay.entry
        contents, parents, plain, sizes = overlay.content, overlay.parents, self._plain, self.sizes
        columns = [index.sizes for index in overlay.layers]
        children: dict[int, list[int]] = self._children
        for start in range(1, len(overlay), BLOCK):
            self._job.check()
            for node in range(start, min(start + BLOCK, len(overlay))):
                version = heads[node]
                while version >= 0 and layers[version] > top:
                    version = below[version]
                if version < 0 or (entry := entries[version]) == REMOVED:
                    continue
                content = contents[version]
                if content >= 0:
                    plain[node] = 1
                    if content == version:
                        sizes[node] = columns[layers[version] - 1][entry]
                    elif overlay.at(overlay.node[content], top) != content:
                        strays.setdefault(content, node)
                parent = parents[node]
                if parent in children:
                    children[parent].append(node)
                else:
                    children[parent] = [node]

    def _take_changes(self, strays: dict[int, int]) -> None:
        overlay, layer, parents = self._overlay, self._layer, self._overlay.parents
        seen = bytearray(len(overlay))
        seen[ROOT] = 1
        for count, version in enumerate(overlay.versions(layer)):
            if count % BLOCK == 0:
                self._job.check()
            node, content, size = overlay.node[version], overlay.content[version], overlay.file_size(version)
            if overlay.state[version] == State.UNCHANGED and not size:
                continue  # a directory that layers carry along
            self.sizes[node] = size
            if overlay.entry[version] == REMOVED:
                was = overlay.at(node, layer - 1)
                if was >= 0:
                    content = overlay.content[was]
                    if gone := overlay.file_size(was):
                        self.gone[node] = gone
            elif (
                content not in (-1, version)
                and overlay.layer[content] == layer
                and overlay.at(overlay.node[content], layer) != content
            ):
                strays.setdefault(content, node)
            self._plain[node] = content >= 0
            while not seen[node]:
                seen[node] = 1
                self._children.setdefault(parents[node], []).append(node)
                node = parents[node]

    def tree(self) -> Tree:
        """All nodes in the order of names, directories first."""
        children, names, plain = self._children, self._overlay.names, self._plain
        nodes, folders = array("i"), array("i")
        ends: list[tuple[int, int]] = []
        stack = [ROOT]
        while stack:
            node = stack.pop()
            if node < 0:  # all that is below a folder was seen
                ends.append((~node, len(nodes)))
            elif node in children:
                self._job.check()
                stack.append(~len(nodes))
                folders.append(len(nodes))
                nodes.append(node)
                below = children.pop(node)
                sort(below, names.__getitem__, reverse=True)  # the last is taken first
                sort(below, plain.__getitem__, reverse=True)
                stack += below
            else:
                nodes.append(node)
        spans = array("i", (1,)) * len(nodes)
        for place, end in ends:
            spans[place] = end - place
        return Tree(nodes, spans, folders)
