"""The keys that change something, where there is no engine: OCI layouts, archives, read-only, marks."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from textual.widgets import Input, Static

from imgscope.actions import login, pull, push, remove, tag
from imgscope.actions.plan import Done, Event, Plan
from imgscope.commands import show
from imgscope.errors import AuthRequired, EngineError
from imgscope.job import Job
from imgscope.sources.demo.layout import write_layout
from imgscope.sources.engine import EngineSource
from imgscope.ui.screens import action as action_module
from imgscope.ui.screens.acting import ActingScreen
from tests.ui.dialogs import confirm, dialog, form, key, listed, log_in, said, type_name
from tests.ui.driver import Screen, rows, screen

KEYS = "rstpPbdxcLo"


@pytest.fixture(autouse=True)
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the dialogs hold the guard; here keys come as fast as they may."""
    monkeypatch.setattr(action_module, "GUARD", 0)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """The demo images in a folder."""
    write_layout(tmp_path / "layout")
    return tmp_path / "layout"


def names(folder: Path) -> list[str]:
    """What index.json lists."""
    manifests = json.loads((folder / "index.json").read_text())["manifests"]
    return [item["annotations"]["org.opencontainers.image.ref.name"] for item in manifests]


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs/sha256").iterdir()}


async def go(it: Screen, name: str) -> None:
    """The cursor to an image."""
    it.images.focus()
    it.images.cursor = next(row for row, line in enumerate(rows(it.images)) if f"{name} " in line)
    await it.settle()


# -- OCI layouts --------------------------------------------------------------------------------------


