"""Small and large screens, no colour, deep and wide trees."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from rich.cells import cell_len

from imgscope.sources.base import Source
from imgscope.ui import loader
from imgscope.ui.widgets.crumbs import Crumbs
from imgscope.ui.widgets.files import FileTree
from imgscope.ui.widgets.lines import Lines, Piece, fit, fit_end
from tests.support.stacks import file, folder
from tests.ui.driver import FakeSource, drawn, index, row, rows, screen


def give(monkeypatch: pytest.MonkeyPatch, source: Source) -> None:
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)


# -- screens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 60), (40, 12), (20, 6), (1, 1)])
async def test_any_size_draws(size: tuple[int, int]) -> None:
    async with screen("demo:ruby:b", size) as it:
        for keys in (("down", "down"), ("v",), ("tab", "G"), ("tab", "G"), ("z",), ("z", "question_mark")):
            await it.press(*keys)
            for pane in it.panes:
                assert {cell_len(line) for line in drawn(pane)} <= {pane.size.width}
        assert it.app.export_screenshot()


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 60)])
async def test_what_matters_is_there_at_any_size(size: tuple[int, int]) -> None:
    async with screen("demo:bigfile", size) as it:
        text = it.text
        for words in ("bigfile:latest", "3.41 MB", "BigFile", "dead", "[1 Files]", "demo images › bigfile"):
            assert words in text, words
        for pane in it.panes:
            assert pane.size.height >= (4 if pane.display else 0)
        await it.press("2")
        for words in ("efficiency 12%", "/BigFile", "removed", "[2 Waste]", "bigfile:latest › waste"):
            assert words in it.text, words


@pytest.mark.parametrize(
    ("height", "shown"), [(12, "files"), (20, "files crumbs"), (24, "files crumbs wasted"), (30, "all")]
)
async def test_what_gives_way_on_a_low_screen(height: int, shown: str) -> None:
    """First the bar of shares, then the wasted paths, which have a tab, then the line of where one is."""
    async with screen("demo:bigfile", (80, height)) as it:
        explorer = it.main.explorer
        found = {
            "files": it.files.is_on_screen,
            "crumbs": it.main.query_one(Crumbs).display,
            "wasted": it.wasted.display,
            "shares": explorer.share_bar.display,
        }
        assert [name for name, there in found.items() if there] == (
            list(found) if shown == "all" else shown.split()
        )
        assert (it.wasted in explorer.panes) == it.wasted.display


async def test_a_new_size_is_taken_up() -> None:
    async with screen("demo:ruby:b", (120, 40)) as it:
        await it.layer(2)
        it.files.focus()
        await it.press("G")
        for size in ((80, 24), (200, 60), (60, 20)):
            await it.pilot.resize_terminal(*size)
            await it.settle()
            assert rows(it.files)[-1].strip()[:10] in "\n".join(drawn(it.files))
            for pane in it.panes:
                assert {cell_len(line) for line in drawn(pane)} <= {pane.size.width}
            assert (it.wasted.size.height >= 4) == it.wasted.display == (size[1] > 20)


async def test_without_colour_the_signs_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with screen("demo:ruby:b") as it:
        await it.layer(2)
        assert it.app.no_color
        assert row(it.files, "ld.so.cache").startswith("~ ")
        assert row(it.files, "ssl/").startswith("+ ")
        colours = {
            colour
            for strip in it.app.screen._compositor.render_strips()
            for segment in strip.apply_filter(it.app._filters[-1], it.app.screen.styles.background)
            if segment.style and (colour := segment.style.color) and colour.triplet
        }
        assert colours
        assert all(len(set(colour.triplet or ())) == 1 for colour in colours)


@pytest.mark.parametrize("width", [80, 100, 120])
async def test_long_names_keep_their_end(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "registry.example.com/a-team/with-a-long-name/and-a-project/service:2026.06.01-1234"
    give(monkeypatch, FakeSource({name: [index(file("a", 1))]}))
    async with screen("", (width, 24)) as it:
        assert "service:2026.06.01-1234" in rows(it.images)[0]
        assert rows(it.images)[0].lstrip(" ▸").startswith("registry" if width > 130 else ("…", "registry"))


async def test_the_title_of_a_narrow_pane_keeps_what_it_says() -> None:
    async with screen("demo:simple-node:case-1", (80, 24)) as it:
        assert drawn(it.layers)[0].startswith("─ simple-node:case-1 · 5 layers ─")
        await it.layer(2)
        assert drawn(it.files)[0].startswith("─ files · layer 2, changes · 1.1 MB ")


# -- trees --------------------------------------------------------------------------------------------


async def test_a_very_deep_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, FakeSource({"deep:1": [index(file("/".join(["d"] * 2000), 7))]}, cheap=True))
    async with screen("", (80, 24)) as it:
        it.files.focus()
        assert it.files.row_count == 2000
        await it.press("G")
        assert row(it.files, "  d  ").endswith("d 7 B")
        assert "d" in drawn(it.files)[-1]
        await it.press("h", "h", "enter", "g", "left")
        assert it.files.row_count == 1


async def test_only_the_rows_that_are_seen_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [folder("d"), *(file(f"d/file-{number:05}", 1) for number in range(20_000))]
    give(monkeypatch, FakeSource({"wide:1": [index(*members)]}, cheap=True))
    made: list[int] = []
    original = FileTree.row

    def counted(self: FileTree, number: int, width: int) -> Iterable[Piece]:
        made.append(number)
        return original(self, number, width)

    monkeypatch.setattr(FileTree, "row", counted)
    async with screen("", (80, 24)) as it:
        it.files.focus()
        await it.press("right")
        assert it.files.row_count == 20_001
        for keys, first, last in ((("pagedown",), 0, 40), (("G",), 19_950, 20_000), (("g",), 0, 30)):
            made.clear()
            await it.press(*keys)
            assert made
            assert len(made) <= 10 * it.files.size.height
            assert first <= min(made)
            assert max(made) <= last
        assert "file-00000" in "\n".join(drawn(it.files))


# -- text in cells ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "width", "start", "end"),
    [
        ("abc", 5, "abc  ", "abc  "),
        ("abcdef", 4, "abc…", "…def"),
        ("漢字漢字", 5, "漢字…", "…漢字"),
        ("漢字漢字", 4, "漢 …", "…字 "),
        ("abc", 1, "…", "…"),
        ("abc", 0, "", ""),
        ("", 3, "   ", "   "),
    ],
)
def test_text_fits(text: str, width: int, start: str, end: str) -> None:
    assert fit(text, width) == start
    assert fit_end(text, width) == end


def test_titles_are_cut_where_it_hurts_least() -> None:
    lines = Lines("files")
    lines.title = ("files", "layer 12, changes", "1.67 MB")
    assert lines._title(60) == "files · layer 12, changes · 1.67 MB"
    assert lines._title(30) == "layer 12, changes · 1.67 MB"
    assert lines._title(20) == "layer 12… · 1.67 MB"[:20] or len(lines._title(20)) <= 20
    assert len(lines._title(3)) <= 3
