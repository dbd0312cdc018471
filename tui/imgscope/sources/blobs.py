"""A bag of named blobs: the common shape of an OCI layout folder, an image archive and its stream."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Protocol, TypeVar

from imgscope.errors import DamagedError, FormatError, LimitError, NotFoundError
from imgscope.images.manifest import DOCUMENT_LIMIT
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.stream import (
    BLOCK,
    FileTape,
    Hash,
    StreamTape,
    Tape,
    compression,
    hashed,
    inflate,
    peek,
    read_at,
    read_chunks,
)
from imgscope.layers.tar import content_digest, index_tar, is_header, walk_tar
from imgscope.layers.threads import ahead, aside, each
from imgscope.sources.recent import Recent

KEPT_LIMIT = 64 << 20  # bytes of all documents that are kept of one stream
# Which files must be compared is known when all layers are: then the compressed ones would be unpacked
# once more. To hash all as they pass costs half as much as that, and nearly always the small ones do.
_SMALL = 1 << 20  # bytes

T = TypeVar("T")
Extents = Sequence[tuple[int, int]]
Pieces = Iterator[tuple[int, Iterable[bytes]]]


class Blobs(Protocol):
    """Blobs by name. Names are relative, with slashes, as `blobs/sha256/…` or `layer.tar`."""

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage of the archive as such."""

    def resolve(self, name: str) -> str:
        """The name that a blob is stored under, where `name` is a link to it."""

    def read(self, name: str) -> bytes:
        """One document; raises `NotFoundError`, and `LimitError` past `DOCUMENT_LIMIT`."""

    def size(self, name: str) -> int | None:
        """Bytes of a blob as stored, None where it is not there."""

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        """Index the named layer blobs, each once, as they end."""

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        """The bytes at rising (offset, length) of a layer's unpacked tar; see `Source.contents`."""

    def weight(self, names: Sequence[str]) -> int | None:
        """Bytes that `layers` will read, where known."""

    def close(self) -> None: ...


def index_blob(chunks: Iterable[bytes], job: Job, *, hash_up_to: int = sys.maxsize) -> LayerIndex:
    """Index a layer from its bytes as stored, compressed or not, checking nothing, hashing all.

    The index tells the blob's digest and the diff ID that its content really has, and the digests of
    files of at most `hash_up_to` bytes. Damage is among its problems, never raised.
    """
    stored, unpacked = hashlib.sha256(), hashlib.sha256()
    size = 0
    whole = False
    head, chunks = peek(chunks, BLOCK)
    packed = bool(compression(head))

    def raw(hasher: Hash) -> Iterator[bytes]:
        nonlocal size
        for chunk in hashed(chunks, hasher):
            size += len(chunk)
            yield chunk

    def content(source: Iterator[bytes]) -> Generator[bytes]:
        nonlocal whole
        if packed:
            with closing(ahead(inflate(source, job))) as inflated:
                yield from hashed(inflated, unpacked)
        else:
            yield from source
        whole = True

    # two threads have enough to do: one unpacks or hashes, the other walks the tar
    with aside(stored) as beside:
        source = raw(stored if packed else beside)
        with closing(content(source)) as stream:  # a signal may end the walk at any point
            index = LayerIndex()
            for entry, file in walk_tar(StreamTape(stream), index):
                if index.sizes[entry] <= hash_up_to:
                    index.digests[entry] = content_digest(index.sparse.get(entry), file)
            for rest in (stream, source):  # what comes after the damage of a tar, or after a stream's end
                try:
                    for _ in rest:
                        pass
                except DamagedError as error:
                    if not index.problems:
                        index.problems.append(Problem(str(error)))
    index.digest = "sha256:" + stored.hexdigest()
    if whole:
        index.diff_id = "sha256:" + (unpacked if packed else stored).hexdigest()
    index.compressed_size = size if packed else None
    return index


def missing(name: str) -> LayerIndex:
    """The index of a layer whose data is not there."""
    return _nothing(f"the layer's data ({name or 'unnamed'}) is not in the archive")


