"""Decompression, bounded and damaged, against the compressors themselves."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.errors import CancelledError, DamagedError
from imgscope.job import Job
from imgscope.layers import stream
from imgscope.layers.stream import (
    BLOCK,
    FileTape,
    StreamTape,
    compression,
    inflate,
    peek,
    read_at,
    read_chunks,
)
from imgscope.layers.tar import index_tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"  # RFC 8878, 3.1.2
NOISE = random.Random(1).randbytes(300_000)
TEXT = b"".join(b"%d a line that compresses well\n" % number for number in range(20_000))


@pytest.fixture(params=["isal", "zlib"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading gzip: the fast one, where there is a wheel of it, and the standard library's."""
    if request.param == "zlib":
        monkeypatch.setattr(stream, "_fast", None)
    elif stream._fast is None:
        pytest.skip("there is no isal for this processor")


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def whole(data: bytes, size: int = 1 << 16) -> bytes:
    return b"".join(inflate(pieces(data, size)))


def salvage(data: bytes, size: int = 1 << 16) -> tuple[bytes, str]:
    """What comes out before the damage, and what is said of it."""
    out: list[bytes] = []
    with pytest.raises(DamagedError) as caught:
        out.extend(inflate(pieces(data, size)))
    return b"".join(out), str(caught.value)


# -- sound --------------------------------------------------------------------------------------------


def test_what_compression_is_told_by() -> None:
    for name, compress in COMPRESSORS.items():
        assert compression(compress(b"")) == name
    assert compression(SKIPPABLE) == "zstd"
    for plain in (b"", b"\x1f", b"plain", bytes(512), b"\x28\xb5\x2f"):
        assert compression(plain) == ""


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", COMPRESSORS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_members_in_any_chunks(name: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.sampled_from([b"", b"a", TEXT[:1000], TEXT[:70_000], NOISE[:3000]])))
    packed = b"".join(map(COMPRESSORS[name], texts)) or COMPRESSORS[name](b"")
    packed += bytes(data.draw(st.sampled_from([0, 1, 3, 4, 512, 10_000])))
    assert whole(packed, data.draw(st.integers(1, 100_000))) == b"".join(texts)


@pytest.mark.parametrize("name", COMPRESSORS)
def test_what_is_plain_passes(name: str) -> None:
    for text in (b"", b"x", b"plain text", COMPRESSORS[name](b"inner")[1:]):
        assert whole(text, 3) == text
    # one wrapping is taken off, no more
    assert whole(COMPRESSORS[name](COMPRESSORS[name](b"inner"))) == COMPRESSORS[name](b"inner")


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_frames_that_are_skipped(size: int) -> None:
    one, two = zstd.compress(b"one "), zstd.compress(b"two")
    assert whole(SKIPPABLE + one + SKIPPABLE + SKIPPABLE + two + SKIPPABLE, size) == b"one two"
    assert whole(SKIPPABLE, size) == b""


@pytest.mark.parametrize("size", [1, 100, 1 << 16])
def test_padding_between_members(size: int) -> None:
    packed = lzma.compress(b"one ") + bytes(8) + lzma.compress(b"two") + bytes(4)
    assert whole(packed, size) == b"one two"


@pytest.mark.usefixtures("_engine")
def test_a_gzip_header_with_all_its_fields() -> None:
    packed = bytearray(gzip.compress(b"text"))
    packed[3] = 0x1E  # CRC of the header, extra field, name, comment
    head = bytes(packed[:10]) + b"\x06\0SG\x02\0ab" + b"name\0" + b"comment\0"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert whole(head + bytes(packed[10:])) == b"text"


@pytest.mark.usefixtures("_engine")
def test_output_comes_in_pieces_that_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "OUT_CHUNK", 1000)
    for compress in COMPRESSORS.values():
        for size in (1, 50, 1 << 16):
            out = list(inflate(pieces(compress(TEXT), size)))
            assert b"".join(out) == TEXT
            assert max(map(len, out)) <= 1000


