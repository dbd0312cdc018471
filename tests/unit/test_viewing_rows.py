"""Rows of a text: what a plain reading of its lines says, however the bytes come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imgscope.viewing.content import Spool
from imgscope.viewing.preview import Encoding
from imgscope.viewing.rows import Row, Rows, Utf8, width

LETTERS = st.sampled_from(list("ab \t\r\x1b\x00é漢🐳\u0301\u202e\x85"))
LINES = st.text(LETTERS, max_size=120).map(str.encode) | st.binary(max_size=60)
TEXTS = st.lists(LINES, max_size=90).map(b"\n".join)


def read(text: bytes, limit: int, pieces: list[int]) -> Rows:
    """The rows of a text that comes in pieces."""
    rows = Rows(Spool(), limit)
    for size in pieces:
        rows.spool.append(text[rows.spool.size :][:size])
        rows.extend(ended=False)
    rows.spool.append(text[rows.spool.size :])
    rows.extend(ended=True)
    return rows


def whole(text: bytes, rows: Rows) -> list[list[bytes]]:
    """The lines, each as the pieces that its rows have."""
    lines: list[list[bytes]] = []
    for number in range(len(rows)):
        row = rows[number]
        if row.first:
            lines.append([])
        assert row.line == len(lines)
        lines[-1].append(text[row.start : row.end])
    return lines


@given(TEXTS, st.integers(16, 60), st.lists(st.integers(0, 400), max_size=6))
def test_rows_are_the_lines_cut(text: bytes, limit: int, pieces: list[int]) -> None:
    rows = read(text, limit, pieces)
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert [b"".join(parts) for parts in whole(text, rows)] == lines
    assert rows.lines == len(lines)
    assert rows.done == len(text)
    for number in range(len(rows)):
        assert width(rows.text(rows[number])) <= limit


@given(TEXTS, st.integers(16, 60), st.lists(st.integers(0, 400), max_size=6))
def test_rows_are_the_same_however_the_bytes_come(text: bytes, limit: int, pieces: list[int]) -> None:
    one, other = read(text, limit, pieces), read(text, limit, [])
    assert [one[number] for number in range(len(one))] == [other[number] for number in range(len(other))]


@given(TEXTS, st.integers(16, 60), st.data())
def test_rows_are_found_by_offset_and_by_line(text: bytes, limit: int, data: st.DataObject) -> None:
    rows = read(text, limit, [])
    if not len(rows):
        return
    offset = data.draw(st.integers(0, max(len(text) - 1, 0)))
    starts = [rows[number].start for number in range(len(rows))]
    assert rows.at(offset) == max(number for number, start in enumerate(starts) if start <= offset)
    line = data.draw(st.integers(1, rows.lines))
    found = rows[rows.of_line(line)]
    assert (found.line, found.first) == (line, True)
    assert rows.of_line(rows.lines + 9) == rows.of_line(rows.lines)


def test_a_line_without_end_is_shown_in_pieces_before_it_ended() -> None:
    rows = Rows(Spool(b"x" * 1_000_000), 1000)
    rows.extend(ended=False)
    assert len(rows) == 999
    assert rows[500] == Row(500_000, 501_000, 1, False)
    rows.extend(ended=True)
    assert len(rows) == 1000


def test_what_takes_no_cells_comes_to_an_end() -> None:
    text = ("a" + "\u0301" * 50_000).encode()
    rows = read(text, 20, [])
    assert max(rows[number].end - rows[number].start for number in range(len(rows))) <= 160


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.sampled_from(list(Encoding)))
def test_encodings_come_as_utf8(text: str, encoding: Encoding) -> None:
    text = text.removeprefix("\ufeff")
    mark = "\ufeff" if encoding in (Encoding.UTF16_LE, Encoding.UTF16_BE) else ""
    if encoding == Encoding.LATIN1:
        text = text.encode("latin-1", "replace").decode("latin-1")
    data = (mark + text).encode(encoding.value)
    raw = Spool()
    utf8 = Utf8(raw, encoding)
    for start in range(0, len(data), 3):
        raw.append(data[start : start + 3])
        utf8.extend()
    assert utf8.spool.read(0, 1000).decode() == text


@given(st.text(st.sampled_from(list("abé漢🐳ñЖ")), max_size=30))
def test_widths_are_those_of_the_terminal(text: str) -> None:
    assert width(text) == cell_len(text)
