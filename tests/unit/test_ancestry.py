from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.images.ancestry import Forest, Node, build, unique_bytes
from imgscope.images.model import History, Image, Layer, Platform, chain_id

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def image(
    name: str,
    layers: str = "",
    history: str | None = None,
    *,
    parent: str | None = None,
    tag: bool = True,
    platform: Platform = AMD64,
    size: int | None = None,
    layer_size: int | None = 10,
) -> Image:
    """An image `name`; each letter of `layers` is a layer, each of `history` (else of `layers`) a step."""
    steps = layers if history is None else history
    return Image(
        name,
        (f"{name}:latest",) if tag else (),
        platform,
        layers=tuple(Layer(i, letter, size=layer_size) for i, letter in enumerate(layers, 1)),
        history=tuple(History(None, step, "", False) for step in steps),
        parent=parent,
        size=size,
    )


def drawn(forest: Forest) -> list[str]:
    """The tree as lines, indented by depth."""
    return ["  " * depth + node.id for node, depth in forest.walk()]


def virtual(layers: str) -> str:
    return "chain:" + chain_id(tuple(layers))


# rule 3: layers


def test_the_longest_prefix_is_the_parent() -> None:
    forest = build(
        [image("a", "1"), image("b", "12"), image("d", "124"), image("e", "125"), image("c", "13")]
    )
    assert drawn(forest) == ["a", "  b", "    d", "    e", "  c"]
    assert forest.roots == ("a",)
    assert forest.nodes["d"].parent == forest.nodes["d"].place == "b"
    assert forest.nodes["a"].children == ("b", "c")
    assert forest.nodes["d"].layers == 3
    assert forest.nodes["d"].diff_ids == ("1", "2", "4")


def test_platforms_do_not_mix() -> None:
    forest = build([image("a", "1"), image("b", "12", platform=ARM64)])
    assert forest.roots == ("a", "b")


def test_history_decides_between_equal_layer_lists() -> None:
    forest = build([image("s", "1", "ax"), image("t", "1", "ay"), image("c", "12", "ayz")])
    assert forest.nodes["c"].parent == "t"
    assert forest.nodes["c"].candidates == ()


def test_the_longest_history_decides() -> None:
    forest = build([image("s", "1", "a"), image("t", "1", "ab"), image("c", "12", "abz")])
    assert drawn(forest) == ["s", "  t", "    c"]


# rule 5: ties


def test_a_tie_is_never_picked() -> None:
    forest = build(
        [image("p", "1", "a"), image("t", "12", "abx"), image("s", "12", "aby"), image("c", "123", "q")]
    )
    node = forest.nodes["c"]
    assert (node.parent, node.candidates, node.place) == (None, ("s", "t"), "p")
    assert forest.nodes["p"].children == ("c", "s", "t")


def test_a_tie_of_roots_is_drawn_as_a_root() -> None:
    forest = build([image("s", "1", "x"), image("t", "1", "y"), image("c", "12", "")])
    assert forest.nodes["c"].candidates == ("s", "t")
    assert forest.nodes["c"].place is None
    assert forest.roots == ("c", "s", "t")


def test_a_tie_between_an_image_and_its_child_is_drawn_under_the_older() -> None:
    forest = build([image("s", "1", "a"), image("t", "1", "ab"), image("c", "12", "")])
    node = forest.nodes["c"]
    assert (node.parent, node.candidates, node.place) == (None, ("s", "t"), "s")


def test_a_tie_is_drawn_under_what_all_candidates_come_from() -> None:
    same_layers = [
        image("q", "12", "ab"),
        image("s", "12", "abx"),
        image("t", "12", "k"),
        image("u", "12", "abz"),
    ]
    forest = build([image("p", "1", "a"), *same_layers, image("c", "123", "")])
    assert forest.nodes["c"].candidates == ("q", "s", "t", "u")
    assert forest.nodes["s"].place == forest.nodes["u"].place == "q"
    assert forest.nodes["c"].place == "p"


