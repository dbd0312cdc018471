"""The images of a container engine: Docker, or Podman through its Docker-compatible API."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import requests
import urllib3.exceptions
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from imgscope.errors import EngineError, ImgscopeError, NotFoundError
from imgscope.images.history import assign_layers
from imgscope.images.manifest import read_archive
from imgscope.images.model import History, Image, Layer, Platform
from imgscope.images.reference import Reference, is_id
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import StreamTape, inflate
from imgscope.layers.tar import walk_tar
from imgscope.sources.archive import choose, verify
from imgscope.sources.blobs import StreamedBlobs, cut, missing

_DEFAULT_SOCKET = "/var/run/docker.sock"
_BATCH = 100  # images inspected between two lists
_CHUNK = 1 << 18
_LISTED = 20  # names in a sentence that says what is there


class EngineSource:
    """Images by the engine's API. Layers are read from a `docker save` stream, nothing is put on disk."""

    cheap = False
    vouches = True

    def __init__(self, client: docker.APIClient, where: str) -> None:
        self.client: Any = client  # the SDK is typed in parts only
        self.where = where
        self.origin = f"docker-daemon:{where}"
        # what a saved archive told beyond the API, by `_key`: layers with digests, the exact history
        self._details: dict[tuple[str, ...], tuple[tuple[Layer, ...], tuple[History, ...]]] = {}
        with engine_errors(where):
            version = client.version()
        names = [str(part.get("Name", "")) for part in version.get("Components") or []]
        product = "podman" if any("podman" in name.lower() for name in names) else "docker"
        self.label = f"{product} {version.get('Version', '')} · {where}"

    @classmethod
    def connect(cls) -> EngineSource:
        """The engine that the docker CLI would talk to, else a rootless or Podman one that is there.

        DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the well-known sockets.
        Raises `EngineError` with what to do.
        """
        settings = _settings()
        where = str(settings["base_url"])
        try:
            with engine_errors(where):
                client = _Client(version="auto", use_ssh_client=where.startswith("ssh:"), **settings)
        except (AttributeError, TypeError, LookupError) as error:
            path = _config_folder() / "config.json"  # what the SDK reads there it takes to be as it should
            raise EngineError(f"{path} cannot be read ({_sentence(error)}); mend or move it.") from None
        try:
            return cls(client, where)
        except BaseException:
            client.close()
            raise

    def images(self, job: Job) -> Iterator[Sequence[Image]]:
        with engine_errors(self.where):
            listed = self.client.images(all=True)
            containers = Counter(_id(item.get("ImageID")) for item in self.client.containers(all=True))
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
        if not is_id(reference):
            Reference.parse(reference)  # raises; the name becomes a part of URLs
        try:
            image = self._inspected(Image(id=reference))
        except NotFoundError:
            with engine_errors(self.where):
                there = sorted(tag for item in self.client.images() for tag in _tags(item))
            more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
            listed = f"it has {', '.join(there[:_LISTED])}{more}" if there else "it has none with a name"
            raise NotFoundError(f"There is no image {reference!r} in {self.label}; {listed}.") from None
        if platform is not None and not _fits(image.platform, platform):
            return self._other_platform(image, platform, reference)
        return image

    def _other_platform(self, image: Image, platform: Platform, reference: str) -> Image:
        """With containerd's image store an image may be an index of several; only its archive tells."""
        with engine_errors(self.where):
            digests = self.client.inspect_image(image.id).get("RepoDigests") or []
        if not any(digest.endswith(f"@{image.id}") for digest in digests):
            raise NotFoundError(f"{reference} is not there for {platform}, only for {image.platform}.")
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
        for number, index in self._index(image, job):
            if only is None or number in only:
                yield number, index

    def _index(self, image: Image, job: Job) -> Iterator[tuple[int, LayerIndex]]:
        if not image.layers:
            return  # engines refuse to save an image of no layers
        numbers: dict[str, list[int]] = {}
        for layer in image.layers:
            numbers.setdefault(layer.diff_id, []).append(layer.index)
        blobs = StreamedBlobs()
        with closing(self._save(image, job)) as stream:
            for _, index in blobs.run(stream, job, layers=True):
                for number in numbers.pop(index.diff_id or "", ()):
                    yield number, index
        self._keep_detail(image, blobs)
        for left in numbers.values():
            for number in left:
                yield number, self._left_over(image, number, blobs)

    def _keep_detail(self, image: Image, blobs: StreamedBlobs) -> None:
        """What the saved documents tell beyond the API."""
        try:
            found = read_archive(blobs.names, blobs.read, "what the engine saved").images
        except ImgscopeError:
            return  # a cut stream: the layers that are missing say so
        for saved in found:
            if saved.diff_ids == image.diff_ids:
                layers = tuple(
                    replace(theirs, size=mine.size, blob=blobs.members.resolve(theirs.blob))
                    for theirs, mine in zip(saved.layers, image.layers, strict=True)
                )
                self._details[self._key(image)] = layers, saved.history
                return

    def _left_over(self, image: Image, number: int, blobs: StreamedBlobs) -> LayerIndex:
        """A layer that did not come under its diff ID: it came with other content, or not at all."""
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
        if (
            self._key(image) not in self._details
        ):  # where the layer lies in the stream is known once it was read
            for _ in self.index(image, job):
                pass
        blob = self.detail(image).layers[layer - 1].blob
        outer = LayerIndex()
        with closing(self._save(image, job)) as stream:
            for number, chunks in walk_tar(StreamTape(stream), outer, job):
                if os.fsdecode(outer.path(number)) == blob:
                    tape = StreamTape(inflate(chunks))
                    extents = [index.extent(entry) for entry in entries]
                    yield from ((entries[position], piece) for position, piece in cut(tape, extents))
                    return
        raise NotFoundError(f"The engine did not send layer {layer} of {image.name}.")

    def events(self, job: Job) -> Iterator[str]:
        """What changes in the engine as it happens: `image tag`, `container die`. Ends when cancelled."""
        with engine_errors(self.where):
            stream = self.client.events(decode=True, filters={"type": ["image", "container"]})
        with closing(stream), job.on_cancel(stream.close), engine_errors(self.where):
            for event in stream:
                job.check()
                yield f"{event.get('Type', '')} {event.get('Action', '')}"

    def close(self) -> None:
        self.client.close()

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

    def _inspected(self, image: Image) -> Image:
        """The image with layers, history, platform and config."""
        with engine_errors(self.where):
            found = self.client.inspect_image(image.id)
            steps = self.client.history(found["Id"])
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
        with engine_errors(self.where):
            with self._get(f"/images/{image.id}/json", job) as response:
                # about the length of the stream: bytes unpacked, or packed in containerd's image store
                job.total = job.done + int(json.load(response).get("Size") or 0)
            with self._get(f"/images/{image.id}/get", job) as response:
                while chunk := response.read(_CHUNK):
                    job.advance(len(chunk))
                    yield chunk
                job.check()  # an answer without a stated length just ends where it is cut

    @contextmanager
    def _get(self, path: str, job: Job) -> Iterator[http.client.HTTPResponse]:
        """GET on a connection of its own, which `job.cancel` cuts however long the engine is silent.

        `APIClient.get_image` asks the same, but shows no connection before the answer begins.
        """
        api = self.client
        request = api.prepare_request(requests.Request("GET", f"{api.base_url}/v{api.api_version}{path}"))
        pool = api.get_adapter(request.url).get_connection_with_tls_context(
            request, api.verify, cert=api.cert
        )
        connection = pool._new_conn()
        try:
            connection.connect()
            connection.sock.settimeout(None)
            with job.on_cancel(_cutter(connection.sock)):
                connection.putrequest("GET", request.path_url, skip_accept_encoding=True)
                connection.endheaders()
                with http.client.HTTPConnection.getresponse(connection) as response:
                    if response.status != http.client.OK:
                        kind = NotFoundError if response.status == http.client.NOT_FOUND else EngineError
                        raise kind(f"The engine at {self.where} refused: {_reason(response)}.")
                    yield response
        except Exception:
            job.check()  # where the connection was cut, that is why
            raise
        finally:
            connection.close()


