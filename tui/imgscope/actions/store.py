"""How an engine removes images, as a model: which go, and which layers go with them.

Source of the rules: moby 20.10, `daemon/images/image_delete.go`. Plans run the model on a copy of
what the engine holds, so that what they promise is what the engine will do, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter

from imgscope.actions.inventory import CacheRecord, Container, Inventory
from imgscope.actions.plan import Blocker
from imgscope.errors import UsageError
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Image, Layer, chain_ids, short_id
from imgscope.images.reference import Reference, same

_FRACTION = re.compile(r"(\.\d{6})\d+")  # Go writes nanoseconds, Python reads microseconds


@dataclass(slots=True)
class Removal:
    """What removing came to: references, image ids, and what was in the way.

    Where `blocked_by` is empty the engine does it; else it refuses and changes nothing.
    """

    untagged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    blocked_by: list[Blocker] = field(default_factory=list)
    kept: list[Blocker] = field(default_factory=list)  # why an image without names is still there


class ImageStore:
    """Images, containers and build cache of an engine. Its methods change the model, never the engine."""

    def __init__(self, inventory: Inventory) -> None:
        self._containerd = inventory.containerd
        self._images = {image.id: image for image in inventory.images}
        self._references = {image.id: [*image.references, *image.digests] for image in inventory.images}
        if self._containerd:  # it knows no parents, and makes up names by digest from the tags
            self._images = {key: replace(image, parent=None) for key, image in self._images.items()}
            tags = {image.id: list(image.references or image.digests) for image in inventory.images}
            self._references = tags
        self._containers = {item.id: item for item in inventory.containers}
        self._cache = {record.id: record for record in inventory.cache}
        self._sizes = inventory.layer_sizes()
        self._chains = {image.id: tuple(chain_ids(image.diff_ids)) for image in inventory.images}
        self._cached = _cached_layers(inventory.images, inventory.cache)

    # -- asking -----------------------------------------------------------------------------------

    def find(self, name: str) -> tuple[str, str | None] | None:
        """(image id, reference, or None where `name` is an id); None where no image has that name."""
        for identifier, references in self._references.items():
            for reference in references:
                if same(reference, name):
                    return identifier, reference
        text = name.removeprefix("sha256:")
        if len(text) >= 4 and not set(text) - set("0123456789abcdef"):
            matches = [item for item in self._images if item.removeprefix("sha256:").startswith(text)]
            if len(matches) == 1:
                return matches[0], None
        return None

    def references(self, image_id: str) -> list[str]:
        """All tags and digest references of an image."""
        return list(self._references[image_id])

    def users(self, image_id: str) -> list[Container]:
        """The containers made from an image."""
        return [item for item in self._containers.values() if item.image == image_id]

    def children(self, image_id: str) -> list[str]:
        """The images that name this one as their parent (only the classic builder writes that)."""
        return [image.id for image in self._images.values() if image.parent == image_id]

    @property
    def layers(self) -> dict[str, int]:
        """Chain ID → bytes of all layers that an image, a container or the build cache holds."""
        return {chain: self._sizes.get(chain, 0) for chain in self.holders()}

    @property
    def bytes(self) -> int:
        """Bytes of `layers`, and of the build cache's own contents."""
        records = self._cache.values()
        own = sum(item.size for item in records if not item.shared and item.id not in self._cached)
        return own + sum(self.layers.values())

    def holders(self) -> dict[str, list[str]]:
        """Chain ID → ids of the images, containers and cache records that hold that layer."""
        found: dict[str, list[str]] = {}
        held = [*((item, self._chains[item]) for item in self._images)]
        held += ((item.id, item.chains) for item in self._containers.values())
        held += ((item, self._cached.get(item, ())) for item in self._cache)
        for holder, chains in held:
            for chain in chains:
                found.setdefault(chain, []).append(holder)
        return found

    def unplaced(self) -> list[CacheRecord]:
        """Records of the build cache that share a layer with some image, nobody can tell with which."""
        return [item for item in self._cache.values() if item.shared and item.id not in self._cached]

    # -- changing ---------------------------------------------------------------------------------

    def remove(self, name: str, *, force: bool = False) -> Removal:
        """Remove a reference, or an image by its id, as `docker rmi` does. Raises KeyError: no such image."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        image_id, reference = found
        references = self._references[image_id]
        done = Removal()
        if reference is not None:
            users = self.users(image_id)
            if users and _is_single(references) and not force:
                done.blocked_by = [_blocked_by(user) for user in users]
                return done
            self._untag(reference, references, done)
            if references:
                return done
        elif _is_single(references):
            done.blocked_by = self._conflicts(image_id, force=force, tags=False)
            if done.blocked_by:
                return done
            done.untagged += references
            references.clear()
        self._delete(image_id, done, force=force, quiet=reference is not None)
        return done

    @staticmethod
    def _untag(reference: str, references: list[str], done: Removal) -> None:
        """Take a name away, and with the last tag of a repository the names by digest there."""
        gone = [reference]
        repository = _repository(reference)
        left = [item for item in references if item != reference and _repository(item) == repository]
        if "@" not in reference and all("@" in item for item in left):
            gone += left
        for item in gone:
            references.remove(item)
        done.untagged += gone

    def _delete(self, image_id: str, done: Removal, *, force: bool, quiet: bool) -> None:
        """Delete an image and then, quietly, the untagged parents that only it kept."""
        conflicts = self._conflicts(image_id, force=force, tags=True)
        if self._containerd and quiet and not conflicts:
            # without its names it stays for as long as a container is there
            conflicts = [_blocked_by(user) for user in self.users(image_id)]
        if conflicts:
            done.kept = conflicts
            if not quiet:
                done.blocked_by += conflicts
            return
        while True:
            done.untagged += self._references.pop(image_id)
            parent = self._images.pop(image_id).parent
            done.deleted.append(image_id)
            image_id = parent or ""
            if image_id not in self._images or self._conflicts(image_id, force=False, tags=True):
                return

    def _conflicts(self, image_id: str, *, force: bool, tags: bool) -> list[Blocker]:
        found = [
            Blocker(
                f"image {self._name(child)} was built on it",
                child,
                False,
                "child",
                f"image {self._name(child)}",
            )
            for child in self.children(image_id)
        ]
        users = self.users(image_id)
        found += [_blocked_by(user) for user in users if user.running or not force]
        if tags and not force and len(self._references[image_id]) > 0:
            names = self._references[image_id]
            found += [Blocker(f"it has the name {name}", name, True, "name", name) for name in names]
        return found

    def _name(self, image_id: str) -> str:
        """What to call an image: a build step by the first named image that was built on it."""
        waiting = [image_id]
        for item in waiting:
            if self._references[item]:
                return self._references[item][0]
            waiting += [child for child in self.children(item) if child not in waiting]
        return short_id(image_id)

    def remove_container(self, container_id: str) -> None:
        """Take a container away."""
        del self._containers[container_id]

    def remove_cache(self, records: Iterable[str]) -> None:
        """Take records of the build cache away."""
        for record in records:
            self._cache.pop(record, None)


def _repository(reference: str) -> str:
    try:
        parsed = Reference.parse(reference)
    except UsageError:  # an engine may hold names that today's grammar refuses
        return reference.partition("@")[0].rpartition(":")[0]
    return f"{parsed.domain}/{parsed.path}"


def _blocked_by(user: Container) -> Blocker:
    state = "is running from it" if user.running else f"was made from it ({user.status or user.state})"
    kind = "running" if user.running else "stopped"
    return Blocker(f"container {user.name} {state}", user.id, not user.running, kind, user.name)


def _is_single(references: Iterable[str]) -> bool:
    """Whether all names of an image are in one repository, and one a tag at most (moby's rule)."""
    names = list(references)
    return len({_repository(item) for item in names}) == 1 and sum("@" not in item for item in names) <= 1


# -- what the build cache holds -----------------------------------------------------------------------


def _cached_layers(images: Iterable[Image], cache: Iterable[CacheRecord]) -> dict[str, tuple[str, ...]]:
    """Which layers (chain IDs) each shared record of the build cache holds.

    The engine tells only that a record shares its bytes with some layer of some image. A record and those
    below it are one layer each, so they are laid beside the layers that BuildKit made: the same bytes,
    for RUN the same command, and all below that fit, too; those of a base image fit any. Where several
    stacks fit a step, the one made nearest in time is it; where several fit a base, nobody can tell.
    """
    records = {record.id: record for record in cache if record.shared}
    stacks = {
        tuple(chain_ids(image.diff_ids[:top])): image.layers[:top]
        for image in images
        for top in range(1, len(image.layers) + 1)
    }
    found: dict[str, tuple[str, ...]] = {}
    # the tops first: what a record builds on is told by it better than by itself
    for record in sorted(records.values(), key=lambda record: -len(_line(record, records))):
        line = _line(record, records)
        fits = [
            (_distance(record, layers[-1]), chains)
            for chains, layers in stacks.items()
            if record.id not in found and len(layers) == len(line) and all(map(_fits, line, layers))
        ]
        if fits and (len(fits) == 1 or not _is_base(record)):
            chains = min(fits, key=itemgetter(0))[1]
            for number, below in enumerate(line, 1):
                found.setdefault(below.id, chains[:number])
    return found


def _line(record: CacheRecord, records: Mapping[str, CacheRecord]) -> list[CacheRecord]:
    """A record and what it builds on, lowest first."""
    line = [record]
    while record.parents and (parent := records.get(record.parents[0])) and parent not in line:
        line.append(parent)
        record = parent
    return line[::-1]


def _fits(record: CacheRecord, layer: Layer) -> bool:
    """Whether a record may be a layer."""
    if _is_base(record):
        return True
    if layer.history is None or "buildkit" not in layer.history.comment or layer.size != record.size:
        return False
    step = instruction(layer.history)
    if step.startswith("RUN "):
        return one_line(step.removeprefix("RUN ")) in one_line(record.description)
    return "fileop" in record.description


def _is_base(record: CacheRecord) -> bool:
    """Whether a record is a layer of a base image, and no step of a build."""
    return record.description.startswith(("from local", "pulled from"))


def _distance(record: CacheRecord, layer: Layer) -> float:
    """Seconds between the making of a record and of a layer, as far as both are known."""
    made = layer.history.created if layer.history else None
    try:
        times = [datetime.fromisoformat(_FRACTION.sub(r"\1", text)) for text in (record.created, made or "")]
        return abs((times[0] - times[1]).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone beside one with
        return float("inf")
