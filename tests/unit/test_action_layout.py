"""Tagging in OCI layouts, and all three actions from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgscope.actions.layout import (
    needs_engine,
    prune_layout,
    remove_from_layout,
    require_engine,
    tag_in_layout,
)
from imgscope.errors import ImgscopeError, NotFoundError, UsageError
from imgscope.sources.archive import ArchiveSource
from tests.support import archives as made
from tests.support.archives import Layout
from tests.support.layouts import (
    REF_NAME,
    blobs,
    copied_by_skopeo,
    digest_of,
    disk_bytes,
    end,
    everything,
    image,
    index,
    listed,
    remove,
    simple,
    tag,
    umoci,
    umoci_names,
    under,
    write,
)
from tests.support.program import answer, complaint, run


@pytest.mark.engine
def test_a_new_name(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = index(folder)["manifests"]
    plan = tag(folder, "app:1", "x:1").describe()
    assert plan.frees is None
    assert (plan.untags, plan.keeps) == ((), ())
    done = end(tag(folder, "app:1", "x:1"))
    assert done.result == digest_of(folder, "app:1") == digest_of(folder, "x:1")
    assert index(folder)["manifests"] == [*before, {**before[1], "annotations": {REF_NAME: "x:1"}}]
    assert "x:1" in umoci_names(folder)
    assert "x:1" in list(copied_by_skopeo(folder, tmp_path / "out"))


@pytest.mark.engine
def test_a_name_moves_and_the_other_image_stays_without(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    left = digest_of(folder, "base:1")
    plan = tag(folder, "app:1", "base:1").describe()
    assert plan.untags == ("base:1",)
    assert plan.keeps == (f"{left[7:19]} stays without a name; it can be removed by its id",)
    end(tag(folder, "app:1", "base:1"))
    assert dict(listed(folder))[""] == left
    assert digest_of(folder, "base:1") == digest_of(folder, "app:1")
    assert umoci_names(folder).count("base:1") == 1
    before = blobs(folder)
    umoci("gc", "--layout", folder)  # it is still an image, for umoci too
    assert left in blobs(folder)
    assert len(before - blobs(folder)) == 1


def test_a_name_moves_and_the_other_image_has_one_more(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    end(tag(folder, "base:1", "base:2"))
    plan = tag(folder, "app:1", "base:1").describe()
    assert plan.keeps[0].endswith("stays as base:2")
    end(tag(folder, "app:1", "base:1"))
    assert [name for name, _ in listed(folder)] == ["app:1", "app:2", "base:2", "base:1"]


def test_a_name_that_it_has_already(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    assert "nothing changes" in tag(folder, "app:1", "docker.io/library/app:1").describe().lines[0]
    end(tag(folder, "app:1", "app:1"))
    assert everything(folder) == before


def test_an_image_without_a_name_gets_one(tmp_path: Path) -> None:
    layout = Layout()
    described = layout.image(image("a"), platform=True)
    folder = write(layout.members(described), tmp_path / "l")
    end(tag(folder, None, "a"))
    assert index(folder)["manifests"] == [under(described, "a")]
    end(tag(folder, described["digest"][7:19], "b"))
    assert [name for name, _ in listed(folder)] == ["a", "b"]


@pytest.mark.parametrize(
    ("there", "wanted", "written"),
    [
        ([], "x", "x"),
        ([], "x:1", "x:1"),
        (["latest", "v1"], "V2_x", "V2_x"),
        (["latest", "v1"], "me/app:2", "me/app:2"),
        (["ruby:b", "me/app:1"], "x", "x:latest"),
        (["ruby:b", "me/app:1"], "docker.io/library/x:1", "x:1"),
        (["docker.io/library/ruby:b"], "x", "docker.io/library/x:latest"),
        (["docker.io/library/ruby:b"], "localhost:5000/x", "localhost:5000/x:latest"),
    ],
)
def test_names_are_written_as_the_layout_writes_them(
    there: list[str], wanted: str, written: str, tmp_path: Path
) -> None:
    layout = Layout()
    described = layout.image(image("a"))
    folder = write(layout.members(*[under(described, name) for name in there] or [described]), tmp_path / "l")
    end(tag(folder, None, wanted))
    assert [name for name, _ in listed(folder)] == [*there, written]


def test_names_in_containerds_two_annotations(tmp_path: Path) -> None:
    layout = Layout()
    described = layout.image(image("a"))
    folder = write(layout.members(made.named(described, "docker.io/library/a:1")), tmp_path / "l")
    end(tag(folder, "a:1", "me/b:2"))
    assert index(folder)["manifests"][1]["annotations"] == {
        "io.containerd.image.name": "docker.io/me/b:2",
        REF_NAME: "2",
    }
    source = ArchiveSource(folder)
    assert source.find("me/b:2").references == ("docker.io/library/a:1", "docker.io/me/b:2")
    source.close()
    end(remove(folder, "a:1"))
    assert [item["annotations"][REF_NAME] for item in index(folder)["manifests"]] == ["2"]


@pytest.mark.parametrize("name", ["", "a/B", "a b", "x:", "x@sha256:" + "0" * 64, "-x", "../x", "x\n"])
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    for folder in (simple(tmp_path / "l"), write(Layout().members(), tmp_path / "m")):
        before = everything(folder)
        with pytest.raises((UsageError, NotFoundError)):
            end(tag(folder, None if folder.name == "m" else "app:1", name))
        assert everything(folder) == before


def test_the_source_must_be_clear(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    with pytest.raises(UsageError, match=r"several images .* name one of base:1, app:1, app:2"):
        tag(folder, None, "x:1").describe()
    with pytest.raises(NotFoundError, match="it is empty"):
        tag(write(Layout().members(), tmp_path / "m"), None, "x:1").describe()


# -- the command line -----------------------------------------------------------------------------------


@pytest.mark.engine
def test_tag_remove_and_prune_from_the_command_line(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    assert answer("tag", f"oci:{folder}:app:1", "x:1", "--dry-run")["untags"] == []
    assert everything(folder) == before
    done = answer("tag", f"oci:{folder}:app:1", "x:1", "--yes")
    assert done["result"] == digest_of(folder, "x:1") == digest_of(folder, "app:1")
    size = disk_bytes(folder)
    plan = answer("prune", f"oci:{folder}", "--dry-run")
    assert disk_bytes(folder) == size
    pruned = run("prune", f"oci:{folder}", "--yes", "--json")
    assert pruned.stderr == f"deleted: {plan['deletes'][0]}\n"
    done = json.loads(pruned.stdout)
    assert done["freed"] == plan["frees"] == size - disk_bytes(folder) == 700
    assert done["deletes"] == plan["deletes"]
    umoci("gc", "--layout", folder)
    assert disk_bytes(folder) == size - 700


@pytest.mark.engine
def test_rmi_from_the_command_line(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    size = disk_bytes(folder)
    words = ["rmi", f"oci:{folder}:app:1", f"oci:{folder}:app:2"]
    plan = answer(*words, "--dry-run")
    assert disk_bytes(folder) == size
    assert plan["untags"] == ["app:1", "app:2"]
    assert plan["command"].startswith(f"umoci rm --image {folder}:app:1 && ")
    done = run(*words, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["freed"] == plan["frees"] == size - disk_bytes(folder)
    assert umoci_names(folder) == ["base:1"]
    assert list(copied_by_skopeo(folder, tmp_path / "out")) == ["base:1"]


def test_rmi_by_force(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    end(tag(folder, "app:1", "x:1"))
    words = ["rmi", f"oci:{folder}:{digest_of(folder, 'app:1')}", "--yes"]
    assert "it has the name app:1; it has the name x:1; --force does it" in complaint(run(*words))
    assert run(*words, "--force").returncode == 0
    assert [name for name, _ in listed(folder)] == ["base:1", "app:2"]


def test_the_demo_is_not_changed_from_the_command_line() -> None:
    for words in (["tag", "demo:kuard:blue", "x:1"], ["rmi", "demo:kuard:blue"], ["prune", "demo:"]):
        assert "only as long as imgscope demo runs" in complaint(run(*words, "--yes"))


def test_the_command_line_asks_and_refuses(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    for words in (["tag", f"oci:{folder}:app:1", "x:1"], ["prune", f"oci:{folder}"]):
        assert "--read-only" in run(words[0], "--help").stdout
        assert "read-only" in complaint(run(*words, "--yes", "--read-only"))
        assert run(*words, "--dry-run").returncode == 0
    assert "no terminal to ask on" in complaint(run("prune", f"oci:{folder}"))
    assert "no image 'nope'" in complaint(run("tag", f"oci:{folder}:nope", "x:1", "--yes"))
    assert "whole of a layout" in complaint(run("prune", f"oci:{folder}:app:1", "--yes"))
    assert "oci:DIR alone" in complaint(run("prune", f"oci:{folder}", "--volumes", "--yes"))
    assert "oci:DIR alone" in complaint(run("prune", "app:1", "--yes"))
    assert "push needs one" in complaint(run("push", f"oci:{folder}:app:1", "--yes"))
    assert "pull needs one" in complaint(run("pull", f"oci:{folder}:app:1", "--yes"))
    assert everything(folder) == before


@pytest.mark.parametrize("reference", ["app:1", "docker-daemon:app:1", "oci/app", "localhost:5000/oci:1", ""])
def test_references_of_the_engine_are_left_to_it(reference: str) -> None:
    assert tag_in_layout(reference, "x:1") is None
    assert remove_from_layout([reference]) is None
    assert prune_layout(reference) is None
    require_engine("push", reference)


def test_a_folder_that_has_the_name_of_an_image_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imgscope rmi ruby` removes the engine's ruby, whatever lies in the current folder."""
    simple(tmp_path / "ruby")
    monkeypatch.chdir(tmp_path)
    assert remove_from_layout(["ruby"]) is None


