"""The long work of the screens, run in threads: each function posts messages and touches no widget."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from textual.message import Message

from imgscope.errors import CancelledError, EngineError, ImgscopeError
from imgscope.images.ancestry import build, unique_bytes
from imgscope.images.model import Image, Platform
from imgscope.images.usage import usage
from imgscope.job import Job
from imgscope.sources import Target, open_source, parse_target
from imgscope.sources.base import Source
from imgscope.ui import messages

if TYPE_CHECKING:
    from imgscope.layers.index import LayerIndex
    from imgscope.layers.view import Lens, Views

Post = Callable[[Message], object]
T = TypeVar("T")

_threads: WeakSet[threading.Thread] = WeakSet()
_RETRY = 3.0  # seconds before an engine that went away is asked again
_CHANGES = {
    *(f"image {action}" for action in ("delete", "import", "load", "pull", "tag", "untag")),
    *(f"container {action}" for action in ("create", "destroy", "die", "start")),
}
_NO_ENGINE = "No engine answers; demo images shown. Start Docker/Podman, or set DOCKER_HOST."
_FRAME = 1 / 15  # seconds between two progress messages
_REFRESH = 0.3  # seconds between two lists


async def in_thread(work: Callable[[], T]) -> T:
    """Do the work in a thread that the end of the program does not wait for: an engine may be silent."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not done.done():
            give()

    def run() -> None:
        try:
            give = partial(done.set_result, work())
        except BaseException as error:
            give = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, give)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    _threads.add(thread)
    thread.start()
    return await done


def is_busy() -> bool:
    """Whether a thread is at work."""
    return any(thread.is_alive() for thread in list(_threads))


def finish(seconds: float) -> None:
    """Give the work that is under way some time to end in order: all of it was cancelled."""
    deadline = time.monotonic() + seconds
    for thread in list(_threads):
        thread.join(max(deadline - time.monotonic(), 0))


@contextmanager
def _told(post: Post, job: Job, *, opening: bool = False, fatal: bool = False) -> Iterator[None]:
    """How work ends that does not succeed."""
    try:
        yield
    except (CancelledError, ImgscopeError) as error:
        if not job.cancelled and isinstance(error, ImgscopeError):
            post(messages.Failed(str(error), job if opening else None, fatal))
        elif opening:
            post(messages.Cancelled(job))


def open_target(reference: str, post: Post, job: Job, opened: Callable[[], Source] | None = None) -> None:
    """Open the source that a reference names; without one the engine, else the demo images.

    `opened` gives the source where somebody opened it already.
    """
    with _told(post, job, fatal=True):
        target = parse_target(reference)
        notice = ""
        try:
            source = opened() if opened else open_source(target, job)
        except EngineError as error:
            if reference:
                raise
            source = open_source(Target("demo"), job)
            # one line, also on a small terminal; the advice to look at the demo images is followed already
            silent = "start Docker or Podman" in str(error)
            notice = _NO_ENGINE if silent else f"Demo images. {error}"
        if job.cancelled:
            source.close()
        else:
            post(messages.SourceOpened(source, target.name, notice))


def watch(source: Source, post: Post, job: Job) -> None:
    """Tell of what changes in an engine, until cancelled; an engine that went away is asked again."""
    from imgscope.sources.engine import EngineSource

    if not isinstance(source, EngineSource):
        return
    with suppress(CancelledError):
        while True:
            with suppress(ImgscopeError):
                for event in source.events(job):
                    if event in _CHANGES:
                        post(messages.EngineChanged())
            job.wait(_RETRY)
            post(messages.EngineChanged())


def find_image(source: Source, name: str, platform: Platform | None, post: Post, job: Job) -> None:
    """Find the image that the command line named."""
    with _told(post, job):
        post(messages.Found(source.find(name, platform)))


def list_images(source: Source, post: Post, job: Job, first: Callable[[], Iterable[str]] = tuple) -> None:
    """List the images, better at every step, those first whose ids `first` gives.

    Where it is cheap, each is read to know its waste.
    """
    with _told(post, job):
        images: Sequence[Image] = ()
        posted: Sequence[Image] | None = None
        due = 0.0
        for images in source.images(job, first):
            if (now := time.monotonic()) >= due:
                # the names at once, then what is known of those in view; the forest of all costs some time
                due = now + _REFRESH if posted is not None else 0
                post(_listing(images))
                posted = images
        if posted is not images:
            post(_listing(images))
        if source.cheap:
            _measure(source, list(images), post, job)


def _measure(source: Source, images: list[Image], post: Post, job: Job) -> None:
    from imgscope.analysis import analyze, cache_for

    shown = time.monotonic()
    for position, image in enumerate(images):
        with suppress(ImgscopeError):  # said when it is opened; until then its figures are not known
            analysis = analyze(source, image, job, cache=cache_for(source))
            images[position] = analysis.sized_image
            post(messages.Measured(image.id, analysis.waste.dead))
        if (now := time.monotonic()) - shown >= _REFRESH:
            shown = now
            post(_listing(images))
    post(_listing(images))


def _listing(images: Sequence[Image]) -> messages.ImagesListed:
    forest = build(images)
    shown = [node.image for node, _ in forest.walk() if node.image is not None]
    return messages.ImagesListed(forest, unique_bytes(images), usage(shown))


def open_image(source: Source, image: Image, post: Post, job: Job) -> None:
    """Read the layers of an image, telling of each one and of the bytes in between."""
    from imgscope.analysis import analyze, cache_for
    from imgscope.config import first_time

    last = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _FRAME:
            last = now
            post(messages.Progress(job, done, total))

    def layer_read(number: int, index: LayerIndex) -> None:
        post(messages.LayerRead(job, number, index))

    job.report = report
    with _told(post, job, opening=True):
        if not image.layers and not source.cheap:  # an engine may not have told the layers yet
            image = source.find(image.id)
        analysis = analyze(source, image, job, layer_read, cache_for(source))
        gc.freeze()  # it stays: walking it again and again would hold the screen up
        post(messages.Cancelled(job) if job.cancelled else messages.Opened(job, analysis))
        if (text := source.hint(job)) and first_time("hint-engine-internals"):
            post(messages.Hint(text))


def make_view(views: Views, layer: int, merged: bool, lens: Lens, post: Post, job: Job) -> None:
    """The tree of one layer, as a lens shows it."""
    with suppress(CancelledError):
        view = views.get(layer, merged, job)
        tree = view.arranged(lens, job)
        job.check()
        post(messages.ViewReady(job, view, tree))
