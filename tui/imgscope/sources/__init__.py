"""Which source a reference names, and opening it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from imgscope.errors import FormatError, ImgscopeError, NotFoundError, UsageError
from imgscope.job import Job
from imgscope.sources.base import Source

TRANSPORTS = ("docker-daemon", "docker-archive", "oci-archive", "oci", "demo")
# What only looks like a name: `docker:24` and `dir:1` may be images of the engine.
_UNREAD = re.compile("docker://|containers-storage:|(dir|ostree|sif|tarball):[./~]")
_MARKED = re.compile(r"\.{0,2}/|~|\.{1,2}$")  # no image has such a name
_ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".oci")


@dataclass(frozen=True, slots=True)
class Target:
    """A reference taken apart: where to look, and for which image (None: all, or the only one).

    `transport` is one of `TRANSPORTS`, or `path` for a path whose content decides.
    """

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
    if _UNREAD.match(text):
        readable = ", ".join(f"{name}:" for name in TRANSPORTS)
        raise UsageError(f"imgscope does not read {transport}: references; it reads {readable} and paths.")
    if _MARKED.match(text) or text.endswith(_ARCHIVE_ENDINGS):
        return _split_path("path", text)
    if text and os.path.exists(text):
        path = Path(text)
        # a folder or a program beside an image of its name is common; text.txt is no image's name
        named_as_file = path.is_file() and (bool(path.suffix) or not _may_be_name(text))
        if named_as_file or _holds_images(path):
            return Target("path", path)
    if colon:
        with suppress(NotFoundError):
            target = _split_path("path", text)
            if str(target.path).endswith(_ARCHIVE_ENDINGS):
                return target
    return Target("docker-daemon", name=text or None)


def _split_path(transport: str, rest: str) -> Target:
    """PATH[:REF], where the path may hold colons: the longest beginning that exists is the path."""
    if not rest:
        raise UsageError(f"{transport}: wants a path, as in {transport}:PATH[:NAME].")
    end = len(rest)
    while end > 0:
        path = os.path.expanduser(rest[:end])
        if os.path.lexists(path):
            return Target(transport, Path(path), rest[end + 1 :] or None)
        end = rest.rfind(":", 0, end)
    raise NotFoundError(f"There is no file or folder {rest.partition(':')[0]}; check the path.")


def _holds_images(path: Path) -> bool:
    """Whether a path that may also be an image's name is an archive or a layout, by its content."""
    from imgscope.layers.stream import BLOCK, compression
    from imgscope.layers.tar import is_header

    try:
        if path.is_dir():
            return (path / "index.json").is_file() or (path / "manifest.json").is_file()
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(BLOCK)
    except OSError:
        return False
    return bool(compression(head)) or is_header(head)


def _may_be_name(text: str) -> bool:
    from imgscope.images.reference import Reference, is_id

    try:
        return is_id(text) or bool(Reference.parse(text))
    except UsageError:
        return False


def open_ahead(target: Target) -> Callable[[], Source] | None:
    """Open an engine and list its images in a thread of their own, while the caller does something else.

    Gives what waits for the source, and raises what opening it raised; None for other sources.
    """
    if target.transport != "docker-daemon":
        return None
    # loaded here: two threads that import at once can be in one another's way
    from concurrent.futures import Future
    from threading import Thread

    from imgscope.sources.engine import EngineSource

    opened: Future[Source] = Future()

    def work() -> None:
        try:
            source = EngineSource.connect()
            with suppress(ImgscopeError):  # whoever lists the images will be told
                source.ahead()
            opened.set_result(source)
        except BaseException as error:
            opened.set_exception(error)

    Thread(target=work, daemon=True).start()
    return opened.result


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
            return ArchiveSource(target.path, job=job)
