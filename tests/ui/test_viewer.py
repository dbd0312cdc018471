"""A file from inside: what the viewer shows of it, and how much it reads for that."""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len

from imgscope.errors import DamagedError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.ui import loader
from imgscope.ui.screens.viewer import ViewerScreen
from imgscope.ui.widgets.hexview import HexView
from imgscope.ui.widgets.textview import TextView
from imgscope.viewing import content as content_module
from tests.support.stacks import Layer, char_device, fifo, file, folder, layer_tar, symlink, whiteout
from tests.ui.driver import FakeSource, Screen, drawn, index, screen, write_layout

MEGABYTE = 1_000_000
PYTHON = b'#!/usr/bin/python3\nimport os\n\n\ndef main(x: int) -> str:\n\treturn f"hello {x}"  # greet\n'


def layout(folder: Path, *layers: Layer) -> str:
    """An image of these layers, as a reference to open."""
    return f"oci:{write_layout(folder / 'image', [('img:1', {}, [layer_tar(layer) for layer in layers])])}"


async def open_file(it: Screen, path: str, layer: int = 1) -> ViewerScreen:
    """Open a file of a layer's changes by enter."""
    await it.layer(layer)
    it.files.focus()
    assert it.files.view is not None
    assert it.files.reveal(it.files.view.overlay.find(path.encode())), path
    await it.press("enter")
    return viewer(it)


def viewer(it: Screen) -> ViewerScreen:
    assert isinstance(it.app.screen, ViewerScreen), it.app.screen
    return it.app.screen


def shown(it: Screen) -> list[str]:
    """The rows of the file that are on the screen."""
    view = viewer(it).view
    return [line.rstrip() for line in drawn(view)[2:]]


def title(it: Screen) -> str:
    return " · ".join(viewer(it).view.title)


def status(it: Screen) -> str:
    return str(viewer(it).query_one("#viewer-status").render())


def fate(it: Screen) -> str:
    line = viewer(it).query_one("#viewer-fate")
    return str(line.render()) if line.display else ""


async def say(it: Screen, sign: str, text: str) -> None:
    """Answer what is asked in the line."""
    await it.press(sign)
    await it.press(*("space" if letter == " " else letter for letter in text), "enter")


class Measured(FakeSource):
    """One image with one file, which tells how much of it was asked for. `chunks` make its content."""

    def __init__(self, size: int, chunk: Callable[[int], bytes], name: str = "data/file") -> None:
        layer = LayerIndex()
        layer.add(name.encode(), 0, size, offset=512)
        layer.tar_size = size + 2048
        super().__init__({"img:1": [layer]}, cheap=True)
        self.size = size
        self.chunk = chunk
        self.given = 0
        self.ended = False

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        yield entries[0], self._chunks(job)

    def _chunks(self, job: Job) -> Iterator[bytes]:
        try:
            while self.given < self.size:
                job.check()
                chunk = self.chunk(self.given)[: self.size - self.given]
                self.given += len(chunk)
                yield chunk
        finally:
            self.ended = True


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeSource], None]:
    return lambda source: monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)


# -- text ---------------------------------------------------------------------------------------------


async def test_text_has_numbers_colours_and_a_title(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("app.py", PYTHON)]), (90, 24)) as it:
        await open_file(it, "app.py")
        assert shown(it)[:6] == [
            "   1 #!/usr/bin/python3",
            "   2 import os",
            "   3",
            "   4",
            "   5 def main(x: int) -> str:",
            '   6 →   return f"hello {x}"  # greet',
        ]
        assert title(it) == f"file · /app.py · layer 1 · {len(PYTHON)} B · UTF-8"
        assert viewer(it).view.summary == "script for /usr/bin/python3"
        view = viewer(it).view
        pieces = {text.strip(): style for number in range(6) for text, style in view.row(number, 80)}
        assert pieces["def"] == "syntax-keyword"
        assert pieces["# greet"] == "syntax-comment"
        assert pieces["main"] == "syntax-name"
        await it.press("escape")
        assert it.app.screen is it.main


