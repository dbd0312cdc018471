"""Where a path comes from: every layer that stored, changed or removed it; and which images have it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.rows import BLOCK
from imgscope.layers.search import Pattern

_LONG = 4096  # bytes of a directory's path that are looked at, its end (PATH_MAX of Linux)
T = TypeVar("T")


class Stop(NamedTuple):
    """What one layer does to a path. `size` in bytes: of the copy stored, for a removal of the one removed.

    `dead` is whether the copy ships without being in the final image, `changes` what a change changed.
    """

    layer: int
    state: State
    size: int
    dead: bool
    changes: tuple[str, ...]


class Trace(NamedTuple):
    """A path and what the layers did to it, the lowest first. `there`: it is in the final image."""

    path: bytes
    there: bool
    stops: tuple[Stop, ...]


class Holder(NamedTuple):
    """An image that has paths that were looked for, or ships them without having them."""

    image: Image
    traces: tuple[Trace, ...]


def traces(overlay: Overlay, pattern: Pattern, job: Job, dead: Collection[int] | None = None) -> list[Trace]:
    """What the layers did to each path that a pattern finds, by path. `dead` are the overlay's dead versions.

    Raises `CancelledError`.
    """
    dead = set(overlay.died) if dead is None else dead
    found = []
    for node in matches(overlay, pattern, job):
        stops = tuple(_stops(overlay, node, dead))
        if stops:  # else a directory that is only on the way
            found.append(Trace(overlay.path(node), overlay.at(node) >= 0, stops))
    found.sort()
    return found


def _stops(overlay: Overlay, node: int, dead: Collection[int]) -> Iterator[Stop]:
    chain = []
    version = overlay.heads[node]
    while version >= 0:
        chain.append(version)
        version = overlay.below[version]
    for version in reversed(chain):
        state = State(overlay.state[version])
        if state == State.NONE or (state == State.UNCHANGED and overlay.kind(version) == Kind.DIRECTORY):
            continue
        layer, shown = overlay.layer[version], version
        if state == State.REMOVED:
            shown = overlay.at(node, layer - 1)
        size = overlay.file_size(overlay.inode(shown)) if shown >= 0 else 0
        yield Stop(layer, state, size, version in dead and size > 0, overlay.changes(version))


def matches(overlay: Overlay, pattern: Pattern, job: Job) -> Iterator[int]:
    """The nodes that a pattern finds, whatever layer they are in; raises `CancelledError`."""
    parents = overlay.parents
    folders: dict[int, bool] = {}

    def wanted(node: int) -> bool:
        parent = parents[node]
        if (known := folders.get(parent)) is None:
            known = folders[parent] = pattern.is_folder(_folder_text(overlay.path(parent)))
        return known

    for start in range(ROOT + 1, len(overlay), BLOCK):
        job.check()
        for place in _ones(pattern.names(overlay.names[start : start + BLOCK])):
            if not pattern.folder or wanted(start + place):
                yield start + place


def holders(
    images: Iterable[Image],
    indexes: Callable[[Image], Sequence[LayerIndex] | None],
    pattern: Pattern,
    job: Job,
) -> Iterator[Holder]:
    """The images that have what a pattern finds, or ship it dead, as they are found.

    `indexes` gives the layers of an image, None where they are not known without reading it. A layer is
    searched once, however many images have it. Raises `CancelledError`.
    """
    paths: dict[str, frozenset[bytes]] = {}  # diff ID → paths found in the layer
    for image in images:
        job.check()
        if all(diff_id in paths and not paths[diff_id] for diff_id in image.diff_ids) and image.layers:
            continue
        layers = indexes(image)
        if layers is None:
            continue
        wanted: set[bytes] = set()
        for diff_id, index in zip(image.diff_ids, layers, strict=True):
            if diff_id not in paths:
                paths[diff_id] = frozenset(_paths(index, pattern, job))
            wanted |= paths[diff_id]
        if wanted:
            needed = _needed(layers, wanted)
            overlay = Overlay()
            for index in layers:
                job.check()
                overlay.add(_sieved(index, needed))
            overlay.settle()
            if found := traces(overlay, pattern, job):
                yield Holder(image, tuple(found))


def _paths(index: LayerIndex, pattern: Pattern, job: Job) -> Iterator[bytes]:
    """The paths in a layer that a pattern finds: what it stores, what it removes, directories on the way."""
    folders: dict[bytes, bool] = {}

    def wanted(folder: bytes) -> bool:
        if folder not in folders:
            folders[folder] = not pattern.folder or pattern.is_folder(_folder_text(folder))
        return folders[folder]

    for start in range(0, len(index), BLOCK):
        job.check()
        for place in _ones(pattern.names(index.names[start : start + BLOCK])):
            if wanted(index.dirs[index.parents[start + place]]):
                yield index.path(start + place)
    ways = [path.rpartition(b"/") for path in _ways(index)]
    if ways:
        for place in _ones(pattern.names([name for *_, name in ways])):
            if wanted(ways[place][0]):
                yield b"".join(ways[place])


def _ways(index: LayerIndex) -> dict[bytes, int]:
    """The directories that a layer's entries are in, as paths → an entry somewhere below."""
    ways: dict[bytes, int] = {}
    seen: set[int] = set()
    for entry, (kind, where) in enumerate(zip(index.kinds, index.parents, strict=True)):
        if kind < Kind.WHITEOUT and where not in seen:
            seen.add(where)
            path = index.dirs[where]
            while path and path not in ways:
                ways[path] = entry
                path = path.rpartition(b"/")[0]
    return ways


