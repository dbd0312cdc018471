"""A tar of one layer → LayerIndex.

Formats: POSIX ustar and pax (IEEE Std 1003.1, pax), GNU (long names, base-256 numbers, sparse files of
all kinds), V7. Where readers differ, we do what the engines do: they read layers with Go's
archive/tar, so global pax headers change nothing, links carry no data, and `..` that leaves the
root is refused. A bad checksum in mid-layer is damage, not the end of the archive.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from zlib import adler32

from imgscope.errors import DamagedError
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.stream import BLOCK, Tape

PAX_LIMIT = 1 << 20  # bytes of one extended header or long name record
NAME_LIMIT = 1 << 16  # bytes of one path
SPARSE_LIMIT = 1 << 20  # pieces of one sparse file

_HEADER = Struct("100s8s8s8s12s12s8ss100s8s80x155s12x")
_ZEROS = bytes(BLOCK)
_POSIX = b"ustar\x0000"
_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR_DEVICE,
    b"4": Kind.BLOCK_DEVICE,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_DATA_TYPES = frozenset((b"0", b"\0", b"7", b"S"))
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_META = b".wh..wh."
_XATTR = b"SCHILY.xattr."


def index_tar(tape: Tape, job: Job | None = None, *, digest: bool = False) -> LayerIndex:
    """Walk the headers of a layer's unpacked tar.

    With `digest`, the contents of files are hashed as they pass (for a stream that cannot be read
    twice). Damage ends the walk and is noted in `problems`; what came before it stays.
    """
    index = LayerIndex()
    for entry, chunks in walk_tar(tape, index, job, files=digest):
        index.digests[entry] = content_digest(index.sparse.get(entry), chunks)
    return index


def walk_tar(
    tape: Tape, index: LayerIndex, job: Job | None = None, *, files: bool = True
) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Fill `index`, and with `files` give every non-empty file as it passes: (entry, chunks of content).

    The chunks must be used, as far as they are wanted, before the next pair is taken. Damage ends
    the walk and is noted in `index.problems`.
    """
    walker = _Walker(tape, index, job)
    try:
        for entry, stored in walker.walk():
            if files and stored:
                yield entry, tape.chunks(index.offsets[entry], stored)
        tape.drain()
    except DamagedError as error:
        index.problems.append(Problem(f"{error}; what comes after is missing", offset=walker.offset))
        walker.cut()
    index.tar_size = walker.offset


def content_digest(pieces: list[tuple[int, int]] | None, chunks: Iterator[bytes]) -> bytes:
    """sha256 of a file's content. A sparse file's counts its map and its data, not its holes."""
    hasher = hashlib.sha256()
    if pieces is not None:
        hasher.update(repr(pieces).encode())
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digest()


def normalise(name: bytes) -> bytes | None:
    """A tar name as a path below the root: no `.`, `..`, doubled or closing slashes.

    The root is the empty path. None where the name leaves the root: engines refuse such a layer.
    """
    if name.startswith(b"./"):
        name = name[2:]
    if name.endswith(b"/"):
        name = name.rstrip(b"/")
    if b"//" not in name and b"/." not in name and name[:1] not in (b".", b"/"):
        return name
    rooted = name.startswith(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
            elif not rooted:
                return None
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def _number(field: bytes) -> int:
    """A header's number: octal text, or GNU's base-256; raises ValueError."""
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big") - (
            (1 << (8 * len(field) - 1)) if field[0] & 0x40 else 0
        )
    text = field.strip(b" \0").partition(b"\0")[0]
    if not text:
        return 0
    if not text.isdigit():  # int() would take signs, underscores and 0o
        raise ValueError
    return int(text, 8)


# Modes, owners and times repeat from entry to entry.
_repeated = lru_cache(maxsize=8192)(_number)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


class _Extended:
    """What extended headers say of the entry that follows them."""

    __slots__ = ("link", "name", "records")

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.link: bytes | None = None
        self.records: list[tuple[bytes, bytes]] = []


_NOTHING = _Extended()


