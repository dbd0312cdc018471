"""A tar of one layer → LayerIndex.

Formats: POSIX ustar and pax (IEEE Std 1003.1, pax), GNU (long names, base-256 numbers, sparse files of
all kinds), V7. Where readers differ, we do what the engines do: they read layers with Go's
archive/tar, so global pax headers change nothing, links carry no data, and `..` that leaves the
root is refused. A bad checksum in mid-layer is damage, not the end of the archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from struct import Struct
from zlib import adler32

from imgscope.errors import DamagedError
from imgscope.job import Job
from imgscope.layers.fields import (
    CHECKSUMS,
    OWNERS,
    SIZES,
    SPARSE,
    TIMES,
    checked_pieces,
    checksum_fits,
    decimal_record,
    integer_record,
    read_digits,
    read_number,
    read_records,
    sparse_version,
    until_zero,
)
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.stream import BLOCK, Tape

PAX_LIMIT = 1 << 20  # bytes of one extended header or long name record
NAME_LIMIT = 1 << 16  # bytes of one path
SPARSE_LIMIT = 1 << 20  # pieces of one sparse file
ENTRY_LIMIT = 1 << 22  # entries of one layer
METADATA_LIMIT = 1 << 28  # bytes of names, links and xattrs that stand in extended headers of one layer
PROBLEM_LIMIT = 1000  # problems of one layer that are told

# name; mode, owner and group; size; mtime; checksum; type
_HEADER = Struct("100s24s12s12s8sc")
_ZEROS = bytes(BLOCK)
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
_EXTENSIONS = frozenset((b"x", b"X", b"g", b"L", b"K"))
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_META = b".wh..wh."
_XATTR = b"SCHILY.xattr."
_NAMELESS = frozenset((b".wh.", b".wh..", b".wh..."))  # would hide a directory itself, or the one above

# As plain numbers: members of an enumeration cost a look-up each time.
_FILE, _DIRECTORY, _SYMLINK, _DOT = int(Kind.FILE), int(Kind.DIRECTORY), int(Kind.SYMLINK), ord(".")
_COMMON = {b"0": _FILE, b"5": _DIRECTORY, b"2": _SYMLINK}


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
    the chunks and the walk, and is noted in `index.problems`; nothing is raised for it.
    """
    walker = _Walker(tape, index, job, files)
    try:
        yield from walker.walk()
    except DamagedError as error:
        walker.damaged(error)
    else:
        try:
            tape.drain()
        except DamagedError as error:
            index.problems.append(Problem(f"{error}, after the layer's last entry", offset=walker.offset))
    index.tar_size = walker.offset


def content_digest(pieces: list[tuple[int, int]] | None, chunks: Iterator[bytes]) -> bytes:
    """sha256 of a file's content. A sparse file's counts its map and its data, not its holes."""
    hasher = hashlib.sha256()
    if pieces is not None:
        hasher.update(repr(pieces).encode())
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digest()


def is_header(block: bytes) -> bool:
    """Whether a tar can begin with these bytes: a header whose checksum fits, or zeros."""
    return len(block) >= BLOCK and (checksum_fits(block[:BLOCK]) or block[:BLOCK] == _ZEROS)


def normalise(name: bytes) -> bytes | None:
    """A tar name as a path below the root: no `.`, `..`, doubled or closing slashes.

    The root is the empty path. None where the name leaves the root: engines refuse such a layer.
    """
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


class _Extended:
    """What extended headers say of the entry that follows them."""

    def __init__(self) -> None:
        self.name = b""
        self.link = b""
        self.records: dict[bytes, bytes] = {}
        self.broken = False


_NOTHING = _Extended()


