"""What was measured, as Markdown that can be read in a terminal as well."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Figures


@dataclass(frozen=True)
class Target:
    """A figure and the most that it may be."""

    figure: float
    most: float

    @property
    def met(self) -> bool:
        return self.figure <= self.most

    def __str__(self) -> str:
        """`0.0500 ≤ 0.06`, or by how much it is missed: `0.0900 **>** 0.06`."""
        return f"{number(self.figure)} {'≤' if self.met else '**>**'} {self.most:g}"


def number(value: float) -> str:
    """Three digits that count: 0.0123, 1.23, 12.3, 1234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 3
    size = abs(value)
    while size >= 1:
        size /= 10
        digits -= 1
    return f"{value:.{max(digits, 0)}f}"


def seconds(figures: Figures | None) -> str:
    """The median in seconds, with the fastest and the slowest run."""
    if figures is None:
        return ""
    return f"{number(figures.seconds)} ({number(figures.fastest)}–{number(figures.slowest)})"


def cpu(figures: Figures | None) -> str:
    """User and system seconds."""
    return "" if figures is None else number(figures.cpu)


def megabytes(figures: Figures | None) -> str:
    """Peak memory in MB of 10⁶ bytes."""
    return "" if figures is None else f"{figures.memory / 1e6:.0f}"


class Table:
    """A Markdown table whose columns line up, all but the first set to the right; reasons are below it."""

    def __init__(self, *head: str) -> None:
        self.rows = [head]
        self.reasons: list[str] = []

    def add(self, *cells: str) -> None:
        """Add a row; cells that are not given are empty."""
        self.rows.append(cells + ("",) * (len(self.rows[0]) - len(cells)))

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        lines = [
            [cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs)]
            for pairs in (zip(row, widths, strict=True) for row in self.rows)
        ]
        lines.insert(
            1, ["-" * (width - bool(column)) + ":" * bool(column) for column, width in enumerate(widths)]
        )
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join([drawn, *(f"Not run: {reason}" for reason in self.reasons)])


def commit() -> str:
    """The commit of the checkout, and whether the program was changed since."""
    root = Path(__file__).resolve().parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--", "tui") else ""
    return f"{git('rev-parse', '--short', 'HEAD') or 'unknown'}{changed}"


def machine(docker: str | None, dive: str | None) -> list[str]:
    """Where it was measured; `docker` is the engine's version, `dive` what it says of itself."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        f"{_processor()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"{dive or 'no dive'}, {f'docker {docker}' if docker else 'no docker'}",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
