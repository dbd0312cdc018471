"""The tar walker against the file system, GNU tar, bsdtar and Python's tarfile, and against damage."""

from __future__ import annotations

import hashlib
import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.errors import CancelledError
from imgscope.job import Job
from imgscope.layers import stream, tar
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.stream import BLOCK, FileTape, StreamTape
from imgscope.layers.tar import index_tar, is_header, normalise, walk_tar
from tests.support.needs import find_tool, missing, require_tool

END = bytes(2 * BLOCK)
KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.CHAR_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


# -- helpers ------------------------------------------------------------------------------------------


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def from_stream(data: bytes, chunk: int = 1 << 16, *, digest: bool = False) -> LayerIndex:
    return index_tar(StreamTape(pieces(data, chunk)), digest=digest)


@contextmanager
def file_tape(data: bytes) -> Iterator[FileTape]:
    """The data in the middle of a file, as a layer lies in an archive."""
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + data + b"after" * 1000)
        file.flush()
        yield FileTape(file.fileno(), 6, len(data))


def from_file(data: bytes, *, digest: bool = False) -> LayerIndex:
    with file_tape(data) as tape:
        return index_tar(tape, digest=digest)


def columns(index: LayerIndex) -> dict[str, Any]:
    return {name: getattr(index, name) for name in LayerIndex.__slots__}


def both(data: bytes) -> LayerIndex:
    """The index, after it came out the same by jumping, by streaming and by reading every content."""
    index = from_file(data)
    assert columns(from_stream(data)) == columns(index)
    assert columns(from_stream(data, 511)) == columns(index)
    read, streamed = from_file(data, digest=True), from_stream(data, 1000, digest=True)
    assert columns(read) == columns(streamed)
    assert columns(index) == {**columns(read), "digests": {}}
    return index


def sound(data: bytes) -> LayerIndex:
    index = both(data)
    assert index.problems == []
    return index


def paths(index: LayerIndex) -> list[bytes]:
    return [index.path(entry) for entry in range(len(index))]


def content(data: bytes, index: LayerIndex, entry: int) -> bytes:
    """A file as a program would read it, put together from its extent."""
    found = bytearray(index.sizes[entry])
    start, stored = index.extent(entry)
    pieces = index.sparse.get(entry)
    if pieces is None:
        return data[start : start + stored]
    for offset, length in pieces:
        found[offset : offset + length] = data[start : start + length]
        start += length
    return bytes(found)


def header(
    name: bytes = b"file",
    size: int | bytes = 0,
    typeflag: bytes = b"0",
    *,
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    gid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    rest: bytes = b"",
    signed: bool = False,
) -> bytes:
    """One header, field by field, as no writer would let us."""
    if isinstance(size, int):
        size = b"%011o\0" % size
    block = name.ljust(100, b"\0") + mode + uid + gid + size + mtime + b" " * 8 + typeflag
    block += link.ljust(100, b"\0") + magic
    block = (block + rest).ljust(BLOCK, b"\0")
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    return block[:148] + b"%06o\0 " % total + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes, data: bytes = b"", typeflag: bytes = b"0", **fields: Any) -> bytes:
    return header(name, len(data), typeflag, **fields) + padded(data)


def record(key: str | bytes, value: str | bytes) -> bytes:
    """One pax record: its length counts itself."""
    key, value = (text.encode() if isinstance(text, str) else text for text in (key, value))
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[str | bytes, str | bytes], typeflag: bytes = b"x") -> bytes:
    return member(b"PaxHeaders/x", b"".join(record(*pair) for pair in records), typeflag)


def base256(value: int, width: int) -> bytes:
    field = bytearray(value.to_bytes(width, "big", signed=True))
    field[0] |= 0x80
    return bytes(field)


# -- against GNU tar and the file system --------------------------------------------------------------

FORMATS = [("GNU tar", form) for form in ("v7", "oldgnu", "gnu", "ustar", "posix")]
if find_tool("bsdtar"):
    FORMATS += [("bsdtar", form) for form in ("gnutar", "ustar", "pax")]


def gnu_tar() -> str:
    """GNU tar, which is not what `tar` is everywhere."""
    for name in ("gtar", "tar"):
        path = find_tool(name)
        if path and b"GNU tar" in subprocess.run([path, "--version"], capture_output=True).stdout:
            return path
    return missing("GNU tar is not installed")


def plant(root: Path, *, short: bool, special: bool) -> None:
    """A tree with all that a layer may hold. `short`: only names that V7 headers have room for."""
    root.mkdir()
    raw = os.fsencode(root)
    deep = root / "usr" / ("d" * (10 if short else 90)) / ("e" * (10 if short else 90))
    deep.mkdir(parents=True)
    (deep / ("f" * (20 if short else 200))).write_bytes(b"deep" * 1000)
    (root / "empty").touch()
    (root / "block").write_bytes(b"b" * BLOCK)
    (root / "block+1").write_bytes(b"b" * (BLOCK + 1))
    (root / "new\nline \\ and space").write_bytes(b"odd")
    with open(raw + b"/not-utf-8-\xff\xfe", "wb") as file:
        file.write(b"raw")
    (root / "setuid").write_bytes(b"#!")
    (root / "setuid").chmod(0o4755)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    (root / "link").symlink_to("usr/" + "t" * (50 if short else 150))
    os.symlink(b"\xff", raw + b"/raw-link")
    os.link(root / "block", root / "hard")
    os.utime(root / "block", (10**9, 10**9))
    if special:
        os.mkfifo(root / "fifo", 0o600)
    if special and os.geteuid() == 0:
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
        os.chown(root / "setuid", 1234, 4321)
        if not short:
            os.chown(root / "empty", 3_000_000_000, 3_000_000_001)  # octal has no room for it


