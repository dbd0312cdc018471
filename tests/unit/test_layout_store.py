"""OCI layouts changed in place: what goes, what stays, and what skopeo and umoci say of the rest."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imgscope.actions.layout import LayoutError, LayoutStore
from imgscope.actions.layout import store as store_module
from imgscope.analysis import analyze
from imgscope.errors import CancelledError, FormatError, ImgscopeError, NotFoundError, UsageError
from imgscope.job import Job
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.demo.layout import write_layout
from tests.support import archives as made
from tests.support.archives import Layout, digest, document
from tests.support.layouts import (
    blobs,
    copied_by_skopeo,
    digest_of,
    disk_bytes,
    drawn,
    end,
    everything,
    image,
    index,
    listed,
    path_of,
    prune,
    remove,
    simple,
    tag,
    umoci,
    umoci_names,
    under,
    write,
)

SEEDS = range(24)


# -- collecting, against umoci ------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.parametrize("seed", SEEDS)
def test_prune_leaves_what_umoci_gc_leaves(seed: int, tmp_path: Path) -> None:
    ours = drawn(seed, tmp_path / "ours")
    theirs = shutil.copytree(ours, tmp_path / "theirs")
    before = disk_bytes(ours)
    plan = prune(ours).describe()
    assert blobs(ours) == blobs(theirs)  # a plan changes nothing
    done = end(prune(ours))
    umoci("gc", "--layout", theirs)
    assert blobs(ours) == blobs(theirs)
    assert done.freed == plan.frees == before - disk_bytes(ours)
    assert done.deleted == plan.deletes
    assert index(ours) == index(theirs)
    assert list(copied_by_skopeo(ours, tmp_path / "out")) == umoci_names(ours)


@pytest.mark.engine
@pytest.mark.parametrize("seed", SEEDS)
def test_remove_then_prune_leaves_what_umoci_rm_and_gc_leave(seed: int, tmp_path: Path) -> None:
    ours = drawn(seed, tmp_path / "ours")
    theirs = shutil.copytree(ours, tmp_path / "theirs")
    for name in umoci_names(ours)[::2]:
        before = disk_bytes(ours)
        plan = remove(ours, name).describe()
        done = end(remove(ours, name))
        assert done.freed == plan.frees == before - disk_bytes(ours)
        umoci("rm", "--image", f"{theirs}:{name}")
        assert umoci_names(ours) == umoci_names(theirs)
        assert list(copied_by_skopeo(ours, tmp_path / name.replace(":", "-"))) == umoci_names(ours)
    end(prune(ours))
    umoci("gc", "--layout", theirs)
    assert blobs(ours) == blobs(theirs)


def test_there_was_something_to_collect(tmp_path: Path) -> None:
    """The random layouts are of all kinds: with garbage and without, with images and without."""
    freed = [prune(drawn(seed, tmp_path / str(seed))).describe().frees for seed in SEEDS]
    names = [len(listed(tmp_path / str(seed))) for seed in SEEDS]
    assert 0 in freed
    assert sum(map(bool, freed)) > 5
    assert 0 in names
    assert max(names) > 4


@pytest.mark.engine
def test_the_demo_images(tmp_path: Path) -> None:
    """A family: what goes is only what no other image has."""
    write_layout(tmp_path / "demo")
    folder = tmp_path / "demo"
    before = blobs(folder)
    done = end(remove(folder, "rails-4.2:d"))
    assert before - blobs(folder) == set(done.deleted)
    assert len(done.deleted) == 4  # manifest, config and its two layers; those of debian and ruby stay
    assert digest_of(folder, "ruby:b") in blobs(folder)
    umoci("gc", "--layout", folder)
    assert blobs(folder) == before - set(done.deleted)
    source = ArchiveSource(folder)
    for found in source.found.images:
        assert not analyze(source, found).image.problems
    source.close()


# -- removing -----------------------------------------------------------------------------------------


def test_remove_frees_what_only_this_image_has(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before, size = blobs(folder), disk_bytes(folder)
    manifest = json.loads(path_of(folder, digest_of(folder, "app:1")).read_bytes())
    own = {digest_of(folder, "app:1"), manifest["config"]["digest"], manifest["layers"][1]["digest"]}
    shared = path_of(folder, manifest["layers"][0]["digest"]).stat().st_size
    plan = remove(folder, "app:1").describe()
    assert set(plan.deletes) == own
    assert plan.untags == ("app:1",)
    assert plan.destructive
    assert plan.keeps == (f"1 blob ({shared} B) stays, for it is in base:1, app:2 too",)
    done = end(remove(folder, "app:1"))
    assert before - blobs(folder) == own  # the garbage that was there stays: prune is for that
    assert done.freed == plan.frees == size - disk_bytes(folder)
    assert [name for name, _ in listed(folder)] == ["base:1", "app:2"]


def test_remove_several_at_once_frees_what_only_they_share(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    one = remove(folder, "app:1").describe().frees or 0
    two = remove(folder, "app:2").describe().frees or 0
    base = remove(folder, "base:1").describe().frees or 0
    plan = remove(folder, "app:1", "app:2", "base:1").describe()
    assert (plan.frees or 0) > one + two + base  # the layer of all three goes, too
    assert end(remove(folder, "app:1", "app:2", "base:1")).freed == plan.frees
    assert listed(folder) == []
    assert len(blobs(folder)) == 1


def test_the_image_stays_while_it_has_another_name(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    end(tag(folder, "app:1", "other:1"))
    before = blobs(folder)
    plan = remove(folder, "app:1").describe()
    assert (plan.deletes, plan.frees, plan.untags) == ((), 0, ("app:1",))
    assert any(line.endswith("stays as other:1") for line in plan.keeps)
    assert end(remove(folder, "app:1")).freed == 0
    assert blobs(folder) == before
    assert end(remove(folder, "other:1")).deleted


def test_a_descriptor_without_a_name_stays(tmp_path: Path) -> None:
    layout = Layout()
    described = layout.image(image("a"))
    folder = write(layout.members(described, under(described, "a:1")), tmp_path / "l")
    plan = remove(folder, "a:1").describe()
    assert plan.deletes == ()
    assert "without a name" in plan.keeps[0]
    end(remove(folder, "a:1"))
    assert listed(folder) == [("", described["digest"])]
    assert end(remove(folder, described["digest"])).freed
    assert (listed(folder), blobs(folder)) == ([], set())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("of", ["manifest", "config"])
def test_by_id(of: str, whole: bool, tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    identifier = digest_of(folder, "app:2")
    if of == "config":
        identifier = json.loads(path_of(folder, identifier).read_bytes())["config"]["digest"]
    text = identifier if whole else identifier.removeprefix("sha256:")[:12]
    assert end(remove(folder, text)).untagged == ("app:2",)
    assert [name for name, _ in listed(folder)] == ["base:1", "app:1"]


def test_by_id_with_several_names_only_by_force(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    end(tag(folder, "app:2", "x:1"))
    before = everything(folder)
    identifier = digest_of(folder, "app:2")
    plan = remove(folder, identifier).describe()
    assert [(item.id, item.forceable) for item in plan.blocked_by] == [("app:2", True), ("x:1", True)]
    with pytest.raises(LayoutError, match="it has the name app:2"):
        end(remove(folder, identifier))
    assert everything(folder) == before
    assert end(remove(folder, identifier, force=True)).untagged == ("app:2", "x:1")
    # naming both is as good
    folder = simple(tmp_path / "m")
    end(tag(folder, "app:2", "x:1"))
    assert end(remove(folder, "app:2", "x:1")).freed


def test_an_unknown_or_ambiguous_name(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    with pytest.raises(NotFoundError, match=r"no image 'nope' in oci:.*; it holds base:1, app:1, app:2"):
        remove(folder, "nope").describe()
    with pytest.raises(UsageError, match=r"Several images .* have the tag '1': app:1, base:1"):
        remove(folder, "1").describe()
    assert remove(folder, "2").describe().untags == ("app:2",)
    with pytest.raises(NotFoundError):
        remove(folder, "app:1", "nope").describe()
    with pytest.raises(NotFoundError):
        end(remove(folder, "app:1", "nope"))
    assert everything(folder) == before


# -- what is reached stays ----------------------------------------------------------------------------


def referrer(layout: Layout, to: made.Descriptor) -> made.Descriptor:
    """What `oras attach` and `cosign` write: an artifact with a subject."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": made.MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": layout.blob(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [layout.blob(b'{"sbom": 1}', "application/spdx+json")],
        "subject": to,
    }
    return layout.blob(document(manifest), made.MANIFEST, artifactType="application/vnd.example.sbom")


