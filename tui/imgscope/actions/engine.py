"""The engine that actions ask and change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imgscope.actions.inventory import CacheRecord, Container, Inventory, Network, Volume
from imgscope.images.model import chain_ids
from imgscope.job import Job
from imgscope.sources.engine import EngineSource, engine_errors

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
        *_, images = self.source.images(job or Job())
        chains = {image.id: tuple(chain_ids(image.diff_ids)) for image in images}
        with self.errors():
            containers = self.client.containers(all=True, size=True)
            usage = self.client.df()
            networks = self.client.networks()
        return Inventory(
            images=tuple(images),
            containers=tuple(_container(item, chains) for item in containers),
            cache=tuple(_record(item) for item in usage.get("BuildCache") or []),
            volumes=tuple(_volume(item) for item in usage.get("Volumes") or []),
            networks=tuple(_network(item) for item in networks if item["Name"] not in _BUILTIN_NETWORKS),
            layers_size=usage.get("LayersSize") or 0,
        )

    def disk_bytes(self) -> int:
        """Bytes on the engine's disk that removing things can free, to measure before and after.

        The layers of images and containers, what containers wrote, volumes, and the build cache as far
        as it does not share its bytes with a layer that is counted already.
        """
        with self.errors():
            usage = self.client.df()
        total = int(usage.get("LayersSize") or 0)
        total += sum(item.get("SizeRw") or 0 for item in usage.get("Containers") or [])
        total += sum((item.get("UsageData") or {}).get("Size") or 0 for item in usage.get("Volumes") or [])
        cache = (item["Size"] for item in usage.get("BuildCache") or [] if not item.get("Shared"))
        return int(total + sum(cache))


def _container(item: dict[str, Any], chains: dict[str, tuple[str, ...]]) -> Container:
    ports = []
    for port in item.get("Ports") or []:
        public = f"{port.get('IP', '')}:{port['PublicPort']}->" if port.get("PublicPort") else ""
        ports.append(f"{public}{port.get('PrivatePort')}/{port.get('Type', 'tcp')}")
    names = item.get("Names") or [item["Id"][:12]]
    image = item.get("ImageID") or ""
    return Container(
        id=item["Id"],
        name=names[0].lstrip("/"),
        image=image,
        state=item.get("State") or "",
        status=item.get("Status") or "",
        written=item.get("SizeRw") or 0,
        created=float(item.get("Created") or 0),
        command=item.get("Command") or "",
        ports=tuple(ports),
        labels=item.get("Labels") or {},
        chains=chains.get(image, ()),
    )


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
