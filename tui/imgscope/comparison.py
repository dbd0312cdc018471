"""Two images, compared: the way from two analyses, of the same source or of two, to all that differs.

What cannot be told from the layers' indexes is read here: the contents of files of the same size, and what
package managers note. Both the CLI and the TUI go through `compare`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgscope.analysis import Analysis
from imgscope.contents import read_files
from imgscope.errors import ImgscopeError
from imgscope.findings.compare import FileComparison
from imgscope.findings.packages import (
    MOST_FILES,
    Package,
    PackageChange,
    PackageKind,
    kind_of,
    may_tell,
    most_bytes,
    package_changes,
    parse,
)
from imgscope.findings.sides import (
    ConfigChange,
    SharedLayers,
    config_changes,
    layer_names,
    shared_layers,
)
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import Overlay, State
from imgscope.layers.rows import BLOCK
from imgscope.sources.base import Source
from imgscope.text import count_text

if TYPE_CHECKING:
    from imgscope.layers.cache import IndexCache


# Bytes of a file of holes that are read: it may claim more than any disk has, and none of it is there.
_MOST_HOLES = 50_000_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images. What reading its files tells of them is kept in `cache`."""

    source: Source
    analysis: Analysis
    cache: IndexCache | None = None


@dataclass(slots=True)
class Comparison:
    """All that differs between A and B. `notes` are sentences on what could not be told."""

    a: Side
    b: Side
    layers: SharedLayers
    config: Sequence[ConfigChange]
    files: FileComparison
    packages: Sequence[PackageChange] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.a, self.b

    @property
    def differs(self) -> bool:
        """Whether the images differ in any path, or in what their configs say."""
        return bool(len(self.files) or self.config)


def compare(a: Side, b: Side, job: Job | None = None) -> Comparison:
    """Compare two images. `job` is told of the bytes of contents that are read, and of how many there are.

    Raises `CancelledError`. Contents that cannot be read count as different, with a note.
    """
    job = job or Job()
    image_a, image_b = a.analysis.image, b.analysis.image
    overlay_a, overlay_b = a.analysis.overlay, b.analysis.overlay
    names_a, names_b = layer_names(image_a, overlay_a.layers), layer_names(image_b, overlay_b.layers)
    together = a.source is b.source
    files = FileComparison(overlay_a, overlay_b, _proven(a, together), _proven(b, together), job)
    found = Comparison(a, b, shared_layers(names_a, names_b), config_changes(image_a, image_b), files)
    undecided = files.undecided()
    wanted = [_readable(overlay_a, undecided[0]), _readable(overlay_b, undecided[1])]
    job.total = sum(map(overlay_a.file_size, wanted[0])) + sum(map(overlay_b.file_size, wanted[1]))
    known = [
        _digests(side, versions, job, found.notes) for side, versions in zip((a, b), wanted, strict=True)
    ]
    if left := files.settle(known[0], known[1]):
        counted = f"{count_text(left, 'file')} of the same size"
        found.notes.append(f"The contents of {counted} could not be read; they count as different.")
    found.packages = _packages(found, job)
    return found


def _proven(side: Side, together: bool) -> list[str | None]:
    """For each layer what its content is known by for sure, None where that is only claimed.

    That is the diff ID where the layer was read whole or the source vouches for it; and the name of the blob
    where both images come from one source.
    """
    layers = zip(side.analysis.image.layers, side.analysis.overlay.layers, strict=True)
    return [
        index.diff_id or (layer.diff_id if side.source.vouches else layer.blob if together else "") or None
        for layer, index in layers
    ]


@contextmanager
def _reading(job: Job) -> Iterator[Job]:
    """A job for a source: cancelled with ours, while what it counts (bytes as stored) is not ours."""
    reading = Job()
    with job.on_cancel(reading.cancel):
        yield reading


def _readable(overlay: Overlay, versions: list[int]) -> list[int]:
    """Those of some files whose content can be read to its end."""
    return [
        version
        for version in versions
        if overlay.file_size(version) <= _MOST_HOLES
        or overlay.entry[version] not in overlay.layers[overlay.layer[version] - 1].sparse
    ]


