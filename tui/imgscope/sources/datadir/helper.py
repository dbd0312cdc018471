"""A dockerd's own metadata where its data root cannot be read: through a container with it inside.

The container is made from the image that is asked for, has the folders as read-only mounts and no network,
is never started, and is removed as soon as files were copied out of it, whatever happens. Only for who
asked for it (`engine-internals` in the settings): it changes the engine for a moment, and shows what else
only root can read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import quote

from imgscope.errors import ImgscopeError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.layers.stream import StreamTape
from imgscope.layers.tar import walk_tar
from imgscope.sources.connection import Connection, engine_errors
from imgscope.sources.datadir.base import DOCUMENT_LIMIT, DOUBTS, DataRoot, DoubtError, Pieces, check_file
from imgscope.sources.datadir.classic import ClassicRoot, cache_name, index_layer, with_chains

LABEL = "imgscope.layer-metadata"
_LAYERDB, _LAYERS = "/imgscope-layerdb", "/imgscope-layers"
_CHUNK = 1 << 18
_MOST = 50  # contents asked for one by one, some 20 ms each; of more, the stream is as quick


class HelperRoot:
    """The layers of a dockerd with its classic store, wherever it runs."""

    def __init__(self, connection: Connection, root: ClassicRoot) -> None:
        self._connection, self._root = connection, root

    def detail(self, image: Image) -> Image | None:
        """The image as it is: the metadata of layers is not that of images."""
        return image

    def indexes(self, image: Image, numbers: Iterable[int], job: Job) -> Generator[tuple[int, LayerIndex]]:
        """See `LayerStore.indexes`. One container serves all layers of a call."""
        with suppress(*DOUBTS), self._layers(image, job) as layers:
            yield from layers.indexes(image, numbers, job)

    def contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        """See `LayerStore.contents`. Many files are left to the stream."""
        if self._root.plain and 0 < len(entries) <= _MOST:
            with suppress(*DOUBTS), self._layers(image, job) as layers:
                yield from layers.contents(image, number, index, entries, job)

    @contextmanager
    def _layers(self, image: Image, job: Job) -> Iterator[_Layers]:
        """The layers as a container shows them."""
        job.check()
        name = f"imgscope-{secrets.token_hex(6)}"
        root, driver = self._root.root, self._root.driver
        folders = {f"{root}/image/{driver}/layerdb": _LAYERDB, f"{root}/{driver}": _LAYERS}
        settings = {
            "Image": image.id,
            "Entrypoint": ["never-started"],
            "Labels": {LABEL: ""},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [  # not binds, which would make a folder that is not there
                    {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}
                    for source, target in folders.items()
                ],
            },
        }
        try:
            # not to be cancelled: else nobody knew whether there is a container to remove
            self._change("POST", f"/containers/create?name={name}", json.dumps(settings).encode())
            yield _Layers(self._connection, name)
        finally:
            with suppress(ImgscopeError, DoubtError):
                self._change(
                    "DELETE", f"/containers/{name}?force=1&v=1"
                )  # v: volumes that the image asks for

    def _change(self, method: str, path: str, body: bytes = b"") -> None:
        headers = {"Content-Type": "application/json"}
        with (
            engine_errors(self._connection.where),
            self._connection.request(method, path, headers, Job(), body) as response,
        ):
            response.read()
            if response.status >= 400:
                raise DoubtError


class _Layers(DataRoot):
    """The layers that one container shows."""

    def __init__(self, connection: Connection, container: str) -> None:
        super().__init__()
        self._connection, self._container = connection, container

    def _find(self, image: Image) -> Image:
        return with_chains(image)

    def _archive(self, path: bytes, outer: LayerIndex, job: Job) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The files at a path in the container that have content: pairs (entry of `outer`, chunks)."""
        question = f"/containers/{self._container}/archive?path={quote(path)}"
        with self._connection.get(question, job) as response:
            yield from walk_tar(StreamTape(iter(lambda: response.read(_CHUNK), b"")), outer, job)

    def _files(self, image: Image, number: int, name: str, job: Job) -> dict[str, bytes]:
        """Files of a layer's metadata folder: that of a name, or all for ""."""
        chain = image.layers[number - 1].blob.replace(":", "/")
        outer, files = LayerIndex(), {}
        for entry, chunks in self._archive(f"{_LAYERDB}/{chain}/{name}".encode(), outer, job):
            if sum(outer.sizes) > DOCUMENT_LIMIT:
                raise DoubtError
            files[outer.names[entry].decode()] = b"".join(chunks)
        return files

    def _index(self, image: Image, number: int, job: Job) -> LayerIndex:
        files = self._files(image, number, "", job)

        def read(name: str) -> Iterator[bytes]:
            if name not in files:
                raise DoubtError
            return iter([files[name]])

        return index_layer(read, image, number, job)

    def _contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        cache_id = cache_name(self._files(image, number, "cache-id", job).get("cache-id", b""))
        links = {index.path(entry) for entry in index.links if index.kinds[entry] == Kind.SYMLINK}
        for entry in entries:
            path = index.path(entry)
            # the engine would follow links to folders
            if any(path[:at] in links for at, byte in enumerate(path) if byte == ord("/")):
                raise DoubtError
            outer = LayerIndex()
            found = self._archive(f"{_LAYERS}/{cache_id}/diff/".encode() + path, outer, job)
            _, chunks = next(found, (0, None))
            if chunks is None or outer.kinds[0] != Kind.FILE:
                raise DoubtError
            check_file(outer.sizes[0], outer.mtimes[0], index, entry)
            yield entry, chunks
