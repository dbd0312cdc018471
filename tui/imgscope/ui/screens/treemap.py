"""What takes the bytes, as a map: of an image, of one of its layers, of all images here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from imgscope.errors import CancelledError
from imgscope.findings.weights import Weights, of_image, of_layer, of_machine, of_merged
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.overlay import REMOVED, Overlay, State
from imgscope.text import clean, percent_text, size_text
from imgscope.ui.loader import in_thread
from imgscope.ui.screens.copy import copy_text
from imgscope.ui.widgets.explorer import Place
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import fit, fit_end
from imgscope.ui.widgets.treemap import Tile, Treemap

if TYPE_CHECKING:
    from imgscope.analysis import Analysis

_LONG = 200  # characters of an image's name


class Scope(Enum):
    """What a map is of, in the order of the key that changes it."""

    IMAGE = "all layers"
    LAYER = "layer {}"
    MERGED = "layers 1–{} merged"
    MACHINE = "all images, each layer once"


class MapScreen(Screen[Place | None]):
    """Gives the place to go to, if one was picked."""

    DEFAULT_CSS = """
    MapScreen {
        #map-title { height: 1; padding: 0 1; color: $primary; text-style: bold; text-wrap: nowrap; }
        Treemap { height: 1fr; }
        #map-path { height: 1; padding: 0 1; text-style: bold; text-wrap: nowrap; }
        #map-text { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "scope", "scope", id="map.scope", tooltip="Image, layer, merged tree, all images"),
        Binding("g", "pick", "to file", id="map.pick", tooltip="Show it in the file tree"),
        Binding("y", "copy", "Copy", show=False, id="map.copy", tooltip="Copy the path"),
        Binding("escape", "back", "back", id="map.back", tooltip="Out; close where it is the outermost"),
        Binding("q", "close", "Close", show=False, id="map.close", tooltip="Back to the images"),
    ]

    def __init__(self, analysis: Analysis | None, layer: int, images: Sequence[Image]) -> None:
        """`analysis` is of the image shown, if it was read; `layer` is the one under the cursor, or 0."""
        super().__init__()
        self._analysis = analysis
        self._layer = layer
        self._images = images
        several = [Scope.IMAGE, Scope.LAYER, Scope.MERGED] if analysis is not None and layer else []
        self._scopes = [*several, Scope.MACHINE]
        self._known: dict[Scope, Weights] = {}
        self._job = Job()
        self.scope = self._scopes[0]

    def compose(self) -> ComposeResult:
        yield Static("", id="map-title", markup=False)
        yield Treemap()
        yield Static("", id="map-path", markup=False)
        yield Static("", id="map-text", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self._map = self.query_one(Treemap)
        self._map.focus()
        self._look(0)

    def _look(self, node: int) -> None:
        """Draw what this scope has in a node."""
        self._job.cancel()
        self._job = Job()
        if (known := self._known.get(self.scope)) is not None:
            self._show(known, node)
        else:
            self._map.clear("adding up the bytes …")
            self.run_worker(self._weigh(self.scope, node, self._job))

    async def _weigh(self, scope: Scope, node: int, job: Job) -> None:
        try:
            weights = await in_thread(partial(self._weigher(scope), job))
        except CancelledError:
            return
        self._known[scope] = weights
        if job is self._job:
            self._show(weights, node)

    def _weigher(self, scope: Scope) -> Callable[[Job], Weights]:
        analysis, layer = self._analysis, self._layer
        if analysis is None or scope is Scope.MACHINE:
            return partial(of_machine, self._images)
        if scope is Scope.IMAGE:
            return partial(of_image, analysis.overlay)
        return partial(of_layer if scope is Scope.LAYER else of_merged, analysis.overlay, layer)

    def _show(self, weights: Weights, node: int) -> None:
        while node and not weights.children(node):
            node = weights.parents[node]
        self._map.show(weights, node, "no byte is stored here")

    # -- what is said of it ---------------------------------------------------------------------------

    @on(Treemap.Moved)
    def _moved(self) -> None:
        width = max(self.size.width - 2, 1)
        path, text = "", ""
        if (weights := self._map.weights) is not None and (item := self._map.tile) is not None:
            path, text = self._path(weights, item), self._figures(weights, item)
        self.query_one("#map-title", Static).update(Content(fit_end(self._title(), width)))
        self.query_one("#map-path", Static).update(Content(fit_end(path, width)))
        self.query_one("#map-text", Static).update(Content(fit(text, width)))

    def _title(self) -> str:
        parts = ["map"]
        if self.scope is not Scope.MACHINE and self._analysis is not None:
            parts.append(clean(self._analysis.image.name[:_LONG]))
        merged = self.scope is Scope.MERGED and self._layer == 1
        parts.append("layer 1 merged" if merged else self.scope.value.format(self._layer))
        if (weights := self._map.weights) is not None:
            parts.append(size_text(weights.total(0)))
            if weights.dead[0]:
                parts.append(f"{size_text(weights.dead[0])} dead (hatched)")
            if weights.unknown:
                parts.append(f"{weights.unknown} of unknown size left out")
        if len(self._map.trail) > 1 and weights is not None:
            level = self._map.level
            parts.append(self._named(weights, level.node) + (" …" if level.skip else ""))
        return " · ".join(parts)

    def _named(self, weights: Weights, node: int) -> str:
        """All of a node's path, or the names of what it is in."""
        names = [weights.label(item) for item in weights.way(node)[1:]]
        return " › ".join(names) or weights.label(0) if self.scope is Scope.MACHINE else "/" + "/".join(names)

    def _path(self, weights: Weights, item: Tile) -> str:
        if item.rest < 0:
            folder = self.scope is not Scope.MACHINE and weights.children(item.node)
            return self._named(weights, item.node) + ("/" if folder else "")
        small = f"{item.many:,} more, too small to be drawn here; enter shows them"
        return f"{self._named(weights, item.node)}: {small}"

    def _figures(self, weights: Weights, item: Tile) -> str:
        whole = weights.total(0)
        level = self._map.level.node
        parts = [size_text(item.total)]
        if level:
            parts.append(
                f"{percent_text(item.total / weights.total(level))} of {self._named(weights, level)}"
            )
        what = {Scope.MACHINE: "all", Scope.IMAGE: "the image", Scope.LAYER: "the layer"}
        parts.append(f"{percent_text(item.total / whole)} of {what.get(self.scope, 'the merged tree')}")
        if item.dead:
            parts.append(f"{size_text(item.dead)} dead ({percent_text(item.dead / item.total)})")
        if (count := len(weights.children(item.node))) and item.rest < 0:
            parts.append(f"{count:,} in it")
        return " · ".join(parts)

    # -- keys -----------------------------------------------------------------------------------------

    def action_scope(self) -> None:
        """Another scope; where the path is there too, one stays in it."""
        weights, node = self._map.weights, self._map.level.node
        before = self.scope
        self.scope = self._scopes[(self._scopes.index(before) + 1) % len(self._scopes)]
        stays = weights is not None and node < weights.paths and Scope.MACHINE not in (before, self.scope)
        if self.scope is before:
            self.notify("Open an image to see a map of its files.", markup=False)
        else:
            self._look(node if stays else 0)

    def action_pick(self) -> None:
        weights, item = self._map.weights, self._map.tile
        if weights is not None and item is not None:
            self._pick(weights, item.node)

    def action_copy(self) -> None:
        weights, item = self._map.weights, self._map.tile
        if weights is not None and item is not None:
            copy_text(self.app, self._named(weights, item.node))

    @on(Treemap.Picked)
    def _picked(self, message: Treemap.Picked) -> None:
        if (weights := self._map.weights) is not None:
            self._pick(weights, message.node)

    def _pick(self, weights: Weights, node: int) -> None:
        """Leave for what a node stands for."""
        if self.scope is Scope.MACHINE:
            if (place := weights.places[node]) is not None:
                self.dismiss(Place(place[0], max(place[1], 1), b""))
        elif (analysis := self._analysis) is not None:
            overlay = analysis.overlay
            node = node if node < weights.paths else weights.parents[node]
            layer = self._layer if self.scope is Scope.LAYER else stored_by(overlay, node, self._top)
            self.dismiss(Place(analysis.image, layer, overlay.path(node)))

    @property
    def _top(self) -> int:
        """The highest layer that counts."""
        assert self._analysis is not None
        return self._layer if self.scope is Scope.MERGED else len(self._analysis.overlay.layers)

    def action_back(self) -> None:
        if not self._map.leave():
            self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)

    def on_unmount(self) -> None:
        self._job.cancel()


def stored_by(overlay: Overlay, node: int, top: int) -> int:
    """The newest of layers 1..top in whose changes a path is stored; 1 where none stores it."""
    version = overlay.heads[node]
    while version >= 0:
        kept = overlay.entry[version] != REMOVED and overlay.state[version] not in (
            State.NONE,
            State.UNCHANGED,
        )
        if kept and overlay.layer[version] <= top:
            return overlay.layer[version]
        version = overlay.below[version]
    return 1
