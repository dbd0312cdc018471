"""The footer of every place: the keys one wants there, never more than eight, and help among them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from textual.widgets._footer import FooterKey

from imgscope.actions.plan import Event, Plan
from imgscope.job import Job
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.form import Field, FormScreen
from imgscope.ui.widgets.keybar import MOST
from imgscope.ui.widgets.lines import NO_MATCH
from tests.ui.driver import Screen, screen

SIZES = [(80, 24), (60, 20)]
HELPS = (["?"], ["f1"])  # where one types, ? is a letter
FILE = ("tab", "tab", "j")  # from the list of images to bin/busybox of bigfile

# a place, the keys that lead there from the list of images of bigfile, and what its footer must offer first
PLACES: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("images", (), ("open", "filter")),
    ("layers", ("tab",), ("open", "changes/merged")),
    ("files", ("tab", "tab"), ("open", "filter", "find", "extract")),
    ("waste", ("2", "tab"), ("open", "next pane", "find")),
    ("config", ("3", "tab"), ("copy",)),
    ("manifest", ("4", "tab"), ("copy", "open")),
    ("dockerfile", ("5", "tab"), ("copy", "open")),
    ("containers", ("6", "tab"), ("logs", "next pane")),
    ("filter of images", ("slash",), ("keep", "clear")),
    ("filter of files", ("tab", "tab", "slash"), ("keep", "clear")),
    ("viewer", (*FILE, "enter"), ("find", "extract")),
    ("viewer of JSON", ("4", "tab", "enter"), ("find",)),
    ("viewer, searching", (*FILE, "enter", "slash"), ("cancel",)),
    ("diff", (*FILE, "D"), ("next change",)),
    ("find", ("f",), ("go there", "this image / all images", "back")),
    ("map", ("m",), ("go in", "out")),
    ("timeline", ("T",), ("open", "close")),
    ("compare: files", ("space", "j", "space", "equals_sign"), ("open", "filter")),
    ("compare: layers", ("space", "j", "space", "equals_sign", "2"), ("copy", "section")),
    ("compare: config", ("space", "j", "space", "equals_sign", "3"), ("copy", "section")),
    ("compare: packages", ("space", "j", "space", "equals_sign", "4"), ("copy", "section")),
]
# dialogs have a line of their own, which must fit; the footer below is not theirs
DIALOGS = [
    (("question_mark",), "esc closes"),
    (("y",), "esc closes"),
    (("f2",), "esc takes the one before"),
    ((*FILE, "e"), "esc cancels"),
]


async def go(it: Screen, keys: tuple[str, ...]) -> None:
    for key in keys:
        await it.press(key)


def footer(it: Screen) -> list[FooterKey]:
    return list(it.app.screen.query(FooterKey))


def ends(it: Screen) -> list[int]:
    """Where each key of the footer ends, in cells; none as long as it is laid out anew."""
    return [key.region.right for key in footer(it) if key.region.width]


def fits(it: Screen, width: int, wanted: tuple[str, ...]) -> bool:
    """Whether all that is shown is within the screen: what one wants first, and help."""
    words = tuple(key.description for key in footer(it))
    helps = [key.key_display for key in footer(it) if key.description == "help"]
    return max(ends(it), default=width + 1) <= width and words[: len(wanted)] == wanted and helps in HELPS


@pytest.mark.parametrize(("place", "keys", "wanted"), PLACES, ids=[place for place, _, _ in PLACES])
async def test_the_footer(place: str, keys: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    async with screen(size=(160, 45)) as it:
        await go(it, keys)
        actions = {one.binding.action for one in it.app.screen.active_bindings.values() if one.binding.show}
        assert len(actions) <= MOST
        await it.until("all keys", lambda: len(ends(it)) == len(actions))
        for width, height in SIZES:
            await it.pilot.resize_terminal(width, height)
            await it.until(f"room for {wanted} and help", partial(fits, it, width, wanted))


@pytest.mark.parametrize(("keys", "says"), DIALOGS, ids=["-".join(keys) for keys, _ in DIALOGS])
async def test_dialogs_say_their_keys_themselves(keys: tuple[str, ...], says: str) -> None:
    async with screen(size=(60, 20)) as it:
        await go(it, keys)
        assert not footer(it)
        await it.until(says, lambda: says in it.text)


@pytest.mark.parametrize("keys", [("n",), ("tab", "tab", "N")])
async def test_going_to_a_match_of_nothing_says_how_to_look(keys: tuple[str, ...]) -> None:
    async with screen("demo:bigfile") as it:
        it.images.focus()
        await go(it, keys)
        assert [note.message for note in it.app._notifications] == [NO_MATCH]


class Planned:
    """An action that is never done."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def describe(self) -> Plan:
        return self._plan

    def execute(self, job: Job) -> Iterator[Event]:
        raise NotImplementedError


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
async def test_a_long_plan_and_a_long_form_keep_their_keys_in_sight(size: tuple[int, int]) -> None:
    plan = Plan("Remove much", "docker rmi much", tuple(f"line {number}" for number in range(100)))
    async with screen("demo:bigfile", size=size) as it:
        await it.app.push_screen(ActionScreen(Planned(plan)))
        await it.until("the keys of the plan", lambda: "enter does it" in it.text)
        await it.pilot.press("escape")
        await it.app.push_screen(
            FormScreen("much", [Field(f"f{number}", "word") for number in range(30)], lambda values: values)
        )
        await it.until("the keys of the form", lambda: "esc cancels" in it.text)
