"""Two images compared: random stacks against plain dicts of their trees, and the cases that are special."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.analysis import Analysis, analyze
from imgscope.comparison import Comparison, Side, compare
from imgscope.errors import CancelledError
from imgscope.findings.compare import FileComparison, Order
from imgscope.findings.sides import ConfigChange, config_changes, shared_layers
from imgscope.findings.waste import measure
from imgscope.images.model import Image, Platform
from imgscope.images.model import Layer as ImageLayer
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.sources.archive import ArchiveSource
from tests.support.stacks import (
    Inode,
    Layer,
    Tree,
    char_device,
    fifo,
    file,
    folder,
    hardlink,
    is_directory,
    layer_tar,
    merged,
    replay,
    stacks,
    symlink,
    whiteout,
    write_docker_archive,
    write_oci_layout,
)

Row = tuple[str, frozenset[str], int, int]  # state, what changed, own bytes in A and in B
MIRRORED = {"ADDED": "REMOVED", "REMOVED": "ADDED"}


def names_of(tree: Tree) -> dict[int, list[str]]:
    """The paths of each file, by the identity of its inode."""
    found: dict[int, list[str]] = {}
    for path in sorted(tree):
        found.setdefault(id(tree[path]), []).append(path)
    return found


def expected(a: Tree, b: Tree) -> dict[str, Row]:
    """What differs, path by path, the slow and obvious way."""
    names = names_of(a), names_of(b)
    rows = {}
    for path in a.keys() | b.keys() | {""}:
        inodes = a.get(path), b.get(path)
        size_a, size_b = (
            len(inode.content) if inode is not None and its[id(inode)][0] == path else 0
            for inode, its in zip(inodes, names, strict=True)
        )
        left, right = (inode or (Inode(b"5") if path == "" else None) for inode in inodes)
        if left is None or right is None:
            rows[path] = ("ADDED" if left is None else "REMOVED", frozenset[str](), size_a, size_b)
            continue
        changes: set[str] = set()
        if left.type != right.type:
            rows[path] = ("CONTENT", frozenset({"kind"}), size_a, size_b)
            continue
        state = "METADATA"
        if not is_directory(left) and left.shape != right.shape:
            state = "CONTENT"
            changes.add("content" if left.content != right.content else "target")
        if (left.metadata is None) != (right.metadata is None):
            changes.add("entry")
        elif left.metadata is not None and right.metadata is not None:
            mode, uid, gid, mtime, _ = (x != y for x, y in zip(left.metadata, right.metadata, strict=True))
            found = {"mode": mode, "owner": uid or gid, "mtime": mtime}
            changes |= {word for word, differs in found.items() if differs}
            others = [its.get(id(inode), [path]) for inode, its in zip((left, right), names, strict=True)]
            if others[0] != others[1]:
                changes.add("links")
        if changes:
            rows[path] = (state, frozenset(changes), size_a, size_b)
    return rows


def rows_of(files: FileComparison) -> dict[str, Row]:
    rows = {}
    for number in files.listed():
        changes, (size_a, size_b) = frozenset(files.changes(number)), files.own(number)
        rows[os.fsdecode(files.path(number))] = (files.state(number).name, changes, size_a, size_b)
    return rows


def layer_keys(layers: Sequence[Layer]) -> list[str | None]:
    return [hashlib.sha256(layer_tar(members)).hexdigest() for members in layers]


def contents(overlay: Overlay, tree: Tree, versions: list[int]) -> dict[int, bytes]:
    """The SHA-256 of what versions store, as the plain tree has it."""
    return {
        version: hashlib.sha256(
            next(
                tree[os.fsdecode(overlay.path(node))].content
                for node in range(len(overlay))
                if (there := overlay.at(node)) >= 0 and overlay.inode(there) == version
            )
        ).digest()
        for version in versions
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Layer], list[Layer]]:
    """Two stacks with some layers in common, at the bottom or not."""
    shared = draw(stacks(2))
    return [*shared, *draw(stacks(2))], [*draw(st.sampled_from([shared, shared[:1], []])), *draw(stacks(2))]


@given(pairs(), st.booleans())
def test_trees_against_dicts(pair: tuple[list[Layer], list[Layer]], digested: bool) -> None:
    a, b = pair
    overlays = merged(*a), merged(*b)
    trees = replay(a).trees[-1], replay(b).trees[-1]
    if not digested:
        for overlay in overlays:
            for index in overlay.layers:
                index.digests.clear()
    files = FileComparison(*overlays, layer_keys(a), layer_keys(b))
    wanted = files.undecided()
    assert digested <= (wanted == ([], []))
    known = [contents(*each) for each in zip(overlays, trees, wanted, strict=True)]
    assert files.settle(known[0], known[1]) == 0
    want = expected(*trees)
    assert rows_of(files) == want
    assert len(files) == len(want)
    for state, total in files.totals.items():
        rows = [row for row in want.values() if row[0] == state.name]
        assert total == (len(rows), sum(row[2] for row in rows), sum(row[3] for row in rows))
    times = [row for row in want.values() if row[:2] == ("METADATA", frozenset({"mtime"}))]
    assert files.only_times == len(times)
    for side, tree in enumerate(trees):
        assert files.size(ROOT)[side] == sum(
            {id(inode): len(inode.content) for inode in tree.values()}.values()
        )
    # the other way round
    back = FileComparison(overlays[1], overlays[0], layer_keys(b), layer_keys(a))
    back.settle(known[1], known[0])
    assert rows_of(back) == {
        path: (MIRRORED.get(state, state), changes, right, left)
        for path, (state, changes, left, right) in want.items()
    }


@given(pairs())
def test_the_tree_has_what_differs_and_the_way_there(pair: tuple[list[Layer], list[Layer]]) -> None:
    a, b = pair
    files = FileComparison(merged(*a), merged(*b), layer_keys(a), layer_keys(b))
    differing = set(rows_of(files))
    way = {path[:end] for path in differing for end in range(len(path)) if path[end] == "/"} | {""}
    for order in Order:
        tree = files.arranged(order)
        assert sorted(os.fsdecode(files.path(number)) for number in tree.nodes) == sorted(differing | way)
        for place in tree.folders:
            weights = [files.weight(tree.nodes[child]) for child in tree.children(place)]
            assert sum(weights) <= files.weight(tree.nodes[place])
            if order == Order.SIZE:
                assert weights == sorted(weights, reverse=True)
    largest = files.largest()
    assert {os.fsdecode(files.path(number)) for number in largest} == differing


def compared(*stacks: Sequence[Layer]) -> dict[str, Row]:
    a, b = stacks
    return rows_of(FileComparison(merged(*a), merged(*b)))


def test_every_kind_of_difference() -> None:
    a = [
        [
            folder("etc"),
            file("etc/same", "x"),
            file("etc/text", "old"),
            file("etc/grown", 10),
            file("etc/mode", "x", mode=0o600),
            replace(file("etc/owner", "x"), uid=1),
            replace(file("etc/group", "x"), gid=1),
            file("etc/mtime", "x", mtime=1),
            symlink("etc/link", "here"),
            char_device("etc/device", 1, 3),
            fifo("etc/pipe"),
            folder("etc/kind"),
            file("etc/kind/below", 5),
            file("etc/gone", 7),
            folder("etc/xattrs", xattrs=(("user.a", "1"),)),
        ]
    ]
    b = [
        [
            folder("etc"),
            file("etc/same", "x"),
            file("etc/text", "new"),
            file("etc/grown", 12),
            file("etc/mode", "x", mode=0o644),
            file("etc/owner", "x"),
            file("etc/group", "x"),
            file("etc/mtime", "x"),
            symlink("etc/link", "there"),
            char_device("etc/device", 1, 5),
            fifo("etc/pipe"),
            file("etc/kind", 3),
            file("etc/come", 8),
            folder("etc/xattrs", xattrs=(("user.a", "2"),)),
        ]
    ]
    none: frozenset[str] = frozenset()
    assert compared(a, b) == {
        "etc/text": ("CONTENT", frozenset({"content"}), 3, 3),
        "etc/grown": ("CONTENT", frozenset({"content"}), 10, 12),
        "etc/mode": ("METADATA", frozenset({"mode"}), 1, 1),
        "etc/owner": ("METADATA", frozenset({"owner"}), 1, 1),
        "etc/group": ("METADATA", frozenset({"owner"}), 1, 1),
        "etc/mtime": ("METADATA", frozenset({"mtime"}), 1, 1),
        "etc/link": ("CONTENT", frozenset({"target"}), 0, 0),
        "etc/device": ("CONTENT", frozenset({"device"}), 0, 0),
        "etc/kind": ("CONTENT", frozenset({"kind"}), 0, 3),
        "etc/kind/below": ("REMOVED", none, 5, 0),
        "etc/gone": ("REMOVED", none, 7, 0),
        "etc/come": ("ADDED", none, 0, 8),
        "etc/xattrs": ("METADATA", frozenset({"xattrs"}), 0, 0),
    }


def test_hardlinks_count_once_and_their_names_are_compared() -> None:
    linked = [[file("a", 10), hardlink("b", "a"), file("c", 1)]]
    apart = [[file("a", 10), file("b", 10), file("c", 1)]]
    links = frozenset({"links"})
    assert compared(linked, apart) == {
        "a": ("METADATA", links, 10, 10),
        "b": ("METADATA", links, 0, 10),
    }
    assert compared(linked, [[file("b", 10), hardlink("a", "b"), file("c", 1)]]) == {}
    assert compared([*linked, [whiteout("a")]], linked) == {
        "a": ("ADDED", frozenset(), 0, 10),
        "b": ("METADATA", links, 10, 0),
    }


def test_one_layer_twice_and_one_stored_again() -> None:
    """What is the same entry of the same layer needs no digest; nor do sizes that differ."""
    base = [file("a", 100), file("b", 7)]
    overlays = merged(base, [file("c", 5)]), merged(base, [file("c", 6)])
    for overlay in overlays:
        for index in overlay.layers:
            index.digests.clear()
    assert FileComparison(*overlays, ["1", "2"], ["1", "3"]).undecided() == ([], [])
    unnamed = FileComparison(*overlays)
    assert [len(side) for side in unnamed.undecided()] == [2, 2]
    assert unnamed.settle({}, {}) == 2  # nothing could be read: they count as different
    assert [unnamed.state(number) for number in unnamed.listed()] == [State.CONTENT] * 3


def test_checksums_tell_a_difference_and_never_sameness() -> None:
    overlays = merged([file("a", "x"), file("b", "y")]), merged([file("a", "x"), file("b", "z")])
    for overlay, sums in zip(overlays, ([1, 2], [1, 3]), strict=True):
        overlay.layers[0].digests.clear()
        overlay.layers[0].checksums.extend(sums)
    files = FileComparison(*overlays)
    [[version], [other]] = files.undecided()
    assert overlays[0].path(overlays[0].node[version]) == overlays[1].path(overlays[1].node[other]) == b"a"


def test_cancelling() -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        FileComparison(merged([file("a")]), merged([file("b")]), job=job)


# -- layers and configs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "prefix", "partners"),
    [
        ("", "", 0, {}),
        ("xy", "xyz", 2, {1: 1, 2: 2}),
        ("xab", "xba", 1, {1: 1, 2: 3, 3: 2}),
        ("xeeey", "xeez", 3, {1: 1, 2: 2, 3: 3}),
        ("aeeb", "ceed", 0, {2: 2, 3: 3}),
        ("x?", "x?", 1, {1: 1}),
    ],
)
def test_shared_layers(a: str, b: str, prefix: int, partners: dict[int, int]) -> None:
    names = [[None if letter == "?" else letter for letter in stack] for stack in (a, b)]
    found = shared_layers(*names)
    assert (found.prefix, found.partners) == (prefix, partners)


def image(config: dict[str, Any], **fields: Any) -> Image:
    return Image("sha256:0", config=config, **fields)


def test_config() -> None:
    a: dict[str, Any] = {
        "Env": ["PATH=/bin", "A=1", "SAME=x", "EMPTY="],
        "Entrypoint": ["/a"],
        "Cmd": None,
        "WorkingDir": "",
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Labels": {"x": "1", "y": "2"},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Hostname": "",
        "Odd": {"b": 1, "a": 2},
    }
    b: dict[str, Any] = {
        "Env": ["PATH=/usr/bin", "SAME=x", "B=2"],
        "Entrypoint": ["/a", "b"],
        "Cmd": [],
        "WorkingDir": "/app",
        "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"x": "1", "y": "3"},
        "Odd": {"a": 2, "b": 1},
        "OnBuild": None,
        "Image": "sha256:01",  # of the step below: says nothing of this image, and not every engine tells it
    }
    found = config_changes(image(a), image(b, platform=Platform("linux", "arm64"), created="2026"))
    assert found == [
        ConfigChange("platform", "", "linux/amd64", "linux/arm64"),
        ConfigChange("created", "", None, "2026"),
        ConfigChange("env", "PATH", "/bin", "/usr/bin"),
        ConfigChange("env", "A", "1", None),
        ConfigChange("env", "EMPTY", "", None),
        ConfigChange("env", "B", None, "2"),
        ConfigChange("entrypoint", "", '["/a"]', '["/a", "b"]'),
        ConfigChange("workdir", "", None, "/app"),
        ConfigChange("ports", "443/tcp", "443/tcp", None),
        ConfigChange("ports", "8080/tcp", None, "8080/tcp"),
        ConfigChange("volumes", "/data", None, "/data"),
        ConfigChange("labels", "y", "2", "3"),
        ConfigChange("healthcheck", "", '{"Test": ["CMD", "true"]}', None),
    ]


@given(
    st.dictionaries(
        st.sampled_from(["Env", "Cmd", "Labels", "ExposedPorts", "Volumes", "Healthcheck", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_configs_of_any_shape(config: dict[str, Any]) -> None:
    assert config_changes(image(config), image(config)) == []
    back = config_changes(image({}), image(config))
    assert back == [replace(item, a=item.b, b=item.a) for item in config_changes(image(config), image({}))]


# -- through sources ----------------------------------------------------------------------------------


def sides(*paths: Path) -> Iterator[Side]:
    for path in paths:
        source = ArchiveSource(path)
        yield Side(source, analyze(source, source.find(None)))


def compare_paths(a: Path, b: Path) -> Comparison:
    one, other = sides(a, b)
    with closing(one.source), closing(other.source):
        return compare(one, other)


def undigested(side: Side) -> Side:
    for index in side.analysis.overlay.layers:
        index.digests.clear()
    return side


def test_contents_are_read_where_nothing_else_tells(tmp_path: Path) -> None:
    """Each content once, however many names it has; the digests stay known."""
    a = [[file("same", 9000), file("other", b"a" * 9000), hardlink("twin", "other"), file("size", 3)]]
    b = [[file("same", 9000), file("other", b"b" * 9000), hardlink("twin", "other"), file("size", 4)]]
    one, other = map(
        undigested, sides(write_docker_archive(tmp_path / "a.tar", a), write_oci_layout(tmp_path / "b", b))
    )
    told: list[tuple[int, int | None]] = []
    job = Job(lambda done, total: told.append((done, total)))
    with closing(one.source), closing(other.source):
        found = compare(one, other, job)
        again = Job()
        compare(one, other, again)
    content = frozenset({"content"})
    assert rows_of(found.files) == {
        "other": ("CONTENT", content, 9000, 9000),
        "twin": ("CONTENT", content, 0, 0),
        "size": ("CONTENT", content, 3, 4),
    }
    assert told[-1] == (36_000, 36_000)
    assert (again.done, again.total) == (0, 0)
    assert found.differs
    assert not found.notes


def test_a_content_that_cannot_be_read_counts_as_different(tmp_path: Path) -> None:
    a = write_docker_archive(tmp_path / "a.tar", [[file("x", 9000)]])
    b = write_oci_layout(tmp_path / "b", [[file("x", 9000), file("y", 1)]])
    one, other = map(undigested, sides(a, b))
    for blob in (b / "blobs/sha256").iterdir():
        if blob.stat().st_size > 9000:
            blob.unlink()
    found = compare(one, other)
    assert rows_of(found.files)["x"][0] == "CONTENT"
    assert "could not be read" in found.notes[-1]


class Stored:
    """A source that has one content, stored without its holes."""

    vouches = False

    def __init__(self, data: bytes) -> None:
        self.data = data

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, list[bytes]]]:
        return ((entry, [self.data]) for entry in entries)


def test_files_of_holes() -> None:
    """Contents are those that a program would read; one that claims too much counts as different."""
    data = b"data." + bytes(85) + b"0123456789"
    found: list[Side] = []
    for pieces in ([(0, 5), (90, 10)], [(0, 100)]):
        overlay = merged([file("x", data), file("vast", 100)])
        index = overlay.layers[0]
        index.sparse[0], index.sparse[1] = pieces, [(0, len(found))]
        index.sizes[1] = 10**15
        index.digests = {entry: bytes((entry, len(found))) for entry in (0, 1)}
        source: Any = Stored(b"".join(data[start : start + length] for start, length in pieces))
        layers = (ImageLayer(1, "sha256:0"),)
        found.append(Side(source, Analysis(image({}, layers=layers), overlay, measure(overlay), ())))
    job = Job()
    comparison = compare(found[0], found[1], job)
    content = frozenset({"content"})
    assert rows_of(comparison.files) == {"vast": ("CONTENT", content, 10**15, 10**15)}
    assert "1 file of the same size could not be read" in comparison.notes[-1]
    assert (job.done, job.total) == (200, 200)


def test_cancelling_while_contents_are_read(tmp_path: Path) -> None:
    paths = [
        write_docker_archive(tmp_path / f"{name}.tar", [[file("x", 9_000_000), file(name)]]) for name in "ab"
    ]
    one, other = map(undigested, sides(*paths))
    job = Job(lambda done, total: job.cancel())
    with closing(one.source), closing(other.source), pytest.raises(CancelledError):
        compare(one, other, job)
    assert 0 < job.done < 9_000_000


def test_packages_of_the_kinds_that_changed(tmp_path: Path) -> None:
    def dpkg(*packages: str) -> str:
        return "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n"
            for name, _, version in (package.partition(" ") for package in packages)
        )

    npm = "app/node_modules"
    base = [
        file("var/lib/dpkg/status", dpkg("libc6 2.36", "openssl 3.0.1")),
        file(f"{npm}/ms/package.json", '{"name": "ms", "version": "2.0.0"}'),
        file(f"{npm}/send/node_modules/ms/package.json", '{"name": "ms", "version": "2.1.3"}'),
        file("lib/apk/db/installed", "P:musl\nV:1.2\n\n"),
    ]
    changed = [
        file("var/lib/dpkg/status", dpkg("libc6 2.36", "openssl 3.0.2", "curl 8")),
        whiteout(f"{npm}/send"),
        file("var/lib/rpm/rpmdb.sqlite", "SQLite"),
    ]
    paths = [
        write_docker_archive(tmp_path / "a.tar", [base]),
        write_docker_archive(tmp_path / "b.tar", [base, changed]),
    ]
    found = compare_paths(*paths)
    assert [(str(item.kind), item.name, item.a, item.b) for item in found.packages] == [
        ("deb", "curl", (), ("8",)),
        ("deb", "openssl", ("3.0.1",), ("3.0.2",)),
        # the copy that stays is known, though it is the same in both
        ("npm", "ms", ("2.0.0", "2.1.3"), ("2.0.0",)),
    ]
    assert found.notes == ["The RPM database differs; imgscope does not read which packages do."]
    assert found.layers.partners == {1: 1}
    back = compare_paths(*reversed(paths))
    assert [(item.a, item.b) for item in back.packages] == [(item.b, item.a) for item in found.packages]


def test_layers_that_only_claim_to_be_the_same(tmp_path: Path) -> None:
    """A file's own word on its layers is not enough: what it was not read whole for is compared."""
    one = write_oci_layout(tmp_path / "a", [[file("x", "old")]])
    other = write_oci_layout(tmp_path / "b", [[file("x", "old")]])
    tar, lie = layer_tar([file("x", "old")]), layer_tar([file("x", "new")])
    (other / "blobs/sha256" / hashlib.sha256(tar).hexdigest()).write_bytes(lie)
    found = compare_paths(one, other)
    assert rows_of(found.files) == {"x": ("CONTENT", frozenset({"content"}), 3, 3)}
    assert found.layers.partners == {1: 1}  # by what the configs say
    assert rows_of(compare_paths(one, one).files) == {}


def test_one_blob_of_one_source_is_not_read_twice(tmp_path: Path) -> None:
    [side] = map(undigested, sides(write_docker_archive(tmp_path / "a.tar", [[file("x", 9000)]])))
    other = replace(side, analysis=analyze(side.source, side.source.find(None)))
    job = Job()
    assert not compare(side, undigested(other), job).differs
    assert job.total == 0


def test_kinds() -> None:
    files = FileComparison(merged([folder("x")]), merged([symlink("x", "y")]))
    [number] = files.listed()
    assert files.kinds(number) == (Kind.DIRECTORY, Kind.SYMLINK)
    assert not files.is_directory(number)
