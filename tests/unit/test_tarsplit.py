"""tar-split metadata → the same index as the tar it was made of; and doubt for all that is not whole.

The metadata is written here after vbatts/tar-split's rules, with offsets from Python's tarfile; what real
engines write is compared in tests/engine/test_datadir.py.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.errors import CancelledError, DamagedError
from imgscope.job import Job
from imgscope.layers import tarsplit
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import StreamTape
from imgscope.layers.tar import index_tar
from imgscope.layers.tarsplit import SplitTape, index_tar_split
from tests.support.needs import require_tool

Record = dict[str, Any]


# -- writing --------------------------------------------------------------------------------------


def _shifted(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0xD800000000000000 if value & 1 else 0)
    return value


TABLE = [_shifted(byte) for byte in range(256)]


def crc64(data: bytes) -> int:
    """CRC-64 as Go's hash/crc64 has it with its ISO table."""
    value = (1 << 64) - 1
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ (1 << 64) - 1


def records(tar: bytes) -> list[Record]:
    """What an engine notes of a tar."""
    found: list[Record] = []
    at = 0
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for entry in archive:
            size = entry.size if entry.isreg() else 0
            found.append({"type": 2, "payload": tar[at : entry.offset_data]})
            content = tar[entry.offset_data : entry.offset_data + size]
            checksum = crc64(content).to_bytes(8, "big") if size else None
            found.append(
                {"type": 1, "name": entry.name, **({"size": size} if size else {}), "payload": checksum}
            )
            at = entry.offset_data + size
    found += [{"type": 2, "payload": tar[start : start + 1024]} for start in range(at, len(tar), 1024)]
    found.append({"type": 2, "payload": b""})
    for position, record in enumerate(found):
        if position:
            record["position"] = position
    return found


def lines(found: list[Record]) -> bytes:
    out = b""
    for record in found:
        payload = record.get("payload")
        shown = {**record, "payload": b64encode(payload).decode()} if isinstance(payload, bytes) else record
        out += json.dumps(shown, separators=(",", ":")).encode() + b"\n"
    return out


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def split(tar: bytes) -> bytes:
    return gzip.compress(lines(records(tar)), mtime=0)


def columns(index: LayerIndex) -> dict[str, Any]:
    kept = [name for name in LayerIndex.__slots__ if not name.startswith("__") and name != "checksums"]
    return {name: getattr(index, name) for name in kept}


def read(data: bytes, chunk: int = 1 << 16, **options: Any) -> LayerIndex:
    return index_tar_split(pieces(data, chunk), **options)


def same(tar: bytes) -> LayerIndex:
    """The index, after it came out as that of the tar itself, and with the sums of its contents."""
    walked = index_tar(StreamTape(iter([tar])))
    assert walked.problems == []
    data = split(tar)
    index = read(data, length=len(tar))
    assert columns(index) == columns(walked)
    for other in (read(data, 7), read(gzip.decompress(data), 100)):
        assert columns(other) == columns(index)
        assert other.checksums == index.checksums
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tarsplit, "_STRETCH", 700)
        assert columns(read(data)) == columns(index)
    assert len(index.checksums) == len(index)
    for entry, checksum in enumerate(index.checksums):
        start, stored = index.extent(entry)
        assert checksum == (crc64(tar[start : start + stored]) if stored else 0)
    return index


def packed(
    *entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for item in entries:
            entry, content = item if isinstance(item, tuple) else (item, b"")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def some_tar() -> bytes:
    return packed(
        info("d", tarfile.DIRTYPE, mode=0o755),
        (info("d/a", mtime=7, uid=3), b"a" * 1000),
        info("d/empty"),
        (info("d/b"), b"b" * 512),
        (info("c"), b"c"),
    )


# -- the same as the tar ----------------------------------------------------------------------------


def test_the_checksum_is_gos() -> None:
    assert crc64(b"") == 0
    assert crc64(b"123456789") == 0xB90956C775A41001  # CRC-64/GO-ISO's check value


def test_files_and_folders() -> None:
    index = same(some_tar())
    assert [index.path(entry) for entry in range(len(index))] == [b"d", b"d/a", b"d/empty", b"d/b", b"c"]
    assert list(index.sizes) == [0, 1000, 0, 512, 1]
    assert [bool(checksum) for checksum in index.checksums] == [False, True, False, True, True]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
def test_entries_of_all_kinds(form: int) -> None:
    long = "/".join(["n" * 90] * 3)
    same(
        packed(
            (info(long, mtime=1.5 if form == tarfile.PAX_FORMAT else 1), b"long" * 500),
            info("soft", tarfile.SYMTYPE, linkname="t" * 150),
            (info("file"), b"x" * 513),
            info("hard", tarfile.LNKTYPE, linkname="file"),
            info("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            info("fifo", tarfile.FIFOTYPE),
            info("d/.wh.gone"),
            info("d/.wh..wh..opq"),
            info(".wh..wh.aufs", tarfile.DIRTYPE),
            (info("xattr", pax_headers={"SCHILY.xattr.user.a": "b"}), b"y"),
            form=form,
        )
    )


def test_a_tar_of_no_entries() -> None:
    assert len(same(packed())) == 0


def test_what_gnu_tar_writes_of_a_real_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(200):
        (tree / f"{'n' * (number % 95)}{number}").write_bytes(bytes([number]) * (number * 7 % 1500))
    (tree / "link").symlink_to("0")
    tar = require_tool("tar")
    for form in ("gnu", "pax", "ustar"):
        made = subprocess.run(
            [tar, f"--format={form}", "-C", tree, "-cf", "-", "."], capture_output=True, check=True
        ).stdout
        assert len(same(made)) == 202


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1100)), max_size=12))
def test_any_mix_of_entries(shapes: list[tuple[int, int]]) -> None:
    kinds = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)
    entries = []
    for number, (kind, size) in enumerate(shapes):
        entry = info(f"{number}{'n' * (size // 5)}", kinds[kind], linkname="t" if kind == 3 else "")
        entries.append((entry, bytes([number]) * size) if kind < 2 else (entry, b""))
    same(packed(*entries))


