"""The answers of an engine's socket, read as http.client reads them."""

from __future__ import annotations

import http.client
import io
import json
import socket
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.sources.http import Answer, Line, NoHttpError


def answer(data: bytes) -> Answer:
    return Answer(io.BufferedReader(io.BytesIO(data)))


class Oracle:
    """A socket for http.client that has received some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def chunked(pieces: list[bytes], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def unsized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n\r\n" + body


BODIES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


@given(BODIES, st.sampled_from([b"", b";name=value", b" "]), st.sampled_from([b"", b"X: y\r\n"]))
def test_a_body_in_pieces_is_read_as_http_client_reads_it(
    pieces: list[bytes], extension: bytes, trailer: bytes
) -> None:
    data = chunked(pieces, extension, trailer)
    oracle = http.client.HTTPResponse(Oracle(data))  # type: ignore[arg-type]
    oracle.begin()
    ours = answer(data + b"what follows")
    assert ours.read() == oracle.read() == b"".join(pieces)
    assert ours.kept
    assert ours.read() == ours.read1() == b""


@given(BODIES, st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=4), st.booleans())
def test_it_does_not_matter_how_much_is_read_at_once(
    pieces: list[bytes], counts: list[int], by_piece: bool
) -> None:
    body = b"".join(pieces)
    for data in (chunked(pieces), sized(body), unsized(body)):
        ours, sizes, read = answer(data), cycle(counts), []
        while part := (ours.read1 if by_piece else ours.read)(count := next(sizes)):
            assert len(part) <= count
            read.append(part)
        assert b"".join(read) == body
        assert ours.ended


@given(BODIES)
def test_lines_come_without_their_ends(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    for data in (chunked(pieces), sized(body), unsized(body)):
        assert list(answer(data).lines()) == body.split(b"\n")


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3), st.data())
def test_a_body_that_is_cut_is_no_whole_one(pieces: list[bytes], data: st.DataObject) -> None:
    for whole in (chunked(pieces), sized(b"".join(pieces))):
        head = whole.index(b"\r\n\r\n") + 4
        end = data.draw(st.integers(min_value=head, max_value=len(whole) - 1))
        with pytest.raises((ConnectionResetError, NoHttpError)):
            answer(whole[:end]).read()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 " + b"x" * 100_000,
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    with pytest.raises(NoHttpError):
        answer(data)


def test_a_line_that_is_closed_before_the_answer() -> None:
    for data in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n"):
        with pytest.raises(ConnectionResetError):
            answer(data)


@pytest.mark.parametrize("length", [b"hello", b"", b"-1"])
def test_a_piece_of_no_length(length: bytes) -> None:
    with pytest.raises(NoHttpError):
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n" % length).read()


def test_an_interim_answer_is_passed_over() -> None:
    found = answer(b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"x"))
    assert (found.status, found.reason, found.read()) == (200, "OK", b"x")


def test_an_answer_without_a_body() -> None:
    found = answer(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert (found.status, found.read(), found.kept) == (204, b"", True)


def test_a_line_that_the_engine_means_to_close_is_not_kept() -> None:
    assert not answer(unsized(b"x")).kept
    assert not answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx").kept


def test_what_a_refusal_says() -> None:
    head = b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert answer(head + json.dumps({"message": "no such image"}).encode()).refusal() == "no such image"
    for body in (b"", b"no such page", b"[]", b"{}"):
        assert answer(head + body).refusal() == "404 Not Found"


def test_a_line_asks_several_questions() -> None:
    here, there = socket.socketpair()
    with there:
        line = Line(here)
        try:
            for number in range(2):
                there.sendall(sized(b"%d" % number))
                found = line.ask("POST", f"/{number}", "host", {"X": "y"}, b"body"[: number * 4])
                assert found.read() == b"%d" % number
                asked = there.recv(1 << 16)
                assert asked == (
                    b"POST /%d HTTP/1.1\r\nHost: host\r\nX: y\r\nContent-Length: %d\r\n\r\n%b"
                    % (number, number * 4, b"body"[: number * 4])
                )
        finally:
            line.close()
        assert there.recv(1) == b""


def test_pipes_in_place_of_a_socket() -> None:
    """As the SDK has them for ssh: `makefile` takes a mode and no more."""

    class Pipes:
        def makefile(self, mode: str) -> io.BufferedReader:
            return io.BufferedReader(io.BytesIO(sized(b"body")))

        def sendall(self, data: bytes) -> None:
            assert data.startswith(b"GET /x HTTP/1.1\r\n")

    line = Line(Pipes(), owner=object())
    assert line.ask("GET", "/x", "host", {}).read() == b"body"
