"""The Source protocol: the one seam between images and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imgscope.images.model import Image, Platform
from imgscope.job import Job
from imgscope.layers.index import LayerIndex

if TYPE_CHECKING:
    from imgscope.images.documents import Document


class Source(Protocol):
    """A place that holds images. Every method may block: call them from a worker thread.

    All raise `ImgscopeError` with one sentence, and `CancelledError` where `job` was cancelled.
    """

    @property
    def label(self) -> str:
        """Where the images come from, for the head of the screen: `docker · /run/docker.sock`."""

    @property
    def origin(self) -> str:
        """The source for programs, as references name it: `docker-daemon:unix:///run/docker.sock`."""

    @property
    def cheap(self) -> bool:
        """True where layers can be indexed without moving the whole image: worth doing unasked."""

    @property
    def vouches(self) -> bool:
        """True where the source itself made sure that a layer's content is what its diff ID names.

        An engine does when it takes an image in; a file that a person got from anywhere does not.
        Only where this is true may an index be kept, and found again, by diff ID.
        """

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        """All images of the source: each item is the whole list, every next one knowing more.

        The first comes as fast as the source can list; later ones fill in layers, histories and
        containers, of those images first whose ids `first` gives: it is asked again and again, from this
        thread. An empty source gives one empty list.
        """

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        """The image that `reference` names (None: the only one, or the first of several).

        `platform` None means the host's. Raises `NotFoundError` that lists what is there.
        """

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        """Read the layers: pairs of layer number (from 1) and index, each once, in any order.

        `only` are the numbers of the layers that are wanted, None for all. A layer that is missing or
        damaged comes as an index whose `problems` say so.
        """

    def detail(self, image: Image) -> Image:
        """The image as far as the source knows it now: reading its layers may have told more."""

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        """The stored bytes of some files of a layer: pairs (entry, chunks); of sparse ones without holes.

        `index` is the layer's, `entries` are numbers in it by rising offset. The chunks must be used
        before the next pair is taken.
        """

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        """What describes the image, as far as it is to be had without moving layers: see `Document`.

        In the order of a tree: each document is followed by those that it names.
        """

    def hint(self, job: Job) -> str:
        """A sentence on how the layers could come faster, where a setting would do it; else nothing."""

    def close(self) -> None:
        """Let go of files, sockets and temporary folders."""


Wanted = Mapping[int, tuple[LayerIndex, Sequence[int]]]  # layer → its index, entries of it by rising offset


@runtime_checkable
class OnePass(Protocol):
    """What some sources can besides: read several layers as the image passes by once."""

    @property
    def one_pass(self) -> bool:
        """Whether that is how this one reads; else each layer by itself costs no more."""

    def all_contents(
        self, image: Image, wanted: Wanted, job: Job
    ) -> Iterator[tuple[int, int, Iterable[bytes]]]:
        """As `Source.contents`, of several layers in any order: (layer, entry, chunks)."""


class LayerStore(Protocol):
    """What an engine asks before it streams an image: a quicker place to read layers, such as its data root.

    What is not to be had there is left out, without an error; all raise `CancelledError`.
    """

    def detail(self, image: Image) -> Image | None:
        """The image as the store's own documents tell it: exact history, digests of layers where there are.

        A layer's `blob` is the store's name of it. None where the image is not there with these layers.
        """

    def indexes(self, image: Image, numbers: Iterable[int], job: Job) -> Generator[tuple[int, LayerIndex]]:
        """Index layers by their numbers (from 1), as many as can be had."""

    def contents(
        self, image: Image, number: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        """As `Source.contents`, in any order; entries whose content is not to be had are left out."""

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        """As `Source.documents`; nothing where the image is not there as the engine names it."""