def _nothing(message: str) -> LayerIndex:
    index = LayerIndex()
    index.problems.append(Problem(message))
    return index


def cut(tape: StreamTape, extents: Extents) -> Pieces:
    """Pieces of a stream that is read once."""
    for position, (offset, length) in enumerate(extents):
        yield position, tape.chunks(offset, length)


def cut_all(
    start: Callable[[], Generator[bytes]], wanted: Mapping[str, Sequence[tuple[tuple[int, int], T]]], job: Job
) -> Iterator[tuple[T, Iterable[bytes]]]:
    """Pieces of several layers of an archive that passes by, with what each is called.

    `wanted` are (offset, length) in a layer's unpacked tar, by the name that the layer is stored under. What
    is asked for twice (two layers of an image may be one blob) passes by twice. Raises `NotFoundError` where
    a layer does not come.
    """
    left = {name: sorted(pieces, key=itemgetter(0)) for name, pieces in wanted.items() if pieces}
    while left:
        again: dict[str, list[tuple[tuple[int, int], T]]] = {}
        outer = LayerIndex()
        with closing(start()) as stream:
            for number, chunks in walk_tar(StreamTape(stream), outer, job):
                name = os.fsdecode(outer.path(number))
                if (pieces := left.pop(name, None)) is None:
                    continue
                tape, last = StreamTape(inflate(chunks)), -1
                for extent, what in pieces:
                    if extent[0] == last:
                        again.setdefault(name, []).append((extent, what))
                        continue
                    last = extent[0]
                    yield what, tape.chunks(*extent)
                if not left:
                    break
        if left:
            raise NotFoundError(f"The layer {min(left)} is not in the archive.")
        left = again


class _Range:
    """Bytes [start, start + length) of an open file."""

    def __init__(self, fd: int, start: int, length: int) -> None:
        self.fd, self.start, self.length = fd, start, length

    @property
    def packed(self) -> bool:
        return bool(compression(read_at(self.fd, min(8, self.length), self.start)))

    def chunks(self, job: Job) -> Iterator[bytes]:
        return read_chunks(self.fd, self.start, self.length, job)

    def read(self, what: str) -> bytes:
        if self.length > DOCUMENT_LIMIT:
            raise LimitError(f"{what} has {self.length} bytes; the limit is {DOCUMENT_LIMIT}.")
        return b"".join(read_chunks(self.fd, self.start, self.length))

    def index(self, job: Job) -> LayerIndex:
        if self.packed:
            return index_blob(self.chunks(job), job, hash_up_to=_SMALL)
        index = index_tar(FileTape(self.fd, self.start, self.length), job)
        job.advance(self.length)
        return index

    def contents(self, extents: Extents, job: Job) -> Pieces:
        if self.packed:
            return cut(StreamTape(inflate(self.chunks(job), job)), extents)
        tape: Tape = FileTape(self.fd, self.start, self.length)
        return ((position, tape.chunks(*extent)) for position, extent in enumerate(extents))


