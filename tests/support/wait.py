"""Waiting for something outside to happen: by looking again, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from imgscope.job import Job

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T], seconds: float = 30) -> T:
    """The first truthy answer of `probe`; `TimeoutError` that names `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return answer


def cancelled_in_thread(
    work: Callable[[], object], job: Job, begun: threading.Event, seconds: float
) -> BaseException | None:
    """What `work` raises in a thread of its own whose job is cancelled once `begun` is set; it must end."""
    ended: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(seconds)
    job.cancel()
    thread.join(seconds)
    assert not thread.is_alive()
    return ended[0] if ended else None