def kind_of(mode: int) -> Kind:
    for test, kind in (
        (stat.S_ISREG, Kind.FILE),
        (stat.S_ISDIR, Kind.DIRECTORY),
        (stat.S_ISLNK, Kind.SYMLINK),
        (stat.S_ISCHR, Kind.CHAR_DEVICE),
        (stat.S_ISBLK, Kind.BLOCK_DEVICE),
        (stat.S_ISFIFO, Kind.FIFO),
    ):
        if test(mode):
            return kind
    raise AssertionError(mode)


@pytest.mark.parametrize(("program", "form"), FORMATS)
def test_what_tar_packs_is_what_lay_on_disk(tmp_path: Path, program: str, form: str) -> None:
    root = tmp_path / "root"
    plant(root, short=form in ("v7", "ustar"), special=form != "v7")
    if form in ("v7", "ustar") and (root / "disk").exists():
        (root / "disk").unlink()  # no room for its numbers
    data = subprocess.run(
        [
            gnu_tar() if program == "GNU tar" else require_tool(program),
            "--numeric-owner",
            f"--format={form}",
            "-C",
            root,
            "-cf",
            "-",
            ".",
        ],
        capture_output=True,
        check=True,
    ).stdout
    index = sound(data)
    found = dict(zip(paths(index), index, strict=True))
    expected = {b""} | {
        os.path.relpath(os.path.join(folder, name), os.fsencode(root))
        for folder, folders, files in os.walk(os.fsencode(root))
        for name in folders + files
    }
    assert found.keys() == expected
    for path, entry in found.items():
        real = os.path.join(os.fsencode(root), path) if path else os.fsencode(root)
        info = os.lstat(real)
        assert (entry.uid, entry.gid) == (info.st_uid, info.st_gid), path
        assert abs(entry.mtime - info.st_mtime) < (1e-6 if form in ("posix", "pax") else 1.0), path
        if entry.kind is Kind.HARDLINK:
            assert os.path.samefile(os.path.join(os.fsencode(root), entry.link), real)
            assert entry.size == 0
            continue
        assert entry.kind is kind_of(info.st_mode), path
        if entry.kind is Kind.SYMLINK:
            assert entry.link == os.readlink(real)
            continue
        assert entry.mode == stat.S_IMODE(info.st_mode), path
        if entry.kind in (Kind.CHAR_DEVICE, Kind.BLOCK_DEVICE):
            assert entry.device == (os.major(info.st_rdev), os.minor(info.st_rdev))
        if entry.kind is Kind.FILE:
            with open(real, "rb") as file:
                assert content(data, index, paths(index).index(path)) == file.read(), path
    assert {b"block", b"hard"} & {path for path, entry in found.items() if entry.kind is Kind.HARDLINK}


SHAPES = {
    "hole first": ([(1 << 20, b"end")], (1 << 20) + 3),
    "hole last": ([(0, b"start")], 1 << 20),
    "a hole only": ([], 1 << 20),
    "five pieces": ([(at << 18, b"%d" % at * 100) for at in range(5)], 5 << 18),
    "a hundred pieces": ([(at << 16, b"%d" % at * 50) for at in range(100)], 101 << 16),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["oldgnu", "gnu", "posix 0.0", "posix 0.1", "posix 1.0"])
def test_sparse_files(tmp_path: Path, form: str, shape: str) -> None:
    parts, size = SHAPES[shape]
    with open(tmp_path / "a-sparse", "wb") as file:
        for offset, text in parts:
            file.seek(offset)
            file.write(text)
        file.truncate(size)
    (tmp_path / "b-after").write_bytes(b"after")
    form, _, version = form.partition(" ")
    options = [f"--sparse-version={version}"] if version else []
    data = subprocess.run(
        [
            gnu_tar(),
            "--sparse",
            f"--format={form}",
            *options,
            "-C",
            tmp_path,
            "-cf",
            "-",
            "a-sparse",
            "b-after",
        ],
        capture_output=True,
        check=True,
    ).stdout
    assert len(data) < 1 << 20  # the holes are not in it
    index = sound(data)
    assert paths(index) == [b"a-sparse", b"b-after"]
    assert index.sizes[0] == size
    assert content(data, index, 0) == (tmp_path / "a-sparse").read_bytes()
    assert content(data, index, 1) == b"after"
    # what it is compared by: where its data lies, and the data
    start, length = index.extent(0)
    stored = data[start : start + length]
    expected = hashlib.sha256(repr(index.sparse[0]).encode() + stored).digest()
    assert from_stream(data, digest=True).digests.get(0, expected) == expected