# -- doubt ------------------------------------------------------------------------------------------


def refused(data: bytes, saying: str | None = None, **options: Any) -> None:
    with pytest.raises(DamagedError, match=saying):
        read(data, **options)


@pytest.mark.parametrize("cut", [10, 200, -9, -1])
def test_a_cut_file(cut: int) -> None:
    refused(split(some_tar())[:cut], "ends early")


def test_every_flipped_byte_is_found() -> None:
    """gzip's own sum finds what the format does not. The header's first bytes tell a time and a system."""
    data = split(some_tar())
    whole = read(data)
    for at in range(10, len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x10
        try:
            index = read(bytes(broken))
        except DamagedError:
            continue
        assert columns(index) == columns(whole)


def test_a_cut_at_the_end_of_a_line() -> None:
    found = records(some_tar())
    for count in range(11):  # two records for each entry, and then zeros
        refused(lines(found[:count]), "does not make a layer|does not fit")


CHANGES: dict[str, Callable[[list[Record]], object]] = {
    "a record is missing": lambda found: found.pop(4),
    "two records changed places": lambda found: found.insert(2, found.pop(5)),
    "an unknown type": lambda found: found[3].update(type=3),
    "no type": lambda found: found[3].pop("type"),
    "a longer content": lambda found: found[3].update(size=1001),
    "a content as long as its blocks": lambda found: found[3].update(size=1024),
    "a shorter content": lambda found: found[3].update(size=999),
    "a negative size": lambda found: found[3].update(size=-1),
    "a size beyond all files": lambda found: found[3].update(size=1 << 63),
    "no size": lambda found: found[3].pop("size"),
    "a size that is text": lambda found: found[3].update(size="1000"),
    "no checksum": lambda found: found[3].update(payload=None),
    "half a checksum": lambda found: found[3].update(payload=b"1234"),
    "a content for a folder": lambda found: found[1].update(size=1, payload=bytes(8)),
    "a segment that is cut": lambda found: found[4].update(payload=found[4]["payload"][:500]),
    "a segment that is no base64": lambda found: found[4].update(payload="*"),
    "a bad header": lambda found: found[2].update(payload=b"x" * 512),
    "a content after the end": lambda found: found.append(
        {"type": 1, "name": "x", "size": 1, "payload": bytes(8), "position": len(found)}
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_records_that_do_not_fit(what: str) -> None:
    found = records(some_tar())
    read(lines(found))
    CHANGES[what](found)
    refused(lines(found))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"{}", b"[1]\n", b"null\n", b"\0" * 100, b"{" * 10_000, b'{"x":' * 100_000]
)
def test_what_is_no_metadata(data: bytes) -> None:
    refused(data)


def test_a_tar_of_another_length() -> None:
    tar = some_tar()
    refused(split(tar), "does not fit", length=len(tar) + 512)


def test_what_the_walker_finds_wrong_is_for_the_layers_data_to_tell() -> None:
    refused(split(packed((info("../x"), b"x"))), "leaves the root")


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_sparse_files(tmp_path: Path, form: str) -> None:
    """Nothing says how an engine would note them, and none writes such layers by itself."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    words = (f"--format={form}", "--sparse", "-C", str(tmp_path), "-cf", "-", "sparse")
    command = [require_tool("tar"), *words]
    tar = subprocess.run(command, capture_output=True, check=True).stdout
    assert index_tar(StreamTape(iter([tar]))).sparse
    found = [
        {"type": 2, "payload": tar[:512]},
        {"type": 1, "name": "sparse", "size": 1 << 20, "payload": bytes(8), "position": 1},
        {"type": 2, "payload": bytes(1024), "position": 2},
    ]
    refused(lines(found))
    refused(split(tar))


def test_a_record_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarsplit, "LINE_LIMIT", 5000)
    refused(b'{"type":2,"payload":"' + b"A" * 10_000, "more than 5000 bytes")


def test_cancelling() -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        read(split(some_tar()), job=job)


def test_little_is_held_at_a_time() -> None:
    """A tape gives stretch by stretch: contents of any size are not there to be read."""
    tar = some_tar()
    found = records(tar)
    found[3].update(size=1 << 40)
    tape = SplitTape(iter([lines(found)]))
    assert tape.window(0)[:1] == b"d"
    tape.drain()
    assert tape.length == len(tar) - 1000 + (1 << 40)
    assert tape.offsets[0] == 1024
    with pytest.raises(DamagedError, match="ends early"):
        tape.window((1 << 41) + 1)


def test_little_is_held_where_no_content_stands_between() -> None:
    tape = SplitTape(iter([lines([{"type": 2, "payload": bytes(1 << 20), "position": n}]) for n in range(9)]))
    tape.window(0)
    longest = max(len(tape.window(at << 20)) for at in range(9))
    assert longest <= 2 << 20
    assert tape.window(9 << 20) == b""
    assert tape.length == 9 << 20
