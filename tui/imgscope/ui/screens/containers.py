"""The containers that use an image: what they say, stopping and removing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from imgscope.actions.containers import Logs, RemoveContainer, StopContainer, Use, containers_of
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Action
from imgscope.errors import ImgscopeError
from imgscope.images.model import Image
from imgscope.text import clean, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.widgets.lines import Lines, Piece, fit


class ContainerTable(Lines):
    """One row per container: name, state, bytes written, addresses, the image it was made from."""

    # else l would open and close rows, as in a tree
    BINDINGS: ClassVar[list[BindingType]] = [Binding("l", "screen.logs", "logs", show=False, id="box.logs")]

    def __init__(self) -> None:
        super().__init__("containers")
        self.uses: Sequence[Use] = ()

    @property
    def row_count(self) -> int:
        return len(self.uses)

    @property
    def use(self) -> Use | None:
        """The container under the cursor."""
        return self.uses[self.cursor] if self.uses else None

    def show(self, uses: Sequence[Use], note: str) -> None:
        """These containers, or a note where there are none."""
        self.uses = uses
        self.set_note(note)
        self.changed()

    def head(self, width: int) -> str:
        return f"  {'name':<24}  {'state':<20}  {'wrote':>8}  ports, image"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        use = self.uses[number]
        item = use.container
        more = ", ".join(item.ports) + (f"  via {use.through}" if use.through else "")
        yield "● " if item.running else "○ ", "added" if item.running else "dim"
        yield fit(clean(item.name), 24) + "  ", ""
        yield fit(clean(item.status or item.state), 20) + "  ", "dim"
        yield fit(size_text(item.written), 8, right=True) + "  ", ""
        yield fit(clean(more), max(width - 60, 1)), "dim"


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
        Binding("escape,q", "leave", "close", id="containers.leave"),
        Binding("l", "logs", "logs", id="containers.logs", tooltip="docker logs --follow"),
        Binding("s", "stop", "stop", id="containers.stop", tooltip="docker stop"),
        Binding("d", "remove", "remove", id="containers.remove", tooltip="docker rm"),
    ]

    @dataclass
    class Listed(Message):
        """The containers, as the engine has them."""

        uses: Sequence[Use]
        problem: str = ""

    def __init__(self, engine: Engine, images: Sequence[Image], *, read_only: bool = False) -> None:
        super().__init__()
        self._engine = engine
        self._images = images
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        with Vertical(id="use"):
            yield ContainerTable()
            yield Static(Content("l logs   s stop   d remove   esc closes"), id="use-keys")

    def on_mount(self) -> None:
        table = self.query_one(ContainerTable)
        table.set_title(f"containers of {clean(', '.join(image.name for image in self._images))}")
        table.show((), "asking the engine …")
        table.focus()
        self._list()

    def _list(self) -> None:
        engine, images = self._engine, self._images

        def ask() -> None:
            try:
                inventory = engine.inventory()
                uses = {
                    use.container.id: use for image in images for use in containers_of(inventory, image.id)
                }
                self.post_message(self.Listed(list(uses.values())))
            except ImgscopeError as error:
                self.post_message(self.Listed((), str(error)))

        self.run_worker(in_thread(ask))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        table = self.query_one(ContainerTable)
        table.show(message.uses, clean(message.problem) or "no container uses this image")

    def _chosen(self) -> str | None:
        """The container under the cursor; none while one is acted on: a key that repeats does nothing."""
        if any(item.group == "container" and not item.is_finished for item in self.workers):
            return None
        use = self.query_one(ContainerTable).use
        return use.container.id if use is not None else None

    @on(Lines.Selected)
    def action_logs(self) -> None:
        if (container := self._chosen()) is not None:
            self._do(Logs(self._engine, container, follow=True), ask=False)

    def _may(self, what: str) -> bool:
        if self._read_only:
            text = f"imgscope is read-only here: {what} is switched off."
            self.notify(text, severity="warning", markup=False, timeout=8)
        return not self._read_only

    def action_stop(self) -> None:
        if self._may("stop") and (container := self._chosen()) is not None:
            self._do(StopContainer(self._engine, container))

    def action_remove(self) -> None:
        if self._may("remove") and (container := self._chosen()) is not None:
            forced = RemoveContainer(self._engine, container, force=True)
            self._do(RemoveContainer(self._engine, container), forced)

    @work(group="container")
    async def _do(self, action: Action, forced: Action | None = None, *, ask: bool = True) -> None:
        await self.app.push_screen_wait(ActionScreen(action, forced=forced, ask=ask))
        self._list()

    def action_leave(self) -> None:
        self.dismiss(None)
