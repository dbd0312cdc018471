"""The cases: what is run against what, and what is to be reached."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.bench.inputs import GOLANG, TREE_ONLY, Inputs
from tests.bench.measure import MeasureError, Program, in_turn, run
from tests.support.engine import Engine, running_engine
from tests.support.needs import PATH, find_tool

NOBODY = 65534
# Root like everybody: it may use the engine's socket, but not look into a folder that is another's.
UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
IMGSCOPE, OPENED, DIVE = "imgscope", "imgscope, opened", "dive"
SAVE, LAZYDOCKER = "docker save", "lazydocker"
SIBLINGS = 1000
SAMPLER = Path(__file__).with_name("sampler.py")


class Bench:
    """What the cases share: inputs, a scratch folder, and a daemon that starts when first asked for."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.runs = runs
        self.inputs = Inputs(folder / "inputs", lambda: self.engine)
        self._stack = contextlib.ExitStack()
        self._loaded: set[str] = set()

    def __enter__(self) -> Bench:
        self.scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="imgscope-bench-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def engine(self) -> Engine:
        """A daemon of our own; only privileges let one read its data root. Raises `MeasureError`."""
        folder = self.scratch / "engine"
        folder.mkdir()
        with _reasons():
            engine = self._stack.enter_context(running_engine(folder))
        if not engine.own:
            raise MeasureError("needs a daemon of its own, and thus root")
        root = engine.client.info()["DockerRootDir"]
        os.chown(root, NOBODY, NOBODY)
        os.chmod(root, 0o700)
        return engine

    def archive(self, name: str) -> Path:
        """An archive of `Inputs`, read once: all programs find it in memory."""
        with _reasons():
            path = self.inputs.archive(name)
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                pass
        return path

    def load(self, name: str) -> None:
        """Have an archive's images on the engine."""
        if name not in self._loaded:
            self.engine.docker("load", "--quiet", "--input", self.archive(name))
            self._loaded.add(name)

    def tool(self, name: str) -> str:
        """The path of a program. Raises `MeasureError`."""
        if path := find_tool(name):
            return path
        raise MeasureError(f"{name} is not installed")

    def environment(self, on_engine: bool = False, cache: Path | None = None) -> Mapping[str, str]:
        """What programs see: nothing of the person's. No `cache`: imgscope keeps nothing."""
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "TMPDIR") if name in os.environ}
        host = {"DOCKER_HOST": self.engine.host} if on_engine else {}
        keep = {"IMGSCOPE_NO_CACHE": "1"} if cache is None else {"IMGSCOPE_CACHE": str(cache)}
        terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        return {**kept, **host, **keep, **terminal, "PATH": PATH, "HOME": str(self.scratch)}

    def analyze(self, reference: str, on_engine: bool = False) -> Program:
        """`imgscope analyze --json REFERENCE`, nothing cached."""
        command = [sys.executable, "-m", "imgscope", "analyze", "--json", reference]
        return Program(IMGSCOPE, command, self.environment(on_engine), '"efficiency"')

    def dive(self, *words: str | Path, on_engine: bool = False) -> Program:
        """dive as in a pipeline, where it prints what it found."""
        environment = {**self.environment(on_engine), "CI": "true"}
        return Program(DIVE, [self.tool("dive"), *words], environment, "efficiency:")

    def view(self, reference: str, screen: str, on_engine: bool = False) -> Program:
        """`imgscope REFERENCE` until the text is on the screen; no reference: the image list."""
        command = [sys.executable, "-m", "imgscope", *([reference] if reference else [])]
        return Program(IMGSCOPE, command, self.environment(on_engine), screen=screen)


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Have what the tests' support misses as a `MeasureError`."""
    try:
        yield
    except (pytest.skip.Exception, pytest.fail.Exception, AssertionError, OSError) as error:
        raise MeasureError(str(error)) from error


