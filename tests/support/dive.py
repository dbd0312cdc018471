"""The dive program, as an oracle for its own figures."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.support.needs import require_tool


def _run(archive: Path, scratch: str, *options: str | Path) -> str:
    done = subprocess.run(
        [require_tool("dive"), "--source", "docker-archive", archive, *options],
        env={**os.environ, "HOME": scratch},
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Analyzing image" in done.stdout, done.stderr
    return done.stdout


def dive_figures(archive: Path) -> dict[str, Any]:
    """What dive says of the image in a docker-archive, exactly: efficiencyScore, inefficientBytes."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out.json")
        _run(archive, scratch, "--json", out)
        figures: dict[str, Any] = json.loads(out.read_text())["image"]
        return figures


def dive_prints(archive: Path) -> str:
    """What dive prints where it checks its rules: all three figures, rounded."""
    with tempfile.TemporaryDirectory() as scratch:
        return _run(archive, scratch, "--ci")
