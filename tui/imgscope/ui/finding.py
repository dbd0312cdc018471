"""Looking for paths, in threads: each function posts messages and touches no widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from imgscope.analysis import Analysis, cache_for
from imgscope.errors import CancelledError, ImgscopeError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.search import Pattern
from imgscope.layers.whereabouts import holders, traces
from imgscope.sources.base import Source
from imgscope.ui import messages
from imgscope.ui.loader import Post

Indexes = Callable[[Image, Job], Sequence[LayerIndex] | None]


def known_indexes(source: Source, analyses: Mapping[str, Analysis]) -> Indexes:
    """What gives the layers of an image where that moves no image: those read, kept on disk, or cheap."""

    def indexes(image: Image, job: Job) -> Sequence[LayerIndex] | None:
        if (analysis := analyses.get(image.id)) is not None:
            return analysis.overlay.layers
        if not image.layers:  # an engine tells names first and layers later
            return None if image.size else ()
        if source.cheap:
            found = dict(source.index(image, job))
            return [found[layer.index] for layer in image.layers]
        if (cache := cache_for(source)) is None:
            return None
        kept = []
        for layer in image.layers:
            job.check()
            if (index := cache.get(layer.diff_id)) is None:
                return None
            kept.append(index)
        return kept

    return indexes


def find_traces(analysis: Analysis, pattern: Pattern, post: Post, job: Job) -> None:
    """Look for paths in one image."""
    with suppress(CancelledError):
        post(messages.TracesFound(job, traces(analysis.overlay, pattern, job)))


def find_holders(images: Sequence[Image], indexes: Indexes, pattern: Pattern, post: Post, job: Job) -> None:
    """Look for paths in many images."""
    unknown = 0

    def known(image: Image) -> Sequence[LayerIndex] | None:
        nonlocal unknown
        found = None
        with suppress(ImgscopeError):  # said where it is opened; here it counts as not known
            found = indexes(image, job)
        unknown += found is None
        return found

    with suppress(CancelledError):
        for holder in holders(images, known, pattern, job):
            post(messages.HolderFound(job, holder))
        post(messages.SearchEnded(job, unknown))
