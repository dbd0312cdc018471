"""Live and dead bytes, and why they are dead, on stacks small enough to read."""

from __future__ import annotations

import json

import pytest

from imgscope.analysis import Analysis
from imgscope.findings.waste import Waste, measure
from imgscope.images.model import Image
from imgscope.images.model import Layer as ImageLayer
from imgscope.report import analysis_json, analysis_json_text
from tests.support.stacks import Layer, file, folder, hardlink, merged, opaque, symlink, whiteout


def wasted(waste: Waste) -> dict[str, tuple[int, str, tuple[int, ...], int]]:
    """Path → dead bytes, cause, the layers that store it, the layer since which it is dead."""
    return {
        path.path.decode(): (path.dead, str(path.cause), path.stored_in, path.dead_since)
        for path in waste.paths
    }


def test_nothing_is_dead_in_one_layer() -> None:
    waste = measure(merged([file("a", 10), folder("d"), symlink("s", "a")]))
    assert (waste.live, waste.dead, waste.efficiency) == (10, 0, 1.0)
    assert not waste.paths


@pytest.mark.parametrize("layers", [[], [[]], [[], [folder("d"), file("a")]]])
def test_an_image_of_no_bytes_is_efficient(layers: list[Layer]) -> None:
    waste = measure(merged(*layers))
    assert (waste.live, waste.dead, waste.efficiency) == (0, 0, 1.0)


def test_removed() -> None:
    waste = measure(merged([file("a", 10), file("b", 30)], [], [whiteout("a")]))
    assert wasted(waste) == {"a": (10, "removed", (1,), 3)}
    assert [(layer.size, layer.live, layer.dead) for layer in waste.layers] == [
        (40, 30, 10),
        (0, 0, 0),
        (0, 0, 0),
    ]
    assert waste.efficiency == 0.75


def test_removed_with_its_directory() -> None:
    """Each file below it is told by itself, the largest first."""
    waste = measure(merged([folder("d"), file("d/a", 1), file("d/b", 2)], [whiteout("d")]))
    assert [path.path for path in waste.paths] == [b"d/b", b"d/a"]
    assert {path.cause.name for path in waste.paths} == {"REMOVED"}
    opaqued = measure(merged([folder("d"), file("d/a", 1), file("d/b", 2)], [folder("d"), opaque("d")]))
    replaced = measure(merged([folder("d"), file("d/a", 1), file("d/b", 2)], [symlink("d", "e")]))
    assert wasted(opaqued) == wasted(replaced) == wasted(waste)


def test_overwritten() -> None:
    waste = measure(merged([file("a", 10)], [file("a", 4)]))
    assert wasted(waste) == {"a": (10, "overwritten", (1,), 2)}
    assert (waste.live, waste.dead) == (4, 10)


def test_overwritten_by_as_many_bytes() -> None:
    waste = measure(merged([file("a", "1234")], [file("a", "5678")]))
    assert wasted(waste) == {"a": (4, "overwritten", (1,), 2)}


@pytest.mark.parametrize("new", [folder("a"), symlink("a", "b"), file("a/b", 3)])
def test_replaced_by_another_kind(new: object) -> None:
    waste = measure(merged([file("a", 10)], [new]))  # type: ignore[list-item]
    assert wasted(waste) == {"a": (10, "overwritten", (1,), 2)}


def test_removed_and_stored_again_in_one_layer_is_overwritten() -> None:
    waste = measure(merged([file("a", 10)], [whiteout("a"), file("a", 4)]))
    assert wasted(waste) == {"a": (10, "overwritten", (1,), 2)}


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_stored_again_with_the_same_content(mode: int) -> None:
    """chmod, chown and touch copy the whole file up; a COPY of the same file does too."""
    waste = measure(merged([file("a", 10)], [file("a", 10, mode=mode)]))
    assert wasted(waste) == {"a": (10, "metadata", (1,), 2)}


def test_stored_again_with_the_same_content_but_not_that_of_the_copy_that_died() -> None:
    """The layer stores `a` twice: first something else, which dies, then what was there before."""
    waste = measure(merged([file("a", "one")], [file("a", "three"), file("a", "one")]))
    assert {(copy.size, str(copy.cause)) for copy in waste.paths[0].copies} == {
        (3, "metadata"),
        (5, "overwritten"),
    }
    assert (waste.live, waste.dead) == (3, 8)


def test_several_copies_of_one_path() -> None:
    """The cause is that of the copy which died last."""
    waste = measure(merged([file("a", 10)], [file("a", 20)], [file("a", 20)], [whiteout("a")]))
    assert wasted(waste) == {"a": (50, "removed", (1, 2, 3), 4)}
    assert [(copy.stored_in, copy.dead_since, str(copy.cause)) for copy in waste.paths[0].copies] == [
        (1, 2, "overwritten"),
        (2, 3, "metadata"),
        (3, 4, "removed"),
    ]


def test_stored_twice_in_one_layer() -> None:
    waste = measure(merged([file("a", 10), file("a", 4)]))
    assert wasted(waste) == {"a": (10, "overwritten", (1,), 1)}


def test_a_hardlinked_file_lives_while_any_of_its_names_does() -> None:
    layers: list[Layer] = [[file("a", 10), hardlink("b", "a")], [whiteout("a")]]
    assert measure(merged(*layers)).dead == 0
    layers.append([file("b", 3)])
    assert wasted(measure(merged(*layers))) == {"a": (10, "overwritten", (1,), 3)}


def test_a_hardlink_of_another_layer_keeps_a_file_alive() -> None:
    layers: list[Layer] = [[file("a", 10)], [hardlink("b", "a")], [file("a", 3)]]
    assert measure(merged(*layers)).dead == 0
    layers.append([whiteout("b")])
    assert wasted(measure(merged(*layers))) == {"a": (10, "removed", (1,), 4)}


def test_empty_files_waste_nothing_and_are_not_listed() -> None:
    assert not measure(merged([file("a")], [whiteout("a")])).paths


def test_paths_with_as_many_dead_bytes_are_sorted_by_name() -> None:
    waste = measure(merged([file("b", 5), file("a", 5), file("c", 9)], [whiteout(path) for path in "abc"]))
    assert [path.path for path in waste.paths] == [b"c", b"a", b"b"]


def test_a_path_is_asked_for_by_its_row() -> None:
    paths = measure(merged([file("a", 1), file("b", 3), file("c", 2)], [whiteout("a"), whiteout("b")])).paths
    assert [path.path for path in paths] == [b"b", b"a"]
    assert (paths[0], paths[-1]) == tuple(paths)
    assert list(paths[1:]) == [paths[1]]
    with pytest.raises(IndexError):
        paths[2]


@pytest.mark.parametrize("layers", [[], [[file("a", 1)]], [[file("a", 1)], [whiteout("a")]]])
def test_the_json_text_is_the_object(layers: list[Layer]) -> None:
    """Made in pieces, it reads as if json had written it; whatever the names are."""
    names = ['quote"', "back\\slash", "line\nbreak", "ünïcode", '  "wasted": []', "\udcff"]
    for stack in (layers, [*layers, [file(name, 5) for name in names], [whiteout(name) for name in names]]):
        overlay = merged(*stack)
        image = Image(
            "sha256:1", ("x:1",), layers=tuple(ImageLayer(n, "sha256:2") for n in range(1, len(stack) + 1))
        )
        analysis = Analysis(image, overlay, measure(overlay), ())
        text = "".join(analysis_json_text(analysis, '\n  "wasted": []', "x"))
        assert text == json.dumps(analysis_json(analysis, '\n  "wasted": []', "x"), indent=2)
