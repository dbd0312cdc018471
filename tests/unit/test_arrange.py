"""The forest in another order, and no more of it than is looked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.images.ancestry import Forest, build
from imgscope.images.arrange import arranged, finds, found, reduced, youth
from imgscope.images.model import Image
from imgscope.layers.search import Pattern
from tests.unit.test_ancestry import drawn, image

FOREST = build([image("a", "1"), image("b", "12"), image("c", "13"), image("d", "9"), image("e", "124")])


def test_the_highest_comes_first_with_what_it_stands_on() -> None:
    assert drawn(FOREST) == ["a", "  b", "    e", "  c", "d"]
    assert drawn(arranged(FOREST, {"a": 1, "b": 2, "c": 5, "d": 4, "e": 3})) == [
        "a",
        "  c",
        "  b",
        "    e",
        "d",
    ]
    assert drawn(arranged(FOREST, {"a": 1, "b": 2, "c": 3, "d": 9, "e": 5})) == [
        "d",
        "a",
        "  b",
        "    e",
        "  c",
    ]


def test_what_is_not_known_comes_last_and_equals_keep_their_order() -> None:
    assert drawn(arranged(FOREST, {"a": None, "b": None, "c": 0, "d": 1, "e": None})) == [
        "d",
        "a",
        "  c",
        "  b",
        "    e",
    ]
    assert drawn(arranged(FOREST, {})) == drawn(FOREST)


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    stacks = draw(st.lists(st.text("ab", max_size=4), max_size=8))
    return build([image(f"i{number}", stack) for number, stack in enumerate(stacks)])


@given(forests(), st.data())
def test_an_order_loses_nothing(forest: Forest, data: st.DataObject) -> None:
    figures = {key: data.draw(st.none() | st.integers(0, 3)) for key in forest.nodes}
    again = arranged(forest, figures)
    assert [node.id for node, _ in again.walk()] == list(again.nodes)
    assert sorted(again.nodes) == sorted(forest.nodes)
    for key, node in again.nodes.items():
        before = forest.nodes[key]
        assert sorted(node.children) == sorted(before.children)
        assert replace(node, children=()) == replace(before, children=())


@given(forests(), st.data())
def test_what_is_wanted_is_kept_with_its_way(forest: Forest, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.sampled_from(sorted(forest.nodes)))) if forest.nodes else set()
    less = reduced(forest, wanted)
    kept = set()
    for key in wanted:
        place: str | None = key
        while place is not None:
            kept.add(place)
            place = forest.nodes[place].place
    assert {node.id for node, _ in less.walk()} == set(less.nodes) == kept
    assert [key for key in forest.nodes if key in kept] == list(less.nodes)


NAMED = Image(
    "sha256:0123456789abcdef" + "0" * 48, ("registry.example.com:5000/team/ruby-app:3.1", "Other:x")
)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("ruby", True),
        ("RUBY", False),
        ("other", True),
        ("example", True),
        ("3.1", True),
        ("team/ru", True),
        ("team/app", False),
        ("tea/ru", False),
        ("ruby*", True),
        ("*.1", True),
        ("*ruby", False),
        ("team/ruby*", True),
        ("/team/ruby*", False),
        ("/registry*/team/ruby*", True),
        ("0123456789", True),
        ("0123456789abcdef0", True),
        ("456", True),
        ("sha256", False),
        (r"~ruby-\w+:3", True),
        ("~^ruby", False),
        ("~com.*/ruby", True),
        ("~(", False),
        ("nosuch", False),
    ],
)
def test_names_and_ids_are_found(text: str, is_found: bool) -> None:
    assert finds(Pattern(text), NAMED) is is_found


def test_what_is_found_comes_in_the_order_of_the_forest() -> None:
    assert found(FOREST, Pattern("latest")) == ["a", "b", "e", "c", "d"]
    assert found(FOREST, Pattern("e:")) == ["e"]


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("2024-01-01T00:00:00Z", 1704067200),
        ("2024-01-01T00:00:00.123456789Z", 1704067200.123456),
        ("2024-01-01T02:00:00+02:00", 1704067200),
        ("2024-01-01T00:00:00", 1704067200),
        ("1970-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_when_an_image_was_made(created: str | None, seconds: float | None) -> None:
    assert youth(Image("a", created=created)) == (seconds and pytest.approx(seconds))
