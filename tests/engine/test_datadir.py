"""Layers from an engine's own folder: the same as its stream tells, and the stream where there is doubt."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgscope.analysis import analyze
from imgscope.errors import CancelledError, EngineError
from imgscope.images.model import Image, chain_ids
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.tar import content_digest
from imgscope.report import analysis_json
from imgscope.sources import datadir
from imgscope.sources.base import LayerStore
from imgscope.sources.datadir import open_root
from imgscope.sources.datadir.classic import ClassicRoot
from imgscope.sources.datadir.helper import LABEL, HelperRoot
from imgscope.sources.datadir.podman import PodmanRoot
from imgscope.sources.engine import EngineSource
from imgscope.sources.http import Answer
from tests.support import archives
from tests.support.engine import Engine
from tests.support.needs import missing
from tests.support.podman import running_podman
from tests.unit.test_tarsplit import crc64

# What only a stream that is hashed whole tells, and what only an engine's metadata tells.
OF_ONE = {"digest", "diff_id", "digests", "checksums"}


@pytest.fixture
def source(engine: Engine) -> Iterator[EngineSource]:
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        if not os.access(source.info()["DockerRootDir"], os.R_OK):
            missing("the engine's data root cannot be read here")
        yield source


@pytest.fixture
def streaming(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineSource]:
    """The engine where nothing but its streams is to be had."""
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        monkeypatch.setattr(source, "_layer_stores", lambda job: ())
        yield source


def root_of(source: EngineSource) -> ClassicRoot:
    root = open_root(source.info(), podman=False)
    assert isinstance(root, ClassicRoot)
    return root


def indexes(store: LayerStore | EngineSource, image: Image) -> dict[int, LayerIndex]:
    if isinstance(store, EngineSource):
        return dict(store.index(image, Job()))
    return dict(store.indexes(image, range(1, len(image.layers) + 1), Job()))


def columns(index: LayerIndex) -> dict[str, Any]:
    names = {name for name in LayerIndex.__slots__ if not name.startswith("__")}
    return {name: getattr(index, name) for name in names - OF_ONE}


def digests(store: LayerStore, image: Image, number: int, index: LayerIndex) -> dict[int, bytes]:
    """The digest of every content that the store gives."""
    entries = [entry for entry, size in enumerate(index.sizes) if size]
    entries.sort(key=index.offsets.__getitem__)
    return {
        entry: content_digest(index.sparse.get(entry), iter(chunks))
        for entry, chunks in store.contents(image, number, index, entries, Job())
    }


def assert_same(store: LayerStore, image: Image, streamed: dict[int, LayerIndex]) -> None:
    """All layers, field by field, and all contents."""
    found = indexes(store, image)
    assert sorted(found) == sorted(streamed)
    for number, index in found.items():
        assert columns(index) == columns(streamed[number])
        assert index.problems == []
        assert digests(store, image, number, index) == streamed[number].digests


# -- images -----------------------------------------------------------------------------------------


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.mtime = 1_000_000_000
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def layer(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> archives.Blob:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for made, content in entries:
            made.size = len(content)
            tar.addfile(made, io.BytesIO(content))
    return archives.plain(buffer.getvalue())


def odd_layers() -> list[archives.Blob]:
    """Layers with one of everything that an engine takes."""
    long = "/".join(["n" * 90] * 3)
    return [
        layer(
            (entry("d/", tarfile.DIRTYPE, mode=0o1755, uid=7, gid=8), b""),
            (entry("d/file", mode=0o4755, mtime=1_000_000_000.25), b"x" * 513),
            (entry("d/hard", tarfile.LNKTYPE, linkname="d/file"), b""),
            (entry("d/soft", tarfile.SYMTYPE, linkname="../no/where"), b""),
            (entry("d/fifo", tarfile.FIFOTYPE), b""),
            (entry("d/null", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
            (entry("d/gone"), b"gone"),
            (entry("e/below/deep"), b"deep" * 1000),
            (entry("attributes", pax_headers={"SCHILY.xattr.user.colour": "red"}), b"red"),
            (entry("ä \n"), b"name"),
            (entry(long), b"long" * 300),
            (entry("old", mtime=0), b"old"),
            (entry("empty"), b""),
        ),
        layer(
            (entry("d/.wh.gone"), b""),
            (entry("e/below/.wh..wh..opq"), b""),
            (entry("e/below/new"), b"new"),
            (entry(long + "2"), b"gnu"),
            (entry("link", tarfile.SYMTYPE, linkname="t" * 150), b""),
            (entry("attributes"), b"red"),
            form=tarfile.GNU_FORMAT,
        ),
        layer(),
    ]


@pytest.fixture(scope="module")
def odd(engine: Engine) -> str:
    name = engine.name("datadir/odd:1")
    layers = odd_layers()
    made = archives.Made((*layers, layers[0]), names=(name,))
    engine.docker("load", input=archives.pack(archives.docker_save_old(made)))
    return name


STEPS = """\
RUN mkdir -p /d/e && echo one > /d/one && ln /d/one /d/e/two && ln -s one /d/three && mkfifo /fifo
RUN echo more >> /d/one && rm /d/e/two && chmod 711 /bin/busybox && chown 5:6 /d
RUN rm -r /d && mkdir /d && echo new > /d/new && touch /etc/passwd
WORKDIR /work
RUN true
RUN dd if=/dev/urandom of=/holes bs=1k count=1 seek=900
"""


@pytest.fixture(params=[False, True], ids=["classic", "buildkit"])
def built(request: pytest.FixtureRequest, engine: Engine, busybox_base: str) -> str:
    name = engine.name(f"datadir/built:{request.param}")
    engine.build({"Dockerfile": f"FROM {busybox_base}\n{STEPS}"}, name, buildkit=request.param)
    return name


# -- Docker's classic store -------------------------------------------------------------------------


def test_a_built_image(source: EngineSource, streaming: EngineSource, built: str) -> None:
    image = source.find(built)
    assert_same(root_of(source), image, indexes(streaming, image))


def test_a_loaded_image_of_odd_layers(source: EngineSource, streaming: EngineSource, odd: str) -> None:
    image = source.find(odd)
    streamed = indexes(streaming, image)
    assert {kind for index in streamed.values() for kind in index.kinds} == set(Kind) - {
        Kind.BLOCK_DEVICE,
        Kind.IGNORED,
    }
    assert_same(root_of(source), image, streamed)


def test_checksums_are_those_of_the_contents(source: EngineSource, odd: str) -> None:
    image, root = source.find(odd), root_of(source)
    for number, index in indexes(root, image).items():
        files = [item for item, size in enumerate(index.sizes) if size]
        for item, chunks in root.contents(image, number, index, files, Job()):
            assert index.checksums[item] == crc64(b"".join(chunks))


def test_the_documents_are_the_streams(source: EngineSource, streaming: EngineSource, built: str) -> None:
    image = source.find(built)
    ours, theirs = (analyze(each, image).image for each in (source, streaming))
    assert ours.history == theirs.history
    assert [(layer.digest, layer.compressed_size, layer.size) for layer in ours.layers] == [
        (layer.digest, layer.compressed_size, layer.size) for layer in theirs.layers
    ]


def never(*_: object) -> Iterator[bytes]:
    raise AssertionError("the engine was asked for its stream")


def test_the_engine_streams_nothing(
    source: EngineSource, streaming: EngineSource, odd: str, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [analysis_json(analyze(streaming, source.find(name)), name, "") for name in (odd, built)]
    monkeypatch.setattr(source, "_save", never)
    ours = [analysis_json(analyze(source, source.find(name)), name, "") for name in (odd, built)]
    assert ours == expected


def test_some_layers_only(source: EngineSource, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_save", never)
    assert [number for number, _ in source.index(source.find(built), Job(), {2, 4})] == [2, 4]


def test_cancelling(source: EngineSource, built: str) -> None:
    job = Job()
    layers = source.index(source.find(built), job)
    next(layers)
    job.cancel()
    with pytest.raises(CancelledError):
        next(layers)


# -- doubt ------------------------------------------------------------------------------------------


class Copy:
    """A copy of what the data root has of one image, to be spoilt."""

    def __init__(self, source: EngineSource, image: Image, folder: Path) -> None:
        real = root_of(source)
        self.image = image
        self.root = folder / "root"
        self.base = self.root / "image" / real.driver
        self.config = self.base / "imagedb/content" / image.id.replace(":", "/")
        self.layers = [self.base / "layerdb" / chain.replace(":", "/") for chain in chain_ids(image.diff_ids)]
        self.config.parent.mkdir(parents=True)
        theirs = Path(real.root, "image", real.driver)
        shutil.copy(theirs / self.config.relative_to(self.base), self.config)
        for metadata in self.layers:
            shutil.copytree(theirs / metadata.relative_to(self.base), metadata, dirs_exist_ok=True)
            name = (metadata / "cache-id").read_text()
            target = self.root / real.driver / name
            if not target.exists():
                target.mkdir(parents=True)
                subprocess.run(["cp", "-a", Path(real.root, real.driver, name, "diff"), target], check=True)

    def info(self, source: EngineSource) -> dict[str, Any]:
        return {**source.info(), "DockerRootDir": str(self.root)}

    @property
    def diff(self) -> Path:
        """The folder of the first layer's files."""
        return self.root / "overlay2" / (self.layers[0] / "cache-id").read_text() / "diff"


