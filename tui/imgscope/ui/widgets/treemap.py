"""A map of weights: a rectangle for each thing in a directory, as large as its bytes.

Each rectangle has its name in its first line and a line at its left; what is in a directory is drawn inside.
Only the directory one looks at, and what is right below it, is laid out: at each size of the screen anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from imgscope.findings.weights import Weights
from imgscope.text import size_text
from imgscope.ui.tiling import Rect, tile
from imgscope.ui.widgets.lines import Piece, fit

_MOST = 4000  # rectangles of one level: more than any screen has room for
_DEPTH = 3  # levels that are drawn inside of a rectangle
_LEAST = (6, 1)  # columns and lines of a rectangle that can be read
_HUES = 5
_LIGHT, _HEAVY = ("┌", "─", "│"), ("┏", "━", "┃")
_DEAD = "╱"


class Level(NamedTuple):
    """What a map shows: the children of a node, without the `skip` heaviest."""

    node: int
    skip: int = 0


class Tile(NamedTuple):
    """One rectangle, its place relative to what it is drawn in.

    It stands for a node of the weights, or for the `many` last children of a node: `rest` is then the place
    of the first of these, else -1. `rows` has for each line of its inside what is drawn there, from left to
    right; it is empty where the inside is blank.
    """

    rect: Rect
    node: int
    live: int
    dead: int
    rest: int = -1
    many: int = 1
    scaled: bool = True
    hue: int = 0
    rows: Sequence[Sequence[Tile]] = ()

    @property
    def total(self) -> int:
        return self.live + self.dead

    def at(self, x: int, y: int) -> Tile | None:
        """What is drawn inside at a cell that is relative to the corner of the tile."""
        inside = self.rows[y - 1] if 0 < y <= len(self.rows) else ()
        return next((item for item in inside if item.rect.holds(x - 1, y - 1)), None)


class Treemap(Widget, can_focus=True):
    """A map with a cursor, into which one can go. It starts empty: `show` gives it weights."""

    DEFAULT_CSS = """
    Treemap {
        background: $background;

        & > .treemap--line { color: $foreground 40%; }
        & > .treemap--name { color: $foreground; }
        & > .treemap--size { color: $foreground 70%; }
        & > .treemap--dead { color: $dead; }
        & > .treemap--note { color: $text-dim; }
        & > .treemap--cursor { background: $primary 40%; text-style: bold; }
        & > .treemap--cursor-title { text-style: bold reverse; }
        & > .treemap--hue-0 { background: $primary 20%; }
        & > .treemap--hue-1 { background: $success 16%; }
        & > .treemap--hue-2 { background: $secondary 18%; }
        & > .treemap--hue-3 { background: $accent 16%; }
        & > .treemap--hue-4 { background: $foreground 10%; }
        & > .treemap--rest { background: $background; }
    }
    .-few-colours Treemap {  /* tints would be the colour of the lines */
        & > .treemap--hue-0, & > .treemap--hue-1, & > .treemap--hue-2, & > .treemap--hue-3,
        & > .treemap--hue-4, & > .treemap--cursor { background: $background; }
    }
    """
    SCOPED_CSS = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"treemap--{name}" for name in ("line", "name", "size", "dead", "note", "cursor", "cursor-title")),
        *(f"treemap--hue-{number}" for number in range(_HUES)),
        "treemap--rest",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "enter", "go in", id="map.in", tooltip="Into the directory; to a file in the file tree"
        ),
        Binding("backspace", "leave", "out", id="map.out", tooltip="Out, to what this is in"),
        Binding("up,k", "go(0,-1)", "Up", show=False, id="map.up", tooltip="To the rectangle above"),
        Binding("down,j", "go(0,1)", "Down", show=False, id="map.down", tooltip="To the rectangle below"),
        Binding(
            "left,h", "go(-1,0)", "Left", show=False, id="map.left", tooltip="To the rectangle at the left"
        ),
        Binding("right,l", "go(1,0)", "Right", show=False, id="map.right", tooltip="To the one at the right"),
        Binding("tab", "step(1)", "Next", show=False, id="map.next", tooltip="To the next smaller one"),
        Binding(
            "shift+tab", "step(-1)", "Before", show=False, id="map.before", tooltip="To the next larger one"
        ),
        Binding("home", "step(0)", "Largest", show=False, id="map.first", tooltip="To the largest"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor stands on another rectangle, or the map shows something else."""

        treemap: Treemap

    @dataclass
    class Picked(Message):
        """A thing that has nothing in it was opened: a file, a layer."""

        treemap: Treemap
        node: int

    def __init__(self) -> None:
        super().__init__()
        self.weights: Weights | None = None
        self.note = ""  # shown where there is nothing to draw
        self.trail: list[Level] = [Level(0)]  # from the outermost to what is shown
        self.tiles: Sequence[Tile] = ()
        self.cursor = 0
        self._rows: Sequence[Sequence[Tile]] = ()
        self._laid_out = Size(0, 0)  # the area of these
        self._styles_by_name: dict[tuple[str, str], Style] = {}
        self._clicked: Tile | None = None  # what the last click put the cursor on

    # -- what it shows ------------------------------------------------------------------------------

    @property
    def level(self) -> Level:
        return self.trail[-1]

    @property
    def tile(self) -> Tile | None:
        """What is under the cursor."""
        return self.tiles[self.cursor] if self.tiles else None

    def clear(self, note: str) -> None:
        """Nothing, and why."""
        self.weights, self.note = None, note
        self._lay_out()

    def show(self, weights: Weights, node: int, note: str) -> None:
        """Draw what is in a node; the note where that is nothing."""
        self.weights, self.note = weights, note
        self.trail = [Level(item) for item in weights.way(node)]
        self.cursor = 0
        self._lay_out()

    def _lay_out(self, on: int | None = None) -> None:
        """Make the rectangles of this level; the cursor goes on a node, or stays on its number."""
        self._clicked = None
        self._laid_out = width, height = self.size
        self.tiles = tuple(self._tiles(self.level, width, height)) if self.weights else ()
        self._rows = _by_row(self.tiles, height)
        if on is not None:
            places = [place for place, item in enumerate(self.tiles) if item.node == on and item.rest < 0]
            self.cursor = places[0] if places else len(self.tiles) - 1
        self.cursor = min(max(self.cursor, 0), max(len(self.tiles) - 1, 0))
        self.refresh()
        self.post_message(self.Moved(self))

    def _tiles(self, level: Level, width: int, height: int, depth: int = 0, hue: int = -1) -> Iterator[Tile]:
        """What fills an area, the largest first; the hue is that of what it is in."""
        weights = self.weights
        assert weights is not None
        node, skip = level
        children = weights.children(node)
        live, dead = (
            column[node] - sum(column[child] for child in children[:skip])
            for column in (weights.live, weights.dead)
        )
        seen = children[skip : skip + _MOST]
        totals = [weights.total(child) for child in seen]
        found = tile(totals, width, height, _LEAST, live + dead - sum(totals))
        first = skip + len(found.shown)
        rects = list(found.shown)
        if found.rest is not None and first == len(children) - 1 and found.scaled:
            rects.append(found.rest)  # where the rest is one, there is room for it
        for place, (child, rect) in enumerate(zip(seen, rects, strict=False)):
            own = hue if depth else place % _HUES
            yield Tile(
                rect,
                child,
                weights.live[child],
                weights.dead[child],
                hue=own,
                rows=self._inside_of(child, rect, depth + 1, own),
            )
            live -= weights.live[child]
            dead -= weights.dead[child]
        if found.rest is not None and len(rects) == len(found.shown):
            yield Tile(found.rest, node, live, dead, first, len(children) - first, found.scaled, hue)

    def _inside_of(self, node: int, rect: Rect, depth: int, hue: int) -> Sequence[Sequence[Tile]]:
        """What is drawn inside a directory, where there is room for it."""
        assert self.weights is not None
        width, height = rect.width - 1, rect.height - 1
        if depth > _DEPTH or width < 2 * _LEAST[0] or height < 2 or not self.weights.children(node):
            return ()
        inside = tuple(self._tiles(Level(node), width, height, depth, hue))
        return _by_row(inside, height) if inside[0].rest < 0 and inside[-1].scaled else ()

    # -- moving -------------------------------------------------------------------------------------

    def _point(self, cursor: int) -> None:
        if cursor != self.cursor:
            self.cursor = cursor
            self.refresh()
            self.post_message(self.Moved(self))

    def action_go(self, x: int, y: int) -> None:
        """To the neighbour, seen from the middle of the side."""
        here = self.tile
        if here is None:
            return
        left, top, width, height = here.rect
        across = left + width if x > 0 else left - 1 if x < 0 else left + width // 2
        down = top + height if y > 0 else top - 1 if y < 0 else top + height // 2
        self._point(self._number_at(across, down, self.cursor))

    def _number_at(self, x: int, y: int, other: int) -> int:
        places = (place for place, item in enumerate(self.tiles) if item.rect.holds(x, y))
        return next(places, other)

    def action_step(self, step: int) -> None:
        if self.tiles:
            self._point((self.cursor + step) % len(self.tiles) if step else 0)

    def action_enter(self) -> None:
        here = self.tile
        if here is not None:
            self._enter(here)

    def _enter(self, here: Tile, on: int | None = None) -> None:
        assert self.weights is not None
        if here.rest >= 0:
            if here.rest > self.level.skip:  # else nothing of it would be drawn there, either
                self.trail.append(Level(here.node, here.rest))
                self.cursor = 0
                self._lay_out()
        elif self.weights.children(here.node):
            self.trail.append(Level(here.node))
            self.cursor = 0
            self._lay_out(on)
        else:
            self.post_message(self.Picked(self, here.node))

    def action_leave(self) -> None:
        self.leave()

    def leave(self) -> bool:
        """Go out, the cursor on what one was in; False where this is the outermost."""
        if len(self.trail) == 1:
            return False
        left = self.trail.pop()
        self._lay_out(-1 if left.skip else left.node)
        return True

    def on_click(self, event: events.Click) -> None:
        number = self._number_at(event.x, event.y, -1)
        if number < 0:
            return
        here, clicked = self.tiles[number], self._clicked
        opens = here.rest >= 0 or (self.weights is not None and self.weights.children(here.node))
        if opens and event.chain == 1:
            inner = here.at(event.x - here.rect.x, event.y - here.rect.y)
            self._enter(here, inner.node if inner is not None and inner.rest < 0 else None)
        elif not opens and event.chain == 2 and clicked is here:
            self._enter(here)
        elif not opens:
            self._point(number)
            self._clicked = here

    def on_resize(self) -> None:
        here = self.tile
        self._lay_out(None if here is None else -1 if here.rest >= 0 else here.node)

    # -- drawing ------------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        self._styles_by_name.clear()
        super().notify_style_update()

    def _style(self, under: str, name: str) -> Style:
        """The style of a text on a ground, each by the name of its component class."""
        style = self._styles_by_name.get((under, name))
        if style is None:
            style = self.rich_style + self._component(under) + self._component(name)
            self._styles_by_name[under, name] = style
        return style

    def _component(self, name: str) -> Style:
        own = self.get_component_rich_style(f"treemap--{name}", partial=True)
        full = self.get_component_rich_style(f"treemap--{name}")  # blended with what is behind
        return own + Style(
            color=full.color if own.color else None, bgcolor=full.bgcolor if own.bgcolor else None
        )

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self.tiles or self._laid_out != self.size:  # on_resize is to come
            text = f"  {self.note}" if y == 1 and not self.tiles else ""
            return Strip([Segment(fit(text, width), self._style("rest", "note"))], width)
        here = self.tile
        segments = [
            Segment(text, self._style(under, name))
            for item in self._rows[y]
            for under, text, name in self._line(item, y - item.rect.y, item is here)
        ]
        return Strip(segments, width)

    def _line(self, item: Tile, y: int, under_cursor: bool) -> Iterator[tuple[str, str, str]]:
        """One line of a tile, as pieces (style of the ground, text, style of the text)."""
        under = "cursor" if under_cursor else "rest" if item.hue < 0 else f"hue-{item.hue}"
        corner, dash, side = _HEAVY if under_cursor else _LIGHT
        room = item.rect.width - 1
        if y == 0:
            yield under, corner, "line"
            left = room
            for text, name in self._title(item, room):
                left -= cell_len(text)
                yield under, text, "cursor-title" if under_cursor else name
            # of a tile of one line this is all that there is to be hatched
            gone = item.rect.height == 1 and item.dead * 2 > item.total
            yield under, (_DEAD if gone else dash) * left, "dead" if gone else "line"
            return
        yield under, side, "line"
        if item.rows:
            for inner in item.rows[y - 1]:
                for ground, text, name in self._line(inner, y - 1 - inner.rect.y, False):
                    yield under if under_cursor else ground, text, name
        else:
            yield from ((under, text, name) for text, name in self._inside(item, y, room))

    def _title(self, item: Tile, room: int) -> Iterable[Piece]:
        """The name, and the size where there is room for both."""
        name, size = self.name_of(item), size_text(item.total)
        style = "note" if item.rest >= 0 else "dead" if not item.live else "name"
        if cell_len(name) + len(size) + 2 <= room:
            return (name, style), (f" {size} ", "size")
        return ((fit(name, min(cell_len(name), room)), style),)

    def _inside(self, item: Tile, y: int, room: int) -> Iterable[Piece]:
        """A blank line, hatched as far as it is dead: from the end of the rectangle up."""
        lines = item.rect.height - 1
        cells = lines * room
        hatched = min(max(round(cells * item.dead / item.total), item.dead > 0), cells) if item.total else 0
        here = min(max(hatched - (lines - y) * room, 0), room)
        text, size = "", size_text(item.total)
        if y == 1 and len(size) < room < cell_len(self.name_of(item)) + len(size) + 2:
            text = f"{size} "
        elif y == 1 and item.rest < 0 and self.weights and (count := len(self.weights.children(item.node))):
            text = f"{count:,} in it "
            text = text if len(text) <= room else ""
        blank = max(room - here, len(text))
        return (fit(text, blank), "size"), (_DEAD * (room - blank), "dead")

    def name_of(self, item: Tile) -> str:
        """What a tile is called in it."""
        assert self.weights is not None
        if item.rest < 0:
            return self.weights.label(item.node)
        return f"… {item.many:,} {'more' if item.rest else 'small ones'}" + (
            "" if item.scaled else ", not to scale"
        )


def _by_row(tiles: Sequence[Tile], height: int) -> Sequence[Sequence[Tile]]:
    """For each line of an area the tiles that are there, from left to right."""
    rows: list[list[Tile]] = [[] for _ in range(height)]
    for item in sorted(tiles, key=lambda one: one.rect.x):
        for y in range(item.rect.y, item.rect.y + item.rect.height):
            rows[y].append(item)
    return rows
