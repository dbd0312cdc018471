"""What an image was built on, and which of its layers other images have too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imgscope.images.ancestry import Forest, Node
from imgscope.images.model import Image, short_id
from imgscope.images.reference import same

# OCI image specification, `annotations.md`; builders write them as labels, too
_NAME = "org.opencontainers.image.base.name"
_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, slots=True)
class Base:
    """The image that another was built on, by a name to show (untrusted text).

    `layers` and `steps` count the layers and the steps of the history, from the bottom, that are the
    base's: 0 where only a label tells of a base.
    """

    name: str
    layers: int = 0
    steps: int = 0

    @property
    def by_label(self) -> bool:
        """Whether nothing but a label says so, which an image may have from its base's base."""
        return not self.layers


def base_of(image: Image, forest: Forest) -> Base | None:
    """The base of an image: the nearest image it stands on with fewer layers, else what labels say.

    Where several images are as good, it is called by the names of two of them. Labels come last: a
    build hands those of its base on, and then they name the base's own base.
    """
    labels = image.config.get("Labels")
    name, digest = (labels.get(key) if isinstance(labels, dict) else None for key in (_NAME, _DIGEST))
    name = name if isinstance(name, str) else ""
    node = forest.nodes.get(image.id)
    while node is not None:
        above = node.candidates or ((node.place,) if node.place else ())
        found = [item for key in above if _holds(item := forest.nodes[key], image)]
        if found:
            names = sorted(_name(item, name) for item in found)
            return Base(" or ".join(names[:2]), found[0].layers, min(map(_steps, found)))
        node = forest.nodes[node.place] if node.place else None
    if isinstance(digest, str) and digest and not name:
        images = (item.image for item in forest.nodes.values() if item.image)
        known = (item for item in images if digest in (item.manifest_digest, *_digests(item)))
        name = next((item.name for item in known if item.id != image.id), short_id(digest))
    return Base(name) if name else None


def shared_layers(image: Image, images: Iterable[Image]) -> int:
    """How many of an image's layers, from the bottom, some other image stands on too."""
    layers = image.diff_ids
    most = 0
    for other in images:
        if other.id != image.id and len(other.layers) > most and most < len(layers):
            found = other.diff_ids
            while most < min(len(layers), len(found)) and found[: most + 1] == layers[: most + 1]:
                most += 1
    return most


def _holds(node: Node, image: Image) -> bool:
    """Whether a node is an image whose layers are the first of another's, but neither none nor all."""
    count = len(node.diff_ids)
    return (
        node.image is not None and 0 < count < len(image.layers) and image.diff_ids[:count] == node.diff_ids
    )


def _name(node: Node, label: str) -> str:
    """The name of a base: the one that the label knows it by, else its first."""
    assert node.image is not None
    return next((item for item in node.references if label and same(item, label)), node.image.name)


def _steps(node: Node) -> int:
    return len(node.image.history) if node.image else 0


def _digests(image: Image) -> list[str]:
    return [item.rpartition("@")[2] for item in image.digests]
