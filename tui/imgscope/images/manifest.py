"""Docker's and OCI's JSON → Image and Layer, whatever the JSON claims.

Formats: OCI image specification (`image-layout.md`, `image-index.md`, `manifest.md`, `config.md`,
`annotations.md`), Docker image manifest v2 schema 2, and the manifest.json that `docker save` writes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgscope.errors import FormatError, LimitError, NotFoundError
from imgscope.images.history import pair
from imgscope.images.model import History, Image, Layer, Platform

DOCUMENT_LIMIT = 4 << 20  # bytes; what registries take for a manifest, and enough for any config
NESTING_LIMIT = 8  # indexes in indexes
MANIFEST_LIMIT = 10_000  # manifests and indexes of one archive

ReadBlob = Callable[[str], bytes]  # name in the archive → bytes; raises NotFoundError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_DIGEST = re.compile("[a-z0-9]+:[0-9a-zA-Z]{32,}")
_WORD = re.compile("[A-Za-z0-9._-]{1,64}")
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")


@dataclass(frozen=True, slots=True)
class Found:
    """The images of an archive, and what in it is none (artifacts, attestations), in words."""

    images: tuple[Image, ...]
    others: tuple[str, ...] = ()


def parse(data: bytes, what: str) -> dict[str, Any]:
    """One JSON object; raises `FormatError` or `LimitError` that names it."""
    found = _json(data, what)
    if not isinstance(found, dict):
        raise FormatError(f"{what} is no JSON object.")
    return found


def _json(data: bytes, what: str) -> Any:
    if len(data) > DOCUMENT_LIMIT:
        raise LimitError(f"{what} has {len(data)} bytes; the limit is {DOCUMENT_LIMIT}.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"{what} is not valid JSON.") from None


def image_from_config(
    data: bytes,
    *,
    identifier: str = "",
    references: Sequence[str] = (),
    blobs: Sequence[Layer] = (),
    parent: str | None = None,
    manifest_digest: str | None = None,
    what: str = "the image config",
) -> Image:
    """An image from its config's bytes. `blobs` are its layers as the manifest lists them, diff IDs unset.

    Raises `FormatError` where the JSON is none. What does not fit (fewer layers than diff IDs, a
    history of another length, a wrong digest) becomes one of the image's problems.
    """
    config = parse(data, what)
    problems: list[str] = []
    actual = "sha256:" + hashlib.sha256(data).hexdigest()
    if identifier and identifier != actual:
        problems.append(f"the config's digest is {actual}, not {identifier} as its name says")
    rootfs = _mapping(config, "rootfs", what)
    diff_ids = [_digest(item, what) for item in _list(rootfs, "diff_ids", what)]
    steps = tuple(_history(item) for item in _list(config, "history", what) if isinstance(item, dict))
    if blobs and len(blobs) != len(diff_ids):
        problems.append(f"the manifest lists {len(blobs)} layers and the config {len(diff_ids)} diff IDs")
    stored = [step for step in steps if not step.empty_layer]
    if steps and len(stored) != len(diff_ids):
        problems.append(f"the history tells of {len(stored)} layers and the config of {len(diff_ids)}")
    layers = []
    for number, (diff_id, step) in enumerate(zip(diff_ids, pair(diff_ids, steps), strict=True), 1):
        blob = blobs[number - 1] if number <= len(blobs) else Layer(number, diff_id)
        layers.append(replace(blob, index=number, diff_id=diff_id, history=step))
    execution = config.get("config")
    return Image(
        id=actual,
        references=tuple(references),
        platform=_platform(config),
        created=_text(config, "created") or None,
        layers=tuple(layers),
        history=steps,
        config=execution if isinstance(execution, dict) else {},
        parent=parent or None,
        manifest_digest=manifest_digest,
        problems=tuple(problems),
    )


def read_archive(names: frozenset[str], read: ReadBlob, where: str) -> Found:
    """All images of a docker-archive or an OCI layout, seen as a bag of named blobs.

    Newer engines save both forms in one archive: manifest.json has the names, index.json the rest.
    Raises `FormatError` where it is neither.
    """
    images: list[Image] = []
    others: list[str] = []
    broken: list[FormatError] = []
    if "manifest.json" in names:
        _docker_images(read, where, images, broken)
    if "index.json" in names:
        layout: list[Image] = []
        _oci_images(read, where, layout, others, broken)
        by_id = {image.id: image for image in layout}
        known = {image.id for image in images}
        images = [_merge(image, by_id.get(image.id)) for image in images]
        images += [image for image in layout if image.id not in known]
    elif "manifest.json" not in names:
        if "repositories" in names:
            raise FormatError(
                f"{where} is of an engine older than Docker 1.10; save it again with a newer one."
            )
        raise FormatError(
            f"{where} holds no image: there is neither manifest.json nor index.json in it; "
            "give an archive of `docker save`, an OCI archive or an OCI layout."
        )
    if broken and not images:
        raise broken[0]
    others += [str(error).rstrip(".") for error in broken]
    return Found(tuple(_unite(images)), tuple(others))


def _merge(image: Image, layout: Image | None) -> Image:
    """What `docker save` says, with the digests that only the OCI manifest has."""
    if layout is None or len(layout.layers) != len(image.layers):
        return image
    layers = tuple(
        replace(mine, digest=theirs.digest, compressed_size=theirs.compressed_size)
        for mine, theirs in zip(image.layers, layout.layers, strict=True)
    )
    references = image.references or layout.references
    return replace(image, layers=layers, references=references, manifest_digest=layout.manifest_digest)


def _unite(images: Sequence[Image]) -> list[Image]:
    """One image per id, with all its references."""
    by_id: dict[str, Image] = {}
    for image in images:
        known = by_id.get(image.id)
        if known is not None:
            image = replace(known, references=tuple(dict.fromkeys(known.references + image.references)))
        by_id[image.id] = image
    return list(by_id.values())


def _docker_images(read: ReadBlob, where: str, images: list[Image], broken: list[FormatError]) -> None:
    what = f"manifest.json of {where}"
    items = _json(read("manifest.json"), what)
    if not isinstance(items, list):
        raise FormatError(f"{what} is no list of images.")
    for item in items:
        try:
            images.append(_docker_image(item, what, where, read))
        except FormatError as error:
            broken.append(error)


def _docker_image(item: object, what: str, where: str, read: ReadBlob) -> Image:
    if not isinstance(item, dict):
        raise FormatError(f"{what} has an item that is no object.")
    item = {key.lower(): value for key, value in item.items()}  # jib writes lower case
    config = _text(item, "config")
    layers = _list(item, "layers", what)
    tags = [tag for tag in _list(item, "repotags", what) if isinstance(tag, str)]
    hexadecimal = config.rpartition("/")[2].removesuffix(".json").removeprefix("sha256:")
    try:
        data = read(archive_name(config))
    except NotFoundError:
        raise FormatError(f"{tags[0] if tags else what}: its config {config!r} is not in {where}.") from None
    return image_from_config(
        data,
        identifier=f"sha256:{hexadecimal}" if re.fullmatch("[0-9a-f]{64}", hexadecimal) else "",
        references=tags,
        blobs=[Layer(0, "", blob=archive_name(name) if isinstance(name, str) else "") for name in layers],
        parent=_text(item, "parent"),
        what=f"the config {config!r} of {where}",
    )


def _oci_images(
    read: ReadBlob, where: str, images: list[Image], others: list[str], broken: list[FormatError]
) -> None:
    seen: set[tuple[str, str]] = set()

    def walk(document: Mapping[str, Any], what: str, reference: str, depth: int) -> None:
        for item in _list(document, "manifests", what):
            if not isinstance(item, dict):
                continue
            try:
                descend(item, reference or _reference(item), depth)
            except FormatError as error:
                broken.append(error)

    def descend(descriptor: Mapping[str, Any], reference: str, depth: int) -> None:
        annotations = descriptor.get("annotations")
        annotations = annotations if isinstance(annotations, dict) else {}
        digest = _text(descriptor, "digest")
        if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
            return  # it tells of another manifest; it is no platform of the image
        if (digest, reference) in seen or len(seen) > MANIFEST_LIMIT:
            return
        seen.add((digest, reference))
        if len(seen) > MANIFEST_LIMIT:
            raise LimitError(f"{where} has more than {MANIFEST_LIMIT} manifests; no more were read.")
        what = f"manifest {digest} of {where}"
        name = blob_name(digest)
        if name is None:
            others.append(f"{reference or 'a manifest'}: its digest {digest!r} is none")
            return
        try:
            data = read(name)
        except NotFoundError:
            others.append(f"{reference or digest}: its manifest {digest} is not in the archive")
            return
        document = parse(data, what)
        problems = check(data, digest, "manifest")
        if _text(document, "mediaType") in INDEXES or "manifests" in document:
            if depth >= NESTING_LIMIT:
                raise LimitError(f"{where} has indexes nested deeper than {NESTING_LIMIT}.")
            walk(document, f"index {digest} of {where}", reference, depth + 1)
            return
        image = _oci_image(document, descriptor, digest, reference, what, read)
        if isinstance(image, str):
            others.append(image)
        else:
            images.append(replace(image, problems=problems + image.problems))

    walk(parse(read("index.json"), f"index.json of {where}"), f"index.json of {where}", "", 0)


def _oci_image(
    document: Mapping[str, Any],
    descriptor: Mapping[str, Any],
    digest: str,
    reference: str,
    what: str,
    read: ReadBlob,
) -> Image | str:
    """The image of one manifest, or a sentence on why it is none."""
    config = _mapping(document, "config", what)
    kind = _text(config, "mediaType")
    if kind and kind not in _CONFIGS:
        return f"{reference or digest}: no image, but an artifact of type {kind}"
    config_digest = _text(config, "digest")
    name = blob_name(config_digest)
    try:
        data = read(name or config_digest)
    except NotFoundError:
        return f"{reference or digest}: its config {config_digest or '(unnamed)'} is not in the archive"
    blobs = []
    for item in _list(document, "layers", what):
        if not isinstance(item, dict):
            raise FormatError(f"{what} has a layer that is no object.")
        layer_digest = _text(item, "digest")
        size = item.get("size")
        packed = any(word in _text(item, "mediaType") for word in ("gzip", "zstd"))
        blobs.append(
            Layer(
                0,
                "",
                digest=layer_digest,
                compressed_size=size if packed and isinstance(size, int) else None,
                blob=blob_name(layer_digest) or layer_digest,
            )
        )
    image = image_from_config(
        data,
        identifier=config_digest,
        references=(reference,) if reference else (),
        blobs=blobs,
        manifest_digest=digest,
        what=f"the config {config_digest} of {what}",
    )
    platform = descriptor.get("platform")
    if isinstance(platform, dict) and _text(platform, "os") not in ("", "unknown"):
        image = replace(image, platform=_platform(platform))
    return image


def check(data: bytes, digest: str, what: str) -> tuple[str, ...]:
    """A sentence where `data` does not have the digest that it is filed under; () where it has."""
    algorithm, _, expected = digest.partition(":")
    if algorithm not in ("sha256", "sha512"):
        return (f"the {what}'s digest {digest} is of a kind that cannot be checked",)
    if hashlib.new(algorithm, data).hexdigest() != expected:
        return (f"the {what}'s content does not have the digest {digest} that it is filed under",)
    return ()


def blob_name(digest: str) -> str | None:
    """Where an OCI layout keeps a digest, or None where the text is no digest."""
    return "blobs/" + digest.replace(":", "/") if _DIGEST.fullmatch(digest) else None


def _reference(descriptor: Mapping[str, Any]) -> str:
    annotations = descriptor.get("annotations")
    if not isinstance(annotations, dict):
        return ""
    for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
        if isinstance(name := annotations.get(key), str) and name:
            return name
    return ""


def _history(item: Mapping[str, Any]) -> History:
    return History(
        created=_text(item, "created") or None,
        created_by=_text(item, "created_by"),
        comment=_text(item, "comment"),
        empty_layer=item.get("empty_layer") is True,
    )


def _platform(config: Mapping[str, Any]) -> Platform:
    """The platform as configs and descriptors tell it; words that are none are not passed on."""

    def word(key: str, default: str) -> str:
        text = _text(config, key)
        return text if _WORD.fullmatch(text) else "unknown" if text else default

    return Platform(word("os", "linux"), word("architecture", "unknown"), word("variant", ""))


def archive_name(name: str) -> str:
    """A name in an archive without `./`, as the tar walker gives it."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _digest(item: object, what: str) -> str:
    if not isinstance(item, str):
        raise FormatError(f"{what} has a diff ID that is no text.")
    return item


def _list(mapping: Mapping[str, Any], key: str, what: str) -> list[Any]:
    value = mapping.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise FormatError(f"{what} has a {key!r} that is no list.")
    return value


def _mapping(mapping: Mapping[str, Any], key: str, what: str) -> Mapping[str, Any]:
    value = mapping.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"{what} has a {key!r} that is no object.")
    return value