# -- damaged ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", COMPRESSORS)
def test_cut_at_every_byte(name: str) -> None:
    """Of a short stream with two members: told each time, and nothing invented."""
    first = COMPRESSORS[name](b"first member")
    packed = first + COMPRESSORS[name](b"second")
    for length in range(len(packed)):
        if length == len(first) or length < 6:
            continue  # a whole stream; or nothing that tells what it is
        text, message = salvage(packed[:length], 10)
        assert b"first membersecond".startswith(text)
        assert message.startswith(f"the {name} stream") or "after the end" in message
        if length > len(first):
            assert text.startswith(b"first member")


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_what_comes_before_the_cut_is_kept(name: str) -> None:
    text = NOISE
    packed = COMPRESSORS[name](text)
    found, message = salvage(packed[:-1000], 10_000)
    assert text.startswith(found)
    assert len(found) > 150_000
    assert message == f"the {name} stream ends early"


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("at", [-8, -1])
def test_a_checksum_or_length_that_is_wrong(at: int) -> None:
    packed = bytearray(gzip.compress(TEXT) + gzip.compress(TEXT))
    packed[at] ^= 1
    found, message = salvage(bytes(packed))
    assert found.startswith(TEXT)
    assert TEXT.startswith(found[len(TEXT) :])
    assert message.startswith("the gzip stream is damaged (")


@pytest.mark.parametrize("name", ["zstd", "xz", "bzip2"])
def test_bytes_that_are_wrong(name: str) -> None:
    compress = COMPRESSORS[name]
    if name == "zstd":  # its checksum is an option
        compress = partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1})
    packed = bytearray(compress(NOISE[:10_000]))
    packed[5000] ^= 0xFF
    assert "damaged" in salvage(bytes(packed))[1]


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_garbage_after_the_end(name: str, size: int) -> None:
    for garbage in (b"g", b"garbage", bytes(600) + b"garbage"):
        found, message = salvage(COMPRESSORS[name](b"text") + garbage, size)
        assert found == b"text"
        assert message == f"there is data after the end of the {name} stream"


def test_a_compression_is_not_changed_on_the_way() -> None:
    found, message = salvage(gzip.compress(b"text") + zstd.compress(b"text"))
    assert (found, message) == (b"text", "there is data after the end of the gzip stream")


def test_a_window_beyond_reason() -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    frame = compressor.compress(b"text") + compressor.flush()
    assert "damaged" in salvage(frame)[1]


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", COMPRESSORS)
@given(data=st.data())
@settings(max_examples=60)
def test_no_damage_raises_anything_else(name: str, data: st.DataObject) -> None:
    packed = bytearray(COMPRESSORS[name](TEXT[:5000]) * 2)
    for _ in range(data.draw(st.integers(1, 5))):
        packed[data.draw(st.integers(6, len(packed) - 1))] = data.draw(st.integers(0, 255))
    index = index_tar(StreamTape(inflate(pieces(bytes(packed), 100))))
    assert len(index) == 0
    assert index.problems


# -- bombs --------------------------------------------------------------------------------------------

GIGABYTE = 1 << 30


