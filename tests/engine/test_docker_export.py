"""Images that the real engine built, against `docker export` of a container of them."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from imgscope.analysis import Analysis, analyze
from imgscope.findings.dive import figures
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import State
from imgscope.sources.archive import ArchiveSource
from tests.support.dive import dive_figures
from tests.support.engine import Engine

LONG = "/".join(["long" * 12] * 6)  # past what a plain tar header holds
DOCKERFILE = f"""
FROM {{base}}
COPY tree /data
RUN mkdir -p /data/{LONG} /data/gone/deep /data/again/deep /data/swap /data/in /data/private \
 && dd if=/bin/busybox of=/data/big bs=1000 count=100 && dd if=/bin/busybox of=/data/moved bs=1000 count=20 \
 && echo long > /data/{LONG}/file && echo gone > /data/gone/deep/file && echo old > /data/again/deep/file \
 && echo in > /data/swap/file && echo plain > /data/plain && echo two > /data/two && echo one > /data/one \
 && ln /data/one /data/linked && ln /data/one /data/in/linked && ln -s one /data/pointer \
 && ln -s /nowhere /data/dangling && ln /data/pointer /data/same-pointer \
 && mkfifo /data/fifo && mknod /data/null c 1 3 && truncate -s 300000 /data/sparse \
 && touch "$(printf '/data/caf\\351')" && touch -d 2001-02-03 /data/old \
 && chmod 4755 /data/plain && chmod 1777 /data/in && chmod 700 /data/private
RUN rm /data/two && rm -rf /data/gone && mv /data/moved /data/in/here
RUN chmod 600 /data/big
RUN chown 1000:70000 /data/plain && chown -h 3000000:5 /data/pointer && chown 7 /data/private
RUN rm -rf /data/again && mkdir /data/again && echo new > /data/again/file
RUN rm -rf /data/swap && echo file > /data/swap \
 && rm /data/plain && mkdir /data/plain && echo in > /data/plain/file
