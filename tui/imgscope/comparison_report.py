"""A comparison as JSON (the contract, versioned by `report.SCHEMA`) and as text.

The JSON, all sizes in bytes, layers counted from 1::

    {
      "schema": 1,
      "a", "b": {"reference", "id", "source", "platform", "size", "layers"},   size of the merged tree's files
      "differs": whether any path or anything in the configs does,
      "layers": {"prefix": how many at the bottom are the same,
                 "shared": [{"a", "b", "diff_id", "size"}],
                 "only_a", "only_b": [{"index", "diff_id", "size", "created_by"}]},
      "totals": {"added", "removed", "content", "metadata": {"paths", "size_a", "size_b"},
                 "mtime_only": how many of the paths of "metadata" have no more than another mtime},
      "config": [{"section", "name", "a", "b"}],      null: this image says nothing of it
      "packages": [{"kind", "name", "a": [versions], "b": [versions]}],
      "notes": [sentences on what could not be told],
      "files": [{"path", "state": "added" | "removed" | "content" | "metadata",
                 "changes": [of "kind", "content", "target", "device", "mode", "owner", "mtime", "xattrs",
                             "links", "entry"],
                 "kind_a", "kind_b": as "file", "directory", "symlink", or null,
                 "size_a", "size_b", "difference"}]
    }

`added` is what only B has. `files` has every path that differs, in the order of the tree. A file of several
names counts its bytes under one of them, directories count none. `links` says that its other names differ,
`entry` that only one image stores a directory as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import JSONEncoder, dumps
from typing import Any, NamedTuple

from imgscope.comparison import Comparison
from imgscope.findings.packages import PackageChange
from imgscope.findings.sides import ConfigChange
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Layer, short_id
from imgscope.layers.overlay import ROOT, State
from imgscope.report import SCHEMA
from imgscope.text import clean, count_text, path_text, size_text

STATES = {
    State.ADDED: "added",
    State.REMOVED: "removed",
    State.CONTENT: "content",
    State.METADATA: "metadata",
}
SIGNS = {State.ADDED: "+", State.REMOVED: "−", State.CONTENT: "~", State.METADATA: "≈"}
_LONG = 200  # characters of a value that are shown


class Names(NamedTuple):
    """What the two images were called by whoever compares them."""

    a: str
    b: str


def comparison_json_text(comparison: Comparison, names: Names) -> Iterator[str]:
    """The documented object, in pieces: there may be as many paths as two images have files."""
    text = dumps(_summary(comparison, names), indent=2)
    yield text.removesuffix("\n}") + ',\n  "files": ['
    files, quoted = comparison.files, JSONEncoder().encode
    start = "\n    "
    numbers = list(files.listed())
    for number, path in zip(numbers, files.paths(numbers), strict=True):
        (was, now), (size_a, size_b) = files.kinds(number), files.own(number)
        yield start + quoted(
            {
                "path": path_text(path),
                "state": STATES[files.state(number)],
                "changes": files.changes(number),
                "kind_a": was.name.lower() if was is not None else None,
                "kind_b": now.name.lower() if now is not None else None,
                "size_a": size_a,
                "size_b": size_b,
                "difference": size_b - size_a,
            }
        )
        start = ",\n    "
    yield "\n  ]\n}" if numbers else "]\n}"


def _summary(comparison: Comparison, names: Names) -> dict[str, Any]:
    layers, files = comparison.layers, comparison.files
    a, b = (side.analysis.sized_image.layers for side in comparison.sides)
    taken = set(layers.partners.values())
    sizes = files.size(ROOT)
    return {
        "schema": SCHEMA,
        **{
            key: {
                "reference": name,
                "id": side.analysis.image.id,
                "source": side.source.origin,
                "platform": str(side.analysis.image.platform),
                "size": size,
                "layers": len(side.analysis.image.layers),
            }
            for key, name, side, size in zip("ab", names, comparison.sides, sizes, strict=True)
        },
        "differs": comparison.differs,
        "layers": {
            "prefix": layers.prefix,
            "shared": [
                {"a": number, "b": other, "diff_id": a[number - 1].diff_id, "size": a[number - 1].size}
                for number, other in sorted(layers.partners.items())
            ],
            "only_a": [_layer_json(layer) for layer in a if layer.index not in layers.partners],
            "only_b": [_layer_json(layer) for layer in b if layer.index not in taken],
        },
        "totals": {
            **{
                STATES[state]: {"paths": total.paths, "size_a": total.a, "size_b": total.b}
                for state, total in files.totals.items()
            },
            "mtime_only": files.only_times,
        },
        "config": [
            {"section": item.section, "name": item.name, "a": item.a, "b": item.b}
            for item in comparison.config
        ],
        "packages": [
            {"kind": str(item.kind), "name": item.name, "a": list(item.a), "b": list(item.b)}
            for item in comparison.packages
        ],
        "notes": comparison.notes,
    }


def _layer_json(layer: Layer) -> dict[str, Any]:
    return {
        "index": layer.index,
        "diff_id": layer.diff_id,
        "size": layer.size,
        "created_by": layer.history.created_by if layer.history else "",
    }


def comparison_text(comparison: Comparison, names: Names, *, most: int | None = 20) -> Iterator[str]:
    """The readable report, line by line; at most `most` rows of each kind, None for all."""
    files, layers = comparison.files, comparison.layers
    for letter, name, side, size in zip("AB", names, comparison.sides, files.size(ROOT), strict=True):
        image = side.analysis.image
        known = image.name if image.references else ""
        words = dict.fromkeys((name, known, short_id(image.id), str(image.platform)))
        count = count_text(len(image.layers), "layer")
        text = "  ".join(clean(word) for word in words if word)
        yield f"{letter}  {text}  {size_text(size)} of files in {count}  from {clean(side.source.label)}"
    yield ""
    yield layers_text(comparison)
    a, b = (side.analysis.sized_image.layers for side in comparison.sides)
    taken = set(layers.partners.values())
    own = [("−", "A", layer) for layer in a if layer.index not in layers.partners]
    own += [("+", "B", layer) for layer in b if layer.index not in taken]
    yield from _cut([_layer(*row) for row in own], most, "layer")
    if comparison.config:
        yield ""
        yield f"config: {count_text(len(comparison.config), 'difference')}"
        yield from _cut([f"  {config_text(item)}" for item in comparison.config], most, "difference")
    if comparison.packages:
        yield ""
        yield f"packages: {count_text(len(comparison.packages), 'difference')}"
        yield from _cut([f"  {package_text(item)}" for item in comparison.packages], most, "difference")
    yield ""
    if not len(files):
        yield "files: no difference"
    else:
        yield f"files: {count_text(len(files), 'path')} differ"
        yield from (f"  {line}" for line in totals_text(comparison))
        yield ""
        yield f"    {'A':>9}  {'B':>9}  {'B − A':>9}"
        numbers = files.largest()
        yield from _cut([_file(comparison, number) for number in numbers[:most]], None, "path")
        if (left := len(numbers) - (len(numbers) if most is None else most)) > 0:
            yield f"  … and {left:,} more; --all shows them"
    for note in comparison.notes:
        yield ""
        yield f"note: {clean(note)}"


def _cut(lines: list[str], most: int | None, noun: str) -> Iterator[str]:
    yield from lines[:most]
    if most is not None and len(lines) > most:
        yield f"  … and {count_text(len(lines) - most, f'more {noun}')}; --all shows them"


def _layer(sign: str, letter: str, layer: Layer) -> str:
    step = clean(one_line(instruction(layer.history))) if layer.history else ""
    return f"  {sign} {letter} {layer.index:>3}  {size_text(layer.size):>8}  {step[:100]}".rstrip()


def layers_text(comparison: Comparison) -> str:
    """How many layers both images share, in one line."""
    layers = comparison.layers
    a, b = (side.analysis.sized_image.layers for side in comparison.sides)
    shared = len(layers.partners)
    size = size_text(sum(a[number - 1].size or 0 for number in layers.partners))
    text = f"layers: {shared} shared ({size}), {len(a) - shared} only in A, {len(b) - shared} only in B"
    return text + (f"; the lowest {layers.prefix} are the same" if 0 < layers.prefix < shared else "")


def totals_text(comparison: Comparison) -> Iterator[str]:
    """How many paths of each state, and their bytes."""
    files = comparison.files
    for state, total in files.totals.items():
        if not total.paths:
            continue
        words = {
            State.ADDED: f"only in B, {size_text(total.b)}",
            State.REMOVED: f"only in A, {size_text(total.a)}",
            State.CONTENT: f"changed, {size_text(total.a)} in A, {size_text(total.b)} in B",
            State.METADATA: f"changed in metadata only ({files.only_times:,} in nothing but mtime)",
        }
        yield f"{SIGNS[state]} {total.paths:,} {words[state]}"


def difference_text(a: int, b: int) -> str:
    """What B has more than A, or less: +1.2 MB."""
    return ("+" if b > a else "−" if b < a else "") + size_text(abs(b - a))


def _file(comparison: Comparison, number: int) -> str:
    files = comparison.files
    state, (a, b) = files.state(number), files.own(number)
    left = size_text(a) if state != State.ADDED else ""
    right = size_text(b) if state != State.REMOVED else ""
    what = f"  ({', '.join(files.changes(number))})" if state in (State.CONTENT, State.METADATA) else ""
    path = path_text(files.path(number)) + ("/" if files.is_directory(number) and number != ROOT else "")
    return f"  {SIGNS[state]} {left:>9}  {right:>9}  {difference_text(a, b):>9}  {path}{what}"


def config_text(item: ConfigChange) -> str:
    """`~ env PATH: /bin → /usr/bin`; untrusted text made safe to show."""
    name = clean(f"{item.section} {item.name}".strip()[:_LONG])
    if item.section == item.name or item.name in (item.a, item.b):  # of ports and volumes the name says all
        return f"{sign_of(item.a, item.b)} {name}"
    values = [clean(value[:_LONG]) or '""' for value in (item.a, item.b) if value is not None]
    return f"{sign_of(item.a, item.b)} {name}: {' → '.join(values)}"


def package_text(item: PackageChange) -> str:
    """`~ deb openssl: 3.0.1 → 3.0.2`; untrusted text made safe to show."""
    values = [versions_text(versions) for versions in (item.a, item.b) if versions]
    return f"{sign_of(item.a or None, item.b or None)} {item.kind} {clean(item.name)}: {' → '.join(values)}"


def versions_text(versions: tuple[str, ...]) -> str:
    """Versions, one of no name as `?`; empty for none."""
    return clean(", ".join(version or "?" for version in versions)[:_LONG])


def sign_of(a: object | None, b: object | None) -> str:
    """`+` for what only B has, `−` for what only A has, `~` for what both have."""
    return SIGNS[State.ADDED if a is None else State.REMOVED if b is None else State.CONTENT]
