"""Removing images by name or by id: docker rmi, foreseen on a model of the engine."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from imgscope.actions.engine import Engine
from imgscope.actions.inventory import Inventory
from imgscope.actions.plan import Blocker, Done, Event, Plan, Said, command
from imgscope.actions.store import ImageStore, Removal
from imgscope.errors import EngineError, NotFoundError, UsageError
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Image, Layer, chain_ids, short_id
from imgscope.job import Job
from imgscope.text import size_text

_NEAR = 3  # names that a sentence proposes
_SHOWN = 100  # characters of an instruction
_PATIENCE = 5.0  # seconds for a store that collects later


@dataclass(frozen=True, slots=True)
class Remove:
    """`names` are references or ids (long or short), one after the other.

    By a reference only that name goes, and the image with its last one; by its id the image goes, where
    it has one name at most. `force` takes all names of an image given by its id, and does not mind
    stopped containers. Raises `NotFoundError` that lists near names.
    """

    engine: Engine
    names: Sequence[str]
    force: bool = False

    def describe(self) -> Plan:
        """Which names, images and layers go, what keeps the others, and what is in the way."""
        inventory = self.engine.inventory()
        return _Outlook.of(inventory, self.names, self.force).plan(self._command)

    def execute(self, job: Job) -> Iterator[Event]:
        """Remove one name after the other; the engine's refusals are told, and raised where nothing went.

        `Done.freed` are the bytes of the layers that the engine says it deleted; with containerd's image
        store, which does not say, the difference on disk.
        """
        inventory = self.engine.inventory(job)
        outlook = _Outlook.of(inventory, self.names, self.force)
        before = self.engine.disk_bytes() if inventory.containerd else 0
        gone = Removal()
        refused: list[EngineError] = []
        for name in outlook.targets:
            job.check()
            try:
                with self.engine.errors():
                    answer = self.engine.client.remove_image(name, force=self.force)
            except NotFoundError:
                if name not in gone.deleted:  # an untagged parent goes with its last child
                    yield Said(f"{name} is gone already.")
                continue
            except EngineError as error:
                if error.status is None:
                    raise
                refused.append(self._refusal(name, error))
                yield Said(str(refused[-1]))
                continue
            for item in answer or []:
                if "Untagged" in item:
                    gone.untagged.append(item["Untagged"])
                    yield Said(f"Untagged {item['Untagged']}.")
                else:
                    gone.deleted.append(item["Deleted"])
        if refused and not (gone.untagged or gone.deleted):
            raise refused[0]
        yield self._done(outlook, gone, before, refused)

    @property
    def _command(self) -> str:
        return command("docker", "rmi", *(["--force"] if self.force else []), *self.names)

    def _refusal(self, name: str, error: EngineError) -> EngineError:
        """The engine's refusal with the way out, as far as the model knows it."""
        store = ImageStore(self.engine.inventory())
        try:
            blockers = store.remove(name, force=self.force).blocked_by
        except KeyError:
            blockers = []
        if error.status != 409 or not blockers:
            return error
        shown = short_id(name) if name.startswith("sha256:") else name
        what = "; ".join(blocker.what for blocker in blockers)
        return EngineError(f"{shown} was not removed: {what}; {way_out(blockers)}.", error.status)

    def _done(self, outlook: _Outlook, gone: Removal, before: int, refused: Sequence[EngineError]) -> Done:
        inventory = outlook.inventory
        images = [item for item in gone.deleted if inventory.image(item)]
        promised = outlook.frees
        freed: int | None = sum(outlook.sizes.get(item, 0) for item in gone.deleted if item not in images)
        if inventory.containerd:
            freed = self._measured(before, promised)
        elif not inventory.layers_size:
            freed = None
        what = [f"untagged {', '.join(gone.untagged)}"] if gone.untagged else []
        if images:
            what.append(f"deleted {_count(len(images), 'image')}")
        if freed is None:
            end = f"this engine does not say what that freed ({size_text(promised)} by its images' sizes)"
        elif freed == promised:
            end = f"{size_text(freed)} freed, as planned"
        else:
            end = f"{size_text(freed)} freed, {size_text(promised)} planned"
            if inventory.containerd:
                end += "; the containerd store collects contents later, and counts them packed, too"
            elif freed < promised and outlook.store.unplaced():
                end += "; the build cache keeps the rest until it is pruned"
        text = f"{'; '.join([*what, end])}."
        kept = "".join(f" {error}" for error in refused)
        return Done(text[0].upper() + text[1:] + kept, freed, tuple(images), tuple(gone.untagged))

    def _measured(self, before: int, promised: int) -> int:
        """Bytes that are gone from the disk, once all are or patience is at its end."""
        deadline = time.monotonic() + _PATIENCE
        while (freed := before - self.engine.disk_bytes()) < promised and time.monotonic() < deadline:
            time.sleep(0.25)
        return freed


