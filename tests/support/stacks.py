"""Stacks of layers made by the tests: written as tars and images, drawn at random, merged naively.

A layer is a list of `Member`s, a stack a list of layers. Nothing here but `merged` uses imgscope:
the tars are Python's, and `replay` applies the rules of the OCI image specification (`layer.md`)
the slow and obvious way, to compare with.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import strategies as st

from imgscope.layers.index import LayerIndex
from imgscope.layers.overlay import Overlay
from imgscope.layers.stream import StreamTape
from imgscope.layers.tar import index_tar


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a layer's tar, whiteouts under their `.wh.` names."""

    name: str
    type: bytes = tarfile.REGTYPE
    content: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_000_000_000
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, str], ...] = ()


Layer = Sequence[Member]


def file(name: str, content: bytes | str | int = b"", *, mode: int = 0o644, mtime: int = 10**9) -> Member:
    """A file of this content, or of so many bytes."""
    if isinstance(content, int):
        content = bytes(content)
    elif isinstance(content, str):
        content = content.encode()
    return Member(name, content=content, mode=mode, mtime=mtime)


def folder(name: str, *, mode: int = 0o755, xattrs: tuple[tuple[str, str], ...] = ()) -> Member:
    return Member(name, tarfile.DIRTYPE, mode=mode, xattrs=xattrs)


def symlink(name: str, target: str) -> Member:
    return Member(name, tarfile.SYMTYPE, link=target, mode=0o777)


def hardlink(name: str, target: str) -> Member:
    return Member(name, tarfile.LNKTYPE, link=target)


def fifo(name: str) -> Member:
    return Member(name, tarfile.FIFOTYPE)


def char_device(name: str, major: int, minor: int) -> Member:
    return Member(name, tarfile.CHRTYPE, device=(major, minor))


def whiteout(path: str) -> Member:
    """What hides `path` of the layers below."""
    where, name = posixpath.split(path)
    return Member(posixpath.join(where, f".wh.{name}"))


def opaque(path: str) -> Member:
    """What hides all that the layers below hold in the directory `path`; "" is the root."""
    return Member(posixpath.join(path, ".wh..wh..opq"))


# -- written ------------------------------------------------------------------------------------------


