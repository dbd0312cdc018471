"""The tree of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from imgscope.images.arrange import Order, arranged, found, reduced, youth
from imgscope.report import branches, candidate_names, node_name
from imgscope.text import age_text, bar, clean, size_text
from imgscope.ui.widgets.lines import NO_MATCH, TOP, Lines, Piece, fit, fit_end

if TYPE_CHECKING:
    from imgscope.images.ancestry import Forest, Node
    from imgscope.images.model import Image
    from imgscope.layers.search import Pattern

_WIDTHS = {"size": 8, "unique": 8, "wasted": 8, "used-by": 7, "age": 9}  # cells of the columns
_NARROW = 72  # cells below which the last two are left out
_BAR = 90  # cells from which on sizes have bars


class ImageTree(Lines):
    """One row per image: size, bytes that are its own, wasted bytes, containers, age.

    As high as its rows, within the limits of the style sheet.
    """

    # the footer shows these where they are most wanted; the screen knows them everywhere
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "screen.filter", "filter", id="images.filter", tooltip="Filter by name, glob or id"),
        Binding("r", "screen.run", "run", id="act.run", tooltip="Run a container: docker run"),
        Binding("t", "screen.tag", "tag", id="act.tag", tooltip="Give it another name: docker tag"),
        Binding(
            "d",
            "screen.remove",
            "remove",
            id="act.remove",
            tooltip="Remove its names, or all of it: docker rmi",
        ),
        Binding(
            "c", "screen.clean", "clean up", id="act.clean", tooltip="Remove all that can go, in one plan"
        ),
        Binding(
            "space",
            "mark",
            "Mark",
            show=False,
            id="images.mark",
            tooltip="Mark for compare, tag, push, remove",
        ),
        Binding(
            "S",
            "sort",
            "Sort",
            show=False,
            id="images.sort",
            tooltip="Sort by name, size, unique, wasted, age",
        ),
        Binding(
            "asterisk,plus",
            "fold_all(True)",
            "Open all",
            show=False,
            id="images.open-all",
            tooltip="Show all images",
        ),
        Binding(
            "minus",
            "fold_all(False)",
            "Close all",
            show=False,
            id="images.close-all",
            tooltip="Show what stands on no other",
        ),
        Binding("n", "match(1)", "Next match", show=False, id="images.next", tooltip="To the next match"),
        Binding(
            "N", "match(-1)", "Match before", show=False, id="images.before", tooltip="To the match before"
        ),
    ]

    @dataclass
    class Matched(Message):
        """What the filter means and what it found; empty where there is none."""

        text: str

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
        self.columns: tuple[str, ...] = tuple(_WIDTHS)
        self.order = Order.NAME
        self.pattern: Pattern | None = None
        self._found: frozenset[str] = frozenset()  # by the pattern
        self._most = 0  # bytes of the largest image

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

    def copies(self) -> Sequence[tuple[str, str]]:
        node = self.node
        if node is None or node.image is None:
            return ()
        image = node.image
        names = [("reference", name) for name in image.references]
        digests = [("digest", name) for name in image.digests]
        if image.manifest_digest and not digests:
            digests = [("manifest", image.manifest_digest)]
        return (*names, ("id", image.id), *digests)

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
        self._most = max((node.size or 0 for node in forest.nodes.values()), default=0)
        self._refold(here)
        self.refresh(layout=True)

    def _refold(self, here: str | None) -> None:
        """Draw the rows anew, the cursor on a node; in a filtered tree all is open."""
        forest = self._arranged()
        self._rows = list(branches(forest, self._folded if self.pattern is None else ()))
        positions = {node.id: row for row, (node, _) in enumerate(self._rows)}
        self.changed(positions.get(here, self.cursor) if here else None)

    def _arranged(self) -> Forest:
        """The images in the order asked for, and only those that are looked for."""
        forest, pattern = self.forest, self.pattern
        assert forest is not None
        title = ["images"] if self.order == Order.NAME else ["images", f"by {self.order.value}"]
        if self.order != Order.NAME:
            figures: dict[str, float | None] = {}
            for node in forest.nodes.values():
                figures[node.id] = {
                    Order.SIZE: node.size,
                    Order.UNIQUE: self._unique.get(node.id),
                    Order.WASTED: self.wasted.get(node.id),
                    Order.AGE: youth(node.image) if node.image else None,
                }[self.order]
            forest = arranged(forest, figures)
        self._found, told = frozenset(), ""
        if pattern is not None:
            wrong = ""
            try:
                matches = found(forest, pattern)
            except TimeoutError:
                matches, wrong = [], "this regular expression takes too long"
            self._found = frozenset(matches)
            forest = reduced(forest, self._found)
            count = f"{len(matches):,} match{'' if len(matches) == 1 else 'es'}"
            told = wrong or f"{pattern}: {count}"
            self.note = wrong or f"no image is found by this {pattern}"
            title.append(f"/{clean(pattern.text)}: {count}")
        self.set_title(*title)
        self.post_message(self.Matched(told))
        return forest

    def filter(self, pattern: Pattern | None) -> None:
        """No more of the images than a pattern finds; they stay as they are while it is wrong."""
        if pattern and pattern.error:
            self.post_message(self.Matched(pattern.error))
            return
        self.pattern = pattern
        self._rearrange()
        if self._found and self.node is not None and self.node.id not in self._found:
            self.cursor = next(row for row, (node, _) in enumerate(self._rows) if node.id in self._found)

    def _rearrange(self) -> None:
        if self.forest is not None:
            self._refold(self.node.id if self.node else self.shown_id)
            self.refresh(layout=True)

    def action_sort(self) -> None:
        orders = list(Order)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self._rearrange()

    def sort_by(self, column: str) -> None:
        orders = {"image": Order.NAME, **{order.value: order for order in Order}}
        if (order := orders.get(column)) is not None:
            self.order = order
            self._rearrange()

    def action_fold_all(self, opened: bool) -> None:
        if self.forest is None or self.pattern is not None:
            return
        node = self.node
        self._folded = set() if opened else {item.id for item in self.forest.nodes.values() if item.children}
        while not opened and node is not None and node.place is not None:
            node = self.forest.nodes[node.place]
        self._refold(node.id if node else None)
        self.refresh(layout=True)

    def action_match(self, step: int) -> None:
        """To the next match, or the one before, around the end."""
        rows = [row for row, (node, _) in enumerate(self._rows) if node.id in self._found]
        if rows:
            beyond = [row for row in rows if (row - self.cursor) * step > 0]
            self.cursor = (beyond or rows)[0 if step > 0 else -1]
        elif self.pattern is None:
            self.app.notify(NO_MATCH, markup=False)

    def go(self, image_id: str) -> None:
        """Put the cursor on an image."""
        for row, (node, _) in enumerate(self._rows):
            if node.id == image_id:
                self.cursor = row

    def fold(self, number: int, opened: bool) -> None:
        node = self._rows[number][0]
        if self.pattern is not None:  # all that was found is to be seen
            if not opened and node.place:
                self.go(node.place)
        elif opened:
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
        names = {column: column.replace("-", " ") for column in _WIDTHS}
        return "".join(text for text, _ in self._pieces("  image", names, 0, width))

    def _pieces(self, name: str, texts: Mapping[str, str], size: int, width: int) -> list[Piece]:
        """The name, the bar of a size, and the columns that have room."""
        shown = [
            column
            for column in self.columns
            if not (column in ("used-by", "age") and width < _NARROW) and (column != "used-by" or self._used)
        ]
        bar_width = 10 if width >= _BAR and "size" in shown else 0
        taken = sum(_WIDTHS[column] + 2 for column in shown) + bar_width
        pieces: list[Piece] = [(fit(name, max(width - taken, 8)), "")]
        if bar_width:
            pieces.append(("  " + bar(size, self._most, bar_width - 2), "bar"))
        for column in shown:
            text = texts.get(column, "")
            dead = column == "wasted" and text[:1].isdigit() and text != "0 B"
            style = "dead" if dead else "" if column == "size" else "dim"
            pieces.append(("  " + fit(text, _WIDTHS[column], right=True), style))
        return pieces

    def row(self, number: int, width: int) -> Iterable[Piece]:
        node, branch = self._rows[number]
        image = node.image
        mark = "● " if node.id in self._marked else "▸ " if node.id == self.shown_id else "  "
        texts = {"size": size_text(node.size)}
        if image is not None:
            texts |= {
                "unique": size_text(self._unique.get(node.id)),
                "wasted": size_text(self.wasted.get(node.id)),
                "used-by": str(image.containers or "–"),
                "age": age_text(image.created),
            }
        pieces = self._pieces("", texts, node.size or 0, width)
        space = len(pieces[0][0])
        branch = branch[: max(space - len(mark) - 8, 0)]
        yield mark, "bar"
        yield branch, "dim"
        style = "dim" if node.virtual or not node.references else "strong" if node.id == self.shown_id else ""
        name = self._names(node, max(space - len(mark) - len(branch), 1))
        if node.id in self._found and self.pattern is not None:
            start, end = self.pattern.span(name.rstrip())
            yield name[:start], style
            yield name[start:end], "match"
            yield name[end:], style
        else:
            yield name, style
        yield from pieces[1:]

    def _names(self, node: Node, width: int) -> str:
        """What fits of an image's names: all of them, or the end of the first and how many more."""
        after = " …" if node.id in self._folded and self.pattern is None else ""
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
