"""Image references: `[domain/]path[:tag][@digest]`, parsed and normalised.

Grammar, limits and the rules of the short forms: github.com/distribution/reference (`reference.go`
and `normalize.go`), as docker reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from imgscope.errors import UsageError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_LEGACY_DOMAIN = "index.docker.io"

_MAX_PATH = 255  # characters of the path, "library/" included
_MAX_TAG = 128
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[a-fA-F0-9:]+\]"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]*", re.ASCII)
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an image. `domain` and `path` are never empty; `tag` and `digest` are None where absent.

    `str` gives the normalised text, `docker.io/library/ubuntu:24.04`.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`ubuntu` → docker.io/library/ubuntu; no tag is added.

        Raises `UsageError` that says what is wrong and at which character (from 1). An image id
        (64 hex digits) is no reference.
        """
        return _Parser(text).parse()

    def __str__(self) -> str:
        return f"{self.domain}/{self.path}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The short form as docker prints it: `ubuntu:24.04`, `me/app`, `localhost:5000/x`.

        The full form where the short one would name something else (`docker.io/a.b/c`).
        """
        if self.domain != DEFAULT_DOMAIN:
            return str(self)
        short = self.path.removeprefix(_OFFICIAL)
        short = (self.path if "/" in short else short) + self._suffix
        try:
            return short if Reference.parse(short) == self else str(self)
        except UsageError:
            return str(self)

    def with_default_tag(self) -> Reference:
        """This reference with the tag `latest` where it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_id(text: str) -> bool:
    """Whether the text is a whole image id: 64 hex digits, with or without `sha256:`."""
    return _ID.fullmatch(text) is not None


def same(a: str, b: str) -> bool:
    """Whether two texts name the same thing: `ruby`, `ruby:latest` and `docker.io/library/ruby:latest` do.

    Where both have a digest the tag does not count, as for a pull. Text that is no reference is
    compared as it stands; never raises, so names out of an image may be given.
    """
    return a == b or _canonical(a) == _canonical(b)


@lru_cache(maxsize=8192)  # an engine's names are compared again and again
def _canonical(text: str) -> str:
    try:
        reference = Reference.parse(text).with_default_tag()
    except UsageError:
        return text
    return str(replace(reference, tag=None) if reference.digest else reference)


class _Parser:
    """One text on its way to a `Reference`; keeps the text to say where it goes wrong."""

    def __init__(self, text: str) -> None:
        self.text = text

    def parse(self) -> Reference:
        text = self.text
        if not text:
            raise UsageError("The image reference is empty; write it as name[:tag], as in ubuntu:24.04.")
        if is_id(text):
            raise UsageError(f"{text!r} is an image id, not a name.")
        if "://" in text:
            raise self._error("leave out the scheme, up to and with '://'", text.index("://"))

        named, at, digest = text.partition("@")
        if at:
            self._check_digest(digest, len(named) + 1)
        colon = named.find(":", named.rfind("/") + 1)
        name, tag = (named, None) if colon < 0 else (named[:colon], named[colon + 1 :])
        if tag is not None:
            self._check_tag(tag, colon + 1)

        first, slash, rest = name.partition("/")
        # a dot makes no host of what can be none: docker takes 0.0_0/x for a path
        only_path = _COMPONENT.fullmatch(first) and not _HOST.fullmatch(first)
        if slash and not only_path and (first == "localhost" or re.search("[.:A-Z]", first)):
            self._check_domain(first)
            domain, path = first, rest
        else:
            domain, path = DEFAULT_DOMAIN, name
        self._check_path(path, len(name) - len(path))
        if domain == _LEGACY_DOMAIN:
            domain = DEFAULT_DOMAIN
        if domain == DEFAULT_DOMAIN and "/" not in path:
            path = _OFFICIAL + path
        if len(path) > _MAX_PATH:
            raise self._error(f"the name has {len(path)} characters and may have {_MAX_PATH}")
        return Reference(domain, path, tag, digest if at else None)

    def _check_domain(self, domain: str) -> None:
        match = _HOST.match(domain)
        if match is None:
            raise self._error(f"a registry's host name cannot start with {domain[:1]!r}", 0)
        port = domain[match.end() :]
        if port and not re.fullmatch(":[0-9]+", port):
            what = "the port must be a number" if port[0] == ":" else f"a host name has no {port[0]!r} there"
            raise self._error(what, match.end())

    def _check_path(self, path: str, start: int) -> None:
        for component in path.split("/"):
            match = _COMPONENT.match(component)
            end = match.end() if match else 0
            if end < len(component):
                char = component[end]
                if "A" <= char <= "Z":
                    what = f"the name must be lowercase, but has {char!r}"
                elif char in "._-":
                    what = f"{char!r} must stand between letters or digits, and only '_' and '-' may repeat"
                else:
                    what = f"a name has no {char!r}"
                raise self._error(what, start + end)
            if not component:
                raise self._error("a part of the name is empty" if path else "the name is empty", start)
            start += len(component) + 1

    def _check_tag(self, tag: str, start: int) -> None:
        if not tag:
            raise self._error("the tag after ':' is empty", start - 1)
        match = _TAG.match(tag)
        end = match.end() if match else 0
        if end < len(tag):
            raise self._error(f"a tag {'has no' if end else 'cannot start with'} {tag[end]!r}", start + end)
        if len(tag) > _MAX_TAG:
            raise self._error(f"the tag has {len(tag)} characters and may have {_MAX_TAG}", start)

    def _check_digest(self, digest: str, start: int) -> None:
        algorithm, colon, digits = digest.partition(":")
        wanted = _HEX_DIGITS.get(algorithm)
        if not colon or wanted is None:
            raise self._error("after '@' comes a digest, as in @sha256: and 64 hex digits", start - 1)
        start += len(algorithm) + 1
        match = _HEX.match(digits)
        end = match.end() if match else 0
        if end < len(digits):
            raise self._error(f"a digest has no {digits[end]!r}", start + end)
        if len(digits) != wanted:
            raise self._error(f"a {algorithm} digest has {wanted} hex digits, not {len(digits)}", start)

    def _error(self, what: str, at: int | None = None) -> UsageError:
        shown = self.text if len(self.text) <= 100 else self.text[:99] + "…"
        where = "" if at is None else f" (character {at + 1})"
        return UsageError(f"{shown!r} is no image reference: {what}{where}.")
