"""A dockerd of the tests' own: started in a temporary folder, and gone without a trace.

It shares nothing with an engine that the machine may run: its own folders, socket, containerd namespace
and bridge. iptables, which all daemons of a machine share and each of them rewrites, it leaves alone;
published ports work all the same, through docker-proxy.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import requests

from tests.support.needs import PATH, find_tool
from tests.support.wait import wait_for

FOLDER = "imgscope-{pid}-"  # named after the process that cleans it up, so that the next one can tell


class DaemonError(Exception):
    """The daemon does not start here; says why."""


@contextlib.contextmanager
def running_daemon() -> Iterator[str]:
    """Run dockerd for as long as the context lasts; gives the value for DOCKER_HOST.

    Needs root on Linux. Raises `DaemonError` where dockerd or what it needs is missing.
    """
    if os.geteuid() != 0:
        raise DaemonError("dockerd needs root")
    if lacking := [tool for tool in ("dockerd", "ip", "setpriv") if find_tool(tool) is None]:
        raise DaemonError(f"not installed: {', '.join(lacking)}")
    _sweep()
    # Short, for a socket's path holds 107 bytes.
    folder = Path(tempfile.gettempdir(), FOLDER.format(pid=os.getpid()) + secrets.token_hex(3))
    folder.mkdir(mode=0o700)
    log = folder / "log"
    try:
        with _start(folder, log) as daemon:
            try:
                _wait_for_answer(folder, daemon, log)
                yield f"unix://{folder}/s"
            finally:
                _stop(folder)
                daemon.terminate()
    finally:
        _remove(folder)


def _start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    settings = {
        "hosts": [f"unix://{folder}/s"],
        "data-root": f"{folder}/data",
        "exec-root": f"{folder}/exec",
        "pidfile": f"{folder}/pid",
        "containerd-namespace": folder.name,
        "containerd-plugins-namespace": f"{folder.name}-plugins",
        "bridge": _make_bridge(folder),
        "iptables": False,
        "ip6tables": False,
        "ip-masq": False,
        "ip-forward": False,
        "shutdown-timeout": 1,
    }
    config = folder / "daemon.json"  # in place of the machine's own in /etc/docker
    config.write_text(json.dumps(settings))
    with log.open("wb") as output:
        # Should the tests be killed, the daemon ends as well. A session of its own keeps ctrl-C from it:
        # the fixture that started it ends it.
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "dockerd", "--config-file", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PATH": PATH, "TMPDIR": str(folder)},
        )


def _wait_for_answer(folder: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        if daemon.poll() is not None:
            raise DaemonError(f"dockerd does not start: {_last_words(log)}")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{folder}/s")
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(100)
        return False

    try:
        wait_for("an answer of dockerd", answers, seconds=60)
    except TimeoutError as error:
        raise DaemonError(f"{error}; its last words: {_last_words(log)}") from None


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "none")


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["ip", *arguments], env={**os.environ, "PATH": PATH}, capture_output=True, text=True
    )
    if check and done.returncode:
        raise DaemonError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _bridge_name(folder: Path) -> str:
    return "imgscope" + folder.name.rpartition("-")[2]  # 14 characters, of 15 at most


def _make_bridge(folder: Path) -> str:
    bridge = _bridge_name(folder)
    used = _ip("-4", "-oneline", "address") + _ip("-4", "-oneline", "route")
    # Any, for another test process may choose at the same moment; none that the machine has.
    subnets = (f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}" for _ in itertools.count())
    subnet = next(subnet for subnet in subnets if f" {subnet}." not in used)
    _ip("link", "add", bridge, "type", "bridge")
    _ip("address", "add", f"{subnet}.1/24", "dev", bridge)
    _ip("link", "set", bridge, "up")
    return bridge


def _stop(folder: Path) -> None:
    """Have dockerd remove its containers, as far as it still can: then it ends at once."""
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        client = docker.DockerClient(f"unix://{folder}/s", timeout=20)
        with contextlib.closing(client):
            for container in client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True, v=True)


def _remove(folder: Path) -> None:
    """End all that runs in the folder, unmount all that is mounted there, and remove it."""
    wait_for(f"the end of the processes of {folder}", lambda: not _kill(folder), seconds=20)
    for mount in reversed(_mounts(folder)):
        subprocess.run(["umount", "--lazy", mount])
    shutil.rmtree(folder)
    _ip("link", "delete", _bridge_name(folder), check=False)


def _kill(folder: Path) -> bool:
    """Kill the processes whose command line names the folder, and their children; whether there were any.

    These are dockerd, its containerd, and the shims with what runs in the containers.
    """
    parents: dict[int, int] = {}
    doomed: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent, *_ = (process / "stat").read_text().rpartition(") ")[2].split()
            if state != "Z":
                parents[int(process.name)] = int(parent)
                if f"{folder}/".encode() in (process / "cmdline").read_bytes():
                    doomed.add(int(process.name))
    while children := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= children
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(doomed)


def _mounts(folder: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]


def _sweep() -> None:
    """Remove what test runs left that were killed before they could clean up."""
    for folder in Path(tempfile.gettempdir()).glob(FOLDER.format(pid="[0-9]*") + "*"):
        match = re.fullmatch(r"imgscope-(\d+)-[0-9a-f]{6}", folder.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            _remove(folder)
