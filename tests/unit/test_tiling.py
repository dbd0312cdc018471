"""Rectangles on a grid: they tile the area exactly, and are as large as their weights say."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from imgscope.ui.tiling import Rect, Tiling, squarify, tile

_WEIGHTS = st.lists(st.one_of(st.integers(1, 100), st.integers(1, 10**12)), min_size=1, max_size=60).map(
    lambda found: sorted(found, reverse=True)
)
_SIDES = st.tuples(st.integers(1, 70), st.integers(1, 40))


def cells(rects: Sequence[Rect], width: int, height: int) -> list[int]:
    """How many rectangles hold each cell of the area; raises for a rectangle that leaves it."""
    counts = [0] * (width * height)
    for x, y, wide, high in rects:
        assert x >= 0 <= y
        assert wide >= 0 <= high
        assert x + wide <= width
        assert y + high <= height
        for row in range(y, y + high):
            for column in range(x, x + wide):
                counts[row * width + column] += 1
    return counts


def every(tiling: Tiling) -> list[Rect]:
    return [*tiling.shown, *([tiling.rest] if tiling.rest else [])]


@given(_WEIGHTS, _SIDES)
def test_each_cell_is_in_one_rectangle(weights: list[int], sides: tuple[int, int]) -> None:
    width, height = sides
    assert set(cells(squarify(weights, width, height), width, height)) == {1}
    assert set(cells(every(tile(weights, width, height)), width, height)) == {1}


@given(_WEIGHTS, _SIDES)
def test_areas_are_the_weights_but_for_the_rounding_of_edges(
    weights: list[int], sides: tuple[int, int]
) -> None:
    """An edge moves by half a cell at most: two opposite ones change a side by one."""
    width, height = sides
    for weight, rect in zip(weights, squarify(weights, width, height), strict=True):
        wanted = weight * width * height / sum(weights)
        assert (rect.width - 1) * (rect.height - 1) <= wanted + 1e-6 or not rect.area
        assert wanted <= (rect.width + 1) * (rect.height + 1) + 1e-6


@given(_WEIGHTS, _SIDES, st.tuples(st.integers(1, 6), st.integers(1, 3)))
def test_what_is_too_small_is_in_the_rest(
    weights: list[int], sides: tuple[int, int], least: tuple[int, int]
) -> None:
    width, height = sides
    tiling = tile(weights, width, height, least)
    assert (tiling.rest is not None) == (len(tiling.shown) < len(weights))
    assert set(cells(every(tiling), width, height)) == {1}
    if tiling.shown:
        assert all(rect.width >= least[0] and rect.height >= least[1] for rect in every(tiling))


@given(_WEIGHTS, st.tuples(st.integers(20, 70), st.integers(10, 40)))
def test_the_rest_is_no_larger_than_it_must_be(weights: list[int], sides: tuple[int, int]) -> None:
    """As large as its weight but for the rounding of edges, or a strip of one line or column."""
    width, height = sides
    tiling = tile(weights, width, height)
    if tiling.rest is not None and tiling.scaled:
        part = sum(weights[len(tiling.shown) :]) * width * height / sum(weights)
        rounded = (tiling.rest.width - 1) * (tiling.rest.height - 1) <= part + 1e-6
        assert rounded or tiling.rest.area == min(sides)


def test_one_is_all() -> None:
    assert tile([7], 10, 4) == Tiling([Rect(0, 0, 10, 4)], None)
    assert tile([], 10, 4) == Tiling((), None)


def test_cells_are_higher_than_wide() -> None:
    """Four equal ones are squares on the screen, not in cells."""
    assert tile([1, 1, 1, 1], 40, 10).shown == [
        Rect(0, 0, 20, 5),
        Rect(0, 5, 20, 5),
        Rect(20, 0, 20, 5),
        Rect(20, 5, 20, 5),
    ]


def test_a_giant_leaves_room_for_the_dwarfs() -> None:
    tiling = tile([10**9, *[1] * 1000], 80, 20)
    assert len(tiling.shown) == 1
    assert tiling.rest == Rect(79, 0, 1, 20)
    assert tile([10**9, *[1] * 1000], 80, 20, (6, 1)).rest == Rect(0, 19, 80, 1)


def test_of_many_equals_the_first_are_drawn() -> None:
    """To scale there would be nothing to see."""
    tiling = tile([5] * 4000, 100, 30, (4, 2), more=5 * 296_000)
    assert 30 < len(tiling.shown) < 375
    assert not tiling.scaled
    assert tiling.rest is not None
    assert tiling.rest.area < 100 * 30 / 4
    assert set(cells(every(tiling), 100, 30)) == {1}


def test_what_is_beyond_the_weights_is_in_the_rest() -> None:
    tiling = tile([30, 30], 40, 10, more=40)
    assert tiling.scaled
    assert [rect.area for rect in every(tiling)] == [120, 120, 160]


def test_an_area_too_small_for_any_is_all_rest() -> None:
    assert every(tile([3, 2], 3, 5, (4, 2))) == [Rect(0, 0, 3, 5)]
    assert every(tile([3, 2], 4, 2, (4, 2))) == [Rect(0, 0, 4, 2)]


def test_steep_weights() -> None:
    """Rows in rows in rows, as many as there are."""
    weights = [round(10**15 * 0.98**number) for number in range(1500)]
    assert len(tile(weights, 80, 20).shown) > 50
