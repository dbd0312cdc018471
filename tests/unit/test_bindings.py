"""The keys of all screens, as they are written down."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import imgscope.ui

# What a terminal, a multiplexer or the system takes for something else: ctrl+m is enter, ctrl+i tab, ctrl+j a
# line feed, ctrl+h backspace, ctrl+[ escape; ctrl+s and ctrl+q stop and start the output, ctrl+space is the
# system's. ctrl+z suspends, here as everywhere.
SWALLOWED = {
    *(f"ctrl+{letter}" for letter in "mijhsq"),
    *("ctrl+space", "ctrl+@", "ctrl+left_square_bracket", "ctrl+backslash"),
}


def classes() -> Iterator[type[Any]]:
    """Everything in the screens' room that has keys."""
    seen: set[type[Any]] = set()
    for module in pkgutil.walk_packages(imgscope.ui.__path__, "imgscope.ui."):
        for item in vars(import_module(module.name)).values():
            if (
                isinstance(item, type)
                and issubclass(item, DOMNode)
                and item.__module__.startswith("imgscope.")
            ):
                seen.add(item)
    return iter(sorted(seen, key=lambda item: (item.__module__, item.__qualname__)))


KEYED = [item for item in classes() if "BINDINGS" in vars(item)]


def bindings(keyed: type[Any]) -> list[Binding]:
    found = [item for item in vars(keyed)["BINDINGS"] if isinstance(item, Binding)]
    assert len(found) == len(vars(keyed)["BINDINGS"])  # no tuples
    return found


def test_there_are_keys() -> None:
    assert len(KEYED) > 15


@pytest.mark.parametrize("keyed", KEYED, ids=lambda item: item.__qualname__)
def test_no_key_is_one_that_terminals_swallow(keyed: type[Any]) -> None:
    for binding in bindings(keyed):
        assert SWALLOWED.isdisjoint(part.strip() for part in binding.key.split(",")), binding


@pytest.mark.parametrize("keyed", KEYED, ids=lambda item: item.__qualname__)
def test_each_key_has_an_id_and_says_what_it_does(keyed: type[Any]) -> None:
    for binding in bindings(keyed):
        assert binding.id, binding
        assert binding.tooltip or binding.description, binding


@pytest.mark.parametrize("keyed", KEYED, ids=lambda item: item.__qualname__)
def test_no_class_gives_a_key_twice(keyed: type[Any]) -> None:
    keys = [part.strip() for binding in bindings(keyed) for part in binding.key.split(",")]
    assert len(keys) == len(set(keys))
