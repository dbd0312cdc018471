"""Finding one's way in a file: a word, a line, a byte, the end. What was not read yet is read for that."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import suppress
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen

from imgscope.errors import CancelledError
from imgscope.text import clean
from imgscope.ui.loader import in_thread
from imgscope.ui.widgets.ask import AskLine
from imgscope.ui.widgets.hexview import HexView
from imgscope.ui.widgets.textview import TextView
from imgscope.viewing.content import MEGABYTE
from imgscope.viewing.document import Document, Search

_STRIDE = 4 * MEGABYTE  # bytes that are read at once for somebody who waits
_END = -1  # as a goal: all the way down


class SeekingScreen(Screen[None]):
    """The part of a viewer that seeks. What it looks at, and how more of it is read, the other part says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash",
            "ask('/')",
            "find",
            id="viewer.find",
            tooltip="Find a word; capitals count where you type some",
        ),
        Binding("n", "match(1)", "Next", show=False, id="viewer.next", tooltip="To the next match"),
        Binding("N", "match(-1)", "Before", show=False, id="viewer.before", tooltip="To the match before"),
        Binding(
            "colon",
            "ask(':')",
            "Line",
            show=False,
            id="viewer.line",
            tooltip="Go to a line, or to a byte of hex",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._search: Search | None = None
        self._hunting = 0  # the way in which a match is looked for, also beyond what was read
        self._match = -1  # the one that was gone to
        self._origin = 0  # the row that was under the cursor when the word was asked for …
        self._from = 0  # … and its first byte
        self.lays_out = False  # whether rows of what was read are still made
        self._goal: int | None = None  # a line to go to once it was read, or `_END`

    # -- what the other part gives --------------------------------------------------------------------

    @property
    def document(self) -> Document:
        raise NotImplementedError

    @property
    def view(self) -> TextView | HexView:
        """What is shown."""
        raise NotImplementedError

    def read_on(self, upto: int) -> None:
        """Have so many bytes read; `arrived` is called then."""
        raise NotImplementedError

    def where(self, more: str = "") -> None:
        """Tell where one is."""
        raise NotImplementedError

    # -- seeking --------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Nothing is looked for: another file, or other bytes of it, are shown."""
        self._search, self._hunting, self._goal = None, 0, None
        self._match = -1
        self.query_one(TextView).search = self.query_one(HexView).search = None

    @property
    def seeks(self) -> bool:
        """Whether somebody waits for a place that was not read yet."""
        return self._goal is not None or self._hunting != 0

    def give_up(self) -> None:
        """Whoever waited does not any more."""
        self._goal, self._hunting = None, 0

    @property
    def is_whole(self) -> bool:
        """Whether all there is to find was read."""
        return self.document.content.ended or (self.document.is_pretty and isinstance(self.view, TextView))

    async def arrived(self) -> None:
        """More was read: go where one wanted to, or read on."""
        if self.lays_out:
            return  # then it comes here again
        view, goal = self.view, self._goal
        have = self.document.content.raw.size
        if goal is not None:
            lines = view.rows.lines if isinstance(view, TextView) and view.rows else 0
            if not self.is_whole and (goal == _END or lines <= goal):
                self.read_on(self.document.content.size if goal == _END else have + _STRIDE)
                return
            self._goal = None
            if goal == _END:
                view.cursor = max(view.row_count - 1, 0)
            elif isinstance(view, TextView) and view.rows:
                view.cursor = view.rows.of_line(goal)
        if self._search is not None:
            await self._look(self._search)
        self.where()

    @on(TextView.ToEnd)
    def _to_end(self) -> None:
        self._goal = _END
        self.read_on(self.document.content.size)

    # -- a word ---------------------------------------------------------------------------------------

    def action_ask(self, sign: str) -> None:
        if self.view.row_count:
            self._origin, (self._from, _) = self.view.cursor, self._here
            self.query_one(AskLine).open(sign, self._search.word if sign == "/" and self._search else "")

    @on(AskLine.Typed)
    def _typed(self, message: AskLine.Typed) -> None:
        if message.sign == "/":
            self._find(message.text)

    @on(AskLine.Ended)
    def _ended(self, message: AskLine.Ended) -> None:
        self.view.focus()
        if message.sign == "/":
            if not message.keep or not message.text:
                self.forget()
                self.view.cursor = self._origin
                self.view.refresh()
                self.where()
        elif message.keep:
            self._go_to(message.text)

    def _find(self, word: str) -> None:
        view = self.view
        spool = view.rows.spool if isinstance(view, TextView) and view.rows else self.document.content.raw
        self._search = view.search = Search(word, spool)
        self._hunting, self._match = 1, -1
        view.refresh()
        self.run_worker(self._look(self._search), group="search", exclusive=True)

    async def _look(self, search: Search) -> None:
        """Search what was read, and go to the match that is wanted, reading on where there is none yet."""
        with suppress(CancelledError):
            await in_thread(lambda: search.extend(self.document.content.job))
        if search is not self._search or not self.is_mounted:
            return
        self.view.refresh()
        if self._hunting and search.length:
            place, count = self._next(search), len(search.starts)
            if place >= count and abs(self._hunting) > 1 and not self.is_whole:
                self.read_on(self.document.content.raw.size + _STRIDE)  # then it comes here again
                return
            self._hunting = 0
            if count:
                self._match = place % count
                self._show_byte(search.starts[self._match])
        self.where()

    def _next(self, search: Search) -> int:
        """The number of the match that is wanted: -1 is before the first."""
        start, end = self._here
        at = self._match
        if abs(self._hunting) == 1:  # a new word may be found where one is
            return bisect_left(search.starts, self._from)
        if 0 <= at < len(search.starts) and start <= search.starts[at] <= end:
            return at + (1 if self._hunting > 0 else -1)
        return (
            bisect_right(search.starts, end) if self._hunting > 0 else bisect_left(search.starts, start) - 1
        )

    @property
    def _here(self) -> tuple[int, int]:
        """The first and the last byte of the row under the cursor."""
        view = self.view
        if isinstance(view, HexView):
            return view.offset_here, view.offset_here + view.per_row - 1
        if not view.rows:
            return 0, 0
        row = view.rows[min(view.cursor, len(view.rows) - 1)]
        return row.start, max(row.end - 1, row.start)

    def _show_byte(self, offset: int) -> None:
        view = self.view
        if isinstance(view, HexView):
            view.cursor = offset // view.per_row
        elif view.rows:
            view.cursor = number = view.rows.at(offset)
            view.bring(offset - view.rows[number].start)

    def action_match(self, step: int) -> None:
        """To the next match, or the one before, around the ends."""
        if self._search is not None and self._search.word:
            self._hunting = 2 * step
            self.run_worker(self._look(self._search), group="search", exclusive=True)

    def found_text(self) -> str:
        """How often the word was found, and which of these one is at; nothing where none is looked for."""
        search = self._search
        if search is None or not search.word:
            return ""
        count, so_far = len(search.starts), "" if self.is_whole else " so far"
        if not count:
            return f"“{clean(search.word)}” is not found{so_far}"
        start, end = self._here
        at = self._match
        here = f"{at + 1:,} of " if 0 <= at < count and start <= search.starts[at] <= end else ""
        return f"{here}{count:,} match{'' if count == 1 else 'es'}{so_far}"

    # -- a line, a byte -------------------------------------------------------------------------------

    def _go_to(self, text: str) -> None:
        try:
            number = int(text, 0)
        except ValueError:
            number = -1
        if number < 0:
            self.where("a number of a line, or of a byte such as 0x1f0")
            return
        if isinstance(self.view, HexView):
            self.view.cursor = min(number // self.view.per_row, max(self.view.row_count - 1, 0))
        else:
            self._goal = max(number, 1)
            self.run_worker(self.arrived())
