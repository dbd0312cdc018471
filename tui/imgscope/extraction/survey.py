"""What an extraction would do, found out before anything is written."""

from __future__ import annotations

import os
import stat

from imgscope.extraction.links import follow
from imgscope.extraction.place import Place
from imgscope.extraction.report import Note, Report, Why
from imgscope.extraction.select import LONGEST, Selection, link_in, link_of
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT

BITS = 0o7000  # setuid, setgid, sticky
_SPECIAL = (Kind.CHAR_DEVICE, Kind.BLOCK_DEVICE, Kind.FIFO)
_MANY = 1 << 12


class Survey:
    """A selection, sorted by what is to be done; `place` is the folder where it exists.

    `files` maps each content (the version that stores it) to the node that is written, `names` that node
    to the others that become its hardlinks, `links` the nodes of symlinks to what is written into them.
    `report` is what would be written. `collisions` are names that are there already, `obstacles` those that
    are never replaced: directories where a file goes, anything else where a directory goes. Raises
    `CancelledError`, and `OSError` of the folder.
    """

    def __init__(self, selection: Selection, place: Place | None, bits: bool, job: Job) -> None:
        self.selection = selection
        self.files: dict[int, int] = {}
        self.names: dict[int, list[int]] = {}
        self.links: dict[int, bytes] = {}
        self.report = Report()
        self.collisions, self.obstacles = Note(), Note()
        self._overlay = selection.overlay
        self._place = place
        self._bits = bits
        self._absent: set[int] = set()  # directories that are not in the folder yet
        for node in selection.impossible:
            self.report.note(Why.NAME, self._overlay.path(node))
        for count, (node, version) in enumerate(selection.versions.items()):
            if count % _MANY == 0:
                job.check()
            self._take(node, version)

    def _take(self, node: int, version: int) -> None:
        overlay, report = self._overlay, self.report
        path = self.selection.path(node)
        made = overlay.inode(version) if version >= 0 else -1
        kind = overlay.kind(made) if made >= 0 else Kind.DIRECTORY
        if kind == Kind.DIRECTORY:
            report.folders += bool(path)
            self._note_metadata(node, made)
            self._meet(node, path, True)
            return
        if kind in _SPECIAL:
            report.note(Why.SPECIAL, overlay.path(node))
            return
        if kind == Kind.SYMLINK:
            target = link_of(overlay, made) or b""
            written = self._harmless(node, path, target)
            if written is None:
                report.note(Why.OUT, overlay.path(node))
                return
            if written != target:
                report.note(Why.REWRITTEN, overlay.path(node))
            self.links[node] = written
            report.symlinks += 1
        elif (first := self.files.setdefault(made, node)) == node:
            index, entry = overlay.layers[overlay.layer[made] - 1], overlay.entry[made]
            report.files += 1
            report.size += index.extent(entry)[1]
            if kind == Kind.HARDLINK:
                report.note(Why.EMPTY, overlay.path(node))
            self._note_metadata(node, made)
        else:
            self.names.setdefault(first, []).append(node)
            report.hardlinks += 1
        self._meet(node, path, False)

    def _note_metadata(self, node: int, made: int) -> None:
        if made < 0 or (entry := self._overlay.entry[made]) < 0:
            return
        index = self._overlay.layers[self._overlay.layer[made] - 1]
        if index.modes[entry] & BITS and not self._bits:
            self.report.note(Why.BITS, self._overlay.path(node))
        if entry in index.xattrs:
            self.report.note(Why.XATTRS, self._overlay.path(node))

    # -- what is there already ----------------------------------------------------------------------

    def _meet(self, node: int, path: bytes, is_folder: bool) -> None:
        """Note what stands where a node goes."""
        if not path:
            return
        top = node == self.selection.node
        if self._place is None or (not top and self._overlay.parents[node] in self._absent):
            found = None
        else:
            found = self._place.look(path)
        if found is None:
            if is_folder:
                self._absent.add(node)
        elif is_folder != stat.S_ISDIR(found.st_mode):
            self.obstacles.add(path)
        elif not is_folder:
            self.collisions.add(path)

    # -- symlinks -----------------------------------------------------------------------------------

    def _harmless(self, node: int, path: bytes, target: bytes) -> bytes | None:
        """What to write into a symlink: its target, or the same place by a relative way; None for neither."""
        if not target or b"\0" in target or len(target) >= LONGEST:
            return None
        folder = path.rpartition(b"/")[0]
        if self._stays(folder, target):
            return target
        overlay, layer = self._overlay, self.selection.layer
        above = overlay.path(overlay.parents[node])
        meant = follow(_parts(above), target, lambda at: link_in(overlay, layer, at), rooted=True)
        there = self.selection.place(b"/".join(meant)) if meant is not None else None
        if there is None:
            return None
        way = os.path.relpath(b"/" + there, b"/" + folder)
        return way if len(way) < LONGEST and self._stays(folder, way) else None

    def _stays(self, folder: bytes, target: bytes) -> bool:
        """Whether a symlink in a directory below the folder never leads out of the folder."""
        return follow(_parts(folder), target, self._link_at, rooted=False) is not None

    def _link_at(self, path: bytes) -> bytes | None:
        """The target of what will be a symlink at a path below the folder."""
        overlay, image_path = self._overlay, self.selection.image_path(path)
        node = overlay.find(image_path) if image_path is not None else -1
        if node >= ROOT and (version := self.selection.versions.get(node, -2)) > -2:
            made = overlay.inode(version) if version >= 0 else -1
            if made < 0 or (kind := overlay.kind(made)) == Kind.DIRECTORY:
                return None
            if kind not in _SPECIAL:
                return link_of(overlay, made)
        # nothing is written there: one of the person's own symlinks may lead anywhere
        return b"/" if self._place is not None and self._place.is_link(path) else None


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/") if path else []