async def test_directories_fold_and_files_open(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [folder("d"), file("d/x", "hello\n")])) as it:
        it.files.focus()
        assert it.files.row_count == 2
        await it.press("enter")
        assert it.files.row_count == 1
        assert it.app.screen is it.main
        await it.press("enter", "down", "enter")
        assert shown(it)[0].split() == ["1", "hello"]


async def test_a_double_click_opens(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "hello\n")])) as it:
        await it.pilot.click(it.files, offset=(4, 2), times=2)
        await it.settle()
        assert shown(it)[0].split() == ["1", "hello"]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("größe\n".encode(), "UTF-8"),
        ("größe\n".encode("utf-16"), "UTF-16-LE"),
        ("\ufeffgröße\n".encode("utf-16-be"), "UTF-16-BE"),
        ("größe\n".encode("latin-1"), "Latin-1"),
    ],
)
async def test_encodings(tmp_path: Path, data: bytes, encoding: str) -> None:
    async with screen(layout(tmp_path, [file("x", data)])) as it:
        await open_file(it, "x")
        assert shown(it)[0].split() == ["1", "größe"]
        assert title(it).endswith(encoding)


async def test_an_empty_file(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x"), file("y", "z")])) as it:
        await open_file(it, "x")
        assert "this file is empty" in drawn(viewer(it).view)[2]
        await it.press("x", "w", "slash", "n", "G", "escape")
        assert it.app.screen is it.main


async def test_long_lines_go_to_the_side_or_are_wrapped(tmp_path: Path) -> None:
    line = "".join(f"{number:05d} " for number in range(100))
    async with screen(layout(tmp_path, [file("x", f"short\n{line}\nend\n")]), (60, 20)) as it:
        await open_file(it, "x")
        assert shown(it)[1].split()[1] == "00000"
        await it.press("right", "right")
        assert shown(it)[1].split()[1] == "2"
        assert shown(it)[0].split() == ["1"]
        await it.press("left", "left")
        await it.press("w")
        text = shown(it)
        assert text[0].split() == ["1", "short"]
        assert "".join(row[5:].ljust(53) for row in text[1:13]).split() == line.split()
        assert text[2].split()[0] == "↪"
        await it.press("G", "w")
        assert viewer(it).view.cursor == 2


async def test_a_word_is_found(tmp_path: Path) -> None:
    text = "".join(f"line {number} {'Needle' if number % 10 == 5 else ''}\n" for number in range(60))
    async with screen(layout(tmp_path, [file("x", text)]), (90, 24)) as it:
        view = (await open_file(it, "x")).view
        await say(it, "slash", "needle")
        assert status(it) == "line 6 of 60 · 1 of 6 matches"
        assert view.cursor == 5
        assert ("Needle", "found") in list(view.row(5, 80))
        await it.press("n", "n")
        assert (view.cursor, status(it)) == (25, "line 26 of 60 · 3 of 6 matches")
        await it.press("N")
        assert view.cursor == 15
        await it.press("N", "N")
        assert view.cursor == 55
        await it.press("n")
        assert view.cursor == 5
        await say(it, "slash", "")
        await it.press("slash", "escape")
        assert "matches" not in status(it)


async def test_capitals_count_where_they_are_typed(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "aa AA Aa\n[b]a.a[/b]\n")])) as it:
        await open_file(it, "x")
        await say(it, "slash", "aa")
        assert "of 3 matches" in status(it)
        await it.press("slash", "ctrl+u")
        await it.press("A", "A", "enter")
        assert "1 of 1 match" in status(it)
        await it.press("slash", "ctrl+u")
        await it.press("a", "full_stop", "a", "enter")
        assert "1 of 1 match" in status(it)
        await it.press("slash", "ctrl+u")
        await it.press("q", "q", "enter")
        assert "is not found" in status(it)


async def test_a_line_is_gone_to(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "a\n" * 500)])) as it:
        view = (await open_file(it, "x")).view
        await say(it, "colon", "321")
        assert view.cursor == 320
        await say(it, "colon", "9999")
        assert view.cursor == 499
        await say(it, "colon", "x")
        assert "a number" in status(it)


