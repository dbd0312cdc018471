"""The file tree of a layer: its own changes, or all that is there up to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.rows import Rows, Tree
from imgscope.layers.search import Pattern
from imgscope.layers.view import LayerView, Lens, Sort
from imgscope.text import path_text, size_text
from imgscope.ui.widgets.filecolumns import (
    SIGNS,
    SIZE,
    Attributes,
    Columns,
    short,
    title_text,
)
from imgscope.ui.widgets.folding import FOLD_KEYS, UNFOLDED, Folding
from imgscope.ui.widgets.lines import FIND, NO_MATCH, VIEW, Piece, fit

_SHOWN = {  # by the words for them, in the order in which they are told
    "added": frozenset((State.ADDED,)),
    "changed": frozenset((State.CONTENT, State.METADATA)),
    "removed": frozenset((State.REMOVED,)),
    "unchanged": frozenset((State.UNCHANGED,)),
}


def _toggle(key: str, word: str) -> Binding:
    return Binding(
        key,
        f"show('{word}')",
        f"Show {word}",
        show=False,
        id=f"show.{word}",
        tooltip=f"Hide what is {word}, or show it again",
    )


class FileTree(Folding):
    """Directories open as they are asked for; only rows that are seen are made."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash",
            "screen.filter",
            "filter",
            id="files.filter",
            tooltip="Filter by name, glob, path or ~regex",
        ),
        FIND,
        Binding(
            "e",
            "screen.extract",
            "extract",
            id="files.extract",
            tooltip="Save a file or folder of the image to a folder of yours: docker cp",
        ),
        VIEW,
        Binding(
            "D",
            "screen.diff",
            "diff",
            id="files.diff",
            tooltip="What the layer changed, against the version below",
        ),
        Binding(
            "S",
            "sort",
            "Sort",
            show=False,
            id="files.sort",
            tooltip="Sort by name, size, state or dead bytes",
        ),
        *FOLD_KEYS,
        _toggle("A", "added"),
        _toggle("M", "changed"),
        _toggle("R", "removed"),
        _toggle("U", "unchanged"),
        Binding(
            "i",
            "attributes",
            "Attributes",
            show=False,
            id="files.attributes",
            tooltip="Mode, owner and time: as there is room, all or none",
        ),
        Binding("n", "match(1)", "Next match", show=False, id="files.next", tooltip="To the next match"),
        Binding(
            "N", "match(-1)", "Match before", show=False, id="files.before", tooltip="To the match before"
        ),
    ]

    @dataclass
    class Rearranged(Message):
        """The lens is another one."""

        files: FileTree

        @property
        def control(self) -> FileTree:
            return self.files

    def __init__(self) -> None:
        super().__init__("files")
        self.view: LayerView | None = None
        self.lens = Lens()
        self.attributes = Attributes.AUTO
        self._overlay: Overlay | None = None
        self._wanted = ROOT  # where the person put the cursor last
        self._placed = ROOT  # where the cursor was put instead, for this view has no such path
        self._asked = ""  # what was looked for in the tree that is shown
        self._wanted_in = ""  # and in that in which the person put the cursor

    @property
    def pattern(self) -> Pattern | None:
        """What is looked for."""
        return self.lens.pattern

    @pattern.setter
    def pattern(self, pattern: Pattern | None) -> None:
        self.lens = replace(self.lens, pattern=pattern)

    @property
    def sort(self) -> Sort:
        return self.lens.sort

    @property
    def node(self) -> int | None:
        return self._node(self.cursor) if self.row_count else None

    @property
    def path(self) -> bytes | None:
        """The path under the cursor, without a leading slash (see `LayerIndex`)."""
        return self._overlay.path(self.node) if self._overlay and self.node is not None else None

    def _node(self, row: int) -> int:
        assert self._rows is not None
        return self._rows.tree.nodes[self._rows[row]]

    def clear(self, note: str) -> None:
        """Nothing to show, and why."""
        self._keep()
        self.view = self._rows = None
        self.note = note
        self.set_title("files")
        self.changed(0)

    def show(self, view: LayerView, tree: Tree, note: str, *title: str) -> None:
        """Draw a tree of a view. What was open stays open, the cursor on its path, or as near as it gets."""
        if view.overlay is self._overlay:
            self._keep()
        else:  # another image: what was open, and where the cursor was, means nothing in it
            self._folds = bytearray(len(view.overlay))
            self._wanted = self._placed = ROOT
        self._overlay = view.overlay
        self.view = view
        self.note = note
        self.set_title(*title)
        self._rows = rows = Rows(tree, self._shut(tree))
        way = self._way(self._wanted)
        *above, position = tree.way(way)
        asked = self.pattern.text if self.pattern else ""
        chosen = len(way) == len(above) + 1 > 1 and self._wanted_in == asked
        if tree.marks and not tree.marks[position] and not chosen:
            position = max(tree.marks.find(1), 0)
        self._asked = asked
        row = rows.row(position)
        self._placed = self._node(row) if len(rows) else ROOT
        self.changed(row)

    def keep(self) -> None:
        """The cursor is where the person wants it."""
        self._wanted, self._wanted_in = self.node or ROOT, self._asked

    def _keep(self) -> None:
        """Note where the person has put the cursor."""
        if self.node is not None and self.node != self._placed:
            self.keep()

    def _folder_of(self, node: int) -> int:
        assert self._overlay is not None
        return self._overlay.parents[node]

    def reveal(self, node: int) -> bool:
        """Open the way to a node and put the cursor on it; False where it is not in this tree."""
        if self._rows is None:
            return False
        nodes = self._way(node)
        way = list(self._rows.tree.way(nodes))
        self._open(way[:-1] if len(way) == len(nodes) else way)
        if len(way) == len(nodes):
            self.changed(self._rows.row(way[-1]))
            return True
        self.changed()
        return False

    def _open(self, way: list[int]) -> None:
        """Open directories, each in the one before, the root first."""
        assert self._rows is not None
        for position in way[1:]:
            if self._rows.closed[position]:
                self._set_fold(position, UNFOLDED)
                self._rows.unfold(self._rows.row(position))

    def action_sort(self) -> None:
        orders = list(Sort)
        self._turn(replace(self.lens, sort=orders[(orders.index(self.sort) + 1) % len(orders)]))

    def sort_by(self, column: str) -> None:
        if column in ("name", "size", "dead"):
            self._turn(replace(self.lens, sort=Sort(column)))

    def action_show(self, word: str) -> None:
        """Hide all paths of some states, or show them again."""
        self._turn(replace(self.lens, states=self.lens.states ^ _SHOWN[word]))

    def _turn(self, lens: Lens) -> None:
        if lens != self.lens:
            self.lens = lens
            self.post_message(self.Rearranged(self))

    def words(self, merged: bool) -> list[str]:
        """What is to be said of the order, and of what is hidden, in the title."""
        words = [f"by {self.sort.value}"] if self.sort != Sort.NAME else []
        kinds = [word for word in _SHOWN if not (merged and word == "removed")]
        hidden = [word for word in kinds if not _SHOWN[word] & self.lens.states]
        if len(hidden) == len(kinds) - 1:
            return [*words, f"only {next(word for word in kinds if word not in hidden)}"]
        return [*words, f"without {', '.join(hidden)}"] if hidden else words

    def action_attributes(self) -> None:
        kinds = list(Attributes)
        self.attributes = kinds[(kinds.index(self.attributes) + 1) % len(kinds)]
        self.refresh()
        columns = self._columns(self.size.width - 2)
        if self.attributes == Attributes.ALL and not columns.mode:
            self.notify("There is no room for attributes; z shows the pane alone.")

    def action_match(self, step: int) -> None:
        """To the next match, or the one before, around the end."""
        if self._rows is None or not self.row_count:
            return
        if self.pattern is None:
            self.app.notify(NO_MATCH, markup=False)
            return
        marks, here = self._rows.tree.marks, self._rows[self.cursor]
        if step > 0:
            found = marks.find(1, here + 1)
            found = found if found >= 0 else marks.find(1)
        else:
            found = marks.rfind(1, 0, here)
            found = found if found >= 0 else marks.rfind(1)
        if found >= 0:
            self.reveal(self._rows.tree.nodes[found])

    def copies(self) -> Sequence[tuple[str, str]]:
        view, node = self.view, self.node
        if view is None or node is None:
            return ()
        version = view.version(node)
        entry = view.overlay.describe(version) if version >= 0 else None
        target = [("link target", os.fsdecode(entry.link))] if entry is not None and entry.link else []
        return (("path", "/" + os.fsdecode(view.overlay.path(node))), *target)

    def _title(self, width: int) -> str:
        return title_text(self.title, width)

    def _columns(self, width: int) -> Columns:
        return Columns.fitting(width, self.attributes, by_dead=self.sort == Sort.DEAD)

    def head(self, width: int) -> str:
        return self._columns(width).head()

    def row(self, number: int, width: int) -> Iterable[Piece]:
        view = self.view
        assert view is not None
        assert self._rows is not None
        columns = self._columns(width)
        position, tree = self._rows[number], self._rows.tree
        node = tree.nodes[position]
        state = view.state(node)
        sign, style = SIGNS[state]
        version = view.version(node)
        entry = view.overlay.describe(version) if version >= 0 else None
        kind = view.overlay.kind(version) if version >= 0 else Kind.DIRECTORY
        fold = ("▸ " if self._rows.closed[position] else "▾ ") if tree.spans[position] > 1 else "  "
        name = short(view.overlay.names[node])
        if kind == Kind.DIRECTORY:
            name += "/"
        detail = ""
        if entry is not None and entry.link and self.attributes != Attributes.NONE:
            detail = (
                f" (same file as /{short(entry.link)})"
                if kind == Kind.HARDLINK
                else f" → {short(entry.link)}"
            )
        elif state in (State.CONTENT, State.METADATA) and not view.merged:
            what = self._changes(node)
            detail = f" ({', '.join(what)})" if what else ""
        elif state == State.UNCHANGED and not view.merged and kind == Kind.FILE:
            sign, style, detail = "=", "metadata", " (stored again)"
        dead = view.is_dead(node)
        gone = state == State.REMOVED or (kind == Kind.DIRECTORY and not view.size(node) and view.gone(node))
        size = view.gone(node) if gone else view.size(node)
        text = ("−" if gone and size else "") + (size_text(size) if size or kind == Kind.FILE else "")
        indent = self._indent(node, max(columns.name - 16, 0))  # a deep tree must leave room for names
        left = max(columns.name - 4 - indent - 1, 1)  # a blank before the next column
        shown = fit(name, min(cell_len(name), left))
        yield f"{sign} ", style
        yield " " * indent + fold, "dim"
        if tree.marks and tree.marks[position] and self.pattern is not None:
            start, end = self.pattern.span(shown.removesuffix("/"), self._folder(node))
            yield shown[:start], style
            yield shown[start:end], "match"
            yield shown[end:], style
        else:
            yield shown, style or ("" if state != State.NONE else "dim")
        yield fit(detail, left - cell_len(shown)) + " ", "dim"
        yield columns.attributes(kind, entry), "dim"
        style = "dead" if dead else "removed" if gone else ""
        part, whole = size, max(view.size(ROOT), view.gone(ROOT))
        if self.sort == Sort.DEAD:
            part, whole = view.dead(node), view.dead(ROOT)
        yield columns.share(part, whole, style or ("dead" if self.sort == Sort.DEAD else "bar"))
        if columns.dead:
            yield fit(size_text(part) if part else "", SIZE, right=True) + " ", "dead"
        yield fit(text, SIZE, right=True), style
        if not columns.dead:
            yield " dead" if dead else " " * 5, "dead"

    def action_select(self) -> None:
        """Enter, and a double click, open and close directories."""
        if self._rows is not None and self.row_count:
            position = self._rows[self.cursor]
            if self._rows.tree.spans[position] > 1:
                self.fold(self.cursor, bool(self._rows.closed[position]))
        super().action_select()

    def _indent(self, node: int, most: int) -> int:
        assert self._overlay is not None
        indent, parents = 0, self._overlay.parents
        while indent < most and (node := parents[node]) > ROOT:
            indent += 2
        return min(indent, most)

    def _folder(self, node: int) -> str:
        """The path of the directory that a node is in, as patterns look at it."""
        assert self._overlay is not None
        path = self._overlay.path(self._overlay.parents[node])
        return path_text(path) + "/" if path else "/"

    def _changes(self, node: int) -> tuple[str, ...]:
        assert self.view is not None
        overlay = self.view.overlay
        version = overlay.at(node, self.view.layer)
        return overlay.changes(version) if version >= 0 else ()
