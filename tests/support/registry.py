"""A registry of the tests' own, on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.needs import find_tool, missing, require_tool
from tests.support.wait import wait_for

USER = "ann"
PASSWORD = "correct-horse-2718"


@dataclass
class Registry:
    """A registry, over plain HTTP: open to everyone, or to who has a password."""

    host: str
    """`127.0.0.1:PORT`: what an image's name begins with."""
    folder: Path
    """Where it stores."""
    _config: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    @property
    def stored(self) -> int:
        """Bytes of all blobs that it stores."""
        return sum(path.stat().st_size for path in self.folder.glob("docker/registry/v2/blobs/*/*/*/data"))

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Run it, on the same port with the same content each time."""
        program = (
            find_tool("docker-registry")
            or find_tool("registry")
            or missing("docker-registry is not installed")
        )
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "serve", self._config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for("an answer of docker-registry", self._answers)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def pause(self) -> None:
        """Have it say nothing more, with its connections open."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    @property
    def _log(self) -> Path:
        return self._config.with_name("log")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"docker-registry does not start: {self.log[-500:]}"
        try:
            with urllib.request.urlopen(f"{self.url}/v2/") as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401  # it wants a login: it runs
        except urllib.error.URLError:
            return False


@contextlib.contextmanager
def running_registry(folder: Path, users: Mapping[str, str] | None = None) -> Iterator[Registry]:
    """Run docker-registry, storing in `folder`, for as long as the context lasts.

    With `users` (name → password) it answers only to them.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    registry = Registry(host, folder / "data", folder / "config.yml")
    settings: dict[str, object] = {
        "version": 0.1,
        "storage": {
            "filesystem": {"rootdirectory": str(registry.folder)},
            "delete": {"enabled": True},
        },
        "http": {"addr": host},
    }
    if users:
        passwords = folder / "htpasswd"
        passwords.write_text("".join(_htpasswd(*user) for user in users.items()))
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
    try:
        registry.start()
        yield registry
    finally:
        registry.kill()


def _htpasswd(user: str, password: str) -> str:
    """One line of a password file, with bcrypt: the only kind that docker-registry reads."""
    command = [require_tool("htpasswd"), "-niB", "-C", "4", user]
    return (
        subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()
        + "\n"
    )
