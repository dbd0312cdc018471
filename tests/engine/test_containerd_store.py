"""EngineSource against a newer Docker with containerd's image store.

There an image's id is the digest of its manifest or index, layers are kept compressed, and builds come
with attestations. The engine is Debian 13's, run in a root of its own that debootstrap makes, once, in
the person's cache folder: 400 MB, half a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from imgscope.analysis import analyze
from imgscope.images.dockerfile import dockerfile
from imgscope.images.documents import Kind, whole_config
from imgscope.images.model import Image, Platform
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.tar import content_digest
from imgscope.report import analysis_json
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.datadir import open_root
from imgscope.sources.datadir.base import DataRoot
from imgscope.sources.datadir.containerd import ContainerdRoot
from imgscope.sources.engine import EngineSource
from tests.support import bases, program
from tests.support.engine import Engine
from tests.support.needs import PATH, missing, require_tool
from tests.support.wait import wait_for

SUITE = "trixie"
SIZES = {"amd64": 1000, "arm64": 2000, "s390x": 3000}  # of a file that differs, in the image for several
PACKAGES = ("docker.io", "docker-cli", "docker-buildx")

# Runs a program of the other root, in a mount namespace of its own: $1 the root, $2 the folder at /mnt.
ENTER = """
set -e
root=$1 folder=$2
shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount --bind "$folder" "$root/mnt"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Store:
    root: Path
    folder: Path

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/s"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**kept, "PATH": PATH, "DOCKER_HOST": self.host}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a program of the other root; all that it starts ends with it."""
        namespaces = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
        return subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", ENTER, "enter", self.root, self.folder, *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/mnt", "TMPDIR": "/mnt"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def docker(self, *words: str) -> str:
        with self.start("docker", "--host", "unix:///mnt/s", *words) as process:
            said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, f"docker {' '.join(words)}: {said}"
        return said