def test_a_name_of_a_sparse_file_that_needs_an_extended_header(tmp_path: Path) -> None:
    name = "n" * 200
    with open(tmp_path / name, "wb") as file:
        file.seek(1 << 20)
        file.write(b"x")
    for options in (["gnu"], ["posix", "--sparse-version=0.0"], ["posix", "--sparse-version=1.0"]):
        data = subprocess.run(
            [gnu_tar(), "--sparse", f"--format={options[0]}", *options[1:], "-C", tmp_path, "-cf", "-", name],
            capture_output=True,
            check=True,
        ).stdout
        index = sound(data)
        assert paths(index) == [name.encode()]
        assert list(index.sizes) == [(1 << 20) + 1]


# -- against Python's tarfile -------------------------------------------------------------------------

# Not 99 before the slash: where a long name stands apart, Python asks the hundred bytes in the header
# whether they end as an old directory's name does, Go (and we) the whole name.
NAMES = st.text("ab./é\udcff ", min_size=1, max_size=12).filter(
    lambda name: normalise(os.fsencode(name)) and "//" not in name
) | st.integers(30, 150).filter(lambda half: half != 99).map(lambda half: "n" * half + "/" + "m" * half)


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(NAMES))
    info.type = draw(st.sampled_from(list(KINDS)))
    old_folder = info.type == tarfile.AREGTYPE and info.name.endswith("/")
    data = draw(st.binary(max_size=1500)) if KINDS[info.type] is Kind.FILE and not old_folder else b""
    info.size = len(data)
    info.mode = draw(st.integers(0, 0o7777))
    info.uid = draw(st.sampled_from([0, 1000, 0o7777777, 1 << 31]))
    info.gid = draw(st.sampled_from([0, 50, 1 << 30]))
    info.mtime = draw(st.sampled_from([0, 10**9, 0o77777777777, 1 << 35, -1, 1.25, 1_700_000_000.123]))
    info.linkname = draw(NAMES) if KINDS[info.type] in (Kind.SYMLINK, Kind.HARDLINK) else ""
    info.devmajor, info.devminor = draw(st.tuples(st.integers(0, 4095), st.integers(1, 0o7777777)))
    return info, data


