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
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

from imgscope.errors import EngineError, ImgscopeError
from imgscope.images.documents import Document
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import StreamTape
from imgscope.layers.tar import walk_tar
from imgscope.sources.connection import PATIENCE, Connection, engine_errors
from imgscope.sources.datadir.base import (
    DOCUMENT_LIMIT,
    DOUBTS,
    DataRoot,
    DoubtError,
    Pieces,
    check_file,
    check_paths,
)
from imgscope.sources.datadir.classic import ClassicRoot, cache_name, index_layer, with_chains

LABEL = "imgscope.layer-metadata"
_LAYERDB, _LAYERS = "/imgscope-layerdb", "/imgscope-layers"
_CHUNK = 1 << 18
_FOLDER = 4 << 20  # bytes of files of which some are wanted, and all are asked for
_MOST = 50  # questions for contents, some 20 ms each; of more, the stream is as quick
_SLASH = ord("/")


class HelperRoot:
    """The layers of a dockerd with its classic store, wherever it runs."""

    def __init__(self, connection: Connection, root: ClassicRoot) -> None:
        self._connection, self._root = connection, root

    def detail(self, image: Image) -> Image | None:
        """The image as it is: the metadata of layers is not that of images."""
        return image

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        """Nothing: no container is made for these."""
        return ()

    def indexes(self, image: Image, numbers: Iterable[int], job: Job) -> Generator[tuple[int, LayerIndex]]:
        """See `LayerStore.indexes`. One container serves all layers of a call."""
        with suppress(*DOUBTS), self._layers(image, job) as layers:
            yield from layers.indexes(image, numbers, job)

    def contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Pieces:
        """See `LayerStore.contents`. Files all over a large layer are left to the stream."""
        if self._root.plain and entries:
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
            with suppress(ImgscopeError, DoubtError):  # v: with the volumes that the image asks for
                self._change("DELETE", f"/containers/{name}?force=1&v=1")

    def _change(self, method: str, path: str, body: bytes = b"") -> None:
        headers = {"Content-Type": "application/json"}
        with (
            engine_errors(self._connection.where),
            self._connection.request(method, path, headers, Job(), body, PATIENCE) as response,
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
        with closing(self._stream(path, job)) as stream:
            yield from walk_tar(StreamTape(stream), outer, job)

    def _stream(self, path: bytes, job: Job) -> Generator[bytes]:
        question = f"/containers/{self._container}/archive?path={quote(path)}"
        with self._connection.get(question, job) as response:
            while chunk := response.read(_CHUNK):
                yield chunk
            job.check()  # an answer without a stated length just ends where it is cut

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
        check_paths(index, entries)
        if not index.sparse.keys().isdisjoint(entries):  # the engine would send the holes, too
            raise DoubtError
        cache_id = cache_name(self._files(image, number, "cache-id", job).get("cache-id", b""))
        wanted = {index.path(entry): entry for entry in entries}
        places = _places(index, wanted)
        if len(places) > _MOST:
            raise DoubtError
        for place in sorted(places):
            parent = place.rpartition(b"/")[0]
            outer = LayerIndex()
            for item, chunks in self._archive(f"{_LAYERS}/{cache_id}/diff/".encode() + place, outer, job):
                path = outer.path(item)
                if (entry := wanted.get(parent + b"/" + path if parent else path)) is not None:
                    check_file(outer.sizes[item], outer.mtimes[item], index, entry)
                    yield entry, self._whole(chunks, index.sizes[entry])

    def _whole(self, chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
        """A content to its end; raises `EngineError` where it is cut: it is too late for the stream."""
        for chunk in chunks:
            size -= len(chunk)
            yield chunk
        if size:
            where = self._connection.where
            raise EngineError(
                f"The engine at {where} sent only a part of a file; look whether it still runs."
            )


def _places(index: LayerIndex, paths: Iterable[bytes]) -> set[bytes]:
    """What to ask for to get all paths: folders of not much else, and else the files themselves.

    Raises `DoubtError` where a path leads through a link, which the engine would follow.
    """
    ways = {path: [path[:at] for at, byte in enumerate(path) if byte == _SLASH] for path in paths}
    below = {folder: 0 for way in ways.values() for folder in way}  # bytes of files
    if any(index.path(entry) in below for entry in index.links):
        raise DoubtError
    direct = [0] * len(index.dirs)
    for parent, size in zip(index.parents, index.sizes, strict=True):
        direct[parent] += size
    for folder, size in zip(index.dirs, direct, strict=True):
        while folder:
            if folder in below:
                below[folder] += size
            folder = folder.rpartition(b"/")[0]
    return {next((folder for folder in way if below[folder] <= _FOLDER), path) for path, way in ways.items()}
