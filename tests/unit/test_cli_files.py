"""cat, extract and files, by the real program: what they print, where, and how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgscope.commands.files import shown
from imgscope.images.model import Platform
from tests.support import archives as made
from tests.support.archives import Made, write
from tests.support.extracting import tree
from tests.support.program import answer, complaint, run, start
from tests.support.stacks import (
    char_device,
    fifo,
    file,
    folder,
    hardlink,
    layer_tar,
    symlink,
    whiteout,
)

HOST = Platform.host()
LAYERS = [
    [
        folder("etc"),
        file("etc/passwd", "root\n", mode=0o640, mtime=1_700_000_000),
        hardlink("etc/copy", "etc/passwd"),
        file("etc/gone", "secret\n"),
        symlink("etc/link", "/etc/dir/../passwd"),
        symlink("etc/dir", "../etc/real"),
        folder("etc/real"),
        symlink("up", "../../../etc/passwd"),
        symlink("loop", "loop"),
        symlink("nowhere", "/not/there"),
        char_device("null", 1, 3),
        fifo("pipe"),
        file("binary", bytes(range(256))),
    ],
    [file("etc/passwd", "other\n"), whiteout("etc/gone"), file("etc/copy", "root\n", mode=0o600)],
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    layers = tuple(made.gzipped(layer_tar(layer)) for layer in LAYERS)
    members = made.docker_save_new(Made(layers, ("app:1",), architecture=HOST.architecture))
    return write(tmp_path_factory.mktemp("files") / "image.tar", members)


def cat(*words: str | Path | bytes) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "imgscope", "cat", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


# -- cat ------------------------------------------------------------------------------------------------


def test_cat_gives_the_bytes(archive: Path) -> None:
    assert cat(archive, "etc/passwd") == cat(archive, "/etc/passwd") == b"other\n"
    assert cat(archive, "/etc/passwd", "--layer", "1") == b"root\n"
    assert cat(archive, "/etc/gone", "--layer", "1") == b"secret\n"
    assert cat(archive, "binary") == bytes(range(256))


def test_cat_follows_symlinks_as_in_a_chroot(archive: Path) -> None:
    for path in ("etc/link", "up", "etc/dir/../../etc/passwd", "/../../etc//./passwd"):
        assert cat(archive, path, "--layer", "1") == b"root\n", path


def test_cat_says_what_is_there(archive: Path) -> None:
    for path, words in (
        ("etc/gone", "/etc/gone was removed in layer 2; --layer 1 reads the copy that still ships."),
        ("none", "There is no /none in app:1."),
        ("etc", "/etc is a directory; imgscope extract writes it into a folder."),
        ("/", "/ is a directory; imgscope extract writes it into a folder."),
        ("null", "/null is a device, and has no content."),
        ("pipe", "/pipe is a fifo, and has no content."),
        ("loop", "/loop leads around in a circle of symlinks."),
        ("nowhere", "/nowhere leads to /not/there, which is not there in app:1."),
        ("\x1b[31m", "There is no /\\x1b[31m in app:1."),
    ):
        assert complaint(run("cat", archive, path)) == words
    assert complaint(run("cat", archive, "up", "--layer", "3")) == (
        "There is no layer 3 in app:1; it has layers 1 to 2."
    )


def test_a_path_of_any_bytes(tmp_path: Path) -> None:
    from tests.ui.test_hostile import raw_tar

    layers = (made.plain(raw_tar(b"caf\xe9")),)
    path = write(tmp_path / "a.tar", made.docker_save_new(Made(layers, architecture=HOST.architecture)))
    assert cat(path, b"caf\xe9") == b"bytes"
    assert answer("files", path)[0]["path"] == "/caf\\xe9"
    run("extract", path, "/", "--to", tmp_path / "to")
    assert os.listdir(os.fsencode(tmp_path / "to")) == [b"caf\xe9"]


@pytest.mark.parametrize(("words", "wanted"), [((), b"A\\x1b[31m\r\n\tB"), (("--raw",), b"A\x1b[31m\r\n\tB")])
def test_a_terminal_gets_no_escape_sequences_unasked(
    tmp_path: Path, words: tuple[str, ...], wanted: bytes
) -> None:
    layers = (made.plain(layer_tar([file("f", "A\x1b[31m\n\tB")])),)
    path = write(tmp_path / "a.tar", made.docker_save_new(Made(layers, architecture=HOST.architecture)))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "imgscope", "cat", path, "f", *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
        stdout=theirs,
    ) as program:
        os.close(theirs)
        said = b""
        while wanted not in said:
            said += os.read(ours, 1000)
        assert program.wait(60) == 0
    os.close(ours)


def test_what_is_shown_of_a_content_does_not_depend_on_its_chunks() -> None:
    data = "é\x1b\ud83d".encode("utf-8", "surrogatepass") + b"\xff\r\na\tb\x00"
    whole = "".join(shown(iter([data])))
    assert whole.startswith("é\\x1b")
    assert whole.endswith("\\xff\\r\na\tb\\x00")
    assert "".join(shown(iter([data[at : at + 1] for at in range(len(data))]))) == whole


# -- extract --------------------------------------------------------------------------------------------


def test_extract_tells_what_it_wrote(archive: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    done = run("extract", archive, "/etc", "--to", "to", folder=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        f"2 files, 2 folders, 2 symlinks, 11 B written to {to}/etc\n",
    )
    assert done.stderr.splitlines() == [
        "files: writing",
        "1 written relative (symlink that is absolute or leads through the root): /etc/link",
    ]
    assert tree(to) == {
        "etc": "d",
        "etc/passwd": "other\n",
        "etc/copy": "root\n",
        "etc/dir": "→ ../etc/real",
        "etc/link": "→ passwd",
        "etc/real": "d",
    }
    again = run("extract", archive, "/etc", "--to", to)
    complaint = complaint_after_progress(again.stderr)
    assert complaint.startswith(f"Nothing was written: 4 in {to} are there already")
    assert complaint.endswith("; --overwrite replaces what is there.")
    assert again.returncode == 2
    assert run("extract", archive, "/etc", "--to", to, "--overwrite").returncode == 0


def complaint_after_progress(stderr: str) -> str:
    last = stderr.splitlines()[-1]
    assert last.startswith("imgscope: ")
    return last.removeprefix("imgscope: ")


def test_extract_as_json(archive: Path, tmp_path: Path) -> None:
    done = run("extract", archive, "/", "--layer", "1", "--to", tmp_path / "to", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {
        "schema": 1,
        "to": str(tmp_path / "to"),
        "files": 3,
        "folders": 2,
        "symlinks": 4,
        "hardlinks": 1,
        "bytes": 268,
        "replaced": 0,
        "notes": [
            {"reason": "special", "left_out": True, "count": 2, "paths": ["/null", "/pipe"]},
            {"reason": "leads-out", "left_out": True, "count": 1, "paths": ["/loop"]},
            {"reason": "rewritten", "left_out": False, "count": 3, "paths": ["/etc/link", "/up", "/nowhere"]},
        ],
    }


def test_extract_of_what_is_not_there(archive: Path, tmp_path: Path) -> None:
    assert "was removed in layer 2" in complaint(run("extract", archive, "etc/gone", "--to", tmp_path))
    assert "make it first" in complaint(run("extract", archive, "etc", "--to", tmp_path / "a/b"))
    assert complaint(run("extract", archive, "etc", "--to", "")) == "Name a folder to write below."
    assert run("extract", archive, "etc/gone", "--layer", "2", "--to", tmp_path).returncode == 0
    assert tree(tmp_path) == {"gone": "secret\n"}


def test_ctrl_c_leaves_whole_files_and_says_so(tmp_path: Path) -> None:
    layer = [file(f"d/{number}", f"{number:06}" * 100) for number in range(10_000)]
    layers = (made.plain(layer_tar(layer)),)
    path = write(tmp_path / "a.tar", made.docker_save_new(Made(layers, architecture=HOST.architecture)))
    to = tmp_path / "to"
    with start("extract", path, "/", "--to", to) as program:
        assert program.stderr is not None
        assert program.stderr.readline() == "files: writing\n"
        program.send_signal(signal.SIGINT)
        said = program.stderr.read()
    assert program.returncode == 130
    assert said.startswith("imgscope: Cancelled: ")
    assert said.count("\n") == 1
    found = tree(to)
    found.pop("d", None)
    assert len(found) < 10_000
    assert all(text == path.removeprefix("d/").zfill(6) * 100 for path, text in found.items())


# -- files ----------------------------------------------------------------------------------------------


def test_files_of_the_image(archive: Path) -> None:
    rows = {row["path"]: row for row in answer("files", archive)}
    assert "/etc/gone" not in rows
    assert rows["/etc/passwd"] == {
        "path": "/etc/passwd",
        "state": None,
        "layer": 2,
        "kind": "file",
        "mode": "0644",
        "uid": 0,
        "gid": 0,
        "size": 6,
        "mtime": 10**9,
        "link": None,
    }
    assert rows["/etc/link"]["link"] == "/etc/dir/../passwd"
    assert rows["/null"]["kind"] == "character device"
    assert len(rows) == 12
    assert len(answer("files", archive, "--layer", "1", "--merged")) == 13


def test_files_that_a_layer_changes(archive: Path) -> None:
    rows = [
        (row["path"], row["state"], row["size"], row["layer"])
        for row in answer("files", archive, "--layer=2")
    ]
    assert rows == [
        ("/etc/copy", "metadata", 5, 2),
        ("/etc/gone", "removed", 7, 2),
        ("/etc/passwd", "changed", 6, 2),
    ]
    only = answer("files", archive, "--layer=2", "--state", "removed,changed")
    assert [row["path"] for row in only] == ["/etc/gone", "/etc/passwd"]
    everywhere = answer("files", archive, "--state", "removed, metadata")
    assert [(row["path"], row["layer"]) for row in everywhere] == [("/etc/copy", 2), ("/etc/gone", 2)]
    assert answer("files", archive, "--layer=1", "--state", "removed") == []
    link = next(row for row in answer("files", archive, "--layer=1") if row["path"] == "/etc/copy")
    assert link["link"] == "/etc/passwd"
    assert complaint(run("files", archive, "--state", "new")) == (
        "There is no state 'new'; there are added, changed, metadata, removed, unchanged."
    )


def test_files_as_text(archive: Path) -> None:
    lines = run("files", archive, "--layer", "2").stdout.splitlines()
    assert lines == [
        "≈   2 -rw-------       0:0     5 B 2001-09-09 01:46 /etc/copy",
        "−   2 -rw-r--r--       0:0     7 B 2001-09-09 01:46 /etc/gone",
        "~   2 -rw-r--r--       0:0     6 B 2001-09-09 01:46 /etc/passwd",
    ]
    whole = run("files", archive).stdout
    assert "lrwxrwxrwx" in whole
    assert "/etc/link → /etc/dir/../passwd\n" in whole


def test_files_as_csv_hold_no_formulas_and_no_line_breaks(tmp_path: Path) -> None:
    hostile = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "a\nb", 'quote",";', "\x1b[31m", "\t=1"]
    layer = [symlink(f"{number}", target) for number, target in enumerate(hostile)]
    layer += [file(name.replace("/", "_"), "x") for name in hostile]
    layers = (made.plain(layer_tar(layer)),)
    path = write(tmp_path / "a.tar", made.docker_save_new(Made(layers, architecture=HOST.architecture)))
    text = run("files", path, "--csv").stdout
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["path", "state", "layer", "kind", "mode", "uid", "gid", "size", "mtime", "link"]
    assert len(rows) == len(layer) == len(text.splitlines()) - 1
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell.isprintable()
    assert {row[-1] for row in rows} >= {'\'=HYPERLINK("http://x")', "'+1", "a\\nb", 'quote",";'}


def test_files_of_an_image_without_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", made.docker_save_new(Made((), architecture=HOST.architecture)))
    assert answer("files", path) == []
    assert run("files", path).stdout == ""
    assert complaint(run("cat", path, "x")).startswith("There is no /x in")
    assert run("extract", path, "/", "--to", tmp_path / "to").stdout.startswith("nothing written to")


# -- damage ---------------------------------------------------------------------------------------------


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """An image whose layer ends in the middle of a file."""
    whole = layer_tar([file("first", "1"), file("log", "x" * 5000)])
    torn = made.Blob(whole, whole[:4000])
    members = made.docker_save_old(Made((torn,), ("app:1",), architecture=HOST.architecture))
    return write(tmp_path / "cut.tar", members)


def test_what_is_cut_off_is_said(cut: Path, tmp_path: Path) -> None:
    for words in (
        f"cat {cut} log",
        f"files {cut} --json",
        f"find log {cut}:app:1 --json",
        f"compare {cut} {cut} --json",
        f"extract {cut} / --to {tmp_path / 'out'} --json",
    ):
        done = run(*words.split())
        assert done.returncode == 0
        assert "imgscope: layer 1: " in done.stderr
        assert "a file claims 5000 bytes" in done.stderr
        assert "layer 1: " not in done.stdout