def test_what_a_referrer_refers_to_stays(tmp_path: Path) -> None:
    layout = Layout()
    described = layout.image(image("a"))
    folder = write(layout.members(under(described, "a:1"), referrer(layout, described)), tmp_path / "l")
    before = blobs(folder)
    plan = remove(folder, "a:1").describe()
    assert plan.deletes == ()
    assert "another image or artifact refers to it" in plan.keeps[0]
    end(remove(folder, "a:1"))
    end(prune(folder))
    assert blobs(folder) == before


def test_a_subject_that_is_not_there_is_no_hindrance(tmp_path: Path) -> None:
    layout = Layout()
    absent = {"mediaType": made.MANIFEST, "digest": digest(b"absent"), "size": 6}
    folder = write(layout.members(referrer(layout, absent)), tmp_path / "l")
    assert not prune(folder).describe().blocked


@pytest.mark.parametrize(
    "media_type",
    ["application/vnd.example.bundle.v1+json", "application/vnd.example.bundle", "", None],
)
def test_documents_of_unknown_types_are_followed(media_type: str | None, tmp_path: Path) -> None:
    layout = Layout()
    inner = layout.image(image("a"))
    bundle = layout.blob(document({"things": [{"Digest": inner["digest"], "mediaType": made.MANIFEST}]}), "")
    kept = set(layout.blobs)
    layout.blob(b"garbage", "")
    typed = {**bundle, "mediaType": media_type}
    if media_type is None:
        del typed["mediaType"]
    folder = write(layout.members(under(typed, "b:1")), tmp_path / "l")
    end(prune(folder))
    assert {f"blobs/{name.replace(':', '/')}" for name in blobs(folder)} == kept


