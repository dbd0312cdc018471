"""Files of an image into a folder: what would happen, and doing it.

What an image names is untrusted. Everything is written below one open folder (place.py); a symlink is made
only where it leads to a place below that folder, devices and fifos never; setuid, setgid and sticky bits are
dropped unless they are asked for; owners and extended attributes (capabilities among them) are not kept.
What is left out or made harmless is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from errno import EEXIST, EFBIG, EISDIR, ELOOP, ENOTDIR
from pathlib import Path

from imgscope.actions.plan import Blocker, Done, Event, Plan, Transfer, command
from imgscope.analysis import Analysis
from imgscope.contents import read_files
from imgscope.errors import CancelledError, DamagedError, ImgscopeError, NotFoundError, UsageError
from imgscope.extraction.place import BAD_NAMES, Inode, New, Place, inode
from imgscope.extraction.report import Report, Why
from imgscope.extraction.select import Selection, select
from imgscope.extraction.survey import BITS, Survey
from imgscope.job import Job
from imgscope.sources.base import Source
from imgscope.text import path_text, size_text

_FRAME = 1 / 15  # seconds between two events
_FOLDER_MODE = 0o755  # of a directory that no layer describes
_REFUSALS = {
    **dict.fromkeys(BAD_NAMES, Why.NAME),
    **dict.fromkeys((EEXIST, EISDIR), Why.THERE),
    EFBIG: Why.SIZE,
}


def folder_of(text: str) -> str:
    """What a person typed as an absolute path, a leading `~` their home. Raises `UsageError` for nothing."""
    if not text:
        raise UsageError("Name a folder to write below.")
    try:
        return str(Path.cwd() / os.path.expanduser(text))
    except OSError:  # the folder that the program was started in is gone
        raise UsageError("Name the folder by its whole path.") from None


@dataclass
class Extract:
    """A node of an image's overlay, as a layer stores it or (`merged`) as layers 1..layer leave it.

    It goes into the folder `to` under its own name, the content of the root right into it; `to` is made where
    only its last part is missing. Directories that are there are filled up, files that are there are replaced
    only with `overwrite`, and directories never. `bits` keeps setuid, setgid and sticky bits. Permissions go
    through the umask, times are kept. `report` tells what was written so far.
    """

    source: Source
    analysis: Analysis
    node: int
    layer: int
    merged: bool
    to: str
    reference: str
    overwrite: bool = False
    bits: bool = False
    report: Report = field(default_factory=Report, init=False)

    def describe(self) -> Plan:
        """Reads the folder, not the image. Raises `ImgscopeError`."""
        selection = self._selection(Job())
        place = self._open(make=False)
        try:
            survey = self._survey(selection, place, Job())
            free = place.free() if place is not None else None
        finally:
            if place is not None:
                place.close()
        report = survey.report
        lines = [f"{report} into {self._goal(selection)}"]
        if selection.node != self.node:
            found = path_text(selection.overlay.path(selection.node))
            lines.append(f"it is a symlink; what it leads to is taken, {found}")
        if place is None:
            lines.append(f"the folder {self.to} is made")
        if self.overwrite and survey.collisions.count:
            lines.append(f"{survey.collisions.count:,} there already are replaced: {survey.collisions}")
        if selection.removed:
            lines.append(
                f"{selection.removed:,} that the layer removes are not in it; take a layer below for them"
            )
        lines += report.lines()
        lines += self._damage()
        if free is not None and free < report.size:
            lines.append(f"there is room for {size_text(free)} only")
        return Plan(
            title=self._title(selection),
            command=self._command(),
            lines=tuple(lines),
            blocked_by=tuple(self._blockers(survey)),
            destructive=self.overwrite and bool(survey.collisions.count),
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """Gives the bytes written; `Done` has a line for all that is not as in the image.

        Raises `CancelledError` and `ImgscopeError` that say what was written; no file is ever left half
        written. What a signal ends in the middle may leave one file called .imgscope-….
        """
        self.report = Report()
        selection = self._selection(job)
        place = self._open(make=True)
        assert place is not None
        with closing(place):
            survey = self._survey(selection, place, job)
            if blockers := list(self._blockers(survey)):
                way = (
                    "; --overwrite replaces what is there" if all(item.forceable for item in blockers) else ""
                )
                raise UsageError(f"Nothing was written: {'; '.join(item.what for item in blockers)}{way}.")
            try:
                yield from _Writing(self, survey, place, job).run()
            except (CancelledError, KeyboardInterrupt):
                raise CancelledError(f"Cancelled: {self.so_far()}.") from None
            except OSError as error:
                raise ImgscopeError(f"Stopped, since {_words(error)}: {self.so_far()}.") from None
            except ImgscopeError as error:
                raise ImgscopeError(f"{str(error).rstrip('.')}; {self.so_far()}.") from None
        goal = self._goal(selection)
        yield Done("\n".join([f"{self.report} written to {goal}", *self.report.lines()]), result=goal)

    def _damage(self) -> list[str]:
        """What is wrong with the layers that are taken from, the first of it."""
        low = 1 if self.merged else self.layer
        return [str(one) for one in self.analysis.problems if one.layer and low <= one.layer <= self.layer][
            :3
        ]

    def _selection(self, job: Job) -> Selection:
        return select(self.analysis, self.node, self.layer, self.merged, job)

    def _survey(self, selection: Selection, place: Place | None, job: Job) -> Survey:
        try:
            return Survey(selection, place, self.bits, job)
        except OSError as error:
            raise ImgscopeError(f"{self.to} cannot be looked through: {_words(error)}.") from None

    def _open(self, *, make: bool) -> Place | None:
        """The folder; None where it is not there, is not to be made yet, and could be."""
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(self.to)
            return Place(self.to)
        except FileNotFoundError:
            parent = Path(self.to).absolute().parent
            if make or not parent.is_dir() or os.path.lexists(self.to):
                raise NotFoundError(
                    f"There is no folder {parent} to make {self.to} in; make it first."
                ) from None
            return None
        except NotADirectoryError:
            raise UsageError(f"{self.to} is no folder; name one to write to.") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"The folder {self.to} cannot be opened: {_words(error)}.") from None

    def _blockers(self, survey: Survey) -> Iterator[Blocker]:
        where = self.to
        if count := survey.obstacles.count:
            what = f"{count:,} in {where} would have to change between folder and file: {survey.obstacles}"
            yield Blocker(what, where, False)
        if (count := survey.collisions.count) and not self.overwrite:
            what = f"{count:,} in {where} {'is' if count == 1 else 'are'} there already: {survey.collisions}"
            yield Blocker(what, where, True)

    def _goal(self, selection: Selection) -> str:
        name = path_text(selection.name) if selection.name else ""
        return self.to.rstrip("/") + name if name else self.to

    def _title(self, selection: Selection) -> str:
        path = path_text(selection.overlay.path(self.node))
        count = len(selection.overlay.layers)
        if not selection.merged:
            return f"Extract {path} as layer {selection.layer} stores it"
        return f"Extract {path}" + ("" if selection.layer == count else f" as of layer {selection.layer}")

    def _command(self) -> str:
        words = [self.reference, path_text(self.analysis.overlay.path(self.node)), "--to", self.to]
        if not self.merged or self.layer < len(self.analysis.overlay.layers):
            words += ["--layer", str(self.layer), *["--merged"] * self.merged]
        words += [*["--overwrite"] * self.overwrite, *["--setuid"] * self.bits]
        return command("imgscope", "extract", *words)

    def so_far(self) -> str:
        """What was written, as a part of a sentence."""
        wrote = self.report.files or self.report.folders or self.report.symlinks
        return f"{self.report} were written to {self.to}, each whole" if wrote else "nothing was written"


class _Writing:
    """The doing: directories, then contents as the source gives them, further names, symlinks, times."""

    def __init__(self, action: Extract, survey: Survey, place: Place, job: Job) -> None:
        self._action, self._survey, self._place, self._job = action, survey, place, job
        self._selection, self._overlay = survey.selection, survey.selection.overlay
        self._report = action.report
        self._report.notes = survey.report.notes
        self._folders: list[tuple[int, Inode]] = []  # that were made
        self._lost: set[int] = set()  # that could not be
        self._made: set[Inode] = set()
        self._due = 0.0
        self._read = 0  # bytes of contents

    def run(self) -> Iterator[Event]:
        try:
            yield from self._make_folders()
            yield from self._write_files()
            yield from self._make_links()
        finally:
            self._finish_folders()

    # -- what every path needs ------------------------------------------------------------------------

    def _metadata(self, version: int) -> tuple[int, int | None]:
        """Mode and time in nanoseconds of a version, as they are to be."""
        made = self._overlay.inode(version) if version >= 0 else -1
        if made < 0 or (entry := self._overlay.entry[made]) < 0:
            return _FOLDER_MODE, None
        index = self._overlay.layers[self._overlay.layer[made] - 1]
        mode = index.modes[entry] & (0o777 | (BITS if self._action.bits else 0))
        return mode, round(index.mtimes[entry] * 1_000_000_000)

    def _moved(self) -> Iterator[Event]:
        """Progress, not too often; a place to be cancelled at."""
        self._job.check()
        if (now := time.monotonic()) >= self._due:
            self._due = now + _FRAME
            yield self._progress()

    def _progress(self) -> Transfer:
        return Transfer("files", "writing", self._read, self._survey.report.size)

    def _may_replace(self, path: bytes) -> bool:
        """Raises `FileExistsError` where it was just written under another case of the name."""
        if not self._action.overwrite or (found := self._place.look(path)) is None:
            return self._action.overwrite
        if inode(found) in self._made:
            raise FileExistsError(EEXIST, os.strerror(EEXIST))
        self._report.replaced += 1
        return True

    def _can(self, node: int) -> bool:
        """Whether a node's directory is there; a note where it could not be made."""
        if node == self._selection.node or self._overlay.parents[node] not in self._lost:
            return True
        self._report.note(Why.NAME, self._overlay.path(node))
        return False

    def _refused(self, node: int, error: OSError) -> None:
        """Note what the system does not do for this path alone; raise what it does for none."""
        why = _REFUSALS.get(error.errno or 0)
        if why is None:
            raise error
        self._report.note(why, self._overlay.path(node))

    # -- step by step ---------------------------------------------------------------------------------

    def _make_folders(self) -> Iterator[Event]:
        for node, path in self._selection.paths.items():
            yield from self._moved()
            if not path:
                continue
            if not self._can(node):
                self._lost.add(node)
                continue
            mode, _ = self._metadata(self._selection.versions[node])
            try:
                if (made := self._place.make_folder(path, mode & 0o777)) is not None:
                    self._folders.append((node, made))
                self._report.folders += 1
            except OSError as error:
                self._refused(node, error)
                self._lost.add(node)

    def _write_files(self) -> Iterator[Event]:
        overlay, files, versions = self._overlay, self._survey.files, self._selection.versions
        for made, node in files.items():
            if not overlay.file_size(made):
                yield from self._write(node, made, iter(()))
        full = [versions[node] for made, node in files.items() if overlay.file_size(made)]
        source, analysis = self._action.source, self._action.analysis
        for version, chunks in read_files(source, analysis, full, self._job, holes=False):
            made = overlay.inode(version)
            yield from self._write(files[made], made, chunks)
        yield self._progress()

    def _write(self, node: int, made: int, chunks: Iterator[bytes]) -> Iterator[Event]:
        """One content, under all its names."""
        yield from self._moved()
        mode, mtime = self._metadata(made)
        written: tuple[bytes, Inode] | None = None
        names = [node, *self._survey.names.get(node, ())]
        for position, name in enumerate(names):
            yield from self._moved()
            if not self._can(name):
                continue
            path = self._selection.path(name)
            try:
                if written is not None:
                    copied = self._place.copy(*written, path, self._may_replace(path))
                    self._report.files += copied
                    self._report.hardlinks += not copied
                    continue
                with self._place.writing(path, mode, mtime, self._may_replace(path)) as new:
                    yield from self._fill(new, made, chunks)
            except OSError as error:
                self._refused(name, error)
                if written is None and error.errno not in BAD_NAMES:  # the content is read, or never will be
                    for other in names[position + 1 :]:
                        self._refused(other, error)
                    return
                continue
            written = path, new.inode
            self._made.add(new.inode)
            self._report.files += 1
            self._report.size += self._size(made)

    def _size(self, made: int) -> int:
        return self._overlay.layers[self._overlay.layer[made] - 1].extent(self._overlay.entry[made])[1]

    def _fill(self, new: New, made: int, chunks: Iterator[bytes]) -> Iterator[Event]:
        """Write a content, its holes left out."""
        index, entry = self._overlay.layers[self._overlay.layer[made] - 1], self._overlay.entry[made]
        size = index.sizes[entry]
        new.end(size)
        left = b""
        for start, length in index.sparse.get(entry, [(0, size)]):
            new.seek(start)
            while length:
                if not (chunk := left or next(chunks, b"")):
                    raise DamagedError(f"The content of {path_text(index.path(entry))} ends early.")
                chunk, left = chunk[:length], chunk[length:]
                length -= len(chunk)
                new.write(chunk)
                self._read += len(chunk)
                yield from self._moved()

    def _make_links(self) -> Iterator[Event]:
        for node, target in self._survey.links.items():
            yield from self._moved()
            if self._can(node):
                path = self._selection.path(node)
                _, mtime = self._metadata(self._selection.versions[node])
                try:
                    self._place.make_link(path, target, mtime, self._may_replace(path))
                    self._report.symlinks += 1
                except OSError as error:
                    self._refused(node, error)

    def _finish_folders(self) -> None:
        """Modes and times, the innermost first; also where it was cancelled."""
        for node, made in reversed(self._folders):
            mode, mtime = self._metadata(self._selection.versions[node])
            with suppress(OSError):
                self._place.finish_folder(self._selection.paths[node], made, mode, mtime)


def _words(error: BaseException) -> str:
    """What the system says, as a part of a sentence."""
    if isinstance(error, OSError) and error.errno in (ENOTDIR, ELOOP):
        return "something else was put where a directory was"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text[:1].lower() + text[1:]