def _ones(marks: bytes) -> Iterator[int]:
    place = marks.find(1)
    while place >= 0:
        yield place
        place = marks.find(1, place + 1)


def _needed(layers: Sequence[LayerIndex], wanted: Collection[bytes]) -> set[bytes]:
    """The paths that decide about some others: with them the ways there, and all names of the same files."""
    links = [
        (index.path(entry), target)
        for index in layers
        for entry, target in index.links.items()
        if index.kinds[entry] == Kind.HARDLINK
    ]
    needed = set(wanted)
    count = 0
    while count != len(needed):
        count = len(needed)
        for pair in links:
            if not needed.isdisjoint(pair):
                needed.update(pair)
    for path in list(needed):
        while path:
            path = path.rpartition(b"/")[0]
            needed.add(path)
    return needed


def _sieved(index: LayerIndex, needed: set[bytes]) -> LayerIndex:
    """A layer with no more than some paths."""
    parents = {number for number, path in enumerate(index.dirs) if path in needed or not path}
    # a directory that no entry names is there by what it holds
    ways = _ways(index)
    witnesses = {ways[path] for path in needed & ways.keys()}
    sieved = LayerIndex()
    for entry, where in enumerate(index.parents):
        if where not in parents and entry not in witnesses:
            continue
        path, kind = index.path(entry), index.kinds[entry]
        if path not in needed and entry not in witnesses:
            continue
        made = sieved.add(
            path,
            kind,
            index.sizes[entry],
            index.modes[entry],
            index.uids[entry],
            index.gids[entry],
            index.mtimes[entry],
            index.offsets[entry],
        )
        _copy(index.links, entry, sieved.links, made)
        _copy(index.xattrs, entry, sieved.xattrs, made)
        _copy(index.devices, entry, sieved.devices, made)
        _copy(index.digests, entry, sieved.digests, made)
        if kind == Kind.WHITEOUT:
            sieved.whiteouts.append(made)
        elif kind == Kind.OPAQUE:
            sieved.opaques.append(made)
    return sieved


def _copy(column: Mapping[int, T], entry: int, to: dict[int, T], made: int) -> None:
    if entry in column:
        to[made] = column[entry]


def _folder_text(path: bytes) -> str:
    """A directory's path as patterns look at it: with a slash at both ends."""
    return f"/{path[-_LONG:].decode('utf-8', 'surrogateescape')}/" if path else "/"
