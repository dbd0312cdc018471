"""Rectangles by weight on a grid of terminal cells: a squarified treemap (Bruls, Huizing, van Wijk, 2000).

The rectangles are laid out in fractions of cells, and every edge is then rounded by itself. Neighbours
share an edge, so the rounded rectangles neither overlap nor leave a gap, and no edge is more than half a
cell from where it belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_TALL = 2.0  # how much higher than wide a cell is


class Rect(NamedTuple):
    """A rectangle in cells, its corner relative to that of the area."""

    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    def holds(self, x: int, y: int) -> bool:
        """Whether a cell is in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


class Tiling(NamedTuple):
    """`shown` are the rectangles of the first items; `rest` is that of all others together, if there are.

    `scaled` is False where the rest is drawn smaller than it is, so that anything else is seen.
    """

    shown: Sequence[Rect]
    rest: Rect | None
    scaled: bool = True


def tile(
    weights: Sequence[int], width: int, height: int, least: tuple[int, int] = (1, 1), more: int = 0
) -> Tiling:
    """Tile an area of cells by weights above 0, the largest first; `more` is the weight of all after these.

    No rectangle is narrower or lower than `least` (columns, rows): the items that would be are put together
    into the rest. Where that is too small itself, it is a strip along an edge. Where no item is large enough,
    the first ones share nearly all of the area. An area that is less than `least` is all rest.
    """
    columns, lines = least
    if not weights:
        return Tiling((), None)
    if width < columns or height < lines:
        return Tiling((), Rect(0, 0, width, height))
    count = min(len(weights), width * height // (columns * lines))
    left = more + sum(weights[count:])
    while count:
        rects = squarify([*weights[:count], *([left] if left else [])], width, height)
        small = _first_small(rects, least)
        if small is None:
            return Tiling(rects[:count], rects[count] if left else None)
        if small == count and (strip := _strip(width, height, least)):
            along = width - strip.width, height
            rects = squarify(weights[:count], *(along if strip.x else (width, height - strip.height)))
            small = _first_small(rects, least)
            if small is None:
                return Tiling(rects, strip)
        fewer = min(small, count - 1)
        left += sum(weights[fewer:count])
        count = fewer
    return _unscaled(weights, width, height, least)


def _strip(width: int, height: int, least: tuple[int, int]) -> Rect | None:
    """The smallest strip along an edge that leaves anything of the area."""
    columns, lines = least
    found = [Rect(0, height - lines, width, lines)] if height > lines else []
    found += [Rect(width - columns, 0, columns, height)] if width > columns else []
    return min(found, key=lambda strip: strip.area, default=None)


def _first_small(rects: Sequence[Rect], least: tuple[int, int]) -> int | None:
    """The number of the first rectangle that is narrower or lower than it may be."""
    small = (number for number, rect in enumerate(rects) if rect.width < least[0] or rect.height < least[1])
    return next(small, None)


def _unscaled(weights: Sequence[int], width: int, height: int, least: tuple[int, int]) -> Tiling:
    """The first of many small items, and the rest in a tenth of the area or as little more as is needed."""
    columns, lines = least
    for others in (9, 3, 1):
        count = min(len(weights), width * height // (2 * columns * lines))
        while count:
            rects = squarify([*weights[:count], sum(weights[:count]) / others], width, height)
            if _first_small(rects, least) is None:
                return Tiling(rects[:count], rects[count], scaled=False)
            count = count * 4 // 5
    return Tiling((), Rect(0, 0, width, height), scaled=False)


def squarify(weights: Sequence[float], width: int, height: int) -> list[Rect]:
    """A rectangle for each weight, as near to squares as it goes; small ones may have no cells."""
    scale = width * height * _TALL / sum(weights) if weights else 0
    left, top, right, bottom = 0.0, 0.0, float(width), height * _TALL
    rects: list[Rect] = []
    start = 0
    while start < len(weights):
        across = right - left >= bottom - top  # the row stands upright, at the left
        side = bottom - top if across else right - left
        end = _row(weights, start, scale, side)
        area = sum(weights[start:end])
        last = end == len(weights)
        if across:
            edge = right if last or not side else min(left + area * scale / side, right)
        else:
            edge = bottom if last or not side else min(top + area * scale / side, bottom)
        done, near = 0.0, top if across else left
        for item in range(start, end):
            done += weights[item]
            far = (top if across else left) + side * done / area
            if item == end - 1:
                far = bottom if across else right
            rects.append(_rounded(left, near, edge, far) if across else _rounded(near, top, far, edge))
            near = far
        left, top = (edge, top) if across else (left, edge)
        start = end
    return rects


def _row(weights: Sequence[float], start: int, scale: float, side: float) -> int:
    """The end of the items that together make the best row along a side."""
    area, worst = 0.0, float("inf")
    most = weights[start] * scale
    for end in range(start, len(weights)):
        least = weights[end] * scale
        area += least
        shape = max(side * side * max(most, least) / (area * area), area * area / (side * side * least or 1))
        if shape > worst:
            return end
        worst = shape
    return len(weights)


def _rounded(left: float, top: float, right: float, bottom: float) -> Rect:
    x, y = round(left), round(top / _TALL)
    return Rect(x, y, round(right) - x, round(bottom / _TALL) - y)
