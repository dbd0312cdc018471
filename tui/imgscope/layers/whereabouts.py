"""Where a path comes from: every layer that stored, changed or removed it; and which images have it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.rows import BLOCK, sort
from imgscope.layers.search import Pattern
from imgscope.text import name_text

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

    @property
    def verb(self) -> str:
        """What the layer did, in words: `changed (mode)`."""
        if self.state in (State.CONTENT, State.METADATA):
            return f"changed ({', '.join(self.changes)})" if self.changes else "changed"
        return {State.ADDED: "added", State.REMOVED: "removed"}.get(self.state, "stored again")


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

    Raises `CancelledError`, and `TimeoutError` for a regular expression that takes too long.
    """
    dead = set(overlay.died) if dead is None else dead
    found = []
    for node in matches(overlay, pattern, job):
        stops = tuple(_stops(overlay, node, dead))
        if stops:  # else a directory that is only on the way
            found.append(Trace(overlay.path(node), overlay.at(node) >= 0, stops))
    sort(found, attrgetter("path"))
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
    """The nodes that a pattern finds, whatever layer they are in; raises as `traces`."""
    folders: dict[int, bytes] = {}

    def folder(node: int) -> bytes:
        parent = overlay.parents[node]
        if parent not in folders:
            folders[parent] = overlay.path(parent)
        return folders[parent]

    found = _Finder(pattern)
    for start in range(ROOT + 1, len(overlay), BLOCK):
        job.check()
        names = overlay.names[start : start + BLOCK]
        yield from (start + place for place in found(names, lambda place, start=start: folder(start + place)))  # type: ignore[misc]


class _Finder:
    """Finds paths by their names and directories, asking for a directory's path as seldom as can be."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._wanted: dict[bytes, bool] = {}

    def __call__(self, names: Sequence[bytes], folder: Callable[[int], bytes]) -> Iterator[int]:
        """The places among names that are found; `folder` gives the path of the directory of each place."""
        pattern = self._pattern
        if pattern.is_regex and pattern.folder:
            marks = pattern.paths([_folder_text(folder(place)) for place in range(len(names))], names)
        else:
            marks = pattern.names(names)
        place = marks.find(1)
        while place >= 0:
            if not pattern.folder or pattern.is_regex or self._is_wanted(folder(place)):
                yield place
            place = marks.find(1, place + 1)

    def _is_wanted(self, path: bytes) -> bool:
        if path not in self._wanted:
            self._wanted[path] = self._pattern.is_folder(_folder_text(path))
        return self._wanted[path]


def holders(
    images: Iterable[Image],
    indexes: Callable[[Image], Sequence[LayerIndex] | None],
    pattern: Pattern,
    job: Job,
) -> Iterator[Holder]:
    """The images that have what a pattern finds, or ship it dead, as they are found.

    `indexes` gives the layers of an image, None where they are not known without reading it. A layer is
    searched once, however many images have it. Raises as `traces`.
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
    found, dirs, parents = _Finder(pattern), index.dirs, index.parents
    for start in range(0, len(index), BLOCK):
        job.check()
        names = index.names[start : start + BLOCK]
        for place in found(names, lambda place, start=start: dirs[parents[start + place]]):  # type: ignore[misc]
            yield index.path(start + place)
    ways = [path.rpartition(b"/") for path in _ways(index)]
    if ways:
        for place in found([name for *_, name in ways], lambda place: ways[place][0]):
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
    return f"/{name_text(path[-_LONG:])}/" if path else "/"
