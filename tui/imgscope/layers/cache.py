"""Layer indexes on disk, by diff ID: what was read once is not read again.

A diff ID names the unpacked tar, so an index that belongs to it never grows old. Only such indexes may
be put here whose content was proven to be what the diff ID names (`Source.vouches`).

One file per layer, in `<folder>/layers`::

    imgscope, version, byte order    10 bytes
    BLAKE2b-128 of the name and of what follows
    a zstd frame of MessagePack: the columns as they lie in memory, names and directories each
    with a zero byte behind it (none has one in it), the sparse columns as maps

What is read back is checked as if a stranger had written it. A file that does not pass is removed and
counts as not there; so does a file of another version. Nothing here raises for what is on disk, or for
a disk that is full: then there is no cache.

Measured with 303,000 files: 18 MB unpacked, 0.6 to 0.9 MB at zstd's level 1, which costs less time
than anything else that is done to write or read it.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Annotated
from weakref import WeakValueDictionary

import msgspec

from imgscope.images.model import History, Image
from imgscope.layers.index import Kind, LayerIndex, Xattrs

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 1
BODY_LIMIT = 1 << 30  # bytes of one entry unpacked; tar.ENTRY_LIMIT entries need half of it

_HEAD = b"imgscope" + bytes([VERSION]) + sys.byteorder[:1].encode()
_SUM = 16  # bytes of the checksum
_BLOCK = 4096  # bytes that a file system gives out at least
_DIGEST = 32
_LEVEL = 1
_DIFF_ID = re.compile(r"sha256:([0-9a-f]{64})")
_LAYER = re.compile(r"[0-9a-f]{64}")
_OURS = re.compile(r"(image-)?[0-9a-f]{64}|new-.+")  # no other file is ever removed
_KINDS = bytes(Kind)
_COLUMNS = ("parents", "sizes", "modes", "uids", "gids", "mtimes", "offsets")
# parts of paths that no path of an index has: `.`, `..`, and none between two slashes; only the root is empty
_BAD_DIRS = tuple(
    before + part + after
    for before in (b"/", b"\0")
    for part in (b"", b".", b"..")
    for after in (b"/", b"\0")
    if before + part + after != b"\0\0"
)
_BAD_NAMES = (b"/", b"\0.\0", b"\0..\0")

_Number = Annotated[int, msgspec.Meta(ge=0)]


class _Layer(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A `LayerIndex` as it is stored."""

    diff_id: str | None
    digest: str | None
    compressed_size: _Number | None
    tar_size: _Number
    dirs: bytes
    names: bytes
    kinds: memoryview
    columns: list[memoryview]
    checksums: memoryview
    whiteouts: memoryview
    opaques: memoryview
    hashed: memoryview
    digests: bytes
    links: dict[_Number, bytes]
    devices: dict[_Number, tuple[int, int]]
    xattrs: dict[_Number, Xattrs]
    sparse: dict[_Number, list[tuple[_Number, _Number]]]