class _Seekable:
    """Blobs that are ranges of files."""

    problems: tuple[str, ...] = ()

    def resolve(self, name: str) -> str:
        return name

    def _open(self, name: str) -> AbstractContextManager[_Range]:
        """The blob, open; raises `NotFoundError`, or `FormatError` where it cannot be read."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        with self._open(name) as found:
            return found.read(name)

    def size(self, name: str) -> int | None:
        try:
            with self._open(name) as found:
                return found.length
        except (FormatError, NotFoundError):
            return None

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        packed: list[tuple[int, str]] = []
        for name in names:
            try:
                with self._open(name) as found:
                    if found.packed:
                        packed.append((found.length, name))
                        continue
            except (FormatError, NotFoundError):
                pass  # said by `_index`
            yield self._index(name, job)
        packed.sort(key=itemgetter(0), reverse=True)  # the largest first, so that none is waited for alone
        yield from each(self._index, (name for _, name in packed), job)

    def _index(self, name: str, job: Job) -> tuple[str, LayerIndex]:
        try:
            with self._open(name) as found:
                return name, found.index(job)
        except NotFoundError:
            return name, missing(name)
        except FormatError as error:
            return name, _nothing(f"the layer's data: {error}".rstrip("."))

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        with self._open(name) as found:
            yield from found.contents(extents, job)

    def weight(self, names: Sequence[str]) -> int | None:
        return sum(self.size(name) or 0 for name in names)


class FolderBlobs(_Seekable):
    """An OCI layout (or an unpacked `docker save`) in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.names = frozenset(
            name for name in ("index.json", "manifest.json", "repositories") if self._path(name)
        )

    def _path(self, name: str) -> Path | None:
        """Where a blob is, None where it is not there; raises `OSError` where that cannot be told."""
        try:
            path = Path(os.path.realpath(self._folder / name))
            # a link may lead elsewhere in the folder, never out of it
            there = path.is_relative_to(self._folder) and stat.S_ISREG(path.stat().st_mode)
        except ValueError:  # a zero byte, or characters that no file name has
            return None
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        return path if there else None

    @contextmanager
    def _open(self, name: str) -> Iterator[_Range]:
        try:
            path = self._path(name)
            if path is None:
                raise NotFoundError(f"There is no {name!r} in {self._folder}.")
            fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise FormatError(f"{name} cannot be read: {error.strerror or error}.") from None
        try:
            yield _Range(fd, 0, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Nothing is kept open."""


class TarBlobs(_Seekable):
    """A plain archive on disk, read in place."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        outer = index_tar(FileTape(self._fd, 0, os.fstat(self._fd).st_size))
        self._members = _Members(outer)
        self.resolve = self._members.resolve  # type: ignore[method-assign]
        self.names = self._members.names
        self.problems = _in_words(outer)

    @contextmanager
    def _open(self, name: str) -> Iterator[_Range]:
        member = self._members.find(name)
        if member is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        yield _Range(self._fd, *member)

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        return super().layers(sorted(names, key=lambda name: self._members.find(name) or (0, 0)), job)

    def close(self) -> None:
        os.close(self._fd)


def _in_words(outer: LayerIndex) -> tuple[str, ...]:
    """What is wrong with an archive as such."""
    return tuple(
        f"{problem.message.replace('the layer', 'the archive')} (at byte {problem.offset} of the archive)"
        for problem in outer.problems
    )


class _Members:
    """The members of an archive: names → (offset, length), links followed."""

    def __init__(self, outer: LayerIndex) -> None:
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for number in range(len(outer)):
            kind = outer.kinds[number]
            name = os.fsdecode(outer.path(number))
            if kind == Kind.FILE and number not in outer.sparse:
                self._files[name] = (outer.offsets[number], outer.sizes[number])
            elif kind == Kind.SYMLINK:
                # old engines store a layer once: `../<id>/layer.tar` elsewhere
                target = os.fsdecode(outer.links.get(number, b""))
                self._links[name] = os.path.normpath(os.path.join(os.path.dirname(name), target)).lstrip("/")
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
        self._kept = 0  # bytes of documents that came by

    def run(
        self, chunks: Iterable[bytes], job: Job, *, layers: bool, only: Container[str] | None = None
    ) -> Iterator[tuple[str, LayerIndex]]:
        """Read all of the stream; gives the layers as they end, as (name, index).

        `only` are the names of the layers, where they are known.
        """
        self.outer = outer = LayerIndex()
        self._kept = 0
        for number, content in walk_tar(StreamTape(chunks), outer, job):
            name = os.fsdecode(outer.path(number))
            head, content = peek(content, BLOCK)
            # a layer may begin with a file called {…} or […]: its header tells
            like_layer = bool(compression(head)) or is_header(head)
            if layers and (like_layer if only is None else name in only):
                index = self.indexes[name] = index_blob(content, job)
                yield name, index
            elif head.lstrip()[:1] in (b"{", b"[") and not like_layer:
                size = outer.sizes[number]
                if size <= DOCUMENT_LIMIT:
                    self._kept += size
                    if self._kept <= KEPT_LIMIT:
                        self.documents[name] = b"".join(content)
        self.members = _Members(outer)

    @property
    def names(self) -> frozenset[str]:
        return self.members.names

    @property
    def problems(self) -> tuple[str, ...]:
        return _in_words(self.outer)

    def read(self, name: str) -> bytes:
        """One document; raises `NotFoundError`, `LimitError`, and `FormatError` where it is no JSON."""
        name = self.members.resolve(name)
        if name in self.documents:
            return self.documents[name]
        found = self.members.find(name)
        if found is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        if found[1] > DOCUMENT_LIMIT:
            raise LimitError(f"{name} has {found[1]} bytes; the limit is {DOCUMENT_LIMIT}.")
        if self._kept > KEPT_LIMIT:
            raise LimitError(f"The documents in the archive have more than {KEPT_LIMIT} bytes.")
        raise FormatError(f"{name} is not valid JSON.")


class PackedBlobs:
    """A compressed archive on disk: read as a stream.

    Only at its end it is known what is a layer, so all that look like one are indexed on the way and put
    into `recent`. It is read again for those that are not there any more.
    """

    def __init__(self, path: Path, job: Job, recent: Recent) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._length = os.fstat(self._fd).st_size
        documents = StreamedBlobs()
        try:
            job.total = job.done + self._length
            for name, index in documents.run(self._chunks(job), job, layers=True):
                recent.put(name, documents.indexes.pop(name, index))
            if documents.outer.problems and not len(documents.outer):
                message = documents.outer.problems[0].message
                raise FormatError(f"{path} is no image: what is compressed in it is no tar ({message}).")
        except BaseException:
            self.close()
            raise
        self.names = documents.names
        self.problems = documents.problems
        self.read = documents.read
        self._members = documents.members
        self.resolve = documents.members.resolve

    def _chunks(self, job: Job) -> Generator[bytes]:
        return ahead(inflate(read_chunks(self._fd, 0, self._length, job), job))

    def layers(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        wanted: dict[str, list[str]] = {}
        for name in names:
            wanted.setdefault(self._members.resolve(name), []).append(name)
        for found, index in StreamedBlobs().run(self._chunks(job), job, layers=True, only=frozenset(wanted)):
            for name in wanted.pop(found, ()):
                yield name, index
            if not wanted:
                return
        for left in wanted.values():
            for name in left:
                yield name, missing(name)

    def contents(self, name: str, extents: Extents, job: Job) -> Pieces:
        found = self._members.find(name)
        if found is None:
            raise NotFoundError(f"There is no {name!r} in the archive.")
        blob = StreamTape(self._chunks(job)).chunks(*found)
        return cut(StreamTape(inflate(blob, job)), extents)

    def all_contents(
        self, wanted: Mapping[str, Sequence[tuple[tuple[int, int], T]]], job: Job
    ) -> Iterator[tuple[T, Iterable[bytes]]]:
        """`cut_all` of this archive."""
        resolved: dict[str, list[tuple[tuple[int, int], T]]] = {}
        for name, pieces in wanted.items():
            resolved.setdefault(self.resolve(name), []).extend(pieces)
        return cut_all(lambda: self._chunks(job), resolved, job)

    def size(self, name: str) -> int | None:
        found = self._members.find(name)
        return found and found[1]

    def weight(self, names: Sequence[str]) -> int | None:
        return self._length

    def close(self) -> None:
        os.close(self._fd)


def open_blobs(path: Path, job: Job, recent: Recent) -> Blobs:
    """Open a folder or an archive by what it contains; raises `NotFoundError` or `FormatError`.

    Layers that must be read to open it are put into `recent`, by the names they are stored under.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return FolderBlobs(path)
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise FormatError(f"{path} is no regular file; write the archive to a file first.")
        with path.open("rb") as file:
            head = file.read(BLOCK)
        if compression(head):
            return PackedBlobs(path, job, recent)
        if not is_header(head):
            what = "it is neither a folder nor a tar archive, plain or compressed" if head else "it is empty"
            raise FormatError(f"{path} is no image: {what}.")
        return TarBlobs(path)
    except FileNotFoundError:
        raise NotFoundError(f"There is no file or folder {path}; check the path.") from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from None
