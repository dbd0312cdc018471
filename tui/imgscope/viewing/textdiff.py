"""Two texts, line by line, as a unified diff. Bounded in time for any two texts.

Lines that both have once hold the diff together (as in patience diff), difflib finds what lies between them.
Where that would take too long, all of one is given as replaced by all of the other: it is still a diff.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from imgscope.job import Job

CONTEXT = 3
_BUDGET = 1_500_000  # pairs of lines that difflib may look at in all
_GAP = 250_000  # … and at once


class Change(NamedTuple):
    """A line of a diff. `sign` is + for a line of the new text, - of the old one, " " of both, @ for a head.

    `old` and `new` are its numbers (from 1) in the texts that have it, else 0.
    """

    sign: str
    text: bytes
    old: int = 0
    new: int = 0


class Blocks(NamedTuple):
    """Lines [old, old + size) of one text are lines [new, new + size) of the other."""

    old: int
    new: int
    size: int


def unified(old: Sequence[bytes], new: Sequence[bytes], job: Job | None = None) -> list[Change]:
    """The diff of two texts, given as lines, with some lines around each change; empty where they are equal.

    Raises `CancelledError`.
    """
    changes = list(_changes(old, new, same_lines(old, new, job or Job())))
    near = bytearray(len(changes))
    for place, change in enumerate(changes):
        if change.sign != " ":
            start = max(place - CONTEXT, 0)
            near[start : place + CONTEXT + 1] = b"\1" * len(near[start : place + CONTEXT + 1])
    found: list[Change] = []
    place = near.find(1)
    while place >= 0:
        end = near.find(0, place)
        end = end if end >= 0 else len(changes)
        hunk = changes[place:end]
        columns = [item.old for item in hunk if item.old], [item.new for item in hunk if item.new]
        spans = [f"{lines[0] if lines else 0},{len(lines)}" for lines in columns]
        found.append(Change("@", f"@@ -{spans[0]} +{spans[1]} @@".encode()))
        found += hunk
        place = near.find(1, end)
    return found


def _changes(old: Sequence[bytes], new: Sequence[bytes], blocks: Sequence[Blocks]) -> Iterator[Change]:
    """All lines of both texts, in order."""
    at, to = 0, 0
    for block in (*blocks, Blocks(len(old), len(new), 0)):
        yield from (Change("-", old[line], line + 1, 0) for line in range(at, block.old))
        yield from (Change("+", new[line], 0, line + 1) for line in range(to, block.new))
        at, to = block.old + block.size, block.new + block.size
        yield from (
            Change(" ", old[block.old + line], block.old + line + 1, block.new + line + 1)
            for line in range(block.size)
        )


def same_lines(old: Sequence[bytes], new: Sequence[bytes], job: Job) -> list[Blocks]:
    """What two texts have in common, in the order of both."""
    # numbers are compared faster than lines
    numbers: dict[bytes, int] = {}
    one = [numbers.setdefault(line, len(numbers)) for line in old]
    two = [numbers.setdefault(line, len(numbers)) for line in new]
    found: list[Blocks] = []
    budget, work = _BUDGET, 50 * (len(one) + len(two))
    stack = [(0, len(one), 0, len(two))]
    while stack:
        job.check()
        a, a_end, b, b_end = stack.pop()
        x, y = a, b
        while a < a_end and b < b_end and one[a] == two[b]:
            a, b = a + 1, b + 1
        found.append(Blocks(x, y, a - x))
        x = a_end
        while a < a_end and b < b_end and one[a_end - 1] == two[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
        found.append(Blocks(a_end, b_end, x - a_end))
        if a == a_end or b == b_end:
            continue
        work -= a_end - a + b_end - b
        if work > 0 and (anchors := _anchors(one[a:a_end], two[b:b_end])):
            found += [Blocks(a + x, b + y, 1) for x, y in anchors]
            edges = [(-1, -1), *anchors, (a_end - a, b_end - b)]
            stack += [(a + x + 1, a + to, b + y + 1, b + end) for (x, y), (to, end) in pairwise(edges)]
        else:
            pairs = (a_end - a) * (b_end - b)
            if pairs <= min(_GAP, budget):
                budget -= pairs
                matcher = SequenceMatcher(None, one[a:a_end], two[b:b_end], autojunk=False)
                found += [Blocks(a + x, b + y, size) for x, y, size in matcher.get_matching_blocks()]
    return sorted(block for block in found if block.size)


def _anchors(one: Sequence[int], two: Sequence[int]) -> list[tuple[int, int]]:
    """Places of the lines that stand once in each: as many as have the same order in both."""
    mine, theirs = Counter(one), Counter(two)
    places = {line: place for place, line in enumerate(two) if theirs[line] == 1}
    pairs = [(x, places[line]) for x, line in enumerate(one) if mine[line] == 1 and line in places]
    # the longest rising run of the second places (patience sorting)
    tops: list[int] = []
    piles: list[int] = []  # the pair on top of each pile
    before: list[int] = []
    for number, (_, y) in enumerate(pairs):
        pile = bisect_left(tops, y)
        before.append(piles[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [y]
        piles[pile : pile + 1] = [number]
    found: list[tuple[int, int]] = []
    number = piles[-1] if piles else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]
