"""A person's keys: each binding has an id, and the settings give it other keys (`[keymap]`).

Loaded only where they do: to check them, all screens must be.
"""

from __future__ import annotations

import pkgutil
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import KEY_NAME_REPLACEMENTS, Keys
from textual.screen import ModalScreen, Screen

import imgscope.ui
from imgscope.config import did_you_mean
from imgscope.errors import UsageError

_MODIFIERS = {"ctrl", "alt", "shift", "super", "meta", "hyper"}
_TAKEN = {
    "ctrl+m": "terminals send it as enter",
    "ctrl+j": "terminals send it as enter",
    "ctrl+i": "terminals send it as tab",
    "ctrl+h": "terminals send it as backspace",
    "ctrl+left_square_bracket": "terminals send it as escape",
    "ctrl+s": "terminals stop at it",
    "ctrl+q": "terminals go on at it",
    "ctrl+z": "terminals suspend the program at it",
    "ctrl+backslash": "terminals end the program at it",
    "ctrl+space": "systems switch the keyboard at it",
    "ctrl+at": "terminals send it for ctrl+space",
    "ctrl+c": "it interrupts",
}
_COMMON = {"esc": "escape", "pgup": "pageup", "pgdn": "pagedown", "pgdown": "pagedown", "del": "delete"}
_WIDGETS = "imgscope.ui.widgets."
_MAIN = "imgscope.ui.screens.main"


def places() -> dict[type[DOMNode], list[Binding]]:
    """Every class of the screen that has keys, with all of them, inherited ones too; keys in long form."""
    for module in pkgutil.walk_packages(imgscope.ui.__path__, "imgscope.ui."):
        import_module(module.name)
    found = {}
    for cls in _subclasses(DOMNode):
        if cls.__module__.startswith("imgscope.ui."):
            own: dict[str | None, list[Binding]] = {}
            for base in reversed(cls.__mro__):
                if base.__module__.startswith("imgscope.ui."):
                    for binding in Binding.make_bindings(vars(base).get("BINDINGS", ())):
                        own.setdefault(binding.key, [])[:] = [binding]
            if own:
                found[cls] = [binding for bindings in own.values() for binding in bindings]
    return found


def _subclasses(cls: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def known(found: Mapping[type[DOMNode], list[Binding]]) -> dict[str, Binding]:
    """Every binding by its id, the keys of one id joined, as the keymap takes them."""
    by_id: dict[str, Binding] = {}
    for bindings in found.values():
        for binding in bindings:
            if binding.id is not None:
                before = by_id.get(binding.id, binding)
                keys = dict.fromkeys((*before.key.split(","), binding.key))
                best = before if before.tooltip else binding
                by_id[binding.id] = best.with_key(",".join(keys))
    return dict(sorted(by_id.items()))


def check(keymap: Mapping[str, str], error: Callable[[str, str], UsageError]) -> dict[str, str]:
    """The keymap with its keys in long form. `error` makes one of an id and a sentence.

    Raises that for an id or a key that there is not, and where two bindings of one place had one key.
    """
    found = places()
    ids = known(found)
    checked = {}
    for identifier, keys in keymap.items():
        if identifier not in ids:
            hint = did_you_mean(identifier, ids)
            raise error(
                identifier, f"keymap knows no {identifier!r}{hint}; imgscope config --keys lists all ids"
            )
        names = [_long(key) for key in keys.split(",")]
        for key, name in zip(keys.split(","), names, strict=True):
            if problem := _problem(name):
                raise error(identifier, f"keymap: {identifier} = {key!r}: {problem}")
        checked[identifier] = ",".join(dict.fromkeys(names))
    for scope in _scopes(found):
        taken: dict[str, Binding] = {}
        for binding in scope:
            identifier = binding.id or binding.action
            for key in checked.get(identifier, binding.key).split(","):
                other = taken.setdefault(key, binding)
                theirs = other.id or other.action
                if theirs == identifier or not {identifier, theirs} & checked.keys():
                    continue
                mine = identifier if key in checked.get(identifier, "").split(",") else theirs
                owner = theirs if mine == identifier else identifier
                text = (other if mine == identifier else binding).description or owner
                raise error(
                    mine,
                    f"keymap: {mine} = {key!r} is the key of {owner} ({text.lower()}) there; "
                    f"give that another key, too, or take one that is free: {', '.join(_free(found))}",
                )
    return checked


def _scopes(found: Mapping[type[DOMNode], list[Binding]]) -> Iterator[list[Binding]]:
    """The bindings that one press of a key meets: of a widget, of the screen it is on, of the app."""
    apps = [binding for cls, bindings in found.items() if issubclass(cls, App) for binding in bindings]
    for cls, bindings in found.items():
        if issubclass(cls, Screen):
            yield [*bindings, *(() if issubclass(cls, ModalScreen) else apps)]
        elif not issubclass(cls, App):
            home = _MAIN if cls.__module__.startswith(_WIDGETS) else cls.__module__
            for screen, others in found.items():
                if issubclass(screen, Screen) and screen.__module__ == home:
                    yield [*bindings, *others, *(() if issubclass(screen, ModalScreen) else apps)]


def _long(key: str) -> str:
    """A key as Textual names it: question_mark for ?, and common spellings of others."""
    key = _COMMON.get(key.lower(), key)
    *modifiers, last = [key] if key == "+" else key.rsplit("+", 1) if "+" in key else [key]
    if len(last) == 1 and not last.isalnum():
        name = unicodedata.name(last, last).lower().replace("-", "_").replace(" ", "_")
        last = KEY_NAME_REPLACEMENTS.get(name, name)
    return "+".join([*(modifier.lower() for modifier in modifiers), last])


def _problem(key: str) -> str:
    """Why a key cannot be one, or nothing."""
    if key in _TAKEN:
        return _TAKEN[key]
    *modifiers, last = key.split("+")
    for modifier in modifiers:
        if modifier not in _MODIFIERS:
            return f"there is no key {modifier}{did_you_mean(modifier, _MODIFIERS)} to hold"
    names = {item.value for item in Keys} | set(KEY_NAME_REPLACEMENTS.values())
    if len(last) == 1 or last in names:
        return ""
    try:
        unicodedata.lookup(last.replace("_", " "))
    except KeyError:
        return f"there is no key {last}{did_you_mean(last, names)}"
    return ""


def _free(found: Mapping[type[DOMNode], list[Binding]]) -> list[str]:
    """A few keys that nothing has."""
    taken = {binding.key for bindings in found.values() for binding in bindings}
    keys = [*string.ascii_lowercase, *(f"f{number}" for number in range(3, 13)), *string.ascii_uppercase]
    return [key for key in keys if key not in taken][:5]
