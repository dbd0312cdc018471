"""The container engine that the tests talk to, and its command line."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
import requests

from tests.support.daemon import DaemonError, running_daemon
from tests.support.needs import PATH, missing

# A test may set DOCKER_HOST for itself: what counts is what the run began with.
GIVEN_HOST = os.environ.get("DOCKER_HOST")


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    host: str
    """The value for DOCKER_HOST: `unix:///…/s`."""
    client: docker.DockerClient
    folder: Path
    """A folder for this run; holds the DOCKER_CONFIG of the command line."""
    prefix: str
    """What the tests' image names begin with: nothing on a daemon of our own, else something unique."""

    @property
    def own(self) -> bool:
        """Whether the tests started it, so that nobody else's images are on it."""
        return not self.prefix

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a program that should find this engine and no settings of the person's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**kept, "PATH": PATH, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.folder / "config")}

    def name(self, name: str) -> str:
        """`name` as an image name that is the tests' own on this engine."""
        return self.prefix + name

    def docker(
        self, *arguments: str | Path, input: str | bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker command line. Where `check`, a failure is an `AssertionError`."""
        return self._run([_command_line(self.environment)[0], *arguments], {}, input, check)

    def build(
        self,
        context: Path | Mapping[str, str | bytes],
        tag: str,
        *arguments: str,
        buildkit: bool = False,
    ) -> str:
        """Build a folder, or files by path (a Dockerfile among them); gives the image's ID.

        By the classic builder, or by BuildKit. RUN has the machine's own network, for ours leads nowhere.
        """
        if not isinstance(context, Path):
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                for path, content in context.items():
                    target = Path(folder, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.encode() if isinstance(content, str) else content)
                return self.build(Path(folder), tag, *arguments, buildkit=buildkit)
        command, has_buildkit = _command_line(self.environment)
        if buildkit and not has_buildkit:
            missing("docker buildx is not installed")
        self._run(
            [command, "build", "--quiet", "--network", "host", "--tag", tag, *arguments, context],
            {"DOCKER_BUILDKIT": str(int(buildkit))},
        )
        return self.docker("image", "inspect", "--format", "{{.Id}}", tag).stdout.strip()

    def clear(self) -> None:
        """Remove the containers and images of the tests."""
        if self.own:
            for container in self.client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True, v=True)
            self.client.images.prune(
                filters={"dangling": False}
            )  # the unused ones too, not only the untagged
        else:
            ours = ["images", "--format", "{{.Repository}}:{{.Tag}}", f"{self.prefix}*"]
            if names := self.docker(*ours).stdout.split():
                self.docker("rmi", "--force", *names, check=False)

    def _run(
        self,
        command: list[str | Path],
        extra: Mapping[str, str],
        input: str | bytes | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            input=input.encode() if isinstance(input, str) else input or b"",
            env={**self.environment, **extra},
            capture_output=True,
            timeout=300,
        )
        result = subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check:
            assert result.returncode == 0, f"{' '.join(map(str, command))}: {result.stderr}{result.stdout}"
        return result


@contextlib.contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """A daemon of our own where one can be started, else the engine that DOCKER_HOST names.

    `folder` is empty, and the tests' to fill.

    Where neither is to be had, the test is skipped (or fails) with the reason.
    """
    with contextlib.ExitStack() as stack:
        try:
            host, prefix = stack.enter_context(running_daemon()), ""
        except DaemonError as error:
            if not GIVEN_HOST:
                missing(f"no engine: {error}, and DOCKER_HOST is not set")
            host, prefix = GIVEN_HOST, f"imgscope-test-{uuid.uuid4().hex[:8]}-"
        (folder / "config").mkdir()
        client = docker.DockerClient(host, timeout=120)
        stack.callback(client.close)
        try:
            client.ping()
        except (docker.errors.DockerException, requests.RequestException) as error:
            missing(f"no engine: {host}, from DOCKER_HOST, does not answer: {error}")
        engine = Engine(host, client, folder, prefix)
        stack.callback(engine.clear)
        yield engine


def _command_line(environment: Mapping[str, str]) -> tuple[str, bool]:
    """The docker command to use, and whether it builds with BuildKit: rather one that does.

    Up to version 20.10 it had BuildKit inside; since then only with the buildx plugin.
    """
    first = None
    for folder in PATH.split(os.pathsep):
        command = f"{folder}/docker"
        if not os.access(command, os.X_OK):
            continue
        first = first or command
        said = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
        version = re.search(r"version (\d+)", said)
        buildx = [command, "buildx", "version"]
        if (version and int(version[1]) <= 20) or not subprocess.run(
            buildx, env=environment, capture_output=True
        ).returncode:
            return command, True
    return first or missing("docker, the command line, is not installed"), False
