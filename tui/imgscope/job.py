"""Progress and cancellation of one long piece of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, RLock

from imgscope.errors import CancelledError

Report = Callable[[int, int | None], None]


class Job:
    """Passed down to whoever reads bytes; safe to cancel from another thread.

    `report` is called with (bytes done, bytes in all or None where nobody knows). It runs in the
    thread that works, one call at a time, and must return at once.
    """

    def __init__(self, report: Report | None = None) -> None:
        self.done = 0
        self.total: int | None = None
        self.report = report
        self._cancelled = Event()
        self._lock = RLock()  # `cancel` may be called by a signal while the thread it interrupts holds it
        self._counting = Lock()
        self._wakers: list[Callable[[], None]] = []

    def check(self) -> None:
        """Raise `CancelledError` where the work was cancelled."""
        if self._cancelled.is_set():
            raise CancelledError

    def advance(self, count: int) -> None:
        """Note that `count` more bytes were read; raises `CancelledError`."""
        self.check()
        with self._counting:
            self.done += count
            if self.report is not None:
                self.report(self.done, self.total)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the work soon, waking it where it waits for input."""
        with self._lock:
            self._cancelled.set()
            wakers = list(self._wakers)
        for wake in wakers:
            wake()

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until it is cancelled; raises `CancelledError` then."""
        self._cancelled.wait(seconds)
        self.check()

    @contextmanager
    def on_cancel(self, wake: Callable[[], None]) -> Iterator[None]:
        """While in the block, `cancel` calls `wake` (to close a socket that a read waits on)."""
        with self._lock:
            self._wakers.append(wake)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._wakers.remove(wake)

    @contextmanager
    def part(self) -> Iterator[Job]:
        """A job whose bytes count here. It is cancelled when this one is, and may be so by itself."""
        part = _Part(self)
        with self.on_cancel(part.cancel):
            yield part


class _Part(Job):
    def __init__(self, whole: Job) -> None:
        super().__init__()
        self._whole = whole

    def advance(self, count: int) -> None:
        self.check()
        self._whole.advance(count)
