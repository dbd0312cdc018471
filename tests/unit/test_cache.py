"""Layer indexes on disk: what is put comes back the same, what is damaged never, and what is old goes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import stat
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.analysis import analyze, cache_for
from imgscope.images.documents import Document
from imgscope.images.model import History, Image, Layer, Platform
from imgscope.job import Job
from imgscope.layers import cache as module
from imgscope.layers.cache import IndexCache
from imgscope.layers.index import Kind, LayerIndex, Problem
from imgscope.layers.overlay import Overlay
from imgscope.report import analysis_json
from imgscope.sources.demo import DemoSource
from tests.support.stacks import Member, file, folder, layer_index, stacks, whiteout

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 4096
LIMIT = 100 * BLOCK
HEAD, SUM = 10, 16  # bytes before the frame


def name(number: int) -> str:
    return f"{number:064x}"


def diff_id(number: int) -> str:
    return f"sha256:{name(number)}"


def state(index: LayerIndex) -> dict[str, Any]:
    """Everything that an index is."""
    left_out = ("__weakref__", "_dir_numbers")  # what only adding needs
    return {slot: getattr(index, slot) for slot in LayerIndex.__slots__ if slot not in left_out}


def some_index(text: str = "a") -> LayerIndex:
    return layer_index([folder("d"), file(f"d/{text}", text), whiteout("d/w"), file("d/b", b"b")])


def keep(folder: Path, number: int, index: LayerIndex | None = None) -> LayerIndex:
    index = index or some_index(str(number))
    index.diff_id = None
    IndexCache(folder, LIMIT).put(diff_id(number), index)
    return index


def found(folder: Path, number: int) -> LayerIndex | None:
    """What another process would find."""
    return IndexCache(folder, LIMIT).get(diff_id(number))


def path(folder: Path, number: int) -> Path:
    return folder / "layers" / name(number)


def there(folder: Path) -> set[str]:
    return {item.name for item in (folder / "layers").iterdir()}


# -- what is put comes back ---------------------------------------------------------------------------


@given(stacks())
def test_what_is_put_comes_back_the_same(stack: list[list[Member]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        indexes = [layer_index(members) for members in stack]
        for number, index in enumerate(indexes):
            assert not index.problems
            IndexCache(Path(root), LIMIT).put(diff_id(number), index)
        for number, index in enumerate(indexes):
            again = found(Path(root), number)
            assert again is not None
            assert again is not index
            assert state(again) == state(index)
            assert list(again) == list(index)


def test_every_field_comes_back(tmp_path: Path) -> None:
    """Names of all bytes but zero and slash; an empty layer is one, too."""
    index = LayerIndex()
    odd = bytes(range(1, ord("/"))) + bytes(range(ord("0"), 256))
    index.add(b"", Kind.DIRECTORY)
    index.add(odd, Kind.DIRECTORY, mtime=-1.5)
    index.add(odd + b"/" + odd, Kind.FILE, 5, 0o4755, 1 << 62, -1, 2.0**60, 1 << 40)
    index.add(b"..a/...", Kind.SYMLINK)
    index.add(b"c", Kind.CHAR_DEVICE)
    index.add(b"o", Kind.OPAQUE)
    index.add(b"w", Kind.WHITEOUT)
    index.links[3] = b"/../\0" + odd
    index.devices[4] = (1 << 40, 3)
    index.xattrs[2] = ((b"security.capability", b"\0\1"), (b"user.x", b""))
    index.sparse[2] = [(0, 1), (1 << 41, 4)]
    index.opaques, index.whiteouts = [5], [6]
    index.digests[2] = hashlib.sha256(b"x").digest()
    index.checksums = array("Q", [0, 1, 2, 3, 4, 5, (1 << 64) - 1])
    index.tar_size = 1 << 42
    index.digest, index.diff_id, index.compressed_size = "sha256:ff", diff_id(1), 7
    default = state(LayerIndex())
    same = {slot for slot, value in state(index).items() if value == default[slot]}
    assert same == {"problems", "skipped"}  # never in a cache
    for number, put in ((1, index), (2, LayerIndex())):
        IndexCache(tmp_path, LIMIT).put(diff_id(number), put)
        again = found(tmp_path, number)
        assert again is not None
        assert state(again) == state(put)


def test_an_index_in_use_is_shared(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    cache = IndexCache(tmp_path, LIMIT)
    first = cache.get(diff_id(1))
    assert first is not None
    assert cache.get(diff_id(1)) is first
    put = some_index()
    put.diff_id = diff_id(2)
    cache.put(diff_id(2), put)
    assert cache.get(diff_id(2)) is put
    # one that nobody uses any more is let go
    del first
    path(tmp_path, 1).unlink()
    assert cache.get(diff_id(1)) is None


@pytest.mark.parametrize("what", ["problem", "skipped", "other content"])
def test_what_may_be_wrong_is_not_kept(tmp_path: Path, what: str) -> None:
    index = some_index()
    index.diff_id = None
    if what == "problem":
        index.problems.append(Problem("cut"))
    elif what == "skipped":
        index.skipped = 1
    else:
        index.diff_id = diff_id(2)
    cache = IndexCache(tmp_path, LIMIT)
    cache.put(diff_id(1), index)
    assert cache.get(diff_id(1)) is None
    assert cache.usage().layers == 0


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "x",
        "sha256:",
        f"sha256:../{name(1)}",
        f"sha512:{name(1) * 2}",
        diff_id(1) + "\n",
        "sha256:" + "F" * 64,
    ],
)
def test_what_is_no_diff_id_is_not_kept(tmp_path: Path, odd: str) -> None:
    cache = IndexCache(tmp_path, LIMIT)
    index = some_index()
    index.diff_id = None
    cache.put(odd, index)
    assert cache.get(odd) is None
    assert not list(tmp_path.iterdir())


# -- what is damaged does not -------------------------------------------------------------------------


def test_every_cut_is_found(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    whole = path(tmp_path, 1).read_bytes()
    for length in range(len(whole)):
        path(tmp_path, 1).write_bytes(whole[:length])
        assert found(tmp_path, 1) is None, length
        assert not path(tmp_path, 1).exists()
    path(tmp_path, 1).write_bytes(whole)
    assert found(tmp_path, 1) is not None


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    whole = path(tmp_path, 1).read_bytes()
    for position in range(len(whole)):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[position] ^= change
            path(tmp_path, 1).write_bytes(damaged)
            assert found(tmp_path, 1) is None, position
            assert not path(tmp_path, 1).exists()


def test_more_than_was_written_is_found(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    with path(tmp_path, 1).open("ab") as appended:
        appended.write(b"\0")
    assert found(tmp_path, 1) is None


def test_a_file_under_another_name_is_found(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    path(tmp_path, 1).rename(path(tmp_path, 2))
    assert found(tmp_path, 2) is None
    assert there(tmp_path) == set()


def test_another_version_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, 1)
    head = path(tmp_path, 1).read_bytes()[:HEAD]
    assert head[8] == module.VERSION
    monkeypatch.setattr(module, "_HEAD", head[:8] + bytes([module.VERSION + 1]) + head[9:])
    assert found(tmp_path, 1) is None
    assert there(tmp_path) == set()
    keep(tmp_path, 1)
    assert found(tmp_path, 1) is not None


FIELDS = [
    *("diff_id", "digest", "compressed_size", "tar_size", "dirs", "names", "kinds", "columns", "checksums"),
    *("whiteouts", "opaques", "hashed", "digests", "links", "devices", "xattrs", "sparse"),
]
COLUMNS = ["parents", "sizes", "modes", "uids", "gids", "mtimes", "offsets"]


def unpacked(where: Path) -> bytes:
    return zstd.decompress(where.read_bytes()[HEAD + SUM :])


def forge(where: Path, body: bytes) -> None:
    """Write a file whose checksum is right, whatever it says: by the documented format."""
    frame = zstd.compress(body)
    hasher = hashlib.blake2b(where.name.encode() + frame, digest_size=SUM)
    where.write_bytes(where.read_bytes()[:HEAD] + hasher.digest() + frame)


def numbers(*values: int) -> bytes:
    return array("I", values).tobytes()


def column(which: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, Any]], None]:
    def changed(fields: dict[str, Any]) -> None:
        position = COLUMNS.index(which)
        fields["columns"][position] = change(fields["columns"][position])

    return changed


def setting(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.update(values)


# of an index with the directories "" and "d", and the entries d, d/a, (whiteout) d/w, d/b
FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "another layer": setting(diff_id=diff_id(2)),
    "no text": setting(diff_id=7),
    "negative size of the tar": setting(tar_size=-1),
    "negative size of the blob": setting(compressed_size=-1),
    "a field less": lambda fields: fields.pop("sparse"),
    "a field more": setting(more=1),
    "a name less": setting(names=b"d\0a\0w\0"),
    "a name more": setting(names=b"d\0a\0w\0b\0c\0"),
    "a name that does not end": setting(names=b"d\0a\0w\0b"),
    "a name of two parts": setting(names=b"d\0a/b\0w\0b\0"),
    "a name that leads up": setting(names=b"d\0..\0w\0b\0"),
    "a first name that leads up": setting(names=b"..\0a\0w\0b\0"),
    "a last name that leads nowhere": setting(names=b"d\0a\0w\0.\0"),
    "an empty name": setting(names=b"d\0\0w\0b\0"),
    "a directory less": setting(dirs=b"\0"),
    "a directory that leads up": setting(dirs=b"\0..\0"),
    "a directory that leads up later": setting(dirs=b"\0d/../e\0"),
    "a directory that leads up last": setting(dirs=b"\0d/..\0"),
    "a directory from the root": setting(dirs=b"\0/d\0"),
    "a first directory from the root": setting(dirs=b"/\0d\0"),
    "a directory with an empty part": setting(dirs=b"\0d//e\0"),
    "a directory with a closing slash": setting(dirs=b"\0d/\0"),
    "a directory that does not end": setting(dirs=b"\0d"),
    "an unknown kind": setting(kinds=b"\x01\x00\x07\x0a"),
    "a kind less": setting(kinds=b"\x01\x00\x07"),
    "a kind more": setting(kinds=b"\x01\x00\x07\x00\x00"),
    "a column less": lambda fields: fields["columns"].pop(),
    "a column more": lambda fields: fields["columns"].append(b""),
    **{f"{which} cut": column(which, lambda data: data[:-1]) for which in COLUMNS},
    **{f"{which} empty": column(which, lambda data: b"") for which in COLUMNS},
    "a parent that is not there": column("parents", lambda data: numbers(0, 1, 2, 1)),
    "a negative size": column("sizes", lambda data: array("q", (0, 1, 0, -1)).tobytes()),
    "an offset before the tar": column("offsets", lambda data: array("q", (-1, 1, -1, -2)).tobytes()),
    "checksums of some": setting(checksums=bytes(8 * 3)),
    "a whiteout that is not there": setting(whiteouts=numbers(4)),
    "whiteouts cut": setting(whiteouts=numbers(2)[:3]),
    "an opaque directory that is not there": setting(opaques=numbers(4)),
    "a digest less": setting(hashed=numbers(1, 3), digests=bytes(32)),
    "a digest cut": setting(hashed=numbers(1), digests=bytes(31)),
    "a digest of what is not there": setting(hashed=numbers(4), digests=bytes(32)),
    "a link that is not there": setting(links={4: b"x"}),
    "a link of a negative entry": setting(links={-1: b"x"}),
    "a link that is text": setting(links={1: "x"}),
    "a device that is not there": setting(devices={4: (1, 1)}),
    "a device of one number": setting(devices={1: (1,)}),
    "xattrs that are not there": setting(xattrs={4: ((b"x", b""),)}),
    "pieces that are not there": setting(sparse={4: [(0, 1)]}),
    "pieces of negative length": setting(sparse={1: [(0, -1)]}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_no_reader_writes_is_dropped(tmp_path: Path, forgery: str) -> None:
    keep(tmp_path, 1)
    fields = dict(zip(FIELDS, msgspec.msgpack.decode(unpacked(path(tmp_path, 1))), strict=True))
    forge(path(tmp_path, 1), msgspec.msgpack.encode(list(fields.values())))
    assert found(tmp_path, 1) is not None  # so far it is what was kept
    FORGERIES[forgery](fields)
    forge(path(tmp_path, 1), msgspec.msgpack.encode(list(fields.values())))
    assert found(tmp_path, 1) is None
    assert not path(tmp_path, 1).exists()


@given(st.data())
def test_a_forged_file_harms_nobody(data: st.DataObject) -> None:
    """Whatever stands in a file, it is dropped, or an index that can be walked and merged."""
    with tempfile.TemporaryDirectory() as root:
        keep(Path(root), 1, layer_index(data.draw(stacks(1))[0]))
        body = bytearray(unpacked(path(Path(root), 1)))
        for position in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
            body[position] = data.draw(st.integers(0, 255))
        forge(path(Path(root), 1), bytes(body))
        index = found(Path(root), 1)
        assert (index is None) is not path(Path(root), 1).exists()
        if index is not None:
            assert len(list(index)) == len(index)
            overlay = Overlay()
            overlay.add(index)
            overlay.settle()


@pytest.mark.parametrize("body", [b"", b"x", b"\xc0", b"\x90", bytes(100)])
def test_a_body_that_is_no_index_is_dropped(tmp_path: Path, body: bytes) -> None:
    keep(tmp_path, 1)
    forge(path(tmp_path, 1), body)
    assert found(tmp_path, 1) is None
    assert not path(tmp_path, 1).exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, 1)
    body = unpacked(path(tmp_path, 1))
    monkeypatch.setattr(module, "BODY_LIMIT", len(body) - 1)
    assert found(tmp_path, 1) is None
    keep(tmp_path, 1)
    monkeypatch.setattr(module, "BODY_LIMIT", len(body))
    assert found(tmp_path, 1) is not None


def test_a_file_with_two_frames_is_dropped(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    where = path(tmp_path, 1)
    frames = where.read_bytes()[HEAD + SUM :] + zstd.compress(b"more")
    hasher = hashlib.blake2b(where.name.encode() + frames, digest_size=SUM)
    where.write_bytes(where.read_bytes()[:HEAD] + hasher.digest() + frames)
    assert found(tmp_path, 1) is None


# -- what is old goes ---------------------------------------------------------------------------------


def aged(folder: Path, number: int, age: int) -> None:
    os.utime(path(folder, number), (1e9 - age, 1e9 - age))


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        keep(tmp_path, number)
        aged(tmp_path, number, -number)
    cache = IndexCache(tmp_path, 4 * BLOCK)
    assert cache.get(diff_id(1)) is not None
    cache.put(diff_id(5), keep(tmp_path / "other", 5))
    # to nine tenths of the limit, so that the next one does not need it again
    assert there(tmp_path) == {name(1), name(4), name(5)}
    cache.put(diff_id(6), keep(tmp_path / "other", 6))
    assert there(tmp_path) == {name(1), name(4), name(5), name(6)}


def test_one_in_use_counts_as_used(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    cache = IndexCache(tmp_path, LIMIT)
    index = cache.get(diff_id(1))
    aged(tmp_path, 1, 0)
    assert cache.get(diff_id(1)) is index
    assert path(tmp_path, 1).stat().st_mtime > 1e9


def test_what_is_larger_than_the_limit_leaves_the_others_alone(tmp_path: Path) -> None:
    index = LayerIndex()
    for number in range(1000):
        index.add(hashlib.sha256(str(number).encode()).hexdigest().encode(), Kind.FILE)
    keep(tmp_path, 1)
    IndexCache(tmp_path, 2 * BLOCK).put(diff_id(2), index)
    assert there(tmp_path) == {name(1)}
    IndexCache(tmp_path, 0).put(diff_id(2), some_index())
    assert there(tmp_path) == {name(1)}


def test_what_a_killed_writer_left_goes_with_the_rest(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    left = tmp_path / "layers" / "new-abc"
    left.write_bytes(bytes(BLOCK))
    os.utime(left, (1, 1))
    cache = IndexCache(tmp_path, 2 * BLOCK)
    cache.put(diff_id(2), keep(tmp_path / "other", 2))
    assert not left.exists()


def test_usage_and_clear(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path, LIMIT)
    assert (cache.usage().layers, cache.usage().size, cache.usage().oldest) == (0, 0, None)
    assert cache.clear().layers == 0
    for number in (1, 2, 3):
        keep(tmp_path, number)
        aged(tmp_path, number, number)
    foreign = tmp_path / "layers" / "README"
    foreign.write_text("mine")
    used = cache.usage()
    assert used == module.Usage(3, 3 * BLOCK, 1e9 - 3, 1e9 - 1)
    held = cache.get(diff_id(1))
    assert held is not None
    assert cache.clear().layers == 3
    assert cache.get(diff_id(1)) is None
    assert there(tmp_path) == {"README"}  # what we did not write is not ours to remove


WRITER = """
import random, sys
from pathlib import Path
from imgscope.layers.cache import IndexCache
from imgscope.layers.index import Kind, LayerIndex

