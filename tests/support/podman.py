"""Podman's service of the tests' own, and its command line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.needs import PATH, missing, require_tool
from tests.support.wait import wait_for


@dataclass(frozen=True)
class Podman:
    folder: Path
    command: list[str]

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/s"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**kept, "PATH": PATH, "DOCKER_HOST": self.host, "TMPDIR": str(self.folder)}

    def __call__(self, *words: str | Path) -> str:
        done = subprocess.run(
            [*self.command, *words], env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout.strip()

    def inspect(self, name: str, what: str) -> str:
        return self("image", "inspect", "--format", f"{{{{.{what}}}}}", name)


@contextlib.contextmanager
def running_podman(driver: str = "vfs") -> Iterator[Podman]:
    """Podman's service with a storage of its own, in a temporary folder: short, for a socket's path.

    The storage driver vfs works everywhere and mounts nothing.
    """
    command = require_tool("podman")
    if os.geteuid() != 0:
        missing("podman needs root for a storage of its own")
    with tempfile.TemporaryDirectory(prefix="imgscope-podman-") as name:
        folder = Path(name)
        options = {
            "root": f"{folder}/root",
            "runroot": f"{folder}/run",
            "tmpdir": f"{folder}/tmp",
            "storage-driver": driver,
            "cgroup-manager": "cgroupfs",
            "events-backend": "file",
        }
        flags = [word for option, value in options.items() for word in (f"--{option}", value)]
        podman = Podman(folder, [command, *flags])
        with (folder / "log").open("wb") as log:
            service = subprocess.Popen(
                [*podman.command, "system", "service", "--time", "0", podman.host],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=podman.environment,
            )

        def answers() -> bool:
            if service.poll() is not None:
                missing(f"podman's service does not start: {(folder / 'log').read_text()[-500:]}")
            return (folder / "s").exists()

        try:
            wait_for("podman's socket", answers)
            yield podman
        finally:
            service.terminate()
            service.wait(20)
            # overlay's folder is a mount of itself
            subprocess.run(
                ["umount", f"{folder}/root/{driver}"], env=podman.environment, stderr=subprocess.DEVNULL
            )
