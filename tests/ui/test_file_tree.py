"""The file tree: all opened and closed, sorted, filtered."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from imgscope.job import Job
from imgscope.ui import kept, loader
from imgscope.ui.widgets.filter import FilterLine
from imgscope.ui.widgets.lines import TOP
from tests.support.stacks import file, folder, whiteout
from tests.ui.driver import FakeSource, Screen, drawn, index, row, rows, screen


def here(it: Screen) -> str:
    """The path under the cursor."""
    assert it.files.view is not None
    assert it.files.node is not None
    return it.files.view.overlay.path(it.files.node).decode()


def names(it: Screen) -> list[str]:
    """The names in the tree, as they are indented."""
    return [line[2:40].rstrip() for line in rows(it.files, 100)]


def line(it: Screen) -> FilterLine | None:
    """The line in which one types what to look for."""
    return next((found for found in it.main.query(FilterLine) if found.display), None)


def note(it: Screen) -> str:
    found = line(it)
    assert found is not None
    return str(found.query_one("#filter-note").render())


def text(it: Screen) -> str:
    found = line(it)
    assert found is not None
    return found.query_one(Input).value


def is_typing(it: Screen) -> bool:
    return line(it) is not None


def match(it: Screen, number: int) -> str:
    """What is pointed out in a row."""
    return "".join(text for text, kind in it.files.row(number, 100) if kind == "match")


async def search(it: Screen, text: str) -> None:
    """Open the line and type."""
    it.files.focus()
    await it.press("slash")
    found = line(it)
    assert found is not None
    found.query_one(Input).value = text
    await it.settle()


@pytest.fixture
def deep(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """An image of two layers, whose directories are too many to be open from the start."""
    base = [folder("a")] + [file(f"a/b{number}/c/d{number}.txt", number + 1) for number in range(60)]
    source = FakeSource({"deep:1": [index(*base), index(whiteout("a/b59"), file("a/b7/c/d7.txt", 500))]})
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    return source


# -- all opened, all closed ---------------------------------------------------------------------------


async def test_all_opened_and_all_closed(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        assert it.files.row_count == 1
        await it.press("asterisk")
        assert it.files.row_count == 1 + 3 * 60
        await it.press("G")
        assert here(it) == "a/b9/c/d9.txt"
        await it.press("minus")
        assert it.files.row_count == 1
        assert here(it) == "a"
        await it.press("plus", "down", "left", "down")
        assert it.files.row_count == 3 * 60 - 1
        assert here(it) == "a/b1"


async def test_what_was_all_opened_is_open_in_every_layer(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("asterisk", "v")
        await it.layer(2)
        assert it.files.row_count == 1 + 3 * 59
        await it.press("minus", "v")
        assert it.files.row_count == 1


async def test_keys_on_no_tree_do_nothing() -> None:
    async with screen() as it:
        it.images.cursor = 7  # a shared base, which has no files of its own
        await it.settle()
        it.files.focus()
        await it.press("asterisk", "minus", "n", "N", "S", "slash", "left", "enter")
        assert it.files.row_count == 0
        assert not is_typing(it)


async def test_the_palette_has_what_the_keys_of_the_tree_do(deep: FakeSource) -> None:
    async with screen("any") as it:
        it.files.focus()
        await it.settle()
        titles = {command.title for command in it.app.get_system_commands(it.main)}
        assert titles >= {"Filter", "Next match", "Match before", "Sort", "Open all", "Close all"}
        assert not titles & {"Open", "Close", "Up", "Page down"}


# -- order --------------------------------------------------------------------------------------------


async def test_the_order_goes_around_and_is_told(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("asterisk")
        assert names(it)[1].strip() == "▾ b0/"
        await it.press("S")
        assert "by size" in it.title
        assert names(it)[1].strip() == "▾ b59/"
        await it.press("S")
        assert "by state" in it.title
        await it.press("S")
        assert "by dead" in it.title
        assert [line.strip() for line in names(it)[1:7:3]] == ["▾ b59/", "▾ b7/"]
        await it.press("S")
        assert not any(part.startswith("by ") for part in it.title)
        assert names(it)[1].strip() == "▾ b0/"


async def test_the_cursor_stays_on_its_path_in_another_order(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("asterisk", "down", "down", "down", "down")
        assert here(it) == "a/b1"
        await it.press("S")
        assert here(it) == "a/b1"
        assert it.files.cursor > 4


# -- filter -------------------------------------------------------------------------------------------


async def test_typing_filters_and_says_how(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("slash")
        assert is_typing(it)
        assert "glob" in note(it)
        await it.press("D", "backspace", "d", "7")
        assert [line.strip() for line in names(it)] == ["▾ a/", "▾ b7/", "▾ c/", "d7.txt"]
        assert here(it) == "a/b7/c/d7.txt"
        assert note(it) == "part of the name: 1 match"
        assert it.title[-1] == "/d7: 1 match"
        assert ("d7", "match") in list(it.files.row(3, 100))
        await it.press("backspace")
        assert it.title[-1] == "/d: 60 matches"
        await search(it, "d?.TXT")
        assert it.files.row_count == 0
        assert "nothing is found by this glob of the name" in "\n".join(drawn(it.files))
        await search(it, "b?/c/")
        assert note(it) == "glob of the path: 10 matches"


async def test_the_filter_is_asked_for_in_every_pane(deep: FakeSource) -> None:
    """What is typed after the key must never be taken for keys that act."""
    async with screen("any") as it:
        await it.press("enter")
        for pane in it.panes:
            pane.focus()
            await it.press("slash", "d", "5")
            assert text(it) == "d5"
            await it.press("escape")
            assert it.focused == ("images" if pane is it.images else "files")


async def test_the_filter_is_asked_for_before_there_are_files(deep: FakeSource) -> None:
    """Else `/d…` and enter would remove an image."""
    async with screen("any") as it:
        it.files.focus()
        await it.press("slash", "d")
        assert is_typing(it)
        assert note(it).startswith("no image is read")
        await it.press("escape")
        assert (it.focused, is_typing(it)) == ("images", False)
        await it.press("enter")
        assert it.title[-1] == it.title[2]  # no word of a filter


@pytest.mark.parametrize("pane", ["images", "files"])
async def test_letters_that_come_before_the_line_is_there_are_text(deep: FakeSource, pane: str) -> None:
    """A fast typist, a slow terminal: all are read at once. `d` would remove, `s` open a shell."""
    async with screen("any") as it:
        it.main.query_one(f"#{pane}").focus()
        await it.settle()
        for letter in "/d7*s":
            it.app.post_message(events.Key({"/": "slash", "*": "asterisk"}.get(letter, letter), letter))
        await it.until("all letters", lambda: is_typing(it) and text(it) == "d7*s")
        await it.settle()
        assert it.app.screen_stack == [it.main]
        pattern = (it.images if pane == "images" else it.files).pattern
        assert pattern is not None
        assert pattern.text == "d7*s"


async def test_an_image_that_comes_while_one_types_takes_nothing_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go = threading.Event()

    def step(name: str, number: int, job: Job) -> None:
        go.wait(20)

    source = FakeSource({"a:1": [index(file("abc"), file("xyz"))]}, step=step)
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("any") as it:
        await it.pilot.press("enter", "slash", "b")
        await it.until("the line is open", lambda: is_typing(it) and note(it).startswith("no image"))
        go.set()
        await it.settle()
        assert is_typing(it)
        assert it.title[-1] == "/b: 1 match"
        await it.press("c", "enter")
        assert it.title[-1] == "/bc: 1 match"
        assert it.focused == "files"


async def test_enter_keeps_the_filter_and_esc_gives_all_back(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "d7")
        await it.press("enter")
        assert (it.focused, is_typing(it)) == ("files", False)
        assert it.files.row_count == 4
        await it.press("home", "left")
        assert it.files.row_count == 1
        await it.press("escape")
        assert it.focused == "files"
        assert it.title[-1] == it.title[2]  # no word of a filter
        assert here(it) == "a"
        await search(it, "d59")
        await it.press("escape")
        assert not is_typing(it)
        assert here(it) == "a/b59/c/d59.txt"
        assert it.files.row_count == 1 + 60 + 2
        await it.press("escape")
        assert it.focused == "layers"


async def test_n_goes_from_match_to_match_around_the_end(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "b5?")
        await it.press("tab")
        assert here(it) == "a/b50"
        for key, path in (
            ("n", "a/b51"),
            ("n", "a/b52"),
            ("N", "a/b51"),
            ("N", "a/b50"),
            ("N", "a/b59"),
            ("n", "a/b50"),
        ):
            await it.press(key)
            assert here(it) == path
        assert row(it.files, " b51/").startswith("+ ▸ b51/")
        await it.press("right")
        assert row(it.files, " b50/").startswith("+ ▾ b50/")
        await search(it, "d5")
        await it.press("enter", "minus")
        assert it.files.row_count == 1
        await it.press("n")
        assert here(it) == "a/b5/c/d5.txt"


async def test_the_keys_that_move_move_the_tree_while_typing(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "d1")
        first = it.files.cursor
        await it.press("down", "down", "up")
        assert it.files.cursor == first + 1
        await it.press("pagedown", "pageup")
        assert is_typing(it)


async def test_the_filter_stays_from_layer_to_layer_and_goes_with_the_image() -> None:
    async with screen("demo:ruby:b") as it:
        await search(it, "ld.so")
        await it.press("enter")
        found = it.title[-1]
        assert found.startswith("/ld.so: ")
        await it.press("v")
        assert it.title[1].endswith("merged")
        assert it.title[-1].startswith("/ld.so: ")
        await it.press("v", "S")
        assert it.title[-1] == found
        await it.press("S", "S", "S")
        await it.open("golang:c")
        assert not it.title[-1].startswith("/")


async def test_a_wasted_path_is_shown_whatever_the_filter_is() -> None:
    async with screen("demo:bigfile") as it:
        await search(it, "busybox")
        await it.press("enter")
        it.wasted.focus()
        await it.press("enter")
        assert here(it) == "BigFile"


@pytest.mark.parametrize("key", ["tab", "shift+tab"])
async def test_tab_goes_from_the_line_to_the_tree(key: str) -> None:
    async with screen("demo:bigfile") as it:
        await search(it, "busy")
        await it.press(key)
        assert (it.focused, is_typing(it)) == ("files", False)
        assert it.title[-1] == "/busy: 1 match"


async def test_a_filter_in_a_zoomed_pane() -> None:
    async with screen("demo:bigfile") as it:
        it.files.focus()
        await it.press("z")
        await search(it, "busy")
        assert it.zoomed == "files"
        line = it.main.query_one("#filter")
        assert line.region.height == 1
        assert line.region.bottom <= it.main.size.height
        await it.press("enter")
        assert (it.zoomed, it.focused) == ("files", "files")


async def test_a_filter_asked_for_in_another_zoomed_pane_shows_what_it_finds() -> None:
    async with screen("demo:bigfile") as it:
        it.layers.focus()
        await it.press("z", "slash", "b")
        assert it.zoomed == "files"
        assert it.files.region.width == it.main.size.width
        await it.press("enter")
        assert (it.zoomed, it.focused) == ("files", "files")


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40)])
async def test_the_line_and_the_footer_fit(size: tuple[int, int]) -> None:
    async with screen("demo:bigfile", size=size) as it:
        it.files.focus()
        await it.settle()
        keys = list(it.main.query("FooterKey"))
        assert len(keys) <= 8
        assert size[0] < 80 or all(key.region.right <= size[0] for key in keys)
        await search(it, "busybox")
        entry = it.main.query_one("#filter-text")
        assert entry.region.width >= 10
        assert entry.region.y == size[1] - 2
        assert it.main.query_one("#filter-note").region.right <= size[0]


async def test_hostile_names_and_patterns_are_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x\x1b[31m\u202e[bold]"
    source = FakeSource({"bad:1": [index(file(name, 1), file(name + "/../y", 1), file("plain", 1))]})
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "[b]*\x1b")
        await search(it, "[x]*")
        shown = "\n".join(drawn(it.files))
        assert "x\\x1b[31m\\u202e[bold]" in shown
        assert "\x1b" not in shown + note(it) + str(it.title)
        await search(it, "31m")
        assert "31m" in "".join(text for text, kind in it.files.row(0, 100) if kind == "match")


async def test_a_click_in_a_filtered_tree(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "d7")
        await it.pilot.click(it.files, offset=(5, TOP + 1))
        await it.settle()
        assert it.focused == "files"
        assert here(it) == "a/b7"
        await it.press("escape")
        assert not is_typing(it)
        assert it.files.pattern is None


# -- states ---------------------------------------------------------------------------------------------


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """An image whose second layer does all that a layer can do."""
    base = [folder("d"), file("d/changed", 5), file("d/gone", 7), file("d/kept", 1), file("d/same", 9)]
    base += [folder("e"), file("e/mode", 3)]
    top = [
        file("d/changed", 6),
        whiteout("d/gone"),
        file("d/new", 2),
        file("d/same", 9),
        file("e/mode", 3, mode=0o600),
    ]
    source = FakeSource({"all:1": [index(*base), index(*top)]})
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    return source


def shown(it: Screen) -> list[str]:
    """The names in the tree, without what they are indented by."""
    return [name.removeprefix("▾").strip().partition(" ")[0] for name in names(it)]


async def test_each_state_is_hidden_and_shown_again(states: FakeSource) -> None:
    async with screen("any", size=(160, 40)) as it:
        await it.press("enter")
        await it.layer(2)
        it.files.focus()
        everything = ["d/", "changed", "gone", "new", "same", "e/", "mode"]
        assert shown(it) == everything
        for key, word, hidden in (
            ("A", "added", {"new"}),
            ("M", "changed", {"changed", "e/", "mode"}),
            ("R", "removed", {"gone"}),
            ("U", "unchanged", {"same"}),
        ):
            await it.press(key)
            assert it.title[-1] == f"without {word}"
            assert shown(it) == [name for name in everything if name not in hidden]
            await it.press(key)
            assert shown(it) == everything
            assert not it.title[-1].startswith("without")


async def test_what_a_layer_did_alone_stands_out_in_the_merged_tree(states: FakeSource) -> None:
    async with screen("any", size=(160, 40)) as it:
        await it.press("enter")
        await it.layer(2)
        it.files.focus()
        await it.press("v")
        assert shown(it) == ["d/", "changed", "kept", "new", "same", "e/", "mode"]
        await it.press("U")
        assert shown(it) == ["d/", "changed", "new", "e/", "mode"]
        await it.press("A")
        assert it.title[-1] == "only changed"
        assert shown(it) == ["d/", "changed", "e/", "mode"]
        await it.press("R")  # nothing is removed in a merged tree
        assert it.title[-1] == "only changed"
        await it.press("v")
        assert it.title[-1] == "only changed"


async def test_all_states_hidden_says_how_to_see_them(states: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await it.layer(2)
        it.files.focus()
        await it.press("A", "M", "R", "U")
        assert it.files.row_count == 0
        assert it.title[-1] == "without added, changed, removed, unchanged"
        assert it.files.note.endswith("A M R U show them again")
        await it.press("M")
        assert shown(it) == ["d/", "changed", "e/", "mode"]


async def test_the_cursor_keeps_its_path_through_all_that_changes_the_tree(states: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await it.layer(2)
        it.files.focus()
        await it.press("down", "down")
        assert here(it) == "d/gone"
        for keys in ("U", "S", "S", "S", "M", "S"):
            await it.press(keys)
            assert here(it) == "d/gone"
        await it.press("R")  # it is hidden: the directory it is in comes next
        assert here(it) == "d"
        await it.press("R")
        assert here(it) == "d/gone"
        await it.press("U", "M", "v")
        assert here(it) == "d"
        await it.press("v")
        await it.layer(1)
        assert here(it) == "d/gone"
        assert it.files.path == b"d/gone"


async def test_the_cursor_stays_in_a_filtered_tree_where_it_was_put(states: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await it.layer(2)
        await search(it, "e")
        await it.press("enter", "home")
        assert here(it) == "d"  # on the way, no match itself
        for key in ("S", "S", "S", "S", "M", "M"):
            await it.press(key)
            assert here(it) == "d"
        await it.layer(1)
        assert here(it) == "d"
        await search(it, "kept")
        assert here(it) == "d/kept"


async def test_a_wasted_path_is_shown_though_its_state_was_hidden(states: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("A", "S")
        it.wasted.focus()
        await it.press("enter")
        assert here(it) == "d/same"
        assert it.title[-1] == "by size"


# -- columns --------------------------------------------------------------------------------------------


async def test_attributes_as_there_is_room_all_or_none() -> None:
    async with screen("demo:ruby:b", size=(160, 40)) as it:
        it.files.focus()
        await it.settle()
        link = next(number for number in range(it.files.row_count) if "→" in rows(it.files)[number])
        assert rows(it.files)[link].split()[1:5] == ["bin", "→", "usr/bin", "lrwxrwxrwx"]
        assert "owner" in it.files.head(78)
        assert "modified" not in it.files.head(78)
        await it.press("z", "i")
        assert "modified (UTC)" in it.files.head(150)
        assert "2025-11-03 09:00" in rows(it.files)[link]
        await it.press("i")
        assert not {"mode", "owner", "modified"} & set(it.files.head(150).split())
        assert "→" not in rows(it.files)[link]
        await it.press("i")
        assert "owner" in it.files.head(78)


async def test_attributes_come_where_they_are_asked_for_on_a_small_screen() -> None:
    async with screen("demo:ruby:b", size=(80, 24)) as it:
        it.files.focus()
        await it.press("i")
        assert "drwxr-xr-x" in drawn(it.files)[2]


async def test_bars_show_the_share_of_all_and_dead_bytes_have_a_column(states: FakeSource) -> None:
    async with screen("any", size=(160, 40)) as it:
        await it.press("enter")
        it.files.focus()
        assert row(it.files, " changed", 120).split()[-3:] == ["5", "B", "dead"]
        assert "█" * 8 not in "".join(rows(it.files, 120))
        assert row(it.files, " d/", 120).count("█") == 7  # 22 of 25 bytes
        await it.press("S", "S", "S")
        assert it.files.head(120).split()[-2:] == ["dead", "size"]
        assert row(it.files, " d/", 120).split()[-4:] == ["21", "B", "22", "B"]
        assert row(it.files, " kept", 120).split()[-2:] == ["1", "B"]
        assert row(it.files, " same", 120).split()[-4:] == ["9", "B", "9", "B"]
        assert it.files.head(30).split() == ["name", "size"]
        it.files.sort_by("size")
        await it.settle()
        assert "by size" in it.title


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 45)])
async def test_the_title_tells_how_many_were_found(states: FakeSource, size: tuple[int, int]) -> None:
    async with screen("any", size=size) as it:
        await it.press("enter")
        await it.layer(2)
        await search(it, "~[a-z]+")
        await it.press("enter", "U", "S")
        title = drawn(it.files)[0]
        assert it.title[-1] == "/~[a-z]+: 6 matches"
        assert ": 6 " in title
        assert "witho" in title


# -- regular expressions --------------------------------------------------------------------------------


async def test_a_regex_is_told_as_one_and_points_out_what_it_finds(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, r"~^d5\d")
        assert note(it) == "regex of the name: 10 matches"
        assert (names(it)[3].strip(), match(it, 3)) == ("d50.txt", "d50")
        await search(it, "~/b5/c$")
        assert note(it) == "regex of the path: 1 match"
        assert match(it, 2) == "c"
        await search(it, "*5.txt")
        assert match(it, 3) == "5.txt"


async def test_a_wrong_regex_is_told_and_the_tree_stays(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        await search(it, "~d5")
        before = names(it)
        await search(it, "~d5(")
        assert note(it).startswith("not a regex: missing )")
        assert (names(it), it.title[-1]) == (before, "/~d5: 11 matches")
        await it.press("enter")
        assert (is_typing(it), it.title[-1]) == (False, "/~d5: 11 matches")


async def test_a_regex_that_would_never_end_is_given_up_and_keys_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [file("a" * 80 + f"b{number}") for number in range(1000)]
    source = FakeSource({"a:1": [index(*names)]})
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("any") as it:
        await it.press("enter")
        it.files.focus()
        await it.press("slash")
        found = line(it)
        assert found is not None
        found.query_one(Input).value = "~(a|aa)+$"
        await it.pilot.pause()
        await it.pilot.press("x")  # while it searches
        assert text(it) == "~(a|aa)+$x"
        await it.pilot.press("backspace")
        await it.settle()
        assert note(it) == "This regex takes too long; it was given up."
        assert "given up" in "\n".join(drawn(it.files))
        await search(it, "~b7$")
        assert note(it) == "regex of the name: 1 match"


async def test_a_name_is_found_by_what_is_shown_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource({"bad:1": [index(file("x\x1b[31m", 1), file("plain", 1))]})
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("any") as it:
        await it.press("enter")
        await search(it, r"\x1b")
        assert (it.title[-1], match(it, 0)) == (r"/\x1b: 1 match", r"\x1b")


async def test_a_click_elsewhere_takes_the_line_away_and_keeps_the_filter(deep: FakeSource) -> None:
    async with screen("any") as it:
        await it.press("enter")
        for text in ("d7", ""):
            await search(it, text)
            await it.pilot.click(it.layers, offset=(5, TOP + 1))
            await it.settle()
            assert (is_typing(it), it.focused) == (False, "layers")
            assert (it.files.pattern.text if it.files.pattern else "") == text
        await search(it, "d7")
        await it.pilot.click("#filter-note")  # part of the line
        await it.settle()
        assert it.title[-1] == "/d7: 1 match"


# -- trees as they are read ---------------------------------------------------------------------------


async def test_a_view_is_made_once(deep: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = loader.make_view

    def counted(views, layer, *rest) -> None:  # type: ignore[no-untyped-def]
        before = views.get(layer, rest[0], rest[-1])
        made.append(id(before))
        make(views, layer, *rest)

    monkeypatch.setattr(loader, "make_view", counted)
    async with screen("any") as it:
        await it.press("enter")
        for number in (2, 1, 2, 1):
            await it.layer(number)
        assert len(set(made)) == 2
        assert id(it.files.view) in made


async def test_the_order_and_filter_of_many_rows_are_drawn_row_by_row(tmp_path: Path) -> None:
    """Only what is seen is made into text."""
    async with screen("demo:golang:c", size=(100, 30)) as it:
        it.files.focus()
        await it.press("asterisk")
        seen: list[int] = []
        draw = it.files.row

        def counted(number: int, width: int):  # type: ignore[no-untyped-def]
            seen.append(number)
            return draw(number, width)

        it.files.row = counted  # type: ignore[method-assign]
        await it.press("end", "home")
        assert it.files.row_count > it.files.page
        assert set(seen) <= set(range(it.files.page + 1)) | set(
            range(it.files.row_count - it.files.page, it.files.row_count)
        )


@pytest.mark.parametrize(("room", "reads"), [(1_000_000, 2), (10, 3)])
async def test_images_are_kept_as_far_as_there_is_room(
    room: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    layers = {f"{name}:1": [index(*(file(f"{name}{number}") for number in range(20)))] for name in "ab"}
    source = FakeSource(layers, step=lambda name, number, job: read.append(name))
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    monkeypatch.setattr(kept, "_KEPT_PATHS", room)
    async with screen("any") as it:
        for name in ("a:1", "b:1", "a:1"):
            await it.open(name)
            assert here(it).startswith(name[0])
        assert len(read) == reads
