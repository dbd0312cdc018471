"""EngineSource against the real engine: what it lists, finds, reads, and how it lets go."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker
import pytest

from imgscope.analysis import Analysis, analyze
from imgscope.errors import CancelledError, NotFoundError, UsageError
from imgscope.images.model import Image, Platform
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.report import analysis_json
from imgscope.sources import datadir
from imgscope.sources import engine as engine_module
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.engine import EngineSource
from tests.support import bases, program
from tests.support.daemon import DaemonError, running_daemon
from tests.support.engine import Engine
from tests.support.needs import missing
from tests.support.registry import Registry

MEGABYTE = 1_000_000


@contextlib.contextmanager
def open_engine(host: str) -> Iterator[EngineSource]:
    with contextlib.closing(EngineSource.connect(host)) as source:
        yield source


@pytest.fixture(autouse=True)
def only_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the engine's data root cannot be read; test_datadir.py is about where it can."""
    monkeypatch.setattr(datadir, "layer_stores", lambda *_, **__: [])


@pytest.fixture
def source(engine: Engine) -> Iterator[EngineSource]:
    with open_engine(engine.host) as source:
        yield source


@pytest.fixture
def app(engine: Engine, busybox_base: str) -> str:
    """An image of four layers with waste: a file stored, stored again, and removed."""
    name = engine.name("source/app:1.0")
    dockerfile = f"""\
FROM {busybox_base}
ENV A=1
RUN head -c 3000000 /dev/urandom > /big
WORKDIR /new/folder
RUN touch -d @1 /big
RUN rm /big
LABEL b=2
CMD ["sh", "-c", "true"]
"""
    engine.build({"Dockerfile": dockerfile}, name)
    return name


def last_list(source: EngineSource) -> dict[str, Image]:
    return {name: image for image in list(source.images(Job()))[-1] for name in image.references}


# -- listing ----------------------------------------------------------------------------------------


def test_first_list_comes_before_any_image_is_inspected(source: EngineSource, app: str) -> None:
    lists = source.images(Job())
    first = next(image for image in next(lists) if app in image.references)
    assert first.size
    assert first.created
    assert not first.layers
    assert not first.history


def test_last_list_tells_layers_platform_history_containers_and_sizes(
    engine: Engine, source: EngineSource, app: str
) -> None:
    container = engine.docker("create", app).stdout.strip()
    try:
        image = last_list(source)[app]
    finally:
        engine.docker("rm", container)
    told = engine.client.images.get(app).attrs
    assert image.id == told["Id"]
    assert image.diff_ids == tuple(told["RootFS"]["Layers"])
    assert image.parent == told["Parent"] != ""
    assert image.size == told["Size"]
    assert image.platform == Platform.host()
    assert image.containers == 1
    assert image.config["Env"][-1] == "A=1"
    assert image.created == told["Created"]
    # which step made which layer is not in the engine's answer, and yet it is right
    assert [
        step.created_by.partition("#(nop)")[2].split()[0:1] for step in image.history if step.empty_layer
    ] == [
        ["CMD"],
        ["ENV"],
        ["LABEL"],
        ["CMD"],
    ]
    made = [layer.history.created_by for layer in image.layers if layer.history]
    assert [text.split(" -c ")[1].removeprefix("#(nop)").split()[0] for text in made] == [
        "ADD",
        "head",
        "WORKDIR",
        "touch",
        "rm",
    ]
    sizes = [layer.size for layer in image.layers]
    assert sizes[1:] == [3 * MEGABYTE, 0, 3 * MEGABYTE, 0]
    assert sum(size or 0 for size in sizes) == image.size


def test_steps_of_a_build_are_listed_and_followed_but_not_inspected(
    source: EngineSource, engine: Engine, app: str
) -> None:
    images = {image.id: image for image in list(source.images(Job()))[-1]}
    image = next(image for image in images.values() if app in image.references)
    step = images[image.parent or ""]
    assert not step.references
    assert not step.layers
    # nor does the search of all images miss them
    done = program.run("find", "/nowhere", "--json", "--no-cache", environment=engine.environment)
    not_read = json.loads(done.stdout)["not_read"]
    assert app in not_read
    assert step.name not in not_read


