"""Extraction: what is taken, under which name, with which metadata, and what is said about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgscope.analysis import Analysis
from imgscope.errors import CancelledError, ImgscopeError, NotFoundError, UsageError
from imgscope.extraction import place
from imgscope.extraction.report import Why
from imgscope.job import Job
from imgscope.sources.archive import ArchiveSource
from tests.support.extracting import Between, done, extract, image, tree
from tests.support.stacks import Member, file, folder, hardlink, opaque, symlink, whiteout

LAYERS = [
    [
        folder("etc", mode=0o750),
        file("etc/passwd", "root", mode=0o640, mtime=1_234_567_890),
        file("etc/shadow", "secret", mode=0o600),
        hardlink("etc/copy", "etc/passwd"),
        file("opt/tool", "tool", mode=0o755),
        symlink("etc/link", "passwd"),
        symlink("etc/abs", "/opt/tool"),
    ],
    [file("etc/passwd", "other"), whiteout("etc/shadow"), file("new", "new")],
]
Made = tuple[ArchiveSource, Analysis]


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    with image(tmp_path / "image.tar", *LAYERS) as found:
        yield found


def test_the_whole_image_goes_right_into_the_folder(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "to"
    action = extract(*made, to)
    assert done(action).result == str(to)
    assert tree(to) == {
        "etc": "d",
        "etc/passwd": "other",
        "etc/copy": "root",
        "etc/link": "→ passwd",
        "etc/abs": "→ ../opt/tool",
        "opt": "d",
        "opt/tool": "tool",
        "new": "new",
    }
    report = action.report
    assert (report.files, report.folders, report.symlinks, report.hardlinks, report.size) == (4, 2, 2, 0, 16)
    assert {why: note.paths for why, note in report.notes.items()} == {Why.REWRITTEN: [b"etc/abs"]}


def test_a_folder_goes_under_its_name_and_a_file_too(made: Made, tmp_path: Path) -> None:
    done(extract(*made, tmp_path / "a", b"/opt"))
    assert tree(tmp_path / "a") == {"opt": "d", "opt/tool": "tool"}
    done(extract(*made, tmp_path / "b", b"opt/tool"))
    assert tree(tmp_path / "b") == {"tool": "tool"}


def test_one_layer_gives_what_it_stores(made: Made, tmp_path: Path) -> None:
    done(extract(*made, tmp_path / "two", b"/", 2))
    assert tree(tmp_path / "two") == {"etc": "d", "etc/passwd": "other", "new": "new"}
    done(extract(*made, tmp_path / "one", b"/etc", 1))
    assert tree(tmp_path / "one") == {
        "etc": "d",
        "etc/passwd": "root",
        "etc/copy": "root",
        "etc/shadow": "secret",
        "etc/link": "→ passwd",
    }
    one = tmp_path / "one/etc"
    assert (one / "passwd").stat().st_ino == (one / "copy").stat().st_ino


def test_the_merge_up_to_a_layer(made: Made, tmp_path: Path) -> None:
    done(extract(*made, tmp_path / "to", b"/etc/shadow", 1, merged=True))
    assert tree(tmp_path / "to") == {"shadow": "secret"}


def test_of_what_a_layer_removes_it_is_the_copy_below(made: Made, tmp_path: Path) -> None:
    action = extract(*made, tmp_path / "to", b"/etc/shadow", 2)
    assert "as of layer 1" in action.describe().title
    done(action)
    assert tree(tmp_path / "to") == {"shadow": "secret"}


def test_what_the_layer_removes_is_told(made: Made, tmp_path: Path) -> None:
    lines = extract(*made, tmp_path / "to", b"/etc", 2).describe().lines
    assert any(line.startswith("1 that the layer removes") for line in lines)


def test_metadata(made: Made, tmp_path: Path) -> None:
    done(extract(*made, tmp_path, b"/etc", 1))
    told = (tmp_path / "etc/passwd").stat()
    assert stat.S_IMODE(told.st_mode) == 0o640
    assert told.st_mtime == 1_234_567_890
    assert told.st_uid == os.geteuid()
    etc = (tmp_path / "etc").stat()
    assert (stat.S_IMODE(etc.st_mode), etc.st_mtime) == (0o750, 10**9)
    assert (tmp_path / "etc/link").lstat().st_mtime == 10**9


def test_a_directory_that_nobody_may_write_in_is_filled_all_the_same(tmp_path: Path) -> None:
    layer = [folder("d", mode=0o500), folder("d/e", mode=0), file("d/e/f", "f", mode=0), file("d/g", "g")]
    with image(tmp_path / "image.tar", layer) as found:
        done(extract(*found, tmp_path / "to"))
    to = tmp_path / "to"
    try:
        assert stat.S_IMODE((to / "d").stat().st_mode) == 0o500
        assert stat.S_IMODE((to / "d/e").stat().st_mode) == 0
        assert (to / "d").stat().st_mtime == 10**9
    finally:
        for path in (to / "d", to / "d/e", to / "d/e/f"):
            path.chmod(0o700)
    assert tree(to) == {"d": "d", "d/e": "d", "d/e/f": "f", "d/g": "g"}


def test_permissions_go_through_the_umask(tmp_path: Path) -> None:
    os.umask(0o027)
    with image(tmp_path / "image.tar", [folder("d", mode=0o777), file("d/f", mode=0o666)]) as found:
        done(extract(*found, tmp_path / "to"))
    assert stat.S_IMODE((tmp_path / "to/d").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "to/d/f").stat().st_mode) == 0o640


def test_set_id_bits_only_where_asked(tmp_path: Path) -> None:
    layer = [
        folder("d", mode=0o3777),
        file("d/su", "su", mode=0o4755),
        hardlink("d/also", "d/su"),
        file("d/sg", "sg", mode=0o2555),
    ]
    with image(tmp_path / "image.tar", layer) as found:
        action = extract(*found, tmp_path / "plain")
        done(action)
        assert action.report.notes[Why.BITS].paths == [b"d", b"d/su", b"d/sg"]
        done(extract(*found, tmp_path / "kept", bits=True))

    def modes(to: Path) -> list[int]:
        return [stat.S_IMODE((to / name).stat().st_mode) for name in ("d", "d/su", "d/also", "d/sg")]

    assert modes(tmp_path / "plain") == [0o755, 0o755, 0o755, 0o555]
    assert modes(tmp_path / "kept") == [0o3755, 0o4755, 0o4755, 0o2555]


def test_attributes_are_left_and_told(tmp_path: Path) -> None:
    member = Member("ping", content=b"x", mode=0o755, xattrs=(("security.capability", "\1\0\0\2"),))
    with image(tmp_path / "image.tar", [member]) as found:
        action = extract(*found, tmp_path / "to")
        done(action)
    assert action.report.notes[Why.XATTRS].count == 1
    assert "security.capability" not in os.listxattr(tmp_path / "to/ping")


def test_hardlinks_live_within_what_is_extracted(tmp_path: Path) -> None:
    """The name that stores the content is gone, or is not among what is taken."""
    layers = [
        [file("a/one", "1"), hardlink("b/two", "a/one"), hardlink("b/three", "a/one")],
        [whiteout("a/one")],
    ]
    with image(tmp_path / "image.tar", *layers) as found:
        action = extract(*found, tmp_path / "to", b"b")
        done(action)
    two, three = (tmp_path / "to/b" / name for name in ("two", "three"))
    assert two.read_text() == three.read_text() == "1"
    assert two.stat().st_ino == three.stat().st_ino
    assert two.stat().st_nlink == 2
    assert (action.report.files, action.report.hardlinks, action.report.size) == (1, 1, 1)


def test_where_no_hardlink_can_be_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    layer = [file("one", b"1" * 9 + bytes(99_999), mode=0o4640), hardlink("two", "one"), symlink("l", "one")]
    monkeypatch.setattr(os, "link", refuse)
    with image(tmp_path / "image.tar", layer) as found:
        action = extract(*found, tmp_path / "to", bits=True)
        done(action)
        one, two = (tmp_path / "to" / name for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes() == b"1" * 9 + bytes(99_999)
        assert one.stat().st_ino != two.stat().st_ino
        assert (one.stat().st_mode, one.stat().st_mtime) == (two.stat().st_mode, two.stat().st_mtime)
        assert (action.report.files, action.report.hardlinks) == (2, 0)
        assert sorted(os.listdir(tmp_path / "to")) == ["l", "one", "two"]
        with pytest.raises(UsageError, match="there already"):
            done(extract(*found, tmp_path / "to"))


def test_sparse_and_empty_space_takes_no_room(tmp_path: Path) -> None:
    with image(tmp_path / "image.tar", [file("zeros", b"x" + bytes(4 << 20) + b"y")]) as found:
        done(extract(*found, tmp_path / "to"))
    told = (tmp_path / "to/zeros").stat()
    assert told.st_size == 2 + (4 << 20)
    assert told.st_blocks * 512 < 1 << 20
    assert (tmp_path / "to/zeros").read_bytes() == b"x" + bytes(4 << 20) + b"y"


def test_a_symlink_alone_is_what_it_leads_to(made: Made, tmp_path: Path) -> None:
    action = extract(*made, tmp_path / "to", b"/etc/abs")
    assert any("what it leads to is taken, /opt/tool" in line for line in action.describe().lines)
    done(action)
    assert tree(tmp_path / "to") == {"abs": "tool"}


# -- what is there already ----------------------------------------------------------------------------


def test_nothing_is_replaced_unasked(made: Made, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("mine")
    (tmp_path / "etc/other").write_text("mine too")
    action = extract(*made, tmp_path, b"etc")
    plan = action.describe()
    assert [item.forceable for item in plan.blocked_by] == [True]
    assert "1 in" in plan.blocked_by[0].what
    assert "/etc/passwd" in plan.blocked_by[0].what
    with pytest.raises(UsageError, match=r"Nothing was written: 1 in .* is there already: /etc/passwd"):
        done(action)
    assert tree(tmp_path / "etc") == {"passwd": "mine", "other": "mine too"}


def test_asked_for_files_are_replaced_and_directories_filled_up(made: Made, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir(mode=0o700)
    (tmp_path / "etc/passwd").write_text("mine")
    (tmp_path / "etc/other").write_text("mine too")
    (tmp_path / "etc/copy").symlink_to("other")
    action = extract(*made, tmp_path, b"etc", overwrite=True)
    plan = action.describe()
    assert plan.destructive
    assert not plan.blocked
    assert any(line.startswith("2 there already are replaced: /etc/passwd") for line in plan.lines)
    done(action)
    found = tree(tmp_path / "etc")
    assert (found["passwd"], found["copy"], found["other"]) == ("other", "root", "mine too")
    assert stat.S_IMODE((tmp_path / "etc").stat().st_mode) == 0o700
    assert action.report.replaced == 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_directories_are_never_replaced_and_nothing_becomes_one(
    made: Made, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "opt").write_text("a file")
    before = tree(tmp_path)
    action = extract(*made, tmp_path, overwrite=overwrite)
    blocker, *_ = action.describe().blocked_by
    assert not blocker.forceable
    assert "2 in" in blocker.what
    with pytest.raises(UsageError, match="Nothing was written"):
        done(action)
    assert tree(tmp_path) == before


def test_the_folder_is_made_where_only_its_last_part_is_missing(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "made"
    action = extract(*made, to, b"new")
    assert f"the folder {to} is made" in action.describe().lines
    assert not to.exists()
    done(action)
    assert tree(to) == {"new": "new"}
    deep = tmp_path / "no/such"
    for act in (lambda: extract(*made, deep).describe(), lambda: done(extract(*made, deep))):
        with pytest.raises(NotFoundError, match=r"There is no folder .*/no to make"):
            act()
    with pytest.raises(UsageError, match="is no folder"):
        extract(*made, to / "new").describe()


def test_the_command_does_the_same(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "a b"
    assert extract(*made, to).describe().command == f"imgscope extract test / --to '{to}'"
    flags = extract(*made, to, b"etc", 1, merged=True, overwrite=True, bits=True)
    words = f"imgscope extract test /etc --to '{to}' --layer 1 --merged --overwrite --setuid"
    assert flags.describe().command == words


# -- what is not there ----------------------------------------------------------------------------------


def test_absent_paths_say_where_they_are(made: Made, tmp_path: Path) -> None:
    for path, layer, merged, words in (
        (b"etc/shadow", None, True, "/etc/shadow was removed in layer 2; --layer 1 reads the copy"),
        (b"new", 1, False, "/new comes with layer 2 only; --layer 2 reads it"),
        (b"nothing", None, True, "There is no /nothing in test:latest"),
        (b"opt", 2, False, "Layer 2 stores nothing in /opt"),
        (b"opt/tool", 2, False, "Layer 2 does not store /opt/tool; layer 1 of the image did"),
    ):
        with pytest.raises(NotFoundError, match=words):
            extract(*made, tmp_path, path, layer, merged=merged).describe()
    with pytest.raises(UsageError, match="There is no layer 3 in test:latest; it has layers 1 to 2"):
        extract(*made, tmp_path, b"", 3)


def test_an_opaque_directory_gives_what_it_hid(tmp_path: Path) -> None:
    layers = [[file("d/old", "old")], [opaque("d"), file("d/new", "new")]]
    with image(tmp_path / "image.tar", *layers) as found:
        done(extract(*found, tmp_path / "to", b"d/old", 2))
        done(extract(*found, tmp_path / "to", b"d", 2))
    assert tree(tmp_path / "to") == {"old": "old", "d": "d", "d/new": "new"}


# -- the end before the end -----------------------------------------------------------------------------

MANY = [file(f"d/{number}", f"{number}" * 1000) for number in range(20)]


def test_cancelling_leaves_whole_files_only(tmp_path: Path) -> None:
    job = Job()

    def step(path: bytes, when: str) -> None:
        if path == b"d/7" and when == "before":
            job.cancel()

    with image(tmp_path / "image.tar", MANY) as (source, analysis):
        action = extract(Between(source, step), analysis, tmp_path / "to")
        with pytest.raises(CancelledError, match=r"Cancelled: 7 files, 1 folder, 7 kB were written to .*to"):
            done(action, job)
    found = tree(tmp_path / "to")
    assert found == {"d": "d", **{f"d/{number}": f"{number}" * 1000 for number in range(7)}}


def test_whoever_stops_listening_stops_it(tmp_path: Path) -> None:
    with image(tmp_path / "image.tar", MANY) as found:
        events = extract(*found, tmp_path / "to").execute(Job())
        next(events)
        events.close()  # type: ignore[attr-defined]
    assert not [path for path in tree(tmp_path / "to") if ".imgscope" in path]


def test_a_full_disk_says_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(fd: int, data: bytes | memoryview) -> int:
        if bytes(data[:1]) == b"5":
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    with image(tmp_path / "image.tar", MANY) as found, pytest.raises(ImgscopeError) as error:
        done(extract(*found, tmp_path / "to"))
    told = "Stopped, since no space left on device: 5 files, 1 folder, 5 kB were written to"
    assert str(error.value).startswith(told)
    assert len(tree(tmp_path / "to")) == 6


def test_bytes_that_are_not_to_be_had_say_what_was_written(tmp_path: Path) -> None:
    def step(path: bytes, when: str) -> None:
        if path == b"d/3" and when == "before":
            raise ImgscopeError("The layer is gone.")

    told = r"^The layer is gone; 3 files, 1 folder, 3 kB were written to"
    with image(tmp_path / "image.tar", MANY) as (source, analysis), pytest.raises(ImgscopeError, match=told):
        done(extract(Between(source, step), analysis, tmp_path / "to"))
    assert sorted(tree(tmp_path / "to")) == ["d", "d/0", "d/1", "d/2"]


def test_a_name_that_the_disk_cannot_hold_is_left_out(tmp_path: Path) -> None:
    long = "n" * 300
    layer = [
        file(f"{long}/inside", "1"),
        file(long + "2", "2"),
        file("fine", "3"),
        hardlink("also", f"{long}2"),
    ]
    deep = "/".join(["d" * 200] * 25)
    with image(tmp_path / "image.tar", [*layer, file(f"{deep}/f", "4")]) as found:
        action = extract(*found, tmp_path / "to")
        done(action)
    kept = {path: text for path, text in tree(tmp_path / "to").items() if not path.startswith("ddd")}
    assert kept == {"fine": "3", "also": "2"}
    left = action.report.notes[Why.NAME].paths
    assert {os.fsdecode(path) for path in left} >= {long, f"{long}/inside", f"{long}2"}
    assert len(left) == 4


@pytest.mark.parametrize("overwrite", [False, True])
def test_where_names_have_no_case_the_first_stays(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = place.split
    monkeypatch.setattr(place, "split", lambda path: split(path.lower()))
    layer = [file("A", "1"), file("a", "2"), hardlink("B", "a"), file("D/x", "3"), file("d/y", "4")]
    layer += [symlink("S", "A"), file("s", "5"), file("E", "6"), folder("e")]
    with image(tmp_path / "image.tar", layer) as found:
        (tmp_path / "to").mkdir()
        (tmp_path / "to/b").write_text("mine")
        if not overwrite:
            (tmp_path / "to/b").unlink()
        action = extract(*found, tmp_path / "to", overwrite=overwrite)
        done(action)
    found_tree = tree(tmp_path / "to")
    assert found_tree | {"b": ""} == {"a": "1", "b": "", "d": "d", "d/x": "3", "d/y": "4", "s": "5", "e": "d"}
    assert set(action.report.notes[Why.THERE].paths) >= {b"a", b"S", b"E"}


def test_progress_is_in_bytes(made: Made, tmp_path: Path) -> None:
    from imgscope.actions.plan import Done, Transfer

    *moved, last = extract(*made, tmp_path / "to").execute(Job())
    assert isinstance(last, Done)
    assert moved
    assert all(isinstance(event, Transfer) and event.total == 16 for event in moved)
    assert isinstance(moved[-1], Transfer)
    assert moved[-1].done == 16
