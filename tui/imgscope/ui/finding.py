"""Looking for paths, in threads: each function posts messages and touches no widget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from imgscope.analysis import Analysis, Indexes
from imgscope.errors import CancelledError, ImgscopeError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.search import Pattern
from imgscope.layers.whereabouts import holders, traces
from imgscope.ui import messages
from imgscope.ui.loader import Post


def find_traces(analysis: Analysis, pattern: Pattern, post: Post, job: Job) -> None:
    """Look for paths in one image."""
    with _ended(post, job):
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

    with _ended(post, job):
        for holder in holders(images, known, pattern, job):
            post(messages.HolderFound(job, holder))
        post(messages.SearchEnded(job, unknown))


@contextmanager
def _ended(post: Post, job: Job) -> Iterator[None]:
    """How a search ends that finds no end."""
    try:
        yield
    except CancelledError:
        pass
    except TimeoutError as error:
        post(messages.SearchEnded(job, error=str(error)))
