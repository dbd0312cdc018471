"""What all data roots share: doubt is silence, and files are opened without following links."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import floor

from imgscope.errors import ImgscopeError
from imgscope.images.documents import Document
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import read_chunks

DOCUMENT_LIMIT = 64 << 20  # bytes of one JSON document
_WAY = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | os.O_NOFOLLOW | os.O_CLOEXEC
_METACOPY = ("trusted.overlay.metacopy", "user.overlay.metacopy")

Pieces = Iterator[tuple[int, Iterable[bytes]]]


class DoubtError(Exception):
    """What lies in the data root is not what was asked for, or not surely."""


# what ends in the engine being asked instead
DOUBTS = (DoubtError, ImgscopeError, OSError, ValueError)


class DataRoot:
    """A readable root. Its methods raise nothing but `CancelledError`."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Image] = {}

    def detail(self, image: Image) -> Image | None:
        """The image as the root's own documents tell it: exact history, digests of layers where there are.

        Each layer's `blob` is the root's own name of it. None where it is not there with these layers.
        """
        key = (image.id, *image.diff_ids)
        if key not in self._found:
            try:
                found = self._find(image)
            except DOUBTS:
                return None
            if found.id != image.id or found.diff_ids != image.diff_ids:
                return None
            self._found[key] = found
        return self._found[key]

    def indexes(self, image: Image, numbers: Iterable[int], job: Job) -> Generator[tuple[int, LayerIndex]]:
        """Index layers by their numbers, as many as can be had: pairs (number from 1, index)."""
        found = self.detail(image)
        if found is None:
            return
        known: dict[str, LayerIndex] = {}  # an image may have a layer several times
        for number in numbers:
            job.check()
            diff_id = found.layers[number - 1].diff_id
            if diff_id not in known:
                with suppress(*DOUBTS):
                    known[diff_id] = self._index(found, number, job)
            if diff_id in known:
                yield number, known[diff_id]

    def contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        """See `LayerStore.contents`. It ends where a content is in doubt."""
        found = self.detail(image)
        if found is not None:
            with suppress(*DOUBTS):
                yield from self._contents(found, number, index, entries, job)

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        """See `LayerStore.documents`."""
        found = self.detail(image)
        if found is not None:
            with suppress(*DOUBTS):
                return self._documents(found, job)
        return ()

    # Each raises one of `DOUBTS`.

    def _documents(self, image: Image, job: Job) -> Sequence[Document]:
        raise NotImplementedError

    def _find(self, image: Image) -> Image:
        raise NotImplementedError

    def _index(self, image: Image, number: int, job: Job) -> LayerIndex:
        raise NotImplementedError

    def _contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        raise NotImplementedError


@contextmanager
def opened(root: str, path: bytes) -> Iterator[int]:
    """A regular file below `root`, open for reading; raises `OSError`, `DoubtError` where it is no such file.

    The way goes from folder to folder and never through a link, for what a layer holds is anybody's.
    """
    *folders, name = path.split(b"/")
    way = os.open(root, _WAY & ~os.O_NOFOLLOW)
    try:
        for folder in folders:
            if folder in (b"", b".", b".."):
                raise DoubtError
            before, way = way, os.open(folder, _WAY, dir_fd=way)
            os.close(before)
        # looked at first: to open a device can do something
        if not stat.S_ISREG(os.stat(name, dir_fd=way, follow_symlinks=False).st_mode):
            raise DoubtError
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=way)
    finally:
        os.close(way)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise DoubtError
        yield fd
    finally:
        os.close(fd)


def file_chunks(root: str, path: str, job: Job | None = None) -> Iterator[bytes]:
    """The bytes of a file below `root`."""
    with opened(root, os.fsencode(path)) as fd:
        yield from read_chunks(fd, 0, os.fstat(fd).st_size, job)


def read_file(root: str, path: str) -> bytes:
    """A document below `root`."""
    with opened(root, os.fsencode(path)) as fd:
        size = os.fstat(fd).st_size
        if size > DOCUMENT_LIMIT:
            raise DoubtError
        return b"".join(read_chunks(fd, 0, size))


def folder_contents(root: str, index: LayerIndex, entries: Sequence[int], job: Job) -> Pieces:
    """Contents of files from the folder into which a layer was unpacked.

    Each must be a regular file of the entry's size and time. overlayfs may keep a file's metadata there
    and its content in a layer below; such a file has an attribute that tells (metacopy).
    """
    check_paths(index, entries)
    for entry in entries:
        with opened(root, index.path(entry)) as fd:
            there = os.fstat(fd)
            check_file(there.st_size, there.st_mtime, index, entry)
            if any(_has_attribute(fd, name) for name in _METACOPY):
                raise DoubtError
            yield entry, _data(fd, index.sparse.get(entry) or [(0, there.st_size)], job)


def check_paths(index: LayerIndex, entries: Sequence[int]) -> None:
    """Raise `DoubtError` where a path stands in the layer again: unpacked, only the last of them is there."""
    paths = {(index.parents[entry], index.names[entry]) for entry in entries}
    if sum(map(paths.__contains__, zip(index.parents, index.names, strict=True))) > len(paths):
        raise DoubtError


def check_file(size: int, mtime: float, index: LayerIndex, entry: int) -> None:
    """Raise `DoubtError` where a file on disk has another size or time than the layer says."""
    if size != index.sizes[entry] or floor(mtime) != floor(index.mtimes[entry]):
        raise DoubtError


def _data(fd: int, pieces: Sequence[tuple[int, int]], job: Job) -> Iterator[bytes]:
    for offset, length in pieces:
        yield from read_chunks(fd, offset, length, job)


def _has_attribute(fd: int, name: str) -> bool:
    try:
        os.getxattr(fd, name)
    except OSError:
        return False  # there is none, or the file system has no attributes at all
    return True