def bomb(name: str) -> bytes:
    """A gigabyte of zeros, packed."""
    chunk = bytes(1 << 20)
    if name == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        return b"".join(map(packer.compress, repeat(chunk, 1 << 10))) + packer.flush()
    compressor = zstd.ZstdCompressor()
    return b"".join(map(compressor.compress, repeat(chunk, 1 << 10))) + compressor.flush()


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_takes_no_memory(name: str) -> None:
    info = tarfile.TarInfo("zeros")
    info.size = GIGABYTE
    packed = COMPRESSORS[name](info.tobuf()) + bomb(name) + COMPRESSORS[name](bytes(2 * BLOCK))
    assert len(packed) < GIGABYTE // 900
    tracemalloc.start()
    index = index_tar(StreamTape(inflate([packed])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (list(index.sizes), index.problems) == ([GIGABYTE], [])
    assert peak < 20 << 20


# -- tapes and the rest -------------------------------------------------------------------------------


def test_chunks_of_a_file_move_the_job_on(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(600_000))
    told = []
    job = Job(lambda done, total: told.append((done, total)))
    with path.open("rb") as file:
        assert sum(map(len, read_chunks(file.fileno(), 100_000, 400_000, job))) == 400_000
        assert told[-1] == (400_000, None)
        with pytest.raises(DamagedError, match="ends early"):
            list(read_chunks(file.fileno(), 500_000, 200_000))
        job.cancel()
        with pytest.raises(CancelledError):
            list(read_chunks(file.fileno(), 0, 100, job))


def test_a_disk_that_gives_nothing(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)  # a folder cannot be read
    try:
        with pytest.raises(DamagedError, match="directory"):
            read_at(fd, 10, 0)
        index = index_tar(FileTape(fd, 0, 10_000))
        assert "cannot be read" in index.problems[0].message
    finally:
        os.close(fd)


def test_peek_takes_nothing_away() -> None:
    for size in (0, 1, 5, 100):
        head, rest = peek(pieces(b"some text", 2), size)
        assert b"some text".startswith(head)
        assert len(head) >= min(size, 9)
        assert b"".join(rest) == b"some text"


@given(
    st.lists(st.binary(max_size=2000)),
    st.lists(st.tuples(st.booleans(), st.integers(0, 3000), st.integers(0, 3000))),
)
def test_both_tapes_give_the_same_bytes(chunks: list[bytes], steps: list[tuple[bool, int, int]]) -> None:
    data = b"".join(chunks)
    chunks = [chunk for chunk in chunks if chunk]
    with open(os.memfd_create("tape") if hasattr(os, "memfd_create") else os.devnull, "w+b") as file:
        file.write(data)
        file.flush()
        on_file, streamed = FileTape(file.fileno(), 0, len(data)), StreamTape(chunks)
        offset = 0
        for window, jump, size in steps:
            offset += jump
            if offset > len(data):
                break
            if window:
                a, b = on_file.window(offset), streamed.window(offset)
                assert data[offset:].startswith(a)
                assert data[offset:].startswith(b)
                assert min(len(a), len(b), BLOCK) == min(BLOCK, len(data) - offset)
            else:
                expected = data[offset : offset + size]
                for tape in (on_file, streamed):
                    found: list[bytes] = []
                    try:
                        found.extend(tape.chunks(offset, size))
                    except DamagedError:
                        assert len(expected) < size
                    else:
                        assert len(expected) == size
                    assert b"".join(found) == expected
                offset += len(expected)
        streamed.drain()
        assert streamed.length == len(data)


def test_digests_pass_along() -> None:
    hasher = hashlib.sha256()
    assert b"".join(stream.hashed(pieces(TEXT, 1000), hasher)) == TEXT
    assert hasher.digest() == hashlib.sha256(TEXT).digest()


def test_nothing_is_read_before_it_is_asked_for() -> None:
    source = iter([b"first chunk", b"second"])
    chunks = inflate(source)
    assert next(source) == b"first chunk"
    assert list(chunks) == [b"second"]


def test_gzip_writers_of_members(tmp_path: Path) -> None:
    """`pigz -i`, eStargz and `cat a.gz b.gz` write many small members, empty ones too."""
    texts = [b"", *(TEXT[at : at + 50] for at in range(0, 5000, 50)), b""]
    buffer = io.BytesIO()
    for text in texts:
        with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
            file.write(text)
    assert whole(buffer.getvalue()) == TEXT[:5000]


def test_without_isal_zlib_does_it() -> None:
    code = (
        "import gzip, sys; sys.modules['isal'] = None\n"
        "from imgscope.layers import stream\n"
        "assert stream._fast is None\n"
        "print(b''.join(stream.inflate([gzip.compress(b'text')])).decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("text\n", "")
