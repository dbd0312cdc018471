"""Images in a file or folder: docker-archive, oci-archive, OCI layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imgscope.errors import FormatError, NotFoundError
from imgscope.images.documents import Document, layout_documents, saved_documents
from imgscope.images.manifest import Found, blob_name, read_archive
from imgscope.images.model import Image, Layer, Platform
from imgscope.images.reference import same
from imgscope.job import Job
from imgscope.layers.index import LayerIndex, Problem
from imgscope.sources.base import Wanted
from imgscope.sources.blobs import Blobs, PackedBlobs, open_blobs
from imgscope.sources.recent import Recent

_INDEX = re.compile("@[0-9]{1,6}")
_LISTED = 20  # names in a sentence
_KEPT = 400_000  # entries of layers that are kept, since images share layers: about 60 MB


class ArchiveSource:
    """The images of one archive or layout. Opening reads its documents, no layer."""

    cheap = True
    vouches = False

    def __init__(self, path: Path, label: str | None = None, job: Job | None = None) -> None:
        self._path = path
        self.folder: Path | None = path if path.is_dir() else None  # where it may be changed, if at all
        self._recent = Recent(_KEPT)
        self._blobs: Blobs = open_blobs(path, job or Job(), self._recent)
        self.origin = f"{_transport(path, self._blobs.names)}:{path}"
        self.label = label or self.origin
        self._plain: set[str] = set()  # layers that turned out to be stored unpacked
        try:
            self.found: Found = self._read(path)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path) -> Found:
        try:
            found = read_archive(self._blobs.names, self._blobs.read, str(path))
            if found.images or not self._blobs.problems:
                return found
        except FormatError:
            if not self._blobs.problems:
                raise
        raise FormatError(f"{path} is damaged: {self._blobs.problems[0]}.")

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        """A folder is read anew, for it may have been changed."""
        if self.folder is not None:
            self._recent.clear()
            self.found = self._read(self._path)
        yield list(self.found.images)

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        return choose(self.found, reference, platform, self.label, self._blobs.problems)

    def index(
        self, image: Image, job: Job, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, LayerIndex]]:
        numbers: dict[str, list[int]] = {}
        for layer in image.layers:
            if only is not None and layer.index not in only:
                continue
            numbers.setdefault(layer.blob, []).append(layer.index)
        for name, index in self._indexes(list(numbers), job):
            for number in numbers[name]:
                verify(index, image.layers[number - 1])
                if index.digest is None:
                    self._plain.add(name)
                yield number, index

    def _indexes(self, names: Sequence[str], job: Job) -> Iterator[tuple[str, LayerIndex]]:
        """The layers of these names, each read once for all images that have it."""
        unread = []
        for name in names:
            if (index := self._recent.get(self._blobs.resolve(name))) is None:
                unread.append(name)
            else:
                job.check()
                yield name, index
        if unread:
            weight = self._blobs.weight(unread)
            job.total = None if weight is None else job.done + weight
            for name, index in self._blobs.layers(unread, job):
                self._recent.put(self._blobs.resolve(name), index)
                yield name, index

    def detail(self, image: Image) -> Image:
        layers = (  # manifests tell the size of a blob, and skopeo calls a plain one compressed
            replace(layer, compressed_size=None) if layer.blob in self._plain else layer
            for layer in image.layers
        )
        return replace(image, layers=tuple(layers))

    def contents(
        self, image: Image, layer: int, index: LayerIndex, entries: Sequence[int], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        extents = [index.extent(entry) for entry in entries]
        pieces = self._blobs.contents(image.layers[layer - 1].blob, extents, job)
        return ((entries[position], chunks) for position, chunks in pieces)

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        blobs, found = self._blobs, list[Document]()

        def by_digest(digest: str) -> bytes:
            return blobs.read(blob_name(digest) or digest)

        if "index.json" in blobs.names and image.manifest_digest:
            found += layout_documents(image, blobs.read("index.json"), by_digest, job, name="index.json")
        if "manifest.json" in blobs.names:
            saved = saved_documents(image, blobs.read, blobs.size)
            found += saved[:1] if found else saved  # it names the same blobs
        return found

    @property
    def one_pass(self) -> bool:
        return isinstance(self._blobs, PackedBlobs)

    def all_contents(
        self, image: Image, wanted: Wanted, job: Job
    ) -> Iterator[tuple[int, int, Iterable[bytes]]]:
        assert isinstance(self._blobs, PackedBlobs)
        pieces: dict[str, list[tuple[tuple[int, int], tuple[int, int]]]] = {}
        for layer, (index, entries) in wanted.items():
            of_blob = pieces.setdefault(image.layers[layer - 1].blob, [])
            of_blob += ((index.extent(entry), (layer, entry)) for entry in entries)
        for (layer, entry), chunks in self._blobs.all_contents(pieces, job):
            yield layer, entry, chunks

    def hint(self, job: Job) -> str:
        return ""

    def close(self) -> None:
        self._blobs.close()


def _transport(path: Path, names: frozenset[str]) -> str:
    """What containers-transports(5) calls an archive or a folder."""
    if path.is_dir():
        return "oci"
    return "docker-archive" if "manifest.json" in names else "oci-archive"


def verify(index: LayerIndex, layer: Layer) -> None:
    """Note where a layer that was read whole has not the digests it is filed under."""
    for actual, expected, what in (
        (index.diff_id, layer.diff_id, "its unpacked content has the digest"),
        (index.digest, layer.digest, "its data has the digest"),
    ):
        if actual and expected and actual != expected and not index.problems:
            index.problems.append(Problem(f"{what} {actual}, not {expected} as the image says"))


def choose(
    found: Found, reference: str | None, platform: Platform | None, where: str, problems: Sequence[str] = ()
) -> Image:
    """The image that a name, a tag, an id or its beginning, or @N (from 0) names; else the first.

    Among several of that name the platform decides. Raises `NotFoundError` with a sentence that
    lists what is there.
    """
    images = [replace(image, problems=image.problems + tuple(problems)) for image in found.images]
    if not images:
        raise NotFoundError(f"There is no image in {where}: {_listed(found.others) or 'it is empty'}.")
    if reference:
        named = _named(images, reference)
        if not named:
            why = [other for other in found.others if other.startswith(f"{reference}: ")]
            there = _listed(
                dict.fromkeys(name for image in images for name in image.references or [image.name])
            )
            raise NotFoundError(
                f"There is no image {reference!r} in {where}; {_listed(why) or f'it holds {there}'}."
            )
    else:
        named = (
            images if platform else [image for image in images if image.references == images[0].references]
        )
    wanted = platform or Platform.host()
    for image in named:
        if image.platform == wanted:
            return image
    for image in named:
        if not wanted.variant and replace(image.platform, variant="") == wanted:
            return image
    if platform is None and len(named) == 1:
        return named[0]
    there = _listed(sorted({str(image.platform) for image in named}))
    hint = "" if platform else "; choose one with --platform"
    raise NotFoundError(f"{reference or where} is not there for {wanted}, only for {there}{hint}.")


def _named(images: Sequence[Image], reference: str) -> list[Image]:
    """The images that a reference may mean, by the most exact reading that means any."""
    if _INDEX.fullmatch(reference):  # the source index of containers-transports(5)
        return list(images[int(reference[1:]) :][:1])
    readings: tuple[Callable[[Image], bool], ...] = (
        lambda image: any(same(reference, name) for name in image.references),
        lambda image: _is_id(reference, image),
        lambda image: any(_tag(name) == reference for name in image.references),
    )
    return next((named for reading in readings if (named := list(filter(reading, images)))), [])


def _listed(texts: Iterable[str]) -> str:
    """The texts, and how many more there are where they are many."""
    texts = list(texts)
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more


def _is_id(reference: str, image: Image) -> bool:
    text = reference.removeprefix("sha256:")
    return len(text) >= 4 and any(
        digest.removeprefix("sha256:").startswith(text) for digest in (image.id, image.manifest_digest or "")
    )


def _tag(name: str) -> str:
    """The tag of a name, for archives that keep whole names where the person gave a tag only."""
    return name.rpartition("/")[2].partition(":")[2]
