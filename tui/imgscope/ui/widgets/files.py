"""The file tree of a layer: its own changes, or all that is there up to it."""

from __future__ import annotations

from collections.abc import Iterable

from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, State
from imgscope.layers.view import LayerView
from imgscope.text import name_text, size_text
from imgscope.ui.widgets.lines import Lines, Piece, fit

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


class FileTree(Lines):
    """Directories open as they are asked for; only rows that are seen are made."""

    def __init__(self) -> None:
        super().__init__("files", "files")
        self.view: LayerView | None = None
        self._rows: list[tuple[int, int]] = []  # node, depth
        self._open: set[int] = set()

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def node(self) -> int | None:
        return self._rows[self.cursor][0] if self._rows else None

    def clear(self, note: str) -> None:
        """Nothing to show, and why."""
        self.view = None
        self._rows = []
        self.note = note
        self.changed(0)

    def show(self, view: LayerView) -> None:
        """Draw a tree; what was open stays open, the cursor stays on its path where that is there."""
        same = self.view is not None and self.view.overlay is view.overlay
        here = self.node if same else None
        if not same:
            self._open.clear()
        self.view = view
        self.note = "this layer changes no file" if not view.merged else "no file is there yet"
        if not same or not self._open:
            self._open_chains()
        self._rows = list(self._below(ROOT, 0))
        row = next((row for row, (node, _) in enumerate(self._rows) if node == here), 0) if here else 0
        self.changed(row)

    def _open_chains(self) -> None:
        """Open what a person would open first: lone directories, and the rest while it fits on a page."""
        assert self.view is not None
        room = _AUTO_OPEN
        level = [ROOT]
        while level:
            following = []
            for node in level:
                children = self.view.children(node)
                room -= len(children)
                if room < 0 and len(children) > 1:
                    return
                self._open.add(node)
                following += [child for child in children if self.view.has_children(child)]
            level = following

    def _below(self, node: int, depth: int) -> Iterable[tuple[int, int]]:
        assert self.view is not None
        stack = [(child, depth) for child in reversed(self.view.children(node))]
        while stack:
            child, level = stack.pop()
            yield child, level
            if child in self._open:
                stack += [(grandchild, level + 1) for grandchild in reversed(self.view.children(child))]

    def reveal(self, node: int) -> bool:
        """Open the way to a node and put the cursor on it; False where it is not in this tree."""
        if self.view is None:
            return False
        parents = self.view.overlay.parents
        above = parents[node]
        while above > ROOT:
            self._open.add(above)
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
            if node in self._open:
                self.cursor = number + 1
            else:
                self._open.add(node)
                self._rows[number + 1 : number + 1] = self._below(node, depth + 1)
                self.changed()
        elif not opened:
            if node in self._open and self.view.has_children(node):
                self._open.discard(node)
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

    def action_select(self) -> None:
        """Enter opens and closes directories."""
        if self.view is not None and self._rows:
            self.fold(self.cursor, self._rows[self.cursor][0] not in self._open)
        super().action_select()

    def head(self, width: int) -> str:
        attributes = f"{'mode':<11} {'owner':>9} " if width >= _WIDE else ""
        space = max(width - 1 - len(attributes) - _SIZE - 6, 8)
        return fit("  name", space) + attributes + fit("size", _SIZE, right=True)

    def row(self, number: int, width: int) -> Iterable[Piece]:
        view = self.view
        assert view is not None
        node, depth = self._rows[number]
        state = view.state(node)
        sign, style = _SIGNS[state] if not view.merged or state != State.UNCHANGED else (" ", "")
        version = view.version(node)
        entry = view.overlay.describe(version) if version >= 0 else None
        kind = view.overlay.kind(version) if version >= 0 else Kind.DIRECTORY
        fold = ("▾ " if node in self._open else "▸ ") if view.has_children(node) else "  "
        name = name_text(view.overlay.names[node])
        if kind == Kind.DIRECTORY:
            name += "/"
        detail = ""
        if entry is not None and entry.link:
            detail = f" → {name_text(entry.link)}"
        elif state in (State.CONTENT, State.METADATA) and not view.merged:
            what = self._changes(node)
            detail = f" ({', '.join(what)})" if what else ""
        attributes = ""
        if width >= _WIDE:
            mode = f"{_mode(kind, entry.mode)}" if entry else ""
            owner = f"{entry.uid}:{entry.gid}" if entry else ""
            attributes = f"{mode:<11} {owner:>9} "
        dead = view.is_dead(node)
        gone = state == State.REMOVED or (kind == Kind.DIRECTORY and not view.size(node) and view.gone(node))
        size = view.gone(node) if gone else view.size(node)
        text = ("−" if gone and size else "") + (size_text(size) if size or kind == Kind.FILE else "")
        space = max(width - 1 - len(attributes) - _SIZE - 6, 8)
        indent = min(2 * depth, max(space - 12, 0))
        yield f"{sign} ", style
        yield " " * indent + fold, "dim"
        left = max(space - 4 - indent, 1)
        shown = fit(name, min(len(name), left)) if len(name) >= left else name
        yield shown, style or ("" if state != State.NONE else "dim")
        yield fit(detail, max(left - len(shown), 0)), "dim"
        yield attributes, "dim"
        yield fit(text, _SIZE, right=True), "dead" if dead else "removed" if gone else ""
        yield (" dead" if dead else ""), "dead"

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