def test_only_those_that_tie_in_history_are_candidates() -> None:
    forest = build(
        [image("s", "1", "a"), image("t", "1", "a"), image("u", "1", "b"), image("c", "12", "az")],
    )
    assert forest.nodes["c"].candidates == ("s", "t")


def test_a_tied_image_still_shares_a_base() -> None:
    forest = build(
        [image("s", "12", "x"), image("t", "12", "y"), image("c", "123", ""), image("d", "14", "14")],
    )
    base = virtual("1")
    assert forest.roots == (base,)
    assert forest.nodes[base].children == ("c", "d", "s", "t")
    assert forest.nodes["c"].parent is None
    assert forest.nodes["c"].candidates == ("s", "t")
    assert forest.nodes["c"].place == base


# rule 2: equal layers


def test_equal_layers_with_a_longer_history_are_a_child() -> None:
    forest = build([image("a", "1", "x"), image("b", "1", "xyz"), image("c", "1", "xy")])
    assert drawn(forest) == ["a", "  c", "    b"]
    assert all(node.siblings == () for node, _ in forest.walk())


def test_equal_layers_without_order_are_siblings() -> None:
    forest = build(
        [image("p", "1", "a"), image("s", "12", "abx"), image("t", "12", "aby"), image("u", "12", "abx")]
    )
    assert forest.nodes["p"].children == ("s", "t", "u")
    assert forest.nodes["s"].siblings == ("t", "u")
    assert forest.nodes["t"].siblings == ("s", "u")


def test_siblings_of_another_platform_do_not_count() -> None:
    forest = build([image("s", "1", "x"), image("t", "1", "y", platform=ARM64)])
    assert forest.nodes["s"].siblings == ()


def test_an_engines_child_is_no_sibling() -> None:
    forest = build([image("s", "1", "x"), image("t", "1", "y", parent="s"), image("u", "1", "z", parent="t")])
    assert drawn(forest) == ["s", "  t", "    u"]
    assert all(node.siblings == () for node, _ in forest.walk())


# rule 4: no layers


def test_an_image_of_no_layers_is_not_everyones_parent() -> None:
    forest = build([image("z", "", "e"), image("y", "", ""), image("a", "1", "a"), image("b", "2", "eb")])
    assert drawn(forest) == ["a", "y", "z", "  b"]
    assert forest.nodes["z"].siblings == forest.nodes["y"].siblings == ()


def test_images_of_no_layers_by_history() -> None:
    forest = build([image("z", "", "e"), image("y", "", "ef"), image("x", "", ""), image("w", "1", "efg")])
    assert drawn(forest) == ["x", "z", "  y", "    w"]


def test_images_whose_layers_are_not_known_yet() -> None:
    listed = [replace(image(name, size=5), history=()) for name in "abc"]
    forest = build(listed)
    assert forest.roots == ("a", "b", "c")
    assert unique_bytes(listed) == dict.fromkeys("abc")


# rule 1: the engine's parent


def test_engine_parent_through_untagged_intermediates() -> None:
    forest = build(
        [
            image("a", "1", "x"),
            image("m", "1", "xy", parent="a", tag=False),
            image("n", "12", "xyz", parent="m", tag=False),
            image("b", "123", "other", parent="n"),
            image("near", "12", "q"),
        ]
    )
    assert set(forest.nodes) == {"a", "b", "near"}
    assert forest.nodes["b"].parent == "a"  # though `near` has more of its layers


def test_engine_parent_through_steps_whose_layers_nobody_told() -> None:
    """Engines list the steps of a build without layers; only what stands at the end is compared."""
    forest = build(
        [
            image("a", "1", "x"),
            image("twin", "1", "x"),
            image("m", parent="a", tag=False, history=""),
            image("n", parent="m", tag=False, history=""),
            image("b", "12", "xy", parent="n"),
            image("other", "9"),
            image("u", parent="other", tag=False, history=""),
            image("c", "13", parent="u"),
        ]
    )
    assert forest.nodes["b"].parent == "a"  # though by layers and history `twin` is as good
    assert forest.nodes["c"].candidates == ("a", "twin")  # `other` is not below it: not believed


