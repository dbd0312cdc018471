"""The overlay's rules, one by one, on stacks small enough to read."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import LayerCounts, Overlay, State
from tests.support.stacks import (
    Layer,
    Member,
    char_device,
    fifo,
    file,
    folder,
    hardlink,
    layer_index,
    merged,
    opaque,
    symlink,
    whiteout,
)

LETTERS = {
    Kind.FILE: "f",
    Kind.DIRECTORY: "d",
    Kind.SYMLINK: "l",
    Kind.HARDLINK: "h",
    Kind.CHAR_DEVICE: "c",
    Kind.FIFO: "p",
}


def tree(overlay: Overlay, layer: int | None = None) -> dict[str, str]:
    """Path → what is there and by which layer, as in `f2`, in the merge of layers 1..layer."""
    found = {}
    for node in range(1, len(overlay)):
        version = overlay.at(node, layer)
        if version >= 0:
            found[name(overlay, node)] = f"{LETTERS[overlay.kind(version)]}{overlay.layer[version]}"
    return found


def name(overlay: Overlay, node: int) -> str:
    return os.fsdecode(overlay.path(node))


def changed(overlay: Overlay, layer: int) -> dict[str, State]:
    """Path → state, for the paths that the layer touches."""
    return {
        name(overlay, overlay.node[version]): State(overlay.state[version])
        for version in overlay.versions(layer)
    }


def version_of(overlay: Overlay, path: str, layer: int | None = None) -> int:
    version = overlay.at(overlay.find(path.encode()), layer)
    assert version >= 0
    return version


def changes(overlay: Overlay, path: str) -> tuple[str, ...]:
    return overlay.changes(version_of(overlay, path))


# -- what hides ---------------------------------------------------------------------------------------


def test_a_whiteout_takes_a_file_away() -> None:
    overlay = merged([file("a"), file("b")], [whiteout("a")])
    assert tree(overlay) == {"b": "f1"}
    assert changed(overlay, 2) == {"a": State.REMOVED}


def test_a_whiteout_takes_a_directory_away_with_all_below_it() -> None:
    overlay = merged([folder("d"), folder("d/e"), file("d/e/f"), file("dd")], [whiteout("d")])
    assert tree(overlay) == {"dd": "f1"}
    assert overlay.counts(2) == LayerCounts(added=0, changed=0, removed=3)


def test_a_whiteout_of_what_is_not_there_does_nothing() -> None:
    overlay = merged([file("a")], [whiteout("b"), whiteout("a/x"), whiteout("n/o")])
    assert tree(overlay) == {"a": "f1"}
    assert changed(overlay, 2) == {}
    assert overlay.state_in(overlay.find(b"b"), 2) is State.NONE


def test_a_whiteout_counts_once_though_the_path_is_gone_already() -> None:
    overlay = merged([folder("d"), file("d/a")], [whiteout("d")], [whiteout("d"), whiteout("d/a")])
    assert changed(overlay, 3) == {}


@pytest.mark.parametrize("first", ["whiteout", "file"])
def test_a_whiteout_never_hides_its_own_layer(first: str) -> None:
    new = [whiteout("a"), file("a", "new")]
    overlay = merged([file("a", "old")], new if first == "whiteout" else new[::-1])
    assert tree(overlay) == {"a": "f2"}
    assert changed(overlay, 2) == {"a": State.CONTENT}


@pytest.mark.parametrize("first", ["whiteout", "directory"])
def test_a_directory_removed_and_made_again(first: str) -> None:
    new = [whiteout("d"), folder("d"), file("d/b")]
    overlay = merged(
        [folder("d"), file("d/a"), file("d/b")], new if first == "whiteout" else [*new[1:], new[0]]
    )
    assert tree(overlay) == {"d": "d2", "d/b": "f2"}
    assert changed(overlay, 2) == {"d": State.UNCHANGED, "d/a": State.REMOVED, "d/b": State.UNCHANGED}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_opaque_directory_hides_what_is_below_and_keeps_its_own(place: int) -> None:
    """Wherever the marker stands in the layer."""
    new = [folder("d"), file("d/b")]
    new.insert(place, opaque("d"))
    overlay = merged([folder("d"), file("d/a"), folder("d/e"), file("d/e/f"), file("x")], new)
    assert tree(overlay) == {"d": "d2", "d/b": "f2", "x": "f1"}
    assert changed(overlay, 2) == {
        "d": State.UNCHANGED,
        "d/a": State.REMOVED,
        "d/e": State.REMOVED,
        "d/e/f": State.REMOVED,
        "d/b": State.ADDED,
    }


def test_an_opaque_marker_needs_no_entry_for_its_directory() -> None:
    overlay = merged([folder("d"), file("d/a")], [opaque("d")])
    assert tree(overlay) == {"d": "d1"}


def test_an_opaque_root_hides_everything() -> None:
    overlay = merged([folder("d"), file("d/a"), file("x")], [file("y"), opaque("")])
    assert tree(overlay) == {"y": "f2"}


def test_an_opaque_marker_over_no_directory_does_nothing() -> None:
    overlay = merged([file("a"), symlink("s", "d"), folder("d"), file("d/b")], [opaque("s"), opaque("n")])
    assert tree(overlay) == {"a": "f1", "s": "l1", "d": "d1", "d/b": "f1"}


def test_the_forms_of_overlay_itself() -> None:
    """A character device 0:0 is a whiteout, the xattr trusted.overlay.opaque = y an opaque marker."""
    overlay = merged(
        [file("a"), folder("d"), file("d/b"), folder("e"), file("e/c")],
        [
            char_device("a", 0, 0),
            folder("d", xattrs=(("trusted.overlay.opaque", "y"),)),
            folder("e", xattrs=(("trusted.overlay.opaque", "n"),)),
        ],
    )
    assert tree(overlay) == {"d": "d2", "e": "d2", "e/c": "f1"}
    assert tree(merged([char_device("null", 1, 3)])) == {"null": "c1"}


def test_metadata_of_aufs_is_no_part_of_the_tree() -> None:
    overlay = merged([folder(".wh..wh.plnk"), file(".wh..wh.plnk/9.1"), file(".wh..wh.aufs"), file("a")])
    assert tree(overlay).keys() >= {"a"}
    assert not any(path.startswith(".wh..wh.aufs") for path in tree(overlay))


# -- what replaces ------------------------------------------------------------------------------------


def test_a_path_goes_through_all_kinds() -> None:
    overlay = merged(
        [folder("p"), folder("p/q"), file("p/q/r")],
        [file("p", "text")],
        [folder("p"), file("p/s")],
        [symlink("p", "elsewhere")],
        [fifo("p")],
    )
    assert tree(overlay, 1) == {"p": "d1", "p/q": "d1", "p/q/r": "f1"}
    assert tree(overlay, 2) == {"p": "f2"}
    assert tree(overlay, 3) == {"p": "d3", "p/s": "f3"}
    assert tree(overlay, 4) == {"p": "l4"}
    assert tree(overlay, 5) == tree(overlay) == {"p": "p5"}
    assert changed(overlay, 2) == {"p": State.CONTENT, "p/q": State.REMOVED, "p/q/r": State.REMOVED}
    assert changed(overlay, 3) == {"p": State.CONTENT, "p/s": State.ADDED}
    assert changed(overlay, 4) == {"p": State.CONTENT, "p/s": State.REMOVED}
    assert changes(overlay, "p") == ("kind",)


def test_what_a_file_hid_does_not_come_back_with_the_directory() -> None:
    overlay = merged([folder("d"), file("d/a")], [file("d")], [folder("d"), file("d/b")])
    assert tree(overlay) == {"d": "d3", "d/b": "f3"}


def test_a_directory_over_a_directory_merges() -> None:
    overlay = merged([folder("d"), file("d/a")], [folder("d", mode=0o700), file("d/b")])
    assert tree(overlay) == {"d": "d2", "d/a": "f1", "d/b": "f2"}
    assert changed(overlay, 2) == {"d": State.METADATA, "d/b": State.ADDED}
    assert changes(overlay, "d") == ("mode",)


def test_names_do_not_lead_through_symlinks() -> None:
    """A layer is a tree of its own: what stands below a symlink replaces it by a directory."""
    overlay = merged([folder("lib"), file("lib/a"), symlink("l", "lib")], [file("l/b")])
    assert tree(overlay) == {"lib": "d1", "lib/a": "f1", "l": "d2", "l/b": "f2"}
    assert changed(overlay, 2) == {"l": State.CONTENT, "l/b": State.ADDED}


def test_the_last_entry_of_a_path_in_a_layer_counts() -> None:
    overlay = merged([file("a", "one"), file("a", "three"), symlink("b", "x"), symlink("b", "y")])
    assert overlay.file_size(version_of(overlay, "a")) == 5
    described = overlay.describe(version_of(overlay, "b"))
    assert described is not None
    assert described.link == b"y"
    assert overlay.counts(1) == LayerCounts(added=2, changed=0, removed=0)


def test_a_directory_and_then_a_file_in_one_layer() -> None:
    overlay = merged([folder("d"), file("d/a"), file("d"), folder("d"), file("d/b")])
    assert tree(overlay) == {"d": "d1", "d/b": "f1"}
    assert changed(overlay, 1) == {"d": State.ADDED, "d/b": State.ADDED}


def test_directories_that_no_entry_names() -> None:
    overlay = merged([file("a/b/c")], [file("a/b/d")], [folder("a")])
    assert tree(overlay) == {"a": "d3", "a/b": "d1", "a/b/c": "f1", "a/b/d": "f2"}
    assert overlay.describe(version_of(overlay, "a/b")) is None
    assert overlay.counts(1) == LayerCounts(added=3, changed=0, removed=0)
    assert overlay.counts(2) == LayerCounts(added=1, changed=0, removed=0)
    assert changed(overlay, 3) == {"a": State.METADATA}


def test_an_entry_for_the_root() -> None:
    overlay = merged([folder("", mode=0o755)], [folder("", mode=0o700), file("a")])
    assert overlay.state_in(0, 1) is State.ADDED
    assert overlay.state_in(0, 2) is State.METADATA
    assert tree(overlay) == {"a": "f2"}


# -- hardlinks ----------------------------------------------------------------------------------------


def inode(overlay: Overlay, path: str) -> int:
    return overlay.inode(version_of(overlay, path))


def test_hardlinks_name_one_file() -> None:
    overlay = merged([file("a", "text"), hardlink("b", "a"), hardlink("c", "b")])
    assert inode(overlay, "a") == inode(overlay, "b") == inode(overlay, "c")
    assert [overlay.file_size(version_of(overlay, path)) for path in "abc"] == [4, 0, 0]
    assert not overlay.problems


def test_a_hardlink_to_a_lower_layer() -> None:
    overlay = merged([file("a", "text")], [hardlink("b", "a")], [file("a", "new")])
    assert inode(overlay, "b") == version_of(overlay, "a", 2) != inode(overlay, "a")
    assert changed(overlay, 2) == {"b": State.ADDED}


def test_a_hardlink_stays_when_its_target_goes() -> None:
    overlay = merged([file("a", "text"), hardlink("b", "a")], [whiteout("a")])
    assert tree(overlay) == {"b": "h1"}
    assert inode(overlay, "b") == version_of(overlay, "a", 1)


def test_a_hardlink_names_what_its_target_is_at_that_point() -> None:
    overlay = merged([file("a", "one"), hardlink("b", "a"), file("a", "three")])
    described = overlay.describe(inode(overlay, "b"))
    assert described is not None
    assert described.size == 3


@pytest.mark.parametrize(
    "layer",
    [
        [hardlink("b", "missing")],
        [hardlink("b", "b")],
        [hardlink("b", "a"), file("a", "text")],
        [folder("a"), hardlink("b", "a")],
        [folder("b"), file("b/c"), hardlink("b", "b/c")],
        [file("c/d"), hardlink("b", "c")],
    ],
    ids=["missing", "itself", "later", "directory", "inside what it replaces", "implied directory"],
)
def test_a_hardlink_that_leads_nowhere_is_an_empty_file_and_a_problem(layer: Layer) -> None:
    overlay = merged(layer)
    assert len(overlay.problems) == 1
    assert overlay.problems[0].layer == 1
    assert tree(overlay)["b"] == "h1"
    assert overlay.file_size(version_of(overlay, "b")) == 0
    assert changed(merged(layer, [file("b")]), 2) == {"b": State.UNCHANGED}


def test_a_hardlink_to_what_its_layer_hides_leads_nowhere() -> None:
    overlay = merged([file("a", "text")], [whiteout("a"), hardlink("b", "a")])
    assert len(overlay.problems) == 1


def test_a_hardlink_to_itself_in_a_lower_layer_changes_nothing() -> None:
    overlay = merged([file("a", "text")], [hardlink("a", "a")])
    assert not overlay.problems
    assert changed(overlay, 2) == {"a": State.UNCHANGED}
    assert inode(overlay, "a") == version_of(overlay, "a", 1)


def test_a_hardlink_of_a_symlink_follows_what_the_symlink_is() -> None:
    overlay = merged(
        [symlink("a", "x"), hardlink("b", "a"), char_device("c", 1, 3), hardlink("d", "c")],
        [symlink("a", "y"), hardlink("b", "a"), char_device("c", 1, 3), hardlink("d", "c")],
    )
    assert not overlay.problems
    assert changed(overlay, 2) == {
        "a": State.CONTENT,
        "b": State.CONTENT,
        "c": State.UNCHANGED,
        "d": State.UNCHANGED,
    }
    assert changes(overlay, "b") == ("target",)


def test_the_names_of_one_file_have_one_metadata() -> None:
    """What the header of a hardlink says of mode and owner is not another file's."""
    link = hardlink("b", "a")
    overlay = merged(
        [file("a", "text", mode=0o600), replace(link, mode=0o600)],
        [file("a", "text", mode=0o600), replace(link, mode=0o777)],
    )
    assert changed(overlay, 2) == {"a": State.UNCHANGED, "b": State.UNCHANGED}


