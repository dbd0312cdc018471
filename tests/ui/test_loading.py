"""Sources that are slow, that fail, and that are cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from textual.message import Message

from imgscope.errors import EngineError, ImgscopeError, NotFoundError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex, Problem
from imgscope.sources import Target
from imgscope.sources.base import Source
from imgscope.sources.demo import DemoSource
from imgscope.ui import loader, messages
from tests.support.stacks import file, folder, whiteout
from tests.ui.driver import FakeSource, Screen, drawn, index, row, rows, screen

Show = Callable[..., AbstractAsyncContextManager[Screen]]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Run the program on a source of the test's own."""

    def run(source: Source, reference: str = "", *, wait: bool = True) -> AbstractAsyncContextManager[Screen]:
        monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
        return screen(reference, (120, 40), wait=wait)

    return run


class Gate:
    """Holds up the reading of layers until the test lets it on; counts those who wait and who ended."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, int]] = []
        self._allowed = threading.Semaphore(0)
        self.jobs: list[Job] = []

    def __call__(self, name: str, number: int, job: Job) -> None:
        self.reached.append((name, number))
        if job not in self.jobs:
            self.jobs.append(job)
        job.total = 4000
        woken = threading.Event()
        with job.on_cancel(woken.set):
            while not self._allowed.acquire(timeout=0.005):
                if woken.is_set():
                    job.check()
        job.advance(1000)

    def let(self, count: int = 1) -> None:
        self._allowed.release(count)


BIG = [index(file("BigFile", 3000), folder("bin")), index(whiteout("BigFile")), index(file("a", 500))]
SMALL = [index(file("etc/hosts", 20))]


# -- slow ---------------------------------------------------------------------------------------------


async def test_nothing_is_read_before_it_is_asked_for(show: Show) -> None:
    gate = Gate()
    async with show(FakeSource({"big:1": BIG, "small:1": SMALL}, step=gate)) as it:
        assert row(it.images, "big:1") == "▸ big:1 ████████ 3.5 kB ? ? – –"
        assert "enter reads the layers of big:1 (3.5 kB)" in str(it)
        assert "known once the layers are read" in str(it)
        assert row(it.layers, " 1 ") == "1 ? ? (no instruction recorded)"
        await it.press("down")
        assert "enter reads the layers of small:1 (20 B)" in str(it)
        assert gate.reached == []


async def test_progress_is_told_and_layers_come_as_they_are_read(show: Show) -> None:
    gate = Gate()
    async with show(FakeSource({"big:1": BIG}, step=gate)) as it:
        await it.pilot.press("enter")
        await it.until("the first layer", lambda: gate.reached)
        assert "esc cancels" in "\n".join(drawn(it.files))
        assert row(it.layers, " 1 ").split()[1] == "?"
        gate.let()
        await it.until("the second layer", lambda: len(gate.reached) == 2)
        assert row(it.layers, " 1 ").startswith("1 █████ 3 kB ?")
        assert "1 kB of 4 kB" in "\n".join(drawn(it.files))
        assert "████            ▏ 1 kB of 4 kB" in "\n".join(drawn(it.files))
        assert row(it.images, "big:1").split()[5] == "?"
        gate.let(2)
        await it.settle()
        assert row(it.images, "big:1").split()[6:8] == ["3", "kB"]
        assert it.wasted.title == ("wasted", "3 kB", "efficiency 14%")
        assert row(it.files, "BigFile") == "+ BigFile ████████ 3 kB dead"


async def test_esc_cancels_and_the_work_ends(show: Show) -> None:
    gate = Gate()
    async with show(FakeSource({"big:1": BIG}, step=gate)) as it:
        await it.pilot.press("enter")
        await it.until("the first layer", lambda: gate.reached)
        await it.press("escape")
        assert it.focused == "layers"
        assert gate.jobs[0].cancelled
        assert gate.reached == [("big:1", 1)]
        assert "cancelled; enter on the image reads it again" in "\n".join(drawn(it.files))
        assert row(it.images, "big:1").split()[5] == "?"
        await it.press("escape")
        assert it.focused == "images"
        gate.let(3)
        await it.press("enter")
        assert it.wasted.row_count == 1


async def test_another_image_cancels_the_first(show: Show) -> None:
    gate = Gate()
    async with show(FakeSource({"big:1": BIG, "small:1": SMALL}, step=gate)) as it:
        await it.pilot.press("enter")
        await it.until("the first layer", lambda: gate.reached)
        it.images.focus()
        await it.pilot.press("down")
        await it.pilot.pause()
        assert it.layers.title[1] == "big:1"  # what is waited for stays on the screen
        await it.pilot.press("enter")
        await it.until("the other image", lambda: ("small:1", 1) in gate.reached)
        first, second = gate.jobs
        assert first.cancelled
        assert not second.cancelled
        gate.let()
        await it.settle()
        assert it.analysis.image.name == "small:1"
        assert it.files.title[1] == "layer 1, changes"
        assert [" ".join(line.split()) for line in rows(it.files)] == [
            "+ ▾ etc/ ████████ 20 B",
            "+ hosts ████████ 20 B",
        ]


async def test_what_would_be_faster_is_said_once_ever(show: Show) -> None:
    class Slow(FakeSource):
        def hint(self, job: Job) -> str:
            return "It goes [b]faster[/b]."

    for expected in (["It goes [b]faster[/b]."], []):  # the second time in a program started anew
        async with show(Slow({"big:1": BIG, "small:1": SMALL})) as it:
            for keys in (("enter",), ("down", "enter")):
                it.images.focus()
                await it.press(*keys)
                await it.settle()
            assert [note.message for note in it.app._notifications] == expected


async def test_late_answers_of_a_cancelled_job_disturb_nothing(show: Show) -> None:
    """A source that does not notice the cancelling goes on to the end."""
    deaf = threading.Event()
    reached = threading.Event()

    class Deaf(FakeSource):
        def index(
            self, image: Image, job: Job, only: Collection[int] | None = None
        ) -> Iterator[tuple[int, LayerIndex]]:
            if image.references[0] == "big:1":
                reached.set()
                assert deaf.wait(20)
                job = Job()
            yield from super().index(image, job, only)

    async with show(Deaf({"big:1": BIG, "small:1": SMALL})) as it:
        await it.pilot.press("enter")
        await it.until("reading", reached.is_set)
        it.images.focus()
        await it.pilot.press("down", "enter")
        await it.until("the other image", lambda: it.main.analysis is not None)
        before = str(it)
        deaf.set()
        await it.settle()
        assert str(it) == before
        assert it.analysis.image.name == "small:1"


async def test_a_tree_that_comes_late_is_not_shown_for_another_image(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = [index(file("a/b", 1), file("c", 2))]
    held: list[Message] = []
    make: Callable[..., None] = loader.make_view

    def late(*args: Any) -> None:
        make(*args[:-2], held.append, args[-1])

    async with show(FakeSource({"one:1": stack, "none:1": [], "other:1": stack})) as it:
        await it.open("none:1")
        await it.open("one:1")
        monkeypatch.setattr(loader, "make_view", late)
        await it.press("v")
        await it.open("none:1")
        assert len(held) == 1
        it.main.post_message(held[0])
        await it.settle()
        assert it.title == ("files",)
        assert it.files.row_count == 0


async def test_a_path_to_show_is_forgotten_with_its_image(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = [index(file("a/b", 1), file("c", 2))]
    make = loader.make_view
    async with show(FakeSource({"one:1": stack, "other:1": stack})) as it:
        await it.open("one:1")
        await it.press("slash", "b", "enter")
        monkeypatch.setattr(loader, "make_view", lambda *args: None)  # it takes too long
        await it.press("escape")
        monkeypatch.setattr(loader, "make_view", make)
        await it.open("other:1")
        assert it.files.cursor == 0
        assert it.files.row_count == 3


async def test_moving_on_a_cheap_source_reads_only_the_last(show: Show) -> None:
    gate = Gate()
    images = {f"image:{number}": SMALL for number in range(5)}
    async with show(FakeSource(images, cheap=True, step=gate), wait=False) as it:
        await it.until("the list", lambda: it.images.row_count == 5)
        await it.pilot.press("down", "down", "down")
        gate.let(100)
        await it.settle()
        assert it.analysis.image.name == "image:3"
        assert it.layers.title[1] == "image:3"


async def test_quitting_does_not_wait_for_a_silent_engine(show: Show) -> None:
    """`app.run_test` waits for what the real program would wait for too."""
    silence = threading.Event()
    try:

        def silent(name: str, number: int, job: Job) -> None:
            silence.wait(60)

        source = FakeSource({"big:1": BIG}, step=silent)
        async with show(source) as it:
            await it.pilot.press("enter")
            await it.pilot.pause()
            await it.pilot.press("q")
            await it.pilot.pause()
        assert source.closed
        assert any(thread.daemon and thread.is_alive() for thread in threading.enumerate()[1:])
    finally:
        silence.set()


async def test_the_source_is_closed_even_where_it_opens_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource({})
    opening, go_on = threading.Event(), threading.Event()

    def slow(target: Target, job: Job | None = None) -> Source:
        opening.set()
        assert go_on.wait(20)
        return source

    monkeypatch.setattr(loader, "open_source", slow)
    async with screen("", wait=False) as it:
        await it.until("opening", opening.is_set)
        assert "looking for images" in str(it)
    go_on.set()
    for thread in threading.enumerate()[1:]:
        thread.join(5)
    assert source.closed


# -- opened before the engine told about the layers ---------------------------------------------------


class Gradual(FakeSource):
    """As engines are: names at once, layers when each image was looked into."""

    def __init__(self) -> None:
        super().__init__({"big:1": BIG})
        self.inspected = threading.Event()

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        whole = self.image("big:1")
        yield [Image(id=whole.id, references=whole.references, size=whole.size, containers=2)]
        assert self.inspected.wait(20)
        yield [whole]


async def test_the_list_shows_at_once_and_layers_when_they_are_known(show: Show) -> None:
    source = Gradual()
    async with show(source, wait=False) as it:
        await it.until("the list", lambda: it.images.row_count)
        assert row(it.images, "big:1") == "▸ big:1 ████████ 3.5 kB ? ? 2 –"
        assert it.layers.title[1:] == ("big:1",)
        assert "not known before it is opened" in "\n".join(drawn(it.layers))
        source.inspected.set()
        await it.settle()
        assert it.layers.title == ("layers", "big:1", "3 layers")
        assert it.layers.row_count == 3


async def test_an_image_can_be_opened_before_its_layers_are_known(show: Show) -> None:
    source = Gradual()
    async with show(source, wait=False) as it:
        await it.until("the list", lambda: it.images.row_count)
        await it.pilot.press("enter")
        await it.until("the image", lambda: it.main.analysis is not None)
        assert len(it.analysis.waste.layers) == 3
        source.inspected.set()
        await it.settle()
        assert it.layers.row_count == 3
        assert it.focused == "layers"


class Refined(FakeSource):
    """Tells a little more of its images a hundred times; notes which ones it was asked for first."""

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        (whole,) = super().images(job)
        self.wanted: list[list[str]] = []
        bare = [replace(image, layers=()) for image in whole]
        for done in range(0, len(whole) + 1, len(whole) // 100):
            self.wanted.append(list(first()))
            yield [*whole[:done], *bare[done:]]


async def test_the_forest_is_not_built_for_every_step(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_REFRESH", 3600)
    built: list[int] = []
    listing = loader._listing

    def note(images: Sequence[Image]) -> messages.ImagesListed:
        built.append(sum(bool(image.layers) for image in images))
        return listing(images)

    monkeypatch.setattr(loader, "_listing", note)
    source = Refined({f"image:{number:04}": SMALL for number in range(1000)})
    async with show(source) as it:
        assert built == [0, 10, 1000]  # the names, what is in view, all
        assert it.images.row_count == 1000
        assert it.layers.row_count == 1


async def test_what_is_in_view_is_asked_for_first(show: Show) -> None:
    source = Refined({f"image:{number:04}": SMALL for number in range(1000)})
    async with show(source) as it:
        await it.press("G")
        await it.press("f5")
        names = {source.image(name).id: name for name in source.indexes}
        first, *others = (names[identifier] for identifier in source.wanted[-1])
        assert first == "image:0999"
        assert set(others) == {f"image:{number:04}" for number in range(1000 - len(set(others)), 1000)}
        assert 3 <= len(set(others)) < 40


# -- failing ------------------------------------------------------------------------------------------


def failing(error: ImgscopeError) -> Callable[[str, int, Job], None]:
    def fail(name: str, number: int, job: Job) -> None:
        if name.startswith("broken"):
            raise error

    return fail


async def test_an_image_that_cannot_be_read_says_why_and_the_others_live(show: Show) -> None:
    error = EngineError("The engine at unix:///s refused: no space left, in [red]words[/].")
    source = FakeSource({"broken:1": BIG, "small:1": SMALL}, step=failing(error))
    async with show(source) as it:
        await it.press("enter")
        text = " ".join(" ".join(drawn(it.files)).split())
        assert str(error) in text
        assert it.wasted.row_count == 0
        await it.press("escape", "down", "enter")
        assert it.analysis.image.name == "small:1"


async def test_an_image_that_cannot_be_read_leaves_its_figures_unknown(show: Show) -> None:
    source = FakeSource(
        {"broken:1": BIG, "small:1": SMALL}, cheap=True, step=failing(EngineError("It is broken."))
    )
    async with show(source) as it:
        assert row(it.images, "broken:1").split()[-3] == "?"
        assert row(it.images, "small:1") == "small:1 ▏ 20 B 20 B 0 B – –"


async def test_a_list_that_fails_says_why(show: Show) -> None:
    class Broken(FakeSource):
        def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
            if not self.listed:
                self.listed = 1
                raise EngineError("The engine at unix:///s closed the connection.")
            yield from super().images(job, first)

    async with show(Broken({"small:1": SMALL})) as it:
        assert it.notice == "The engine at unix:///s closed the connection."
        assert "f5 lists the images anew" in "\n".join(drawn(it.images))
        await it.press("f5")
        assert it.notice == ""
        assert it.images.row_count == 1


async def test_a_source_without_images_says_what_to_do(show: Show) -> None:
    async with show(FakeSource({})) as it:
        assert "no images here yet: pull or build one" in "\n".join(drawn(it.images))
        assert it.head == "imgscope  ·  0 images  ·  0 B  ·  0 B reclaimable  ·  fake · source"
        await it.press("enter", "down", "right", "v", "tab", "enter", "z", "tab", "enter", "z", "tab", "G")
        assert it.app.is_running


async def test_an_image_named_that_is_not_there_is_told_above_the_list(show: Show) -> None:
    async with show(FakeSource({"big:1": BIG, "small:1": SMALL}), "nosuch:1") as it:
        assert it.notice == "There is no image 'nosuch:1' here; it holds big:1, small:1."
        assert it.images.row_count == 2
        assert it.layers.title[1] == "big:1"


async def test_an_image_named_is_opened_and_the_cursor_is_on_it(show: Show) -> None:
    async with show(FakeSource({"big:1": BIG, "small:1": SMALL}), "small:1") as it:
        assert it.images.cursor == 1
        assert it.analysis.image.name == "small:1"
        assert it.focused == "layers"


async def test_without_an_engine_the_demo_opens_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(target: Target, job: Job | None = None) -> Source:
        if target.transport == "demo":
            return DemoSource()
        raise EngineError(
            "No container engine answers at unix:///s (No such file or directory); start Docker or Podman, "
            "set DOCKER_HOST, or look at the demo images with imgscope demo."
        )

    monkeypatch.setattr(loader, "open_source", opened)
    async with screen("") as it:
        assert it.notice == ("No engine answers; demo images shown. Start Docker/Podman, or set DOCKER_HOST.")
        assert it.images.row_count == 10


async def test_a_named_image_without_an_engine_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(target: Target, job: Job | None = None) -> Source:
        raise NotFoundError("There is no file or folder x; check the path.")

    monkeypatch.setattr(loader, "open_source", opened)
    async with screen("small:1", wait=False) as it:
        await it.until("the end", lambda: it.app.failure)
        assert it.app.failure == "There is no file or folder x; check the path."
        assert it.app.return_code == 2


# -- damage -------------------------------------------------------------------------------------------


def damaged(message: str, *members: object) -> LayerIndex:
    found = index(*members)  # type: ignore[arg-type]
    found.problems.append(Problem(message, offset=512))
    return found


async def test_damage_is_shown_above_the_wasted_paths(show: Show) -> None:
    layers = [BIG[0], damaged("the layer ends early", whiteout("BigFile")), damaged("[/] it is gone")]
    async with show(FakeSource({"hurt:1": layers})) as it:
        await it.press("enter")
        assert it.wasted.title[-2:] == ("2 problems", "totals are partial")
        assert [" ".join(line.split()) for line in rows(it.wasted)] == [
            "! layer 2: the layer ends early",
            "! layer 3: [/] it is gone",
            "████████ 3 kB /BigFile stored by 1, removed by 2",
        ]
        it.wasted.focus()
        await it.press("down", "enter")
        assert it.focused == "layers"
        assert it.layers.number == 3
        assert "[/] it is gone" in "\n".join(drawn(it.files))
        it.wasted.focus()
        await it.press("G", "enter")
        assert it.focused == "files"
        assert it.layers.number == 1


async def test_an_image_of_no_layers(show: Show) -> None:
    async with show(FakeSource({"empty:1": []}, cheap=True)) as it:
        assert "this image has no files" in "\n".join(drawn(it.files))
        assert it.wasted.title == ("wasted", "0 B", "efficiency 100%")
        await it.press("enter", "v", "enter", "down", "G", "v")
        assert "this image has no files" in "\n".join(drawn(it.files))


async def test_a_layer_of_no_changes(show: Show) -> None:
    async with show(FakeSource({"odd:1": [SMALL[0], index()]}, cheap=True)) as it:
        await it.layer(2)
        assert "this layer changes no file" in "\n".join(drawn(it.files))
        assert it.files.title == ("files", "layer 2, changes", "0 B")
        await it.press("v")
        assert len(rows(it.files)) == 2
