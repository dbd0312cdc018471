"""The build context: what a build sends to the engine of a folder with a Dockerfile and `.dockerignore`."""

from __future__ import annotations

import os
import secrets
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgscope.actions.ignore import Ignore
from imgscope.errors import UsageError
from imgscope.job import Job
from imgscope.text import clean, size_text

_CHUNK = 1 << 18
_LARGEST = 5  # files that a summary lists
_BLOCK = tarfile.BLOCKSIZE
_IGNORE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the context, relative to the folder; `size` in bytes, 0 for all but files.

    `same_as` is the path that holds the content where this is one more name of it (a hardlink).
    """

    path: str
    mode: int
    size: int = 0
    same_as: str = ""

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


@dataclass(frozen=True, slots=True)
class Context:
    """What a build may COPY, in the order in which it is sent; and what stays behind.

    `ignored_files` and `ignored_bytes` count what the ignore file leaves out. `leading_out` are
    symlinks whose targets lie outside: only the links are sent. BuildKit sends no more than what the
    Dockerfile asks for, so there the bytes are the most that it may come to.
    """

    folder: Path
    dockerfile: Path
    ignore_file: Path | None
    entries: tuple[Entry, ...]
    ignored_files: int = 0
    ignored_bytes: int = 0
    leading_out: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: str | Path, dockerfile: str | Path = "", job: Job | None = None) -> Context:
        """Look through a folder. `dockerfile` is found from the current folder, as docker does, or in it.

        Raises `UsageError` where there is nothing to build, or a file that cannot be read.
        """
        folder = Path(folder).absolute()
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is a file; name the folder that holds the Dockerfile."
                if folder.exists()
                else f"There is no folder {folder}; name one that holds a Dockerfile."
            )
        found = _dockerfile(folder, str(dockerfile))
        own = found.with_name(f"{found.name}{_IGNORE}")  # BuildKit takes it before the common one
        ignore_file = next((path for path in (own, folder / _IGNORE) if path.is_file()), None)
        ignore = Ignore()
        if ignore_file is not None:
            ignore = Ignore.parse(_text(ignore_file), str(ignore_file))
        walk = _Walk(folder, ignore, job or Job())
        walk.run()
        return cls(
            folder=folder,
            dockerfile=found,
            ignore_file=ignore_file,
            entries=tuple(walk.entries),
            ignored_files=walk.ignored_files,
            ignored_bytes=walk.ignored_bytes,
            leading_out=tuple(walk.leading_out),
        )

    @property
    def files(self) -> list[Entry]:
        """The files, without directories and links."""
        return [entry for entry in self.entries if entry.is_file]

    @property
    def total(self) -> int:
        """Bytes of all files; a hardlinked one counts once."""
        return sum(entry.size for entry in self.entries)

    def largest(self, count: int = _LARGEST) -> list[Entry]:
        """The largest files, the largest first."""
        return sorted((entry for entry in self.files if entry.size), key=lambda entry: -entry.size)[:count]

    @property
    def dockerfile_path(self) -> str | None:
        """The Dockerfile's path in the context; None where it lies outside."""
        return _within(self.folder, self.dockerfile)

    def lines(self) -> tuple[str, ...]:
        """What is sent and what is not, for a person to read."""
        files = self.files
        made = [f"context  {_files(len(files))}, {size_text(self.total)}"]
        for number, entry in enumerate(self.largest()):
            made.append(f"{'' if number else 'largest':<9}{size_text(entry.size):>8}  {clean(entry.path)}")
        if self.ignore_file is not None:
            left = f"{_files(self.ignored_files)}, {size_text(self.ignored_bytes)}"
            made.append(f"ignored  {left}, by {clean(self.ignore_file.name)}")
        elif files:
            made.append(f"ignored  nothing: there is no {_IGNORE}")
        if self.dockerfile_path is None:
            made.append("The Dockerfile lies outside the folder; it is sent beside it.")
        if self.leading_out:
            some = ", ".join(map(clean, self.leading_out[:_LARGEST]))
            more = f" and {len(self.leading_out) - _LARGEST} more" if len(self.leading_out) > _LARGEST else ""
            made.append(f"Symlinks that lead out of the folder, so their targets are not sent: {some}{more}.")
        return tuple(made)

    def tar(self, job: Job) -> tuple[str, Iterator[bytes]]:
        """The Dockerfile's name in the tar that the classic builder gets, and the tar as it is read.

        The engine drops from the context what the `.dockerignore` in the tar names, a Dockerfile that is
        left out or lies outside among it (moby, `builder/remotecontext/detect.go`).
        """
        sent = {entry.path for entry in self.entries}
        name = self.dockerfile_path
        hidden: list[tuple[str, bytes]] = []
        if name is None or name not in sent:
            common = self.ignore_file == self.folder / _IGNORE
            if name is None or not common:
                name = f".dockerfile.{secrets.token_hex(10)}"
            rules = _content(self.folder / _IGNORE) if (self.folder / _IGNORE).is_file() else _IGNORE.encode()
            hidden = [(_IGNORE, rules + f"\n{name}\n".encode()), (name, _content(self.dockerfile))]
        return name, self._tar(job, hidden)

    def _tar(self, job: Job, hidden: list[tuple[str, bytes]]) -> Iterator[bytes]:
        replaced = {name for name, _ in hidden}
        for entry in self.entries:
            job.check()
            if entry.path not in replaced:
                yield from self._member(entry, job)
        for name, content in hidden:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            yield _header(info) + content + bytes(-len(content) % _BLOCK)
        yield bytes(2 * _BLOCK)

    def _member(self, entry: Entry, job: Job) -> Iterator[bytes]:
        path = self.folder / entry.path
        info = tarfile.TarInfo(entry.path)  # owned by root, as docker sends it
        try:
            found = path.lstat()
            info.mode, info.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
            if entry.same_as:
                info.type, info.linkname = tarfile.LNKTYPE, entry.same_as
            elif stat.S_ISDIR(found.st_mode):
                info.type = tarfile.DIRTYPE
            elif stat.S_ISLNK(found.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
            elif stat.S_ISFIFO(found.st_mode):
                info.type = tarfile.FIFOTYPE
            else:
                info.size = entry.size
            yield _header(info)
            if not info.size:
                return
            left = info.size
            with path.open("rb") as file:
                while left and (chunk := file.read(min(left, _CHUNK))):
                    left -= len(chunk)
                    job.advance(len(chunk))
                    yield chunk
        except OSError as error:
            raise UsageError(f"{path} cannot be read ({error.strerror}).") from None
        if left:
            raise UsageError(f"{path} became shorter while it was sent; build again.")
        yield bytes(-info.size % _BLOCK)


class _Walk:
    """One look through a folder."""

    def __init__(self, folder: Path, ignore: Ignore, job: Job) -> None:
        self.folder, self.ignore, self.job = folder, ignore, job
        self.entries: list[Entry] = []
        self.leading_out: list[str] = []
        self.ignored_files = 0
        self.ignored_bytes = 0
        self._links: dict[tuple[int, int], str] = {}
        self._listed: set[str] = set()

    def run(self) -> None:
        # (folder, whether it is left out together with all below it)
        stack = [("", False)]
        while stack:
            parent, lost = stack.pop()
            below = []
            for name in self._names(parent, lost):
                self.job.check()
                path = f"{parent}/{name}" if parent else name
                try:
                    found = (self.folder / path).lstat()
                except FileNotFoundError:
                    continue  # gone meanwhile
                except OSError as error:
                    raise UsageError(f"{self.folder / path} cannot be read ({error.strerror}).") from None
                out = lost or self.ignore(path)
                if stat.S_ISDIR(found.st_mode):
                    below.append((path, lost or (out and not self.ignore.may_hold(path))))
                if not out:
                    self._send(path, found)
                elif not stat.S_ISDIR(found.st_mode):
                    self.ignored_files += 1
                    self.ignored_bytes += found.st_size if stat.S_ISREG(found.st_mode) else 0
            stack += reversed(below)

    def _names(self, parent: str, lost: bool) -> list[str]:
        try:
            return sorted(os.listdir(self.folder / parent))
        except OSError as error:
            if lost:
                return []
            raise _unreadable(self.folder / parent, error) from None

    def _send(self, path: str, found: os.stat_result) -> None:
        if stat.S_ISSOCK(found.st_mode):
            return  # no tar holds one
        self._send_parents(path)
        size, same_as = 0, ""
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(self.folder / path)
            inner = os.path.normpath(os.path.join(os.path.dirname(path), target))
            if inner.startswith(("/", "../")) or inner == "..":
                self.leading_out.append(path)
        elif stat.S_ISREG(found.st_mode):
            if not os.access(self.folder / path, os.R_OK):
                raise _unreadable(self.folder / path)
            if found.st_nlink > 1:
                first = self._links.setdefault((found.st_dev, found.st_ino), path)
                same_as = "" if first == path else first
            size = 0 if same_as else found.st_size
        elif not stat.S_ISDIR(found.st_mode) and not stat.S_ISFIFO(found.st_mode):
            return  # a device
        self._listed.add(path)
        self.entries.append(Entry(path, found.st_mode, size, same_as))

    def _send_parents(self, path: str) -> None:
        """The directories above an exception, which are left out themselves."""
        parent = os.path.dirname(path)
        if parent and parent not in self._listed:
            self._send(parent, (self.folder / parent).lstat())


def _dockerfile(folder: Path, name: str) -> Path:
    if name == "-":
        raise UsageError("A Dockerfile from standard input is not supported; name a file with -f.")
    if not name:
        if not any(folder.iterdir()):
            raise UsageError(f"{folder} is empty; a build needs a Dockerfile in it, or one named with -f.")
        paths = [folder / "Dockerfile", folder / "dockerfile"]
    else:
        paths = [Path(name).absolute(), folder / name]
    found = next((path for path in paths if os.path.lexists(path)), None)
    if found is None:
        if name:
            raise UsageError(f"There is no Dockerfile {name}, neither from here nor in {folder}.")
        raise UsageError(f"There is no Dockerfile in {folder}; name one with -f.")
    if not found.is_file():
        raise UsageError(f"{found} is no file to read a Dockerfile from; name one with -f.")
    if not os.access(found, os.R_OK):
        raise _unreadable(found)
    return Path(os.path.normpath(found))


def _within(folder: Path, path: Path) -> str | None:
    try:
        return str(path.relative_to(os.path.normpath(folder)))
    except ValueError:
        return None


def _unreadable(path: Path, error: OSError | None = None) -> UsageError:
    reason = error.strerror if error is not None else "Permission denied"
    return UsageError(f"{path} cannot be read ({reason}); name it in {_IGNORE}, or let it be read.")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from None


def _text(path: Path) -> str:
    return os.fsdecode(_content(path))


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"