# -- what changed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "state", "words"),
    [
        (file("a", "text"), State.UNCHANGED, ()),
        (file("a", "TEXT"), State.CONTENT, ("content",)),
        (file("a", "longer"), State.CONTENT, ("content",)),
        (file("a", ""), State.CONTENT, ("content",)),
        (file("a", "text", mode=0o755), State.METADATA, ("mode",)),
        (file("a", "text", mode=0o4644), State.METADATA, ("mode",)),
        (file("a", "text", mtime=5), State.METADATA, ("mtime",)),
        (replace(file("a", "text"), uid=7), State.METADATA, ("owner",)),
        (replace(file("a", "text"), gid=7), State.METADATA, ("owner",)),
        (replace(file("a", "text"), xattrs=(("user.k", "v"),)), State.METADATA, ("xattrs",)),
        (file("a", "more", mode=0o755, mtime=5), State.CONTENT, ("content", "mode", "mtime")),
        (folder("a"), State.CONTENT, ("kind",)),
        (symlink("a", "text"), State.CONTENT, ("kind",)),
    ],
)
def test_what_a_layer_changes_of_a_file(new: Member, state: State, words: tuple[str, ...]) -> None:
    overlay = merged([file("a", "text")], [new])
    assert changed(overlay, 2) == {"a": state}
    assert changes(overlay, "a") == words


