"""The long work of the screens, run in threads: each function posts messages and touches no widget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.message import Message

from imgscope.analysis import Analysis, analyze
from imgscope.errors import CancelledError, EngineError, ImgscopeError
from imgscope.images.ancestry import build, unique_bytes
from imgscope.images.model import Image, Platform
from imgscope.images.usage import usage
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.view import LayerView
from imgscope.sources import Target, open_source, parse_target
from imgscope.sources.base import Source
from imgscope.ui import messages

Post = Callable[[Message], object]

_FRAME = 1 / 15  # seconds between two progress messages


def open_target(reference: str, post: Post, job: Job) -> None:
    """Open the source that a reference names; without one the engine, else the demo images."""
    try:
        target = parse_target(reference)
        notice = ""
        try:
            source = open_source(target, job)
        except EngineError as error:
            if reference:
                raise
            source, notice = open_source(Target("demo"), job), f"{error} These are the demo images."
        post(messages.SourceOpened(source, target.name, notice))
    except CancelledError:
        return
    except ImgscopeError as error:
        post(messages.Failed(str(error), fatal=True))


def find_image(source: Source, name: str, platform: Platform | None, post: Post) -> None:
    """Find the image that the command line named."""
    try:
        post(messages.Found(source.find(name, platform)))
    except ImgscopeError as error:
        post(messages.Failed(str(error)))


def list_images(source: Source, post: Post, job: Job) -> None:
    """List the images, better at every step; where it is cheap, read each to know its waste."""
    try:
        images: Sequence[Image] = ()
        for images in source.images(job):
            post(_listing(images, complete=False))
        if source.cheap:
            images = list(images)
            for position, image in enumerate(images):
                analysis = analyze(source, image, job)
                images[position] = analysis.sized_image
                post(messages.Measured(image.id, analysis.waste.dead))
        post(_listing(images, complete=True))
    except CancelledError:
        return
    except ImgscopeError as error:
        post(messages.Failed(str(error)))


def _listing(images: Sequence[Image], *, complete: bool) -> messages.ImagesListed:
    forest = build(images)
    shown = [node.image for node, _ in forest.walk() if node.image is not None]
    return messages.ImagesListed(forest, unique_bytes(images), usage(shown), complete)


def open_image(source: Source, image: Image, post: Post, job: Job) -> None:
    """Read the layers of an image, telling of each one and of the bytes in between."""
    last = 0.0

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _FRAME:
            last = now
            post(messages.Progress(image.id, done, total))

    def layer_read(number: int, index: LayerIndex) -> None:
        post(messages.LayerRead(image.id, number, index))

    job.report = report
    try:
        post(messages.Opened(analyze(source, image, job, layer_read)))
    except CancelledError:
        post(messages.Cancelled(image.id))
    except ImgscopeError as error:
        post(messages.Failed(str(error), image.id))


def make_view(analysis: Analysis, layer: int, merged: bool, post: Post, job: Job) -> None:
    """The tree of one layer."""
    dead = ((copy.node, copy.stored_in) for path in analysis.waste.paths for copy in path.copies)
    view = LayerView(analysis.overlay, layer, merged=merged, dead=dead)
    if not job.cancelled:
        post(messages.ViewReady(analysis.image.id, view))
