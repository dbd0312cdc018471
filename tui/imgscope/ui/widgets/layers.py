"""The layers of an image, and the steps that made no layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from imgscope.images.history import instruction, one_line
from imgscope.images.model import History, Image, Layer, chain_id
from imgscope.text import age_text, bar, clean, size_text
from imgscope.ui.widgets.lines import BACK, FIND, MAP, VIEW, Lines, Piece, fit

if TYPE_CHECKING:
    from imgscope.findings.waste import Waste
    from imgscope.images.base import Base
    from imgscope.layers.index import LayerIndex

_SIZE, _AGE = 7, 9
_WIDE = 72  # cells from which on ages are shown
_LONG = 1000  # characters of an instruction that are kept: more than any screen is wide


class LayerTable(Lines):
    """One row per layer, the lowest first: number, size as a bar and in bytes, dead bytes, instruction."""

    BINDINGS: ClassVar[list[BindingType]] = [
        VIEW,
        Binding(
            "B",
            "screen.only_mine",
            "only mine",
            id="layers.mine",
            tooltip="Hide the layers of the base image",
        ),
        FIND,
        MAP,
        BACK,
    ]

    def __init__(self) -> None:
        super().__init__("layers")
        self.image: Image | None = None
        self._rows: list[tuple[Layer | None, History | None]] = []  # no layer: a step that made none
        self._texts: dict[int, str] = {}  # the instructions of the rows that were seen
        self._sizes: dict[int, int] = {}
        self._most = 0  # the largest of these
        self._waste: Waste | None = None
        self.base: Base | None = None
        self.only_mine = False

    @property
    def hidden(self) -> int:
        """How many layers, the lowest, are shown as one row, for they are the base's."""
        return self.base.layers if self.base and self.only_mine else 0

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
        self.image = self.base = None
        self._rows = []
        self._waste = None
        self.note = note
        self.set_title("layers")
        self.changed(0)

    def show(self, image: Image) -> None:
        """The layers as the source lists them, before they are read."""
        same = self._is_shown(image)
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
        same = self._is_shown(image)
        self._waste = waste
        self._sizes = {number: layer.size for number, layer in enumerate(waste.layers, 1)}
        self._most = max(self._sizes.values(), default=0)
        number = self.number if same else None
        self._take(image)
        self.changed(None if same else 0)
        if number is not None:
            self.go(number)

    def set_base(self, base: Base | None, *, only_mine: bool | None = None) -> None:
        """What the image was built on, and whether its layers are left out: None is as before."""
        only_mine = self.only_mine if only_mine is None else only_mine
        if (base, only_mine) != (self.base, self.only_mine):
            number = self.number
            self.base, self.only_mine = base, only_mine
            if self.image is not None:
                self._take(self.image)
                self.changed()
                if number is not None:
                    self.go(number)

    def _is_shown(self, image: Image) -> bool:
        """Whether it is this image that is shown; the base of another is none of this one's."""
        same = self.image is not None and self.image.id == image.id
        if not same:
            self.base = None
        return same

    def _take(self, image: Image) -> None:
        count = len(image.layers)
        self.image = image
        self._rows = _steps(image)
        if hidden := self.hidden:
            assert self.base is not None
            upper = next(
                (row for row, (layer, _) in enumerate(self._rows) if layer and layer.index > hidden), 0
            )
            while upper > self.base.steps and self._rows[upper - 1][0] is None:
                upper -= 1  # an empty step that is the image's own
            self._rows[:upper] = [(image.layers[hidden - 1], None)]
        self._texts.clear()
        self.note = "this image has no layers" if image.history else "not known before it is opened"
        known = [f"{count} layer{'' if count == 1 else 's'}"] if image.layers or image.history else []
        if self.base is not None:
            known.append(f"from {clean(self.base.name)[:_LONG]}{' (its label)' * self.base.by_label}")
        self.set_title("layers", clean(image.name)[:_LONG], *known)

    def go(self, number: int) -> None:
        """Put the cursor on a layer."""
        if number == self.number:
            return
        number = max(number, self.hidden)
        for row, (layer, _) in enumerate(self._rows):
            if layer is not None and layer.index == number:
                self.cursor = row

    @staticmethod
    def _bar_width(width: int) -> int:
        return 8 if width >= 60 else 5 if width >= 46 else 0

    def copies(self) -> Sequence[tuple[str, str]]:
        layer, step = self._rows[self.cursor]
        found = [("instruction", instruction(step))] if step else []
        if layer is None or self.image is None:
            return found
        digest = [("digest", layer.digest)] if layer.digest and layer.digest != layer.diff_id else []
        chain = chain_id(self.image.diff_ids[: layer.index])
        return (("diff ID", layer.diff_id), *digest, ("chain ID", chain), *found)

    def head(self, width: int) -> str:
        bar_width = self._bar_width(width)
        gap = " " * (bar_width + 2 if bar_width else 1)
        age = f"  {'age':>{_AGE}}" if width >= _WIDE else ""
        return f"{'#':>3}{gap}{'size':>{_SIZE}} {'dead':>{_SIZE}}{age}  instruction"

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
        top = layer.index
        first = 1 if top == self.hidden else top  # a base's layers are one row
        sizes = [self._sizes.get(number) for number in range(first, top + 1)]
        size = sum(known for known in sizes if known) if None not in sizes else None
        dead = sum(part.dead for part in self._waste.layers[first - 1 : top]) if self._waste else None
        yield f"{top:>3} " if first == top else fit(f"1–{top}", 4), "dim"
        yield bar(size or 0 if top != self.hidden else 0, self._most, bar_width), "bar"
        yield " " * bool(bar_width) + fit(size_text(size), _SIZE, right=True) + " ", ""
        yield fit(size_text(dead), _SIZE, right=True), "dead" if dead else "dim"
        if width >= _WIDE:
            created = step.created if step and top != self.hidden else None
            yield "  " + fit(age_text(created), _AGE, right=True), "dim"
        if top == self.hidden and self.base is not None:
            count = f"{top} layer{'' if top == 1 else 's'}"
            yield fit(f"  base {clean(self.base.name)[:_LONG]} · {count}", rest + 2), "dim"
        else:
            yield "  " + fit(text or "(no instruction recorded)", rest), "" if text else "dim"


def _steps(image: Image) -> list[tuple[Layer | None, History | None]]:
    """Layers and the empty steps between them, in the order they were made."""
    layers = list(image.layers)
    stored = sum(not step.empty_layer for step in image.history)
    if stored != len(layers):
        return [(layer, layer.history) for layer in layers]
    left = iter(layers)
    return [(None if step.empty_layer else next(left), step) for step in image.history]
