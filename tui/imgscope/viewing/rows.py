"""The rows of a text: its lines, those that are too long in pieces. One is found by its number at once.

Texts are UTF-8 here, whatever the file is in (`Utf8`). Only every so many rows is noted: 2 GB of short lines
must not fill the memory. Rows are cut by the cells they take on the screen, so that a row is never wider.
"""

from __future__ import annotations

import codecs
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from imgscope.text import clean
from imgscope.viewing.content import Spool
from imgscope.viewing.preview import Encoding

TAB = 4  # cells to a tab stop
_STEP = 64  # rows from one noted to the next
_KEPT = 64  # blocks of rows that are kept
_READ = 1 << 16
_PLAIN = bytes(range(0x20, 0x7F))
_WIDEST = 4  # cells that a byte may come to: \xff


class Row(NamedTuple):
    """Bytes [start, end) of the text, in line `line` (from 1); `first`: they begin it."""

    start: int
    end: int
    line: int
    first: bool


class Utf8:
    """A text in any encoding as UTF-8, made as its bytes come. In UTF-8 already it is what it is."""

    def __init__(self, raw: Spool, encoding: Encoding) -> None:
        self.spool = raw if encoding == Encoding.UTF8 else Spool()
        self._raw = raw
        self._done = 0
        self._decoder = codecs.getincrementaldecoder(encoding.value)("replace")

    def extend(self) -> None:
        """Take what has come since. Raises `OSError` where the disk is full."""
        while self.spool is not self._raw and (data := self._raw.read(self._done, _READ)):
            text = self._decoder.decode(data)
            if not self._done:
                text = text.removeprefix("\ufeff")
            self.spool.append(text.encode())
            self._done += len(data)

    def close(self) -> None:
        self.spool.close()


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    """Cells of a character as it is shown; a tab is not asked for."""
    from unicodedata import category, east_asian_width

    shown = clean(character)
    if shown != character:
        return len(shown)
    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1


def width(text: str, start: int = 0) -> int:
    """Cells of a text that starts at cell `start`, as `pieces` shows it."""
    if text.isascii() and text.isprintable():
        return len(text)
    cells = start
    for character in text:
        cells += TAB - cells % TAB if character == "\t" else _width(character)
    return cells - start


class Rows:
    """The rows of a text in a spool, none wider than `limit` cells. `extend` is for one thread at a time."""

    def __init__(self, spool: Spool, limit: int) -> None:
        self.spool = spool
        self.limit = max(limit, 16)
        self.done = 0  # bytes that are in rows; the next row starts there
        self._count = 0
        self._next = 1, True  # line of the next row, and whether it begins it
        self._offsets = array("q")  # where each row that is noted starts …
        self._lines = array("q")  # … and its line, negative where it does not begin it
        self._blocks: OrderedDict[int, list[Row]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    @property
    def lines(self) -> int:
        """Lines that have begun."""
        line, first = self._next
        return line - first

    def extend(self, *, ended: bool, upto: int | None = None) -> None:
        """Take in what has come since, or no more than `upto`. What may grow waits, unless it `ended`."""
        while upto is None or self.done < upto:
            size = self.spool.size
            data = self.spool.read(self.done, _READ)
            if not data:
                return
            rows = list(self._split(data, self.done, *self._next, ended and self.done + len(data) >= size))
            if not rows:
                return
            with self._lock:
                for number, row in enumerate(rows, self._count):
                    if number % _STEP == 0:
                        self._offsets.append(row.start)
                        self._lines.append(row.line if row.first else -row.line)
                last = rows[-1]
                over = data[last.end - self.done : last.end - self.done + 1] == b"\n"
                broken = last.end - self.done < len(data) and not over  # the line goes on in the next row
                self._next = (last.line, False) if broken else (last.line + 1, True)
                self._blocks.pop(self._count // _STEP, None)
                self._count += len(rows)
                self.done = last.end + over

    def _split(self, data: bytes, base: int, line: int, first: bool, whole: bool) -> Iterator[Row]:
        """The rows of `data`, which lies at `base` and begins with a row; `whole`: it ends with one, too."""
        at = 0
        while at < len(data):
            newline = data.find(b"\n", at)
            stop = newline if newline >= 0 else len(data)
            cut = self._fit(data, at, stop)
            # where the data ends a character may be cut, and more may fit into the row
            if newline < 0 and not whole and stop - cut < 8:
                return
            yield Row(base + at, base + cut, line, first)
            first = cut == stop
            line += first
            at = cut + (cut == newline)

    def _fit(self, data: bytes, at: int, stop: int) -> int:
        """Where a row that starts at `at` ends."""
        limit = self.limit
        if (stop - at) * _WIDEST <= limit:
            return stop
        end = min(at + limit, stop)
        if not data[at:end].translate(None, _PLAIN):
            return end
        end = min(at + limit * 8, stop)  # what takes no cells must end, too
        if end < stop:
            end -= next((back for back in range(4) if data[end - back] & 0xC0 != 0x80), 0)
        text = data[at:end].decode("utf-8", "surrogateescape")
        cells = 0
        for place, character in enumerate(text):
            cells += TAB - cells % TAB if character == "\t" else _width(character)
            if cells > limit:
                return at + len(text[:place].encode("utf-8", "surrogateescape"))
        return end

    # -- asking -----------------------------------------------------------------------------------

    def __getitem__(self, number: int) -> Row:
        block = number // _STEP
        with self._lock:
            rows = self._blocks.get(block)
            if rows is None:
                if not 0 <= number < self._count:
                    raise IndexError(number)
                start, line = self._offsets[block], self._lines[block]
                end = self._offsets[block + 1] if block + 1 < len(self._offsets) else self.done
                data = self.spool.read(start, end - start)
                rows = self._blocks[block] = list(self._split(data, start, abs(line), line > 0, True))
                while len(self._blocks) > _KEPT:
                    self._blocks.popitem(last=False)
            return rows[number % _STEP]

    def text(self, row: Row) -> str:
        """What a row has, bytes that are no UTF-8 as surrogates."""
        return self.spool.read(row.start, row.end - row.start).decode("utf-8", "surrogateescape")

    def at(self, offset: int) -> int:
        """The number of the row that has a byte of the text; the last row for one beyond."""
        return self._find(bisect_right(self._offsets, offset), lambda row: row.start <= offset)

    def of_line(self, line: int) -> int:
        """The number of the row that a line begins with; the last line's for one beyond."""
        line = min(line, self.lines)
        block = bisect_left(self._lines, line, key=abs)
        if block < len(self._lines) and self._lines[block] == line:
            return block * _STEP
        return self._find(block, lambda row: row.line < line or (row.line == line and row.first))

    def _find(self, block: int, before: Callable[[Row], bool]) -> int:
        """The last row of the block before `block` of which `before` is true."""
        first = max(block - 1, 0) * _STEP
        found = first
        for number in range(first, min(first + _STEP, self._count)):
            if before(self[number]):
                found = number
        return found
