"""One version of a path in each of two overlays, A and B: whether they are the same, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import REMOVED, Overlay


class _Links(NamedTuple):
    """Files that have, or had, several names in a merged tree, by the version that made them."""

    groups: dict[int, int]  # a number for the set of its names, the same in A and in B for the same names
    holders: dict[int, int]  # the node that its bytes count for: the first name in the order of paths


class Pairs:
    """`layers_a` and `layers_b` name what the layers hold; one named None, or not at all, is like no other.

    A version below 0 stands for a directory that is only implied, as the root may be.
    """

    def __init__(
        self, a: Overlay, b: Overlay, layers_a: Sequence[str | None], layers_b: Sequence[str | None]
    ) -> None:
        self._a, self._b = self.overlays = a, b
        names: dict[tuple[bytes, ...], int] = {}
        self._links = _links(a, names), _links(b, names)
        known: dict[str, int] = {}
        self._layers_a = _numbers(len(a.layers), layers_a, known, -1)
        self._layers_b = _numbers(len(b.layers), layers_b, known, -2)

    def own(self, side: int, node: int, version: int) -> int:
        """The bytes that count for a path itself: for one name only of a file that has several."""
        overlay = self.overlays[side]
        content = overlay.content[version] if version >= 0 else -1
        if content < 0:
            return 0
        holder = self._links[side].holders.get(content)
        counts = content == version if holder is None else node == holder
        return overlay.file_size(content) if counts else 0

    def kind(self, side: int, version: int) -> Kind:
        """What a version is; another name of a file is a file, and so is a hardlink that leads nowhere."""
        if version < 0:
            return Kind.DIRECTORY
        overlay = self.overlays[side]
        kind = overlay.kind(overlay.inode(version))
        return Kind.FILE if kind == Kind.HARDLINK else kind

    def same(self, was: int, now: int) -> bool | None:
        """Whether kind and content are the same; None for files of the same size that must be read."""
        if was < 0 or now < 0:
            return self.kind(0, was) == self.kind(1, now)
        made, other = self._a.inode(was), self._b.inode(now)
        if self._is_one(made, other):
            return True
        kind = self.kind(0, was)
        if kind != self.kind(1, now):
            return False
        if kind == Kind.DIRECTORY:
            return True
        (mine, entry), (theirs, its) = _entry(self._a, made), _entry(self._b, other)
        if kind != Kind.FILE:
            return (mine.links.get(entry), mine.devices.get(entry)) == (
                theirs.links.get(its),
                theirs.devices.get(its),
            )
        if mine.sizes[entry] != theirs.sizes[its]:
            return False
        return _same_content(mine, entry, theirs, its) if mine.sizes[entry] else True

    def metadata(self, was: int, now: int) -> Iterator[str]:
        """What of the metadata of two versions differs: mode, owner, mtime, xattrs, links, entry."""
        made = self._a.inode(was) if was >= 0 else -1
        other = self._b.inode(now) if now >= 0 else -1
        stored = made >= 0 and self._a.entry[made] >= 0
        if stored != (other >= 0 and self._b.entry[other] >= 0):
            yield "entry"  # one side stores the directory, the other only what is in it
        elif stored:
            if not self._is_one(made, other):
                yield from _metadata(*_entry(self._a, made), *_entry(self._b, other))
            if self._links[0].groups.get(made) != self._links[1].groups.get(other):
                yield "links"

    def digest(self, side: int, version: int) -> bytes | None:
        """The SHA-256 of a file's content, where it is known."""
        index, entry = _entry(self.overlays[side], self.overlays[side].inode(version))
        # that of a sparse file counts its map, too
        return None if entry in index.sparse else index.digests.get(entry)

    def _is_one(self, made: int, other: int) -> bool:
        """Whether two versions are the same entry of the same layer."""
        a, b = self._a, self._b
        return (
            a.entry[made] == b.entry[other] >= 0
            and self._layers_a[a.layer[made] - 1] == self._layers_b[b.layer[other] - 1]
            and a.file_size(made) == b.file_size(other)
        )


def _links(overlay: Overlay, known: dict[tuple[bytes, ...], int]) -> _Links:
    names: dict[int, list[int]] = {}
    content, heads, entry = overlay.content, overlay.heads, overlay.entry
    for node, head in enumerate(heads):
        if head >= 0 and content[head] not in (-1, head) and entry[head] != REMOVED:
            names.setdefault(content[head], []).append(node)
    links = _Links({}, {})
    for made, nodes in names.items():
        if heads[overlay.node[made]] == made:
            nodes.append(overlay.node[made])
        paths = sorted(zip(overlay.paths(nodes), nodes, strict=True))
        links.holders[made] = paths[0][1]
        if len(paths) > 1:
            links.groups[made] = known.setdefault(tuple(path for path, _ in paths), len(known))
    return links


def _numbers(count: int, names: Sequence[str | None], known: dict[str, int], none: int) -> list[int]:
    """A number for each layer, the same for the same; `none` for those of no name: A and B have their own."""
    found = [none if name is None else known.setdefault(name, len(known)) for name in names]
    return found + [none] * (count - len(found))


def _entry(overlay: Overlay, version: int) -> tuple[LayerIndex, int]:
    return overlay.layers[overlay.layer[version] - 1], overlay.entry[version]


def _same_content(mine: LayerIndex, entry: int, theirs: LayerIndex, its: int) -> bool | None:
    """Whether two files of the same size have the same content, None where that is not known."""
    if mine.checksums and theirs.checksums and mine.checksums[entry] != theirs.checksums[its]:
        return False
    left, right = mine.digests.get(entry), theirs.digests.get(its)
    if left is None or right is None:
        return None
    one, other = mine.sparse.get(entry), theirs.sparse.get(its)
    if one is None and other is None:
        return left == right
    # the digest of a sparse file counts its map: another one may be the same content, stored differently
    return True if left == right and one == other else None


def _metadata(mine: LayerIndex, entry: int, theirs: LayerIndex, its: int) -> Iterator[str]:
    if mine.modes[entry] != theirs.modes[its]:
        yield "mode"
    if mine.uids[entry] != theirs.uids[its] or mine.gids[entry] != theirs.gids[its]:
        yield "owner"
    if mine.mtimes[entry] != theirs.mtimes[its]:
        yield "mtime"
    if sorted(mine.xattrs.get(entry, ())) != sorted(theirs.xattrs.get(its, ())):
        yield "xattrs"
