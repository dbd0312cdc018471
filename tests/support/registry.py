"""A registry of the tests' own, on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import find_tool, missing
from tests.support.wait import wait_for


@dataclass(frozen=True)
class Registry:
    """A running registry, open to everyone, over plain HTTP."""

    host: str
    """`127.0.0.1:PORT`: what an image's name begins with."""
    folder: Path
    """Where it stores."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """Run docker-registry, storing in `folder`, for as long as the context lasts."""
    program = (
        find_tool("docker-registry") or find_tool("registry") or missing("docker-registry is not installed")
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    registry = Registry(host, folder / "data")
    config = folder / "config.yml"
    config.write_text(  # JSON is YAML
        json.dumps(
            {
                "version": 0.1,
                "storage": {
                    "filesystem": {"rootdirectory": str(registry.folder)},
                    "delete": {"enabled": True},
                },
                "http": {"addr": host},
            }
        )
    )
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def answers() -> bool:
        assert process.poll() is None, (
            f"docker-registry does not start: {log.read_text(errors='replace')[-500:]}"
        )
        with (
            contextlib.suppress(urllib.error.URLError),
            urllib.request.urlopen(f"{registry.url}/v2/") as answer,
        ):
            return bool(answer.status == 200)
        return False

    try:
        wait_for("an answer of docker-registry", answers)
        yield registry
    finally:
        process.terminate()
        process.wait(20)
