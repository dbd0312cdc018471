"""The command line's contract, kept by the real program: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgscope.images.model import Platform
from tests.support import archives as made
from tests.support.archives import Layout, Made, named, write
from tests.support.program import answer, complaint, run
from tests.support.stacks import char_device, file, folder, hardlink, layer_tar, symlink, whiteout

HOST = Platform.host()

TARS = [
    layer_tar(
        [folder("etc"), file("etc/a", b"a" * 1000), file("etc/b", b"b" * 500), hardlink("etc/h", "etc/b")]
    ),
    layer_tar([whiteout("etc/a"), file("etc/c", b"c" * 30), symlink("etc/l", "c")]),
    layer_tar([file("etc/c", b"c" * 30, mode=0o600), file("etc/b", b"B" * 500), char_device("null", 1, 3)]),
]


def image(*names: str, tars: list[bytes] = TARS, **extra: Any) -> Made:
    history = [
        {"created_by": "ADD root / # base"},
        {"created_by": "ENV a=b", "empty_layer": True},
        {"created_by": "/bin/sh -c #(nop) COPY x /etc"},
        {"created_by": "RUN chmod 600 /etc/c"},
    ]
    told = {"history": history} if len(tars) == 3 else {}
    layers = tuple(made.gzipped(tar) for tar in tars)
    return Made(layers, names or ("app:1",), architecture=HOST.architecture, extra={**told, **extra})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "image.tar", made.docker_save_new(image()))


# -- the JSON -----------------------------------------------------------------------------------------


def test_the_json_is_the_contract(archive: Path) -> None:
    """A file that is removed, one whose other name lives on, and one that only got another mode."""
    one, two, three = image().layers
    assert answer("analyze", archive) == {
        "schema": 1,
        "reference": str(archive),
        "id": image().id,
        "source": f"docker-archive:{archive}",
        "platform": str(HOST),
        "size": 2060,
        "layers": [
            {
                "index": 1,
                "diff_id": one.diff_id,
                "digest": one.digest,
                "size": 1500,
                "compressed_size": len(one.data),
                "live": 500,
                "dead": 1000,
                "entries": 4,
                "added": 4,
                "changed": 0,
                "removed": 0,
                "created_by": "ADD root / # base",
            },
            {
                "index": 2,
                "diff_id": two.diff_id,
                "digest": two.digest,
                "size": 30,
                "compressed_size": len(two.data),
                "live": 0,
                "dead": 30,
                "entries": 3,
                "added": 2,
                "changed": 0,
                "removed": 1,
                "created_by": "/bin/sh -c #(nop) COPY x /etc",
            },
            {
                "index": 3,
                "diff_id": three.diff_id,
                "digest": three.digest,
                "size": 530,
                "compressed_size": len(three.data),
                "live": 530,
                "dead": 0,
                "entries": 3,
                "added": 1,
                "changed": 2,
                "removed": 0,
                "created_by": "RUN chmod 600 /etc/c",
            },
        ],
        "live": 1030,
        "dead": 1030,
        "efficiency": 0.5,
        "wasted": [
            {"path": "/etc/a", "dead": 1000, "cause": "removed", "stored_in": [1], "dead_since": 2},
            {"path": "/etc/c", "dead": 30, "cause": "metadata", "stored_in": [2], "dead_since": 3},
        ],
        "problems": [],
        # dive knows no hardlinks: to it /etc/b is stored twice, and one copy of two is no waste
        "dive": {"efficiency": 530 / 2060, "wastedBytes": 2060, "userWastedPercent": 100 * 2060 / 560},
    }


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    """A layer stored plain has no compressed size, an image of one layer or none no layer of its user."""
    plain = Made((made.plain(TARS[0]),), architecture=HOST.architecture)
    found = answer("analyze", write(tmp_path / "image.tar", made.docker_save_old(plain)))
    assert found["layers"][0]["compressed_size"] is None
    assert found["layers"][0]["digest"] == found["layers"][0]["diff_id"]  # it is stored unpacked
    assert found["dive"] == {"efficiency": 1.0, "wastedBytes": 0, "userWastedPercent": None}
    found = answer("analyze", write(tmp_path / "empty.tar", made.oci(Made((), extra={"history": []}))))
    assert (found["size"], found["layers"], found["wasted"], found["efficiency"]) == (0, [], [], 1.0)
    assert found["dive"] == {"efficiency": 1.0, "wastedBytes": 0, "userWastedPercent": None}


def test_the_reference_is_given_back_as_it_was_given(archive: Path) -> None:
    for reference in (f"docker-archive:{archive}:app:1", f"{archive}:@0"):
        assert answer("analyze", reference)["reference"] == reference


def test_another_platform(tmp_path: Path) -> None:
    layout = Layout()
    here = layout.image(image(), platform=True)
    there = layout.image(Made((), (), "linux", "arm", "v7"), platform=True)
    path = write(tmp_path / "layout", layout.members(named(layout.index(here, there), "app:1")))
    assert answer("analyze", path)["platform"] == str(HOST)
    assert answer("analyze", path, "--platform", "linux/arm/v7")["platform"] == "linux/arm/v7"
    assert "linux/arm/v7" in complaint(run("analyze", path, "--platform", "linux/s390x"))


def test_problems(tmp_path: Path) -> None:
    members = made.oci(image())
    one, two, three = (f"blobs/sha256/{made.encoded(layer.digest)}" for layer in image().layers)
    del members[one]
    members[three] = made.gzipped(TARS[2][:1100]).data
    path = write(tmp_path / "image.tar", members)
    [missing, cut] = answer("analyze", path)["problems"]
    assert missing == {
        "layer": 1,
        "offset": None,
        "message": f"the layer's data ({one}) is not in the archive",
    }
    assert (cut["layer"], cut["offset"]) == (3, 1024)
    assert "the layer ends" in cut["message"]
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    first = answer("analyze", path)["problems"][0]
    assert (first["layer"], first["offset"]) == (None, None)
    assert first["message"].startswith("the archive ends early")
    text = run("analyze", path)
    assert (text.returncode, text.stderr) == (0, "")
    assert "problems: 3" in text.stdout
    assert "layer 3, byte 1024: " in text.stdout
    assert "partial" in text.stdout.splitlines()[1]
    assert two in members


def many(count: int) -> list[bytes]:
    names = [f"f{number:04}" for number in range(count)]
    below = layer_tar([file(name, 1 + 37 * number % 101) for number, name in enumerate(names)])
    return [below, layer_tar([whiteout(name) for name in names])]


def test_wasted_paths_are_all_there_and_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", made.oci(image(tars=many(60))))
    found = answer("analyze", path)
    dead = [wasted["dead"] for wasted in found["wasted"]]
    assert dead == sorted(dead, reverse=True)
    assert sorted(wasted["path"] for wasted in found["wasted"]) == [f"/f{number:04}" for number in range(60)]
    assert sum(dead) == found["dead"] == found["size"]
    text = run("analyze", path).stdout
    assert sum(line.count("stored by 1, removed by 2") for line in text.splitlines()) == 20
    assert "and 40 more paths; --json lists all" in text


def test_the_sums_are_exact_for_every_demo_image() -> None:
    nodes = answer("tree", "demo:")["nodes"]
    real = [node for node in nodes if not node["virtual"]]
    assert len(real) > 5
    for node in real:
        found = answer("analyze", f"demo:{node['references'][0]}")
        assert found["id"] == node["id"]
        assert found["live"] + found["dead"] == found["size"] == node["size"]
        assert sum(layer["size"] for layer in found["layers"]) == found["size"]
        for key in ("live", "dead"):
            assert sum(layer[key] for layer in found["layers"]) == found[key]
        assert sum(wasted["dead"] for wasted in found["wasted"]) == found["dead"]
        assert found["efficiency"] == (found["live"] / found["size"] if found["size"] else 1)
        assert found["problems"] == []


# -- how it ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("analyze",),
        ("analyze", "--json"),
        ("analyze", "./nothing.tar", "--json"),
        ("analyze", "docker-archive:"),
        ("analyze", "docker://ubuntu"),
        ("analyze", "a", "b"),
        ("analyze", "a", "--no-such-option"),
        ("analyze", "demo:no-such-image", "--json"),
        ("analyze", "demo:bigfile", "--platform", "linux"),
        ("analyze", "demo:bigfile", "--platform"),
        ("tree", "./nothing.tar", "--json"),
        ("--no-such-option",),
    ],
)
def test_bad_use_and_bad_input(words: tuple[str, ...]) -> None:
    complaint(run(*words))


def test_an_image_that_is_not_there_is_answered_with_those_that_are(archive: Path) -> None:
    said = complaint(run("analyze", f"docker-archive:{archive}:other:1", "--json"))
    assert said == f"There is no image 'other:1' in docker-archive:{archive}; it holds app:1."


def test_help_and_version() -> None:
    for words in (("--help",), ("analyze", "--help"), ("--version",)):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "imgscope" in done.stdout


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_reader_that_has_enough(tmp_path: Path, form: list[str]) -> None:
    """As in `imgscope analyze … | head -1`: the rest goes nowhere, and nobody complains."""
    names = [f"n{number:05}-{'x' * 60}" for number in range(2500)]
    # each layer's instruction fills a line of the text, each path some of the JSON
    tars = [layer_tar([file(name, 1) for name in names]), layer_tar([whiteout(name) for name in names])]
    tars += [bytes(1024 + 512 * number) for number in range(600)]
    history = [{"created_by": f"RUN {'y' * 300}"} for _ in tars]
    path = write(tmp_path / "image.tar", made.oci(image(tars=tars, history=history)))
    assert len(run("analyze", path, *form).stdout) > 1 << 16  # more than a pipe takes
    with subprocess.Popen(
        [sys.executable, "-m", "imgscope", "analyze", path, *form],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as a program that SIGPIPE ended


# -- what images call things --------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x1b[2J\n\r\t\x00\u202e\u200b\x9b31m"


def is_safe(text: str) -> bool:
    return all(line.isprintable() for line in text.removesuffix("\n").split("\n"))


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    name = "f" + HOSTILE.replace("\x00", "")
    tars = [layer_tar([file(name, 10), file("d/\udcff", 5)]), layer_tar([whiteout(name), whiteout("d")])]
    history = [{"created_by": f"RUN {HOSTILE}", "comment": HOSTILE}] * 2
    bad = image(f"app:{HOSTILE}", tars=tars, history=history, os=HOSTILE, architecture=HOSTILE)
    path = write(tmp_path / "image.tar", made.kaniko(bad))

    done = run("analyze", path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert is_safe(done.stdout)
    found = json.loads(done.stdout)
    shown = "/f" + ("\\x1b]0;owned\\x07\\x1b[2J\\n\\r\\t\\u202e\\u200b\\x9b31m")
    assert [wasted["path"] for wasted in found["wasted"]] == [shown, "/d/\\xff"]
    assert found["platform"] == "unknown/unknown"
    assert found["layers"][0]["created_by"] == f"RUN {HOSTILE}"  # as it is: JSON has its own escapes

    for words in (("analyze", path), ("tree", path)):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert is_safe(done.stdout), done.stdout
    assert "\\x1b[2J" in done.stdout

    for name in (HOSTILE[:4], "no:1"):
        assert is_safe(complaint(run("analyze", f"{path}:{name}")))


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", made.oci(image()))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.tar"))
    path.rename(odd)
    assert answer("analyze", odd)["reference"] == str(odd)
    assert "\\xff\\n.tar" in run("analyze", odd).stdout
    assert "\\xff" in complaint(run("analyze", f"{odd}:no"))


# -- tree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["layout", "image.tar", "image.tar.gz"])
def test_the_tree_of_an_archive(tmp_path: Path, name: str) -> None:
    base = image("base:1", tars=TARS[:1])
    first = image("first:1", "first:2", tars=TARS[:2])
    other = image("other:1", tars=[TARS[0], TARS[2]])
    path = write(tmp_path / name, made.docker_save_new(first, base, other))
    answered = answer("tree", path)
    assert answered["schema"] == 1
    nodes = {node["id"]: node for node in answered["nodes"]}
    assert set(nodes) == {base.id, first.id, other.id}
    for node in nodes.values():
        assert {"id", "references", "size", "parent", "parent_candidates", "virtual"} <= node.keys()
        assert (node["virtual"], node["parent_candidates"]) == (False, [])
    assert nodes[first.id]["references"] == ["first:1", "first:2"]
    assert {node["id"]: node["parent"] for node in nodes.values()} == {
        base.id: None,
        first.id: base.id,
        other.id: base.id,
    }
    assert {node["id"]: node["size"] for node in nodes.values()} == {
        base.id: 1500,
        first.id: 1530,
        other.id: 2030,
    }
    lines = run("tree", path).stdout.splitlines()
    assert lines[0].startswith("base:1")
    assert sorted(line[:3] for line in lines[1:]) == ["└─ ", "├─ "]


def test_a_base_that_no_image_is(tmp_path: Path) -> None:
    first, other = image("first:1", tars=TARS[:2]), image("other:1", tars=[TARS[0], TARS[2]])
    nodes = answer("tree", write(tmp_path / "image.tar", made.kaniko(first, other)))["nodes"]
    [shared] = [node for node in nodes if node["virtual"]]
    assert {node["parent"] for node in nodes if not node["virtual"]} == {shared["id"]}
    assert (shared["references"], shared["parent"], shared["size"]) == ([], None, 1500)


def test_a_tree_of_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "layout", Layout().members())
    assert answer("tree", path) == {"schema": 1, "nodes": []}
    done = run("tree", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
