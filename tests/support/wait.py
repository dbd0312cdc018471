"""Waiting for something outside to happen: by looking again, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T], seconds: float = 30) -> T:
    """The first truthy answer of `probe`; `TimeoutError` that names `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return answer
