"""Where a path leads by the kernel's own rules: openat2(2), Linux from 5.6 on."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

_OPENAT2 = 437  # on every architecture
BENEATH, IN_ROOT = 0x08, 0x10  # RESOLVE_BENEATH, RESOLVE_IN_ROOT
_O_PATH = getattr(os, "O_PATH", 0)


def lead(root: Path, path: str, resolve: int) -> str | int:
    """The path below `root` that `path` comes to, symlinks followed; or the number of the error.

    BENEATH: EXDEV where it leads out. IN_ROOT: as after chroot(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        how = struct.pack("QQQ", _O_PATH | os.O_CLOEXEC, 0, resolve)
        fd = libc.syscall(_OPENAT2, folder, os.fsencode(path), how, len(how))
        if fd < 0:
            return ctypes.get_errno()
        try:
            return os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), os.path.realpath(root))
        finally:
            os.close(fd)
    finally:
        os.close(folder)


def has_openat2() -> bool:
    return os.name == "posix" and hasattr(os, "O_PATH") and lead(Path("/"), ".", BENEATH) != errno.ENOSYS