@pytest.mark.parametrize(
    ("references", "sentence"),
    [
        (["demo:kuard:blue"], "The demo images last only as long as imgscope demo runs"),
        (["demo:"], "The demo images last only"),
        (["docker-archive:a.tar:x"], "is an archive, and archives are not changed"),
        (["oci-archive:a.tar"], "is an archive, and archives are not changed"),
        (["oci:l"], "Say which image of oci:"),
        (["oci:l:app:1", "oci:m:app:1"], "Images of one place at a time"),
        (["oci:l:app:1", "ruby"], "Images of one place at a time"),
        (["oci:nowhere:x"], "no file or folder nowhere"),
        (["oci:"], "wants a path"),
    ],
)
def test_what_cannot_be_removed_says_so(
    references: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    simple(tmp_path / "l")
    simple(tmp_path / "m")
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(ImgscopeError, match=sentence) as caught:
        remove_from_layout(references)
    assert str(caught.value).endswith(".")


def test_remove_several_of_one_folder(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    action = remove_from_layout([f"oci:{folder}:app:1", f"oci:{folder}/../l:app:2"])
    assert action is not None
    assert end(action).untagged == ("app:1", "app:2")


def test_needs_engine_is_one_sentence() -> None:
    assert str(needs_engine("run", "demo images")) == (
        "There is no engine behind demo images, and run needs one."
    )
