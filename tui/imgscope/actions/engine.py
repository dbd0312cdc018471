"""The engine that actions ask and change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from imgscope.actions.inventory import CacheRecord, Container, Inventory, Network, Volume
from imgscope.errors import NotFoundError
from imgscope.images.model import Image, chain_ids
from imgscope.job import Job
from imgscope.sources.connection import engine_errors
from imgscope.sources.engine import EngineSource

_BUILTIN_NETWORKS = ("bridge", "host", "none")


class Engine:
    """An engine by its API client. `command` is what the docker CLI is called with in plans."""

    def __init__(self, source: EngineSource) -> None:
        self.source = source
        self.client: Any = source.client  # the SDK's low-level client, typed in parts only
        self.where = source.where
        self.label = source.label

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The SDK's exceptions as `EngineError` (with `status`) and `NotFoundError`, one sentence each."""
        with engine_errors(self.where):
            yield

    def inventory(self, job: Job | None = None) -> Inventory:
        """All that the engine holds, with the bytes that containers wrote. Costs a few ms per image."""
        images = self._images(job or Job())
        with self.errors():
            containers = self.client.containers(all=True, size=True)
            usage = self.client.df()
            networks = self.client.networks()
            info = self.client.info()
        kept = self._kept(images, containers)
        return Inventory(
            images=tuple(images),
            containers=tuple(_container(item, kept.chains.get(item["Id"])) for item in containers),
            cache=tuple(_record(item) for item in usage.get("BuildCache") or []),
            volumes=tuple(_volume(item) for item in usage.get("Volumes") or []),
            networks=tuple(_network(item) for item in networks if item["Name"] not in _BUILTIN_NETWORKS),
            layers_size=usage.get("LayersSize") or 0,
            containerd=_has_containerd_store(info),
            lost=kept.lost,
        )

    def disk_bytes(self) -> int:
        """Bytes on the engine's disk that removing things can free, to measure before and after.

        The layers of images and containers, what containers wrote, volumes, and the build cache as far
        as it does not share its bytes with a layer that is counted already. With containerd's image store
        packed contents are not counted: the engine does not tell them.
        """
        with self.errors():
            usage = self.client.df()
            there = {_digest(item["Id"]) for item in self.client.images(all=True)}
            containerd = _has_containerd_store(self.client.info())
        total = int(usage.get("LayersSize") or 0)
        total += sum((item.get("UsageData") or {}).get("Size") or 0 for item in usage.get("Volumes") or [])
        if containerd:  # its layers are all snapshots, those of containers and of the build cache, too
            return int(total)
        containers = usage.get("Containers") or []
        total += sum(item.get("SizeRw") or 0 for item in containers)
        total += sum(item["Size"] for item in usage.get("BuildCache") or [] if not item.get("Shared"))
        if usage.get("LayersSize") and any(_digest(item.get("ImageID")) not in there for item in containers):
            # the engine counts the layers of images only, and these keep some whose image is gone
            total += sum(self._kept(self._images(Job()), containers).lost.values())
        return int(total)

    def _images(self, job: Job) -> list[Image]:
        """All images with their layers. A source leaves those of build steps out."""
        *_, images = self.source.images(job)
        steps = {image.parent for image in images}
        found = []
        for image in images:
            if image.id in steps and not image.references and not image.layers:
                job.check()
                try:
                    image = replace(self.source.find(image.id), containers=image.containers)
                except NotFoundError:  # removed meanwhile
                    continue
            found.append(image)
        return found

    def _kept(self, images: Sequence[Image], containers: Sequence[dict[str, Any]]) -> _Kept:
        """Which layers each container keeps: those of its image, also where the image is gone.

        A removed image's layers are known by their folders (the overlay drivers name them), those that
        an image still has by their chain IDs; what is left of a container's bytes are the lost ones'.
        """
        chains = {image.id: tuple(chain_ids(image.diff_ids)) for image in images}
        kept = _Kept(
            {item["Id"]: chains[item["ImageID"]] for item in containers if item["ImageID"] in chains}
        )
        orphans = [item for item in containers if item["Id"] not in kept.chains]
        if not orphans:
            return kept
        sizes: dict[str, int] = {}
        names: dict[str, str] = {}
        for image in images:
            sizes.update(
                (chain, layer.size or 0) for chain, layer in zip(chains[image.id], image.layers, strict=True)
            )
            names.update(zip(self._folders("image", image.id), chains[image.id], strict=False))
        stacks = {item["Id"]: self._folders("container", item["Id"])[:-1] for item in orphans}
        for item in sorted(orphans, key=lambda item: len(stacks[item["Id"]])):
            stack = [names.get(folder, folder) for folder in stacks[item["Id"]]]
            if not stack:
                continue
            kept.chains[item["Id"]] = tuple(stack)
            total = (item.get("SizeRootFs") or 0) - (item.get("SizeRw") or 0)
            unseen = [chain for chain in stack if chain not in sizes]
            for chain in unseen:  # one sum is all that is told of them: the topmost stands for it
                kept.lost[chain] = sizes[chain] = 0
            if unseen:
                kept.lost[unseen[-1]] = sizes[unseen[-1]] = max(
                    0, total - sum(sizes[chain] for chain in stack)
                )
        return kept

    def _folders(self, kind: str, identifier: str) -> list[str]:
        """The folders of the layers of an image or container, lowest first; none where no overlay driver."""
        try:
            with self.errors():
                inspect = self.client.inspect_image if kind == "image" else self.client.inspect_container
                data = (inspect(identifier).get("GraphDriver") or {}).get("Data") or {}
        except NotFoundError:
            return []
        lower = [folder for folder in (data.get("LowerDir") or "").split(":") if folder]
        folders = [folder for folder in lower if not folder.endswith("-init/diff")]
        return [*reversed(folders), data["UpperDir"]] if data.get("UpperDir") else []


