"""Extraction as tests run it, and what must not change while it does."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from imgscope.actions.plan import Done
from imgscope.analysis import Analysis, analyze
from imgscope.extraction.extract import Extract
from imgscope.extraction.select import check_layer, locate
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.sources.archive import ArchiveSource
from tests.support.stacks import Layer, write_docker_archive

Snapshot = dict[bytes, tuple[object, ...]]


@contextmanager
def image(path: Path, *layers: Layer) -> Iterator[tuple[ArchiveSource, Analysis]]:
    """An image of these layers in an archive, read."""
    with closing(ArchiveSource(write_docker_archive(path, layers))) as source:
        yield source, analyze(source, source.find(None))


def extract(
    source: Any,
    analysis: Analysis,
    to: Path | str,
    path: bytes = b"",
    layer: int | None = None,
    *,
    merged: bool | None = None,
    **flags: bool,
) -> Extract:
    """The action for a path, as the command line makes it."""
    merged = layer is None if merged is None else merged
    number = check_layer(analysis, layer)
    node = locate(analysis, path, number, merged)
    return Extract(source, analysis, node, number, merged, str(to), "test", **flags)


def done(action: Extract, job: Job | None = None) -> Done:
    """Execute an action to its end."""
    *_, last = action.execute(job or Job())
    assert isinstance(last, Done)
    return last


def snapshot(folder: Path, *, leave: bytes = b"") -> Snapshot:
    """All that is in a folder: kind and mode, time, content or target; `leave` is not looked at.

    Reading sets access times only.
    """
    root = os.fsencode(folder)
    found: Snapshot = {}
    stack = [root]
    while stack:
        path = stack.pop()
        told = os.lstat(path)
        mtime = told.st_mtime_ns
        if stat.S_ISDIR(told.st_mode):
            found[path[len(root) + 1 :]] = told.st_mode, mtime, told.st_ino
            stack += (os.path.join(path, name) for name in os.listdir(path))
            stack = [item for item in stack if not leave or item != os.path.join(root, leave)]
        elif stat.S_ISLNK(told.st_mode):
            found[path[len(root) + 1 :]] = told.st_mode, mtime, told.st_ino, os.readlink(path)
        else:
            content = Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(told.st_mode) else b""
            found[path[len(root) + 1 :]] = told.st_mode, mtime, told.st_ino, told.st_nlink, content
    return found


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder: path → `d`, the target of a symlink after `→`, else the content."""
    found = {}
    for path, facts in snapshot(folder).items():
        mode = facts[0]
        assert isinstance(mode, int)
        last = facts[-1]
        if path:
            text = os.fsdecode(last) if isinstance(last, bytes) else ""
            kind = "d" if stat.S_ISDIR(mode) else f"→ {text}" if stat.S_ISLNK(mode) else text
            found[os.fsdecode(path)] = kind
    return found


class Between:
    """A source that does something before each content is given: an attacker, or a person who cancels."""

    def __init__(self, source: ArchiveSource, step: Any) -> None:
        self._source, self._step = source, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def contents(
        self, image: Any, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        for entry, chunks in self._source.contents(image, layer, index, entries, job):
            yield entry, self._stepped(index.path(entry), chunks)

    def _stepped(self, path: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
        self._step(path, "before")
        yield from chunks
        self._step(path, "after")
