"""The tree of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imgscope.images.ancestry import Forest, Node
from imgscope.report import branches, node_name
from imgscope.text import age_text, size_text
from imgscope.ui.widgets.lines import Lines, Piece, fit

_SIZE, _AGE, _USED = 8, 9, 7


class ImageTree(Lines):
    """One row per image: size, bytes that are its own, wasted bytes, containers, age."""

    def __init__(self) -> None:
        super().__init__("images", "images")
        self.forest: Forest | None = None
        self._rows: list[tuple[Node, str]] = []
        self._unique: Mapping[str, int | None] = {}
        self._folded: set[str] = set()
        self.wasted: dict[str, int] = {}
        self.opened_id: str | None = None

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def node(self) -> Node | None:
        """The node under the cursor."""
        return self._rows[self.cursor][0] if self._rows else None

    def show(self, forest: Forest, unique: Mapping[str, int | None]) -> None:
        """Draw a forest, the cursor staying on its image."""
        here = self.node.id if self.node else None
        self.forest, self._unique = forest, unique
        self._refold(here)

    def _refold(self, here: str | None) -> None:
        assert self.forest is not None
        self._rows = list(branches(self.forest, self._folded))
        positions = {node.id: row for row, (node, _) in enumerate(self._rows)}
        self.changed(positions.get(here, self.cursor) if here else None)

    def go(self, image_id: str) -> None:
        """Put the cursor on an image."""
        for row, (node, _) in enumerate(self._rows):
            if node.id == image_id:
                self.cursor = row

    def fold(self, number: int, opened: bool) -> None:
        node = self._rows[number][0]
        if opened:
            if node.id in self._folded:
                self._folded.discard(node.id)
                self._refold(node.id)
            elif node.children:
                self.cursor = number + 1
        elif node.children and node.id not in self._folded:
            self._folded.add(node.id)
            self._refold(node.id)
        elif node.place:
            self.go(node.place)

    def head(self, width: int) -> str:
        return self._line("  image", "size", "unique", "wasted", "used by", "age", width)

    def _line(self, name: str, size: str, unique: str, wasted: str, used: str, age: str, width: int) -> str:
        return "".join(text for text, _ in self._pieces(name, size, unique, wasted, used, age, width))

    def _pieces(
        self, name: str, size: str, unique: str, wasted: str, used: str, age: str, width: int
    ) -> list[Piece]:
        wide = width >= 76
        columns = [
            (size, _SIZE, ""),
            (unique, _SIZE, "dim"),
            (wasted, _SIZE, "dead" if wasted[:1].isdigit() and wasted != "0 B" else "dim"),
        ]
        if wide:
            columns += [(used, _USED, "dim"), (age, _AGE, "dim")]
        taken = sum(column[1] + 2 for column in columns) + 1
        pieces: list[Piece] = [(fit(name, max(width - taken, 8)), "")]
        for text, cells, style in columns:
            pieces.append(("  " + fit(text, cells, right=True), style))
        return pieces

    def row(self, number: int, width: int) -> Iterable[Piece]:
        node, branch = self._rows[number]
        image = node.image
        folded = " …" if node.id in self._folded else ""
        mark = "▸ " if node.id == self.opened_id else "  "
        name = node_name(node) + folded
        if node.candidates and self.forest:
            bases = ", ".join(node_name(self.forest.nodes[item]) for item in node.candidates)
            name += f" (on one of {bases})"
        if image is None:
            pieces = self._pieces("", size_text(node.size), "", "", "", "", width)
        else:
            unique = self._unique.get(node.id)
            wasted = self.wasted.get(node.id)
            used = "–" if not image.containers else str(image.containers)
            pieces = self._pieces(
                "",
                size_text(node.size),
                size_text(unique),
                size_text(wasted),
                used,
                age_text(image.created),
                width,
            )
        space = len(pieces[0][0])
        yield mark, "bar"
        yield branch, "dim"
        style = (
            "dim" if node.virtual or not node.references else "strong" if node.id == self.opened_id else ""
        )
        yield fit(name, max(space - len(mark) - len(branch), 1)), style
        yield from pieces[1:]
