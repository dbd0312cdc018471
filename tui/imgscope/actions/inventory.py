"""What an engine holds, as data: the ground that plans are made on. Nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgscope.images.model import Image, chain_ids


@dataclass(frozen=True, slots=True)
class Container:
    """A container. `image` is the id of its image, gone or not; `written` what it wrote in bytes."""

    id: str
    name: str
    image: str
    state: str  # created, running, paused, restarting, removing, exited, dead
    status: str = ""  # as the engine words it: Up 2 minutes
    written: int | None = None
    created: float = 0.0
    command: str = ""
    ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    chains: tuple[str, ...] = ()  # chain IDs of the image's layers; of a removed image see `Inventory.lost`
    unknown: bool = False  # whether its image is removed and the engine does not tell which layers it keeps
    image_name: str = ""  # as the container was made with: a reference, or an id

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One record of the build cache. `shared`: its bytes lie in a layer that an image has, too."""

    id: str
    parents: tuple[str, ...]
    kind: str
    description: str
    size: int
    in_use: bool
    shared: bool
    created: str = ""
    used: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume. `size` bytes and `users` containers, None where the engine did not count."""

    name: str
    anonymous: bool
    size: int | None
    users: int | None
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that a person made, and how many containers are on it."""

    id: str
    name: str
    users: int
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of it at one time. `layers_size` is the engine's own count of the bytes of all layers."""

    images: tuple[Image, ...]  # with layers; build steps (untagged parents) too
    containers: tuple[Container, ...] = ()
    cache: tuple[CacheRecord, ...] = ()
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    layers_size: int = 0
    containerd: bool = False  # the containerd image store: contents are collected later
    # layers that only containers of removed images keep, which the engine no longer counts: a name → bytes
    lost: Mapping[str, int] = field(default_factory=dict, hash=False)

    def image(self, identifier: str) -> Image | None:
        return next((image for image in self.images if image.id == identifier), None)

    def layer_sizes(self) -> dict[str, int]:
        """Chain ID → bytes, for every layer whose size the engine tells, and those `lost`."""
        sizes = dict(self.lost)
        for image in self.images:
            for chain, layer in zip(chain_ids(image.diff_ids), image.layers, strict=True):
                if layer.size is not None:
                    sizes[chain] = layer.size
        return sizes
