"""Images as each tool writes them: members by name, to be packed into an archive or laid out in a folder.

Only the standard library writes here; nothing of imgscope does.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OCI = "application/vnd.oci.image"
INDEX, MANIFEST, CONFIG, LAYER = (
    f"{OCI}.index.v1+json",
    f"{OCI}.manifest.v1+json",
    f"{OCI}.config.v1+json",
    f"{OCI}.layer.v1.tar",
)


@dataclass(frozen=True, slots=True)
class Link:
    """A symlink in an archive."""

    target: str


Members = dict[str, bytes | Link]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encoded(digest: str) -> str:
    """The hex digits of a digest."""
    return digest.rpartition(":")[2]


def document(value: object) -> bytes:
    return json.dumps(value).encode()


# -- layers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer: its tar, and the bytes that are stored of it. `form` ends its media type: `+gzip`."""

    tar: bytes
    data: bytes
    form: str = ""

    @property
    def diff_id(self) -> str:
        return digest(self.tar)

    @property
    def digest(self) -> str:
        return digest(self.data)


def plain(tar: bytes) -> Blob:
    return Blob(tar, tar)


def gzipped(tar: bytes) -> Blob:
    return Blob(tar, gzip.compress(tar, mtime=0), "+gzip")


def gzipped_in_members(tar: bytes) -> Blob:
    """As `pigz -i` writes, an empty member among them, borders anywhere."""
    pieces = [tar[at : at + 700] for at in range(0, len(tar), 700)]
    return Blob(tar, b"".join(gzip.compress(piece, mtime=0) for piece in [b"", *pieces, b""]), "+gzip")


def zstandard(tar: bytes) -> Blob:
    """In two frames, with one that is to be skipped at the end, as zstd:chunked has it."""
    half = len(tar) // 2
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    return Blob(tar, zstd.compress(tar[:half]) + zstd.compress(tar[half:]) + skippable, "+zstd")


def estargz(tar: bytes) -> Blob:
    """eStargz: a gzip member for each entry, a table of contents as the last, and a footer of 51 bytes."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        entries = archive.getmembers()
    starts = [entry.offset for entry in entries]
    end = entries[-1].offset_data + (entries[-1].size + 511 & ~511)
    parts = [tar[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    data = b"".join(gzip.compress(part, mtime=0) for part in parts)
    contents = document({"version": 1, "entries": [{"name": entry.name} for entry in entries]})
    info = tarfile.TarInfo("stargz.index.json")
    info.size = len(contents)
    table = info.tobuf() + contents.ljust(len(contents) + 511 & ~511, b"\0") + bytes(1024)
    footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0" + b"%016xSTARGZ" % len(data)
    footer += b"\x01\0\0\xff\xff" + bytes(8)
    assert len(footer) == 51
    return Blob(tar[:end] + table, data + gzip.compress(table, mtime=0) + footer, "+gzip")


FORMS = (plain, gzipped, gzipped_in_members, zstandard, estargz)


# -- images -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """An image. `history` None: one step for each layer. `extra` goes over its config."""

    layers: tuple[Blob, ...]
    names: tuple[str, ...] = ("test:latest",)
    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> bytes:
        return document(
            {
                "architecture": self.architecture,
                "os": self.os,
                **({"variant": self.variant} if self.variant else {}),
                "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
                "history": [{"created_by": f"step {number}"} for number in range(1, len(self.layers) + 1)],
                **self.extra,
            }
        )

    @property
    def id(self) -> str:
        return digest(self.config)


def docker_save_old(*images: Made) -> Members:
    """`docker save` up to 24: a folder for each layer, whose id also counts what is below.

    A layer that is there already under another id is a symlink.
    """
    members: Members = {}
    stored: dict[str, str] = {}
    manifest = []
    for image in images:
        names = []
        below = ""
        for layer in image.layers:
            below = encoded(digest(f"{below} {layer.diff_id}".encode()))
            name = f"{below}/layer.tar"
            names.append(name)
            members[f"{below}/VERSION"] = b"1.0"
            members[f"{below}/json"] = document({"id": below})
            if stored.setdefault(layer.diff_id, name) == name:
                members[name] = layer.data
            else:
                members[name] = Link(f"../{stored[layer.diff_id]}")
        config = f"{encoded(image.id)}.json"
        members[config] = image.config
        manifest.append({"Config": config, "RepoTags": list(image.names) or None, "Layers": names})
    members["manifest.json"] = document(manifest)
    members["repositories"] = document({"test": {"latest": "0" * 64}})
    return members


def docker_save_new(*images: Made) -> Members:
    """`docker save` from 25 on: an OCI layout, and manifest.json for those who know only that."""
    layout = Layout()
    top, manifest = [], []
    for image in images:
        described = layout.image(image)
        names = image.names or ("",)
        top += [named(described, name) for name in names] if image.names else [described]
        manifest.append(
            {
                "Config": f"blobs/sha256/{encoded(image.id)}",
                "RepoTags": list(image.names) or None,
                "Layers": [f"blobs/sha256/{encoded(layer.digest)}" for layer in image.layers],
                "LayerSources": {
                    layer.diff_id: {"mediaType": LAYER, "size": len(layer.data), "digest": layer.diff_id}
                    for layer in image.layers
                },
            }
        )
    return {**layout.members(*top), "manifest.json": document(manifest)}


def kaniko(*images: Made) -> Members:
    """kaniko, crane and bazel: go-containerregistry's names."""
    members: Members = {}
    manifest = []
    for image in images:
        names = [f"{encoded(layer.digest)}.tar.gz" for layer in image.layers]
        members[image.id] = image.config
        members |= {name: layer.data for name, layer in zip(names, image.layers, strict=True)}
        manifest.append({"Config": image.id, "RepoTags": list(image.names), "Layers": names})
    members["manifest.json"] = document(manifest)
    return members


