"""Images that try to write, link or lead out of the folder: a victim beside it stays as it is, to the bit."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.analysis import analyze
from imgscope.errors import CancelledError, ImgscopeError, NotFoundError
from imgscope.extraction import place
from imgscope.extraction.report import Why
from imgscope.job import Job
from imgscope.sources.archive import ArchiveSource
from tests.support import archives
from tests.support.beneath import BENEATH, IN_ROOT, has_openat2, lead
from tests.support.extracting import Between, done, extract, image, snapshot, tree
from tests.support.stacks import (
    Inode,
    Member,
    char_device,
    fifo,
    file,
    folder,
    hardlink,
    is_directory,
    replay,
    sound_stacks,
    stacks,
    symlink,
    whiteout,
)

SECRET = "the victim's own"


class Victim:
    """A folder with secrets, and beside it the folder that is extracted to."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.folder = scratch / "victim"
        (self.folder / "sub").mkdir(parents=True)
        for name in ("secret", "sub/file", "passwd"):
            (self.folder / name).write_text(SECRET)
            (self.folder / name).chmod(0o600)
            os.utime(self.folder / name, (1, 1))
        self.to = scratch / "to"
        self.to.mkdir()
        self.before = self._all()

    def _all(self) -> object:
        """All that is not in the folder, the folders' own times too."""
        return snapshot(self.scratch, leave=b"to")

    def check(self) -> None:
        """Nothing beside the folder changed, nothing of it was read into, and no symlink leads out."""
        assert self._all() == self.before
        root = os.path.realpath(self.to)
        for path in snapshot(self.to):
            there = os.path.join(os.fsencode(root), path)
            if os.path.islink(there):
                end = os.path.realpath(there)
                assert end == os.fsencode(root) or end.startswith(os.fsencode(root) + b"/"), (path, end)
            elif os.path.isfile(there):
                told = os.lstat(there)
                assert SECRET.encode() not in Path(os.fsdecode(there)).read_bytes()
                assert not told.st_mode & 0o7000
                assert told.st_uid == os.geteuid()
            else:
                assert os.path.isdir(there)


