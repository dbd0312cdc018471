"""Where the container engine is, and asking it: on its socket, by the SDK only where no plain socket is.

The SDK costs more time to import than most questions take to answer. It is loaded to reach engines by TCP,
TLS or ssh, and by the actions, through `Connection.client`.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from imgscope.errors import EngineError, NotFoundError
from imgscope.job import Job
from imgscope.sources.http import Answer, Line, NoHttpError

_DEFAULT_SOCKET = "/var/run/docker.sock"
_PLAIN = re.compile(r"unix://(/[^?#%;]*)")
_SDK = ("docker", "requests", "urllib3", "http")
_OK, _NOT_FOUND = 200, 404
PATIENCE = 60  # seconds that a question may take, as with the SDK; streams may be silent for longer


class Connection:
    """One engine. Questions may be asked from several threads at once: each has a connection of its own.

    `api_version` is the version of the API to speak; None asks the engine for its newest.
    """

    def __init__(
        self, where: str, settings: Mapping[str, Any] | None = None, api_version: str | None = None
    ) -> None:
        self.where = where
        self._settings = settings or {"base_url": where}
        self._api_version = api_version
        plain = _PLAIN.fullmatch(where)
        self._socket = plain[1] if plain else None
        self._idle: list[Line] = []  # kept for the next question
        self._host, self._base = "localhost", ""

    @classmethod
    def find(cls) -> Connection:
        """The engine that the docker CLI would talk to, else a rootless or Podman one that is there.

        DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the well-known sockets.
        Raises `EngineError` with what to do; asks the engine nothing yet.
        """
        settings = _settings()
        return cls(str(settings["base_url"]), settings)

    @cached_property
    def version(self) -> dict[str, Any]:
        """What the engine says of itself (`GET /version`). Raises `EngineError`."""
        found = self._ask("/version", None)
        if not isinstance(found, dict) or not isinstance(found.get("ApiVersion"), str):
            raise EngineError(_no_engine(self.where))
        return found

    @property
    def api_version(self) -> str:
        return self._api_version or str(self.version["ApiVersion"])

    @cached_property
    def client(self) -> Any:  # the SDK is typed in parts only
        """The SDK's low-level client. Raises `EngineError`."""
        import docker

        class Client(docker.APIClient):
            """A client for which the engine's own certificate counts and not REQUESTS_CA_BUNDLE."""

            def merge_environment_settings(
                self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
            ) -> Any:
                return super().merge_environment_settings(url, proxies, stream, self.verify, cert)

        # other than to a plain socket, the client's own connections are used, also for the version
        version = self._api_version or (self.api_version if self._socket else "auto")
        try:
            with engine_errors(self.where):
                return Client(version=version, use_ssh_client=self.where.startswith("ssh:"), **self._settings)
        except (AttributeError, TypeError, LookupError) as error:
            path = _config_folder() / "config.json"  # what the SDK reads there it takes to be as it should
            raise EngineError(f"{path} cannot be read ({sentence(error)}); mend or move it.") from None

    def get_json(self, path: str, job: Job | None = None) -> Any:
        """The answer to a GET, parsed. `path` goes without the API's version.

        Raises `EngineError`, `NotFoundError`, and `CancelledError` where `job` is cancelled meanwhile.
        """
        return self._ask(f"/v{self.api_version}{path}", job)

    def _ask(self, path: str, job: Job | None) -> Any:
        job = job or Job()
        with engine_errors(self.where):
            while True:
                line, kept = self._take()
                try:
                    with self._exchange(line, "GET", path, {}, job, PATIENCE) as answer:
                        self._refuse(answer)
                        text = answer.read()
                except ConnectionError:
                    if kept:  # the engine let go of it meanwhile
                        continue
                    raise
                if answer.kept:
                    self._idle.append(line)
                else:
                    line.close()
                try:
                    return json.loads(text)
                except ValueError:
                    raise NoHttpError("its answer is no JSON") from None

    @contextmanager
    def get(self, path: str, job: Job) -> Iterator[Answer]:
        """The answer to a GET, to be read as it comes; `job.cancel` cuts it, however long it is silent.

        Raises `EngineError`, `NotFoundError` and `CancelledError`.
        """
        with engine_errors(self.where), self.request("GET", path, {}, job) as answer:
            self._refuse(answer)
            yield answer

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        job: Job,
        body: bytes = b"",
        patience: float | None = None,
    ) -> Iterator[Answer]:
        """The answer of any status to a request, on a connection of its own.

        `job.cancel` cuts it; `patience` is how many seconds the engine may be silent. Raises
        `CancelledError`, and what the connection raises (`engine_errors`).
        """
        path = f"/v{self.api_version}{path}"
        with (
            closing(self._open()) as line,
            self._exchange(line, method, path, headers, job, patience, body) as answer,
        ):
            yield answer

    @contextmanager
    def _exchange(
        self,
        line: Line,
        method: str,
        path: str,
        headers: Mapping[str, str],
        job: Job,
        patience: float | None,
        body: bytes = b"",
    ) -> Iterator[Answer]:
        """One request and its answer. Where that fails the line is closed."""
        try:
            line.sock.settimeout(patience)
            with job.on_cancel(_cutter(line.sock)):
                yield line.ask(method, self._base + path, self._host, headers, body)
        except BaseException as error:
            line.close()
            if isinstance(error, Exception):
                job.check()  # where the connection was cut, that is why
            raise

    def _take(self) -> tuple[Line, bool]:
        """A connection, and whether it was used before."""
        with suppress(IndexError):
            return self._idle.pop(), True
        return self._open(), False

    def _open(self) -> Line:
        if self._socket is None:
            return self._open_by_sdk()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(PATIENCE)
            sock.connect(self._socket)
        except BaseException:
            sock.close()
            raise
        return Line(sock)

    def _open_by_sdk(self) -> Line:
        from urllib.parse import urlsplit

        import requests

        api = self.client
        address = urlsplit(api.base_url)
        self._host, self._base = address.netloc, address.path.rstrip("/")
        request = api.prepare_request(requests.Request("GET", api.base_url))
        adapter = api.get_adapter(api.base_url)
        pool = adapter.get_connection_with_tls_context(request, api.verify, cert=api.cert)
        connection = pool._new_conn()
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return Line(connection.sock, connection)

    def _refuse(self, answer: Answer) -> None:
        if answer.status != _OK:
            text = f"The engine at {self.where} refused: {sentence(answer.refusal())}."
            if answer.status == _NOT_FOUND:
                raise NotFoundError(text)
            raise EngineError(text, answer.status)

    def close(self) -> None:
        """Let go of all sockets."""
        while self._idle:
            self._idle.pop().close()
        if "client" in self.__dict__:
            self.client.close()


