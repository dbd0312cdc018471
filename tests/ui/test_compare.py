"""The screen of two images side by side."""

from __future__ import annotations

import threading
import unicodedata
from pathlib import Path

from rich.cells import cell_len
from textual.widgets import Static

from imgscope.comparison import Comparison
from imgscope.job import Job
from imgscope.text import size_text
from imgscope.ui.screens.compare import CompareScreen
from imgscope.ui.screens.diff import DiffScreen, DiffView
from imgscope.ui.screens.main import MainScreen
from imgscope.ui.screens.viewer import ViewerScreen
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.sections import Sections
from tests.support.stacks import file, folder, hardlink, layer_tar, symlink, whiteout
from tests.ui.dialogs import said
from tests.ui.driver import FakeSource, Screen, drawn, index, row, rows, screen, style, write_layout
from tests.ui.test_hostile import BROKEN, NASTY, raw_tar

BASE = [
    folder("etc"),
    file("etc/grown", 100),
    file("etc/mode", 30),
    file("etc/gone", "the old text\n"),
    file("var/lib/dpkg/status", "Package: curl\nVersion: 7\n\n"),
    symlink("etc/link", "mode"),
    folder("srv"),
]
TOP = [
    file("etc/grown", 150),
    file("etc/mode", 30, mode=0o600),
    whiteout("etc/gone"),
    file("opt/new", "one\ntwo\n"),
    hardlink("opt/twin", "opt/new"),
    file("var/lib/dpkg/status", "Package: curl\nVersion: 8\n\n"),
    whiteout("srv"),
    file("srv", "no directory any more"),
]


def layout(folder: Path) -> str:
    one, other = layer_tar(BASE), layer_tar(TOP)
    return "oci:" + str(
        write_layout(
            folder / "layout",
            [
                ("app:1", {"config": {"Env": ["PATH=/bin"], "User": "me"}}, [one]),
                (
                    "app:2",
                    {"config": {"Env": ["PATH=/usr/bin"], "ExposedPorts": {"80/tcp": {}}}},
                    [one, other],
                ),
            ],
        )
    )


def top(it: Screen) -> object:
    return it.app.screen


def at(it: Screen, name: str) -> None:
    it.images.focus()
    [it.images.cursor] = [number for number, line in enumerate(rows(it.images)) if name in line]


async def mark(it: Screen, *names: str) -> None:
    for name in names:
        at(it, name)
        await it.settle()
        await it.press("space")


async def compare(it: Screen, *names: str) -> CompareScreen:
    await mark(it, *names)
    await it.press("equals_sign")
    found = top(it)
    assert isinstance(found, CompareScreen)
    await it.until("compared", lambda: found.comparison is not None and found.files.title[1:])
    return found


def comparison(found: CompareScreen) -> Comparison:
    assert found.comparison is not None
    return found.comparison


def go(pane: Lines, word: str) -> None:
    [pane.cursor] = [number for number, line in enumerate(rows(pane)) if word in line]


def told(found: CompareScreen) -> str:
    return str(found.query_one("#compare-head", Static).render())


