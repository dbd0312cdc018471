"""Removing several things together: what comes of it, and doing it, one listed id after the other.

Shared layers make the bytes of several removals no sum, so all of them run on the model of the engine
first. The engine's own prune calls take whatever matches at that moment (before API 1.42 the one for
volumes takes named ones, too); here nothing goes but what was listed, and only while it is as it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from imgscope.actions.engine import Engine
from imgscope.actions.inventory import CacheRecord, Container, Inventory, Network, Volume
from imgscope.actions.plan import Done, Event, Plan, Said, command
from imgscope.actions.store import ImageStore
from imgscope.errors import EngineError, NotFoundError
from imgscope.images.model import Image, chain_ids, short_id
from imgscope.job import Job
from imgscope.text import clean, size_text

Kind = Literal["container", "image", "cache", "network", "volume"]
ORDER: tuple[Kind, ...] = ("container", "image", "cache", "network", "volume")  # users before the used
NAMES: Mapping[Kind, tuple[str, str]] = {
    "container": ("container", "containers"),
    "image": ("image", "images"),
    "cache": ("cache record", "cache records"),
    "network": ("network", "networks"),
    "volume": ("volume", "volumes"),
}
_COMMANDS: Mapping[Kind, tuple[str, ...]] = {
    "container": ("docker", "rm"),
    "image": ("docker", "rmi"),
    "network": ("docker", "network", "rm"),
    "volume": ("docker", "volume", "rm"),
}
_BATCH = 100  # records of the build cache in one request
_KEPT = 3  # things that a summary names
_CHANGED = "it changed meanwhile"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to remove. `id` is what the engine calls it (a volume: its name), `name` what a person does.

    `bytes` are those that nothing else holds, None where the engine does not say. `references` are all
    names of an image: they go one by one, an image without any goes by its id. `made` is when a volume
    was made, as the engine words it.
    """

    kind: Kind
    id: str
    name: str
    bytes: int | None = 0
    references: tuple[str, ...] = ()
    made: str = ""

    @property
    def text(self) -> str:
        """The item on one line: its id, its name, its own bytes."""
        short = self.id if self.kind == "volume" else short_id(self.id)
        words = [clean(short)] if self.name in (short, self.id) else [clean(short), clean(self.name)]
        if self.kind != "network":
            own = "own " if self.kind == "image" else ""
            words.append(f"({own}{size_text(self.bytes) if self.bytes is not None else 'size unknown'})")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Stock:
    """What an engine holds, and which containers (ids, stopped ones too) use which network and volume."""

    inventory: Inventory
    networks: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)  # by name
    volumes: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)  # by name

    @classmethod
    def of(cls, engine: Engine, job: Job | None = None) -> Stock:
        """Ask the engine. Raises `EngineError`."""
        inventory = engine.inventory(job)
        return cls(inventory, *_uses(engine))

    @property
    def measured(self) -> bool:
        """Whether the engine tells the bytes of its layers (Podman's API says 0)."""
        return self.inventory.layers_size > 0 or not any(image.size for image in self.inventory.images)

    # -- what there is, as items ------------------------------------------------------------------

    def container(self, container: Container) -> Item:
        return Item("container", container.id, container.name, container.written)

    def images(self, images: Iterable[Image]) -> list[Item]:
        """Items with the bytes of the layers that no other image, and no container of another, has."""
        holders: dict[str, set[str]] = {}
        for image in self.inventory.images:
            for chain in chain_ids(image.diff_ids):
                holders.setdefault(chain, set()).add(image.id)
        for container in self.inventory.containers:
            for chain in container.chains:
                holders.setdefault(chain, set()).add(container.image)
        sizes = self.inventory.layer_sizes()
        return [
            Item(
                "image",
                image.id,
                image.name if image.references or not image.digests else image.digests[0],
                sum(sizes.get(chain, 0) for chain in chain_ids(image.diff_ids) if len(holders[chain]) == 1),
                (*image.references, *image.digests),
            )
            for image in images
        ]

    def record(self, record: CacheRecord) -> Item:
        return Item("cache", record.id, record.description or record.kind, record.size)

    def network(self, network: Network) -> Item:
        return Item("network", network.id, network.name)

    def volume(self, volume: Volume) -> Item:
        return Item("volume", volume.name, volume.name, volume.size, made=volume.created)

    def in_use(self, network_or_volume: Network | Volume) -> bool:
        """Whether any container, running or not, uses it."""
        users = self.networks if isinstance(network_or_volume, Network) else self.volumes
        return bool(network_or_volume.users) or bool(users.get(network_or_volume.name))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What removing some things comes to. `going` in the order in which they must go; `frees` bytes by kind.

    `kept` are those that the engine would not remove, each with the reason. `doubts` are sentences on
    what the engine does not tell, so that the bytes may turn out others.
    """

    stock: Stock
    going: tuple[Item, ...] = ()
    kept: tuple[tuple[Item, str], ...] = ()
    deletes: tuple[str, ...] = ()
    untags: tuple[str, ...] = ()
    frees: Mapping[Kind, int] = field(default_factory=dict, hash=False)
    doubts: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """What all of it frees together."""
        return sum(self.frees.values())

    @property
    def command(self) -> str:
        """The docker commands that remove just this."""
        lines = []
        for kind in ORDER:
            items = [item for item in self.going if item.kind == kind]
            if kind == "cache":
                if len(items) == len(self.stock.inventory.cache) > 0:
                    lines.append("docker builder prune --all --force")
                elif items:
                    word = command(f"id={_pattern(items)}")
                    lines.append(f"docker builder prune --all --force --filter {word}")
            elif items:
                words = [word for item in items for word in (item.references or (item.id,))]
                lines.append(command(*_COMMANDS[kind], *words))
        return " && ".join(lines)

    def plan(self, title: str, lines: Sequence[str], keeps: Sequence[str] = ()) -> Plan:
        """This as a plan under a title."""
        return Plan(
            title=title,
            command=clean(self.command),
            lines=(*lines, *self.doubts),
            frees=self.bytes,
            deletes=self.deletes,
            untags=self.untags,
            keeps=(*keeps, *(f"{clean(item.name)}: {clean(reason)}" for item, reason in self.kept)),
            destructive=True,
        )


def foresee(stock: Stock, items: Iterable[Item]) -> Outlook:
    """What comes of removing all `items`, on the model; nothing is changed."""
    return _Model(stock).run(list(items))


class _Model:
    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.store = ImageStore(stock.inventory)
        self.going: list[Item] = []
        self.kept: list[tuple[Item, str]] = []
        self.deletes: list[str] = []
        self.untags: list[str] = []
        self.gone: set[str] = set()  # ids of containers

    def run(self, items: list[Item]) -> Outlook:
        frees: dict[Kind, int] = {}
        steps = (self._containers, self._images, self._cache, self._networks, self._volumes)
        for kind, step in zip(ORDER, steps, strict=True):
            before = self.store.bytes
            more = step([item for item in items if item.kind == kind])
            frees[kind] = before - self.store.bytes + more
        return Outlook(
            self.stock,
            tuple(self.going),
            tuple(self.kept),
            tuple(self.deletes),
            tuple(self.untags),
            frees,
            tuple(self._doubts()),
        )

    def _doubts(self) -> Iterator[str]:
        if unsized := sum(item.bytes is None for item in self.going):
            yield f"{unsized} of unknown size: what they free comes on top."
        layers = any(item.kind in ("container", "image", "cache") for item in self.going)
        if layers and not self.stock.measured:
            yield "This engine does not count the bytes of its layers; these are its images' sizes."
        lost = {item.id for item in self.stock.inventory.containers if item.unknown}
        if self.gone & lost:
            yield "Layers of removed images go with their last containers: the engine tells no bytes."
        if any(item.kind == "image" for item in self.going) and (left := len(self.store.unplaced())):
            held = "1 record" if left == 1 else f"{left} records"
            yield f"{held} of the build cache may hold some of these layers: it could free less."

    def _go(self, item: Item) -> None:
        self.going.append(item)
        self.deletes.append(item.id)

    def _containers(self, items: list[Item]) -> int:
        running = {item.id for item in self.stock.inventory.containers if item.running}
        written = 0
        for item in items:
            if item.id in running:
                self.kept.append((item, "it is running"))
                continue
            self.store.remove_container(item.id)
            self.gone.add(item.id)
            self._go(item)
            written += item.bytes or 0
        return written

    def _images(self, items: list[Item]) -> int:
        # children before parents: whichever lets go of something may free the next
        waiting = items
        while waiting:
            left = []
            for item in waiting:
                if item.id in self.deletes:  # an untagged parent that went with its last child
                    continue
                if users := self.store.users(item.id):
                    self.kept.append((item, f"container {users[0].name} was made from it"))
                elif self.store.children(item.id):
                    left.append(item)
                else:
                    self._image(item)
            if len(left) == len(waiting):
                self.kept += [(item, "another image was built on it") for item in left]
                break
            waiting = left
        return 0

    def _image(self, item: Item) -> None:
        self.going.append(item)
        for name in item.references or (item.id,):
            if item.id in self.deletes:  # names by digest go with the last tag
                break
            removal = self.store.remove(name)
            self.untags += removal.untagged
            self.deletes += removal.deleted

    def _cache(self, items: list[Item]) -> int:
        # the engine removes a record only when none is left above it
        records = {record.id: record for record in self.stock.inventory.cache}
        asked = {item.id: item for item in items}
        held = Counter(parent for record in records.values() for parent in record.parents)
        ready = [item for item in items if not held[item.id] and not records[item.id].in_use]
        gone = set()
        while ready:
            item = ready.pop()
            gone.add(item.id)
            self._go(item)
            for parent in records[item.id].parents:
                held[parent] -= 1
                if not held[parent] and parent in asked and not records[parent].in_use:
                    ready.append(asked[parent])
        self.store.remove_cache(gone)
        for item in items:
            if item.id not in gone:
                in_use = records[item.id].in_use
                self.kept.append((item, "a build uses it" if in_use else "a later record builds on it"))
        return 0

    def _networks(self, items: list[Item]) -> int:
        for item in items:
            self._unused(item, self.stock.networks)
        return 0

    def _volumes(self, items: list[Item]) -> int:
        return sum(item.bytes or 0 for item in items if self._unused(item, self.stock.volumes))

    def _unused(self, item: Item, users: Mapping[str, frozenset[str]]) -> bool:
        left = users.get(item.name, frozenset()) - self.gone
        if left:
            names = {container.id: container.name for container in self.stock.inventory.containers}
            user = min(left)
            self.kept.append((item, f"container {names.get(user, short_id(user))} uses it"))
            return False
        self._go(item)
        return True


def carry_out(engine: Engine, outlook: Outlook, job: Job) -> Iterator[Event]:
    """Remove what the outlook lists, and nothing else; the last event is `Done`.

    What is no longer as it was listed, and what the engine refuses, is kept and reported. Raises
    `EngineError` where the engine no longer answers, and `CancelledError` between two things.
    """
    yield from _Work(engine, outlook, job).run()


class _Work:
    def __init__(self, engine: Engine, outlook: Outlook, job: Job) -> None:
        self.engine = engine
        self.outlook = outlook
        self.job = job
        self.images = {image.id for image in outlook.stock.inventory.images}
        self.deleted: list[str] = []
        self.untagged: list[str] = []
        self.removed: Counter[Kind] = Counter()
        self.kept: list[str] = []

    def run(self) -> Iterator[Event]:
        before = self.engine.disk_bytes()
        removers = {
            "container": self._container,
            "image": self._image,
            "network": self._network,
            "volume": self._volume,
        }
        for kind in ORDER:
            items = [item for item in self.outlook.going if item.kind == kind]
            if kind == "cache":
                yield from self._cache(items)
                continue
            for item in items:
                self.job.check()
                what = f"{NAMES[kind][0]} {clean(item.name)}"
                try:
                    reason = removers[kind](item)
                except NotFoundError:
                    reason = "it is gone already"
                except EngineError as error:
                    if error.status is None:
                        raise
                    reason = str(error)
                if reason:
                    yield self._keep(what, reason)
                else:
                    self.removed[kind] += 1
                    yield Said(f"Removed {what}.")
        yield self._done(before - self.engine.disk_bytes())

    def _keep(self, what: str, reason: str) -> Said:
        self.kept.append(f"{what} ({clean(reason).rstrip('.')})")
        return Said(f"Kept {self.kept[-1]}.")

    def _container(self, item: Item) -> str:
        with self.engine.errors():
            found = self.engine.client.containers(all=True, size=True, filters={"id": item.id})
            if not found:
                return "it is gone already"
            if found[0].get("State") in ("running", "paused", "restarting"):
                return "it is running now"
            if (found[0].get("SizeRw") or 0) != (item.bytes or 0):
                return "it wrote something meanwhile"
            self.engine.client.remove_container(item.id)
        self.deleted.append(item.id)
        return ""

    def _image(self, item: Item) -> str:
        for number, name in enumerate(item.references or (item.id,)):
            try:
                tags, digests = self._names(item.id)
                # an image that got a name meanwhile would go by its id, name and all
                if not number and not _same_names(item.references, tags, digests):
                    return "its names changed meanwhile"
                if item.references and name not in tags + digests:
                    continue
                with self.engine.errors():
                    answer = self.engine.client.remove_image(name)
            except NotFoundError:
                if not number:
                    raise
                break  # it went with its last tag
            for line in answer:
                if line.get("Untagged"):
                    self.untagged.append(line["Untagged"])
                # the engine names layers (by chain ID) as it names images; Podman leaves out the algorithm
                gone = "sha256:" + str(line.get("Deleted")).removeprefix("sha256:")
                if gone in self.images:
                    self.deleted.append(gone)
        return ""

    def _names(self, image: str) -> tuple[list[str], list[str]]:
        """Tags, and names by digest."""
        with self.engine.errors():
            found = self.engine.client.inspect_image(image)
        names = [found.get(kind) or [] for kind in ("RepoTags", "RepoDigests")]
        tags, digests = ([name for name in few if not name.startswith("<none>")] for few in names)
        return tags, digests

    def _cache(self, items: list[Item]) -> Iterator[Event]:
        gone: set[str] = set()
        reason = "the engine kept it: it is in use now"
        for start in range(0, len(items), _BATCH):
            self.job.check()
            filters = {"id": _pattern(items[start : start + _BATCH])}
            try:
                with self.engine.errors():
                    answer = self.engine.client.prune_builds(filters=filters, all=True)
            except EngineError as error:
                if error.status is None:
                    raise
                reason = str(error)
                continue
            except NotFoundError:
                reason = "this engine cannot prune its build cache"
                break
            gone.update(answer.get("CachesDeleted") or [])
        self.deleted += sorted(gone)
        if gone:
            self.removed["cache"] = len(gone)
            yield Said(f"Removed {_count('cache', len(gone))}.")
        for item in items:
            if item.id not in gone:
                yield self._keep(f"cache record {short_id(item.id)}", reason)

    def _network(self, item: Item) -> str:
        if user := self._user(item, 0):
            return f"container {user} is on it now"
        with self.engine.errors():
            self.engine.client.remove_network(item.id)
        self.deleted.append(item.id)
        return ""

    def _volume(self, item: Item) -> str:
        if user := self._user(item, 1):
            return f"container {user} uses it now"
        with self.engine.errors():
            found = self.engine.client.inspect_volume(item.id)
            if item.made and found.get("CreatedAt") != item.made:
                return _CHANGED
            self.engine.client.remove_volume(item.id)
        self.deleted.append(item.id)
        return ""

    def _user(self, item: Item, which: Literal[0, 1]) -> str:
        users = _uses(self.engine)[which].get(item.name)
        return short_id(min(users)) if users else ""

    def _done(self, freed: int) -> Done:
        counts = [_count(kind, self.removed[kind]) for kind in ORDER if self.removed[kind]]
        promised = self.outlook.bytes
        inventory = self.outlook.stock.inventory
        layers = any(self.removed[kind] for kind in ("container", "image", "cache"))
        known: int | None = freed
        if layers and not self.outlook.stock.measured:
            known = None
            end = f"this engine does not say what that freed ({size_text(promised)} by its own sizes)"
        elif freed == promised:
            end = f"{size_text(freed)} freed, as planned"
        else:
            end = f"{size_text(freed)} freed, {size_text(promised)} planned"
            if inventory.containerd and freed < promised:
                end += "; the containerd store collects contents later"
        text = f"Removed {', '.join(counts) or 'nothing'}; {end}."
        if self.kept:
            more = f" and {len(self.kept) - _KEPT} more" if len(self.kept) > _KEPT else ""
            text += f" Kept {', '.join(self.kept[:_KEPT])}{more}."
        return Done(text, known, tuple(self.deleted), tuple(self.untagged))


def _same_names(listed: Iterable[str], tags: list[str], digests: list[str]) -> bool:
    """Whether an image still has just the names that were listed.

    Names by digest count only where there are no others: with containerd's store the engine makes them
    up from the tags, in lists not even from all of them.
    """
    had = [name for name in listed if "@" not in name]
    return set(had) == set(tags) and (bool(had) or set(listed) == set(digests))


def _count(kind: Kind, count: int) -> str:
    one, many = NAMES[kind]
    return f"{count} {one if count == 1 else many}"


def _pattern(items: Iterable[Item]) -> str:
    """The value of the `id` filter that means just these records.

    The engine hands it on to BuildKit as `id~=VALUE` (moby `builder/builder-next`, toBuildkitPruneInfo):
    a regular expression, quoted as a string of containerd's filters. It takes one value only.
    """
    return json.dumps("^(" + "|".join(item.id for item in items) + ")$")


def _uses(engine: Engine) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Networks and volumes by name, each with the ids of the containers that use it, running or not.

    The engine's list of networks names no containers, and removing a network does not ask for stopped
    ones: they would never start again.
    """
    with engine.errors():
        containers: list[dict[str, Any]] = engine.client.containers(all=True)
    networks: dict[str, set[str]] = {}
    volumes: dict[str, set[str]] = {}
    for item in containers:
        for name in (item.get("NetworkSettings") or {}).get("Networks") or {}:
            networks.setdefault(name, set()).add(item["Id"])
        for mount in item.get("Mounts") or []:
            if mount.get("Type") == "volume":
                volumes.setdefault(mount.get("Name") or "", set()).add(item["Id"])
    return tuple({name: frozenset(ids) for name, ids in uses.items()} for uses in (networks, volumes))  # type: ignore[return-value]
