"""Logging in to a registry: checked by the engine, kept in memory or by a credential helper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imgscope.actions.credentials import Credentials, Login, key
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, Said, command
from imgscope.actions.stream import registry_error
from imgscope.errors import AuthRequired, ImgscopeError, UsageError
from imgscope.images.reference import Reference
from imgscope.job import Job


def parse_registry(text: str) -> str:
    """A registry as references name it (`docker.io`, `localhost:5000`), out of what a person writes.

    Raises `UsageError`.
    """
    name = text.strip().removeprefix("https://").removeprefix("http://").partition("/")[0] or "docker.io"
    if name == "docker.io" or key(name) != name:
        return "docker.io"
    domain = Reference.parse(f"{name}/x").domain
    if domain != name:
        raise UsageError(f"{text!r} is no registry; write it as host or host:port, as in localhost:5000.")
    return domain


def require_helper(registry: str, credentials: Credentials) -> str:
    """The program that can keep the registry's login; `UsageError` where none is configured."""
    helper = credentials.helper(registry)
    if helper is None:
        raise UsageError(
            f"No credential helper is configured for {registry}, so nothing can keep the login safely; "
            "name one as credsStore in docker's config.json."
        )
    return helper


@dataclass(frozen=True, slots=True)
class LogIn:
    """`store` hands the login to the configured helper; else `credentials` remembers it for this run."""

    engine: Engine
    registry: str
    username: str
    password: str = field(repr=False)
    credentials: Credentials
    store: bool = False

    def describe(self) -> Plan:
        """Where the login is checked and where it is kept; `UsageError` where no helper can keep it."""
        registry = parse_registry(self.registry)
        if not self.username or not self.password:
            raise UsageError("A login needs a user name and a password.")
        keeps = "it is kept in memory until imgscope ends"
        if self.store:
            keeps = f"{require_helper(registry, self.credentials)} keeps the login"
        name = () if registry == "docker.io" else (registry,)
        return Plan(
            title=f"Log in to {registry} as {self.username}",
            command=command("docker", "login", "--username", self.username, "--password-stdin", *name),
            lines=(f"the engine at {self.engine.where} checks the login with the registry", keeps),
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """Raises `AuthRequired` where the registry refuses; nothing is kept then."""
        self.describe()
        registry = parse_registry(self.registry)
        login = Login(self.username, self.password)
        job.check()
        yield Said(f"asking {registry}")
        try:
            token = self._check(registry, login)
        except ImgscopeError as error:
            tried = Credentials(self.credentials.folder)
            tried.remember(registry, login)
            found = registry_error(error, f"Not logged in to {registry}", registry, tried)
            if isinstance(found, AuthRequired):
                raise AuthRequired(
                    f"The registry {registry} refused the login of {self.username}; "
                    "look at the user name and the password.",
                    registry,
                ) from None
            raise found from None
        if token:
            login = Login(self.username, identity_token=token)
        kept = "for this run"
        if self.store:
            kept = f"by {self.credentials.store(registry, login)}"
        self.credentials.remember(registry, login)
        yield Done(f"Logged in to {registry} as {self.username}; the login is kept {kept}")

    def _check(self, registry: str, login: Login) -> str:
        """Have the engine try the login; gives the identity token that some registries want from then on."""
        api = self.engine.client
        content = {"username": login.username, "password": login.password, "serveraddress": key(registry)}
        with self.engine.errors():
            response = api.post(f"{api.base_url}/v{api.api_version}/auth", json=content, timeout=60)
            api._raise_for_status(response)
            try:
                answer = response.json()
            except ValueError:
                return ""
        token = answer.get("IdentityToken") if isinstance(answer, dict) else None
        return token if isinstance(token, str) else ""
