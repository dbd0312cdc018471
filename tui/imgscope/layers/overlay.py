"""Layers merged into one file tree, every layer's view of it kept.

One node per path that any layer names; a chain of versions per node, one for each time a layer
stored, changed or removed it. A version knows its layer, so the merge of layers 1..k is what each
node's newest version of layer ≤ k says, for every k, without building a tree per layer.

Rules (OCI image specification, `layer.md`): a whiteout hides what lower layers hold and never its
own layer's entries, whatever their order; a later entry of the same path in one layer wins; a
directory over a directory merges, anything else replaces. Names are not resolved through symlinks:
a layer is a tree of its own, as overlayfs stacks it.

Nodes and versions are numbers into columns, not objects: 300,000 paths must stay small. A parent's
number is always lower than its children's, so sums over subtrees need one backward sweep.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from imgscope.layers.index import Entry, Kind, LayerIndex, Problem

ROOT = 0
REMOVED = -1  # in place of an entry: the path is gone from this layer on
IMPLIED = -2  # in place of an entry: a directory that no entry names, only paths below it


class State(IntEnum):
    """What a layer does to a path, relative to the merge of the layers below."""

    NONE = 0  # the path is in neither
    UNCHANGED = 1  # stored again, the same in content and metadata; or not touched
    ADDED = 2
    CONTENT = 3  # changed: content, kind or link target
    METADATA = 4  # changed: mode, owner, mtime or xattrs only, content the same
    REMOVED = 5


class Cause(IntEnum):
    """Why the bytes of a stored file are dead."""

    REMOVED = 0
    OVERWRITTEN = 1
    METADATA = 2  # stored again with the same content

    def __str__(self) -> str:
        return self.name.lower()


class Dead(NamedTuple):
    """One stored copy that no path of the final file system refers to. `size` in bytes."""

    node: int
    size: int
    stored_in: int  # layers, from 1
    dead_since: int
    cause: Cause


class LayerCounts(NamedTuple):
    """How many paths a layer adds, changes and removes; a removed directory counts all below it."""

    added: int
    changed: int
    removed: int


class Overlay:
    """The merged tree of a stack of layers. Add the layers bottom up, then `settle`."""

    def __init__(self) -> None:
        self.layers: list[LayerIndex] = []
        self.problems: list[Problem] = []
        # nodes
        self.parents = array("i", (-1,))
        self.names: list[bytes] = [b""]
        self.heads = array("i", (-1,))  # newest version
        self._children: dict[int, dict[bytes, int]] = {ROOT: {}}
        # versions, in layer order
        self.node = array("i")
        self.layer = array("i")  # from 1
        self.entry = array("i")  # entry of the layer's index, or REMOVED, or IMPLIED
        self.below = array("i")  # the version before, of the same node
        self.content = array("i")  # the version that made the file named: this one, or a hardlink's target
        self.state = bytearray()
        self.starts: list[int] = []  # first version of each layer
        # bookkeeping
        self._links: dict[int, int] = {}  # content → paths that refer to it, where more than one
        self.died = array("i")  # versions whose stored file no path refers to any more, as they died
        self._killers = array("i")  # for each of these, the version that took its last path away
        self._undecided = array("i")  # versions whose content must be compared with the one below
        self.whiteouts: list[tuple[int, int]] = []  # (layer, node)

    # -- building ---------------------------------------------------------------------------------

    def add(self, index: LayerIndex) -> None:
        """Put one more layer on top."""
        self.layers.append(index)
        number = len(self.layers)
        self.starts.append(len(self.node))
        for entry in index.whiteouts:
            node = self._find(index.path(entry))
            if node > ROOT:
                self._remove(node, number)
            elif node < ROOT:
                node = self._make(index.path(entry))
            self.whiteouts.append((number, node))
        for entry in index.opaques:
            node = self._find(index.path(entry))
            if node >= 0 and self._is_directory(node):
                for child in list(self._children.get(node, {}).values()):
                    self._remove(child, number)
        self._add_entries(index, number)
        self._judge(number)

    def _add_entries(self, index: LayerIndex, number: int) -> None:
        known = {b"": ROOT}  # the layer's directories → nodes
        children, heads, layers, entries = self._children, self.heads, self.layer, self.entry
        directory, hardlink, first_marker = int(Kind.DIRECTORY), int(Kind.HARDLINK), int(Kind.WHITEOUT)
        # Nearly all entries make a path that is new: what `_new` and `_push` come to for these, in short.
        add_parent, add_name, add_head = self.parents.append, self.names.append, heads.append
        add_node, add_layer, add_entry = self.node.append, layers.append, entries.append
        add_below, add_content, add_state = self.below.append, self.content.append, self.state.append
        count, version, last, added = len(self.names), len(entries), -1, int(State.ADDED)
        parent, siblings = ROOT, children[ROOT]
        for entry, (kind, where, name) in enumerate(
            zip(index.kinds, index.parents, index.names, strict=True)
        ):
            if kind >= first_marker:
                continue
            if not name:
                self._push(ROOT, number, entry, -1)
                version += 1
                continue
            if where != last:
                path = index.dirs[where]
                parent = known.get(path, -1)
                if parent < 0:
                    parent = known[path] = self._directory(path, number, known)
                    count, version = len(self.names), len(entries)
                siblings, last = children.setdefault(parent, {}), where
            node = siblings.setdefault(name, count)
            if node == count and kind != hardlink:
                add_parent(parent)
                add_name(name)
                add_head(version)
                add_node(node)
                add_layer(number)
                add_entry(entry)
                add_below(-1)
                add_content(version if kind != directory else -1)
                add_state(added)
                count += 1
                version += 1
                continue
            if node == count:
                count = self._new(parent, name) + 1
            elif kind != directory and self._is_directory(node):
                self._remove(node, number)
                known, last = {b"": ROOT}, -1  # a directory went: look them all up again
                version = len(entries)
            content = version
            if kind == directory:
                content = -1
            elif kind == hardlink:
                content = self._link(index, entry, number)
            self._push(node, number, entry, content)
            version += 1

    def _new(self, parent: int, name: bytes) -> int:
        self.parents.append(parent)
        self.names.append(name)
        self.heads.append(-1)
        return len(self.names) - 1

    def _push(self, node: int, layer: int, entry: int, content: int) -> None:
        below, version = self.heads[node], len(self.node)
        if content >= 0 and content != version:
            self._links[content] = self._links.get(content, 1) + 1
        self.heads[node] = version
        self.node.append(node)
        self.layer.append(layer)
        self.entry.append(entry)
        self.below.append(below)
        self.content.append(content)
        self.state.append(State.NONE if below >= 0 else State.ADDED)
        if below >= 0:
            if self.layer[below] == layer:
                self.state[below] = State.NONE
            old = self.content[below]
            if old >= 0:
                left = self._links.pop(old, 1) - 1
                if left:
                    self._links[old] = left
                else:
                    self.died.append(old)
                    self._killers.append(version)

    def _remove(self, node: int, layer: int) -> None:
        """Take a path and all below it out of the tree."""
        stack = [node]
        while stack:
            node = stack.pop()
            head = self.heads[node]
            if head < 0 or self.entry[head] == REMOVED:
                continue  # then nothing below it is there either
            if self._is_directory(node):
                stack.extend(self._children.get(node, {}).values())
            self._push(node, layer, REMOVED, -1)

    def _directory(self, path: bytes, layer: int, known: Mapping[bytes, int]) -> int:
        """The node of a directory, made or implied where it is none yet."""
        head, _, name = path.rpartition(b"/")
        node, names = known.get(head, -1), [name]
        if node < 0:
            node, names = ROOT, path.split(b"/")
        for name in names:
            siblings = self._children.setdefault(node, {})
            child = siblings.get(name, -1)
            if child < 0:
                child = siblings[name] = self._new(node, name)
            if not self._is_directory(child):
                self._push(child, layer, IMPLIED, -1)
            node = child
        return node

    def _make(self, path: bytes) -> int:
        """The node of a path that may never have been there."""
        node = ROOT
        for name in path.split(b"/"):
            siblings = self._children.setdefault(node, {})
            child = siblings.get(name, -1)
            if child < 0:
                child = siblings[name] = self._new(node, name)
            node = child
        return node

    def _link(self, index: LayerIndex, entry: int, layer: int) -> int:
        """The content that a hardlink refers to: what its target holds when the link is made."""
        target = self._find(index.links.get(entry, b""))
        if target >= 0 and (head := self.heads[target]) >= 0 and self.content[head] >= 0:
            return self.content[head]
        self.problems.append(Problem("a hardlink has no target; it is taken as an empty file", layer))
        return len(self.node)

    # -- judging ----------------------------------------------------------------------------------

    def _judge(self, number: int) -> None:
        """Give each path's last version of the layer its state against the layers below."""
        heads, layers, entries, belows, states = self.heads, self.layer, self.entry, self.below, self.state
        nodes = self.node
        for version in range(self.starts[-1], len(nodes)):
            base = belows[version]
            if base < 0 or heads[nodes[version]] != version:
                continue
            while base >= 0 and layers[base] == number:
                base = belows[base]
            was = base >= 0 and entries[base] != REMOVED
            if entries[version] == REMOVED:
                if was:
                    states[version] = State.REMOVED
            elif not was:
                states[version] = State.ADDED
            else:
                states[version] = self._compare(version, base)

    def _compare(self, version: int, base: int) -> State:
        content, other = self.content[version], self.content[base]
        if content >= 0 and other >= 0 and content != other:
            mine, theirs = (self.layers[self.layer[item] - 1] for item in (content, other))
            entry, was = self.entry[content], self.entry[other]
            if mine.kinds[entry] == theirs.kinds[was] == Kind.FILE:
                if mine.sizes[entry] != theirs.sizes[was]:
                    return State.CONTENT
                if mine.sizes[entry]:
                    # checksums tell that two contents differ, never that they are the same
                    sums, others = mine.checksums, theirs.checksums
                    if not (sums and others) or sums[entry] == others[was]:
                        self._undecided.append(version)
                    return State.CONTENT
        if self._shape(version) != self._shape(base):
            return State.CONTENT
        return self._same(version, base)

    def _same(self, version: int, base: int) -> State:
        """The state of a path whose content stayed the same."""
        made, other = self.inode(version), self.inode(base)
        entry, was = self.entry[made], self.entry[other]
        if entry < 0 or was < 0:
            return State.UNCHANGED if entry == was else State.METADATA
        mine, theirs = self.layers[self.layer[made] - 1], self.layers[self.layer[other] - 1]
        same = (
            mine.modes[entry] == theirs.modes[was]
            and mine.mtimes[entry] == theirs.mtimes[was]
            and mine.uids[entry] == theirs.uids[was]
            and mine.gids[entry] == theirs.gids[was]
            and mine.xattrs.get(entry) == theirs.xattrs.get(was)
        )
        return State.UNCHANGED if same else State.METADATA

    def _shape(self, version: int) -> tuple[Kind, int, bytes | None, tuple[int, int] | None]:
        """All that is compared without reading: kind, size, link target and device numbers."""
        made = self.inode(version)
        kind = self._kind(made)
        if kind == Kind.DIRECTORY:
            return kind, 0, None, None
        if kind == Kind.HARDLINK:  # one that leads nowhere
            return Kind.FILE, 0, None, None
        index, entry = self.layers[self.layer[made] - 1], self.entry[made]
        return kind, index.sizes[entry], index.links.get(entry), index.devices.get(entry)

    def _metadata(self, version: int) -> tuple[object, ...] | None:
        made = self.inode(version)  # names of one file share its metadata
        entry = self.entry[made]
        if entry < 0:
            return None
        index = self.layers[self.layer[made] - 1]
        return (
            index.modes[entry],
            index.uids[entry],
            index.gids[entry],
            index.mtimes[entry],
            index.xattrs.get(entry),
        )

    def undecided(self) -> dict[int, list[int]]:
        """What must be hashed before `settle`: layer → entries, each once, rising.

        These are the files that stand in two layers under one path with the same size.
        """
        contents = {
            self.content[item] for version in self._undecided for item in (version, self._base(version))
        }
        wanted: dict[int, list[int]] = {}
        for content in sorted(contents):
            wanted.setdefault(self.layer[content], []).append(self.entry[content])
        return wanted

    def settle(self) -> None:
        """Decide, by the digests in the layers' indexes, which same-sized files are the same.

        Where a digest is missing the content counts as changed.
        """
        for version in self._undecided:
            base = self._base(version)
            mine, other = (self._digest(self.content[item]) for item in (version, base))
            if mine is not None and mine == other:
                self.state[version] = self._same(version, base)
        self._undecided = array("i")

    def _digest(self, content: int) -> bytes | None:
        return self.layers[self.layer[content] - 1].digests.get(self.entry[content])

    def _base(self, version: int) -> int:
        """The path's version in the layers below, or -1."""
        base, number = self.below[version], self.layer[version]
        while base >= 0 and self.layer[base] == number:
            base = self.below[base]
        return base

    # -- asking -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many paths were ever named."""
        return len(self.names)

    def _kind(self, version: int) -> Kind:
        entry = self.entry[version]
        return Kind.DIRECTORY if entry == IMPLIED else Kind(self.layers[self.layer[version] - 1].kinds[entry])

    def _is_directory(self, node: int) -> bool:
        if node == ROOT:
            return True
        head = self.heads[node]
        if head < 0:
            return False
        entry = self.entry[head]
        if entry < 0:
            return entry == IMPLIED
        return self.layers[self.layer[head] - 1].kinds[entry] == Kind.DIRECTORY

    def _find(self, path: bytes) -> int:
        node = ROOT
        if path:
            for name in path.split(b"/"):
                children = self._children.get(node)
                node = children.get(name, -1) if children else -1
                if node < 0:
                    return -1
        return node

    def _size(self, content: int) -> int:
        return self.layers[self.layer[content] - 1].sizes[self.entry[content]]

    def find(self, path: bytes) -> int:
        """The node of a path (as in `LayerIndex`), or -1 where no layer ever named it."""
        return self._find(path)

    def path(self, node: int) -> bytes:
        """The path of a node, without a leading slash; the root is empty."""
        parts = []
        while node > ROOT:
            parts.append(self.names[node])
            node = self.parents[node]
        return b"/".join(reversed(parts))

    def paths(self, nodes: Iterable[int]) -> Iterator[bytes]:
        """The paths of many nodes, none of them the root; each directory's is put together once."""
        folders = {ROOT: b""}
        for node in nodes:
            parent = self.parents[node]
            folder = folders.get(parent)
            if folder is None:
                folder = folders[parent] = self.path(parent) + b"/"
            yield folder + self.names[node]

    def children(self, node: int) -> Sequence[int]:
        """All nodes that ever stood in a directory, in the order they came."""
        return tuple(self._children.get(node, {}).values())

    def named(self, node: int) -> Mapping[bytes, int]:
        """All nodes that ever stood in a directory, by name."""
        return self._children.get(node, {})

    def at(self, node: int, layer: int | None = None) -> int:
        """The node's version in the merge of layers 1..layer (None: of all), or -1 where it is not there."""
        version = self._newest(node, layer)
        return version if version >= 0 and self.entry[version] != REMOVED else -1

    def _newest(self, node: int, layer: int | None) -> int:
        version = self.heads[node]
        if layer is not None:
            while version >= 0 and self.layer[version] > layer:
                version = self.below[version]
        return version

    def state_in(self, node: int, layer: int) -> State:
        """What a layer does to a path."""
        version = self._newest(node, layer)
        if version >= 0 and self.layer[version] == layer:
            return State(self.state[version])
        return State.UNCHANGED if version >= 0 and self.entry[version] != REMOVED else State.NONE

    def versions(self, layer: int) -> Iterator[int]:
        """The versions that say how a layer leaves the paths it touches: one per path."""
        end = self.starts[layer] if layer < len(self.starts) else len(self.node)
        for version in range(self.starts[layer - 1], end):
            if self.state[version] != State.NONE:
                yield version

    def versions_stored(self, layer: int) -> Iterator[int]:
        """The versions that stand for entries of a layer's tar; a path stored twice gives two."""
        end = self.starts[layer] if layer < len(self.starts) else len(self.node)
        return (version for version in range(self.starts[layer - 1], end) if self.entry[version] >= 0)

    def file_size(self, version: int) -> int:
        """Bytes stored by the file of a version; 0 for all else, other names of a hardlinked file too."""
        return self._size(version) if self.content[version] == version else 0

    def inode(self, version: int) -> int:
        """The version that made the file which a version names: another one where it is a hardlink."""
        content = self.content[version]
        return content if content >= 0 else version

    def describe(self, version: int) -> Entry | None:
        """The entry behind a version; None for an implied directory."""
        entry = self.entry[version]
        return self.layers[self.layer[version] - 1].entry(entry) if entry >= 0 else None

    def kind(self, version: int) -> Kind:
        """What a version is; meaningless for a removal."""
        return self._kind(version)

    def changes(self, version: int) -> tuple[str, ...]:
        """What a changed version changed: among kind, content, target, device, mode, owner, mtime, xattrs."""
        base = self._base(version)
        if base < 0 or self.entry[base] == REMOVED or self.entry[version] == REMOVED:
            return ()
        found = []
        if self.state[version] == State.CONTENT:
            kind = self._shape(version)[0]
            if kind != self._shape(base)[0]:
                return ("kind",)
            found.append({Kind.FILE: "content", Kind.SYMLINK: "target"}.get(kind, "device"))
        mine, other = self._metadata(version), self._metadata(base)
        if mine is not None and other is not None:
            mode, uid, gid, mtime, xattrs = (a != b for a, b in zip(mine, other, strict=True))
            found += [
                word
                for word, differs in (
                    ("mode", mode),
                    ("owner", uid or gid),
                    ("mtime", mtime),
                    ("xattrs", xattrs),
                )
                if differs
            ]
        return tuple(found)

    def counts(self, layer: int) -> LayerCounts:
        """How many paths the layer adds, changes and removes."""
        end = self.starts[layer] if layer < len(self.starts) else len(self.node)
        states = self.state[self.starts[layer - 1] : end]
        return LayerCounts(
            states.count(State.ADDED),
            states.count(State.CONTENT) + states.count(State.METADATA),
            states.count(State.REMOVED),
        )

    def dead(self) -> Iterator[Dead]:
        """Every stored copy that the final file system does not refer to, empty files left out."""
        return (copy for copy in map(self.death, range(len(self.died))) if copy.size)

    def death(self, number: int) -> Dead:
        """What became of the copy `died[number]`; once all is settled."""
        content, killer = self.died[number], self._killers[number]
        layer, node = self.layer[killer], self.node[killer]
        return Dead(
            self.node[content],
            self._size(content),
            self.layer[content],
            layer,
            self._cause(content, layer, node),
        )

    def _cause(self, content: int, layer: int, node: int) -> Cause:
        version = self._newest(node, layer)
        if self.entry[version] == REMOVED:
            return Cause.REMOVED
        base = self._base(version)
        if base >= 0 and self.content[base] == content and self.state[version] != State.CONTENT:
            return Cause.METADATA
        return Cause.OVERWRITTEN