@pytest.fixture
def copy(source: EngineSource, odd: str, tmp_path: Path) -> Copy:
    return Copy(source, source.find(odd), tmp_path)


@pytest.fixture
def copied(engine: Engine, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineSource]:
    """The engine, which says that its data root is the copy."""
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        info = copy.info(source)
        monkeypatch.setattr(source, "info", lambda job=None: info)
        yield source


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


def other_metadata(copy: Copy) -> None:
    shutil.copy(copy.layers[1] / "tar-split.json.gz", copy.layers[0])


def file_for_a_folder(copy: Copy) -> None:
    shutil.rmtree(copy.layers[0])
    copy.layers[0].touch()


def pipe_for_a_file(copy: Copy) -> None:
    (copy.layers[0] / "diff").unlink()
    os.mkfifo(copy.layers[0] / "diff")


def link_to_a_copy(path: Path) -> None:
    moved = path.rename(path.with_name("moved"))
    path.symlink_to(moved)


METADATA: dict[str, Callable[[Copy], object]] = {
    "no metadata": lambda copy: (copy.layers[0] / "tar-split.json.gz").unlink(),
    "damaged metadata": lambda copy: flip(copy.layers[0] / "tar-split.json.gz"),
    "cut metadata": lambda copy: os.truncate(copy.layers[0] / "tar-split.json.gz", 100),
    "empty metadata": lambda copy: os.truncate(copy.layers[0] / "tar-split.json.gz", 0),
    "metadata of another layer": other_metadata,
    "another diff ID": lambda copy: (copy.layers[0] / "diff").write_text(copy.image.diff_ids[1]),
    "another parent": lambda copy: (copy.layers[1] / "parent").write_text(copy.image.diff_ids[1]),
    "no parent": lambda copy: (copy.layers[1] / "parent").unlink(),
    "another size": lambda copy: (copy.layers[0] / "size").write_text("1"),
    "a size that is none": lambda copy: (copy.layers[0] / "size").write_bytes(b"\xff"),
    "metadata that is a link": lambda copy: link_to_a_copy(copy.layers[0] / "tar-split.json.gz"),
    "a folder that is a link": lambda copy: link_to_a_copy(copy.layers[0]),
    "a layer that is a file": file_for_a_folder,
    "a pipe": pipe_for_a_file,
    "no config": lambda copy: copy.config.unlink(),
    "another config": lambda copy: copy.config.write_bytes(copy.config.read_bytes() + b" "),
    "no root": lambda copy: shutil.rmtree(copy.root),
}


