"""One image, read and understood: the way from a source to an overlay and its waste.

Both the CLI and the TUI go through `analyze`; neither reads layers by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgscope.config import cache_folder, is_cache_off, load
from imgscope.findings.waste import Waste, measure
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex, Problem
from imgscope.layers.overlay import Overlay
from imgscope.sources.base import Source

if TYPE_CHECKING:
    from imgscope.layers.cache import IndexCache

OnLayer = Callable[[int, LayerIndex], None]
Indexes = Callable[[Image, Job], Sequence[LayerIndex] | None]


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that is known of one image once its layers are read."""

    image: Image
    overlay: Overlay
    waste: Waste
    problems: tuple[Problem, ...]

    @property
    def size(self) -> int:
        """The sum of all file bytes in all layers."""
        return self.waste.live + self.waste.dead

    @property
    def sized_image(self) -> Image:
        """The image with the sizes that reading its layers told."""
        layers = (
            replace(layer, size=measured.size)
            for layer, measured in zip(self.image.layers, self.waste.layers, strict=True)
        )
        return replace(self.image, layers=tuple(layers), size=self.size)


def analyze(
    source: Source,
    image: Image,
    job: Job | None = None,
    on_layer: OnLayer | None = None,
    cache: IndexCache | None = None,
) -> Analysis:
    """Read the layers of an image, merge them and measure the waste.

    `on_layer` is told of each layer (number from 1, index) as it is read, in the order that the
    source gives them. What is in `cache` the source is not asked for, if it is one that vouches for its
    diff IDs; what it gives is kept there. Raises what the source raises; damage is in the analysis'
    `problems`.
    """
    job = job or Job()
    if not source.vouches:
        cache = None
    indexes: dict[int, LayerIndex] = {}
    overlay = Overlay()
    asked = False  # whether the source was asked for layers or their contents

    def read() -> Iterator[tuple[int, LayerIndex]]:
        nonlocal asked
        missing = None
        if cache is not None:
            for layer in image.layers:
                job.check()
                if (index := cache.get(layer.diff_id)) is not None:
                    yield layer.index, index
            missing = {layer.index for layer in image.layers} - indexes.keys()
            if not missing:
                return
        asked = True
        for number, index in source.index(image, job, missing):
            yield number, index
            if cache is not None:
                cache.put(image.layers[number - 1].diff_id, index)

    for number, index in read():
        indexes[number] = index
        if on_layer is not None:
            on_layer(number, index)
        while (ready := indexes.get(len(overlay.layers) + 1)) is not None:
            job.check()
            overlay.add(ready)
    image = source.detail(image)
    for number, wanted in overlay.undecided().items():
        index = overlay.layers[number - 1]
        if missing := [entry for entry in wanted if entry not in index.digests]:
            asked = True
            _hash(source, image, number, index, missing, job)
            if cache is not None:
                cache.put(image.layers[number - 1].diff_id, index)
    if cache is not None:
        if asked:
            cache.put_detail(image)
        else:
            image = cache.detailed(image)
    overlay.settle()
    problems = [Problem(message) for message in image.problems]
    for number, index in enumerate(overlay.layers, 1):
        problems += [replace(problem, layer=number) for problem in index.problems]
    problems += overlay.problems
    return Analysis(image, overlay, measure(overlay), tuple(problems))


def cache_for(source: Source, *, off: bool = False) -> IndexCache | None:
    """The person's cache, where a source's layers may be kept there and nothing turned it `off`.

    Raises `UsageError` for settings that are none.
    """
    if not source.vouches or is_cache_off(off):
        return None
    from imgscope.layers.cache import cache_at

    return cache_at(cache_folder(), load().cache_limit)


def known_indexes(source: Source, analyses: Mapping[str, Analysis], *, no_cache: bool = False) -> Indexes:
    """What gives the layers of an image where that moves no image: those read, kept on disk, or cheap.

    `analyses` are those read, by image id. For all others it gives None.
    """

    def indexes(image: Image, job: Job) -> Sequence[LayerIndex] | None:
        analysis = analyses.get(image.id)
        # one id may stand for several platforms
        if analysis is not None and analysis.image.diff_ids == image.diff_ids:
            return analysis.overlay.layers
        if not image.layers:  # an engine tells names first and layers later
            return None if image.size else ()
        if source.cheap:
            found = dict(source.index(image, job))
            return [found[layer.index] for layer in image.layers]
        if (cache := cache_for(source, off=no_cache)) is None:
            return None
        kept = []
        for layer in image.layers:
            job.check()
            if (index := cache.get(layer.diff_id)) is None:
                return None
            kept.append(index)
        return kept

    return indexes


def _hash(source: Source, image: Image, number: int, index: LayerIndex, entries: list[int], job: Job) -> None:
    """Fill in the digests of some files of a layer, reading no more than these where that can be."""
    from imgscope.layers.tar import content_digest

    entries = sorted(entries, key=index.offsets.__getitem__)
    for entry, chunks in source.contents(image, number, index, entries, job):
        index.digests[entry] = content_digest(index.sparse.get(entry), iter(chunks))