class _Walker:
    def __init__(self, tape: Tape, index: LayerIndex, job: Job | None, files: bool) -> None:
        self.tape = tape
        self.index = index
        self.job = job
        self.files = files
        self.offset = 0  # of the header in hand
        # the last file that has content: its entry, the offset of its header, the bytes stored of it
        self.file, self.header, self.stored = -1, -1, 0
        self.folders: dict[bytes, int] = {}  # directories as names spell them → number in the index
        self.failure: DamagedError | None = None  # met by who reads a content
        self.metadata = 0  # bytes of extended headers that were kept

    def problem(self, message: str) -> None:
        problems = self.index.problems
        if len(problems) < PROBLEM_LIMIT:
            problems.append(Problem(message, offset=self.offset))
        elif len(problems) == PROBLEM_LIMIT:
            problems.append(Problem("there are more problems than these", offset=self.offset))

    def walk(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Add all entries; gives the files that have content, where they are asked for."""
        tape, files, folders, index = self.tape, self.files, self.folders, self.index
        unpack = _HEADER.unpack_from
        # Nearly all entries are files, directories and symlinks with a plain header: what `entry` comes
        # to for these, in short, and what `LayerIndex.append` does.
        sizes, owners, times, checksums, common = SIZES, OWNERS, TIMES, CHECKSUMS, _COMMON
        kinds, links = index.kinds, index.links
        add_parent, add_name, add_kind = index.parents.append, index.names.append, kinds.append
        add_size, add_mode, add_uid = index.sizes.append, index.modes.append, index.uids.append
        add_gid, add_time, add_offset = index.gids.append, index.mtimes.append, index.offsets.append
        window, base, end, offset = b"", 0, 0, 0
        file, start, stored = -1, -1, 0  # the last file that came the short way
        extended = _NOTHING
        while True:
            at = offset - base
            if at + BLOCK > end:
                self.at(offset, file, start, stored)
                if self.job is not None:
                    self.job.check()
                window, base, at = tape.window(offset), offset, 0
                end = len(window)
                if not end:
                    self.problem("the layer has no end mark; what comes after may be missing")
                    return
                if end < BLOCK:
                    raise DamagedError("the layer ends within a header")
                if len(kinds) > ENTRY_LIMIT:
                    raise DamagedError(f"the layer has more than {ENTRY_LIMIT} entries")
            header = window[at : at + BLOCK]
            path, owner, count, time, checksum, typeflag = unpack(header)
            kind = common.get(typeflag, -1)
            size = sizes[count]
            if (
                kind >= 0
                and size >= 0
                and extended is _NOTHING
                and adler32(header) & 0xFFFF == checksums[checksum]
            ):
                path = path.partition(b"\0")[0]
                if header[345] and header[257:263] == b"ustar\0":
                    path = header[345:500].partition(b"\0")[0] + b"/" + path
                if kind == _DIRECTORY:
                    path = path.rstrip(b"/")
                parent, _, name = path.rpartition(b"/")
                who, when = owners[owner], times[time]
                if name and name[0] != _DOT and who is not None and when is not None:
                    folder = folders.get(parent)
                    if folder is None:
                        folder = self.folder(parent)
                    if folder >= 0:
                        mode, uid, gid = who
                        data = offset + BLOCK
                        add_parent(folder)
                        add_name(name)
                        add_kind(kind)
                        add_mode(mode)
                        add_uid(uid)
                        add_gid(gid)
                        add_time(when)
                        if kind != _FILE:
                            add_size(0)
                            add_offset(-1)
                            if kind == _SYMLINK:
                                links[len(kinds) - 1] = header[157:257].partition(b"\0")[0]
                        else:
                            add_size(size)
                            add_offset(data)
                            if size:
                                file, start, stored = len(kinds) - 1, offset, size
                                if files:
                                    self.at(offset, file, start, stored)
                                    yield file, self.content()
                                    self.check()
                                data += size + 511 & ~511
                        offset = data
                        continue

            self.at(offset, file, start, stored)
            if not checksum_fits(header):
                if header == _ZEROS:
                    self.end()
                    return
                raise DamagedError("a header has a bad checksum")
            if size < 0:
                raise DamagedError("a header has a size that is no number of bytes")
            if typeflag in _EXTENSIONS:
                extended = self.extend(extended, typeflag, size, window[at + BLOCK : at + BLOCK + size])
                offset += BLOCK + (size + 511 & ~511)
            else:
                following = self.entry(header, size, extended)
                extended = _NOTHING
                if files and self.header == offset:
                    yield self.file, self.content()
                    self.check()
                offset = following

    def at(self, offset: int, file: int, start: int, stored: int) -> None:
        """Note how far the short way came: the header in hand, and the last file of content."""
        self.offset = offset
        if start > self.header:
            self.file, self.header, self.stored = file, start, stored

    def folder(self, parent: bytes) -> int:
        """The number of a directory as names spell it; -1 where its entries need a closer look."""
        clean = normalise(parent)
        if clean is None or clean.startswith(_META):
            return -1
        folder = self.folders[parent] = self.index.folder(clean)
        return folder

    def end(self) -> None:
        """One block of zeros was read; a second one makes the end mark."""
        second = self.tape.window(self.offset + BLOCK)[:BLOCK]
        if second.strip(b"\0"):
            self.problem("a lone block of zeros ends the layer, but more follows it")

    def content(self) -> Iterator[bytes]:
        """The bytes of the last file; they just end where the tape does, and `check` tells."""
        try:
            yield from self.tape.chunks(self.index.offsets[self.file], self.stored)
        except DamagedError as error:
            self.failure = error

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def damaged(self, error: DamagedError) -> None:
        """Note the damage; the last file has no more bytes than there are."""
        index, length, offset, message = self.index, self.tape.length, self.offset, str(error)
        if length is not None:
            offset = min(offset, length)
            there = max(length - index.offsets[self.file], 0) if self.stored else 0
            if there < self.stored:
                offset = self.header
                message += f": a file claims {self.stored} bytes of content and {there} are there"
                self.cut(self.file, there)
        self.offset = offset
        self.problem(f"{message}; what comes after is missing")

    def cut(self, entry: int, there: int) -> None:
        sizes, sparse = self.index.sizes, self.index.sparse
        if entry not in sparse:
            sizes[entry] = there
            return
        pieces = []
        for offset, length in sparse[entry]:
            if there > 0:
                pieces.append((offset, min(length, there)))
            there -= length
        sparse[entry] = pieces
        sizes[entry] = sum(pieces[-1]) if pieces else 0

    def extend(self, extended: _Extended, typeflag: bytes, size: int, data: bytes) -> _Extended:
        """Add what a pax header (x) or a GNU long name (L) or link (K) says; `data` is what is at hand."""
        if typeflag == b"g":
            return _NOTHING
        if extended is _NOTHING:
            extended = _Extended()
        if size > PAX_LIMIT:
            self.problem(f"an extended header of {size} bytes passes the limit of {PAX_LIMIT}")
            extended.broken = True
            return extended
        self.metadata += size
        if self.metadata > METADATA_LIMIT:
            raise DamagedError(f"the layer has more than {METADATA_LIMIT} bytes of extended headers")
        if len(data) < size:
            data = b"".join(self.tape.chunks(self.offset + BLOCK, size))
        if typeflag == b"L":
            extended.name = until_zero(data)
        elif typeflag == b"K":
            extended.link = until_zero(data)
        else:
            try:
                extended.records = read_records(data)
            except ValueError:
                self.problem("a pax header is malformed")
                extended.broken = True
        return extended

    def entry(self, header: bytes, size: int, extended: _Extended) -> int:
        """Add the entry of a header, whatever it is; gives the offset of the next header."""
        index = self.index
        raw, owner, _, time, _, typeflag = _HEADER.unpack_from(header)
        who, when = OWNERS[owner], TIMES[time]
        if who is None or when is None:
            self.problem("a header has a mode, owner or time that is no number; 0 is taken")
        mode, uid, gid = who or (0, 0, 0)
        mtime = when or 0.0
        kind = _KINDS.get(typeflag)
        path, link = until_zero(raw), until_zero(header[157:257])
        if header[345] and header[257:263] == b"ustar\0":
            path = until_zero(header[345:500]) + b"/" + path
        after = data = self.offset + BLOCK
        real = size
        pieces: list[tuple[int, int]] | None = None
        xattrs: list[tuple[bytes, bytes]] = []
        if extended is not _NOTHING:
            records = extended.records
            try:
                path = extended.name or records.get(b"path") or path
                link = extended.link or records.get(b"linkpath") or link
                real = size = integer_record(records, b"size", size)
                uid = integer_record(records, b"uid", uid)
                gid = integer_record(records, b"gid", gid)
                mtime = decimal_record(records, b"mtime", mtime)
                if size < 0:
                    raise ValueError
                xattrs = [(key[len(_XATTR) :], records[key]) for key in records if key.startswith(_XATTR)]
                if (
                    kind is Kind.FILE
                    and typeflag != b"S"
                    and (version := sparse_version(records)) is not None
                ):
                    path = records.get(b"GNU.sparse.name") or path
                    real = integer_record(records, b"GNU.sparse.realsize", size)
                    real = integer_record(records, b"GNU.sparse.size", real)
                    pieces, data = self.pax_sparse(records, version, data, size)
            except ValueError:
                raise DamagedError("a pax header has a value that makes no sense") from None
        if typeflag == b"S":
            real, pieces, after = self.gnu_sparse(header)
            data = after
        if kind is Kind.FILE:
            if typeflag == b"\0" and path.endswith(b"/"):  # before POSIX, that was how to say directory
                kind, size, real = Kind.DIRECTORY, 0, 0
        elif kind is not None:
            size = real = 0
        following = after + (size + 511 & ~511)
        stored = size - (data - after)
        if pieces is not None:
            pieces = checked_pieces(pieces, real, stored)

        clean = normalise(path)
        refused = ""
        if kind is None:
            refused = f"an entry is of the unknown type {typeflag!r}"
        elif extended.broken:
            refused = "an entry has an extended header that cannot be used"
        elif max(len(path), len(link)) > NAME_LIMIT:
            refused = f"a name of {max(len(path), len(link))} bytes passes the limit of {NAME_LIMIT}"
        elif clean is None:
            refused = "a name leaves the root of the image"
        elif b"\0" in clean:
            refused = "a name has a zero byte"
        elif not clean and kind is not Kind.DIRECTORY:
            refused = "an entry would replace the root of the image by something that is no directory"
        elif clean.rpartition(b"/")[2] in _NAMELESS:
            refused = "a whiteout names nothing that it could hide"
        if refused or clean is None or kind is None:
            self.problem(f"{refused}; engines refuse such a layer; the entry is left out")
            index.skipped += 1
            return following

        parent, _, name = clean.rpartition(b"/")
        folder = index.folder(parent)
        if name.startswith(_WHITEOUT) or clean.startswith(_META):
            self.marker(folder, name, clean, mode, uid, gid, mtime)
            return following
        device: tuple[int, int] | None = None
        if kind is Kind.CHAR_DEVICE or kind is Kind.BLOCK_DEVICE:
            try:
                device = read_number(header[329:337]), read_number(header[337:345])
            except ValueError:
                self.problem("a device has numbers that are none; 0:0 is taken")
                device = 0, 0
            if kind is Kind.CHAR_DEVICE and device == (0, 0):  # overlay's own whiteout
                index.whiteouts.append(
                    index.append(folder, name, Kind.WHITEOUT, 0, mode, uid, gid, mtime, -1)
                )
                return following
        offset = data if kind is Kind.FILE else -1
        entry = index.append(folder, name, kind, real, mode, uid, gid, mtime, offset)
        if kind is Kind.HARDLINK:
            target = normalise(link)
            index.links[entry] = link if target is None else target
        elif kind is Kind.SYMLINK:
            index.links[entry] = link
        if device is not None:
            index.devices[entry] = device
        if pieces is not None:
            index.sparse[entry] = pieces
        if xattrs:
            xattrs.sort()
            index.xattrs[entry] = tuple(xattrs)
            if kind is Kind.DIRECTORY and (b"trusted.overlay.opaque", b"y") in xattrs:
                index.opaques.append(entry)
        if kind is Kind.FILE and stored:
            self.file, self.header, self.stored = entry, self.offset, stored
        return following

    def marker(
        self, folder: int, name: bytes, path: bytes, mode: int, uid: int, gid: int, mtime: float
    ) -> None:
        """Add a whiteout or an opaque marker; see the OCI image specification, `layer.md`."""
        index = self.index
        if name == _OPAQUE:
            index.opaques.append(index.add(index.dirs[folder], Kind.OPAQUE, 0, mode, uid, gid, mtime))
        elif name.startswith(_META) or path.startswith(_META):
            index.append(folder, name, Kind.IGNORED, 0, mode, uid, gid, mtime, -1)
        else:
            hidden = name[len(_WHITEOUT) :]
            entry = index.append(folder, hidden, Kind.WHITEOUT, 0, mode, uid, gid, mtime, -1)
            index.whiteouts.append(entry)

    def gnu_sparse(self, header: bytes) -> tuple[int, list[tuple[int, int]], int]:
        """GNU's old sparse header: (size with holes, pieces, offset where the data starts)."""
        pieces: list[tuple[int, int]] = []
        after = self.offset + BLOCK
        try:
            real = read_number(header[483:495])
            table, more = header[386:482], header[482] == 1
            while True:
                for at in range(0, len(table), 24):
                    if not table[at]:
                        break
                    pieces.append((read_number(table[at : at + 12]), read_number(table[at + 12 : at + 24])))
                if not more:
                    return real, pieces, after
                if len(pieces) > SPARSE_LIMIT:
                    raise DamagedError(f"a sparse file has more than {SPARSE_LIMIT} pieces")
                block = b"".join(self.tape.chunks(after, BLOCK))
                after += BLOCK
                table, more = block[:504], block[504] == 1
        except ValueError:
            raise DamagedError("a sparse file has a map that is no numbers") from None

    def pax_sparse(
        self, records: dict[bytes, bytes], version: int, data: int, size: int
    ) -> tuple[list[tuple[int, int]], int]:
        """GNU's sparse files in pax headers: (pieces, offset where the data starts); raises ValueError."""
        flat: list[int] = []
        if version == 0:
            if text := records.get(SPARSE + b"map"):
                flat = [read_digits(number) for number in text.split(b",")]
        else:  # before the data: how many pieces, then two numbers for each, on lines of their own
            end, wanted, rest = data + size, 1, b""
            while len(flat) < wanted:
                if data >= end or len(rest) > 20 or wanted > 2 * SPARSE_LIMIT:
                    raise DamagedError("a sparse file has a map that does not end")
                *lines, rest = (rest + b"".join(self.tape.chunks(data, BLOCK))).split(b"\n")
                data += BLOCK
                for line in lines:
                    flat.append(read_digits(line))
                    if len(flat) == 1:
                        wanted += 2 * flat[0]
                    if len(flat) == wanted:
                        break
            del flat[0]
        return list(zip(flat[::2], flat[1::2], strict=True)), data
