"""References taken apart: names of the engine, transports, and paths, whatever lies there."""

from __future__ import annotations

import bz2
import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgscope.analysis import analyze
from imgscope.errors import FormatError, NotFoundError, UsageError
from imgscope.images.model import Platform
from imgscope.sources import Target, open_source, parse_target
from tests.support import archives as made
from tests.support.archives import Made, write
from tests.support.program import complaint, run

IMAGE = Made((made.gzipped(bytes(1024)),), ("app:1",), architecture=Platform.host().architecture)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def engine(name: str | None) -> Target:
    return Target("docker-daemon", None, name)


# -- names and transports -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("ubuntu", "ubuntu:24.04", "localhost:5000/team/app:1", "docker.io/library/ruby"),
        *(
            "docker:24",
            "docker",
            "dir:1",
            "sha256:" + "a" * 64,
            "a" * 12,
            "x@sha256:" + "a" * 64,
            "NOT A NAME",
        ),
        "n" * 5000,
    ],
)
def test_names_are_the_engines(name: str) -> None:
    assert parse_target(name) == engine(name)
    assert parse_target(f"docker-daemon:{name}") == engine(name)


def test_no_name_is_all_of_the_engine() -> None:
    assert parse_target("") == parse_target("docker-daemon:") == engine(None)


def test_the_demo_images() -> None:
    assert parse_target("demo:") == Target("demo")
    assert parse_target("demo:bigfile") == Target("demo", None, "bigfile")


@pytest.mark.parametrize(
    "text",
    ["docker://ubuntu", "containers-storage:x", "dir:/x", "ostree:./x", "sif:/x.sif", "tarball:/x.tar"],
)
def test_transports_that_are_not_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"does not read .*; it reads docker-daemon:, .*demo: and paths\."):
        parse_target(text)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_a_transport_wants_a_path(transport: str) -> None:
    with pytest.raises(UsageError, match=f"{transport}: wants a path, as in {transport}:PATH"):
        parse_target(f"{transport}:")
    with pytest.raises(NotFoundError, match="no file or folder nothing; check the path"):
        parse_target(f"{transport}:nothing:app:1")


@pytest.mark.parametrize(
    "path", ["image.tar", "./image.tar", "a:b/c:d.tar", "with space.tar", "no-ending", "x.y/z"]
)
@pytest.mark.parametrize("name", [None, "1", "app:1", "localhost:5000/app:1", "@1", "a@sha256:" + "0" * 64])
def test_path_and_name(path: str, name: str | None) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).touch()
    text = path if name is None else f"{path}:{name}"
    for transport in ("docker-archive", "oci-archive", "oci"):
        assert parse_target(f"{transport}:{text}") == Target(transport, Path(path), name)
    absolute = os.path.abspath(path)
    assert parse_target(absolute + text.removeprefix(path)) == Target("path", Path(absolute), name)
    assert parse_target(f"./{text}") == Target("path", Path(path), name)


def test_the_longest_beginning_that_exists_is_the_path() -> None:
    Path("image.tar").touch()
    Path("image.tar:1").touch()
    assert parse_target("docker-archive:image.tar:1") == Target("docker-archive", Path("image.tar:1"))
    assert parse_target("docker-archive:image.tar:1:2") == Target("docker-archive", Path("image.tar:1"), "2")
    assert parse_target("docker-archive:image.tar:2") == Target("docker-archive", Path("image.tar"), "2")


def test_the_home_of_a_person() -> None:
    home = Path(os.environ["HOME"])
    (home / "image.tar").touch()
    assert parse_target("~/image.tar") == Target("path", home / "image.tar")
    assert parse_target("~/image.tar:app:1") == Target("path", home / "image.tar", "app:1")
    assert parse_target("oci-archive:~/image.tar") == Target("oci-archive", home / "image.tar")
    with pytest.raises(NotFoundError, match="~nobody-has-this-name/x"):
        parse_target("~nobody-has-this-name/x")


# -- paths that look like names -----------------------------------------------------------------------


def test_what_is_there_is_told_by_its_content(tmp_path: Path) -> None:
    write(tmp_path / "layout", made.oci(IMAGE))
    write(tmp_path / "saved", made.docker_save_old(IMAGE))
    for name in ("image.tar", "image.tar.gz", "image.tar.zst", "image.tar.xz"):
        write(tmp_path / name, made.kaniko(IMAGE)).rename(tmp_path / name.replace(".", "-"))
    (tmp_path / "image-bz2").write_bytes(bz2.compress(made.pack(made.kaniko(IMAGE))))
    found = ["layout", "saved", "image-tar", "image-tar-gz", "image-tar-zst", "image-tar-xz", "image-bz2"]
    for name in found:
        assert parse_target(name) == Target("path", Path(name))
        source = open_source(parse_target(name))
        assert source.find("app:1").id == IMAGE.id
        assert source.find("@0").id == IMAGE.id
        source.close()


