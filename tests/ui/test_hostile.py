"""Names that an image may carry: none is markup, none reaches the terminal raw, each stays one row."""

from __future__ import annotations

import io
import tarfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from imgscope.text import clean
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.compare import CompareScreen
from imgscope.ui.screens.copy import CopyTable, copy_one
from imgscope.ui.screens.extracting import ExtractForm
from imgscope.ui.screens.find import FindScreen
from imgscope.ui.screens.viewer import ViewerScreen
from imgscope.ui.widgets.lines import fit, fit_end
from tests.support.stacks import file, layer_tar, symlink, whiteout
from tests.ui.driver import Screen, drawn, rows, screen, write_layout

NASTY = {
    "markup": "[/]",
    "red": "[red]x[/red]",
    "link": "[@click=app.quit]press[/]",
    "escape": "\x1b[31m\x1b]0;title\x07",
    "lines": "one\ntwo\r\nthree\u2028four\x85five",
    "tab": "a\tb",
    "bidi": "\u202egnp.exe\u2066",
    "zero": "a\u200bb\ufeffc",
    "wide": "漢字" * 60,
    "marks": "e" + "\u0301" * 400,
    "emoji": "👩\u200d👩\u200d👧🐳" * 10,
    "long": "x" * 65_536,
    "empty": "",
    "blank": "   ",
    "backslash": "\\[bold]",
    "style": "$error {color: red}",
    "null": "a\x00b",
}
BROKEN = [b"caf\xe9\xff", b"\xed\xa0\x80", b"\xf0\x9f", b"\x80" * 3000]


