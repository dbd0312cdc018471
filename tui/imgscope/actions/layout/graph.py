"""Which blobs of an OCI layout refer to which: what is reachable from index.json, and so must stay.

Rules: OCI image specification, `image-layout.md`, `image-index.md`, `manifest.md` (`subject` too) and
`descriptor.md`. Whatever has a digest in a document counts as referred to, in fields that nobody knows
yet, too: rather a blob too many stays than one too few.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

from imgscope.errors import FormatError, NotFoundError
from imgscope.images.manifest import blob_name, check, parse
from imgscope.sources.blobs import FolderBlobs

_DOCUMENTS = frozenset(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    )
)
_DIGESTS = ("digest", "blobsum")  # the latter in Docker's schema 1


class Role(Enum):
    """What a descriptor says of its blob."""

    DOCUMENT = auto()  # it refers to more
    SUBJECT = auto()  # so does this, but it need not be there (manifest.md)
    OPAQUE = auto()  # listed as a manifest, of a type that nobody knows: the content tells
    LEAF = auto()  # config, layer: it ends here


class Ref(NamedTuple):
    """A digest, and what its blob is."""

    digest: str
    role: Role


@dataclass(slots=True)
class Reach:
    """What can be reached: digests in the order of the walk, and the documents that are not there."""

    digests: dict[str, None] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)

    def __contains__(self, digest: str) -> bool:
        return digest in self.digests


def refs(document: object, place: str = "") -> Iterator[Ref]:
    """All that a document refers to. `place` is the field that it is in itself: `manifests`."""
    stack: list[tuple[object, str]] = [(document, place)]
    while stack:
        value, place = stack.pop()
        if isinstance(value, list):
            stack += [(item, place) for item in reversed(value)]
        elif isinstance(value, dict):
            # Go takes the names of fields in any case, and so do the tools written in it
            fields = {str(name).lower(): item for name, item in value.items()}
            for name in _DIGESTS:
                if isinstance(digest := fields.get(name), str) and ":" in digest:
                    yield Ref(_small(digest), _role(fields.get("mediatype"), place))
            stack += [(item, name) for name, item in reversed(fields.items())]


def _small(digest: str) -> str:
    """A digest in hex digits as files are named by it: a file system may take large letters as well."""
    return digest.lower() if digest[:3].lower() == "sha" else digest


def _role(media_type: object, place: str) -> Role:
    if place == "subject":
        return Role.SUBJECT
    if media_type in _DOCUMENTS:
        return Role.DOCUMENT
    if place != "manifests":
        return Role.LEAF
    if isinstance(media_type, str) and media_type and not media_type.lower().endswith("json"):
        return Role.OPAQUE
    return Role.DOCUMENT


class Graph:
    """The references between the blobs in a folder, each document read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = FolderBlobs(folder)
        self._known: dict[Ref, tuple[Ref, ...] | None] = {}

    def reach(self, roots: Iterable[Ref], *, strict: bool = True) -> Reach:
        """All that the roots lead to, themselves included.

        Raises `FormatError` where a document cannot be read or has another digest: what it refers to
        is not known then. Not `strict`: it counts as if it referred to nothing.
        """
        found = Reach()
        seen: set[Ref] = set()
        stack = list(roots)[::-1]
        while stack:
            ref = stack.pop()
            if ref in seen:
                continue
            seen.add(ref)
            found.digests[ref.digest] = None
            try:
                below = self._below(ref)
            except FormatError:
                if strict:
                    raise
                continue
            if below is not None:
                stack += below[::-1]
            elif ref.role is Role.DOCUMENT:
                found.missing[ref.digest] = None
        return found

    def document(self, digest: str) -> dict[str, Any] | None:
        """A document, None where it is not there; raises `FormatError` where it is damaged."""
        data = self._read(digest)
        return None if data is None else self._parse(digest, data)

    def _below(self, ref: Ref) -> tuple[Ref, ...] | None:
        """What a blob refers to; None where it is a document that is not there."""
        if ref.role is Role.LEAF or (ref.role is Role.OPAQUE and not self._like_json(ref.digest)):
            return ()
        if ref not in self._known:
            document = self.document(ref.digest)
            self._known[ref] = None if document is None else tuple(refs(document))
        return self._known[ref]

    def _read(self, digest: str) -> bytes | None:
        try:
            return self._blobs.read(blob_name(digest) or digest)
        except NotFoundError:
            return None
        except FormatError as error:
            raise self._damaged(digest, str(error)) from None

    def _parse(self, digest: str, data: bytes) -> dict[str, Any]:
        for problem in check(data, digest, "document"):
            raise self._damaged(digest, problem)
        try:
            return parse(data, digest)
        except FormatError as error:
            raise self._damaged(digest, str(error)) from None

    def _damaged(self, digest: str, why: str) -> FormatError:
        return FormatError(
            f"Nothing in {self._folder} may be deleted, for what {digest} refers to cannot be told "
            f"({why.rstrip('.')}); restore it, or remove the image that it belongs to."
        )

    def _like_json(self, digest: str) -> bool:
        """Whether a blob begins as a JSON object does. The reading itself tells what is wrong with it."""
        try:
            fd = os.open(self._folder / (blob_name(digest) or digest), os.O_RDONLY | os.O_NONBLOCK)
            try:
                return os.pread(fd, 512, 0).lstrip()[:1] == b"{"
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
