"""The benchmark: imgscope and dive in turn, as whole processes, on inputs that it makes itself.

    python -m tests.bench [--runs N] [--only CASE …] [--folder DIR] [--output FILE]

Prints tables as Markdown; with --output it writes them as well. What cannot be run here says why. Needs
root for a daemon of its own, dive, and 3 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from tests.bench import cases
from tests.bench.cases import CASES, DIVE, IMGSCOPE, LAZYDOCKER, OPENED, SIBLINGS, Bench, Case
from tests.bench.measure import Figures, MeasureError, Program, in_turn, run
from tests.bench.report import Table, Target, commit, cpu, machine, megabytes, number, seconds
from tests.support.needs import find_tool

START_UP = 0.6  # seconds to a painted list of 1,000 images
KEYS = (*(case.key for case in CASES), "start-up", "keys", "growth-files", "growth-layers")


def main() -> None:
    """Run what was asked for, in the order of the report; each part is printed as soon as it is known."""
    options = _options()
    wanted = set(options.only or KEYS)
    program = (
        f"imgscope at commit {commit()}, {time.strftime('%Y-%m-%d', time.gmtime())}"  # before it can change
    )
    parts = []
    with Bench(options.folder.absolute(), options.runs) as bench:
        for part in (_against_dive, _on_screen, _growth):
            if text := part(bench, wanted):
                print(f"\n{text}", flush=True)
                parts.append(text)
        head = _head(bench, program)
    print(f"\n{head}")
    if options.output is not None:
        options.output.write_text("\n\n".join([head, *parts]) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Run imgscope and dive in turn, as whole processes, on inputs made here.",
    )
    folder = Path(os.environ.get("BENCH_DIR", "build/bench"))
    parser.add_argument("--runs", type=int, default=5, help="runs of each program (default: 5)")
    parser.add_argument("--only", nargs="+", choices=KEYS, metavar="CASE", help=", ".join(KEYS))
    parser.add_argument("--folder", type=Path, default=folder, help="for the inputs (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write the report there")
    return parser.parse_args()


def _head(bench: Bench, program: str) -> str:
    docker = dive = None
    if "engine" in vars(bench):  # one was started
        docker = bench.engine.docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    if path := find_tool("dive"):
        dive = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
    lines = "\n".join(f"- {line}" for line in [program, *machine(docker, dive)])
    return f"""\
# Benchmark

Written by `make bench`. Whole processes, run in turn (A B A B …), {bench.runs} runs of each: medians, with
the fastest and the slowest run in brackets. Times are seconds of wall clock, CPU is user and system time, MB
is the peak of the resident set. A target is the most that a figure may be; `**>**` marks a missed one.

{lines}"""


def _against_dive(bench: Bench, wanted: set[str]) -> str:
    table = Table("case", "imgscope", "dive", "ratio, target", "CPU", "dive", "MB", "dive", "ratio, target")
    missed: list[str] = []
    for case in CASES:
        if case.key in wanted and (taken := _measured(bench, table, case.title, case.programs)):
            table.add(case.title, *_comparison(case, taken))
            if taken[IMGSCOPE].seconds > case.time * taken[case.against].seconds:
                missed.append(_profile(bench, case))
    return "\n\n".join(["## imgscope against dive", str(table), _CASES, *missed]) * (len(table.rows) > 1)


_CASES = """\
`imgscope analyze --json` against `CI=true dive`. *TUI*: both on a terminal of 160×45, until the first row of
the file tree is drawn. *Unreadable root*: the time is compared with `docker save IMAGE | cat >/dev/null`, the
memory with dive's."""


def _profile(bench: Bench, case: Case) -> str:
    """Where the time goes in a case whose target is missed."""
    try:
        places = cases.hot_places(bench, case.programs(bench)[0])
    except MeasureError as error:
        return f"{case.title}: no profile: {error}"
    return f"{case.title}, where the processor time goes: " + ", ".join(
        f"{share:.0%} `{place}`" for place, share in places
    )


def _comparison(case: Case, taken: dict[str, Figures]) -> list[str]:
    ours, dive, other = taken[IMGSCOPE], taken[DIVE], taken[case.against]
    return [
        seconds(ours),
        seconds(dive) + (f"; {case.against}: {seconds(other)}" if other is not dive else ""),
        str(Target(ours.seconds / other.seconds, case.time)),
        cpu(ours),
        cpu(dive),
        megabytes(ours),
        megabytes(dive),
        str(Target(ours.memory / dive.memory, case.memory)),
    ]


