"""The cache on real engines: what was read once is not read again, and tells the same."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from imgscope.analysis import Analysis, analyze
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.cache import IndexCache
from imgscope.layers.index import LayerIndex
from imgscope.report import analysis_json
from imgscope.sources.engine import EngineSource
from tests.support import program
from tests.support.engine import Engine
from tests.support.podman import running_podman
from tests.ui import driver

LIMIT = 10**9

# A file stored, stored again with the same content, replaced by one of its size, and removed.
STEPS = """\
RUN head -c 300000 /dev/urandom > /big && head -c 1000 /dev/urandom > /same && ln /big /hard
ENV A=1
RUN touch -d @1 /same && cp -p /big /new && head -c 300000 /dev/urandom > /big
RUN rm /hard /new
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def app(engine: Engine, busybox_base: str) -> str:
    name = engine.name("cache/app:1")
    engine.build({"Dockerfile": f"FROM {busybox_base}\n{STEPS}"}, name)
    return name


@pytest.fixture
def source(engine: Engine) -> Iterator[EngineSource]:
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        yield source


class Asked(EngineSource):
    """An engine of which it is noted what is read: layers, and contents of layers."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.layers: list[str] = []
        self.contents_of: list[int] = []

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        for number, index in super().index(image, job, only):
            self.layers.append(image.layers[number - 1].diff_id)
            yield number, index

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        self.contents_of.append(layer)
        yield from super().contents(image, layer, index, entries, job)


@pytest.fixture
def asked(engine: Engine) -> Iterator[Asked]:
    with contextlib.closing(Asked.connect(engine.host)) as source:
        assert isinstance(source, Asked)
        yield source


def report(analysis: Analysis) -> dict[str, Any]:
    return analysis_json(analysis, "", "")


def test_the_second_time_nothing_is_read_and_all_is_told(
    source: EngineSource, asked: Asked, app: str, tmp_path: Path
) -> None:
    plain = analyze(source, source.find(app))
    first = analyze(source, source.find(app), cache=IndexCache(tmp_path, LIMIT))
    job = Job()
    second = analyze(asked, asked.find(app), job, cache=IndexCache(tmp_path, LIMIT))
    assert (asked.layers, asked.contents_of, job.done) == ([], [], 0)
    assert report(second) == report(first) == report(plain)
    assert report(second)["dead"] > 600_000
    assert second.problems == ()
    assert [layer.history for layer in second.image.layers] == [layer.history for layer in plain.image.layers]
    assert second.image.history == plain.image.history
    for mine, theirs in zip(second.overlay.layers, plain.overlay.layers, strict=True):
        assert list(mine) == list(theirs)
        assert list(mine.offsets) == list(theirs.offsets)


def test_what_is_kept_tells_where_contents_are(
    asked: Asked, app: str, engine: Engine, tmp_path: Path
) -> None:
    analyze(asked, asked.find(app), cache=IndexCache(tmp_path, LIMIT))
    image = asked.find(app)
    analysis = analyze(asked, image, cache=IndexCache(tmp_path, LIMIT))
    index = analysis.overlay.layers[1]
    [entry] = [number for number in range(len(index)) if index.path(number) == b"same"]
    [content] = [b"".join(chunks) for _, chunks in asked.contents(image, 2, index, [entry], Job())]
    container = engine.client.containers.create(app)
    try:
        stream, _ = container.get_archive("/same")
        assert content in b"".join(stream)
        assert len(content) == 1000
    finally:
        container.remove()


def test_a_base_that_images_share_is_read_once(
    engine: Engine, asked: Asked, app: str, busybox_base: str, tmp_path: Path
) -> None:
    other = engine.name("cache/other:1")
    engine.build({"Dockerfile": f"FROM {app}\nRUN rm /big\n"}, other)
    image, below = asked.find(other), asked.find(app)
    cache = IndexCache(tmp_path, LIMIT)
    first = analyze(asked, below, cache=cache)
    assert sorted(asked.layers) == sorted(below.diff_ids)
    second = analyze(asked, image, cache=cache)
    assert sorted(asked.layers) == sorted(image.diff_ids)  # each layer once
    assert all(
        mine is theirs for mine, theirs in zip(first.overlay.layers, second.overlay.layers, strict=False)
    )
    assert report(second) == report(analyze(asked, image))
    # and the base itself is known, although nobody ever looked at it
    before = len(asked.layers)
    base = asked.find(busybox_base)
    told = report(analyze(asked, base, cache=IndexCache(tmp_path, LIMIT)))
    assert len(asked.layers) == before
    assert told == report(analyze(asked, base))


def test_what_is_damaged_is_read_again(asked: Asked, app: str, tmp_path: Path) -> None:
    image = asked.find(app)
    first = analyze(asked, image, cache=IndexCache(tmp_path, LIMIT))
    asked.layers.clear()
    damaged = image.diff_ids[1].removeprefix("sha256:")
    path = tmp_path / "layers" / damaged
    path.write_bytes(path.read_bytes()[:-1])
    again = analyze(asked, image, cache=IndexCache(tmp_path, LIMIT))
    assert asked.layers == [f"sha256:{damaged}"]
    assert report(again) == report(first)
    asked.layers.clear()
    analyze(asked, image, cache=IndexCache(tmp_path, LIMIT))
    assert asked.layers == []


def test_the_command_line_tells_the_same_with_it_and_without(engine: Engine, app: str, cache: Path) -> None:
    environment = {**engine.environment, "IMGSCOPE_CACHE": str(cache)}

    def said(*words: str) -> Any:
        return program.answer("analyze", app, *words, environment=environment)

    without = said("--no-cache")
    assert not cache.exists()
    first = said()
    kept = program.answer("cache", environment=environment)
    assert kept["layers"] == len(first["layers"]) == 4
    second = said()
    assert without == first == second
    # once it cannot be used it does no harm
    cache.chmod(0o777)
    assert said() == first


def test_nobody_else_reads_the_names(app: str, cache: Path, engine: Engine) -> None:
    done = program.run("analyze", app, environment={**engine.environment, "IMGSCOPE_CACHE": str(cache)})
    assert done.returncode == 0
    for path in [cache, *cache.rglob("*")]:
        assert not path.stat().st_mode & 0o077


async def test_the_screen_uses_it(
    engine: Engine, app: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    async with driver.screen(app, wait=False) as it:
        await it.until("the image", lambda: it.main.analysis is not None)
        first = report(it.analysis)
    assert IndexCache(cache, LIMIT).usage().layers == 4

    def never(*_: object) -> Iterator[tuple[int, LayerIndex]]:
        raise AssertionError("it was read again")

    monkeypatch.setattr(EngineSource, "index", never)
    monkeypatch.setattr(EngineSource, "contents", never)
    async with driver.screen(app, wait=False) as it:
        await it.until("the image", lambda: it.main.analysis is not None)
        assert report(it.analysis) == first
        it.layers.go(2)
        await it.until("its files", lambda: any("same" in line for line in driver.rows(it.files)))


def test_podman_tells_the_same_with_it_and_without(engine: Engine, app: str, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    engine.docker("save", "--output", archive, app)
    with running_podman() as podman:
        podman("load", "--input", archive)
        environment = {**podman.environment, "IMGSCOPE_CACHE": str(tmp_path / "cache")}
        said = [
            program.answer("analyze", app, *words, environment=environment)
            for words in (["--no-cache"], [], [])
        ]
        with contextlib.closing(Asked.connect(podman.host)) as source:
            assert isinstance(source, Asked)
            job = Job()
            analyze(source, source.find(app), job, cache=IndexCache(tmp_path / "cache", LIMIT))
            assert (source.layers, job.done) == ([], 0)
        podman("rmi", "--all", "--force")
    assert said[0] == said[1] == said[2]
    assert said[0]["dead"] > 600_000


def test_another_engine_of_the_same_layers_finds_them(engine: Engine, app: str, tmp_path: Path) -> None:
    """What a diff ID names is the same everywhere."""
    with contextlib.closing(EngineSource.connect(engine.host)) as docker:
        first = analyze(docker, docker.find(app), cache=IndexCache(tmp_path / "cache", LIMIT))
    archive = tmp_path / "app.tar"
    engine.docker("save", "--output", archive, app)
    with running_podman() as podman:
        podman("load", "--input", archive)
        with contextlib.closing(Asked.connect(podman.host)) as source:
            assert isinstance(source, Asked)
            second = analyze(source, source.find(app), cache=IndexCache(tmp_path / "cache", LIMIT))
            assert source.layers == []
        podman("rmi", "--all", "--force")
    assert report(second) == report(first)