def index(number):
    made = LayerIndex()
    for entry in range(50 + number):
        made.add(b"d%d/f%d" % (number, entry), Kind.FILE, entry)
    return made

random.seed(sys.argv[2])
hits = 0
for step in range(300):
    cache = IndexCache(Path(sys.argv[1]), 4 * 4096)
    number = random.randrange(6)
    found = cache.get(f"sha256:{number:064x}")
    if found is None:
        cache.put(f"sha256:{number:064x}", index(number))
    else:
        hits += 1
        assert list(found) == list(index(number))
    if step % 50 == 49:
        cache.clear()
assert hits
"""


def test_processes_do_not_break_each_other(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(seed)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for process in running:
        said = process.communicate()[1]
        assert (process.returncode, said) == (0, "")
    assert not [item for item in there(tmp_path) if item.startswith("new-")]


# -- whose it is --------------------------------------------------------------------------------------


def test_nobody_else_may_look(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    keep(cache, 1)
    modes = [stat.S_IMODE(where.stat().st_mode) for where in (cache, cache / "layers", path(cache, 1))]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("where", ["", "layers"])
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, where: str, mode: int) -> None:
    keep(tmp_path, 1)
    (tmp_path / where).chmod(mode)
    cache = IndexCache(tmp_path, LIMIT)
    assert cache.refused == f"others may write to {tmp_path / where}"
    assert cache.get(diff_id(1)) is None
    keep(tmp_path, 2)
    assert cache.clear().layers == 0
    assert there(tmp_path) == {name(1)}
    (tmp_path / where).chmod(0o755)
    assert IndexCache(tmp_path, LIMIT).refused is None
    assert cache.get(diff_id(1)) is not None


def test_another_users_folder_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, 1)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    cache = IndexCache(tmp_path, LIMIT)
    assert cache.refused == f"{tmp_path} belongs to another user"
    assert cache.get(diff_id(1)) is None
    keep(tmp_path, 2)
    assert there(tmp_path) == {name(1)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_makes_no_folder_in_a_persons_home(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    cache = tmp_path / ".cache" / "imgscope"
    assert IndexCache(cache, LIMIT).refused == f"{tmp_path} belongs to another user"
    keep(cache, 1)
    assert not list(tmp_path.iterdir())


def test_without_a_home_there_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keep(Path("~/.cache/imgscope"), 1)
    assert not list(tmp_path.iterdir())


def test_where_there_can_be_no_folder_there_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for where in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/imgscope/cache")):
        keep(where, 1)
        assert found(where, 1) is None
        assert IndexCache(where, LIMIT).usage().layers == 0


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """The limit on the size of files stands for the disk's end: the write fails half way."""
    large = LayerIndex()
    for number in range(5000):
        large.add(hashlib.sha256(str(number).encode()).hexdigest().encode(), Kind.FILE)
    keep(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        keep(tmp_path, 2, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert there(tmp_path) == {name(1)}
    keep(tmp_path, 2, large)
    assert there(tmp_path) == {name(1), name(2)}


# -- what an image's own documents tell ---------------------------------------------------------------

STEP = History("2024-01-01T00:00:00Z", "RUN x\udcff".encode("utf-8", "replace").decode(), "", False)
IMAGE = Image("sha256:i", layers=(Layer(1, diff_id(1), size=5, blob="here"), Layer(2, diff_id(2))))
TOLD = replace(
    IMAGE,
    layers=(
        replace(IMAGE.layers[0], digest="sha256:b", compressed_size=3, history=STEP),
        replace(IMAGE.layers[1], blob="there"),
    ),
    history=(STEP, replace(STEP, empty_layer=True, created=None)),
)


def test_what_documents_told_comes_back(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path, LIMIT)
    assert cache.detailed(IMAGE) == IMAGE
    cache.put_detail(TOLD)
    again = IndexCache(tmp_path, LIMIT).detailed(IMAGE)
    # where the data lies is the source's own business
    assert again == replace(TOLD, layers=(replace(TOLD.layers[0], blob="here"), IMAGE.layers[1]))
    other = replace(IMAGE, id="sha256:j")
    assert cache.detailed(other) == other
    assert cache.usage().layers == 0
    assert cache.usage().size == BLOCK
    cache.clear()
    assert cache.detailed(IMAGE) == IMAGE


@pytest.mark.parametrize(
    "body",
    [
        [[["sha256:b", 3, None]], []],
        [[["sha256:b", -3, None], [None, None, None]], []],
        [[[None, None, {"created": 1}], [None, None, None]], []],
        [[], []],
        {},
    ],
)
def test_damaged_details_are_dropped(tmp_path: Path, body: object) -> None:
    cache = IndexCache(tmp_path, LIMIT)
    cache.put_detail(TOLD)
    [where] = (tmp_path / "layers").iterdir()
    forge(where, msgspec.msgpack.encode(body))
    assert cache.detailed(IMAGE) == IMAGE
    assert not where.exists()


def test_texts_that_cannot_be_written_are_not_kept(tmp_path: Path) -> None:
    cache = IndexCache(tmp_path, LIMIT)
    cache.put_detail(replace(TOLD, history=(replace(STEP, created_by="\udcff"),)))
    assert cache.detailed(IMAGE) == IMAGE


# -- an analysis with it ------------------------------------------------------------------------------


class Engine:
    """A source of layers given by diff ID, which notes what it was asked for."""

    label = origin = "here"
    cheap = False

    def __init__(self, layers: Mapping[str, Sequence[Member]], *, vouches: bool = True) -> None:
        self.layers = layers
        self.vouches = vouches
        self.indexed: list[str] = []
        self.hashed: list[str] = []

    def image(self, *diff_ids: str) -> Image:
        return Image(
            f"sha256:{'-'.join(diff_ids)}",
            layers=tuple(Layer(number, one) for number, one in enumerate(diff_ids, 1)),
        )

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        for layer in reversed(image.layers):
            if only is None or layer.index in only:
                self.indexed.append(layer.diff_id)
                index = layer_index(self.layers[layer.diff_id])
                index.digests.clear()
                index.diff_id = None
                yield layer.index, index

    def detail(self, image: Image) -> Image:
        if not self.indexed:
            return image
        return replace(image, history=(STEP,))

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        members = {member.name: member.content for member in self.layers[image.layers[layer - 1].diff_id]}
        for entry in entries:
            self.hashed.append(index.path(entry).decode())
            yield entry, [members[index.path(entry).decode()]]

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        yield [self.find(None)]

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        return self.image(*self.layers)

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        return ()

    def hint(self, job: Job) -> str:
        return ""

    def close(self) -> None: ...


BASE, APP, TOP = diff_id(1), diff_id(2), diff_id(3)
LAYERS = {
    BASE: [folder("d"), file("d/a", "one"), file("b", "xx")],
    APP: [file("d/a", "one", mode=0o600), file("b", "yy")],
    TOP: [whiteout("d")],
}


def test_what_is_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    first, second = Engine(LAYERS), Engine(LAYERS)
    cache = IndexCache(tmp_path, LIMIT)
    before = analyze(first, first.image(BASE, APP, TOP), cache=cache)
    assert first.indexed == [TOP, APP, BASE]
    assert sorted(first.hashed) == ["b", "b", "d/a", "d/a"]
    del cache
    heard: list[int] = []
    image = second.image(BASE, APP, TOP)
    after = analyze(
        second, image, on_layer=lambda number, index: heard.append(number), cache=IndexCache(tmp_path, LIMIT)
    )
    assert (second.indexed, second.hashed) == ([], [])
    assert heard == [1, 2, 3]
    assert analysis_json(after, "", "") == analysis_json(before, "", "")
    assert analysis_json(before, "", "")["dead"] == 3 + 2 + 3
    assert after.image.history == before.image.history == (STEP,)


def test_a_shared_base_is_indexed_once(tmp_path: Path) -> None:
    source = Engine(LAYERS)
    cache = IndexCache(tmp_path, LIMIT)
    first = analyze(source, source.image(BASE, APP), cache=cache)
    second = analyze(source, source.image(BASE, TOP), cache=cache)
    assert sorted(source.indexed) == [BASE, APP, TOP]
    assert first.overlay.layers[0] is second.overlay.layers[0]  # and kept in memory once
    # a layer may stand in an image twice
    twice = analyze(source, source.image(BASE, TOP, BASE), cache=cache)
    assert sorted(source.indexed) == [BASE, APP, TOP]
    assert len(twice.overlay.layers) == 3


def test_a_source_that_does_not_vouch_gets_no_cache(tmp_path: Path) -> None:
    """An archive may claim any diff ID."""
    liar, engine = Engine({BASE: [file("lie", "x")]}, vouches=False), Engine(LAYERS)
    cache = IndexCache(tmp_path, LIMIT)
    analyze(liar, liar.image(BASE), cache=cache)
    assert cache.usage().layers == 0
    told = analyze(engine, engine.image(BASE), cache=cache)
    assert told.overlay.find(b"d/a") > 0
    seen = analyze(liar, liar.image(BASE), cache=cache)
    assert seen.overlay.find(b"lie") > 0


def test_damage_is_not_kept(tmp_path: Path) -> None:
    class Cut(Engine):
        def index(
            self, image: Image, job: Job, only: Collection[int] | None = None
        ) -> Iterator[tuple[int, LayerIndex]]:
            for number, index in super().index(image, job, only):
                if number == 2:
                    index.problems.append(Problem("cut"))
                yield number, index

    cut, whole = Cut(LAYERS), Engine(LAYERS)
    assert len(analyze(cut, cut.image(BASE, APP), cache=IndexCache(tmp_path, LIMIT)).problems) == 1
    assert analyze(whole, whole.image(BASE, APP), cache=IndexCache(tmp_path, LIMIT)).problems == ()
    assert whole.indexed == [APP]


@pytest.mark.parametrize("how", ["option", "environment", "settings"])
def test_it_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("IMGSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(tmp_path / "config.toml"))
    cache = cache_for(Engine(LAYERS))
    assert cache is not None
    assert (cache.folder, cache.limit) == (tmp_path / "cache", 500_000_000)
    assert cache_for(Engine(LAYERS)) is cache
    assert cache_for(Engine(LAYERS, vouches=False)) is None
    with contextlib.closing(DemoSource()) as demo:
        assert cache_for(demo) is None
    if how == "environment":
        monkeypatch.setenv("IMGSCOPE_NO_CACHE", "1")
    elif how == "settings":
        (tmp_path / "config.toml").write_text("cache = false\n")
    assert cache_for(Engine(LAYERS), off=how == "option") is None


def test_the_limit_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "config.toml").write_text("cache-limit = 1_000_000\n")
    cache = cache_for(Engine(LAYERS))
    assert cache is not None
    assert cache.limit == 1_000_000
    if sys.platform == "linux":
        assert cache.folder == tmp_path / "xdg" / "imgscope"
