"""What two images have in common below their files: which layers they share, and how their configs differ."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgscope.images.model import Image
from imgscope.layers.index import LayerIndex

# The sections of an image configuration (OCI `config.md`, and what docker adds), in the order they are shown.
_SECTIONS = {
    "Env": "env",
    "Entrypoint": "entrypoint",
    "Cmd": "cmd",
    "WorkingDir": "workdir",
    "User": "user",
    "ExposedPorts": "ports",
    "Volumes": "volumes",
    "Labels": "labels",
    "Healthcheck": "healthcheck",
    "Shell": "shell",
    "StopSignal": "stop signal",
    "OnBuild": "onbuild",
}
# The classic builder's note of the step below. A container gets nothing of it, and not every engine tells it:
# the same image from another place would seem to be another.
_NOTES = {"Image"}


@dataclass(frozen=True, slots=True)
class SharedLayers:
    """Layers are numbers from 1. `prefix` is how many at the bottom are the same.

    `partners` maps every shared layer of A to one of B, in the prefix or not; a layer that stands several
    times in an image is shared as often as in both.
    """

    prefix: int
    partners: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One thing that two configurations say differently. None: one of them says nothing of it.

    `name` is of a variable, label, port or volume; empty for what is a single value. Untrusted text.
    """

    section: str
    name: str
    a: str | None
    b: str | None


def layer_names(image: Image, indexes: Sequence[LayerIndex]) -> list[str | None]:
    """The diff ID of each layer: that of its content where it was read whole, else what the config says.

    None for a layer that is damaged or missing: it is like no other.
    """
    return [
        index.diff_id or (None if index.problems else layer.diff_id)
        for layer, index in zip(image.layers, indexes, strict=True)
    ]


def shared_layers(a: Sequence[str | None], b: Sequence[str | None]) -> SharedLayers:
    """Match the layers of two images by their names (see `layer_names`): the prefix, then in order."""
    prefix = 0
    while prefix < min(len(a), len(b)) and a[prefix] is not None and a[prefix] == b[prefix]:
        prefix += 1
    partners = {number: number for number in range(1, prefix + 1)}
    places: dict[str, deque[int]] = defaultdict(deque)
    for number, name in enumerate(b[prefix:], prefix + 1):
        if name is not None:
            places[name].append(number)
    for number, name in enumerate(a[prefix:], prefix + 1):
        if name is not None and places.get(name):
            partners[number] = places[name].popleft()
    return SharedLayers(prefix, partners)


def config_changes(a: Image, b: Image) -> list[ConfigChange]:
    """All that two configurations say differently, section by section, but for a builder's own notes."""
    found = [
        ConfigChange(section, "", left, right)
        for section, left, right in (
            ("platform", str(a.platform), str(b.platform)),
            ("created", a.created, b.created),
        )
        if left != right
    ]
    others = sorted((a.config.keys() | b.config.keys()) - _SECTIONS.keys() - _NOTES)
    for key in (*_SECTIONS, *others):
        left, right = _said(key, a.config.get(key)), _said(key, b.config.get(key))
        names = [*left, *(name for name in right if name not in left)]
        found += [
            ConfigChange(_SECTIONS.get(key, key), name, left.get(name), right.get(name))
            for name in (sorted(names) if key != "Env" else names)
            if left.get(name) != right.get(name)
        ]
    return found


def _said(key: str, value: Any) -> dict[str, str]:
    """What a key of the config says, by name. What is empty says nothing: some engines leave it out."""
    if not value:
        return {}
    if key == "Env" and isinstance(value, list):
        return dict(_variable(item) for item in value)
    if key in ("ExposedPorts", "Volumes"):
        return {name: name for name in map(_text, value)} if isinstance(value, list | dict) else _one(value)
    if key == "Labels" and isinstance(value, dict):
        return {str(name): _text(item) for name, item in value.items()}
    return _one(value)


def _one(value: Any) -> dict[str, str]:
    return {"": _text(value)}


def _variable(item: Any) -> tuple[str, str]:
    name, _, value = _text(item).partition("=")
    return name, value


def _text(value: Any) -> str:
    """A value as JSON, a text as it is."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        return "nested too deep to be shown"
