"""An engine's tar-split metadata of a layer → LayerIndex; no layer data is read.

Docker, BuildKit and Podman keep of every layer what its tar was beside the files' contents, to put the
same tar together again (github.com/vbatts/tar-split, `tar/storage`): JSON objects, a line each, in order.
`{"type":2,"payload":BASE64}` is a segment of the tar as it was: padding, headers with their extended ones,
the end. `{"type":1,"name":…,"size":…,"payload":BASE64}` stands for the content of a file, and its payload
is the CRC-64 of it, big-endian; a file without content has neither size nor payload. `position` counts the
records from 0, and the zero of the first is left out.

The segments go to the same walker as any other tar, at their true offsets, so names, sizes, offsets and
whiteouts cannot differ from those of the layer's data.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator

import msgspec

from imgscope.errors import DamagedError
from imgscope.job import Job
from imgscope.layers.index import LayerIndex
from imgscope.layers.stream import BLOCK, inflate
from imgscope.layers.tar import index_tar

LINE_LIMIT = 1 << 23  # bytes of one record: the extended headers of one entry
_STRETCH = 1 << 20  # bytes of headers that are held at once: a layer may have no content, or end in zeros
_LENGTH_LIMIT = 1 << 62  # bytes of a tar
_CONTENT, _SEGMENT = 1, 2


class _Record(msgspec.Struct, gc=False):
    type: int
    size: int = 0
    payload: bytes | None = None
    position: int = 0


_RECORDS = msgspec.json.Decoder(_Record)


def index_tar_split(
    chunks: Iterable[bytes], job: Job | None = None, *, length: int | None = None
) -> LayerIndex:
    """Index a layer by its tar-split metadata, compressed or not, as chunks of bytes.

    `length` is the bytes of the layer's whole tar, where they are known. The index's `checksums` tell the
    CRC-64 of each content.

    Raises `DamagedError` on any doubt: damage, records that do not fit the headers, whatever is a problem
    of the layer, and sparse files, of which the metadata does not tell enough. Whoever asks then reads the
    layer's data instead.
    """
    tape = SplitTape(inflate(chunks, job))
    index = index_tar(tape, job)
    if index.problems:
        raise DamagedError(f"the tar-split metadata does not make a layer: {index.problems[0].message}")
    sizes, offsets = index.sizes, index.offsets
    files = [entry for entry, size in enumerate(sizes) if size]
    if (
        index.sparse
        or length not in (None, tape.length)
        or array("q", map(sizes.__getitem__, files)) != tape.sizes
        or array("q", map(offsets.__getitem__, files)) != tape.offsets
    ):
        raise DamagedError("the tar-split metadata does not fit the headers of its layer")
    sums = array("Q", bytes(tape.sums))
    if sys.byteorder == "little":
        sums.byteswap()
    index.checksums = array("Q", bytes(8 * len(index)))
    for entry, checksum in zip(files, sums, strict=True):
        index.checksums[entry] = checksum
    return index


class SplitTape:
    """What tar-split metadata keeps of a tar, at its place in it; contents are not there to be read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.length: int | None = None  # of the tar, known once all was read
        self.sizes = array("q")  # of the contents, as the metadata tells them, none of them 0
        self.offsets = array("q")  # where they start in the tar
        self.sums = bytearray()  # their CRC-64s, eight bytes each
        self._stretches = self._read(chunks)
        self._start, self._data = 0, b""  # the stretch in hand

    def _read(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """The stretches between contents: (offset in the tar, bytes). Long ones come in pieces of blocks."""
        sizes, offsets, sums = self.sizes, self.offsets, self.sums
        start = position = held = 0
        parts: list[bytes] = []
        for lines in _lines(chunks):
            try:
                records = _RECORDS.decode_lines(lines)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise DamagedError(f"the tar-split metadata is malformed ({error})") from None
            for record in records:
                if record.position != position:
                    raise DamagedError("the tar-split metadata has records out of order")
                position += 1
                payload = record.payload or b""
                if record.type == _SEGMENT:
                    parts.append(payload)
                    held += len(payload)
                    if held > _STRETCH:
                        data = b"".join(parts)
                        whole = held - (start + held) % BLOCK  # no header is cut
                        yield start, data[:whole]
                        parts = [data[whole:]]
                        start, held = start + whole, held - whole
                elif record.type != _CONTENT or not 0 <= record.size <= _LENGTH_LIMIT - start:
                    raise DamagedError("the tar-split metadata has a record that is neither of its kinds")
                elif record.size:
                    if len(payload) != 8:
                        raise DamagedError("the tar-split metadata has a content without a checksum")
                    data = parts[0] if len(parts) == 1 else b"".join(parts)
                    parts, held = [], 0
                    yield start, data
                    start += len(data)
                    sizes.append(record.size)
                    offsets.append(start)
                    sums += payload
                    start += record.size
        data = b"".join(parts)
        self.length = start + len(data)
        yield start, data

    def window(self, offset: int) -> bytes:
        """The bytes from `offset`, at most to the next content; `DamagedError` where a content lies there."""
        at = offset - self._start
        while at >= len(self._data):
            following = next(self._stretches, None)
            if following is None:
                if at > len(self._data):
                    raise DamagedError("the layer ends early")
                return b""
            self._start, self._data = following
            at = offset - self._start
        if at < 0:
            raise DamagedError("a header would lie in the content of a file")
        return self._data[at:] if at else self._data

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        """Bytes of headers."""
        while size > 0:
            data = self.window(offset)[:size]
            if not data:
                raise DamagedError("the layer ends early")
            yield data
            offset += len(data)
            size -= len(data)

    def drain(self) -> None:
        """Read what is left: contents after the end mark would not fit, damage would count."""
        for _ in self._stretches:
            pass


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut behind line ends."""
    rest = b""
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
        if len(rest) > LINE_LIMIT:
            raise DamagedError(f"the tar-split metadata has a record of more than {LINE_LIMIT} bytes")
    if rest:
        yield rest
