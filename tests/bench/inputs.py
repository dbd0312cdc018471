"""What is measured: image archives, made once and kept in a folder.

All but the golang ones are written here, byte for byte the same every time. Layers are lists of
`(path, content)`; content None makes a directory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from tests.support.bases import debian_base
from tests.support.engine import Engine

Layer = Iterable[tuple[str, bytes | None]]

TREE_ONLY = "000-first-of-the-tree"  # no finding names it: where it stands on a screen, there is the tree
GOLANG = "bench/golang:latest"
# Several layers; the second removes what the first two need no more, the third touches what is there.
GOLANG_DOCKERFILE = """\
FROM {base}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends golang
RUN rm -rf /var/lib/apt/lists/* && mkdir -p /src && echo 'package main' >/src/main.go
RUN echo 'PS1="# "' >>/root/.bashrc && touch /usr/lib/go-*/src/fmt/print.go
WORKDIR /src
CMD ["go", "version"]
"""


class Inputs:
    """The archives in one folder, each made when it is first asked for."""

    def __init__(self, folder: Path, engine: Callable[[], Engine]) -> None:
        """`engine` gives a running engine; it is only called to build what is not kept yet."""
        self.folder = folder
        self.engine = engine
        folder.mkdir(parents=True, exist_ok=True)

    def archive(self, name: str) -> Path:
        """The path of `golang`, `golang-gzip`, `removed`, `files-N`, `layers-N` or `siblings-N`.

        `golang` is what `docker save` writes (851 MB); `golang-gzip` the same image as an OCI layout in
        a tar, its layers gzipped, with the manifest.json that `docker save` adds there since version 25.
        `files-N` has N small files in one layer; `layers-N` N layers over 30,000 files; `removed` 30,000
        files of which a second layer removes 1,000; `siblings-N` N tiny images over twenty stacks.
        """
        target = self.folder / f"{name}.tar"
        if not target.exists():
            kind, _, count = name.partition("-")
            writers: dict[str, Callable[[Path], None]] = {
                "golang": self._golang_gzip if count else self._golang,
                "files": lambda part: docker_archive(part, {"bench/files": [files(int(count))]}),
                "layers": lambda part: docker_archive(part, {"bench/layers": list(layers(int(count)))}),
                "removed": lambda part: docker_archive(part, {"bench/removed": removed(30_000, 1_000)}),
                "siblings": lambda part: siblings(part, int(count)),
            }
            part = target.with_suffix(".part")
            writers[kind](part)
            part.rename(target)
        return target

    def _golang(self, target: Path) -> None:
        engine = self.engine()
        dockerfile = GOLANG_DOCKERFILE.format(base=debian_base(engine))
        engine.build({"Dockerfile": dockerfile}, GOLANG)
        engine.docker("save", "--output", target, GOLANG)

    def _golang_gzip(self, target: Path) -> None:
        with tarfile.open(self.archive("golang")) as saved:
            compress_archive(saved, target)


def files(count: int) -> Iterator[tuple[str, bytes | None]]:
    """`count` small files in packages of a hundred, as node_modules has them: 1 kB each on average.

    And an empty directory, which comes first.
    """
    yield TREE_ONLY, None
    yield "app", None
    yield "app/node_modules", None
    for number in range(count):
        package = f"app/node_modules/package-{number // 100:04}"
        if number % 100 == 0:
            yield from ((folder, None) for folder in (package, f"{package}/lib", f"{package}/dist"))
        folder = ("", "lib/", "lib/", "dist/")[number % 4]
        path = f"{package}/{folder}module-{number % 100:02}.js"
        yield path, content(path)


def content(path: str, version: int = 0) -> bytes:
    """A file's content: another for each path and version, of a size that follows from the path."""
    size = 50 + zlib.crc32(path.encode()) % 2000
    line = f"// {version:04} {path}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def layers(count: int, total: int = 30_000) -> Iterator[Layer]:
    """`total` files in the first of `count` layers; each further one changes 100 of them and adds 50."""
    yield files(total)
    paths = [path for path, data in files(total) if data]
    for number in range(1, count):
        changed = paths[number * 7 :: total // 100][:100]
        added = [f"app/node_modules/package-0000/lib/layer-{number:03}-{new:02}.js" for new in range(50)]
        yield [(path, content(path, number)) for path in changed + added]


def removed(total: int, gone: int) -> list[Layer]:
    """`total` files, and a layer that removes `gone` of them, spread evenly."""
    paths = [path for path, data in files(total) if data]
    markers = []
    for path in paths[:: total // gone]:
        folder, _, name = path.rpartition("/")
        markers.append((f"{folder}/.wh.{name}", b""))
    return [files(total), markers]


def siblings(target: Path, count: int) -> None:
    """`count` images over twenty stacks of two tiny layers; all share the first."""
    base: Layer = [("etc", None), ("etc/os-release", b"ID=bench\n")]
    tops: list[Layer] = [[("app", None), (f"app/version-{number}", b"x" * 1000)] for number in range(20)]
    images = {f"bench/sibling-{number:04}": [base, tops[number % 20]] for number in range(count)}
    docker_archive(target, images)


# -- writing ------------------------------------------------------------------------------------------


def docker_archive(target: Path, images: dict[str, list[Layer]]) -> None:
    """Write images by name as a docker-archive; a layer that several share (the same object) once."""
    stored: dict[int, tuple[str, str]] = {}  # id of the list → (diff ID, name of the member)
    manifest = []
    with tarfile.open(target, "w") as archive:
        for name, stack in images.items():
            for layer in stack:
                if id(layer) not in stored:
                    with tempfile.TemporaryFile(dir=target.parent) as file:
                        diff_id = write_layer(layer, file)
                        member = f"{diff_id}/layer.tar"
                        _add(archive, member, file)
                    stored[id(layer)] = diff_id, member
            diff_ids = [f"sha256:{stored[id(layer)][0]}" for layer in stack]
            config = _config(name, diff_ids)
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(archive, config_name, io.BytesIO(config))
            members = [stored[id(layer)][1] for layer in stack]
            manifest.append({"Config": config_name, "RepoTags": [f"{name}:latest"], "Layers": members})
        _add(archive, "manifest.json", io.BytesIO(json.dumps(manifest).encode()))


def write_layer(layer: Layer, file: IO[bytes]) -> str:
    """Write a layer's tar, which ends at the file's position; gives its SHA-256 in hex."""
    digest = hashlib.sha256()

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    for path, data in layer:
        entry = tarfile.TarInfo(path)
        entry.mtime = 1_700_000_000
        if data is None:
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            write(entry.tobuf())
        else:
            entry.size = len(data)
            write(entry.tobuf() + data + bytes(-len(data) % 512))
    write(bytes(1024))
    return digest.hexdigest()


def compress_archive(saved: tarfile.TarFile, target: Path) -> None:
    """Write the one image of a docker-archive as an OCI layout in a tar, its layers gzipped."""

    def read(name: str) -> IO[bytes]:
        member = saved.extractfile(name)
        assert member is not None
        return member

    media_type = "application/vnd.oci.image"
    [image] = json.load(read("manifest.json"))
    with tarfile.open(target, "w") as archive:

        def blob(file: IO[bytes], kind: str) -> dict[str, object]:
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            size = _add(archive, f"blobs/sha256/{digest}", file)
            return {"mediaType": f"{media_type}.{kind}", "digest": f"sha256:{digest}", "size": size}

        config = blob(read(image["Config"]), "config.v1+json")
        described = []
        for name in image["Layers"]:
            with tempfile.TemporaryFile(dir=target.parent) as file:
                with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                    shutil.copyfileobj(read(name), packed, 1 << 20)
                described.append(blob(file, "layer.v1.tar+gzip"))
        manifest = {"schemaVersion": 2, "config": config, "layers": described}
        top = blob(io.BytesIO(json.dumps(manifest).encode()), "manifest.v1+json")
        top["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
        classic = {
            "Config": _blob_path(config),
            "RepoTags": image["RepoTags"],
            "Layers": [_blob_path(layer) for layer in described],
        }
        for name, value in {
            "oci-layout": {"imageLayoutVersion": "1.0.0"},
            "index.json": {"schemaVersion": 2, "manifests": [top]},
            "manifest.json": [classic],
        }.items():
            _add(archive, name, io.BytesIO(json.dumps(value).encode()))


def _blob_path(descriptor: dict[str, object]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def _config(name: str, diff_ids: list[str]) -> bytes:
    history = [
        {"created": "2023-11-14T22:13:20Z", "created_by": f"RUN step {number}"}
        for number in range(1, len(diff_ids) + 1)
    ]
    value = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }
    return json.dumps(value).encode()


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> int:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    archive.addfile(entry, file)
    return entry.size
