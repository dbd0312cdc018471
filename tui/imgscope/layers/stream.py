"""Bytes on their way to the tar walker: decompression, digests, and two kinds of tape.

Streams are iterators of byte chunks, so that they compose: read → inflate → digest → tape. Nothing
here holds more than a chunk or two, whatever the input claims or inflates to.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from imgscope.errors import DamagedError
from imgscope.job import Job

_fast: Any
try:
    from isal import igzip_lib as _fast
except ImportError:  # no wheel for this processor: the same answers from zlib, slower
    _fast = None

BLOCK = 512
# Larger pieces of memory are given back to the system, and asked for again, at each turn.
IN_CHUNK = 128 * 1024
OUT_CHUNK = 256 * 1024
_WINDOW_LIMIT = 1 << 27  # bytes that a decompressor may keep: what zstd's own tools take unasked
_MAGICS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "xz": b"\xfd7zXZ\x00", "bzip2": b"BZh"}
_MAGIC = 6  # bytes that tell a compression


def compression(head: bytes) -> str:
    """The compression that the first bytes of a blob tell: gzip, zstd, xz, bzip2, or "" for none.

    Media types are not asked: they lie (skopeo writes tar+gzip on plain layers).
    """
    for name, magic in _MAGICS.items():
        if head.startswith(magic):
            return name
    # zstd's skippable frames (RFC 8878, 3.1.2) may come first
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
        return "zstd"
    return ""


def inflate(chunks: Iterable[bytes], job: Job | None = None) -> Iterator[bytes]:
    """Unpack a stream by what its first bytes tell; a plain one passes through.

    Raises `DamagedError` after the last good chunk where the stream is cut or broken.
    """
    head, stream = peek(chunks, _MAGIC)
    match compression(head):
        case "gzip":
            stream = _members(stream, "gzip", _gunzip)
        case "zstd":
            if sys.version_info >= (3, 14):
                from compression.zstd import ZstdDecompressor
            else:
                from backports.zstd import ZstdDecompressor
            stream = _members(stream, "zstd", ZstdDecompressor)
        case "xz":
            from lzma import FORMAT_XZ, LZMADecompressor

            stream = _members(stream, "xz", lambda: LZMADecompressor(FORMAT_XZ, memlimit=_WINDOW_LIMIT))
        case "bzip2":
            from bz2 import BZ2Decompressor

            stream = _members(stream, "bzip2", BZ2Decompressor)
    for chunk in stream:
        if job is not None:
            job.check()  # a little input may come to very much
        yield chunk


def peek(chunks: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a stream, `size` or more if it has them, and the whole stream.

    Damage that is met is raised in its place in the stream.
    """
    rest = iter(chunks)
    head = b""
    failure: DamagedError | None = None
    try:
        while len(head) < size and (chunk := next(rest, b"")):
            head += chunk
    except DamagedError as error:
        failure = error

    def whole() -> Iterator[bytes]:
        if head:
            yield head
        if failure is not None:
            raise failure
        yield from rest

    return head, whole()


