"""How long a person waits for the image list: from starting the program to a text on its screen.

    python -m tests.bench.first_paint [--text NAME] [--runs N] [--key KEY --then TEXT] [WORDS …]

Starts `imgscope WORDS` on a terminal of 120×40, N times, and prints JSON with the seconds of each run. With
`--key` the key is pressed once NAME is there, and `then` has the seconds until TEXT was drawn.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import sys
import termios
import time
from pathlib import Path

_CONTROL = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")
_PATIENCE = 60  # seconds


def start(words: list[str]) -> tuple[int, int]:
    """Start the program on a terminal of its own; gives (process, descriptor)."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(sys.executable, [sys.executable, "-m", "imgscope", *words])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    return process, terminal


def wait_for(terminal: int, text: bytes, since: float) -> float:
    """Seconds until the text was drawn."""
    seen = b""
    while text not in _CONTROL.sub(b"", seen):
        if not select.select([terminal], [], [], max(since + _PATIENCE - time.perf_counter(), 0))[0]:
            raise TimeoutError(f"{text!r} was not drawn within {_PATIENCE} s")
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:
            raise RuntimeError(f"the program ended: {_CONTROL.sub(b'', seen)[-500:]!r}") from None
    return time.perf_counter() - since


def processor(process: int) -> float:
    """Seconds that all threads of the process have had a processor: on a busy machine it tells more."""
    tasks = Path(f"/proc/{process}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def measure(words: list[str], text: str, key: str, then: str) -> tuple[float, float, float | None]:
    """Seconds to the first text, those of them on a processor, and seconds from the key to the second."""
    since = time.perf_counter()
    process, terminal = start(words)
    try:
        first = wait_for(terminal, text.encode(), since)
        busy = processor(process)
        second = None
        if key:
            since = time.perf_counter()
            os.write(terminal, key.encode())
            second = wait_for(terminal, then.encode(), since)
        os.write(terminal, b"q")
        return first, busy, second
    finally:
        while True:  # read on, or the program could not write its last words
            try:
                if not os.read(terminal, 1 << 16):
                    break
            except OSError:
                break
        os.close(terminal)
        os.waitpid(process, 0)


def main() -> None:
    """Print the seconds of each run as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--text", default="bench/many:")
    parser.add_argument("--key", default="")
    parser.add_argument("--then", default="")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    runs = [measure(options.words, options.text, options.key, options.then) for _ in range(options.runs)]
    first, busy, then = zip(*runs, strict=True)
    told = {"first_paint": first, "median": statistics.median(first), "processor": statistics.median(busy)}
    print(json.dumps(told | ({"then": then} if options.key else {})))


if __name__ == "__main__":
    main()