def test_a_blob_of_an_unknown_type_that_is_no_document_stays(tmp_path: Path) -> None:
    """As the specification's own example has it: `application/xml` in index.json."""
    layout = Layout()
    folder = write(layout.members(layout.blob(b"<xml/>", "application/xml")), tmp_path / "l")
    assert prune(folder).describe().deletes == ()


def test_other_files_are_never_touched(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    hexadecimal = "0" * 64
    (folder / hexadecimal).write_text("not in blobs")
    (folder / "blobs" / hexadecimal).write_text("not under an algorithm")
    (folder / "blobs" / "sha256" / "README").write_text("no digest")
    (folder / "blobs" / "sha256" / f"{hexadecimal}.tmp").write_text("no digest")
    (folder / "blobs" / "sha256" / ("1" * 64)).mkdir()
    (folder / "blobs" / "blake3").mkdir()
    (folder / "blobs" / "blake3" / hexadecimal).write_text("not known here")
    (folder / ".lock").write_text("somebody's")
    before = everything(folder)
    done = end(prune(folder))
    gone = {f"blobs/{name.replace(':', '/')}" for name in done.deleted}
    assert len(gone) == 1
    assert before.keys() - everything(folder).keys() == gone


def test_other_algorithms(tmp_path: Path) -> None:
    layout = Layout()
    folder = write(layout.members(under(layout.image(image("a")), "a:1")), tmp_path / "l")
    (folder / "blobs" / "sha512").mkdir()
    for content in (b"kept", b"garbage"):
        (folder / "blobs" / "sha512" / hashlib.sha512(content).hexdigest()).write_bytes(content)
    top = index(folder)
    kept = f"sha512:{hashlib.sha512(b'kept').hexdigest()}"
    top["manifests"].append({"mediaType": "text/plain", "digest": kept, "size": 4})
    (folder / "index.json").write_bytes(document(top))
    assert end(prune(folder)).deleted == (f"sha512:{hashlib.sha512(b'garbage').hexdigest()}",)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link that stands for a blob goes itself, its target never, and no byte is counted for it."""
    folder = simple(tmp_path / "l")
    end(prune(folder))
    precious = tmp_path / "precious"
    precious.write_bytes(b"x" * 1000)
    (folder / "blobs" / "sha256" / ("2" * 64)).symlink_to(precious)
    (folder / "blobs" / "sha256" / ("3" * 64)).symlink_to("nowhere")
    plan = prune(folder).describe()
    assert (plan.frees, len(plan.deletes)) == (0, 2)
    assert end(prune(folder)).freed == 0
    assert precious.read_bytes() == b"x" * 1000
    assert {f"sha256:{number * 64}" for number in "23"}.isdisjoint(blobs(folder))


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_a_folder_of_blobs_that_is_a_link(name: str, tmp_path: Path) -> None:
    """Other layouts may use what is there: names go, blobs do not."""
    folder = simple(tmp_path / "l")
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to(folder / "elsewhere")
    before = blobs(folder)
    plan = prune(folder).describe()
    assert plan.deletes == ()
    assert plan.keeps == (f"blobs in {name} stay: it is a link to another folder",)
    end(prune(folder))
    done = end(remove(folder, "app:1"))
    assert (done.freed, done.untagged) == (0, ("app:1",))
    assert blobs(folder) == before


def test_a_folder_of_blobs_that_leads_out_of_the_layout(tmp_path: Path) -> None:
    """What is not in the folder is not read; and nothing outside it ever goes, not by force."""
    folder = simple(tmp_path / "l")
    (folder / "blobs").rename(tmp_path / "elsewhere")
    (folder / "blobs").symlink_to(tmp_path / "elsewhere")
    before = everything(tmp_path / "elsewhere")
    assert prune(folder).describe().blocked
    assert end(prune(folder, force=True)).deleted == ()
    assert everything(tmp_path / "elsewhere") == before


def test_hard_links_free_nothing(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    (garbage,) = prune(folder).describe().deletes
    os.link(path_of(folder, garbage), tmp_path / "link")
    plan = prune(folder).describe()
    assert (plan.deletes, plan.frees) == ((garbage,), 0)
    assert "hard links" in plan.keeps[0]
    assert end(prune(folder)).freed == 0
    assert (tmp_path / "link").read_bytes() == b"garbage" * 100


def test_two_hard_links_of_one_file_count_once(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    (garbage,) = prune(folder).describe().deletes
    os.link(path_of(folder, garbage), path_of(folder, "sha256:" + "4" * 64))
    plan = prune(folder).describe()
    assert (len(plan.deletes), plan.frees) == (2, 700)
    assert end(prune(folder)).freed == 700


# -- damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 100, b'{"layers": []}'])
def test_damaged_documents_forbid_collecting(content: bytes, tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    path_of(folder, digest_of(folder, "app:2")).write_bytes(content)
    before = everything(folder)
    for action in (prune(folder), prune(folder, force=True), remove(folder, "app:1")):
        with pytest.raises(FormatError, match=r"Nothing in .* may be deleted") as caught:
            action.describe()
        assert str(caught.value).endswith("remove the image that it belongs to.")
        with pytest.raises(FormatError, match=r"Nothing in .* may be deleted"):
            end(action)
    assert everything(folder) == before
    # the way out that the sentence tells: what the damaged image had is garbage then
    end(remove(folder, "app:2"))
    end(prune(folder))
    assert [name for name, _ in listed(folder)] == ["base:1", "app:1"]
    assert len(blobs(folder)) == 6


def test_a_document_that_cannot_be_read(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    path = path_of(folder, digest_of(folder, "app:2"))
    path.write_bytes(b"{" + b" " * (5 << 20) + b"}")
    with pytest.raises(FormatError, match="may be deleted"):
        prune(folder).describe()


def test_documents_that_are_not_there_block_unless_forced(tmp_path: Path) -> None:
    """As in an index of which only one platform was copied."""
    layout = Layout()
    there, absent = layout.image(image("a")), layout.image(image("b"))
    kept = Layout()
    kept.blobs = {
        name: data for name, data in layout.blobs.items() if not name.endswith(absent["digest"][7:])
    }
    folder = write(kept.members(under(kept.index(there, absent), "a:1")), tmp_path / "l")
    before = everything(folder)
    plan = prune(folder).describe()
    assert [(item.id, item.forceable) for item in plan.blocked_by] == [(absent["digest"], True)]
    with pytest.raises(LayoutError, match="is not in the folder"):
        end(prune(folder))
    assert everything(folder) == before
    assert len(end(prune(folder, force=True)).deleted) == 2  # config and layer of the absent one
    assert there["digest"] in blobs(folder)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("index.json", b"{", "is not valid JSON"),
        ("index.json", b"[]", "is no JSON object"),
        ("index.json", b'{"manifests": {}}', "that is no list"),
        ("oci-layout", b'{"imageLayoutVersion": "2.0.0"}', "of a version that imgscope does not know"),
        ("oci-layout", b"{", "is not valid JSON"),
        ("oci-layout", None, "has no readable file oci-layout"),
        ("index.json", None, "cannot be used: No such file"),
        ("manifest.json", b"[]", "an archive of docker save"),
    ],
)
def test_no_layout_to_change(name: str, content: bytes | None, sentence: str, tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    before = everything(folder)
    with pytest.raises(FormatError, match=sentence):
        end(prune(folder))
    assert everything(folder) == before


@pytest.mark.parametrize("name", ["index.json", "oci-layout"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(FormatError, match=r"no regular file|no readable file"):
        prune(folder).describe()


def test_a_blob_that_is_a_pipe(tmp_path: Path) -> None:
    layout = Layout()
    described = layout.blob(b"<xml/>", "application/xml")
    folder = write(layout.members(described), tmp_path / "l")
    path_of(folder, described["digest"]).unlink()
    os.mkfifo(path_of(folder, described["digest"]))
    assert prune(folder).describe().deletes == ()
    assert end(remove(folder, described["digest"])).deleted == ()
    assert path_of(folder, described["digest"]).exists()


def test_strange_descriptors_are_kept_as_they_are(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    top = index(folder)
    strange = [7, None, {"annotations": 3}, {"digest": "no digest"}, {"digest": 5}, {"x": {"y": 1.5}}]
    top["manifests"] += strange
    top["annotations"] = {"mine": "ü"}
    (folder / "index.json").write_text(json.dumps(top, indent=3) + "\n")
    end(tag(folder, "app:1", "x:1"))
    end(remove(folder, "app:1"))
    assert index(folder)["manifests"][2:-1] == strange
    assert index(folder)["annotations"] == {"mine": "ü"}
    text = (folder / "index.json").read_text()
    assert text.startswith('{\n   "')
    assert text.endswith("}\n")


def test_an_index_that_is_a_link(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    (folder / "index.json").rename(tmp_path / "index.json")
    (folder / "index.json").symlink_to(tmp_path / "index.json")
    with pytest.raises(FormatError, match="it is a link"):
        end(tag(folder, "app:1", "x:1"))


# -- the disk, others, cancelling -----------------------------------------------------------------------


def test_the_mode_of_index_json_stays(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    (folder / "index.json").chmod(0o640)
    end(tag(folder, "app:1", "x:1"))
    assert (folder / "index.json").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in folder.iterdir()} == {"blobs", "index.json", "oci-layout"}


@pytest.mark.parametrize("step", ["write", "fsync", "replace", "open"])
def test_a_full_disk_changes_nothing(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    real_open = os.open

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_open(path: str | Path, flags: int, *words: int, **more: int) -> int:
        return full() if flags & os.O_EXCL else real_open(path, flags, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full_open if step == "open" else full)
        for action in (tag(folder, "app:1", "x:1"), remove(folder, "app:1")):
            with pytest.raises(LayoutError, match="nothing was changed: No space left on device"):
                end(action)
        if step != "fsync":
            assert end(prune(simple(tmp_path / "m"))).freed  # making room needs no room
    assert everything(folder) == before


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    """The kernel's own refusal, in the middle of a write."""
    folder = simple(tmp_path / "l")
    before = everything(folder)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(LayoutError, match="nothing was changed: File too large"):
            end(remove(folder, "app:1"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert everything(folder) == before


def test_an_unconfirmed_rename_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = simple(tmp_path / "l")
    before = blobs(folder)

    def broken(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(store_module, "_sync", broken)
    with pytest.raises(LayoutError, match="the disk does not confirm it"):
        end(remove(folder, "app:1"))
    assert blobs(folder) == before


def test_a_blob_that_cannot_be_deleted_spares_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = simple(tmp_path / "l")
    plan = remove(folder, "app:1").describe()
    real = LayoutStore.delete

    def fail(self: LayoutStore, digest: str) -> int:
        if digest == plan.deletes[0]:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return real(self, digest)

    with monkeypatch.context() as patch:
        patch.setattr(LayoutStore, "delete", fail)
        with pytest.raises(LayoutError, match=rf"1 files could not be \({plan.deletes[0]}: Operation not"):
            end(remove(folder, "app:1"))
    assert blobs(folder) & set(plan.deletes) == {plan.deletes[0]}
    assert plan.deletes[0] in end(prune(folder)).deleted


def test_cancelled_before_and_between(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    before = everything(folder)
    job = Job()
    job.cancel()
    for action in (tag(folder, "app:1", "x:1"), remove(folder, "app:1"), prune(folder)):
        with pytest.raises(CancelledError):
            list(action.execute(job))
    assert everything(folder) == before
    job = Job()
    events = remove(folder, "app:1", "app:2").execute(job)
    next(event for event in events if "deleted" in str(event))
    job.cancel()
    with pytest.raises(CancelledError):
        list(events)
    assert [name for name, _ in listed(folder)] == ["base:1"]
    end(prune(folder))
    assert len(blobs(folder)) == 3


def test_whoever_knows_no_lock_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """skopeo writes index.json between our reading and our writing: nothing of it is lost."""
    folder = simple(tmp_path / "l")
    top = index(folder)
    top["annotations"] = {"written": "meanwhile"}
    real = os.fsync

    def meanwhile(fd: int) -> None:
        (folder / "index.json").write_bytes(document(top))
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", meanwhile)
        with pytest.raises(LayoutError, match="changed meanwhile"):
            end(remove(folder, "app:1"))
    assert index(folder) == top
    assert {path.name for path in folder.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_what_is_listed_again_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that knows no lock writes index.json after ours: what it lists is not deleted."""
    folder = simple(tmp_path / "l")
    old, before = (folder / "index.json").read_bytes(), blobs(folder)
    real = LayoutStore.write

    def then_back(self: LayoutStore, was: store_module.Index, now: store_module.Index) -> None:
        real(self, was, now)
        (folder / "index.json").write_bytes(old)

    monkeypatch.setattr(LayoutStore, "write", then_back)
    assert end(remove(folder, "app:1")).freed == 0
    assert blobs(folder) == before


def test_a_second_one_is_refused_at_once(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    code = (
        "import sys; from pathlib import Path; from imgscope.actions.layout import LayoutStore\n"
        "with LayoutStore(Path(sys.argv[1])).locked(): print('locked', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        before = everything(folder)
        for action in (tag(folder, "app:1", "x:1"), remove(folder, "app:1"), prune(folder)):
            assert action.describe().title  # looking needs no lock
            with pytest.raises(LayoutError, match=r"Another process is changing .*; try again"):
                end(action)
        assert everything(folder) == before
        other.kill()
        other.wait()
    # the lock went with its process, though its file is still there
    assert (folder / store_module.LOCK).exists()
    assert end(prune(folder)).freed
    assert {path.name for path in folder.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    """Threads (the lock holds them apart, too) that each give a name and try until they may."""
    folder = simple(tmp_path / "l")
    errors: list[BaseException] = []

    def give(name: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                end(tag(folder, "app:1", name))
                return
            except LayoutError:
                continue
            except BaseException as error:
                errors.append(error)
                raise
        errors.append(TimeoutError(name))

    threads = [threading.Thread(target=give, args=(f"x:{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {name for name, _ in listed(folder)} == {"base:1", "app:1", "app:2", *(f"x:{n}" for n in range(8))}


def test_a_folder_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = simple(tmp_path / "l")
    real = os.open

    def read_only(path: str | Path, flags: int, *words: int, **more: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        for action in (tag(folder, "app:1", "x:1"), remove(folder, "app:1"), prune(folder)):
            assert action.describe().title
            with pytest.raises(LayoutError, match="cannot be changed: Read-only file system"):
                end(action)


def test_errors_are_one_sentence(tmp_path: Path) -> None:
    folder = simple(tmp_path / "l")
    with pytest.raises(ImgscopeError) as caught:
        remove(folder, "nope").describe()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
