"""`imgscope cache`: what it says and removes, and what turns the cache off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgscope.layers.cache import IndexCache
from tests.support import archives as made
from tests.support.archives import Made, write
from tests.support.program import answer, complaint, run
from tests.support.stacks import file, layer_index, layer_tar


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMGSCOPE_CACHE", str(folder))
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(tmp_path / "config.toml"))
    return folder


@pytest.fixture
def filled(folder: Path) -> Path:
    """With two layers, used in 2001 and in 2033 (by a clock that was wrong)."""
    for number, moment in ((1, 1e9), (2, 2e9)):
        index = layer_index([file("a", number)])
        index.diff_id = None
        IndexCache(folder, 10**6).put(f"sha256:{number:064x}", index)
        os.utime(folder / "layers" / f"{number:064x}", (moment, moment))
    return folder


def test_what_is_there_as_json(filled: Path) -> None:
    said = answer("cache")
    newest = said.pop("newest")
    assert said == {
        "schema": 1,
        "folder": str(filled),
        "enabled": True,
        "problem": None,
        "layers": 2,
        "bytes": 2 * 4096,
        "limit": 500_000_000,
        "oldest": "2001-09-09T01:46:40+00:00",
    }
    assert "2001" < newest < "2033"  # no later than now


def test_what_is_there_as_text(filled: Path) -> None:
    done = run("cache")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"folder  {filled}", "kept    2 layers, 8.19 kB of at most 500 MB"]
    assert lines[2].startswith("used    the newest 0 s ago, the oldest ")
    assert len(lines) == 3


def test_an_empty_one_is_no_error_and_is_not_made(folder: Path) -> None:
    assert run("cache").stdout.splitlines() == [
        f"folder  {folder}",
        "kept    0 layers, 0 B of at most 500 MB",
    ]
    said = answer("cache")
    assert (said["layers"], said["bytes"], said["oldest"], said["newest"]) == (0, 0, None, None)
    assert answer("cache", "clear") == {"schema": 1, "layers": 0, "bytes": 0}
    assert not folder.exists()


def test_clear_says_what_went(filled: Path) -> None:
    done = run("cache", "clear")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Removed what was kept of 2 layers; freed 8.19 kB\n"
    assert answer("cache")["layers"] == 0
    assert not list((filled / "layers").iterdir())


def test_clear_as_json(filled: Path) -> None:
    assert answer("cache", "clear") == {"schema": 1, "layers": 2, "bytes": 2 * 4096}


def test_what_is_not_clear_is_an_error(filled: Path) -> None:
    assert "invalid choice" in complaint(run("cache", "clean"))
    assert answer("cache")["layers"] == 2


def test_it_says_where_it_is_off(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.chmod(0o777)
    assert answer("cache")["problem"] == f"others may write to {filled}"
    assert run("cache").stdout.endswith(f"not in use: others may write to {filled}\n")
    filled.chmod(0o700)
    (tmp_path / "config.toml").write_text("cache = false\ncache-limit = 1_000_000\n")
    said = answer("cache")
    assert (said["enabled"], said["limit"], said["layers"]) == (False, 1_000_000, 2)
    assert run("cache").stdout.endswith("not in use: it is turned off\n")
    (tmp_path / "config.toml").unlink()
    assert answer("cache")["enabled"]
    monkeypatch.setenv("IMGSCOPE_NO_CACHE", "1")
    assert not answer("cache")["enabled"]


@pytest.mark.parametrize(
    "line", ["cache = 1", 'cache-limit = "512 mb"', "cache-limit = true", "cache-limit = 1.5"]
)
def test_wrong_settings_are_told(folder: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "config.toml").write_text(f"{line}\n")
    said = complaint(run("cache"))
    assert said.startswith(f"The settings in {tmp_path / 'config.toml'}, line 1: {line} is not what it")
    assert said.endswith(
        {"1": ": true or false.", '"512 mb"': ': a number of bytes, or a size as "500 MB".'}.get(
            line.partition(" = ")[2], ": a whole number."
        )
    )


def test_of_an_archive_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    """Its diff IDs are claims that nobody verified."""
    image = Made((made.plain(layer_tar([file("a", 100)])),), ("app:1",))
    path = write(tmp_path / "image.tar", made.docker_save_old(image))
    assert answer("analyze", path)["size"] == 100
    assert not folder.exists()


@pytest.mark.parametrize("command", ["analyze", "tree", "view", "demo"])
def test_looking_takes_no_cache(command: str) -> None:
    done = run(command, "--help")
    assert "--no-cache" in done.stdout
    assert "IMGSCOPE_NO_CACHE=1" in done.stdout


def test_an_odd_folder_is_shown_safely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSCOPE_CACHE", os.fsdecode(bytes(tmp_path) + b"/\x1b[2J\xff"))
    assert run("cache").stdout.startswith(f"folder  {tmp_path}/\\x1b[2J\\xff\n")
    assert run("cache", "--json").stdout.isascii()
