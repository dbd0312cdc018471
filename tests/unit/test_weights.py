"""Trees of weights: every byte of a scope at one node, whatever the layers do."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence

import pytest
from hypothesis import given

from imgscope.errors import CancelledError
from imgscope.findings.waste import measure
from imgscope.findings.weights import Weights, of_image, of_layer, of_machine, of_merged
from imgscope.images.ancestry import build, unique_bytes
from imgscope.images.model import History, Image
from imgscope.images.model import Layer as ImageLayer
from imgscope.images.usage import usage
from imgscope.job import Job
from imgscope.layers.overlay import ROOT, Overlay
from tests.support.stacks import Member, file, hardlink, merged, replay, stacks, whiteout


def bytes_by_path(overlay: Overlay, weights: Weights) -> dict[str, tuple[int, int]]:
    """Path → its own live and dead bytes, of all that stands in no directory's sum."""
    found: dict[str, tuple[int, int]] = {}
    todo = [ROOT]
    while todo:
        node = todo.pop()
        if children := weights.children(node):
            todo += children
            continue
        path = overlay.path(node if node < weights.paths else weights.parents[node]).decode()
        assert path not in found
        if weights.total(node):
            found[path] = weights.live[node], weights.dead[node]
    return found


def check(weights: Weights) -> None:
    """A directory is the sum of what is in it, the heaviest first, and nothing is of no weight."""
    todo = [0]
    while todo:
        node = todo.pop()
        children = weights.children(node)
        todo += children
        totals = [weights.total(child) for child in children]
        assert totals == sorted(totals, reverse=True)
        assert 0 not in totals
        if children:
            assert sum(weights.live[child] for child in children) == weights.live[node]
            assert sum(weights.dead[child] for child in children) == weights.dead[node]
            assert all(weights.way(child) == [*weights.way(node), child] for child in children)


def test_a_removed_file_weighs_where_it_was_stored() -> None:
    overlay = merged([file("d/a", 10), file("d/b", 3)], [file("d/b", 4)], [whiteout("d/a")])
    weights = of_image(overlay, Job())
    assert bytes_by_path(overlay, weights) == {"d/a": (0, 10), "d/b": (4, 3)}
    assert [weights.label(node) for node in weights.children(overlay.find(b"d"))] == ["a", "b"]
    assert (weights.live[ROOT], weights.dead[ROOT]) == (4, 13)
    assert bytes_by_path(overlay, of_layer(overlay, 1, Job())) == {"d/a": (0, 10), "d/b": (0, 3)}
    assert bytes_by_path(overlay, of_layer(overlay, 2, Job())) == {"d/b": (4, 0)}
    assert bytes_by_path(overlay, of_merged(overlay, 2, Job())) == {"d/a": (0, 10), "d/b": (4, 0)}
    assert bytes_by_path(overlay, of_merged(overlay, 3, Job())) == {"d/b": (4, 0)}


def test_a_file_that_became_a_directory_weighs_beside_what_is_in_it() -> None:
    overlay = merged([file("a", 10)], [file("a/b", 3)])
    weights = of_image(overlay, Job())
    before, inside = weights.children(overlay.find(b"a"))
    assert (weights.label(before), weights.dead[before]) == ("(the file that was here before)", 10)
    assert (weights.label(inside), weights.live[inside]) == ("b", 3)
    assert before >= weights.paths > inside


def test_a_living_file_stands_under_a_name_that_is_there() -> None:
    overlay = merged([file("a", 10), hardlink("b", "a")], [whiteout("a")])
    assert bytes_by_path(overlay, of_image(overlay, Job())) == {"b": (10, 0)}


def test_names_are_safe_to_show() -> None:
    overlay = merged([file("\x1b[31m[red]", 10), file("x" * 5000, 3)])
    weights = of_image(overlay, Job())
    assert [weights.label(node)[:14] for node in weights.children(ROOT)] == ["\\x1b[31m[red]", "x" * 14]
    assert len(weights.label(weights.children(ROOT)[1])) < 2000


def test_nothing_weighs_nothing() -> None:
    empty: list[list[list[Member]]] = [[], [[]], [[file("a")]]]
    for layers in empty:
        weights = of_image(merged(*layers), Job())
        assert (weights.total(ROOT), list(weights.children(ROOT))) == (0, [])