def test_the_copy_is_as_good_as_the_root(
    copied: EngineSource, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copied, "_save", never)
    assert analyze(copied, copy.image).problems == ()


def test_a_history_of_another_length_is_no_doubt(
    engine: Engine, source: EngineSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some builders write no history, or not all of it."""
    name = engine.name("datadir/unhistorical:1")
    made = archives.Made(tuple(odd_layers()[:2]), names=(name,), extra={"history": [{}]})
    engine.docker("load", input=archives.pack(archives.docker_save_old(made)))
    monkeypatch.setattr(source, "_save", never)
    assert analyze(source, source.find(name)).size > 0


@pytest.mark.parametrize("what", METADATA)
def test_metadata_in_doubt(
    source: EngineSource, streaming: EngineSource, copied: EngineSource, copy: Copy, what: str
) -> None:
    METADATA[what](copy)
    root = open_root(copied.info(), podman=False)
    assert root is not None
    assert len(indexes(root, copy.image)) < len(copy.image.layers)
    ours, theirs = (analysis_json(analyze(each, copy.image), "", "") for each in (copied, streaming))
    assert ours == theirs
    assert ours["problems"] == []


def replace_by_link(path: Path) -> None:
    """By a link to a file of the same size and time."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    path.unlink()
    path.symlink_to(other.name)


def rewrite(path: Path, data: bytes, *, keep_time: bool) -> None:
    times = path.stat()
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def folder_for_a_file(copy: Copy) -> None:
    (copy.diff / "d/file").unlink()
    (copy.diff / "d/file").mkdir()


def device_for_a_file(copy: Copy) -> None:
    (copy.diff / "d/file").unlink()
    os.mknod(copy.diff / "d/file", 0o600 | stat.S_IFCHR, os.makedev(1, 5))


CONTENTS: dict[str, Callable[[Copy], object]] = {
    "a file is missing": lambda copy: (copy.diff / "d/file").unlink(),
    "a link for a file": lambda copy: replace_by_link(copy.diff / "d/file"),
    "a link for a folder": lambda copy: link_to_a_copy(copy.diff / "d"),
    "a folder for a file": folder_for_a_file,
    "a device for a file": device_for_a_file,
    "another size": lambda copy: rewrite(copy.diff / "d/file", b"y" * 512, keep_time=True),
    "another time": lambda copy: rewrite(copy.diff / "d/file", b"y" * 513, keep_time=False),
    "only metadata here": lambda copy: os.setxattr(copy.diff / "d/file", "trusted.overlay.metacopy", b""),
    "another cache-id": lambda copy: (copy.layers[0] / "cache-id").write_text("../../etc"),
    "no folder": lambda copy: shutil.rmtree(copy.diff),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_contents_in_doubt(copied: EngineSource, copy: Copy, what: str) -> None:
    """The stream goes on where the folder leaves off: every content comes once, and right."""
    index = indexes(copied, copy.image)[1]
    CONTENTS[what](copy)
    root = open_root(copied.info(), podman=False)
    assert root is not None
    wanted = [item for item, size in enumerate(index.sizes) if size]
    doubted = next(item for item in wanted if index.path(item) == b"d/file")
    from_root = [item for item, _ in root.contents(copy.image, 1, index, wanted, Job())]
    assert from_root == wanted[: wanted.index(doubted)]
    found = {item: b"".join(chunks) for item, chunks in copied.contents(copy.image, 1, index, wanted, Job())}
    assert list(found) == wanted
    assert found[doubted] == b"x" * 513


def test_contents_of_a_folder_that_is_not_the_layer_as_such(source: EngineSource, odd: str) -> None:
    """Where overlayfs redirects, or with another driver, only the metadata is taken."""
    image = source.find(odd)
    info = source.info()
    others = [{**info, "DriverStatus": [["Native Overlay Diff", "false"]]}, {**info, "DriverStatus": None}]
    for other in others:
        root = open_root(other, podman=False)
        assert isinstance(root, ClassicRoot)
        index = indexes(root, image)[1]
        assert list(root.contents(image, 1, index, [1], Job())) == []


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"DockerRootDir": "relative", "Driver": "overlay2"},
        {"DockerRootDir": "/x", "Driver": "../.."},
        {"DockerRootDir": "/x", "Driver": None},
        {"DockerRootDir": 1, "Driver": "overlay2"},
    ],
)
def test_an_engine_that_says_nothing_of_use(info: dict[str, Any]) -> None:
    assert open_root(info, podman=False) is None
    assert open_root(info, podman=True) is None


