"""`imgscope find`: which layers of which images have a path."""

from __future__ import annotations

from tests.support.program import answer, complaint, run


def test_the_layers_of_one_image() -> None:
    (image,) = answer("find", "BigFile", "demo:bigfile")["images"]
    assert image["references"] == ["bigfile:latest"]
    assert image["paths"] == [
        {
            "path": "/BigFile",
            "there": False,
            "layers": [
                {"layer": 1, "state": "added", "changes": [], "size": 3_000_000, "dead": True},
                {"layer": 2, "state": "removed", "changes": [], "size": 3_000_000, "dead": False},
            ],
        }
    ]


def test_all_images_of_a_source_as_text() -> None:
    done = run("find", "/usr/lib/libssl.so.3", "demo:")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "simple-node:case-1",
        "  /usr/lib/libssl.so.3",
        "    layer 1   added                          8.1 kB",
        "simple-node:case-2",
        "  /usr/lib/libssl.so.3",
        "    layer 1   added                          8.1 kB",
    ]


def test_nothing_found_is_status_1() -> None:
    done = run("find", "nobody-has-this", "demo:")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_wrong_pattern_is_said() -> None:
    assert "is not a regex" in complaint(run("find", "~(", "demo:"))