def raw_tar(*names: bytes) -> bytes:
    """Files by names of any bytes (as latin-1, which Python's tar writer passes through)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name in names:
            info = tarfile.TarInfo(name.decode("latin-1"))
            info.size = 5
            tar.addfile(info, io.BytesIO(b"bytes"))
    return buffer.getvalue()


def check(it: Screen) -> None:
    """Each row is one line of exactly the width of its pane, and nothing in it acts on a terminal."""
    for pane in it.panes:
        for text in (*rows(pane), *drawn(pane), *pane.title):
            assert not {unicodedata.category(letter) for letter in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for line in drawn(pane):
            assert cell_len(line) == pane.size.width
        for line in rows(pane):
            assert cell_len(line) <= pane.size.width - 2
    for text in (it.head, it.notice):
        assert text.isprintable()


async def test_names_in_references_history_and_config(tmp_path: Path) -> None:
    images = []
    for number, nasty in enumerate(NASTY.values()):
        config = {
            "created": nasty,
            "author": nasty,
            "config": {"Labels": {nasty: nasty}, "Cmd": [nasty], "Env": [nasty]},
            "history": [
                {"created_by": f"RUN {nasty}", "comment": nasty},
                {"created_by": f"ENV {nasty}", "empty_layer": True},
                {"created_by": nasty},
            ],
        }
        tars = [layer_tar([file(f"a{number}", 9)]), layer_tar([file("b", 9), whiteout(f"a{number}")])]
        images += [(nasty, config, tars), (f"x{number}:{nasty}", config, tars[:1])]
    async with screen(f"oci:{write_layout(tmp_path, images)}", (80, 24)) as it:
        assert it.images.row_count >= len(NASTY)
        for line in range(it.images.row_count):
            check(it)
            assert it.layers.row_count in (1, 3), line
            await it.press("down")
        assert it.app.is_running


async def test_names_of_files_and_links(tmp_path: Path) -> None:
    names = [name[:30_000] for name in NASTY.values() if name and "\0" not in name]
    first = [file(f"{number}/{name}/{name}.txt", 3) for number, name in enumerate(names)]
    second = [symlink(f"link{number}", name) for number, name in enumerate(names)]
    third = [whiteout(f"{number}/{name}") for number, name in enumerate(names)]
    tars = [layer_tar(layer) for layer in (first, second, third)]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, tars)])}", (80, 24)) as it:
        assert it.wasted.row_count == len(names)
        for number, least in ((1, len(names)), (2, len(names)), (3, len(names))):
            await it.layer(number)
            it.files.focus()
            for line in range(it.files.row_count - 1, -1, -1):
                it.files.fold(line, opened=True)
            assert it.files.row_count >= least
            check(it)
            await it.press("G", "v")
            check(it)
            await it.press("v")
        it.wasted.focus()
        for _ in names:
            await it.press("down")
            check(it)
        await it.press("enter")
        assert it.focused == "files"
        assert "dead" in rows(it.files)[it.files.cursor]


async def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    tars = [raw_tar(*(b"d/" + name for name in BROKEN)), layer_tar([whiteout("d")])]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, tars)])}", (80, 24)) as it:
        await it.layer(1)
        assert it.files.row_count == 1 + len(BROKEN)
        assert any("caf\\xe9\\xff" in line for line in rows(it.files))
        assert it.wasted.row_count == len(BROKEN)
        check(it)


async def test_markup_is_text(tmp_path: Path) -> None:
    tars = [layer_tar([file("[red]a", 3)])]
    config = {"history": [{"created_by": "RUN echo [bold]hi[/bold]"}]}
    async with screen(f"oci:{write_layout(tmp_path, [('[b]img[/b]:1', config, tars)])}") as it:
        text = str(it)
        for words in ("[red]a", "RUN echo [bold]hi[/bold]", "[b]img[/b]:1"):
            assert words in text


async def test_wide_names_are_cut_between_characters(tmp_path: Path) -> None:
    tars = [layer_tar([file(f"{'漢' * 100}", 3), file(f"a{'漢' * 100}", 3)])]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, tars)])}", (80, 24)) as it:
        for line in rows(it.files):
            assert "…" in line
            assert line.rstrip().endswith("3 B")
            assert cell_len(line) == it.files.size.width - 2


async def test_long_values_are_copied_whole_and_shown_in_part() -> None:
    value = "L\u0301[/]\x1b" * 50_000
    async with screen("demo:ruby:b", (80, 24)) as it:
        copy_one(it.app, [("value", value)])
        await it.settle()
        assert it.app.clipboard == clean(value)
        (note,) = it.app._notifications
        assert not note.markup
        assert len(note.message) <= 401
        assert note.message.endswith("…")
        copy_one(it.app, [("value", value), ("name", "x" * 1_000_000)])
        await it.settle()
        table = it.app.screen.query_one(CopyTable)
        for line in rows(table):
            assert line.rstrip().endswith("…")
            assert cell_len(line) <= table.size.width
        await it.press("y")
        assert it.app.clipboard == clean(value)


@pytest.mark.parametrize("text", ["x" * 10**6, "e" + "\u0301" * 10**6, "漢" * 10**6, "\u0301" * 10**6])
def test_very_long_texts_are_fitted(text: str) -> None:
    for made in (fit(text, 20), fit(text, 20, right=True), fit_end(text, 20)):
        assert cell_len(made) == 20
        assert "…" in made
        assert len(made) < 5000


async def test_no_screen_lets_anything_through(tmp_path: Path) -> None:
    """Each screen, as a whole, for a file, a folder and an image of every such name."""
    names = [NASTY[key] for key in ("markup", "escape", "lines", "bidi", "zero")]
    tars = [
        layer_tar([file(f"d/{name}", f"{name}\n\x1b]0;x\x07\x9b31m [/]\n") for name in names]),
        layer_tar([*(file(f"d/{name}", name) for name in names), symlink("link", NASTY["escape"])]),
    ]
    images = []
    for number, name in enumerate((NASTY["escape"], NASTY["bidi"] + NASTY["link"])):
        words: dict[str, Any] = dict.fromkeys(("User", "WorkingDir", "StopSignal"), name)
        words |= {key: [name] for key in ("Cmd", "Entrypoint", "Env", "OnBuild", "Shell")}
        words |= {key: {name: name} for key in ("Labels", "Volumes", "ExposedPorts", "Healthcheck", name)}
        history = [{"created_by": f"RUN {name}"}, {"created_by": name, "comment": name}]
        images.append((f"{number}{name}", {"author": name, "config": words, "history": history}, tars))

    def checked(it: Screen) -> None:
        text = [it.text, *(f"{note.title}{note.message}" for note in it.app._notifications)]
        for line in "\n".join(text).splitlines(keepends=False):
            assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}

    async def press(it: Screen, *keys: str) -> None:
        for key in keys:
            await it.press(key)
            checked(it)

    async def back(it: Screen) -> None:
        for _ in range(6):
            if not it.at_main:
                await it.press("escape")
        assert it.at_main

    async with screen(f"oci:{write_layout(tmp_path / 'layout', images)}", (100, 30)) as it:
        await press(it, "enter", "y")
        await back(it)
        for tab in "3456":
            await press(it, tab)
            it.main.explorer.panes[0].enter()
            await press(it, "G", "y")
            await back(it)
            await press(it, "enter")
            await back(it)
        await press(it, "1")
        await it.layer(2)
        it.files.focus()
        await press(it, "asterisk", "i")
        for row in range(it.files.row_count):
            it.files.focus()
            await it.settle()
            await it.press("asterisk")  # a folder was closed
            assert row < it.files.row_count
            it.files.cursor = row
            await it.settle()
            for key in ("y", "enter", "D"):
                await press(it, key)
                if isinstance(it.app.screen, ViewerScreen):
                    await press(it, "w", "x")
                if it.at_main:  # a symlink leads to what it names, a folder closes
                    await it.layer(2)
                    it.files.focus()
                await back(it)
        for key, *more in (
            ["f", "tab", "down"],
            ["e", "tab"],
            ["m", "right", "s"],
            ["T", "down"],
            ["question_mark"],
        ):
            it.files.focus()
            await it.pilot.press(key)
            await it.until(f"a screen by {key}", lambda: not it.at_main)
            await press(it, *more)
            await back(it)
        it.images.focus()
        await press(it, "home", "space", "down")
        await it.pilot.press("equals_sign")
        await it.until("the comparison", lambda: not it.at_main)
        await press(it, "down", "2", "3")
        assert isinstance(it.app.screen, CompareScreen)


async def test_a_path_of_no_end_is_not_typed_in_and_told_by_its_end(tmp_path: Path) -> None:
    deep = "/".join(["folder"] * 1000)
    tars = [layer_tar([file(f"{deep}/name", 3)])]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, tars)])}", (80, 24)) as it:
        assert it.files.view is not None
        it.files.reveal(it.files.view.overlay.find(f"{deep}/name".encode()))
        it.files.focus()
        await it.press("e")
        assert isinstance(it.app.screen, ExtractForm)
        assert "folder/name from layer 1" in " ".join(it.text.split())
        await it.press("escape", "f")
        assert isinstance(it.app.screen, FindScreen)
        assert not it.app.screen.query_one(Input).value


async def test_a_file_of_a_damaged_layer_says_so(tmp_path: Path) -> None:
    tar = layer_tar([file("log", "text\n" * 1000)])[:3000]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, [tar])])}", (100, 24)) as it:
        it.files.focus()
        await it.press("e")
        await it.press("enter")
        assert isinstance(it.app.screen, ActionScreen)
        assert "a file claims 5000 bytes" in " ".join(it.text.split())
        await it.press("escape", "enter")
        assert isinstance(it.app.screen, ViewerScreen)
        assert "a file claims 5000 bytes" in " ".join(it.text.split())