# -- bytes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (90, "000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  │················│"),
        (60, "000000  00 01 02 03 04 05 06 07  │········│"),
    ],
)
async def test_binary_files_are_shown_as_bytes(tmp_path: Path, width: int, first: str) -> None:
    async with screen(layout(tmp_path, [file("x", bytes(range(256)))]), (width, 24)) as it:
        await open_file(it, "x")
        assert shown(it)[0] == first
        assert viewer(it).view.summary == "binary data"
        await it.press("down", "down", "down", "down", "down")
        await say(it, "slash", "456")
        assert status(it) == f"byte {viewer(it).view.offset_here} of 256 · 1 of 1 match"
        await say(it, "colon", "0xf8")
        assert any(row.startswith("0000f8" if width < 78 else "0000f0") for row in shown(it))
        assert viewer(it).view.offset_here == 0xF8 & -(8 if width < 78 else 16)


async def test_the_cursor_stays_on_its_byte_when_the_terminal_changes(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", bytes(range(256)) * 9)]), (90, 24)) as it:
        view = (await open_file(it, "x")).view
        await say(it, "colon", "0x200")
        assert view.offset_here == 0x200
        await it.pilot.resize_terminal(60, 20)
        await it.settle()
        assert view.offset_here == 0x200
        assert any(row.startswith("000200  00") for row in shown(it))


async def test_text_as_bytes_and_back(tmp_path: Path) -> None:
    async with screen(
        layout(tmp_path, [file("x", "0123456789\n" * 10), file("y", bytes(8) + b"text")])
    ) as it:
        await open_file(it, "x")
        await it.press("down", "down", "down", "x")
        assert isinstance(viewer(it).view, HexView)
        assert shown(it)[0].endswith("│0123456789·01234│")
        assert viewer(it).view.offset_here == 32
        await it.press("x")
        assert isinstance(viewer(it).view, TextView)
        assert viewer(it).view.cursor == 2
        await it.press("escape")
        await open_file(it, "y")
        await it.press("x")
        assert shown(it)[0].split() == ["1", "\\x00" * 8 + "text"]


async def test_what_a_file_is_is_said_in_a_line(tmp_path: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)
    async with screen(
        layout(tmp_path, [file("x.png", png), file("x.tar", layer_tar([file("a/b", "c")]))])
    ) as it:
        await open_file(it, "x.png")
        assert "PNG image, 640 × 480" in drawn(viewer(it).view)[1]
        await it.press("q")
        await open_file(it, "x.tar")
        assert "tar archive, first member a/b" in drawn(viewer(it).view)[1]


# -- JSON ---------------------------------------------------------------------------------------------


async def test_json_is_readable_and_can_be_seen_as_it_is(tmp_path: Path) -> None:
    data = b'{"b":[1,2.50,{}],"a":"x\\u001b"}'
    async with screen(layout(tmp_path, [file("x.json", data), file("y", '{"b": nothing}')])) as it:
        await open_file(it, "x.json")
        pretty = ["{", '  "b": [', "    1,", "    2.50,", "    {}", "  ],", '  "a": "x\\u001b"', "}"]
        assert [row[5:] for row in shown(it)[:8]] == pretty
        assert title(it).endswith("pretty")
        await it.press("p")
        assert shown(it)[0] == f"   1 {data.decode()}"
        assert not title(it).endswith("pretty")
        await it.press("p")
        assert shown(it)[0].split() == ["1", "{"]
        await it.press("escape")
        await open_file(it, "y")
        assert shown(it)[0].split(maxsplit=1)[1] == '{"b": nothing}'
        await it.press("p")
        assert shown(it)[0].split(maxsplit=1)[1] == '{"b": nothing}'


async def test_bytes_of_others_can_be_looked_at() -> None:
    async with screen("demo:bigfile") as it:
        data = json.dumps({"layers": [1, 2]}).encode()
        it.app.push_screen(
            ViewerScreen.for_bytes("manifest", data, "application/vnd.oci.image.manifest.v1+json")
        )
        await it.settle()
        assert [row.split(maxsplit=1)[1] for row in shown(it)[:2]] == ["{", '"layers": [']
        assert title(it).startswith("file · manifest · 18 B")
        await it.press("D", "right_square_bracket", "escape")
        assert it.app.screen is it.main


async def test_one_line_of_much(tmp_path: Path) -> None:
    data = json.dumps({"k": list(range(200_000))}).encode()
    async with screen(layout(tmp_path, [file("x", b"x" + data)]), (90, 24)) as it:
        await open_file(it, "x")
        assert title(it).split(" · ")[3] == "first 1 MB of 1.49 MB"
        assert shown(it)[0].startswith('     1 x{"k": [0, 1, 2')
        assert shown(it)[1].startswith("     ↪ ")
        await say(it, "slash", "99999")
        assert "1 of 1 match" in status(it)
        assert any("99999" in row for row in shown(it))
        await it.press("G")
        view = viewer(it).view
        assert "199999]}" in "".join(text for text, _ in view.row(view.cursor, 1010))
        await it.press("w", "G")
        assert any(row.endswith("199999]}") for row in shown(it))


# -- reading ------------------------------------------------------------------------------------------


async def test_no_more_is_read_than_is_looked_at(use: Callable[[FakeSource], None]) -> None:
    line = b"0123456789abcde\n"
    source = Measured(2_000 * MEGABYTE, lambda at: line * 4096)
    use(source)
    async with screen("any", (90, 24)) as it:
        await open_file(it, "data/file")
        assert title(it).split(" · ")[3] == "first 1 MB of 2 GB"
        assert source.given <= MEGABYTE + 4096 * 16
        await it.press("pagedown", "pagedown")
        assert source.given <= MEGABYTE + 4096 * 16
        view = viewer(it).view
        view.cursor = view.row_count - 1
        await it.until("more is read", lambda: "first 2 MB of 2 GB" in title(it))
        await it.settle()
        assert source.given <= 2 * MEGABYTE + 4096 * 16
        assert viewer(it).view.cursor < view.row_count - 1
        await it.press("escape")
        assert source.ended


async def test_the_end_is_read_to_and_that_can_be_stopped(use: Callable[[FakeSource], None]) -> None:
    source = Measured(3_000 * MEGABYTE, lambda at: b"0123456789abcde\n" * 4096)
    use(source)
    async with screen("any", (90, 24)) as it:
        await open_file(it, "data/file")
        await it.pilot.press("G")
        await it.until("it reads on", lambda: "esc stops" in status(it) and source.given > 3 * MEGABYTE)
        await it.pilot.press("escape")
        await it.settle()
        read = source.given
        assert read < source.size
        assert viewer(it).view.row_count > MEGABYTE // 16
        await it.press("up")
        assert source.given == read
        assert not source.ended
        await it.press("escape")
        assert it.app.screen is it.main
        assert source.ended


async def test_the_end_of_a_file_of_some_megabytes(use: Callable[[FakeSource], None]) -> None:
    use(source := Measured(5 * MEGABYTE, lambda at: b"%015d\n" % at))
    async with screen("any", (90, 24)) as it:
        view = (await open_file(it, "data/file")).view
        await it.press("G")
        assert view.cursor == view.row_count - 1 == 5 * MEGABYTE // 16 - 1
        assert shown(it)[-1].split() == ["312500", f"{5 * MEGABYTE - 16:015d}"]
        assert source.ended


async def test_a_word_beyond_what_was_read(use: Callable[[FakeSource], None]) -> None:
    use(
        Measured(
            9 * MEGABYTE, lambda at: (b"needle" if at == 8 * MEGABYTE else b"haystack").ljust(99) + b"\n"
        )
    )
    async with screen("any", (90, 24)) as it:
        view = (await open_file(it, "data/file")).view
        await say(it, "slash", "needle")
        assert "is not found so far" in status(it)
        await it.press("n")
        assert view.cursor == 8 * MEGABYTE // 100
        assert "1 of 1 match" in status(it)


async def test_bytes_are_scrolled_to_anywhere(use: Callable[[FakeSource], None]) -> None:
    use(source := Measured(6 * MEGABYTE, lambda at: bytes(4) + at.to_bytes(4, "big") + bytes(8)))
    async with screen("any", (90, 24)) as it:
        view = (await open_file(it, "data/file")).view
        assert view.row_count == 6 * MEGABYTE // 16
        assert source.given <= MEGABYTE + 16
        await say(it, "colon", "4000000")
        await it.settle()
        assert view.offset_here == 4_000_000
        row = "".join(text for text, _ in view.row(view.cursor, 90))
        assert row.startswith("3d0900  00 00 00 00 00 3d 09 00")
        assert source.given < 5 * MEGABYTE


async def test_an_engine_that_is_waited_for(use: Callable[[FakeSource], None]) -> None:
    waiting: list[Job] = []

    class Slow(Measured):
        def _chunks(self, job: Job) -> Iterator[bytes]:
            waiting.append(job)
            job.wait(60)
            yield b""

    source = Slow(10, lambda at: b"")
    source.cheap = False
    use(source)
    async with screen("any", (90, 24)) as it:
        await it.press("enter")
        it.files.focus()
        await it.pilot.press("down", "enter")
        await it.until("it is asked", lambda: waiting)
        assert "waiting for the engine" in drawn(viewer(it).view)[2]
        await it.press("escape")
        assert it.app.screen is it.main
        assert waiting[0].cancelled


async def test_a_damaged_content_is_shown_as_far_as_it_goes(use: Callable[[FakeSource], None]) -> None:
    def chunk(at: int) -> bytes:
        if at >= 64:
            raise DamagedError("The gzip stream is damaged [b]here[/b]\x1b.")
        return b"0123456789abcde\n"

    use(Measured(MEGABYTE, chunk))
    async with screen("any", (90, 24)) as it:
        await open_file(it, "data/file")
        rows = shown(it)
        assert rows[3].split() == ["4", "0123456789abcde"]
        assert rows[4] == "✗ The gzip stream is damaged [b]here[/b]\\x1b."
        await it.press("x")
        assert shown(it)[4].startswith("✗ The gzip stream")


async def test_a_content_that_is_not_there(tmp_path: Path, use: Callable[[FakeSource], None]) -> None:
    use(FakeSource({"img:1": [index(file("x", 100))]}, cheap=True))
    async with screen("any", (50, 24)) as it:
        await open_file(it, "x")
        for _ in range(2):  # in both views: the size of the file, and the whole sentence
            assert title(it) == "file · /x · layer 1 · 100 B"
            said = " ".join(" ".join(shown(it)).split())
            assert said == "✗ The content of /x in layer 1 is not there to be read."
            await it.press("x")


async def test_a_claimed_size_beyond_all_disks(
    use: Callable[[FakeSource], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "_LIMIT", 3 * MEGABYTE)
    use(source := Measured(1 << 60, lambda at: bytes(65536)))
    async with screen("any", (90, 24)) as it:
        await open_file(it, "data/file")
        await it.press("G")
        assert source.given < 4 * MEGABYTE
        assert "No more than 3 MB of a file are shown" in "".join(shown(it))


# -- layers -------------------------------------------------------------------------------------------


async def test_a_removed_file_is_read_and_marked() -> None:
    async with screen("demo:bigfile") as it:
        await it.layer(2)
        it.files.focus()
        assert "BigFile" in "".join(text for text, _ in it.files.row(it.files.cursor, 80))
        await it.press("enter")
        assert fate(it) == "removed in layer 2, still ships"
        assert title(it).startswith("file · /BigFile · layer 1 (1 of 2) · first 1 MB of 3 MB")
        assert shown(it)[0].endswith("BigFile")


async def test_from_the_wasted_paths_to_the_content() -> None:
    async with screen("demo:bigfile") as it:
        it.wasted.focus()
        await it.press("enter", "enter")
        assert fate(it) == "removed in layer 2, still ships"


async def test_versions_of_a_path(tmp_path: Path) -> None:
    layers = [
        [file("x", "one\n")],
        [file("y")],
        [file("x", "two\n")],
        [whiteout("x")],
        [file("x", "three\n")],
    ]
    async with screen(layout(tmp_path, *layers)) as it:
        await open_file(it, "x", 1)
        assert fate(it) == "overwritten in layer 3; this copy still ships"
        found = []
        for key in ("left_square_bracket", *["right_square_bracket"] * 4):
            await it.press(key)
            found.append((title(it).split(" · ")[2], shown(it)[0].split()[-1], fate(it)))
        assert found == [
            ("layer 1 (1 of 4)", "one", "overwritten in layer 3; this copy still ships"),
            ("layer 3 (2 of 4)", "two", "removed in layer 4, still ships"),
            ("layer 4 (3 of 4)", "path", ""),
            ("layer 5 (4 of 4)", "three", ""),
            ("layer 5 (4 of 4)", "three", ""),
        ]


def at(it: Screen) -> tuple[bytes, bool]:
    """The path under the cursor of the tree, and whether that is merged."""
    view, node = it.files.view, it.files.node
    assert view is not None
    assert node is not None
    return view.overlay.path(node), view.merged


async def test_symlinks_lead_to_their_target(tmp_path: Path) -> None:
    layers = [
        [folder("usr/lib"), file("usr/lib/x", "found\n"), symlink("lib", "usr/lib"), file("z", "z")],
        [symlink("a", "lib/../lib/x"), symlink("bad", "/nowhere"), symlink("loop", "loop")],
    ]
    async with screen(layout(tmp_path, *layers)) as it:
        await it.layer(2)
        it.files.focus()
        for down in ((), ("down",), ("down",)):
            await it.press(*down)
            if at(it)[0] != b"a":
                await it.press("enter")
                assert it.app.screen is it.main
                assert at(it) in ((b"bad", False), (b"loop", False))
        said = [notice.message for notice in it.app._notifications]
        assert len(said) == 2
        assert "a symlink to /nowhere, which is not there" in said[0]
        await it.press("g", "enter")
        assert at(it) == (b"usr/lib/x", True)
        await it.press("enter")
        assert shown(it)[0].split() == ["1", "found"]


async def test_what_has_no_content(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [char_device("null", 1, 3), fifo("pipe")])) as it:
        await open_file(it, "null")
        assert "a character device, 1:3; it has no content" in drawn(viewer(it).view)[2]
        await it.press("x", "D")
        await it.press("escape", "escape")
        await open_file(it, "pipe")
        assert "a pipe; it has no content" in drawn(viewer(it).view)[2]


# -- hostile ------------------------------------------------------------------------------------------

HOSTILE = [
    b"\x1b[31mred\x1b]0;title\x07\x9b31m",
    b"[bold]x[/bold] [@click=app.quit]q[/] [/]",
    "\u202egnp.exe\u2066 a\u200bb\u2028c\x85d".encode(),
    b"caf\xe9\xff\xed\xa0\x80",
    "漢字".encode() * 200,
    b"e" + "\u0301".encode() * 3000,
    b"a\tb\rc\x0b\x0c",
    b"$error {color: red}",
    b"x" * 5000,
]


@pytest.mark.parametrize("data", [b"\n".join(HOSTILE) + b"\n", *HOSTILE, b"\0".join(HOSTILE)])
async def test_nothing_in_a_file_acts_on_the_terminal(tmp_path: Path, data: bytes) -> None:
    name = "x\x1b[31m[b]y"
    async with screen(layout(tmp_path, [file(name, data), file("z", "z")]), (80, 24)) as it:
        await open_file(it, name)
        for keys in ((), ("w",), ("G",), ("w", "right"), ("x",), ("x",)):
            await it.press(*keys)
            view = viewer(it).view
            for line in (*drawn(view), status(it), title(it)):
                assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
            for line in drawn(view):
                assert cell_len(line) == view.size.width


async def test_markup_in_a_file_is_text(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "[bold]x[/bold] [@click=app.quit]q[/]\n")])) as it:
        await open_file(it, "x")
        assert shown(it)[0] == "   1 [bold]x[/bold] [@click=app.quit]q[/]"
