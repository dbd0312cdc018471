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
from typing import IO, Any

LINES, COLUMNS = 45, 160
REST, PATIENCE = 0.4, 5.0  # seconds of silence: the program is at rest; it will not answer
# What sets colours and moves the cursor; between two such sequences there is text.
CONTROL = re.compile(rb"\x1b(?:\[[0-9;?<>=$]*[ -/]*[@-~]|[()].|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


def main() -> None:
    request = json.loads(sys.argv[1])
    on_screen = request["screen"] is not None
    output = tempfile.TemporaryFile()  # noqa: SIM115 - open to the end
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
    seconds, presses = None, []
    if on_screen:
        os.close(handle)
        watch = Watch(terminal, output, start)
        seconds = watch.until(request["screen"].encode())
        if seconds is not None:
            presses = [watch.press(keys.encode()) for keys in request["keys"]]
        watch.rest()
    _, status, usage = os.wait4(child, 0)
    if not on_screen:
        seconds = time.perf_counter() - start
    output.seek(0)
    answer = {
        "seconds": seconds,  # None: the text never came
        "presses": presses,  # seconds until each of the keys was answered, None: never
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "status": os.waitstatus_to_exitcode(status),
        "output": CONTROL.sub(b"", output.read()).decode(errors="replace"),
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


class Watch:
    """The other side of a program's terminal."""

    def __init__(self, terminal: int, output: IO[bytes], start: float) -> None:
        """`output` is where all that the program draws is kept."""
        self.terminal = terminal
        self.output = output
        self.start = start

    def read(self, patience: float | None) -> bytes:
        """What comes next; nothing where the program ended or stayed silent for so many seconds."""
        if not select.select([self.terminal], [], [], patience)[0]:
            return b""
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError:  # Linux tells the end of the other side so
            data = b""
        self.output.write(data)
        return data

    def until(self, text: bytes) -> float | None:
        """Seconds from the start until the text was drawn; None: the program ended before."""
        said = b""
        while data := self.read(None):
            said = said[-4096:] + data  # the text may come in pieces
            if text in CONTROL.sub(b"", said):
                return time.perf_counter() - self.start
        return None

    def press(self, keys: bytes) -> float | None:
        """Seconds until keys are answered by anything at all; they are for a program at rest."""
        while self.read(REST):
            pass
        pressed = time.perf_counter()
        os.write(self.terminal, keys)
        return time.perf_counter() - pressed if self.read(PATIENCE) else None

    def rest(self) -> None:
        """Read on until the program ends, or it could not write its last words."""
        while self.read(None):
            pass


if __name__ == "__main__":
    main()
