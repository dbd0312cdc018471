"""What tests of removals need: an engine that is theirs alone, a count of its disk, things to keep."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import bases
from tests.support.engine import Engine
from tests.support.needs import missing
from tests.support.wait import wait_for


@contextlib.contextmanager
def only_the_base(engine: Engine) -> Iterator[None]:
    """Nothing on the engine but the base image; afterwards all that came to it is gone."""
    _clear(engine)
    bases.busybox_base(engine)
    try:
        yield
    finally:
        _clear(engine)


def _clear(engine: Engine) -> None:
    engine.clear()
    engine.client.api.prune_builds(all=True)
    for network in engine.client.networks.list(filters={"type": "custom"}):
        network.remove()
    for volume in engine.client.volumes.list():
        volume.remove()


def on_disk(engine: Engine) -> int:
    """The bytes of all layers and of what containers wrote, counted in the engine's own folder."""
    root = Path(engine.client.info()["DockerRootDir"], "overlay2")
    if engine.client.info()["Driver"] != "overlay2" or not os.access(root, os.R_OK):
        missing(f"no overlay2 to look into at {root}")
    found: dict[tuple[int, int], int] = {}
    for layer in root.iterdir():
        if layer.name.endswith("-init"):  # what dockerd puts under each container: /etc/mtab and the like
            continue
        for folder, _, files in os.walk(layer / "diff"):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    stat = os.lstat(os.path.join(folder, name))
                    found[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(found.values())


def two_dangling(engine: Engine) -> list[str]:
    """Two dangling images that share a layer of 100,000 bytes and have one of 1,000 each."""
    base = engine.name("busybox:base")
    engine.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 100000 /dev/urandom > /big\n"}, "pair:big", "--no-cache"
    )
    ids = []
    for _ in range(2):
        step = "RUN head -c 1000 /dev/urandom > /small\n"
        ids.append(engine.build({"Dockerfile": f"FROM pair:big\n{step}"}, "pair:tip", "--no-cache"))
    engine.build({"Dockerfile": f"FROM {base}\nLABEL a=1\n"}, "pair:tip", "--no-cache")
    engine.docker("rmi", "pair:tip", "pair:big")
    return ids


def image_ids(engine: Engine) -> set[str]:
    return {item["Id"] for item in engine.client.api.images(all=True)}


@dataclass(frozen=True)
class Bystanders:
    """One thing of each kind that no prune may touch."""

    engine: Engine
    image: str
    container: str

    @classmethod
    def make(cls, engine: Engine) -> Bystanders:
        base = engine.name("busybox:base")
        image = engine.build({"Dockerfile": f"FROM {base}\nRUN echo 1 > /bystander\n"}, "bystander:1")
        engine.docker("network", "create", "bystander")
        engine.docker("volume", "create", "bystander")
        container = engine.docker(
            *("run", "-d", "--name", "bystander", "--network", "bystander", "-v", "bystander:/v"),
            *("bystander:1", "sh", "-c", "echo 1 > /v/x; echo ready; exec sleep 1000"),
        ).stdout.strip()
        wait_for("the bystander", lambda: engine.docker("logs", container).stdout)
        return cls(engine, image, container)

    def check(self) -> None:
        run = self.engine.docker
        assert run("inspect", "--format", "{{.State.Running}}", self.container).stdout.strip() == "true"
        assert run("image", "inspect", "--format", "{{.Id}}", "bystander:1").stdout.strip() == self.image
        run("network", "inspect", "bystander")
        assert run("exec", self.container, "cat", "/v/x").stdout == "1\n"
