"""Images in a file or folder: docker-archive, oci-archive, OCI layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imgscope.errors import FormatError, NotFoundError
from imgscope.images.manifest import Found, read_archive
from imgscope.images.model import Image, Layer, Platform, short_id
from imgscope.images.reference import same
from imgscope.job import Job
from imgscope.layers.index import LayerIndex, Problem
from imgscope.sources.blobs import Blobs, open_blobs


class ArchiveSource:
    """The images of one archive or layout. Opening reads its documents, no layer."""

    cheap = True

    def __init__(self, path: Path, label: str | None = None, job: Job | None = None) -> None:
        self.label = label or str(path)
        self._blobs: Blobs = open_blobs(path, job or Job())
        try:
            self.found: Found = read_archive(self._blobs.names, self._blobs.read, str(path))
        except FormatError as error:
            self.close()
            if self._blobs.problems:
                raise FormatError(f"{path} is damaged: {self._blobs.problems[0]}.") from None
            raise error
        except BaseException:
            self.close()
            raise

    def images(self, job: Job) -> Iterator[Sequence[Image]]:
        yield list(self.found.images)

    def find(self, reference: str | None, platform: Platform | None = None) -> Image:
        return choose(self.found, reference, platform, self.label, self._blobs.problems)

    def index(self, image: Image, job: Job) -> Iterator[tuple[int, LayerIndex]]:
        numbers: dict[str, list[int]] = {}
        for layer in image.layers:
            numbers.setdefault(layer.blob, []).append(layer.index)
        names = list(numbers)
        weight = self._blobs.weight(names)
        job.total = None if weight is None else job.done + weight
        for name, index in self._blobs.layers(names, job):
            for number in numbers[name]:
                verify(index, image.layers[number - 1])
                yield number, index

    def detail(self, image: Image) -> Image:
        return image

    def contents(
        self, image: Image, layer: int, extents: Sequence[tuple[int, int]], job: Job
    ) -> Iterator[tuple[int, Iterable[bytes]]]:
        return self._blobs.contents(image.layers[layer - 1].blob, extents, job)

    def close(self) -> None:
        self._blobs.close()


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
    """The image that a reference, an id or its beginning names; the platform decides among several.

    Raises `NotFoundError` with a sentence that lists what is there.
    """
    images = [replace(image, problems=image.problems + tuple(problems)) for image in found.images]
    if not images:
        reason = found.others[0] if found.others else "it is empty"
        raise NotFoundError(f"There is no image in {where}: {reason}.")
    named = images
    if reference:
        named = [image for image in images if any(same(reference, name) for name in image.references)]
        named = named or [image for image in images if _is_id(reference, image)]
        named = named or [
            image for image in images if any(_tag(name) == reference for name in image.references)
        ]
        if not named:
            there = ", ".join(sorted({image.name for image in images}))
            raise NotFoundError(f"There is no image {reference!r} in {where}; it holds {there}.")
    elif len({image.references for image in images}) > 1 and platform is None:
        return images[0]
    wanted = platform or Platform.host()
    for image in named:
        if image.platform == wanted:
            return image
    for image in named:
        if not wanted.variant and (image.platform.os, image.platform.architecture) == (
            wanted.os,
            wanted.architecture,
        ):
            return image
    if platform is None and len(named) == 1:
        return named[0]
    there = ", ".join(sorted({str(image.platform) for image in named}))
    hint = "" if platform else "; choose one with --platform"
    raise NotFoundError(f"{reference or where} is not there for {wanted}, only for {there}{hint}.")


def _is_id(reference: str, image: Image) -> bool:
    text = reference.removeprefix("sha256:")
    return len(text) >= 4 and any(
        digest.removeprefix("sha256:").startswith(text) for digest in (image.id, image.manifest_digest or "")
    )


def _tag(name: str) -> str:
    """The tag of a name, for archives that keep whole names where the person gave a tag only."""
    last = name.rpartition("/")[2]
    return last.partition(":")[2] or short_id(last)
