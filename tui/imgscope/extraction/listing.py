"""The files of an image as rows: text, JSON or CSV, written as they come."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from json import JSONEncoder
from typing import NamedTuple

from imgscope.analysis import Analysis
from imgscope.errors import UsageError
from imgscope.extraction.select import link_of
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.view import LayerView
from imgscope.text import name_text, path_text, size_text

STATES = {
    "added": State.ADDED,
    "changed": State.CONTENT,
    "metadata": State.METADATA,
    "removed": State.REMOVED,
    "unchanged": State.UNCHANGED,
}
_WORDS = {state: word for word, state in STATES.items()}
_SIGNS = {"added": "+", "changed": "~", "metadata": "≈", "removed": "−", "unchanged": "="}
_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.HARDLINK: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.CHAR_DEVICE: stat.S_IFCHR,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}
_KINDS = {
    Kind.FILE: "file",
    Kind.HARDLINK: "file",
    Kind.DIRECTORY: "directory",
    Kind.SYMLINK: "symlink",
    Kind.CHAR_DEVICE: "character device",
    Kind.BLOCK_DEVICE: "block device",
    Kind.FIFO: "fifo",
}


class Row(NamedTuple):
    """One path.

    `state` is what `layer` does to it (see `STATES`), empty in a merged tree, where `layer` is the one that
    stores what is there; of a removed path all the rest tells of the copy that was removed. `mode` are
    permission and set-id bits, None with all that only an entry tells where a directory is only implied.
    `size` is in bytes as a program reads them, for each name of a file. `link` is a symlink's target, or
    the path of the file that a hardlink names.
    """

    path: bytes
    state: str
    layer: int
    kind: Kind
    mode: int | None
    uid: int | None
    gid: int | None
    size: int
    mtime: float | None
    link: bytes


def parse_states(text: str | None) -> frozenset[str]:
    """The words of `--state`, none for no choice; raises `UsageError` for one that there is not."""
    words = [word.strip() for word in (text or "").split(",")] if text is not None else []
    for word in words:
        if word not in STATES:
            raise UsageError(f"There is no state {word!r}; there are {', '.join(STATES)}.")
    return frozenset(words)


def listed(
    analysis: Analysis, layers: Sequence[tuple[int, bool]], states: frozenset[str], job: Job
) -> Iterator[Row]:
    """The rows of some layers, given as (number, merged), each in the order of its tree.

    Merged is the tree that layers 1..number leave; else what the layer changes. `states` leaves out others;
    empty for none. Raises `CancelledError`.
    """
    overlay = analysis.overlay
    for layer, merged in layers:
        if not layer:  # an image without layers
            return
        view = LayerView(overlay, layer, merged=merged, job=job)
        for node in view.tree.nodes:
            version = view.version(node)
            state = "" if merged else _WORDS.get(view.state(node), "")
            if state == "unchanged" and (version < 0 or overlay.layer[version] != layer):
                continue  # only on the way
            if node == ROOT and (version < 0 or (not merged and overlay.layer[version] != layer)):
                continue
            if not states or (state or "unchanged") in states:
                yield _row(overlay, node, version, state, overlay.layer[version] if merged else layer)


def _row(overlay: Overlay, node: int, version: int, state: str, layer: int) -> Row:
    path, made = overlay.path(node), overlay.inode(version)
    kind = overlay.kind(made)
    index, entry = overlay.layers[overlay.layer[made] - 1], overlay.entry[made]
    if entry < 0:
        return Row(path, state, layer, kind, None, None, None, 0, None, b"")
    link = link_of(overlay, made)
    if link is None:
        link = overlay.path(overlay.node[made]) if made != version else b""
    return Row(
        path,
        state,
        layer,
        kind,
        index.modes[entry],
        index.uids[entry],
        index.gids[entry],
        index.sizes[entry],
        index.mtimes[entry],
        link,
    )


# -- written ------------------------------------------------------------------------------------------


def _link_text(row: Row) -> str:
    return path_text(row.link) if row.link and row.kind != Kind.SYMLINK else name_text(row.link)


def _cells(row: Row) -> dict[str, str | int | float | None]:
    return {
        "path": path_text(row.path),
        "state": row.state or None,
        "layer": row.layer,
        "kind": _KINDS[row.kind],
        "mode": None if row.mode is None else f"{row.mode:04o}",
        "uid": row.uid,
        "gid": row.gid,
        "size": row.size,
        "mtime": row.mtime,
        "link": _link_text(row) or None,
    }


def as_json(rows: Iterable[Row]) -> Iterator[str]:
    """An array of objects with the fields of `Row`, an object a line.

    `mode` is octal text, `mtime` seconds since 1970; what is not known, or not of this kind, is null.
    """
    encode = JSONEncoder().encode
    start = "[\n"
    for row in rows:
        yield f"{start}{encode(_cells(row))}"
        start = ",\n"
    yield "[]\n" if start == "[\n" else "\n]\n"


def as_csv(rows: Iterable[Row]) -> Iterator[str]:
    """RFC 4180 with a head. A text that a spreadsheet would take for a formula begins with `'`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def line(cells: Iterable[object]) -> str:
        writer.writerow(cells)
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    yield line(("path", "state", "layer", "kind", "mode", "uid", "gid", "size", "mtime", "link"))
    for row in rows:
        yield line(map(_cell, _cells(row).values()))


def _cell(value: str | int | float | None) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def as_text(rows: Iterable[Row]) -> Iterator[str]:
    """What `ls -l` would say, with the sign of the state and the layer in front."""
    for row in rows:
        mode = stat.filemode(_TYPES[row.kind] | row.mode) if row.mode is not None else "d?????????"
        owner = f"{row.uid}:{row.gid}" if row.uid is not None else "?"
        size = size_text(row.size) if row.kind in (Kind.FILE, Kind.HARDLINK) else ""
        arrow = " → " if row.kind == Kind.SYMLINK else " = "
        link = arrow + _link_text(row) if row.link else ""
        sign = _SIGNS.get(row.state, " ")
        head = f"{sign} {row.layer:>3} {mode} {owner:>9} {size:>7} {_when(row.mtime)}"
        yield f"{head} {path_text(row.path)}{link}\n"


def _when(mtime: float | None) -> str:
    """A time in UTC, blank where no calendar has it."""
    from datetime import UTC, datetime

    try:
        return f"{datetime.fromtimestamp(mtime, UTC):%Y-%m-%d %H:%M}" if mtime is not None else " " * 16
    except (ValueError, OverflowError, OSError):
        return " " * 16


FORMS: dict[str, Callable[[Iterable[Row]], Iterator[str]]] = {
    "json": as_json,
    "csv": as_csv,
    "text": as_text,
}