# -- against dive -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One comparison.

    `time` is the most that imgscope's seconds may be of those of `against`, `memory` the most that its
    memory may be of dive's.
    """

    key: str
    title: str
    time: float
    memory: float
    programs: Callable[[Bench], list[Program]]
    against: str = DIVE


def _archive(name: str, kind: str = "docker-archive") -> Callable[[Bench], list[Program]]:
    def programs(bench: Bench) -> list[Program]:
        path = bench.archive(name)
        return [bench.analyze(f"{kind}:{path}"), bench.dive("--source", "docker-archive", path)]

    return programs


def _first_tree(bench: Bench) -> list[Program]:
    path = bench.archive("layers-40")
    command: list[str | Path] = [bench.tool("dive"), "--source", "docker-archive", path]
    dive = Program(DIVE, command, bench.environment(), screen=TREE_ONLY, keys=["\x03"])
    return [bench.view(f"docker-archive:{path}", TREE_ONLY), dive]


def _readable(bench: Bench) -> list[Program]:
    bench.load("golang")
    return [bench.analyze(f"docker-daemon:{GOLANG}", True), bench.dive(GOLANG, on_engine=True)]


def _unreadable(bench: Bench) -> list[Program]:
    pipe = ["sh", "-c", f"docker save {GOLANG} | cat >/dev/null"]
    programs = [*_readable(bench), Program(SAVE, pipe, bench.environment(True))]
    return [_unprivileged(program) for program in programs]


def _unprivileged(program: Program) -> Program:
    return replace(program, command=[*UNPRIVILEGED, *program.command])


def _cached(bench: Bench) -> list[Program]:
    """Where the data root is unreadable: nothing but the cache can make it fast."""
    cache = bench.scratch / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    ours, dive = map(_unprivileged, _readable(bench))
    ours = replace(ours, environment=bench.environment(True, cache))
    in_turn([ours], 1)  # fills it
    return [ours, dive]


CASES = (
    Case("plain", "plain docker-archive, 850 MB", 0.25, 1, _archive("golang")),
    Case("gzip", "gzip OCI archive, 336 MB", 0.30, 1, _archive("golang-gzip", "oci-archive")),
    Case("files", "plain archive, 300,000 files", 0.5, 0.6, _archive("files-300000")),
    Case("removed", "plain archive, 30,000 files, 1,000 removed later", 0.02, 1, _archive("removed")),
    Case("tree", "TUI to the first file tree, 40 layers over 30,000 files", 0.25, 0.3, _first_tree),
    Case("readable", "engine, readable data root, nothing cached", 0.06, 1, _readable),
    Case("unreadable", "engine, unreadable root, nothing cached", 1.05, 1, _unreadable, SAVE),
    Case("cached", "engine, unreadable root, all layers cached", 0.06, 1, _cached),
)


# -- on the screen ------------------------------------------------------------------------------------


def start_up(bench: Bench) -> list[Program]:
    """The image list of an engine with 1,000 images, on the screen; lazydocker's where it is installed."""
    bench.load(f"siblings-{SIBLINGS}")
    text = "bench/sibling-"
    programs = [bench.view("", text, on_engine=True)]
    if path := find_tool(LAZYDOCKER):
        programs.append(Program(LAZYDOCKER, [path], bench.environment(True), screen=text))
    return programs


TO_THE_TREE = ("\t", "\t", "*")  # from the images past the layers to the files; all of them opened
DOWN, PAGE_DOWN = "\x1b[B", "\x1b[6~"


def keys(bench: Bench) -> Program:
    """Rows and pages of the tree of 300,000 files, all directories open; the first keys lead there."""
    program = bench.view(f"docker-archive:{bench.archive('files-300000')}", TREE_ONLY)
    return replace(program, keys=[*TO_THE_TREE, *[DOWN, PAGE_DOWN] * 20, "q"])


def latency(bench: Bench) -> Mapping[str, Any]:
    """What `latency.py` measures inside the program: times in ms by what was done."""
    command = [sys.executable, "-m", "tests.bench.latency"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, env=bench.environment(), cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise MeasureError(" ".join(done.stderr.split())[-200:])
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def hot_places(bench: Bench, program: Program, most: int = 6) -> list[tuple[str, float]]:
    """Run a program of imgscope's once more: the places where it was seen most, and their share of all."""
    target = bench.scratch / "profile.json"
    words = [*program.command]
    at = words.index("-m")
    words[at : at + 2] = [SAMPLER, target]
    run(replace(program, command=words))
    seen = Counter[str](json.loads(target.read_text()))
    return [(place, count / seen.total()) for place, count in seen.most_common(most)]


# -- growth -------------------------------------------------------------------------------------------

FILES = (3_000, 30_000, 300_000)
LAYERS = (2, 20, 120)


def growing(bench: Bench, kind: str, count: int) -> list[Program]:
    """The archive `kind-count`: analysed, opened, and by dive. Opened is the time to the file tree."""
    path = bench.archive(f"{kind}-{count}")
    reference = f"docker-archive:{path}"
    opened = replace(bench.view(reference, TREE_ONLY), name=OPENED)
    return [bench.analyze(reference), opened, bench.dive("--source", "docker-archive", path)]
