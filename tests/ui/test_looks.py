"""Themes, keys, colours and signs as the person wants them, on the running screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import Static
from textual.widgets._footer import FooterKey

from imgscope.actions.plan import Done, Event, Plan
from imgscope.config import _CHOICES, state_folder
from imgscope.errors import UsageError
from imgscope.images.arrange import Order
from imgscope.job import Job
from imgscope.layers.view import Sort
from imgscope.ui.app import ImgscopeApp
from imgscope.ui.keymap import known, places
from imgscope.ui.plain import plain
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.themes import ThemeLines, ThemesScreen
from imgscope.ui.theme import DEFAULT
from imgscope.ui.widgets.images import _WIDTHS
from imgscope.ui.widgets.lines import TOP
from tests.ui.driver import Screen, rows, screen


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's config.toml; a folder of themes is beside it."""
    folder = tmp_path / "config"
    (folder / "themes").mkdir(parents=True)
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(folder / "config.toml"))
    return folder / "config.toml"


def notes(shown: Screen) -> str:
    return "\n".join(note.message for note in shown.app._notifications)


def painted(shown: Screen) -> list[str]:
    """The whole screen as text, line by line."""
    return [strip.text for strip in shown.app.screen._compositor.render_strips()]


async def themed(shown: Screen, name: str) -> None:
    await shown.until(f"the theme {name}", lambda: shown.app.theme == name)


# -- the list of themes ---------------------------------------------------------------------------------


async def test_moving_tries_a_theme_and_esc_takes_the_one_before() -> None:
    async with screen() as shown:
        background = shown.images.styles.background
        await shown.press("f2")
        assert isinstance(shown.app.screen, ThemesScreen)
        names = shown.app.screen.query_one(ThemeLines).names
        assert names[shown.app.screen.query_one(ThemeLines).cursor] == DEFAULT
        await shown.press("down")
        await themed(shown, names[names.index(DEFAULT) + 1])
        await shown.until("other colours", lambda: shown.images.styles.background != background)
        await shown.press("escape")
        assert shown.app.theme == DEFAULT
        await shown.until("its colours", lambda: shown.images.styles.background == background)
        assert not (state_folder() / "theme").exists()


async def test_enter_keeps_it_for_the_next_start_and_the_settings_say_otherwise(config: Path) -> None:
    async with screen() as shown:
        await shown.press("f2", "g", "enter")  # the first one; enter does not wait for it to be drawn
        kept = shown.app.theme
        assert kept != DEFAULT
        assert not isinstance(shown.app.screen, ThemesScreen)
        assert notes(shown) == ""
    assert ImgscopeApp("demo:").theme == kept
    config.write_text('# mine\ntheme = "nord"\n')
    assert ImgscopeApp("demo:").theme == "nord"
    async with screen() as shown:
        await shown.press("f2", "g", "enter")
        assert f"{config}:2 decides" in notes(shown)
        assert f'theme = "{kept}"' in notes(shown)
    assert config.read_text() == '# mine\ntheme = "nord"\n'


async def test_the_list_says_what_there_is(config: Path) -> None:
    (config.parent / "themes/dawn.toml").write_text('primary = "#884400"\ndark = false\n')
    async with screen(size=(60, 20)) as shown:
        await shown.press("f2")
        lines = shown.app.screen.query_one(ThemeLines)
        listed = [" ".join(row.split()) for row in rows(lines)]
        assert "dawn light you" in listed
        assert f"▸ {DEFAULT} dark imgscope" in listed
        assert "nord dark textual" in listed
        assert any("enter keeps it" in line for line in painted(shown))


# -- files of themes ------------------------------------------------------------------------------------


