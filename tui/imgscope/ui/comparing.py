"""Comparing two images in a thread: what it tells the screen."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from textual.message import Message

from imgscope.analysis import Analysis, analyze, cache_for
from imgscope.comparison import Comparison, Side, compare
from imgscope.errors import CancelledError, ImgscopeError
from imgscope.findings.compare import FileComparison, Order
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.overlay import State
from imgscope.layers.rows import Tree
from imgscope.layers.search import Pattern, search
from imgscope.sources.base import Source

_FRAME = 1 / 15  # seconds between two messages of progress


@dataclass
class Step(Message):
    """What is being done, and how far: in bytes, `total` None where nobody knows."""

    text: str
    done: int
    total: int | None

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Step)


@dataclass
class Compared(Message):
    """All is known."""

    comparison: Comparison


@dataclass
class Arranged(Message):
    """The files that differ, in the order and of the states that were asked for."""

    job: Job
    tree: Tree


@dataclass
class NotCompared(Message):
    """It cannot be told, in one sentence why."""

    text: str


def compare_images(
    source: Source,
    images: Sequence[Image],
    known: Mapping[str, Analysis],
    post: Callable[[Message], object],
    job: Job,
) -> None:
    """Read those of two images that are not `known` by id, then compare them."""
    try:
        sides = []
        for image in images:
            analysis = known.get(image.id)
            if analysis is None:
                _tell(f"reading the layers of {image.name}", post, job)
                if not image.layers and not source.cheap:  # an engine may not have told the layers yet
                    image = source.find(image.id)
                analysis = analyze(source, image, job, cache=cache_for(source))
            sides.append(Side(source, analysis, cache_for(source)))
        _tell("comparing", post, job)
        comparison = compare(sides[0], sides[1], job)
        gc.freeze()  # it stays: walking it again and again would hold the screen up
        job.check()
        post(Compared(comparison))
    except CancelledError:
        pass
    except ImgscopeError as error:
        if not job.cancelled:
            post(NotCompared(str(error)))


def _tell(text: str, post: Callable[[Message], object], job: Job) -> None:
    """From now on tell of the next step."""
    last = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _FRAME:
            last = now
            post(Step(text, done, total))

    job.done, job.total, job.report = 0, None, report
    post(Step(text, 0, None))


def arrange(
    files: FileComparison,
    order: Order,
    shown: Collection[State],
    pattern: Pattern | None,
    post: Callable[[Message], object],
    job: Job,
) -> None:
    """The tree of what differs, and no more of it than a pattern finds."""
    with suppress(CancelledError):
        tree = files.arranged(order, shown, job)
        if pattern is not None:
            tree = search(files, tree, pattern, job)
        job.check()
        post(Arranged(job, tree))
