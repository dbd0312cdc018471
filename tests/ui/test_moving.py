"""Keys and mouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imgscope.ui.widgets.lines import TOP, Lines
from tests.ui.driver import Screen, drawn, row, rows, screen

PANES = ["images", "layers", "files", "wasted"]


def here(it: Screen) -> bytes:
    """The path under the cursor of the files pane."""
    assert it.files.view is not None
    assert it.files.node is not None
    return it.files.view.overlay.path(it.files.node)


async def scroll(it: Screen, pane: Lines, down: bool) -> None:
    from textual.events import MouseScrollDown, MouseScrollUp

    kind = MouseScrollDown if down else MouseScrollUp
    await it.pilot._post_mouse_events([kind], widget=pane, offset=(3, 3), button=0)
    await it.pilot.pause(0.3)


# -- rows ---------------------------------------------------------------------------------------------


async def test_one_row_up_and_down_by_arrows_and_letters() -> None:
    async with screen() as it:
        for keys, cursor in (
            (("down",), 1),
            (("j", "j"), 3),
            (("k",), 2),
            (("up", "up", "up", "up"), 0),
            (("k",), 0),
        ):
            await it.press(*keys)
            assert it.images.cursor == cursor, keys


async def test_first_last_and_a_page() -> None:
    async with screen("demo:ruby:b", size=(80, 24)) as it:
        it.files.focus()
        last = it.files.row_count - 1
        page = it.files.size.height - TOP
        for keys, cursor in (
            (("G",), last),
            (("g",), 0),
            (("end",), last),
            (("home",), 0),
            (("pagedown",), page),
            (("ctrl+f",), 2 * page),
            (("pageup",), page),
            (("ctrl+b",), 0),
            (("pageup",), 0),
        ):
            await it.press(*keys)
            assert it.files.cursor == cursor, keys
            assert rows(it.files)[cursor].strip()[:20] in "\n".join(drawn(it.files))


# -- panes --------------------------------------------------------------------------------------------


async def test_tab_goes_around() -> None:
    async with screen() as it:
        assert it.focused == "images"
        for name in (*PANES[1:], "images"):
            await it.press("tab")
            assert it.focused == name
        for name in reversed(PANES):
            await it.press("shift+tab")
            assert it.focused == name


async def test_enter_goes_on_and_esc_goes_back() -> None:
    async with screen() as it:
        await it.press("enter")
        assert it.focused == "layers"
        await it.press("enter")
        assert it.focused == "files"
        await it.press("escape")
        assert it.focused == "layers"
        await it.press("escape")
        assert it.focused == "images"
        await it.press("escape")
        assert it.focused == "images"
        it.wasted.focus()
        await it.press("escape")
        assert it.focused == "layers"


async def test_the_focused_pane_is_told_by_its_title() -> None:
    async with screen() as it:
        title, other = (pane._style("title-focus" if pane.has_focus else "title") for pane in it.panes[:2])
        assert title.bold
        assert not other.bold


async def test_zoom_shows_one_pane_and_tab_the_next() -> None:
    async with screen() as it:
        height = it.images.size.height
        await it.press("z")
        assert it.zoomed == "images"
        assert it.images.size.height > height
        await it.press("tab")
        assert it.zoomed == "layers"
        assert it.focused == "layers"
        await it.press("enter")
        assert it.zoomed == "files"
        await it.press("escape")
        assert not it.zoomed
        assert it.focused == "files"
        await it.press("z", "z")
        assert not it.zoomed


async def test_opening_an_image_in_a_zoomed_list_shows_its_layers() -> None:
    async with screen() as it:
        await it.press("z", "enter")
        assert it.zoomed == "layers"
        assert "ADD BigFile" in "\n".join(drawn(it.layers))


# -- help and the way out -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["question_mark", "escape", "q", "enter"])
async def test_help_opens_and_closes(key: str) -> None:
    async with screen() as it:
        await it.press("question_mark")
        assert it.helping
        await it.press(key)
        assert (it.helping, it.app.is_running) == (False, True)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20)])
async def test_help_can_be_read_to_its_end(size: tuple[int, int]) -> None:
    async with screen(size=size) as it:
        await it.press("question_mark", "j", "k", "j")
        box = it.app.screen.query_one("#help")
        assert box.scroll_y == (1 if box.max_scroll_y else 0)
        await it.press("end")
        await it.until("the end", lambda: box.scroll_y == box.max_scroll_y)
        assert "esc closes" in it.app.export_screenshot().replace("&#160;", " ")


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("ctrl+q", 0), ("ctrl+c", 130)])
async def test_the_way_out(key: str, status: int) -> None:
    async with screen() as it:
        await it.pilot.press(key)
        await it.pilot.pause()
        assert it.app._exit
        assert (it.app.return_code or 0) == status


async def test_the_footer_has_eight_keys_at_most_and_all_fit() -> None:
    async with screen(size=(80, 24)) as it:
        keys = list(it.main.query("FooterKey"))
        assert 5 <= len(keys) <= 8
        assert all(key.region.right <= 80 for key in keys)


# -- directories --------------------------------------------------------------------------------------


async def test_directories_open_and_close_by_keys() -> None:
    async with screen("demo:bigfile") as it:
        it.files.focus()
        count = it.files.row_count
        await it.press("left")
        assert it.files.row_count == count - 5
        assert row(it.files, "bin/") == "+ ▸ bin/ ▏ 8 kB"
        await it.press("l")
        assert it.files.row_count == count
        await it.press("right")
        assert here(it) == b"bin/busybox"
        await it.press("h")
        assert here(it) == b"bin"
        await it.press("enter")
        assert it.files.row_count == count - 5
        await it.press("enter")
        assert it.files.row_count == count


async def test_what_was_closed_stays_closed_and_what_was_opened_stays_open() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        it.files.focus()
        assert here(it) == b"etc"
        await it.press("left")
        count = it.files.row_count
        await it.press("v", "v")
        assert it.files.row_count == count
        assert row(it.files, "etc/").startswith("≈ ▸ etc/")
        await it.layer(1)
        await it.layer(2)
        assert it.files.row_count == count


async def test_the_cursor_stays_on_its_path() -> None:
    """In the merged tree, in another layer, and where a layer between has no such path."""
    async with screen("demo:rails-4.2:d") as it:
        await it.layer(1)
        it.files.reveal(it.analysis.overlay.find(b"etc/ld.so.cache"))
        await it.press("v")
        assert here(it) == b"etc/ld.so.cache"
        await it.press("v")
        await it.layer(2)
        assert here(it) == b"etc/ld.so.cache"
        await it.layer(3)
        assert here(it) != b"etc/ld.so.cache"
        await it.layer(1)
        assert here(it) == b"etc/ld.so.cache"


async def test_where_a_path_is_not_there_the_cursor_is_as_near_as_it_gets() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(1)
        it.files.reveal(it.analysis.overlay.find(b"etc/hostname"))
        await it.layer(2)
        assert here(it) == b"etc"


async def test_another_image_starts_anew() -> None:
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        it.files.focus()
        await it.press("G")
        assert it.files.cursor > 0
        await it.open("golang:c")
        assert it.layers.cursor == 0
        assert it.files.cursor == 0


# -- mouse --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pane", [0, 1, 2, 3])
async def test_a_click_sets_the_cursor(pane: int) -> None:
    async with screen("demo:ruby:b") as it:
        lines = it.panes[pane]
        await it.pilot.click(lines, offset=(5, TOP + 1))
        await it.settle()
        assert lines.cursor == 1
        assert it.focused == PANES[pane]


async def test_a_click_on_a_title_or_below_the_rows_moves_nothing() -> None:
    async with screen("demo:bigfile") as it:
        await it.press("down")
        for y in (0, 1, it.layers.size.height - 1):
            await it.pilot.click(it.layers, offset=(5, y))
            await it.settle()
            assert it.layers.cursor == 1


@pytest.mark.parametrize(
    ("pane", "line", "done"),
    [
        (0, 3, lambda it: it.focused == "layers" and it.analysis.image.name == "ruby:b"),
        (1, 0, lambda it: it.focused == "files"),
        (3, 0, lambda it: it.focused == "files" and here(it) == b"BigFile"),
    ],
)
async def test_a_double_click_opens(pane: int, line: int, done: Callable[[Screen], bool]) -> None:
    async with screen("demo:bigfile") as it:
        await it.pilot.double_click(it.panes[pane], offset=(5, TOP + line))
        await it.settle()
        assert done(it)


async def test_a_double_click_opens_and_closes_a_directory() -> None:
    async with screen("demo:bigfile") as it:
        count = it.files.row_count
        await it.pilot.double_click(it.files, offset=(6, TOP))
        await it.settle()
        assert it.files.row_count == count - 5
        await it.pilot.pause(0.6)  # or Textual counts on: a triple click
        await it.pilot.double_click(it.files, offset=(6, TOP))
        await it.settle()
        assert it.files.row_count == count


async def test_clicks_know_how_far_it_is_scrolled() -> None:
    async with screen("demo:ruby:b", size=(80, 24)) as it:
        await it.layer(2)
        it.files.focus()
        await it.press("G")
        top = it.files.row_count - it.files.page
        await it.pilot.click(it.files, offset=(5, TOP))
        await it.settle()
        assert it.files.cursor == top


async def test_the_wheel_scrolls_and_leaves_the_cursor() -> None:
    async with screen("demo:ruby:b", size=(80, 24)) as it:
        await it.layer(2)
        first = drawn(it.files)
        await scroll(it, it.files, down=True)
        await it.until("scrolled", lambda: drawn(it.files) != first)
        assert drawn(it.files)[:TOP] == first[:TOP]
        assert it.files.cursor == 0
        await scroll(it, it.files, down=False)
        await it.until("scrolled back", lambda: drawn(it.files) == first)
