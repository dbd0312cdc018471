"""The images of a container engine: Docker, or Podman through its Docker-compatible API."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import kwargs_from_env

from imgscope.errors import EngineError, ImgscopeError, NotFoundError
from imgscope.images.history import assign_layers
from imgscope.images.manifest import read_archive
from imgscope.images.model import History, Image, Layer, Platform
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import StreamTape, inflate
from imgscope.layers.tar import walk_tar
from imgscope.sources.archive import verify
from imgscope.sources.blobs import StreamedBlobs, cut, missing

_DEFAULT = "unix:///var/run/docker.sock"
_BATCH = 100  # images inspected between two lists
_CHUNK = 1 << 18
_QUEUE = 8  # chunks that may wait for the reader
_POLL = 0.1  # seconds between looks at the cancel flag while the engine sends nothing


class EngineSource:
    """Images by the engine's API. Layers are read from a `docker save` stream, nothing is put on disk."""

    cheap = False

    def __init__(self, client: docker.APIClient, where: str) -> None:
        self._client: Any = client  # the SDK is typed in parts only
        self._where = where
        self._details: dict[str, Image] = {}
        with _errors(where):
            version = client.version()
        names = [str(part.get("Name", "")) for part in version.get("Components") or []]
        self._product = "podman" if any("podman" in name.lower() for name in names) else "docker"
        self.label = f"{self._product} {version.get('Version', '')} · {where}"

    @classmethod
    def connect(cls) -> EngineSource:
        """The engine that the docker CLI would talk to, else a rootless or Podman one that is there.

        DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the well-known sockets.
        Raises `EngineError` with what to do.
        """
        settings = _settings()
        where = str(settings["base_url"])
        with _errors(where):
            client = docker.APIClient(version="auto", use_ssh_client=where.startswith("ssh:"), **settings)
        return cls(client, where)

    def images(self, job: Job) -> Iterator[Sequence[Image]]:
        with _errors(self._where):
            listed = self._client.images(all=True)
            containers = Counter(item.get("ImageID", "") for item in self._client.containers(all=True))
        images = [self._listed(item, containers) for item in listed]
        yield list(images)
        # an untagged image that another names as its parent is a build step: followed, never shown
        steps = {image.parent for image in images}
        shown = [i for i, image in enumerate(images) if image.references or image.id not in steps]
        for done, position in enumerate(shown, 1):
            job.check()
            with suppress(NotFoundError):  # removed meanwhile; the next refresh will not list it
                images[position] = self._inspected(images[position])
            if done % _BATCH == 0 or done == len(shown):
                yield list(images)

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        if not reference:
            raise NotFoundError(f"Name an image of {self.label}; imgscope tree lists them.")
        try:
            image = self._inspected(Image(id=reference))
        except NotFoundError:
            with _errors(self._where):
                there = sorted(tag for item in self._client.images() for tag in _tags(item))
            more = f" and {len(there) - 20} more" if len(there) > 20 else ""
            names = f"it has {', '.join(there[:20])}{more}" if there else "it has none with a name"
            raise NotFoundError(f"There is no image {reference!r} in {self.label}; {names}.") from None
        if platform is not None and platform != image.platform:
            raise NotFoundError(f"{reference} is not there for {platform}, only for {image.platform}.")
        return image

    def detail(self, image: Image) -> Image:
        return self._details.get(image.id, image)

    def index(self, image: Image, job: Job) -> Iterator[tuple[int, LayerIndex]]:
        if not image.layers:
            return  # engines refuse to save an image of no layers
        numbers: dict[str, list[int]] = {}
        for layer in image.layers:
            numbers.setdefault(layer.diff_id, []).append(layer.index)
        job.total = image.size
        blobs = StreamedBlobs()
        for _, index in blobs.run(self._save(image, job), job, layers=True):
            for number in numbers.pop(index.diff_id or "", ()):
                yield number, index
        detail = self._read_detail(image, blobs)
        for left in numbers.values():
            for number in left:
                yield number, self._left_over(detail, number, blobs)

    def _read_detail(self, image: Image, blobs: StreamedBlobs) -> Image:
        """What the saved config tells beyond the API: the exact history."""
        try:
            found = read_archive(blobs.names, blobs.read, "what the engine saved").images
        except ImgscopeError:
            found = ()  # a cut stream: the layers that are missing say so
        for saved in found:
            if saved.diff_ids == image.diff_ids:
                layers = tuple(
                    replace(theirs, size=mine.size)
                    for theirs, mine in zip(saved.layers, image.layers, strict=True)
                )
                image = replace(image, layers=layers, history=saved.history)
                self._details[image.id] = image
                break
        return image

    def _left_over(self, image: Image, number: int, blobs: StreamedBlobs) -> LayerIndex:
        """A layer that did not come under its diff ID: it came with other content, or not at all."""
        layer = image.layers[number - 1]
        index = blobs.indexes.get(blobs.members.resolve(layer.blob))
        if index is None:
            index = missing(layer.blob)
            index.problems += [replace(problem, layer=None) for problem in blobs.outer.problems]
        elif not index.problems:
            verify(index, layer)
        return index

    def contents(
        self, image: Image, layer: int, extents: Sequence[tuple[int, int]], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        image = self.detail(image)
        outer = LayerIndex()
        for number, chunks in walk_tar(StreamTape(self._save(image, job)), outer, job):
            if os.fsdecode(outer.path(number)) == image.layers[layer - 1].blob:
                yield from cut(StreamTape(inflate(chunks)), extents)
                return
        raise NotFoundError(f"The engine did not send layer {layer} of {image.name}.")

    def close(self) -> None:
        self._client.close()

    # -- the engine's answers ---------------------------------------------------------------------

    def _listed(self, item: dict[str, Any], containers: Counter[str]) -> Image:
        return Image(
            id=item["Id"],
            references=tuple(_tags(item)),
            created=datetime.fromtimestamp(item.get("Created") or 0, UTC).isoformat(),
            parent=item.get("ParentId") or None,
            size=item.get("Size"),
            containers=containers[item["Id"]],
        )

    def _inspected(self, image: Image) -> Image:
        """The image with layers, history, platform and config."""
        try:
            with _errors(self._where):
                found = self._client.inspect_image(image.id)
                steps = self._client.history(found["Id"])
        except ImageNotFound:
            raise NotFoundError(f"There is no image {image.id}.") from None
        steps.reverse()  # the engine tells the newest first
        diff_ids = (found.get("RootFS") or {}).get("Layers") or []
        stores = assign_layers(
            [(step.get("CreatedBy") or "", step.get("Size") or 0) for step in steps], len(diff_ids)
        )
        history = tuple(_step(step, not stored) for step, stored in zip(steps, stores, strict=True))
        sizes = [step.get("Size") for step in steps]
        made = [pair for pair in zip(history, sizes, strict=True) if not pair[0].empty_layer]
        layers = []
        for number, diff_id in enumerate(diff_ids, 1):
            step, size = made[number - 1] if len(made) == len(diff_ids) else (None, None)
            layers.append(Layer(number, diff_id, size=size, history=step))
        return replace(
            image,
            id=found["Id"],
            references=image.references or tuple(_tags(found)),
            platform=Platform(
                found.get("Os") or "linux", found.get("Architecture") or "unknown", found.get("Variant") or ""
            ),
            created=found.get("Created") or image.created,
            layers=tuple(layers),
            history=history,
            config=found.get("Config") or {},
            parent=found.get("Parent") or image.parent,
            size=found.get("Size", image.size),
        )

    def _save(self, image: Image, job: Job) -> Iterator[bytes]:
        """The `docker save` stream. It runs in a thread of its own, for the engine may be silent for long."""
        # by a name, where there is one: newer engines find no image by the id of a single platform
        name = image.references[0] if image.references else image.id
        queue: Queue[bytes | BaseException] = Queue(_QUEUE)
        stop = threading.Event()
        api = self._client

        def put(item: bytes | BaseException) -> None:
            while not stop.is_set():
                try:
                    queue.put(item, timeout=_POLL)
                    return
                except Full:
                    continue

        def read() -> None:
            try:
                with _errors(self._where):
                    # APIClient.get_image does the same, but gives no response that could be closed
                    url = api._url("/images/{0}/get", name)
                    with api._get(url, stream=True, timeout=None) as response:
                        api._raise_for_status(response)
                        buffer = bytearray()
                        for chunk in response.iter_content(_CHUNK, decode_unicode=False):
                            if stop.is_set():
                                return
                            buffer += chunk
                            if len(buffer) >= _CHUNK:
                                put(bytes(buffer))
                                buffer.clear()
                        put(bytes(buffer))
                        if buffer:
                            put(b"")
            except BaseException as error:
                put(error)

        threading.Thread(target=read, name="imgscope-save", daemon=True).start()
        try:
            while True:
                job.check()
                try:
                    item = queue.get(timeout=_POLL)
                except Empty:
                    continue
                if isinstance(item, BaseException):
                    raise item
                if not item:
                    return
                job.advance(len(item))
                yield item
        finally:
            stop.set()


def _step(step: dict[str, Any], empty: bool) -> History:
    created = step.get("Created")
    return History(
        datetime.fromtimestamp(created, UTC).isoformat()
        if isinstance(created, int) and created > 0
        else None,
        step.get("CreatedBy") or "",
        step.get("Comment") or "",
        empty,
    )


def _tags(item: dict[str, Any]) -> list[str]:
    return [tag for tag in item.get("RepoTags") or [] if tag != "<none>:<none>"]


def _settings() -> dict[str, Any]:
    """Where the engine is, as keyword arguments of the client."""
    if os.environ.get("DOCKER_HOST"):
        return dict(kwargs_from_env())
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except Exception as error:  # the SDK raises whatever a broken config file makes it raise
        raise EngineError(f"Docker's context {name or 'in use'} cannot be read: {error}.") from None
    if context is None:
        raise EngineError(f"There is no docker context {name!r}; docker context ls lists them.")
    if context.Name != "default" and context.Host:
        return {"base_url": context.Host, "tls": context.TLSConfig}
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    sockets = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    for path in sockets:
        if Path(path).is_socket():
            return {"base_url": f"unix://{path}"}
    return {"base_url": _DEFAULT}


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """The SDK's exceptions as one sentence; a missing image stays `ImageNotFound`."""
    try:
        yield
    except ImageNotFound:
        raise
    except APIError as error:
        raise EngineError(f"The engine at {where} refused: {error.explanation or error}.") from None
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        text = str(error)
        if "Permission denied" in text or "PermissionError" in text:
            advice = "you may not use its socket; join the docker group, or run with sudo"
        elif isinstance(error, requests.ConnectionError) and "Read" in text:
            advice = "it closed the connection; look whether it still runs"
        else:
            advice = "start Docker or Podman, set DOCKER_HOST, or look at the demo images with imgscope demo"
        raise EngineError(f"No container engine answers at {where}; {advice}.") from None
