"""What differs between two versions of a file, on the screen."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import pytest
from rich.cells import cell_len

from imgscope.ui.screens.diff import DiffScreen, DiffView
from tests.support.stacks import Layer, file, folder, layer_tar, symlink, whiteout
from tests.ui.driver import Screen, drawn, rows, screen, write_layout


def layout(folder: Path, *layers: Layer) -> str:
    """An image of these layers, as a reference to open."""
    return f"oci:{write_layout(folder / 'image', [('img:1', {}, [layer_tar(layer) for layer in layers])])}"


def differing(it: Screen) -> DiffScreen:
    assert isinstance(it.app.screen, DiffScreen), it.app.screen
    return it.app.screen


def view(it: Screen) -> DiffView:
    return differing(it).query_one(DiffView)


def note(it: Screen) -> str:
    return str(differing(it).query_one("#diff-note").render())


def shown(it: Screen) -> list[str]:
    return [line.rstrip() for line in rows(view(it), 200)]


async def differ(it: Screen, path: str, layer: int) -> list[str]:
    """Press the key on a path of a layer's changes; gives the rows."""
    await it.layer(layer)
    it.files.focus()
    assert it.files.view is not None
    assert it.files.reveal(it.files.view.overlay.find(path.encode())), path
    await it.press("D")
    return shown(it)


async def test_text(tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(1, 31)]
    changed = [*lines[:9], "changed\n", *lines[10:], "more\n"]
    layers = [[file("x", "".join(lines))], [file("x", "".join(changed))]]
    async with screen(layout(tmp_path, *layers), (100, 30)) as it:
        text = await differ(it, "x", 2)
        assert view(it).title == ("diff", "/x", "layer 1 → layer 2")
        assert text[0].split() == ["size", "−", "231", "B", "+", "236", "B"]
        assert text[1].startswith("sha256")
        assert text[3:] == [
            "@@ -7,7 +7,7 @@",
            "  7   7   line 7",
            "  8   8   line 8",
            "  9   9   line 9",
            " 10     − line 10",
            "     10 + changed",
            " 11  11   line 11",
            " 12  12   line 12",
            " 13  13   line 13",
            "@@ -28,3 +28,4 @@",
            " 28  28   line 28",
            " 29  29   line 29",
            " 30  30   line 30",
            "     31 + more",
        ]
        styles = {text: style for row in range(3, 17) for text, style in view(it).row(row, 90)}
        assert (styles["changed"], styles["line 10"], styles["line 11"]) == ("added", "removed", "")
        await it.press("n")
        assert view(it).cursor == 3
        await it.press("n", "n")
        assert view(it).cursor == 12
        await it.press("N")
        assert view(it).cursor == 3
        await it.press("D")
        assert it.app.screen is it.main


async def test_bytes(tmp_path: Path) -> None:
    one, two = bytes(range(256)) * 1000, bytes(range(256)) * 500 + b"!" + bytes(range(255)) * 2
    async with screen(layout(tmp_path, [file("x", one)], [file("x", two)])) as it:
        text = await differ(it, "x", 2)
        assert " ".join(text[0].split()) == "size − 256 kB (256,000 B) + 129 kB (128,511 B)"
        digests = [hashlib.sha256(data).hexdigest() for data in (one, two)]
        assert text[1].split() == ["sha256", "−", digests[0]]
        assert text[2].split() == ["+", digests[1]]
        assert " ".join(text[3].split()) == "first difference = at byte 128,000"
        assert len(text) == 4
        assert "no text" in note(it)


async def test_metadata_alone(tmp_path: Path) -> None:
    layers = [[file("x", "same", mode=0o644)], [file("x", "same", mode=0o600, mtime=5)]]
    async with screen(layout(tmp_path, *layers)) as it:
        text = await differ(it, "x", 2)
        assert [row.split() for row in text] == [
            ["mode", "−", "0644", "+", "0600"],
            ["mtime", "−", "2001-09-09", "01:46:40", "+", "1970-01-01", "00:00:05"],
        ]
        assert note(it) == "The contents are the same."


