"""Layers from the stream of an engine: told as they end, and given up at once, also where it hangs.

The real engine is stopped in the middle of what it sends. How newer ones send layers, compressed, is
played by a server that sends what it is given.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import random
import signal
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from imgscope.analysis import analyze
from imgscope.errors import CancelledError
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.sources import datadir
from imgscope.sources.engine import EngineSource
from tests.support import archives as made
from tests.support.archives import Made
from tests.support.daemon import DaemonError, running_daemon
from tests.support.engine import Engine
from tests.support.needs import missing
from tests.support.program import start
from tests.support.stacks import file, layer_tar
from tests.support.wait import cancelled_in_thread

PATIENCE = 20  # seconds
MEGABYTE = 1_000_000
NOISE = random.Random(1).randbytes(3 * MEGABYTE)
LAYERS = [layer_tar([file(f"{number}", NOISE), file("same", b"x" * 100)]) for number in range(3)]


@pytest.fixture(autouse=True)
def only_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadir, "layer_stores", lambda *_, **__: [])


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = {thread for thread in threading.enumerate() if thread.daemon}
    yield
    assert {thread for thread in threading.enumerate() if thread.daemon} <= before


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False


@contextlib.contextmanager
def sending(
    folder: Path,
    image: Made,
    archive: bytes,
    pause: int | None = None,
    pauses: Callable[[], None] = lambda: None,
) -> Iterator[EngineSource]:
    """An engine with one image, `x`, whose archive it sends; from byte `pause` on only when it is left.

    `pauses` is called when it has sent so much.
    """
    may_go_on = threading.Event()
    answers: dict[str, object] = {
        "/version": {"Version": "1", "ApiVersion": "1.41"},
        "json": {
            "Id": image.id,
            "RepoTags": ["x:latest"],
            "Os": image.os,
            "Architecture": image.architecture,
            "Size": len(archive),
            "RootFS": {"Layers": [layer.diff_id for layer in image.layers]},
        },
        "history": [{"CreatedBy": f"step {number}", "Size": 1} for number in range(len(image.layers))],
        "info": {},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            last = self.path.rpartition("/")[2]
            answer = answers.get(self.path, answers.get(last))
            body = archive if last == "get" else json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the other side may have gone
                if last == "get" and pause is not None:
                    self.wfile.write(body[:pause])
                    pauses()
                    may_go_on.wait(PATIENCE)
                    body = body[pause:]
                self.wfile.write(body)

        def address_string(self) -> str:
            return ""

        def log_message(self, format: str, *args: object) -> None:
            pass

    with Server(str(folder / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with contextlib.closing(EngineSource.connect(f"unix://{folder / 's'}")) as source:
                yield source
        finally:
            may_go_on.set()
            server.shutdown()
            thread.join()


FORMS = [made.plain, made.gzipped, made.zstandard]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [made.docker_save_old, made.docker_save_new])
def test_layers_of_any_form_come_by(
    tmp_path: Path, form: Callable[[bytes], made.Blob], kind: Callable[[Made], made.Members]
) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    with sending(tmp_path, image, made.pack(kind(image))) as source:
        analysis = analyze(source, source.find("x"))
    assert analysis.problems == ()
    assert [layer.total for layer in analysis.overlay.layers] == [3 * MEGABYTE + 100] * 3
    # nothing was read twice: what had to be compared was hashed as it came by
    assert analysis.waste.dead == 200
    assert {str(path.cause) for path in analysis.waste.paths} == {"metadata"}


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_is_told_while_the_next_is_still_to_come(
    tmp_path: Path, form: Callable[[bytes], made.Blob]
) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    archive = made.pack(made.docker_save_new(image))
    second = archive.index(image.layers[1].data)
    with sending(tmp_path, image, archive, second + 1 * MEGABYTE) as source:
        layers = source.index(source.find("x"), Job())
        number, index = next(layers)
        assert (number, index.total) == (1, 3 * MEGABYTE + 100)
        layers.close()  # type: ignore[attr-defined]


def cancelled_while_it_waits(source: EngineSource, image: Image, job: Job, waits: threading.Event) -> None:
    """Read an image in a thread, cancel it once `waits` is set; it must end, and as cancelled."""

    def read() -> None:
        for _ in source.index(image, job):
            pass

    assert type(cancelled_in_thread(read, job, waits, PATIENCE)) is CancelledError


@pytest.mark.parametrize("part", ["in the first layer", "in the last layer"])
@pytest.mark.parametrize("form", FORMS)
def test_cancelling_while_the_engine_is_silent(
    tmp_path: Path, form: Callable[[bytes], made.Blob], part: str
) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    archive = made.pack(made.docker_save_new(image))
    pause = archive.index(image.layers[0 if "first" in part else 2].data) + 2 * MEGABYTE
    waits = threading.Event()
    job = Job(lambda done, total: waits.set() if done > pause - MEGABYTE else None)
    with sending(tmp_path, image, archive, pause) as source:
        cancelled_while_it_waits(source, source.find("x"), job, waits)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", FORMS)
def test_ctrl_c_while_the_engine_is_silent(
    tmp_path: Path, form: Callable[[bytes], made.Blob], number: signal.Signals
) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    archive = made.pack(made.docker_save_new(image))
    pause = archive.index(image.layers[0].data) + 2 * MEGABYTE
    waits = threading.Event()
    with sending(tmp_path, image, archive, pause, waits.set) as source:
        environment = {**os.environ, "DOCKER_HOST": source.connection.where}
        with start("analyze", "x", "--json", environment=environment) as program:
            assert waits.wait(PATIENCE)
            program.send_signal(number)
            output = program.communicate(timeout=PATIENCE / 2)  # the engine stays silent for longer
    assert output == ("", "")
    assert program.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]


@pytest.mark.parametrize("form", FORMS)
def test_an_engine_that_goes_away_in_the_middle(tmp_path: Path, form: Callable[[bytes], made.Blob]) -> None:
    image = Made(tuple(form(tar) for tar in LAYERS))
    archive = made.pack(made.docker_save_new(image))
    cut = archive.index(image.layers[1].data) + 1 * MEGABYTE
    with sending(tmp_path, image, archive[:cut]) as source:
        analysis = analyze(source, source.find("x"))
    assert {problem.layer for problem in analysis.problems} == {2, 3}
    assert analysis.overlay.layers[0].total == 3 * MEGABYTE + 100


def test_cancelling_while_the_real_engine_hangs(engine: Engine, busybox_base: str) -> None:
    name = engine.name("streaming/large:1")
    steps = "".join(f"RUN head -c {30 * MEGABYTE} /dev/zero > /{number}\n" for number in range(2))
    engine.build({"Dockerfile": f"FROM {busybox_base}\n{steps}"}, name)
    saved = subprocess.run(["docker", "save", name], env=engine.environment, capture_output=True, check=True)
    try:
        with running_daemon() as host, contextlib.closing(EngineSource.connect(host)) as source:
            pid = int(Path(host.removeprefix("unix://")).with_name("pid").read_text())
            with contextlib.closing(docker.DockerClient(host)) as client:
                client.images.load(saved.stdout)
            image = source.find(name)
            stopped = threading.Event()

            def stop(done: int, total: int | None) -> None:
                if done > 20 * MEGABYTE and not stopped.is_set():
                    os.kill(pid, signal.SIGSTOP)
                    stopped.set()

            try:
                cancelled_while_it_waits(source, image, Job(stop), stopped)
            finally:
                os.kill(pid, signal.SIGCONT)
            assert analyze(source, image).problems == ()
    except DaemonError as error:
        missing(f"no engine of our own to stop: {error}")
