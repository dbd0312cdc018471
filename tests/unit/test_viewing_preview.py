"""What a file is, by its first bytes: real files of each kind, and anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.viewing import jsonform
from imgscope.viewing.jsonform import pretty
from imgscope.viewing.preview import Encoding, Preview, encoding_of, preview


def look(data: bytes, name: bytes = b"x") -> Preview:
    return preview(name, lambda at, size: data[at : at + size], len(data))


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.addfile(tarfile.TarInfo("etc/first"))
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in names:
            made.writestr(name, "x")
    return buffer.getvalue()


def ar(*names: str) -> bytes:
    return b"!<arch>\n" + b"".join(
        b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", 4) + b"2.0\n"
        for name in names
    )


def gzip_named(name: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=buffer, mtime=0) as made:
        made.write(b"x" * 100)
    return buffer.getvalue()


def elf(
    kind: int = 3,
    machine: int = 62,
    *,
    wide: bool = True,
    big: bool = False,
    interpreter: bytes = b"",
    dynamic: bool = False,
    symbols: bool = False,
) -> bytes:
    """An ELF file of headers only."""
    order = ">" if big else "<"
    head, program, section = (64, 56, 64) if wide else (52, 32, 40)
    types = [*([3] if interpreter else []), *([2] if dynamic else []), 1]
    sections = [0, *([2] if symbols else []), 3]
    text_at = head + program * len(types)
    sections_at = text_at + len(interpreter)
    data = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    word = "Q" if wide else "I"
    data += struct.pack(f"{order}HHI{word}{word}{word}I", kind, machine, 1, 0, head, sections_at, 0)
    data += struct.pack(f"{order}HHHHHH", head, program, len(types), section, len(sections), 0)
    for found in types:
        length = len(interpreter) if found == 3 else 0
        if wide:
            data += struct.pack(f"{order}IIQQQQQQ", found, 0, text_at, 0, 0, length, length, 1)
        else:
            data += struct.pack(f"{order}IIIIIIII", found, text_at, 0, 0, length, length, 0, 1)
    data += interpreter
    for found in sections:
        data += struct.pack(f"{order}II", 0, found) + bytes(section - 8)
    return data


@pytest.mark.parametrize(
    ("data", "name", "summary"),
    [
        (b"", b"x", "empty file"),
        (b"#!/bin/sh -e\nexit\n", b"x", "script for /bin/sh -e"),
        (b"plain\n", b"x", ""),
        (bytes(range(256)), b"x", "binary data"),
        (gzip_named("notes.txt"), b"x", "gzip-compressed data, was notes.txt"),
        (gzip.compress(b"x", mtime=0), b"x", "gzip-compressed data"),
        (gzip.compress(b"x", mtime=0), b"musl.apk", "Alpine package (gzip)"),
        (lzma.compress(b"x" * 99), b"x", "xz-compressed data"),
        (bz2.compress(b"x" * 99), b"x", "bzip2-compressed data"),
        (b"\x28\xb5\x2f\xfd\0\0", b"x", "zstd-compressed data"),
        (tar(), b"x", "tar archive, first member etc/first"),
        (zipped("a", "b"), b"x", "zip archive, 2 members"),
        (zipped("META-INF/MANIFEST.MF"), b"x.jar", "Java archive (zip), 1 member"),
        (zipped(), b"x", "zip archive, 0 members"),
        (ar("debian-binary", "control.tar.xz", "data.tar.xz"), b"x", "Debian package (control.tar.xz)"),
        (ar("a.o/", "b.o/"), b"x", "static library (ar archive)"),
        (b"\xed\xab\xee\xdb\3\0\0\0\0\1bash-5.2-1" + bytes(80), b"x", "RPM package bash-5.2-1"),
        (b"\xed\xab\xee\xdb\3\0\0\1\0\1bash-5.2-1" + bytes(80), b"x", "RPM source package bash-5.2-1"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 7, 9), b"x", "PNG image, 7 × 9"),
        (b"GIF89a" + struct.pack("<HH", 300, 2) + b"\0\0", b"x", "GIF image, 300 × 2"),
        (
            b"\xff\xd8\xff\xe0\0\x10JFIF"
            + bytes(10)
            + b"\xff\xc2\0\x11\x08"
            + struct.pack(">HH", 20, 30)
            + b"\0",
            b"x",
            "JPEG image, 30 × 20",
        ),
        (b"\xff\xd8\xff\xe0\0", b"x", "JPEG image"),
        (b"SQLite format 3\0" + bytes(80), b"x", "SQLite database"),
        (b"\xa7\x0d\x0d\x0a" + bytes(40), b"x.pyc", "Python bytecode"),
        (
            elf(interpreter=b"/ld.so\0", dynamic=True),
            b"x",
            "ELF 64-bit LSB, x86-64, executable (PIE), dynamically linked, interpreter /ld.so, stripped",
        ),
        (elf(2, 183), b"x", "ELF 64-bit LSB, AArch64, executable, statically linked, stripped"),
        (
            elf(3, 22, big=True, dynamic=True, symbols=True),
            b"x",
            "ELF 64-bit MSB, s390x, shared object, dynamically linked, not stripped",
        ),
        (
            elf(2, 40, wide=False, interpreter=b"/ld\0", symbols=True),
            b"x",
            "ELF 32-bit LSB, ARM, executable, dynamically linked, interpreter /ld, not stripped",
        ),
        (elf(1, 3, wide=False), b"x.o", "ELF 32-bit LSB, i386, relocatable object"),
        (b"\x7fELF\x02\x01", b"x", "ELF 64-bit LSB, cut within its header"),
    ],
)
def test_kinds(data: bytes, name: bytes, summary: str) -> None:
    assert look(data, name).summary == summary


def test_a_real_program() -> None:
    words = look(Path(sys.executable).resolve().read_bytes()).summary
    if sys.platform == "linux":
        assert words.startswith("ELF ")
        assert "dynamically linked, interpreter /lib" in words


def test_what_lies_beyond_the_bytes_that_are_known_is_left_out() -> None:
    data = elf(2, interpreter=b"/lib/ld\0", symbols=True)
    words = preview(b"x", lambda at, size: data[:200][at : at + size], len(data)).summary
    assert words == "ELF 64-bit LSB, x86-64, executable, dynamically linked, interpreter /lib/ld"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("größe".encode(), Encoding.UTF8),
        ("größe".encode("utf-16"), Encoding.UTF16_LE),
        ("\ufeffgröße".encode("utf-16-be"), Encoding.UTF16_BE),
        ("größe".encode("latin-1"), Encoding.LATIN1),
        (b"\x1b[1mbold\x1b[0m\n", Encoding.UTF8),
        (b"zero\0", None),
        (bytes(range(1, 32)), None),
        (bytes(range(128, 256)), None),
        (b"\xff\xfe" + bytes(range(256)) * 4, None),
    ],
)
def test_encodings(data: bytes, encoding: Encoding | None) -> None:
    assert encoding_of(data, whole=True) == encoding


def test_a_character_that_is_cut_is_no_other_encoding() -> None:
    data = "größe".encode()[:3]
    assert encoding_of(data, whole=False) == Encoding.UTF8
    assert encoding_of(data, whole=True) == Encoding.LATIN1


STARTS = [
    b"",
    b"\x7fELF",
    elf()[:70],
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"PK\3\4",
    b"!<arch>\n",
    tar()[:300],
]
STARTS += [
    b"\xed\xab\xee\xdb",
    b"\x1f\x8b\x08\x0c",
    b"\xca\xfe\xba\xbe",
    b"\xff\xfe",
    b"#!",
    b"\xff\xd8\xff\xe0\0\0",
]


@given(st.sampled_from(STARTS), st.binary(max_size=300), st.integers(0, 400), st.integers(0, 1 << 62))
def test_anything_is_something(start: bytes, data: bytes, known: int, size: int) -> None:
    data = (start + data)[:known]
    found = preview(data[-5:], lambda at, length: data[at : at + length], max(size, len(data)))
    assert isinstance(found.summary, str)
    encoding_of(data, whole=True)


# -- JSON ---------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.lists(VALUES) | st.dictionaries(st.text(max_size=4), VALUES),
    st.sampled_from([(",", ":"), (" , ", ":\n")]),
)
def test_json_is_as_pythons_own_writer_has_it(value: object, signs: tuple[str, str]) -> None:
    data = json.dumps(value, separators=signs).encode()
    assert pretty(data) == (json.dumps(value, indent=2) + "\n").encode()


def test_json_keeps_its_words() -> None:
    data = b'{"a": 1.00, "a": 123456789012345678901234567890e5, "\\u00e9": "\\/"}'
    assert (
        pretty(data) == b'{\n  "a": 1.00,\n  "a": 123456789012345678901234567890e5,\n  "\\u00e9": "\\/"\n}\n'
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"{",
        b'{"a": }',
        b"[1,]",
        b'"text"',
        b"17",
        b"{}x",
        b"\xff{}",
        b"[" * 100_000,
        b'[{"a":' * 50_000,
    ],
)
def test_what_is_no_json_stays(data: bytes) -> None:
    assert pretty(data) is None


def test_json_made_to_hurt(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretty(b"[" * 150 + b"]" * 150) is not None
    assert pretty(b"[" * 300 + b"]" * 300) is None
    assert pretty(b"[" + b"9" * 1_000_000 + b"]") == b"[\n  " + b"9" * 1_000_000 + b"\n]\n"
    assert pretty(b"[" * 190 + b"1," * 500_000 + b"1" + b"]" * 190) is None  # 200 MB of blanks
    monkeypatch.setattr(jsonform, "LIMIT", 10)
    assert pretty(b'{"a": "bcde"}') is None
