"""Names that images can be given, and the events of an engine's long answers."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from imgscope.actions.credentials import ANONYMOUS_HEADER, Credentials, Login
from imgscope.actions.plan import Done, Said, Transfer
from imgscope.actions.push import Push
from imgscope.actions.stream import post, progress, registry_error
from imgscope.actions.tag import parse_tag
from imgscope.errors import AuthRequired, CancelledError, EngineError, NotFoundError, UsageError
from imgscope.job import Job
from tests.support.fake_engine import END, HEAD, answering, chunk
from tests.support.wait import wait_for

DIGEST = "sha256:" + "a" * 64


def test_tag_is_latest_where_none_is_given() -> None:
    assert parse_tag("me/app").familiar == "me/app:latest"
    assert parse_tag("localhost:5000/app:1").familiar == "localhost:5000/app:1"


@pytest.mark.parametrize("text", ["", "A", "a b", "a:", f"a@{DIGEST}", "a" * 64, "a:" + "b" * 129])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(UsageError):
        parse_tag(text)


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"status": "Pushed", "id": "a", "progressDetail": {}}, Transfer("a", "Pushed")),
        (
            {"status": "Pushing", "id": "a", "progressDetail": {"current": 1, "total": 2}},
            Transfer("a", "Pushing", 1, 2),
        ),
        (
            {"status": "Pushing", "id": "a", "progressDetail": {"current": 3, "total": 2}},
            Transfer("a", "Pushing", 3, 3),
        ),
        ({"status": "Pushing", "id": "a", "progressDetail": {"current": "x"}}, Transfer("a", "Pushing")),
        ({"status": "Pushing", "id": "a", "progressDetail": []}, Transfer("a", "Pushing")),
        ({"status": "Pulling from x", "id": "1"}, Said("1: Pulling from x")),
        ({"status": "a\nb"}, Said("a b")),
        ({"aux": {}, "progressDetail": {}}, None),
        ({}, None),
    ],
)
def test_progress(event: dict[str, object], told: object) -> None:
    assert progress(event) == told


def events(folder: Path, *pieces: bytes) -> list[dict[str, object]]:
    with answering(folder, *pieces) as engine:
        return list(post(engine, "/images/x/push", {"tag": "1"}, {}, Job()))


def test_events_over_the_pieces_of_an_answer(tmp_path: Path) -> None:
    data = b'{"status":"a"}\r\n\r\n{"status":"\xc3\xa9"}\n7\n{"status":"c"}'
    pieces = [chunk(data[start : start + 5]) for start in range(0, len(data), 5)]
    assert [event.get("status") for event in events(tmp_path, HEAD, *pieces, END)] == ["a", "é", None, "c"]


def test_what_is_asked(tmp_path: Path) -> None:
    requests: list[bytes] = []
    with answering(tmp_path, HEAD, END, requests=requests) as engine:
        header = {"X-Registry-Auth": ANONYMOUS_HEADER}
        assert list(post(engine, "/images/h:1/a b/push", {"tag": "a&b"}, header, Job())) == []
    assert requests[0].startswith(b"POST /v1.41/images/h%3A1/a%20b/push?tag=a%26b HTTP/1.1\r\n")
    assert f"X-Registry-Auth: {ANONYMOUS_HEADER}\r\n".encode() in requests[0]
    assert requests[0].count(b"Content-Length: 0\r\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"errorDetail": {"message": "no\nspace."}, "error": "x"}, "no space"),
        ({"error": "no space"}, "no space"),
        ({"errorDetail": "text", "error": "no space"}, "no space"),
    ],
)
def test_error_in_band(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(EngineError, match=f"^{said}$"):
        events(tmp_path, HEAD, chunk(b'{"status":"a"}\n'), chunk(json.dumps(line).encode() + b"\n"), END)


@pytest.mark.parametrize("cut", [b"", b"5\r\n{", chunk(b'{"status":')])
def test_answer_that_breaks_off(tmp_path: Path, cut: bytes) -> None:
    with pytest.raises(EngineError, match=r"closed the connection|broke off"):
        events(tmp_path, HEAD, chunk(b'{"status":"a"}\n'), cut)


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (400, EngineError), (500, EngineError)])
def test_refusal(tmp_path: Path, status: int, error: type[EngineError]) -> None:
    body = b'{"message":"it is not to be.\\n"}'
    head = f"HTTP/1.1 {status} Oh\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with pytest.raises(error, match=r"^it is not to be$"):
        events(tmp_path, head, body)


def test_refusal_without_a_message(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^502 Bad Gateway$"):
        events(tmp_path, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n<h1>")


def test_cancel_while_the_engine_is_silent(tmp_path: Path) -> None:
    job, ended = Job(), threading.Event()
    with answering(tmp_path) as engine:

        def ask() -> None:
            try:
                list(post(engine, "/images/create", {}, {}, job))
            except CancelledError:
                ended.set()

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for("the question", lambda: job._wakers)
        job.cancel()
        assert ended.wait(1)
        thread.join()


@pytest.mark.parametrize(
    "aux", [None, {"Tag": "1"}, {"Digest": ""}, {"Digest": "sha256:x\x1b"}, {"Digest": 7}, "text"]
)
def test_push_is_done_only_when_the_engine_says_so(tmp_path: Path, aux: object) -> None:
    lines = [{"status": "Pushed", "id": "a", "progressDetail": {}}, {"aux": aux}]
    pieces = [chunk(json.dumps(line).encode() + b"\n") for line in lines]
    with (
        answering(tmp_path, HEAD, *pieces, END) as engine,
        pytest.raises(EngineError, match=r"ended the push of r\.test/x:1 half-way; push it again"),
    ):
        list(Push(engine, "r.test/x:1", Credentials(tmp_path)).execute(Job()))


def test_push_of_podman_ends_without_layers_and_aux(tmp_path: Path) -> None:
    line = json.dumps({"status": f"1: digest: {DIGEST} size: 529"}).encode()
    with answering(tmp_path, HEAD, chunk(line), END, label="podman 4.3.1") as engine:
        *_, done = Push(engine, "r.test/x:1", Credentials(tmp_path)).execute(Job())
    assert done == Done(f"Pushed r.test/x:1 as {DIGEST}", result=DIGEST)


# -- errors of registries ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "login"),
    [
        ("no basic auth credentials", True),
        ("unauthorized: authentication required", True),
        ("denied: requested access to the resource is denied", True),
        ('Head "https://r/v2/x/manifests/1": unauthorized', True),
        ("error parsing HTTP 403 response body: 403 Forbidden", True),
        ("login attempt to http://r/v2/ failed with status: 401 Unauthorized", True),
        ("open /var/lib/docker/tmp/x: permission denied: mount", False),
        ("manifest sha256:401 unknown", False),
        ("no space left on device", False),
    ],
)
def test_which_errors_want_a_login(tmp_path: Path, said: str, login: bool) -> None:
    error = registry_error(EngineError(said), "x was not pushed", "r", Credentials(tmp_path))
    assert isinstance(error, AuthRequired) is login
    if not login:
        assert str(error) == f"x was not pushed: {said}."


def test_repository_that_is_secret_or_not_there(tmp_path: Path) -> None:
    said = "pull access denied for x, repository does not exist or may require 'docker login': denied: no"
    error = registry_error(NotFoundError(said), "x was not pulled", "docker.io", Credentials(tmp_path))
    assert isinstance(error, AuthRequired)
    assert "has no such repository, or wants a login for it" in str(error)


def test_errors_do_not_tell_the_password(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    credentials.remember("r", Login("ann", "s3cret"))
    for said in ("cannot send s3cret", "unauthorized: s3cret is wrong"):
        error = registry_error(EngineError(said), "x was not pushed", "r", credentials)
        assert "s3cret" not in str(error)
