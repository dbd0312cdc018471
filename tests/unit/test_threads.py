"""Streams made ahead, digests aside, layers at once: the same as without threads, and no thread is left."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from itertools import chain, islice, repeat
from pathlib import Path

import pytest

from imgscope.errors import CancelledError, DamagedError
from imgscope.job import Job
from imgscope.layers.threads import ALONE, BATCH, DEPTH, ahead, aside, each
from imgscope.sources import archive
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.blobs import index_blob
from tests.support import archives as made
from tests.support.archives import Blob, Made, write
from tests.support.stacks import file, layer_tar
from tests.support.wait import cancelled_in_thread, wait_for

PATIENCE = 20  # seconds until work that does not end counts as endless
CHUNK = bytes(BATCH // 3)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


# -- streams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [0, 1, ALONE, ALONE + 1, 100])
@pytest.mark.parametrize("size", [1, BATCH - 1, BATCH + 1])
def test_the_same_chunks_in_the_same_order(chunks: int, size: int) -> None:
    expected = [bytes([number]) * size for number in range(chunks)]
    assert list(ahead(expected)) == expected


@pytest.mark.parametrize("at", [0, 1, ALONE, ALONE + 1, 50])
@pytest.mark.parametrize("error", [DamagedError("cut"), CancelledError(), KeyboardInterrupt()])
def test_an_error_comes_in_its_place(at: int, error: BaseException) -> None:
    def source() -> Iterator[bytes]:
        yield from repeat(CHUNK, at)
        raise error

    found: list[bytes] = []
    with pytest.raises(type(error)) as caught:
        found.extend(ahead(source()))
    assert caught.value is error
    assert len(found) == at


@pytest.mark.parametrize("taken", [0, 1, ALONE, ALONE + 1, ALONE + 20])
def test_what_is_left_early_ends(taken: int) -> None:
    stream = ahead(repeat(CHUNK))
    assert list(islice(stream, taken)) == [CHUNK] * taken
    stream.close()


def test_no_more_is_made_than_may_wait() -> None:
    ready = 0

    def source() -> Iterator[bytes]:
        nonlocal ready
        while True:
            ready += 1
            yield CHUNK

    stream = ahead(source())
    taken = len(list(islice(stream, ALONE + 1)))
    most = (DEPTH + 2) * (BATCH // len(CHUNK) + 1)
    wait_for("the source to be ahead", lambda: ready > taken + 3)
    for _ in range(200):
        taken += len(next(stream)) // len(CHUNK)
        assert ready - taken <= most
    stream.close()


def test_a_short_stream_starts_no_thread() -> None:
    before = threading.active_count()
    stream = ahead(repeat(CHUNK, ALONE))
    for _ in range(ALONE):
        next(stream)
        assert threading.active_count() == before
    assert list(stream) == []


# -- digests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [0, 1, ALONE, ALONE + 1, 100])
@pytest.mark.parametrize("size", [0, 1, BATCH - 1, BATCH + 1])
def test_digests_are_complete_when_the_block_ends(chunks: int, size: int) -> None:
    hasher, expected = hashlib.sha256(), hashlib.sha256()
    with aside(hasher) as beside:
        for number in range(chunks):
            beside.update(bytes([number]) * size)
            expected.update(bytes([number]) * size)
    assert hasher.digest() == expected.digest()


def test_a_digest_that_is_not_wanted_any_more() -> None:
    def hash_some() -> None:
        with aside(hashlib.sha256()) as beside:
            for _ in range(100):
                beside.update(CHUNK)
            raise DamagedError

    with pytest.raises(DamagedError):
        hash_some()


# -- several at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("items", [0, 1, 2, 50])
def test_each_is_done_once(items: int) -> None:
    job = Job()

    def work(item: int, part: Job) -> int:
        part.advance(item)
        return item * item

    assert sorted(each(work, range(items), job)) == [item * item for item in range(items)]
    assert job.done == sum(range(items))


def until_cancelled(job: Job) -> None:
    while True:
        job.wait(PATIENCE)


def test_one_that_fails_ends_the_others() -> None:
    def work(item: int, part: Job) -> None:
        if item == 1:
            raise DamagedError("one")
        until_cancelled(part)

    job = Job()
    with pytest.raises(DamagedError, match="one"):
        list(each(work, [1, 0, 0, 0], job))
    job.check()  # it goes on


def test_what_ended_first_comes_first() -> None:
    slow_may_end = threading.Event()

    def work(item: str, part: Job) -> str:
        if item == "slow":
            assert slow_may_end.wait(PATIENCE)
        return item

    results = each(work, ["slow", "fast"], Job())
    if next(results) == "slow":  # one processor: one after the other
        pytest.skip("there is one processor")
    slow_may_end.set()
    assert list(results) == ["slow"]


def test_leaving_early_ends_what_is_under_way() -> None:
    def work(item: int, part: Job) -> int:
        if item:
            until_cancelled(part)
        return item

    job = Job()
    results = each(work, [0, 1, 1, 1], job)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    job.check()


def test_work_sees_the_context_of_who_asked() -> None:
    variable = ContextVar("variable", default="")
    variable.set("mine")
    assert list(each(lambda item, part: variable.get(), range(3), Job())) == ["mine"] * 3


# -- letting go ---------------------------------------------------------------------------------------

ZEROS = gzip.compress(bytes(1 << 24), mtime=0)


def header(size: int) -> bytes:
    """Of a file of so many bytes."""
    info = tarfile.TarInfo("zeros")
    info.size = size
    return info.tobuf()


def endless(first: bytes, then: bytes) -> Work:
    """Indexing a layer that does not end."""

    def source(job: Job) -> Iterator[bytes]:
        for chunk in chain([first], repeat(then)):
            job.advance(len(chunk))
            yield chunk

    return lambda job: index_blob(source(job), job)


def silent(job: Job) -> object:
    """Indexing a layer whose source says nothing any more, as an engine that hangs."""

    def source() -> Iterator[bytes]:
        yield from repeat(gzip.compress(header(HUGE)) + ZEROS, 10)
        woken = threading.Event()
        with job.on_cancel(woken.set):
            job.advance(1)
            assert woken.wait(PATIENCE)
            job.check()

    return index_blob(source(), job)


HUGE = 8**11 - 1  # bytes: the most that a plain header can claim
Work = Callable[[Job], object]
ENDLESS: dict[str, Work] = {
    "a large file, packed": endless(gzip.compress(header(HUGE)), ZEROS),
    "a large file, plain": endless(header(HUGE), bytes(1 << 18)),
    "empty files": endless(b"", header(0) * 500),
    "small files": endless(b"", (header(500) + bytes(512)) * 250),
    "damage in the middle": endless(header(0), b"x" * (1 << 18)),
    "silence": silent,
}


def end_by_cancelling(work: Work, job: Job) -> None:
    """Cancel the work from another thread once it has begun; it must end, and as cancelled."""
    begun = threading.Event()
    job.report = lambda done, total: begun.set()
    assert type(cancelled_in_thread(lambda: work(job), job, begun, PATIENCE)) is CancelledError


@pytest.mark.parametrize("what", ENDLESS)
def test_cancelling_ends_what_would_not_end(what: str) -> None:
    end_by_cancelling(ENDLESS[what], Job())


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_cancelling_ends_all_layers_that_are_read(tmp_path: Path, name: str) -> None:
    bomb = gzip.compress(header(HUGE), mtime=0) + ZEROS * 300
    layers = tuple(Blob(b"%d" % number, bomb + bytes(number), "+gzip") for number in range(3))
    path = write(tmp_path / name, made.oci(Made(layers)))

    def read(job: Job) -> None:
        with closing(ArchiveSource(path, job=job)) as source:
            for _ in source.index(source.found.images[0], job):
                pass

    end_by_cancelling(read, Job())


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_layers_that_are_dropped_halfway_end(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_KEPT", 0)
    layers = tuple(made.gzipped(layer_tar([file(f"{number}", 30_000_000)])) for number in range(4))
    with closing(ArchiveSource(write(tmp_path / name, made.oci(Made(layers))))) as source:
        found = source.index(source.found.images[0], Job())
        next(found)
        found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["folder", "image.tar"])
def test_all_layers_of_many_come(tmp_path: Path, name: str) -> None:
    forms = [made.plain, made.gzipped, made.zstandard]
    layers = tuple(
        forms[number % 3](layer_tar([file(f"{number}", number * 100_000)])) for number in range(30)
    )
    with closing(ArchiveSource(write(tmp_path / name, made.oci(Made(layers))))) as source:
        job = Job()
        [image] = source.found.images
        found = dict(source.index(image, job))
        assert [found[number + 1].total for number in range(30)] == [n * 100_000 for n in range(30)]
        assert all(index.problems == [] for index in found.values())
        assert job.done == job.total == sum(len(layer.data) for layer in layers)
