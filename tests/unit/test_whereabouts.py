"""Where paths come from, and which images have them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from imgscope.images.model import Image, Layer
from imgscope.job import Job
from imgscope.layers.overlay import Overlay, State
from imgscope.layers.search import Pattern
from imgscope.layers.whereabouts import Holder, Trace, holders, traces
from tests.support.stacks import Member, file, folder, hardlink, layer_index, merged, opaque, stacks, whiteout


def look_for(overlay: Overlay, text: str) -> list[Trace]:
    return traces(overlay, Pattern(text), Job())


def have(text: str, *stacks: Sequence[Sequence[Member]]) -> list[Holder]:
    """Which of some images, each given by its layers, have what is looked for."""
    images, indexes = [], {}
    for number, stack in enumerate(stacks):
        diff_ids = [str(hash(tuple(map(tuple, stack[: k + 1])))) for k in range(len(stack))]
        layers = tuple(Layer(k, diff_id) for k, diff_id in enumerate(diff_ids, 1))
        images.append(Image(str(number), layers=layers))
        indexes[str(number)] = [layer_index(list(layer)) for layer in stack]
    return list(holders(images, lambda image: indexes[image.id], Pattern(text), Job()))


def test_every_layer_that_touched_a_path_is_told() -> None:
    overlay = merged(
        [folder("etc"), file("etc/passwd", "root")],
        [file("other")],
        [file("etc/passwd", "root me")],
        [file("etc/passwd", "root me", mode=0o600)],
        [whiteout("etc/passwd")],
    )
    (trace,) = look_for(overlay, "/etc/passwd")
    assert (trace.path, trace.there) == (b"etc/passwd", False)
    assert [(stop.layer, stop.state, stop.size, stop.dead) for stop in trace.stops] == [
        (1, State.ADDED, 4, True),
        (3, State.CONTENT, 7, True),
        (4, State.METADATA, 7, True),
        (5, State.REMOVED, 7, False),
    ]
    assert trace.stops[2].changes == ("mode",)


def test_paths_come_in_order_and_directories_on_the_way_do_not() -> None:
    overlay = merged([file("z/lib", 1), file("a/lib", 2)], [file("lib", 3)], [opaque("a")])
    assert [(trace.path, trace.there) for trace in look_for(overlay, "lib")] == [
        (b"a/lib", False),
        (b"lib", True),
        (b"z/lib", True),
    ]
    assert look_for(overlay, "/a/") == look_for(overlay, "/a/lib")


def test_the_name_of_a_file_of_several_names_tells_its_size() -> None:
    overlay = merged([file("a", 5), hardlink("b", "a")], [whiteout("a")])
    assert [stop.size for stop in look_for(overlay, "b")[0].stops] == [5]
    assert [(stop.size, stop.dead) for stop in look_for(overlay, "a")[0].stops] == [(5, False), (5, False)]


def test_a_regular_expression_looks_at_names_or_at_paths() -> None:
    overlay = merged([file("a/lib1.so", 1), file("b/lib2.so", 1), file("b/x", 1)])
    assert [trace.path for trace in look_for(overlay, r"~lib\d")] == [b"a/lib1.so", b"b/lib2.so"]
    assert [trace.path for trace in look_for(overlay, r"~^/b/lib\d")] == [b"b/lib2.so"]


def test_images_that_only_ship_it_are_told_as_well() -> None:
    base = [file("usr/lib/libssl.so.3", 9)]
    found = have("libssl*", [base], [base, [whiteout("usr")]], [[file("other")]])
    assert [(holder.image.id, holder.traces[0].there) for holder in found] == [("0", True), ("1", False)]
    assert [stop.dead for stop in found[1].traces[0].stops] == [True, False]


def test_images_that_are_not_known_are_left_out() -> None:
    images = [Image("1", layers=(Layer(1, "a"),))]
    assert list(holders(images, lambda image: None, Pattern("x"), Job())) == []


@given(stacks(), st.sampled_from(("a", "b", "*", "/a/", "a/b", "*/b", "~^a", "~a/b$")))
def test_one_image_among_many_tells_what_it_tells_alone(layers: list[list[Member]], text: str) -> None:
    alone = traces(merged(*layers), Pattern(text), Job())
    assert [trace for holder in have(text, layers) for trace in holder.traces] == alone
