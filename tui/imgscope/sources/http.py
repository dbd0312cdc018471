"""The little of HTTP/1.1 that an engine's API needs (RFC 9112), on a socket that is connected already.

`http.client` takes longer to import than an engine to answer, and most of a question's time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

_LINE = 1 << 16  # bytes of a line of a head, at most
_BUFFER = 1 << 18  # bytes that are asked of a socket at once: a chunk of an answer has no more than 32 kB
_PIECE = 1 << 16  # bytes that are read at once where nobody says how many


class NoHttpError(Exception):
    """What answers does not speak HTTP."""


class Line:
    """A connected socket, or what looks like one, and what was read of it. `owner` is kept with it."""

    def __init__(self, sock: Any, owner: Any = None) -> None:
        self.sock = sock
        self._owner = owner
        # what the SDK has in place of a socket for ssh takes no size
        self._stream = sock.makefile("rb", _BUFFER) if owner is None else sock.makefile("rb")

    def ask(self, method: str, path: str, host: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send a request and wait for the head of its answer.

        Raises `OSError`, `ConnectionResetError` where the line is cut, and `NoHttpError`.
        """
        fields = {"Host": host, **headers}
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1", "replace") + body)
        return Answer(self._stream)

    def close(self) -> None:
        for part in (self._stream, self.sock):
            with suppress(OSError):
                part.close()


class Answer:
    """An answer of any status, its body read as it comes.

    The head is read at once. `kept` is whether the line can be asked again after the end of the body.
    Reading raises `OSError`, and `ConnectionResetError` where the body is cut.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        fields: dict[bytes, bytes] = {}
        self.status = 100
        while self.status // 100 == 1:  # an interim answer (RFC 9110, 15.2)
            self.status, self.reason = self._status()
            fields = dict(self._fields())
        codings = fields.get(b"transfer-encoding", b"").lower()
        length = fields.get(b"content-length", b"")
        self._chunked = codings.endswith(b"chunked")
        self._left: int | None = None  # bytes to come, of the chunk or of the body; None: until the end
        if self._chunked or self.status in (204, 304):
            self._left = 0
        elif length.isdigit():
            self._left = int(length)
        self.ended = self._left == 0 and not self._chunked
        self.kept = self._left is not None and fields.get(b"connection", b"").lower() != b"close"

    def _line(self) -> bytes:
        line: bytes = self._stream.readline(_LINE)
        if not line:
            raise ConnectionResetError("the connection was closed")
        if not line.endswith(b"\n"):
            raise NoHttpError("a line of its head does not end")
        return line.rstrip(b"\r\n")

    def _status(self) -> tuple[int, str]:
        version, _, rest = self._line().partition(b" ")
        status, _, reason = rest.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not (status.isdigit() and len(status) == 3):
            raise NoHttpError("its answer does not begin as HTTP")
        return int(status), reason.decode("latin-1")

    def _fields(self) -> Iterator[tuple[bytes, bytes]]:
        while line := self._line():
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip()

    def _next_chunk(self) -> None:
        """The head of the next chunk, or of the end: size in hexadecimal, then extensions (RFC 9112, 7.1)."""
        try:
            self._left = int(self._line().partition(b";")[0], 16)
            if self._left < 0:
                raise ValueError
        except ValueError:
            raise NoHttpError("a piece of its answer has no length") from None
        if self._left == 0:
            for _ in self._fields():  # the trailer
                pass
            self.ended = True

    def read1(self, most: int = _PIECE) -> bytes:
        """What has come, at most so many bytes; waits for the first of them. Empty at the end."""
        if self._chunked and not self._left and not self.ended:
            self._next_chunk()
        if self.ended or most == 0:
            return b""
        data: bytes = self._stream.read1(most if self._left is None else min(most, self._left))
        if self._left is None:
            self.ended = not data
        elif not data:
            raise ConnectionResetError("the answer is cut")
        else:
            self._left -= len(data)
            if self._left == 0 and self._chunked:
                self._line()  # each chunk ends with a line of its own
            self.ended = self._left == 0 and not self._chunked
        return data

    def read(self, count: int | None = None) -> bytes:
        """So many bytes, fewer only at the end; without a count all that is left."""
        parts, left = [], count
        while left is None or left > 0:
            part = self.read1(_PIECE if left is None else left)
            if not part:
                break
            parts.append(part)
            left = None if left is None else left - len(part)
        return b"".join(parts)

    def lines(self) -> Iterator[bytes]:
        """The lines of the body as they come, without their ends; the last may be empty."""
        rest = b""
        while data := self.read1():
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
        yield rest

    def refusal(self) -> str:
        """What an answer that is none says of why, as engines do; else its status."""
        try:
            return str(json.loads(self.read(_PIECE))["message"])
        except (ValueError, KeyError, TypeError):
            return f"{self.status} {self.reason}"
