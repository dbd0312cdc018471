"""What is in the files of an image: the bytes of any version of a path, also of one removed by a later layer.

The one way from an analysis back to its source's bytes; the viewer, extraction and comparing go through it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from imgscope.analysis import Analysis
from imgscope.errors import DamagedError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.sources.base import OnePass, Source, Wanted
from imgscope.text import path_text

_HOLE = bytes(1 << 16)


def read_file(source: Source, analysis: Analysis, version: int, job: Job) -> Generator[bytes]:
    """The content of a file's version in chunks, holes of a sparse file filled with zeros.

    `version` is one of `analysis.overlay`, a file or another name of one (hardlink); for anything else there
    is nothing. The last chunk may be asked for late: the source is read as far as chunks are taken. Raises
    `ImgscopeError` (`DamagedError` where the bytes are not to be had) and `CancelledError`.
    """
    for _, chunks in read_files(source, analysis, [version], job):
        yield from chunks


def read_files(
    source: Source, analysis: Analysis, versions: Iterable[int], job: Job, *, holes: bool = True
) -> Iterator[tuple[int, Iterator[bytes]]]:
    """The contents of many files: pairs (version, chunks), each content once and layer by layer.

    Other names of one file are one content: the version given is the first of them that was asked for. The
    chunks must be used before the next pair is taken. Files of no bytes come first. Without `holes` only what
    is stored of a sparse file comes (`LayerIndex.sparse` says where it belongs). Raises as `read_file`.
    """
    overlay = analysis.overlay
    asked: dict[int, int] = {}  # the version that stores the content → the one that was asked for
    for version in versions:
        inode = overlay.inode(version)
        if overlay.entry[inode] >= 0 and overlay.kind(inode) == Kind.FILE:
            asked.setdefault(inode, version)
    layers: dict[int, dict[int, int]] = {}  # layer → entry → version
    for inode, version in asked.items():
        if overlay.file_size(inode):
            layers.setdefault(overlay.layer[inode], {})[overlay.entry[inode]] = version
        else:
            yield version, iter(())
    wanted: dict[int, tuple[LayerIndex, list[int]]] = {}
    for number in sorted(layers):
        index = overlay.layers[number - 1]
        wanted[number] = index, sorted(layers[number], key=index.offsets.__getitem__)
    for number, entry, chunks in _contents(source, analysis.image, wanted, job):
        job.check()
        index, version = wanted[number][0], layers[number].pop(entry)
        pieces = index.sparse.get(entry) if holes else None
        yield version, _filled(pieces, index.sizes[entry], iter(chunks))
    for number, left in layers.items():
        if left:
            path = path_text(wanted[number][0].path(min(left)))
            raise DamagedError(f"The content of {path} in layer {number} is not there to be read.")


def _contents(
    source: Source, image: Image, wanted: Wanted, job: Job
) -> Iterator[tuple[int, int, Iterable[bytes]]]:
    """The contents of several layers: (layer, entry, chunks), in one pass where that is how it is read."""
    if len(wanted) > 1 and isinstance(source, OnePass) and source.one_pass:
        yield from source.all_contents(image, wanted, job)
        return
    for number, (index, entries) in wanted.items():
        for entry, chunks in source.contents(image, number, index, entries, job):
            yield number, entry, chunks


def _filled(pieces: list[tuple[int, int]] | None, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The stored bytes of a sparse file with its holes between them; of any other file as they are."""
    if pieces is None:
        yield from chunks
        return
    done = 0
    chunk = b""
    for start, length in pieces:
        yield from _hole(start - done)
        done = start
        while done < start + length:
            chunk = chunk or next(chunks, b"")
            if not chunk:
                raise DamagedError("The data of a sparse file ends early.")
            part, chunk = chunk[: start + length - done], chunk[start + length - done :]
            done += len(part)
            yield part
    yield from _hole(size - done)


def _hole(size: int) -> Iterator[bytes]:
    while size > 0:
        yield _HOLE[:size]
        size -= len(_HOLE)
