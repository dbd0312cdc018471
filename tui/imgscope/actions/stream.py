"""The engine's long answers: JSON events, one a line, on a connection that esc cuts."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from imgscope.actions.credentials import Credentials
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Event, Said, Transfer
from imgscope.actions.registry import RegistryClient, is_insecure, is_loopback
from imgscope.errors import AuthRequired, EngineError, ImgscopeError, NotFoundError
from imgscope.images.reference import Reference
from imgscope.job import Job

_OK, _NOT_FOUND = 200, 404
# Engines pass on what the registry or its token service said, with the status of an error of their own.
_WANTS_LOGIN = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|access to the resource is denied"
    r"|(?<!permission )denied: |pull access denied|403 forbidden",
    re.IGNORECASE,
)


def post(
    engine: Engine, path: str, query: Mapping[str, str], headers: Mapping[str, str], job: Job
) -> Generator[dict[str, Any]]:
    """The events of a POST, as they come; the engine may be silent for long before the first.

    Errors come in-band, after an answer that began well: they raise `EngineError` like all others.
    """
    path = f"{quote(path)}?{urlencode(query)}"
    with engine.errors(), engine.source.connection.request("POST", path, headers, job) as answer:
        if answer.status != _OK:
            kind = NotFoundError if answer.status == _NOT_FOUND else EngineError
            raise kind(_one_line(answer.refusal()))
        for line in answer.lines():
            if line.strip():
                yield _event(line)
            job.check()
        job.check()


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        raise EngineError(
            "The engine's answer broke off or is no JSON; look whether it still runs."
        ) from None
    if not isinstance(event, dict):
        return {}
    detail = event.get("errorDetail")
    said = (detail.get("message") if isinstance(detail, dict) else None) or event.get("error")
    if said:
        raise EngineError(_one_line(said))
    return event


def _one_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")


def registry_error(error: ImgscopeError, what: str, registry: str, credentials: Credentials) -> ImgscopeError:
    """What a push, pull or login came to, as one sentence; `AuthRequired` where a login would help."""
    said = str(error).rstrip(".")
    login = credentials.find(registry)
    if _WANTS_LOGIN.search(said):
        missing = "may require" in said  # Docker Hub does not tell what is private from what is not there
        return auth_required(registry, credentials, missing=missing)
    said = login.hide(said) if login else said
    if isinstance(error, NotFoundError):
        return NotFoundError(f"{what}: {said}.")
    return EngineError(f"{what}: {said}.", getattr(error, "status", None))


def auth_required(registry: str, credentials: Credentials, *, missing: bool = False) -> AuthRequired:
    """The registry wants a login, or refused the one there is."""
    login = credentials.find(registry)
    problem = credentials.problem(registry)
    wants = "has no such repository, or wants a login for it" if missing else "wants a login"
    if login is None:
        why = f" ({problem})" if problem else ""
        # a login of one run is of use to the next only where a helper keeps it
        way = (
            f"imgscope login {registry} --store"
            if credentials.helper(registry)
            else f"docker login {registry}"
        )
        return AuthRequired(f"The registry {registry} {wants}{why}; log in with {way}.", registry)
    who = login.username or "the token's owner"
    refused = "has no such repository, or refused" if missing else "refused"
    return AuthRequired(
        f"The registry {registry} {refused} the login of {who}; log in again, or ask for access.", registry
    )


def progress(event: Mapping[str, Any]) -> Event | None:
    """What an event of a push or pull tells a person.

    Totals of a push are unpacked bytes, and what is done may pass them: then the total follows.
    """
    status, part, detail = event.get("status"), event.get("id"), event.get("progressDetail")
    if not status:
        return None
    if not part or detail is None:
        return Said(_one_line(f"{part}: {status}" if part else status))
    done, total = (_count(detail, key) for key in ("current", "total"))
    return Transfer(str(part), _one_line(status), done, max(done, total) or None)


def _count(detail: object, key: str) -> int:
    value = detail.get(key) if isinstance(detail, dict) else None
    return value if isinstance(value, int) else 0


def open_registry(engine: Engine, reference: Reference, credentials: Credentials) -> RegistryClient:
    """The registry of a reference, as the engine sees it. Raises `EngineError` where it is out of sight."""
    domain = reference.domain
    if is_loopback(domain) and not engine.where.startswith(("unix:", "http+unix:", "npipe:")):
        raise EngineError(f"{domain} is on the engine's own machine, and this is another one.")
    with engine.errors():
        config = engine.client.info().get("RegistryConfig") or {}
    insecure = is_insecure(domain, config)
    return RegistryClient(domain, reference.path, credentials.find(domain), insecure=insecure)