def test_a_chain_that_ends_in_nothing_falls_back_to_layers() -> None:
    forest = build(
        [
            image("m", "12", tag=False),
            image("b", "123", parent="m"),
            image("c", "124", parent="m"),
            image("a", "1"),
        ]
    )
    # the intermediate is not shown, so what it holds is a shared base
    assert drawn(forest) == ["a", f"  {virtual('12')}", "    b", "    c"]


def test_an_engine_parent_that_is_not_there_or_not_below_is_not_believed() -> None:
    forest = build(
        [
            image("a", "1"),
            image("b", "12", parent="gone"),
            image("u", "9", tag=False),
            image("c", "13", parent="u"),
        ]
    )
    assert forest.nodes["b"].parent == forest.nodes["c"].parent == "a"
    assert "u" in forest.nodes


def test_dangling_images_are_nodes() -> None:
    forest = build([image("a", "1"), image("d", "12", tag=False), image("e", "123")])
    assert drawn(forest) == ["a", "  d", "    e"]


def test_circles_lose_nothing() -> None:
    forest = build(
        [
            image("a", "1", "x", parent="b", tag=False),
            image("b", "1", "y", parent="c", tag=False),
            image("c", "1", "z", parent="a", tag=False),
            image("d", "1", "w", parent="d"),
            image("e", "12", "zz", parent="a"),
        ]
    )
    assert sorted(forest.nodes) == ["b", "c", "d", "e"]
    assert forest.nodes["e"].parent == "c"


def test_a_circle_of_engine_and_history() -> None:
    images = [
        image("a", "1", "pq", parent="b"),
        image("b", "1", "xyz"),
        image("c", "1", "xy", parent="d"),
        image("d", "1", "pqr"),
    ]
    forest = build(images)
    assert sorted(node.id for node, _ in forest.walk()) == ["a", "b", "c", "d"]
    assert forest.nodes["a"].parent == "b"
    assert forest.nodes["c"].parent == "d"


# rule 6: virtual nodes


def test_a_shared_prefix_without_an_image_is_a_node() -> None:
    forest = build([image("b", "123"), image("c", "124"), image("d", "5")])
    base = forest.nodes[virtual("12")]
    assert drawn(forest) == ["d", base.id, "  b", "  c"]
    assert base == Node(base.id, None, None, (), (), 2, 20, ("1", "2"), ("b", "c"), None)
    assert base.virtual
    assert base.references == ()
    assert forest.nodes["b"].parent == base.id


def test_shared_prefixes_nest_and_stand_on_images() -> None:
    forest = build(
        [image("a", "1"), image("b", "1234"), image("c", "1235"), image("d", "126"), image("e", "17")]
    )
    outer, inner = virtual("12"), virtual("123")
    assert drawn(forest) == ["a", "  e", f"  {outer}", "    d", f"    {inner}", "      b", "      c"]
    assert forest.nodes[outer].parent == "a"
    assert forest.nodes[inner].parent == outer


def test_siblings_alone_make_no_node() -> None:
    forest = build([image("a", "1"), image("s", "123", "x"), image("t", "123", "y")])
    assert drawn(forest) == ["a", "  s", "  t"]


def test_no_node_where_an_image_of_the_platform_has_the_layers() -> None:
    forest = build(
        [image("x", "1"), image("e", "12"), image("b", "123", parent="x"), image("c", "124", parent="x")]
    )
    assert not any(node.virtual for node in forest.nodes.values())
    other = build([image("e", "12", platform=ARM64), image("b", "123"), image("c", "124")])
    assert other.nodes["b"].parent == virtual("12")


