"""Programs run in turn as whole processes, and what to say of the runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

STOPWATCH = Path(__file__).with_name("stopwatch.py")
TIMEOUT, SCREEN_TIMEOUT = 600, 120  # seconds for one run


class MeasureError(Exception):
    """A program cannot be run here, or did not do its work; says why."""


@dataclass(frozen=True)
class Program:
    """A command, and how to tell that it did its work.

    `says` must be in its output; without it the exit status must be 0. With `screen`, the program runs
    on a terminal of 160×45 until this text was drawn, which is the time that counts; then `keys` are pressed
    one by one, and the last ends it.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    says: str = ""
    screen: str | None = None
    keys: Sequence[str] = ("q",)


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, user and system seconds, peak resident bytes.

    `presses` are the seconds until the terminal got something for each key; infinite: it never did.
    """

    seconds: float
    cpu: float
    memory: float
    presses: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The medians of some runs; `fastest` and `slowest` tell how steady the machine was."""

    seconds: float
    cpu: float
    memory: float
    fastest: float
    slowest: float


def figures(samples: Sequence[Sample]) -> Figures:
    """The medians, each column by itself."""
    times = [sample.seconds for sample in samples]
    return Figures(
        median(times),
        median(sample.cpu for sample in samples),
        median(sample.memory for sample in samples),
        min(times),
        max(times),
    )


def run(program: Program) -> Sample:
    """Run a program once; raises `MeasureError`."""
    request = {
        "command": [str(word) for word in program.command],
        "environment": dict(program.environment),
        "screen": program.screen,
        "keys": [*program.keys],
        "timeout": TIMEOUT if program.screen is None else SCREEN_TIMEOUT,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", STOPWATCH, json.dumps(request)], capture_output=True, text=True
    )
    if done.returncode:
        raise MeasureError(f"{program.name} was not measured: {done.stderr.strip()[-300:]}")
    answer = json.loads(done.stdout)
    if program.screen is not None:
        worked = answer["seconds"] is not None
    else:
        worked = program.says in answer["output"] if program.says else answer["status"] == 0
    if not worked:
        last = " ".join(answer["output"].split())[-120:]
        raise MeasureError(f"{program.name} ended with status {answer['status']}: … {last}")
    presses = (math.inf if seconds is None else seconds for seconds in answer["presses"])
    return Sample(answer["seconds"], answer["cpu"], answer["memory"], tuple(presses))


def in_turn(programs: Sequence[Program], runs: int) -> dict[str, Figures]:
    """Run each program `runs` times, A B A B …, so that all see the same machine; figures by name."""
    samples: dict[str, list[Sample]] = {program.name: [] for program in programs}
    for _ in range(runs):
        for program in programs:
            samples[program.name].append(run(program))
    return {name: figures(taken) for name, taken in samples.items()}
