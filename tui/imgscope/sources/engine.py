"""The images of a container engine: Docker, or Podman through its Docker-compatible API.

What reads a stream is loaded once there is one: often the layers are known without.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imgscope.errors import ImgscopeError, NotFoundError
from imgscope.images.history import assign_layers
from imgscope.images.model import History, Image, Layer, Platform
from imgscope.images.reference import Reference, is_id
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.sources.base import LayerStore, Wanted
from imgscope.sources.connection import Connection, engine_errors

if TYPE_CHECKING:
    from imgscope.images.documents import Document
    from imgscope.sources.blobs import StreamedBlobs

_BATCH = 20  # images inspected between two lists
_CHUNK = 1 << 18
_EVENTS = "/events?filters=%7B%22type%22:%5B%22image%22,%22container%22%5D%7D"  # a JSON object, quoted
_LISTED = 20  # names in a sentence that says what is there


class EngineSource:
    """Images by the engine's API; their layers from its data root, else from a `docker save` stream.

    Nothing is put on disk.
    """

    cheap = False
    vouches = True

    def __init__(self, connection: Connection) -> None:
        """Asks the engine for its version. Raises `EngineError`."""
        self.connection = connection
        self.where = connection.where
        self.origin = f"docker-daemon:{self.where}"
        self._asked: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None = None
        self._info: dict[str, Any] | None = None
        self._stores: Sequence[LayerStore] | None = None
        # what documents told beyond the API, by `_key`: layers with digests, the exact history; the layers'
        # blobs only where a saved archive told them
        self._details: dict[tuple[str, ...], tuple[tuple[Layer, ...], tuple[History, ...]]] = {}
        version = connection.version
        names = [str(part.get("Name", "")) for part in version.get("Components") or []]
        self._podman = any("podman" in name.lower() for name in names)
        product = "podman" if self._podman else "docker"
        self.label = f"{product} {version.get('Version', '')} · {self.where}"

    @classmethod
    def connect(cls, where: str = "") -> EngineSource:
        """The engine at an address as DOCKER_HOST has it; without one as `Connection.find` finds it.

        Raises `EngineError` with what to do.
        """
        connection = Connection(where) if where else Connection.find()
        try:
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    @property
    def client(self) -> Any:
        """The SDK's low-level client, for the actions. Raises `EngineError`."""
        return self.connection.client

    def get_json(self, path: str, job: Job | None = None) -> Any:
        """`Connection.get_json`."""
        return self.connection.get_json(path, job)

    def info(self, job: Job | None = None) -> dict[str, Any]:
        """What the engine says of its machine and its storage (`GET /info`), asked once."""
        if self._info is None:
            found = self.get_json("/info", job)
            self._info = found if isinstance(found, dict) else {}
        return self._info

    def _layer_stores(self, job: Job) -> Sequence[LayerStore]:
        """Where layers are looked for before the engine streams them."""
        if self._stores is None:
            from imgscope.sources.datadir import layer_stores

            try:
                self._stores = layer_stores(self.connection, self.info(job), podman=self._podman)
            except ImgscopeError:  # an engine that does not say; if it is gone the stream will tell
                return ()
        return self._stores

    def ahead(self) -> None:
        """Ask for the list of images already: `images` begins with it."""
        self._asked = self._ask(Job())

    def _ask(self, job: Job) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self.get_json("/images/json?all=1", job), self.get_json("/containers/json?all=1", job)

    def hint(self, job: Job) -> str:
        """A sentence on how layers could come faster, where a setting would do it; else nothing."""
        from imgscope.sources.datadir import hint

        with suppress(ImgscopeError):
            return hint(self.connection, self.info(job), podman=self._podman)
        return ""

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        (listed, used), self._asked = self._asked or self._ask(job), None
        containers = Counter(_id(item.get("ImageID")) for item in used)
        images = [self._listed(item, containers) for item in listed]
        yield list(images)
        # an untagged image that another names as its parent is a build step: followed, never shown
        steps = {image.parent for image in images}
        left = [i for i, image in enumerate(images) if image.references or image.id not in steps]
        while left:
            wanted = {identifier: rank for rank, identifier in enumerate(first())}
            left.sort(key=lambda i: wanted.get(images[i].id, len(wanted)))
            for position in left[:_BATCH]:
                job.check()
                with suppress(NotFoundError):  # removed meanwhile; the next refresh will not list it
                    images[position] = self._inspected(images[position], job)
            del left[:_BATCH]
            yield list(images)

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        if not reference:
            raise NotFoundError(f"Name an image of {self.label}; imgscope tree lists them.")
        if not is_id(reference):
            Reference.parse(reference)  # raises; the name becomes a part of URLs
        try:
            image = self._inspected(Image(id=reference))
        except NotFoundError:
            there = sorted(tag for item in self.get_json("/images/json") for tag in _tags(item))
            more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
            listed = f"it has {', '.join(there[:_LISTED])}{more}" if there else "it has none with a name"
            raise NotFoundError(f"There is no image {reference!r} in {self.label}; {listed}.") from None
        if platform is not None and not _fits(image.platform, platform):
            return self._other_platform(image, platform, reference)
        return image

    def _other_platform(self, image: Image, platform: Platform, reference: str) -> Image:
        """With containerd's image store an image may be an index of several; only its archive tells."""
        digests = self.get_json(f"/images/{image.id}/json").get("RepoDigests") or []
        if not any(digest.endswith(f"@{image.id}") for digest in digests):
            raise NotFoundError(f"{reference} is not there for {platform}, only for {image.platform}.")
        from imgscope.images.manifest import read_archive
        from imgscope.sources.archive import choose
        from imgscope.sources.blobs import StreamedBlobs

        blobs, job = StreamedBlobs(), Job()
        with closing(self._save(image, job)) as stream:
            for _ in blobs.run(stream, job, layers=False):
                pass
        found = read_archive(blobs.names, blobs.read, "what the engine saved")
        chosen = choose(found, None, platform, reference)
        return replace(chosen, id=image.id, references=image.references, containers=image.containers)

    def detail(self, image: Image) -> Image:
        layers, history = self._details.get(self._key(image), (image.layers, image.history))
        return replace(image, layers=layers, history=history)

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        left = {layer.index for layer in image.layers if only is None or layer.index in only}
        for store in self._layer_stores(job):
            if left and (found := store.detail(image)) is not None:
                if self._key(image) not in self._details:
                    self._keep_detail(image, found)
                with closing(store.indexes(image, sorted(left), job)) as indexes:
                    for number, index in indexes:
                        left.remove(number)
                        yield number, index
        if left:
            yield from (pair for pair in self._index(image, job) if pair[0] in left)

    def _index(self, image: Image, job: Job) -> Iterator[tuple[int, LayerIndex]]:
        """All layers from the stream."""
        from imgscope.images.manifest import read_archive
        from imgscope.sources.blobs import StreamedBlobs

        numbers: dict[str, list[int]] = {}
        for layer in image.layers:
            numbers.setdefault(layer.diff_id, []).append(layer.index)
        blobs = StreamedBlobs()
        with closing(self._save(image, job)) as stream:
            for _, index in blobs.run(stream, job, layers=True):
                for number in numbers.pop(index.diff_id or "", ()):
                    yield number, index
        with suppress(ImgscopeError):  # of a cut stream the layers that are missing say so
            for saved in read_archive(blobs.names, blobs.read, "what the engine saved").images:
                if saved.diff_ids == image.diff_ids:
                    self._keep_detail(image, saved, blobs.members.resolve)
                    break
        for left in numbers.values():
            for number in left:
                yield number, self._left_over(image, number, blobs)

    def _keep_detail(self, image: Image, found: Image, blob: Callable[[str], str] = lambda name: "") -> None:
        """Keep what the documents of an image tell; `blob` makes a layer's name one of the saved archive."""
        layers = tuple(
            replace(theirs, size=mine.size, blob=blob(theirs.blob))
            for theirs, mine in zip(found.layers, image.layers, strict=True)
        )
        self._details[self._key(image)] = layers, found.history

    def _left_over(self, image: Image, number: int, blobs: StreamedBlobs) -> LayerIndex:
        """A layer that did not come under its diff ID: it came with other content, or not at all."""
        from imgscope.sources.archive import verify
        from imgscope.sources.blobs import missing

        layer = self.detail(image).layers[number - 1]
        index = blobs.indexes.get(layer.blob)
        if index is None:
            index = missing(layer.blob)
            index.problems += [replace(problem, layer=None) for problem in blobs.outer.problems]
        elif not index.problems:
            verify(index, layer)
        return index

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        for _, entry, chunks in self.all_contents(image, {layer: (index, entries)}, job):
            yield entry, chunks

    one_pass = True

    def all_contents(
        self, image: Image, wanted: Wanted, job: Job
    ) -> Iterator[tuple[int, int, Iterable[bytes]]]:
        left = {layer: dict.fromkeys(entries) for layer, (_, entries) in wanted.items()}
        for store in self._layer_stores(job):
            for layer, (index, _) in wanted.items():
                for entry, chunks in store.contents(image, layer, index, list(left[layer]), job):
                    del left[layer][entry]
                    yield layer, entry, chunks
        left = {layer: entries for layer, entries in left.items() if entries}
        if not left:
            return
        from imgscope.sources.blobs import cut_all

        if not all(self.detail(image).layers[layer - 1].blob for layer in left):
            for _ in self._index(image, job):  # where a layer lies in the stream is known once it was read
                pass
        pieces: dict[str, list[tuple[tuple[int, int], tuple[int, int]]]] = {}
        for layer, entries in left.items():
            of_blob = pieces.setdefault(self.detail(image).layers[layer - 1].blob, [])
            of_blob += ((wanted[layer][0].extent(entry), (layer, entry)) for entry in entries)
        try:
            for (layer, entry), chunks in cut_all(lambda: self._save(image, job), pieces, job):
                yield layer, entry, chunks
        except NotFoundError:
            raise NotFoundError(f"The engine did not send all layers of {image.name}.") from None

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        """From the engine's own folder where it can be read; what the API tells of the image, always."""
        from imgscope.images.documents import Document, Kind, file_document, layer_documents

        told = self.get_json(f"/images/{image.id}/json", job)
        found: Sequence[Document] = ()
        for store in self._layer_stores(job):
            if found := store.documents(image, job):
                break
        above = []
        if not any(document.kind in (Kind.INDEX, Kind.MANIFEST) for document in found):
            note = "the engine gives no manifest; its registry has it"
            names = dict.fromkeys(name.rpartition("@")[2] for name in image.digests)
            above = [Document(Kind.MANIFEST, "manifest", digest=digest, note=note) for digest in names]
        if not found:
            note = "the engine gives it in its own words only: see below"
            is_config = image.id not in {document.digest for document in above}
            config = Document(Kind.CONFIG, "config", digest=image.id if is_config else "", note=note)
            found = [config, *layer_documents(image)]
        data = json.dumps(told).encode()
        return [*above, *found, file_document("docker image inspect", data, note="what the engine tells")]

    def events(self, job: Job) -> Iterator[str]:
        """What changes in the engine as it happens: `image tag`, `container die`. Ends when cancelled."""
        with engine_errors(self.where), self.connection.get(_EVENTS, job) as answer:
            for line in answer.lines():
                job.check()
                if line.strip():
                    event = json.loads(line)
                    yield f"{event.get('Type', '')} {event.get('Action', '')}"
            job.check()  # an answer without a stated length just ends where it is cut

    def close(self) -> None:
        self.connection.close()

    @staticmethod
    def _key(image: Image) -> tuple[str, ...]:
        # an index is one image with several lists of layers, and several images may have one list
        return (image.id, *image.diff_ids)

    # -- the engine's answers ---------------------------------------------------------------------

    def _listed(self, item: dict[str, Any], containers: Counter[str | None]) -> Image:
        identifier = _id(item["Id"]) or ""
        return Image(
            id=identifier,
            references=tuple(_tags(item)),
            digests=tuple(_repo_digests(item)),
            created=_moment(item.get("Created")),
            parent=_id(item.get("ParentId")),
            size=item.get("Size"),
            containers=containers[identifier],
        )

    def _inspected(self, image: Image, job: Job | None = None) -> Image:
        """The image with layers, history, platform and config."""
        found = self.get_json(f"/images/{image.id}/json", job)
        steps = self.get_json(f"/images/{found['Id']}/history", job)
        steps.reverse()  # the engine tells the newest first
        diff_ids = (found.get("RootFS") or {}).get("Layers") or []
        sizes = [step.get("Size") or 0 for step in steps]
        stores = assign_layers(
            [(step.get("CreatedBy") or "", size) for step, size in zip(steps, sizes, strict=True)],
            len(diff_ids),
        )
        history = tuple(_step(step, not stored) for step, stored in zip(steps, stores, strict=True))
        made = [pair for pair in zip(history, sizes, strict=True) if not pair[0].empty_layer]
        layers = []
        for number, diff_id in enumerate(diff_ids, 1):
            step, size = made[number - 1] if len(made) == len(diff_ids) else (None, None)
            layers.append(Layer(number, diff_id, size=size, history=step))
        return replace(
            image,
            id=_id(found["Id"]) or image.id,
            references=image.references or tuple(_tags(found)),
            digests=image.digests or tuple(_repo_digests(found)),
            platform=Platform(
                found.get("Os") or "linux", found.get("Architecture") or "unknown", found.get("Variant") or ""
            ),
            created=found.get("Created") or image.created,
            layers=tuple(layers),
            history=history,
            config=found.get("Config") or {},
            parent=_id(found.get("Parent")) or image.parent,
            # with containerd's image store "Size" counts compressed bytes; the steps never do
            size=sum(sizes) or found.get("Size", image.size),
        )

    # -- the engine's `docker save` ---------------------------------------------------------------

    def _save(self, image: Image, job: Job) -> Generator[bytes]:
        """The archive of `docker save`, as it comes.

        The engine may be silent for long before the first byte, while it puts the archive together.
        """
        # about the length of the stream: bytes unpacked, or packed in containerd's image store
        job.total = job.done + int(self.get_json(f"/images/{image.id}/json", job).get("Size") or 0)
        with engine_errors(self.where), self.connection.get(f"/images/{image.id}/get", job) as answer:
            while chunk := answer.read(_CHUNK):
                job.advance(len(chunk))
                yield chunk
            job.check()  # an answer without a stated length just ends where it is cut


def _step(step: dict[str, Any], empty: bool) -> History:
    return History(
        _moment(step.get("Created")), step.get("CreatedBy") or "", step.get("Comment") or "", empty
    )


def _moment(seconds: object) -> str | None:
    """Seconds since 1970 as RFC 3339 text. None for what stands for no time, and for years that are none."""
    if not isinstance(seconds, int) or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _id(text: str | None) -> str | None:
    """An id as Docker writes it everywhere, and Podman in some places: with `sha256:`."""
    return f"sha256:{text}" if text and ":" not in text else text or None


def _repo_digests(item: dict[str, Any]) -> list[str]:
    return [name for name in item.get("RepoDigests") or [] if not name.startswith("<none>")]


def _tags(item: dict[str, Any]) -> list[str]:
    return [tag for tag in item.get("RepoTags") or [] if tag != "<none>:<none>"]


def _fits(found: Platform, wanted: Platform) -> bool:
    return found == wanted or (not wanted.variant and replace(found, variant="") == wanted)
