"""What an image is: a config, an ordered list of layers, a history, and names that point at it.

Rules and terms: OCI image specification, `config.md` (diff ID, chain ID, history, platform) and
`manifest.md` (descriptors, digests).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgscope.errors import UsageError

_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}


@dataclass(frozen=True, slots=True)
class Platform:
    """os/architecture[/variant], in Go's names (linux/amd64, linux/arm/v7)."""

    os: str
    architecture: str
    variant: str = ""

    def __post_init__(self) -> None:
        # arm64 has one variant in use and it goes unsaid as often as said (containerd does the same)
        if self.architecture == "arm64" and self.variant == "v8":
            object.__setattr__(self, "variant", "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/arm64/v8` → Platform; raises `UsageError` for anything else."""
        parts = text.strip().lower().split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise UsageError(
                f"{text!r} is no platform; write it as os/architecture[/variant], as in linux/arm64."
            )
        return cls(*parts)

    @classmethod
    def host(cls) -> Platform:
        """The platform whose images run here (containers run linux, on any host)."""
        import platform

        machine = platform.machine().lower()
        return cls("linux", *_MACHINES.get(machine, (machine, "")))


@dataclass(frozen=True, slots=True)
class History:
    """One step of how an image was made. `created` is RFC 3339 text, as stored."""

    created: str | None
    created_by: str
    comment: str
    empty_layer: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image, known by its diff ID (digest of the uncompressed tar).

    `digest` and `compressed_size` (bytes) belong to the blob as it is stored, None where it is
    stored unpacked or where the source does not tell. `size` is the sum of the file bytes as far
    as the source tells without reading the layer (bytes), else None. `history` is the step that made it.
    `blob` is the source's own name of the data.
    """

    index: int
    diff_id: str
    digest: str | None = None
    compressed_size: int | None = None
    size: int | None = None
    history: History | None = None
    blob: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """One image as a source lists it. `id` is the digest of its config (or what the engine calls it).

    `size` (bytes, unpacked) is what the source says, None where it says nothing before the layers
    are read. `parent` is the engine's own field, empty for pulled, loaded and BuildKit images.
    `config` is the `config` object of the image's configuration, as parsed from JSON: untrusted.
    `containers` counts the containers made from it, None where the source has no containers.
    """

    id: str
    references: tuple[str, ...] = ()
    platform: Platform = Platform("linux", "amd64")
    created: str | None = None
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parent: str | None = None
    size: int | None = None
    containers: int | None = None
    manifest_digest: str | None = None
    digests: tuple[str, ...] = ()  # names by digest that an engine keeps: repository@sha256:…
    problems: tuple[str, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def name(self) -> str:
        """What to call it on screen: its first reference, else its short id."""
        return self.references[0] if self.references else short_id(self.id)


def short_id(identifier: str) -> str:
    """The first 12 hex digits of a digest, as docker prints it."""
    return identifier.rpartition(":")[2][:12]


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The names of the stacks 1..k, for every k (OCI `config.md`, "Layer ChainID").

    ChainID(1) = diff ID 1; ChainID(n) = sha256("ChainID(n-1) diff ID n").
    """
    chains: list[str] = []
    for diff_id in diff_ids:
        below = chains[-1] if chains else ""
        text = f"{below} {diff_id}"
        chains.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if below else diff_id)
    return chains


def chain_id(diff_ids: Sequence[str]) -> str:
    """The name of a stack of layers; empty for none."""
    return chain_ids(diff_ids)[-1] if diff_ids else ""
