"""Work beside the work: a stream that is made ahead, digests in a thread of their own, layers at once.

Decompressors and hashlib let go of the interpreter while they work, so threads are enough. No thread
outlives the block or the generator that started it, however that ends. A stream that ends after a few
chunks starts none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from itertools import islice
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

from imgscope.job import Job
from imgscope.layers.stream import Hash

BATCH = 1 << 18  # bytes that are handed from thread to thread at once
DEPTH = 2  # batches that wait between two threads
ALONE = 4  # chunks of a stream before it is worth a thread
_WORKERS = 4  # more would wait for each other: one thread at a time walks a tar
T = TypeVar("T")
R = TypeVar("R")


def _start(run: Callable[[], None]) -> Thread:
    """A thread that the end of the program does not wait for, in the context of this one."""
    thread = Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    return thread


class _Pipe:
    """Chunks from one thread to another, which wakes for a batch of them and not for each.

    Less than `DEPTH` + 2 batches are there at any time.
    """

    def __init__(self) -> None:
        self._batch: list[bytes] = []
        self._size = 0
        self._ready: SimpleQueue[tuple[list[bytes], BaseException | None]] = SimpleQueue()
        self._room = Semaphore(DEPTH)
        self._closed = False

    def put(self, chunk: bytes) -> bool:
        """Add a chunk, waiting for room; False, and it is the last call, where nobody takes any more."""
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= BATCH:
            self._send(None)
        return not self._closed

    def end(self, error: BaseException) -> None:
        """What `get` raises after the last chunk."""
        self._send(error)

    def _send(self, error: BaseException | None) -> None:
        self._room.acquire()
        self._ready.put((self._batch, error))
        self._batch, self._size = [], 0

    def get(self) -> Iterator[bytes]:
        while True:
            batch, error = self._ready.get()
            self._room.release()
            yield from batch
            if error is not None:
                raise error

    def close(self) -> None:
        """Take no more."""
        self._closed = True
        self._room.release()


def ahead(chunks: Iterable[bytes]) -> Generator[bytes]:
    """The same chunks, made in another thread while those before are in use.

    What `chunks` raises is raised in its place. Closing this waits for the chunk that is being made.
    """
    chunks = iter(chunks)
    yield from islice(chunks, ALONE)
    pipe = _Pipe()

    def run() -> None:
        try:
            if all(map(pipe.put, chunks)):
                pipe.end(_End())
        except BaseException as error:
            pipe.end(error)

    thread = _start(run)
    try:
        yield from pipe.get()
    except _End:
        pass
    finally:
        pipe.close()
        thread.join()


class _End(Exception):  # noqa: N818 - nothing went wrong
    """A stream ended, as it should."""


class _Aside:
    def __init__(self, hasher: Hash) -> None:
        self._hasher = hasher
        self._alone = ALONE
        self._pipe = _Pipe()
        self._thread: Thread | None = None

    def update(self, data: bytes, /) -> None:
        if self._alone:
            self._alone -= 1
            self._hasher.update(data)
            return
        if self._thread is None:
            self._thread = _start(self._run)
        self._pipe.put(data)

    def _run(self) -> None:
        with suppress(_End):
            for chunk in self._pipe.get():
                self._hasher.update(chunk)

    def finish(self) -> None:
        if self._thread is not None:
            self._pipe.end(_End())
            self._thread.join()


@contextmanager
def aside(hasher: Hash) -> Iterator[Hash]:
    """A hasher that works in a thread of its own; `hasher` knows all of it when the block is left."""
    beside = _Aside(hasher)
    try:
        yield beside
    finally:
        beside.finish()


def each(work: Callable[[T, Job], R], items: Iterable[T], job: Job) -> Iterator[R]:
    """What `work(item, part of the job)` gives for every item, several at once, in the order that they end.

    They are begun in the order of `items`. What one raises is raised here, and ends the others.
    """
    items = list(items)
    todo = iter(items)
    ended: SimpleQueue[R | BaseException] = SimpleQueue()
    with job.part() as part:

        def run() -> None:
            try:
                for item in todo:
                    ended.put(work(item, part))
            except BaseException as error:
                ended.put(error)

        threads = [_start(run) for _ in range(min(len(items), os.cpu_count() or 1, _WORKERS))]
        try:
            for _ in items:
                result = ended.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            part.cancel()
            for thread in threads:
                thread.join()
