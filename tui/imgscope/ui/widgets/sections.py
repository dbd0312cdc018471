"""A line of sections, of which one is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget


class Sections(Widget):
    """`[1 Files]  2 Layers …`: what is shown stands in brackets. A click shows another."""

    DEFAULT_CSS = """
    Sections {
        height: 1;
        & > .sections--name { color: $text-muted; }
        & > .sections--shown { color: $primary; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sections--name", "sections--shown"}

    shown: reactive[int] = reactive(0)
    counts: reactive[tuple[int, ...]] = reactive(())

    @dataclass
    class Picked(Message):
        """A section was clicked."""

        number: int

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def _words(self) -> Iterator[str]:
        """What is written of each: with how much is in it, where that is known and there is room."""
        plain = [f"{number} {name}" for number, name in enumerate(self._names, 1)]
        full = [f"{word} {count:,}" for word, count in zip(plain, self.counts, strict=False)]
        fits = len(full) == len(plain) and sum(map(len, full)) + 3 * len(full) <= self.size.width
        for number, word in enumerate(full if fits else plain):
            yield f"[{word}] " if number == self.shown else f" {word}  "

    def render_line(self, y: int) -> Strip:
        shown, name = (self.get_component_rich_style(f"sections--{style}") for style in ("shown", "name"))
        words = enumerate(self._words())
        strip = Strip([Segment(word, shown if number == self.shown else name) for number, word in words])
        return strip.adjust_cell_length(self.size.width, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        end = 0
        for number, word in enumerate(self._words()):
            end += len(word)
            if event.x < end:
                self.post_message(self.Picked(number))
                return
