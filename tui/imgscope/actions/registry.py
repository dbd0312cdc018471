"""What a registry says it has: manifests, configs, blobs. It is only asked, never changed.

Protocol: OCI distribution specification, and Docker's token authentication
(distribution.github.io/distribution/spec/auth/token). All that it answers is untrusted.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions

from imgscope.actions.credentials import Login
from imgscope.errors import EngineError, FormatError, ImgscopeError, LimitError
from imgscope.images.manifest import DOCUMENT_LIMIT, check, image_from_config, parse
from imgscope.images.model import Image, Layer
from imgscope.images.reference import DEFAULT_DOMAIN

_HUB_HOST = "registry-1.docker.io"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_KINDS = (*_MANIFESTS, *_INDEXES)
_TIMEOUT = (4, 10)  # seconds to connect, and between two bytes
_PATIENCE = 15.0  # seconds for all questions about one plan
_PLATFORMS = 8  # images of one index that are looked at
_TAGS = 100  # names in one list of tags
_DIGEST = re.compile("[a-z0-9]+:[0-9a-zA-Z]{32,}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class WantsLogin(EngineError):  # noqa: N818
    """The registry answered 401 or 403. Whoever knows the person's logins makes `AuthRequired` of it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer as a registry stores it: `size` in bytes, as it is stored."""

    digest: str
    size: int