async def test_tag_in_a_layout(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await go(it, "bigfile:latest")
        await key(it, "t")
        await type_name(it, "BIG")
        note = str((await form(it)).query_one("#form-note", Static).render())
        assert "BIG" in note
        await type_name(it, "big:2")
        assert "big:2" in await dialog(it, "enter does it")
        assert "big:2" not in names(layout)
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert "big:2" in names(layout)
        assert any("bigfile:latest" in line and "big:2" in line for line in rows(it.images, 150))


async def test_remove_from_a_layout(layout: Path) -> None:
    before = blobs(layout)
    async with screen(f"oci:{layout}") as it:
        await go(it, "bigfile:latest")
        await key(it, "d")
        text = await dialog(it, "enter does it")
        assert "untags   bigfile:latest" in text
        assert "umoci rm" in text
        await key(it, "escape")
        await it.settle()
        assert "bigfile:latest" in names(layout)
        await key(it, "d")
        await dialog(it, "enter does it")
        await key(it, "enter")
        assert "freed" in await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert "bigfile:latest" not in names(layout)
        assert blobs(layout) < before
        assert not listed(it, "bigfile:latest")
        assert "8 images" in it.head


async def test_marked_images_go_together(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        for name in ("bigfile:latest", "golang:c"):
            await go(it, name)
            await it.press("space")
        assert sum(line.startswith("● ") for line in rows(it.images)) == 2
        await key(it, "d")
        text = await dialog(it, "enter does it")
        assert "bigfile:latest" in text
        assert "golang:c" in text
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert not {"bigfile:latest", "golang:c"} & set(names(layout))
        assert "7 images" in it.head
        assert not any(line.startswith("● ") for line in rows(it.images))


async def test_marked_images_get_names_one_after_the_other(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        for name in ("bigfile:latest", "golang:c"):
            await go(it, name)
            await it.press("space")
        await key(it, "t")
        for name in ("one:1", "two:2"):
            await type_name(it, name)
            await dialog(it, "enter does it")
            await key(it, "enter")
            await dialog(it, "enter closes")
            await key(it, "enter")
        await it.settle()
        assert {"one:1", "two:2"} <= set(names(layout))


async def test_all_images_of_a_layout_go(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        it.images.focus()
        for number in range(it.images.row_count):
            it.images.cursor = number
            await it.press("space")
        await key(it, "d")
        await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert names(layout) == []
        assert blobs(layout) == set()
        assert "0 images" in it.head


async def test_prune_of_a_layout(layout: Path) -> None:
    left = layout / "blobs/sha256" / ("0" * 64)
    left.write_bytes(b"left" * 500)
    async with screen(f"oci:{layout}") as it:
        await key(it, "x")
        assert "2 kB" in await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert not left.exists()
        assert "9 images" in it.head


async def test_the_demo_can_be_changed_while_it_lasts() -> None:
    async with screen("demo:") as it:
        await go(it, "bigfile:latest")
        await key(it, "d")
        await dialog(it, "enter does it")
        await key(it, "enter")
        await dialog(it, "enter closes")
        await key(it, "enter")
        await it.settle()
        assert "8 images" in it.head
        assert not listed(it, "bigfile:latest")


async def test_a_layout_that_was_changed_elsewhere_is_listed_anew(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        document = json.loads((layout / "index.json").read_text())
        document["manifests"] = document["manifests"][:2]
        (layout / "index.json").write_text(json.dumps(document))
        await it.press("f5")
        assert "2 images" in it.head


async def test_an_action_that_fails_is_told_and_the_list_is_true(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await go(it, "bigfile:latest")
        await key(it, "d")
        await dialog(it, "enter does it")
        document = json.loads((layout / "index.json").read_text())
        document["manifests"] = document["manifests"][:1]  # another program, meanwhile
        gone = "bigfile:latest" not in names(layout)[:1]
        (layout / "index.json").write_text(json.dumps(document))
        assert gone
        await key(it, "enter")
        assert "bigfile:latest" in await dialog(it, "esc closes")
        await key(it, "escape")
        await it.settle()
        assert "1 image ·" in " ".join(it.head.split())


async def test_archives_say_that_they_are_not_changed(layout: Path, tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, str(path.relative_to(layout)), recursive=False)
    before = archive.read_bytes()
    async with screen(str(archive)) as it:
        await it.press(*"tdx")
        assert len(said(it)) == 3
        assert all("archives are not changed" in text for text in said(it))
        assert it.app.screen is it.main
    assert archive.read_bytes() == before


# -- where nothing can be done ------------------------------------------------------------------------


async def test_what_needs_an_engine_says_so() -> None:
    async with screen("demo:") as it:
        await it.press(*"rspPbcLo")
        assert len(said(it)) == 8
        assert all("an engine is needed; this is demo images." in text for text in said(it))
        assert it.app.screen is it.main


async def test_read_only_by_the_environment(layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    before = (layout / "index.json").read_bytes(), blobs(layout)
    async with screen(f"oci:{layout}") as it:
        for name in KEYS.replace("o", ""):
            count = len(said(it))
            await it.press(name)
            assert "imgscope is read-only here" in said(it)[count], name
            assert it.app.screen is it.main
    assert before == ((layout / "index.json").read_bytes(), blobs(layout))


@pytest.mark.parametrize(
    "words", [["view", "--read-only"], ["demo", "--read-only"], ["--read-only", "demo:"]]
)
def test_read_only_by_its_option(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from imgscope.cli import main
    from imgscope.ui import app

    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "")  # so that it is put back
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")  # it is asked before the screen is there
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(show, "sys", SimpleNamespace(stdin=terminal, stdout=terminal, stderr=terminal))
    found: list[bool] = []

    def run(reference: str, platform: object, opened: object, theme: str) -> int:
        found.append(ActingScreen().read_only)
        return 0

    monkeypatch.setattr(app, "run", run)
    assert main([word for word in words if word != "--read-only"]) == 0
    assert main(words) == 0
    assert found == [False, True]


async def test_a_key_that_repeats_opens_one_dialog(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        await go(it, "bigfile:latest")
        for _ in range(3):
            it.app.simulate_key("d")
        it.app.simulate_key("x")
        await dialog(it, "enter does it")
        assert len(it.app.screen_stack) == 2
        await key(it, "escape")
        await it.settle()
        assert it.app.screen is it.main


async def test_a_second_action_waits_for_the_end_of_the_first(layout: Path) -> None:
    async with screen(f"oci:{layout}") as it:
        it.main.action_remove()
        assert it.main.check_action("prune", ()) is None
        assert it.main.check_action("pane", (1,)) is True
        await dialog(it, "enter does it")
        await key(it, "escape")
        await it.settle()
        assert it.main.check_action("prune", ()) is True


# -- an engine of the test's own ----------------------------------------------------------------------


class Recorded:
    """Actions in place of the real ones: what was asked for, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Exception]] = {}

    def kind(self, name: str) -> type:
        recorded = self

        class Action:
            def __init__(self, engine: object, *words: Any, **options: Any) -> None:
                self.words = words
                self.registry, self.username = (*words, "", "")[:2]
                self.password = words[2] if len(words) > 2 else ""

            def describe(self) -> Plan:
                return Plan(f"{name} {self.words[0]}", "", destructive=True)

            def execute(self, job: Job) -> Iterator[Event]:
                recorded.asked.append((name, self.password if name == "login" else self.words[0]))
                for error in recorded.answers.get(name, [])[:1]:
                    del recorded.answers[name][0]
                    raise error
                yield Done(f"{name} is done")

        return Action


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    found = Recorded()
    for module, name in ((push, "Push"), (pull, "Pull"), (remove, "Remove"), (tag, "Tag"), (login, "LogIn")):
        monkeypatch.setattr(module, name, found.kind(name.lower()))
    return found


@asynccontextmanager
async def engine_screen(layout: Path) -> Any:
    """The images of a layout, in a source that says it is an engine."""
    async with screen(f"oci:{layout}") as it:
        source = object.__new__(EngineSource)
        source.connection = cast(Any, SimpleNamespace(client=None, close=lambda: None))
        source.where, source.label = "unix:///nowhere", "docker"
        true, it.main.source = it.main.source, source
        it.main.acted = lambda done: it.images.unmark()  # type: ignore[method-assign]
        yield it
        it.main.source = true


async def test_push_and_remove_take_the_marked_ones(layout: Path, recorded: Recorded) -> None:
    async with engine_screen(layout) as it:
        for name in ("bigfile:latest", "golang:c"):
            await go(it, name)
            await it.press("space")
        await key(it, "p")
        assert await confirm(it) == "push is done"
        assert await confirm(it) == "push is done"
        await it.settle()
        assert sorted(recorded.asked) == [("push", "bigfile:latest"), ("push", "golang:c")]
        recorded.asked.clear()
        for name in ("bigfile:latest", "golang:c"):
            await go(it, name)
            await it.press("space")
        await key(it, "d")
        await confirm(it)
        await it.settle()
        ((what, removed),) = recorded.asked
        assert (what, sorted(removed)) == ("remove", ["bigfile:latest", "golang:c"])


async def test_a_login_is_asked_for_until_it_is_good_and_then_it_goes_on(
    layout: Path, recorded: Recorded
) -> None:
    recorded.answers = {
        "push": [AuthRequired("The registry r:5000 wants a login.", "r:5000")],
        "login": [AuthRequired("The registry r:5000 refused the login of ann.", "r:5000")],
    }
    async with engine_screen(layout) as it:
        await go(it, "bigfile:latest")
        await key(it, "p")
        assert await confirm(it, "esc closes") == "The registry r:5000 wants a login."
        assert await log_in(it, "r:5000", "ann", "wrong") == "The registry r:5000 wants a login."
        await dialog(it, "esc closes")
        await key(it, "enter")
        assert "refused" in await log_in(it, "r:5000", "ann", "right")
        await dialog(it, "enter closes")
        await key(it, "enter")
        assert await confirm(it) == "push is done"
        await it.settle()
        pushes = ("push", "bigfile:latest")
        assert recorded.asked == [pushes, ("login", "wrong"), ("login", "right"), pushes]


async def test_a_login_that_is_left_ends_it(layout: Path, recorded: Recorded) -> None:
    recorded.answers = {"push": [AuthRequired("The registry wants a login.", "r:5000")]}
    async with engine_screen(layout) as it:
        await key(it, "p")
        await confirm(it, "esc closes")
        await form(it)
        await key(it, "escape")
        await it.settle()
        assert it.app.screen is it.main
        assert [name for name, _ in recorded.asked] == ["push"]


async def test_any_other_failure_asks_for_no_login(layout: Path, recorded: Recorded) -> None:
    recorded.answers = {"push": [EngineError("The registry does not answer.")]}
    async with engine_screen(layout) as it:
        await key(it, "p")
        assert await confirm(it, "esc closes") == "The registry does not answer."
        await it.settle()
        assert it.app.screen is it.main


async def test_the_form_says_while_typing_whose_name_it_is(layout: Path) -> None:
    async with screen(f"oci:{layout}", (110, 34)) as it:
        await go(it, "kuard:blue")
        await key(it, "t")
        shown = await form(it)

        async def note(name: str) -> str:
            shown.query_one(Input).value = name
            await it.pilot.pause()
            return str(shown.query_one("#form-note", Static).render())

        assert "this image has the name already" in await note("kuard:blue")
        moves = await note("debian:a")
        assert "the name moves from" in moves
        assert "which is left without a name" in moves
        assert "nobody has this name yet" in await note("kuard:green")
        assert "is no image reference" in await note("Kuard")
