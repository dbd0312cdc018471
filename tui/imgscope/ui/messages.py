"""What the workers tell the screen. Workers only post these; handlers own the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.message import Message

from imgscope.analysis import Analysis
from imgscope.images.ancestry import Forest
from imgscope.images.model import Image
from imgscope.images.usage import Usage
from imgscope.layers.index import LayerIndex
from imgscope.layers.view import LayerView
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
    complete: bool

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ImagesListed)


@dataclass
class Found(Message):
    """The image that the command line named."""

    image: Image


@dataclass
class Progress(Message):
    """Bytes read of an image's layers."""

    image_id: str
    done: int
    total: int | None

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Progress)


@dataclass
class LayerRead(Message):
    """One layer was indexed."""

    image_id: str
    number: int
    index: LayerIndex


@dataclass
class Opened(Message):
    """An image was read and understood."""

    analysis: Analysis


@dataclass
class Measured(Message):
    """The dead bytes of an image that nobody opened."""

    image_id: str
    dead: int


@dataclass
class ViewReady(Message):
    """A layer's tree can be drawn."""

    image_id: str
    view: LayerView


@dataclass
class Failed(Message):
    """Something went wrong, in one sentence. `image_id` where it was about one image."""

    text: str
    image_id: str | None = None
    fatal: bool = False


@dataclass
class Cancelled(Message):
    """Reading an image was cancelled by the person."""

    image_id: str
