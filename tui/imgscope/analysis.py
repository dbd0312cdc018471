"""One image, read and understood: the way from a source to an overlay and its waste.

Both the CLI and the TUI go through `analyze`; neither reads layers by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from imgscope.findings.waste import Waste, measure
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex, Problem
from imgscope.layers.overlay import Overlay
from imgscope.layers.tar import content_digest
from imgscope.sources.base import Source

OnLayer = Callable[[int, LayerIndex], None]


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
    source: Source, image: Image, job: Job | None = None, on_layer: OnLayer | None = None
) -> Analysis:
    """Read the layers of an image, merge them and measure the waste.

    `on_layer` is told of each layer (number from 1, index) as it is read, in the order that the
    source gives them. Raises what the source raises; damage is in the analysis' `problems`.
    """
    job = job or Job()
    indexes: dict[int, LayerIndex] = {}
    overlay = Overlay()
    for number, index in source.index(image, job):
        indexes[number] = index
        if on_layer is not None:
            on_layer(number, index)
        while (ready := indexes.get(len(overlay.layers) + 1)) is not None:
            job.check()
            overlay.add(ready)
    image = source.detail(image)
    for number, wanted in overlay.undecided().items():
        _hash(source, image, number, overlay.layers[number - 1], wanted, job)
    overlay.settle()
    problems = [Problem(message) for message in image.problems]
    for number, index in enumerate(overlay.layers, 1):
        problems += [replace(problem, layer=number) for problem in index.problems]
    problems += overlay.problems
    return Analysis(image, overlay, measure(overlay), tuple(problems))


def _hash(source: Source, image: Image, number: int, index: LayerIndex, entries: list[int], job: Job) -> None:
    """Fill in the digests of some files of a layer, reading no more than these where that can be."""
    missing = [entry for entry in entries if entry not in index.digests]
    if not missing:
        return
    missing.sort(key=index.offsets.__getitem__)
    for entry, chunks in source.contents(image, number, index, missing, job):
        index.digests[entry] = content_digest(index.sparse.get(entry), iter(chunks))
