"""What stands around a file's content: its versions and their fate, links, colours, how it is read."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.errors import CancelledError, DamagedError
from imgscope.job import Job
from imgscope.layers.overlay import Overlay
from imgscope.viewing import content as content_module
from imgscope.viewing import highlight as highlight_module
from imgscope.viewing.content import Content, Spool
from imgscope.viewing.document import Document, Search
from imgscope.viewing.highlight import highlight
from imgscope.viewing.preview import Encoding
from imgscope.viewing.versions import below, fate, newest, target, versions
from tests.support.stacks import Layer, file, folder, hardlink, merged, opaque, symlink, whiteout


def node(overlay: Overlay, path: str) -> int:
    found = overlay.find(path.encode())
    assert found >= 0, path
    return found


# -- versions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ([file("y")], ""),
        ([whiteout("d/x")], "removed in layer 2, still ships"),
        ([whiteout("d")], "removed in layer 2, still ships"),
        ([opaque("d")], "removed in layer 2, still ships"),
        ([file("d/x", "another")], "overwritten in layer 2; this copy still ships"),
        ([file("d/x", "same", mode=0o6)], "stored again in layer 2 for its metadata; this copy still ships"),
        ([file("d/x", "same")], "stored again in layer 2, unchanged; this copy still ships"),
        ([symlink("d/x", "y")], "overwritten in layer 2; this copy still ships"),
    ],
)
def test_the_fate_of_a_copy(later: Layer, words: str) -> None:
    overlay = merged([folder("d"), file("d/x", "same")], later)
    assert fate(overlay, overlay.at(node(overlay, "d/x"), 1)) == words


def test_the_fate_of_what_another_name_keeps() -> None:
    overlay = merged([file("x", "data"), hardlink("y", "x")], [whiteout("x")], [whiteout("y")])
    assert fate(overlay, overlay.at(node(overlay, "x"), 1)) == "removed in layer 2, still ships"
    overlay = merged([file("x", "data"), hardlink("y", "x")], [whiteout("x")])
    assert fate(overlay, overlay.at(node(overlay, "x"), 1)) == "removed in layer 2; another name keeps it"


def test_versions_are_one_a_layer() -> None:
    twice = [file("x", "1"), file("x", "22")]
    overlay = merged(twice, [file("y")], [whiteout("x")], [file("x", "333")], [file("x", "4444")])
    found = versions(overlay, node(overlay, "x"))
    assert [overlay.layer[version] for version in found] == [1, 3, 4, 5]
    assert overlay.file_size(found[0]) == 2
    assert [below(overlay, version) for version in found] == [-1, found[0], -1, found[2]]
    seen = [newest(overlay, node(overlay, "x"), layer) for layer in (1, 2, 3, 5)]
    assert seen == [found[0], found[0], found[1], found[3]]
    assert newest(overlay, node(overlay, "y"), 1) == -1


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("usr/lib/x", "usr/lib/x"),
        ("/usr/lib/x", "usr/lib/x"),
        ("./usr/../usr//lib/x", "usr/lib/x"),
        ("../../../usr/lib/x", "usr/lib/x"),
        ("lib/x", "usr/lib/x"),
        ("lib/../lib/x", "usr/lib/x"),
        ("lib", "usr/lib"),
        ("round/x", "usr/lib/x"),
        ("nowhere", ""),
        ("usr/lib/x/y", ""),
        ("loop", ""),
        ("loop/x", ""),
        ("gone", ""),
        ("usr", "usr"),
    ],
)
def test_where_a_link_leads(link: str, leads: str) -> None:
    base = [
        *(folder("usr"), folder("usr/lib"), file("usr/lib/x", "x"), file("gone", "x")),
        *(symlink("lib", "usr/lib"), symlink("round", "/lib/../lib"), symlink("loop", "other")),
        symlink("other", "loop"),
    ]
    overlay = merged(base, [symlink("link", link), whiteout("gone")])
    found = target(overlay, overlay.at(node(overlay, "link")), 2)
    assert (overlay.path(found).decode() if found >= 0 else "") == leads


def test_a_link_leads_to_what_the_layer_sees() -> None:
    overlay = merged([symlink("link", "x"), file("x", "x")], [whiteout("x")])
    version = overlay.at(node(overlay, "link"))
    assert target(overlay, version, 1) == node(overlay, "x")
    assert target(overlay, version, 2) == -1


# -- content ------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=10), st.lists(st.integers(0, 300), max_size=6))
def test_a_spool_gives_back_what_came(pieces: list[bytes], places: list[int]) -> None:
    spool, whole = Spool(), b"".join(pieces)
    for piece in pieces:
        spool.append(piece)
    for place in places:
        assert spool.read(place, 20) == whole[place : place + 20]
    assert spool.size == len(whole)


def test_a_spool_goes_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_module, "_IN_MEMORY", 100)
    spool = Spool()
    for number in range(100):
        spool.append(bytes((number,)) * 7)
    assert spool.read(0, 700) == b"".join(bytes((number,)) * 7 for number in range(100))
    spool.close()
    assert spool.read(0, 10) == b""


def test_bytes_are_taken_as_far_as_they_are_asked_for() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(10):
            taken.append(number)
            yield b"%d" % number * 10

    content = Content(chunks(), 100)
    content.pull(15)
    assert (content.raw.size, taken, content.ended) == (15, [0, 1], False)
    content.pull(20)
    assert (content.raw.read(0, 99), taken) == (b"0" * 10 + b"1" * 10, [0, 1])
    content.pull(1000)
    assert (content.raw.size, content.ended, content.problem) == (100, True, "")


def test_a_content_that_ends_early_or_late() -> None:
    short = Content(iter([b"abc"]), 10)
    short.pull(10)
    assert (short.raw.size, short.ended) == (3, True)
    assert short.problem == "It should have 10 B; only 3 B are there."
    nothing = Content(iter(()), 10)
    nothing.pull(10)
    assert nothing.problem == "It should have 10 B; nothing of it is there."
    long = Content(iter([b"abc", b"defghijkl"]), 5)
    long.pull(10)
    assert (long.raw.read(0, 99), long.problem) == (b"abcde", "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DamagedError("the gzip stream is damaged"), "the gzip stream is damaged"),
        (OSError(errno.ENOSPC, "No space left"), "The rest cannot be kept: No space left."),
    ],
)
def test_what_goes_wrong_ends_the_content(error: Exception, words: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        raise error

    content = Content(chunks(), 10)
    content.pull(10)
    assert (content.raw.read(0, 10), content.ended, content.problem) == (b"abc", True, words)


def test_what_is_closed_lets_go() -> None:
    ended = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"abc"
        finally:
            ended.append(True)

    content = Content(chunks(), 1000)
    content.pull(1)
    assert not ended
    content.close()
    assert ended == [True]
    with pytest.raises(CancelledError):
        content.pull(100)


# -- documents ----------------------------------------------------------------------------------------


def test_a_document_is_laid_out_where_one_looks_first() -> None:
    data = b"0123456789abcde\n" * 400_000
    document = Document(b"x", Content(iter([data]), len(data)))
    document.read(len(data))
    document.lay_out(16, pretty=False, around=2_000_000)
    assert document.rows is not None
    assert 3_000_000 <= document.rows.done < 3_200_000
    document.catch_up()
    assert len(document.rows) == 400_000


def test_what_is_no_text_can_be_taken_for_one() -> None:
    document = Document(b"x", Content.of(b"\0a\n\xff"))
    document.read(4)
    assert (document.utf8, document.preview.encoding) == (None, None)
    document.as_text()
    document.lay_out(80, pretty=False)
    assert document.preview.encoding == Encoding.LATIN1
    assert document.rows is not None
    assert [document.rows.text(document.rows[number]) for number in range(2)] == ["\0a", "ÿ"]


@given(
    st.lists(st.text("abAB\n", max_size=12), max_size=8),
    st.text("abA", min_size=1, max_size=4),
    st.integers(1, 30),
)
def test_a_search_finds_what_a_plain_one_does(parts: list[str], word: str, step: int) -> None:
    data = "".join(parts).encode()
    search = Search(word, Spool())
    for start in range(0, len(data), step):
        search.spool.append(data[start : start + step])
        search.extend()
    plain, needle = (data.lower(), word.lower().encode()) if word == word.lower() else (data, word.encode())
    places, at = [], plain.find(needle)
    while at >= 0:
        places.append(at)
        at = plain.find(needle, at + len(needle))
    assert list(search.starts) == places


# -- colours ------------------------------------------------------------------------------------------


def painted(name: str, text: bytes, alias: str = "") -> dict[str, str] | None:
    """Each stretch of a text and its style."""
    spans = highlight(name, text, Job(), alias)
    if spans is None:
        return None
    found, start = {}, 0
    for end, style in spans.within(0, len(text)):
        found[text[start:end].decode("utf-8", "replace").strip()] = style
        start = end
    assert start == len(text)
    return found


@pytest.mark.parametrize(
    ("name", "text", "word", "style"),
    [
        ("app.py", b"\n\ndef f():\n    pass", "def", "keyword"),
        ("tool", b"#!/usr/bin/env python3\nimport os\n", "import", "keyword"),
        ("tool", b"#!/bin/sh -e\nif true; then echo \xc3\xa9; fi\n", "if", "keyword"),
        ("x.json", b'{"a": 12}', "12", "number"),
        ("Dockerfile", b"FROM debian\n# note\n", "# note", "comment"),
        ("os-release", b"# note\nNAME=x\n", "# note", "comment"),
        ("page", b"<?xml version='1.0'?>\n<!-- note -->\n", "<!-- note -->", "comment"),
    ],
)
def test_colours(name: str, text: bytes, word: str, style: str) -> None:
    found = painted(name, text)
    assert found is not None
    assert found[word] == style


def test_what_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert painted("notes", b"plain text\n") is None
    assert painted("x.txt", b"plain text\n") is None
    assert painted("x.py", b"") is None
    assert painted("--help", b"x\n") is None
    assert painted("caf\udce9.py", b"\xff\xfe pass") is not None
    monkeypatch.setattr(highlight_module, "LIMIT", 10)
    assert painted("x.py", b"def f(): pass") is None


def test_a_text_that_takes_for_ever_is_left_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlight_module, "_SECONDS", 0.0)
    assert highlight("x.py", b"def f(): pass\n" * 10_000, Job()) is None
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        highlight("x.py", b"def f(): pass\n", job)