# -- a root that cannot be read ---------------------------------------------------------------------

# All that is loaded late is loaded as root, for nobody can read where Python may be installed.
AS_NOBODY = """
import os, sys
from imgscope.analysis import analyze
from imgscope.cli import main
from imgscope.sources import blobs
from imgscope.sources.datadir import helper
main(sys.argv[2:])
print("=" * 8, flush=True)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    os.listdir(sys.argv[1])
except PermissionError:
    sys.exit(main(sys.argv[2:]))
sys.exit("the data root can be read")
"""


@pytest.fixture
def open_socket(engine: Engine) -> None:
    """The engine's socket, usable by everybody."""
    if not engine.own:
        missing("the engine at DOCKER_HOST is not the tests' own to open")
    socket = Path(engine.host.removeprefix("unix://"))
    socket.chmod(0o666)
    socket.parent.chmod(0o711)


def run_as_nobody(engine: Engine, root: str, name: str, **extra: str) -> list[Any]:
    """What imgscope prints as root and then as nobody; nothing on stderr."""
    command = [sys.executable, "-c", AS_NOBODY, root, "analyze", name, "--json", "--no-cache"]
    environment = {
        **engine.environment,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "IMGSCOPE_CONFIG": "/nonexistent/config.toml",
        **extra,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(text) for text in done.stdout.split("=" * 8)]


