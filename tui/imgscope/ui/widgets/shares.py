"""What the bytes of an image are, as one bar: live, dead, shared with other images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from imgscope.text import size_text
from imgscope.ui.widgets.lines import fit

if TYPE_CHECKING:
    from imgscope.findings.waste import Waste

_BAR = 40  # cells at most


class Shares(NamedTuple):
    """Bytes of an image. Together they are all of them: dead bytes in shared layers count as dead."""

    own: int  # live, in layers that no other image has
    shared: int  # live, in layers that other images have too
    dead: int

    @classmethod
    def of(cls, waste: Waste, shared_layers: int) -> Shares:
        shared = sum(layer.live for layer in waste.layers[:shared_layers])
        return cls(waste.live - shared, shared, waste.dead)


class ShareBar(Widget):
    """`███░░▒▒  live █ own 830 kB  ░ shared 2.19 MB  ▒ dead 1.08 MB`; the second line says where."""

    DEFAULT_CSS = """
    ShareBar {
        height: 1;
        background: $background;

        & > .shares--own { color: $size-bar; }
        & > .shares--dead { color: $dead; }
        & > .shares--shared { color: $foreground 50%; }
        & > .shares--text { color: $text-muted; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"shares--own", "shares--shared", "shares--dead", "shares--text"}

    def __init__(self) -> None:
        super().__init__()
        self.shares: Shares | None = None
        self.where = ""  # which layers store the dead bytes

    def show(self, waste: Waste | None, shared_layers: int = 0) -> None:
        """An image that was read; None: there is none."""
        self.shares = Shares.of(waste, shared_layers) if waste else None
        self.where = _where(waste) if waste else ""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, pieces = self.size.width, list[tuple[str, str]]()
        if y == 1:
            pieces = [(fit(f"  {self.where}", width), "text")]
        elif self.shares is not None:
            parts = list(zip(Shares._fields, "█░▒", self.shares, strict=True))
            legend = [("  live", "text")]
            legend += [
                piece
                for name, sign, size in parts
                for piece in (
                    (f" {sign}" if name == "own" else f"  {sign}", name),
                    (f" {name} {size_text(size)}", "text"),
                )
            ]
            room = min(width - 3 - sum(cell_len(text) for text, _ in legend), _BAR)
            cells = split(self.shares, room) if room >= len(parts) else [0] * len(parts)
            pieces = [(" ", "text")]
            pieces += [(sign * count, name) for (name, sign, _), count in zip(parts, cells, strict=True)]
            pieces += legend
        strip = Strip(
            [Segment(text, self.get_component_rich_style(f"shares--{name}")) for text, name in pieces]
        )
        return strip.adjust_cell_length(width, self.rich_style)


def split(sizes: Sequence[int], width: int) -> list[int]:
    """Cells for sizes: `width` in all, at least one for anything above 0; none where all are 0.

    `width` must be the number of sizes or more.
    """
    total = sum(sizes)
    if not total:
        return [0] * len(sizes)
    cells = [max(size * width // total, size > 0) for size in sizes]
    while (over := sum(cells) - width) != 0:  # to or from the one that is furthest from its due
        due = [size * width / total - count for size, count in zip(sizes, cells, strict=True)]
        step = -1 if over > 0 else 1
        able = [place for place, count in enumerate(cells) if sizes[place] and (step > 0 or count > 1)]
        cells[max(able, key=lambda place: due[place] * step)] += step
    return cells


def _where(waste: Waste) -> str:
    """The layers with dead bytes, those with the most first."""
    layers = sorted(enumerate(waste.layers, 1), key=lambda item: -item[1].dead)
    found = [f"layer {number} {size_text(layer.dead)}" for number, layer in layers if layer.dead]
    return f"stored dead by {', '.join(found)}" if found else "no byte is dead"
