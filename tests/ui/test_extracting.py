"""e: from the file under the cursor to files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.widgets import Checkbox, Input, Static

from imgscope.ui.screens import action
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.viewer import ViewerScreen
from tests.support.extracting import tree
from tests.support.stacks import file, folder, layer_tar, symlink, whiteout
from tests.ui.dialogs import dialog, form, key, said
from tests.ui.driver import Screen, screen, write_layout

LAYERS = [
    layer_tar([folder("etc"), file("etc/conf", "one"), file("etc/gone", "secret"), symlink("out", "../x")]),
    layer_tar([file("etc/conf", "two", mode=0o4755), whiteout("etc/gone")]),
]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "layout", [("app:1", {}, LAYERS)])


async def on(it: Screen, path: bytes, layer: int) -> None:
    """Put the cursor on a path in what a layer changes."""
    await it.layer(layer)
    it.files.focus()
    assert it.files.reveal(it.analysis.overlay.find(path))
    await it.settle()


async def ask(it: Screen, to: Path, *, bits: bool = False) -> str:
    """Press e, fill in the form; gives its title."""
    await key(it, "e")
    shown = await form(it)
    title = str(shown.query(Static).first().render())
    shown.query_one("#field-folder", Input).value = str(to)
    shown.query_one("#field-bits", Checkbox).value = bits
    await it.pilot.pause()
    await key(it, "enter")
    return title


async def test_a_file_of_a_layer(layout: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/conf", 1)
        assert await ask(it, to) == "Extract /etc/conf from layer 1"
        text = await dialog(it, "enter does it")
        assert "Extract /etc/conf as layer 1 stores it" in text
        assert f"1 file, 3 B into {to}/conf" in text
        assert f"the folder {to} is made" in text
        assert f"$ imgscope extract oci:{layout}:app:1 /etc/conf --to {to} --layer 1" in text
        assert not to.exists()
        await key(it, "enter")
        assert await dialog(it, "enter closes") == f"1 file, 3 B written to {to}/conf"
        assert tree(to) == {"conf": "one"}
        await key(it, "enter")
        assert not isinstance(it.app.screen, ActionScreen)
        assert it.focused == "files"
        # the folder is offered again
        await key(it, "e")
        assert (await form(it)).query_one("#field-folder", Input).value == str(to)


async def test_what_a_layer_removed_is_the_copy_below(layout: Path, tmp_path: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/gone", 2)
        await ask(it, tmp_path / "to")
        assert "as of layer 1" in await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
    assert tree(tmp_path / "to") == {"gone": "secret"}


async def test_a_folder_of_the_merged_tree(layout: Path, tmp_path: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await it.press("v")
        await on(it, b"etc", 2)
        assert await ask(it, tmp_path / "to", bits=True) == "Extract /etc from layers 1 to 2"
        await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
    assert tree(tmp_path / "to") == {"etc": "d", "etc/conf": "two"}
    assert (tmp_path / "to/etc/conf").stat().st_mode & 0o7777 == 0o4755


async def test_what_is_there_is_replaced_only_when_forced(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action, "GUARD", 0)
    (tmp_path / "conf").write_text("mine")
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/conf", 2)
        await ask(it, tmp_path)
        text = await dialog(it, "f forces it")
        assert "1 in" in text
        assert "is there already: /conf" in text
        await key(it, "enter")
        assert (tmp_path / "conf").read_text() == "mine"
        await key(it, "f")
        text = await dialog(it, "enter does it")
        assert "1 there already are replaced: /conf" in text
        assert "1 without the setuid, setgid or sticky bit: /etc/conf" in text
        await key(it, "enter")
        await dialog(it, "enter closes")
    assert (tmp_path / "conf").read_text() == "two"


async def test_leaving_writes_nothing(layout: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/conf", 1)
        await key(it, "e")
        await form(it)
        await key(it, "escape")
        await ask(it, to)
        await dialog(it, "enter does it")
        await key(it, "escape")
        assert it.focused == "files"
        assert not to.exists()
        await key(it, "e")
        shown = await form(it)
        shown.query_one("#field-folder", Input).value = ""
        await it.pilot.pause()
        await key(it, "enter")
        assert "Name a folder" in str(shown.query_one("#form-note", Static).render())


async def test_what_cannot_be_is_one_sentence(layout: Path, tmp_path: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/conf", 1)
        await ask(it, tmp_path / "no/such")
        assert "make it first" in await dialog(it, "esc closes")


async def test_hostile_names_are_shown_escaped(tmp_path: Path) -> None:
    name = "\x1b[31m[bold]\n\u202e"
    tar = layer_tar([file(f"d/{name}", "x"), symlink("d/l", f"/{name}/../../..")])
    async with screen(f"oci:{write_layout(tmp_path / 'layout', [('app:1', {}, [tar])])}", (60, 20)) as it:
        for path in (f"d/{name}".encode(), b"d"):
            await on(it, path, 1)
            title = await ask(it, tmp_path / "to")
            assert title.isprintable()
            text = await dialog(it, "enter does it")
            assert all(line.isprintable() for line in text.splitlines())
            await key(it, "enter")
            text = await dialog(it, "enter closes")
            assert all(line.isprintable() for line in text.splitlines())
            await key(it, "enter")
    assert os.fsencode(name) in os.listdir(os.fsencode(tmp_path / "to"))


async def test_without_a_file_there_is_a_word(layout: Path) -> None:
    async with screen("demo:") as it:
        it.main.explorer.clear("", "")
        await it.settle()
        await key(it, "e")
        assert "There is no file under the cursor; open an image first." in said(it)


async def test_the_command_palette_finds_it_by_dockers_command(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        assert "Extract (docker cp)" in {command.title for command in it.app.get_system_commands(it.main)}


async def test_from_the_viewer_the_version_that_is_shown(layout: Path, tmp_path: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await on(it, b"etc/gone", 1)
        await it.press("enter")
        assert await ask(it, tmp_path / "to") == "Extract /etc/gone from layer 1"
        await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        assert isinstance(it.app.screen, ViewerScreen)
    assert tree(tmp_path / "to") == {"gone": "secret"}
