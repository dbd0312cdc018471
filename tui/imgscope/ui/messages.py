"""What the workers tell the screen. Workers only post these; handlers own the widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.images.ancestry import Forest
    from imgscope.images.model import Image
    from imgscope.images.usage import Usage
    from imgscope.job import Job
    from imgscope.layers.index import LayerIndex
    from imgscope.layers.rows import Tree
    from imgscope.layers.view import LayerView
    from imgscope.layers.whereabouts import Holder, Trace
    from imgscope.sources.base import Source


@dataclass
class SourceOpened(Message):
    """The source answers. `name` is the image that the reference names in it, if any.

    `notice` is a line for the person, where it is not the source that they may expect.
    """

    source: Source
    name: str | None = None
    notice: str = ""


@dataclass
class ImagesListed(Message):
    """All images, as far as they are known; `unique` maps ids to bytes that no other image uses."""

    forest: Forest
    unique: Mapping[str, int | None]
    usage: Usage | None

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ImagesListed)


@dataclass
class Hint(Message):
    """A sentence that helps, said once ever."""

    text: str


@dataclass
class EngineChanged(Message):
    """Images or containers of the engine are others now, whoever changed them."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, EngineChanged)


@dataclass
class Found(Message):
    """The image that the command line named."""

    image: Image


@dataclass
class Measured(Message):
    """The dead bytes of an image that nobody opened."""

    image_id: str
    dead: int


# Of reading an image and drawing a layer: `job` tells whether that is still what the person wants.


@dataclass
class Progress(Message):
    """Bytes read of an image's layers."""

    job: Job
    done: int
    total: int | None

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Progress) and message.job is self.job


@dataclass
class LayerRead(Message):
    """One layer was indexed."""

    job: Job
    number: int
    index: LayerIndex


@dataclass
class Opened(Message):
    """An image was read and understood."""

    job: Job
    analysis: Analysis


@dataclass
class Cancelled(Message):
    """Reading an image ended early, as the person wished."""

    job: Job


@dataclass
class ViewReady(Message):
    """A layer's tree can be drawn: the view, and its tree in the order and through the filter asked for."""

    job: Job
    view: LayerView
    tree: Tree


@dataclass
class Failed(Message):
    """Something went wrong, in one sentence; `job` where that was reading an image."""

    text: str
    job: Job | None = None
    fatal: bool = False


# Of looking for paths: `job` tells whether that is still what the person wants.


@dataclass
class TracesFound(Message):
    """What the layers of one image did to the paths that were looked for."""

    job: Job
    traces: Sequence[Trace]


@dataclass
class HolderFound(Message):
    """One more image that has what was looked for."""

    job: Job
    holder: Holder


@dataclass
class SearchEnded(Message):
    """All images were searched but those whose layers are not known without reading them.

    Or the search was given up: then `error` says why.
    """

    job: Job
    unknown: int = 0
    error: str = ""
