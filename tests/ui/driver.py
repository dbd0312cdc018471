"""The screen, driven without a terminal: what its panes show as text, and images to show."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from imgscope.analysis import Analysis
from imgscope.errors import NotFoundError
from imgscope.images.documents import Document
from imgscope.images.model import Image, Layer, Platform
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.ui import loader
from imgscope.ui.app import ImgscopeApp
from imgscope.ui.screens.help import HelpScreen
from imgscope.ui.screens.main import MainScreen
from imgscope.ui.widgets.files import FileTree
from imgscope.ui.widgets.images import ImageTree
from imgscope.ui.widgets.layers import LayerTable
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.wasted import WastedPaths
from tests.support import stacks


class Screen:
    """The running program as a test sees it."""

    def __init__(self, app: ImgscopeApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def main(self) -> MainScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    @property
    def images(self) -> ImageTree:
        return self.main.query_one(ImageTree)

    @property
    def layers(self) -> LayerTable:
        return self.main.query_one(LayerTable)

    @property
    def files(self) -> FileTree:
        return self.main.query_one(FileTree)

    @property
    def wasted(self) -> WastedPaths:
        return self.main.query_one(WastedPaths)

    @property
    def panes(self) -> tuple[Lines, ...]:
        return self.images, self.layers, self.files, self.wasted

    @property
    def focused(self) -> str:
        """The pane that has the keys."""
        return (self.main.focused and self.main.focused.id) or ""

    @property
    def zoomed(self) -> str:
        """The pane that is shown alone."""
        return (self.main.maximized and self.main.maximized.id) or ""

    @property
    def at_main(self) -> bool:
        """Whether no screen is over the first one; `is_current` is also true of the one next below."""
        return self.app.screen is self.main

    @property
    def helping(self) -> bool:
        """Whether the help is open."""
        return isinstance(self.app.screen, HelpScreen)

    @property
    def title(self) -> tuple[str, ...]:
        """What the files pane is called."""
        return self.files.title

    @property
    def analysis(self) -> Analysis:
        assert self.main.analysis is not None
        return self.main.analysis

    @property
    def notice(self) -> str:
        notice = self.main.query_one("#notice")
        return str(notice.render()) if notice.display else ""

    @property
    def head(self) -> str:
        return str(self.main.query_one("#head").render())

    @property
    def text(self) -> str:
        """All that is on the screen, line by line."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    async def until(self, what: str, probe: Callable[[], object], seconds: float = 20) -> None:
        """Let the program run until something is so."""
        deadline = time.monotonic() + seconds
        while not probe():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{self}"
            await self.pilot.pause(0.005)
        await self.pilot.pause()

    async def settle(self) -> None:
        """Until no work is left but what waits for the person: a worker's message may start the next."""
        for _ in range(4):
            if workers := [worker for worker in self.app.workers if worker.group != "act"]:
                await self.app.workers.wait_for_complete(workers)
            await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def open(self, name: str) -> None:
        """Put the cursor on an image and open it."""
        for row, line in enumerate(rows(self.images)):
            if name in line:
                self.images.focus()
                self.images.cursor = row
        await self.settle()
        await self.press("enter")

    async def layer(self, number: int) -> None:
        """Put the cursor on a layer."""
        self.layers.go(number)
        await self.settle()
        assert self.layers.number == number

    def __str__(self) -> str:
        return "\n".join(line for pane in self.panes for line in drawn(pane))


@asynccontextmanager
async def screen(
    reference: str = "demo:", size: tuple[int, int] = (120, 40), *, wait: bool = True
) -> AsyncIterator[Screen]:
    """Run the program on a reference; where `wait`, until all is read."""
    app = ImgscopeApp(reference)
    async with app.run_test(size=size) as pilot:
        found = Screen(app, pilot)
        if wait:
            await found.settle()
        yield found
    loader.finish(1)
    gc.unfreeze()  # what an opened image kept from being searched ends with its program


def rows(pane: Lines, width: int = 0) -> list[str]:
    """All rows of a pane as text, the unseen ones too; as wide as the pane, or wider."""
    width = width or max(pane.size.width - 2, 1)
    return ["".join(text for text, _ in pane.row(number, width)) for number in range(pane.row_count)]


def row(pane: Lines, word: str, width: int = 0) -> str:
    """The row that has a word, its blanks evened out."""
    found = [line for line in rows(pane, width) if word in line]
    assert len(found) == 1, f"{word}: {found}"
    return " ".join(found[0].split())


def drawn(pane: Lines) -> list[str]:
    """What the pane has on the screen, line by line."""
    return [pane.render_line(y).text for y in range(pane.size.height)]


def style(pane: Lines, word: str) -> str:
    """The name of the style of the piece of text that has a word."""
    pieces = [piece for number in range(pane.row_count) for piece in pane.row(number, 200)]
    found = [name for text, name in pieces if word in text]
    assert len(found) == 1, f"{word}: {found}"
    return found[0]


# -- images to show -----------------------------------------------------------------------------------


def index(*members: stacks.Member) -> LayerIndex:
    return stacks.layer_index(members)


class FakeSource:
    """Images whose layers come when the test lets them. `steps` run before each layer is given."""

    label = "fake · source"
    origin = "fake:"
    vouches = False

    def __init__(
        self,
        layers: Mapping[str, Sequence[LayerIndex]],
        *,
        cheap: bool = False,
        step: Callable[[str, int, Job], None] = lambda name, number, job: None,
    ) -> None:
        self.cheap = cheap
        self.indexes = dict(layers)
        self.step = step
        self.closed = False
        self.listed = 0

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        self.listed += 1
        yield [self.image(name) for name in self.indexes]

    def image(self, name: str) -> Image:
        count = len(self.indexes[name])
        return Image(
            id=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
            references=(name,),
            layers=tuple(Layer(number, f"sha256:{name}-{number}") for number in range(1, count + 1)),
            size=sum(one.total for one in self.indexes[name]),
            containers=0,
        )

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        for name in self.indexes:
            if reference in (None, name, self.image(name).id):
                return self.image(name)
        raise NotFoundError(f"There is no image {reference!r} here; it holds {', '.join(self.indexes)}.")

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        name = image.references[0]
        for number, found in enumerate(self.indexes[name], 1):
            self.step(name, number, job)
            job.check()
            if only is None or number in only:
                yield number, found

    def detail(self, image: Image) -> Image:
        return image

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        return iter(())

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        return ()

    def hint(self, job: Job) -> str:
        return ""

    def close(self) -> None:
        self.closed = True


def write_layout(folder: Path, images: Sequence[tuple[Any, Mapping[str, Any], Sequence[bytes]]]) -> Path:
    """An OCI layout of images given as (reference, config, layer tars), whatever they claim."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    manifests = []
    for reference, config, tars in images:
        diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
        whole = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            **config,
        }
        manifest = {
            "schemaVersion": 2,
            "config": blob(json.dumps(whole).encode(), "config.v1+json"),
            "layers": [blob(tar, "layer.v1.tar") for tar in tars],
        }
        described = blob(json.dumps(manifest).encode(), "manifest.v1+json")
        described["annotations"] = {"org.opencontainers.image.ref.name": reference}
        manifests.append(described)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
