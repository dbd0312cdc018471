"""The layers of an image, and the steps that made no layer."""

from __future__ import annotations

from collections.abc import Iterable

from imgscope.findings.waste import Waste
from imgscope.images.history import instruction, one_line
from imgscope.images.model import History, Image, Layer
from imgscope.layers.index import LayerIndex
from imgscope.text import bar, clean, size_text
from imgscope.ui.widgets.lines import Lines, Piece, fit

_SIZE = 7


class LayerTable(Lines):
    """One row per layer, the lowest first: number, size as a bar and in bytes, dead bytes, instruction."""

    def __init__(self) -> None:
        super().__init__("layers", "layers")
        self.image: Image | None = None
        self._rows: list[tuple[Layer | None, History | None]] = []
        self._sizes: dict[int, int] = {}
        self._waste: Waste | None = None

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def number(self) -> int | None:
        """The number of the layer under the cursor; a step of no layer counts as the layer below it."""
        for layer, _ in reversed(self._rows[: self.cursor + 1]):
            if layer is not None:
                return layer.index
        return self.image.layers[0].index if self.image and self.image.layers else None

    def show(self, image: Image) -> None:
        """The layers as the source lists them, before they are read."""
        same = self.image is not None and self.image.id == image.id
        self.image = image
        self._waste = None
        self._sizes = {layer.index: layer.size for layer in image.layers if layer.size is not None}
        self._rows = self._steps(image)
        self.changed(None if same else 0)

    @staticmethod
    def _steps(image: Image) -> list[tuple[Layer | None, History | None]]:
        """Layers and the empty steps between them, in the order they were made."""
        layers = list(image.layers)
        stored = sum(not step.empty_layer for step in image.history)
        if stored != len(layers):
            return [(layer, layer.history) for layer in layers]
        left = iter(layers)
        return [(None if step.empty_layer else next(left), step) for step in image.history]

    def show_layer(self, number: int, index: LayerIndex) -> None:
        """A layer was read: its size is known."""
        self._sizes[number] = index.total
        self.refresh()

    def show_waste(self, image: Image, waste: Waste) -> None:
        """All layers were read: dead bytes are known, and the history for sure."""
        self.image = image
        self._rows = self._steps(image)
        self._waste = waste
        self._sizes = {number: layer.size for number, layer in enumerate(waste.layers, 1)}
        self.changed()

    def go(self, number: int) -> None:
        """Put the cursor on a layer."""
        for row, (layer, _) in enumerate(self._rows):
            if layer is not None and layer.index == number:
                self.cursor = row

    @staticmethod
    def _bar_width(width: int) -> int:
        return 8 if width >= 60 else 5 if width >= 46 else 2

    def head(self, width: int) -> str:
        return f"{'#':>3} {'':{self._bar_width(width)}} {'size':>{_SIZE}} {'dead':>{_SIZE}}  instruction"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        layer, step = self._rows[number]
        text = clean(one_line(instruction(step))) if step else ""
        bar_width = self._bar_width(width)
        rest = max(width - (3 + 1 + bar_width + 1 + _SIZE + 1 + _SIZE + 2), 1)
        if layer is None:
            yield " " * (width - rest), ""
            yield fit(text, rest), "dim"
            return
        size = self._sizes.get(layer.index)
        dead = self._waste.layers[layer.index - 1].dead if self._waste else None
        most = max(self._sizes.values(), default=0)
        yield f"{layer.index:>3} ", "dim"
        yield bar(size or 0, most, bar_width) + " ", "bar"
        yield fit(size_text(size), _SIZE, right=True) + " ", ""
        yield fit(size_text(dead), _SIZE, right=True) + "  ", "dead" if dead else "dim"
        yield fit(text or "(no instruction recorded)", rest), "" if text else "dim"
