"""Contents of several layers of an archive that is read as a stream: in one pass, where that can be."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from imgscope.analysis import analyze
from imgscope.contents import read_files
from imgscope.errors import NotFoundError
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.base import OnePass
from imgscope.sources.blobs import PackedBlobs, cut_all
from tests.support import archives as made
from tests.support.archives import Made, pack, write
from tests.support.stacks import file, hardlink, layer_tar

LAYERS = [
    layer_tar([file(f"{layer}/{number}", os.urandom(5000 * number)) for number in range(5)])
    for layer in range(3)
]
# stored twice, and both copies are in use: the first by a hardlink
TWICE = layer_tar([file("same/a", os.urandom(7000)), file("same/b", b"b")])
LINK = layer_tar([hardlink("other/a", "same/a"), hardlink("other/b", "same/b")])


def read(source: ArchiveSource) -> dict[bytes, bytes]:
    """All contents that the final tree refers to."""
    analysis = analyze(source, source.find(None))
    overlay = analysis.overlay
    nodes = [node for node in range(1, len(overlay)) if overlay.at(node) >= 0]
    versions = {overlay.at(node): overlay.path(node) for node in nodes}
    wanted = [version for version in versions if overlay.kind(overlay.inode(version)) == Kind.FILE]
    found = read_files(source, analysis, wanted, Job())
    return {versions[version]: b"".join(chunks) for version, chunks in found}


@pytest.mark.parametrize("form", made.FORMS, ids=lambda form: form.__name__)
def test_a_compressed_archive_is_read_once(
    form: Callable[[bytes], made.Blob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    plain = ArchiveSource(write(tmp_path / "image.tar", made.docker_save_new(image)))
    packed = ArchiveSource(write(tmp_path / "image.tar.gz", made.docker_save_new(image)))
    assert isinstance(packed, OnePass)
    assert packed.one_pass
    assert not plain.one_pass
    passes: list[Job] = []
    start = PackedBlobs._chunks

    def counted(blobs: PackedBlobs, job: Job) -> Generator[bytes]:
        passes.append(job)
        return start(blobs, job)

    analyze(packed, packed.find(None))
    monkeypatch.setattr(PackedBlobs, "_chunks", counted)
    expected = read(plain)
    assert len([path for path in expected if path[1:2] == b"/"]) == 15
    assert read(packed) == expected
    assert len(passes) == 1
    plain.close()
    packed.close()


def test_a_layer_that_is_there_twice_passes_by_twice(tmp_path: Path) -> None:
    image = Made(tuple(made.gzipped(tar) for tar in (TWICE, LINK, LAYERS[0], TWICE)))
    for members in (made.docker_save_new(image), made.docker_save_old(image)):
        plain = ArchiveSource(write(tmp_path / "image.tar", members))
        packed = ArchiveSource(write(tmp_path / "image.tar.gz", members))
        expected = read(plain)
        assert {b"same/a", b"other/a"} <= expected.keys()
        assert expected[b"same/a"] == expected[b"other/a"]
        assert read(packed) == expected
        plain.close()
        packed.close()


def test_a_layer_that_does_not_come() -> None:
    data = gzip.compress(pack({"one": LAYERS[0]}))

    def start() -> Generator[bytes]:
        yield gzip.decompress(data)

    with pytest.raises(NotFoundError, match="The layer two is not in the archive"):
        list(cut_all(start, {"two": [((512, 1), "x")]}, Job()))
    assert list(cut_all(start, {"two": []}, Job())) == []