@given(stacks())
def test_the_image_is_all_that_its_layers_store(layers: list[list[Member]]) -> None:
    overlay = merged(*layers)
    weights, waste = of_image(overlay, Job()), measure(overlay)
    check(weights)
    assert (weights.live[ROOT], weights.dead[ROOT]) == (waste.live, waste.dead)
    dead: dict[str, int] = {}
    for path in waste.paths:
        dead[path.path.decode()] = path.dead
    assert {path: gone for path, (_, gone) in bytes_by_path(overlay, weights).items() if gone} == dead


@given(stacks())
def test_a_layer_is_all_that_it_stores(layers: list[list[Member]]) -> None:
    overlay = merged(*layers)
    for number, measured in enumerate(measure(overlay).layers, 1):
        weights = of_layer(overlay, number, Job())
        check(weights)
        assert (weights.live[ROOT], weights.dead[ROOT]) == (measured.live, measured.dead)


@given(stacks())
def test_a_merged_tree_is_its_files_each_once(layers: list[list[Member]]) -> None:
    overlay = merged(*layers)
    for number, tree in enumerate(replay(layers).trees[1:], 1):
        weights = of_merged(overlay, number, Job())
        check(weights)
        files = {inode: None for inode in tree.values() if inode.type == tarfile.REGTYPE}
        assert weights.total(ROOT) == sum(len(inode.content) for inode in files)
        assert bytes_by_path(overlay, weights).keys() <= tree.keys()


def test_many_children_are_in_order() -> None:
    overlay = merged([file(f"{number}", 1 + number * 7919 % 50) for number in range(40_000)])
    check(of_image(overlay, Job()))


@pytest.mark.parametrize("scope", [of_image, lambda overlay, job: of_layer(overlay, 1, job)])
def test_it_can_be_cancelled(scope: object) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        scope(merged([file("a", 1)]), job)  # type: ignore[operator]


# -- all images ---------------------------------------------------------------------------------------


def image(name: str, sizes: Sequence[int | None], diff_ids: str) -> Image:
    layers = tuple(
        ImageLayer(number, f"sha256:{diff_id}", size=size, history=History(None, f"RUN {diff_id}", "", False))
        for number, (size, diff_id) in enumerate(zip(sizes, diff_ids, strict=True), 1)
    )
    return Image(id=f"sha256:{name}", references=(name,), layers=layers)


def outline(weights: Weights, node: int = 0) -> dict[str, object]:
    return {
        weights.label(child): outline(weights, child) or weights.total(child)
        for child in weights.children(node)
    }


def test_a_machine_is_each_layer_once() -> None:
    images = [image("base", [50], "a"), image("one", [50, 20], "ab"), image("two", [50, 7, 9], "acd")]
    weights = of_machine(images, Job())
    check(weights)
    assert outline(weights) == {
        "shared": {"base layer 1: RUN a (in 3 images)": 50},
        "one": {"layer 2: RUN b": 20},
        "two": {"layer 3: RUN d": 9, "layer 2: RUN c": 7},
    }
    used = usage(images)
    assert used is not None
    assert weights.total(0) == used.total == 86
    unique = unique_bytes([node.image for node, _ in build(images).walk() if node.image])
    assert {weights.label(node): weights.total(node) for node in weights.children(0)} == {
        "shared": 50,
        **{one.name: unique[one.id] for one in images if unique[one.id]},
    }


def test_what_has_no_size_is_counted() -> None:
    images = [image("one", [None, 20], "ab"), image("two", [None, 7], "ac"), image("bare", [], "")]
    weights = of_machine(images, Job())
    assert (weights.total(0), weights.unknown) == (27, 2)  # the layer, and the image whose layers nobody told


def test_the_same_layer_on_another_base_is_another() -> None:
    """An engine stores it twice: its name is the chain ID."""
    weights = of_machine([image("one", [5, 20], "ab"), image("two", [20, 5], "ba")], Job())
    assert outline(weights) == {
        "one": {"layer 2: RUN b": 20, "layer 1: RUN a": 5},
        "two": {"layer 1: RUN b": 20, "layer 2: RUN a": 5},
    }


def test_no_images_weigh_nothing() -> None:
    assert of_machine([], Job()).total(0) == 0
