"""The columns of the file tree, and its title, in as many cells as there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imgscope.layers.index import Entry, Kind
from imgscope.ui.widgets.filecolumns import SIZE, Attributes, Columns, time_text, title_text

ENTRY = Entry(b"a", Kind.FILE, 5, 0o4755, 1000, 1_000_000, 1e9, b"", None, ())


@given(st.integers(30, 300), st.sampled_from(Attributes), st.booleans())
def test_columns_fill_a_row(width: int, attributes: Attributes, by_dead: bool) -> None:
    columns = Columns.fitting(width, attributes, by_dead=by_dead)
    cells = columns.attributes(Kind.FILE, ENTRY) + columns.share(1, 2, "bar")[0]
    end = 2 * SIZE + 1 if columns.dead else SIZE + len(" dead")
    assert columns.name + cell_len(cells) + end == width
    assert columns.name >= 12
    assert cell_len(columns.head()) == width - (0 if columns.dead else len(" dead"))


def test_what_stands_in_the_columns() -> None:
    columns = Columns.fitting(150, Attributes.ALL, by_dead=False)
    assert columns.attributes(Kind.FILE, ENTRY).split() == [
        "-rwsr-xr-x",
        "1000:100…",
        "2001-09-09",
        "01:46",
    ]
    assert columns.attributes(Kind.DIRECTORY, None).strip() == ""


@pytest.mark.parametrize("seconds", [1e300, -1e300, float("inf"), float("nan"), 1e12])
def test_a_time_of_no_calendar(seconds: float) -> None:
    assert time_text(seconds) == "?"
    assert time_text(0) == "1970-01-01 00:00"


FOUND = st.builds(
    lambda text, count: f"/{text}: {count:,} match{'' if count == 1 else 'es'}",
    st.text("ab: 漢", max_size=60),
    st.integers(0, 999_999),
)


@given(
    st.lists(
        st.sampled_from(["1.67 MB", "removes 30 MB", "by size", "without removed, unchanged"]), unique=True
    ),
    st.one_of(st.just(""), FOUND),
    st.integers(25, 200),
)
def test_a_title_fits_and_tells_the_count(parts: list[str], found: str, width: int) -> None:
    title = ["files", "layer 12, changes", *parts, *([found] if found else [])]
    told = title_text(title, width)
    assert cell_len(told) <= width
    if found:
        assert (
            told.removesuffix(" matches")
            .removesuffix(" match")
            .endswith(": " + found.rpartition(": ")[2].partition(" ")[0])
        )
    if cell_len(" · ".join(title)) <= width:
        assert told == " · ".join(title)


def test_the_title_of_no_files() -> None:
    assert title_text(["files"], 30) == "files"
    assert title_text(["files"], 3) == "fi…"
