"""What an image was built on, and which layers others have too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.images.ancestry import build
from imgscope.images.base import Base, base_of, shared_layers
from imgscope.images.model import Image
from tests.unit.test_ancestry import image

NAME, DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"


def found(subject: Image, *others: Image) -> Base | None:
    return base_of(subject, build([subject, *others]))


def labelled(subject: Image, labels: object) -> Image:
    return replace(subject, config={"Labels": labels})


def test_the_nearest_image_with_fewer_layers() -> None:
    assert found(image("c", "1234"), image("a", "1"), image("b", "123")) == Base("b:latest", 3, 3)


def test_an_image_of_the_same_layers_is_no_base_but_what_it_stands_on() -> None:
    child = image("c", "12", "12x")
    assert found(child, image("b", "12"), image("a", "1")) == Base("a:latest", 1, 1)
    assert found(child, image("b", "12")) is None


def test_layers_in_common_are_no_base_without_an_image() -> None:
    assert found(image("c", "12"), image("d", "13")) is None
    assert found(image("c", "123"), image("d", "124"), image("a", "1")) == Base("a:latest", 1, 1)


def test_an_image_of_no_layers_is_no_base() -> None:
    assert found(image("c", "1", "xy"), image("a", "", "x")) is None


def test_a_base_without_a_name_is_called_by_its_id() -> None:
    assert found(image("c", "12"), image("sha256:0123456789abcdef", "1", tag=False)) == Base(
        "0123456789ab", 1, 1
    )


def test_images_that_are_as_good_are_named_together() -> None:
    first, second = image("a", "1", "x"), image("b", "1", "yz")
    assert found(image("c", "12", "q"), second, first) == Base("a:latest or b:latest", 1, 1)


def test_a_label_chooses_among_the_names_of_the_base() -> None:
    base = replace(image("a", "1"), references=("a:1", "ruby:3"))
    child = image("c", "12")
    assert found(child, base) == Base("a:1", 1, 1)
    assert found(labelled(child, {NAME: "docker.io/library/ruby:3"}), base) == Base("ruby:3", 1, 1)


def test_labels_tell_where_the_images_do_not() -> None:
    base = found(labelled(image("c", "12"), {NAME: "ruby:3", DIGEST: "sha256:12"}))
    assert base == Base("ruby:3")
    assert base is not None
    assert base.by_label


def test_labels_that_came_from_the_base_do_not_win() -> None:
    child = labelled(image("c", "12"), {NAME: "scratch-of-old"})
    assert found(child, image("a", "1")) == Base("a:latest", 1, 1)


@pytest.mark.parametrize("known", [{"manifest_digest": "sha256:77"}, {"digests": ("a@sha256:77",)}])
def test_a_digest_finds_the_name_of_an_image_that_is_here(known: dict[str, Any]) -> None:
    """As of one whose layers were squashed."""
    child = labelled(image("c", "12"), {DIGEST: "sha256:77"})
    assert found(child, replace(image("a", "9"), **known)) == Base("a:latest")


def test_a_digest_alone_is_shown_short() -> None:
    assert found(labelled(image("c", "12"), {DIGEST: "sha256:0123456789abcdef"})) == Base("0123456789ab")


@pytest.mark.parametrize("labels", [None, [], "x", {NAME: 3}, {NAME: ""}, {DIGEST: None}, {DIGEST: [1]}])
def test_labels_may_be_anything(labels: object) -> None:
    assert found(labelled(image("c", "12"), labels)) is None


stacks = st.lists(st.text("ab", max_size=4), max_size=6)


@given(st.text("ab", max_size=4), stacks)
def test_shared_layers_are_the_longest_common_start(layers: str, others: list[str]) -> None:
    subject = image("subject", layers)
    images = [subject, *(image(f"i{number}", other) for number, other in enumerate(others))]
    expected = max(
        (
            count
            for count in range(len(layers) + 1)
            for other in others
            if len(other) >= count and other[:count] == layers[:count]
        ),
        default=0,
    )
    assert shared_layers(subject, images) == expected


@given(stacks)
def test_a_base_holds_the_first_layers(others: list[str]) -> None:
    images = [image(f"i{number}", other) for number, other in enumerate(others)]
    forest = build(images)
    for subject in images:
        base = base_of(subject, forest)
        shorter = [
            len(other.layers)
            for other in images
            if 0 < len(other.layers) < len(subject.layers)
            and subject.diff_ids[: len(other.layers)] == other.diff_ids
        ]
        assert (base.layers if base else 0) == max(shorter, default=0)