def _on_screen(bench: Bench, wanted: set[str]) -> str:
    parts = []
    if "start-up" in wanted:
        table = Table("", "imgscope", "target", "MB", "lazydocker", "MB")
        title = f"image list of {SIBLINGS:,} images, until it is drawn"
        if taken := _measured(bench, table, title, cases.start_up):
            ours, other = taken[IMGSCOPE], taken.get(LAZYDOCKER)
            target = str(Target(ours.seconds, START_UP))
            beside = [seconds(other), megabytes(other)] if other else ["not installed"]
            table.add(title, seconds(ours), target, megabytes(ours), *beside)
        parts.append(table)
    if "keys" in wanted:
        parts.append(_keys(bench))
    return "\n\n".join(["## On the screen", *map(str, parts)]) * bool(parts)


FROM_OUTSIDE = "move, seen from the terminal"
# The most ms, as the median and at the 95th percentile, by what `latency.py` calls it.
LATENCIES: dict[str, tuple[float | None, float | None]] = {
    FROM_OUTSIDE: (30, 60),
    "move": (30, 60),
    "fold": (30, 60),
    "filter": (None, 150),
    "reopen": (None, 200),
}


def _keys(bench: Bench) -> Table:
    """Keys on the tree of 300,000 files: seen from the terminal, and from inside."""
    table = Table("ms from a key, 300,000 files", "median", "95 %", "target of the median", "of 95 %")
    for title, take in ((FROM_OUTSIDE, _pressed), ("seen from inside", _inside)):
        print(f"{title} …", file=sys.stderr, flush=True)
        try:
            for name, middle, high in take(bench):
                limits = LATENCIES.get(name, (None, None))
                targets = [
                    "" if limit is None else str(Target(figure, limit))
                    for figure, limit in zip((middle, high), limits, strict=True)
                ]
                table.add(name, number(middle), number(high), *targets)
        except MeasureError as error:
            table.add(title, "not run")
            table.reasons.append(f"{title}: {error}")
    return table


def _pressed(bench: Bench) -> Iterator[tuple[str, float, float]]:
    """Until the terminal gets anything."""
    pressed = run(cases.keys(bench)).presses[len(cases.TO_THE_TREE) : -1]
    yield FROM_OUTSIDE, median(pressed) * 1000, quantiles(pressed, n=20)[-1] * 1000


def _inside(bench: Bench) -> Iterator[tuple[str, float, float]]:
    """Until the paint that shows what the key did is ready to be sent."""
    for name, told in cases.latency(bench).items():
        if isinstance(told, dict):
            yield name, told["median_ms"], told["p95_ms"]


def _growth(bench: Bench, wanted: set[str]) -> str:
    tables = []
    if "growth-files" in wanted:
        tables.append(_grow(bench, "files", cases.FILES, 1e6, "µs a file"))
    if "growth-layers" in wanted:
        tables.append(_grow(bench, "layers", cases.LAYERS, 1e3, "ms a layer"))
    return "\n\n".join(["## Growth", *map(str, tables), _GROWTH]) * bool(tables)


_GROWTH = """\
Plain docker-archives. The layers lie over 30,000 files; each changes 100 of them and adds 50. *Opened* is the
TUI, until the first row of the file tree is drawn. *µs a file* and *ms a layer* are what each one more costs
since the row above: where these stay the same, cost grows in a straight line."""


def _grow(bench: Bench, kind: str, counts: Sequence[int], scale: float, each: str) -> Table:
    columns = (IMGSCOPE, OPENED, DIVE)
    table = Table("", *(head for name in columns for head in (name, each, "MB")))
    last: tuple[int, dict[str, Figures]] | None = None
    for count in counts:
        title = f"{count:,} {kind}"
        if taken := _measured(bench, table, title, partial(cases.growing, kind=kind, count=count)):
            cells = []
            for name in columns:
                more = ""
                if last is not None:
                    more = number((taken[name].seconds - last[1][name].seconds) / (count - last[0]) * scale)
                cells += [seconds(taken[name]), more, megabytes(taken[name])]
            table.add(title, *cells)
            last = count, taken
    return table


def _measured(
    bench: Bench, table: Table, title: str, programs: Callable[[Bench], list[Program]]
) -> dict[str, Figures] | None:
    """The figures of some programs; where they cannot be had, the table says why."""
    print(f"{title} …", file=sys.stderr, flush=True)
    try:
        return in_turn(programs(bench), bench.runs)
    except MeasureError as error:
        table.add(title, "not run")
        table.reasons.append(f"{title}: {error}")
        return None


if __name__ == "__main__":
    main()
