"""A bag of named blobs: the common shape of an OCI layout folder, an image archive and its stream."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from imgscope.errors import DamagedError, FormatError, LimitError, NotFoundError
from imgscope.images.manifest import DOCUMENT_LIMIT
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.stream import FileTape, StreamTape, Tape, compression, hashed, inflate, read_chunks
from imgscope.layers.tar import index_tar, walk_tar

Extents = Sequence[tuple[int, int]]
Pieces = Iterator[tuple[int, Iterable[bytes]]]


class Blobs(Protocol):
    """Blobs by name. Names are relative, with slashes, as `blobs/sha256/…` or `layer.tar`."""

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage of the archive as such."""

    def read(self, name: str) -> bytes:
        """One document; raises `NotFoundError`, and `LimitError` past `DOCUMENT_LIMIT`."""

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        """Index the named layer blobs, each once, in the order that they are stored."""

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        """The bytes at rising (offset, length) of a layer's unpacked tar; see `Source.contents`."""

    def weight(self, names: Sequence[str]) -> int | None:
        """Bytes that `layers` will read, where known."""

    def close(self) -> None: ...


def index_blob(chunks: Iterable[bytes], *, digest: bool) -> LayerIndex:
    """Index a layer from its bytes as stored, compressed or not, checking nothing, hashing all.

    The index tells the blob's digest and the diff ID that its content really has.
    """
    stored, unpacked = hashlib.sha256(), hashlib.sha256()
    size = 0
    head = b""

    def count(chunks: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal size, head
        for chunk in chunks:
            head = head or chunk[:16]
            size += len(chunk)
            yield chunk

    source = hashed(count(chunks), stored)
    index = index_tar(StreamTape(hashed(inflate(source), unpacked)), digest=digest)
    for _ in source:  # whatever follows the end of the stream belongs to the blob
        pass
    index.digest = "sha256:" + stored.hexdigest()
    index.diff_id = "sha256:" + unpacked.hexdigest()
    index.compressed_size = size if compression(head) else None
    return index


def missing(name: str) -> LayerIndex:
    """The index of a layer whose data is not there."""
    index = LayerIndex()
    index.problems.append(Problem(f"the layer's data ({name or 'unnamed'}) is not in the archive"))
    return index


def cut(tape: StreamTape, extents: Extents) -> Pieces:
    """Pieces of a stream that is read once."""
    for position, (offset, length) in enumerate(extents):
        yield position, tape.chunks(offset, length)


class _Range:
    """Bytes [start, start + length) of an open file."""

    def __init__(self, fd: int, start: int, length: int) -> None:
        self.fd, self.start, self.length = fd, start, length

    @property
    def packed(self) -> bool:
        return bool(compression(os.pread(self.fd, min(8, self.length), self.start)))

    def chunks(self, job: Job) -> Iterator[bytes]:
        return read_chunks(self.fd, self.start, self.length, job)

    def read(self, what: str) -> bytes:
        if self.length > DOCUMENT_LIMIT:
            raise LimitError(f"{what} has {self.length} bytes; the limit is {DOCUMENT_LIMIT}.")
        return os.pread(self.fd, self.length, self.start)

    def index(self, job: Job) -> LayerIndex:
        if self.packed:
            return index_blob(self.chunks(job), digest=False)
        index = index_tar(FileTape(self.fd, self.start, self.length), job)
        job.advance(self.length)
        return index

    def contents(self, extents: Extents, job: Job) -> Pieces:
        if self.packed:
            return cut(StreamTape(inflate(self.chunks(job))), extents)
        tape: Tape = FileTape(self.fd, self.start, self.length)
        return ((position, tape.chunks(*extent)) for position, extent in enumerate(extents))


class _Seekable:
    """Blobs that are ranges of files."""

    problems: tuple[str, ...] = ()

    def _range(self, name: str) -> _Range | None:
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        if (found := self._range(name)) is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        return found.read(name)

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        for name in names:
            found = self._range(name)
            yield name, missing(name) if found is None else found.index(job)

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        if (found := self._range(name)) is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        return found.contents(extents, job)

    def weight(self, names: Sequence[str]) -> int | None:
        ranges = (self._range(name) for name in names)
        return sum(found.length for found in ranges if found is not None)


class FolderBlobs(_Seekable):
    """An OCI layout (or an unpacked `docker save`) in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._open: dict[str, _Range] = {}
        self.names = frozenset(
            name for name in ("index.json", "manifest.json", "repositories") if self._path(name)
        )

    def _path(self, name: str) -> Path | None:
        path = (self._folder / name).resolve()
        # a link may lead elsewhere in the folder, never out of it
        return path if path.is_relative_to(self._folder) and path.is_file() else None

    def _range(self, name: str) -> _Range | None:
        found = self._open.get(name)
        if found is None and (path := self._path(name)) is not None:
            fd = os.open(path, os.O_RDONLY)
            found = self._open[name] = _Range(fd, 0, os.fstat(fd).st_size)
        return found

    def close(self) -> None:
        for found in self._open.values():
            os.close(found.fd)
        self._open.clear()


class TarBlobs(_Seekable):
    """A plain archive on disk, read in place."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._length = os.fstat(self._fd).st_size
        outer = index_tar(FileTape(self._fd, 0, self._length))
        self._members = _Members(outer)
        self.names = self._members.names
        self.problems = tuple(f"{problem.message} (at byte {problem.offset})" for problem in outer.problems)

    def _range(self, name: str) -> _Range | None:
        member = self._members.find(name)
        if member is None:
            return None
        start, length = member
        return _Range(self._fd, start, length)

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        return super().layers(sorted(names, key=lambda name: self._members.find(name) or (0, 0)), job)

    def close(self) -> None:
        os.close(self._fd)


class _Members:
    """The members of an archive: names → (offset, length), links followed."""

    def __init__(self, outer: LayerIndex) -> None:
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for number in range(len(outer)):
            kind = outer.kinds[number]
            name = os.fsdecode(outer.path(number))
            if kind == Kind.FILE:
                self._files[name] = (outer.offsets[number], outer.sizes[number])
            elif kind == Kind.SYMLINK:
                # old engines store a layer once: `../<id>/layer.tar` elsewhere
                target = os.path.normpath(
                    os.path.join(os.path.dirname(name), os.fsdecode(outer.links.get(number, b"")))
                )
                self._links[name] = target
            elif kind == Kind.HARDLINK:
                self._links[name] = os.fsdecode(outer.links.get(number, b""))
        self.names = frozenset(self._files) | frozenset(self._links)

    def resolve(self, name: str) -> str:
        for _ in range(16):
            if name in self._files or name not in self._links:
                break
            name = self._links[name]
        return name

    def find(self, name: str) -> tuple[int, int] | None:
        return self._files.get(self.resolve(name))


class StreamedBlobs:
    """An archive that passes by once: `docker save` of an engine, or a compressed archive on disk.

    Documents are kept as they pass; layers are indexed on the way, with the digest of every file,
    since nothing can be read again without starting anew. What is a layer is known only at the end
    (manifest.json comes last), so everything that looks like one is indexed.
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.indexes: dict[str, LayerIndex] = {}
        self.members = _Members(LayerIndex())
        self.outer = LayerIndex()

    def run(self, chunks: Iterable[bytes], job: Job, *, layers: bool) -> Iterator[tuple[str, LayerIndex]]:
        """Read all of the stream; gives the layers as they end, as (name, index)."""
        self.outer = outer = LayerIndex()
        for number, content in walk_tar(StreamTape(chunks), outer, job):
            name = os.fsdecode(outer.path(number))
            head = next(content, b"")
            content = _rejoin(head, content)
            if head.lstrip()[:1] in (b"{", b"["):
                if outer.sizes[number] <= DOCUMENT_LIMIT:
                    self.documents[name] = b"".join(content)
            elif layers and _like_layer(head):
                self.indexes[name] = index_blob(content, digest=True)
                yield name, self.indexes[name]
        self.members = _Members(outer)

    @property
    def names(self) -> frozenset[str]:
        return self.members.names

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{problem.message} (at byte {problem.offset})" for problem in self.outer.problems)

    def read(self, name: str) -> bytes:
        data = self.documents.get(self.members.resolve(name))
        if data is None:
            raise NotFoundError(f"There is no document {name!r} in the archive.")
        return data


def _rejoin(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _like_layer(head: bytes) -> bool:
    """A compressed stream, a tar header, or the zeros of an empty tar."""
    return (
        bool(compression(head))
        or head[257:262] == b"ustar"
        or (len(head) >= 512 and not head[:512].strip(b"\0"))
    )


class PackedBlobs(StreamedBlobs):
    """A compressed archive on disk: read as a stream, again each time that layers are asked for."""

    def __init__(self, path: Path, job: Job) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_RDONLY)
        self._length = os.fstat(self._fd).st_size
        for _ in self.run(self._chunks(job), job, layers=False):
            pass

    def _chunks(self, job: Job) -> Iterator[bytes]:
        return inflate(read_chunks(self._fd, 0, self._length, job))

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(self.members.resolve(name), []).append(name)
        for found, index in self.run(self._chunks(job), job, layers=True):
            for name in wanted.pop(found, ()):
                yield name, index
        for left in wanted.values():
            for name in left:
                yield name, missing(name)

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        found = self.members.find(name)
        if found is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        blob = StreamTape(self._chunks(job)).chunks(*found)
        return cut(StreamTape(inflate(blob)), extents)

    def weight(self, names: Sequence[str]) -> int | None:
        return self._length

    def close(self) -> None:
        os.close(self._fd)


def open_blobs(path: Path, job: Job) -> Blobs:
    """Open a folder or an archive by what it contains; raises `NotFoundError` or `FormatError`."""
    try:
        if path.is_dir():
            return FolderBlobs(path)
        with path.open("rb") as file:
            head = file.read(512)
        if not path.is_file():
            raise FormatError(f"{path} is no regular file; give an archive on disk or a folder.")
        return PackedBlobs(path, job) if compression(head) else TarBlobs(path)
    except FileNotFoundError:
        raise NotFoundError(f"There is no file or folder {path}; check the path.") from None
    except DamagedError as error:
        raise FormatError(f"{path} cannot be read as an archive: {error}.") from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from None
