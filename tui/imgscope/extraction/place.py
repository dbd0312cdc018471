"""A folder to write below, and nowhere else.

The folder is opened once. All below it is reached from that descriptor name by name, no symlink followed
(openat with O_NOFOLLOW): neither a symlink that is there already nor one that somebody puts there meanwhile
leads out.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import (
    EEXIST,
    EFBIG,
    EILSEQ,
    EINVAL,
    EISDIR,
    ELOOP,
    EMLINK,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENOTSUP,
    EOPNOTSUPP,
    EPERM,
    EXDEV,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = 64  # directories that are kept open
_HOLE = 4096  # bytes: zeros of at least so many are skipped, not written
_NO_LINK = (EPERM, ENOTSUP, EOPNOTSUPP, EXDEV, EMLINK)  # no hardlinks there, or one too many

BAD_NAMES = (ENAMETOOLONG, EILSEQ, EINVAL)  # what a file system says of a name that it cannot hold

Inode = tuple[int, int]  # device and number


class BadNameError(Exception):
    """A name that no file can have."""


def split(path: bytes) -> tuple[bytes, bytes]:
    """A path's directory and its name; raises `BadNameError` for what would lead elsewhere."""
    folder, _, name = path.rpartition(b"/")
    if not is_name(name):
        raise BadNameError
    return folder, name


def is_name(name: bytes) -> bool:
    """Whether a file can be called so."""
    return name not in (b"", b".", b"..") and b"\0" not in name and b"/" not in name


