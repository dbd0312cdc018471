"""How long a key takes to be seen, on a file tree of very many files: measured inside the running program.

    python -m tests.bench.latency [--files N] [--rounds N] [--flat]

Time runs from the key's event to the end of the first paint that shows what it did, made into what the
terminal would be sent; milliseconds. `busy` is the same while another thread builds trees without a pause.
Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from textual._compositor import CompositorUpdate
from textual.events import Key
from textual.keys import _character_to_key
from textual.screen import Screen as AnyScreen

from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.overlay import Overlay
from imgscope.layers.view import Lens, Sort, Views
from imgscope.ui import app as program
from imgscope.ui import loader
from tests.ui.driver import FakeSource, Screen

LIMIT = 30.0  # seconds that a key may take at all


def tree(files: int, *, flat: bool) -> LayerIndex:
    """A layer of so many files: packages of 100, or all in one directory."""
    index = LayerIndex()
    number = 0
    for package in range(1 if flat else -(-files // 100)):
        folder = b"app/node_modules/package-%05d" % package
        index.add(folder, Kind.DIRECTORY, mode=0o755)
        for _ in range(files if flat else min(100, files - number)):
            name = b"%s/module-%06d.js" if flat else b"%s/lib%d/module-%03d.js"
            parts = (folder, number * 7919 % files) if flat else (folder, number % 4, number % 100)
            index.add(name % parts, Kind.FILE, size=100 + number * 7919 % 5000)
            number += 1
    return index


def few(files: int) -> LayerIndex:
    """A layer that changes a hundred of them."""
    index = LayerIndex()
    for package in range(min(100, files // 100)):
        index.add(b"app/node_modules/package-%05d/lib0/module-000.js" % package, Kind.FILE, size=9)
    return index


class Watched(program.ImgscopeApp):
    """The program, with a watch on its paints."""

    CSS_PATH = str(Path(program.__file__).with_name("app.tcss"))
    shown: Callable[[], bool] | None = None
    painted: asyncio.Future[float] | None = None

    def _display(self, screen: AnyScreen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if isinstance(renderable, CompositorUpdate):
            renderable.render_segments(self.console)  # which is left out where there is no terminal
        if self.painted is not None and not self.painted.done() and self.shown is not None and self.shown():
            self.painted.set_result(time.perf_counter())

    async def timed(self, key: str, shown: Callable[[], bool]) -> float:
        """Milliseconds from a key to the paint after which `shown` holds."""
        self.shown, self.painted = shown, asyncio.get_running_loop().create_future()
        character = key if len(key) == 1 else None
        start = time.perf_counter()
        assert self._driver is not None
        self._driver.send_message(Key(_character_to_key(key) if character else key, character))
        end = await asyncio.wait_for(self.painted, LIMIT)
        await asyncio.sleep(0.01)  # a person does not press at once
        return (end - start) * 1000


@asynccontextmanager
async def running(source: FakeSource) -> AsyncIterator[tuple[Watched, Screen]]:
    watched = Watched("demo:", opened=lambda: source)
    async with watched.run_test(size=(140, 50)) as pilot:
        screen = Screen(watched, pilot)
        await screen.settle()
        await screen.press("enter")
        screen.files.focus()
        await screen.settle()
        yield watched, screen
    loader.finish(1)


@contextmanager
def busy(overlay: Overlay) -> Iterator[None]:
    """Another thread builds trees of an image, over and over."""
    ended = threading.Event()

    def build() -> None:
        while not ended.is_set():
            Views(overlay).get(1, True, Job()).arranged(Lens(Sort.SIZE))

    thread = threading.Thread(target=build)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Trial:
    """One program, and the keys that are timed in it."""

    def __init__(self, app: Watched, screen: Screen, rounds: int) -> None:
        self.app, self.screen, self.rounds = app, screen, rounds
        self.files = screen.files
        self.overlay = screen.analysis.overlay

    async def times(self, keys: Sequence[str], state: Callable[[], object]) -> list[float]:
        """The time of each key until something is another."""
        found = []
        for key in keys:
            before = state()
            found.append(await self.app.timed(key, lambda before=before: state() != before))  # type: ignore[misc]
        return found

    async def moves(self) -> list[float]:
        """Rows, pages, both ends."""
        keys = ("down", "down", "pagedown", "down", "pagedown", "end", "up", "pageup", "home")
        return await self.times(keys * self.rounds, lambda: self.files.cursor)

    async def folds(self) -> list[float]:
        """The largest directory closed and opened."""
        self.files.reveal(self.overlay.find(b"app/node_modules"))
        return await self.times(("left", "right") * self.rounds, lambda: self.files.row_count)

    async def all_folds(self) -> list[float]:
        return await self.times(("-", "*") * self.rounds, lambda: self.files.row_count)

    async def filters(self) -> list[float]:
        """From a letter to its matches, letter by letter."""
        found = []
        for text in ("module-00", "*1.js", "lib1/", "zzz"):
            await self.times("/", lambda: self.screen.focused)
            found += await self.times(text, lambda: self.files.title[-1].partition(":")[0])
            await self.times(["escape"], lambda: self.files.title[-1])
        return found

    async def sorts(self) -> list[float]:
        return await self.times("SSS", lambda: self.files.title)

    async def layers(self) -> tuple[list[float], list[float]]:
        """Back and forth: until the cursor is seen, and until the files are, too."""
        table = self.screen.layers
        table.focus()
        keys = ("down", "up") * self.rounds
        cursor = await self.times(keys, lambda: table.cursor)
        await self.screen.settle()
        tree = await self.times(keys, lambda: self.files.view and self.files.view.layer)
        self.files.focus()
        await self.screen.settle()
        return cursor, tree

    async def reopened(self) -> float:
        """From the key that goes to an image that was read before, until its files are seen."""
        self.screen.images.focus()
        await self.screen.press("down", "enter")
        self.screen.images.focus()
        return (await self.times(["up"], lambda: self.files.view and self.files.view.overlay))[0]


def told(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)], 1),
        "max_ms": round(ordered[-1], 1),
        "keys": len(ordered),
    }


async def measure(files: int, rounds: int, *, flat: bool) -> dict[str, object]:
    """All figures, as they are printed."""
    source = FakeSource({"big:1": [tree(files, flat=flat), few(files)], "small:1": [few(1000)]})
    async with running(source) as (watched, screen):
        await watched.timed("*", lambda: True)
        trial = Trial(watched, screen, rounds)
        found: dict[str, object] = {"files": files, "in one directory": flat}
        for name, times in (("move", trial.moves), ("fold", trial.folds), ("filter", trial.filters)):
            found[name] = told(await times())
            with busy(trial.overlay):
                found[f"{name}, busy"] = told(await times())
        found["fold all"] = told(await trial.all_folds())
        found["sort"] = told(await trial.sorts())
        cursor, shown = await trial.layers()
        found["layer"], found["layer's files"] = told(cursor), told(shown)
        found["reopen"] = told([await trial.reopened()])
    found["peak MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.latency", description="How long a key takes to be seen; prints JSON."
    )
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--flat", action="store_true", help="all files in one directory")
    options = parser.parse_args()
    sys.setswitchinterval(program.SWITCH)  # as the program does
    print(json.dumps(asyncio.run(measure(options.files, options.rounds, flat=options.flat)), indent=2))


if __name__ == "__main__":
    main()
