"""Extracting what is under the cursor: the folder is asked for, then the action shown from plan to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.app import App

from imgscope.extraction.extract import Extract, folder_of
from imgscope.sources.engine import EngineSource
from imgscope.text import path_text
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.form import Field, FormScreen, Values

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.sources.base import Source


_LONG = 200  # characters of a path that are told: its end


class ExtractForm(FormScreen[Extract]):
    """Where to; the field begins with the folder that was chosen last."""

    folder = "."

    def __init__(self, source: Source, analysis: Analysis, node: int, layer: int, *, merged: bool) -> None:
        """A node of an image, as a layer stores it, or (`merged`) as layers 1..layer leave it."""
        self._what = source, analysis, node, layer, merged
        path = path_text(analysis.overlay.path(node))
        path = path if len(path) <= _LONG else f"…{path[-_LONG:]}"
        stack = f"layers 1 to {layer}" if layer > 1 else "layer 1"
        where = stack if merged else f"layer {layer}"
        fields: Sequence[Field] = (
            Field("folder", "into the folder", self.folder, "made where only its last part is missing"),
            Field("bits", "keep setuid bits", flag=True),
        )
        super().__init__(f"Extract {path} from {where}", fields, self._extract, self._says)

    def _extract(self, values: Values) -> Extract:
        source, analysis, *_ = self._what
        return Extract(
            *self._what,
            folder_of(values["folder"]),
            call(source, analysis.image),
            bits=bool(values["bits"]),
        )

    def _says(self, values: Values) -> str:
        return f"below {folder_of(values['folder'])}; what would happen is shown first"


def call(source: Source, image: Image) -> str:
    """The image, as the command line names it."""
    name = image.references[0] if image.references else image.id
    if isinstance(source, EngineSource):
        return name
    return f"{source.origin.rstrip(':')}:{name}"


def acting(action: Extract) -> ActionScreen:
    """The action from its plan to its end; force replaces what is there."""
    return ActionScreen(action, forced=replace(action, overwrite=True))


async def ask(app: App[Any], form: ExtractForm) -> None:
    """The form, then the action."""
    if (action := await app.push_screen_wait(form)) is not None:
        ExtractForm.folder = action.to
        await app.push_screen_wait(acting(action))
