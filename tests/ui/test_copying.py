"""Copying and finding: what is under the cursor, put into the clipboard; where a path comes from."""

from __future__ import annotations

import pytest

from imgscope.images.model import chain_id
from imgscope.layers.overlay import ROOT
from imgscope.ui.screens.copy import CopyScreen, copy_text
from imgscope.ui.screens.find import FindScreen
from tests.ui.driver import Screen, screen


def copied(it: Screen) -> str:
    return it.app.clipboard


async def find(it: Screen, text: str) -> list[str]:
    """What the screen that finds shows for a text."""
    if not isinstance(it.app.screen, FindScreen):
        await it.press("f")
    await it.press(*text)
    found = it.app.screen.query_one("#found")
    return [found.render_line(y + 2).text.rstrip() for y in range(found.row_count)]  # type: ignore[attr-defined]


async def test_of_several_texts_one_is_asked_for() -> None:
    async with screen("demo:ruby:b") as it:
        it.images.focus()
        await it.press("y")
        assert isinstance(it.app.screen, CopyScreen)
        await it.press("y")
        assert copied(it) == "ruby:b"
        assert it.at_main
        await it.press("y", "down", "enter")
        assert it.main.analysis is not None
        assert copied(it) == it.main.analysis.image.id
        await it.press("y", "escape")
        assert it.at_main


async def test_a_layer_tells_its_diff_id_and_its_chain_id() -> None:
    async with screen("demo:ruby:b") as it:
        it.layers.focus()
        it.layers.go(2)
        await it.settle()
        assert it.main.analysis is not None
        diff_ids = it.main.analysis.image.diff_ids
        kinds = dict(it.layers.copies())
        assert (kinds["diff ID"], kinds["chain ID"]) == (diff_ids[1], chain_id(diff_ids))


async def test_one_text_is_copied_at_once() -> None:
    async with screen("demo:bigfile") as it:
        it.files.focus()
        assert it.files.view is not None
        it.files.reveal(it.files.view.overlay.find(b"BigFile"))
        await it.press("y")
        assert copied(it) == "/BigFile"
        it.wasted.focus()
        await it.press("y")
        assert copied(it) == "/BigFile"


async def test_what_is_copied_acts_on_nothing_where_it_is_pasted() -> None:
    async with screen("demo:bigfile") as it:
        copy_text(it.app, "a\nrm -rf ~\n\x1b[31m")
        assert copied(it) == "a\\nrm -rf ~\\n\\x1b[31m"


# -- finding ------------------------------------------------------------------------------------------


async def test_each_layer_that_touched_a_path_is_told() -> None:
    async with screen("demo:bigfile") as it:
        rows = await find(it, "bigfile")
        assert rows[0].split() == ["/BigFile", "not", "in", "the", "image"]
        assert rows[1].split()[:8] == ["layer", "1", "+", "added", "█" * 8, "3", "MB", "dead"]
        assert rows[2].split()[:7] == ["layer", "2", "−", "removed", "█" * 8, "3", "MB"]
        assert "rm /BigFile" in rows[2]


async def test_enter_goes_to_the_layer_and_the_path() -> None:
    async with screen("demo:bigfile") as it:
        await find(it, "bigfile")
        await it.press("down", "down", "enter")
        assert it.at_main
        assert it.layers.number == 2
        assert it.files.view is not None
        assert it.files.view.overlay.path(it.files.node or ROOT) == b"BigFile"


async def test_all_images_are_looked_through() -> None:
    async with screen("demo:bigfile") as it:
        assert await find(it, "libssl.so.3") == []
        await it.press("tab")
        rows = await find(it, "")
        names = [row for row in rows if not row.startswith((" ", "/"))]
        assert {"ruby:b", "rails-4.2:d", "rails-3.2:e", "simple-node:case-1"} <= set(names)
        assert "golang:c" not in names
        await it.press("enter")
        assert it.at_main
        assert it.main.analysis is not None
        assert it.main.analysis.image.name == names[0]
        assert it.files.view is not None
        assert it.files.view.overlay.path(it.files.node or ROOT).endswith(b"libssl.so.3")


async def test_a_wrong_regular_expression_is_said() -> None:
    async with screen("demo:bigfile") as it:
        assert await find(it, "~(") == []
        assert "not a regex" in it.text


async def test_it_begins_with_the_path_under_the_cursor() -> None:
    async with screen("demo:bigfile") as it:
        it.files.focus()
        assert it.files.view is not None
        it.files.reveal(it.files.view.overlay.find(b"bin/busybox"))
        await it.settle()
        rows = await find(it, "")
        assert rows[0].split()[0] == "/bin/busybox"
        await it.press("escape")
        assert it.at_main


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_it_fits_a_small_terminal(size: tuple[int, int]) -> None:
    async with screen("demo:bigfile", size) as it:
        rows = await find(it, "bigfile")
        assert rows[1].split()[:7] == ["layer", "1", "+", "added", "3", "MB", "dead"]
