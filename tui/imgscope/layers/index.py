"""LayerIndex: the entries of one layer, column by column, in the order of its tar.

300,000 entries as Python objects would cost more than the analysis; as columns they cost about
130 bytes each. An entry is a number; `Entry` is only made for those who look at one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a tar entry is to the file system (OCI image specification, `layer.md`)."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    HARDLINK = 3
    CHAR_DEVICE = 4
    BLOCK_DEVICE = 5
    FIFO = 6
    WHITEOUT = 7  # hides the path it carries
    OPAQUE = 8  # hides what lower layers hold in the directory it carries
    IGNORED = 9  # counted, but makes no path: AUFS metadata (`.wh..wh.*`)


@dataclass(frozen=True, slots=True)
class Problem:
    """Damage, or something missing. `layer` counts from 1; `offset` is a byte of the layer's unpacked tar."""

    message: str
    layer: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        """With its layer. Not made safe for a terminal."""
        return f"layer {self.layer}: {self.message}" if self.layer else self.message


Xattrs = tuple[tuple[bytes, bytes], ...]


class Entry(NamedTuple):
    """One tar entry, for display. `size` is bytes of content, 0 for all that is no file."""

    path: bytes
    kind: Kind
    size: int
    mode: int
    uid: int
    gid: int
    mtime: float
    link: bytes
    device: tuple[int, int] | None
    xattrs: Xattrs


class LayerIndex:
    """The entries of one layer.

    Paths are bytes, relative to the root, without `.`, `..`, doubled or closing slashes; the root
    is the empty path. A whiteout carries the path it hides, an opaque marker its directory. The
    path of entry i is `dirs[parents[i]]` + `/` + `names[i]`; a directory's name is stored once.
    """

    __slots__ = (
        "__weakref__",
        "_dir_numbers",
        "checksums",
        "compressed_size",
        "devices",
        "diff_id",
        "digest",
        "digests",
        "dirs",
        "gids",
        "kinds",
        "links",
        "modes",
        "mtimes",
        "names",
        "offsets",
        "opaques",
        "parents",
        "problems",
        "sizes",
        "skipped",
        "sparse",
        "tar_size",
        "uids",
        "whiteouts",
        "xattrs",
    )

    def __init__(self) -> None:
        self.dirs: list[bytes] = []
        self._dir_numbers: dict[bytes, int] = {}
        self.parents = array("I")
        self.names: list[bytes] = []
        self.kinds = bytearray()
        self.sizes = array("q")  # bytes of content as a program would read them (holes included)
        self.modes = array("I")  # permission, setuid, setgid and sticky bits
        self.uids = array("q")
        self.gids = array("q")
        self.mtimes = array("d")  # seconds since 1970
        self.offsets = array("q")  # where the content starts in the unpacked tar
        self.links: dict[int, bytes] = {}  # symlink: the target as stored; hardlink: a path like ours
        self.devices: dict[int, tuple[int, int]] = {}
        self.xattrs: dict[int, Xattrs] = {}
        self.sparse: dict[int, list[tuple[int, int]]] = {}  # entry → (offset in the file, length) of its data
        self.whiteouts: list[int] = []  # entries that hide one path
        self.opaques: list[int] = []  # entries whose directory hides all that lower layers hold in it
        self.digests: dict[int, bytes] = {}  # sha256 of contents, where the reader had them pass by
        # CRC-64 of each entry's content, where an engine noted it (else empty): it tells that contents
        # differ, never that they are the same
        self.checksums = array("Q")
        self.skipped = 0  # entries of the tar that no engine would unpack; each is among the problems
        self.problems: list[Problem] = []
        self.tar_size = 0  # bytes of the unpacked tar, as far as it was walked
        self.diff_id: str | None = None  # digest of the unpacked tar, where it was read whole
        self.digest: str | None = None  # digest of the blob as stored, where it was read whole
        self.compressed_size: int | None = None

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def entries(self) -> int:
        """All entries of the tar, whiteouts and refused ones included."""
        return len(self.kinds) + self.skipped

    @property
    def total(self) -> int:
        """The sum of the file bytes, every copy counted."""
        return sum(self.sizes)

    def add(
        self,
        path: bytes,
        kind: int,
        size: int = 0,
        mode: int = 0o644,
        uid: int = 0,
        gid: int = 0,
        mtime: float = 0.0,
        offset: int = -1,
    ) -> int:
        """Append one entry and return its number. `path` must be normalised already."""
        parent, _, name = path.rpartition(b"/")
        return self.append(self.folder(parent), name, kind, size, mode, uid, gid, mtime, offset)

    def folder(self, path: bytes) -> int:
        """The number of a directory in `dirs`, where it is added once. `path` must be normalised already."""
        number = self._dir_numbers.get(path)
        if number is None:
            number = self._dir_numbers[path] = len(self.dirs)
            self.dirs.append(path)
        return number

    def append(
        self,
        folder: int,
        name: bytes,
        kind: int,
        size: int,
        mode: int,
        uid: int,
        gid: int,
        mtime: float,
        offset: int,
    ) -> int:
        """Append one entry by the number of its directory and its name there; what `add` comes to."""
        self.parents.append(folder)
        self.names.append(name)
        self.kinds.append(kind)
        self.sizes.append(size)
        self.modes.append(mode)
        self.uids.append(uid)
        self.gids.append(gid)
        self.mtimes.append(mtime)
        self.offsets.append(offset)
        return len(self.kinds) - 1

    def path(self, entry: int) -> bytes:
        """The path of an entry, relative to the root."""
        parent = self.dirs[self.parents[entry]]
        return parent + b"/" + self.names[entry] if parent else self.names[entry]

    def extent(self, entry: int) -> tuple[int, int]:
        """Where the stored content of a file lies in the unpacked tar: (offset, length), holes left out."""
        pieces = self.sparse.get(entry)
        stored = self.sizes[entry] if pieces is None else sum(length for _, length in pieces)
        return self.offsets[entry], stored

    def entry(self, number: int) -> Entry:
        """One entry as an object."""
        return Entry(
            self.path(number),
            Kind(self.kinds[number]),
            self.sizes[number],
            self.modes[number],
            self.uids[number],
            self.gids[number],
            self.mtimes[number],
            self.links.get(number, b""),
            self.devices.get(number),
            self.xattrs.get(number, ()),
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self.entry(number) for number in range(len(self)))