class RegistryClient:
    """One repository of one registry, asked with at most one login."""

    def __init__(self, domain: str, path: str, login: Login | None = None, *, insecure: bool = False) -> None:
        """`insecure` as engines mean it: TLS unchecked, and plain HTTP where there is no TLS."""
        self.domain = domain
        self.path = path
        self._login = login
        self._insecure = insecure
        self._base = ""  # found with the first question
        self._authorization = ""
        self._until = time.monotonic() + _PATIENCE
        self._session = requests.Session()
        self._session.auth = _unchanged  # else requests would look for a login in ~/.netrc
        self._images: dict[str, tuple[Image, ...]] = {}

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def repository(self, path: str) -> RegistryClient:
        """Another repository of the registry, by the same login."""
        return RegistryClient(self.domain, path, self._login, insecure=self._insecure)

    def tags(self) -> list[str]:
        """Some of the repository's tags, 100 at most; none where there is no such repository."""
        answer = self._get(f"{self.path}/tags/list?n={_TAGS}")
        tags = parse(answer, self._what("the list of tags")).get("tags") if answer is not None else None
        return [tag for tag in tags if isinstance(tag, str)][:_TAGS] if isinstance(tags, list) else []

    def images(self, name: str) -> tuple[Image, ...]:
        """The image that a tag or digest names, each platform's where it names an index.

        Its layers have diff ID, digest and compressed size. None at all where the name is not there,
        or names no image.
        """
        if name not in self._images:
            self._images[name] = tuple(self._read(name, None))
        return self._images[name]

    def blobs(self, name: str) -> dict[str, Blob]:
        """Diff ID → blob, for the layers of what a tag or digest names."""
        return {
            layer.diff_id: Blob(layer.digest, layer.compressed_size)
            for image in self.images(name)
            for layer in image.layers
            if layer.digest is not None and layer.compressed_size is not None
        }

    def manifest_exists(self, name: str) -> bool:
        """Whether a tag or digest names anything, an image or not."""
        answer = self._ask("HEAD", f"{self.path}/manifests/{name}", {"Accept": ", ".join(_KINDS)})
        answer.close()
        return answer.ok

    def has(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        answer = self._ask("HEAD", f"{self.path}/blobs/{digest}")
        answer.close()
        return answer.ok  # a redirect to where it is stored counts

    # -- documents --------------------------------------------------------------------------------

    def _read(self, name: str, descriptor: Mapping[str, Any] | None) -> Iterable[Image]:
        data = self._get(f"{self.path}/manifests/{name}", _KINDS)
        if data is None:
            return
        what = self._what(f"the manifest {name}")
        if ":" in name and (wrong := check(data, name, "manifest")):
            raise FormatError(f"{what}: {wrong[0]}.")
        document = parse(data, what)
        listed = document.get("manifests")
        if isinstance(listed, list) and descriptor is None:
            for item in [item for item in listed if isinstance(item, dict)][:_PLATFORMS]:
                platform = item.get("platform")
                attested = isinstance(platform, dict) and platform.get("os") == "unknown"
                if _digest(item) and not attested:
                    yield from self._read(_digest(item), item)
            return
        config = document.get("config")
        identifier = _digest(config) if isinstance(config, dict) else ""
        layers = document.get("layers")
        if not identifier or not isinstance(layers, list):
            return  # Docker's schema 1, or an artifact
        data = self._get(f"{self.path}/blobs/{identifier}")
        if data is None:
            return
        try:
            yield image_from_config(
                data,
                identifier=identifier,
                blobs=[_layer(item) for item in layers if isinstance(item, dict)],
                what=self._what(f"the config {identifier}"),
            )
        except FormatError:
            return  # an artifact

    def _what(self, what: str) -> str:
        return f"{what} of {self.domain}/{self.path}"

    # -- requests ---------------------------------------------------------------------------------

    def _get(self, path: str, kinds: tuple[str, ...] = ()) -> bytes | None:
        """A document; None where there is none. It may be 4 MiB long and no longer."""
        answer = self._ask("GET", path, {"Accept": ", ".join(kinds)} if kinds else {})
        with answer, self._errors():
            if answer.status_code == requests.codes.not_found:
                return None
            if not answer.ok:
                raise EngineError(
                    f"The registry {self.domain} answered {answer.status_code}.", answer.status_code
                )
            return _limited(answer, self._what(path.rpartition("/")[2]))

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """One question, with the login that the registry turns out to want. Raises `WantsLogin`."""
        base = self._base or self._find()
        answer = self._send(method, f"{base}/v2/{path}", headers)
        if answer.status_code == requests.codes.unauthorized:
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.close()
            self._authorization = self._authorize(challenge)
            if self._authorization:
                answer = self._send(method, f"{base}/v2/{path}", headers)
        if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            answer.close()
            raise WantsLogin(f"The registry {self.domain} wants a login.", answer.status_code)
        return answer

    def _find(self) -> str:
        """Where the registry answers, tried in the engine's order."""
        host = _HUB_HOST if self.domain == DEFAULT_DOMAIN else self.domain
        schemes = ("https", "http") if self._insecure else ("https",)
        for scheme in schemes:
            try:
                self._send("GET", f"{scheme}://{host}/v2/").close()
            except ImgscopeError:
                if scheme == schemes[-1]:
                    raise
            else:
                self._base = f"{scheme}://{host}"
                break
        return self._base

    def _authorize(self, challenge: str) -> str:
        """The Authorization header that answers a challenge; empty where there is no answer to it."""
        scheme, _, rest = challenge.partition(" ")
        login = self._login
        if scheme.lower() == "basic":
            return _basic(login) if login and login.password else ""
        if scheme.lower() != "bearer":
            return ""
        if login and login.registry_token:
            return f"Bearer {login.registry_token}"
        said = dict(_CHALLENGE.findall(rest))
        if not said.get("realm"):
            return ""
        realm = urljoin(f"{self._base}/", said["realm"])
        if urlsplit(realm).scheme != "https" and not self._insecure:
            raise EngineError(f"The registry {self.domain} wants logins sent without TLS, to {realm}.")
        scope = f"repository:{self.path}:pull"
        query = {"service": said.get("service", ""), "scope": scope, "client_id": "imgscope"}
        if login and login.identity_token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": login.identity_token}
            answer = self._send("POST", realm, data=form)
        else:
            headers = {"Authorization": _basic(login)} if login and login.password else {}
            answer = self._send("GET", realm, headers, params=query)
        with answer, self._errors():
            if not answer.ok:
                return ""
            found = parse(_limited(answer, "the token"), f"the token for {self.domain}")
        token = found.get("token") or found.get("access_token")
        return f"Bearer {token}" if isinstance(token, str) else ""

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if time.monotonic() > self._until:
            raise EngineError(f"The registry {self.domain} is too slow to be asked.")
        sent = dict(headers or {})
        if self._authorization and url.startswith(f"{self._base}/v2/"):
            sent["Authorization"] = self._authorization
        with self._errors(), warnings.catch_warnings():
            # said of each request that the engine itself would send unchecked
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            return self._session.request(
                method,
                url,
                headers=sent,
                params=params,
                data=data,
                timeout=_TIMEOUT,
                stream=True,
                verify=not self._insecure,
                allow_redirects=method == "GET",
            )

    def _errors(self) -> _Errors:
        return _Errors(self.domain)


class _Errors:
    """What requests raises, as one sentence that holds no URL (some carry tokens)."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, requests.exceptions.SSLError):
            raise EngineError(f"No TLS connection to the registry {self._domain}.") from None
        if isinstance(error, requests.exceptions.Timeout):
            raise EngineError(f"The registry {self._domain} is too slow to be asked.") from None
        if isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError, OSError)):
            raise EngineError(f"The registry {self._domain} does not answer.") from None


def is_insecure(domain: str, config: Mapping[str, Any]) -> bool:
    """Whether an engine takes a registry without checked TLS. `config`: RegistryConfig of its /info.

    Registries on the loopback interface are, by default.
    """
    index = (config.get("IndexConfigs") or {}).get(domain)
    if isinstance(index, dict) and "Secure" in index:
        return not index["Secure"]
    if is_loopback(domain):
        return True
    try:
        address = ipaddress.ip_address(_host(domain))
        networks = [ipaddress.ip_network(item) for item in config.get("InsecureRegistryCIDRs") or []]
    except ValueError:
        return False
    return any(address in network for network in networks)


def is_loopback(domain: str) -> bool:
    """Whether a registry is on the machine of whoever asks."""
    host = _host(domain)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(domain: str) -> str:
    return re.sub(r":\d+$", "", domain).strip("[]")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _limited(answer: requests.Response, what: str) -> bytes:
    data = b""
    for chunk in answer.iter_content(1 << 16):
        data += chunk
        if len(data) > DOCUMENT_LIMIT:
            raise LimitError(f"{what} is longer than {DOCUMENT_LIMIT} bytes.")
    return data


def _digest(descriptor: Mapping[str, Any]) -> str:
    digest = descriptor.get("digest")
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else ""


def _layer(item: Mapping[str, Any]) -> Layer:
    size = item.get("size")
    return Layer(0, "", digest=_digest(item) or None, compressed_size=size if isinstance(size, int) else None)
