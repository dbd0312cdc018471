"""Two versions of a file, of one image or of two: what differs in metadata and in content."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import NamedTuple

from imgscope.analysis import Analysis
from imgscope.contents import read_file
from imgscope.errors import ImgscopeError
from imgscope.job import Job
from imgscope.layers.index import Entry, Kind
from imgscope.layers.overlay import REMOVED, State
from imgscope.sources.base import Source
from imgscope.text import clean, path_text, size_text
from imgscope.viewing.jsonform import pretty
from imgscope.viewing.preview import Encoding, encoding_of
from imgscope.viewing.textdiff import Change, unified
from imgscope.viewing.versions import below

LIMIT = 4_000_000  # bytes of a text that are compared line by line …
_LINES = 200_000  # … and lines of it
_LONG = 2000  # bytes from which on a line of JSON is better compared in pieces
_STEP = 64 * 1024
KINDS = {
    Kind.FILE: "file",
    Kind.DIRECTORY: "directory",
    Kind.SYMLINK: "symlink",
    Kind.HARDLINK: "file",
    Kind.CHAR_DEVICE: "character device",
    Kind.BLOCK_DEVICE: "block device",
    Kind.FIFO: "pipe",
}


class Side(NamedTuple):
    """One version of a file, a directory or else, and what it is called: "layer 2", "app:1.0"."""

    source: Source
    analysis: Analysis
    version: int
    label: str

    @property
    def entry(self) -> Entry | None:
        """What the file system knows of it, for another name of a file (hardlink) of that file."""
        overlay = self.analysis.overlay
        if overlay.entry[self.version] == REMOVED:
            return None
        return overlay.describe(overlay.inode(self.version))


@dataclass(frozen=True, slots=True)
class FileDiff:
    """`facts` are (what, old, new), text that may come from an image; of one side only the other is "".

    `note` says in a sentence why there are no `changes`, or what they are of.
    """

    facts: tuple[tuple[str, str, str], ...]
    changes: tuple[Change, ...] = ()
    note: str = ""


def side(source: Source, analysis: Analysis, version: int, label: str = "") -> Side | None:
    """A version as a side of a diff, by its layer where it has no other name; None for none."""
    if version < 0 or analysis.overlay.entry[version] == REMOVED:
        return None
    return Side(source, analysis, version, label or f"layer {analysis.overlay.layer[version]}")


def compare(old: Side | None, new: Side | None, job: Job) -> FileDiff:
    """How two versions of a file differ; None is no such file there.

    Both contents are read whole for their digests, and kept only up to `LIMIT`. Raises `CancelledError`; what
    else goes wrong is told by the note.
    """
    facts = metadata(old.entry if old else None, new.entry if new else None)
    sides = [_has_content(item) for item in (old, new)]
    if not any(sides):
        return FileDiff(tuple(facts), note="" if old and new else _only(old, new))
    if _is_same(old, new):
        return FileDiff(tuple(facts), note="The contents are the same.")
    try:
        one, two, at = _read(old if sides[0] else None, new if sides[1] else None, job)
    except ImgscopeError as error:
        return FileDiff(tuple(facts), note=f"The contents cannot be compared. {error}")
    if all(sides) and one.digest == two.digest:
        facts.append(("content", "the same", "the same"))
        facts.append(("sha256", one.digest, two.digest))
        return FileDiff(tuple(facts), note="The contents are the same.")
    facts.append(("sha256", one.digest if sides[0] else "", two.digest if sides[1] else ""))
    texts = [_lines(item.kept, item.size) for item in (one, two)]
    if texts[0] is None or texts[1] is None:
        large = max(one.size, two.size) > LIMIT and all(item.is_text for item in (one, two))
        note = "too large for a diff by lines" if large else "no text, or lines beyond counting"
        if all(sides):
            facts.append(("first difference", f"at byte {at:,}", f"at byte {at:,}"))
        return FileDiff(tuple(facts), note=f"{_only(old, new)} Its content is {note}.".strip())
    note = _only(old, new)
    if max(map(len, (*texts[0], *texts[1])), default=0) > _LONG:
        forms = [pretty(item.kept) if item.size else b"" for item in (one, two)]
        if forms[0] is not None and forms[1] is not None:
            texts = [form.splitlines() for form in forms if form is not None]
            note = f"{note} JSON, compared member by member.".strip()
    assert texts[0] is not None
    assert texts[1] is not None
    changes = tuple(unified(texts[0], texts[1], job))
    if not changes:
        note = f"{note} No line differs: the last one's end does, or how the text is encoded.".strip()
    return FileDiff(tuple(facts), changes, note)


def _has_content(item: Side | None) -> bool:
    return item is not None and (entry := item.entry) is not None and entry.kind == Kind.FILE


def _is_same(old: Side | None, new: Side | None) -> bool:
    """Whether both are known to have one content, without reading it."""
    if old is None or new is None or old.analysis is not new.analysis:
        return False
    overlay = new.analysis.overlay
    if overlay.inode(old.version) == overlay.inode(new.version):
        return True
    settled = overlay.state[new.version] in (State.METADATA, State.UNCHANGED)
    return settled and below(overlay, new.version) == old.version


def _only(old: Side | None, new: Side | None) -> str:
    if old is None and new is not None:
        return f"Added by {new.label}: there is no version below."
    if new is None and old is not None:
        return f"Removed; this is what {old.label} has."
    return ""


# -- metadata -----------------------------------------------------------------------------------------


def metadata(old: Entry | None, new: Entry | None) -> list[tuple[str, str, str]]:
    """What differs: (what, old, new); all there is to say where one is missing."""
    found = []
    for (what, mine), (_, theirs) in zip(_facts(old), _facts(new), strict=True):
        if mine != theirs:
            found.append((what, mine, theirs))
    names = dict(old.xattrs if old else ()), dict(new.xattrs if new else ())
    for name in sorted({*names[0], *names[1]}):
        values = [f"{len(held[name]):,} B {held[name][:64]!r}" if name in held else "" for held in names]
        if names[0].get(name) != names[1].get(name):
            found.append((f"xattr {clean(name.decode('utf-8', 'surrogateescape'))}", values[0], values[1]))
    return found


def _facts(entry: Entry | None) -> Iterator[tuple[str, str]]:
    kind = entry.kind if entry else None
    yield "kind", KINDS[entry.kind] if entry else ""
    yield (
        "size",
        size_text(entry.size) + f" ({entry.size:,} B)" * (entry.size >= 1000)
        if entry and kind == Kind.FILE
        else "",
    )
    yield "mode", f"{entry.mode:04o}" if entry else ""
    yield "owner", f"{entry.uid}:{entry.gid}" if entry else ""
    yield "mtime", _moment(entry.mtime) if entry else ""
    yield "target", path_text(entry.link)[1:] if entry and kind == Kind.SYMLINK else ""
    yield "device", "{}:{}".format(*entry.device) if entry and entry.device else ""


def _moment(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}" + f"{seconds % 1:.9f}"[1:].rstrip(
            "0"
        ).rstrip(".")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


# -- content ------------------------------------------------------------------------------------------


class _Taken(NamedTuple):
    """A content that was read: its first bytes are kept."""

    kept: bytes
    size: int
    digest: str

    @property
    def is_text(self) -> bool:
        return encoding_of(self.kept[: 1 << 16], whole=False) is not None


def _read(old: Side | None, new: Side | None, job: Job) -> tuple[_Taken, _Taken, int]:
    """Both contents, and the first byte in which they differ. Read side by side: none is kept whole."""
    hashes = hashlib.sha256(), hashlib.sha256()
    kept = bytearray(), bytearray()
    sizes = [0, 0]
    at = -1
    with closing(_steps(old, job)) as one, closing(_steps(new, job)) as two:
        for pair in zip_longest(one, two, fillvalue=b""):
            if at < 0 and pair[0] != pair[1]:
                at = sizes[0] + _first(*pair)
            for number, data in enumerate(pair):
                hashes[number].update(data)
                kept[number].extend(data[: LIMIT + 1 - len(kept[number])])
                sizes[number] += len(data)
    first, second = (
        _Taken(bytes(kept[number]), sizes[number], hashes[number].hexdigest()) for number in (0, 1)
    )
    return first, second, at


def _steps(item: Side | None, job: Job) -> Generator[bytes]:
    """A content in pieces of one size, as far as it goes."""
    if item is None:
        return
    held = b""
    with closing(read_file(item.source, item.analysis, item.version, job)) as chunks:
        for chunk in chunks:
            job.advance(len(chunk))
            held += chunk
            while len(held) >= _STEP:
                yield held[:_STEP]
                held = held[_STEP:]
    if held:
        yield held


def _first(one: bytes, two: bytes) -> int:
    """The first place in which two pieces differ."""
    start, end = 0, min(len(one), len(two))
    while start < end:
        half = (start + end + 1) // 2
        if one[start:half] == two[start:half]:
            start = half
        else:
            end = half - 1
    return start


def _lines(kept: bytes, size: int) -> list[bytes] | None:
    """The lines of a text as UTF-8; None where it is no text, or too much of it."""
    if size > LIMIT:
        return None
    encoding = encoding_of(kept, whole=True)
    if encoding is None:
        return None
    if encoding != Encoding.UTF8:
        kept = kept.decode(encoding.value, "replace").encode()
    if kept.count(b"\n") > _LINES:
        return None
    lines = kept.split(b"\n")
    return lines if lines[-1] else lines[:-1]