@given(
    st.lists(members(), max_size=8),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 3000),
)
@settings(max_examples=300)
def test_random_tars_read_as_python_reads_them(
    drawn: list[tuple[tarfile.TarInfo, bytes]], form: int, chunk: int
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8") as archive:
        for info, data in drawn:
            try:
                archive.addfile(info, io.BytesIO(data))
            except ValueError:
                assert form == tarfile.USTAR_FORMAT  # it has no room for such names and numbers
    data = buffer.getvalue()
    index = sound(data)
    assert columns(from_stream(data, chunk)) == columns(index)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as archive:
        expected = archive.getmembers()
        contents = [archive.extractfile(member) if member.isfile() else None for member in expected]
        assert len(index) == len(expected)
        for number, (mine, theirs) in enumerate(zip(index, expected, strict=True)):
            assert mine.path == normalise(os.fsencode(theirs.name))
            assert mine.kind is KINDS[theirs.type]
            assert (mine.size, mine.mode, mine.uid, mine.gid) == (
                theirs.size,
                theirs.mode,
                theirs.uid,
                theirs.gid,
            )
            assert mine.mtime == pytest.approx(theirs.mtime, abs=1e-5)
            if mine.kind is Kind.SYMLINK:
                assert mine.link == os.fsencode(theirs.linkname)
            if mine.kind is Kind.HARDLINK:
                assert mine.link == normalise(os.fsencode(theirs.linkname))
            if mine.kind in (Kind.CHAR_DEVICE, Kind.BLOCK_DEVICE):
                assert mine.device == (theirs.devmajor, theirs.devminor)
            file = contents[number]
            if file:
                assert content(data, index, number) == file.read()
    digests = from_stream(data, chunk, digest=True).digests
    assert digests == {
        number: hashlib.sha256(content(data, index, number)).digest()
        for number in range(len(index))
        if index.kinds[number] == Kind.FILE and index.sizes[number]
    }


def test_every_kind_that_tarfile_writes_is_drawn() -> None:
    """The generator above is worth something only if each format takes most of what it draws."""
    chosen = random.Random(1)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for kind in KINDS:
            info = tarfile.TarInfo(f"{chosen.random()}é" * 20)
            info.type, info.linkname, info.devminor = kind, "target" * 30, 1
            archive.addfile(info)
    assert [Kind(kind) for kind in sound(buffer.getvalue()).kinds] == list(KINDS.values())


# -- header by header ---------------------------------------------------------------------------------


def test_names() -> None:
    for name, path in {
        b"a": b"a",
        b"./a": b"a",
        b"/a": b"a",
        b".//a/./b//c/": b"a/b/c",
        b"a/../b": b"b",
        b"/../a": b"a",
        b"./": b"",
        b"/": b"",
        b".hidden": b".hidden",
        b"...": b"...",
        b"a/..b": b"a/..b",
    }.items():
        assert normalise(name) == path
    for name in (b"..", b"../a", b"a/../../b", b"./../a", b".//../a"):
        assert normalise(name) is None


def test_every_spelling_of_a_folder_is_one_folder() -> None:
    spelled = [b"usr/bin/", b"usr/bin/a", b"./usr/bin/b", b"/usr/bin/c", b"usr//bin/d", b"usr/lib/../bin/e"]
    index = sound(b"".join(member(name, b"", b"5" if name[-1:] == b"/" else b"0") for name in spelled) + END)
    assert paths(index) == [b"usr/bin", *(b"usr/bin/" + bytes([letter]) for letter in b"abcde")]
    assert len(set(index.dirs)) == len(index.dirs)


@pytest.mark.parametrize("name", [b"../out", b"a/../../out", b".."])
def test_a_name_that_leaves_the_root_is_left_out_and_told(name: bytes) -> None:
    index = both(member(b"before", b"1") + member(name, b"secret" * 200) + member(b"after", b"2") + END)
    assert paths(index) == [b"before", b"after"]
    assert list(index.sizes) == [1, 1]
    assert index.entries == 3
    [problem] = index.problems
    assert "leaves the root" in problem.message
    assert problem.offset == 2 * BLOCK


@pytest.mark.parametrize("typeflag", [b"0", b"2", b"6"])
def test_the_root_is_a_directory(typeflag: bytes) -> None:
    data = member(b"first", b"1") + member(b"./", b"" if typeflag != b"0" else b"x", typeflag)
    index = both(data + member(b"last", b"22") + END)
    assert paths(index) == [b"first", b"last"]
    assert list(index.sizes) == [1, 2]
    assert "root of the image" in index.problems[0].message
    assert paths(both(member(b"./", b"x") + END)) == []
    assert paths(sound(member(b"./", b"", b"5") + END)) == [b""]


def test_the_prefix_of_ustar_and_only_of_ustar() -> None:
    prefix = bytes(80) + b"some/prefix".ljust(155, b"\0")
    assert paths(sound(header(b"name", rest=prefix) + END)) == [b"some/prefix/name"]
    # where ustar has the prefix, GNU has atime and ctime
    assert paths(sound(header(b"name", magic=b"ustar  \0", rest=prefix) + END)) == [b"name"]
    full = header(b"n" * 100, rest=bytes(80) + b"p" * 155)
    assert paths(sound(full + END)) == [b"p" * 155 + b"/" + b"n" * 100]


def test_v7_has_directories_by_their_slash() -> None:
    old: dict[str, Any] = {"typeflag": b"\0", "magic": bytes(8)}
    index = sound(member(b"dir/", **old) + member(b"dir/file", b"text", **old) + END)
    assert [Kind(kind) for kind in index.kinds] == [Kind.DIRECTORY, Kind.FILE]
    assert paths(index) == [b"dir", b"dir/file"]
    # a directory has no content, whatever its size says (Go's archive/tar)
    index = sound(header(b"dir/", 1234, **old) + member(b"next", b"text") + END)
    assert paths(index) == [b"dir", b"next"]
    # a header that says file means it
    index = sound(member(b"file/", b"text") + END)
    assert [Kind(kind) for kind in index.kinds] == [Kind.FILE]


@pytest.mark.parametrize("typeflag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_only_files_have_content(typeflag: bytes) -> None:
    """Some writers repeat the file's size in the header of a hardlink; Go jumps over none of it."""
    linked = header(b"name", 5000, typeflag, link=b"./file", rest=bytes(64) + b"0000001\0" * 2)
    index = sound(member(b"file", b"x" * 5000) + linked + member(b"last", b"y") + END)
    assert paths(index) == [b"file", b"name", b"last"]
    assert list(index.sizes) == [5000, 0, 1]
    if typeflag == b"1":
        assert index.links[1] == b"file"


def test_numbers_in_base_256() -> None:
    index = sound(
        header(
            b"file",
            base256(0, 12),
            uid=base256(5_000_000_000, 8),
            gid=base256(-2, 8),
            mtime=base256(-86400, 12),
            mode=base256(0o640, 8),
        )
        + END
    )
    [entry] = index
    assert (entry.uid, entry.gid, entry.mtime, entry.mode) == (5_000_000_000, -2, -86400.0, 0o640)


def test_numbers_that_are_padded_in_every_old_way() -> None:
    for field in (b"  1750 \0", b"0001750\0", b"1750\0\0\0\0", b"   1750\0", b"00001750"):
        [entry] = sound(header(b"file", uid=field) + END)
        assert entry.uid == 1000
    [entry] = sound(header(b"file", uid=bytes(8), mode=b" " * 8) + END)
    assert (entry.uid, entry.mode) == (0, 0)


def test_a_checksum_of_signed_bytes() -> None:
    data = header(b"caf\xe9", 4, signed=True) + padded(b"text") + header(b"caf\xe9") + END
    assert paths(sound(data)) == [b"caf\xe9", b"caf\xe9"]


@pytest.mark.parametrize(
    "fields", [{"uid": b"nobody\0\0"}, {"mtime": b"00000000009\0"}, {"mode": b"-644   \0"}]
)
def test_a_number_that_is_none_is_told_and_the_rest_kept(fields: dict[str, Any]) -> None:
    index = both(member(b"before", b"1") + member(b"odd", b"12", **fields) + END)
    assert paths(index) == [b"before", b"odd"]
    assert list(index.sizes) == [1, 2]
    assert [problem.offset for problem in index.problems] == [2 * BLOCK]


def test_pax_headers() -> None:
    name = b"dir/" + b"n" * 300 + b"\xff\n=\xc3\xa9"
    index = sound(
        pax(
            ("path", name),
            ("uid", "5000000000"),
            ("gid", "-5"),
            ("mtime", "1700000000.25"),
            ("SCHILY.xattr.user.b", b"\x00\xff=\n"),
            ("SCHILY.xattr.security.capability", b"\x01\x00\x00\x02"),
            ("comment", "of no use"),
        )
        + member(b"short", b"text")
        + member(b"plain", b"1")
        + END
    )
    first, second = index
    assert first.path == name
    assert (first.uid, first.gid, first.mtime, first.size) == (5_000_000_000, -5, 1700000000.25, 4)
    assert first.xattrs == ((b"security.capability", b"\x01\x00\x00\x02"), (b"user.b", b"\x00\xff=\n"))
    assert (second.path, second.uid, second.xattrs) == (b"plain", 0, ())


def test_pax_times() -> None:
    for text, seconds in {"0": 0.0, "-1.5": -1.5, "253402300800": 253402300800.0, "1.": 1.0}.items():
        [entry] = sound(pax(("mtime", text)) + header() + END)
        assert entry.mtime == seconds


def test_an_empty_pax_value_changes_nothing() -> None:
    """Go's archive/tar keeps what the plain header says."""
    index = sound(
        pax(("path", ""), ("size", ""), ("mtime", ""), ("uid", "")) + member(b"name", b"text") + END
    )
    assert (paths(index), list(index.sizes)) == ([b"name"], [4])


def test_a_pax_link() -> None:
    target = b"t" * 400
    index = sound(pax(("linkpath", b"/" + target)) + header(b"sym", typeflag=b"2", link=b"short") + END)
    assert index.links[0] == b"/" + target
    index = sound(pax(("linkpath", b"./" + target)) + header(b"hard", typeflag=b"1", link=b"short") + END)
    assert index.links[0] == target


def test_global_pax_headers_change_nothing() -> None:
    index = sound(pax(("path", "wrong"), ("uid", "7"), typeflag=b"g") + member(b"right", b"1") + END)
    assert [(entry.path, entry.uid) for entry in index] == [(b"right", 0)]
    assert index.entries == 1


def test_gnu_long_names_and_links() -> None:
    name, target = b"d/" + b"n" * 500, b"t" * 600
    for magic in (b"ustar  \0", b"ustar\x0000"):
        data = member(b"././@LongLink", target + b"\0", b"K", magic=magic)
        data += member(b"././@LongLink", name + b"\0", b"L", magic=magic)
        data += header(name[:100], typeflag=b"2", link=target[:100], magic=magic)
        index = sound(data + member(b"next") + END)
        assert paths(index) == [name, b"next"]
        assert index.links == {0: target}


def test_xattrs_of_overlayfs() -> None:
    opaque = pax(("SCHILY.xattr.trusted.overlay.opaque", "y"))
    index = sound(
        opaque
        + header(b"dir/", typeflag=b"5")
        + header(b"gone", typeflag=b"3", rest=bytes(64) + b"0000000\0" * 2)
        + opaque
        + header(b"file")
        + END
    )
    assert index.opaques == [0]
    assert index.whiteouts == [1]
    assert [Kind(kind) for kind in index.kinds] == [Kind.DIRECTORY, Kind.WHITEOUT, Kind.FILE]


def test_whiteouts() -> None:
    index = sound(
        member(b"./a/.wh.b", b"whiteouts may have content, too")
        + member(b".wh.c/", b"", b"5")
        + member(b"a/.wh..wh..opq")
        + member(b".wh..wh..opq")
        + member(b".wh..wh.plnk/1.2", b"linked")
        + member(b".wh..wh.plnk/3.4", b"linked, too")
        + member(b"a/.wh..wh.aufs")
        + member(b"a/.whole", b"1")
        + END
    )
    assert [(entry.path, entry.kind, entry.size) for entry in index] == [
        (b"a/b", Kind.WHITEOUT, 0),
        (b"c", Kind.WHITEOUT, 0),
        (b"a", Kind.OPAQUE, 0),
        (b"", Kind.OPAQUE, 0),
        (b".wh..wh.plnk/1.2", Kind.IGNORED, 0),
        (b".wh..wh.plnk/3.4", Kind.IGNORED, 0),
        (b"a/.wh..wh.aufs", Kind.IGNORED, 0),
        (b"a/.whole", Kind.FILE, 1),
    ]
    assert (index.whiteouts, index.opaques) == ([0, 1], [2, 3])


@pytest.mark.parametrize("name", [b".wh.", b"a/.wh..", b"a/.wh..."])
def test_a_whiteout_that_would_hide_what_is_above_it(name: bytes) -> None:
    index = both(member(name) + member(b"a/b", b"1") + END)
    assert paths(index) == [b"a/b"]
    assert "whiteout" in index.problems[0].message


def test_unknown_types_are_left_out_with_their_content() -> None:
    index = both(member(b"label", b"x" * 700, b"V") + member(b"file", b"1") + END)
    assert paths(index) == [b"file"]
    assert (index.entries, len(index.problems)) == (2, 1)
    assert "'V'" in index.problems[0].message


# -- large ones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["base-256", "pax"])
def test_content_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Fifty gigabytes, as a hole on disk: a few small reads find what comes after."""
    size = 50_000_000_000
    first = (
        header(b"huge", base256(size, 12))
        if how == "base-256"
        else pax(("size", str(size))) + header(b"huge")
    )
    path = tmp_path / "huge.tar"
    with path.open("wb") as written:
        written.write(first)
        written.seek(len(first) + size + -size % BLOCK)
        written.write(member(b"last", b"text") + END)
    read: list[int] = []

    def count(fd: int, size: int, offset: int) -> bytes:
        data = os.pread(fd, size, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(stream, "read_at", count)
    with path.open("rb") as file:
        index = index_tar(FileTape(file.fileno(), 0, path.stat().st_size))
    assert [(entry.path, entry.size) for entry in index] == [(b"huge", size), (b"last", 4)]
    assert index.problems == []
    assert sum(read) < 100_000


def test_job_is_asked_on_the_way() -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        index_tar(StreamTape([member(b"file") + END]), job)


# -- damage -------------------------------------------------------------------------------------------


def sample() -> bytes:
    """Plain, pax, GNU and sparse entries, with contents of one and of several blocks; no end mark."""
    sparse = (
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "s"),
        ("GNU.sparse.realsize", "2500"),
    )
    return b"".join(
        (
            member(b"dir/", b"", b"5"),
            member(b"dir/one", b"1" * 100),
            pax(("path", "p" * 150), ("SCHILY.xattr.user.x", "y")) + member(b"p", b"2" * 1300),
            member(b"././@LongLink", b"l" * 700, b"L") + member(b"l", b"3" * BLOCK),
            pax(*sparse) + member(b"GNUSparseFile.0/s", padded(b"2\n0\n600\n2000\n500\n") + b"4" * 1100),
            header(b"dir/hard", 100, b"1", link=b"dir/one"),
            member(b"last", b"5" * 3000),
        )
    )


def test_the_sample_is_sound() -> None:
    index = sound(sample() + END)
    assert paths(index) == [b"dir", b"dir/one", b"p" * 150, b"l" * 700, b"s", b"dir/hard", b"last"]
    assert list(index.sizes) == [0, 100, 1300, BLOCK, 2500, 0, 3000]
    assert content(sample(), index, 4) == b"4" * 600 + bytes(1400) + b"4" * 500


@pytest.mark.parametrize("into", [0, 1, 300, 511])
def test_cut_anywhere(into: int) -> None:
    whole, data = from_file(sample() + END), sample()
    starts = [whole.offsets[entry] for entry in range(len(whole))]
    for length in range(into, len(data) + 1, BLOCK):
        rest = data[:length]
        index = both(rest)
        [problem] = index.problems
        assert problem.layer is None
        assert problem.offset is not None
        assert 0 <= problem.offset <= length
        assert "missing" in problem.message
        kept = len(index)
        assert paths(index) == paths(whole)[:kept]
        assert kept >= sum(0 <= start <= length for start in starts)
        for entry in range(kept):
            if index.kinds[entry] == Kind.FILE:
                start, stored = index.extent(entry)
                assert not stored or start + stored <= length
                is_last = entry == kept - 1
                expected = content(data, whole, entry)
                assert content(rest, index, entry) == (
                    expected[: index.sizes[entry]] if is_last else expected
                )


def test_cut_in_the_end_mark() -> None:
    data = sample()
    assert "header" in both(data + END[:100]).problems[0].message
    for length in (BLOCK, BLOCK + 100, 2 * BLOCK, 20 * BLOCK):
        assert sound(data + bytes(length)).entries == 7


def test_a_cut_file_says_what_is_there() -> None:
    index = both(member(b"first", b"1") + header(b"second", 5000) + b"2" * 700)
    assert list(index.sizes) == [1, 700]
    [problem] = index.problems
    assert problem.offset == 2 * BLOCK
    assert "claims 5000 bytes" in problem.message
    assert "700 are there" in problem.message
    # a file before an empty last one is whole
    index = both(member(b"first", b"1" * 5000) + header(b"second") + b"x")
    assert list(index.sizes) == [5000, 0]


def test_a_bad_checksum_is_damage_and_not_the_end() -> None:
    data = member(b"first", b"1" * 600)
    broken = bytearray(member(b"second", b"2"))
    broken[3] ^= 1
    index = both(data + bytes(broken) + member(b"third") + END)
    assert paths(index) == [b"first"]
    assert [problem.offset for problem in index.problems] == [len(data)]
    assert "checksum" in index.problems[0].message


@pytest.mark.parametrize(
    "size",
    [
        b"0000000-012\0",
        b"00000000009\0",
        b"0x000000010\0",
        base256(-1, 12),
        base256(1 << 70, 12),
        b"1_0000000000",
    ],
)
def test_a_size_that_is_none(size: bytes) -> None:
    data = member(b"first", b"1")
    index = both(data + header(b"second", size) + member(b"third") + END)
    assert paths(index) == [b"first"]
    assert [problem.offset for problem in index.problems] == [len(data)]
    assert "size" in index.problems[0].message


@pytest.mark.parametrize(
    "size", [base256((1 << 63) - 1, 12), base256((1 << 63) - 1024, 12), b"77777777777\0", b"777777777777"]
)
def test_a_size_beyond_all_there_is(size: bytes) -> None:
    index = both(header(b"huge", size) + b"x" * 700)
    assert list(index.sizes) == [700]


@pytest.mark.parametrize("value", ["-1", "12x", "1e3", "9" * 19, "9" * 500, "\u0661"])
def test_a_pax_size_that_is_none(value: str) -> None:
    index = both(member(b"first", b"1") + pax(("size", value)) + member(b"second", b"2") + END)
    assert paths(index) == [b"first"]
    assert len(index.problems) == 1


@pytest.mark.parametrize("key", ["uid", "mtime", "GNU.sparse.realsize"])
def test_a_pax_number_that_is_none(key: str) -> None:
    records = (("GNU.sparse.major", "0"), ("GNU.sparse.minor", "1"), (key, "nan"))
    index = both(pax(*records) + member(b"file", b"2") + END)
    assert (len(index), len(index.problems)) == (0, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"no length",
        b"99 path=short\n",
        b"8 path=a\n",
        b"-9 path=a\n",
        b"5 a=\n5 b\n\n",
        b"9 path=a\n0 \n",
        b"123456789012 path=a\n",
        b"\xff",
    ],
)
def test_a_malformed_pax_header(text: bytes) -> None:
    """What the entry is really called is not known, so it is not shown as something else."""
    data = member(b"first", b"1")
    index = both(data + member(b"x", text, b"x") + member(b"wrong", b"2" * 700) + member(b"last", b"3") + END)
    assert paths(index) == [b"first", b"last"]
    assert index.entries == 3
    assert [problem.offset for problem in index.problems] == [len(data), len(data) + 2 * BLOCK]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    after = member(b"last", b"1") + END
    for typeflag in (b"x", b"L", b"K"):
        index = both(member(b"long", b"n" * (tar.PAX_LIMIT + 1), typeflag) + member(b"cut", b"2") + after)
        assert paths(index) == [b"last"]
        assert index.entries == 2
        assert str(tar.PAX_LIMIT) in index.problems[0].message
    long = b"n" * tar.NAME_LIMIT
    assert paths(sound(member(b"long", long, b"L") + member(b"cut", b"2") + after)) == [long, b"last"]
    index = both(member(b"long", long + b"n", b"L") + member(b"cut", b"2") + after)
    assert paths(index) == [b"last"]
    index = both(member(b"long", long + b"n", b"K") + header(b"sym", typeflag=b"2") + after)
    assert paths(index) == [b"last"]
    # a header that only claims to be long is not waited for
    assert both(header(b"long", tar.PAX_LIMIT, b"x") + b"x" * 600).problems


def test_limits_of_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bomb may make of a small archive."""
    monkeypatch.setattr(tar, "ENTRY_LIMIT", 1000)
    index = from_stream(member(b"file") * 5000 + END)
    assert 1000 < len(index) < 2000
    assert "more than 1000 entries" in index.problems[0].message
    monkeypatch.setattr(tar, "METADATA_LIMIT", 3000)
    index = both((member(b"long", b"n" * 900, b"L") + member(b"short")) * 5 + END)
    assert len(index) == 3
    assert "3000 bytes of extended headers" in index.problems[0].message
    monkeypatch.setattr(tar, "PROBLEM_LIMIT", 10)
    index = both(member(b"../out") * 50 + member(b"file") + END)
    assert (paths(index), index.entries, len(index.problems)) == ([b"file"], 51, 11)
    assert "more problems" in index.problems[-1].message


def test_a_zero_byte_in_a_name() -> None:
    index = both(pax(("path", b"a\0b")) + header(b"file") + END)
    assert len(index) == 0
    assert "zero byte" in index.problems[0].message


@pytest.mark.parametrize(
    ("records", "body"),
    [
        ((("GNU.sparse.map", "0,10,5,10"), ("GNU.sparse.size", "100")), b"x" * 20),  # they overlap
        ((("GNU.sparse.map", "50,10,5,10"), ("GNU.sparse.size", "100")), b"x" * 20),  # they go back
        ((("GNU.sparse.map", "95,10"), ("GNU.sparse.size", "100")), b"x" * 10),  # past the end
        ((("GNU.sparse.map", "0,10"), ("GNU.sparse.size", "100")), b"x" * 20),  # less than is stored
        ((("GNU.sparse.map", "0,30"), ("GNU.sparse.size", "100")), b"x" * 20),  # more
        ((("GNU.sparse.map", "0,10,20"), ("GNU.sparse.size", "100")), b"x" * 10),  # not in pairs
        ((("GNU.sparse.map", "0,-1"), ("GNU.sparse.size", "100")), b""),
        ((("GNU.sparse.map", "0," + "9" * 30), ("GNU.sparse.size", "100")), b""),
        ((("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), padded(b"9\n0\n1\n")),  # ends in its data
        ((("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), b"1" * 5000),  # no line at all
        ((("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), padded(b"99999999999\n")),
        ((("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), padded(b"x\n")),
    ],
)
def test_a_sparse_map_that_lies(records: tuple[tuple[str, str], ...], body: bytes) -> None:
    data = member(b"first", b"1")
    index = both(data + pax(*records) + member(b"sparse", body) + member(b"last", b"2") + END)
    assert paths(index) == [b"first"]
    [problem] = index.problems
    assert problem.offset == len(data) + 2 * BLOCK


def test_an_old_sparse_map_that_goes_on_for_ever() -> None:
    block = (b"%011o\0%011o\0" % (0, 0) * 21).ljust(504, b"\0") + b"\1" + bytes(7)
    rest = (bytes(121) + b"%011o\0%011o\0" % (0, 0) * 4 + b"\1" + b"%011o\0" % 10).ljust(247, b"\0")
    data = header(b"sparse", 0, b"S", rest=rest) + block * (tar.SPARSE_LIMIT // 21 + 1)
    index = from_file(data)
    assert len(index) == 0
    assert str(tar.SPARSE_LIMIT) in index.problems[0].message
    assert "early" in from_file(data[: 10 * BLOCK]).problems[0].message


def test_a_lone_block_of_zeros() -> None:
    first = member(b"first", b"1")
    index = both(first + bytes(BLOCK) + member(b"second", b"2") + END)
    assert paths(index) == [b"first"]
    assert index.problems == [
        Problem("a lone block of zeros ends the layer, but more follows it", offset=len(first))
    ]


def test_what_follows_the_end_mark_is_nothing() -> None:
    assert paths(sound(member(b"first", b"1") + END + os.urandom(2000) + member(b"second"))) == [b"first"]


def test_no_end_mark() -> None:
    data = member(b"first", b"1" * BLOCK)
    index = both(data)
    assert paths(index) == [b"first"]
    assert [(problem.offset, "end mark" in problem.message) for problem in index.problems] == [
        (len(data), True)
    ]


def test_nothing_at_all() -> None:
    for data in (b"", b"short", b"x" * 5000):
        index = both(data)
        assert len(index) == 0
        assert len(index.problems) == 1
    assert sound(END).entries == 0


@given(st.data())
@settings(max_examples=300)
def test_no_damage_raises(data: st.DataObject) -> None:
    tape = bytearray(sample() + END)
    for _ in range(data.draw(st.integers(1, 4))):
        block = data.draw(st.integers(0, len(tape) // BLOCK - 1)) * BLOCK
        at = block + data.draw(
            st.sampled_from([0, 100, 120, 124, 136, 156, 157, 257, 345, 386, 482, 483, 500])
        )
        tape[at] = data.draw(st.sampled_from([0, 1, 32, 46, 47, 48, 55, 76, 83, 103, 120, 128, 255]))
        if data.draw(st.booleans()):  # as one who means it would: with a checksum that fits
            text = bytes(tape[block : block + BLOCK])
            total = sum(text) - sum(text[148:156]) + 8 * 32
            tape[block + 148 : block + 156] = b"%06o\0 " % total
    index = both(bytes(tape))
    assert index.total >= 0
    for entry in range(len(index)):
        if index.kinds[entry] == Kind.FILE:
            start, stored = index.extent(entry)
            assert not stored or start + stored <= len(tape)
        assert ".." not in os.fsdecode(index.path(entry)).split("/")


# -- what others build on it --------------------------------------------------------------------------


def test_files_pass_by_in_turn_whether_they_are_read_or_not() -> None:
    data = sample() + END
    index = LayerIndex()
    seen = []
    for number, (entry, chunks) in enumerate(walk_tar(StreamTape(pieces(data, 100)), index)):
        seen.append(entry)
        if number % 2:
            next(chunks)  # one chunk of it, and no more
    assert seen == [1, 2, 3, 4, 6]
    assert columns(index) == columns(from_file(data))


def test_what_a_tar_begins_with() -> None:
    assert is_header(sample())
    assert is_header(END)
    assert is_header(header(magic=bytes(8)))
    assert not is_header(b"")
    assert not is_header(sample()[:511])
    assert not is_header(b'{"layers": []}'.ljust(BLOCK))


def test_memory_stays_small_beside_large_content() -> None:
    import tracemalloc

    def chunks() -> Iterator[bytes]:
        yield header(b"huge", base256(1 << 30, 12))
        for _ in range(1 << 10):
            yield bytes(1 << 20)
        yield END

    tracemalloc.start()
    index = index_tar(StreamTape(chunks()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (index.problems, index.total) == ([], 1 << 30)
    assert peak < 10 << 20, sys.version