def _cutter(connection: socket.socket) -> Callable[[], None]:
    """What ends a read that waits on the connection in another thread."""

    def cut() -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # no socket really, but the pipes to an ssh command; or it has ended
            with suppress(OSError):
                connection.close()

    return cut


def sentence(error: object) -> str:
    """An error's text as the end of a sentence: on one line, without a closing stop."""
    text = getattr(error, "msg", None) or error  # TLSParameterError adds an address to its text
    return " ".join(str(text).split()).rstrip(".") or type(error).__name__


# -- where the engine is --------------------------------------------------------------------------


def _settings() -> dict[str, Any]:
    """Where the engine is, as keyword arguments of the SDK's client."""
    if host := os.environ.get("DOCKER_HOST"):
        if _PLAIN.fullmatch(host):
            return {"base_url": host}
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env, parse_host

        try:
            parse_host(host)
            return dict(kwargs_from_env())
        except (DockerException, ValueError) as error:
            raise EngineError(
                f"DOCKER_HOST={host} cannot be used ({sentence(error)}); write it as unix:///PATH, "
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
    import hashlib

    identifier = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    path = folder / "meta" / identifier / "meta.json"
    try:
        endpoint = json.loads(path.read_bytes())["Endpoints"]["docker"]
        host, verified = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
        tls = folder / "tls" / identifier / "docker"
        if _PLAIN.fullmatch(host) and not tls.is_dir():
            return {"base_url": host}
        return _remote(host, tls, verified)
    except FileNotFoundError:
        raise EngineError(f"There is no docker context {name!r}; docker context ls lists them.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineError(
            f"Docker's context {name!r} cannot be read from {path}: {sentence(error)}."
        ) from None


def _remote(host: str, tls: Path, verified: bool) -> dict[str, Any]:
    """The engine of a context that is not a plain socket. Raises `ValueError`, besides `OSError`."""
    from docker.errors import DockerException
    from docker.tls import TLSConfig
    from docker.utils import parse_host

    try:
        parse_host(host)
        ca, certificate, key = (str(tls / file) for file in ("ca.pem", "cert.pem", "key.pem"))
        if not tls.is_dir():
            return {"base_url": host}
        pair = (certificate, key) if os.path.exists(certificate) else None
        config = TLSConfig(client_cert=pair, ca_cert=ca if os.path.exists(ca) else None, verify=verified)
    except DockerException as error:
        raise ValueError(sentence(error)) from None
    return {"base_url": host, "tls": config}


# -- what goes wrong ------------------------------------------------------------------------------


@contextmanager
def engine_errors(where: str) -> Iterator[None]:
    """The exceptions of a connection, of the SDK and of what is below it, as one sentence each."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, NoHttpError)) and _room(error) not in _SDK:
            raise
        if (refusal := _refusal(where, error)) is not None:
            status = getattr(error, "status_code", None)
            raise (NotFoundError(refusal) if status == _NOT_FOUND else EngineError(refusal, status)) from None
        raise EngineError(_unreachable(where, error)) from None


def _room(error: BaseException) -> str:
    """The package an exception comes from: to know it by its class, that would have to be imported."""
    return type(error).__module__.partition(".")[0]


def _no_engine(where: str) -> str:
    return f"What answers at {where} is no container engine; look at DOCKER_HOST or the docker context."


def _refusal(where: str, error: BaseException) -> str | None:
    """What the engine said, where the error is the SDK's `APIError`."""
    if not hasattr(error, "explanation"):
        return None
    return f"The engine at {where} refused: {sentence(error.explanation or error)}."


def _unreachable(where: str, error: BaseException) -> str:
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)

    for cause in causes:
        if said := _refusal(where, cause):  # it is asked for its version while the client is made
            return said

    def any_is(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    rooms = {_room(cause) for cause in causes}

    if any_is(PermissionError):
        return f"You may not use the engine at {where}; join the docker group, or run with sudo."
    if any_is(NoHttpError):
        return _no_engine(where)
    if any_is(ConnectionResetError, BrokenPipeError) or "http" in rooms:
        return f"The engine at {where} closed the connection; look whether it still runs."
    if where.startswith("ssh:") and any_is(NameError):  # the SDK's way to miss a package
        return f"For the engine at {where} a package is missing; install it with pip install paramiko."
    why = sentence(getattr(causes[-1], "strerror", None) or causes[-1])
    if "ssl" in rooms:
        return f"No TLS connection to {where} ({why}); look at DOCKER_CERT_PATH or the docker context."
    return (
        f"No container engine answers at {where} ({why}); "
        "start Docker or Podman, set DOCKER_HOST, or look at the demo images with imgscope demo."
    )
