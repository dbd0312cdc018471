"""The dialogs of the screen, as tests use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from textual.widgets import Input, Static

from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.form import FormScreen
from tests.ui.driver import Screen, rows


async def key(it: Screen, name: str) -> None:
    """Press a key that opens a dialog, whose end nobody waits for."""
    await it.pilot.press(name)
    await it.pilot.pause()


async def form(it: Screen) -> FormScreen[Any]:
    await it.until(
        "a form", lambda: isinstance(it.app.screen, FormScreen) and it.app.screen.query("Input, Checkbox")
    )
    return cast(FormScreen[Any], it.app.screen)


async def dialog(it: Screen, keys: str) -> str:
    """Wait for a dialog that offers these keys; gives its text."""

    def there() -> bool:
        shown = it.app.screen
        return isinstance(shown, ActionScreen) and keys in str(
            shown.query_one("#action-keys", Static).render()
        )

    await it.until(f"a dialog with {keys!r}", there)
    return str(it.app.screen.query_one("#action-text", Static).render())


def said(it: Screen) -> list[str]:
    return [note.message for note in it.app._notifications]


def listed(it: Screen, name: str) -> bool:
    return any(f"{name} " in line for line in rows(it.images))


async def type_name(it: Screen, name: str) -> None:
    (await form(it)).query_one(Input).value = name
    await it.pilot.pause()
    await key(it, "enter")


async def confirm(it: Screen, keys: str = "enter closes") -> str:
    await dialog(it, "enter does it")
    await key(it, "enter")
    text = await dialog(it, keys)
    await key(it, "enter")
    return text


async def log_in(it: Screen, registry: str, user: str, password: str) -> str:
    """Fill in the login; gives its title."""
    shown = await form(it)
    fields: Sequence[Input] = list(shown.query(Input))
    assert fields[0].value == registry
    assert fields[2].password
    title = str(shown.query(Static).first().render())
    fields[1].value, fields[2].value = user, password
    await it.pilot.pause()
    await key(it, "enter")
    return title
