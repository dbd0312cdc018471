"""Which files are meant: a path of an image, as one layer stores it or as the layers up to one leave it."""

from __future__ import annotations

from contextlib import suppress

from imgscope.analysis import Analysis
from imgscope.errors import NotFoundError, UsageError
from imgscope.extraction.links import follow
from imgscope.extraction.place import is_name
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import REMOVED, ROOT, Overlay, State
from imgscope.text import path_text

LONGEST = 4096  # bytes of a path; what is longer no program could open (PATH_MAX of Linux)
_MANY = 1 << 14  # paths between two looks at whether the work was cancelled


def link_of(overlay: Overlay, version: int) -> bytes | None:
    """The target of a version that is a symlink, or another name of one; None for all else."""
    made = overlay.inode(version)
    if overlay.kind(made) != Kind.SYMLINK:
        return None
    return overlay.layers[overlay.layer[made] - 1].links.get(overlay.entry[made], b"")


def link_in(overlay: Overlay, layer: int, path: bytes) -> bytes | None:
    """The target of the symlink at a path in the merge of layers 1..layer, None where none is there."""
    node = overlay.find(path)
    version = overlay.at(node, layer) if node >= 0 else -1
    return link_of(overlay, version) if version >= 0 else None


def check_layer(analysis: Analysis, layer: int | None) -> int:
    """The layer asked for, None for the last; raises `UsageError` where the image has no such layer."""
    count = len(analysis.overlay.layers)
    if layer is None:
        return count
    if not 1 <= layer <= count:
        has = f"layers 1 to {count}" if count > 1 else "one layer" if count else "none"
        raise UsageError(f"There is no layer {layer} in {analysis.image.name}; it has {has}.")
    return layer


def find(analysis: Analysis, path: bytes, layer: int, *, last: bool = True) -> int:
    """The node that a path leads to once layers 1..layer are stacked, symlinks followed as in a chroot.

    `last`: whether a symlink that the path itself names is followed, too. Raises `NotFoundError` that says
    why it is not there, and which layer has it.
    """
    overlay = analysis.overlay
    above, _, name = path.strip(b"/").rpartition(b"/")
    last = last or name in (b"", b".", b"..")

    def link_at(at: bytes) -> bytes | None:
        return link_in(overlay, layer, at)

    place = follow([], above, link_at, rooted=True)
    if place is not None:
        place = follow(place, name, link_at, rooted=True) if last else [*place, name]
    asked = path_text(path.strip(b"/"))
    if place is None:
        raise NotFoundError(f"{asked} leads around in a circle of symlinks.")
    there = b"/".join(place)
    node = overlay.find(there)
    if node == ROOT or (node > ROOT and overlay.at(node, layer) >= 0):
        return node
    direct = path_text(there) == asked
    what = asked if direct else f"{asked} leads to {path_text(there)}, which"
    raise NotFoundError(_why_absent(analysis, node, layer, what, direct))


def locate(analysis: Analysis, path: bytes, layer: int, merged: bool) -> int:
    """The node that a path names for `select`: there, or removed by the layer. Raises `NotFoundError`."""
    try:
        return find(analysis, path, layer, last=False)
    except NotFoundError:
        if merged or layer == 1:
            raise
        with suppress(NotFoundError):
            return find(analysis, path, layer - 1, last=False)
        raise


def _why_absent(analysis: Analysis, node: int, layer: int, what: str, direct: bool) -> str:
    """Why a path is not there in layers 1..layer, and which layers have it."""
    overlay = analysis.overlay
    version = overlay.heads[node] if node >= 0 else -1
    later = 0  # the first layer above that has it
    while version >= 0 and overlay.layer[version] > layer:
        if overlay.entry[version] != REMOVED:
            later = overlay.layer[version]
        version = overlay.below[version]
    if version >= 0:
        removed = overlay.layer[version]
        if (copy := overlay.at(node, removed - 1)) >= 0:
            stored = overlay.layer[copy]
            return f"{what} was removed in layer {removed}; --layer {stored} reads the copy that still ships."
    if later:
        return f"{what} comes with layer {later} only; --layer {later} reads it."
    name, count = analysis.image.name, len(overlay.layers)
    where = name if layer == count else f"layers 1 to {layer} of {name}"
    return f"There is no {what} in {where}." if direct else f"{what} is not there in {where}."


