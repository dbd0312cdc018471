"""How an engine removes images, as a model: which go, and which layers go with them.

Source of the rules: moby 20.10, `daemon/images/image_delete.go`. Plans run the model on a copy of
what the engine holds, so that what they promise is what the engine will do, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from imgscope.actions.inventory import CacheRecord, Container, Inventory
from imgscope.actions.plan import Blocker
from imgscope.errors import UsageError
from imgscope.images.history import instruction
from imgscope.images.model import Image, chain_ids, short_id
from imgscope.images.reference import Reference, same


@dataclass(slots=True)
class Removal:
    """What removing came to: references, image ids, and what was in the way."""

    untagged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    blocked_by: list[Blocker] = field(default_factory=list)


class ImageStore:
    """Images, containers and build cache of an engine. Its methods change the model, never the engine."""

    def __init__(self, inventory: Inventory) -> None:
        self._images = {image.id: image for image in inventory.images}
        self._references = {image.id: [*image.references, *image.digests] for image in inventory.images}
        self._containers = {item.id: item for item in inventory.containers}
        self._cache = {record.id: record for record in inventory.cache}
        self._sizes = inventory.layer_sizes()
        self._chains = {image.id: chain_ids(image.diff_ids) for image in inventory.images}
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
    def bytes(self) -> int:
        """Bytes of all layers that an image, a container or the build cache holds, and of the cache's own."""
        live: set[str] = set()
        for image_id in self._images:
            live.update(self._chains[image_id])
        for container in self._containers.values():
            live.update(container.chains)
        own = 0
        for record in self._cache.values():
            chains = self._cached.get(record.id)
            if chains:
                live.update(chains)
            elif not record.shared:
                own += record.size
        return own + sum(self._sizes.get(chain, 0) for chain in live)

    # -- changing ---------------------------------------------------------------------------------

    def remove(self, name: str, *, force: bool = False) -> Removal:
        """Remove a reference, or an image by its id, as `docker rmi` does. Raises KeyError: no such image."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        image_id, reference = found
        references = self._references[image_id]
        single = (
            len({_repository(item) for item in references}) <= 1
            and sum("@" not in item for item in references) <= 1
        )
        done = Removal()
        if reference is not None:
            users = self.users(image_id)
            if users and single and not force:
                done.blocked_by = [_blocked_by(user) for user in users]
                return done
            references.remove(reference)
            done.untagged.append(reference)
            if references and all(
                "@" in item and _repository(item) == _repository(reference) for item in references
            ):
                done.untagged += references
                references.clear()
            if references:
                return done
        elif single:
            done.blocked_by = self._conflicts(image_id, force=force, tags=False)
            if done.blocked_by:
                return done
        self._delete(image_id, done, force=force, quiet=reference is not None)
        return done

    def _delete(self, image_id: str, done: Removal, *, force: bool, quiet: bool) -> None:
        """Delete an image and then, quietly, the untagged parents that only it kept."""
        conflicts = self._conflicts(image_id, force=force, tags=True)
        if conflicts:
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
            Blocker(f"image {self._name(child)} was built on it", child, forceable=False)
            for child in self.children(image_id)
        ]
        users = self.users(image_id)
        found += [_blocked_by(user) for user in users if user.running or not force]
        if tags and not force and len(self._references[image_id]) > 0:
            names = self._references[image_id]
            found += [Blocker(f"it has the name {name}", name, forceable=True) for name in names]
        return found

    def _name(self, image_id: str) -> str:
        references = self._references[image_id]
        return references[0] if references else short_id(image_id)

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
    return Blocker(f"container {user.name} {state}", user.id, forceable=not user.running)


def _cached_layers(images: Iterable[Image], cache: Iterable[CacheRecord]) -> dict[str, tuple[str, ...]]:
    """Which layers (chain IDs) each shared record of the build cache holds.

    The engine tells only that a record shares its bytes with some layer. A record's layer is found by
    its size and, for RUN, by the command that made it, going up from the records below it.
    """
    records = {record.id: record for record in cache if record.shared}
    found: dict[str, tuple[str, ...]] = {}
    made: dict[tuple[int, str], list[tuple[str, ...]]] = {}
    for image in images:
        chains = chain_ids(image.diff_ids)
        for number, layer in enumerate(image.layers):
            if layer.history is None or "buildkit" not in layer.history.comment:
                continue
            key = (layer.size or 0, instruction(layer.history))
            made.setdefault(key, []).append(tuple(chains[: number + 1]))
    for record in records.values():
        for (size, step), stacks in made.items():
            command = step.removeprefix("RUN ")
            if size == record.size and (command in record.description or not step.startswith("RUN ")):
                found[record.id] = stacks[0]
    return found
