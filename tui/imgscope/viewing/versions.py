"""The versions of one path among the layers, and what became of each."""

from __future__ import annotations

from imgscope.layers.index import Kind
from imgscope.layers.overlay import REMOVED, ROOT, Overlay, State
from imgscope.text import name_text

_HOPS = 40  # symlinks on the way to a file, as Linux allows (path_resolution(7))


def versions(overlay: Overlay, node: int) -> list[int]:
    """What the layers did to a path, the lowest first: one version a layer, removals among them."""
    found: list[int] = []
    version = overlay.heads[node]
    while version >= 0:
        # of several in one layer the last counts
        if overlay.state[version] != State.NONE and (
            not found or overlay.layer[found[-1]] != overlay.layer[version]
        ):
            found.append(version)
        version = overlay.below[version]
    return found[::-1]


def newest(overlay: Overlay, node: int, layer: int) -> int:
    """What layers 1..layer did to a path last, a removal too; -1 where they have nothing to do with it."""
    return next((item for item in reversed(versions(overlay, node)) if overlay.layer[item] <= layer), -1)


def below(overlay: Overlay, version: int) -> int:
    """The version of the same path in the layers below, -1 where it is not there."""
    return overlay.at(overlay.node[version], overlay.layer[version] - 1)


def fate(overlay: Overlay, version: int) -> str:
    """What later layers did to a version, "removed in layer 3, still ships"; nothing where it is the last."""
    node, layer = overlay.node[version], overlay.layer[version]
    later = [item for item in versions(overlay, node) if overlay.layer[item] > layer]
    inode = overlay.inode(version)
    dead = inode in overlay.died and overlay.file_size(inode) > 0
    if not later or overlay.entry[version] == REMOVED:
        return ""
    by = later[0]
    where = f"in layer {overlay.layer[by]}"
    if overlay.entry[by] == REMOVED:
        if dead:
            return f"removed {where}, still ships"
        return f"removed {where}" + ("; another name keeps it" if overlay.file_size(inode) else "")
    if overlay.state[by] == State.CONTENT:
        what = f"overwritten {where}"
    elif overlay.state[by] == State.METADATA:
        what = f"stored again {where} for its metadata"
    else:
        what = f"stored again {where}, unchanged"
    return f"{what}; this copy still ships" if dead else what


def no_content(overlay: Overlay, version: int) -> str:
    """What a version is where it is no file with a content; else nothing."""
    if overlay.entry[version] == REMOVED:
        return f"layer {overlay.layer[version]} removes this path"
    entry = overlay.describe(overlay.inode(version))
    if entry is None or entry.kind == Kind.DIRECTORY:
        return "a directory"
    if entry.kind == Kind.SYMLINK:
        return f"a symlink to {name_text(entry.link)}"
    if entry.kind in (Kind.CHAR_DEVICE, Kind.BLOCK_DEVICE):
        what = "character" if entry.kind == Kind.CHAR_DEVICE else "block"
        major, minor = entry.device or (0, 0)
        return f"a {what} device, {major}:{minor}; it has no content"
    if entry.kind == Kind.FIFO:
        return "a pipe; it has no content"
    return "another name of a file that is not there" if entry.kind == Kind.HARDLINK else ""


def target(overlay: Overlay, version: int, layer: int) -> int:
    """The node that a symlink leads to in the merge of layers 1..layer, -1 where there is none.

    Links on the way are followed too; `..` above the root is the root, as in a container.
    """
    entry, hops = overlay.describe(version), 0
    if entry is None:
        return -1
    here = [] if entry.link.startswith(b"/") else overlay.path(overlay.node[version]).split(b"/")[:-1]
    parts = list(reversed(entry.link.split(b"/")))
    while parts:
        part = parts.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            here = here[:-1]
            continue
        found = overlay.find(b"/".join((*here, part)))
        version = overlay.at(found, layer) if found > ROOT else -1
        if version < 0:
            return -1
        here.append(part)
        if overlay.kind(version) == Kind.SYMLINK:
            hops += 1
            entry = overlay.describe(version)
            if hops > _HOPS or entry is None or not entry.link:
                return -1
            here = [] if entry.link.startswith(b"/") else here[:-1]
            parts += reversed(entry.link.split(b"/"))
        elif parts and overlay.kind(version) != Kind.DIRECTORY:
            return -1
    return overlay.find(b"/".join(here))
