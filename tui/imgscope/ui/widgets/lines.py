"""Lines: a title, a head of columns and rows under a cursor, drawn line by line.

The panes all derive from it, so that keys, mouse and looks are the same everywhere. Only the rows
that are seen are made into text (Textual's line API), whatever their number.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from imgscope.text import bar

Piece = tuple[str, str]  # text, and the name of its style: dim, strong, added, dead, … or ""

TOP = 2  # lines of title and head
NO_MATCH = "Nothing is looked for; type it after /, then n and N go from match to match."
_BAR = 8  # cells
_LONG = 4000  # characters of a text that are measured: more than any screen is wide
_ROOMY = 90  # cells of a table from which on its sizes have bars


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Text in exactly `width` cells: padded, or cut with an ellipsis."""
    if len(text) > _LONG:
        text = text[:_LONG] + "…"
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)


def fit_end(text: str, width: int) -> str:
    """Like `fit`, but cut at the beginning: the end of a path or of an image's name tells more."""
    if len(text) > _LONG:
        text = "…" + text[-_LONG:]
    if cell_len(text) <= width:
        return fit(text, width)
    taken, cells = 0, 1
    while cells < width and cells + (size := cell_len(text[-taken - 1])) <= width:
        taken, cells = taken + 1, cells + size
    return fit("…" + text[len(text) - taken :], width) if width > 0 else ""


def bar_cells(width: int) -> int:
    """The cells that `size_bar` takes in a table of so many."""
    return _BAR + 1 if width >= _ROOMY else 0


def size_bar(size: int | None, most: int, width: int) -> Piece:
    """A bar of a size beside the largest of its table, and a gap; nothing where the table is narrow."""
    cells = bar_cells(width)
    return bar(size or 0, most, cells - 1).ljust(cells), "bar"


# what the footer shows in the panes of one image; the screen knows these keys everywhere
NEXT = Binding("tab", "screen.pane(1)", "next pane", id="pane.next", tooltip="To the next pane")
VIEW = Binding(
    "v",
    "screen.toggle_view",
    "changes/merged",
    id="view.toggle",
    tooltip="What the layer changes, or all files up to it",
)
FIND = Binding("f", "screen.find", "find", id="find", tooltip="Find where a path comes from, and who has it")
MAP = Binding("m", "screen.map", "map", id="map", tooltip="What takes the bytes, as a map")
ZOOM = Binding("z", "screen.zoom", "zoom", id="pane.zoom", tooltip="The pane alone, or all panes")
BACK = Binding("escape", "screen.back", "back", id="back", tooltip="Cancel reading, or one pane back")


