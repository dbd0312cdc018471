"""The client that asks registries, against registries of every manner, good and bad."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imgscope.actions.credentials import Login
from imgscope.actions.registry import Blob, RegistryClient, WantsLogin, is_insecure, is_loopback
from imgscope.errors import EngineError, FormatError, ImgscopeError, LimitError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REPOSITORY = "me/app"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Fake:
    """A registry whose every answer a test can set: path → status, headers, body."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {"/v2/": (200, {}, b"{}")}
        self.asked: list[tuple[str, str, str]] = []  # method, path with query, Authorization
        self.forms: list[str] = []
        self.token = ""  # where set, only who brings it is answered
        self.challenge = ""

        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                length = int(self.headers.get("Content-Length") or 0)
                fake.forms.append(self.rfile.read(length).decode())
                authorization = self.headers.get("Authorization", "")
                fake.asked.append((self.command, self.path, authorization))
                status, headers, body = fake.answers.get(path, (404, {}, b"{}"))
                if fake.challenge and path.startswith("/v2/") and authorization != fake.token:
                    status, headers, body = 401, {"WWW-Authenticate": fake.challenge}, b"{}"
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_POST = do_GET  # noqa: N815 - the server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def client(self, login: Login | None = None) -> RegistryClient:
        return RegistryClient(self.host, REPOSITORY, login, insecure=True)

    def serve(self, path: str, content: Any, **headers: str) -> bytes:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.answers[path] = (200, headers, data)
        return data

    def image(self, tag: str, *sizes: int, architecture: str = "amd64") -> dict[str, Any]:
        """Serve an image whose layers have these compressed sizes. Gives its descriptor."""
        diff_ids = [sha256(f"{tag}{architecture}{number}".encode()) for number in range(len(sizes))]
        config = {
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        data = json.dumps(config).encode()
        self.serve(f"/v2/{REPOSITORY}/blobs/{sha256(data)}", data)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"digest": sha256(data), "size": len(data)},
            "layers": [
                {"digest": sha256(f"blob {diff_id}".encode()), "size": size}
                for diff_id, size in zip(diff_ids, sizes, strict=True)
            ],
        }
        data = self.serve(f"/v2/{REPOSITORY}/manifests/{tag}", manifest)
        self.serve(f"/v2/{REPOSITORY}/manifests/{sha256(data)}", data)
        return {"digest": sha256(data), "size": len(data), "mediaType": MANIFEST}


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


def test_layers_by_diff_id(fake: Fake) -> None:
    fake.image("1", 10, 20)
    diff_ids = [sha256(f"1amd64{number}".encode()) for number in range(2)]
    with fake.client() as client:
        assert client.blobs("1") == {
            diff_id: Blob(sha256(f"blob {diff_id}".encode()), size)
            for diff_id, size in zip(diff_ids, (10, 20), strict=True)
        }
        (image,) = client.images("1")
    assert image.diff_ids == tuple(diff_ids)


def test_all_platforms_of_an_index(fake: Fake) -> None:
    manifests = [
        {**fake.image("a", 10), "platform": {"os": "linux", "architecture": "amd64"}},
        {
            **fake.image("b", 20, architecture="arm64"),
            "platform": {"os": "linux", "architecture": "arm64"},
        },
        {**fake.image("attestation", 30), "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": "../../secret"},
        {"digest": sha256(b"gone"), "platform": "text"},
        7,
    ]
    fake.serve(f"/v2/{REPOSITORY}/manifests/all", {"mediaType": INDEX, "manifests": manifests})
    with fake.client() as client:
        assert [str(image.platform) for image in client.images("all")] == ["linux/amd64", "linux/arm64"]
        assert sorted(blob.size for blob in client.blobs("all").values()) == [10, 20]
    assert not any("secret" in path for _, path, _ in fake.asked)


def test_what_is_not_there(fake: Fake) -> None:
    with fake.client() as client:
        assert client.images("none") == ()
        assert client.blobs("none") == {}
        assert client.tags() == []
        assert not client.manifest_exists("none")
        assert not client.has(sha256(b""))