def jib(image: Made) -> Members:
    """jib writes its keys in lower case, and one image."""
    names = [f"{encoded(layer.digest)}.tar.gz" for layer in image.layers]
    return {
        **{name: layer.data for name, layer in zip(names, image.layers, strict=True)},
        "config.json": image.config,
        "manifest.json": document(
            [{"config": "config.json", "repoTags": list(image.names), "layers": names}]
        ),
    }


def podman(*images: Made) -> Members:
    """podman and skopeo's docker-archive: flat names, and the old folders as symlinks."""
    members: Members = {}
    manifest = []
    for image in images:
        names = [f"{encoded(layer.diff_id)}.tar" for layer in image.layers]
        for name, layer in zip(names, image.layers, strict=True):
            members[name] = layer.data
            members[f"{encoded(digest(name.encode()))}/layer.tar"] = Link(f"../{name}")
        members[f"{encoded(image.id)}.json"] = image.config
        manifest.append(
            {"Config": f"{encoded(image.id)}.json", "RepoTags": list(image.names), "Layers": names}
        )
    members["manifest.json"] = document(manifest)
    return members


def oci(*images: Made) -> Members:
    """An OCI layout with one manifest for each name of each image."""
    layout = Layout()
    top = []
    for image in images:
        described = layout.image(image)
        top += [named(described, name) for name in image.names] or [described]
    return layout.members(*top)


Descriptor = dict[str, Any]


class Layout:
    """An OCI layout, blob by blob."""

    def __init__(self) -> None:
        self.blobs: Members = {}

    def blob(self, data: bytes, media_type: str, **more: object) -> Descriptor:
        self.blobs[f"blobs/sha256/{encoded(digest(data))}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}

    def image(self, image: Made, *, platform: bool = False) -> Descriptor:
        """The manifest of an image; with its platform, as in an index of several."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(image.config, CONFIG),
            "layers": [self.blob(layer.data, LAYER + layer.form) for layer in image.layers],
        }
        told = {"os": image.os, "architecture": image.architecture}
        if image.variant:
            told["variant"] = image.variant
        return self.blob(document(manifest), MANIFEST, **({"platform": told} if platform else {}))

    def attestation(self, of: Descriptor) -> Descriptor:
        """What BuildKit adds for each platform: provenance, as an image that is none."""
        statement = self.blob(
            document({"_type": "https://in-toto.io/Statement/v0.1"}), "application/vnd.in-toto+json"
        )
        config = self.blob(
            document(
                {"architecture": "unknown", "os": "unknown", "rootfs": {"diff_ids": [statement["digest"]]}}
            ),
            CONFIG,
        )
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement]}
        return self.blob(
            document(manifest),
            MANIFEST,
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={
                "vnd.docker.reference.digest": of["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            },
        )

    def artifact(self) -> Descriptor:
        """What `oras push` and `helm push` write: a manifest whose config is that of no image."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(b"{}", "application/vnd.cncf.helm.config.v1+json"),
            "layers": [self.blob(b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
        }
        return self.blob(document(manifest), MANIFEST)

    def index(self, *manifests: Descriptor) -> Descriptor:
        return self.blob(
            document({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}), INDEX
        )

    def members(self, *top: Descriptor) -> Members:
        return {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            **self.blobs,
            "index.json": document({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(top)}),
        }


def named(described: Descriptor, name: str) -> Descriptor:
    """A descriptor with the annotations that hold a name."""
    tag = name.rpartition("/")[2].partition(":")[2] or name
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
    return {**described, "annotations": {**described.get("annotations", {}), **annotations}}


# -- written ------------------------------------------------------------------------------------------


def pack(members: Members) -> bytes:
    """The members in a tar, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, Link):
                info.type, info.linkname = tarfile.SYMTYPE, data.target
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.zst": zstd.compress,
    "tar.xz": lzma.compress,
}


def write(path: Path, members: Members) -> Path:
    """An archive, compressed as the path's ending says; a folder where it has none."""
    if path.suffix:
        path.write_bytes(PACKINGS[path.name.partition(".")[2]](pack(members)))
        return path
    for name, data in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Link):
            file.symlink_to(data.target)
        else:
            file.write_bytes(data)
    return path