def _digests(side: Side, versions: list[int], job: Job, notes: list[str]) -> dict[int, bytes]:
    """The SHA-256 of contents, holes filled, by version; none of those that cannot be read."""
    overlay, found = side.analysis.overlay, {}
    touched: set[int] = set()
    try:
        with _reading(job) as reading:
            for version, chunks in read_files(side.source, side.analysis, versions, reading):
                hasher = hashlib.sha256()
                for chunk in chunks:
                    hasher.update(chunk)
                    job.advance(len(chunk))
                found[version] = hasher.digest()
                index, entry = overlay.layers[overlay.layer[version] - 1], overlay.entry[version]
                if entry not in index.sparse:  # the digest that is kept of those counts their map
                    index.digests[entry] = found[version]
                    touched.add(overlay.layer[version])
    except ImgscopeError as error:
        notes.append(f"{side.analysis.image.name}: {error}")
    if side.cache is not None:
        for number in touched:
            side.cache.put(side.analysis.image.layers[number - 1].diff_id, overlay.layers[number - 1])
    return found


# -- packages -----------------------------------------------------------------------------------------


def _packages(comparison: Comparison, job: Job) -> list[PackageChange]:
    """Read what tells of packages, of those kinds of which anything changed; the rest is the same."""
    files = comparison.files
    telling = (_telling(files, 0, job), _telling(files, 1, job))
    changed = {
        kind
        for found in telling
        for number, kind in found.items()
        if files.states[number] not in (State.UNCHANGED, State.METADATA)
    }
    if PackageKind.RPM in changed:
        changed.discard(PackageKind.RPM)
        comparison.notes.append("The RPM database differs; imgscope does not read which packages do.")
    packages: tuple[list[Package], list[Package]] = [], []
    for kind in sorted(changed, key=str):
        numbers = [[number for number, its in found.items() if its == kind] for found in telling]
        if max(map(len, numbers)) > MOST_FILES:
            comparison.notes.append(
                f"More than {MOST_FILES:,} files tell of {kind} packages; they are not read."
            )
            continue
        for side in (0, 1):
            # what is the same in both is read of A only
            own = (
                numbers[side]
                if side == 0
                else [n for n in numbers[1] if n not in telling[0] or files.states[n] == State.CONTENT]
            )
            try:
                for number, found in _read(comparison, side, own, job):
                    packages[side].extend(found)
                    if side == 0 and number in telling[1] and files.states[number] != State.CONTENT:
                        packages[1].extend(found)
            except ImgscopeError as error:
                comparison.notes.append(f"The {kind} packages could not all be read: {error}")
    return package_changes(*packages)


def _telling(files: FileComparison, side: int, job: Job) -> dict[int, PackageKind]:
    """The files of one side that tell of packages: number in the comparison → kind."""
    overlay = (files.a, files.b)[side]
    names, parents, found = overlay.names, overlay.parents, {}
    for node, name in enumerate(names):
        if node % BLOCK == 0:
            job.check()
        if node and may_tell(name, names[parents[node]]) and (version := overlay.at(node)) >= 0:
            kind = kind_of(overlay.path(node))
            if (
                kind is not None
                and overlay.content[version] >= 0
                and overlay.kind(overlay.inode(version)) == Kind.FILE
            ):
                found[files.number(node, side)] = kind
    return found


def _read(
    comparison: Comparison, side: int, numbers: list[int], job: Job
) -> Iterator[tuple[int, list[Package]]]:
    """The packages that files tell of, as far as they are looked at."""
    files, where = comparison.files, (comparison.a, comparison.b)[side]
    overlay = where.analysis.overlay
    asked: dict[int, list[int]] = {}  # a file may have several names
    for number in numbers:
        asked.setdefault(overlay.inode(files.version(number, side)), []).append(number)
    with _reading(job) as reading:
        for version, chunks in read_files(where.source, where.analysis, asked, reading):
            paths = [files.path(number) for number in asked[version]]
            most = max(map(most_bytes, paths))
            data = bytearray()
            for chunk in chunks:
                job.check()
                data += chunk
                if len(data) >= most:
                    break
            for number, path in zip(asked[version], paths, strict=True):
                yield number, parse(path, bytes(data[: most_bytes(path)]))
