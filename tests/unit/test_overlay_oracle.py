"""The overlay and the waste of random stacks, against two that know nothing of them.

One is `replay`, the rules of the OCI image specification applied to a dict per layer. The other is
`umoci unpack`, which makes the tree on disk.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgscope.analysis import analyze
from imgscope.findings.waste import measure
from imgscope.layers.index import Kind
from imgscope.layers.overlay import Overlay, State
from imgscope.sources.archive import ArchiveSource
from tests.support.needs import require_tool
from tests.support.stacks import (
    Inode,
    Member,
    Metadata,
    Replay,
    Tree,
    is_directory,
    layer_index,
    merged,
    replay,
    sound_stacks,
    stacks,
    write_docker_archive,
    write_oci_layout,
)

KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHAR_DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


def tree_of(overlay: Overlay, layer: int | None = None) -> dict[str, int]:
    """Every path of the merge of layers 1..layer, with its version there; the root if it is named."""
    found = {}
    for node in range(len(overlay)):
        version = overlay.at(node, layer)
        if version >= 0:
            found[os.fsdecode(overlay.path(node))] = version
    return found


def groups(items: Iterable[tuple[str, Hashable]]) -> set[frozenset[str]]:
    """Paths by what they share: the hardlink groups, whatever tells them apart."""
    paths = defaultdict(set)
    for path, key in items:
        paths[key].add(path)
    return {frozenset(group) for group in paths.values()}


def assert_same_file(overlay: Overlay, version: int, expected: Inode) -> None:
    made = overlay.inode(version)
    entry = overlay.describe(made)
    if entry is None:  # implied: of a directory that has no metadata
        assert is_directory(expected)
        assert expected.metadata is None
        return
    metadata: Metadata = (
        entry.mode,
        entry.uid,
        entry.gid,
        int(entry.mtime),
        tuple((key.decode(), value.decode()) for key, value in entry.xattrs),
    )
    assert metadata == expected.metadata
    # a hardlink that leads nowhere stands for an empty file
    assert (Kind.FILE if entry.kind is Kind.HARDLINK else entry.kind) == KINDS[expected.type]
    assert entry.size == len(expected.content)
    assert (entry.link.decode() if entry.kind is Kind.SYMLINK else "") == expected.link
    assert (entry.device or (0, 0)) == expected.device


def state_of(path: str, before: Tree, after: Tree) -> State:
    old, new = before.get(path), after.get(path)
    if old is None or new is None:
        return State.ADDED if new else State.REMOVED if old else State.NONE
    if old.shape != new.shape:
        return State.CONTENT
    return State.UNCHANGED if old.metadata == new.metadata else State.METADATA


@given(st.one_of(stacks(), sound_stacks()))
@settings(max_examples=400)
def test_every_merge_and_every_state(layers: list[list[Member]]) -> None:
    overlay, expected = merged(*layers), replay(layers)
    for number in range(1, len(layers) + 1):
        before, after = expected.trees[number - 1], expected.trees[number]
        actual = tree_of(overlay, number)
        assert actual.keys() == after.keys()
        for path, version in actual.items():
            assert_same_file(overlay, version, after[path])
        links = groups((path, overlay.inode(version)) for path, version in actual.items())
        assert links == groups((path, id(inode)) for path, inode in after.items())
        # every path that was ever named, there or not
        states = {
            path: state_of(path, before, after)
            for path in (os.fsdecode(overlay.path(node)) for node in range(len(overlay)))
        }
        assert {path: overlay.state_in(overlay.find(path.encode()), number) for path in states} == states
        told = [overlay.state_in(overlay.node[version], number) for version in overlay.versions(number)]
        paths = [overlay.node[version] for version in overlay.versions(number)]
        assert len(paths) == len(set(paths))
        counts = overlay.counts(number)
        for wanted, count in (
            ((State.ADDED,), counts.added),
            ((State.CONTENT, State.METADATA), counts.changed),
            ((State.REMOVED,), counts.removed),
        ):
            assert count == sum(state in wanted for state in states.values())
            assert count == sum(state in wanted for state in told)


def causes(inode: Inode, expected: Replay) -> tuple[int, set[str]]:
    """When a file died, and why each path died under which it was last known."""
    first = inode.stored[0]
    since = next(
        layer for layer in range(first, len(expected.trees)) if inode not in expected.trees[layer].values()
    )
    before, after = expected.trees[since - 1], expected.trees[since]
    held = {path for path, other in before.items() if other is inode}
    found = set()
    for path in held | {path for layer, path in inode.named if layer == since}:
        new = after.get(path)
        if new is None:
            found.add("removed")
        elif path in held and new.shape == inode.shape:
            found.add("metadata")
        else:
            found.add("overwritten")
    return since, found


@given(st.one_of(stacks(), sound_stacks()))
@settings(max_examples=300)
def test_live_and_dead_bytes_by_what_the_final_tree_refers_to(layers: list[list[Member]]) -> None:
    waste, expected = measure(merged(*layers)), replay(layers)
    living = set(map(id, expected.trees[-1].values()))
    for number, layer in enumerate(waste.layers, 1):
        stored = [inode for inode in expected.files if inode.stored[0] == number]
        assert layer.size == sum(len(inode.content) for inode in stored)
        assert layer.live == sum(len(inode.content) for inode in stored if id(inode) in living)
        assert layer.live + layer.dead == layer.size
    by_path = defaultdict(list)
    for inode in expected.files:
        if id(inode) not in living and inode.content:
            by_path[inode.stored[1].encode()].append(inode)
    assert [wasted.path for wasted in waste.paths] == sorted(
        by_path, key=lambda path: (-sum(len(inode.content) for inode in by_path[path]), path)
    )
    for wasted in waste.paths:
        copies = by_path[wasted.path]
        assert wasted.dead == sum(len(inode.content) for inode in copies)
        assert wasted.stored_in == tuple(sorted({inode.stored[0] for inode in copies}))
        assert wasted.dead_since == max(causes(inode, expected)[0] for inode in copies)
        told = sorted((copy.stored_in, copy.size, copy.dead_since) for copy in wasted.copies)
        assert told == sorted(
            (inode.stored[0], len(inode.content), causes(inode, expected)[0]) for inode in copies
        )
        possible = set().union(*(causes(inode, expected)[1] for inode in copies))
        assert {str(copy.cause) for copy in wasted.copies} <= possible
        if len(copies) == 1 and len(possible) == 1:
            assert {str(wasted.cause)} == possible


@given(st.one_of(stacks(3), sound_stacks(3)))
@settings(max_examples=60)
def test_an_archive_tells_the_same_as_its_layers(layers: list[list[Member]]) -> None:
    """Through the source, where only files of one path and size are hashed, by reading them again."""
    with tempfile.TemporaryDirectory() as scratch:
        source = ArchiveSource(write_docker_archive(Path(scratch, "image.tar"), layers))
        try:
            analysis = analyze(source, source.find(None))
        finally:
            source.close()
    direct = merged(*layers)
    assert list(analysis.overlay.state) == list(direct.state)
    waste = measure(direct)
    assert analysis.waste.layers == waste.layers
    assert list(analysis.waste.paths) == list(waste.paths)
    assert all(
        len(index.digests) <= len(layer_index(members).digests)
        for index, members in zip(analysis.overlay.layers, layers, strict=True)
    )


@pytest.fixture(scope="module")
def unpack() -> Callable[[list[list[Member]], Path], Path]:
    """Unpacks a stack by umoci; gives the root of the tree."""
    umoci = require_tool("umoci")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]

    def run(layers: list[list[Member]], scratch: Path) -> Path:
        layout = write_oci_layout(scratch / "layout", layers)
        done = subprocess.run(
            [umoci, "unpack", *rootless, "--image", f"{layout}:test", scratch / "bundle"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return scratch / "bundle/rootfs"

    return run


@given(sound_stacks())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_tree_that_umoci_unpacks(
    unpack: Callable[[list[list[Member]], Path], Path], layers: list[list[Member]]
) -> None:
    if os.geteuid():  # nobody else may make devices or give files away
        layers = [[member for member in layer if member.type != tarfile.CHRTYPE] for layer in layers]
    overlay = merged(*layers)
    assert not overlay.problems
    actual = {path: version for path, version in tree_of(overlay).items() if path}
    with tempfile.TemporaryDirectory() as scratch:
        root = unpack(layers, Path(scratch))
        on_disk = {
            str(path.relative_to(root)): (path, path.lstat())
            for folder, folders, files in os.walk(root)
            for path in (Path(folder, name) for name in folders + files)
        }
        assert actual.keys() == on_disk.keys()
        for name, (path, status) in on_disk.items():
            entry = overlay.describe(overlay.inode(actual[name]))
            if entry is None:
                assert path.is_dir()
                assert not path.is_symlink()
                continue
            assert KIND_OF_MODE[stat.S_IFMT(status.st_mode)] is entry.kind
            if entry.kind is Kind.SYMLINK:
                assert os.readlink(path) == os.fsdecode(entry.link)
            else:
                assert stat.S_IMODE(status.st_mode) == entry.mode
            if entry.kind is not Kind.DIRECTORY:  # umoci touches a directory that a later layer adds to
                assert status.st_mtime == entry.mtime
            if entry.kind is Kind.FILE:
                assert status.st_size == entry.size
            if os.geteuid() == 0:
                assert (status.st_uid, status.st_gid) == (entry.uid, entry.gid)
        links = groups((path, overlay.inode(version)) for path, version in actual.items())
        assert links == groups((name, status.st_ino) for name, (_, status) in on_disk.items())


KIND_OF_MODE = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
}
