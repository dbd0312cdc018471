"""Extraction from the real engine, against `docker cp` and `docker export`."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgscope.analysis import analyze
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.sources import datadir
from imgscope.sources.engine import EngineSource
from tests.engine.test_docker_export import DOCKERFILE, LONG, TREE, counts
from tests.support.engine import Engine
from tests.support.extracting import done, extract
from tests.support.program import run


@pytest.fixture
def image(engine: Engine, busybox_base: str) -> str:
    name = engine.name("extract:classic")
    engine.build({"Dockerfile": DOCKERFILE.format(base=busybox_base), **TREE}, name)
    return name


@pytest.fixture(params=["data root", "stream"])
def source(
    request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineSource]:
    if request.param == "stream":
        monkeypatch.setattr(datadir, "layer_stores", lambda *_, **__: [])
    with closing(EngineSource.connect(engine.host)) as found:
        yield found


Seen = dict[str, tuple[str, int, float, str]]


def on_disk(root: Path) -> Seen:
    """Path → kind, permissions, time, digest of the content or target of the symlink."""
    found: Seen = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            told = os.lstat(path)
            short = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            if stat.S_ISLNK(told.st_mode):
                found[short] = "link", 0, told.st_mtime, os.fsdecode(os.readlink(path))
            elif stat.S_ISDIR(told.st_mode):
                found[short] = "folder", told.st_mode & 0o777, told.st_mtime, ""
            else:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                found[short] = "file", told.st_mode & 0o777, told.st_mtime, digest
    return {path: seen for path, seen in found.items() if counts(path)}


def exported(engine: Engine, image: str, scratch: Path) -> Seen:
    """The same of `docker export`, but for devices and fifos."""
    container = engine.docker("create", image).stdout.strip()
    try:
        engine.docker("export", "--output", scratch / "export.tar", container)
    finally:
        engine.docker("rm", container)
    found: Seen = {}
    with tarfile.open(scratch / "export.tar") as archive:
        members = {member.name: member for member in archive}
        for path, member in members.items():
            mode, mtime = member.mode & 0o777, float(member.mtime)
            if member.isdir():
                found[path] = "folder", mode, mtime, ""
            elif member.issym():
                found[path] = "link", 0, mtime, member.linkname
            elif member.isreg() or (member.islnk() and members[member.linkname].isreg()):
                content = archive.extractfile(member)
                assert content is not None
                found[path] = "file", mode, mtime, hashlib.sha256(content.read()).hexdigest()
            elif member.islnk() and members[member.linkname].issym():
                found[path] = "link", 0, mtime, members[member.linkname].linkname
    return {path: seen for path, seen in found.items() if counts(path)}


def test_the_whole_image_is_what_docker_exports(
    engine: Engine, image: str, source: EngineSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = exported(engine, image, tmp_path)
    analysis = analyze(source, source.find(image))
    passes: list[object] = []
    save = EngineSource._save

    def counted(asked: EngineSource, image: Image, job: Job) -> Generator[bytes]:
        passes.append(image)
        return save(asked, image, job)

    monkeypatch.setattr(EngineSource, "_save", counted)
    umask = os.umask(0)
    try:
        action = extract(source, analysis, tmp_path / "to")
        done(action)
    finally:
        os.umask(umask)
    found = on_disk(tmp_path / "to")
    assert len(passes) <= 1
    assert found.pop("data/dangling") == ("link", 0, expected["data/dangling"][2], "../nowhere")
    assert expected.pop("data/dangling")[3] == "/nowhere"
    for each in (found, expected):  # whoever starts a container writes there
        each.pop("etc", None)
    assert {path: (kind, mode, int(mtime), what) for path, (kind, mode, mtime, what) in found.items()} == {
        path: (kind, mode, int(mtime), what) for path, (kind, mode, mtime, what) in expected.items()
    }
    first, second = (tmp_path / "to/data" / name for name in ("out/big", "big"))
    assert first.exists()
    assert not second.exists()


def test_a_file_is_what_docker_copies(engine: Engine, image: str, tmp_path: Path) -> None:
    container = engine.docker("create", image).stdout.strip()
    try:
        engine.docker("cp", f"{container}:/data/in/../out/big", tmp_path / "docker")
        engine.docker("cp", f"{container}:/data/plain", tmp_path / "plain")
    finally:
        engine.docker("rm", container)
    to = tmp_path / "to"
    assert run("extract", image, "/data/out/big", "--to", to, environment=engine.environment).returncode == 0
    assert (to / "big").read_bytes() == (tmp_path / "docker").read_bytes()
    assert run("extract", image, "data/plain", "--to", to, environment=engine.environment).returncode == 0
    assert on_disk(to / "plain") == on_disk(tmp_path / "plain")


def test_a_file_that_a_later_step_removed(engine: Engine, image: str, tmp_path: Path) -> None:
    """What a container of the step before still has is what the layer still ships."""
    environment = engine.environment
    gone = run("cat", image, f"/data/{LONG}/file", environment=environment)
    assert gone.returncode == 2
    assert "was removed in layer 12; --layer 3 reads the copy that still ships." in gone.stderr
    assert run("cat", image, f"/data/{LONG}/file", "--layer", "3", environment=environment).stdout == "long\n"
    done = run("extract", image, "/data/gone", "--layer", "4", "--to", tmp_path, environment=environment)
    assert done.returncode == 0
    assert (tmp_path / "gone/deep/file").read_text() == "gone\n"