@pytest.mark.parametrize(
    ("old", "new", "state", "words"),
    [
        (symlink("a", "x"), symlink("a", "x"), State.UNCHANGED, ()),
        (symlink("a", "x"), symlink("a", "y"), State.CONTENT, ("target",)),
        (char_device("a", 1, 3), char_device("a", 1, 3), State.UNCHANGED, ()),
        (char_device("a", 1, 3), char_device("a", 1, 5), State.CONTENT, ("device",)),
        (fifo("a"), fifo("a"), State.UNCHANGED, ()),
        (fifo("a"), char_device("a", 1, 3), State.CONTENT, ("kind",)),
        (folder("a"), folder("a"), State.UNCHANGED, ()),
        (file("a"), file("a"), State.UNCHANGED, ()),
    ],
)
def test_what_a_layer_changes_of_others(
    old: Member, new: Member, state: State, words: tuple[str, ...]
) -> None:
    overlay = merged([old], [new])
    assert changed(overlay, 2) == {"a": state}
    assert changes(overlay, "a") == words


def test_a_state_is_against_the_layers_below_and_not_within_the_layer() -> None:
    overlay = merged([file("a", "one")], [file("a", "two"), file("a", "one")])
    assert changed(overlay, 2) == {"a": State.UNCHANGED}


