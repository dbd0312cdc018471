"""What a file is, by its first bytes and its name: text or not, in which encoding, and one line about it."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple
from unicodedata import category

from imgscope.text import count_text
from imgscope.viewing.elf import At, elf_summary

HEAD = 1 << 16  # bytes that tell text from binary
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b")) + b"\x7f"
_ODD = frozenset(("Cc", "Cn", "Co", "Cs"))
_SAMPLE = 8192  # bytes of UTF-16 whose characters are looked at
_TEXT_LIKE = 0.02  # the part of control characters up to which it is text


class Encoding(Enum):
    """How the bytes of a text stand for characters."""

    UTF8 = "utf-8"
    UTF16_LE = "utf-16-le"
    UTF16_BE = "utf-16-be"
    LATIN1 = "latin-1"

    def __str__(self) -> str:
        return {"latin-1": "Latin-1"}.get(self.value, self.value.upper())


class Preview(NamedTuple):
    """`encoding` None is no text; `summary` is from the file, and not made safe for a terminal."""

    encoding: Encoding | None
    summary: str


def preview(name: bytes, at: At, size: int) -> Preview:
    """What a file of `size` bytes is; `at` gives its bytes as far as they are known. Never raises."""
    head = at(0, HEAD)
    if not head:
        return Preview(Encoding.UTF8 if not size else None, "" if size else "empty file")
    encoding = encoding_of(head, whole=len(head) >= size)
    if encoding is None or head.startswith(_TEXTUAL):
        for known in _FORMATS:
            if (summary := known(at, size)) is not None:
                if name.endswith(b".apk") and summary.startswith("gzip"):
                    summary = "Alpine package (gzip)"
                return Preview(encoding, summary)
    if encoding is None:
        compiled = name.endswith(b".pyc") and head[2:4] == b"\r\n"
        return Preview(None, "Python bytecode" if compiled else "binary data")
    return Preview(encoding, _script(head) if head.startswith(b"#!") else "")


def encoding_of(head: bytes, *, whole: bool) -> Encoding | None:
    """The encoding of a text by its first bytes (`whole`: all of them); None where they are no text."""
    for mark, encoding in ((b"\xff\xfe", Encoding.UTF16_LE), (b"\xfe\xff", Encoding.UTF16_BE)):
        if head.startswith(mark):
            text = head[: _SAMPLE & ~1].decode(encoding.value, "replace")
            odd = sum(character not in "\t\n\r\f\x1b" and category(character) in _ODD for character in text)
            # a bad pair here and there is a damaged text; many are something else
            return encoding if text.count("\ufffd") + odd <= 1 + len(text) * _TEXT_LIKE else None
    if b"\0" in head or len(head) - len(head.translate(None, _CONTROL)) > len(head) * _TEXT_LIKE:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
        return Encoding.UTF8
    except UnicodeDecodeError:
        pass
    high = sum(head.count(byte) for byte in range(0x80, 0xA0))
    return Encoding.LATIN1 if high <= len(head) * _TEXT_LIKE else None


def _script(head: bytes) -> str:
    line = head[2:512].partition(b"\n")[0].strip().decode("utf-8", "surrogateescape")
    return f"script for {line}" if line else "script"


# -- formats ------------------------------------------------------------------------------------------

_TEXTUAL = (b"%PDF-", b"!<arch>\n", b"!<thin>\n")  # may look like text, and are not meant to be read as such
_Known = Callable[[At, int], str | None]


def _magic(magic: bytes, words: str, offset: int = 0) -> _Known:
    return lambda at, size: words if at(offset, len(magic)) == magic else None


def _elf(at: At, size: int) -> str | None:
    return elf_summary(at) if at(0, 4) == b"\x7fELF" else None


def _png(at: At, size: int) -> str | None:
    head = at(0, 24)
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 24:
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return f"PNG image, {width} × {height}"


def _gif(at: At, size: int) -> str | None:
    head = at(0, 10)
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 10:
        return None
    width, height = struct.unpack_from("<HH", head, 6)
    return f"GIF image, {width} × {height}"


def _jpeg(at: At, size: int) -> str | None:
    """The frame header (ITU-T T.81, B.2.2) has the size; it comes after some segments."""
    if at(0, 3) != b"\xff\xd8\xff":
        return None
    offset = 2
    for _ in range(64):
        segment = at(offset, 9)
        if len(segment) < 9 or segment[0] != 0xFF:
            break
        marker, length, _, height, width = struct.unpack(">xBHBHH", segment)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return f"JPEG image, {width} × {height}"
        offset += 2 + length
    return "JPEG image"


def _gzip(at: At, size: int) -> str | None:
    """RFC 1952, 2.3: the name that was packed, where it is kept."""
    head = at(0, 512)
    if head[:3] != b"\x1f\x8b\x08":
        return None
    start = 10
    if head[3:4] and head[3] & 4 and len(head) >= 12:
        start += 2 + int.from_bytes(head[10:12], "little")
    if not (head[3:4] and head[3] & 8):
        return "gzip-compressed data"
    name = head[start:].partition(b"\0")[0].decode("latin-1")
    return f"gzip-compressed data, was {name}" if name else "gzip-compressed data"


def _tar(at: At, size: int) -> str | None:
    if at(257, 5) != b"ustar":
        return None
    name = at(0, 100).partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return f"tar archive, first member {name}" if name else "tar archive"


def _zip(at: At, size: int) -> str | None:
    if at(0, 4) not in (b"PK\x03\x04", b"PK\x05\x06"):
        return None
    first = at(30, 30 + 64)[: int.from_bytes(at(26, 2), "little")].decode("utf-8", "surrogateescape")
    what = "Java archive (zip)" if first.startswith("META-INF/") else "zip archive"
    tail = at(max(size - 1024, 0), 1024)  # the end of the central directory (APPNOTE 4.3.16)
    if (end := tail.rfind(b"PK\x05\x06")) >= 0 and len(tail) >= end + 12:
        count = int.from_bytes(tail[end + 10 : end + 12], "little")
        return f"{what}, {count_text(count, 'member')}"
    return f"{what}, first member {first}" if first else what


def _ar(at: At, size: int) -> str | None:
    """deb(5) is an ar archive whose first member says so; else a library of objects."""
    head = at(0, 24)
    if head[:8] not in (b"!<arch>\n", b"!<thin>\n"):
        return None
    if head[8:21] == b"debian-binary":
        names = re.findall(rb"(?m)^((?:control|data)\.tar(?:\.\w+)?)[/ ]", at(0, HEAD))
        packed = f" ({names[0].decode()})" if names else ""
        return f"Debian package{packed}"
    return "static library (ar archive)" if head[:8] == b"!<arch>\n" else "thin library (ar archive)"


def _rpm(at: At, size: int) -> str | None:
    """The lead of an RPM package: type at 6, name from 10 on (rpm's Package Format V3/V4)."""
    head = at(0, 76)
    if head[:4] != b"\xed\xab\xee\xdb":
        return None
    name = head[10:76].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    source = "source " if head[6:8] == b"\x00\x01" else ""
    return f"RPM {source}package {name}".rstrip()


def _java(at: At, size: int) -> str | None:
    head = at(0, 8)
    if head[:4] != b"\xca\xfe\xba\xbe" or len(head) < 8 or head[6:8] < b"\x00\x2d":
        return None  # what is lower is a universal Mach-O file of few processors
    return f"Java class, version {int.from_bytes(head[6:8], 'big')}"


_FORMATS: tuple[_Known, ...] = (
    _elf,
    _gzip,
    _magic(b"\xfd7zXZ\x00", "xz-compressed data"),
    _magic(b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    _magic(b"BZh", "bzip2-compressed data"),
    _magic(b"\x04\x22\x4d\x18", "lz4-compressed data"),
    _zip,
    _tar,
    _ar,
    _rpm,
    _magic(b"ADB", "Alpine package or index (apk v3)"),
    _png,
    _jpeg,
    _gif,
    _magic(b"WEBP", "WebP image", 8),
    _magic(b"%PDF-", "PDF document"),
    _magic(b"SQLite format 3\0", "SQLite database"),
    _java,
    _magic(b"\0asm", "WebAssembly module"),
    _magic(b"MZ", "Windows executable"),
    _magic(b"\xcf\xfa\xed\xfe", "Mach-O 64-bit file"),
    _magic(b"\xca\xfe\xba\xbe", "Mach-O universal file"),
    _magic(b"hsqs", "squashfs file system"),
    _magic(b"\x53\xef", "ext file system", 0x438),
    _magic(b"\x00\x01\x00\x00\x00", "TrueType font"),
    _magic(b"OTTO", "OpenType font"),
    _magic(b"wOF2", "WOFF2 font"),
    _magic(b"\xde\x12\x04\x95", "message catalogue (gettext)"),
    _magic(b"TZif", "time zone data"),
)
