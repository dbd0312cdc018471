"""Extracting what is under the cursor: the folder is asked for, then the action shown from plan to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgscope.extraction.extract import Extract, folder_of
from imgscope.sources.engine import EngineSource
from imgscope.text import path_text
from imgscope.ui.screens.action import ActionScreen
from imgscope.ui.screens.form import Field, FormScreen, Values

if TYPE_CHECKING:
    from imgscope.images.model import Image
    from imgscope.sources.base import Source
    from imgscope.ui.screens.exploring import Picked


class ExtractForm(FormScreen[Extract]):
    """Where to; `folder` is what the field begins with."""

    def __init__(self, picked: Picked, folder: str) -> None:
        self._picked = picked
        view = picked.view
        path = path_text(view.overlay.path(picked.node))
        stack = f"layers 1 to {view.layer}" if view.layer > 1 else "layer 1"
        where = stack if view.merged else f"layer {view.layer}"
        fields: Sequence[Field] = (
            Field("folder", "into the folder", folder, "made where only its last part is missing"),
            Field("bits", "keep setuid bits", flag=True),
        )
        super().__init__(f"Extract {path} from {where}", fields, self._extract, self._says)

    def _extract(self, values: Values) -> Extract:
        source, analysis, view, node = self._picked
        return Extract(
            source,
            analysis,
            node,
            view.layer,
            view.merged,
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