def test_only_files_of_one_path_and_size_are_to_be_hashed() -> None:
    layers = [
        [file("same", "12"), file("longer", "1"), file("moved", "12"), file("empty"), hardlink("h", "same")],
        [
            file("same", "34"),
            file("longer", "123"),
            file("other", "12"),
            file("empty"),
            hardlink("h", "same"),
        ],
    ]
    overlay = Overlay()
    for members in layers:
        overlay.add(layer_index(members))
    assert overlay.undecided() == {1: [0], 2: [0]}
    overlay.settle()
    assert overlay.undecided() == {}


def test_content_that_cannot_be_compared_counts_as_changed() -> None:
    overlay = Overlay()
    for _ in range(2):
        index: LayerIndex = layer_index([file("a", "text")])
        index.digests.clear()
        overlay.add(index)
    overlay.settle()
    assert changed(overlay, 2) == {"a": State.CONTENT}


# -- views of every layer -----------------------------------------------------------------------------


def test_every_layer_keeps_its_view() -> None:
    overlay = merged(
        [folder("d"), file("d/a", "1"), file("b", "1")],
        [whiteout("b"), file("d/a", "22")],
        [],
        [file("b", "333"), whiteout("d")],
    )
    assert tree(overlay, 0) == {}
    assert tree(overlay, 1) == {"d": "d1", "d/a": "f1", "b": "f1"}
    assert tree(overlay, 2) == tree(overlay, 3) == {"d": "d1", "d/a": "f2"}
    assert tree(overlay, 4) == tree(overlay) == {"b": "f4"}
    a, b = overlay.find(b"d/a"), overlay.find(b"b")
    assert [overlay.state_in(a, layer) for layer in range(1, 5)] == [
        State.ADDED,
        State.CONTENT,
        State.UNCHANGED,
        State.REMOVED,
    ]
    assert [overlay.state_in(b, layer) for layer in range(1, 5)] == [
        State.ADDED,
        State.REMOVED,
        State.NONE,
        State.ADDED,
    ]
    assert overlay.counts(3) == LayerCounts(0, 0, 0)
    assert list(overlay.versions(3)) == []


def test_paths_that_were_never_there_are_not_found() -> None:
    overlay = merged([file("a/b")])
    assert overlay.find(b"c") == overlay.find(b"a/b/c") == -1
    assert overlay.path(overlay.find(b"a/b")) == b"a/b"
    assert overlay.find(b"") == 0
    assert [overlay.path(node) for node in overlay.children(0)] == [b"a"]


def test_names_are_bytes() -> None:
    overlay = merged([file(os.fsdecode(b"caf\xe9"))], [whiteout(os.fsdecode(b"caf\xe9"))])
    assert overlay.path(overlay.find(b"caf\xe9")) == b"caf\xe9"
    assert tree(overlay) == {}