def way_out(blockers: Iterable[Blocker]) -> str:
    """What to do about what blocks, as the end of a sentence."""
    ways: dict[str, list[str]] = {}
    for blocker in blockers:
        ways.setdefault(blocker.kind, []).append(blocker.name)
    sentences = {
        "child": "remove {} first",
        "running": "stop and remove container {} first",
        "stopped": "remove container {} first, or force it: the layers then stay until the container goes",
        "name": "remove it by its names {}, or force it: all of them go",
    }
    return "; ".join(sentences[kind].format(" and ".join(names)) for kind, names in ways.items() if kind)


@dataclass(slots=True)
class _Outlook:
    """What removing some names comes to, on the model."""

    inventory: Inventory
    store: ImageStore
    force: bool
    names: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)  # the same as full references and ids
    removals: list[Removal] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # chain ID → bytes, before

    @classmethod
    def of(cls, inventory: Inventory, names: Sequence[str], force: bool) -> _Outlook:
        if not names:
            raise UsageError("Name the images to remove; imgscope tree lists them.")
        store = ImageStore(inventory)
        outlook = cls(inventory, store, force, list(dict.fromkeys(names)), sizes=store.layers)
        # all are looked for before any goes: two names may be one image's
        found = [outlook._find(name) for name in outlook.names]
        for image_id, reference in found:
            outlook.targets.append(reference or image_id)
            try:
                outlook.removals.append(store.remove(reference or image_id, force=force))
            except KeyError:  # it went with one before it
                outlook.removals.append(Removal())
        return outlook

    def _find(self, name: str) -> tuple[str, str | None]:
        found = self.store.find(name)
        if found is not None:
            return found
        there = [reference for image in self.inventory.images for reference in image.references]
        ids = sum(
            short_id(image.id).startswith(name.removeprefix("sha256:")) for image in self.inventory.images
        )
        if ids > 1 and len(name) >= 4:
            raise NotFoundError(f"{ids} images have an id that begins with {name!r}; give more digits of it.")
        if near := difflib.get_close_matches(name, there, _NEAR):
            raise NotFoundError(f"There is no image {name!r}; near it are {', '.join(near)}.")
        raise NotFoundError(f"There is no image {name!r}; imgscope tree lists what is there.")

    @property
    def frees(self) -> int:
        """Bytes of the layers that nothing holds any more."""
        after = self.store.layers
        return sum(size for chain, size in self.sizes.items() if chain not in after)

    @property
    def deleted(self) -> list[str]:
        return [item for removal in self.removals for item in removal.deleted]

    def plan(self, docker: str) -> Plan:
        untagged = [item for removal in self.removals for item in removal.untagged]
        blocked = [item for removal in self.removals for item in removal.blocked_by]
        verb = "Remove" if self.deleted or blocked else "Untag"
        return Plan(
            title=f"{verb} {', '.join(self.names)}",
            command=docker,
            lines=(*self._what(), *self._layers(), *self._caveats()),
            frees=self.frees,
            deletes=tuple(self.deleted),
            untags=tuple(untagged),
            keeps=tuple(self._keeps()),
            blocked_by=tuple(blocked),
            destructive=True,
        )

    def _what(self) -> Iterator[str]:
        """What becomes of each name."""
        for name, target, removal in zip(self.names, self.targets, self.removals, strict=True):
            if removal.blocked_by:
                yield f"{name} stays: {way_out(removal.blocked_by)}"
                continue
            if removal.untagged:
                yield f"untagged: {', '.join(removal.untagged)}"
            for number, image_id in enumerate(removal.deleted):
                step = ", a build step that only it needed" if number else ""
                yield f"deleted: image {short_id(image_id)}{step}"
            if removal.kept:
                why = "; ".join(blocker.what for blocker in removal.kept)
                yield f"the image stays without a name: {why}"
            elif removal.untagged and not removal.deleted:
                found = self.store.find(target) or self._image_of(target)
                left = self.store.references(found[0]) if found else []
                if left:
                    yield f"the image stays as {', '.join(left)}"

    def _image_of(self, reference: str) -> tuple[str, None] | None:
        """The image that had a name before it went."""
        for image in self.inventory.images:
            if reference in (*image.references, *image.digests) and image.id not in self.deleted:
                return image.id, None
        return None

    def _layers(self) -> Iterator[str]:
        """The layers that go, with their bytes."""
        after = self.store.layers
        for chain, (image, layer) in self._of_deleted().items():
            if chain not in after:
                step = one_line(instruction(layer.history)) if layer.history else ""
                shown = step if len(step) <= _SHOWN else step[: _SHOWN - 1] + "…"
                yield f"layer {layer.index} of {image.name} goes: {size_text(layer.size)}  {shown}".rstrip()

    def _keeps(self) -> Iterator[str]:
        """Layers of deleted images that stay, by who holds them."""
        holders = self.store.holders()
        held: dict[str, list[str]] = {}
        for chain in self._of_deleted():
            if chain in holders:
                held.setdefault(self._holder(holders[chain]), []).append(chain)
        for who, chains in held.items():
            size = size_text(sum(self.sizes[chain] for chain in chains))
            yield f"{_count(len(chains), 'layer')} ({size}): {who}"

    def _holder(self, ids: Sequence[str]) -> str:
        """Who keeps a layer: images rather than containers rather than the build cache."""
        images = [image for image in self.inventory.images if image.id in ids]
        named = sorted(image.name for image in images if image.references)
        if users := named or sorted(image.name for image in images):
            more = [f"{len(users) - _NEAR} more"] if len(users) > _NEAR else []
            return f"used by {', '.join(users[:_NEAR] + more)}"
        names = [item.name for item in self.inventory.containers if item.id in ids]
        if names:
            return f"kept by container {', '.join(names)} until it is removed"
        return "kept by the build cache: prune it, too"

    def _of_deleted(self) -> dict[str, tuple[Image, Layer]]:
        """Chain ID → the layer, and an image that goes and has it."""
        found: dict[str, tuple[Image, Layer]] = {}
        for image_id in self.deleted:
            image = self.inventory.image(image_id)
            assert image is not None
            for chain, layer in zip(chain_ids(image.diff_ids), image.layers, strict=True):
                found.setdefault(chain, (image, layer))
        return found

    def _caveats(self) -> Iterator[str]:
        """What the engine does not tell, where it may matter."""
        if not self.frees:
            return
        if self.inventory.containerd:
            yield "the containerd store collects contents later, and packed ones come on top"
            return
        if unplaced := self.store.unplaced():
            records = _count(len(unplaced), "record")
            yield f"{records} of the build cache may keep some of these layers until it is pruned"
        if unknown := [item.name for item in self.inventory.containers if item.unknown]:
            yield (
                f"container {', '.join(unknown)} may keep some of these layers: "
                "the engine does not tell those of a removed image"
            )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