def make_root() -> Path:
    """Debian 13 with Docker, unpacked but not configured: enough to run it."""
    kept = bases.CACHE / f"docker-{SUITE}-{platform.machine()}"
    if not kept.exists():
        debootstrap = require_tool("debootstrap")
        bases.CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bases.CACHE) as name:
            root = Path(name, "root")
            include = ",".join(PACKAGES)
            done = subprocess.run(
                [
                    *(debootstrap, "--foreign", "--variant=minbase", f"--include={include}"),
                    *(SUITE, root, bases.MIRROR),
                ],
                env={**os.environ, "PATH": PATH},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                missing(f"debootstrap could not fetch {SUITE}: {(done.stderr or done.stdout)[-500:]}")
            packages = root / "var/cache/apt/archives"
            for package in packages.glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
            shutil.rmtree(packages)
            (root / "mnt").mkdir(exist_ok=True)  # what the packages' scripts would make
            root.rename(kept)
    return kept


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """The newer engine, running."""
    if os.geteuid() != 0:
        missing("an engine in a root of its own needs root")
    for tool in ("unshare", "dpkg-deb"):
        require_tool(tool)
    root = make_root()
    with tempfile.TemporaryDirectory(prefix="imgscope-store-") as name:
        store = Store(root, Path(name))
        settings = {
            "features": {"containerd-snapshotter": True},
            "hosts": ["unix:///mnt/s"],
            "data-root": "/mnt/data",
            "exec-root": "/mnt/exec",
            "pidfile": "/mnt/pid",
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
        }
        (store.folder / "daemon.json").write_text(json.dumps(settings))
        with store.start("sh", "-c", "exec dockerd --config-file /mnt/daemon.json >/mnt/log 2>&1") as daemon:
            try:

                def answers() -> bool:
                    if daemon.poll() is not None:
                        log = store.folder / "log"
                        said = (daemon.stdout.read() if daemon.stdout else "") + (
                            log.read_text()[-1000:] if log.exists() else ""
                        )
                        missing(f"the newer dockerd does not start: {said}")
                    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                        connection.connect(f"{store.folder}/s")
                        return True
                    return False

                wait_for("an answer of the newer dockerd", answers, seconds=60)
                yield store
            finally:
                daemon.kill()  # and with it all in its namespaces


@pytest.fixture
def source(store: Store) -> Iterator[EngineSource]:
    with contextlib.closing(EngineSource.connect(store.host)) as source:
        yield source


@pytest.fixture(scope="module")
def loaded(store: Store, engine: Engine) -> Path:
    """`app:1` on `base:1`, built by the older engine and loaded into the newer; gives the archive."""
    base, app = names = [engine.name(f"store/{name}:1") for name in ("base", "app")]
    engine.docker("tag", bases.busybox_base(engine), base)
    steps = "RUN head -c 100000 /dev/urandom > /big\nENV A=1\nRUN rm /big\n"
    engine.build({"Dockerfile": f"FROM {base}\n{steps}"}, app)
    engine.docker("save", "-o", store.folder / "loaded.tar", *names)
    engine.docker("rmi", *names)
    store.docker("load", "--input", "/mnt/loaded.tar")
    for name, short in zip(names, ("base:1", "app:1"), strict=True):
        store.docker("tag", name, short)
        store.docker("rmi", name)
    return store.folder / "loaded.tar"


@pytest.fixture(scope="module")
def built(store: Store) -> str:
    """An image built here by BuildKit, for two platforms, with attestations."""
    context = store.folder / "context"
    context.mkdir()
    (context / "text").write_text("text\n" * 10_000)
    for architecture, size in SIZES.items():
        (context / architecture).write_bytes(bytes(size))
    (context / "Dockerfile").write_text(
        "FROM scratch\nARG TARGETARCH\nCOPY text /text\nCOPY $TARGETARCH /program\nCOPY Dockerfile /text\n"
    )
    platforms = ",".join(f"linux/{architecture}" for architecture in SIZES)
    store.docker("build", "--provenance=true", f"--platform={platforms}", "--tag", "built:1", "/mnt/context")
    return "built:1"


def test_it_is_the_image_store_of_containerd(store: Store) -> None:
    with contextlib.closing(docker.DockerClient(store.host)) as client:
        assert ["driver-type", "io.containerd.snapshotter.v1"] in client.info()["DriverStatus"]


@pytest.mark.usefixtures("loaded")
def test_listed_images_are_complete(store: Store, source: EngineSource, built: str) -> None:
    images = {name: image for image in list(source.images(Job()))[-1] for name in image.references}
    assert set(images) == {"base:1", "app:1", built}
    for name, image in images.items():
        assert f'"{image.id}"' in store.docker("image", "inspect", "--format", "{{json .Id}}", name)
        assert image.platform == Platform.host()
        # sizes are of unpacked files, and of the blocks that these take: never those of compressed blobs
        report = analysis_json(analyze(source, image), name, "")
        assert report["size"] <= (image.size or 0) < report["size"] + 200_000
    assert [step.empty_layer for step in images["app:1"].history[-3:]] == [False, True, False]
    assert images["app:1"].diff_ids[:1] == images["base:1"].diff_ids


@pytest.mark.parametrize("form", ["name", "id", "short id"])
def test_an_image_is_found_by_each_of_its_names(source: EngineSource, built: str, form: str) -> None:
    image = source.find(built)
    forms = {
        "name": f"docker.io/library/{built}",
        "id": image.id,
        "short id": image.id.partition(":")[2][:12],
    }
    assert source.find(forms[form]) == image


def test_the_tree_comes_from_the_layers(store: Store, loaded: Path, built: str) -> None:
    nodes = program.answer("tree", environment=store.environment)["nodes"]
    by_name = {name: node for node in nodes for name in node["references"]}
    assert by_name["app:1"]["parent"] == by_name["base:1"]["id"]
    assert by_name[built]["parent"] is by_name["base:1"]["parent"] is None
    assert len(nodes) == 3


def test_the_stream_tells_the_same_as_the_archive(source: EngineSource, loaded: Path) -> None:
    streamed = analysis_json(analyze(source, source.find("app:1")), "", "")
    with contextlib.closing(ArchiveSource(loaded)) as archive:
        image = next(image for image in archive.found.images if len(image.layers) == 3)
        saved = analysis_json(analyze(archive, image), "", "")
    assert streamed["id"] != saved["id"]  # here of the manifest, there of the config
    for report in (streamed, saved):
        del report["id"]
        for layer in report["layers"]:
            # an archive on disk is not read whole; the store keeps the layers as it likes
            del layer["digest"], layer["compressed_size"]
    assert streamed == saved
    assert streamed["dead"] == 100_000
    assert streamed["problems"] == []


def test_compressed_layers_and_attestations(store: Store, built: str) -> None:
    report = program.answer("analyze", built, environment=store.environment)
    assert report["problems"] == []
    assert report["platform"] == str(Platform.host())
    assert [layer["created_by"].split()[0] for layer in report["layers"]] == ["COPY"] * 3
    assert report["layers"][1]["size"] == SIZES[Platform.host().architecture]
    first = report["layers"][0]
    assert first["size"] == 50_000
    assert first["compressed_size"] < 5_000
    assert first["digest"] != first["diff_id"]
    assert [(wasted["path"], wasted["dead"]) for wasted in report["wasted"]] == [("/text", 50_000)]


def test_another_platform_of_an_image(store: Store, source: EngineSource, built: str) -> None:
    report = program.answer("analyze", built, "--platform", "linux/s390x", environment=store.environment)
    assert report["platform"] == "linux/s390x"
    assert report["layers"][1]["size"] == SIZES["s390x"]
    assert report["problems"] == []
    # the digest of the index names all of them
    image, other = source.find(built), source.find(built, Platform("linux", "s390x"))
    assert report["id"] == image.id == other.id
    assert source.find(built, Platform.host()) == image
    # one source tells them apart, though they have one id
    assert analyze(source, other).image.diff_ids == other.diff_ids
    assert analyze(source, image).image.diff_ids == image.diff_ids != other.diff_ids
    assert source.detail(other).layers[1].digest != source.detail(image).layers[1].digest


def test_a_platform_that_is_not_there(store: Store, built: str, loaded: Path) -> None:
    done = program.run("analyze", built, "--platform", "linux/arm/v7", environment=store.environment)
    assert program.complaint(done) == (
        f"{built} is not there for linux/arm/v7, only for linux/amd64, linux/arm64, linux/s390x."
    )
    done = program.run("analyze", "app:1", "--platform", "linux/arm/v7", environment=store.environment)
    assert program.complaint(done) == f"app:1 is not there for linux/arm/v7, only for {Platform.host()}."


@pytest.mark.usefixtures("loaded")
def test_what_is_kept_tells_the_same(store: Store, built: str) -> None:
    """Also of the blobs, which belong to the store and not to the diff IDs; of each platform its own."""

    def told(*more: str) -> list[Any]:
        calls = [[built], ["app:1"], [built, "--platform", "linux/s390x"]]
        return [program.answer("analyze", *call, *more, environment=store.environment) for call in calls]

    without = told("--no-cache")
    assert without == told() == told()
    here, _, there = ([layer["digest"] for layer in report["layers"]] for report in without)
    assert here[0] == there[0] != without[0]["layers"][0]["diff_id"]
    assert here[1] != there[1]


# -- the store itself, where it can be read -----------------------------------------------------------


@pytest.fixture
def root(store: Store, source: EngineSource, monkeypatch: pytest.MonkeyPatch) -> DataRoot:
    """The engine's data root as it lies outside of the engine's own root, and the engine saying so."""
    info = source.info() | {"DockerRootDir": str(store.folder / "data")}
    monkeypatch.setattr(source, "info", lambda job=None: info)
    root = open_root(info, podman=False)
    assert isinstance(root, ContainerdRoot)
    return root


def read_all(source: EngineSource, image: Image) -> dict[int, LayerIndex]:
    return dict(source.index(image, Job()))


def fields(index: LayerIndex) -> dict[str, object]:
    """All that a layer's own bytes tell; what was hashed on the way is up to who reads."""
    hashed = {"digests", "digest", "diff_id", "__weakref__"}
    return {name: getattr(index, name) for name in LayerIndex.__slots__ if name not in hashed}


@pytest.mark.usefixtures("loaded", "built")
@pytest.mark.parametrize(
    ("name", "architecture"),
    [("app:1", Platform.host().architecture), *(("built:1", architecture) for architecture in SIZES)],
)
def test_the_store_tells_the_same_as_the_stream(
    store: Store,
    source: EngineSource,
    root: DataRoot,
    name: str,
    architecture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with contextlib.closing(EngineSource.connect(store.host)) as streaming:
        image = streaming.find(name, Platform("linux", architecture))
        streamed = read_all(streaming, image)
        theirs = analysis_json(analyze(streaming, image), name, "")
    monkeypatch.setattr(source, "_save", lambda *_: pytest.fail("the engine was asked for its stream"))
    found = read_all(source, image)
    assert sorted(found) == sorted(streamed)
    for number, index in found.items():
        assert fields(index) == fields(streamed[number])
        files = [entry for entry, size in enumerate(index.sizes) if size]
        assert {
            entry: content_digest(None, iter(chunks))
            for entry, chunks in root.contents(image, number, index, files, Job())
        } == streamed[number].digests
    assert analysis_json(analyze(source, image), name, "") == theirs


@pytest.mark.usefixtures("root")
def test_the_documents_of_an_index(source: EngineSource, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = source.find(built)
    index, *found = source.documents(image, Job())
    assert (index.kind, index.digest, index.verified) == (Kind.INDEX, image.id, True)
    platforms = [document.name for document in found if document.kind is Kind.MANIFEST]
    assert platforms == [f"linux/{architecture}" for architecture in SIZES]
    attestations = [document for document in found if document.kind is Kind.ATTESTATION]
    assert len(attestations) == len(SIZES)
    assert all(document.verified and "BuildKit" in document.note for document in attestations)
    own = [document for document in found if document.layer]
    assert [document.layer for document in own] == [1, 2, 3]
    assert [document.digest for document in own] == [
        layer.digest for layer in analyze(source, image).image.layers
    ]
    config = whole_config(image, found)
    assert config["rootfs"]["diff_ids"] == list(image.diff_ids)
    assert config["architecture"] == Platform.host().architecture

    # where the store cannot be read, the API tells its digest
    monkeypatch.setattr(source, "_layer_stores", lambda job: ())
    less = source.documents(image, Job())
    assert [document.digest for document in less if document.kind is Kind.MANIFEST] == [image.id]


@pytest.mark.usefixtures("loaded")
def test_heredocs_of_a_newer_buildkit(store: Store, source: EngineSource) -> None:
    context = store.folder / "heredocs"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM base:1\nRUN <<EOF\necho one > /one\necho two > /two\nEOF\n"
        "RUN cat <<END > /three\nthree\nEND\nCOPY <<TEXT /four\nfour\nTEXT\n"
        "COPY --from=base:1 --chown=1:2 /bin/busybox /x\n"
    )
    store.docker("build", "--network=host", "--tag", "heredocs:1", "/mnt/heredocs")
    try:
        lines = [line.text for line in dockerfile(source.find("heredocs:1"))]
    finally:
        store.docker("rmi", "--force", "heredocs:1")
    assert lines[lines.index("RUN <<EOF") :] == [
        *("RUN <<EOF", "echo one > /one", "echo two > /two", "EOF", ""),
        *("RUN cat <<END > /three", "three", "END", ""),
        *("# what this heredoc says is not known", "COPY <<TEXT /four", "TEXT", ""),
        "COPY --chown=1:2 /bin/busybox /x",
    ]


def test_a_damaged_blob_is_left_to_the_stream(
    store: Store, source: EngineSource, root: DataRoot, built: str, tmp_path: Path
) -> None:
    image = source.find(built)
    copy = tmp_path / "data"
    content = "containerd/daemon/io.containerd.content.v1.content"
    shutil.copytree(store.folder / "data" / content, copy / content)
    detail = root.detail(image)
    assert detail is not None
    blob = next(copy.rglob((detail.layers[0].digest or "").partition(":")[2]))
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 0xFF
    blob.write_bytes(data)
    spoilt = open_root(source.info() | {"DockerRootDir": str(copy)}, podman=False)
    assert spoilt is not None
    assert [number for number, _ in spoilt.indexes(image, (1, 2, 3), Job())] == [2, 3]
    document = next(copy.rglob(image.id.partition(":")[2]))
    document.write_bytes(document.read_bytes() + b" ")
    spoilt = open_root(source.info() | {"DockerRootDir": str(copy)}, podman=False)
    assert spoilt is not None
    assert list(spoilt.indexes(image, (1, 2, 3), Job())) == []
