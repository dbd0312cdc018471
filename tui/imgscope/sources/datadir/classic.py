"""Docker's classic image store: `image/<driver>/` with configs and layer metadata.

Layout (moby, `layer/filestore.go` and `image/fs.go`): `imagedb/content/sha256/<id>` is a config;
`layerdb/sha256/<chain ID>/` has the small files `diff`, `parent`, `size` and `cache-id` and
`tar-split.json.gz`. The driver overlay2 unpacks a layer into `overlay2/<cache-id>/diff`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from imgscope.images.documents import Document, config_document, layer_documents
from imgscope.images.manifest import image_from_config
from imgscope.images.model import Image, chain_ids
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.tarsplit import index_tar_split
from imgscope.sources.datadir.base import (
    DataRoot,
    DoubtError,
    Pieces,
    file_chunks,
    folder_contents,
    read_file,
)

_ID = re.compile("sha256:[0-9a-f]{64}")
_CACHE_ID = re.compile(b"[0-9a-z]{16,64}")  # BuildKit's are no digests

Files = Callable[[str], Iterator[bytes]]  # a name in a layer's metadata folder → the file's bytes


def index_layer(files: Files, image: Image, number: int, job: Job) -> LayerIndex:
    """Index a layer by its metadata folder, where that tells of the layer that the image names.

    `size` is what the layer takes on disk (overlay2: files and the text of symlinks) or the sum of its
    files, by driver and builder. Raises `DoubtError`, `DamagedError` or `OSError`.
    """

    def text(name: str) -> str:
        return b"".join(files(name)).decode()

    below = image.layers[number - 2].blob if number > 1 else None
    if text("diff") != image.layers[number - 1].diff_id or (below and text("parent") != below):
        raise DoubtError
    index = index_tar_split(files("tar-split.json.gz"), job)
    links = sum(len(link) for entry, link in index.links.items() if index.kinds[entry] == Kind.SYMLINK)
    if not index.total <= int(text("size")) <= index.total + links:
        raise DoubtError
    return index


def with_chains(image: Image) -> Image:
    """The image with its chain IDs as its layers' blobs; raises `DoubtError` where a diff ID is none."""
    if not all(_ID.fullmatch(diff_id) for diff_id in image.diff_ids):
        raise DoubtError
    pairs = zip(image.layers, chain_ids(image.diff_ids), strict=True)
    return replace(image, layers=tuple(replace(layer, blob=chain) for layer, chain in pairs))


def cache_name(data: bytes) -> str:
    """What `cache-id` holds: the name of a layer's folder at the driver's; raises `DoubtError`."""
    if not _CACHE_ID.fullmatch(data):
        raise DoubtError
    return data.decode()


class ClassicRoot(DataRoot):
    """The data root of a dockerd. `plain`: its driver keeps the files of a layer in a folder, as they are."""

    def __init__(self, root: str, driver: str, *, native: bool) -> None:
        super().__init__()
        self.root, self.driver = root, driver
        self.plain = driver == "overlay2" and native

    def _find(self, image: Image) -> Image:
        if not _ID.fullmatch(image.id):
            raise DoubtError
        return with_chains(image_from_config(self._config(image), identifier=image.id))

    def _config(self, image: Image) -> bytes:
        return read_file(self.root, f"image/{self.driver}/imagedb/content/{image.id.replace(':', '/')}")

    def _documents(self, image: Image, job: Job) -> Sequence[Document]:
        """The store keeps no manifest. A layer's name there is its chain ID, which tells nobody anything."""
        bare = replace(image, layers=tuple(replace(layer, blob="") for layer in image.layers))
        return [config_document(image, self._config(image)), *layer_documents(bare)]

    def _file(self, image: Image, number: int, name: str) -> Iterator[bytes]:
        chain = image.layers[number - 1].blob.replace(":", "/")
        return file_chunks(self.root, f"image/{self.driver}/layerdb/{chain}/{name}")

    def _index(self, image: Image, number: int, job: Job) -> LayerIndex:
        return index_layer(lambda name: self._file(image, number, name), image, number, job)

    def _contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        if not self.plain:
            raise DoubtError
        cache_id = cache_name(b"".join(self._file(image, number, "cache-id")))
        return folder_contents(f"{self.root}/overlay2/{cache_id}/diff", index, entries, job)
