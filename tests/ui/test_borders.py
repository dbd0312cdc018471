"""The borders between the panes: moved by key and by mouse, and remembered."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from textual.widget import Widget

from imgscope.ui.remembered import BORDERS, load_borders, save_borders, state_path
from imgscope.ui.widgets.splitter import Splitter
from imgscope.ui.widgets.strip import TabStrip
from tests.ui.driver import Screen, screen


async def drag(it: Screen, widget: Widget, offset: tuple[int, int], to: tuple[int, int]) -> None:
    """Press the mouse on a widget, move it to a place on the screen and let go."""
    await it.pilot.mouse_down(widget, offset=offset)
    await it.pilot.hover(offset=to)
    await it.pilot.mouse_up(offset=to)
    await it.settle()


# -- keys ---------------------------------------------------------------------------------------------


async def test_keys_move_the_borders() -> None:
    async with screen("demo:ruby:b") as it:
        width, height = it.layers.size.width, it.images.size.height
        await it.press("greater_than_sign", "greater_than_sign")
        assert it.layers.size.width == width + 4
        await it.press("less_than_sign")
        assert it.layers.size.width == width + 2
        await it.press("left_curly_bracket", "left_curly_bracket", "left_curly_bracket")
        assert it.images.size.height == height - 3
        await it.press("right_curly_bracket")
        assert it.images.size.height == height - 2
        assert it.layers.outer_size.width + it.files.outer_size.width + 1 == 120
        it.wasted.focus()
        height = it.wasted.size.height
        await it.press("left_curly_bracket")
        assert it.wasted.size.height == height + 1


@pytest.mark.parametrize(
    ("key", "pane"), [("less_than_sign", 1), ("greater_than_sign", 2), ("left_curly_bracket", 0)]
)
async def test_no_pane_goes_away(key: str, pane: int) -> None:
    async with screen("demo:ruby:b", (80, 24)) as it:
        for _ in range(60):
            await it.pilot.press(key)
        await it.settle()
        assert it.panes[pane].size.width >= 11
        assert it.panes[pane].size.height >= 4


async def test_a_zoomed_pane_has_all_the_room() -> None:
    async with screen("demo:ruby:b") as it:
        await it.press("greater_than_sign", "right_curly_bracket")
        width = it.layers.size.width
        await it.press("z")
        assert it.layers.size.width == 120
        await it.press("greater_than_sign", "z")
        assert it.layers.size.width == width
        it.images.focus()
        await it.press("z")
        assert it.images.size.height > 30
        await it.press("z", "2")
        assert it.wasted.size.height > 15


# -- mouse --------------------------------------------------------------------------------------------


async def test_the_border_of_layers_and_files_is_dragged() -> None:
    async with screen("demo:ruby:b") as it:
        border = it.main.query_one(Splitter)
        await drag(it, border, (0, 4), (30, 30))
        assert it.layers.size.width == 30
        assert border.region.x == 30
        await it.pilot.hover(offset=(50, 30))
        assert it.layers.size.width == 30
        await it.pilot.double_click(border, offset=(0, 4))
        await it.settle()
        assert it.layers.size.width in (59, 60)


async def test_the_line_of_tabs_and_the_title_of_the_wasted_are_borders() -> None:
    async with screen("demo:ruby:b") as it:
        line = it.main.query_one(TabStrip)
        await drag(it, line, (100, 0), (90, 9))
        assert line.region.y == 9
        assert it.main.explorer.tab == "files"
        await drag(it, it.wasted, (60, 0), (60, 25))
        assert it.wasted.region.y == 25
        await drag(it, it.wasted, (60, 3), (60, 28))
        assert it.wasted.region.y == 25
        await it.pilot.double_click(line, offset=(100, 0))
        await it.settle()
        assert it.images.size.height == 13


async def test_a_border_under_the_mouse_shows() -> None:
    async with screen("demo:ruby:b") as it:
        border = it.main.query_one(Splitter)
        plain = border.render_line(3)
        await it.pilot.hover(border, offset=(0, 3))
        assert border.render_line(3).text == plain.text
        assert list(border.render_line(3)) != list(plain)
        await it.pilot.hover(it.images)
        assert list(border.render_line(3)) == list(plain)


# -- memory -------------------------------------------------------------------------------------------


async def test_borders_are_found_again() -> None:
    async with screen("demo:ruby:b") as it:
        await it.press("greater_than_sign", "left_curly_bracket")
        sizes = it.layers.size.width, it.images.size.height
    assert state_path().is_relative_to(Path.home())
    assert stat.S_IMODE(state_path().stat().st_mode) == 0o600
    async with screen("demo:ruby:b") as it:
        assert (it.layers.size.width, it.images.size.height) == sizes
        for border in (it.main.query_one(Splitter), it.main.query_one(TabStrip)):
            await it.pilot.double_click(border, offset=(min(100, border.size.width - 1), 0))
    assert load_borders() == {}


async def test_nothing_is_written_where_nothing_moved() -> None:
    async with screen("demo:ruby:b") as it:
        await it.press("down", "2", "z", "1")
    assert not state_path().exists()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"borders": 3}',
        b'{"borders": {"layers": "0.5"}}',
        b'{"borders": {"layers": true, "images": 0.0, "wasted": 1.5}}',
        b'{"borders": {"layers": NaN, "images": -Infinity}}',
        b"[" * 9000,
        b'{"borders": {"layers": 0.5}, "x": "' + b"x" * 20_000 + b'"}',
    ],
)
def test_a_damaged_file_is_ignored_and_written_anew(text: bytes) -> None:
    state_path().parent.mkdir(parents=True)
    state_path().write_bytes(text)
    assert load_borders() == {}
    save_borders({"layers": 0.25})
    assert load_borders() == {"layers": 0.25}
    assert [path.name for path in state_path().parent.iterdir()] == ["screen.json"]


def test_what_is_good_of_a_file_is_taken() -> None:
    state_path().parent.mkdir(parents=True)
    state_path().write_text(json.dumps({"borders": {"layers": 0.5, "images": 7, "other": 0.1}, "new": 1}))
    assert load_borders() == {"layers": 0.5}
    assert set(BORDERS) == {"images", "layers", "wasted"}


def test_a_folder_that_cannot_be_written_is_no_failure() -> None:
    state_path().parent.parent.mkdir(parents=True)
    state_path().parent.write_text("a file is in the way")
    save_borders({"layers": 0.5})
    assert load_borders() == {}