def test_tags(fake: Fake) -> None:
    for tags, expected in ((["a", 7, None, "b"], ["a", "b"]), (None, []), ("text", [])):
        fake.serve(f"/v2/{REPOSITORY}/tags/list", {"tags": tags})
        assert fake.client().tags() == expected
    fake.serve(f"/v2/{REPOSITORY}/tags/list", {"tags": [str(number) for number in range(5000)]})
    assert len(fake.client().tags()) == 100


def test_blob_that_is_stored_elsewhere(fake: Fake) -> None:
    fake.answers[f"/v2/{REPOSITORY}/blobs/sha256:1"] = (307, {"Location": "http://192.0.2.1/"}, b"")
    assert fake.client().has("sha256:1")


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"[" * 100_000])
def test_manifest_that_is_no_document(fake: Fake, content: bytes) -> None:
    fake.serve(f"/v2/{REPOSITORY}/manifests/1", content)
    with pytest.raises(FormatError, match=f"the manifest 1 of {fake.host}/{REPOSITORY}"):
        fake.client().images("1")


@pytest.mark.parametrize("content", [{"config": 7}, {"layers": []}, {"manifests": 7}, {"fsLayers": []}])
def test_manifest_of_no_image(fake: Fake, content: object) -> None:
    fake.serve(f"/v2/{REPOSITORY}/manifests/1", content)
    assert fake.client().images("1") == ()


def test_artifact_is_no_image(fake: Fake) -> None:
    config = fake.serve(f"/v2/{REPOSITORY}/blobs/{sha256(b'no json')}", b"no json")
    fake.serve(
        f"/v2/{REPOSITORY}/manifests/1", {"config": {"digest": sha256(config)}, "layers": [{"size": "x"}]}
    )
    with fake.client() as client:
        assert client.images("1") == ()
        assert client.manifest_exists("1")


def test_manifest_of_another_digest_is_refused(fake: Fake) -> None:
    data = fake.serve(f"/v2/{REPOSITORY}/manifests/{sha256(b'other')}", {"layers": []})
    with pytest.raises(FormatError, match="does not have the digest"):
        fake.client().images(sha256(b"other"))
    assert sha256(data) != sha256(b"other")


def test_endless_document_is_not_read(fake: Fake) -> None:
    fake.serve(f"/v2/{REPOSITORY}/manifests/1", b" " * (5 << 20))
    with pytest.raises(LimitError, match="longer than 4194304 bytes"):
        fake.client().images("1")


@pytest.mark.parametrize("status", [500, 503, 418])
def test_answers_that_are_none(fake: Fake, status: int) -> None:
    fake.answers[f"/v2/{REPOSITORY}/manifests/1"] = (status, {}, b"<html>secret page")
    with pytest.raises(EngineError, match=rf"The registry {fake.host} answered {status}\.$") as caught:
        fake.client().images("1")
    assert caught.value.status == status


def test_no_registry_there(fake: Fake) -> None:
    fake.close()
    with pytest.raises(EngineError, match=rf"^The registry {fake.host} does not answer\.$"):
        fake.client().tags()


def test_answer_that_breaks_off(fake: Fake) -> None:
    fake.answers[f"/v2/{REPOSITORY}/manifests/1"] = (200, {"Content-Length": "100"}, b"{")
    with pytest.raises(ImgscopeError):
        fake.client().images("1")


# -- logins ---------------------------------------------------------------------------------------

BASIC = "Basic " + base64.b64encode(b"ann:p:w").decode()


def test_basic(fake: Fake) -> None:
    fake.image("1", 10)
    fake.challenge, fake.token = 'Basic realm="x"', BASIC
    assert fake.client(Login("ann", "p:w")).blobs("1")
    for login in (None, Login("ann", "wrong"), Login(identity_token="it")):
        with pytest.raises(WantsLogin):
            fake.client(login).blobs("1")


def test_password_goes_nowhere_unasked(fake: Fake) -> None:
    fake.image("1", 10)
    assert fake.client(Login("ann", "p:w")).blobs("1")
    assert {authorization for _, _, authorization in fake.asked} == {""}


