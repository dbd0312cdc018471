"""EngineSource against Podman's Docker-compatible API."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgscope.analysis import analyze
from imgscope.images.documents import Kind, whole_config
from imgscope.images.model import Platform
from imgscope.job import Job
from imgscope.report import analysis_json
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.engine import EngineSource
from tests.support import bases, program
from tests.support.engine import Engine
from tests.support.needs import require_tool
from tests.support.podman import Podman, running_podman


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """Podman's service with a storage of its own."""
    with running_podman() as podman:
        yield podman


@pytest.fixture
def source(podman: Podman) -> Iterator[EngineSource]:
    with contextlib.closing(EngineSource.connect(podman.host)) as source:
        yield source


@pytest.fixture(scope="module")
def loaded(podman: Podman, engine: Engine) -> Iterator[Path]:
    """`app:1` on `base:1`, built by docker and loaded into podman; gives the archive."""
    names = [engine.name(f"podman/{name}:1") for name in ("base", "app")]
    engine.docker("tag", bases.busybox_base(engine), names[0])
    steps = "RUN head -c 100000 /dev/urandom > /big\nENV A=1\nRUN rm /big\n"
    engine.build({"Dockerfile": f"FROM {names[0]}\n{steps}"}, names[1])
    archive = podman.folder / "loaded.tar"
    engine.docker("save", "-o", archive, *names)
    podman("load", "--input", archive)
    for name, short in zip(names, ("base", "app"), strict=True):
        podman("tag", name, f"localhost/{short}:1")
        podman("untag", name, f"localhost/{name}")
    yield archive
    podman("rmi", "--all", "--force")


def test_the_label_says_podman(source: EngineSource, podman: Podman) -> None:
    assert source.label.startswith("podman ")
    assert source.label.endswith(f" · {podman.host}")


@pytest.mark.usefixtures("loaded")
def test_listed_images_have_podmans_ids_names_and_sizes(source: EngineSource, podman: Podman) -> None:
    container = podman("create", "localhost/app:1", "true")
    try:
        lists = list(source.images(Job()))
    finally:
        podman("rm", container)
    image = next(image for image in lists[-1] if "localhost/app:1" in image.references)
    assert image.id == f"sha256:{podman.inspect('app:1', 'Id')}"
    assert image.references == ("localhost/app:1",)
    assert image.platform == Platform.host()
    assert image.containers == 1
    assert len(image.layers) == 3
    assert [step.empty_layer for step in image.history] == [False, True, False, True, False]
    sizes = [layer.size or 0 for layer in image.layers]
    assert 100_000 < sizes[1] < 105_000  # podman's sizes are those of the layers' tars
    assert image.size == sum(sizes)
    assert next(image for image in lists[0] if "localhost/app:1" in image.references).layers == ()


@pytest.mark.parametrize("form", ["name", "short name", "id", "short id"])
@pytest.mark.usefixtures("loaded")
def test_an_image_is_found_by_each_of_its_names(source: EngineSource, podman: Podman, form: str) -> None:
    identifier = podman.inspect("app:1", "Id")
    forms = {
        "name": "localhost/app:1",
        "short name": "app:1",
        "id": f"sha256:{identifier}",
        "short id": identifier[:10],
    }
    assert source.find(forms[form]).id == f"sha256:{identifier}"


@pytest.mark.usefixtures("loaded")
def test_a_missing_image_gets_a_sentence(podman: Podman) -> None:
    said = program.complaint(program.run("analyze", "nobody/has", environment=podman.environment))
    assert said.startswith("There is no image 'nobody/has' in podman ")
    assert said.endswith("; it has localhost/app:1, localhost/base:1.")


def test_the_tree_comes_from_the_layers(podman: Podman, loaded: Path) -> None:
    nodes = program.answer("tree", environment=podman.environment)["nodes"]
    base = podman.inspect("base:1", "Id")
    assert [(node["references"], node["parent"]) for node in nodes] == [
        (["localhost/base:1"], None),
        (["localhost/app:1"], f"sha256:{base}"),
    ]


def test_the_stream_tells_the_same_as_the_archive(source: EngineSource, loaded: Path) -> None:
    streamed = analysis_json(analyze(source, source.find("app:1")), "", "")
    with contextlib.closing(ArchiveSource(loaded)) as archive:
        image = next(image for image in archive.found.images if len(image.layers) == 3)
        saved = analysis_json(analyze(archive, image), "", "")
    for report in (streamed, saved):
        for layer in report["layers"]:
            del layer["digest"]  # an archive on disk is not read whole
    assert streamed == saved
    assert streamed["dead"] == 100_000
    assert streamed["problems"] == []


@pytest.mark.usefixtures("loaded")
def test_the_documents_of_an_image(source: EngineSource) -> None:
    image = source.find("app:1")
    manifest, config, *layers, told = source.documents(image, Job())
    assert (manifest.kind, config.kind, told.kind) == (Kind.MANIFEST, Kind.CONFIG, Kind.OTHER)
    assert manifest.verified
    assert (config.digest, config.verified) == (image.id, True)
    assert [layer.layer for layer in layers] == [1, 2, 3]
    assert whole_config(image, [manifest, config])["rootfs"]["diff_ids"] == list(image.diff_ids)


def test_an_imported_image(source: EngineSource, podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    subprocess.run(["tar", "-C", tmp_path, "-cf", tmp_path / "tar", "file"], check=True)
    podman("import", "--message", "by hand", tmp_path / "tar", "imported:1")
    try:
        analysis = analyze(source, source.find("imported:1"))
        assert (analysis.size, analysis.waste.dead, analysis.problems) == (1000, 0, ())
        assert [step.comment for step in analysis.image.history] == ["by hand"]
    finally:
        podman("rmi", "imported:1")


def test_steps_of_a_build_are_followed_and_not_shown(podman: Podman, tmp_path: Path) -> None:
    """buildah keeps every step as an untagged image, the parent of the next."""
    shutil.copy(require_tool("busybox"), tmp_path / "busybox")
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /a\nENV A=1\nCOPY Dockerfile /a\nLABEL b=2\nCMD /a\n"
    )
    build = ("build", "--isolation", "chroot", "--layers")
    podman(*build, "--tag", "built:1", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM built:1\nENV B=1\nCOPY busybox /b\nLABEL c=3\n")
    podman(*build, "--tag", "built:2", tmp_path)
    try:
        nodes = program.answer("tree", environment=podman.environment)["nodes"]
        built = {name: node for node in nodes for name in node["references"] if "built" in name}
        assert set(built) == {"localhost/built:1", "localhost/built:2"}
        assert built["localhost/built:2"]["parent"] == built["localhost/built:1"]["id"]
        assert not any(node["references"] == [] for node in nodes)
        report = program.answer("analyze", "built:2", environment=podman.environment)
        assert [wasted["path"] for wasted in report["wasted"]] == ["/a"]
        assert [layer["created_by"].split("#(nop) ")[1].split()[0] for layer in report["layers"]] == [
            "COPY"
        ] * 3
    finally:
        podman("rmi", "--force", "built:2", "built:1")
