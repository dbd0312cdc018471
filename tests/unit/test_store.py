"""The model of how an engine removes images, rule by rule (moby `daemon/images/image_delete.go`)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.actions.inventory import CacheRecord, Container, Inventory
from imgscope.actions.store import ImageStore
from imgscope.images.model import History, Image, Layer, chain_ids

DIGEST = "@sha256:" + "d" * 64


def image(number: int, *references: str, layers: str = "b", parent: int | None = None) -> Image:
    """An image of which each layer is a letter: `A` has 1 byte, `B` 2, `C` 4, by BuildKit where lowercase."""
    return Image(
        id=_id(number),
        references=tuple(name for name in references if "@" not in name),
        digests=tuple(name for name in references if "@" in name),
        layers=tuple(_layer(index, letter) for index, letter in enumerate(layers, 1)),
        parent=None if parent is None else _id(parent),
    )


def _id(number: int) -> str:
    return f"sha256:{number:08x}{'0' * 56}"


def _size(letter: str) -> int:
    return 1 << ord(letter.upper()) - ord("A")


def _layer(index: int, letter: str) -> Layer:
    history = History(
        "2024-01-01T00:00:00Z",
        f"RUN /bin/sh -c {letter} # buildkit" if letter.islower() else letter,
        "buildkit.dockerfile.v0" if letter.islower() else "",
        empty_layer=False,
    )
    return Layer(index, f"sha256:{letter.encode().hex():0>64}", size=_size(letter), history=history)


def container(name: str, number: int, state: str = "exited", layers: str = "") -> Container:
    chains = chain_ids([_layer(1, letter).diff_id for letter in layers])
    return Container(name, name, _id(number), state, chains=tuple(chains))


def record(name: str, below: str = "", *, shared: bool = True, size: int | None = None) -> CacheRecord:
    """A record of the build cache: of a RUN by its letter (lowercase), or of a layer of a base."""
    letter = name[0]
    step = f"mount / from exec /bin/sh -c {letter}" if letter.islower() else "from local "
    bytes_ = (_size(letter) if letter.islower() else 0) if size is None else size
    return CacheRecord(name, (below,) if below else (), "regular", step, bytes_, in_use=False, shared=shared)


def store(*things: Image | Container | CacheRecord, containerd: bool = False) -> ImageStore:
    return ImageStore(
        Inventory(
            images=tuple(item for item in things if isinstance(item, Image)),
            containers=tuple(item for item in things if isinstance(item, Container)),
            cache=tuple(item for item in things if isinstance(item, CacheRecord)),
            containerd=containerd,
        )
    )


# -- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a", "a:latest"),
        ("docker.io/library/a:latest", "a:latest"),
        ("beef:1", "beef:1"),
        ("0000beef", None),
        ("sha256:0000beef", None),
        ("0000be", None),
    ],
)
def test_found_by_name_before_id(name: str, found: str | None) -> None:
    assert store(image(0xBEEF, "a:latest", "beef:1")).find(name) == (_id(0xBEEF), found)


@pytest.mark.parametrize("name", ["0000", "000", "b", "sha256:", "0000beefg", ""])
def test_not_found(name: str) -> None:
    images = store(image(0xBEEF, "a:1"), image(0xBEEE, "a:2"))
    assert images.find(name) is None
    with pytest.raises(KeyError):
        images.remove(name)


def test_digests_go_with_the_last_tag_of_their_repository() -> None:
    images = store(image(1, "a:1", "a:2", "b:1", f"a{DIGEST}", f"b{DIGEST}"))
    assert images.remove("a:1").untagged == ["a:1"]
    assert images.remove("a:2").untagged == ["a:2", f"a{DIGEST}"]
    removal = images.remove("b:1")
    assert (removal.untagged, removal.deleted) == (["b:1", f"b{DIGEST}"], [_id(1)])


def test_a_digest_takes_no_other_along() -> None:
    images = store(image(1, f"a{DIGEST}", f"b{DIGEST}"))
    assert images.remove(f"a{DIGEST}").untagged == [f"a{DIGEST}"]
    assert images.references(_id(1)) == [f"b{DIGEST}"]


@pytest.mark.parametrize(
    ("names", "single"),
    [
        (["a:1"], True),
        (["a:1", f"a{DIGEST}"], True),
        ([f"a{DIGEST}"], True),
        ([], True),
        (["a:1", "a:2"], False),
        (["a:1", f"b{DIGEST}"], False),
        ([f"a{DIGEST}", f"b{DIGEST}"], False),
    ],
)
def test_an_id_takes_all_names_of_one_repository(names: list[str], single: bool) -> None:
    removal = store(image(1, *names)).remove(_id(1))
    assert bool(removal.deleted) is single
    assert [item.id for item in removal.blocked_by] == ([] if single else names)
    forced = store(image(1, *names)).remove(_id(1), force=True)
    assert (forced.deleted, forced.untagged) == ([_id(1)], names)


# -- what stands in the way -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a:1", "00000001"])
@pytest.mark.parametrize(
    ("state", "force", "gone"),
    [
        ("exited", False, False),
        ("created", True, True),
        ("running", False, False),
        ("paused", True, False),
    ],
)
def test_containers(name: str, state: str, force: bool, gone: bool) -> None:
    images = store(image(1, "a:1", layers="AB"), container("c", 1, state, layers="AB"))
    removal = images.remove(name, force=force)
    assert bool(removal.deleted) is gone
    by_name_with_force = force and ":" in name
    assert [item.id for item in removal.blocked_by] == ([] if gone or by_name_with_force else ["c"])
    if by_name_with_force and not gone:  # the name goes, the image cannot
        assert (removal.untagged, [item.id for item in removal.kept]) == (["a:1"], ["c"])
    assert images.bytes == 3  # the container keeps the layers in any case


def test_a_container_is_no_matter_while_another_name_is_there() -> None:
    removal = store(image(1, "a:1", "b:1"), container("c", 1)).remove("a:1")
    assert (removal.untagged, removal.blocked_by) == (["a:1"], [])


@pytest.mark.parametrize("force", [False, True])
def test_children(force: bool) -> None:
    images = store(image(1, "a:1"), image(2, parent=1), image(3, "c:1", parent=2))
    assert [item.what for item in images.remove(_id(1), force=force).blocked_by] == [
        "image c:1 was built on it"  # by a step without a name
    ]
    removal = images.remove("a:1", force=force)
    assert (removal.untagged, removal.deleted, removal.blocked_by) == (["a:1"], [], [])
    assert images.remove("c:1").deleted == [_id(3), _id(2), _id(1)]


def test_parents_stay_that_anything_needs() -> None:
    things = (image(1), image(2, parent=1), image(3, "c:1", parent=2))
    assert store(*things).remove("c:1").deleted == [_id(3), _id(2), _id(1)]
    assert store(*things, image(4, "d:1", parent=2)).remove("c:1").deleted == [_id(3)]
    assert store(*things, container("c", 1)).remove("c:1").deleted == [_id(3), _id(2)]
    assert store(*things, container("c", 1)).remove("c:1", force=True).deleted == [_id(3), _id(2)]
    assert store(things[0], image(2, "b:1", parent=1), things[2]).remove("c:1").deleted == [_id(3)]


def test_containerd_minds_no_parents() -> None:
    images = store(image(1, "a:1"), image(2, "b:1", parent=1), containerd=True)
    assert images.remove(_id(1)).deleted == [_id(1)]
    assert images.remove("b:1").deleted == [_id(2)]


# -- bytes ------------------------------------------------------------------------------------------------


def test_only_what_nothing_holds_is_freed() -> None:
    images = store(image(1, "a:1", layers="ABC"), image(2, "b:1", layers="ABD"), image(3, layers="AB"))
    assert images.bytes == 1 + 2 + 4 + 8
    images.remove("a:1")
    assert images.bytes == 1 + 2 + 8
    images.remove("b:1")
    assert images.bytes == 1 + 2
    images.remove(_id(3))
    assert (images.bytes, images.layers) == (0, {})


def test_the_same_layer_on_another_is_another() -> None:
    """Their chain IDs differ: engines store them twice."""
    images = store(image(1, "a:1", layers="AC"), image(2, "b:1", layers="BC"))
    assert images.bytes == 1 + 4 + 2 + 4


def test_the_build_cache_holds_layers_until_it_is_pruned() -> None:
    images = store(
        image(1, "a:1", layers="ABcd"),
        *(record("A"), record("B", "A"), record("c", "B"), record("d", "c")),
        record("x", shared=False, size=100),
    )
    images.remove("a:1")
    assert images.bytes == 100 + 1 + 2 + 4 + 8
    assert images.holders()[chain_ids([_layer(1, "A").diff_id])[0]] == ["A", "B", "c", "d"]
    images.remove_cache(["d"])
    assert images.bytes == 100 + 1 + 2 + 4
    images.remove_cache(["c", "x", "B", "A"])
    assert images.bytes == 0


def test_records_are_told_apart_by_what_is_below() -> None:
    """The same step on two bases, one of them in the cache."""
    images = store(
        image(1, "a:1", layers="Ac"), image(2, "b:1", layers="ABc"), *(record("A"), record("c", "A"))
    )
    images.remove("b:1")
    assert images.bytes == 1 + 4
    images.remove("a:1")
    assert images.bytes == 1 + 4


def test_the_same_step_is_told_apart_by_time() -> None:
    first, second = image(1, "a:1", layers="Ac"), image(2, "b:1", layers="Bc")
    later = replace(second.layers[1].history or History(None, "", "", False), created="2024-01-01T10:00:00Z")
    second = replace(second, layers=(second.layers[0], replace(second.layers[1], history=later)))
    images = store(
        *(first, second, record("A")),
        replace(record("c", "A"), created="2024-01-01T09:59:59.123456789Z"),
    )
    images.remove("a:1")
    assert images.bytes == 2 + 4
    images.remove("b:1")
    assert images.bytes == 2 + 4


def test_a_base_record_that_may_be_either_is_not_placed() -> None:
    images = store(image(1, "a:1", layers="A"), image(2, "b:1", layers="B"), record("X"))
    assert [item.id for item in images.unplaced()] == ["X"]
    alone = store(image(1, "a:1", layers="A"), record("X"))
    assert alone.unplaced() == []
    alone.remove("a:1")
    assert alone.bytes == 1


def test_a_record_that_fits_nothing_is_not_placed() -> None:
    images = store(image(1, "a:1", layers="Ac"), record("A"), record("d", "A"))
    assert [item.id for item in images.unplaced()] == ["d"]


@given(
    st.lists(
        st.tuples(
            st.text("ABCabc", max_size=4), st.lists(st.sampled_from(["a:1", "a:2", "b:1"]), unique=True)
        ),
        max_size=5,
    ),
    st.lists(st.text("ABCabc", min_size=1, max_size=3), max_size=2),
    st.data(),
)
def test_bytes_are_those_of_all_stacks_that_are_left(
    made: list[tuple[str, list[str]]], held: list[str], data: st.DataObject
) -> None:
    """Against sets of prefixes, whatever is removed in whatever order."""
    taken: set[str] = set()
    things: list[Image | Container] = []
    for number, (layers, names) in enumerate(made):
        things.append(image(number, *(name for name in names if name not in taken), layers=layers))
        taken.update(names)
    # those of containers are known only where an image has them, or the inventory says so
    whole = {layers[:end] for layers, _ in made for end in range(1, len(layers) + 1)}
    held = [layers for layers in held if layers in whole]
    things += [container(f"c{number}", 99 + number, layers=layers) for number, layers in enumerate(held)]
    images = store(*things)
    stacks = {_id(number): layers for number, (layers, _) in enumerate(made)}
    while stacks:
        name = data.draw(st.sampled_from(sorted(stacks)))
        assert images.remove(name, force=True).deleted == [name]
        del stacks[name]
        left = {layers[:end] for layers in (*stacks.values(), *held) for end in range(1, len(layers) + 1)}
        assert images.bytes == sum(_size(layers[-1]) for layers in left)