class _Client(docker.APIClient):
    """The SDK's client, for which the engine's own certificate counts and not REQUESTS_CA_BUNDLE."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify, cert)


def _cutter(connection: socket.socket) -> Callable[[], None]:
    """What ends a read that waits on the connection in another thread."""

    def cut() -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # no socket really, but the pipes to an ssh command; or it has ended
            with suppress(OSError):
                connection.close()

    return cut


def _reason(response: http.client.HTTPResponse) -> str:
    """What an answer that is none says of why."""
    try:
        return _sentence(json.loads(response.read(1 << 16))["message"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status} {response.reason}"


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


# -- where the engine is --------------------------------------------------------------------------


def _settings() -> dict[str, Any]:
    """Where the engine is, as keyword arguments of the client."""
    if host := os.environ.get("DOCKER_HOST"):
        try:
            parse_host(host)
            return dict(kwargs_from_env())
        except (DockerException, ValueError) as error:
            raise EngineError(
                f"DOCKER_HOST={host} cannot be used ({_sentence(error)}); write it as unix:///PATH, "
                "tcp://HOST:PORT or ssh://USER@HOST."
            ) from None
    # read here, for the SDK finds contexts only beside a config.json, else in the current folder
    folder = _config_folder()
    context = os.environ.get("DOCKER_CONTEXT") or _current_context(folder)
    if context and context != "default":
        return _context(folder / "contexts", context)
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    sockets = (
        _DEFAULT_SOCKET,
        f"{runtime}/docker.sock",
        str(Path.home() / ".docker/run/docker.sock"),  # Docker Desktop
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    there = [path for path in sockets if os.path.exists(path)]
    usable = [path for path in there if os.access(path, os.W_OK)]
    return {"base_url": f"unix://{[*usable, *there, _DEFAULT_SOCKET][0]}"}


def _config_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _current_context(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_bytes()).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""  # a missing or broken file sets nothing, as for the docker command line


def _context(folder: Path, name: str) -> dict[str, Any]:
    """The engine of a docker context: `meta/ID/meta.json` and `tls/ID/docker`, ID the digest of its name."""
    identifier = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    path = folder / "meta" / identifier / "meta.json"
    try:
        endpoint = json.loads(path.read_bytes())["Endpoints"]["docker"]
        host, verified = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
        parse_host(host)
        tls = folder / "tls" / identifier / "docker"
        ca, certificate, key = (str(tls / file) for file in ("ca.pem", "cert.pem", "key.pem"))
        if not tls.is_dir():
            return {"base_url": host}
        pair = (certificate, key) if os.path.exists(certificate) else None
        config = TLSConfig(client_cert=pair, ca_cert=ca if os.path.exists(ca) else None, verify=verified)
        return {"base_url": host, "tls": config}
    except FileNotFoundError:
        raise EngineError(f"There is no docker context {name!r}; docker context ls lists them.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, DockerException) as error:
        raise EngineError(
            f"Docker's context {name!r} cannot be read from {path}: {_sentence(error)}."
        ) from None


def _sentence(error: object) -> str:
    """An error's text as the end of a sentence: on one line, without a closing stop."""
    text = getattr(error, "msg", None) or error  # TLSParameterError adds an address to its text
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__


