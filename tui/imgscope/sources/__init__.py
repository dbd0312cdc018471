"""Which source a reference names, and opening it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from imgscope.errors import FormatError, NotFoundError, UsageError
from imgscope.job import Job
from imgscope.sources.base import Source

TRANSPORTS = ("docker-daemon", "docker-archive", "oci-archive", "oci", "demo")
_ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".oci")


@dataclass(frozen=True, slots=True)
class Target:
    """A reference taken apart: where to look, and for which image (None: all, or the only one)."""

    transport: str
    path: Path | None = None
    name: str | None = None


def parse_target(text: str) -> Target:
    """Take a reference apart; asks the file system where a name could be a path.

    The transports are those of containers-transports(5), and `demo:`. Raises `UsageError` for one
    that imgscope does not read and `NotFoundError` for a path that is not there.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport in TRANSPORTS:
        if transport in ("docker-daemon", "demo"):
            return Target(transport, name=rest or None)
        return _split_path(transport, rest)
    if colon and transport in ("docker", "containers-storage", "dir", "ostree", "sif", "tarball"):
        readable = ", ".join(f"{name}:" for name in TRANSPORTS)
        raise UsageError(f"imgscope does not read {transport}: references; it reads {readable} and paths.")
    if text:
        looks_like_path = text.startswith(("/", "./", "../", "~/")) or text.endswith(_ARCHIVE_ENDINGS)
        path = Path(text).expanduser()
        if looks_like_path and not path.exists():
            try:
                return _split_path("archive", text)
            except NotFoundError:
                if text.startswith(("/", "./", "../", "~/")):
                    raise
        elif path.exists() and (looks_like_path or _holds_images(path)):
            return Target("archive", path)
    return Target("docker-daemon", name=text or None)


def _split_path(transport: str, rest: str) -> Target:
    """PATH[:REF], where the path may hold colons: the longest beginning that exists is the path."""
    if not rest:
        raise UsageError(f"{transport}: wants a path, as in {transport}:PATH[:NAME].")
    end = len(rest)
    while end > 0:
        path = Path(rest[:end]).expanduser()
        if path.exists():
            return Target(transport, path, rest[end + 1 :] or None)
        end = rest.rfind(":", 0, end)
    raise NotFoundError(f"There is no file or folder {rest.partition(':')[0]}; check the path.")


def _holds_images(path: Path) -> bool:
    """Whether a path that may also be an image's name is an archive or a layout, by its content."""
    from imgscope.layers.stream import compression

    if path.is_dir():
        return (path / "index.json").is_file() or (path / "manifest.json").is_file()
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return bool(compression(head)) or head[257:262] == b"ustar"


def open_source(target: Target, job: Job | None = None) -> Source:
    """Open the source of a target. Raises `ImgscopeError` where it is not there or is none."""
    match target.transport:
        case "demo":
            from imgscope.sources.demo import DemoSource

            return DemoSource()
        case "docker-daemon":
            from imgscope.sources.engine import EngineSource

            return EngineSource.connect()
        case _:
            from imgscope.sources.archive import ArchiveSource

            assert target.path is not None
            if target.transport == "oci" and not target.path.is_dir():
                raise FormatError(f"{target.path} is no folder; for a file write oci-archive:{target.path}.")
            if target.transport.endswith("-archive") and target.path.is_dir():
                raise FormatError(f"{target.path} is a folder; write oci:{target.path}.")
            return ArchiveSource(target.path, f"{target.transport}:{os.fspath(target.path)}", job)
