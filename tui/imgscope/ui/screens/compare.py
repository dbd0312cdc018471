"""Two images side by side: files, layers, configs and packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Static

from imgscope.analysis import Analysis
from imgscope.comparison import Comparison
from imgscope.comparison_report import SIGNS, difference_text
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.layers.index import Kind
from imgscope.layers.overlay import ROOT, State
from imgscope.layers.search import Pattern
from imgscope.sources.base import Source
from imgscope.text import bar, clean, size_text
from imgscope.ui import comparing
from imgscope.ui.loader import in_thread
from imgscope.ui.widgets.compared_files import ComparedFiles, matches_text
from imgscope.ui.widgets.compared_lists import ComparedConfig, ComparedLayers, ComparedPackages
from imgscope.ui.widgets.filter import FilterLine
from imgscope.ui.widgets.keybar import KeyBar
from imgscope.ui.widgets.lines import Lines, fit_end
from imgscope.ui.widgets.sections import Sections

_NAMES = ("Files", "Layers", "Config", "Packages")
_LONG = 500  # characters of an image's name
_STYLES = {
    State.ADDED: "$diff-added",
    State.REMOVED: "$diff-removed",
    State.CONTENT: "$diff-changed",
    State.METADATA: "$diff-metadata",
}


class CompareScreen(Screen[None]):
    """Reads what was not read yet, compares, and shows. Leaving it cancels what is under way."""

    DEFAULT_CSS = """
    CompareScreen {
        #compare-head { height: auto; padding: 0 1; text-wrap: nowrap; }
        #compare-notes { display: none; height: auto; max-height: 3; padding: 0 1; color: $dead; }
        Sections { padding: 0; margin-top: 1; }
        ContentSwitcher { height: 1fr; }
        ContentSwitcher > Lines { height: 1fr; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "close", id="compare.back", tooltip="End the filter; else close"),
        Binding("q", "leave", "Close", show=False, id="compare.leave", tooltip="Cancel reading, and close"),
        *(
            Binding(
                str(number),
                f"section({number - 1})",
                name,
                show=False,
                id=f"compare.{name.lower()}",
                tooltip=f"What differs in {name.lower()}",
            )
            for number, name in enumerate(_NAMES, 1)
        ),
        Binding("tab", "step(1)", "section", id="compare.next", tooltip="Files, layers, config, packages"),
        Binding("shift+tab", "step(-1)", "Section before", show=False, id="compare.previous"),
        Binding("s", "swap", "swap A and B", id="compare.swap", tooltip="Compare the other way round"),
    ]

    def __init__(self, source: Source, images: Sequence[Image], known: Mapping[str, Analysis]) -> None:
        """`images` are A and B; `known` are those that were read, by id."""
        super().__init__()
        self._source = source
        self._images = tuple(images)
        self._known = dict(known)
        self._job = Job()
        self._arranging = Job()
        self.comparison: Comparison | None = None
        self._filter: FilterLine | None = None  # once it was asked for
        self.files, self._layers = ComparedFiles(), ComparedLayers()
        self._config, self._packages = ComparedConfig(), ComparedPackages()
        self.panes: tuple[Lines, ...] = self.files, self._layers, self._config, self._packages

    def compose(self) -> ComposeResult:
        yield Static("", id="compare-head", markup=False)
        yield Static("", id="compare-notes", markup=False)
        yield Sections(_NAMES)
        with ContentSwitcher(initial="compared-files"):
            yield from self.panes
        yield KeyBar()

    def on_mount(self) -> None:
        self.files.focus()
        self._begin()

    def on_resize(self) -> None:
        self._head()

    # -- comparing ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.comparison = None
        self._job = job = Job()
        self._head()
        source, images, known, post = self._source, self._images, self._known, self.post_message
        self.run_worker(in_thread(lambda: comparing.compare_images(source, images, known, post, job)))

    @on(comparing.Step)
    def _step(self, message: comparing.Step) -> None:
        if self.comparison is not None:
            return
        text = size_text(message.done) if message.done else ""
        if message.total and message.done <= message.total:
            text = f"{bar(message.done, message.total, 16)}▏ {text or '0 B'} of {size_text(message.total)}"
        for pane in self.panes:
            pane.set_note(
                "\n".join((f"{clean(message.text)[:_LONG]} …", *filter(None, [text]), "esc cancels"))
            )

    @on(comparing.NotCompared)
    def _failed(self, message: comparing.NotCompared) -> None:
        for pane in self.panes:
            pane.set_note(clean(message.text))

    @on(comparing.Compared)
    def _compared(self, message: comparing.Compared) -> None:
        self.comparison = found = message.comparison
        self._known = {side.analysis.image.id: side.analysis for side in found.sides}
        self._layers.show(found)
        self._config.show(found.config)
        self._packages.show(found.packages, found.notes)
        a, b = (len(side.analysis.image.layers) for side in found.sides)
        apart = a + b - 2 * len(found.layers.partners)
        self.query_one(Sections).counts = (len(found.files), apart, len(found.config), len(found.packages))
        notes = self.query_one("#compare-notes", Static)
        notes.update(Content("\n".join(clean(note) for note in found.notes)))
        notes.display = bool(found.notes)
        self._head()
        self._arrange()

    @on(ComparedFiles.Rearranged)
    def _arrange(self) -> None:
        if self.comparison is None:
            return
        self._arranging.cancel()
        self._arranging = job = Job()
        files, post = self.comparison.files, self.post_message
        order, shown, pattern = self.files.order, frozenset(self.files.shown), self.files.pattern
        self.run_worker(in_thread(lambda: comparing.arrange(files, order, shown, pattern, post, job)))

    @on(comparing.Arranged)
    def _arranged(self, message: comparing.Arranged) -> None:
        if message.job is self._arranging and self.comparison is not None:
            self.files.show(self.comparison.files, message.tree)
            if self._filter is not None:
                pattern = self.files.pattern
                self._filter.tell(f"{pattern}: {matches_text(message.tree)}" if pattern else "")

    # -- drawing ------------------------------------------------------------------------------------

    def _head(self) -> None:
        """Both names with the bytes of their files, then how many paths differ, and how."""
        width = max(self.size.width - 2, 20)
        found = self.comparison
        sizes = found.files.size(ROOT) if found else (None, None)
        lines = []
        for letter, image, size in zip("AB", self._images, sizes, strict=True):
            told = f"{size_text(size):>9}" if size is not None else ""
            name = fit_end(clean(image.name)[:_LONG], max(width - 2 - len(told), 8))
            lines.append(Content.assemble((f"{letter} ", "bold $primary"), (name, "bold"), told))
        if found is not None:
            pieces: list[tuple[str, str]] = []
            for state, total in found.files.totals.items():
                size = {State.ADDED: total.b, State.REMOVED: total.a}.get(state)
                text = f"{SIGNS[state]}{total.paths:,}" + (f" {size_text(size)}" if size is not None else "")
                pieces.append((f"{text}   ", _STYLES[state] if total.paths else "$foreground 60%"))
            a, b = found.files.size(ROOT)
            pieces.append((difference_text(a, b), "bold"))
            lines.append(Content.assemble("  ", *pieces))
        self.query_one("#compare-head", Static).update(Content("\n").join(lines))

    # -- keys ---------------------------------------------------------------------------------------

    def action_section(self, number: int) -> None:
        self._show(number)
        self.panes[number].focus()

    def _show(self, number: int) -> None:
        self.query_one(ContentSwitcher).current = self.panes[number].id
        self.query_one(Sections).shown = number

    @on(Sections.Picked)
    def _picked(self, message: Sections.Picked) -> None:
        self.action_section(message.number)

    def action_step(self, step: int) -> None:
        self.action_section((self.query_one(Sections).shown + step) % len(_NAMES))

    def action_swap(self) -> None:
        if self.comparison is not None:
            self._images = self._images[::-1]
            self._begin()

    @on(Lines.Selected, "#compared-files")
    def _open(self) -> None:
        """The diff of a file that is in both images, the content of one that is only in one."""
        found, number = self.comparison, self.files.number
        if found is None or number is None:
            return
        versions = [found.files.version(number, side) for side in (0, 1)]
        from imgscope.ui.screens.diff import DiffScreen
        from imgscope.viewing.filediff import side as side_of

        if -1 not in versions:
            old, new = (
                side_of(side.source, side.analysis, version, f"{letter}: {side.analysis.image.name}")
                for letter, side, version in zip("AB", found.sides, versions, strict=True)
            )
            self.app.push_screen(DiffScreen(found.files.path(number), old, new))
            return
        side = int(versions[0] < 0)
        analysis = found.sides[side].analysis
        if found.files.kinds(number)[side] != Kind.FILE:
            self.notify("Only files have a content to look at.", severity="warning", markup=False)
            return
        from imgscope.ui.screens.viewer import Subject, ViewerScreen

        subject = Subject(found.sides[side].source, analysis, found.files.node(number, side))
        self.app.push_screen(ViewerScreen(subject, versions[side]))

    # -- filter -------------------------------------------------------------------------------------

    async def action_filter(self) -> None:
        if self._filter is None:
            self._filter = FilterLine(self.files)
            await self.mount(self._filter, before=self.query_one(KeyBar))
        self._show(0)
        self._filter.open(self.files.pattern.text if self.files.pattern else "")

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        self._look_for(message.text)

    def on_filter_line_ended(self, message: FilterLine.Ended) -> None:
        self.files.focus()
        if not message.keep:
            self._look_for("")

    def _look_for(self, text: str) -> None:
        if text != (self.files.pattern.text if self.files.pattern else ""):
            self.files.pattern = Pattern(text) if text else None
            self._arrange()

    def action_back(self) -> None:
        if self.files.pattern is not None and self.files.has_focus:
            self._look_for("")
        else:
            self.action_leave()

    def action_leave(self) -> None:
        self.dismiss(None)

    def on_unmount(self) -> None:
        self._job.cancel()
        self._arranging.cancel()
