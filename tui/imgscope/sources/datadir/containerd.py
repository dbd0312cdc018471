"""containerd's content store, as Docker uses it in place of its own: blobs by digest.

Layout (containerd, `docs/content-flow.md`): `io.containerd.content.v1.content/blobs/sha256/<digest>`, the
blobs as a registry has them. It is an OCI layout folder but for its index; an image's id is the digest of
a manifest or of an index of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from imgscope.images.documents import Document, layout_documents
from imgscope.images.manifest import blob_name, read_archive
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.sources.archive import verify
from imgscope.sources.blobs import FolderBlobs
from imgscope.sources.datadir.base import DOUBTS, DataRoot, DoubtError, Pieces

_CONTENT = "io.containerd.content.v1.content"


class ContainerdRoot(DataRoot):
    """The content store of the containerd that dockerd at `root` starts, or of the machine's own."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self._folders = [Path(root, "containerd/daemon", _CONTENT), Path("/var/lib/containerd", _CONTENT)]
        self._blobs: dict[str, FolderBlobs] = {}  # by image

    def _find(self, image: Image) -> Image:
        for folder in self._folders:
            with suppress(*DOUBTS):
                blobs = FolderBlobs(folder)
                found = _find(blobs, image)
                self._blobs[image.id] = blobs
                return found
        raise DoubtError

    def _documents(self, image: Image, job: Job) -> Sequence[Document]:
        blobs = self._blobs[image.id]
        return layout_documents(
            image, _start(image), lambda digest: blobs.read(blob_name(digest) or digest), job
        )

    def _index(self, image: Image, number: int, job: Job) -> LayerIndex:
        """A compressed blob is inflated and hashed, a plain one walked; containerd checked it as it came."""
        layer = image.layers[number - 1]
        ((_, index),) = self._blobs[image.id].layers([layer.blob], job)
        verify(index, layer)
        if index.problems or (index.digest is None and layer.digest != layer.diff_id):
            raise DoubtError
        return index

    def _contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        extents = [index.extent(entry) for entry in entries]
        pieces = self._blobs[image.id].contents(image.layers[number - 1].blob, extents, job)
        return ((entries[position], chunks) for position, chunks in pieces)


def _start(image: Image) -> bytes:
    """What stands for the index.json that an OCI layout has."""
    return json.dumps({"manifests": [{"digest": image.id}]}).encode()


def _find(blobs: FolderBlobs, image: Image) -> Image:
    """The manifest with the image's layers, among those of the index that its id may name."""
    start = _start(image)

    def read(name: str) -> bytes:
        if name == "index.json":
            return start
        data = blobs.read(name)
        if hashlib.sha256(data).hexdigest() != name.rpartition("/")[2]:
            raise DoubtError
        return data

    found = read_archive(frozenset(["index.json"]), read, "the engine's store")
    for candidate in found.images:
        if candidate.diff_ids == image.diff_ids and all(layer.blob for layer in candidate.layers):
            return replace(candidate, id=image.id)
    raise DoubtError
