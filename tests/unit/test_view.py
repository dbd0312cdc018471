"""What the tree of a layer shows: its own changes, or all files up to it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from hypothesis import given

from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.view import LayerView, dead_versions
from tests.support.stacks import (
    Inode,
    Layer,
    Member,
    file,
    folder,
    hardlink,
    merged,
    opaque,
    replay,
    sound_stacks,
    stacks,
    symlink,
    whiteout,
)


def look(overlay: Overlay, layer: int, *, whole: bool = False) -> LayerView:
    """The view of a layer, dead copies known."""
    return LayerView(overlay, layer, merged=whole, dead=dead_versions(overlay))


def nodes(view: LayerView, node: int = ROOT) -> Iterator[int]:
    """All nodes of a view, as they come from top to bottom."""
    for child in view.children(node):
        yield child
        yield from nodes(view, child)


def paths(view: LayerView) -> list[str]:
    return [view.overlay.path(node).decode() for node in nodes(view)]


def at(view: LayerView, path: str) -> int:
    return view.overlay.find(path.encode())


# -- a layer's own changes ----------------------------------------------------------------------------


def test_changes_are_what_the_layer_touches_and_the_way_there() -> None:
    view = look(
        merged(
            [folder("usr"), folder("usr/bin"), file("usr/bin/a", 5), file("keep", 7)],
            [file("usr/bin/b", 3), file("usr/bin/a", 4)],
        ),
        2,
    )
    assert paths(view) == ["usr", "usr/bin", "usr/bin/a", "usr/bin/b"]
    states = {path: view.state(at(view, path)) for path in paths(view)}
    assert states == {
        "usr": State.UNCHANGED,
        "usr/bin": State.UNCHANGED,
        "usr/bin/a": State.CONTENT,
        "usr/bin/b": State.ADDED,
    }
    assert [view.size(at(view, path)) for path in ("", "usr", "usr/bin/a", "usr/bin/b")] == [7, 7, 4, 3]


def test_a_directory_that_is_carried_along_is_no_change() -> None:
    view = look(merged([folder("etc"), file("etc/a", 1)], [folder("etc")]), 2)
    assert paths(view) == []
    assert not view.has_children(ROOT)


def test_a_file_that_is_stored_again_unchanged_is_shown_for_its_bytes() -> None:
    view = look(merged([file("a", 9)], [file("a", 9)]), 2)
    assert paths(view) == ["a"]
    assert view.state(at(view, "a")) == State.UNCHANGED
    assert view.size(at(view, "a")) == 9


def test_a_removed_directory_shows_all_that_goes_with_it() -> None:
    view = look(merged([folder("d"), file("d/a", 30), file("d/b", 12), file("c", 1)], [whiteout("d")]), 2)
    assert paths(view) == ["d", "d/a", "d/b"]
    assert {view.state(node) for node in nodes(view)} == {State.REMOVED}
    assert (view.gone(ROOT), view.gone(at(view, "d")), view.gone(at(view, "d/b"))) == (42, 42, 12)
    assert view.size(ROOT) == 0
    assert view.is_directory(at(view, "d"))
    assert not view.is_directory(at(view, "d/a"))


def test_an_opaque_directory_removes_what_was_in_it() -> None:
    view = look(merged([folder("d"), file("d/old", 8)], [folder("d"), opaque("d"), file("d/new", 2)]), 2)
    assert paths(view) == ["d", "d/new", "d/old"]
    assert view.state(at(view, "d/old")) == State.REMOVED
    assert (view.size(ROOT), view.gone(ROOT)) == (2, 8)


def test_what_is_removed_shows_the_version_below() -> None:
    overlay = merged([file("a", 30, mode=0o600)], [whiteout("a")])
    view = look(overlay, 2)
    entry = overlay.describe(view.version(at(view, "a")))
    assert entry is not None
    assert (entry.size, entry.mode) == (30, 0o600)


def test_a_layer_of_nothing_shows_nothing() -> None:
    view = look(merged([file("a", 1)], []), 2)
    assert (paths(view), view.size(ROOT), view.gone(ROOT)) == ([], 0, 0)


# -- the merged tree ----------------------------------------------------------------------------------


def test_merged_is_what_is_there_up_to_the_layer() -> None:
    overlay = merged([file("a", 1), file("b", 2)], [whiteout("a"), file("c", 4)], [file("d", 8)])
    assert paths(look(overlay, 1, whole=True)) == ["a", "b"]
    assert paths(look(overlay, 2, whole=True)) == ["b", "c"]
    assert look(overlay, 2, whole=True).size(ROOT) == 6
    assert look(overlay, 2, whole=True).state(at(look(overlay, 2), "c")) == State.ADDED
    assert look(overlay, 2, whole=True).state(at(look(overlay, 2), "b")) == State.UNCHANGED


def test_a_file_of_two_names_counts_once_and_as_long_as_one_is_there() -> None:
    overlay = merged([file("z", 10), hardlink("a", "z"), hardlink("b", "z")], [whiteout("z")])
    both, one = look(overlay, 1, whole=True), look(overlay, 2, whole=True)
    assert [both.size(at(both, path)) for path in ("", "z", "a", "b")] == [10, 10, 0, 0]
    assert one.size(ROOT) == 10
    assert sorted(one.size(at(one, path)) for path in ("a", "b")) == [0, 10]


# -- order and marks ----------------------------------------------------------------------------------


def test_directories_come_first_then_by_name() -> None:
    view = look(
        merged([file("b"), file("A"), folder("z"), symlink("c", "z"), folder("d"), file("z/q", 1)]), 1
    )
    assert paths(view) == ["d", "z", "z/q", "A", "b", "c"]


def test_the_copy_that_is_dead_is_marked_where_it_is_shown() -> None:
    overlay = merged([file("big", 30), file("kept", 1)], [whiteout("big")], [file("big", 5)])
    first, second, third = (look(overlay, number) for number in (1, 2, 3))
    assert first.is_dead(at(first, "big"))
    assert not first.is_dead(at(first, "kept"))
    assert second.is_dead(at(second, "big"))
    assert not third.is_dead(at(third, "big"))


def test_a_copy_that_its_own_layer_replaces_does_not_mark_the_other() -> None:
    view = look(merged([file("a", 3), file("a", 5)]), 1)
    assert not view.is_dead(at(view, "a"))


def test_an_implied_directory_is_a_directory_of_no_version() -> None:
    overlay = merged([file("deep/er/file", 1)])
    view = look(overlay, 1)
    node = at(view, "deep/er")
    assert view.is_directory(node)
    assert view.version(node) < 0 or overlay.describe(view.version(node)) is None


def test_a_very_deep_tree() -> None:
    view = look(merged([file("/".join(["d"] * 2000), 5)]), 1)
    node, depth = ROOT, 0
    while children := view.children(node):
        (node,) = children
        depth += 1
    assert depth == 2000
    assert view.size(ROOT) == view.size(node) == 5


# -- against the overlay, and against stacks merged naively --------------------------------------------


@given(stacks())
def test_merged_shows_what_the_overlay_has(layers: list[list[Member]]) -> None:
    overlay = merged(*layers)
    for number in range(1, len(layers) + 1):
        view = look(overlay, number, whole=True)
        shown = list(nodes(view))
        assert len(shown) == len(set(shown))
        assert set(shown) == {node for node in range(1, len(overlay)) if overlay.at(node, number) >= 0}
        assert all(view.version(node) == overlay.at(node, number) for node in shown)
        assert {view.overlay.parents[node] for node in shown} <= {ROOT, *filter(view.is_directory, shown)}


@given(stacks())
def test_sizes_in_the_merged_tree(layers: list[list[Member]]) -> None:
    """The bytes of a directory are those of the files in it, each counted once."""
    trees = replay(layers).trees
    overlay = merged(*layers)
    for number in range(1, len(layers) + 1):
        view = look(overlay, number, whole=True)
        files = {id(inode): inode for inode in trees[number].values() if inode.type == tarfile.REGTYPE}
        assert view.size(ROOT) == sum(len(inode.content) for inode in files.values())
        for node in (ROOT, *nodes(view)):
            if view.has_children(node):
                assert view.size(node) == sum(view.size(child) for child in view.children(node))


@given(sound_stacks())
def test_changes_account_for_the_bytes_of_the_layer(layers: list[list[Member]]) -> None:
    overlay = merged(*layers)
    trees: list[dict[str, Inode]] = replay(layers).trees
    for number in range(1, len(layers) + 1):
        view = look(overlay, number)
        shown = {view.overlay.path(node).decode(): node for node in nodes(view)}
        assert view.size(ROOT) == overlay.layers[number - 1].total
        below, here = trees[number - 1], trees[number]
        for path, node in shown.items():
            state = view.state(node)
            assert (state == State.REMOVED) == (path in below and path not in here)
            assert (state == State.ADDED) == (path in here and path not in below)
        assert {path for path in here if path not in below} <= shown.keys()
        assert {path for path in below if path not in here} <= shown.keys()


@given(sound_stacks())
def test_dead_is_what_the_final_tree_does_not_have(layers: list[list[Member]]) -> None:
    trees = replay(layers).trees
    overlay = merged(*layers)
    final = {id(inode) for inode in trees[-1].values()}
    dead = dead_versions(overlay)
    for number in range(1, len(layers) + 1):
        view = LayerView(overlay, number, merged=True, dead=dead)
        for path, inode in trees[number].items():
            if inode.type == tarfile.REGTYPE and inode.content and inode.stored[1] == path:
                assert view.is_dead(at(view, path)) == (id(inode) not in final), (number, path)


def test_views_of_no_layers() -> None:
    layers: list[Layer] = [[]]
    for whole in (False, True):
        assert paths(look(merged(*layers), 1, whole=whole)) == []
