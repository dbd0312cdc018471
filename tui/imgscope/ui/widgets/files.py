"""The file tree of a layer: its own changes, or all that is there up to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import BindingType

from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.view import LayerView
from imgscope.text import name_text, size_text
from imgscope.ui.widgets.lines import PANE_KEYS, Lines, Piece, fit

_SIZE = 8
_WIDE = 64  # cells from which on mode and owner are shown
_SIGNS = {
    State.NONE: (" ", ""),
    State.UNCHANGED: (" ", ""),
    State.ADDED: ("+", "added"),
    State.CONTENT: ("~", "changed"),
    State.METADATA: ("≈", "metadata"),
    State.REMOVED: ("−", "removed"),
}
_KIND_LETTERS = {
    Kind.DIRECTORY: "d",
    Kind.SYMLINK: "l",
    Kind.CHAR_DEVICE: "c",
    Kind.BLOCK_DEVICE: "b",
    Kind.FIFO: "p",
}
_AUTO_OPEN = 40  # rows: small trees are shown open
_LONG = 1000  # bytes of a name that are looked at: more than any screen is wide


class FileTree(Lines):
    """Directories open as they are asked for; only rows that are seen are made."""

    BINDINGS: ClassVar[list[BindingType]] = PANE_KEYS

    def __init__(self) -> None:
        super().__init__("files")
        self.view: LayerView | None = None
        self._overlay: Overlay | None = None
        self._rows: list[tuple[int, int]] = []  # node, depth
        self._unfolded: set[int] = set()  # by the person, in any layer of the image
        self._folded: set[int] = set()
        self._unasked: set[int] = set()  # opened by us, in this view
        self._wanted = ROOT  # where the person put the cursor last
        self._placed = ROOT  # where the cursor was put instead, for this view has no such path

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def node(self) -> int | None:
        return self._rows[self.cursor][0] if self._rows else None

    def clear(self, note: str) -> None:
        """Nothing to show, and why."""
        self._keep()
        self.view = None
        self._rows = []
        self.note = note
        self.set_title("files")
        self.changed(0)

    def show(self, view: LayerView, note: str, *title: str) -> None:
        """Draw a tree. What was open stays open; the cursor stays on its path, or as near as it gets."""
        if view.overlay is self._overlay:
            self._keep()
        else:  # another image: what was open, and where the cursor was, means nothing in it
            self._unfolded.clear()
            self._folded.clear()
            self._wanted = self._placed = ROOT
        self._overlay = view.overlay
        self.view = view
        self.note = note
        self.set_title(*title)
        self._open_unasked()
        self._rows = list(self._below(ROOT, 0))
        rows = {node: row for row, (node, _) in enumerate(self._rows)}
        place = self._wanted
        while place > ROOT and place not in rows:
            place = view.overlay.parents[place]
        row = rows.get(place, 0)
        self._placed = self._rows[row][0] if self._rows else ROOT
        self.changed(row)

    def _keep(self) -> None:
        """Note where the person has put the cursor."""
        if self.node is not None and self.node != self._placed:
            self._wanted = self.node

    def _open_unasked(self) -> None:
        """Open what a person would open first: level by level, as long as all of it fits on a page."""
        assert self.view is not None
        self._unasked.clear()
        room = _AUTO_OPEN
        level = [ROOT]
        while level:
            below = [child for node in level for child in self.view.children(node)]
            room -= len(below)
            if room < 0 and len(below) > len(level):
                return
            self._unasked.update(level)
            level = [child for child in below if self.view.has_children(child)]

    def _is_open(self, node: int) -> bool:
        return node in self._unfolded or (node in self._unasked and node not in self._folded)

    def _below(self, node: int, depth: int) -> Iterable[tuple[int, int]]:
        assert self.view is not None
        stack = [(child, depth) for child in reversed(self.view.children(node))]
        while stack:
            child, level = stack.pop()
            yield child, level
            if self._is_open(child):
                stack += [(grandchild, level + 1) for grandchild in reversed(self.view.children(child))]

    def reveal(self, node: int) -> bool:
        """Open the way to a node and put the cursor on it; False where it is not in this tree."""
        if self.view is None:
            return False
        parents = self.view.overlay.parents
        above = parents[node]
        while above > ROOT:
            self._unfolded.add(above)
            above = parents[above]
        self._rows = list(self._below(ROOT, 0))
        for row, (found, _) in enumerate(self._rows):
            if found == node:
                self.changed(row)
                return True
        self.changed()
        return False

    def fold(self, number: int, opened: bool) -> None:
        assert self.view is not None
        node, depth = self._rows[number]
        if opened and self.view.has_children(node):
            if self._is_open(node):
                self.cursor = number + 1
            else:
                self._unfolded.add(node)
                self._rows[number + 1 : number + 1] = self._below(node, depth + 1)
                self.changed()
        elif not opened:
            if self._is_open(node) and self.view.has_children(node):
                self._unfolded.discard(node)
                self._folded.add(node)
                end = number + 1
                while end < len(self._rows) and self._rows[end][1] > depth:
                    end += 1
                del self._rows[number + 1 : end]
                self.changed()
            else:
                parent = self.view.overlay.parents[node]
                for row in range(number - 1, -1, -1):
                    if self._rows[row][0] == parent:
                        self.cursor = row
                        break

    def head(self, width: int) -> str:
        attributes = f"{'mode':<11} {'owner':>9} " if width >= _WIDE else ""
        space = self._space(width, attributes)
        return fit("  name", space) + attributes + fit("size", _SIZE, right=True)

    @staticmethod
    def _space(width: int, attributes: str) -> int:
        """Cells for sign and name: what attributes, size and the word `dead` leave."""
        return max(width - len(attributes) - _SIZE - 5, 8)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        view = self.view
        assert view is not None
        node, depth = self._rows[number]
        state = view.state(node)
        sign, style = _SIGNS[state]
        version = view.version(node)
        entry = view.overlay.describe(version) if version >= 0 else None
        kind = view.overlay.kind(version) if version >= 0 else Kind.DIRECTORY
        fold = ("▾ " if self._is_open(node) else "▸ ") if view.has_children(node) else "  "
        name = _short(view.overlay.names[node])
        if kind == Kind.DIRECTORY:
            name += "/"
        detail = ""
        if entry is not None and entry.link:
            detail = (
                f" (same file as /{_short(entry.link)})"
                if kind == Kind.HARDLINK
                else f" → {_short(entry.link)}"
            )
        elif state in (State.CONTENT, State.METADATA) and not view.merged:
            what = self._changes(node)
            detail = f" ({', '.join(what)})" if what else ""
        elif state == State.UNCHANGED and not view.merged and kind == Kind.FILE:
            sign, style, detail = "=", "metadata", " (stored again)"
        attributes = ""
        if width >= _WIDE:
            mode = f"{_mode(kind, entry.mode)}" if entry else ""
            owner = f"{entry.uid}:{entry.gid}" if entry else ""
            attributes = f"{mode:<11} {fit(owner, 9, right=True)} "
        dead = view.is_dead(node)
        gone = state == State.REMOVED or (kind == Kind.DIRECTORY and not view.size(node) and view.gone(node))
        size = view.gone(node) if gone else view.size(node)
        text = ("−" if gone and size else "") + (size_text(size) if size or kind == Kind.FILE else "")
        space = self._space(width, attributes)
        indent = min(2 * depth, max(space - 24, 0))  # a deep tree must leave room for names
        left = max(space - 4 - indent - 1, 1)  # a blank before the next column
        shown = fit(name, min(cell_len(name), left))
        yield f"{sign} ", style
        yield " " * indent + fold, "dim"
        yield shown, style or ("" if state != State.NONE else "dim")
        yield fit(detail, left - cell_len(shown)) + " ", "dim"
        yield attributes, "dim"
        yield fit(text, _SIZE, right=True), "dead" if dead else "removed" if gone else ""
        yield " dead" if dead else " " * 5, "dead"

    def action_select(self) -> None:
        """Enter, and a double click, open and close directories."""
        if self.view is not None and self._rows:
            node = self._rows[self.cursor][0]
            if self.view.has_children(node):
                self.fold(self.cursor, not self._is_open(node))
        super().action_select()

    def _changes(self, node: int) -> tuple[str, ...]:
        assert self.view is not None
        overlay = self.view.overlay
        version = overlay.at(node, self.view.layer)
        return overlay.changes(version) if version >= 0 else ()


def _mode(kind: Kind, mode: int) -> str:
    """Permissions as ls shows them."""
    letters = "".join(
        letter if mode & (1 << (8 - place)) else "-" for place, letter in enumerate("rwxrwxrwx")
    )
    marks = [(0o4000, 2, "s", "S"), (0o2000, 5, "s", "S"), (0o1000, 8, "t", "T")]
    cells = list(letters)
    for bit, place, lower, upper in marks:
        if mode & bit:
            cells[place] = lower if cells[place] == "x" else upper
    return _KIND_LETTERS.get(kind, "-") + "".join(cells)


def _short(name: bytes) -> str:
    return name_text(name) if len(name) <= _LONG else name_text(name[:_LONG]) + "…"
