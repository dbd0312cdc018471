"""The tree of images: found, sorted, opened and closed; what its images stand on, and what is only theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imgscope.findings.waste import LayerWaste, Waste
from imgscope.images.arrange import Order
from imgscope.images.model import Image
from imgscope.sources.base import Source
from imgscope.ui import loader
from imgscope.ui.widgets.shares import Shares, split
from tests.support.stacks import file, whiteout
from tests.ui.driver import FakeSource, Screen, drawn, index, row, rows, screen


def give(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)


def names(it: Screen) -> list[str]:
    return [line[2:34].strip(" │├└─") for line in rows(it.images, 80)]


def here(it: Screen) -> str:
    """The first name of the image under the cursor."""
    assert it.images.node is not None
    return it.images.node.references[0]


def said(it: Screen) -> str:
    """What the line in which one types says of what is found."""
    return str(it.main.query_one("#filter-images #filter-note").render())


# -- finding ------------------------------------------------------------------------------------------


async def test_what_is_typed_finds_images_and_keeps_what_they_stand_on() -> None:
    async with screen("demo:") as it:
        await it.press("slash", "r", "a", "i", "l")
        assert names(it) == ["debian:a", "ruby:b", "rails-3.2:e", "rails-4.2:d"]
        assert it.images.title == ("images", "/rail: 2 matches")
        assert said(it) == "part of the name: 2 matches"
        pieces = [piece for piece in it.images.row(2, 80) if piece[1] == "match"]
        assert pieces == [("rail", "match")]
        assert here(it) == "rails-3.2:e"
        await it.press("enter")
        assert it.focused == "images"
        await it.press("n")
        assert here(it) == "rails-4.2:d"
        await it.press("n")
        assert here(it) == "rails-3.2:e"
        await it.press("N", "escape")
        assert it.images.row_count == 10
        assert here(it) == "rails-4.2:d"
        assert len(it.images.title) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*:b", ["debian:a", "ruby:b"]),
        ("~^(ruby|kuard)", ["debian:a", "ruby:b", "kuard:blue"]),
        ("nosuch", []),
    ],
)
async def test_globs_and_regular_expressions(text: str, found: list[str]) -> None:
    async with screen("demo:") as it:
        await it.press("slash")
        await it.pilot.press(*text)
        await it.settle()
        assert names(it) == found
        if not found:
            assert "no image is found by this part" in it.text
        await it.press("escape")
        assert it.images.row_count == 10
        assert not it.main.query_one("#filter-images").display


async def test_while_a_regular_expression_is_wrong_the_images_stay() -> None:
    async with screen("demo:") as it:
        await it.press("slash", "tilde", *"ra", "left_parenthesis")
        assert names(it) == ["debian:a", "ruby:b", "rails-3.2:e", "rails-4.2:d"]
        assert said(it).startswith("not a regex: ")
        await it.press("backspace")
        assert said(it) == "regex of the name: 2 matches"


async def test_an_id_finds_its_image() -> None:
    async with screen("demo:") as it:
        await it.press("down", "down")
        assert it.images.node is not None
        digits = it.images.node.id.removeprefix("sha256:")[:8]
        await it.press("slash", *digits)
        assert names(it) == ["debian:a", "golang:c"]


async def test_what_is_found_is_shown_also_where_it_was_closed() -> None:
    async with screen("demo:") as it:
        await it.press("minus", "slash", *"rail", "enter")
        assert names(it) == ["debian:a", "ruby:b", "rails-3.2:e", "rails-4.2:d"]
        await it.press("left")
        assert it.images.row_count == 4
        assert here(it) == "ruby:b"


async def test_both_trees_have_a_filter_of_their_own() -> None:
    async with screen("demo:ruby:b") as it:
        it.files.focus()
        await it.press("slash", *"ssl", "enter")
        it.images.focus()
        await it.press("slash", *"ruby", "enter")
        assert it.images.title[-1] == "/ruby: 1 match"
        assert it.files.title[-1].startswith("/ssl: ")
        await it.press("escape")
        assert it.images.row_count == 10
        assert it.files.pattern is not None


# -- order --------------------------------------------------------------------------------------------


async def test_images_are_sorted_within_their_tree() -> None:
    async with screen("demo:") as it:
        assert it.images.order == Order.NAME
        before = names(it)
        await it.press("S")
        assert it.images.title == ("images", "by size")
        assert names(it)[:6] == [
            "debian:a",
            "golang:c",
            "ruby:b",
            "rails-3.2:e",
            "rails-4.2:d",
            "bigfile:latest",
        ]
        await it.press("S", "S")
        assert it.images.title == ("images", "by wasted")
        assert names(it)[:6] == [
            "bigfile:latest",
            "debian:a",
            "golang:c",
            "ruby:b",
            "rails-4.2:d",
            "rails-3.2:e",
        ]
        await it.press("S")
        assert it.images.title == ("images", "by age")
        ages = [node.image.created or "" for node, _ in it.images._rows if node.image and not node.place]
        assert ages[0] == max(ages)
        await it.press("S")
        assert names(it) == before


async def test_the_cursor_stays_on_its_image() -> None:
    async with screen("demo:ruby:b") as it:
        it.images.focus()
        for _ in Order:
            await it.press("S")
            assert here(it) == "ruby:b"


@pytest.mark.parametrize(
    ("column", "order"), [("size", "size"), ("wasted", "wasted"), ("age", "age"), ("image", "name")]
)
async def test_a_click_on_the_head_sorts(column: str, order: str) -> None:
    async with screen("demo:", (100, 30)) as it:
        x = drawn(it.images)[1].rindex(column) + 1
        await it.pilot.click(it.images, offset=(x, 1))
        await it.settle()
        assert it.images.order.value == order
        assert it.images.cursor >= 0
        assert it.focused == "images"


async def test_all_close_and_open() -> None:
    async with screen("demo:rails-4.2:d") as it:
        it.images.focus()
        await it.press("minus")
        assert names(it) == ["bigfile:latest", "debian:a …", "kuard:blue", "shared base, 3 layers …"]
        assert it.images.cursor == 1
        await it.press("asterisk")
        assert it.images.row_count == 10
        assert it.images.cursor == 1


async def test_columns_can_be_fewer() -> None:
    async with screen("demo:", (100, 30)) as it:
        it.images.columns = ("wasted", "size")
        assert it.images.head(98).split() == ["image", "wasted", "size"]
        assert {cell_len(line) for line in rows(it.images)} == {98}
        it.images.columns = ()
        assert it.images.head(98).split() == ["image"]


async def test_sizes_have_bars_where_there_is_room() -> None:
    async with screen("demo:", (120, 40)) as it:
        assert row(it.images, "golang:c").startswith("├─ golang:c ████████ 7.85 MB")
        assert row(it.images, "ruby:b").startswith("└─ ruby:b ███▍ 3.27 MB")
        assert "█" not in "".join(rows(it.images, 80))


# -- the base -----------------------------------------------------------------------------------------


async def test_the_base_is_named() -> None:
    async with screen("demo:rails-4.2:d") as it:
        assert it.layers.title == ("layers", "rails-4.2:d", "4 layers", "from ruby:b")
    async with screen("demo:simple-node:case-1") as it:
        assert it.layers.title == ("layers", "simple-node:case-1", "5 layers")


async def test_a_base_that_only_a_label_knows_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Labelled(FakeSource):
        def image(self, name: str) -> Image:
            label = {"org.opencontainers.image.base.name": "[/]\x1bbase:1"}
            return replace(super().image(name), config={"Labels": label})

    give(monkeypatch, Labelled({"one:1": [index(file("a", 1))]}, cheap=True))
    async with screen("") as it:
        assert it.layers.title[-1] == r"from [/]\x1bbase:1 (its label)"
        await it.press("B")
        assert not it.layers.only_mine
        assert [note.message for note in it.app._notifications] == [
            "No image here is known to be the base of this one."
        ]


async def test_only_mine_leaves_out_what_the_base_holds() -> None:
    async with screen("demo:rails-4.2:d") as it:
        await it.press("B")
        assert [" ".join(line.split()) for line in rows(it.layers, 60)] == [
            "1–2 3.27 MB 1.08 MB base ruby:b · 2 layers",
            "3 ████ 830 kB 0 B RUN gem install rails -v 4.2.…",
            "4 0 B 0 B RUN rm -rf /var/lib/apt/lists…",
            "EXPOSE 3000",
            'CMD ["rails", "server", "-b",…',
        ]
        assert it.layers.number == 2
        await it.press("down", "v")
        assert "layer 3 merged" in it.title
        mine = {line[4:].strip().split()[0] for line in rows(it.files)}
        assert {"usr/", "rails"} <= mine
        assert "boot/" not in mine
        await it.press("B")
        assert it.layers.number == 3
        assert "layers 1–3 merged" in it.title
        assert "boot/" in {line[4:].strip().split()[0] for line in rows(it.files)}


async def test_a_path_that_is_wasted_in_the_base_is_found_all_the_same() -> None:
    async with screen("demo:rails-4.2:d") as it:
        await it.press("B")
        assert it.layers.hidden == 2
        it.wasted.focus()
        await it.press("enter")
        assert (it.focused, it.layers.number, it.layers.only_mine) == ("files", 1, False)
        assert "dead" in rows(it.files)[it.files.cursor]


async def test_only_mine_holds_for_the_next_image_too() -> None:
    async with screen("demo:rails-4.2:d") as it:
        await it.press("B")
        await it.open("golang:c")
        assert rows(it.layers)[0].split()[-5:] == ["base", "debian:a", "·", "1", "layer"]
        await it.open("kuard:blue")
        assert not it.layers.hidden
        assert "base" not in rows(it.layers)[0]


# -- what the bytes are -------------------------------------------------------------------------------


async def test_the_bytes_of_an_image_are_one_bar() -> None:
    async with screen("demo:rails-4.2:d", (120, 40)) as it:
        line = it.main.explorer.share_bar.render_line(0).text
        assert line.split("  live ")[1].rstrip() == "█ own 830 kB  ░ shared 2.19 MB  ▒ dead 1.08 MB"
        bar = line.split("  live ")[0].strip()
        assert (len(bar), bar) == (40, "█" * bar.count("█") + "░" * bar.count("░") + "▒" * bar.count("▒"))
        assert bar.count("░") > bar.count("▒") > bar.count("█") > 0
    async with screen("demo:rails-4.2:d", (60, 20)) as it:
        await it.press("2")
        assert "█ own 830 kB  ░ shared 2.19 MB  ▒ dead 1.08 MB" in it.text


async def test_nothing_is_said_of_the_bytes_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, FakeSource({"one:1": [index(file("a", 1)), index(whiteout("a"))]}))
    async with screen("") as it:
        assert it.main.explorer.share_bar.shares is None
        await it.press("enter")
        assert it.main.explorer.share_bar.shares == Shares(own=0, shared=0, dead=1)


counts = st.integers(0, 2**40)


@given(st.lists(st.tuples(counts, counts), max_size=5), st.integers(0, 5))
def test_shares_are_all_of_the_bytes(layers: list[tuple[int, int]], shared: int) -> None:
    waste = Waste(tuple(LayerWaste(live + dead, dead) for live, dead in layers), ())  # type: ignore[arg-type]
    shares = Shares.of(waste, shared)
    assert sum(shares) == waste.live + waste.dead
    assert shares.shared == sum(live for live, _ in layers[:shared])


@given(st.lists(counts, min_size=1, max_size=4), st.integers(4, 80))
def test_cells_are_shared_out_by_size(sizes: list[int], width: int) -> None:
    cells = split(sizes, width)
    total = sum(sizes)
    assert sum(cells) == (width if total else 0)
    for size, count in zip(sizes, cells, strict=True):
        assert (count > 0) == (size > 0)
        if total:
            assert count <= max(size * width / total + 1, 1)