def _checksum_fits(header: bytes, field: bytes) -> bool:
    # adler32's low half is 1 + the sum of all bytes modulo 65521: a checksum at the speed of C
    try:
        stored = _number(field)
    except ValueError:
        return False
    if adler32(header) & 0xFFFF == (stored + sum(field) - 255) % 65521:
        return True
    # some old writers summed signed bytes
    signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + b" " * 8 + header[156:])
    return signed == stored


class _Walker:
    def __init__(self, tape: Tape, index: LayerIndex, job: Job | None) -> None:
        self.tape = tape
        self.index = index
        self.job = job
        self.offset = 0  # of the header in hand
        self.stored = -1  # bytes of content of the entry in hand, where it is a file

    def problem(self, message: str) -> None:
        self.index.problems.append(Problem(message, offset=self.offset))

    def walk(self) -> Iterator[tuple[int, int]]:
        """Add all entries; gives (entry, bytes stored) after each file."""
        tape, unpack = self.tape, _HEADER.unpack_from
        window, base = b"", 0
        extended = _NOTHING
        while True:
            at = self.offset - base
            if at + BLOCK > len(window):
                if self.job is not None:
                    self.job.check()
                window, base, at = tape.window(self.offset), self.offset, 0
                if len(window) < BLOCK:
                    raise DamagedError(
                        "the layer is cut in a header" if window else "the layer has no end mark"
                    )
            header = window[at : at + BLOCK]
            fields = unpack(header)
            if not _checksum_fits(header, fields[6]):
                if header == _ZEROS:
                    self.end()
                    return
                raise DamagedError("a header has a bad checksum")
            try:
                size = _number(fields[4])
            except ValueError:
                size = -1
            if size < 0:
                raise DamagedError("a header has a size that is no number of bytes")
            kind = fields[7]
            if kind in (b"x", b"g", b"L", b"K", b"X"):
                if extended is _NOTHING:
                    extended = _Extended()
                self.extend(extended, kind, size)
                self.offset += BLOCK + (size + 511 & ~511)
            else:
                following = self.entry(header, fields, size, extended)
                extended = _NOTHING
                if self.stored >= 0:
                    yield len(self.index) - 1, self.stored
                self.offset = following

    def end(self) -> None:
        """One block of zeros was read; a second one makes the end mark."""
        second = self.tape.window(self.offset + BLOCK)[:BLOCK]
        if second.strip(b"\0"):
            self.problem("a lone block of zeros ends the layer, but more follows it")

    def extend(self, extended: _Extended, kind: bytes, size: int) -> None:
        """Read a pax (x) header or a GNU long name (L) or link (K) into `extended`."""
        if kind == b"g":
            return
        if size > PAX_LIMIT:
            self.problem(
                f"an extended header of {size} bytes passes the limit of {PAX_LIMIT} and was left out"
            )
            return
        data = b"".join(self.tape.chunks(self.offset + BLOCK, size))
        if kind == b"L":
            extended.name = _text(data)
        elif kind == b"K":
            extended.link = _text(data)
        else:
            while data:
                head = data.partition(b" ")[0]
                length = int(head) if head.isdigit() and len(head) < 8 else 0
                key, equals, value = data[len(head) + 1 : length].partition(b"=")
                if length > len(data) or not equals or not value.endswith(b"\n"):
                    if data.strip(b"\0"):
                        self.problem("a pax header is malformed; what is left of it was not used")
                    return
                extended.records.append((key, value[:-1]))
                data = data[length:]

    def entry(self, header: bytes, fields: tuple[bytes, ...], size: int, extended: _Extended) -> int:
        """Add the entry of a header; gives the offset of the next header."""
        index = self.index
        self.stored = -1
        name, mode, uid, gid, _, mtime, _, typeflag, link, magic, prefix = fields
        try:
            permissions, owner, group, time = (
                _repeated(mode),
                _repeated(uid),
                _repeated(gid),
                float(_repeated(mtime)),
            )
        except ValueError:
            self.problem("a header has a mode, owner or time that is no number; 0 is taken")
            permissions, owner, group, time = 0, 0, 0, 0.0
        kind = _KINDS.get(typeflag)
        path, target = _text(name), b""
        if magic == _POSIX and prefix[0]:
            path = _text(prefix) + b"/" + path
        if kind is Kind.HARDLINK or kind is Kind.SYMLINK:
            target = _text(link)
        pieces: list[tuple[int, int]] | None = None
        xattrs: list[tuple[bytes, bytes]] = []
        real = size
        data = self.offset + BLOCK
        if extended is not _NOTHING:
            path = extended.name if extended.name is not None else path
            target = extended.link if extended.link is not None and target else target
            sparse: list[tuple[bytes, bytes]] = []
            try:
                for key, value in extended.records:
                    if key == b"path":
                        path = value
                    elif key == b"linkpath":
                        target = value
                    elif key == b"size":
                        real = size = _decimal(value)
                    elif key == b"uid":
                        owner = _decimal(value)
                    elif key == b"gid":
                        group = _decimal(value)
                    elif key == b"mtime":
                        time = _seconds(value)
                    elif key.startswith(_XATTR):
                        xattrs.append((key[len(_XATTR) :], value))
                    elif key.startswith(b"GNU.sparse."):
                        sparse.append((key[11:], value))
                if sparse:
                    name_in_map, real, pieces, data = self.pax_sparse(sparse, data, size)
                    path = name_in_map or path
            except (ValueError, OverflowError):
                raise DamagedError("a pax header has a value that is no number") from None
        after = self.offset + BLOCK
        if typeflag == b"S":
            real, pieces, after = self.gnu_sparse(header)
            data = after
        if kind is None:
            self.problem(f"an entry of unknown type {typeflag!r} was left out")
            index.skipped += 1
            return after + (size + 511 & ~511)
        if kind is not Kind.FILE:
            size = real = 0
        elif path.endswith(b"/"):  # before POSIX, a directory was a name with a slash
            kind, size, real = Kind.DIRECTORY, 0, 0
        following = after + (size + 511 & ~511)
        if len(path) > NAME_LIMIT or len(target) > NAME_LIMIT:
            self.problem(
                f"a name of {max(len(path), len(target))} bytes passes the limit of {NAME_LIMIT}; left out"
            )
            index.skipped += 1
            return following
        clean = normalise(path)
        if clean is None or b"\0" in clean:
            self.problem("a name leaves the root of the image; engines refuse such a layer; left out")
            index.skipped += 1
            return following
        self.add(clean, kind, real, permissions & 0o7777, owner, group, time, data, target, header, xattrs)
        if kind is Kind.FILE:
            entry = len(index) - 1
            if index.kinds[entry] == Kind.FILE:
                if pieces is not None:
                    index.sparse[entry] = pieces
                self.stored = size - (data - after)
                self.claim(entry)
        return following

    def add(
        self,
        path: bytes,
        kind: Kind,
        size: int,
        mode: int,
        uid: int,
        gid: int,
        mtime: float,
        data: int,
        target: bytes,
        header: bytes,
        xattrs: list[tuple[bytes, bytes]],
    ) -> None:
        index = self.index
        slash = path.rfind(b"/") + 1
        if path.startswith(_WHITEOUT, slash):
            name = path[slash:]
            if name == _OPAQUE:
                index.opaques.append(
                    index.add(path[: max(slash - 1, 0)], Kind.OPAQUE, 0, mode, uid, gid, mtime)
                )
            elif name.startswith(_META) or name == _WHITEOUT:
                index.add(path, Kind.IGNORED, 0, mode, uid, gid, mtime)
            else:
                hidden = path[:slash] + name[len(_WHITEOUT) :]
                index.whiteouts.append(index.add(hidden, Kind.WHITEOUT, 0, mode, uid, gid, mtime))
            return
        device: tuple[int, int] | None = None
        if kind is Kind.CHAR_DEVICE or kind is Kind.BLOCK_DEVICE:
            try:
                device = _number(header[329:337]), _number(header[337:345])
            except ValueError:
                self.problem("a device has numbers that are none; 0:0 is taken")
                device = 0, 0
            if kind is Kind.CHAR_DEVICE and device == (0, 0):  # overlay's own whiteout
                index.whiteouts.append(index.add(path, Kind.WHITEOUT, 0, mode, uid, gid, mtime))
                return
        if kind is not Kind.DIRECTORY and not path:
            self.problem("the root of the image cannot be replaced; engines refuse such a layer; left out")
            index.skipped += 1
            return
        entry = index.add(path, kind, size, mode, uid, gid, mtime, data if kind is Kind.FILE else -1)
        if target:
            index.links[entry] = target
            if kind is Kind.HARDLINK:
                clean = normalise(target)
                index.links[entry] = target if clean is None else clean
        if device is not None:
            index.devices[entry] = device
        if xattrs:
            xattrs.sort()
            index.xattrs[entry] = tuple(xattrs)
            if kind is Kind.DIRECTORY and (b"trusted.overlay.opaque", b"y") in xattrs:
                index.opaques.append(entry)

    def claim(self, entry: int) -> None:
        """Raise where the tape is known to end before the content of a file does."""
        length = self.tape.length
        if length is not None and self.index.offsets[entry] + self.stored > length:
            there = max(length - self.index.offsets[entry], 0)
            raise DamagedError(f"a file claims {self.stored} bytes of content and {there} are there")

    def cut(self) -> None:
        """After damage: the last file has no more bytes than there are."""
        index, length, entry = self.index, self.tape.length, len(self.index) - 1
        if self.stored >= 0 and length is not None and entry not in index.sparse:
            index.sizes[entry] = min(index.sizes[entry], max(length - index.offsets[entry], 0))

    def gnu_sparse(self, header: bytes) -> tuple[int, list[tuple[int, int]], int]:
        """GNU's old sparse header: (size with holes, pieces, offset where the data starts)."""
        pieces: list[tuple[int, int]] = []
        after = self.offset + BLOCK
        try:
            real = _number(header[483:495])
            table, more = header[386:482], header[482] == 1
            while True:
                for at in range(0, len(table) - 23, 24):
                    if table[at] == 0 and not table[at : at + 24].strip(b"\0"):
                        break
                    pieces.append((_number(table[at : at + 12]), _number(table[at + 12 : at + 24])))
                if not more:
                    break
                if len(pieces) > SPARSE_LIMIT:
                    raise DamagedError(f"a sparse file has more than {SPARSE_LIMIT} pieces")
                block = b"".join(self.tape.chunks(after, BLOCK))
                after += BLOCK
                table, more = block[:504], block[504] == 1
        except ValueError:
            raise DamagedError("a sparse file has a map that is no numbers") from None
        return real, _checked(pieces, real), after

    def pax_sparse(
        self, records: list[tuple[bytes, bytes]], data: int, size: int
    ) -> tuple[bytes, int, list[tuple[int, int]], int]:
        """GNU's sparse files in pax headers, 0.0, 0.1 and 1.0.

        Gives (name, size with holes, pieces, offset where the data starts).
        """
        last = dict(records)
        real = _decimal(last.get(b"realsize", last.get(b"size", b"0")))
        name = last.get(b"name", b"")
        if last.get(b"major") == b"1":
            numbers: list[int] = []
            text, start, wanted = b"", data, 1
            while len(numbers) < wanted:
                if data - start >= size or wanted > 2 * SPARSE_LIMIT:
                    raise DamagedError("a sparse file has a map that does not end")
                text += b"".join(self.tape.chunks(data, BLOCK))
                data += BLOCK
                *lines, text = text.split(b"\n")
                numbers.extend(map(_decimal, lines))
                if numbers:
                    wanted = 1 + 2 * numbers[0]
            flat = numbers[1:wanted]
        elif b"map" in last:
            flat = [_decimal(part) for part in last[b"map"].split(b",") if part]
        else:
            flat = [_decimal(value) for key, value in records if key in (b"offset", b"numbytes")]
        return name, real, _checked(list(zip(flat[::2], flat[1::2], strict=False)), real), data


def _checked(pieces: list[tuple[int, int]], real: int) -> list[tuple[int, int]]:
    """The pieces that hold data, if they rise and stay in the file."""
    end = 0
    for offset, length in pieces:
        if offset < end or length < 0 or offset + length > real:
            raise DamagedError("a sparse file has a map that does not fit its size")
        end = offset + length
    return [piece for piece in pieces if piece[1]]


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ValueError
    return int(text)


def _seconds(text: bytes) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
