"""The tabs of an image, the line that names them, and the line that says where one is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imgscope.analysis import Analysis
from imgscope.images.model import Image
from imgscope.sources.base import Source
from imgscope.ui import loader
from imgscope.ui.widgets import tabs
from imgscope.ui.widgets.crumbs import Crumbs, crumbs
from imgscope.ui.widgets.lines import Piece
from imgscope.ui.widgets.strip import TabStrip
from imgscope.ui.widgets.tabs import TABS, TabPane
from tests.support.stacks import file
from tests.ui.driver import FakeSource, Screen, index, screen

Loads = list[tuple[str, bool]]


class Noting(TabPane):
    """Notes what it is asked to show."""

    def __init__(self, loads: Loads) -> None:
        super().__init__("config")
        self._loads = loads
        self._names: list[str] = []

    @property
    def row_count(self) -> int:
        return len(self._names)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        yield f"config of {self._names[number]}", ""

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        self._loads.append((image.name, analysis is not None))
        self._names = [image.name] * 3
        self.changed()

    def clear(self, note: str) -> None:
        self._loads.append((note, False))
        self._names, self.note = [], note
        self.changed(0)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """What the tab Config was asked to show."""
    noted: Loads = []
    monkeypatch.setitem(tabs.PANES, "config", lambda: Noting(noted))
    return noted


def strip(it: Screen) -> str:
    return it.main.query_one(TabStrip).render_line(0).text


def where(it: Screen) -> str:
    return it.main.query_one(Crumbs).render_line(0).text.strip()


# -- tabs ---------------------------------------------------------------------------------------------


async def test_each_key_shows_its_tab() -> None:
    async with screen("demo:ruby:b") as it:
        for number, tab in enumerate(TABS, 1):
            await it.press(str(number))
            assert it.main.explorer.tab == tab
            assert f"[{number} {tab.title()}]" in strip(it)
            assert strip(it).count("[") == 1
            shown = [pane.id for pane in it.main.explorer.query("Lines") if pane.is_on_screen]
            assert shown == [pane.id for pane in it.main.explorer.panes]


async def test_waste_is_the_wasted_pane_with_all_the_room() -> None:
    async with screen("demo:ruby:b") as it:
        height = it.wasted.size.height
        await it.press("2")
        assert it.focused == "wasted"
        assert it.wasted.size.height > 2 * height
        assert "stored dead by layer 1 553 kB" in it.text
        await it.press("enter")
        assert (it.main.explorer.tab, it.focused) == ("files", "files")
        assert "dead" in " ".join(piece for piece, _ in it.files.row(it.files.cursor, 80))


async def test_who_looks_through_the_images_goes_on_doing_so(loads: Loads) -> None:
    async with screen("demo:") as it:
        await it.press("3")
        assert it.focused == "images"
        await it.press("down", "tab")
        assert it.focused == "config"
        assert loads[-1] == ("debian:a", True)
        assert {name for name, _ in loads} == {"bigfile:latest", "debian:a"}


async def test_a_tab_that_is_not_shown_reads_nothing(loads: Loads) -> None:
    async with screen("demo:") as it:
        await it.press("down", "3", "1", "down", "f5")
        assert {name for name, _ in loads} == {"debian:a"}
        await it.press("3")
        assert loads[-1] == ("golang:c", True)


async def test_a_tab_without_an_image_says_why(loads: Loads) -> None:
    async with screen("demo:") as it:
        it.images.cursor = 7
        await it.settle()
        await it.press("3")
        assert loads[-1] == ("no image here has just these layers", False)
        assert "no image here has just these layers" in it.text


async def test_tab_goes_through_what_is_to_be_seen() -> None:
    async with screen("demo:ruby:b") as it:
        for key, panes in (("1", 4), ("2", 2), ("3", 2)):
            await it.press(key)
            seen = []
            for _ in range(panes):
                await it.press("tab")
                seen.append(it.focused)
            assert sorted(seen) == sorted(["images", *(pane.id or "" for pane in it.main.explorer.panes)])


async def test_esc_goes_back_to_the_files_and_then_to_the_images() -> None:
    async with screen("demo:ruby:b") as it:
        for key in "2345":
            await it.press(key, "escape")
            assert (it.main.explorer.tab, it.focused) == ("files", "layers")
        await it.press("escape")
        assert it.focused == "images"


async def test_zoom_works_in_every_tab() -> None:
    async with screen("demo:ruby:b") as it:
        await it.press("z")
        for key in "23456":
            await it.press(key)
            assert it.zoomed == it.focused == it.main.explorer.panes[0].id
        await it.press("escape")
        assert not it.zoomed


async def test_a_tab_that_needs_no_layers_reads_none(loads: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    source = FakeSource(
        {"one:1": [index(file("a", 1))], "two:1": []}, step=lambda name, number, job: read.append(name)
    )
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("") as it:
        await it.press("3", "enter")
        assert it.focused == "config"
        assert "config of one:1" in it.text
        assert (loads[-1], read) == (("one:1", False), [])
        await it.press("1", "escape", "enter")
        assert read == ["one:1"]


# -- their line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80])
async def test_a_click_shows_a_tab(width: int) -> None:
    async with screen("demo:ruby:b", (width, 24)) as it:
        line = it.main.query_one(TabStrip)
        for number, tab in enumerate(TABS, 1):
            assert await it.pilot.click(TabStrip, offset=(strip(it).index(str(number)), 0))
            await it.settle()
            assert line.shown == it.main.explorer.tab == tab
            assert it.focused == it.main.explorer.panes[0].id


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
async def test_the_line_of_tabs_fits(width: int) -> None:
    async with screen("demo:ruby:b", (width, 24)) as it:
        assert cell_len(strip(it)) == width
        assert all(str(number) in strip(it) for number in range(1, 7)) or width < 30
        assert ("6 Containers" in strip(it)) == (width >= 80)


# -- where one is -------------------------------------------------------------------------------------


async def test_where_one_is() -> None:
    async with screen("demo:") as it:
        assert where(it) == "demo images › bigfile:latest › layer 1 › /bin"
        await it.press("down", "enter", "enter")
        assert where(it) == "demo images › debian:a › layer 1 › /boot"
        await it.press("down")
        assert where(it) == "demo images › debian:a › layer 1 › /dev"
        await it.press("2")
        assert where(it) == "demo images › debian:a › waste"
        it.images.cursor = 7
        await it.settle()
        assert where(it) == "demo images"


async def test_where_one_is_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = {"[/]\x1b[31m:1": [index(file("\x1b]0;x\x07/\u202e[red]", 1))]}
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: FakeSource(layers, cheap=True))
    async with screen("") as it:
        await it.press("enter", "enter", "down")
        assert where(it) == r"fake › [/]\x1b[31m:1 › layer 1 › /\x1b]0;x\x07/\u202e[red]"


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "docker › registry/team/ruby:3 › layer 12 › /var/lib/apt/lists/Packages"),
        (60, "…gistry/team/ruby:3 › layer 12 › /var/lib/apt/lists/Packages"),
        (50, "…y/team/ruby:3 › layer 12 › …ib/apt/lists/Packages"),
        (30, "…uby:3 › layer 12 › …/Packages"),
    ],
)
def test_the_end_of_where_one_is_matters_most(width: int, text: str) -> None:
    parts = ("docker", "registry/team/ruby:3", "layer 12", "/var/lib/apt/lists/Packages")
    assert crumbs(parts, width) == text


@given(st.lists(st.text("ab漢/", max_size=20), max_size=4), st.integers(0, 50))
def test_where_one_is_fits(parts: list[str], width: int) -> None:
    assert cell_len(crumbs(parts, width)) <= width
