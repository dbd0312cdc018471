"""The files that differ between two images, as a tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from imgscope.comparison_report import difference_text
from imgscope.findings.compare import DIFFERENT, FileComparison, Order
from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, State
from imgscope.layers.rows import Rows, Tree
from imgscope.layers.search import Pattern
from imgscope.text import clean, name_text, size_text
from imgscope.ui.widgets.filecolumns import SIGNS, SIZE
from imgscope.ui.widgets.folding import FOLD_KEYS, Folding
from imgscope.ui.widgets.lines import Piece, bar_cells, fit, size_bar

_LONG = 1000  # bytes of a name that are looked at: more than any screen is wide


class ComparedFiles(Folding):
    """One row per path: its bytes in A, in B, and how many more B has."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "screen.filter", "filter", id="files.filter", tooltip="Show what a pattern finds"),
        Binding("S", "sort", "sort", id="files.sort", tooltip="By name, or by the bytes that differ"),
        Binding("A", "show('ADDED')", "Added", show=False, id="show.added", tooltip="Show or hide +"),
        Binding("R", "show('REMOVED')", "Removed", show=False, id="show.removed", tooltip="Show or hide −"),
        Binding("M", "show('CONTENT')", "Changed", show=False, id="show.changed", tooltip="Show or hide ~"),
        Binding(
            "U",
            "show('METADATA')",
            "hide ≈",
            id="show.unchanged",
            tooltip="Show or hide ≈: the same content, other metadata",
        ),
        *FOLD_KEYS,
    ]

    @dataclass
    class Rearranged(Message):
        """Another order, or other states, are wanted."""

    def __init__(self) -> None:
        super().__init__("compared-files")
        self.order = Order.SIZE
        self.shown = set(DIFFERENT)
        self.pattern: Pattern | None = None
        self._files: FileComparison | None = None

    @property
    def number(self) -> int | None:
        """The path under the cursor, by its number in the comparison."""
        if self._rows is None or not self.row_count:
            return None
        return self._rows.tree.nodes[self._rows[self.cursor]]

    def show(self, files: FileComparison, tree: Tree) -> None:
        """Draw a tree; what was open stays so, the cursor on its path or as near as it gets."""
        here = self.number
        if files is not self._files:
            self._files, self._folds, here = files, bytearray(len(files.states)), None
        self._rows = rows = Rows(tree, self._shut(tree))
        self.note = "no file differs" if not len(files) else "nothing of the states that are shown"
        if self.pattern is not None:
            self.note = tree.error or f"nothing is found by this {self.pattern}"
        hidden = "".join(SIGNS[state][0] for state in DIFFERENT if state not in self.shown)
        self.set_title(
            "files",
            f"{len(files):,} paths differ",
            "by name" if self.order == Order.NAME else "by bytes that differ",
            *([f"without {' '.join(hidden)}"] if hidden else []),
            *([f"/{clean(self.pattern.text)}: {matches_text(tree)}"] if self.pattern else []),
        )
        *_, position = (0, *tree.way(self._way(here or ROOT)))
        if tree.marks and not tree.marks[position]:
            position = max(tree.marks.find(1), 0)
        self.changed(rows.row(position))

    def _folder_of(self, node: int) -> int:
        assert self._files is not None
        return self._files.parents[node]

    def copies(self) -> Sequence[tuple[str, str]]:
        if self._files is None or (number := self.number) is None:
            return ()
        return (("path", "/" + os.fsdecode(self._files.path(number))),)

    # -- keys ---------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        self.order = Order.NAME if self.order == Order.SIZE else Order.SIZE
        self.post_message(self.Rearranged())

    def sort_by(self, column: str) -> None:
        self.order = Order.NAME if column == "name" else Order.SIZE
        self.post_message(self.Rearranged())

    def action_show(self, state: str) -> None:
        self.shown ^= {State[state]}
        self.post_message(self.Rearranged())

    def action_select(self) -> None:
        """Enter, and a double click, open and close directories; anything else is for the screen."""
        if self._rows is not None and self.row_count:
            position = self._rows[self.cursor]
            if self._rows.tree.spans[position] > 1:
                self.fold(self.cursor, bool(self._rows.closed[position]))
            else:
                super().action_select()

    # -- drawing ------------------------------------------------------------------------------------

    @staticmethod
    def _space(width: int) -> int:
        """Cells for sign and name."""
        return max(width - 3 * (SIZE + 1) - bar_cells(width), 8)

    def head(self, width: int) -> str:
        sizes = "".join(" " + fit(name, SIZE, right=True) for name in ("A", "B", "B − A"))
        return fit("  name", self._space(width)) + fit("differs", bar_cells(width)) + sizes

    def row(self, number: int, width: int) -> Iterable[Piece]:
        files = self._files
        assert files is not None
        assert self._rows is not None
        position, tree = self._rows[number], self._rows.tree
        node = tree.nodes[position]
        state, (was, now) = files.state(node), files.kinds(node)
        sign, style = SIGNS[state]
        full = tree.spans[position] > 1
        fold = ("▸ " if self._rows.closed[position] else "▾ ") if full else "  "
        name = name_text(files.names[node][:_LONG]) + "/" * files.is_directory(node)
        space = self._space(width)
        indent = min(2 * (len(self._way(node)) - 2), max(space - 24, 0))  # a deep tree must leave room
        left = max(space - 4 - indent, 1)
        shown = fit(name, min(cell_len(name), left))
        yield f"{sign} ", style
        yield " " * indent + fold, "dim"
        if tree.marks and tree.marks[position] and self.pattern is not None:
            start, end = self.pattern.span(shown)
            yield shown[:start], style
            yield shown[start:end], "match"
            yield shown[end:], style
        else:
            yield shown, style or "dim"
        yield fit(self._detail(node, state, was, now), left - cell_len(shown)), "dim"
        yield size_bar(files.weight(node), files.weight(ROOT), width)
        sizes = files.size(node)
        for size, kind in zip(sizes, (was, now), strict=True):
            told = kind == Kind.FILE or (kind is not None and size)
            yield " " + fit(size_text(size) if told else "", SIZE, right=True), ""
        a, b = sizes
        more = difference_text(a, b) if a != b else ""
        yield " " + fit(more, SIZE, right=True), "added" if b > a else "removed"

    def _detail(self, node: int, state: State, was: Kind | None, now: Kind | None) -> str:
        assert self._files is not None
        if was is not None and now is not None and was != now:
            return f" ({' → '.join(kind.name.lower().replace('_', ' ') for kind in (was, now))})"
        changes = self._files.changes(node)
        return f" ({', '.join(changes)})" if state in (State.CONTENT, State.METADATA) else ""


def matches_text(tree: Tree) -> str:
    """How much was found; why nothing was, where the pattern is wrong."""
    count = tree.marks.count(1)
    return clean(tree.error) or f"{count:,} match{'' if count == 1 else 'es'}"
