"""The real program on a real terminal that goes away."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

PATIENCE = 30  # seconds


@pytest.mark.parametrize("how", ["closed", "hung up", "ended"])
def test_the_program_ends_with_its_terminal(how: str) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "imgscope", "demo"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,
    ) as program:
        os.close(slave)
        shown = b""
        while b"BigFile" not in shown:
            shown += os.read(master, 1 << 16)
        if how == "closed":
            os.close(master)
        program.send_signal(signal.SIGTERM if how == "ended" else signal.SIGHUP)
        try:
            status = program.wait(PATIENCE)
        finally:
            program.kill()
            if how != "closed":
                os.close(master)
    assert status == 128 + (signal.SIGTERM if how == "ended" else signal.SIGHUP)
