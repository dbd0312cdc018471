"""An engine's socket that answers one long request as a test says, whatever is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from imgscope.actions.engine import Engine
from imgscope.sources.connection import Connection
from imgscope.sources.engine import EngineSource

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked answer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def answering(
    folder: Path, *pieces: bytes, requests: list[bytes] | None = None, label: str = "docker"
) -> Iterator[Engine]:
    """An engine that sends the pieces and closes the connection; no piece at all: it stays silent."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, pieces, requests))
        thread.start()
        connection = Connection(f"unix://{path}", api_version="1.41")
        source: Any = SimpleNamespace(
            connection=connection, client=connection.client, where=connection.where, label=label
        )
        try:
            yield Engine(cast(EngineSource, source))
        finally:
            connection.close()
            with socket.socket(socket.AF_UNIX) as last:  # where nobody asked, the server waits still
                if thread.is_alive():
                    last.connect(str(path))
            thread.join()


def _serve(server: socket.socket, pieces: Sequence[bytes], requests: list[bytes] | None) -> None:
    connection, _ = server.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request and (data := connection.recv(1 << 16)):
            request += data
        if requests is not None:
            requests.append(request)
        if not pieces:
            while connection.recv(1 << 16):
                pass
        for piece in pieces:
            try:
                connection.sendall(piece)
            except BrokenPipeError:  # whoever asked had heard enough
                return