class _Decompressor(Protocol):
    """The interface that bz2, lzma and zstd share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _gunzip() -> _Decompressor:
    return _Gunzip() if _fast is None else _fast.IgzipDecompressor(flag=_fast.DECOMP_GZIP)


class _Gunzip:
    """zlib's object with the interface of the others."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return bool(self._member.eof)

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return bytes(self._member.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        tail = self._member.unconsumed_tail
        return bytes(self._member.decompress(tail + data if tail else data, max_length))


def _members(chunks: Iterator[bytes], name: str, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """All members (frames, streams) one after the other; zeros after a member are padding."""
    data = b""
    first = True
    while True:
        while len(data) < _MAGIC and (more := next(chunks, b"")):
            data += more
            if not first:
                data = data.lstrip(b"\0")
        if not data:
            return
        if compression(data) != name:
            raise DamagedError(f"there is data after the end of the {name} stream")
        first = False
        member = new()
        out = b""
        while not member.eof:
            # while there is output, more may be held back, needing no input
            if not data and member.needs_input and not (data := next(chunks, b"")) and not out:
                raise DamagedError(f"the {name} stream ends early")
            try:
                out = member.decompress(data, OUT_CHUNK)
            except Exception as error:  # each library has an error class of its own, with no common base
                raise DamagedError(f"the {name} stream is damaged ({error})") from None
            data = b""
            if out:
                yield out
        data = member.unused_data.lstrip(b"\0")


def read_chunks(fd: int, start: int, length: int, job: Job | None = None) -> Iterator[bytes]:
    """The bytes [start, start + length) of an open file, in chunks; each one advances the job."""
    end = start + length
    while start < end:
        chunk = read_at(fd, min(IN_CHUNK, end - start), start)
        if not chunk:
            raise DamagedError("the file ends early")
        start += len(chunk)
        if job is not None:
            job.advance(len(chunk))
        yield chunk


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes of an open file; raises `DamagedError` where the disk does not give them."""
    try:
        return os.pread(fd, size, offset)
    except OSError as error:
        raise DamagedError(f"the file cannot be read ({error.strerror})") from None


class Hash(Protocol):
    """What hashlib gives."""

    def update(self, data: bytes, /) -> None: ...


def hashed(chunks: Iterable[bytes], hasher: Hash) -> Iterator[bytes]:
    """Pass chunks on, and through `hasher`."""
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk


class Tape(Protocol):
    """What the tar walker reads from: positions only rise."""

    def window(self, offset: int) -> bytes:
        """Bytes from `offset` on: at least one block, fewer only where the tape ends, none past it.

        Raises `DamagedError` where the tape ends before `offset`.
        """

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        """The bytes [offset, offset + size); raises `DamagedError` where the tape ends before."""

    def drain(self) -> None:
        """Read what is left, so that digests over the whole stream are complete."""

    @property
    def length(self) -> int | None:
        """Bytes in all, where known."""


class FileTape:
    """A range of an open file: the walker jumps from header to header, contents stay unread."""

    _SMALL, _LARGE, _NEAR = 4096, 64 * 1024, 32 * 1024

    def __init__(self, fd: int, start: int, length: int) -> None:
        self._fd = fd
        self._start = start
        self._length = length
        self._size = self._SMALL
        self._end = 0  # of the last window

    @property
    def length(self) -> int | None:
        return self._length

    def window(self, offset: int) -> bytes:
        if offset > self._length:
            raise DamagedError("the layer ends early")
        # Among small files one larger read costs less than many calls; a large file is jumped over.
        if offset - self._end < self._NEAR:
            self._size = min(self._size * 2, self._LARGE)
        else:
            self._size = self._SMALL
        data = read_at(self._fd, min(self._size, self._length - offset), self._start + offset)
        self._end = offset + len(data)
        return data

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        there = min(size, max(self._length - offset, 0))
        yield from read_chunks(self._fd, self._start + offset, there)
        if there < size:
            raise DamagedError("the layer ends early")

    def drain(self) -> None:
        """Nothing: a file that is not read whole has no digest to complete."""


class StreamTape:
    """A stream, read once: what lies before the asked position is dropped."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._base = 0  # position of the buffer's first byte
        self._length: int | None = None

    @property
    def length(self) -> int | None:
        """Bytes in all, known once the end was met."""
        return self._length

    def _pull(self) -> bytes:
        """The next chunk; empty, and the length known, where the stream ends."""
        end = self._base + len(self._buffer)
        try:
            chunk = next(self._chunks, b"")
        except DamagedError:
            self._length = end
            raise
        if not chunk:
            self._length = end
        return chunk

    def _seek(self, offset: int) -> int:
        """Where `offset` lies in the buffer; past its last byte only where the stream ends there."""
        at = offset - self._base
        while at >= len(self._buffer):
            chunk = self._pull()
            if not chunk:
                if at > len(self._buffer):
                    raise DamagedError("the layer ends early")
                break
            at -= len(self._buffer)
            self._base += len(self._buffer)
            self._buffer = chunk
        return at

    def window(self, offset: int) -> bytes:
        if at := self._seek(offset):
            self._buffer = self._buffer[at:]
            self._base = offset
        while len(self._buffer) < BLOCK and (more := self._pull()):
            self._buffer += more
        return self._buffer

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        while size > 0:
            at = self._seek(offset)
            piece = self._buffer[at : at + size]
            if not piece:
                raise DamagedError("the layer ends early")
            yield piece
            offset += len(piece)
            size -= len(piece)

    def drain(self) -> None:
        while chunk := self._pull():
            self._base += len(self._buffer)
            self._buffer = chunk
