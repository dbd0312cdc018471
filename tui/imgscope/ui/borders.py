"""The borders between the panes: moved by key and by mouse, and found again in the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widget import Widget

from imgscope.ui.remembered import load_borders, save_borders
from imgscope.ui.widgets.tabs import FILES

if TYPE_CHECKING:
    from imgscope.ui.widgets.explorer import Explorer
    from imgscope.ui.widgets.images import ImageTree

_NARROW, _LOW = 12, 4  # cells that a pane keeps


class Borders:
    """Sizes of panes as parts of what they stand in; a pane that has none is as the style sheet says.

    The images have a part of the screen's height, the layers of the explorer's width, the wasted paths of
    its height.
    """

    def __init__(self, images: ImageTree, explorer: Explorer) -> None:
        self._images, self._explorer = images, explorer
        self._parts = load_borders()
        self._saved = dict(self._parts)

    def place(self) -> None:
        """Give the panes their sizes; a pane that is alone has all the room."""
        zoomed = self._images.screen.maximized is not None
        files = self._explorer.tab == FILES
        self._size(self._images, "images", not zoomed)
        self._size(self._explorer.layer_table, "layers", not zoomed)
        self._size(self._explorer.wasted_paths, "wasted", not zoomed and files)

    def _size(self, pane: Widget, border: str, shared: bool) -> None:
        part, styles = self._parts.get(border), pane.styles
        cells = None
        if part is not None and shared and (room := self._room(border)) > 0:
            least = _NARROW if border == "layers" else _LOW
            cells = max(min(round(part * room), room - least), least)
        if border == "layers":
            styles.width = cells
        else:
            styles.height = styles.max_height = cells

    def _room(self, border: str) -> int:
        if border == "images":
            return self._images.screen.size.height
        size = self._explorer.size
        return size.width if border == "layers" else size.height

    def move(self, border: str, cells: int) -> None:
        """Move a border right or down, or left or up where `cells` is below 0."""
        if border == "layers":
            self._set(border, self._explorer.layer_table.outer_size.width + cells)
        elif border == "wasted":
            self._set(border, self._explorer.wasted_paths.outer_size.height - cells)
        else:
            self._set(border, self._images.outer_size.height + cells)

    def drag(self, border: str, x: int, y: int) -> None:
        """Put a border where the mouse is on the screen."""
        if border == "layers":
            self._set(border, x - self._explorer.region.x)
        elif border == "wasted":
            self._set(border, self._explorer.region.bottom - y)
        else:
            self._set(border, y - self._images.region.y)

    def _set(self, border: str, cells: int) -> None:
        if (room := self._room(border)) > 2:
            self._parts[border] = max(min(cells, room - 1), 1) / room
            self.place()

    def reset(self, border: str) -> None:
        """Back to what the style sheet says."""
        self._parts.pop(border, None)
        self.place()

    def save(self) -> None:
        """Remember the sizes, where they are others than those remembered."""
        if self._parts != self._saved:
            self._saved = dict(self._parts)
            save_borders(self._saved)
