"""Podman's store (containers/storage), as root or of the person: `<driver>-images` and `<driver>-layers`.

Layout (containers/storage, `images.go` and `layers.go`): `<driver>-images/images.json` names each image's
topmost layer; `<driver>-images/<id>/manifest` is its manifest, `=<base64 of the config's digest>` there its
config; `<driver>-layers/layers.json` has the layers, each with its parent, diff ID and the size of its
tar; `<driver>-layers/<id>.tar-split.gz` is the metadata. The driver overlay unpacks into `overlay/<id>/diff`.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from imgscope.errors import NotFoundError
from imgscope.images.documents import Document, layout_documents
from imgscope.images.manifest import image_from_config
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.tarsplit import index_tar_split
from imgscope.sources.datadir.base import (
    DataRoot,
    DoubtError,
    Pieces,
    file_chunks,
    folder_contents,
    read_file,
)

_ID = re.compile("[0-9a-f]{64}")


class _Image(msgspec.Struct):
    id: str
    layer: str = ""


class _Layer(msgspec.Struct, rename="kebab"):
    id: str
    parent: str = ""
    diff_digest: str = ""
    diff_size: int = -1


class PodmanRoot(DataRoot):
    """The graph root of a Podman."""

    def __init__(self, root: str, driver: str) -> None:
        super().__init__()
        self._root, self._driver = root, driver

    def _read(self, folder: str, name: str) -> bytes:
        return read_file(self._root, f"{self._driver}-{folder}/{name}")

    def _layers(self) -> dict[str, _Layer]:
        records = msgspec.json.decode(self._read("layers", "layers.json"), type=list[_Layer])
        return {record.id: record for record in records}

    def _find(self, image: Image) -> Image:
        identifier = image.id.removeprefix("sha256:")
        images = msgspec.json.decode(self._read("images", "images.json"), type=list[_Image])
        top = next((item.layer for item in images if item.id == identifier), "")
        if not _ID.fullmatch(identifier) or not top:
            raise DoubtError
        found = image_from_config(self._config(image), identifier=image.id)
        layers, names = self._layers(), []
        for layer in reversed(found.layers):
            record = layers.get(top)
            if record is None or record.diff_digest != layer.diff_id or not _ID.fullmatch(top):
                raise DoubtError
            names.append(top)
            top = record.parent
        if top:
            raise DoubtError
        pairs = zip(found.layers, reversed(names), strict=True)
        return replace(found, layers=tuple(replace(layer, blob=name) for layer, name in pairs))

    def _config(self, image: Image) -> bytes:
        name = b64encode(image.id.encode()).decode()
        return self._read("images", f"{image.id.removeprefix('sha256:')}/={name}")

    def _documents(self, image: Image, job: Job) -> Sequence[Document]:
        manifest = self._read("images", f"{image.id.removeprefix('sha256:')}/manifest")
        digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
        image = replace(image, manifest_digest=digest)
        start = json.dumps({"manifests": [{"digest": digest, "size": len(manifest)}]}).encode()

        def read(wanted: str) -> bytes:
            if wanted not in (digest, image.id):
                raise NotFoundError(f"There is no {wanted} in the store.")
            return manifest if wanted == digest else self._config(image)

        return layout_documents(image, start, read, job)

    def _index(self, image: Image, number: int, job: Job) -> LayerIndex:
        layer = image.layers[number - 1]
        record = self._layers().get(layer.blob)  # it may be gone since the image was found
        if record is None or record.diff_digest != layer.diff_id:
            raise DoubtError
        chunks = file_chunks(self._root, f"{self._driver}-layers/{layer.blob}.tar-split.gz")
        return index_tar_split(chunks, job, length=record.diff_size)

    def _contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        if self._driver != "overlay":
            raise DoubtError
        name = image.layers[number - 1].blob
        return folder_contents(f"{self._root}/overlay/{name}/diff", index, entries, job)
