"""Bytes, ages and names as people read them; what comes from an image never reaches the terminal raw."""

from __future__ import annotations

import os
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.text import age_text, bar, clean, count_text, name_text, path_text, percent_text, size_text

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (12_345, "12.3 kB"),
        (123_456, "123 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (999_950, "1 MB"),
        (999_999_999, "1 GB"),
        (167_000_000, "167 MB"),
        (9_999_999_999_999, "10 TB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size_text(count) == text


@given(st.integers(0, 10**17))
def test_sizes_are_short_and_near(count: int) -> None:
    text = size_text(count)
    number, unit = text.split()
    assert len(text) <= 7
    assert (
        abs(float(number) * 1000 ** ("B", "kB", "MB", "GB", "TB", "PB").index(unit) - count) <= count * 0.0051
    )


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (1.0, "100%"),
        (0.99999, "99.9%"),
        (0.996, "99.6%"),
        (0.83, "83%"),
        (0.125, "12%"),
        (0.00001, "0.1%"),
        (0.0, "0%"),
    ],
)
def test_percents(part: float, text: str) -> None:
    assert percent_text(part) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_all_is_all_and_only_nothing_is_nothing(part: float) -> None:
    assert percent_text(part) not in ("0%", "0.0%", "100%", "100.0%")


@pytest.mark.parametrize(
    ("created", "text"),
    [
        ("2026-06-01T11:59:30Z", "30 s"),
        ("2026-06-01T11:59:59.999999999Z", "0 s"),
        ("2026-06-01T11:00:00Z", "1 hour"),
        ("2026-06-01T13:20:00+02:00", "40 min"),
        ("2026-05-31T12:00:00.123456789Z", "1 day"),
        ("2026-05-22T12:00:00.1Z", "9 days"),
        ("2026-05-22T12:00:00", "10 days"),
        ("2025-07-01T12:00:00Z", "11 months"),
        ("2020-01-01T00:00:00.000000000-08:00", "6 years"),
    ],
)
def test_ages(created: str, text: str) -> None:
    assert age_text(created, NOW) == text


@pytest.mark.parametrize("days", [1, 400, 100_000])
def test_the_future_is_now(days: int) -> None:
    assert age_text((NOW + timedelta(days=days)).isoformat(), NOW) == "0 s"


@pytest.mark.parametrize(
    "created",
    [
        None,
        "",
        "yesterday",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00x",
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-13-45T99:00:00Z",
        "\x1b[31m",
        "٢٠٢٦",
        "1" * 10_000,
    ],
)
def test_no_age(created: str | None) -> None:
    assert age_text(created, NOW) == "–"


@given(st.text())
def test_ages_of_anything(created: str) -> None:
    assert age_text(created, NOW)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, with spaces", "plain text, with spaces"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),  # C1: 8-bit CSI, next line
        ("gpj.\u202eexe", "gpj.\\u202eexe"),  # bidi
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("a\u200bb\u200d\ufeff\u00ad", "a\\u200bb\\u200d\\ufeff\\xad"),  # zero-width, soft hyphen
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),  # tag characters
        ("\ud800", "\\ud800"),
        (os.fsdecode(b"caf\xe9\xff"), "caf\\xe9\\xff"),
        ("e\u0301", "e\u0301"),
        ("日本語 ｆｕｌｌ", "日本語 ｆｕｌｌ"),
        ("─ é ß ∞ 🐳", "─ é ß ∞ 🐳"),
        ("[red]not markup[/]", "[red]not markup[/]"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters(codec=None)))
def test_clean_leaves_nothing_that_acts(text: str) -> None:
    shown = clean(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(shown) == shown
    shown.encode()


@given(st.binary())
def test_names_of_any_bytes(name: bytes) -> None:
    shown = name_text(name)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert path_text(name) == "/" + shown


@pytest.mark.parametrize(
    ("part", "whole", "drawn"),
    [
        (0, 10, "    "),
        (10, 10, "████"),
        (5, 10, "██  "),
        (1, 1_000_000, "▏   "),
        (1, 8, "▌   "),
        (20, 10, "████"),
        (5, 0, "    "),
        (-3, 10, "    "),
    ],
)
def test_bars(part: int, whole: int, drawn: str) -> None:
    assert bar(part, whole, 4) == drawn


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 60))
def test_bars_are_as_wide_as_told(part: int, whole: int, width: int) -> None:
    drawn = bar(part, whole, width)
    assert len(drawn) == width
    assert bool(drawn.strip()) == (part > 0 and whole > 0 and width > 0)


def test_counts() -> None:
    assert [count_text(number, "layer") for number in (0, 1, 2, 12_000)] == [
        "0 layers",
        "1 layer",
        "2 layers",
        "12,000 layers",
    ]