def test_the_same_base_twice_keeps_both() -> None:
    forest = build(
        [image(f"{name}{p.architecture}", f"1{name}", platform=p) for p in (AMD64, ARM64) for name in "23"]
    )
    assert len(forest.roots) == 2
    assert all(forest.nodes[root].virtual for root in forest.roots)
    assert len(list(forest.walk())) == 6


def test_virtual_size_is_unknown_where_a_layer_is() -> None:
    forest = build([image("b", "12", layer_size=None), image("c", "13", layer_size=None)])
    assert forest.nodes[virtual("1")].size is None
    known = build([image("b", "12", layer_size=None), image("c", "13", layer_size=7)])
    assert known.nodes[virtual("1")].size == 7
    assert known.nodes["b"].size is None
    assert known.nodes["c"].size == 14


def test_order_reads_numbers_and_puts_untagged_last() -> None:
    images = [
        image("x10", "a"),
        image("x9", "b"),
        image("d", "c", tag=False),
        image("m1", "vp"),
        image("m2", "vq"),
    ]
    assert build(images).roots == ("x9", "x10", virtual("v"), "d")
    digits = [image("9" * 5000, "a"), image("1" + "0" * 5000, "b")]
    assert build(digits).roots == tuple(each.id for each in digits)


def test_one_image_listed_twice_has_all_its_names() -> None:
    a = image("a", "1")
    twice = [a, replace(a, references=("other:tag",))]
    for images in (twice, twice[::-1]):
        forest = build(images)
        assert forest.nodes["a"].references == ("a:latest", "other:tag")
        assert len(forest.nodes) == 1
        assert unique_bytes(images) == {"a": 10}


def test_nothing() -> None:
    assert build([]) == Forest({}, ())
    assert unique_bytes([]) == {}


# unique bytes


def test_unique_bytes() -> None:
    images = [
        image("a", "1"),
        image("b", "123"),
        image("c", "14"),
        image("m", "145", tag=False),
        image("e", "1456", parent="m"),
        image("f", "21", layer_size=None),
        image("z", "", "e"),
    ]
    # f holds layers 1 and 2 too, but on another stack: an engine unpacks them again
    assert unique_bytes(images) == {"a": 0, "b": 20, "c": 0, "m": 0, "e": 20, "f": None, "z": 0}


# large and hostile input


def test_long_and_many() -> None:
    long = [str(number) for number in range(10_000)]
    images = [
        Image(
            f"x{cut}", (f"x:{cut}",), layers=tuple(Layer(i, d, size=1) for i, d in enumerate(long[:cut], 1))
        )
        for cut in range(1000, 10_001, 1000)
    ]
    began = time.process_time()
    forest = build(images)
    assert [depth for _, depth in forest.walk()] == list(range(10))
    assert unique_bytes(images)["x10000"] == 1000

    chain = [image(f"{n:04}", "1" * n, "1" * n) for n in range(1, 601)]
    assert max(depth for _, depth in build(chain).walk()) == 599
    assert time.process_time() - began < 10


# the rules once more, as an oracle that compares every image with every other

Key = tuple[str, ...]  # (image id,), or what makes a virtual node: its place, platform and layers
Drawn = dict[Key, tuple[Key | None, tuple[str, ...], tuple[str, ...], Key | None]]


def _starts(whole: Sequence[object], prefix: Sequence[object], *, strict: bool = False) -> bool:
    return len(prefix) + strict <= len(whole) and tuple(whole[: len(prefix)]) == tuple(prefix)


