"""Our figures beside dive's, both asking the same engine.

dive has no figure for an image of one layer (it prints NaN), and after a whiteout of a path that does not
exist it drops the rest of that layer: engines write no such whiteout.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import program
from tests.support.engine import Engine
from tests.support.needs import require_tool

IMAGES = {
    "one layer": "",
    "a big file": """\
RUN head -c 500000 /dev/urandom > /BigFile
RUN rm /BigFile
RUN mkdir -p /opt/app && cp /bin/busybox /opt/app/program
""",
    "stored again": """\
RUN mkdir -p /var/lib/apt /var/cache/app && head -c 70000 /dev/urandom > /var/lib/apt/list
RUN chown 1000 /var/lib/apt/list && head -c 9000 /dev/urandom > /var/cache/app/one
RUN head -c 60000 /dev/urandom > /var/lib/apt/list && touch -d @1 /etc/passwd
RUN rm -r /var/cache/app && mkdir /var/cache/app && echo new > /var/cache/app/two
""",
    "links": """\
RUN head -c 20000 /dev/urandom > /a && ln /a /b && ln -s a /c && mkdir /d /e
RUN rm /c && ln -s b /c && rm /a && echo x > /e/x
RUN rm -r /e && echo e > /e && chmod 600 /b
""",
    "steps without files": "ENV A=1\nRUN true\nWORKDIR /work/here\nRUN rm -f /nothing\n",
    "removed folders": """\
RUN mkdir -p /src/a/b /src/c && for n in 1 2 3; do head -c ${n}000 /dev/urandom > /src/a/b/$n; done
RUN echo built > /src/c/out
RUN rm -r /src/a
RUN rm -r /src
""",
}


def dive(engine: Engine, name: str, folder: Path) -> tuple[float, int, float]:
    """dive's efficiency (as exact as it exports it), wastedBytes and userWastedPercent."""
    command, export = require_tool("dive"), folder / "dive.json"
    environment = {**engine.environment, "CI": "true", "HOME": str(folder)}
    found = []
    exporting: list[str | Path] = ["--json", export]
    for arguments in ([], exporting):  # with an export it prints no figures
        done = subprocess.run(
            [command, name, "--source", "docker", "--ci-config", folder / "none", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "efficiency:" in done.stdout or export.exists(), done.stdout + done.stderr
        found.append(done.stdout)
    wasted = re.search(r"wastedBytes: (\d+) bytes", found[0])
    percent = re.search(r"userWastedPercent: (\S+) %", found[0])
    assert wasted
    assert percent
    return json.loads(export.read_bytes())["image"]["efficiencyScore"], int(wasted[1]), float(percent[1])


@pytest.mark.parametrize("what", IMAGES)
def test_dives_figures_are_dives(engine: Engine, busybox_base: str, tmp_path: Path, what: str) -> None:
    name = engine.name(f"peers/{what.replace(' ', '-')}:1")
    engine.build({"Dockerfile": f"FROM {busybox_base}\n{IMAGES[what]}"}, name)
    efficiency, wasted, percent = dive(engine, name, tmp_path)
    ours = program.answer("analyze", name, environment=engine.environment)["dive"]
    assert math.isclose(ours["efficiency"], efficiency, rel_tol=1e-12)
    assert ours["wastedBytes"] == wasted
    if math.isnan(percent):
        assert ours["userWastedPercent"] is None
    else:
        assert ours["userWastedPercent"] == pytest.approx(percent, abs=0.0001)  # it prints four digits
