"""The layers of an image, and the steps that made no layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from imgscope.images.history import instruction, one_line
from imgscope.images.model import History, Image, Layer
from imgscope.text import bar, clean, size_text
from imgscope.ui.widgets.lines import PANE_KEYS, Lines, Piece, fit

if TYPE_CHECKING:
    from imgscope.findings.waste import Waste
    from imgscope.layers.index import LayerIndex

_SIZE = 7
_LONG = 1000  # characters of an instruction that are kept: more than any screen is wide


class LayerTable(Lines):
    """One row per layer, the lowest first: number, size as a bar and in bytes, dead bytes, instruction."""

    BINDINGS: ClassVar[list[BindingType]] = PANE_KEYS

    def __init__(self) -> None:
        super().__init__("layers")
        self.image: Image | None = None
        self._rows: list[tuple[Layer | None, History | None]] = []  # no layer: a step that made none
        self._texts: dict[int, str] = {}  # the instructions of the rows that were seen
        self._sizes: dict[int, int] = {}
        self._most = 0  # the largest of these
        self._waste: Waste | None = None

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def number(self) -> int | None:
        """The number of the layer under the cursor; a step of no layer counts as the layer below it."""
        for row in range(min(self.cursor, len(self._rows) - 1), -1, -1):
            if (layer := self._rows[row][0]) is not None:
                return layer.index
        return self.image.layers[0].index if self.image and self.image.layers else None

    def clear(self, note: str) -> None:
        """No image, and why."""
        self.image = None
        self._rows = []
        self._waste = None
        self.note = note
        self.set_title("layers")
        self.changed(0)

    def show(self, image: Image) -> None:
        """The layers as the source lists them, before they are read."""
        same = self.image is not None and self.image.id == image.id
        self._waste = None
        self._sizes = {layer.index: layer.size for layer in image.layers if layer.size is not None}
        self._most = max(self._sizes.values(), default=0)
        self._take(image)
        self.changed(None if same else 0)

    def show_layer(self, number: int, index: LayerIndex) -> None:
        """A layer was read: its size is known."""
        self._sizes[number] = index.total
        self._most = max(self._most, index.total)
        self.refresh()

    def show_waste(self, image: Image, waste: Waste) -> None:
        """All layers were read: dead bytes are known, and the history for sure."""
        same = self.image is not None and self.image.id == image.id
        self._waste = waste
        self._sizes = {number: layer.size for number, layer in enumerate(waste.layers, 1)}
        self._most = max(self._sizes.values(), default=0)
        number = self.number if same else None
        self._take(image)
        self.changed(None if same else 0)
        if number is not None:
            self.go(number)

    def _take(self, image: Image) -> None:
        count = len(image.layers)
        self.image = image
        self._rows = _steps(image)
        self._texts.clear()
        self.note = "this image has no layers" if image.history else "not known before it is opened"
        known = [f"{count} layer{'' if count == 1 else 's'}"] if image.layers or image.history else []
        self.set_title("layers", clean(image.name)[:_LONG], *known)

    def go(self, number: int) -> None:
        """Put the cursor on a layer."""
        if number == self.number:
            return
        for row, (layer, _) in enumerate(self._rows):
            if layer is not None and layer.index == number:
                self.cursor = row

    @staticmethod
    def _bar_width(width: int) -> int:
        return 8 if width >= 60 else 5 if width >= 46 else 0

    def head(self, width: int) -> str:
        bar_width = self._bar_width(width)
        gap = " " * (bar_width + 2 if bar_width else 1)
        return f"{'#':>3}{gap}{'size':>{_SIZE}} {'dead':>{_SIZE}}  instruction"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        layer, step = self._rows[number]
        text = self._texts.get(number)
        if text is None:
            text = self._texts[number] = clean(one_line(instruction(step))[:_LONG]) if step else ""
        bar_width = self._bar_width(width)
        rest = max(width - len(self.head(width)) + len("instruction"), 1)
        if layer is None:
            yield " " * (width - rest), ""
            yield fit(text, rest), "dim"
            return
        size = self._sizes.get(layer.index)
        dead = self._waste.layers[layer.index - 1].dead if self._waste else None
        yield f"{layer.index:>3} ", "dim"
        yield bar(size or 0, self._most, bar_width), "bar"
        yield " " * bool(bar_width) + fit(size_text(size), _SIZE, right=True) + " ", ""
        yield fit(size_text(dead), _SIZE, right=True) + "  ", "dead" if dead else "dim"
        yield fit(text or "(no instruction recorded)", rest), "" if text else "dim"


def _steps(image: Image) -> list[tuple[Layer | None, History | None]]:
    """Layers and the empty steps between them, in the order they were made."""
    layers = list(image.layers)
    stored = sum(not step.empty_layer for step in image.history)
    if stored != len(layers):
        return [(layer, layer.history) for layer in layers]
    left = iter(layers)
    return [(None if step.empty_layer else next(left), step) for step in image.history]
