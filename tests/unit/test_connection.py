"""Asking an engine: a server of the test's own plays it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgscope.errors import CancelledError, EngineError, NotFoundError
from imgscope.job import Job
from imgscope.sources import Target, open_ahead
from imgscope.sources.connection import Connection

Serve = Callable[[socket.socket], None]


@contextmanager
def engine(folder: Path, serve: Serve) -> Iterator[Connection]:
    """A connection to a server that gives each caller to `serve`, and lets go of it after that."""
    path = folder / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    threads = []

    def handle(caller: socket.socket) -> None:
        with caller:
            serve(caller)

    def accept() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=handle, args=(caller,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    connection = Connection(f"unix://{path}", api_version="1.41")
    try:
        yield connection
    finally:
        connection.close()
        server.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        server.close()
        for thread in threads:
            thread.join()


def asked(caller: socket.socket) -> bytes:
    """The next request of a caller; empty where there is none."""
    data = b""
    while b"\r\n\r\n" not in data and (more := caller.recv(1 << 16)):
        data += more
    return data


def answer(caller: socket.socket, value: object, status: bytes = b"200 OK") -> None:
    body = json.dumps(value).encode()
    caller.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


def test_a_line_is_kept_for_the_next_question(tmp_path: Path) -> None:
    callers = []

    def serve(caller: socket.socket) -> None:
        callers.append(caller)
        while request := asked(caller):
            answer(caller, request.split()[1].decode())

    with engine(tmp_path, serve) as connection:
        assert [connection.get_json(f"/{number}") for number in range(3)] == [
            f"/v1.41/{number}" for number in range(3)
        ]
        assert len(callers) == 1


def test_a_line_that_the_engine_let_go_of_is_replaced(tmp_path: Path) -> None:
    """Engines close what nobody used for a time, or when they start anew, without a word."""
    with engine(tmp_path, lambda caller: answer(caller, asked(caller) != b"")) as connection:
        assert [connection.get_json("/x") for _ in range(3)] == [True] * 3


def test_each_thread_has_its_own_line(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def serve(caller: socket.socket) -> None:
        request = asked(caller)
        together.wait(10)  # no answer before all have asked
        answer(caller, request.split()[1].decode())

    with engine(tmp_path, serve) as connection:
        found: list[object] = []
        threads = [
            threading.Thread(
                target=lambda path: found.append(connection.get_json(path)), args=(f"/{number}",)
            )
            for number in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, found)) == ["/v1.41/0", "/v1.41/1", "/v1.41/2"]


def test_an_engine_that_closes_every_line(tmp_path: Path) -> None:
    def serve(caller: socket.socket) -> None:
        asked(caller)

    with engine(tmp_path, serve) as connection, pytest.raises(EngineError) as caught:
        connection.get_json("/x")
    assert str(caught.value) == (
        f"The engine at {connection.where} closed the connection; look whether it still runs."
    )


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"])
def test_what_is_no_engine(tmp_path: Path, said: bytes) -> None:
    def serve(caller: socket.socket) -> None:
        asked(caller)
        caller.sendall(said)

    with engine(tmp_path, serve) as connection, pytest.raises(EngineError) as caught:
        connection.get_json("/x")
    assert str(caught.value).startswith(f"What answers at {connection.where} is no container engine; ")


@pytest.mark.parametrize("value", [[], {}, {"ApiVersion": 1}])
def test_what_tells_no_version_is_no_engine(tmp_path: Path, value: object) -> None:
    def serve(caller: socket.socket) -> None:
        assert asked(caller).startswith(b"GET /version ")
        answer(caller, value)

    with engine(tmp_path, serve) as connection, pytest.raises(EngineError, match="is no container engine"):
        _ = connection.version


def test_a_refusal_is_told_with_its_status(tmp_path: Path) -> None:
    def serve(caller: socket.socket) -> None:
        missing = b"missing" in asked(caller)
        answer(caller, {"message": "so\nit is."}, b"404 Not Found" if missing else b"409 Conflict")

    with engine(tmp_path, serve) as connection:
        said = f"The engine at {connection.where} refused: so it is."
        with pytest.raises(EngineError) as caught:
            connection.get_json("/x")
        assert (str(caught.value), caught.value.status) == (said, 409)
        with pytest.raises(NotFoundError) as gone:
            connection.get_json("/missing")
        assert str(gone.value) == said


def test_a_question_to_a_silent_engine_can_be_cancelled(tmp_path: Path) -> None:
    job = Job()

    def serve(caller: socket.socket) -> None:
        asked(caller)
        job.cancel()
        assert caller.recv(1) == b""  # the line is cut from the other side

    with engine(tmp_path, serve) as connection, pytest.raises(CancelledError):
        connection.get_json("/x", job)


def test_an_engine_that_does_not_answer_is_told_when_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    opened = open_ahead(Target("docker-daemon"))
    assert opened is not None
    with pytest.raises(
        EngineError, match=r"^No container engine answers at .* \(No such file or directory\)"
    ):
        opened()


def test_only_engines_are_opened_ahead() -> None:
    assert open_ahead(Target("demo")) is None
    assert open_ahead(Target("path", Path("x"))) is None
