"""The map: which rectangles, how large, and the way in and out by key and by mouse."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len

from imgscope.images.ancestry import unique_bytes
from imgscope.images.usage import usage
from imgscope.ui.screens.treemap import MapScreen
from imgscope.ui.widgets.treemap import Tile, Treemap
from tests.support.stacks import Layer, file, layer_tar, whiteout
from tests.ui.driver import Screen, screen, write_layout
from tests.ui.test_hostile import BROKEN, NASTY, raw_tar

STACK = [
    [
        file("usr/lib/a.so", 40_000),
        file("usr/lib/b.so", 20_000),
        file("usr/bin/sh", 10_000),
        file("big", 30_000),
    ],
    [whiteout("big"), file("usr/lib/b.so", 5_000)],
]


class Map:
    """The map as a test sees it."""

    def __init__(self, it: Screen) -> None:
        self.it = it
        screen = it.app.screen
        assert isinstance(screen, MapScreen)
        self.screen = screen
        self.widget = self.screen.query_one(Treemap)

    def text(self, name: str) -> str:
        return str(self.screen.query_one(f"#map-{name}").render()).strip()

    @property
    def names(self) -> dict[str, Tile]:
        """The rectangles by what is written in them."""
        return {self.widget.name_of(item): item for item in self.widget.tiles}

    @property
    def here(self) -> str:
        assert self.widget.tile is not None
        return self.widget.name_of(self.widget.tile)

    def drawn(self) -> list[str]:
        return [self.widget.render_line(y).text for y in range(self.widget.size.height)]

    async def click(self, name: str, times: int = 1, *, x: int = 2, y: int = 0) -> None:
        """Click into a rectangle, at a place in it."""
        rect = self.names[name].rect
        await self.it.pilot.click(Treemap, offset=(rect.x + x, rect.y + y), times=times)
        await self.it.settle()

    def check(self) -> None:
        """The rectangles fill the map, and each line is as wide as it, with nothing that acts in it."""
        size = self.widget.size
        assert sum(item.rect.area for item in self.widget.tiles) == size.area
        for line in self.drawn():
            assert cell_len(line) == size.width
            assert not {unicodedata.category(letter) for letter in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for name in ("title", "path", "text"):
            assert cell_len(self.text(name)) <= size.width
            assert self.text(name).isprintable()


@asynccontextmanager
async def mapped(
    folder: Path, layers: Sequence[Layer], size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[Screen, Map]]:
    """The map of an image of these layers."""
    tars = [layer_tar(layer) for layer in layers]
    async with screen(f"oci:{write_layout(folder, [('img:1', {}, tars)])}", size) as it:
        await it.press("m")
        found = Map(it)
        found.check()
        yield it, found


async def test_rectangles_are_as_large_as_their_bytes(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (_, found):
        usr, big = found.names["usr"], found.names["big"]
        assert (usr.live, usr.dead, big.live, big.dead) == (55_000, 20_000, 0, 30_000)
        whole = found.widget.size.area
        assert usr.rect.area == pytest.approx(whole * 75 / 105, abs=30)
        assert big.rect.area == pytest.approx(whole * 30 / 105, abs=30)
        assert "105 kB · 50 kB dead" in found.text("title")
        assert (found.text("path"), found.text("text")) == (
            "/usr/",
            "75 kB · 71% of the image · 20 kB dead (27%) · 2 in it",
        )


async def test_dead_bytes_are_hatched_as_far_as_they_go(tmp_path: Path) -> None:
    layers = [
        [file("dead", 5000), file("half", 5000), file("live", 5000)],
        [whiteout("dead"), file("half", 5000)],
    ]
    async with mapped(tmp_path, layers) as (_, found):
        drawn = found.drawn()
        part = {}
        for name, item in found.names.items():
            x, y, width, height = item.rect
            inside = "".join(line[x + 1 : x + width] for line in drawn[y + 1 : y + height])
            part[name] = inside.count("╱") / len(inside)
        assert part["live"] == 0
        assert part["half"] == pytest.approx(0.5, abs=0.01)
        assert part["dead"] > 0.97  # its size is written over some of it


async def test_in_and_out_by_keys(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        assert found.here == "usr"
        await it.press("enter")
        found.check()
        assert list(found.names) == ["lib", "bin"]
        assert found.text("title").endswith("/usr")
        assert found.text("text") == "65 kB · 87% of /usr · 62% of the image · 20 kB dead (31%) · 2 in it"
        await it.press("tab")
        assert (found.here, found.text("path")) == ("bin", "/usr/bin/")
        await it.press("y")
        assert it.app.clipboard == "/usr/bin"
        await it.press("enter", "backspace")
        assert (list(found.names), found.here) == (["lib", "bin"], "bin")
        await it.press("escape")
        assert found.here == "usr"
        await it.press("escape")
        assert it.at_main


async def test_arrows_go_where_they_point(tmp_path: Path) -> None:
    async with mapped(tmp_path, [[file(name, 1000) for name in "abcd"]]) as (it, found):
        steps = [("down", "b"), ("right", "d"), ("up", "c"), ("up", "c"), ("left", "a"), ("left", "a")]
        assert found.here == "a"
        for key, name in steps:
            await it.press(key)
            assert found.here == name
        await it.press("tab", "tab")
        assert found.here == "c"
        await it.press("shift+tab", "j", "l", "k", "h")
        assert found.here == "a"


async def test_what_is_inside_is_drawn_inside(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (_, found):
        usr = found.names["usr"]
        inside = {found.widget.name_of(item): item for row in usr.rows for item in row}
        assert set(inside) == {"lib", "bin"}
        assert sum(item.rect.area for item in inside.values()) == (usr.rect.width - 1) * (usr.rect.height - 1)
        assert {"a.so", "b.so"} == {found.widget.name_of(item) for row in inside["lib"].rows for item in row}
        assert any("┌lib 65 kB" in line for line in found.drawn())


async def test_small_ones_are_put_together_and_can_be_entered(tmp_path: Path) -> None:
    files = [file("big", 1_000_000), *(file(f"small{number:03}", 10) for number in range(300))]
    async with mapped(tmp_path, [files]) as (it, found):
        assert list(found.names) == ["big", "… 300 more"]
        assert found.names["… 300 more"].total == 3000
        await it.press("tab")
        assert found.text("path").startswith("/: 300 more, too small")
        assert found.text("text") == "3 kB · 0.3% of the image"
        await it.press("enter")
        found.check()
        assert "big" not in found.names
        shown = sum(item.many for item in found.widget.tiles)
        assert shown == 300
        assert "small000" in found.names
        await it.press("escape")
        assert found.here == "… 300 more"


async def test_many_equals_are_gone_through_page_by_page(tmp_path: Path) -> None:
    files = [file(f"f{number:04}", 1000 + number) for number in range(400)]
    left = {item.name: len(item.content) for item in files}
    async with mapped(tmp_path, [files], (44, 14)) as (it, found):
        while left:
            found.check()
            assert sum(item.total for item in found.widget.tiles) == sum(left.values())
            shown = [name for name, item in found.names.items() if item.rest < 0]
            assert shown
            for name in shown:
                assert left.pop(name) == found.names[name].total
            if left:
                assert found.names[f"… {len(left)} more, not to scale"].many == len(left)
            await it.press("shift+tab", "enter")
        assert it.at_main, "the last is a file, and is gone to"


async def test_one_that_is_left_is_drawn_as_itself(tmp_path: Path) -> None:
    async with mapped(tmp_path, [[file("big", 1_000_000), file("small", 10)]]) as (_, found):
        assert list(found.names) == ["big", "small"]


async def test_a_click_goes_in_and_a_double_click_to_the_file(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        await found.click("big")
        assert (found.here, len(found.widget.trail)) == ("big", 1)
        bin_at = next(
            item for row in found.names["usr"].rows for item in row if found.widget.name_of(item) == "bin"
        )
        await found.click("usr", x=bin_at.rect.x + 1, y=bin_at.rect.y + 1)
        assert (len(found.widget.trail), found.here) == (2, "bin")
        await found.click("lib")
        await found.click("b.so", times=2)
        assert it.at_main
        assert it.files.view is not None
        assert it.files.node == it.files.view.overlay.find(b"usr/lib/b.so")
        assert (it.layers.number, it.focused) == (2, "files")


async def test_g_goes_to_the_file_also_to_one_that_is_gone(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        await it.press("tab")
        assert found.here == "big"
        await it.press("g")
        assert it.at_main
        assert it.files.view is not None
        assert it.files.node == it.files.view.overlay.find(b"big")
        assert it.layers.number == 1


async def test_scopes(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        await it.press("enter")
        await it.press("s")
        assert "layer 1 · 100 kB · 50 kB dead" in found.text("title")
        assert list(found.names) == ["lib", "bin"], "one stays in the directory"
        await it.press("s")
        assert "layer 1 merged · 100 kB · 50 kB dead" in found.text("title")
        await it.press("s")
        assert "all images, each layer once · 105 kB" in found.text("title")
        assert list(found.names) == ["img:1"]
        await it.press("enter")
        assert {item.total for item in found.widget.tiles} == {100_000, 5000}
        await it.press("tab", "enter")
        assert it.at_main
        assert (it.layers.number, it.focused) == (2, "layers")


async def test_all_images_share_layers_once() -> None:
    async with screen("demo:") as it:
        await it.press("m")
        found = Map(it)
        while "all images" not in found.text("title"):
            await it.press("s")
        found.check()
        forest = it.images.forest
        assert forest is not None
        images = [node.image for node in forest.nodes.values() if node.image]
        used = usage(images)
        assert used is not None
        assert sum(item.total for item in found.widget.tiles) == used.total
        unique = unique_bytes(images)
        for name, item in found.names.items():
            if name != "shared":
                assert item.total == next(unique[image.id] for image in images if image.name == name)
        assert found.names["shared"].total == used.total - sum(filter(None, unique.values()))


async def test_without_an_image_there_are_all_images_only(tmp_path: Path) -> None:
    async with screen(f"oci:{write_layout(tmp_path, [])}") as it:
        await it.press("m")
        found = Map(it)
        assert found.widget.render_line(1).text.strip() == "no byte is stored here"
        await it.press("s", "enter", "backspace", "up", "tab", "g", "y", "home")
        await it.press("q")
        assert it.at_main


async def test_another_size_is_laid_out_anew(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        await it.press("enter", "tab")
        for size in ((60, 20), (24, 8), (10, 5), (200, 60)):
            await it.pilot.resize_terminal(*size)
            await it.settle()
            found.check()
        assert (found.here, found.text("path")) == ("bin", "/usr/bin/")


async def test_names_from_outside(tmp_path: Path) -> None:
    names = [name[:20_000] for name in NASTY.values() if name.strip() and "\0" not in name]
    layers = [[file(f"{name}/{name}", 3000 + number) for number, name in enumerate(names)]]
    async with mapped(tmp_path, layers, (80, 24)) as (it, found):
        for number, _ in enumerate(names):
            await it.press("tab")
            found.check()
            if number % 4 == 0:
                await it.press("enter", "y")
                found.check()
                await it.press("escape")


async def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    tars = [raw_tar(*BROKEN)]
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, tars)])}", (80, 24)) as it:
        await it.press("m")
        found = Map(it)
        found.check()
        assert "caf\\xe9\\xff" in found.names


async def test_wide_names_fill_no_more_than_their_place(tmp_path: Path) -> None:
    files = [file("漢字" * 30 + str(number), 1000 + number) for number in range(20)]
    async with mapped(tmp_path, [files], (81, 24)) as (it, found):
        for _ in range(4):
            await it.press("tab")
            found.check()


async def test_leaving_ends_the_work(tmp_path: Path) -> None:
    async with mapped(tmp_path, STACK) as (it, found):
        await it.press("q")
        assert it.at_main
        assert found.screen._job.cancelled
