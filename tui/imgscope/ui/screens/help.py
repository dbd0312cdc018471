"""The keys of where one is, made from the bindings themselves: what a keymap moved is shown where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

_MOVING = ("move.", "pane.", "tree.", "split.", "back")
_TITLES = ("in this pane", "looking", "changing", "moving", "everywhere")
# what the signs and columns of the images' screen say
_LEGEND = (
    (
        "signs",
        (
            ("▸  ●", "the image shown below; a marked image"),
            ("+", "added in this layer"),
            ("~", "changed: content, kind or link target"),
            ("≈", "changed: mode, owner, time or xattrs, not the content"),
            ("=", "stored again, and nothing changed"),
            ("−", "removed in this layer; the copy below still ships"),
            ("dead", "stored here, and not in the final image"),
            ("!", "damaged, or missing"),
            ("?", "not known before the image is read"),
        ),
    ),
    (
        "columns",
        (
            ("size", "bytes of all files in all layers, unpacked"),
            ("unique", "bytes in layers that no other image here uses"),
            ("wasted, dead", "bytes that ship, but no path of the final image shows"),
            ("used by", "containers made from the image"),
            ("efficiency", "the part of the bytes that is not dead"),
        ),
    ),
)


Group = tuple[str, Sequence[tuple[str, str]]]  # a title, and rows of keys and what they do


def key_groups(screen: Screen[Any]) -> list[Group]:
    """The keys that work where the focus is, by what they are for."""
    found: dict[str, dict[str, tuple[list[str], str]]] = {title: {} for title in _TITLES}
    for node, binding, _, tooltip in screen.active_bindings.values():
        text = tooltip or binding.tooltip or binding.description
        if not text or (binding.id is None and binding.action != "app.command_palette"):  # Textual's own
            continue
        rows = found[_title(screen, node, binding)]
        keys, _ = rows.setdefault(binding.id or binding.action, ([], text))
        keys.append(screen.app.get_key_display(binding))
    return [
        (title, [("  ".join(dict.fromkeys(keys)), text) for keys, text in rows.values()])
        for title, rows in found.items()
        if rows
    ]


def _title(screen: Screen[Any], node: DOMNode, binding: Binding) -> str:
    name = binding.id or ""
    if name.startswith("act."):
        return "changing"
    if name.startswith(_MOVING):
        return "moving"
    if node is screen.app:
        return "everywhere"
    return "looking" if node is screen or binding.action.startswith("screen.") else "in this pane"


class HelpScreen(ModalScreen[None]):
    """Closed by the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "dismiss", "close", id="help.close"),
        Binding("j,down", "scroll('down')", "Down", show=False, id="help.down"),
        Binding("k,up", "scroll('up')", "Up", show=False, id="help.up"),
    ]

    def __init__(self, screen: Screen[Any]) -> None:
        """The help of a screen, as it is now."""
        super().__init__()
        self._groups = key_groups(screen)
        if hasattr(screen, "explorer"):
            self._groups += _LEGEND

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            for title, rows in self._groups:
                yield Static(title, classes="title")
                for keys, text in rows:
                    with Horizontal():
                        yield Static(keys, classes="keys", markup=False)
                        yield Static(text, classes="text", markup=False)
                yield Static("")
            yield Static("↑ ↓ more  esc closes", classes="end")

    def action_scroll(self, direction: str) -> None:
        scroll = self.query_one("#help", VerticalScroll)
        (scroll.scroll_down if direction == "down" else scroll.scroll_up)(animate=False)
