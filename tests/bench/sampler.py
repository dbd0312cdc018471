"""Where imgscope's time goes: its stacks, looked at again and again, in all threads.

    python sampler.py FILE WORDS …

runs `imgscope WORDS …` and writes to FILE, as JSON, the nanoseconds of processor time for each place: the
innermost function of imgscope that runs, and what it has called.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL = 0.001  # seconds

_seen: Counter[str] = Counter()  # nanoseconds
_spent: dict[int, int] = {}  # the processor time of each thread, when it was looked at last


def main() -> None:
    target = Path(sys.argv[1])
    sys.argv[:2] = ["imgscope"]
    del sys.path[0]  # the folder of this file
    # Not a thread: it would only run when another gives way, which is not where the time goes.
    signal.signal(signal.SIGALRM, _look)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    try:
        runpy.run_module("imgscope", run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        target.write_text(json.dumps(_seen))


def _look(_signal: int, frame: FrameType | None) -> None:
    """Put what each thread has worked since the last look down to where it is; waiting costs nothing."""
    for thread, inner in {**sys._current_frames(), threading.get_ident(): frame}.items():
        spent = time.clock_gettime_ns(time.pthread_getcpuclockid(thread))
        if inner is not None and inner.f_code is not _look.__code__:
            _seen[_place(inner)] += spent - _spent.get(thread, 0)
        _spent[thread] = spent


def _place(inner: FrameType) -> str:
    """`sources.archive: index → zlib`, or what runs where imgscope has no part in it."""
    called = _module(inner)
    frame: FrameType | None = inner
    while frame is not None:
        module = _module(frame)
        if frame.f_code.co_name == "<module>" or module.startswith("importlib."):
            return "imports"
        if module.startswith("imgscope."):
            function = frame.f_code.co_qualname
            beside = "" if frame is inner else f" → {called.partition('.')[0]}"
            return f"{module.removeprefix('imgscope.')}: {function}{beside}"
        frame = frame.f_back
    return called


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


if __name__ == "__main__":
    main()
