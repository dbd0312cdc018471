"""Trees whose directories open and close."""

from __future__ import annotations

from textual.binding import Binding

from imgscope.layers.overlay import ROOT
from imgscope.layers.rows import Rows, Tree
from imgscope.ui.widgets.lines import Lines

_AUTO_OPEN = 40  # rows: small trees are shown open
UNFOLDED, FOLDED = 1, 2  # by the person
FOLD_KEYS = (
    Binding(
        "asterisk,plus",
        "fold_all(True)",
        "Open all",
        show=False,
        id="tree.open-all",
        tooltip="Open all directories",
    ),
    Binding(
        "minus",
        "fold_all(False)",
        "Close all",
        show=False,
        id="tree.close-all",
        tooltip="Close all directories",
    ),
)


class Folding(Lines):
    """Rows of a tree; what the person opened and closed stays so, whatever of the tree is shown."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows: Rows | None = None
        self._folds = bytearray()  # for each node what the person did to it

    @property
    def row_count(self) -> int:
        return len(self._rows) if self._rows is not None else 0

    def _folder_of(self, node: int) -> int:
        """The directory that a node is in."""
        raise NotImplementedError

    def _way(self, node: int) -> list[int]:
        """The nodes from the root to one."""
        way = []
        while node > ROOT:
            way.append(node)
            node = self._folder_of(node)
        return [ROOT, *reversed(way)]

    def _shut(self, tree: Tree) -> bytearray:
        """What is closed, a byte for each position of a tree."""
        closed = bytearray(len(tree))
        if tree.marks:  # the way to all that was found is open
            for position in tree.folders:
                closed[position] = not tree.on_way[position]
            return closed
        folds, nodes = self._folds, tree.nodes
        for position in tree.folders:
            closed[position] = folds[nodes[position]] != UNFOLDED
        for position in tree.pages(_AUTO_OPEN):
            closed[position] = folds[nodes[position]] == FOLDED
        return closed

    def _set_fold(self, position: int, fold: int) -> None:
        """Note what the person did; what was done to a filtered tree ends with it."""
        assert self._rows is not None
        if not self._rows.tree.marks:
            self._folds[self._rows.tree.nodes[position]] = fold

    def fold(self, number: int, opened: bool) -> None:
        assert self._rows is not None
        position, tree = self._rows[number], self._rows.tree
        closed, full = self._rows.closed[position], tree.spans[position] > 1
        if opened and full:
            if closed:
                self._set_fold(position, UNFOLDED)
                self._rows.unfold(number)
                self.changed()
            else:
                self.cursor = number + 1
        elif not opened:
            if full and not closed:
                self._set_fold(position, FOLDED)
                self._rows.fold(number)
                self.changed()
            elif (parent := self._folder_of(tree.nodes[position])) > ROOT:
                self.cursor = self._rows.row(tree.nodes.index(parent, 0, position))

    def action_fold_all(self, opened: bool) -> None:
        if self._rows is None:
            return
        tree, here = self._rows.tree, self._rows[self.cursor] if self.row_count else 0
        if not tree.marks:
            self._folds = bytearray((UNFOLDED if opened else FOLDED,)) * len(self._folds)
        closed = bytearray(len(tree))
        if not opened:
            for position in tree.folders:
                closed[position] = 1
        self._rows = Rows(tree, closed)
        self.changed(self._rows.row(here))