RUN echo other > /data/one && touch -d 2002-03-04 /data/copied && ln -sfn two /data/pointer
RUN ln /data/big /data/in/big && rm /data/linked && mv /data/private /data/public && mv /data/in /data/out
COPY more /data
RUN rm /data/big && echo two > /data/two && rm -rf /data/{LONG}
"""
TREE = {
    "tree/copied": "copied\n",
    "tree/folder/below": "below\n",
    "tree/empty": "",
    "more/copied": "copied\n",
    "more/new": "new\n",
}
# What docker itself puts into a container; what these do to the folder around them is left out as well.
DOCKERS = {".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "dev", "proc", "sys"}


@dataclass(frozen=True)
class Seen:
    """A path as a program in the container would see it."""

    kind: Kind
    size: int
    digest: str
    mode: int
    uid: int
    gid: int
    mtime: int | None
    link: str
    device: tuple[int, int] | None


Tree = dict[str, Seen]
Groups = set[frozenset[str]]

KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHAR_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


def counts(path: str) -> bool:
    return not any(path == other or path.startswith(f"{other}/") for other in DOCKERS) and path != ""


def mtime_of(path: str, mtime: float) -> int | None:
    return None if path == "etc" else int(mtime)


def exported(engine: Engine, image: str, scratch: Path) -> tuple[Tree, Groups]:
    """The file system of a container of the image, and which of its paths are one file."""
    container = engine.docker("create", image).stdout.strip()
    try:
        engine.docker("export", "--output", scratch / "export.tar", container)
    finally:
        engine.docker("rm", "--force", container)
    tree: Tree = {}
    first: dict[str, str] = {}
    groups = defaultdict(set)
    with tarfile.open(scratch / "export.tar", errors="surrogateescape") as tar:
        for member in tar:
            path = member.name.strip("/")
            if not counts(path):
                continue
            named = path
            if member.islnk():
                path = first[member.linkname]
                tree[named] = tree[path]
            else:
                content = tar.extractfile(member) if member.isfile() else None
                data = content.read() if content else b""
                tree[named] = Seen(
                    KINDS[member.type],
                    len(data),
                    hashlib.sha256(data).hexdigest(),
                    member.mode & 0o7777,  # with the kind above it, in old engines
                    member.uid,
                    member.gid,
                    mtime_of(named, member.mtime),
                    member.linkname,
                    (member.devmajor, member.devminor) if member.ischr() or member.isblk() else None,
                )
            first[named] = path
            groups[path].add(named)
    return tree, {frozenset(group) for group in groups.values()}


def merged(source: ArchiveSource, analysis: Analysis) -> tuple[Tree, Groups]:
    """The same of the overlay; the contents are read through the source."""
    overlay = analysis.overlay
    versions = {}
    for node in range(1, len(overlay)):
        version, path = overlay.at(node), os.fsdecode(overlay.path(node))
        if version >= 0 and counts(path):
            versions[path] = overlay.inode(version)
    digests = dict(file_digests(source, analysis, set(versions.values())))
    tree: Tree = {}
    groups = defaultdict(set)
    for path, made in versions.items():
        entry = overlay.describe(made)
        assert entry is not None, path  # the engine stores every directory
        tree[path] = Seen(
            entry.kind,
            entry.size,
            digests.get(made, hashlib.sha256().hexdigest()),
            entry.mode,
            entry.uid,
            entry.gid,
            mtime_of(path, entry.mtime),
            os.fsdecode(entry.link),
            entry.device,
        )
        groups[made].add(path)
    return tree, {frozenset(group) for group in groups.values()}


def file_digests(source: ArchiveSource, analysis: Analysis, wanted: set[int]) -> Iterator[tuple[int, str]]:
    overlay = analysis.overlay
    for number, index in enumerate(overlay.layers, 1):
        files = {
            overlay.entry[version]: version
            for version in wanted
            if overlay.layer[version] == number and overlay.file_size(version)
        }
        entries = sorted(files, key=index.offsets.__getitem__)
        for entry, chunks in source.contents(analysis.image, number, index, entries, Job()):
            yield files[entry], hashlib.sha256(b"".join(chunks)).hexdigest()


def analyzed(source: ArchiveSource) -> Analysis:
    return analyze(source, source.find(None))


def saved(engine: Engine, image: str, scratch: Path) -> ArchiveSource:
    engine.docker("save", "--output", scratch / "saved.tar", image)
    return ArchiveSource(scratch / "saved.tar")


@pytest.fixture(params=[False, True], ids=["classic", "buildkit"])
def image(request: pytest.FixtureRequest, engine: Engine, busybox_base: str) -> str:
    name = engine.name("export:buildkit" if request.param else "export:classic")
    context = {"Dockerfile": DOCKERFILE.format(base=busybox_base), **TREE}
    engine.build(context, name, buildkit=request.param)
    return name


def test_the_final_merge_is_what_docker_exports(engine: Engine, image: str, tmp_path: Path) -> None:
    tree, groups = exported(engine, image, tmp_path)
    assert tree["data/again"].kind is Kind.DIRECTORY
    with closing(saved(engine, image, tmp_path)) as source:
        analysis = analyzed(source)
        assert not analysis.problems
        ours, our_groups = merged(source, analysis)
    assert ours == tree
    assert our_groups == groups


def test_the_layers_tell_what_the_dockerfile_did(engine: Engine, image: str, tmp_path: Path) -> None:
    with closing(saved(engine, image, tmp_path)) as source:
        analysis = analyzed(source)
    overlay = analysis.overlay

    def state(path: str, step: int) -> State:
        return overlay.state_in(overlay.find(path.encode()), 1 + step)

    assert len(overlay.layers) == 12
    assert state("data/copied", 1) is State.ADDED
    assert state("data/two", 3) is State.REMOVED
    assert state("data/gone/deep/file", 3) is State.REMOVED
    assert state("data/moved", 3) is State.REMOVED
    assert state("data/in/here", 3) is State.ADDED
    assert state("data/big", 4) is State.METADATA
    assert overlay.changes(overlay.at(overlay.find(b"data/big"), 5)) == ("mode",)
    assert state("data/plain", 5) is State.METADATA
    assert state("data/again/deep/file", 6) is State.REMOVED
    assert state("data/again/file", 6) is State.ADDED
    assert state("data/swap", 7) is State.CONTENT
    assert state("data/swap/file", 7) is State.REMOVED
    assert state("data/plain/file", 7) is State.ADDED
    assert state("data/one", 8) is State.CONTENT
    assert state("data/two", 11) is State.ADDED
    causes = {wasted.path.decode(): str(wasted.cause) for wasted in analysis.waste.paths}
    assert causes["data/again/deep/file"] == "removed"
    assert causes["data/swap/file"] == "removed"
    assert causes["data/moved"] == "removed"
    assert sum(layer.size for layer in analysis.waste.layers) == analysis.waste.live + analysis.waste.dead


def test_the_sizes_are_dockers_but_for_symlinks(engine: Engine, image: str, tmp_path: Path) -> None:
    """`docker history` adds the length of symlinks' targets where the builder measures on disk."""
    with closing(saved(engine, image, tmp_path)) as source:
        analysis = analyzed(source)
    told = list(reversed(engine.client.images.get(image).history()))
    assert len(told) == len(analysis.image.history)
    sizes = [
        step["Size"] for step, made in zip(told, analysis.image.history, strict=True) if not made.empty_layer
    ]
    if engine.client.info()["Driver"] != "overlay2":  # others count blocks, or what is compressed
        assert len(sizes) == len(analysis.overlay.layers)
        return
    for index, size in zip(analysis.overlay.layers, sizes, strict=True):
        links = sum(len(entry.link) for entry in index if entry.kind is Kind.SYMLINK)
        assert size in (index.total, index.total + links)


def test_dives_figures_of_a_real_image(engine: Engine, image: str, tmp_path: Path) -> None:
    """No two layers here are the same: `docker save` makes the second a symlink, and dive loses that."""
    with closing(saved(engine, image, tmp_path)) as source:
        ours = figures(analyzed(source).overlay)
    theirs = dive_figures(tmp_path / "saved.tar")
    assert ours.wasted_bytes == theirs["inefficientBytes"]
    assert ours.efficiency == pytest.approx(theirs["efficiencyScore"], rel=1e-12)
