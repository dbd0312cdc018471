"""How an image runs: its config, one thing in a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from imgscope.images.facts import Fact, facts
from imgscope.text import clean
from imgscope.ui.widgets.lines import Piece, fit, fit_end
from imgscope.ui.widgets.reading import ReadingPane

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.model import Image
    from imgscope.job import Job
    from imgscope.sources.base import Source

_GROUP = 15  # cells
_LONG = 1000  # characters that are looked at: more than a screen is wide


class ConfigTab(ReadingPane):
    """Columns: what it belongs to, name, value. A value that is cut opens by enter."""

    def __init__(self) -> None:
        super().__init__("config")
        self._facts: Sequence[Fact] = ()
        self._names = 0  # cells of the longest name

    @property
    def row_count(self) -> int:
        return len(self._facts)

    def read(self, source: Source, image: Image, analysis: Analysis | None, job: Job) -> object:
        from imgscope.images.documents import whole_config

        return facts(image, whole_config(image, source.documents(image, job)))

    def present(self, found: object) -> None:
        self._facts = found if isinstance(found, list) else ()
        self._names = max((cell_len(clean(fact.name[:_LONG])) for fact in self._facts), default=0)
        warned = sum(fact.warns for fact in self._facts)
        self.set_title("config", *([f"{warned} to look at (!)"] if warned else []))
        self.changed()

    def fact(self, row: int) -> tuple[str, str]:
        """(name, value) of a row, with the name of the row that it goes on with."""
        place = row
        while place > 0 and not self._facts[place].name:
            place -= 1
        return self._facts[place].name, self._facts[row].value

    def copies(self) -> Sequence[tuple[str, str]]:
        name, value = self.fact(self.cursor)
        return [("value", value), ("name", name)]

    def action_select(self) -> None:
        if self.row_count:
            name, value = self.fact(self.cursor)
            self.open_text(name, value.encode(errors="backslashreplace"), "text/plain")

    def _columns(self, width: int) -> tuple[int, int]:
        """(cells of the group, of the name)."""
        group = _GROUP if width >= 64 else 0
        return group, min(self._names, max((width - group) * 2 // 5, 8))

    def head(self, width: int) -> str:
        group, name = self._columns(width)
        return fit("group", group) + fit("name", name) + "   value"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        fact = self._facts[number]
        group, name = self._columns(width)
        first = number == 0 or self._facts[number - 1].group != fact.group
        yield fit(fact.group if first else "", group), "dim"
        yield fit_end(clean(fact.name[:_LONG]), name), "strong"
        yield (" ! ", "changed") if fact.warns else ("   ", "")
        value = clean(fact.value[:_LONG])
        yield fit(value, max(width - group - name - 3, 1)), "" if value else "dim"