def test_netrc_is_not_asked(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login eve password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fake.challenge, fake.token = 'Basic realm="x"', BASIC
    with pytest.raises(WantsLogin):
        fake.client().tags()
    assert {authorization for _, _, authorization in fake.asked} == {""}


@pytest.mark.parametrize(
    ("login", "method", "authorization"),
    [
        (None, "GET", ""),
        (Login("ann", "p:w"), "GET", BASIC),
        (Login(identity_token="it"), "POST", ""),
        (Login(registry_token="t1"), None, ""),
    ],
)
def test_token(fake: Fake, login: Login | None, method: str | None, authorization: str) -> None:
    fake.image("1", 10)
    fake.challenge = f'Bearer realm="http://{fake.host}/token",service="it"'
    fake.token = "Bearer t1"
    fake.serve("/token", {"token": "t1"})
    assert fake.client(login).blobs("1")
    asked = [item for item in fake.asked if item[1].startswith("/token")]
    assert [(item[0], item[2]) for item in asked] == ([(method, authorization)] if method else [])
    if method == "GET":
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(asked[0][1]).query)
        assert query["scope"] == [f"repository:{REPOSITORY}:pull"]
        assert query["service"] == ["it"]
    elif method == "POST":
        (form,) = filter(None, fake.forms)
        assert urllib.parse.parse_qs(form)["refresh_token"] == ["it"]


@pytest.mark.parametrize(
    "answer", [(401, {}, b"{}"), (200, {}, b"{}"), (200, {}, b'{"token": 7}'), (500, {}, b"")]
)
def test_token_that_is_not_given(fake: Fake, answer: tuple[int, dict[str, str], bytes]) -> None:
    fake.challenge, fake.token = f'Bearer realm="http://{fake.host}/token"', "Bearer t1"
    fake.answers["/token"] = answer
    with pytest.raises(WantsLogin):
        fake.client(Login("ann", "p:w")).tags()


@pytest.mark.parametrize("challenge", ["Negotiate", "Bearer", "x" * 5000])
def test_challenge_that_nobody_can_answer(fake: Fake, challenge: str) -> None:
    fake.challenge, fake.token = challenge, "Bearer t1"
    with pytest.raises(WantsLogin):
        fake.client(Login("ann", "p:w")).tags()
    assert {authorization for _, _, authorization in fake.asked} == {""}


def test_login_stays_with_its_registry(fake: Fake) -> None:
    """A registry that sends its readers elsewhere does not send their logins there."""
    other = Fake()
    try:
        other.serve("/blob", {"tags": ["a"]})
        fake.challenge, fake.token = 'Basic realm="x"', BASIC
        place = f"http://localhost:{other.host.rpartition(':')[2]}/blob"
        fake.answers[f"/v2/{REPOSITORY}/tags/list"] = (307, {"Location": place}, b"")
        assert fake.client(Login("ann", "p:w")).tags() == ["a"]
        assert [authorization for _, _, authorization in other.asked] == [""]
    finally:
        other.close()


# -- which registries an engine takes without checked TLS -------------------------------------------


@pytest.mark.parametrize(
    ("domain", "insecure", "loopback"),
    [
        ("localhost", True, True),
        ("localhost:5000", True, True),
        ("127.0.0.1:5000", True, True),
        ("127.9.9.9", True, True),
        ("[::1]:5000", True, True),
        ("10.1.2.3:5000", True, False),
        ("11.1.2.3:5000", False, False),
        ("named:5000", True, False),
        ("named", False, False),
        ("docker.io", False, False),
        ("localhost.example", False, False),
    ],
)
def test_insecure(domain: str, insecure: bool, loopback: bool) -> None:
    config = {
        "InsecureRegistryCIDRs": ["10.0.0.0/8", "127.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Secure": True}, "named:5000": {"Secure": False}},
    }
    assert is_insecure(domain, config) is insecure
    assert is_loopback(domain) is loopback


def test_secure_registry_is_asked_by_tls_only(fake: Fake) -> None:
    with pytest.raises(EngineError, match="TLS"):
        RegistryClient(fake.host, REPOSITORY, Login("ann", "p:w")).tags()
    assert fake.asked == []
