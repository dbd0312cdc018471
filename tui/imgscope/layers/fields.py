"""What the headers of a tar say: numbers, checksums, and the records of pax headers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar
from zlib import adler32

from imgscope.errors import DamagedError

SPARSE = b"GNU.sparse."
_INTEGER = re.compile(rb"-?[0-9]{1,19}")
_DECIMAL = re.compile(rb"-?[0-9]{1,19}(\.[0-9]*)?")


def read_number(field: bytes) -> int:
    """A header's number: octal text, or GNU's base-256; raises ValueError, also for more than 63 bits."""
    text = field.rstrip(b" \0")
    if text.isdigit():  # nearly all
        return int(text, 8)
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & (1 << bits) - 1
        return _bounded(value - (1 << bits) if field[0] & 0x40 else value)
    text = text.lstrip(b" \0").partition(b"\0")[0]
    if not text:
        return 0
    if not text.isdigit():  # int() would take signs, underscores and 0o
        raise ValueError
    return int(text, 8)


def _bounded(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError
    return value


def _size(field: bytes) -> int:
    """Bytes of content, or -1 where the field is no such number."""
    try:
        size = read_number(field)
        return size if size >= 0 else -1
    except ValueError:
        return -1


def _owner(field: bytes) -> tuple[int, int, int] | None:
    """Mode, uid and gid, or None where one is no number."""
    try:
        return read_number(field[:8]) & 0o7777, read_number(field[8:16]), read_number(field[16:])
    except ValueError:
        return None


def _time(field: bytes) -> float | None:
    """Seconds since 1970, or None where the field is no number."""
    try:
        return float(read_number(field))
    except ValueError:
        return None


def _expected(field: bytes) -> int:
    """What `adler32(header) & 0xFFFF` is where the checksum in `field` is right.

    The low half of adler32 is 1 + the sum of all bytes modulo 65521, at the speed of C; the checksum
    is that sum with eight spaces in its own place. -1 for a field that is no number.
    """
    try:
        return (read_number(field) + 1 + sum(field) - 8 * ord(" ")) % 65521
    except ValueError:
        return -1


_T = TypeVar("_T")


class _Read(dict[bytes, _T], Generic[_T]):
    """What a field of a header says, read once for each spelling: most repeat from one to the next."""

    def __init__(self, read: Callable[[bytes], _T], limit: int) -> None:
        self._read, self._limit = read, limit

    def __missing__(self, field: bytes) -> _T:
        if len(self) >= self._limit:
            self.clear()
        value = self[field] = self._read(field)
        return value


SIZES, OWNERS = _Read(_size, 1 << 16), _Read(_owner, 8192)
TIMES, CHECKSUMS = _Read(_time, 8192), _Read(_expected, 8192)


def checksum_fits(header: bytes) -> bool:
    """Whether the checksum of a header's 512 bytes is right."""
    field = header[148:156]
    if adler32(header) & 0xFFFF == CHECKSUMS[field]:
        return True
    try:
        # some old writers summed signed bytes
        rest = header[:148] + b" " * 8 + header[156:]
        return sum(byte - 256 if byte > 127 else byte for byte in rest) == read_number(field)
    except ValueError:
        return False


def until_zero(field: bytes) -> bytes:
    """The text in a field: what stands before the first zero byte."""
    return field.partition(b"\0")[0]


def read_records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: `LENGTH KEY=VALUE`, each closed by a newline; raises ValueError."""
    records: dict[bytes, bytes] = {}
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        length = read_digits(data[at:space]) if space > 0 else 0
        key, equals, value = data[space + 1 : at + length].partition(b"=")
        if not equals or not value.endswith(b"\n") or at + length > len(data):
            if not data[at:].strip(b"\0"):
                break
            raise ValueError
        at += length
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):  # the form that repeats keys
            pieces.append(value[:-1])
        else:
            records[key] = value[:-1]
    if pieces:
        records[b"GNU.sparse.map"] = b",".join(pieces)
    return records


def sparse_version(records: dict[bytes, bytes]) -> int | None:
    """Which of GNU's forms of a sparse file in pax headers: 0 (0.0 and 0.1), 1 (1.0), or None for no such."""
    match records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b""):
        case b"1", b"0":
            return 1
        case b"0", b"0" | b"1":
            return 0
        case b"", b"" if records.get(b"GNU.sparse.map"):
            return 0
    return None


def checked_pieces(pieces: list[tuple[int, int]], real: int, stored: int) -> list[tuple[int, int]]:
    """The pieces that hold data, if they rise, stay in the file and come to the bytes that are stored."""
    end = 0
    for offset, length in pieces:
        if offset < end or length < 0 or offset + length > real:
            raise DamagedError("a sparse file has a map that does not fit its size")
        end = offset + length
    if sum(length for _, length in pieces) != stored:
        raise DamagedError("a sparse file has a map that does not fit its data")
    return [piece for piece in pieces if piece[1]]


def read_digits(text: bytes) -> int:
    """Digits as a number; raises ValueError, also for more than 63 bits."""
    if not text.isdigit() or len(text) > 19:
        raise ValueError
    return _bounded(int(text))


def integer_record(records: dict[bytes, bytes], key: bytes, default: int) -> int:
    """A pax record as a number, `default` where there is none; raises ValueError."""
    text = records.get(key)
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return _bounded(int(text))


def decimal_record(records: dict[bytes, bytes], key: bytes, default: float) -> float:
    """A pax record as seconds, `default` where there is none; raises ValueError."""
    text = records.get(key)
    if not text:
        return default
    if not _DECIMAL.fullmatch(text):
        raise ValueError
    return float(text)