def containers(engine: Engine) -> list[Any]:
    return [item for item in engine.client.api.containers(all=True) if LABEL in (item["Labels"] or {})]


def now(engine: Engine) -> str:
    return engine.docker("info", "--format", "{{.SystemTime}}").stdout.strip()


def events_since(engine: Engine, since: str) -> list[str]:
    """What happened to containers that showed metadata."""
    told = engine.docker(
        *("events", "--since", since, "--until", now(engine), "--filter", "type=container"),
        *("--filter", f"label={LABEL}", "--format", "{{.Action}}"),
    )
    return told.stdout.split()


@pytest.mark.usefixtures("open_socket")
def test_nobody_gets_the_stream(engine: Engine, source: EngineSource, odd: str) -> None:
    as_root, as_nobody = run_as_nobody(engine, source.info()["DockerRootDir"], odd)
    assert as_root == as_nobody
    assert as_root["problems"] == []


@pytest.mark.usefixtures("open_socket")
def test_nobody_may_ask_for_a_container(engine: Engine, source: EngineSource, odd: str) -> None:
    since = now(engine)
    root = source.info()["DockerRootDir"]
    as_root, as_nobody = run_as_nobody(engine, root, odd, IMGSCOPE_ENGINE_INTERNALS="1")
    assert as_root == as_nobody
    happened = events_since(engine, since)
    assert happened[0] == "create"
    assert happened[-1] == "destroy"
    assert "start" not in happened
    assert containers(engine) == []


@pytest.mark.usefixtures("open_socket")
def test_not_where_nothing_may_be_changed(engine: Engine, source: EngineSource, odd: str) -> None:
    since = now(engine)
    extra = {"IMGSCOPE_ENGINE_INTERNALS": "1", "IMGSCOPE_READ_ONLY": "1"}
    as_root, as_nobody = run_as_nobody(engine, source.info()["DockerRootDir"], odd, **extra)
    assert as_root == as_nobody
    assert events_since(engine, since) == []


@pytest.fixture
def helper(source: EngineSource) -> HelperRoot:
    return HelperRoot(source.connection, root_of(source))


def test_the_container_shows_the_same(
    engine: Engine, source: EngineSource, streaming: EngineSource, helper: HelperRoot, odd: str, built: str
) -> None:
    for name in (odd, built):
        image = source.find(name)
        assert_same(helper, image, indexes(streaming, image))
    assert containers(engine) == []