def oracle(images: Sequence[Image]) -> Drawn:
    """Node → (parent, candidates, siblings, place), for images as an engine could have made them."""
    every = {image.id: image for image in images}

    def engine_parent(child: Image) -> Image | None:
        found = every.get(child.parent or "")
        return found if found is not None and _starts(child.diff_ids, found.diff_ids) else None

    steps = [engine_parent(image) for image in images]
    nodes = [image for image in images if image.references or image not in steps]

    def by_history(child: Image, among: Sequence[Image]) -> list[Image]:
        fits = [image for image in among if _starts(child.history, image.history, strict=True)]
        longest = max((len(image.history) for image in fits), default=0)
        return [image for image in fits if len(image.history) == longest]

    def parents_of(child: Image) -> list[Image]:
        engine = engine_parent(child)
        while engine is not None and engine not in nodes:
            engine = engine_parent(engine)
        if engine is not None:
            return [engine]
        same_platform = [image for image in nodes if image.platform == child.platform]
        equal = [image for image in same_platform if image.diff_ids == child.diff_ids and image.layers]
        if found := by_history(child, equal):
            return found
        below = [image for image in same_platform if _starts(child.diff_ids, image.diff_ids, strict=True)]
        longest = max((len(image.layers) for image in below), default=0)
        if longest:
            near = [image for image in below if len(image.layers) == longest]
            return near if len(near) == 1 else by_history(child, near) or near
        return by_history(child, [image for image in same_platform if not image.layers and image.history])

    parents = {image.id: sorted(found.id for found in parents_of(image)) for image in nodes}

    def place_of(image: str) -> str | None:
        if len(parents[image]) < 2:
            return parents[image][0] if parents[image] else None
        lines = [line_of(parent) for parent in parents[image]]
        return next((each for each in lines[0] if all(each in line for line in lines)), None)

    def line_of(image: str) -> list[str]:
        place = place_of(image)
        return [image] if place is None else [image, *line_of(place)]

    places = {image.id: place_of(image.id) for image in nodes}
    shared: set[tuple[str | None, Platform, tuple[str, ...]]] = set()
    for a, b in combinations(nodes, 2):
        place = places[a.id]
        if a.platform != b.platform or places[b.id] != place:
            continue
        pairs = zip(a.diff_ids, b.diff_ids, strict=False)
        prefix = tuple(x for x, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        taken = any(image.diff_ids == prefix and image.platform == a.platform for image in nodes)
        if len(prefix) > (len(every[place].layers) if place else 0) and not taken:
            shared.add((place, a.platform, prefix))

    def key(place: str | None, platform: Platform, prefix: tuple[str, ...]) -> Key:
        return (place or "", str(platform), *prefix)

    def drawn_at(place: str | None, platform: Platform, diff_ids: tuple[str, ...]) -> Key | None:
        around = [
            prefix
            for at, of, prefix in shared
            if (at, of) == (place, platform) and _starts(diff_ids, prefix, strict=True)
        ]
        if around:
            return key(place, platform, max(around, key=len))
        return (place,) if place else None

    found: Drawn = {}
    for image in nodes:
        drawn_under = drawn_at(places[image.id], image.platform, image.diff_ids)
        tied = len(parents[image.id]) > 1
        siblings = sorted(
            other.id
            for other in nodes
            if other.id != image.id
            and other.layers
            and (other.diff_ids, other.platform) == (image.diff_ids, image.platform)
            and not _starts(other.history, image.history, strict=True)
            and not _starts(image.history, other.history, strict=True)
        )
        candidates = tuple(parents[image.id]) if tied else ()
        found[image.id,] = (None if tied else drawn_under, candidates, tuple(siblings), drawn_under)
    for at, platform, prefix in shared:
        drawn_under = drawn_at(at, platform, prefix)
        found[key(at, platform, prefix)] = (drawn_under, (), (), drawn_under)
    return found


def as_drawn(forest: Forest) -> Drawn:
    """What the oracle says, read from a forest."""

    def platform(node: Node) -> Platform:
        return node.image.platform if node.image else platform(forest.nodes[node.children[0]])

    def real(place: str | None) -> str | None:
        return real(forest.nodes[place].place) if place and forest.nodes[place].virtual else place

    def key(identifier: str) -> Key:
        node = forest.nodes[identifier]
        if not node.virtual:
            return (identifier,)
        return (real(identifier) or "", str(platform(node)), *node.diff_ids)

    return {
        key(node.id): (
            key(node.parent) if node.parent else None,
            node.candidates,
            node.siblings,
            key(node.place) if node.place else None,
        )
        for node in forest.nodes.values()
    }


@st.composite
def builds(draw: st.DrawFn) -> list[Image]:
    """Images built on each other, some of them gone, their parents mostly forgotten."""
    made: list[Image] = []
    for number in range(draw(st.integers(0, 14))):
        base = draw(st.sampled_from([None, *made]))
        layers, history = (base.diff_ids, base.history) if base else ((), ())
        platform = base.platform if base else draw(st.sampled_from([AMD64, AMD64, ARM64]))
        parent = base.id if base and draw(st.booleans()) else None
        if draw(st.integers(0, 7)) == 0:  # squashed or imported again
            history, parent = (), None
        for letter in draw(st.text("abAB", max_size=3)):  # capitals store nothing
            layers += (letter,) if letter.islower() else ()
            history += (History(None, letter, "", letter.isupper()),)
        if base and history == base.history:
            parent = None
        made.append(
            Image(
                f"i{number:02}",
                (f"x:{number}",) if draw(st.booleans()) else (),
                platform,
                layers=tuple(Layer(i, diff_id, size=1) for i, diff_id in enumerate(layers, 1)),
                history=history,
                parent=parent,
            )
        )
    return [image for image in made if draw(st.integers(0, 3))]


@settings(max_examples=400, deadline=None)
@given(builds(), st.randoms(use_true_random=False))
def test_the_forest_is_the_oracles(images: list[Image], shuffler: random.Random) -> None:
    forest = build(images)
    assert as_drawn(forest) == oracle(images)
    shuffled = shuffler.sample(images, len(images))
    assert build(shuffled) == forest
    assert drawn(build(shuffled)) == drawn(forest)


@st.composite
def claims(draw: st.DrawFn) -> list[Image]:
    """Images that claim anything: parents in circles, histories that contradict them, one id twice."""
    names = [f"i{number}" for number in range(draw(st.integers(1, 10)))]
    return [
        image(
            draw(st.sampled_from(names)),
            draw(st.text("ab", max_size=3)),
            draw(st.text("xy", max_size=3)),
            parent=draw(st.none() | st.sampled_from(names)),
            tag=draw(st.booleans()),
            platform=draw(st.sampled_from([AMD64, ARM64])),
        )
        for _ in names
    ]


@settings(max_examples=400, deadline=None)
@given(claims())
def test_whatever_images_claim_none_is_lost(images: list[Image]) -> None:
    forest = build(images)
    walked = [node for node, _ in forest.walk()]
    assert len(walked) == len({node.id for node in walked}) == len(forest.nodes)
    tagged = {each.id for each in images if each.references}
    shown = {node.id for node in walked if not node.virtual}
    assert tagged <= shown <= {each.id for each in images}
    assert shown
    for node, depth in forest.walk():
        assert (node.place is None) == (depth == 0)
        assert not (node.parent and node.candidates)
        for child in node.children:
            assert forest.nodes[child].place == node.id
            assert forest.nodes[child].diff_ids[: node.layers] == node.diff_ids
        if node.virtual:
            assert len(node.children) > 1
    unique = unique_bytes(images)
    assert unique.keys() == {each.id for each in images}


@settings(max_examples=200, deadline=None)
@given(builds())
def test_unique_bytes_are_those_of_stacks_nobody_else_has(images: list[Image]) -> None:
    nodes = [node.image for node in build(images).nodes.values() if node.image]
    found = unique_bytes(images)
    for one in nodes:
        stacks = {one.diff_ids[:end] for end in range(1, len(one.layers) + 1)}
        for other in nodes:
            if other is not one:
                stacks -= {other.diff_ids[:end] for end in range(1, len(other.layers) + 1)}
        if one.layers or one.history:
            assert found[one.id] == len(stacks)