@dataclass(slots=True)
class _Kept:
    """Container id → the chains of layers it keeps; and those among them that no image has, with bytes."""

    chains: dict[str, tuple[str, ...]]
    lost: dict[str, int] = field(default_factory=dict)


def _has_containerd_store(info: dict[str, Any]) -> bool:
    return any("io.containerd.snapshotter" in str(value) for _, value in info.get("DriverStatus") or [])


def _container(item: dict[str, Any], chains: tuple[str, ...] | None) -> Container:
    ports = []
    for port in item.get("Ports") or []:
        public = f"{port.get('IP', '')}:{port['PublicPort']}->" if port.get("PublicPort") else ""
        ports.append(f"{public}{port.get('PrivatePort')}/{port.get('Type', 'tcp')}")
    names = item.get("Names") or [item["Id"][:12]]
    return Container(
        id=item["Id"],
        name=names[0].lstrip("/"),
        image=_digest(item.get("ImageID")),
        state=item.get("State") or "",
        status=item.get("Status") or "",
        written=item.get("SizeRw") or 0,
        created=float(item.get("Created") or 0),
        command=item.get("Command") or "",
        ports=tuple(ports),
        labels=item.get("Labels") or {},
        chains=chains or (),
        unknown=chains is None,
        image_name=item.get("Image") or "",
    )


def _digest(identifier: str | None) -> str:
    """An image's id with `sha256:`, as Docker writes it everywhere and Podman in some places."""
    return f"sha256:{identifier}" if identifier and ":" not in identifier else identifier or ""


def _record(item: dict[str, Any]) -> CacheRecord:
    parents = item.get("Parents") or ([item["Parent"]] if item.get("Parent") else [])
    return CacheRecord(
        id=item["ID"],
        parents=tuple(parents),
        kind=item.get("Type") or "",
        description=item.get("Description") or "",
        size=item.get("Size") or 0,
        in_use=bool(item.get("InUse")),
        shared=bool(item.get("Shared")),
        created=item.get("CreatedAt") or "",
        used=item.get("LastUsedAt") or "",
    )


def _volume(item: dict[str, Any]) -> Volume:
    usage = item.get("UsageData") or {}
    size, users = usage.get("Size", -1), usage.get("RefCount", -1)
    labels = item.get("Labels") or {}
    name = item["Name"]
    return Volume(
        name=name,
        # engines before API 1.42 tell it by no label: their anonymous names are 64 hex digits
        anonymous="com.docker.volume.anonymous" in labels
        or (len(name) == 64 and not set(name) - set("0123456789abcdef")),
        size=size if size >= 0 else None,
        users=users if users >= 0 else None,
        created=item.get("CreatedAt") or "",
        labels=labels,
    )


def _network(item: dict[str, Any]) -> Network:
    return Network(
        id=item["Id"],
        name=item["Name"],
        users=len(item.get("Containers") or {}),
        created=item.get("Created") or "",
        labels=item.get("Labels") or {},
    )
