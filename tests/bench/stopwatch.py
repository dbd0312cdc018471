"""Run one program as a whole process and tell what it cost; a script that needs nothing but Python.

It is a process of its own because the kernel counts what a process held before `exec` among its peak
memory: measured from here, that is the 10 MB of a bare Python. The one argument is a JSON object, the
answer another one, on stdout; `measure.py` has both as dataclasses.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from typing import Any

LINES, COLUMNS = 45, 160
# What sets colours and moves the cursor; between two such sequences there is text.
CONTROL = re.compile(rb"\x1b(?:\[[0-9;?<>=$]*[ -/]*[@-~]|[()].|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


def main() -> None:
    request = json.loads(sys.argv[1])
    on_screen = request["screen"] is not None
    with tempfile.TemporaryFile() as output:
        if on_screen:
            terminal, handle = pty.openpty()
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        else:
            terminal, handle = -1, output.fileno()
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            _become(request, handle, on_screen)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
        signal.alarm(request["timeout"])
        seconds = None
        said = b""
        if on_screen:
            os.close(handle)
            seconds, said = _watch(terminal, request["screen"].encode(), request["keys"].encode(), start)
        _, status, usage = os.wait4(child, 0)
        if not on_screen:
            seconds = time.perf_counter() - start
            output.seek(0)
            said = output.read()
    answer = {
        "seconds": seconds,  # None: the text never came
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": os.waitstatus_to_exitcode(status),
        "output": CONTROL.sub(b"", said).decode(errors="replace"),
    }
    print(json.dumps(answer))


def _become(request: dict[str, Any], handle: int, on_screen: bool) -> None:
    """In the child: be the program."""
    try:
        os.setsid()
        if on_screen:
            fcntl.ioctl(handle, termios.TIOCSCTTY, 0)
        else:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in range(0 if on_screen else 1, 3):
            os.dup2(handle, number)
        os.execvpe(request["command"][0], request["command"], request["environment"])
    except OSError as error:
        os.write(2, str(error).encode())
    os._exit(127)


def _watch(terminal: int, text: bytes, keys: bytes, start: float) -> tuple[float | None, bytes]:
    """Read the screen: when `text` was first there, and what came in all. Then quits by `keys`."""
    said = b""
    seconds = None
    pressed = False
    while True:
        # Keys are for a program at rest: half a second of silence.
        ready, _, _ = select.select([terminal], [], [], 0.5 if seconds and not pressed else None)
        if not ready:
            os.write(terminal, keys)
            pressed = True
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # Linux tells the end of the other side so
            data = b""
        if not data:
            return seconds, said
        said += data
        if seconds is None and text in CONTROL.sub(b"", said[-len(data) - 4096 :]):
            seconds = time.perf_counter() - start


if __name__ == "__main__":
    main()
