"""What the images of a machine take together: shared layers count once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imgscope.images.model import Image, chain_ids


@dataclass(frozen=True, slots=True)
class Usage:
    """Unpacked bytes. `reclaimable` is what no container's image uses, None where there are no containers."""

    total: int
    reclaimable: int | None


def usage(images: Iterable[Image]) -> Usage | None:
    """The bytes of all layers, each once by its chain ID; None while some size is unknown."""
    sizes: dict[str, int] = {}
    held: set[str] = set()
    counted = True
    for image in images:
        if image.size and not image.layers:  # an engine tells names first
            return None
        counted &= image.containers is not None
        chains = chain_ids(image.diff_ids)
        if image.containers:
            held.update(chains)
        for chain, layer in zip(chains, image.layers, strict=True):
            if layer.size is None:
                return None
            sizes[chain] = layer.size
    free = sum(size for chain, size in sizes.items() if chain not in held)
    return Usage(sum(sizes.values()), free if counted else None)
