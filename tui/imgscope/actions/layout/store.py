"""An OCI layout folder as a store: its lock, its index.json, its blobs.

index.json is the only document that ever changes. It is written beside and renamed, so there is at
every moment a whole one, and blobs are deleted only once the index without them is on the disk: a crash
leaves a valid layout at any point, at worst with blobs that nothing refers to, which `prune` collects.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgscope.errors import FormatError, ImgscopeError, NotFoundError
from imgscope.images.manifest import DOCUMENT_LIMIT, parse
from imgscope.sources.blobs import FolderBlobs

LOCK = ".imgscope.lock"  # there while a change goes on, or after a crash: it locks nothing by itself
BESIDE = ".index.json.imgscope"  # the next index.json; one that a crash left is overwritten
# Where blobs are collected: the digests whose names are sure to be those of blobs (`descriptor.md`).
_NAMES = {"sha256": "[0-9a-f]{64}", "sha384": "[0-9a-f]{96}", "sha512": "[0-9a-f]{128}"}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LayoutError(ImgscopeError):
    """The layout cannot be changed: in use, read-only, full, blocked."""


@dataclass(frozen=True, slots=True)
class Index:
    """index.json, and its bytes as they are on the disk."""

    data: bytes
    document: Mapping[str, Any]

    @property
    def manifests(self) -> list[Any]:
        """Its descriptors, whatever they are: untrusted JSON."""
        return list(self.document.get("manifests", []))

    def having(self, manifests: Sequence[Any]) -> Index:
        """This index with other descriptors, in the same hand."""
        document = {**self.document, "manifests": list(manifests)}
        indent = re.match(rb"\s*\{\r?\n([ \t]+)", self.data)
        text = json.dumps(
            document,
            indent=indent[1].decode() if indent else None,
            separators=None if indent else (",", ":"),
        )
        end = "\n" if self.data.endswith(b"\n") else ""
        return Index((text + end).encode(), document)


@dataclass(frozen=True, slots=True)
class File:
    """The file of a blob. `size` in bytes, as it is on the disk; 0 for a link, which is never followed."""

    digest: str
    size: int
    inode: tuple[int, int]
    links: int


def bytes_freed(files: Iterable[File]) -> int:
    """What deleting these files frees: a file with other hard links stays on the disk."""
    names: dict[tuple[int, int], int] = {}
    freed = 0
    for file in files:
        names[file.inode] = names.get(file.inode, 0) + 1
        if names[file.inode] == file.links:
            freed += file.size
    return freed


class LayoutStore:
    """The OCI layout in a folder, to be changed without an engine.

    Raises `NotFoundError` where there is no folder and `FormatError` where it is no layout that
    imgscope may change.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not self.folder.is_dir():
            raise NotFoundError(f"There is no folder {folder}; check the path.")
        if (self.folder / "manifest.json").exists():
            raise FormatError(
                f"{folder} holds an archive of docker save, whose names manifest.json has, too; "
                "copy its images into an OCI layout first, as with skopeo copy."
            )
        try:
            data = FolderBlobs(self.folder).read("oci-layout")
        except (NotFoundError, FormatError):
            raise FormatError(f"{folder} is no OCI layout: it has no readable file oci-layout.") from None
        version = parse(data, f"oci-layout of {folder}")
        if not str(version.get("imageLayoutVersion")).startswith("1."):
            raise FormatError(f"{folder} is an OCI layout of a version that imgscope does not know.")

    def __str__(self) -> str:
        return f"oci:{self.folder}"

    def index(self) -> Index:
        """index.json as it is now; raises `FormatError`."""
        what = f"index.json of {self.folder}"
        data = self._read_index()
        document = parse(data, what)
        if not isinstance(document.get("manifests", []), list):
            raise FormatError(f"{what} has a 'manifests' that is no list.")
        return Index(data, document)

    def files(self) -> dict[str, File]:
        """All files that are blobs by place and name, by digest."""
        found: dict[str, File] = {}
        for algorithm, name in _NAMES.items():
            pattern = re.compile(name)
            with self._blob_folder(algorithm) as fd:
                for entry in os.scandir(fd) if fd is not None else ():
                    if pattern.fullmatch(entry.name):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                            digest = f"{algorithm}:{entry.name}"
                            found[digest] = _file(digest, status)
        return found

    def linked_folders(self) -> list[str]:
        """The folders of blobs that are links to elsewhere: other layouts may use those blobs, too."""
        names = ("blobs", *(f"blobs/{algorithm}" for algorithm in _NAMES))
        return [name for name in names if (self.folder / name).is_symlink()]

    # -- changing ---------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone, among processes and threads. Raises `LayoutError` at once where another is at it.

        The lock is the kernel's (flock): it ends with its process, however that ends.
        """
        path = self.folder / LOCK
        while True:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise self._refused("cannot be changed", error) from None
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # whoever had the lock before may have taken this very file away
                mine = os.path.exists(path) and os.path.samestat(os.fstat(fd), os.stat(path))
            except BlockingIOError:
                os.close(fd)
                raise LayoutError(
                    f"Another process is changing {self.folder}; try again when it is done."
                ) from None
            except OSError as error:
                os.close(fd)
                raise self._refused("cannot be locked", error) from None
            if mine:
                break
            os.close(fd)
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(path)
            os.close(fd)

    def write(self, before: Index, after: Index) -> None:
        """Put `after` in the place of `before`, whole or not at all; on the disk when this returns.

        Raises `LayoutError`, having changed nothing, where it cannot be written or where somebody who
        knows no lock wrote another meanwhile.
        """
        path, beside = self.folder / "index.json", self.folder / BESIDE
        if len(after.data) > DOCUMENT_LIMIT:
            raise LayoutError(f"index.json of {self.folder} would have more than {DOCUMENT_LIMIT} bytes.")
        try:
            self.tidy()
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                rest = memoryview(after.data)
                while rest:
                    rest = rest[os.write(fd, rest) :]
                old = os.lstat(path)
                with suppress(PermissionError):
                    os.fchown(fd, old.st_uid, old.st_gid)
                os.fchmod(fd, stat.S_IMODE(old.st_mode))
                os.fsync(fd)
            finally:
                os.close(fd)
            if self._read_index() != before.data:
                raise LayoutError(f"index.json of {self.folder} changed meanwhile; look again.")
            os.replace(beside, path)
        except (OSError, ImgscopeError) as error:
            with suppress(OSError):
                self.tidy()
            if isinstance(error, OSError):
                raise self._refused("cannot be written to; nothing was changed", error) from None
            raise
        try:
            _sync(self.folder)
        except OSError as error:
            raise self._refused("has its new index.json, but the disk does not confirm it", error) from None

    def tidy(self) -> None:
        """Take away what a crash left of an index.json that was never put in place. Raises `OSError`."""
        with suppress(FileNotFoundError):
            os.unlink(self.folder / BESIDE)

    def delete(self, digest: str) -> int:
        """Delete the file of a blob, or the link that stands for it; gives the bytes that this freed.

        A file with other hard links frees nothing; one that is gone already neither. Raises `OSError`.
        """
        algorithm, _, name = digest.partition(":")
        with self._blob_folder(algorithm) as fd:
            if fd is None:
                return 0
            try:
                file = _file(digest, os.stat(name, dir_fd=fd, follow_symlinks=False))
                os.unlink(name, dir_fd=fd)
            except FileNotFoundError:
                return 0
        return file.size if file.links == 1 else 0

    # -- within -----------------------------------------------------------------------------------

    def _read_index(self) -> bytes:
        try:
            fd = os.open(self.folder / "index.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise FormatError(f"index.json of {self.folder} is no regular file.")
                return file.read(DOCUMENT_LIMIT + 1)
        except OSError as error:
            link = error.errno == errno.ELOOP
            why = "it is a link, and a change would cut it" if link else error.strerror
            raise FormatError(f"index.json of {self.folder} cannot be used: {why}.") from None

    @contextmanager
    def _blob_folder(self, algorithm: str) -> Iterator[int | None]:
        """The folder of an algorithm's blobs, open; None where it is not there or leads elsewhere."""
        fds: list[int] = []
        try:
            try:
                fds.append(os.open(self.folder / "blobs", _FOLDER))
                fds.append(os.open(algorithm, _FOLDER, dir_fd=fds[0]))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise LayoutError(
                        f"blobs/{algorithm} of {self.folder} cannot be read: {error.strerror}."
                    ) from None
            yield fds[1] if len(fds) == 2 else None
        finally:
            for fd in fds:
                os.close(fd)

    def _refused(self, what: str, error: OSError) -> LayoutError:
        return LayoutError(f"{self.folder} {what}: {error.strerror or error}.")


def _file(digest: str, status: os.stat_result) -> File:
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return File(digest, size, (status.st_dev, status.st_ino), status.st_nlink)


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk, where its file system knows how."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
