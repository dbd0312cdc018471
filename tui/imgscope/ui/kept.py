"""The images that were read, kept for the way back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from imgscope.layers.view import Views

if TYPE_CHECKING:
    from imgscope.analysis import Analysis

_KEPT = 8  # analyses …
_KEPT_PATHS = 1_000_000  # … and the paths in them; one is always kept


class Kept(Mapping[str, "Analysis"]):
    """Analyses by the ids of their images, those looked at last."""

    def __init__(self) -> None:
        self._analyses: OrderedDict[str, Analysis] = OrderedDict()
        self._views: dict[str, Views] = {}  # of each of these

    def put(self, analysis: Analysis) -> Views:
        """Keep one, as the last one looked at; gives the views of its layers."""
        key = analysis.image.id
        views = self._views.get(key)
        if views is None or views.overlay is not analysis.overlay:
            views = self._views[key] = Views(analysis.overlay)
        self._analyses[key] = analysis
        self._analyses.move_to_end(key)
        while (count := len(self)) > 1 and (
            count > _KEPT or sum(len(known.overlay) for known in self._analyses.values()) > _KEPT_PATHS
        ):
            gone, _ = self._analyses.popitem(last=False)
            del self._views[gone]
        return views

    def __getitem__(self, key: str) -> Analysis:
        return self._analyses[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._analyses)

    def __len__(self) -> int:
        return len(self._analyses)
