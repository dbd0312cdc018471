"""When layers were made, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.images.ancestry import build
from imgscope.images.model import History, Image, Layer
from imgscope.images.timeline import Timeline, timeline


def image(name: str, dates: Sequence[str | None], diff_ids: str, label: str = "") -> Image:
    steps = [
        History(date, f"RUN {diff_id}", "", False) for date, diff_id in zip(dates, diff_ids, strict=True)
    ]
    layers = tuple(
        Layer(number, f"sha256:{diff_id}", history=step)
        for number, (diff_id, step) in enumerate(zip(diff_ids, steps, strict=True), 1)
    )
    config = {"Labels": {"org.opencontainers.image.base.name": label}} if label else {}
    return Image(id=f"sha256:{name}", references=(name,), layers=layers, history=tuple(steps), config=config)


def told(found: Timeline) -> list[tuple[float | None, float | None]]:
    """Days since the layer before, and place."""
    return [
        (None if moment.since is None else moment.since / timedelta(days=1), moment.place)
        for moment in found.moments
    ]


def test_layers_are_told_in_order_with_the_time_between() -> None:
    found = timeline(
        image("a", ["2024-01-01T00:00:00Z", "2024-01-04T00:00:00Z", "2024-01-05T00:00:00Z"], "abc")
    )
    assert told(found) == [(None, 0.0), (3.0, 0.75), (1.0, 1.0)]
    assert found.ends is not None
    assert [end.day for end in found.ends] == [1, 5]
    assert (found.undated, found.origins, found.base) == (0, (), "")


@pytest.mark.parametrize("date", [None, "", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon"])
def test_what_has_no_date_is_told_and_counts_for_nothing(date: str | None) -> None:
    found = timeline(image("a", ["2024-01-01T00:00:00Z", date, "2024-01-03T00:00:00Z"], "abc"))
    assert told(found) == [(None, 0.0), (None, None), (2.0, 1.0)]
    assert found.undated == 1


def test_no_dates_have_no_ends() -> None:
    found = timeline(image("a", [None, None], "ab"))
    assert (found.undated, found.ends, told(found)) == (2, None, [(None, None)] * 2)
    assert timeline(image("a", [], "")) == Timeline(())


def test_a_younger_layer_below_is_earlier() -> None:
    """A step from a build cache, or a clock that went wrong."""
    found = timeline(image("a", ["2024-01-03T00:00:00Z", "2024-01-01T00:00:00Z"], "ab"))
    assert told(found) == [(None, 1.0), (-2.0, 0.0)]


def test_one_moment_is_one_place() -> None:
    found = timeline(image("a", ["2024-01-03T01:00:00+01:00", "2024-01-03T00:00:00Z"], "ab"))
    assert told(found) == [(None, 0.0), (0.0, 0.0)]


def test_the_bases_are_named_and_how_much_older_they_are() -> None:
    dates = ["2024-01-01T00:00:00Z", "2024-01-21T00:00:00Z", None, "2024-01-22T00:00:00Z"]
    images = [image("debian", dates[:1], "a"), image("ruby", dates[:3], "abc"), image("app", dates, "abcd")]
    found = timeline(images[2], build(images))
    assert [(origin.name, origin.last, origin.older) for origin in found.origins] == [
        ("debian", 1, timedelta(days=20)),
        ("ruby", 3, timedelta(days=1)),
        ("app", 4, None),
    ]
    assert timeline(images[0], build(images)).origins == ()


def test_a_base_without_dates_is_of_no_age() -> None:
    images = [image("base", [None], "a"), image("app", [None, "2024-01-22T00:00:00Z"], "ab")]
    assert [origin.older for origin in timeline(images[1], build(images)).origins] == [None, None]


def test_a_base_that_only_a_label_tells() -> None:
    one = image("app", ["2024-01-22T00:00:00Z"], "a", label="debian:bookworm")
    found = timeline(one, build([one]))
    assert (found.base, found.origins) == ("debian:bookworm", ())


@given(
    st.lists(
        st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year > 1970)),
        max_size=8,
    )
)
def test_places_keep_the_order_of_dates(dates: list[datetime | None]) -> None:
    texts = [date.isoformat() if date else None for date in dates]
    moments = [
        moment for moment in timeline(image("a", texts, "abcdefgh"[: len(dates)])).moments if moment.created
    ]
    assert len(moments) == sum(date is not None for date in dates)
    assert all(moment.place is not None and 0 <= moment.place <= 1 for moment in moments)
    by_date = sorted(moments, key=lambda moment: str(moment.created))
    places = [moment.place or 0 for moment in by_date]
    assert places == sorted(places)