@pytest.fixture
def victim(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return Victim(tmp_path_factory.mktemp("machine"))


UP = "../" * 9
ATTACKS = {
    "names with dots": [file("../victim/secret", "x"), file("a/../../victim/new", "x"), file("./../x", "x")],
    "absolute names": [file("/{victim}/secret", "x"), folder("/{victim}/sub", mode=0o777)],
    "names of nothing": [file("/", "x"), file(".", "x"), folder(".."), file("a//b", "x")],
    "through an absolute symlink": [symlink("a", "{victim}"), file("a/passwd", "x")],
    "through a relative symlink": [symlink("a", "../victim"), file("a/passwd", "x"), folder("a/sub")],
    "through two symlinks": [symlink("a", "."), symlink("a/b", ".."), file("a/b/victim/secret", "x")],
    "through a chain": [symlink("a", "b"), symlink("b", "c/.."), symlink("c", ".."), file("a/victim/secret")],
    "a symlink, then a file": [symlink("f", "{victim}/secret"), file("f", "x")],
    "a symlink, then a folder": [symlink("d", "{victim}/sub"), folder("d", mode=0o777), file("d/file", "x")],
    "a folder, then a symlink": [folder("d"), file("d/file", "x"), symlink("d", "{victim}/sub")],
    "hardlinks out": [
        hardlink("one", "../victim/secret"),
        hardlink("two", "{victim}/secret"),
        symlink("l", "../victim"),
        hardlink("three", "l/secret"),
        hardlink("four", "l"),
        file("four", "x"),
    ],
    "a hardlink to a symlink, then written": [
        symlink("l", "{victim}/secret"),
        hardlink("h", "l"),
        hardlink("h2", "h"),
    ],
    "devices": [char_device("null", 1, 3), fifo("p"), Member("sda", tarfile.BLKTYPE, device=(8, 0))],
    "set-id": [file("su", "x", mode=0o6777), folder("d", mode=0o7777)],
    "control characters": [
        file("a\nb", "x"),
        file("\x1b]0;t\x07", "x"),
        file("-rf", "x"),
        symlink("l\n", "\x1b[31m"),
        file("\u202egnp", "x"),
    ],
    "symlinks out": [
        *(
            symlink(f"l{number}", target)
            for number, target in enumerate(
                ("..", "../victim", UP + "etc/passwd", "/", "{victim}", "/etc/passwd", "a/../..", "", "l7")
            )
        ),
        folder("a"),
        symlink("a/up", ".."),
        symlink("a/up2", "../.."),
        symlink("out", "a/up/a/up/../victim"),
        symlink("out2", "a/up2/victim"),
    ],
}


def members(attack: str, victim: Victim) -> list[Member]:
    def told(text: str) -> str:
        return text.replace("{victim}", str(victim.folder))

    return [
        Member(told(one.name), one.type, one.content, told(one.link), one.mode, device=one.device)
        for one in ATTACKS[attack]
    ]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(attack: str, overwrite: bool, victim: Victim, tmp_path: Path) -> None:
    with image(tmp_path / "image.tar", members(attack, victim), [file("last", "x")]) as found:
        for path, layer in ((b"", None), (b"", 1)):
            with suppress(ImgscopeError):
                action = extract(*found, victim.to, path, layer, overwrite=overwrite or layer is not None)
                action.describe()
                done(action)
            victim.check()
        assert (victim.to / "last").read_text() == "x"


def test_every_path_by_itself(victim: Victim, tmp_path: Path) -> None:
    everything = [one for attack in ATTACKS for one in members(attack, victim)]
    with image(tmp_path / "image.tar", everything) as found:
        overlay = found[1].overlay
        tried = 0
        for node in range(len(overlay)):
            if overlay.at(node) >= 0:
                tried += 1
                with suppress(NotFoundError):
                    done(extract(*found, victim.to, overlay.path(node), overwrite=True))
                victim.check()
        assert tried > 30


def test_what_is_made_harmless_is_told(victim: Victim, tmp_path: Path) -> None:
    everything = [*members("symlinks out", victim), *members("devices", victim), *members("set-id", victim)]
    with image(tmp_path / "image.tar", everything) as found:
        action = extract(*found, victim.to, b"")
        lines = action.describe().lines
        text = done(action).text
    notes = action.report.notes
    assert set(notes[Why.SPECIAL].paths) == {b"null", b"p", b"sda"}
    assert set(notes[Why.BITS].paths) == {b"su", b"d"}
    assert {b"l0", b"l1", b"l2", b"l3", b"l4", b"l5", b"l6", b"a/up2", b"out", b"out2"} == set(
        notes[Why.REWRITTEN].paths
    )
    assert set(notes[Why.OUT].paths) == {b"l7"}  # it has no target
    for note in notes.values():
        assert str(note) in text
        assert any(str(note) in line for line in lines)
    # in the image's own root they lead where they do in the image
    assert tree(victim.to)["l0"] == "→ ."
    assert tree(victim.to)["l1"] == "→ victim"


# -- what is in the folder already ----------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_persons_own_symlinks_are_not_followed(overwrite: bool, victim: Victim, tmp_path: Path) -> None:
    (victim.to / "d").symlink_to("../victim")
    (victim.to / "deep").mkdir()
    (victim.to / "deep/d").symlink_to(victim.folder / "sub")
    layer = [file("d/secret", "x"), file("deep/d/file", "x"), file("fine", "x")]
    with image(tmp_path / "image.tar", layer) as found:
        action = extract(*found, victim.to, overwrite=overwrite)
        blockers = action.describe().blocked_by
        assert [item.forceable for item in blockers] == [False]
        assert "/d, /deep/d" in blockers[0].what
        with pytest.raises(ImgscopeError, match="Nothing was written"):
            done(action)
    assert os.readlink(victim.to / "d") == "../victim"
    assert not (victim.to / "fine").exists()
    assert snapshot(victim.scratch, leave=b"to") == victim.before


def test_a_link_in_the_place_of_a_file_goes_and_not_what_it_leads_to(victim: Victim, tmp_path: Path) -> None:
    (victim.to / "f").symlink_to("../victim/secret")
    os.link(victim.folder / "passwd", victim.to / "g")
    before = snapshot(victim.scratch, leave=b"to")
    with image(tmp_path / "image.tar", [file("f", "x"), file("g", "y"), symlink("h", "f")]) as found:
        with pytest.raises(ImgscopeError, match=r"2 in .* are there already: /f, /g"):
            done(extract(*found, victim.to))
        done(extract(*found, victim.to, overwrite=True))
    assert tree(victim.to) == {"f": "x", "g": "y", "h": "→ f"}
    assert (victim.folder / "secret").read_text() == (victim.folder / "passwd").read_text() == SECRET
    after = snapshot(victim.scratch, leave=b"to")
    assert after.keys() == before.keys()
    assert after[b"victim/secret"] == before[b"victim/secret"]


def test_an_images_symlink_never_leads_through_a_persons_own(victim: Victim, tmp_path: Path) -> None:
    (victim.to / "mine").symlink_to("../victim")
    (victim.to / "dev").symlink_to("../victim")
    layer = [symlink("l", "mine/secret"), fifo("dev"), symlink("m", "dev/secret"), symlink("n", "not/there")]
    with image(tmp_path / "image.tar", layer) as found:
        action = extract(*found, victim.to)
        done(action)
    assert set(action.report.notes[Why.OUT].paths) == {b"l", b"m"}
    assert sorted(os.listdir(victim.to)) == ["dev", "mine", "n"]


def test_the_folder_itself_may_be_reached_by_a_symlink(victim: Victim, tmp_path: Path) -> None:
    """The person picked it."""
    (tmp_path / "way").symlink_to(victim.to)
    with image(tmp_path / "image.tar", [file("f", "x")]) as found:
        done(extract(*found, tmp_path / "way"))
    assert tree(victim.to) == {"f": "x"}


# -- somebody else writes there, too ----------------------------------------------------------------------

RACED = [
    *(
        made
        for number in range(6)
        for made in (file(f"d/e/{number}", f"{number}" * 100), file(f"x{number}/y", "elsewhere"))
    ),
    hardlink("d/e/h", "d/e/0"),
]


@pytest.mark.parametrize("kept", [1, 64])
@pytest.mark.parametrize("what", ["d", "d/e"])
def test_a_directory_that_becomes_a_symlink(
    what: str, kept: int, victim: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its descriptor is still open, so that it is written in where it is, or is opened again."""
    (victim.folder / "e").mkdir()
    before = snapshot(victim.scratch, leave=b"to")
    swapped: list[bytes] = []

    def step(path: bytes, moment: str) -> None:
        if path == b"d/e/2" and not swapped:
            swapped.append(path)
            os.rename(victim.to / what, victim.to / "aside")
            (victim.to / what).symlink_to(victim.folder)

    monkeypatch.setattr(place, "_OPEN", kept)
    with image(tmp_path / "image.tar", RACED) as (source, analysis):
        action = extract(Between(source, step), analysis, victim.to)
        if kept == 1:
            with pytest.raises(ImgscopeError, match="something else was put where a directory was: 6 files"):
                done(action)
        else:
            done(action)
    assert swapped
    assert snapshot(victim.scratch, leave=b"to") == before


def test_a_name_that_appears_meanwhile_is_not_replaced(victim: Victim, tmp_path: Path) -> None:
    def step(path: bytes, moment: str) -> None:
        if path == b"d/e/2":
            (victim.to / "d/e/2").symlink_to("../../../victim/secret")
            (victim.to / "d/e/3").write_text("mine")

    with image(tmp_path / "image.tar", RACED) as (source, analysis):
        action = extract(Between(source, step), analysis, victim.to)
        done(action)
    assert action.report.notes[Why.THERE].paths == [b"d/e/2", b"d/e/3"]
    assert (victim.to / "d/e/3").read_text() == "mine"
    assert snapshot(victim.scratch, leave=b"to") == victim.before


def test_a_written_file_that_is_swapped_gets_no_other_name(
    victim: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardlink would make the victim's file one of the image's, a copy would read it."""
    link = os.link
    done_once: list[int] = []

    def swapping(source: bytes, name: bytes, **where: int) -> None:
        if source == b"0" and not done_once:
            done_once.append(1)
            os.unlink(victim.to / "d/e/0")
            (victim.to / "d/e/0").symlink_to(victim.folder / "secret")
        link(source, name, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", swapping)
    with image(tmp_path / "image.tar", RACED) as found, pytest.raises(ImgscopeError, match="another one now"):
        done(extract(*found, victim.to))
    assert done_once
    assert "d/e/h" not in tree(victim.to)
    assert snapshot(victim.scratch, leave=b"to") == victim.before


# -- bombs ----------------------------------------------------------------------------------------------


def test_a_sparse_file_larger_than_any_disk_is_left_out(tmp_path: Path) -> None:
    size = (1 << 62) + 5
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("bomb")
        info.size = 3
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.name": "bomb",
            "GNU.sparse.size": str(size),
            "GNU.sparse.map": f"{size - 3},3",
        }
        tar.addfile(info, io.BytesIO(b"end"))
        info = tarfile.TarInfo("bomb2")
        info.type, info.linkname = tarfile.LNKTYPE, "bomb"
        tar.addfile(info)
        info = tarfile.TarInfo("fine")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"fine"))
    made = archives.Made((archives.plain(buffer.getvalue()),))
    source = ArchiveSource(archives.write(tmp_path / "image.tar", archives.docker_save_new(made)))
    analysis = analyze(source, source.find(None))
    assert analysis.overlay.file_size(analysis.overlay.at(analysis.overlay.find(b"bomb"))) == size
    action = extract(source, analysis, tmp_path / "to")
    done(action)
    source.close()
    assert tree(tmp_path / "to") == {"fine": "fine"}
    assert action.report.notes[Why.SIZE].paths == [b"bomb", b"bomb2"]


