"""The keys, where one is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

_GROUPS = (
    (
        "moving",
        (
            ("↑ ↓  k j", "one row up, down"),
            ("pgup pgdn", "one page up, down"),
            ("home end  g G", "first row, last row"),
            ("← →  h l", "close, or to the parent; open, or to the first child"),
            ("tab  shift+tab", "next pane, previous pane"),
            ("enter  double click", "open the image, layer, directory or wasted path"),
            ("esc", "cancel reading; clear the filter; one pane back"),
        ),
    ),
    (
        "looking",
        (
            ("v", "a layer's own changes, or all files up to it (merged)"),
            ("z", "the pane alone, or all panes"),
            ("/", "filter files: part of a name, a glob; with / a path"),
            ("n  N", "next match, match before"),
            ("S", "files by name, size or dead bytes"),
            ("*  -", "open all directories, close all"),
            ("f5  ctrl+r", "list the images anew"),
            ("ctrl+p", "all commands and themes"),
            ("q  ctrl+c", "quit"),
        ),
    ),
    (
        "changing",
        (
            ("r  s  o", "run a container, open a shell, the image's containers"),
            ("t  p  P  L", "tag, push, pull, log in"),
            ("b", "build from a folder"),
            ("d", "remove: what goes, what stays, the bytes it frees"),
            ("x  c", "prune by kinds; clean up all that nobody can miss"),
            ("space", "mark images for tag, push and remove"),
        ),
    ),
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


class HelpScreen(ModalScreen[None]):
    """Closed by the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "close", id="help.close"),
        Binding("j", "scroll('down')", show=False, id="help.down"),
        Binding("k", "scroll('up')", show=False, id="help.up"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            for title, rows in _GROUPS:
                yield Static(title, classes="title")
                for keys, text in rows:
                    with Horizontal():
                        yield Static(keys, classes="keys", markup=False)
                        yield Static(text, classes="text", markup=False)
                yield Static("")
            yield Static("esc closes", classes="end")

    def action_scroll(self, direction: str) -> None:
        scroll = self.query_one("#help", VerticalScroll)
        (scroll.scroll_down if direction == "down" else scroll.scroll_up)(animate=False)