async def test_a_bad_theme_is_skipped_and_named_with_its_line(config: Path) -> None:
    bad = config.parent / "themes/bad.toml"
    bad.write_text('# mine\nprimary = "#123456"\n\nbackground = "[red]no colour[/]"\n')
    (config.parent / "themes/good.toml").write_text('primary = "#123456"\n')
    config.write_text('theme = "bad"\n')
    async with screen() as shown:
        assert f"{bad}, line 4: background" in notes(shown)
        assert "[red]no colour[/]" in notes(shown)
        assert shown.app.theme == DEFAULT
        assert "good" in shown.app.available_themes
        assert "bad" not in shown.app.available_themes


async def test_ones_own_theme_of_a_known_name_wins(config: Path) -> None:
    (config.parent / "themes/mine.toml").write_text('name = "nord"\nprimary = "#fedcba"\n')
    config.write_text('theme = "nord"\n')
    async with screen() as shown:
        assert shown.app.current_theme.primary == "#fedcba"


# -- keys -----------------------------------------------------------------------------------------------


async def test_another_key_in_footer_help_and_hand(config: Path) -> None:
    config.write_text('[keymap]\nhelp = "f1"\n"pane.zoom" = "f12"\ntheme = "f8"\n')
    async with screen(size=(140, 40)) as shown:
        await shown.press("question_mark", "z", "f2")
        assert (shown.helping, shown.zoomed) == (False, "")
        assert not isinstance(shown.app.screen, ThemesScreen)
        keys = {key.key: key.description for key in shown.app.screen.query(FooterKey)}
        assert keys["f1"] == "help"
        await shown.press("tab", "f12")
        assert shown.zoomed == "layers"
        await shown.press("f12", "f1")
        assert shown.helping
        assert "f12" in [str(one.render()) for one in shown.app.screen.query(".keys").results(Static)]
        await shown.press("escape", "f8")
        assert isinstance(shown.app.screen, ThemesScreen)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('act.rum = "f9"', "no 'act.rum' (did you mean act.run?)"),
        ('act.run = "space"', "the key of images.mark (mark) there"),
        ('quit = "r"', "the key of act.run (run) there"),
        ('act.run = "ctrl+m"', "terminals send it as enter"),
        ('act.run = "ctrl+space"', "systems switch the keyboard"),
        ("act.run = 'ctrl+@'", "terminals send it for ctrl+space"),
        ("act.run = 'ctrl+\\'", "terminals end the program"),
        ('act.run = "pagdown"', "did you mean pagedown?"),
        ('act.run = "crtl+r"', "did you mean ctrl?"),
        ("act.run = 5", "act.run = 5 is not what it should be"),
        ('act.run = ","', "not what it should be"),
    ],
)
def test_a_key_that_cannot_be(config: Path, line: str, says: str) -> None:
    config.write_text(f"# mine\n[keymap]\n\n{line}\n")
    with pytest.raises(UsageError) as error:
        ImgscopeApp("demo:")
    assert says in str(error.value)
    assert str(config) in str(error.value)
    assert "\n" not in str(error.value)
    if "should be" not in says:
        assert ", line 4: " in str(error.value)


def test_every_key_has_an_id_and_words() -> None:
    for bindings in places().values():
        for binding in bindings:
            assert binding.id, binding
            assert binding.tooltip or binding.description, binding
    assert len(known(places())) > 80


async def test_keys_can_be_swapped(config: Path) -> None:
    config.write_text('[keymap]\n"act.run" = "t"\n"act.tag" = "r"\n')
    async with screen() as shown:
        bound = {key: found.binding.id for key, found in shown.app.screen.active_bindings.items()}
        assert (bound["t"], bound["r"]) == ("act.run", "act.tag")


