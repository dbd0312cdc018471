"""The containers that use an image: what they say, stopping and removing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from imgscope.actions.engine import Engine
from imgscope.images.model import Image
from imgscope.text import clean
from imgscope.ui.widgets.containers import ContainerTable


class ContainersScreen(ModalScreen[None]):
    """Made from the image itself, from another of its names, or from one built on it."""

    DEFAULT_CSS = """
    ContainersScreen { align: center middle; background: $background 60%; }
    #use {
        width: 110;
        max-width: 100%;
        height: 20;
        max-height: 92%;
        padding: 1 2;
        background: $surface;

        ContainerTable { height: 1fr; background: $surface; }
        #use-keys { height: 1; margin-top: 1; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "close", id="containers.leave", tooltip="Back to the images"),
    ]

    def __init__(self, engine: Engine, images: Sequence[Image], *, read_only: bool = False) -> None:
        super().__init__()
        self._engine = engine
        self._images = images
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        with Vertical(id="use"):
            yield ContainerTable(read_only=self._read_only)
            yield Static(Content("l logs   s stop   d remove   esc closes"), id="use-keys")

    def on_mount(self) -> None:
        table = self.query_one(ContainerTable)
        table.set_title(f"containers of {clean(', '.join(image.name for image in self._images))}")
        table.ask(self._engine, self._images)
        table.focus()

    def action_leave(self) -> None:
        self.dismiss(None)
