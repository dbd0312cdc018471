"""The dialogs alone: a plan from its showing to its end, forms, lists to tick."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, RichLog, Static

from imgscope.actions.clean import CleanLine, CleanUp
from imgscope.actions.containers import Use
from imgscope.actions.engine import Engine
from imgscope.actions.inventory import Container
from imgscope.actions.plan import Blocker, Done, Event, Plan, Said, Transfer
from imgscope.errors import AuthRequired, EngineError, UsageError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.ui import loader
from imgscope.ui.screens import action as action_module
from imgscope.ui.screens import checklist
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.checklist import CleanLines, CleanScreen
from imgscope.ui.screens.containers import ContainersScreen
from imgscope.ui.screens.form import Field, FormScreen, Values
from imgscope.ui.theme import bundled_themes, variable_defaults
from imgscope.ui.widgets import containers
from imgscope.ui.widgets.containers import ContainerTable
from tests.ui.driver import rows

HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]no markup[/] \u202eback\r"
PLAN = Plan(
    title="Remove app:1",
    command="docker rmi app:1",
    lines=("a line of the plan",),
    frees=2_000_000,
    deletes=("sha256:aa", "sha256:bb"),
    untags=("app:1",),
    keeps=("base:1 stays: app:2 has it",),
    destructive=True,
)


class Host(App[None]):
    """An app with nothing but a dialog on it. `result` is a list of what the dialog gave."""

    def __init__(self, dialog: Screen[Any]) -> None:
        super().__init__()
        for theme in bundled_themes().values():
            self.register_theme(theme)
        self.theme = "imgscope" if "imgscope" in self.available_themes else self.theme
        self.dialog = dialog
        self.results: list[Any] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self.results.append)


@dataclass
class Dialog:
    """A dialog as a test sees it."""

    app: Host
    pilot: Pilot[None]

    def text(self, name: str) -> str:
        widget = self.app.dialog.query_one(f"#{name}", Static)
        return str(widget.render()) if widget.display else ""

    @property
    def log(self) -> list[str]:
        return [line.text.rstrip() for line in self.app.dialog.query_one(RichLog).lines]

    async def until(self, what: str, probe: Callable[[], object]) -> None:
        for _ in range(2000):
            if probe():
                await self.pilot.pause()
                return
            await self.pilot.pause(0.005)
        raise AssertionError(f"{what}: never")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def ended(self, name: str = "action-keys") -> None:
        await self.until("the end", lambda: self.text(name) in ("enter closes", "esc closes"))


@asynccontextmanager
async def opened(dialog: Screen[Any]) -> AsyncIterator[Dialog]:
    app = Host(dialog)
    async with app.run_test(size=(120, 40)) as pilot:
        yield Dialog(app, pilot)
    loader.finish(1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item, by which a key that is held down is told."""
    now = [1000.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    for module in (action_module, checklist):
        monkeypatch.setattr(module, "time", Time)
    return now


@dataclass
class Fake:
    """An action that does what a test wants of it."""

    plan: Plan | Exception = PLAN
    events: Sequence[Event | Exception] = (Done("It is gone."),)
    ran: int = 0
    job: Job | None = None
    wait: threading.Event | None = None  # for the time between the events and the last

    def describe(self) -> Plan:
        if isinstance(self.plan, Exception):
            raise self.plan
        return self.plan

    def execute(self, job: Job) -> Iterator[Event]:
        self.ran += 1
        self.job = job
        for event in self.events[:-1]:
            assert not isinstance(event, Exception)
            yield event
        if self.wait is not None:
            with job.on_cancel(self.wait.set):
                assert self.wait.wait(20)
        job.check()
        if isinstance(self.events[-1], Exception):
            raise self.events[-1]
        yield self.events[-1]


# -- the plan -----------------------------------------------------------------------------------------


async def test_a_plan_is_shown_and_nothing_done_yet(clock: list[float]) -> None:
    action = Fake()
    async with opened(ActionScreen(action)) as it:
        await it.until("the plan", lambda: "enter does it" in it.text("action-keys"))
        lines = [" ".join(line.split()) for line in it.text("action-text").splitlines()]
        assert lines == [
            "Remove app:1",
            "",
            "a line of the plan",
            "untags app:1",
            "deletes sha256:aa",
            "sha256:bb",
            "keeps base:1 stays: app:2 has it",
            "frees 2 MB",
            "",
            "$ docker rmi app:1",
        ]
        await it.press("escape")
        assert (it.app.results, action.ran) == ([None], 0)
        assert not cast(ActionScreen, it.app.dialog).begun


async def test_long_lists_are_cut_and_counted(clock: list[float]) -> None:
    ids = tuple(f"sha256:{number:02}" for number in range(30))
    async with opened(ActionScreen(Fake(Plan("Prune", "docker system prune", deletes=ids)))) as it:
        await it.until("the plan", lambda: "enter" in it.text("action-keys"))
        text = it.text("action-text")
        assert "sha256:11" in text
        assert "sha256:12" not in text
        assert "… and 18 more" in text


async def test_enter_that_is_held_down_destroys_nothing(clock: list[float]) -> None:
    action = Fake()
    async with opened(ActionScreen(action)) as it:
        await it.until("the plan", lambda: "enter does it" in it.text("action-keys"))
        clock[0] += action_module.GUARD * 0.9
        await it.press("enter", "enter", "enter")
        assert action.ran == 0
        assert "enter does it" in it.text("action-keys")
        clock[0] += action_module.GUARD
        await it.press("enter")
        await it.ended()
        assert action.ran == 1
        assert it.text("action-text") == "It is gone."
        await it.press("enter")
        assert it.app.results == [Done("It is gone.")]


async def test_what_destroys_nothing_may_go_on_at_once(clock: list[float]) -> None:
    action = Fake(Plan("Tag app:2", "docker tag app:1 app:2"))
    async with opened(ActionScreen(action)) as it:
        await it.until("the plan", lambda: "enter does it" in it.text("action-keys"))
        await it.press("enter")
        await it.ended()
        assert action.ran == 1


async def test_enter_before_the_plan_is_there_does_nothing(clock: list[float]) -> None:
    wait = threading.Event()

    @dataclass
    class Slow(Fake):
        def describe(self) -> Plan:
            assert wait.wait(20)
            return super().describe()

    action = Slow()
    async with opened(ActionScreen(action)) as it:
        await it.press("enter", "f", "o")
        assert it.text("action-text") == "looking what would happen …"
        wait.set()
        await it.until("the plan", lambda: "enter does it" in it.text("action-keys"))
        assert action.ran == 0


async def test_a_blocked_plan_cannot_be_done(clock: list[float]) -> None:
    blocked = Plan("Remove app:1", "docker rmi app:1", blocked_by=(Blocker("c1 is running", "c1", False),))
    action = Fake(blocked)
    forced = Fake()
    async with opened(ActionScreen(action, forced=forced)) as it:
        await it.until("the plan", lambda: it.text("action-keys") == "esc closes")
        assert "blocked  c1 is running (force does not help)" in it.text("action-text")
        clock[0] += 10
        await it.press("enter", "f", "o")
        assert (action.ran, forced.ran) == (0, 0)
        await it.press("escape")
        assert it.app.results == [None]


async def test_force_shows_its_own_plan_first(clock: list[float]) -> None:
    blocker = Blocker("c1 uses it", "c1", True, "stopped", "c1")
    action = Fake(Plan("Remove app:1", "docker rmi app:1", blocked_by=(blocker,)))
    forced = Fake(Plan("Remove app:1", "docker rmi --force app:1", untags=("app:1",), destructive=True))
    async with opened(ActionScreen(action, forced=forced)) as it:
        await it.until("the plan", lambda: "f forces it" in it.text("action-keys"))
        assert "force helps" in it.text("action-text")
        clock[0] += 10
        await it.press("f")
        await it.until("the other plan", lambda: "docker rmi --force" in it.text("action-text"))
        await it.press("f", "enter")  # enter within the guard time of the new plan
        assert (action.ran, forced.ran) == (0, 0)
        clock[0] += 10
        await it.press("enter")
        await it.ended()
        assert (action.ran, forced.ran) == (0, 1)


@pytest.mark.parametrize(("kind", "shown"), [("running", True), ("stopped", True), ("child", False)])
async def test_containers_in_the_way_are_offered(clock: list[float], kind: str, shown: bool) -> None:
    blocked = Plan("Remove", "docker rmi", blocked_by=(Blocker("it is in use", "c1", False, kind, "c1"),))
    async with opened(dialog := ActionScreen(Fake(blocked), containers=True)) as it:
        await it.until("the plan", lambda: "esc closes" in it.text("action-keys"))
        assert ("o shows the containers" in it.text("action-keys")) is shown
        await it.press("o")
        assert dialog.to_containers is shown
        assert it.app.results == ([None] if shown else [])


async def test_a_plan_that_cannot_be_made_is_a_sentence(clock: list[float]) -> None:
    action = Fake(EngineError("The engine went away."))
    async with opened(ActionScreen(action)) as it:
        await it.ended()
        assert it.text("action-text") == "The engine went away."
        await it.press("enter")
        assert (it.app.results, action.ran) == ([None], 0)


# -- the doing ----------------------------------------------------------------------------------------


async def test_what_happens_is_shown_as_it_happens() -> None:
    wait = threading.Event()
    events: list[Event] = [
        Said("Step 1/2 : FROM base"),
        Transfer("4f1", "Pushing", 500_000, 1_000_000),
        Transfer("9aa", "Waiting"),
        Transfer("4f1", "Pushed", 2_000_000, 1_000_000),
        Said("Step 2/2"),
        Done("Built app:1.\nIn 2 s.", freed=3_000_000),
    ]
    action = Fake(events=events, wait=wait)
    async with opened(ActionScreen(action, ask=False)) as it:
        await it.until("the beginning", lambda: action.ran)
        await it.until("esc", lambda: it.text("action-keys") == "esc cancels")
        wait.set()
        await it.ended()
        assert it.log == ["Step 1/2 : FROM base", "Step 2/2"]
        transfers = [" ".join(line.split()) for line in it.text("action-transfers").splitlines()]
        assert len(transfers) == 2
        assert transfers[0].startswith("4f1 ")
        assert transfers[0].endswith("Pushed 2 MB of 1 MB")
        assert transfers[1] == "9aa Waiting"
        assert it.text("action-text") == "Built app:1.\nIn 2 s.\n3 MB freed"
        await it.press("enter")
        assert it.app.results == [events[-1]]


async def test_esc_cancels_what_runs() -> None:
    action = Fake(events=[Said("on the way"), Done("never")], wait=threading.Event())
    async with opened(ActionScreen(action, ask=False)) as it:
        await it.until("the beginning", lambda: action.job is not None)
        await it.press("enter", "escape")
        assert action.job is not None
        assert action.job.cancelled
        await it.ended()
        assert it.text("action-text") == "cancelled"
        await it.press("escape")
        assert it.app.results == [None]
        assert cast(ActionScreen, it.app.dialog).begun


async def test_what_runs_ends_with_the_program() -> None:
    action = Fake(events=[Done("never")], wait=threading.Event())
    async with opened(ActionScreen(action, ask=False)) as it:
        await it.until("the beginning", lambda: action.job is not None)
    assert action.job is not None
    assert action.job.cancelled


@pytest.mark.parametrize("error", [EngineError("It is in use.", 409), AuthRequired("Log in.", "r:5000")])
async def test_a_failure_is_a_sentence_and_its_log_stays(error: EngineError) -> None:
    async with opened(dialog := ActionScreen(Fake(events=[Said("first"), error]), ask=False)) as it:
        await it.ended()
        assert it.text("action-text") == str(error)
        assert it.log == ["first"]
        await it.press("escape")
        assert it.app.results == [None]
        assert dialog.failure is error


async def test_hostile_text_has_no_power() -> None:
    plan = Plan(HOSTILE, HOSTILE, lines=(HOSTILE,), deletes=(HOSTILE,), untags=(HOSTILE,), keeps=(HOSTILE,))
    blocked = Plan(HOSTILE, HOSTILE, blocked_by=(Blocker(HOSTILE, "x", True),))
    events: list[Event] = [Said(HOSTILE), Transfer(HOSTILE, HOSTILE), Done(HOSTILE)]

    def check(text: str) -> None:
        assert "[bold]no markup[/]" in text
        assert not set("\x1b\x07\r\u202e") & set(text)

    for shown, asked in ((plan, True), (blocked, True), (plan, False)):
        async with opened(ActionScreen(Fake(shown, events), ask=asked)) as it:
            if not asked:
                await it.ended()
                check(it.text("action-transfers"))
                check("\n".join(it.log))
            await it.until("the keys", lambda: it.text("action-keys"))
            check(it.text("action-text"))


# -- forms --------------------------------------------------------------------------------------------


def make(values: Values) -> Values:
    if not values["name"]:
        raise UsageError("Give it a name.")
    return dict(values)


FIELDS = [
    Field("name", "name"),
    Field("password", "password", secret=True),
    Field("keep", "keep it", flag=True),
]


async def test_a_form_is_checked_while_typing() -> None:
    dialog = FormScreen("A form", FIELDS, make, lambda values: f"it becomes {values['name']}")
    async with opened(dialog) as it:
        await it.pilot.pause()
        assert it.text("form-note") == "Give it a name."
        await it.press("enter")
        assert it.app.results == []
        await it.press("a", "b")
        assert it.text("form-note") == "it becomes ab"
        await it.press("backspace", "backspace")
        assert it.text("form-note") == "Give it a name."
        await it.press("a", "enter")
        assert it.app.results == [{"name": "a", "password": "", "keep": ""}]


async def test_a_secret_is_hidden_and_given_as_it_was_typed() -> None:
    async with opened(FormScreen("A form", FIELDS, make)) as it:
        await it.press("a", "tab", "space", "x", "space")
        secret = it.app.dialog.query_one("#field-password", Input)
        assert secret.password
        assert "x" not in secret.render_line(0).text
        await it.press("enter")
        assert it.app.results == [{"name": "a", "password": " x ", "keep": ""}]


async def test_space_ticks_and_enter_goes_on() -> None:
    async with opened(FormScreen("A form", FIELDS, make)) as it:
        await it.press("a", "tab", "tab", "space")
        assert str(it.app.dialog.query_one("#field-keep").render()) == "[x]"
        await it.press("space", "space", "enter")
        assert it.app.results == [{"name": "a", "password": "", "keep": "yes"}]


async def test_esc_leaves_a_form() -> None:
    async with opened(FormScreen("A form", FIELDS, make)) as it:
        await it.press("a", "escape")
        assert it.app.results == [None]


async def test_letters_in_a_form_are_letters() -> None:
    """q would leave other dialogs, and f, o are keys there."""
    async with opened(FormScreen("A form", FIELDS, make)) as it:
        await it.press(*"qfodrx", "enter")
        assert it.app.results[0]["name"] == "qfodrx"


async def test_hostile_values_in_a_form_have_no_power() -> None:
    fields = [Field("name", HOSTILE, HOSTILE, HOSTILE)]
    async with opened(FormScreen(HOSTILE, fields, make, lambda _: HOSTILE)) as it:
        await it.pilot.pause()
        shown = [str(widget.render()) for widget in it.app.dialog.query(Static)]
        shown.append(it.app.dialog.query_one(Input).value)
        assert not set("\x1b\x07\r\u202e") & set("".join(shown))
        assert "[bold]no markup[/]" in it.text("form-note")


# -- clean up -----------------------------------------------------------------------------------------


@dataclass
class FakeClean:
    """Two lines that share 1 MB."""

    found: tuple[CleanLine, ...] | Exception = (
        CleanLine("dangling", "dangling images", "nobody sees them", 2_000_000, (), True),
        CleanLine("stopped", "stopped containers", "they wrote something", 3_000_000, (), False),
    )
    chosen: list[set[str]] = field(default_factory=list)

    def lines(self) -> tuple[CleanLine, ...]:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def plan(self, keys: set[str]) -> Plan:
        frees = {0: 0, 1: 2_000_000 if "dangling" in keys else 3_000_000, 2: 4_000_000}[len(keys)]
        lines = tuple(f"  the things of {key}" for key in sorted(keys))
        return Plan("Clean up", "", lines=lines, frees=frees, deletes=tuple(keys))

    def choose(self, keys: set[str]) -> None:
        self.chosen.append(set(keys))


def cleaning(fake: FakeClean) -> CleanScreen:
    return CleanScreen(cast(CleanUp, fake))


async def test_clean_up_ticks_what_is_proposed_and_sums_what_is_ticked(clock: list[float]) -> None:
    fake = FakeClean()
    async with opened(cleaning(fake)) as it:
        await it.until("the lines", lambda: "are freed" in it.text("clean-sum"))
        lines = it.app.dialog.query_one(CleanLines)
        assert [line[:4] for line in rows(lines)] == ["[x] ", "[ ] "]
        assert it.text("clean-sum") == "1 things go, 2 MB are freed\n  the things of dangling"
        await it.press("down", "space")
        assert it.text("clean-sum").startswith("2 things go, 4 MB are freed")  # not 5: they share
        assert [line[:4] for line in rows(lines)] == ["[x] ", "[x] "]
        await it.press("up", "space")
        assert it.text("clean-sum").startswith("1 things go, 3 MB are freed")
        clock[0] += 10
        await it.press("enter")
        assert it.app.results == [True]
        assert fake.chosen == [{"stopped"}]


async def test_nothing_ticked_nothing_runs(clock: list[float]) -> None:
    async with opened(cleaning(FakeClean())) as it:
        await it.until("the lines", lambda: "are freed" in it.text("clean-sum"))
        clock[0] += 10
        await it.press("space", "enter")
        assert it.app.results == [False]


async def test_enter_that_is_held_down_cleans_nothing(clock: list[float]) -> None:
    fake = FakeClean()
    async with opened(cleaning(fake)) as it:
        await it.press("enter")
        await it.until("the lines", lambda: "are freed" in it.text("clean-sum"))
        await it.press("enter", "enter")
        assert (it.app.results, fake.chosen) == ([], [])
        await it.press("escape")
        assert it.app.results == [False]


@pytest.mark.parametrize(
    ("found", "note"),
    [((), "There is nothing to clean up."), (EngineError("The engine went away."), "The engine went away.")],
)
async def test_without_lines_clean_up_says_why(clock: list[float], found: Any, note: str) -> None:
    fake = FakeClean(found)
    async with opened(cleaning(fake)) as it:
        await it.ended("clean-keys")
        assert it.text("clean-note") == note
        clock[0] += 10
        await it.press("enter")
        assert it.app.results == []
        await it.press("escape")
        assert (it.app.results, fake.chosen) == ([False], [])


# -- containers ---------------------------------------------------------------------------------------


@dataclass
class FakeEngine:
    answer: Sequence[Use] | Exception

    def inventory(self) -> Sequence[Use]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def use(name: str, state: str = "running") -> Use:
    container = Container(
        f"id-{name}",
        name,
        "sha256:aa",
        state,
        f"{state} 2 hours",
        1_500_000,
        0.0,
        "sh",
        ("0.0.0.0:80->80/tcp",),
    )
    return Use(container, "app:2" if name == "web" else "")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the containers."""
    asked: list[str] = []
    monkeypatch.setattr(containers, "containers_of", lambda inventory, identifier: inventory)
    for name in ("Logs", "StopContainer", "RemoveContainer"):

        def fake(engine: object, container: str, name: str = name, **options: bool) -> Fake:
            if not options.get("force"):
                asked.append(f"{name} {container}")
            return Fake(Plan(f"{name} {container}", ""))

        monkeypatch.setattr(containers, name, fake)
    return asked


def listing(answer: Sequence[Use] | Exception, *, read_only: bool = False) -> ContainersScreen:
    images = [Image(id="sha256:aa", references=("app:1",)), Image(id="sha256:bb", references=("app:2",))]
    return ContainersScreen(cast(Engine, FakeEngine(answer)), images, read_only=read_only)


async def test_the_containers_of_images(done: list[str]) -> None:
    async with opened(dialog := listing([use("web"), use(HOSTILE, "exited")])) as it:
        table = dialog.query_one(ContainerTable)
        await it.until("the list", lambda: table.row_count)
        assert table.row_count == 2  # each once, though both images have it
        assert table.title == ("containers of app:1, app:2",)
        first, second = (" ".join(line.split()) for line in rows(table))
        assert first == "● web running 2 hours ████████ 1.5 MB 0.0.0.0:80->80/tcp via app:2"
        assert second.startswith("○ ")
        assert not set("\x1b\x07\r\u202e") & set(second)
        await it.press("escape")
        assert it.app.results == [None]


@pytest.mark.parametrize(
    ("key", "asked"), [("l", "Logs"), ("enter", "Logs"), ("s", "StopContainer"), ("d", "RemoveContainer")]
)
async def test_a_key_acts_on_the_container_under_the_cursor(done: list[str], key: str, asked: str) -> None:
    async with opened(dialog := listing([use("web"), use("db")])) as it:
        await it.until("the list", lambda: dialog.query_one(ContainerTable).row_count)
        await it.press("down", key)
        await it.until("the dialog", lambda: isinstance(it.app.screen, ActionScreen))
        assert done == [f"{asked} id-db"]
        assert len(it.app.screen_stack) == 3


async def test_keys_that_repeat_open_one_dialog(done: list[str]) -> None:
    async with opened(dialog := listing([use("web")])) as it:
        await it.until("the list", lambda: dialog.query_one(ContainerTable).row_count)
        table = dialog.query_one(ContainerTable)
        for act in (table.action_remove, table.action_remove, table.action_stop, table.action_logs):
            act()  # all before the dialog of the first is there
        await it.until("the dialog", lambda: isinstance(it.app.screen, ActionScreen))
        assert done == ["RemoveContainer id-web"]
        assert len(it.app.screen_stack) == 3


@pytest.mark.parametrize(
    ("answer", "note"),
    [([], "no container uses this image"), (EngineError("The engine went away."), "The engine went away.")],
)
async def test_no_containers(done: list[str], answer: Any, note: str) -> None:
    async with opened(dialog := listing(answer)) as it:
        table = dialog.query_one(ContainerTable)
        await it.until("the note", lambda: table.note == note)
        await it.press("l", "s", "d", "enter")
        assert done == []
        assert it.app.screen is dialog


async def test_read_only_shows_logs_and_stops_nothing(done: list[str]) -> None:
    async with opened(dialog := listing([use("web")], read_only=True)) as it:
        await it.until("the list", lambda: dialog.query_one(ContainerTable).row_count)
        await it.press("s", "d")
        assert done == []
        said = [note.message for note in it.app._notifications]
        assert said == [f"imgscope is read-only here: {what} is switched off." for what in ("stop", "remove")]
        await it.press("l")
        await it.until("the dialog", lambda: isinstance(it.app.screen, ActionScreen))
        assert done == ["Logs id-web"]
