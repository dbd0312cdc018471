"""The containers that use images: a table of them, and what can be done with the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.message import Message

from imgscope.actions.containers import Logs, RemoveContainer, StopContainer, Use, containers_of
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Action
from imgscope.config import is_read_only
from imgscope.errors import ImgscopeError
from imgscope.images.model import Image
from imgscope.sources.engine import EngineSource
from imgscope.text import clean, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.widgets.lines import Lines, Piece, bar_cells, fit, size_bar
from imgscope.ui.widgets.tabs import TabPane

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.sources.base import Source

_LONG = 1000  # characters of a text that are looked at: more than a screen is wide


class ContainerTable(Lines):
    """One row per container: name, state, bytes written, addresses, the image it was made from."""

    # l would open and close rows, as in a tree; s and d mean images elsewhere
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "logs", id="select", tooltip="Its logs: docker logs --follow"),
        Binding("l", "logs", "Logs", show=False, id="containers.logs", tooltip="docker logs --follow"),
        Binding("s", "stop", "stop", id="containers.stop", tooltip="docker stop"),
        Binding("d", "remove", "remove", id="containers.remove", tooltip="docker rm"),
    ]

    @dataclass
    class Listed(Message):
        """The containers, as the engine has them."""

        asked: tuple[Image, ...]
        uses: Sequence[Use]
        problem: str = ""

    def __init__(self, *, read_only: bool = False) -> None:
        super().__init__("containers")
        self.uses: Sequence[Use] = ()
        self.read_only = read_only
        self._engine: Engine | None = None
        self._images: tuple[Image, ...] = ()

    @property
    def row_count(self) -> int:
        return len(self.uses)

    @property
    def use(self) -> Use | None:
        """The container under the cursor."""
        return self.uses[self.cursor] if self.uses else None

    # -- which there are ------------------------------------------------------------------------------

    def ask(self, engine: Engine | None, images: Sequence[Image]) -> None:
        """Ask the engine for the containers of these images; without one there are none."""
        if {image.id for image in images} != {image.id for image in self._images}:
            self._show((), "asking the engine …")
        self._engine, self._images = engine, tuple(images)
        self.reload()

    def reload(self) -> None:
        """Ask anew, in a thread."""
        engine, images = self._engine, self._images
        if engine is None:
            return

        def ask() -> None:
            try:
                inventory = engine.inventory()
                uses = {
                    use.container.id: use for image in images for use in containers_of(inventory, image.id)
                }
                self.post_message(self.Listed(images, list(uses.values())))
            except ImgscopeError as error:
                self.post_message(self.Listed(images, (), str(error)))

        self.run_worker(in_thread(ask))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        if message.asked == self._images:
            self._show(message.uses, clean(message.problem) or "no container uses this image")

    def _show(self, uses: Sequence[Use], note: str) -> None:
        self.uses = uses
        self.set_note(note)
        self.changed()

    # -- what can be done -----------------------------------------------------------------------------

    def _chosen(self) -> tuple[Engine, str] | None:
        """The container under the cursor; none while one is acted on: a key that repeats does nothing."""
        if any(item.group == "container" and not item.is_finished for item in self.workers):
            return None
        use, engine = self.use, self._engine
        return (engine, use.container.id) if use is not None and engine is not None else None

    def action_select(self) -> None:
        self.action_logs()

    def action_logs(self) -> None:
        if (chosen := self._chosen()) is not None:
            self._do(Logs(*chosen, follow=True), ask=False)

    def action_stop(self) -> None:
        if self._may("stop") and (chosen := self._chosen()) is not None:
            self._do(StopContainer(*chosen))

    def action_remove(self) -> None:
        if self._may("remove") and (chosen := self._chosen()) is not None:
            self._do(RemoveContainer(*chosen), RemoveContainer(*chosen, force=True))

    def _may(self, what: str) -> bool:
        if self.read_only:
            text = f"imgscope is read-only here: {what} is switched off."
            self.notify(text, severity="warning", markup=False, timeout=8)
        return not self.read_only

    @work(group="container")
    async def _do(self, action: Action, forced: Action | None = None, *, ask: bool = True) -> None:
        from imgscope.ui.screens.action import ActionScreen

        await self.app.push_screen_wait(ActionScreen(action, forced=forced, ask=ask))
        self.reload()

    # -- rows -----------------------------------------------------------------------------------------

    def copies(self) -> Sequence[tuple[str, str]]:
        item = self.uses[self.cursor].container
        return [("name", item.name), ("id", item.id)]

    def head(self, width: int) -> str:
        return f"  {'name':<24}  {'state':<20}  {' ' * bar_cells(width)}{'wrote':>8}  ports, image"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        use = self.uses[number]
        item = use.container
        more = ", ".join(item.ports) + (f"  via {use.through}" if use.through else "")
        yield "● " if item.running else "○ ", "added" if item.running else "dim"
        yield fit(clean(item.name[:_LONG]), 24) + "  ", ""
        yield fit(clean((item.status or item.state)[:_LONG]), 20) + "  ", "dim"
        yield size_bar(item.written, max(use.container.written or 0 for use in self.uses), width)
        yield fit(size_text(item.written), 8, right=True) + "  ", ""
        yield fit(clean(more[:_LONG]), max(width - 60 - bar_cells(width), 1)), "dim"


class ContainersTab(ContainerTable, TabPane):
    """The containers of the image that is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [  # the footer has no room for more
        Binding("y", "copy", "Copy", show=False, id="copy", tooltip="Copy the name or id"),
    ]

    def __init__(self) -> None:
        super().__init__(read_only=is_read_only())

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        self.set_title("containers")
        if isinstance(source, EngineSource):
            self.ask(Engine(source), [image])
        else:
            self.clear("an archive has no containers; an engine has")

    def clear(self, note: str) -> None:
        self._engine, self._images = None, ()
        self._show((), note)
