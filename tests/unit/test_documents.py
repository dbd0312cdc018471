"""The tree of an image's documents: from archives as their writers write them, and from hostile ones."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imgscope.errors import CancelledError
from imgscope.images import documents as module
from imgscope.images.documents import Document, Kind
from imgscope.images.manifest import NESTING_LIMIT
from imgscope.images.model import Platform
from imgscope.job import Job
from imgscope.sources.archive import ArchiveSource
from tests.support import archives as made
from tests.support.archives import Layout, Made, Members, named

TWO = Made((made.plain(b"one" * 400), made.gzipped(b"two" * 400)), ("two:1",))


def documents(folder: Path, members: Members, name: str | None = None, platform: str = "") -> list[Document]:
    path = made.write(folder / "made.tar", members)
    with closing(ArchiveSource(path)) as source:
        image = source.find(name, Platform.parse(platform) if platform else None)
        return list(source.documents(image, Job()))


def tree(found: list[Document]) -> list[str]:
    return [f"{'  ' * document.depth}{document.kind.value}: {document.name}" for document in found]


def test_an_oci_layout(tmp_path: Path) -> None:
    found = documents(tmp_path, made.oci(TWO))
    assert tree(found) == [
        "index: index.json",
        "  manifest: manifest",
        "    config: config",
        "    layer: layer 1",
        "    layer: layer 2",
    ]
    index, manifest, config, *layers = found
    assert index.data is not None
    assert json.loads(index.data)["manifests"][0]["digest"] == manifest.digest
    assert config.digest == TWO.id
    assert config.data == TWO.config
    assert config.size == len(TWO.config)
    assert manifest.verified
    assert config.verified
    assert [layer.size for layer in layers] == [len(blob.data) for blob in TWO.layers]
    assert [layer.digest for layer in layers] == [blob.digest for blob in TWO.layers]
    assert [layer.layer for layer in layers] == [1, 2]
    assert all(layer.data is None and layer.verified is None for layer in layers)  # nobody read them
    assert layers[1].media_type.endswith("tar+gzip")


@pytest.mark.parametrize("writer", [made.docker_save_old, made.kaniko, made.podman])
def test_a_docker_archive(tmp_path: Path, writer: Any) -> None:
    other = Made((made.plain(b"other"),), ("other:1",))
    found = documents(tmp_path, writer(other, TWO), "two:1")
    assert tree(found) == [
        "other: manifest.json",
        "  config: config",
        "  layer: layer 1",
        "  layer: layer 2",
    ]
    assert found[1].data == TWO.config
    assert found[1].verified
    assert [layer.size for layer in found[2:]] == [len(blob.data) for blob in TWO.layers]
    assert all(layer.note.endswith((".tar", ".tar.gz")) for layer in found[2:])  # its name in the archive


def test_jib_writes_lower_case(tmp_path: Path) -> None:
    assert documents(tmp_path, made.jib(TWO))[1].data == TWO.config


def test_both_forms_in_one_archive(tmp_path: Path) -> None:
    found = documents(tmp_path, made.docker_save_new(TWO))
    assert tree(found)[0] == "index: index.json"
    assert tree(found)[-1] == "other: manifest.json"  # it names the same blobs, so they are not shown twice
    assert [document.layer for document in found if document.layer] == [1, 2]


def test_a_compressed_archive(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "made.tar.gz"
    path.write_bytes(gzip.compress(made.pack(made.docker_save_old(TWO))))
    with closing(ArchiveSource(path)) as source:
        found = source.documents(source.find(None), Job())
    assert found[1].data == TWO.config
    assert [document.size for document in found[2:]] == [len(blob.data) for blob in TWO.layers]


def several() -> Members:
    layout = Layout()
    arm = Made((made.plain(b"arm"),), architecture="arm64")
    manifests = [layout.image(image, platform=True) for image in (TWO, arm)]
    index = layout.index(*manifests, *(layout.attestation(of) for of in manifests))
    other = layout.image(Made((made.plain(b"x"),)))
    return layout.members(named(index, "several:1"), named(other, "other:1"))


def test_an_index_of_platforms_with_attestations(tmp_path: Path) -> None:
    found = documents(tmp_path, several(), "several:1", "linux/arm64")
    assert tree(found) == [
        "index: index.json",
        "  index: 1",
        "    manifest: linux/amd64",
        "      config: config",
        "      layer: layer 1",
        "      layer: layer 2",
        "    manifest: linux/arm64",
        "      config: config",
        "      layer: layer 1",
        "    attestation: unknown/unknown",
        "      config: config",
        "      layer: layer 1",
        "    attestation: unknown/unknown",
        "      config: config",
        "      layer: layer 1",
    ]
    assert found[0].note == "names 1 other as well"
    # only the layers of the image itself are its layers
    assert [position for position, document in enumerate(found) if document.layer] == [8]
    attestation = found[9]
    assert "BuildKit" in attestation.note
    assert "unknown/unknown" in attestation.note
    assert found[2].digest.partition(":")[2][:12] in attestation.note
    statement = found[11].data
    assert statement is not None
    assert b"in-toto" in statement


def test_what_is_not_there_or_not_what_it_says(tmp_path: Path) -> None:
    members = several()
    arm = next(
        item
        for name, data in members.items()
        if isinstance(data, bytes) and b"arm64" in data and b'"manifests"' in data
        for item in json.loads(data)["manifests"]
        if item.get("platform", {}).get("architecture") == "arm64"
    )
    name = "blobs/sha256/" + made.encoded(arm["digest"])
    gone = documents(tmp_path, {key: data for key, data in members.items() if key != name}, "several:1")
    assert [document.note for document in gone if document.name == "linux/arm64"] == ["not stored here"]
    other = documents(tmp_path, {**members, name: b'{"layers": []}'}, "several:1")
    assert [document.verified for document in other if document.name == "linux/arm64"] == [False]
    broken = documents(tmp_path, {**members, name: b"nonsense"}, "several:1")
    assert [document.note for document in broken if document.name == "linux/arm64"] == [
        "it is not valid JSON."
    ]


def test_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_LIMIT", 4)
    assert tree(documents(tmp_path, several(), "several:1"))[4:] == ["other: …"]
    monkeypatch.undo()
    monkeypatch.setattr(module, "KEPT_LIMIT", 100)
    found = documents(tmp_path, several(), "several:1")
    assert any(document.note.startswith("not read: ") for document in found)


def test_a_large_document_is_refused(tmp_path: Path) -> None:
    members = several()
    layout = Layout()
    image = layout.image(TWO)
    large = layout.blob(b" " * (5 << 20), made.MANIFEST)
    members = layout.members(named(layout.index(image, large), "large:1"))
    found = documents(tmp_path, members, "large:1")
    refused = [document for document in found if document.digest == large["digest"]]
    assert [(document.data, "limit" in document.note) for document in refused] == [(None, True)]


def test_indexes_in_indexes_end(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(TWO)
    inner = layout.index(layout.artifact())
    for _ in range(NESTING_LIMIT + 3):
        inner = layout.index(inner)
    found = documents(tmp_path, layout.members(named(layout.index(image, inner), "deep:1")), "deep:1")
    assert max(document.depth for document in found) <= NESTING_LIMIT + 1
    assert any("deeper" in document.note for document in found)


@pytest.mark.parametrize("odd", [None, 7, "text", [], [None, 7, []], {"digest": 7, "size": "x"}, -1, 1e999])
def test_any_type_anywhere(tmp_path: Path, odd: object) -> None:
    layout = Layout()
    image = layout.image(TWO)
    for key in ("config", "layers", "mediaType", "annotations"):
        manifest = layout.blob(made.document({"schemaVersion": 2, key: odd}), made.MANIFEST)
        manifest |= {"platform": odd, "annotations": odd, "size": odd}
        index = layout.index(image, manifest)
        found = documents(tmp_path, layout.members(named(index, "odd:1")), "odd:1")
        assert found[1].kind is Kind.INDEX
        assert [document.layer for document in found if document.layer] == [1, 2]


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    path = made.write(tmp_path / "made.tar", several())
    job = Job()
    job.cancel()
    with closing(ArchiveSource(path)) as source, pytest.raises(CancelledError):
        source.documents(source.find("several:1"), job)