async def test_files(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        found = await compare(it, "app:1", "app:2")
        files = found.files
        assert files.has_focus
        assert files.title == ("files", "8 paths differ", "by bytes that differ")
        assert row(files, "srv") == "~ srv (directory → file) ▊ 21 B +21 B"  # 21 of 218 bytes that differ
        assert [" ".join(line.split()) for line in rows(files, 80)] == [
            "▾ etc/ 143 B 180 B +37 B",
            "~ grown (content) 100 B 150 B +50 B",
            "− gone 13 B −13 B",
            "≈ mode (mode) 30 B 30 B",
            "▾ var/ 26 B 26 B",
            "▾ lib/ 26 B 26 B",
            "▾ dpkg/ 26 B 26 B",
            "~ status (content) 26 B 26 B",
            "~ srv (directory → file) 21 B +21 B",
            "+ ▾ opt/ 8 B +8 B",
            "+ new 8 B +8 B",
            "+ twin 0 B",
        ]
        a, b = (size_text(side.analysis.waste.live) for side in comparison(found).sides)
        assert told(found).split() == [
            *("A", "app:1", *a.split(), "B", "app:2", *b.split()),
            *("+3", "8", "B", "−1", "13", "B", "~3", "≈1", "+66", "B"),
        ]
        assert found.query_one(Sections).counts == (8, 1, 3, 1)


async def test_order_folds_and_states(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        files = (await compare(it, "app:1", "app:2")).files

        go(files, "gone")
        await it.press("S")
        assert files.title[2] == "by name"
        assert "gone" in rows(files)[files.cursor]  # the cursor keeps its path
        tops = [line for line in rows(files) if line[4] not in " ▾▸"]
        assert [line[4:].split()[0] for line in tops] == ["etc/", "opt/", "var/", "srv"]

        go(files, "etc/")
        await it.press("left")
        assert not [line for line in rows(files) if "grown" in line]
        await it.press("S")
        assert not [line for line in rows(files) if "grown" in line]
        await it.press("right")
        go(files, "grown")
        await it.press("left")
        assert "etc/" in rows(files)[files.cursor]
        await it.press("minus")
        assert files.row_count == 4
        await it.press("plus")
        assert files.row_count == 12

        await it.press("U")
        assert files.title[-1] == "without ≈"
        assert not [line for line in rows(files) if line.startswith("≈")]
        await it.press("A", "R", "M")
        assert files.row_count == 0
        assert any("nothing of the states" in line for line in drawn(files))
        await it.press("U")
        assert [line.split()[0] for line in rows(files)] == ["▾", "≈"]


async def test_layers_config_and_packages(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        found = await compare(it, "app:1", "app:2")
        _, layers, config, packages = found.panes
        await it.press("2")
        assert layers.has_focus
        assert [line.split("│")[side].split()[:2] for line in rows(layers)[:1] for side in (0, 1)] == [
            ["=", "1"],
            ["=", "1"],
        ]
        left, right = rows(layers)[1].split("│")
        assert (left.strip(), right.split()[:2]) == ("", ["+", "2"])
        assert [what for what, _ in layers.copies()] == ["diff ID A", "diff ID B"]

        await it.press("tab")
        assert config.has_focus
        assert [" ".join(line.split()) for line in rows(config)] == [
            "~ env PATH",
            "A /bin",
            "B /usr/bin",
            "− user me",
            "+ ports 80/tcp",
        ]
        assert config.copies() == [("value in A", "/bin"), ("value in B", "/usr/bin"), ("name", "PATH")]

        await it.press("4")
        assert packages.has_focus
        assert row(packages, "curl") == "~ deb curl 7 8"
        assert packages.copies() == [("package", "curl"), ("version in A", "7"), ("version in B", "8")]
        await it.press("shift+tab", "shift+tab", "shift+tab")
        assert found.files.has_focus
        await it.pilot.click(Sections, offset=(12, 0))
        await it.settle()
        assert layers.has_focus


async def test_a_file_opens_its_diff_or_its_content(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        found = await compare(it, "app:1", "app:2")
        go(found.files, "status")
        await it.press("enter")
        assert isinstance(top(it), DiffScreen)
        diff = it.app.screen.query_one(DiffView)
        assert "A: app:1 → B: app:2" in diff.title
        assert [line.split()[-2:] for line in rows(diff) if "Version" in line] == [
            ["Version:", "7"],
            ["Version:", "8"],
        ]
        await it.press("escape")
        assert top(it) is found
        for name, text in (("gone", "the old text"), ("new", "two")):
            go(found.files, name)
            await it.press("enter")
            assert isinstance(top(it), ViewerScreen)
            lines = it.app.screen.query_one("TextView", Lines)
            assert [line for line in rows(lines) if text in line]
            await it.press("escape")
        assert top(it) is found
        go(found.files, "etc/")
        await it.press("enter")
        assert not [line for line in rows(found.files) if "grown" in line]


async def test_swapping(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        found = await compare(it, "app:1", "app:2")
        before = comparison(found)
        await it.press("s")
        await it.until("compared again", lambda: found.comparison not in (None, before))
        await it.settle()
        assert [side.analysis.image.name for side in comparison(found).sides] == ["app:2", "app:1"]
        assert row(found.files, "gone", 80) == "+ gone 13 B +13 B"


async def test_which_images_are_meant() -> None:
    """Two that are marked, or one that is and the one under the cursor; else a word on what to do."""
    async with screen() as it:
        await it.press("equals_sign")
        assert isinstance(top(it), MainScreen)
        assert "Mark two images with space" in said(it)[-1]

        await mark(it, "debian:a")
        at(it, "golang:c")
        await it.press("equals_sign")
        found = top(it)
        assert isinstance(found, CompareScreen)
        await it.until("compared", lambda: found.comparison is not None)
        assert [side.analysis.image.name for side in comparison(found).sides] == ["debian:a", "golang:c"]
        await it.press("q")

        await mark(it, "golang:c", "ruby:b")
        await it.press("equals_sign")
        assert isinstance(top(it), MainScreen)
        assert "3 images are marked" in said(it)[-1]


async def test_images_that_were_not_read_yet_and_leaving_early() -> None:
    """Both are read where they are not; esc cancels that."""
    entered, stop = threading.Event(), threading.Event()

    def step(name: str, number: int, job: Job) -> None:
        entered.set()
        while not (job.cancelled or stop.is_set()):
            stop.wait(0.01)

    layers = {name: [index(file(name[-1], 5))] for name in ("x:1", "x:2")}
    source = FakeSource(layers, step=step)
    async with screen("demo:bigfile") as it:
        images = [source.image(name) for name in layers]
        left = CompareScreen(source, images, {})
        await it.app.push_screen(left)
        await it.until("reading", lambda: "reading" in left.files.note)
        assert "esc cancels" in left.files.note
        job = left._job
        await it.pilot.press("escape")
        await it.until("left", lambda: top(it) is not left)
        assert job.cancelled
        found = CompareScreen(source, images, {})
        await it.app.push_screen(found)
        await it.until("reading", lambda: "reading" in found.files.note)
        stop.set()
        await it.until("compared", lambda: found.files.row_count)
        assert [line.split()[:2] for line in rows(found.files)] == [["−", "1"], ["+", "2"]]


async def test_what_cannot_be_read_is_said() -> None:
    async with screen("demo:bigfile") as it:
        source = FakeSource({"x:1": [], "x:2": []})
        images = [source.image(name) for name in ("x:1", "x:2")]
        found = CompareScreen(source, images, {})
        source.indexes.clear()
        await it.app.push_screen(found)
        await it.until("said", lambda: "There is no image" in found.files.note)


async def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = [name.encode() for name in NASTY.values() if name.strip() and "\0" not in name]
    config = {
        "config": {
            "Env": [f"{text}={text}" for text in NASTY.values()],
            "Labels": dict.fromkeys(NASTY.values(), NASTY["escape"]),
            "User": NASTY["lines"],
        }
    }
    status = "".join(f"Package: {text}\nVersion: {text}\n\n" for text in NASTY.values())
    tars = [layer_tar([file("var/lib/dpkg/status", status)]), raw_tar(*names, *BROKEN)]
    path = write_layout(
        tmp_path / "x", [("plain", {}, [layer_tar([file("x")])]), (NASTY["markup"], config, tars)]
    )
    async with screen(f"oci:{path}", (80, 24)) as it:
        it.images.focus()
        found = await compare(it, "plain", NASTY["markup"])
        for number, pane in enumerate(found.panes, 1):
            await it.press(str(number), "end")
            assert pane.row_count
            for line in drawn(pane):
                assert cell_len(line) == pane.size.width
            for text in (*rows(pane), *pane.title):
                assert not {unicodedata.category(letter) for letter in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert told(found).replace("\n", "").isprintable()


async def test_filter(tmp_path: Path) -> None:
    async with screen(layout(tmp_path)) as it:
        found = await compare(it, "app:1", "app:2")
        files = found.files
        await it.press("slash", "e")
        await it.press("n")
        await it.press("backspace")
        await it.press("w")
        assert files.title[-1] == "/ew: 1 match"
        assert [line.split()[:2] for line in rows(files)] == [["+", "▾"], ["+", "new"]]
        assert style(files, "ew") == "match"
        await it.press("enter")
        assert files.has_focus
        assert "new" in rows(files)[files.cursor]
        await it.press("escape")  # first the filter ends, then the screen
        assert files.row_count == 12
        assert "new" in rows(files)[files.cursor]
        await it.press("slash", "tilde", "left_parenthesis")
        assert files.row_count == 0
        assert "match" not in files.title[-1]
        await it.press("escape")
        assert files.row_count == 12
        await it.press("escape")
        assert top(it) is not found