def test_symlinks_that_multiply_end(tmp_path: Path) -> None:
    layer = [symlink(f"l{number}", "/".join([f"l{number + 1}"] * 20)) for number in range(60)]
    layer += [
        symlink("long", "x/" * 3000),
        symlink("self", "self"),
        symlink("ping", "pong"),
        symlink("pong", "ping"),
    ]
    with image(tmp_path / "image.tar", layer) as found:
        action = extract(*found, tmp_path / "to")
        done(action)
        with pytest.raises(NotFoundError, match="leads around in a circle"):
            done(extract(*found, tmp_path / "to", b"self"))
    assert {b"self", b"ping", b"pong", b"l0", b"long"} <= set(action.report.notes[Why.OUT].paths)


# -- at random --------------------------------------------------------------------------------------------

TARGETS = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "a",
        "b/c",
        "/a",
        "/a/b",
        "../a",
        "../..",
        "a/..",
        "b/../..",
        "../../victim",
        "c/./b",
        "/victim",
        "",
    ]
)
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
HOSTILE = st.lists(
    st.lists(
        st.one_of(
            st.builds(symlink, NAMES, TARGETS),
            st.builds(symlink, NAMES, TARGETS),
            st.builds(file, NAMES, st.sampled_from(["", "x", "yy"])),
            st.builds(folder, NAMES, mode=st.sampled_from([0o755, 0o500])),
            st.builds(hardlink, NAMES, NAMES),
            NAMES.map(whiteout),
            NAMES.map(fifo),
        ),
        min_size=1,
        max_size=10,
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def in_scratch() -> Iterator[Callable[[], Path]]:
    """Gives a new folder each time; all go at the end, and no symlink in them is followed for that."""
    around = [(path, os.stat(path).st_mode) for path in ("/", tempfile.gettempdir())]
    with tempfile.TemporaryDirectory() as scratch:
        yield lambda: Path(tempfile.mkdtemp(dir=scratch))
        for folder, folders, _ in os.walk(scratch):
            for path in (os.path.join(folder, name) for name in folders):
                if not os.path.islink(path):
                    os.chmod(path, 0o700)  # so that it can be removed
    assert [(path, os.stat(path).st_mode) for path, _ in around] == around


@given(HOSTILE)
@settings(max_examples=300, deadline=None)
def test_whatever_the_symlinks(in_scratch: Callable[[], Path], layers: list[list[Member]]) -> None:
    """All is extracted over each other: the merge, each layer, each directory by itself."""
    scratch = in_scratch()
    victim = Victim(scratch)
    with image(in_scratch() / "image.tar", *layers) as found:
        for path, layer in (
            (b"", None),
            (b"a", None),
            (b"b/c", None),
            *((b"", n + 1) for n in range(len(layers))),
        ):
            with suppress(ImgscopeError):
                done(extract(*found, victim.to, path, layer, overwrite=True))
            victim.check()


def on_disk(tree: dict[str, Inode], root: Path) -> None:
    """The tree as it is, symlinks as they are: for looking at only."""
    for path, inode in sorted(tree.items()):
        there = root / path
        if is_directory(inode):
            there.mkdir(exist_ok=True)
        elif inode.type == tarfile.SYMTYPE:
            if inode.link:
                there.symlink_to(inode.link)
        elif inode.type == tarfile.REGTYPE:
            there.write_bytes(inode.content)


@pytest.mark.skipif(not has_openat2(), reason="openat2(2) is Linux's, from 5.6 on")
@given(HOSTILE)
@settings(max_examples=300, deadline=None)
def test_symlinks_lead_where_they_do_in_the_image(
    in_scratch: Callable[[], Path], layers: list[list[Member]]
) -> None:
    """By the kernel: in the folder as in a chroot of the image, and never out of the folder."""
    expected = replay(layers).trees[-1]
    raw, to = in_scratch(), in_scratch()
    on_disk(expected, raw)
    with image(in_scratch() / "image.tar", *layers) as found:
        done(extract(*found, to))
    for path, inode in expected.items():
        if inode.type != tarfile.SYMTYPE:
            continue
        meant = lead(raw, path, IN_ROOT)
        if not os.path.islink(to / path):
            assert meant in (errno.ELOOP, errno.ENOENT)
        elif isinstance(meant, str):
            assert lead(to, path, BENEATH) == meant
        else:  # what is not there, or no directory, counts as one where a way is written anew
            assert lead(to, path, BENEATH) != errno.EXDEV


def to_look_into(layers: list[list[Member]]) -> list[list[Member]]:
    """With directories that also those who are not root can look into."""
    return [
        [replace(one, mode=one.mode | 0o700) if one.type == tarfile.DIRTYPE else one for one in layer]
        for layer in layers
    ]


def check_tree(expected: dict[str, Inode], to: Path) -> None:
    """What lies in a folder is a tree of the model, but for what is never made."""
    seen = {os.fsdecode(path) for path in snapshot(to)} - {""}
    made = (tarfile.DIRTYPE, tarfile.REGTYPE)
    links = {path for path in seen if os.path.islink(to / path)}
    assert {path for path, inode in expected.items() if path and inode.type in made} == seen - links
    assert links <= {path for path, inode in expected.items() if inode.type == tarfile.SYMTYPE}
    inodes: dict[int, set[str]] = {}
    disk: dict[int, set[str]] = {}
    for path in sorted(seen - links):
        inode, told = expected[path], (to / path).lstat()
        if inode.metadata is not None:
            assert stat.S_IMODE(told.st_mode) == inode.metadata[0] & 0o777
            assert told.st_mtime == inode.metadata[3]
        if inode.type == tarfile.REGTYPE:
            assert (to / path).read_bytes() == inode.content
            inodes.setdefault(id(inode), set()).add(path)
            disk.setdefault(told.st_ino, set()).add(path)
        else:
            assert stat.S_ISDIR(told.st_mode)
    assert sorted(map(sorted, inodes.values())) == sorted(map(sorted, disk.values()))


@given(st.one_of(stacks(), sound_stacks()).map(to_look_into))
@settings(max_examples=200, deadline=None)
def test_the_merged_tree_is_the_models(in_scratch: Callable[[], Path], layers: list[list[Member]]) -> None:
    umask = os.umask(0)
    try:
        to = in_scratch()
        with image(in_scratch() / "image.tar", *layers) as found:
            done(extract(*found, to))
        check_tree(replay(layers).trees[-1], to)
    finally:
        os.umask(umask)


@given(sound_stacks().map(to_look_into))
@settings(max_examples=100, deadline=None)
def test_a_layer_is_what_its_members_say(in_scratch: Callable[[], Path], layers: list[list[Member]]) -> None:
    for number, layer in enumerate(layers, 1):
        tree_then = replay(layers[:number]).trees[-1]
        stored = {one.name for one in layer if one.name in tree_then}
        wanted = {
            path
            for path in stored
            if tree_then[path].type
            not in (tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.SYMTYPE)
        }
        to = in_scratch()
        with image(in_scratch() / "image.tar", *layers) as found, suppress(NotFoundError):
            done(extract(*found, to, b"", number))
        files = {path for path, text in tree(to).items() if text != "d" and not text.startswith("→ ")}
        assert files == wanted
        for path in files:
            assert (to / path).read_bytes() == tree_then[path].content


def test_a_job_that_is_cancelled_before_it_begins(tmp_path: Path) -> None:
    job = Job()
    job.cancel()
    with image(tmp_path / "image.tar", [file("f", "x")]) as found, pytest.raises(CancelledError):
        done(extract(*found, tmp_path / "to"), job)
    assert not (tmp_path / "to").exists()
