"""The content of one file, taken from its source no further than somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from tempfile import TemporaryFile
from threading import Lock, Thread
from typing import IO

from imgscope.errors import CancelledError, ImgscopeError
from imgscope.job import Job
from imgscope.text import size_text

MEGABYTE = 1_000_000
FIRST = MEGABYTE  # bytes that are read before anything is shown
_IN_MEMORY = 8 * MEGABYTE
_LIMIT = 4_000 * MEGABYTE  # bytes of one file that are kept: a sparse file may claim more than any disk has


class Spool:
    """Bytes that come piece by piece and are read anywhere: in memory, when many in a temporary file."""

    def __init__(self, data: bytes = b"") -> None:
        self._memory = BytesIO()
        self._file: IO[bytes] = self._memory
        self._lock = Lock()
        self._closed = False
        self.size = 0
        if data:
            self.append(data)

    def append(self, data: bytes) -> None:
        """Put more at the end. Raises `OSError` where the disk is full."""
        with self._lock:
            if not self._closed:
                if self.size < _IN_MEMORY <= self.size + len(data):
                    self._file = TemporaryFile()  # noqa: SIM115 - `close` does
                    self._file.write(self._memory.getvalue())
                    self._memory.close()
                self._file.seek(self.size)
                self._file.write(data)
                self.size += len(data)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes [offset, offset + size), as many of them as have come."""
        with self._lock:
            if self._closed or offset >= self.size:
                return b""
            self._file.seek(offset)
            return self._file.read(min(size, self.size - offset))

    def close(self) -> None:
        """Let go of the bytes; nothing comes in or out any more. Returns at once."""
        with self._lock:
            held, self._closed = not self._closed, True
        if held and self._file is self._memory:
            self._memory.close()
        elif held:  # a disk takes its time to forget gigabytes
            Thread(target=self._file.close, daemon=True).start()


class Content:
    """The bytes of one file in `raw`, as far as they were asked for.

    `size` is how many there are to be. `pull` is for threads, one at a time; all else returns at once.
    """

    def __init__(self, chunks: Iterable[bytes], size: int, job: Job | None = None) -> None:
        self.raw = Spool()
        self.size = size
        self.job = job or Job()
        self.ended = False  # whether all is there that can be had
        self.problem = ""  # why that is not all, in a sentence
        self._chunks: Iterator[bytes] = iter(chunks)
        self._held = b""  # of a chunk, what was not asked for yet
        self._turn = Lock()
        self._stopped = False
        if not size:
            self._end()

    @classmethod
    def of(cls, data: bytes) -> Content:
        """A content that is there already."""
        return cls([data], len(data))

    def pull(self, upto: int, told: Callable[[], None] = lambda: None) -> None:
        """Read on until `upto` bytes are there, or all; `told` is called after each piece.

        Raises `CancelledError` once `close` was called. Whatever else goes wrong ends the content.
        """
        with self._turn:
            self._stopped = False
            try:
                while not self.ended and not self._stopped and self.raw.size < upto:
                    self._piece(upto)
                    told()
            finally:
                if self.job.cancelled:
                    self._end()
        self.job.check()

    def _piece(self, upto: int) -> None:
        try:
            self.job.check()
            chunk: bytes | None = self._held
            while chunk == b"":
                chunk = next(self._chunks, None)
            if chunk is not None:
                room = min(upto, self.size) - self.raw.size
                self.raw.append(chunk[:room])
                self._held = chunk[room:]
            if self.raw.size >= self.size:
                self._end()
            elif chunk is None:
                there = "nothing of it is" if not self.raw.size else f"only {size_text(self.raw.size)} are"
                self._end(f"It should have {size_text(self.size)}; {there} there.")
            elif self.raw.size >= _LIMIT:
                self._end(f"No more than {size_text(_LIMIT)} of a file are shown.")
        except CancelledError:
            raise
        except ImgscopeError as error:
            self._end(str(error))
        except OSError as error:
            self._end(f"The rest cannot be kept: {error.strerror or error}.")

    def _end(self, problem: str = "") -> None:
        self.ended, self.problem = True, problem
        close = getattr(self._chunks, "close", None)  # of a generator: it lets go of files and sockets
        self._chunks = iter(())
        if close is not None:
            close()

    def fail(self, problem: str) -> None:
        """No more can be shown, and why."""
        with self._turn:
            self._end(problem)

    def stop(self) -> None:
        """End the `pull` that is under way, as soon as its next bytes come; one may read on later."""
        self._stopped = True

    def close(self) -> None:
        """Let go of everything, also while a thread reads."""
        self.job.cancel()
        if self._turn.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._turn.release()
        self.raw.close()