async def test_another_kind(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "text\n")], [symlink("x", "there")])) as it:
        text = [" ".join(row.split()) for row in await differ(it, "x", 2)]
        assert text[0] == "kind − file + symlink"
        assert "target + there" in text
        assert any(row.endswith("− text") for row in text)


async def test_an_added_and_a_removed_file(tmp_path: Path) -> None:
    async with screen(
        layout(tmp_path, [file("x", "was here\n")], [whiteout("x"), file("y", "is new\n")])
    ) as it:
        text = await differ(it, "y", 2)
        assert text[-1].split() == ["1", "+", "is", "new"]
        assert note(it) == "Added by layer 2: there is no version below."
        await it.press("q")
        text = await differ(it, "x", 2)
        assert text[-1].split() == ["1", "−", "was", "here"]
        assert note(it) == "Removed; this is what layer 1 has."


async def test_a_directory(tmp_path: Path) -> None:
    layers = [[folder("d", mode=0o755), file("e/x", "x")], [folder("d", mode=0o700), file("e/y", "y")]]
    async with screen(layout(tmp_path, *layers)) as it:
        text = await differ(it, "d", 2)
        assert [row.split() for row in text] == [["mode", "−", "0755", "+", "0700"]]
        await it.press("q")
        await it.layer(2)
        assert it.files.view is not None
        it.files.reveal(it.files.view.overlay.find(b"e"))
        await it.press("D")
        assert it.app.screen is it.main
        assert any("No layer stores this directory" in said.message for said in it.app._notifications)


async def test_json_of_one_line_is_compared_member_by_member(tmp_path: Path) -> None:
    one = {f"key{number}": list(range(5)) for number in range(200)}
    two = {**one, "key7": [0, 1, 9, 3, 4]}
    layers = [[file("x.json", json.dumps(item))] for item in (one, two)]
    async with screen(layout(tmp_path, *layers)) as it:
        text = await differ(it, "x.json", 2)
        assert [row.split()[1:] for row in text if " − " in row or " + " in row][-2:] == [
            ["−", "2,"],
            ["+", "9,"],
        ]
        assert note(it) == "JSON, compared member by member."


async def test_too_large_for_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgscope.viewing import filediff

    monkeypatch.setattr(filediff, "LIMIT", 1000)
    layers = [[file("x", "a\n" * 600)], [file("x", "a\n" * 599 + "b\n")]]
    async with screen(layout(tmp_path, *layers)) as it:
        text = await differ(it, "x", 2)
        assert "1,198" in text[-1]
        assert "too large" in note(it)


async def test_from_the_viewer(tmp_path: Path) -> None:
    async with screen(layout(tmp_path, [file("x", "one\n")], [file("x", "two\n")])) as it:
        await it.layer(2)
        it.files.focus()
        await it.press("enter", "D")
        assert [row.split()[1:] for row in shown(it)[-2:]] == [["−", "one"], ["+", "two"]]
        await it.press("escape", "escape")
        assert it.app.screen is it.main


async def test_lines_that_are_hostile(tmp_path: Path) -> None:
    nasty = ["\x1b[31m\x1b]0;t\x07[b]x[/b]", "\u202egnp\u2028", "a\tb\r", "漢" * 3000, "x" * 9000]
    layers = [[file("[b]x\x1b", "\n".join(nasty))], [file("[b]x\x1b", "\n".join(reversed(nasty)))]]
    async with screen(layout(tmp_path, *layers), (80, 24)) as it:
        await differ(it, "[b]x\x1b", 2)
        for key in ("right", "right", "G", "left"):
            await it.press(key)
            for line in (*drawn(view(it)), note(it)):
                assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
            for line in drawn(view(it)):
                assert cell_len(line) == view(it).size.width
