"""The engine tests' own environment: what the other tests here rely on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import DaemonError, running_daemon
from tests.support.engine import Engine
from tests.support.needs import missing, require_tool
from tests.support.registry import Registry
from tests.support.wait import wait_for


@pytest.mark.parametrize("buildkit", [False, True])
def test_builds_run_commands(engine: Engine, busybox_base: str, buildkit: bool) -> None:
    name = engine.name(f"built:{buildkit}")
    dockerfile = f"FROM {busybox_base}\nCOPY a /a\nRUN cat /a /a > /b\n"
    built = engine.build({"Dockerfile": dockerfile, "a": "x"}, name, buildkit=buildkit)
    assert engine.client.images.get(name).id == built
    assert engine.docker("run", "--rm", "--network", "none", name, "cat", "/b").stdout == "xx"
    # Only the classic builder says which image it went on from.
    assert bool(engine.client.images.get(name).attrs["Parent"]) is not buildkit


def test_published_port_answers(engine: Engine, busybox_base: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = ["nc", "-l", "-p", "80", "-e", "echo", "hello"]
    started = engine.docker("run", "-d", "-p", f"127.0.0.1:{port}:80", busybox_base, *serve).stdout.strip()

    def answer() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(100)

    try:
        assert wait_for("an answer from the container", answer) == b"hello\n"
        engine.docker("wait", started)  # dockerd takes ten seconds to kill what is just ending
    finally:
        engine.docker("rm", "--force", started)


def test_debian_base_has_apt(engine: Engine, debian_base: str) -> None:
    said = engine.docker("run", "--rm", "--network", "none", debian_base, "apt-get", "--version").stdout
    assert said.startswith("apt ")


def test_push_and_pull(engine: Engine, busybox_base: str, registry: Registry) -> None:
    name = f"{registry.host}/some/busybox:1"
    engine.docker("tag", busybox_base, name)
    engine.docker("push", name)
    told = subprocess.run(
        [require_tool("skopeo"), "inspect", "--tls-verify=false", f"docker://{name}"],
        capture_output=True,
        check=True,
    )
    assert json.loads(told.stdout)["RepoTags"] == ["1"]
    engine.docker("rmi", name)
    engine.docker("pull", name)
    assert engine.client.images.get(name).id == engine.client.images.get(busybox_base).id
    engine.docker("rmi", name)


def test_empty_engine_is_empty(empty_engine: Engine) -> None:
    assert empty_engine.client.images.list(all=True) == []
    assert empty_engine.client.containers.list(all=True) == []


def test_a_daemon_goes_without_a_trace(engine: Engine, busybox_base: str, tmp_path: Path) -> None:
    def traces() -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        lines += [path.name for path in Path("/sys/class/net").iterdir()]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # one that just ended
                lines.append(os.fsdecode(path.read_bytes().replace(b"\0", b" ")))
        return [line for line in lines if folder in line or bridge in line or sleep in line]

    sleep = f"sleep {1_000_000 + os.getpid()}"
    if not engine.own:
        missing("the tests have no daemon of their own")
    saved = tmp_path / "saved.tar"
    engine.docker("save", "--output", saved, busybox_base)
    with running_daemon() as host:  # beside the one that runs
        folder = host.removeprefix("unix://").removesuffix("/s")
        bridge = "imgscope" + folder.rpartition("-")[2]
        other = Engine(host, engine.client, engine.folder, prefix="")
        other.docker("load", "--input", saved)
        other.docker("run", "--detach", busybox_base, *sleep.split())
        found = "\n".join(traces())
        assert all(word in found for word in ("dockerd", "containerd-shim", f"{folder}/data", bridge, sleep))
    assert not Path(folder).exists()
    assert traces() == []
    assert engine.client.ping()


def test_no_daemon_without_dockerd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.daemon.find_tool", lambda name: None)
    with pytest.raises(DaemonError, match="dockerd"), running_daemon():
        pass