# -- ASCII ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["IMGSCOPE_ASCII", "settings"])
async def test_only_ascii_is_drawn(how: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "settings":
        config.write_text("ascii = true\n")
    else:
        monkeypatch.setenv(how, "1")
    async with screen(size=(120, 40)) as shown:
        await shown.open("rails-4.2:d")
        for keys in SCREENS:
            for key in keys:
                await shown.pilot.press(key)
                await shown.pilot.pause()
            lines = painted(shown)
            assert not [line for line in lines if not line.isascii()], keys
            assert {cell_len(line) for line in lines} == {120}
            while shown.app.screen is not shown.main:
                await shown.pilot.press("escape")
                await shown.pilot.pause()
        assert any("+- golang:c" in line for line in painted(shown))


# keys that show something: a tab, a screen, a dialog
SCREENS = (
    *((str(number),) for number in range(1, 7)),
    *(("1", key) for key in ("question_mark", "f2", "ctrl+p", "d", "m", "T", "f", "y")),
    ("tab", "tab", "asterisk", "down", "down", "e"),
    ("enter",),
    ("shift+tab", "shift+tab", "space", "space", "equals_sign"),
    ("slash",),
)


async def test_keys_go_by_name_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGSCOPE_ASCII", "1")
    async with screen() as shown:
        assert "enter open" in painted(shown)[-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("├─ ▸ ruby:b … 3 MB → /x", "+- > ruby:b ~ 3 MB > /x"),
        ("█████▎  −5 kB · 2", "#####|  -5 kB | 2"),
        ("café", "caf?"),
        ("日本.txt", "????.txt"),
        ("e\u0301", "e"),
    ],
)
def test_as_many_cells_in_ascii(text: str, shown: str) -> None:
    assert plain(text) == shown


# -- few colours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [("NO_COLOR", "1"), ("TERM", "xterm"), ("TERM", "xterm-256color")])
async def test_the_cursor_is_seen_with_few_colours(
    setting: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*setting)
    few = setting[1] != "xterm-256color"
    async with screen() as shown:
        assert shown.app.few_colours is few
        cursor = shown.images.render_line(TOP + shown.images.cursor)
        assert all(bool(segment.style and segment.style.reverse) is few for segment in cursor)
        other = shown.images.render_line(TOP + shown.images.cursor + 1)
        assert not any(segment.style and segment.style.reverse for segment in other)


@pytest.mark.parametrize("colours", ["15;0", "0;15", "0;default;15", "default;default", "", "12;8", "0;x"])
def test_a_light_terminal_gets_the_light_theme(colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", colours)
    assert ImgscopeApp("demo:").theme == ("imgscope-light" if colours.endswith("15") else "imgscope-dark")


# -- lists ----------------------------------------------------------------------------------------------


async def test_columns_and_orders_of_ones_own(config: Path) -> None:
    config.write_text('columns = ["age", "size"]\nimages-sort = "size"\nsort = "size"\n')
    async with screen() as shown:
        assert shown.images.head(120).split() == ["image", "age", "size"]
        assert shown.images.title == ("images", "by size")
        sizes = [node.size or 0 for node, _ in shown.images._rows if node.place is None]
        assert len(sizes) > 2
        assert sizes != sorted(sizes)  # a tree counts by the largest in it
        assert shown.images._rows[0][0].references == ("debian:a",)
        await shown.open("rails-4.2:d")
        assert "by size" in shown.title


def test_the_choices_are_those_of_the_lists() -> None:
    assert _CHOICES["columns"] == tuple(_WIDTHS)
    assert _CHOICES["images-sort"] == tuple(order.value for order in Order)
    assert _CHOICES["sort"] == tuple(sort.value for sort in Sort)


async def test_every_action_asks_where_it_is_to(config: Path) -> None:
    """Also one that its key does at once, as it does after a form."""
    config.write_text('confirm = "always"\n')
    async with screen() as shown:
        action = Telling()
        shown.main.run_worker(shown.main._do(action, ask=False), group="act")
        await shown.until("the plan", lambda: isinstance(shown.app.screen, ActionScreen))
        await shown.until("it to be shown", lambda: "tell it" in "\n".join(painted(shown)))
        assert not action.done
        await shown.pilot.press("escape")
        await shown.until("the screen below", lambda: shown.app.screen is shown.main)
        assert not action.done


class Telling:
    """An action that notes that it was done."""

    done = False

    def describe(self) -> Plan:
        return Plan("tell it", "true")

    def execute(self, job: Job) -> Iterator[Event]:
        self.done = True
        yield Done("told")