class _Detail(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What the documents of an image tell beyond the engine's API: see `Source.detail`."""

    layers: list[tuple[str | None, _Number | None, History | None]]  # digest, compressed size, step
    history: list[History]


_layers = msgspec.msgpack.Decoder(_Layer)
_details = msgspec.msgpack.Decoder(_Detail)
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds: number of layers, bytes on disk in all.

    And when the least and the most recently used of them were used: seconds since 1970, None where
    there are none.
    """

    layers: int
    size: int
    oldest: float | None
    newest: float | None


class IndexCache:
    """The indexes in a folder; at most `limit` bytes of them, the least recently used go first.

    Several threads and processes may use one folder: files appear whole, by rename, and whoever finds
    one gone reads the layer again. While an index is in use somewhere in this process, `get` gives the
    same object. Each instance weighs the folder when it first adds to it, and again when its own
    additions reach the limit; what other processes add in between may pass the limit for that time.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._store = folder / "layers"
        self._used: int | None = None  # bytes
        self._alive: WeakValueDictionary[str, LayerIndex] = WeakValueDictionary()

    @property
    def refused(self) -> str | None:
        """Why the folder is not used, as the end of a sentence; None where it is, or will be made.

        Whoever may write to it could tell lies about layers, and file names are nobody else's business.
        """
        if not self.folder.is_absolute():
            return "there is no home folder to have it in"
        for path in (self.folder, self._store):
            try:
                found = path.stat()
            except FileNotFoundError:
                return self._foreign_home()
            except OSError as error:
                return f"{path}: {error.strerror or error}"
            if found.st_uid != os.geteuid():
                return f"{path} belongs to another user"
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return f"others may write to {path}"
        return None

    def _foreign_home(self) -> str | None:
        """Root with a person's HOME must not leave a folder there that the person cannot use."""
        above = next(path for path in self.folder.parents if os.path.exists(path))
        foreign = os.geteuid() == 0 and above.stat().st_uid != 0
        return f"{above} belongs to another user" if foreign else None

    def get(self, diff_id: str) -> LayerIndex | None:
        """The index of a layer, None where it is not there or cannot be trusted."""
        name = _DIFF_ID.fullmatch(diff_id)
        if name is None:
            return None
        if (found := self._alive.get(diff_id)) is not None:
            self._touch(name[1])
            return found
        if (body := self._read(name[1])) is None:
            return None
        try:
            found = _index(_layers.decode(body))
            _check(found.diff_id in (None, diff_id), "diff ID")
        except (ValueError, OverflowError, msgspec.MsgspecError):
            self._drop(name[1])
            return None
        self._alive[diff_id] = found
        return found

    def put(self, diff_id: str, index: LayerIndex) -> None:
        """Keep the index of a layer; one with problems, or that is of other content, is not kept."""
        name = _DIFF_ID.fullmatch(diff_id)
        if name is None or index.problems or index.skipped or index.diff_id not in (None, diff_id):
            return
        self._alive[diff_id] = index
        with suppress(OverflowError):  # numbers of more than 64 bits
            self._write(name[1], _encode(_stored(index)))

    def detailed(self, image: Image) -> Image:
        """The image with what `put_detail` kept of it, else as it is."""
        name = _image_name(image)
        body = self._read(name)
        if body is not None:
            try:
                detail = _details.decode(body)
                layers = tuple(
                    replace(layer, digest=digest, compressed_size=size, history=step)
                    for layer, (digest, size, step) in zip(image.layers, detail.layers, strict=True)
                )
                return replace(image, layers=layers, history=tuple(detail.history))
            except (ValueError, msgspec.MsgspecError):
                self._drop(name)
        return image

    def put_detail(self, image: Image) -> None:
        """Keep what reading an image's layers told of the image itself."""
        layers = [(layer.digest, layer.compressed_size, layer.history) for layer in image.layers]
        with suppress(OverflowError, UnicodeEncodeError):
            self._write(_image_name(image), _encode(_Detail(layers, list(image.history))))

    def usage(self) -> Usage:
        """What is there now."""
        return _usage(list(self._entries()))

    def clear(self) -> Usage:
        """Remove everything; gives what was removed."""
        self._alive.clear()
        self._used = None
        return _usage([entry for entry in self._entries() if self._drop(entry[2])])

    # -- the folder -------------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """The files: (time of last use, bytes on disk, name)."""
        if self.refused:
            return
        try:
            with os.scandir(self._store) as found:
                for item in found:
                    if _OURS.fullmatch(item.name):
                        with suppress(FileNotFoundError):
                            status = item.stat(follow_symlinks=False)
                            yield status.st_mtime, -(-status.st_size // _BLOCK) * _BLOCK, item.name
        except OSError:
            return

    def _read(self, name: str) -> bytes | None:
        """What `_write` was given under a name; marks it as used."""
        if self.refused:
            return None
        try:
            data = (self._store / name).read_bytes()
        except (OSError, MemoryError):
            return None
        self._touch(name)
        start = len(_HEAD) + _SUM
        if data[:start] == _HEAD + _checksum(name, memoryview(data)[start:]):
            with suppress(zstd.ZstdError, MemoryError):
                frame = zstd.ZstdDecompressor()
                body = frame.decompress(memoryview(data)[start:], BODY_LIMIT)
                if frame.eof and not frame.unused_data:
                    return body
        self._drop(name)
        return None

    def _write(self, name: str, body: bytes) -> None:
        """Put a file in place whole, or not at all; make room where the limit is reached."""
        packed = zstd.compress(body, _LEVEL)
        data = _HEAD + _checksum(name, packed) + packed
        if len(data) > self.limit or self.refused:
            return
        beside = ""
        try:
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            self._store.mkdir(0o700, exist_ok=True)
            handle, beside = tempfile.mkstemp(prefix="new-", dir=self._store)  # mode 0600
            with open(handle, "wb") as file:
                file.write(data)
            os.replace(beside, self._store / name)
            beside = ""
        except OSError:
            return
        finally:
            if beside:
                with suppress(OSError):
                    os.unlink(beside)
        if self._used is not None:
            self._used += -(-len(data) // _BLOCK) * _BLOCK
        if self._used is None or self._used > self.limit:
            self._make_room()

    def _make_room(self) -> None:
        entries = sorted(self._entries())
        self._used = sum(size for _, size, _ in entries)
        wanted = self.limit * 9 // 10 if self._used > self.limit else self.limit  # not again at once
        for _, size, name in entries:
            if self._used <= wanted:
                break
            self._drop(name)
            self._used -= size

    def _touch(self, name: str) -> None:
        with suppress(OSError):  # it went meanwhile, or nothing may be changed there
            os.utime(self._store / name)

    def _drop(self, name: str) -> bool:
        try:
            os.unlink(self._store / name)
        except OSError:
            return False
        return True


@lru_cache(maxsize=4)
def cache_at(folder: Path, limit: int) -> IndexCache:
    """The cache in a folder: one object in a process, so that indexes in use are shared."""
    return IndexCache(folder, limit)


def _checksum(name: str, data: bytes | memoryview) -> bytes:
    """Belongs to the name, too: a file that was renamed is another layer's."""
    hasher = blake2b(name.encode(), digest_size=_SUM)
    hasher.update(data)
    return hasher.digest()


def _image_name(image: Image) -> str:
    # an index is one image with several lists of layers, and several images may have one list
    key = "\n".join((image.id, *image.diff_ids)).encode(errors="surrogatepass")
    return f"image-{sha256(key).hexdigest()}"


def _usage(entries: list[tuple[float, int, str]]) -> Usage:
    times = [time for time, _, name in entries if _LAYER.fullmatch(name)]
    size = sum(size for _, size, _ in entries)
    return Usage(len(times), size, min(times, default=None), max(times, default=None))


def _stored(index: LayerIndex) -> _Layer:
    digests = dict(index.digests)  # another thread may add to it
    return _Layer(
        diff_id=index.diff_id,
        digest=index.digest,
        compressed_size=index.compressed_size,
        tar_size=index.tar_size,
        dirs=b"\0".join([*index.dirs, b""]),
        names=b"\0".join([*index.names, b""]),
        kinds=memoryview(index.kinds),
        columns=[_bytes(getattr(index, name)) for name in _COLUMNS],
        checksums=_bytes(index.checksums),
        whiteouts=_bytes(array("I", index.whiteouts)),
        opaques=_bytes(array("I", index.opaques)),
        hashed=_bytes(array("I", digests)),
        digests=b"".join(digests.values()),
        links=index.links,
        devices=index.devices,
        xattrs=index.xattrs,
        sparse=index.sparse,
    )


def _bytes(column: array[int] | array[float]) -> memoryview:
    return memoryview(column).cast("B")


def _index(stored: _Layer) -> LayerIndex:
    """The index again; raises `ValueError` where it is none that a reader of tars makes."""
    index = LayerIndex()
    index.diff_id, index.digest = stored.diff_id, stored.digest
    index.compressed_size, index.tar_size = stored.compressed_size, stored.tar_size
    index.kinds = bytearray(stored.kinds)
    count = len(index)
    for name, data in zip(_COLUMNS, stored.columns, strict=True):
        column = getattr(index, name)
        column.frombytes(data)
        _check(len(column) == count, name)
    index.checksums.frombytes(stored.checksums)
    _check(len(index.checksums) in (0, count), "checksums")
    _check(not index.kinds.translate(None, _KINDS), "kinds")
    _check(min(index.sizes, default=0) >= 0 and min(index.offsets, default=0) >= -1, "sizes")

    dirs, names = b"\0" + stored.dirs, b"\0" + stored.names
    _check(not any(bad in dirs for bad in _BAD_DIRS), "directories")
    _check(not any(bad in names for bad in _BAD_NAMES), "names")
    index.dirs, index.names = _split(stored.dirs), _split(stored.names)
    _check(len(index.names) == count and max(index.parents, default=-1) < len(index.dirs), "names")
    if b"\0\0" in names:  # the root's name is empty
        empty = (index.dirs[index.parents[entry]] for entry, name in enumerate(index.names) if not name)
        _check(not any(empty), "empty names")

    index.whiteouts = _numbers(stored.whiteouts, count)
    index.opaques = _numbers(stored.opaques, count)
    hashed = _numbers(stored.hashed, count)
    _check(len(stored.digests) == _DIGEST * len(hashed), "digests")
    index.digests = {
        entry: stored.digests[start : start + _DIGEST]
        for entry, start in zip(hashed, range(0, len(stored.digests), _DIGEST), strict=True)
    }
    for found in (stored.links, stored.devices, stored.xattrs, stored.sparse):
        _check(max(found, default=-1) < count, "entries")
    index.links, index.devices = stored.links, stored.devices
    index.xattrs, index.sparse = stored.xattrs, stored.sparse
    return index


def _split(names: bytes) -> list[bytes]:
    parts = names.split(b"\0")
    _check(not parts.pop(), "names")
    return parts


def _numbers(data: memoryview, count: int) -> list[int]:
    """Numbers of entries."""
    numbers = array("I")
    numbers.frombytes(data)
    _check(max(numbers, default=-1) < count, "entries")
    return numbers.tolist()


def _check(sound: bool, what: str) -> None:
    if not sound:
        raise ValueError(what)