def test_the_engine_is_asked_only_for_what_is_left(
    source: EngineSource, helper: HelperRoot, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the container in between, an analysis is the same, and no stream was needed."""
    expected = analysis_json(analyze(source, source.find(built)), built, "")
    monkeypatch.setattr(source, "_layer_stores", lambda job: [helper])
    monkeypatch.setattr(source, "_save", never)
    found = analysis_json(analyze(source, source.find(built)), built, "")
    assert found == expected


@pytest.mark.parametrize("how", ["dropped", "cancelled"])
def test_no_container_is_left(
    engine: Engine, source: EngineSource, helper: HelperRoot, built: str, how: str
) -> None:
    job = Job()
    layers = helper.indexes(source.find(built), range(1, 5), job)
    next(layers)
    assert len(containers(engine)) == 1
    if how == "dropped":
        layers.close()
    else:
        job.cancel()
        with pytest.raises(CancelledError):
            next(layers)
    assert containers(engine) == []


def test_a_root_that_is_not_there_gives_no_layers(engine: Engine, source: EngineSource, built: str) -> None:
    root = ClassicRoot("/nonexistent", "overlay2", native=True)
    helper = HelperRoot(source.connection, root)
    image = source.find(built)
    assert indexes(helper, image) == {}
    assert not Path("/nonexistent").exists()
    assert containers(engine) == []


@pytest.mark.parametrize("limit", [0, 1000, 1 << 20])
def test_folders_are_asked_for_whole(
    source: EngineSource, helper: HelperRoot, odd: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is not much else in them; the contents are the same either way."""
    monkeypatch.setattr("imgscope.sources.datadir.helper._FOLDER", limit)
    image, root = source.find(odd), root_of(source)
    index = indexes(root, image)[1]
    assert digests(helper, image, 1, index) == digests(root, image, 1, index)
    monkeypatch.setattr("imgscope.sources.datadir.helper._MOST", 6)
    assert len(digests(helper, image, 1, index)) == (7 if limit else 0)


@pytest.mark.parametrize("how", ["cut", "ended", "cancelled"])
def test_a_content_that_does_not_come_whole(
    engine: Engine,
    source: EngineSource,
    helper: HelperRoot,
    odd: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, job = source.find(odd), Job()
    index = indexes(root_of(source), image)[1]
    read = Answer.read

    def cut(answer: Answer, count: int | None = None) -> bytes:
        """The header and a part of the content, and then as if the line were cut or the answer at its end."""
        if count is None:
            return read(answer)
        data = b"".join(iter(lambda: read(answer, 1 << 16), b""))
        if len(data) < 2048 or b"x" * 513 not in data:  # another answer than that of the file
            return data
        monkeypatch.setattr(Answer, "read", last)
        return data[:1000]

    def last(answer: Answer, count: int | None = None) -> bytes:
        monkeypatch.setattr(Answer, "read", read)
        if how == "cancelled":
            job.cancel()
        if how != "ended":
            raise ConnectionResetError
        return b""

    monkeypatch.setattr("imgscope.sources.datadir.helper._FOLDER", 0)
    monkeypatch.setattr(Answer, "read", cut)
    entry = next(item for item in range(len(index)) if index.path(item) == b"d/file")
    contents = helper.contents(image, 1, index, [entry], job)
    assert isinstance(contents, Generator)
    _, chunks = next(contents)
    with pytest.raises(CancelledError if how == "cancelled" else EngineError):
        list(chunks)
    contents.close()
    assert containers(engine) == []


def test_holes_are_not_asked_for(source: EngineSource, helper: HelperRoot, odd: str) -> None:
    image = source.find(odd)
    index = indexes(root_of(source), image)[1]
    entry = next(item for item in range(len(index)) if index.path(item) == b"d/file")
    assert len(list(helper.contents(image, 1, index, [entry], Job()))) == 1
    index.sparse[entry] = [(500, 13)]  # as an index from the stream would tell
    assert list(helper.contents(image, 1, index, [entry], Job())) == []


def test_who_could_have_it_faster_is_told(
    source: EngineSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(tmp_path / "config.toml"))
    for name in ("IMGSCOPE_ENGINE_INTERNALS", "IMGSCOPE_READ_ONLY"):
        monkeypatch.delenv(name, raising=False)
    assert source.hint(Job()) == ""
    info = source.info() | {"DockerRootDir": "/nonexistent"}
    monkeypatch.setattr(source, "info", lambda job=None: info)
    assert "engine-internals = true" in source.hint(Job())
    (tmp_path / "config.toml").write_text("engine-internals = true\n")
    assert source.hint(Job()) == ""
    (tmp_path / "config.toml").write_text("read-only = true\n")
    assert source.hint(Job()) == ""
    info["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    (tmp_path / "config.toml").unlink()
    assert source.hint(Job()) == ""  # there is no metadata to be shown


def test_links_to_folders_are_not_followed(
    engine: Engine, source: EngineSource, helper: HelperRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine would: what it unpacked through a link lies elsewhere, and the stream is asked."""
    name = engine.name("datadir/through:1")
    through = layer(
        (entry("real/", tarfile.DIRTYPE), b""),
        (entry("way", tarfile.SYMTYPE, linkname="real"), b""),
        (entry("way/file"), b"through"),
    )
    made = archives.Made((through,), names=(name,))
    engine.docker("load", input=archives.pack(archives.docker_save_old(made)))
    image = source.find(name)
    index = indexes(source, image)[1]
    for store in (root_of(source), helper):
        assert columns(indexes(store, image)[1]) == columns(index)
        assert digests(store, image, 1, index) == {}
    [(_, chunks)] = source.contents(image, 1, index, [2], Job())
    assert b"".join(chunks) == b"through"


def test_a_path_that_stands_in_a_layer_twice(
    engine: Engine, source: EngineSource, helper: HelperRoot
) -> None:
    """Unpacked it is the last one, while a hardlink keeps the first; the engine cannot save it either."""
    name = engine.name("datadir/twice:1")
    twice = layer(
        (entry("a"), b"before"),
        (entry("b", tarfile.LNKTYPE, linkname="a"), b""),
        (entry("/a"), b"behind"),  # spelled alike the engine would refuse it
    )
    made = archives.Made((twice,), names=(name,))
    engine.docker("load", input=archives.pack(archives.docker_save_old(made)))
    image = source.find(name)
    index = indexes(source, image)[1]
    assert [index.path(item) for item in range(3)] == [b"a", b"b", b"a"]
    for store in (root_of(source), helper):
        assert list(store.contents(image, 1, index, [0], Job())) == []
    with pytest.raises(EngineError, match="integrity"):
        list(source.contents(image, 1, index, [0], Job()))


# -- Podman -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_podman(driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = odd_layers()
    history = [{"created": "2024-01-01T00:00:00Z", "created_by": f"step {number}"} for number in range(4)]
    made = archives.Made((*layers, layers[0]), names=("localhost/odd:1",), extra={"history": history})
    archive = tmp_path / "odd.tar"
    archive.write_bytes(archives.pack(archives.docker_save_old(made)))
    with running_podman(driver) as podman:
        podman("load", "--input", archive)
        with contextlib.closing(EngineSource.connect(podman.host)) as source:
            image = source.find("localhost/odd:1")
            root = open_root(source.info(), podman=True)
            assert isinstance(root, PodmanRoot)
            with monkeypatch.context() as patch:
                patch.setattr(datadir, "layer_stores", lambda *_, **__: [])
                with contextlib.closing(EngineSource.connect(podman.host)) as streaming:
                    streamed = indexes(streaming, image)
                    told = streaming.detail(image)
            found = indexes(root, image)
            assert {number: columns(index) for number, index in found.items()} == {
                number: columns(index) for number, index in streamed.items()
            }
            detail = root.detail(image)
            assert detail is not None
            assert detail.history == told.history
            for number, index in found.items():
                contents = digests(root, image, number, index)
                assert contents == (streamed[number].digests if driver == "overlay" else {})
            if driver == "overlay":
                monkeypatch.setattr(source, "_save", never)
            assert analyze(source, image).problems == ()
            records = next(podman.folder.glob(f"root/{driver}-layers/layers.json"))
            for spoilt in (
                b"[]",
                b"{}",
                b"",
                records.read_bytes().replace(b'"diff-size":', b'"diff-size":1'),
            ):
                records.write_bytes(spoilt)
                fresh = open_root(source.info(), podman=True)
                assert fresh is not None
                for doubting in (fresh, root):  # also one that found the image before
                    assert indexes(doubting, image) == {}
