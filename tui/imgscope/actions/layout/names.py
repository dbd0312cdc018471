"""The names in an index.json: finding them, and writing new ones as the layout writes its own.

A name is the annotation `org.opencontainers.image.ref.name` (`annotations.md`). skopeo and umoci put a
tag or a whole name there, whatever they were given; containerd and `docker save` keep the whole name in
`io.containerd.image.name` and only the tag in the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgscope.errors import NotFoundError, UsageError
from imgscope.images.model import short_id
from imgscope.images.reference import Reference, same

REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"

_LISTED = 5  # names in a sentence

Descriptor = Mapping[str, Any]


def name_of(descriptor: object) -> str:
    """The name of a descriptor as the reader of layouts gives it, empty for none."""
    annotations = _annotations(descriptor)
    for key in (FULL_NAME, REF_NAME):
        if isinstance(name := annotations.get(key), str) and name:
            return name
    return ""


def digest_of(descriptor: object) -> str:
    """The digest of a descriptor, empty where it has none."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) else ""


def called(descriptor: object) -> str:
    """What to call an image in a sentence."""
    return name_of(descriptor) or f"{short_id(digest_of(descriptor))} (no name)"


def without_name(descriptor: Descriptor) -> dict[str, Any]:
    """The descriptor, its name taken away and all else as it is."""
    left = {key: value for key, value in _annotations(descriptor).items() if key not in (FULL_NAME, REF_NAME)}
    bare = {key: value for key, value in descriptor.items() if key != "annotations"}
    return {**bare, "annotations": left} if left else bare


def with_name(descriptor: Descriptor, name: str, *, full: bool) -> dict[str, Any]:
    """The descriptor with this name instead of its own. `full`: in containerd's two annotations."""
    bare = without_name(descriptor)
    names = {REF_NAME: name}
    if full:
        names = {FULL_NAME: name, REF_NAME: _tag(name) or name}
    return {**bare, "annotations": {**bare.get("annotations", {}), **names}}


def moved(manifests: Sequence[Any], name: str, sources: Sequence[int], holders: Sequence[int]) -> list[Any]:
    """The descriptors once the images at `sources` have the name that those at `holders` had.

    A source without a name gets it; one with a name is listed once more. A holder stays without a name,
    unless that would say nothing that is not listed already.
    """
    full = in_full(manifests)
    left = {at: without_name(manifests[at]) for at in holders}
    nameless = {at for at in sources if not name_of(manifests[at])}
    listed = []
    for at, item in enumerate(manifests):
        if at in nameless:
            continue
        if at in left:
            elsewhere = any(
                digest_of(other) == digest_of(item)
                for place, other in enumerate(manifests)
                if place not in left
            )
            if elsewhere and "annotations" not in left[at]:
                continue
            item = left[at]
        listed.append(item)
    return listed + [with_name(manifests[at], name, full=full) for at in sources]


def in_full(manifests: Sequence[object]) -> bool:
    """Whether a layout keeps its names as containerd does."""
    named = [item for item in manifests if name_of(item)]
    return bool(named) and all(FULL_NAME in _annotations(item) for item in named)


def spelled(wanted: str, manifests: Sequence[object]) -> str:
    """A new name, checked, and written as the layout writes its names.

    In a layout of whole names `me/app` becomes `me/app:latest`, with `docker.io/` before it where all
    others have that; in one of tags (or of nothing yet) it stays as it is. Raises `UsageError`.
    """
    names = [name for item in manifests if (name := name_of(item))]
    whole = bool(names) and all("/" in name or ":" in name for name in names)
    if not whole and "/" not in wanted and ":" not in wanted:
        try:
            Reference.parse(f"image:{wanted}")
        except UsageError:
            raise UsageError(
                f"{wanted!r} can be no tag; it has up to 128 letters, digits, '_', '.' and '-', "
                "and begins with a letter, a digit or '_'."
            ) from None
        return wanted
    reference = Reference.parse(wanted)
    if reference.digest:
        raise UsageError(f"{wanted!r} has a digest; a name to give has none.")
    reference = reference.with_default_tag()
    normal = in_full(manifests) or (whole and all(map(_is_normal, names)))
    return str(reference) if normal else reference.familiar if whole else wanted


def _is_normal(name: str) -> bool:
    try:
        return str(Reference.parse(name).with_default_tag()) == name
    except UsageError:
        return False


def named(manifests: Sequence[object], name: str) -> list[int]:
    """Where in the index a name is; the exact one, or else one that means the same. Empty: nowhere."""
    for fits in (lambda mine: mine == name, lambda mine: same(mine, name)):
        if found := [at for at, item in enumerate(manifests) if (mine := name_of(item)) and fits(mine)]:
            return found
    return []


def identified(manifests: Sequence[object], text: str, configs: Mapping[str, str]) -> list[int]:
    """Where in the index an image is whose id, or the digest of whose manifest, begins with `text`.

    `configs` gives the id (the config's digest) by the digest of the manifest. Raises `UsageError`
    where several images have such an id.
    """
    wanted = text.removeprefix("sha256:")
    if len(wanted) < 4 or set(wanted) - set("0123456789abcdef"):
        return []
    found = [
        at
        for at, item in enumerate(manifests)
        if any(
            digest.removeprefix("sha256:").startswith(wanted)
            for digest in (digest_of(item), configs.get(digest_of(item), ""))
        )
    ]
    digests = sorted({digest_of(manifests[at]) for at in found})
    if len(digests) > 1:
        raise UsageError(f"Several images have an id that begins with {text}: {listed(digests)}.")
    return found


def tagged(manifests: Sequence[object], tag: str, where: str) -> list[int]:
    """Where in the index the only whole name with this tag is. Raises `UsageError` for several."""
    names = {name for item in manifests if (name := name_of(item)) and _tag(name) == tag}
    if len(names) > 1:
        raise UsageError(f"Several images in {where} have the tag {tag!r}: {listed(sorted(names))}.")
    return [at for at, item in enumerate(manifests) if name_of(item) in names]


def no_such(name: str, manifests: Sequence[object], where: str) -> NotFoundError:
    """The error that says what is there instead."""
    there = listed(dict.fromkeys(called(item) for item in manifests))
    return NotFoundError(
        f"There is no image {name!r} in {where}; {f'it holds {there}' if there else 'it is empty'}."
    )


def listed(texts: Sequence[str] | Mapping[str, None]) -> str:
    """A few texts, and how many more there are."""
    items = list(texts)
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more


def _tag(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[2]


def _annotations(descriptor: object) -> Mapping[str, Any]:
    annotations = descriptor.get("annotations") if isinstance(descriptor, dict) else None
    return annotations if isinstance(annotations, dict) else {}
