"""Logins for registries, found as the docker command line finds them, or typed in this run.

Rules: github.com/docker/cli, `cli/config` (config.json: auths, credsStore, credHelpers), and
github.com/docker/docker-credential-helpers for the programs. Secrets are kept in memory, or handed to
a helper on its stdin; they are written to no file here and put into no text that a person reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from imgscope.errors import ImgscopeError, UsageError
from imgscope.images.reference import DEFAULT_DOMAIN

HUB = "https://index.docker.io/v1/"  # what Docker Hub is called in config.json and by helpers
_TOKEN_USER = "<token>"  # noqa: S105 - the user name by which helpers mark an identity token
_HELPER_SECONDS = 60  # a helper may ask the person for a key's passphrase, in a window of its own


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with a password, or a token in its place."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def header(self, registry: str) -> str:
        """The value of X-Registry-Auth, as the engine's API wants it."""
        return encode_header(
            {
                "username": self.username,
                "password": self.password,
                "identitytoken": self.identity_token,
                "registrytoken": self.registry_token,
                "serveraddress": key(registry),
            }
        )

    def hide(self, text: str) -> str:
        """The text with the secrets taken out, wherever it came from."""
        for secret in (self.password, self.identity_token, self.registry_token):
            if secret:
                text = text.replace(secret, "***")
        return text


def encode_header(content: Mapping[str, str]) -> str:
    """JSON in URL-safe base64, empty fields left out; nothing at all says: no login."""
    kept = {name: value for name, value in content.items() if value}
    return base64.urlsafe_b64encode(json.dumps(kept).encode()).decode()


ANONYMOUS_HEADER = encode_header({})


def key(registry: str) -> str:
    """What a registry, named as in references, is called in config.json and by helpers."""
    return HUB if registry in (DEFAULT_DOMAIN, "index.docker.io", "registry-1.docker.io") else registry


class Credentials:
    """The logins of this run. Safe to use from several threads.

    Nothing that is wrong with the configuration or with a helper keeps anyone from working without a
    login: `problem` says it in a sentence for where one is missed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds config.json; by default DOCKER_CONFIG, else ~/.docker."""
        self.folder = folder or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        self._typed: dict[str, Login] = {}
        self._problems: dict[str, str] = {}
        self._lock = Lock()

    def find(self, registry: str) -> Login | None:
        """The login for a registry (`docker.io`, `localhost:5000`); None where there is none.

        What was typed in this run comes first; then the registry's helper, else the file.
        """
        name = key(registry)
        with self._lock:
            self._problems.pop(name, None)
            if name in self._typed:
                return self._typed[name]
        config = self._config(name)
        helper = _helper(config, name)
        if not helper:
            return _from_file(config, name)
        try:
            return _get(helper, name)
        except ImgscopeError as error:
            self._note(name, str(error))
            return None

    def header(self, registry: str) -> str:
        """The value of X-Registry-Auth for a registry, with or without a login."""
        login = self.find(registry)
        return login.header(registry) if login else ANONYMOUS_HEADER

    def problem(self, registry: str) -> str:
        """What went wrong when the registry's login was last looked for; empty where nothing did."""
        with self._lock:
            return self._problems.get(key(registry), "")

    def remember(self, registry: str, login: Login) -> None:
        """Keep a login in memory, until the program ends."""
        with self._lock:
            self._typed[key(registry)] = login

    def helper(self, registry: str) -> str | None:
        """The program that keeps this registry's logins (`docker-credential-pass`); None: none is set."""
        name = key(registry)
        helper = _helper(self._config(name), name)
        return _program(helper) if helper else None

    def store(self, registry: str, login: Login) -> str:
        """Hand a login to the configured helper and give the helper's name.

        Raises `UsageError` where none is configured: nothing is ever written in clear.
        """
        name = key(registry)
        helper = _helper(self._config(name), name)
        if not helper:
            raise UsageError(
                f"No credential helper is configured for {registry}; "
                f"name one as credsStore in {self.folder / 'config.json'}."
            )
        secret = {"ServerURL": name, "Username": login.username, "Secret": login.password}
        if login.identity_token:
            secret |= {"Username": _TOKEN_USER, "Secret": login.identity_token}
        _call(helper, "store", json.dumps(secret), login)
        return _program(helper)

    def _config(self, name: str) -> dict[str, Any]:
        path = self.folder / "config.json"
        try:
            config = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            config = None
        if isinstance(config, dict):
            return config
        self._note(name, f"{path} cannot be read")
        return {}

    def _note(self, name: str, problem: str) -> None:
        with self._lock:
            self._problems[name] = problem.rstrip(".")


# -- config.json ----------------------------------------------------------------------------------


def _helper(config: Mapping[str, Any], name: str) -> str:
    """The suffix of the registry's helper; empty where the file keeps its logins."""
    helpers = config.get("credHelpers")
    chosen = helpers.get(name) if isinstance(helpers, dict) else None
    # Docker Hub may be named as in references, too
    if chosen is None and isinstance(helpers, dict) and name == HUB:
        chosen = helpers.get(DEFAULT_DOMAIN)
    chosen = chosen or config.get("credsStore")
    return chosen if isinstance(chosen, str) else ""


def _from_file(config: Mapping[str, Any], name: str) -> Login | None:
    auths = config.get("auths")
    if not isinstance(auths, dict):
        return None
    entry = auths.get(name)
    if entry is None:  # old files name registries by their URL
        entry = next((value for url, value in auths.items() if _host(url) == name), None)
    if not isinstance(entry, dict):
        return None

    def text(field: str) -> str:
        value = entry.get(field)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if text("auth"):
        try:
            username, _, password = base64.b64decode(text("auth")).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        password = password.rstrip("\0")
    login = Login(username, password, text("identitytoken"), text("registrytoken"))
    return None if login == Login() else login


def _host(url: str) -> str:
    return url.removeprefix("http://").removeprefix("https://").partition("/")[0]


# -- helpers --------------------------------------------------------------------------------------


def _program(helper: str) -> str:
    return f"docker-credential-{helper}"


def _get(helper: str, name: str) -> Login | None:
    said = _call(helper, "get", name)
    if said is None:
        return None
    try:
        found = json.loads(said)
        username, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ImgscopeError(f"{_program(helper)} answered what is no login.") from None
    if username == _TOKEN_USER:
        return Login(identity_token=secret)
    return Login(username, secret)


def _call(helper: str, verb: str, text: str, login: Login | None = None) -> str | None:
    """Run a helper; gives its stdout, or None where it has no such login. Secrets go by its pipes only."""
    program = _program(helper)
    path = None if "/" in helper else shutil.which(program)
    if path is None:
        raise ImgscopeError(f"{program} is not installed, and config.json names it for logins.")
    try:
        done = subprocess.run(
            [path, verb],
            check=False,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the screen is not its own
            timeout=_HELPER_SECONDS,
            start_new_session=True,  # it has no terminal to take over
        )
    except subprocess.TimeoutExpired:
        raise ImgscopeError(f"{program} {verb} gave no answer within {_HELPER_SECONDS} s.") from None
    except OSError as error:
        raise ImgscopeError(f"{program} does not run ({error.strerror}).") from None
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0:
        return said
    if "credentials not found" in said:
        return None
    said = " ".join((login.hide(said) if login else said).split())[:200]
    raise ImgscopeError(f"{program} {verb} failed: {said.rstrip('.') or f'status {done.returncode}'}.")
