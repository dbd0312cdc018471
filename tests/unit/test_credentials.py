"""Logins out of docker's config.json and of credential helpers."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from imgscope.actions.credentials import HUB, Credentials, Login
from imgscope.errors import ImgscopeError, UsageError
from tests.support.helper import Helper, write_config

SECRET = "s3cret:with:colons"


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    return Helper(tmp_path / "bin", monkeypatch)


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def decoded(header: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return found


def find(tmp_path: Path, config: object, registry: str) -> Login | None:
    return Credentials(write_config(tmp_path / "config", config)).find(registry)


@pytest.mark.parametrize(
    ("key", "registry", "found"),
    [
        ("localhost:5000", "localhost:5000", True),
        ("https://localhost:5000", "localhost:5000", True),
        ("https://localhost:5000/v1/", "localhost:5000", True),
        ("localhost", "localhost:5000", False),
        (HUB, "docker.io", True),
        ("docker.io", "docker.io", False),  # as for the docker command line
        ("ghcr.io", "docker.io", False),
    ],
)
def test_file(tmp_path: Path, key: str, registry: str, found: bool) -> None:
    login = find(tmp_path, {"auths": {key: auth("ann", SECRET)}}, registry)
    assert login == (Login("ann", SECRET) if found else None)


def test_tokens_and_old_forms(tmp_path: Path) -> None:
    config = {
        "auths": {
            "a": {**auth("ann", ""), "identitytoken": "it"},
            "b": {"registrytoken": "rt"},
            "c": {"username": "ann", "password": SECRET},
            "d": {"auth": "no base64 ###"},
            "e": {},
            "f": "text",
            "g": {"auth": 7},
        }
    }
    assert find(tmp_path, config, "a") == Login("ann", identity_token="it")
    assert find(tmp_path, config, "b") == Login(registry_token="rt")
    assert find(tmp_path, config, "c") == Login("ann", SECRET)
    for name in "defgh":
        assert find(tmp_path, config, name) is None


def test_header(tmp_path: Path) -> None:
    credentials = Credentials(write_config(tmp_path, {"auths": {HUB: auth("ann", "p>?ÿ")}}))
    assert decoded(credentials.header("docker.io")) == {
        "username": "ann",
        "password": "p>?ÿ",
        "serveraddress": HUB,
    }
    assert decoded(credentials.header("other")) == {}
    assert decoded(Login("ann", identity_token="it").header("r")) == {
        "username": "ann",
        "identitytoken": "it",
        "serveraddress": "r",
    }


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", "[" * 100_000, '{"auths": []}', '{"credHelpers": 3}']
)
def test_broken_file_is_no_login(tmp_path: Path, content: str) -> None:
    credentials = Credentials(write_config(tmp_path, content))
    assert credentials.find("r") is None
    assert credentials.helper("r") is None
    assert credentials.header("r")


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nowhere"))
    credentials = Credentials()
    assert credentials.find("r") is None
    assert credentials.problem("r") == ""


def test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_config(tmp_path / ".docker", {"auths": {"r": auth("home", "1")}})
    assert Credentials().find("r") == Login("home", "1")
    write_config(tmp_path / "other", {"auths": {"r": auth("other", "1")}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "other"))
    assert Credentials().find("r") == Login("other", "1")


def test_typed_comes_first_and_stays_in_memory(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "config", {"auths": {"r": auth("file", "1")}})
    before = (folder / "config.json").read_bytes()
    credentials = Credentials(folder)
    credentials.remember("r", Login("typed", SECRET))
    assert credentials.find("r") == Login("typed", SECRET)
    assert Credentials(folder).find("r") == Login("file", "1")
    assert [path.read_bytes() for path in folder.iterdir()] == [before]


def test_secrets_are_not_shown() -> None:
    login = Login("ann", SECRET, "identity-1", "registry-1")
    assert not any(secret in repr(login) for secret in (SECRET, "identity-1", "registry-1"))
    assert login.hide(f"a {SECRET} b identity-1 registry-1") == "a *** b *** ***"


# -- helpers --------------------------------------------------------------------------------------


def test_helper_keeps_and_gives(tmp_path: Path, helper: Helper) -> None:
    folder = write_config(tmp_path / "config", {"credsStore": "test", "auths": {"r": {}}})
    credentials = Credentials(folder)
    assert credentials.helper("r") == "docker-credential-test"
    assert credentials.find("r") is None
    assert credentials.problem("r") == ""  # having none is nothing wrong
    assert credentials.store("r", Login("ann", SECRET)) == "docker-credential-test"
    assert helper.kept == {"r": {"Username": "ann", "Secret": SECRET}}
    assert SECRET.encode() not in helper.seen
    assert Credentials(folder).find("r") == Login("ann", SECRET)
    assert SECRET.encode() not in helper.seen
    assert SECRET not in (folder / "config.json").read_text()


def test_identity_token_goes_through_a_helper(tmp_path: Path, helper: Helper) -> None:
    credentials = Credentials(write_config(tmp_path / "config", {"credsStore": "test"}))
    credentials.store("docker.io", Login("ann", identity_token="it"))
    assert helper.kept == {HUB: {"Username": "<token>", "Secret": "it"}}
    assert credentials.find("docker.io") == Login(identity_token="it")


def test_registrys_own_helper_comes_first(tmp_path: Path, helper: Helper) -> None:
    config = {
        "credsStore": "not-there",
        "credHelpers": {"r": "test"},
        "auths": {"r": auth("file", "1"), "s": auth("file", "1")},
    }
    credentials = Credentials(write_config(tmp_path / "config", config))
    credentials.store("r", Login("ann", SECRET))
    assert credentials.find("r") == Login("ann", SECRET)
    assert credentials.helper("s") == "docker-credential-not-there"


@pytest.mark.parametrize("name", ["not-there", "../bin/x", "/bin/true"])
def test_missing_helper_is_no_login(tmp_path: Path, name: str) -> None:
    credentials = Credentials(write_config(tmp_path / "config", {"credsStore": name}))
    assert credentials.find("r") is None
    assert decoded(credentials.header("r")) == {}
    assert credentials.problem("r") == (
        f"docker-credential-{name} is not installed, and config.json names it for logins"
    )
    with pytest.raises(ImgscopeError, match="is not installed"):
        credentials.store("r", Login("ann", SECRET))


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("#!/bin/sh\necho locked; exit 1\n", "docker-credential-test get failed: locked"),
        ("#!/bin/sh\nexit 3\n", "docker-credential-test get failed: status 3"),
        ("#!/bin/sh\necho '{}'\n", "docker-credential-test answered what is no login"),
        ("#!/bin/sh\necho '[1]'\n", "docker-credential-test answered what is no login"),
        ("#!/bin/sh\necho hello\n", "docker-credential-test answered what is no login"),
        ("#!/nowhere/sh\n", "docker-credential-test does not run (No such file or directory)"),
        ("no program", "docker-credential-test does not run (Exec format error)"),
    ],
)
def test_broken_helper_is_no_login(tmp_path: Path, helper: Helper, script: str, problem: str) -> None:
    helper.write(script)
    credentials = Credentials(write_config(tmp_path / "config", {"credsStore": "test"}))
    assert credentials.find("r") is None
    assert credentials.problem("r") == problem


def test_helper_that_tells_the_secret_in_its_error(tmp_path: Path, helper: Helper) -> None:
    helper.write("#!/bin/sh\nread line; echo cannot store $line; exit 1\n")
    credentials = Credentials(write_config(tmp_path / "config", {"credsStore": "test"}))
    with pytest.raises(ImgscopeError) as caught:
        credentials.store("r", Login("ann", SECRET))
    assert "cannot store" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_storing_without_a_helper_is_refused(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    with pytest.raises(UsageError, match="No credential helper is configured for r; name one as credsStore"):
        credentials.store("r", Login("ann", SECRET))
    assert list(tmp_path.iterdir()) == []
