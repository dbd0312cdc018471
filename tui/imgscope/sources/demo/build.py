"""Files, layers and images in the making: what the demo images are written with.

The bytes are the same everywhere and every time: dates are fixed, layers are plain tars, nothing is
drawn from the host.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from typing import Any

Descriptor = dict[str, Any]  # OCI `descriptor.md`: mediaType, digest, size in bytes
Put = Callable[[str, bytes], Descriptor]  # (media type, blob) → its descriptor, the blob stored

OCI = "application/vnd.oci.image."
CLASSIC = "/bin/sh -c "  # how the classic builder's history lines start; all others are BuildKit's
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- files -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class File:
    """One path of an image. `data` is its content, None for filler of `size` bytes drawn from `seed`.

    `mtime` (seconds since 1970) 0 means: that of the layer that writes it.
    """

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    size: int = 0
    data: bytes | None = None
    seed: str = ""
    link: str = ""
    uid: int = 0
    gid: int = 0
    mtime: int = 0

    def content(self) -> bytes:
        if self.kind != tarfile.REGTYPE:
            return b""
        if self.data is not None:
            return self.data
        seed = (self.seed or self.path).encode()
        digest = hashlib.sha256(seed)
        if self.mode & 0o111 or re.search(r"\.(so|a|o|node)\b", self.path):
            head, filler = b"\x7fELF\x02\x01\x01\0" + digest.digest(), _NOISE
        elif re.search(r"\.(bin|deb|gem|gpg|gz|tgz)$|/(BigFile|[0-9a-f]{6,})$", self.path):
            head, filler = digest.digest(), _NOISE
        else:
            head, filler = f"# {digest.hexdigest()[:12]} ".encode() + seed + b"\n", _LINES
        return (head + filler * (self.size // len(filler) + 1))[: self.size]


_NOISE = hashlib.shake_256(b"imgscope demo images").digest(1 << 16)
_LINES = b"".join(_NOISE[at : at + 32].hex().encode() + b"\n" for at in range(0, 1 << 14, 32))


def text(path: str, text: str, mode: int = 0o644, gid: int = 0) -> File:
    return File(path, mode=mode, gid=gid, data=text.encode())


def directory(path: str, mode: int = 0o755, mtime: int = 0) -> File:
    return File(path, tarfile.DIRTYPE, mode, mtime=mtime)


_TOKEN = re.compile(
    r"(?P<name>[^!/]+?)(?P<dir>/)?(?:!(?P<mode>[0-7]+))?(?:=>(?P<hard>.+)|->(?P<soft>.+)|=(?P<size>\d+))?"
)


def tree(table: str) -> list[File]:
    """Files from lines of `FOLDER: NAME=SIZE NAME->SYMLINK NAME=>HARDLINK NAME/`, sizes in kB.

    `!MODE` may follow the name; else files in bin, sbin and tool folders are executable.
    """
    files = []
    for line in table.split("\n"):
        folder, _, tokens = line.strip().partition(": ")
        prefix = "" if folder == "." else folder + "/"
        default = 0o755 if re.search(r"(bin|tool/\w+)$", folder) else 0o644
        for token in tokens.split():
            match = _TOKEN.fullmatch(token)
            assert match, token
            path, size = prefix + match["name"], int(match["size"] or 0) * 1000
            mode = int(match["mode"], 8) if match["mode"] else default
            if match["dir"]:
                files.append(directory(path, mode if match["mode"] else 0o755))
            elif match["soft"]:
                files.append(File(path, tarfile.SYMTYPE, 0o777, link=match["soft"]))
            elif match["hard"]:
                files.append(File(path, tarfile.LNKTYPE, mode, link=prefix + match["hard"]))
            else:
                files.append(File(path, mode=mode, size=size))
    return files


def fit(total: int, scaled: Iterable[File], kept: Iterable[File] = ()) -> list[File]:
    """All files, those of `scaled` that are filler shrunk until everything sums up to `total` bytes."""
    files, fixed = list(scaled), list(kept)
    whole = sum(file.size for file in files if file.data is None)
    rest = total - sum(file.size or len(file.data or b"") for file in fixed)
    rest -= sum(len(file.data or b"") for file in files)
    before = 0
    for at, file in enumerate(files):
        if file.size and file.data is None:
            after = before + file.size
            files[at] = replace(file, size=rest * after // whole - rest * before // whole)
            before = after
    return files + fixed


# --- layers ----------------------------------------------------------------------------------------


class Stack:
    """An image in the making: its merged files, its layers and its history."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._files: dict[str, File] = {}
        self._layers: list[Descriptor] = []
        self._history: list[dict[str, Any]] = []

    def fork(self) -> Stack:
        """Another image on the same layers."""
        fork = Stack(self._put)
        fork._files, fork._layers, fork._history = dict(self._files), list(self._layers), list(self._history)
        return fork

    def below(self, folder: str) -> list[File]:
        """All that the image holds in `folder`, and the folder itself."""
        return [file for path, file in self._files.items() if path == folder or path.startswith(folder + "/")]

    def note(self, created: str, *steps: str) -> None:
        """Steps that only change the config: history without a layer."""
        for step in steps:
            self._history.append({**_step(created, step), "empty_layer": True})

    def layer(
        self,
        created: str,
        step: str,
        files: Iterable[File] = (),
        removed: Iterable[str] = (),
        emptied: Iterable[str] = (),
    ) -> None:
        """A layer as an engine stores it: what is written, with the folders above it, and whiteouts.

        `removed` paths leave a whiteout; `emptied` folders were removed and made anew, which leaves an
        opaque marker. A folder takes the layer's time only where a name in it was written or removed.
        """
        now = int(datetime.fromisoformat(created).timestamp())
        removed, emptied = list(removed), list(emptied)
        written: dict[str, File] = {}
        for file in [*map(directory, emptied), *files]:
            if not file.mtime:
                seed = f"{file.path} {created}" if file.path in self._files else file.seed
                file = replace(file, mtime=now, seed=seed)
            written[file.path] = file

        folders = {folder for path in [*written, *removed] for folder in _above(path)} - written.keys()
        written.update({path: directory(path, mtime=now) for path in folders - self._files.keys()})
        touched = {path.rpartition("/")[0] for path, file in written.items() if file.mtime == now}
        touched.update(path.rpartition("/")[0] for path in removed)
        for path in folders & self._files.keys():
            kept = self._files[path]
            written[path] = replace(kept, mtime=now) if path in touched else kept

        whiteouts = [f"{folder}/.wh..wh..opq" for folder in emptied]
        whiteouts += ["/.wh.".join(path.rpartition("/")[::2]).lstrip("/") for path in removed]
        markers = [File(path, mtime=now, data=b"") for path in whiteouts]
        self._layers.append(self._put(f"{OCI}layer.v1.tar", _tar([*written.values(), *markers])))
        self._history.append(_step(created, step))
        for gone in [*removed, *emptied]:
            for file in self.below(gone):
                del self._files[file.path]
        self._files.update(written)

    def image(self, config: dict[str, Any]) -> Descriptor:
        """Store config and manifest; returns the manifest's descriptor. `config` is Env, Cmd and the like."""
        whole = {
            "created": self._history[-1]["created"],
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            # the layers are plain tars: the digest of the blob is the diff ID
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in self._layers]},
            "history": self._history,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}manifest.v1+json",
            "config": self._put(f"{OCI}config.v1+json", as_json(whole)),
            "layers": self._layers,
        }
        return self._put(f"{OCI}manifest.v1+json", as_json(manifest))


def _step(created: str, step: str) -> dict[str, Any]:
    comment = {} if step.startswith(CLASSIC) else {"comment": "buildkit.dockerfile.v0"}
    return {"created": created, "created_by": step, **comment}


def _above(path: str) -> list[str]:
    """`a/b/c` → `a`, `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _tar(files: Iterable[File]) -> bytes:
    """A tar in the order of a walk: each folder before what is in it."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for file in sorted(files, key=lambda file: file.path.split("/")):
            content = file.content()
            info = tarfile.TarInfo(file.path)
            info.type, info.mode, info.size, info.mtime = file.kind, file.mode, len(content), file.mtime
            info.uid, info.gid, info.linkname = file.uid, file.gid, file.link
            tar.addfile(info, BytesIO(content))
    return buffer.getvalue()
