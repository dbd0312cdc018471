"""What takes the bytes, as trees of weights: what a map is drawn from.

Every byte of a scope stands at exactly one node, so the weight of the root is that of the whole: of an
image all that its layers store (live + dead, as in `waste`), of a layer all that it stores, of a merged tree
its files, of a machine each layer once.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import chain

from imgscope.images.history import instruction, one_line
from imgscope.images.model import Image, Layer, chain_ids
from imgscope.job import Job
from imgscope.layers.overlay import Overlay
from imgscope.layers.rows import BLOCK
from imgscope.layers.view import dead_versions
from imgscope.text import clean, name_text

_LONG = 1000  # characters of a name that are kept: more than any screen is wide


@dataclass(frozen=True, slots=True)
class Weights:
    """A tree whose nodes are numbers, 0 the root, a parent's lower than its children's.

    `live` and `dead` are bytes at and below each node. `below` has those right below a node that weigh
    anything, the heaviest first. `label` gives the name of a node, safe to show. Of an image's files the
    nodes are those of the overlay; the ones after these (from `paths` on) stand for the bytes of their
    parent itself: a file that a later layer made a directory. Of a machine `places` has for each node the
    image and the number of its layer (0: the image) that it stands for, if it does; `unknown` counts what is
    left out, since nobody knows its size.
    """

    parents: Sequence[int]
    live: array[int]
    dead: array[int]
    below: Mapping[int, Sequence[int]]
    label: Callable[[int], str]
    paths: int
    places: Sequence[tuple[Image, int] | None] = ()
    unknown: int = 0

    def total(self, node: int) -> int:
        """Bytes at and below a node."""
        return self.live[node] + self.dead[node]

    def children(self, node: int) -> Sequence[int]:
        """The nodes right below one that weigh anything, the heaviest first."""
        return self.below.get(node, ())

    def way(self, node: int) -> list[int]:
        """The nodes from the root down to one, both included."""
        nodes = [node]
        while (node := self.parents[node]) >= 0:
            nodes.append(node)
        return nodes[::-1]


def of_image(overlay: Overlay, job: Job) -> Weights:
    """All that the layers of an image store; raises `CancelledError`, as all here do.

    A living file stands under a name that the final tree has, a dead copy under the one it was stored by.
    """
    died = ((overlay.node[version], version) for version in overlay.died)
    return _of_files(overlay, chain(_living(overlay, len(overlay.layers)), died), job)


def of_layer(overlay: Overlay, layer: int, job: Job) -> Weights:
    """All that one layer stores; dead is what the final tree of the image does not have."""
    stored = ((overlay.node[version], version) for version in overlay.versions_stored(layer))
    return _of_files(overlay, stored, job)


def of_merged(overlay: Overlay, layer: int, job: Job) -> Weights:
    """The files that are there once layers 1..layer are stacked; dead is what layers above take away."""
    return _of_files(overlay, _living(overlay, layer), job)


def of_machine(images: Iterable[Image], job: Job) -> Weights:
    """The layers of all images, each once (by its chain ID), as far as sizes are known without reading.

    Below the root stands each image with the layers that no other uses, and one node for all layers that
    several share. Nothing is dead here: that takes reading.
    """
    users: dict[str, list[tuple[Image, Layer]]] = {}
    sizes: dict[str, int] = {}
    unknown = 0
    for image in {image.id: image for image in images}.values():
        job.check()
        unknown += not image.layers and not image.history  # an engine has not told them yet
        for name, layer in zip(chain_ids(image.diff_ids), image.layers, strict=True):
            users.setdefault(name, []).append((image, layer))
            if layer.size is not None:
                sizes[name] = layer.size
    unknown += len(users) - len(sizes)
    labels, parents, live = ["all images"], array("i", (-1,)), array("q", (0,))
    places: list[tuple[Image, int] | None] = [None]

    def add(parent: int, label: str, size: int, place: tuple[Image, int] | None) -> int:
        labels.append(label)
        places.append(place)
        parents.append(parent)
        live.append(size)
        return len(labels) - 1

    shared, homes = -1, dict[str, int]()
    for name, size in sizes.items():
        image, layer = min(users[name], key=lambda user: (len(user[0].layers), user[0].name))
        step = one_line(instruction(layer.history))[:_LONG] if layer.history else ""
        label = f"layer {layer.index}{': ' * bool(step)}{step}"
        if len(users[name]) > 1:
            shared = shared if shared > 0 else add(0, "shared", 0, None)
            label = f"{image.name[:_LONG]} {label} (in {len(users[name])} images)"
            add(shared, clean(label), size, (image, layer.index))
        else:
            if image.id not in homes:
                homes[image.id] = add(0, clean(image.name[:_LONG]), 0, (image, 0))
            add(homes[image.id], clean(label), size, (image, layer.index))
    weights = _summed(parents, live, array("q", bytes(8 * len(live))), labels.__getitem__, job)
    return replace(weights, places=places, unknown=unknown)


def _living(overlay: Overlay, top: int) -> Iterator[tuple[int, int]]:
    """Pairs (node, version): each file of the merge of layers 1..top once, under a name that is there."""
    strays: dict[int, int] = {}  # version → another name, where the one that it was stored by is gone
    for node in range(1, len(overlay)):
        version = overlay.at(node, top)
        content = overlay.content[version] if version >= 0 else -1
        if content < 0:
            continue
        if content == version:
            yield node, content
        elif overlay.at(overlay.node[content], top) != content:
            strays.setdefault(content, node)
    for content, node in strays.items():
        yield node, content


def _of_files(overlay: Overlay, files: Iterable[tuple[int, int]], job: Job) -> Weights:
    """The weights of files given as (node, version)."""
    count, names, died = len(overlay), overlay.names, dead_versions(overlay)
    live, dead = array("q", bytes(8 * count)), array("q", bytes(8 * count))
    for done, (node, version) in enumerate(files):
        if done % BLOCK == 0:
            job.check()
        (dead if died[version] else live)[node] += overlay.file_size(version)

    def label(node: int) -> str:
        if node >= count:
            return "(the file that was here before)"
        name = names[node]
        return name_text(name) if len(name) <= _LONG else name_text(name[:_LONG]) + "…"

    return _summed(overlay.parents[:], live, dead, label, job)


def _summed(
    parents: array[int],
    live: array[int],
    dead: array[int],
    label: Callable[[int], str],
    job: Job,
) -> Weights:
    """The tree of nodes whose own bytes are given."""
    count = len(parents)
    own_live, own_dead = live[:], dead[:]
    for node in range(count - 1, 0, -1):
        if node % BLOCK == 0:
            job.check()
        live[parents[node]] += live[node]
        dead[parents[node]] += dead[node]
    total = [a + b for a, b in zip(live, dead, strict=True)]
    below: dict[int, list[int]] = {}
    for node in range(1, count):
        if total[node]:
            below.setdefault(parents[node], []).append(node)
    for node, children in below.items():
        job.check()
        if own_live[node] + own_dead[node]:
            children.append(len(parents))
            parents.append(node)
            live.append(own_live[node])
            dead.append(own_dead[node])
            total.append(own_live[node] + own_dead[node])
        # long lists in pieces, for other threads wait for a sort however long it takes
        starts = range(0, len(children), BLOCK)
        pieces = [
            sorted(children[start : start + BLOCK], key=total.__getitem__, reverse=True) for start in starts
        ]
        children[:] = merge(*pieces, key=total.__getitem__, reverse=True)
    return Weights(parents, live, dead, below, label, count)
