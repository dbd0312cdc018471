"""What goes wrong with an engine: one sentence, exit status 2, nothing on stdout."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import docker
import pytest

from imgscope.errors import EngineError, NotFoundError
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program
from tests.support.daemon import DaemonError, running_daemon
from tests.support.engine import Engine
from tests.support.needs import missing, require_tool

COMMANDS = (("tree",), ("analyze", "debian"))


def nowhere(**variables: str) -> dict[str, str]:
    """An environment that names no engine but by `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    return {**kept, **variables}


# -- no engine ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS)
def test_no_engine_at_the_socket(tmp_path: Path, words: tuple[str, ...]) -> None:
    host = f"unix://{tmp_path}/none"
    said = program.complaint(program.run(*words, environment=nowhere(DOCKER_HOST=host)))
    assert said.startswith(f"No container engine answers at {host} (No such file or directory); start Docker")
    assert "imgscope demo" in said


def test_a_socket_that_nobody_listens_at(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    said = program.complaint(program.run("tree", environment=nowhere(DOCKER_HOST=f"unix://{path}")))
    assert said.startswith(f"No container engine answers at unix://{path} (Connection refused); ")


def test_no_engine_at_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    said = program.complaint(program.run("tree", environment=nowhere(DOCKER_HOST=host)))
    assert said.startswith(f"No container engine answers at {host} (Connection refused); ")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"SSH-2.0-x\r\n"]
)
def test_what_answers_is_no_engine(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1 << 16)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        host = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        said = program.complaint(program.run("tree", environment=nowhere(DOCKER_HOST=host)))
        server.shutdown(socket.SHUT_RDWR)
    assert host in said


@pytest.mark.parametrize(
    "host",
    ["nonsense://here", "tcp://", "tcp://host", "tcp://host:99999", "tcp://host:port", "fd://", "unix:/a?b"],
)
def test_a_docker_host_that_is_none(host: str) -> None:
    said = program.complaint(program.run("tree", environment=nowhere(DOCKER_HOST=host)))
    assert said.startswith(f"DOCKER_HOST={host} cannot be used (")
    assert "write it as unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST" in said


def test_tls_without_its_certificates(tmp_path: Path) -> None:
    environment = nowhere(
        DOCKER_HOST="tcp://127.0.0.1:1", DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(tmp_path)
    )
    said = program.complaint(program.run("tree", environment=environment))
    assert "certificate" in said


def test_a_person_who_may_not_use_the_socket(tmp_path: Path) -> None:
    """Root without the right to pass over permissions: anybody else might not get at this Python."""
    if os.geteuid() != 0:
        missing("only root can give a socket to somebody else")
    path = tmp_path / "s"
    weak = (require_tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search")
    with socket.socket(socket.AF_UNIX) as engines:
        engines.bind(str(path))
        os.chown(path, 65534, 65534)
        path.chmod(0o660)  # as an engine's
        engines.listen()
        done = program.run("tree", environment=nowhere(DOCKER_HOST=f"unix://{path}"), before=weak)
    said = program.complaint(done)
    assert said == f"You may not use the engine at unix://{path}; join the docker group, or run with sudo."


# -- contexts -----------------------------------------------------------------------------------------


def write_context(folder: Path, name: str, meta: str) -> Path:
    """A context as `docker context create` writes it; gives its file."""
    path = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    path.parent.mkdir(parents=True)
    path.write_text(meta)
    return path


def meta(name: str, host: str) -> str:
    return json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}})


def test_the_named_context_is_honoured(engine: Engine, tmp_path: Path) -> None:
    write_context(tmp_path, "mine", meta("mine", engine.host))
    environment = nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="mine")
    assert program.answer("tree", environment=environment) == program.answer(
        "tree", environment=engine.environment
    )


def test_the_current_context_is_honoured(engine: Engine, tmp_path: Path) -> None:
    write_context(tmp_path, "mine", meta("mine", engine.host))
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    environment = nowhere(DOCKER_CONFIG=str(tmp_path))
    assert program.run("tree", environment=environment).returncode == 0
    # the environment is stronger, and names of it are stronger than one another
    gone = nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="gone")
    assert "'gone'" in program.complaint(program.run("tree", environment=gone))
    assert program.run("tree", environment={**gone, "DOCKER_HOST": engine.host}).returncode == 0


def test_the_context_that_docker_itself_creates_is_read(engine: Engine, tmp_path: Path) -> None:
    home = {**engine.environment, "DOCKER_CONFIG": str(tmp_path)}
    subprocess.run(
        ["docker", "context", "create", "made", "--docker", f"host={engine.host}"],
        env=home,
        check=True,
        capture_output=True,
    )
    environment = nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="made")
    assert program.run("tree", environment=environment).returncode == 0


def test_a_context_that_does_not_exist(tmp_path: Path) -> None:
    environment = nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="nobody's")
    said = program.complaint(program.run("tree", environment=environment))
    assert said == 'There is no docker context "nobody\'s"; docker context ls lists them.'


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"Endpoints": {"docker": {}}}',
        meta("x", "nonsense://x"),
        '{"Endpoints": {"docker": 1}}',
    ],
)
def test_a_context_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = write_context(tmp_path, "bad", text)
    environment = nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_CONTEXT="bad")
    said = program.complaint(program.run("tree", environment=environment))
    assert said.startswith(f"Docker's context 'bad' cannot be read from {path}: ")


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"currentContext": []}', '{"proxies": [], "auths": 1}'])
def test_a_broken_docker_config_is_no_traceback(engine: Engine, tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    for environment in (
        nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_HOST=engine.host),
        nowhere(DOCKER_CONFIG=str(tmp_path), DOCKER_HOST="unix:///none"),
        nowhere(DOCKER_CONFIG=str(tmp_path)),
    ):
        done = program.run("tree", environment=environment)
        if done.returncode:  # it sets nothing, or it is named
            program.complaint(done)
        else:
            assert done.stderr == ""


def test_contexts_of_the_current_folder_are_not_read(tmp_path: Path) -> None:
    """They would let whoever wrote the folder choose the engine."""
    write_context(tmp_path, "mine", meta("mine", "unix:///somebody/elses"))
    environment = nowhere(DOCKER_CONFIG=str(tmp_path / "none"), DOCKER_CONTEXT="mine")
    said = program.complaint(program.run("tree", environment=environment, folder=tmp_path))
    assert said.startswith("There is no docker context 'mine'")


# -- images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["nobody/has", "registry.example.com:5000/team/app:1", "127.0.0.1:9/x@sha256:" + "0" * 64, "0" * 64],
)
def test_an_image_that_is_not_there(engine: Engine, busybox_base: str, name: str) -> None:
    said = program.complaint(program.run("analyze", name, environment=engine.environment))
    assert said.startswith(f"There is no image {name!r} in docker ")
    assert busybox_base in said


@pytest.mark.parametrize("name", ["Upper", "name:", "name:a:b", "-x/y", "docker-daemon:a b"])
def test_a_name_that_is_none(engine: Engine, name: str) -> None:
    words = ("analyze", "--", name) if name.startswith("-") else ("analyze", name)
    said = program.complaint(program.run(*words, environment=engine.environment))
    assert "is no image reference" in said


def test_another_platform(engine: Engine, busybox_base: str) -> None:
    done = program.run("analyze", busybox_base, "--platform", "linux/s390x", environment=engine.environment)
    assert program.complaint(done).startswith(f"{busybox_base} is not there for linux/s390x, only for linux/")


def test_an_image_removed_before_it_is_read(engine: Engine, busybox_base: str) -> None:
    name = engine.name("errors/gone:1")
    engine.build({"Dockerfile": f"FROM {busybox_base}\nRUN echo gone > /gone\n"}, name)
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        image = source.find(name)
        engine.docker("rmi", name)
        with pytest.raises(NotFoundError, match=f"^The engine at {engine.host} refused: .*[Nn]o such image"):
            list(source.index(image, Job()))


def test_a_layer_that_the_engine_itself_finds_damaged(busybox_base: str, engine: Engine) -> None:
    if not engine.own:
        missing("the engine's data is not ours to damage")
    name = engine.name("errors/damaged:1")
    engine.build({"Dockerfile": f"FROM {busybox_base}\nRUN echo something > /something\n"}, name)
    image = engine.client.images.get(name)
    upper = image.attrs["GraphDriver"]["Data"]["UpperDir"]
    Path(upper, "something").write_text("other")
    with contextlib.closing(EngineSource.connect(engine.host)) as source:
        source._stores = ()  # of its data root only metadata is read, which is as it was
        with pytest.raises(EngineError, match=f"^The engine at {engine.host} refused: "):
            list(source.index(source.find(name), Job()))
    engine.docker("rmi", "--force", name)


# the SDK, asked to clean up after an engine that is no more, leaves a socket to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_killed_in_mid_stream() -> None:
    try:
        with running_daemon() as host:
            pid = int(Path(host.removeprefix("unix://")).with_name("pid").read_text())
            name = load_large(host)
            with contextlib.closing(EngineSource.connect(host)) as source:
                image = source.find(name)
                source._stores = ()  # else no data would come from the engine

                def kill(done: int, total: int | None) -> None:
                    if done > 20_000_000:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

                before = set(threading.enumerate())
                with pytest.raises(EngineError) as caught:
                    list(source.index(image, Job(kill)))
                assert (
                    str(caught.value)
                    == f"The engine at {host} closed the connection; look whether it still runs."
                )
                assert set(threading.enumerate()) == before
            # and from now on there is none
            done = program.run("tree", environment=nowhere(DOCKER_HOST=host))
            assert program.complaint(done).startswith(
                f"No container engine answers at {host} (Connection refused)"
            )
    except DaemonError as error:
        missing(f"no engine of our own to kill: {error}")
    gc.collect()


def load_large(host: str) -> str:
    """Import 150 MB into an engine; gives the image's name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("large")
        entry.size = 150_000_000
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    with contextlib.closing(docker.DockerClient(host, timeout=120)) as client:
        client.api.import_image_from_data(buffer.getvalue(), repository="large", tag="1")
    return "large:1"