def test_what_is_there_and_is_no_image_is_not_meant(tmp_path: Path) -> None:
    """A folder or a program called as an image is the usual case where one builds that image."""
    (tmp_path / "app").mkdir()
    (tmp_path / "server").write_bytes(b"\x7fELF" + bytes(1000))
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("app", "server", "empty", "pipe"):
        assert parse_target(name) == engine(name)


def test_a_name_that_no_image_can_have_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Read me")
    assert parse_target("README.md") == Target("path", Path("README.md"))
    (tmp_path / "notes.txt").write_text("an image may be called so, but this is a file")
    assert parse_target("notes.txt") == Target("path", Path("notes.txt"))
    (tmp_path / "Folder").mkdir()
    assert parse_target("Folder") == engine("Folder")
    for path in (".", "..", "./", "./Folder"):
        assert parse_target(path).transport == "path"


def test_endings_of_archives(tmp_path: Path) -> None:
    for name in ("image.tar", "image.tgz", "dir/image.tar.gz"):
        with pytest.raises(NotFoundError, match=f"There is no file or folder {name}; check the path"):
            parse_target(name)
    write(tmp_path / "image.tar", made.kaniko(IMAGE))
    assert parse_target("image.tar:app:1") == Target("path", Path("image.tar"), "app:1")
    write(tmp_path / "ubuntu", made.oci(IMAGE))
    assert parse_target("ubuntu:24.04") == engine("ubuntu:24.04")


# -- opening ------------------------------------------------------------------------------------------


def test_a_file_for_a_folder_and_the_reverse(tmp_path: Path) -> None:
    write(tmp_path / "layout", made.oci(IMAGE))
    write(tmp_path / "image.tar", made.oci(IMAGE))
    with pytest.raises(
        FormatError, match=r"image.tar is no folder; for a file write oci-archive:image.tar\."
    ):
        open_source(parse_target("oci:image.tar"))
    for transport in ("docker-archive", "oci-archive"):
        with pytest.raises(FormatError, match=r"layout is a folder; write oci:layout\."):
            open_source(parse_target(f"{transport}:layout"))


def refused(*words: str | Path) -> str:
    """What the real command says, which must come back in any case."""
    return complaint(run("analyze", *words))


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Read me\n" * 100)
    (tmp_path / "README.md.gz").write_bytes(gzip.compress(b"# Read me\n" * 100))
    (tmp_path / "empty.tar").touch()
    (tmp_path / "folder").mkdir()
    write(tmp_path / "source.tar", {"main.c": b"int main;"})
    for name, said in {
        "./README.md": "README.md is no image: it is neither a folder nor a tar archive, plain or",
        "README.md": "README.md is no image: it is neither a folder nor a tar archive, plain or compressed",
        "./empty.tar": "empty.tar is no image: it is empty.",
        "docker-archive:README.md": "README.md is no image: it is neither",
        "README.md.gz": "README.md.gz is no image: what is compressed in it is no tar (a header",
        "./folder": "folder holds no image: there is neither manifest.json nor index.json in it",
        ".": ". holds no image",
        "source.tar": "source.tar holds no image",
        "./nothing": "There is no file or folder ./nothing; check the path.",
        "/nothing/at/all.tar:x": "There is no file or folder /nothing/at/all.tar; check the path.",
    }.items():
        assert refused(name).startswith(said)


def test_what_cannot_be_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    for path in ("./pipe.tar", "docker-archive:pipe.tar", "/dev/null", "/dev/zero"):
        assert "is no regular file" in refused(path)


def test_what_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:  # not in pytest's folders, which are root's alone
        folder = Path(name)
        folder.chmod(0o755)
        archive = write(folder / "image.tar", made.oci(IMAGE))
        layout = write(folder / "layout", made.oci(IMAGE))
        blob = layout / f"blobs/sha256/{made.encoded(IMAGE.layers[0].digest)}"
        source = open_source(parse_target(str(layout)))  # all of the program is read by now
        source.close()
        for path in (archive, blob):
            path.chmod(0)
        with nobody():
            with pytest.raises(FormatError, match=r"image\.tar cannot be read: Permission denied\."):
                open_source(parse_target(str(archive)))
            source = open_source(parse_target(str(layout)))
            [problem] = analyze(source, source.find(None)).problems
            assert (problem.layer, "cannot be read: Permission denied" in problem.message) == (1, True)
            source.close()
        (layout / "index.json").chmod(0)
        with nobody(), pytest.raises(FormatError, match=r"index\.json cannot be read: Permission denied\."):
            open_source(parse_target(str(layout)))
        layout.chmod(0)
        with nobody(), pytest.raises(FormatError, match=r"layout cannot be read: Permission denied\."):
            open_source(parse_target(str(layout)))
        layout.chmod(0o755)


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read all: be another for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
