"""The documents of an image as a tree: index → manifest → config → layers, and their bytes.

Formats: OCI image specification (`image-layout.md`, `image-index.md`, `manifest.md`, `descriptor.md`), Docker
image manifest v2 schema 2, the manifest.json of `docker save`, and BuildKit's attestations
(`docs/attestations/attestation-storage.md`). All of it is untrusted: what is odd becomes a note.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from imgscope.errors import FormatError, NotFoundError
from imgscope.images.manifest import (
    DOCUMENT_LIMIT,
    INDEXES,
    MANIFEST_LIMIT,
    NESTING_LIMIT,
    archive_name,
    check,
    parse,
)
from imgscope.images.model import Image, short_id
from imgscope.job import Job
from imgscope.text import count_text, size_text

KEPT_LIMIT = 16 << 20  # bytes of all documents of one image that are held at once
SHOWN_LIMIT = 2000  # documents of one image

Read = Callable[[str], bytes]  # a digest, or a name in an archive → bytes; raises NotFoundError, FormatError
Size = Callable[[str], int | None]  # a name in an archive → bytes as stored


class Kind(StrEnum):
    INDEX = "index"
    MANIFEST = "manifest"
    ATTESTATION = "attestation"
    CONFIG = "config"
    LAYER = "layer"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Document:
    """One document, or one blob that a document names.

    `name` tells it from others of its kind: a file's name, a platform. `depth` counts the documents above it.
    `digest` is "" where it is filed under a name only. `size` is bytes as stored, None where nobody tells.
    `data` are these bytes where they were read, else `note` may say why not. `verified` is whether they have
    the digest, None where that was not checked. `layer` is the number of the image's own layer that it is.
    """

    kind: Kind
    name: str
    depth: int = 0
    digest: str = ""
    media_type: str = ""
    size: int | None = None
    data: bytes | None = None
    verified: bool | None = None
    layer: int | None = None
    note: str = ""


def file_document(name: str, data: bytes, kind: Kind = Kind.OTHER, note: str = "") -> Document:
    """A document that is filed under a name, such as index.json."""
    return Document(kind, name, media_type="application/json", size=len(data), data=data, note=note)


def config_document(image: Image, data: bytes, depth: int = 0, note: str = "") -> Document:
    """The config of an image."""
    if len(data) > DOCUMENT_LIMIT:
        note = f"not shown: it has more than {size_text(DOCUMENT_LIMIT)}"
        return Document(Kind.CONFIG, "config", depth, image.id, size=len(data), note=note)
    verified = not check(data, image.id, "config")
    return Document(
        Kind.CONFIG, "config", depth, image.id, size=len(data), data=data, verified=verified, note=note
    )


def layer_documents(image: Image, depth: int = 0, size: Size = lambda name: None) -> list[Document]:
    """The layers of an image where no manifest lists them: by the names that they are stored under."""
    return [
        Document(
            Kind.LAYER,
            f"layer {layer.index}",
            depth,
            layer.digest or "",
            size=size(layer.blob) if layer.compressed_size is None else layer.compressed_size,
            layer=layer.index,
            note=layer.blob,
        )
        for layer in image.layers
    ]


def saved_documents(image: Image, read: Read, size: Size) -> list[Document]:
    """What the manifest.json of `docker save` names for an image. Raises as `read`."""
    data = read("manifest.json")
    items = json.loads(data)
    found = [file_document("manifest.json", data)]
    for item in items if isinstance(items, list) else []:
        names = {str(key).lower(): value for key, value in item.items()} if isinstance(item, dict) else {}
        name = names.get("config")  # jib writes lower case
        if isinstance(name, str):
            try:
                config = read(archive_name(name))
            except (NotFoundError, FormatError):
                continue
            if "sha256:" + hashlib.sha256(config).hexdigest() == image.id:
                found.append(config_document(image, config, 1, name))
                break
    return found + layer_documents(image, 1, size)


def layout_documents(image: Image, index: bytes, read: Read, job: Job, *, name: str = "") -> list[Document]:
    """The way from an index to an image's layers, and what stands beside it on that way.

    `index` are the bytes of an index.json: of its entries only those are followed that lead to the image.
    It is itself the first document where it has a `name`. `read` gives documents by digest. Raises
    `CancelledError`, and `FormatError` where `index` is no JSON.
    """
    walk = _Walk(image, read, job)
    entries = _objects(parse(index, name or "the index"), "manifests")
    leading = [entry for entry in entries if walk.leads(entry)]
    found = []
    if name:
        others = len(entries) - len(leading)
        note = f"names {count_text(others, 'other')} as well" if others else ""
        found.append(file_document(name, index, Kind.INDEX, note))
    for entry in leading:
        for document in walk.below(entry, 1 if name else 0):
            found.append(document)
            if len(found) >= SHOWN_LIMIT:
                note = f"no more than {SHOWN_LIMIT} documents are shown"
                return [*found, Document(Kind.OTHER, "…", note=note)]
    return found


class _Walk:
    """The documents below a descriptor, each read once and all within limits."""

    def __init__(self, image: Image, read: Read, job: Job) -> None:
        self._image, self._read, self._job = image, read, job
        self._room = KEPT_LIMIT
        self._looked = 0

    def leads(self, descriptor: Mapping[str, Any], depth: int = 0) -> bool:
        """Whether the image's manifest is this, or below this."""
        self._job.check()
        digest, wanted = _text(descriptor, "digest"), self._image.manifest_digest
        if digest in (wanted, self._image.id):
            return True
        self._looked += 1
        if self._looked > MANIFEST_LIMIT or depth > NESTING_LIMIT:
            return False
        if _text(descriptor, "mediaType") not in (*INDEXES, ""):
            return False
        try:
            document = parse(self._read(digest), digest)
        except (NotFoundError, FormatError):
            return False
        return any(self.leads(item, depth + 1) for item in _objects(document, "manifests"))

    def below(self, descriptor: Mapping[str, Any], depth: int) -> Iterator[Document]:
        """A descriptor's document, then those that it names."""
        self._job.check()
        digest, annotations = _text(descriptor, "digest"), _object(descriptor, "annotations")
        data, verified, note = self._fetch(descriptor)
        document: Mapping[str, Any] = {}
        if data is not None:
            try:
                document = parse(data, "it")
            except FormatError as error:
                note = str(error)
        kind = Kind.MANIFEST
        name = _platform(descriptor)
        if "manifests" in document or _text(descriptor, "mediaType") in INDEXES:
            kind = Kind.INDEX
            name = name or _text(annotations, "org.opencontainers.image.ref.name")
        elif annotations.get("vnd.docker.reference.type") == "attestation-manifest":
            kind = Kind.ATTESTATION
            about = short_id(_text(annotations, "vnd.docker.reference.digest"))
            note = (
                note or f"how {about or 'another'} was built (BuildKit); no platform, hence {name or 'none'}"
            )
        media_type = _text(descriptor, "mediaType") or _text(document, "mediaType")
        yield Document(
            kind, name or kind.value, depth, digest, media_type, _size(descriptor), data, verified, note=note
        )
        if kind is Kind.INDEX:
            if depth < NESTING_LIMIT:
                for item in _objects(document, "manifests"):
                    yield from self.below(item, depth + 1)
            elif document:
                yield Document(
                    Kind.OTHER, "…", depth + 1, note=f"not followed deeper than {NESTING_LIMIT} indexes"
                )
        else:
            yield from self._parts(document, digest, depth + 1, kind)

    def _parts(self, manifest: Mapping[str, Any], digest: str, depth: int, kind: Kind) -> Iterator[Document]:
        config = _object(manifest, "config")
        named = self._image.manifest_digest
        own = kind is Kind.MANIFEST and (
            digest in (named, self._image.id) or (named is None and self._is_own(config))
        )
        if config:
            data, verified, note = self._fetch(config)
            yield Document(
                Kind.CONFIG,
                "config",
                depth,
                _text(config, "digest"),
                _text(config, "mediaType"),
                _size(config),
                data,
                verified,
                note=note,
            )
        for number, item in enumerate(_objects(manifest, "layers"), 1):
            self._job.check()
            name, media_type = f"layer {number}", _text(item, "mediaType")
            data, verified, note = None, None, ""
            if "json" in media_type:  # an attestation's statement
                name = _text(_object(item, "annotations"), "in-toto.io/predicate-type") or name
                data, verified, note = self._fetch(item)
            yield Document(
                Kind.LAYER,
                name,
                depth,
                _text(item, "digest"),
                media_type,
                _size(item),
                data,
                verified,
                number if own and number <= len(self._image.layers) else None,
                note,
            )

    def _is_own(self, config: Mapping[str, Any]) -> bool:
        """Whether a config tells of the image's own layers."""
        data, _, _ = self._fetch(config, keep=False)
        try:
            rootfs = _object(parse(data or b"", "it"), "rootfs")
        except FormatError:
            return False
        return rootfs.get("diff_ids") == list(self._image.diff_ids)

    def _fetch(
        self, descriptor: Mapping[str, Any], *, keep: bool = True
    ) -> tuple[bytes | None, bool | None, str]:
        """(bytes, whether they have their digest, why there are none)."""
        digest = _text(descriptor, "digest")
        try:
            if (_size(descriptor) or 0) > self._room:
                return None, None, f"not read: all in all there are more than {size_text(KEPT_LIMIT)}"
            data = self._read(digest)
        except NotFoundError:
            return None, None, "not stored here"
        except FormatError as error:
            return None, None, str(error).rstrip(".")
        if keep:
            self._room -= len(data)
        return data, not check(data, digest, "document"), ""


def _object(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = mapping.get(key)
    return value if isinstance(value, dict) else {}


def _objects(mapping: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = mapping.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _size(descriptor: Mapping[str, Any]) -> int | None:
    size = descriptor.get("size")
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 63 else None


def _platform(descriptor: Mapping[str, Any]) -> str:
    """The platform as it stands, with an unknown one's words."""
    platform = _object(descriptor, "platform")
    return "/".join(text for key in ("os", "architecture", "variant") if (text := _text(platform, key)))


def whole_config(image: Image, documents: Iterable[Document]) -> Mapping[str, Any]:
    """The config of the image among its documents, else what an engine tells in its place, else nothing."""
    own = last = told = None
    for document in documents:
        match document.kind:
            case Kind.CONFIG:
                last = document
                own = document if document.digest == image.id else own
            case Kind.LAYER if document.layer is not None:
                own = own or last
            case Kind.OTHER:
                told = document
    for found in (own, told):
        if found is not None and found.data is not None:
            with suppress(FormatError):
                return parse(found.data, "it")
    return {}