def layer_tar(members: Layer) -> bytes:
    """The tar of a layer (GNU format, pax where there are xattrs)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member.name or ".")
            info.type, info.linkname, info.size = member.type, member.link, len(member.content)
            info.mode, info.uid, info.gid, info.mtime = member.mode, member.uid, member.gid, member.mtime
            info.devmajor, info.devminor = member.device
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in member.xattrs}
            tar.format = tarfile.PAX_FORMAT if member.xattrs else tarfile.GNU_FORMAT
            tar.addfile(info, io.BytesIO(member.content))
    return buffer.getvalue()


def layer_index(members: Layer) -> LayerIndex:
    """The layer as imgscope reads it."""
    return index_tar(StreamTape([layer_tar(members)]), digest=True)


def merged(*layers: Layer) -> Overlay:
    """The stack as imgscope merges it."""
    overlay = Overlay()
    for members in layers:
        overlay.add(layer_index(members))
    overlay.settle()
    return overlay


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _config(tars: Sequence[bytes]) -> bytes:
    """An image configuration, of which nothing depends on the machine."""
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(tar)}" for tar in tars]},
            "history": [{"created_by": f"layer {number}"} for number in range(1, len(tars) + 1)],
        }
    ).encode()


def write_docker_archive(path: Path, layers: Sequence[Layer], name: str = "test:latest") -> Path:
    """What `docker save` of an old engine writes."""
    tars = [layer_tar(members) for members in layers]
    config = _config(tars)
    names = [f"{number:064x}/layer.tar" for number in range(1, len(tars) + 1)]
    config_name = f"{_digest(config)}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for member, data in [
            *zip(names, tars, strict=True),
            (config_name, config),
            ("manifest.json", json.dumps(manifest).encode()),
        ]:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_oci_layout(path: Path, layers: Sequence[Layer], tag: str = "test") -> Path:
    """An OCI image layout folder with one image of plain layers."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        (blobs / _digest(data)).write_bytes(data)
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{_digest(data)}", "size": len(data)}

    tars = [layer_tar(members) for members in layers]
    manifest = {
        "schemaVersion": 2,
        "config": blob(_config(tars), "config.v1+json"),
        "layers": [blob(tar, "layer.v1.tar") for tar in tars],
    }
    described = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    described["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path


# -- merged naively -----------------------------------------------------------------------------------

Metadata = tuple[int, int, int, int, tuple[tuple[str, str], ...]]


@dataclass(eq=False)
class Inode:
    """A file of any kind. Two paths that lead to the same object are hardlinks of each other."""

    type: bytes
    content: bytes = b""
    link: str = ""
    device: tuple[int, int] = (0, 0)
    metadata: Metadata | None = None  # None: a directory that no member names
    stored: tuple[int, str] = (0, "")  # by which layer, from 1, and under which path
    named: list[tuple[int, str]] = field(default_factory=list)  # the same for every path that ever led to it

    @property
    def shape(self) -> tuple[object, ...]:
        """All but the metadata."""
        return self.type, self.content, self.link, self.device


Tree = dict[str, Inode]


@dataclass
class Replay:
    """The trees after each layer, from the empty one on, and all files that were stored."""

    trees: list[Tree] = field(default_factory=lambda: [{}])
    files: list[Inode] = field(default_factory=list)

    def add(self, members: Layer) -> None:
        """Put a layer on top: what hides first, since it only hides what lower layers hold."""
        tree = dict(self.trees[-1])
        for member in members:
            where, name = posixpath.split(member.name)
            if name == ".wh..wh..opq":
                if not where or is_directory(tree.get(where)):
                    _drop(tree, below(tree, where))
            elif name.startswith(".wh.") and not name.startswith(".wh..wh."):
                hidden = posixpath.join(where, name.removeprefix(".wh."))
                _drop(tree, [hidden, *below(tree, hidden)])
        for member in members:
            if not posixpath.basename(member.name).startswith(".wh."):
                self._put(tree, member)
        self.trees.append(tree)

    def _put(self, tree: Tree, member: Member) -> None:
        layer = len(self.trees)
        for parent in parents(member.name):
            if not is_directory(tree.get(parent)):
                tree[parent] = Inode(tarfile.DIRTYPE)
        if member.type != tarfile.DIRTYPE:
            _drop(tree, below(tree, member.name))
            if is_directory(tree.get(member.name)):
                del tree[member.name]
        made = Inode(
            member.type,
            member.content,
            member.link,
            member.device,
            (member.mode, member.uid, member.gid, member.mtime, member.xattrs),
            (layer, member.name),
        )
        if member.type == tarfile.LNKTYPE:
            target = tree.get(member.link)
            # a link to nothing is damage; it stands for an empty file
            made.type, made.link = tarfile.REGTYPE, ""
            made = made if target is None or is_directory(target) else target
        elif member.type == tarfile.REGTYPE:
            self.files.append(made)
        made.named.append((layer, member.name))
        tree[member.name] = made


def replay(layers: Iterable[Layer]) -> Replay:
    """The stack by the specification, one whole tree per layer."""
    result = Replay()
    for members in layers:
        result.add(members)
    return result


def is_directory(inode: Inode | None) -> bool:
    return inode is not None and inode.type == tarfile.DIRTYPE


def parents(path: str) -> Iterator[str]:
    """The directories above a path, outermost first, the root left out."""
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def below(tree: Tree, path: str) -> list[str]:
    """All paths below a directory; "" is the root."""
    start = f"{path}/" if path else ""
    return [other for other in tree if other and other.startswith(start)]


def _drop(tree: Tree, paths: Iterable[str]) -> None:
    for path in paths:
        tree.pop(path, None)


# -- drawn at random ----------------------------------------------------------------------------------

_NAMES = st.sampled_from("abc")
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_CONTENTS = st.sampled_from([b"", b"x", b"y", b"xx", b"long " * 150])


def _member(path: str, type: bytes, content: bytes, link: str, meta: tuple[int, int, int]) -> Member:
    mode, owner, mtime = meta
    if type != tarfile.REGTYPE:
        content = b""
    if type not in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link = ""
    if type == tarfile.SYMTYPE:
        mode = 0o777
    device = (1, 3) if type == tarfile.CHRTYPE else (0, 0)
    return Member(path, type, content, link, mode, owner, owner, 10**9 + mtime, device)


_META = st.tuples(st.sampled_from([0o644, 0o755]), st.sampled_from([0, 0, 7]), st.sampled_from([0, 0, 1]))
_TYPES = st.sampled_from(
    [tarfile.REGTYPE] * 5
    + [tarfile.DIRTYPE] * 3
    + [tarfile.LNKTYPE] * 3
    + [tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
_ENTRIES = st.builds(_member, _PATHS, _TYPES, _CONTENTS, _PATHS, _META)
_MEMBERS = st.one_of(
    _ENTRIES,
    _ENTRIES,
    _ENTRIES,
    _PATHS.map(whiteout),
    st.one_of(st.just(""), _PATHS, _PATHS).map(opaque),
    st.builds(lambda meta: _member("", tarfile.DIRTYPE, b"", "", meta), _META),
)


def stacks(most: int = 4) -> st.SearchStrategy[list[list[Member]]]:
    """Stacks in which everything happens, also what no engine would write or accept."""
    return st.lists(st.lists(_MEMBERS, min_size=2, max_size=10), min_size=1, max_size=most)


@st.composite
def sound_stacks(draw: st.DrawFn, most: int = 4) -> list[list[Member]]:
    """Stacks that engines agree on, see `sound`; most of what a layer does is to paths that are there."""
    layers: list[list[Member]] = []
    for _ in range(draw(st.integers(1, most))):
        if lower := [path for path in replay(layers).trees[-1] if path]:
            known = st.sampled_from(lower)
            markers = st.one_of(known.map(whiteout), known.map(whiteout), known.map(opaque))
            layers.append(draw(st.lists(markers, max_size=2)))
        else:
            layers.append([])
        for entry in draw(st.lists(_ENTRIES, min_size=2, max_size=8)):
            tree = replay(sound(layers)).trees[-1]
            if tree and entry.type == tarfile.LNKTYPE:
                entry = replace(entry, link=draw(st.sampled_from(list(tree))))
            known_path: bool = draw(st.booleans())
            if tree and known_path:
                entry = replace(entry, name=draw(st.sampled_from(list(tree))))
            layers[-1].append(entry)
        layers = sound(layers)
    return layers


def sound(layers: Sequence[Layer]) -> list[list[Member]]:
    """Leave out all that engines treat differently, or refuse.

    That is: paths below something that is no directory (they may lead through a symlink), hardlinks
    that lead nowhere, to themselves or to a directory, whiteouts and opaque markers of what is not
    there or of what another one hides, and a path that one layer stores twice. Whiteouts come first:
    docker has them hide what their own layer stored before them.
    """
    kept: list[list[Member]] = []
    for members in layers:
        lower = replay(kept).trees[-1]
        layer: list[Member] = []
        hidden: list[str] = []
        for member in filter(_is_marker, members):
            where, name = posixpath.split(member.name)
            if name == ".wh..wh..opq":
                path, there = where, not where or is_directory(lower.get(where))
            else:
                path = posixpath.join(where, name.removeprefix(".wh."))
                there = path in lower
            if there and not any(_within(path, other) or _within(other, path) for other in hidden):
                hidden.append(path)
                layer.append(member)
        for member in members:
            if not _is_marker(member) and (
                fitting := _fitting(member, replay([*kept, layer]).trees[-1], layer)
            ):
                layer.append(fitting)
        kept.append(layer)
    return kept


def _fitting(member: Member, tree: Tree, layer: Layer) -> Member | None:
    """The member as it can come next in a sound layer, if it can."""
    path = member.name
    if any(above in tree and not is_directory(tree[above]) for above in parents(path)):
        return None
    if any(path == other.name for other in layer):
        return None
    if member.type == tarfile.DIRTYPE:
        return member
    if any(_within(other.name, path) for other in layer):
        return None
    if member.type == tarfile.LNKTYPE:
        target = tree.get(member.link)
        if target is None or target.metadata is None or is_directory(target) or _within(member.link, path):
            return None
        mode, uid, gid, mtime, xattrs = target.metadata  # as every writer of tars has it
        return replace(member, mode=mode, uid=uid, gid=gid, mtime=mtime, xattrs=xattrs)
    return member


def _is_marker(member: Member) -> bool:
    return posixpath.basename(member.name).startswith(".wh.")


def _within(path: str, above: str) -> bool:
    """Whether a path is another or lies below it."""
    return not above or path == above or path.startswith(f"{above}/")