@contextmanager
def engine_errors(where: str) -> Iterator[None]:
    """The exceptions of the SDK and of what is below it, as one sentence each."""
    try:
        yield
    except NotFound as error:
        raise NotFoundError(
            f"The engine at {where} refused: {_sentence(error.explanation or error)}."
        ) from None
    except APIError as error:
        raise EngineError(
            f"The engine at {where} refused: {_sentence(error.explanation or error)}.", error.status_code
        ) from None
    except (
        DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
    ) as error:
        raise EngineError(_unreachable(where, error)) from None


def _unreachable(where: str, error: BaseException) -> str:
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)

    for cause in causes:
        if isinstance(cause, APIError):  # it is asked for its version while the client is made
            return f"The engine at {where} refused: {_sentence(cause.explanation or cause)}."

    def any_is(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if any_is(PermissionError):
        return f"You may not use the engine at {where}; join the docker group, or run with sudo."
    if any_is(http.client.HTTPException, ConnectionResetError, BrokenPipeError):
        return f"The engine at {where} closed the connection; look whether it still runs."
    if where.startswith("ssh:") and any_is(NameError):  # the SDK's way to miss a package
        return f"For the engine at {where} a package is missing; install it with pip install paramiko."
    reason = _sentence(getattr(causes[-1], "strerror", None) or causes[-1])
    if any_is(ssl.SSLError):
        return f"No TLS connection to {where} ({reason}); look at DOCKER_CERT_PATH or the docker context."
    return (
        f"No container engine answers at {where} ({reason}); "
        "start Docker or Podman, set DOCKER_HOST, or look at the demo images with imgscope demo."
    )