class New:
    """A file that is being written. `inode` is known once it is whole."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.inode: Inode = (0, 0)

    def write(self, data: bytes) -> None:
        """Write all of some bytes, however many the system takes at once; long zeros become a hole."""
        if len(data) >= _HOLE and not data.strip(b"\0"):
            os.lseek(self._fd, len(data), os.SEEK_CUR)
            return
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def seek(self, offset: int) -> None:
        """Go on there; what lies between is a hole."""
        with _too_big():
            os.lseek(self._fd, offset, os.SEEK_SET)

    def end(self, size: int) -> None:
        """The file has so many bytes, also where it ends in a hole."""
        with _too_big():
            os.ftruncate(self._fd, size)


class Place:
    """An open folder. Paths are bytes, below it, without a leading slash.

    All methods raise `OSError` as the system does, and `BadNameError`. Names that stand in the way are never
    followed, and only replaced where the caller says so.
    """

    def __init__(self, folder: str) -> None:
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._temporary = b".imgscope-" + secrets.token_hex(8).encode()

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        os.close(self._root)

    def free(self) -> int:
        """Bytes that can still be written there."""
        told = os.fstatvfs(self._root)
        return told.f_bavail * told.f_frsize

    def folder(self, path: bytes) -> int:
        """A directory's descriptor, good until the next is asked for; no part of the way is a symlink."""
        if not path:
            return self._root
        if (fd := self._open.get(path)) is not None:
            self._open.move_to_end(path)
            return fd
        above, name = split(path)
        ways = [(path, name)]  # from the nearest directory that is open
        while above and above not in self._open:
            way = above
            above, name = split(way)
            ways.append((way, name))
        fd = self._open[above] if above else self._root
        for way, name in reversed(ways):
            fd = self._open[way] = os.open(name, _FOLDER, dir_fd=fd)
            if len(self._open) > _OPEN:
                os.close(self._open.popitem(last=False)[1])
        return fd

    def look(self, path: bytes) -> os.stat_result | None:
        """What stands at a path, None where nothing does or where its directory is none."""
        folder, name = split(path)
        try:
            return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR, ELOOP, *BAD_NAMES):
                return None
            raise

    def is_link(self, path: bytes) -> bool:
        found = self.look(path)
        return found is not None and stat.S_ISLNK(found.st_mode)

    def make_folder(self, path: bytes, mode: int) -> Inode | None:
        """Make a directory that can be written in; None where it is there already.

        Raises `NotADirectoryError` where something else is, a symlink too.
        """
        folder, name = split(path)
        try:
            os.mkdir(name, mode | 0o700, dir_fd=self.folder(folder))
        except FileExistsError:
            try:
                self.folder(path)
            except OSError as error:
                if error.errno == ELOOP:  # what some systems say of a symlink
                    raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR)) from None
                raise
            return None
        return inode(os.fstat(self.folder(path)))

    def finish_folder(self, path: bytes, made: Inode, mode: int, mtime: int | None) -> None:
        """Give a directory that was made here its mode and time (nanoseconds), if it is still that one."""
        fd = self.folder(path)
        now = os.fstat(fd)
        if inode(now) != made:
            return
        wanted = (now.st_mode & (mode | ~0o700) & 0o777) | mode & 0o7000
        if wanted != stat.S_IMODE(now.st_mode):
            os.fchmod(fd, wanted)
        _set_time(fd, mtime)

    @contextmanager
    def writing(self, path: bytes, mode: int, mtime: int | None, replace: bool) -> Iterator[New]:
        """A new file to write to; it gets its name once the block is done, and goes where that fails.

        The permission bits of `mode` go through the umask; `mtime` is in nanoseconds, None for now. Raises
        `FileExistsError` where something stands there that is not to be replaced, `IsADirectoryError` where
        a directory does.
        """
        folder, name = split(path)
        where = os.dup(self.folder(folder))
        try:
            self._check(where, name, replace)  # before the content is read, which is read once
            fd = os.open(self._temporary, _NEW, mode & 0o777, dir_fd=where)
            try:
                try:
                    new = New(fd)
                    yield new
                    if mode & 0o7000:
                        os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | mode & 0o7000)
                    _set_time(fd, mtime)
                    new.inode = inode(os.fstat(fd))
                finally:
                    os.close(fd)
                self._name(where, name, replace)
            finally:
                self._drop(where)
        finally:
            os.close(where)

    def copy(self, source: bytes, made: Inode, path: bytes, replace: bool) -> bool:
        """Another name of a file that was written here; True where it had to become a copy.

        Raises `FileNotFoundError` where that file is another one now.
        """
        folder, name = split(path)
        there, old = split(source)
        where = os.dup(self.folder(folder))
        try:
            os.link(
                old,
                self._temporary,
                src_dir_fd=self.folder(there),
                dst_dir_fd=where,
                follow_symlinks=False,
            )
            told = os.stat(self._temporary, dir_fd=where, follow_symlinks=False)
            if inode(told) != made or not stat.S_ISREG(told.st_mode):  # numbers are used again
                raise _changed()
            self._name(where, name, replace)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._copy(source, made, path, replace)
            return True
        finally:
            self._drop(where)
            os.close(where)
        return False

    def _copy(self, source: bytes, made: Inode, path: bytes, replace: bool) -> None:
        folder, name = split(source)
        way = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a fifo would wait
        fd = os.open(name, way, dir_fd=self.folder(folder))
        try:
            told = os.fstat(fd)
            if inode(told) != made or not stat.S_ISREG(told.st_mode):
                raise _changed()
            with self.writing(path, stat.S_IMODE(told.st_mode), told.st_mtime_ns, replace) as new:
                while chunk := os.read(fd, 1 << 18):
                    new.write(chunk)
                new.end(told.st_size)
        finally:
            os.close(fd)

    def make_link(self, path: bytes, target: bytes, mtime: int | None, replace: bool) -> None:
        """A symlink; where that leads is the caller's care."""
        folder, name = split(path)
        where = self.folder(folder)
        os.symlink(target, self._temporary, dir_fd=where)
        try:
            with suppress(OSError, OverflowError, NotImplementedError):
                if mtime is not None:
                    os.utime(self._temporary, ns=(mtime, mtime), dir_fd=where, follow_symlinks=False)
            self._name(where, name, replace)
        finally:
            self._drop(where)

    def _check(self, where: int, name: bytes, replace: bool) -> None:
        """Whether a name can be given: raises what `_name` would."""
        with suppress(FileNotFoundError):
            told = os.stat(name, dir_fd=where, follow_symlinks=False)
            if stat.S_ISDIR(told.st_mode):
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
            if not replace:
                raise FileExistsError(EEXIST, os.strerror(EEXIST))

    def _name(self, where: int, name: bytes, replace: bool) -> None:
        """Give what is whole its name."""
        if not replace:
            try:
                os.link(self._temporary, name, src_dir_fd=where, dst_dir_fd=where, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
        self._check(where, name, replace)
        os.rename(self._temporary, name, src_dir_fd=where, dst_dir_fd=where)

    def _drop(self, where: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=where)


@contextmanager
def _too_big() -> Iterator[None]:
    """An offset that no file reaches is one error, whatever the system calls it."""
    try:
        yield
    except (OSError, OverflowError) as error:
        if isinstance(error, OverflowError) or error.errno == EINVAL:
            raise OSError(EFBIG, os.strerror(EFBIG)) from None
        raise


def _changed() -> OSError:
    return FileNotFoundError(ENOENT, "a file that was just written is another one now")


def inode(told: os.stat_result) -> Inode:
    return told.st_dev, told.st_ino


def _set_time(fd: int, mtime: int | None) -> None:
    """Best effort: an image may claim times that no file system has."""
    if mtime is not None:
        with suppress(OSError, OverflowError):
            os.utime(fd, ns=(mtime, mtime))
