"""How an image was built: its Dockerfile, rebuilt from the history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from imgscope.images.dockerfile import Line, dockerfile
from imgscope.text import clean, size_text
from imgscope.ui.widgets.layers import LayerTable
from imgscope.ui.widgets.lines import Piece, bar_cells, fit, size_bar
from imgscope.ui.widgets.reading import ReadingPane

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.base import Base
    from imgscope.images.model import Image
    from imgscope.job import Job
    from imgscope.sources.base import Source

_SIZE = 8
_LONG = 1000  # characters of a line that are looked at: more than a screen is wide
_TAB = "    "


class DockerfileTab(ReadingPane):
    """Columns: line number, bytes of the layer that the instruction made, text."""

    DEFAULT_CSS = """
    DockerfileTab {
        & > .lines--word { color: $primary; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--word"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "v", "whole", "own/whole", id="dockerfile.whole", tooltip="What stands on the base, or all of it"
        ),
    ]

    def __init__(self) -> None:
        super().__init__("dockerfile")
        self.lines: Sequence[Line] = ()
        self._most = 0  # bytes of the largest layer
        self._whole = False
        self._below: Base | None = None
        self._last: tuple[Source, Image, Analysis | None] | None = None

    @property
    def row_count(self) -> int:
        return len(self.lines)

    def load(self, source: Source, image: Image, analysis: Analysis | None) -> None:
        self._last = source, image, analysis
        self._below = self.screen.query_one(LayerTable).base
        super().load(source, image, analysis)

    def clear(self, note: str) -> None:
        self._last = None
        super().clear(note)

    def read(self, source: Source, image: Image, analysis: Analysis | None, job: Job) -> object:
        base = None if self._whole else self._below
        return dockerfile(analysis.sized_image if analysis else source.detail(image), base)

    def present(self, found: object) -> None:
        self.lines = found if isinstance(found, list) else ()
        self._most = max((line.size or 0 for line in self.lines), default=0)
        base = self._below
        if not self.lines or base is None or not base.layers:
            self.set_title("dockerfile")
        else:
            self.set_title(
                "dockerfile", f"{'all of it, with' if self._whole else 'on'} {clean(base.name[:_LONG])}"
            )
        self.changed()

    def copies(self) -> Sequence[tuple[str, str]]:
        return [("line", self.lines[self.cursor].text)]

    def action_whole(self) -> None:
        """What stands on the base, or all of it."""
        if self._last is not None:
            self._whole = not self._whole
            self.load(*self._last)

    def action_select(self) -> None:
        if self.row_count and (layer := self.lines[self.cursor].layer) is not None:
            self.post_message(self.LayerWanted(layer))
        elif self.row_count:
            self.app.notify("This line made no layer.", markup=False)

    @staticmethod
    def _digits(count: int) -> int:
        return max(len(str(count)), 3)

    def head(self, width: int) -> str:
        return f"{'':>{self._digits(self.row_count) + bar_cells(width)}} {'size':>{_SIZE}}  instruction"

    def row(self, number: int, width: int) -> Iterable[Piece]:
        line = self.lines[number]
        digits = self._digits(self.row_count)
        yield f"{number + 1:>{digits}} ", "dim"
        yield size_bar(line.size, self._most, width)
        yield fit("" if line.size is None else size_text(line.size), _SIZE, right=True) + "  ", ""
        room = max(width - digits - bar_cells(width) - _SIZE - 3, 1)
        text = clean(line.text[:_LONG].replace("\t", _TAB))
        if line.comment:
            yield fit(text, room), "dim"
        else:
            word = len(line.word)
            yield fit(text[:word], min(word, room)), "word"
            yield fit(text[word:], max(room - word, 0)), ""
