"""The keys, where one is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

_GROUPS = (
    (
        "moving",
        (
            ("↑ ↓  k j", "one row up, down"),
            ("pgup pgdn  home end  g G", "a page; first row, last row"),
            ("← →  h l", "close or go to the parent; open or go to the first child"),
            ("tab  shift+tab", "next pane, previous pane"),
            ("enter, double click", "open the image, the layer, the directory, the wasted path"),
            ("esc", "cancel reading; one pane back"),
        ),
    ),
    (
        "looking",
        (
            ("v", "the layer's own changes, or all files up to it (merged)"),
            ("z", "the pane alone, or all panes"),
            ("f5  ctrl+r", "list the images anew"),
            ("ctrl+p", "all commands and themes"),
            ("q", "quit"),
        ),
    ),
    (
        "signs",
        (
            ("+", "added in this layer"),
            ("~", "changed: content, kind or link target"),
            ("≈", "changed: mode, owner, time or xattrs only; the content was stored again"),
            ("−", "removed in this layer; what lower layers stored still ships"),
            ("dead", "stored here, and no file of the final image any more"),
            ("?", "not known before the image is read"),
        ),
    ),
    (
        "columns",
        (
            ("size", "bytes of all files in all layers, unpacked"),
            ("unique", "bytes in layers that no other image here uses"),
            ("wasted", "dead bytes: shipped, but never seen"),
            ("used by", "containers made from the image"),
        ),
    ),
)


class HelpScreen(ModalScreen[None]):
    """Closed by the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "close", id="help.close"),
    ]

    def compose(self) -> ComposeResult:
        pieces: list[str | tuple[str, str]] = []
        for title, rows in _GROUPS:
            pieces.append((f"{title}\n", "bold $primary"))
            for keys, text in rows:
                pieces += [(f"  {keys:<26}", "$accent"), f"{text}\n"]
            pieces.append("\n")
        pieces.append(("esc closes", "$text-muted"))
        with VerticalScroll(id="help"):
            yield Static(Content.assemble(*pieces))
