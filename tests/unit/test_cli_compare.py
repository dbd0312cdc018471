"""`imgscope compare`: its JSON, its text, its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imgscope.cli import main
from tests.support.stacks import (
    file,
    folder,
    hardlink,
    symlink,
    whiteout,
    write_docker_archive,
    write_oci_layout,
)
from tests.ui.driver import write_layout
from tests.ui.test_hostile import BROKEN, NASTY, raw_tar

CASES = ("demo:simple-node:case-1", "demo:simple-node:case-2")
RAILS = ("demo:rails-4.2:d", "demo:rails-3.2:e")


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path, status: int = 0) -> str:
    assert main(["compare", *map(str, words)]) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def as_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    found = json.loads(answer(capsys, *words, "--json"))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    base = [folder("etc"), file("etc/a", 100), file("etc/b", 30), file("etc/old", 7), symlink("etc/s", "a")]
    a = write_docker_archive(tmp_path / "a.tar", [base, [file("var/x", 50), hardlink("var/y", "var/x")]])
    top = [file("etc/a", 150), file("etc/b", 30, mode=0o600), whiteout("etc/old"), file("new", 9)]
    return a, write_oci_layout(tmp_path / "b", [base, top])


def test_json(capsys: pytest.CaptureFixture[str], pair: tuple[Path, Path]) -> None:
    found = as_json(capsys, *pair)
    assert {key: found[key] for key in ("schema", "differs", "config", "packages", "notes")} == {
        "schema": 1,
        "differs": True,
        "config": [],
        "packages": [],
        "notes": [],
    }
    assert [found[side]["reference"] for side in "ab"] == [str(path) for path in pair]
    assert [found[side]["size"] for side in "ab"] == [187, 189]
    layers = found["layers"]
    assert (layers["prefix"], [(row["a"], row["b"], row["size"]) for row in layers["shared"]]) == (
        1,
        [(1, 1, 137)],
    )
    assert [(row["index"], row["size"], row["created_by"]) for row in layers["only_a"]] == [
        (2, 50, "layer 2")
    ]
    assert [(row["index"], row["size"]) for row in layers["only_b"]] == [(2, 189)]
    assert found["totals"] == {
        "added": {"paths": 1, "size_a": 0, "size_b": 9},
        "removed": {"paths": 4, "size_a": 57, "size_b": 0},
        "content": {"paths": 1, "size_a": 100, "size_b": 150},
        "metadata": {"paths": 1, "size_a": 30, "size_b": 30},
        "mtime_only": 0,
    }
    rows = [
        [
            row[key]
            for key in ("path", "state", "changes", "kind_a", "kind_b", "size_a", "size_b", "difference")
        ]
        for row in found["files"]
    ]
    assert rows == [
        ["/etc/a", "content", ["content"], "file", "file", 100, 150, 50],
        ["/etc/b", "metadata", ["mode"], "file", "file", 30, 30, 0],
        ["/etc/old", "removed", [], "file", None, 7, 0, -7],
        ["/var", "removed", [], "directory", None, 0, 0, 0],
        ["/var/x", "removed", [], "file", None, 50, 0, -50],
        ["/var/y", "removed", [], "file", None, 0, 0, 0],
        ["/new", "added", [], None, "file", 0, 9, 9],
    ]


def test_json_of_the_demo_images(capsys: pytest.CaptureFixture[str]) -> None:
    """Both cases hold the same files, made in another order."""
    found = as_json(capsys, *CASES)
    states = {row["state"] for row in found["files"]}
    assert states == {"metadata"}
    assert found["totals"]["mtime_only"] == len(found["files"]) > 100
    assert found["layers"]["prefix"] == 3
    assert [item["section"] for item in found["config"]] == ["created"]

    found, back = as_json(capsys, *RAILS), as_json(capsys, *reversed(RAILS))
    assert {row["section"] for row in found["config"]} == {"created", "cmd", "workdir", "user"}
    assert sum(row["difference"] for row in found["files"]) == found["b"]["size"] - found["a"]["size"]
    assert [row["path"] for row in found["files"]] == [row["path"] for row in back["files"]]
    assert found["totals"]["added"]["size_b"] == back["totals"]["removed"]["size_a"] > 1_000_000


def test_packages_of_the_demo_images(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "demo:debian:a", "demo:golang:c")
    names = {(row["kind"], row["name"]) for row in found["packages"]}
    assert ("deb", "golang-go") in names
    assert all(row["a"] == [] for row in found["packages"])


def test_text(capsys: pytest.CaptureFixture[str], pair: tuple[Path, Path]) -> None:
    text = answer(capsys, *pair)
    lines = text.splitlines()
    assert "layers: 1 shared (137 B), 1 only in A, 1 only in B" in lines
    assert "  − A   2      50 B  layer 2" in lines
    assert "  ~ 1 changed, 100 B in A, 150 B in B" in lines
    assert "  ~     100 B      150 B      +50 B  /etc/a  (content)" in lines
    assert "  −      50 B                 −50 B  /var/x" in lines
    assert "  ≈      30 B       30 B        0 B  /etc/b  (mode)" in lines
    assert text.index("/etc/a") < text.index("/var/x") < text.index("/new")  # the largest first


def test_text_says_how_much_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, *RAILS)
    assert '  ~ cmd: ["rails", "server", "-b", "0.0.0.0"] → ["rails", "server"]' in text
    assert "  + user: www-data" in text
    whole = answer(capsys, *RAILS, "--all")
    left = len(whole.splitlines()) - len(text.splitlines()) + 1
    assert f"  … and {left} more; --all shows them" in text
    assert "more" not in whole


def test_the_same(capsys: pytest.CaptureFixture[str], pair: tuple[Path, Path], tmp_path: Path) -> None:
    found = as_json(capsys, CASES[0], CASES[0])
    assert (found["differs"], found["files"]) == (False, [])
    assert "files: no difference" in answer(capsys, CASES[0], CASES[0], "--exit-code")
    answer(capsys, pair[0], pair[0], "--exit-code")


def test_exit_status(capsys: pytest.CaptureFixture[str], pair: tuple[Path, Path]) -> None:
    answer(capsys, *pair)
    answer(capsys, *pair, "--exit-code", status=1)
    assert main(["compare", str(pair[0]), "demo:nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_names_of_any_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each row stays a row, and nothing in it acts on a terminal."""
    names = [name.encode() for name in NASTY.values() if name.strip() and "\0" not in name]
    configs = [
        {
            "config": {
                "Env": [f"{x}={x}{y}" for x in NASTY.values()],
                "Labels": dict.fromkeys(NASTY.values(), y),
            }
        }
        for y in "ab"
    ]
    layout = write_layout(
        tmp_path / "x", [("a", configs[0], [raw_tar(*names)]), ("b", configs[1], [raw_tar(*BROKEN)])]
    )
    text = answer(capsys, f"oci:{layout}:a", f"oci:{layout}:b", "--all")
    assert all(line.isprintable() for line in text.splitlines())
    found = as_json(capsys, f"oci:{layout}:a", f"oci:{layout}:b")
    assert len(found["files"]) >= len(names)
