"""The tabs of an image: what each is called, and what makes those that are one pane of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from imgscope.ui.widgets.lines import BACK, NEXT, ZOOM, Lines

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.sources.base import Source


class TabPane(Lines):
    """One tab's pane. It is made when its tab is first shown, and then kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", id="copy", tooltip="Copy the name, id, digest or value"),
        NEXT,
        ZOOM,
        BACK,
    ]

    @dataclass
    class LayerWanted(Message):
        """The row under the cursor leads to a layer of the image, by its number."""

        layer: int

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        """Show an image; called as the tab is shown, for every other image, and where it is looked at anew.

        Must return at once: what blocks runs in a thread with a `Job` of the pane's own, which the next
        call and `clear` cancel. `analysis` is None as long as the layers are not read.
        """
        raise NotImplementedError

    def clear(self, note: str) -> None:
        """No image, and why."""
        raise NotImplementedError


def _config() -> TabPane:
    from imgscope.ui.widgets.config import ConfigTab

    return ConfigTab()


def _manifest() -> TabPane:
    from imgscope.ui.widgets.manifest import ManifestTab

    return ManifestTab()


def _dockerfile() -> TabPane:
    from imgscope.ui.widgets.dockerfile import DockerfileTab

    return DockerfileTab()


def _containers() -> TabPane:
    from imgscope.ui.widgets.containers import ContainersTab

    return ContainersTab()


FILES, WASTE = "files", "waste"  # these tabs are made of the explorer's own panes
PANES: dict[str, Callable[[], TabPane]] = {
    "config": _config,
    "manifest": _manifest,
    "dockerfile": _dockerfile,
    "containers": _containers,
}
TABS = (FILES, WASTE, *PANES)  # in the order of their keys, from 1