class Lines(ScrollView, can_focus=True):
    """Rows with a cursor. Subclasses give `row_count`, `row` and, where they open things, `fold`."""

    DEFAULT_CSS = """
    Lines {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: $background;

        & > .lines--title { color: $text-muted; }
        & > .lines--title-focus { color: $primary; text-style: bold; }
        & > .lines--rule { color: $foreground 20%; }
        & > .lines--rule-focus { color: $primary; }
        & > .lines--head { color: $text-dim; }
        & > .lines--dim { color: $text-dim; }
        & > .lines--strong { text-style: bold; }
        & > .lines--bar { color: $size-bar; }
        & > .lines--added { color: $diff-added; }
        & > .lines--changed { color: $diff-changed; }
        & > .lines--metadata { color: $diff-metadata; }
        & > .lines--removed { color: $diff-removed; }
        & > .lines--dead { color: $dead; }
        & > .lines--match { color: $accent; text-style: bold underline; }
        /* a tint: the colours of the text must stay readable on it, in every theme */
        & > .lines--cursor { background: $row-cursor; text-style: $row-cursor-style; }
        & > .lines--cursor-blurred {
            background: $row-cursor-blurred;
            text-style: $row-cursor-blurred-style;
        }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"lines--{name}"
        for name in (
            "title",
            "title-focus",
            "rule",
            "rule-focus",
            "head",
            "dim",
            "strong",
            "bar",
            "added",
            "changed",
            "metadata",
            "removed",
            "dead",
            "match",
            "cursor",
            "cursor-blurred",
        )
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="move.up", tooltip="One row up"),
        Binding("down,j", "move(1)", "Down", show=False, id="move.down", tooltip="One row down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="move.page-up", tooltip="One page up"),
        Binding(
            "pagedown,ctrl+f",
            "page(1)",
            "Page down",
            show=False,
            id="move.page-down",
            tooltip="One page down",
        ),
        Binding("y", "copy", "Copy", show=False, id="copy", tooltip="Copy the name, id, digest or path"),
        Binding("home,g", "jump(0)", "First", show=False, id="move.first", tooltip="To the first row"),
        Binding("end,G", "jump(-1)", "Last", show=False, id="move.last", tooltip="To the last row"),
        Binding(
            "left,h",
            "fold(False)",
            "Close",
            show=False,
            id="tree.close",
            tooltip="Close, or go to the parent",
        ),
        Binding(
            "right,l",
            "fold(True)",
            "Open",
            show=False,
            id="tree.open",
            tooltip="Open, or go to the first child",
        ),
        Binding("enter", "select", "open", id="select", tooltip="Open what is under the cursor"),
    ]

    cursor: reactive[int] = reactive(0, init=False)

    @dataclass
    class Highlighted(Message):
        """The cursor stands on another row."""

        lines: Lines
        row: int

        @property
        def control(self) -> Lines:
            return self.lines

    @dataclass
    class Selected(Message):
        """A row was opened, by enter or by a double click."""

        lines: Lines
        row: int

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.title: tuple[str, ...] = (name,)
        self.note = ""  # shown instead of rows where there are none
        self._styles_by_name: dict[str, Style] = {}

    # -- what a subclass gives ----------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        raise NotImplementedError

    def head(self, width: int) -> str:
        """The names of the columns."""
        return ""

    def row(self, number: int, width: int) -> Iterable[Piece]:
        """One row, as pieces of text from left to right."""
        raise NotImplementedError

    def fold(self, number: int, opened: bool) -> None:
        """Open or close the row under the cursor; nothing by default."""

    def sort_by(self, column: str) -> None:
        """The name of a column was clicked; nothing by default."""

    def copies(self) -> Sequence[tuple[str, str]]:
        """What of the row under the cursor can be copied: what it is, and the text; the likeliest first."""
        return ()

    # -- state --------------------------------------------------------------------------------------

    def changed(self, cursor: int | None = None) -> None:
        """The rows are others now: measure, keep the cursor inside, draw."""
        count = self.row_count
        self.virtual_size = Size(self.size.width, count + TOP)
        wanted = self.cursor if cursor is None else cursor
        self.cursor = min(max(wanted, 0), max(count - 1, 0))
        self.show_cursor()
        self.refresh()

    def set_title(self, *parts: str) -> None:
        """The name of the pane, then what is to be said of it."""
        if parts != self.title:
            self.title = parts
            self.refresh(Region(0, 0, self.size.width, 1))

    def enter(self) -> None:
        """Take the focus; where a pane is zoomed, this one is from now on."""
        self.focus()
        if self.screen.maximized is not None:
            self.screen.maximize(self)

    def set_note(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self.refresh()

    @property
    def page(self) -> int:
        """How many rows are seen."""
        return max(self.size.height - TOP, 1)

    def show_cursor(self) -> None:
        top = round(self.scroll_y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True, force=True)
        elif self.cursor >= top + self.page:
            self.scroll_to(y=self.cursor - self.page + 1, animate=False, immediate=True, force=True)

    def watch_cursor(self, old: int, new: int) -> None:
        top = TOP - round(self.scroll_y)
        self.refresh(*(Region(0, top + row, self.size.width, 1) for row in (old, new) if top + row >= TOP))
        self.show_cursor()
        if self.row_count:
            self.post_message(self.Highlighted(self, new))

    # -- keys and mouse -----------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        self._go(self.cursor + rows)

    def action_page(self, pages: int) -> None:
        self._go(self.cursor + pages * self.page)

    def action_jump(self, row: int) -> None:
        self._go(row if row >= 0 else self.row_count - 1)

    def action_fold(self, opened: bool) -> None:
        if self.row_count:
            self.fold(self.cursor, opened)

    def action_select(self) -> None:
        if self.row_count:
            self.post_message(self.Selected(self, self.cursor))

    def action_copy(self) -> None:
        from imgscope.ui.screens.copy import copy_one

        copy_one(self.app, self.copies() if self.row_count else ())

    def _go(self, row: int) -> None:
        self.cursor = min(max(row, 0), max(self.row_count - 1, 0))

    def on_click(self, event: events.Click) -> None:
        row = event.y - TOP + round(self.scroll_y)
        if event.y == 1 and self.row_count:
            self.sort_by(self._column(event.x))
        if event.y < TOP or not 0 <= row < self.row_count:
            return
        self.cursor = row
        if event.chain == 2:
            self.action_select()

    def _column(self, x: int) -> str:
        """The name of a column that is nearest to a place in the head."""
        names = re.finditer(r"\S+(?: \S+)*", self.head(max(self.size.width - 2, 1)))
        nearest = min(names, key=lambda name: max(name.start() - x, x - name.end() + 1), default=None)
        return nearest.group() if nearest else ""

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.row_count + TOP)
        self.show_cursor()
        self.refresh()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # -- drawing ------------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        self._styles_by_name.clear()
        super().notify_style_update()

    @property
    def _base(self) -> Style:
        """The style under all others."""
        style = self._styles_by_name.get("")
        if style is None:
            style = self._styles_by_name[""] = self.rich_style
        return style

    def _style(self, name: str) -> Style:
        if not name:
            return Style.null()
        style = self._styles_by_name.get(name)
        if style is None:
            own = self.get_component_rich_style(f"lines--{name}", partial=True)
            full = self.get_component_rich_style(f"lines--{name}")  # blended with what is behind
            style = own + Style(
                color=full.color if own.color else None, bgcolor=full.bgcolor if own.bgcolor else None
            )
            self._styles_by_name[name] = style
        return style

    def _strip(self, pieces: Iterable[Piece], width: int, under: Style) -> Strip:
        strip = Strip([Segment(text, self._style(name)) for text, name in pieces])
        return strip.adjust_cell_length(width).apply_style(under)

    def _title(self, width: int) -> str:
        """The title in at most `width` cells: where it is too long without the pane's name, then cut."""
        parts = list(self.title)
        if cell_len(" · ".join(parts)) > width and len(parts) > 1:
            del parts[0]
        over = cell_len(" · ".join(parts)) - width
        if over > 0:
            longest = max(range(len(parts)), key=lambda part: cell_len(parts[part]))
            parts[longest] = fit(parts[longest], max(cell_len(parts[longest]) - over, 6))
        text = " · ".join(parts)
        return fit(text, min(cell_len(text), max(width, 0)))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self._base
        if y == 0:
            end = "-focus" if self.has_focus else ""
            title = self._title(width - 5)
            rule = "─" * max(width - cell_len(title) - 3, 0)
            return self._strip(
                (("─ ", f"rule{end}"), (title, f"title{end}"), (f" {rule}", f"rule{end}")), width, base
            )
        room = max(width - 2, 1)  # a blank, and the scrollbar
        if y == 1:
            return self._strip(((self.head(room) if self.row_count else "", "head"),), width, base)
        number = y - TOP + round(self.scroll_y)
        if number < self.row_count:
            pieces = self.row(number, room)
            if number == self.cursor:
                base += self._style("cursor" if self.has_focus else "cursor-blurred")
            return self._strip(pieces, width, base)
        if not self.row_count and self.note:
            lines = [
                part for line in self.note.splitlines() for part in textwrap.wrap(line, max(room - 4, 8))
            ]
            if 0 <= y - TOP < len(lines):
                return self._strip((("  " + lines[y - TOP], "dim"),), width, base)
        return Strip.blank(width, base)
