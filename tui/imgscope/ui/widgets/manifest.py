"""What an image is made of: its documents as a tree, each with its raw JSON one key away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.cells import cell_len

from imgscope.images.documents import Document, Kind
from imgscope.images.model import Image, short_id
from imgscope.text import clean, size_text
from imgscope.ui.widgets.lines import Piece, bar_cells, fit, size_bar
from imgscope.ui.widgets.reading import ReadingPane

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.job import Job
    from imgscope.sources.base import Source

_DIGEST = 12  # cells, as all columns
_SIZE = 8
_FIXED = _DIGEST + 2 * _SIZE + 7
_LONG = 1000  # characters that are looked at: more than a screen is wide
_WIDE = 36  # cells for names at most


class ManifestTab(ReadingPane):
    """Columns: name, digest, bytes stored, bytes unpacked, whether the digest fits, media type, remarks."""

    def __init__(self) -> None:
        super().__init__("manifest")
        self.documents: Sequence[Document] = ()
        self._image: Image | None = None
        self._names: Sequence[str] = ()  # as they are shown, with the depth in front
        self._most = 0  # bytes of the largest

    @property
    def row_count(self) -> int:
        return len(self.documents)

    def read(self, source: Source, image: Image, analysis: Analysis | None, job: Job) -> object:
        documents = source.documents(image, job)
        if analysis is None:
            return image, documents
        return analysis.sized_image, [_checked(document, analysis) for document in documents]

    def present(self, found: object) -> None:
        self._image, self.documents = found if isinstance(found, tuple) else (None, ())
        self._names = [_name(document) for document in self.documents]
        self._most = max((self._bytes(document) or 0 for document in self.documents), default=0)
        wrong = sum(document.verified is False for document in self.documents)
        checked = sum(document.verified is True for document in self.documents)
        title = [f"{wrong} not what the digest says (✗)"] if wrong else []
        title += [f"{checked} checked (✓)"] if checked else []
        self.set_title("manifest", *title)
        if found is not None and not self.documents:
            self.set_note("this source keeps no documents")
        self.changed()

    def digest(self, row: int) -> str:
        """The whole digest of a row; a layer's that is filed under a name is its diff ID."""
        document = self.documents[row]
        if not document.digest and document.layer and self._image:
            return self._image.layers[document.layer - 1].diff_id
        return document.digest

    def _unpacked(self, document: Document) -> int | None:
        """The bytes of a layer's files, None where they are not known."""
        return self._image.layers[document.layer - 1].size if document.layer and self._image else None

    def _bytes(self, document: Document) -> int | None:
        """Bytes stored; an engine tells them of no layer, so there those of its files."""
        return self._unpacked(document) if document.size is None else document.size

    def copies(self) -> Sequence[tuple[str, str]]:
        document, image, digest = self.documents[self.cursor], self._image, self.digest(self.cursor)
        found = [("digest" if document.digest else "diff ID", digest)] if digest else []
        if document.layer and image and (diff_id := image.layers[document.layer - 1].diff_id) != digest:
            found.append(("diff ID", diff_id))
        return [*found, ("media type", document.media_type)] if document.media_type else found

    def action_select(self) -> None:
        if not self.row_count:
            return
        document = self.documents[self.cursor]
        if document.data is not None:
            title = " ".join(dict.fromkeys((document.kind.value, document.name, document.digest)))
            self.open_text(title, document.data, document.media_type or "application/json")
        elif document.layer is not None:
            self.post_message(self.LayerWanted(document.layer))
        else:
            text = clean(document.note) or "Only its digest and its size are known here."
            self.app.notify(text, markup=False)

    def _name_width(self, width: int) -> int:
        longest = max(map(cell_len, self._names), default=0)
        return max(min(width - _FIXED - 12, longest, _WIDE), 16)

    def head(self, width: int) -> str:
        return (
            f"{fit('document', self._name_width(width))}  {fit('digest', _DIGEST)} "
            f"{' ' * bar_cells(width)}{'stored':>{_SIZE}} {'unpacked':>{_SIZE}}   media type"
        )

    def row(self, number: int, width: int) -> Iterable[Piece]:
        document = self.documents[number]
        space = self._name_width(width)
        yield fit(self._names[number], space) + "  ", "" if document.kind is Kind.LAYER else "strong"
        yield fit(clean(short_id(self.digest(number))[:_LONG]), _DIGEST) + " ", "dim"
        yield size_bar(self._bytes(document), self._most, width)
        yield fit(size_text(document.size), _SIZE, right=True) + " ", ""
        unpacked = size_text(self._unpacked(document)) if document.layer else ""
        yield fit(unpacked, _SIZE, right=True), ""
        mark, style = {True: (" ✓ ", "added"), False: (" ✗ ", "dead"), None: ("   ", "")}[document.verified]
        yield mark, style
        media_type = document.media_type.removeprefix("application/").removeprefix("vnd.")
        instead = "" if document.digest or not self.digest(number) else "by diff ID"
        about = " · ".join(clean(part[:_LONG]) for part in (media_type, instead, document.note) if part)
        yield fit(about, max(width - space - _FIXED - bar_cells(width), 1)), "dim"


def _name(document: Document) -> str:
    kind, name = document.kind.value, clean(document.name[:_LONG])
    bare = document.kind in (Kind.LAYER, Kind.OTHER) or name == kind
    return "  " * document.depth + (name if bare else f"{kind} {name}")


def _checked(document: Document, analysis: Analysis) -> Document:
    """A layer, with whether the digest is its own, where it was hashed as it was read."""
    if document.layer is None or document.layer > len(analysis.overlay.layers):
        return document
    index, layer = analysis.overlay.layers[document.layer - 1], analysis.image.layers[document.layer - 1]
    if document.digest and index.digest:
        return replace(document, verified=index.digest == document.digest)
    if not document.digest and index.diff_id:
        return replace(document, verified=index.diff_id == layer.diff_id)
    return document
