"""What differs between two images beside their files: layers, configs and packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import ClassVar

from textual.binding import Binding, BindingType

from imgscope.comparison import Comparison
from imgscope.comparison_report import sign_of, versions_text
from imgscope.findings.packages import PackageChange
from imgscope.findings.sides import ConfigChange
from imgscope.images.history import instruction, one_line
from imgscope.images.model import Layer
from imgscope.text import clean, count_text, size_text
from imgscope.ui.widgets.lines import Lines, Piece, bar_cells, fit, size_bar

_STYLES = {"+": "added", "−": "removed", "~": "changed"}
_LONG = 1000  # characters of a text that are looked at: more than any screen is wide
_COPY: list[BindingType] = [
    Binding("enter", "copy", "copy", id="compare.copy", tooltip="Copy a value of the row"),
]


class ComparedLayers(Lines):
    """The layers of both images side by side, the lowest first; the shared ones with `=`."""

    BINDINGS: ClassVar[list[BindingType]] = _COPY

    def __init__(self) -> None:
        super().__init__("compared-layers")
        self._rows: list[tuple[Layer | None, Layer | None]] = []
        self._most = 0  # bytes of the largest
        self._a: dict[int, int] = {}  # shared layers, by their number in A, and the other way round
        self._b: dict[int, int] = {}

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def show(self, comparison: Comparison) -> None:
        a, b = (side.analysis.sized_image.layers for side in comparison.sides)
        self._rows = list(zip_longest(a, b))
        self._most = max((layer.size or 0 for layer in (*a, *b)), default=0)
        self._a = dict(comparison.layers.partners)
        self._b = {other: number for number, other in self._a.items()}
        self.note = "neither image has layers"
        shared = size_text(sum(a[number - 1].size or 0 for number in self._a))
        self.set_title("layers", f"{len(self._a)} shared, {shared}")
        self.changed(0)

    def copies(self) -> Sequence[tuple[str, str]]:
        pairs = zip(("A", "B"), self._rows[self.cursor], strict=True)
        return [(f"diff ID {side}", layer.diff_id) for side, layer in pairs if layer is not None]

    def head(self, width: int) -> str:
        half = (width - 3) // 2
        names = f"    # {' ' * bar_cells(half + 30)}{'size':>8}  instruction in "
        return fit(f"{names}A", half) + "   " + fit(f"{names}B", half)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        half = (width - 3) // 2
        for side, layer in enumerate(self._rows[number]):
            if side:
                yield " │ ", "dim"
            if layer is None:
                yield " " * half, ""
                continue
            partner = (self._a, self._b)[side].get(layer.index)
            sign = "=" if partner is not None else "−+"[side]
            style = "dim" if partner is not None else _STYLES[sign]
            step = clean(one_line(instruction(layer.history))[:_LONG]) if layer.history else ""
            if partner not in (None, layer.index):  # which one it is in the other image
                step = f"({'BA'[side]} {partner}) {step}"
            size = fit(size_text(layer.size), 8, right=True)
            yield f"{sign} {layer.index:>3} ", style
            yield size_bar(layer.size, self._most, half + 30)
            yield fit(f"{size}  {step}", half - 6 - bar_cells(half + 30)), style


class ComparedConfig(Lines):
    """What the configs say differently: a row for each, with its values below where there are two."""

    BINDINGS: ClassVar[list[BindingType]] = _COPY

    def __init__(self) -> None:
        super().__init__("compared-config")
        self._rows: list[tuple[ConfigChange, str]] = []  # with "A" or "B" for the row of a value

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def show(self, changes: Sequence[ConfigChange]) -> None:
        self._rows = []
        for item in changes:
            self._rows.append((item, ""))
            if item.a is not None and item.b is not None:
                self._rows += ((item, "A"), (item, "B"))
        self.note = "the configs are the same"
        self.set_title("config", count_text(len(changes), "difference"))
        self.changed(0)

    def copies(self) -> Sequence[tuple[str, str]]:
        item, _ = self._rows[self.cursor]
        values = (("value in A", item.a), ("value in B", item.b), ("name", item.name or item.section))
        return [(what, text) for what, text in values if text is not None]

    def row(self, number: int, width: int) -> Iterable[Piece]:
        item, side = self._rows[number]
        if side:
            value = (item.a if side == "A" else item.b) or ""
            yield f"    {side} ", "dim"
            yield fit(clean(value[:_LONG]) or '""', max(width - 6, 1)), ""
            return
        sign = sign_of(item.a, item.b)
        name = clean(f"{item.section} {item.name}".rstrip()[:_LONG])
        value = (item.b if item.a is None else item.a if item.b is None else None) or ""
        yield f"{sign} ", _STYLES[sign]
        told = f"{name}  {clean(value[:_LONG])}" if value and value != item.name else name
        yield fit(told, max(width - 2, 1)), _STYLES[sign]


class ComparedPackages(Lines):
    """One row per package: its versions in A and in B."""

    BINDINGS: ClassVar[list[BindingType]] = _COPY

    def __init__(self) -> None:
        super().__init__("compared-packages")
        self._packages: Sequence[PackageChange] = ()

    @property
    def row_count(self) -> int:
        return len(self._packages)

    def show(self, packages: Sequence[PackageChange], notes: Sequence[str]) -> None:
        self._packages = packages
        self.note = "\n".join(
            ["no package of dpkg, apk, pip or npm differs", *(clean(note)[:_LONG] for note in notes)]
        )
        self.set_title("packages", count_text(len(packages), "difference"))
        self.changed(0)

    def copies(self) -> Sequence[tuple[str, str]]:
        item = self._packages[self.cursor]
        values = (
            ("package", item.name),
            ("version in A", ", ".join(item.a)),
            ("version in B", ", ".join(item.b)),
        )
        return [(what, text) for what, text in values if text]

    @staticmethod
    def _columns(width: int) -> tuple[int, int]:
        version = max((width - 10) // 3, 6)
        return max(width - 10 - 2 * version, 6), version

    def head(self, width: int) -> str:
        name, version = self._columns(width)
        return "  " + fit("kind", 8) + fit("package", name) + fit("A", version) + fit("B", version)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        item = self._packages[number]
        name, version = self._columns(width)
        sign = sign_of(item.a or None, item.b or None)
        yield f"{sign} ", _STYLES[sign]
        yield fit(str(item.kind), 8), "dim"
        yield fit(clean(item.name[:_LONG]), name - 1) + " ", _STYLES[sign]
        yield fit(versions_text(item.a), version - 1) + " ", ""
        yield fit(versions_text(item.b), version), ""