class Selection:
    """What of an image is taken: a node of its overlay and all that is below.

    Where `merged`, all that is there once layers 1..layer are stacked; else what the layer itself stores.
    `versions` maps nodes to what is taken of them, each directory before what is in it; -1 is a directory
    that is only on the way. `paths` are the directories' own, below the folder that all goes to; `name` is
    what the first node is called there, empty for the root, whose content goes right into the folder.
    `removed` counts the paths that the layer removes there, and so cannot give; `impossible` those that no
    program could open, of which nothing is taken.
    """

    def __init__(self, overlay: Overlay, node: int, layer: int, merged: bool, name: bytes, job: Job) -> None:
        self.overlay, self.node, self.layer, self.merged, self.name = overlay, node, layer, merged, name
        self.versions: dict[int, int] = {}
        self.paths: dict[int, bytes] = {}
        self.removed = 0
        self.impossible: list[int] = []
        self._above = overlay.path(node) + b"/" if node else b""
        own = None if merged else self._own(job)
        stack = [node]
        while stack:
            if len(self.versions) % _MANY == 0:
                job.check()
            at = stack.pop()
            version = overlay.at(at, layer) if own is None else own.get(at, -1)
            if version < 0 and not (at == ROOT if own is None else at in own):
                self.removed += own is not None and overlay.state_in(at, layer) == State.REMOVED
                continue
            path = self.path(at)
            if len(path) > LONGEST or (path and not is_name(path.rpartition(b"/")[2])):
                self.impossible.append(at)
                continue
            self.versions[at] = version
            if version < 0 or overlay.kind(version) == Kind.DIRECTORY:
                self.paths[at] = path
                stack += reversed(overlay.children(at))

    def _own(self, job: Job) -> dict[int, int]:
        """What the layer stores, and the directories on the way there, which are -1."""
        overlay, own = self.overlay, dict[int, int]()
        for count, version in enumerate(overlay.versions(self.layer)):
            if count % _MANY == 0:
                job.check()
            if overlay.entry[version] == REMOVED:
                continue
            node = overlay.node[version]
            own[node] = version
            while (node := overlay.parents[node]) >= ROOT and node not in own:
                own[node] = -1
        return own

    def path(self, node: int) -> bytes:
        """Where a node goes, below the folder."""
        if node == self.node:
            return self.name
        folder, name = self.paths[self.overlay.parents[node]], self.overlay.names[node]
        return folder + b"/" + name if folder else name

    def image_path(self, path: bytes) -> bytes | None:
        """The path in the image of what is at one below the folder; None where it is beside the selection."""
        if not self.name:
            return self._above + path
        head, _, rest = path.partition(b"/")
        return (self._above + rest).rstrip(b"/") if head == self.name else None

    def place(self, path: bytes) -> bytes | None:
        """Where a path of the image goes, below the folder; None where it is not in the selection."""
        if not (path + b"/").startswith(self._above):
            return None
        rest = path[len(self._above) :]
        return b"/".join(filter(None, (self.name, rest)))


def select(analysis: Analysis, node: int, layer: int, merged: bool, job: Job) -> Selection:
    """What is meant by a node in a layer's own changes, or in the merge of layers 1..layer.

    Of what the layer removes it is the copy that it removed; of a symlink, what it leads to in the image,
    under the link's own name. Raises `NotFoundError` where there is nothing, and `CancelledError`.
    """
    overlay, asked = analysis.overlay, layer
    name = overlay.names[node]
    if not merged and node and overlay.at(node, layer) < 0:
        layer, merged = layer - 1, True
    version = overlay.at(node, layer)
    if version >= 0 and link_of(overlay, version) is not None:
        node, merged = find(analysis, overlay.path(node), layer), True
    selection = Selection(overlay, node, layer, merged, name, job)
    if not selection.versions:
        raise NotFoundError(_nothing(analysis, node, asked))
    return selection


def _nothing(analysis: Analysis, node: int, layer: int) -> str:
    """Which layers store a path where the one asked for does not."""
    overlay = analysis.overlay
    version, stored = overlay.heads[node], list[int]()
    while version >= 0:
        if overlay.entry[version] >= 0 and overlay.layer[version] not in stored:
            stored.append(overlay.layer[version])
        version = overlay.below[version]
    path = path_text(overlay.path(node))
    if not stored:
        return f"Layer {layer} stores nothing in {path}."
    there = ", ".join(map(str, reversed(stored)))
    return f"Layer {layer} does not store {path}; layer{'s' * (len(stored) > 1)} {there} of the image did."