def test_empty_engine_gives_one_empty_list(empty_engine: Engine) -> None:
    with open_engine(empty_engine.host) as source:
        assert list(source.images(Job())) == [[]]


def test_images_that_are_wanted_first_are_inspected_first(
    source: EngineSource, app: str, busybox_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_BATCH", 1)
    for name in (app, busybox_base):
        wanted = source.find(name).id
        lists = source.images(Job(), lambda wanted=wanted: [wanted])  # type: ignore[misc]
        assert not any(image.layers for image in next(lists))
        assert [image.id for image in next(lists) if image.layers] == [wanted]
        assert sum(bool(image.layers) for image in next(lists)) == 2


def test_a_list_that_was_asked_for_ahead_is_used_once(source: EngineSource, engine: Engine, app: str) -> None:
    source.ahead()
    later = engine.name("source/later:1")
    engine.docker("tag", app, later)
    try:
        names = [
            {name for image in next(source.images(Job())) for name in image.references} for _ in range(2)
        ]
    finally:
        engine.docker("rmi", later)
    assert app in names[0]
    assert later not in names[0]
    assert later in names[1]


def test_listing_stops_when_cancelled(source: EngineSource, app: str) -> None:
    job = Job()
    lists = source.images(job)
    assert next(lists)
    job.cancel()
    with pytest.raises(CancelledError):
        next(lists)


# -- finding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["name", "full name", "id", "bare id", "short id", "short sha256 id"])
def test_an_image_is_found_by_each_of_its_names(
    engine: Engine, source: EngineSource, app: str, form: str
) -> None:
    identifier = str(engine.client.images.get(app).attrs["Id"])
    hexadecimal = identifier.removeprefix("sha256:")
    reference = {
        "name": app,
        "full name": f"docker.io/{app}",
        "id": identifier,
        "bare id": hexadecimal,
        "short id": hexadecimal[:8],
        "short sha256 id": f"sha256:{hexadecimal[:8]}",
    }[form]
    found = source.find(reference)
    assert found.id == identifier
    assert found.references == (app,)
    assert found.layers


def test_a_name_without_tag_means_latest(engine: Engine, source: EngineSource, app: str) -> None:
    latest = engine.name("source/latest")
    engine.docker("tag", app, latest)
    assert source.find(latest).references == (app, f"{latest}:latest")
    engine.docker("rmi", latest)


def test_an_image_is_found_by_digest(
    engine: Engine, source: EngineSource, app: str, registry: Registry
) -> None:
    pushed = f"{registry.host}/app:1"
    engine.docker("tag", app, pushed)
    engine.docker("push", pushed)
    try:
        digest = engine.client.images.get(pushed).attrs["RepoDigests"][0]
        assert "@sha256:" in digest
        assert source.find(digest).id == source.find(app).id
    finally:
        engine.docker("rmi", pushed)


def test_a_missing_image_gets_a_sentence_that_lists_what_is_there(source: EngineSource, app: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        source.find("nobody/has:this")
    assert str(caught.value).startswith(f"There is no image 'nobody/has:this' in {source.label}; it has ")
    assert app in str(caught.value)


def test_of_many_images_some_are_listed_and_the_others_counted(
    engine: Engine, source: EngineSource, busybox_base: str
) -> None:
    names = [engine.name(f"source/many:{number}") for number in range(21)]
    for name in names:
        engine.docker("tag", busybox_base, name)
    try:
        there = {tag for item in engine.client.api.images() for tag in item["RepoTags"]}
        with pytest.raises(NotFoundError, match=f" and {len(there) - 20} more\\.$"):
            source.find("nobody/has:this")
    finally:
        engine.docker("rmi", *names)


def test_an_engine_without_images_says_so(empty_engine: Engine) -> None:
    with (
        open_engine(empty_engine.host) as source,
        pytest.raises(NotFoundError, match="it has none with a name"),
    ):
        source.find("x")


@pytest.mark.parametrize("reference", ["x/../../images", "UPPER", "a b", "x?all=1", "a//b"])
def test_what_is_no_reference_never_reaches_the_engine(source: EngineSource, reference: str) -> None:
    with pytest.raises(UsageError, match="is no image reference"):
        source.find(reference)


def test_platform_must_be_the_images(source: EngineSource, app: str) -> None:
    host = Platform.host()
    assert source.find(app, host).platform == host
    with pytest.raises(NotFoundError, match=f"^{app} is not there for linux/s390x, only for {host}\\.$"):
        source.find(app, Platform("linux", "s390x"))


# -- reading ----------------------------------------------------------------------------------------

IMAGES = {
    "removed and stored again": """\
RUN head -c 500000 /dev/urandom > /a && mkdir /d && cp /a /d/b && ln /a /d/hard && ln -s a /soft
RUN touch -d @1 /a && echo more >> /d/b
RUN rm -r /d && mkdir /d && echo new > /d/x
RUN rm /a /soft
""",
    # an engine stores a layer once, and its archive says so with links
    "one layer several times": """\
COPY file /file
RUN echo other > /file
COPY file /file
RUN rm /file
COPY file /file
""",
    "steps without files": """\
RUN true
WORKDIR /
ENV A=1
RUN rm -f /nothing
RUN true
LABEL x=y
""",
    "many layers": "".join(f"RUN echo {number} > /file{number % 7}\n" for number in range(24)),
    "names of all kinds": """\
RUN mkdir -p /deep/$(printf 'd%.0s' $(seq 90))/$(printf 'e%.0s' $(seq 90)) \
 && echo x > /deep/$(printf 'd%.0s' $(seq 90))/$(printf 'e%.0s' $(seq 90))/$(printf 'f%.0s' $(seq 120)) \
 && echo y > "/$(printf '\\303\\244 \\377\\n')" && mkfifo /fifo && chmod 4711 /bin/busybox
RUN rm -r /deep "/$(printf '\\303\\244 \\377\\n')"
""",
}


def build(engine: Engine, base: str, what: str, *, buildkit: bool = False) -> str:
    name = engine.name(f"source/{what.replace(' ', '-')}:{'buildkit' if buildkit else 'classic'}")
    files = {"Dockerfile": f"FROM {base}\n{IMAGES[what]}", "file": "content\n" * 1000}
    engine.build(files, name, buildkit=buildkit)
    return name


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what differs between an engine and an archive: where the image came from.

    The digest of a layer is None where an archive on disk has it unpacked: it is not read whole there.
    """
    kept = {key: value for key, value in report.items() if key not in ("reference", "source")}
    kept["layers"] = [
        {key: value for key, value in layer.items() if key != "digest"} for layer in report["layers"]
    ]
    return kept


def saved_analysis(engine: Engine, name: str, folder: Path) -> Analysis:
    """The analysis of what `docker save` writes to disk."""
    path = folder / "saved.tar"
    engine.docker("save", "-o", path, name)
    with contextlib.closing(ArchiveSource(path)) as archive:
        return analyze(archive, archive.find(None))


@pytest.mark.parametrize("buildkit", [False, True], ids=["classic", "buildkit"])
@pytest.mark.parametrize("what", IMAGES)
def test_the_stream_tells_the_same_as_docker_save_on_disk(
    engine: Engine, source: EngineSource, busybox_base: str, tmp_path: Path, what: str, buildkit: bool
) -> None:
    name = build(engine, busybox_base, what, buildkit=buildkit)
    streamed = analyze(source, source.find(name))
    report = analysis_json(streamed, name, source.label)
    assert comparable(report) == comparable(analysis_json(saved_analysis(engine, name, tmp_path), name, ""))
    assert report["problems"] == []
    # the engine counts the text of symlinks as well, BuildKit not of all
    links = sum(
        len(entry.link) for index in streamed.overlay.layers for entry in index if entry.kind == Kind.SYMLINK
    )
    told = engine.client.images.get(name).attrs["Size"]
    assert told == streamed.image.size
    assert report["size"] <= told <= report["size"] + links
    assert [layer["diff_id"] for layer in report["layers"]] == [
        # they pass by unpacked, so both digests are of the same bytes
        layer["digest"]
        for layer in report["layers"]
    ]


def test_the_command_prints_the_same_for_the_engine_and_the_archive(
    engine: Engine, app: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.tar"
    engine.docker("save", "-o", path, app)
    ours = program.answer("analyze", app, environment=engine.environment)
    assert comparable(ours) == comparable(program.answer("analyze", path))
    assert ours["reference"] == app
    assert ours["source"].startswith("docker-daemon:unix://")
    assert ours["dead"] == 6 * MEGABYTE


def test_the_exact_history_comes_with_the_layers(engine: Engine, source: EngineSource, app: str) -> None:
    image = source.find(app)
    assert source.detail(image) == image
    analysis = analyze(source, image)
    told = analysis.image.history
    assert [(step.created_by, step.empty_layer) for step in told] == [
        (step.created_by, step.empty_layer) for step in image.history
    ]
    assert all("." in (step.created or "") for step in told[-3:])  # fractions, which the API leaves out
    # what the engine says of the image later still counts
    renamed = replace(image, references=("other:1",))
    assert source.detail(renamed).references == ("other:1",)
    assert source.detail(renamed).history == told


@pytest.mark.parametrize("buildkit", [False, True], ids=["classic", "buildkit"])
def test_an_image_of_no_layers_has_nothing_to_read(
    engine: Engine, source: EngineSource, buildkit: bool
) -> None:
    name = engine.name(f"source/empty:{buildkit}")
    engine.build({"Dockerfile": 'FROM scratch\nENV A=1\nCMD ["/x"]\n'}, name, buildkit=buildkit)
    image = source.find(name)
    assert image.layers == ()
    assert [step.empty_layer for step in image.history] == [True, True]
    report = analysis_json(analyze(source, image), name, source.label)
    assert (report["size"], report["layers"], report["efficiency"]) == (0, [], 1)


def test_an_untagged_image_is_read_by_its_id(engine: Engine, source: EngineSource, app: str) -> None:
    parent = engine.client.images.get(app).attrs["Parent"]
    image = source.find(parent)
    assert image.references == ()
    assert len(analyze(source, image).overlay.layers) == 5


def test_layers_are_told_as_they_pass(engine: Engine, source: EngineSource, busybox_base: str) -> None:
    name = engine.name("source/three:1")
    steps = "".join(f"RUN head -c 5000000 /dev/urandom > /{number}\n" for number in range(3))
    engine.build({"Dockerfile": f"FROM {busybox_base}\n{steps}"}, name)
    job = Job()
    seen: list[tuple[int, int]] = []

    def note(number: int, index: LayerIndex) -> None:
        assert index.total
        seen.append((number, job.done))

    analysis = analyze(source, source.find(name), job, note)
    assert sorted(number for number, _ in seen) == [1, 2, 3, 4]
    # a layer is told before the next one has been read
    steps_done = [done for _, done in seen]
    assert all(after - before >= 1 * MEGABYTE for before, after in pairwise(steps_done))
    assert steps_done[0] < job.done / 2
    assert job.total == analysis.image.size
    assert job.total is not None
    assert job.total < job.done < job.total * 1.05


def test_the_bytes_of_a_file_are_to_be_had(engine: Engine, source: EngineSource, busybox_base: str) -> None:
    name = build(engine, busybox_base, "one layer several times")
    image = source.find(name)
    index = dict(source.index(image, Job()))[6]
    with open_engine(engine.host) as fresh:
        for other in (source, fresh):  # which has read the layers before, and which has not
            entry = next(entry for entry in range(len(index)) if index.path(entry) == b"file")
            given = [
                (number, b"".join(chunks))
                for number, chunks in other.contents(image, 6, index, [entry], Job())
            ]
            assert given == [(entry, b"content\n" * 1000)]


# -- cost and cancelling ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(engine: Engine) -> str:
    """300 MB in two layers."""
    name = engine.name("source/large:1")
    steps = "".join(f"RUN head -c {150 * MEGABYTE} /dev/zero > /{number}\n" for number in range(2))
    engine.build({"Dockerfile": f"FROM {bases.busybox_base(engine)}\n{steps}"}, name)
    return name


MEASURE = '''
import json, resource, subprocess, sys
# no file may grow: whoever writes one gets an error
limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
program = """
from imgscope.cli import main
from imgscope.sources import datadir
datadir.layer_stores = lambda *_, **__: []
raise SystemExit(main())
"""
command = [sys.executable, "-c", program, *sys.argv[1:]]
done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=limit)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"status": done.returncode, "size": json.loads(done.stdout)["size"], "peak": peak}))
'''


def test_a_large_image_costs_no_disk_and_little_memory(engine: Engine, large: str, tmp_path: Path) -> None:
    environment = {
        **engine.environment,
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, "analyze", large, "--json", "--no-cache"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["status"] == 0
    assert told["size"] > 300 * MEGABYTE
    assert told["peak"] < 100 * MEGABYTE
    assert list(tmp_path.rglob("*")) == []


def test_nothing_is_left_on_the_engine(engine: Engine, app: str) -> None:
    def all_there() -> tuple[set[str], set[str]]:
        containers = {item["Id"] for item in engine.client.api.containers(all=True)}
        return {item["Id"] for item in engine.client.api.images(all=True)}, containers

    before = all_there()
    program.answer("analyze", app, environment=engine.environment)
    program.answer("tree", environment=engine.environment)
    assert all_there() == before


def test_the_engine_is_read_without_the_sdk(engine: Engine, app: str) -> None:
    """Importing it takes longer than the engine takes to answer."""
    code = (
        "import sys; from imgscope.cli import main; status = main(sys.argv[1:]);"
        "print({'docker', 'requests', 'urllib3'} & set(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    for words in (("tree",), ("analyze", app, "--no-cache")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], env=engine.environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "set()\n")


def traces() -> tuple[set[threading.Thread], int]:
    """The threads and the number of open files of this process."""
    return set(threading.enumerate()), len(os.listdir("/proc/self/fd"))


def nothing_left(before: tuple[set[threading.Thread], int]) -> bool:
    """Whether no thread runs and no file is open that was not before; a kept connection may be gone."""
    threads, files = traces()
    return threads == before[0] and files <= before[1]


def read_until_cancelled(source: EngineSource, image: Image, job: Job) -> float:
    """When the reading ended, on the monotonic clock; it must end as cancelled."""
    with pytest.raises(CancelledError):
        for _ in source.index(image, job):
            pass
    return time.monotonic()


def test_cancelling_in_mid_stream_ends_it_at_once(source: EngineSource, large: str) -> None:
    image = source.find(large)
    before = traces()
    when: list[float] = []

    def report(done: int, total: int | None) -> None:
        if done > 50 * MEGABYTE and not when:
            when.append(time.monotonic())
            job.cancel()

    job = Job(report)
    ended = read_until_cancelled(source, image, job)
    assert ended - when[0] < 0.5
    assert job.done < 60 * MEGABYTE
    assert nothing_left(before)
    assert source.find(large) == image  # the source is of use still


def test_dropping_the_layers_halfway_closes_the_connection(source: EngineSource, large: str) -> None:
    image = source.find(large)
    before = traces()
    layers = source.index(image, Job())
    next(layers)
    layers.close()  # type: ignore[attr-defined]
    assert nothing_left(before)


@pytest.mark.parametrize("moment", ["before the answer begins", "before it is asked"])
def test_cancelling_a_silent_engine_ends_at_once(busybox_base: str, engine: Engine, moment: str) -> None:
    """The engine is stopped: it takes connections and answers nothing, as long as one likes."""
    try:
        with running_daemon() as host, open_engine(host) as source:
            pid = int(Path(host.removeprefix("unix://")).with_name("pid").read_text())
            saved = subprocess.run(
                ["docker", "save", busybox_base], env=engine.environment, capture_output=True, check=True
            )
            client = docker.DockerClient(host)
            with contextlib.closing(client):
                client.images.load(saved.stdout)
            image = source.find(busybox_base)
            before = traces()
            job = Job()
            os.kill(pid, signal.SIGSTOP)
            try:
                if moment == "before it is asked":
                    job.cancel()
                    cancelled = time.monotonic()
                    ended = read_until_cancelled(source, image, job)
                else:
                    ends: list[float] = []
                    reader = threading.Thread(
                        target=lambda: ends.append(read_until_cancelled(source, image, job)), daemon=True
                    )
                    reader.start()
                    reader.join(1)
                    assert reader.is_alive()  # it waits
                    cancelled = time.monotonic()
                    job.cancel()
                    reader.join(10)
                    ended = ends[0]
            finally:
                os.kill(pid, signal.SIGCONT)
            assert ended - cancelled < 0.5
            assert nothing_left(before)
            assert analyze(source, image).problems == ()
    except DaemonError as error:
        missing(f"no engine of our own to stop: {error}")
