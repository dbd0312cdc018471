"""Diffs: each is one that leads from the old text to the new one, and no worse than it needs to be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.errors import CancelledError
from imgscope.job import Job
from imgscope.viewing.textdiff import CONTEXT, Change, same_lines, unified

TEXTS = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b""]) | st.binary(max_size=3), max_size=40)


def patched(old: list[bytes], changes: list[Change]) -> list[bytes]:
    """What a diff makes of the old text: its lines are at the places it says."""
    new: list[bytes] = []
    at = 0
    for change in changes:
        if change.sign == "@":
            continue
        if change.sign != "+":
            new += old[at : change.old - 1]
            at = change.old
            assert old[at - 1] == change.text
        if change.sign != "-":
            new += [change.text]
            assert change.new == len(new)
    return new + old[at:]


@given(TEXTS, TEXTS)
def test_a_diff_leads_from_one_text_to_the_other(old: list[bytes], new: list[bytes]) -> None:
    changes = unified(old, new)
    assert patched(old, changes) == new
    assert (not changes) == (old == new)


@given(TEXTS, TEXTS)
def test_what_is_the_same_is_the_same(old: list[bytes], new: list[bytes]) -> None:
    at, to = 0, 0
    for block in same_lines(old, new, Job()):
        assert block.old >= at
        assert block.new >= to
        at, to = block.old + block.size, block.new + block.size
        assert old[block.old : at] == new[block.new : to]
        assert block.size


def test_a_hunk_says_where_it_is() -> None:
    old = [b"%d" % number for number in range(20)]
    new = [*old[:10], b"more", *old[11:]]
    changes = unified(old, new)
    assert changes[0] == Change("@", b"@@ -8,7 +8,7 @@")
    assert [item.sign for item in changes[1:]] == [" "] * CONTEXT + ["-", "+"] + [" "] * CONTEXT


def test_far_changes_are_hunks_of_their_own() -> None:
    old = [b"%d" % number for number in range(100)]
    new = [line + b"x" if line in (b"5", b"90") else line for line in old]
    assert [item.text for item in unified(old, new) if item.sign in "+-"] == [b"5", b"5x", b"90", b"90x"]
    assert sum(item.sign == "@" for item in unified(old, new)) == 2


def test_small_changes_in_a_large_text_of_much_that_repeats() -> None:
    """As the package manager's list: few lines tell its entries apart."""
    old = [line for number in range(30_000) for line in (b"Package: p%d" % number, b"Status: ok", b"")]
    new = [*old[:3000], b"Package: new", b"Status: ok", b"", *old[3000:60_000], *old[60_003:]]
    signs = [(item.sign, item.text) for item in unified(old, new) if item.sign in "+-"]
    assert len(signs) == 6
    assert ("+", b"Package: new") in signs


def test_texts_with_nothing_to_hold_on_to_are_a_diff_all_the_same() -> None:
    made = random.Random(1)
    old = [made.choice((b"a", b"b", b"c")) for _ in range(20_000)]
    new = [made.choice((b"a", b"b", b"c")) for _ in range(20_000)]
    assert patched(old, unified(old, new)) == new


def test_a_diff_can_be_cancelled() -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        unified([b"a"], [b"b"], job)
