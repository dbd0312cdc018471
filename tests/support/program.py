"""The real command line, run as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What a test says about the engine, the home and the terminal stays; what the checkout's path needs is added.
_PATH = os.pathsep.join(path for path in sys.path if path)


def run(
    *words: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    before: Sequence[str | Path] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `imgscope WORDS`, in `folder`, behind the command `before` if given (as `setpriv …`)."""
    return subprocess.run(
        [*before, sys.executable, "-m", "imgscope", *words],
        env={**(os.environ if environment is None else environment), "PYTHONPATH": _PATH},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def start(*words: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `imgscope WORDS` and do not wait for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "imgscope", *words],
        env={**(os.environ if environment is None else environment), "PYTHONPATH": _PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(*words: str | Path, environment: Mapping[str, str] | None = None) -> Any:
    """The JSON that `imgscope WORDS --json` prints; it must succeed and print nothing else."""
    done = run(*words, "--json", environment=environment)
    assert (done.returncode, done.stderr) == (0, ""), f"imgscope {' '.join(map(str, words))}: {done.stderr}"
    return json.loads(done.stdout)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr of a call that failed as a call should."""
    assert done.returncode == 2, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stdout == ""
    assert done.stderr.startswith("imgscope: ")
    assert done.stderr.endswith(".\n")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("imgscope: ").rstrip("\n")
