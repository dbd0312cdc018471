"""The tree of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Size

from imgscope.report import branches, candidate_names, node_name
from imgscope.text import age_text, clean, size_text
from imgscope.ui.widgets.lines import TOP, Lines, Piece, fit, fit_end

if TYPE_CHECKING:
    from imgscope.images.ancestry import Forest, Node
    from imgscope.images.model import Image

_SIZE, _AGE, _USED = 8, 9, 7


class ImageTree(Lines):
    """One row per image: size, bytes that are its own, wasted bytes, containers, age.

    As high as its rows, within the limits of the style sheet.
    """

    # the footer shows these where they are most wanted; the screen knows them everywhere
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "screen.run", "run", id="act.run", tooltip="docker run"),
        Binding("t", "screen.tag", "tag", id="act.tag", tooltip="docker tag"),
        Binding("p", "screen.push", "push", id="act.push", tooltip="docker push"),
        Binding("d", "screen.remove", "remove", id="act.remove", tooltip="docker rmi"),
        Binding("c", "screen.clean", "clean up", id="act.clean", tooltip="All that can go, in one plan"),
        Binding("space", "mark", "Mark", show=False, id="images.mark", tooltip="Mark for tag, push, remove"),
    ]

    def __init__(self) -> None:
        super().__init__("images")
        self._marked: set[str] = set()
        self._twins: frozenset[str] = frozenset()
        self.forest: Forest | None = None
        self._rows: list[tuple[Node, str]] = []
        self._unique: Mapping[str, int | None] = {}
        self._folded: set[str] = set()
        self._used = False  # whether the source knows of containers
        self.wasted: dict[str, int] = {}
        self.shown_id: str | None = None

    @property
    def row_count(self) -> int:
        return len(self._rows)

    @property
    def node(self) -> Node | None:
        """The node under the cursor."""
        return self._rows[self.cursor][0] if self._rows else None

    @property
    def chosen(self) -> list[Image]:
        """The images that are marked, in display order, else the one under the cursor."""
        nodes = [node for node, _ in self._rows if node.id in self._marked]
        if not nodes and self.node is not None:
            nodes = [self.node]
        return [node.image for node in nodes if node.image is not None]

    def in_view(self) -> list[str]:
        """The ids of the images that are on the screen, the one under the cursor first. From any thread."""
        rows, top = self._rows, self.scroll_offset.y
        seen = rows[self.cursor : self.cursor + 1] + rows[top : top + self.size.height]
        return [node.id for node, _ in seen]

    def action_mark(self) -> None:
        """Mark the image under the cursor, or not any more, and go on to the next."""
        node = self.node
        if node is not None and node.image is not None:
            self._marked ^= {node.id}
            self.action_move(1)
            self.refresh()

    def unmark(self) -> None:
        """Mark none."""
        self._marked.clear()
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.row_count + TOP + 1  # a blank line, where there is room

    def show(self, forest: Forest, unique: Mapping[str, int | None]) -> None:
        """Draw a forest, the cursor staying on its image."""
        here = self.node.id if self.node else None
        self.forest, self._unique, self._twins = forest, unique, forest.twins
        images = (node.image for node in forest.nodes.values())
        self._used = any(image is not None and image.containers is not None for image in images)
        self._refold(here)
        self.refresh(layout=True)

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

    def toggle(self, number: int) -> None:
        """Close what is open, open what is closed."""
        self.fold(number, self._rows[number][0].id in self._folded)

    def head(self, width: int) -> str:
        return "".join(
            text for text, _ in self._pieces("  image", "size", "unique", "wasted", "used by", "age", width)
        )

    def _pieces(
        self, name: str, size: str, unique: str, wasted: str, used: str, age: str, width: int
    ) -> list[Piece]:
        columns = [
            (size, _SIZE, ""),
            (unique, _SIZE, "dim"),
            (wasted, _SIZE, "dead" if wasted[:1].isdigit() and wasted != "0 B" else "dim"),
        ]
        if width >= 72:
            columns += [(used, _USED, "dim")] * self._used + [(age, _AGE, "dim")]
        taken = sum(column[1] + 2 for column in columns)
        pieces: list[Piece] = [(fit(name, max(width - taken, 8)), "")]
        for text, cells, style in columns:
            pieces.append(("  " + fit(text, cells, right=True), style))
        return pieces

    def row(self, number: int, width: int) -> Iterable[Piece]:
        node, branch = self._rows[number]
        image = node.image
        mark = "● " if node.id in self._marked else "▸ " if node.id == self.shown_id else "  "
        if image is None:
            pieces = self._pieces("", size_text(node.size), "", "", "", "", width)
        else:
            pieces = self._pieces(
                "",
                size_text(node.size),
                size_text(self._unique.get(node.id)),
                size_text(self.wasted.get(node.id)),
                str(image.containers or "–"),
                age_text(image.created),
                width,
            )
        space = len(pieces[0][0])
        branch = branch[: max(space - len(mark) - 8, 0)]
        yield mark, "bar"
        yield branch, "dim"
        style = "dim" if node.virtual or not node.references else "strong" if node.id == self.shown_id else ""
        yield self._names(node, max(space - len(mark) - len(branch), 1)), style
        yield from pieces[1:]

    def _names(self, node: Node, width: int) -> str:
        """What fits of an image's names: all of them, or the end of the first and how many more."""
        after = " …" if node.id in self._folded else ""
        if node.candidates and self.forest:
            after += f" (on one of {', '.join(candidate_names(self.forest, node))})"
        if node.id in self._twins and node.image:
            after = f" {clean(str(node.image.platform))}{after}"
        whole = node_name(node)
        if cell_len(whole + after) <= width or not node.references:
            return fit(whole + after, width)
        more = f" +{len(node.references) - 1}" if len(node.references) > 1 else ""
        first = clean(node.references[0])
        room = max(width - len(more), 1)
        if cell_len(first) > room:
            return fit_end(first, room) + more
        return fit(first + more + after, width)
