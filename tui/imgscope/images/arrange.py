"""The forest in another order, and no more of it than is looked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum

from imgscope.images.ancestry import Forest
from imgscope.images.model import Image, short_id
from imgscope.layers.search import Pattern


class Order(Enum):
    """What the images that are drawn under one are sorted by. Each has its value as its name on screen."""

    NAME = "name"  # as the forest has them
    SIZE = "size"  # the largest first
    UNIQUE = "unique"  # most bytes of its own first
    WASTED = "wasted"  # most dead bytes first
    AGE = "age"  # the youngest first


def arranged(forest: Forest, figures: Mapping[str, float | None]) -> Forest:
    """The forest with the highest figures first.

    A tree counts by the highest in it, so that what is looked for comes up with what it stands on. None
    comes last; equals stay in their order.
    """
    best: dict[str, float] = {}
    for node in reversed([node for node, _ in forest.walk()]):
        own = figures.get(node.id)
        best[node.id] = max([float("-inf") if own is None else own, *map(best.__getitem__, node.children)])

    def ordered(identifiers: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(identifiers, key=best.__getitem__, reverse=True))

    nodes = {key: replace(node, children=ordered(node.children)) for key, node in forest.nodes.items()}
    again = Forest(nodes, ordered(forest.roots))
    return Forest({node.id: node for node, _ in again.walk()}, again.roots)


def reduced(forest: Forest, wanted: Collection[str]) -> Forest:
    """The images that are wanted, by their ids, and what they are drawn under."""
    kept: set[str] = set()
    for identifier in wanted:
        while identifier not in kept:
            kept.add(identifier)
            identifier = forest.nodes[identifier].place or identifier
    return Forest(
        {
            key: replace(node, children=tuple(child for child in node.children if child in kept))
            for key, node in forest.nodes.items()
            if key in kept
        },
        tuple(root for root in forest.roots if root in kept),
    )


def found(forest: Forest, pattern: Pattern) -> list[str]:
    """The ids of the images of which a pattern finds a name or the id, in the order of the forest.

    A name is to it what a path is: `ruby` finds it in each part of `registry/ruby:3`, `reg*/ruby` looks
    at what stands before the last slash too. Raises `TimeoutError` for a regular expression that takes
    too long.
    """
    return [node.id for node in forest.nodes.values() if node.image and finds(pattern, node.image)]


def finds(pattern: Pattern, image: Image) -> bool:
    """Whether a pattern finds a name of an image, or its id by its first twelve digits or more."""
    texts = [*image.references, short_id(image.id), image.id.rpartition(":")[2]]
    if pattern.is_regex:
        return 1 in pattern.searched(texts)
    for text in texts:
        folder, slash, name = text.rpartition("/")
        parts = [name] if pattern.folder else text.split("/")
        if 1 in pattern.names([part.encode("utf-8", "surrogateescape") for part in parts]) and (
            not pattern.folder or pattern.is_folder(f"/{folder}{slash}")
        ):
            return True
    return False


def youth(image: Image) -> float | None:
    """When an image was made, in seconds since 1970; None where it says nothing that could be true."""
    try:
        then = datetime.fromisoformat(image.created or "")
        seconds = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds >= 86400 else None  # reproducible builds say 1970
