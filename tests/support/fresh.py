"""New images, and what a registry has of them."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from typing import Any

from tests.support.engine import Engine
from tests.support.needs import require_tool

MIB = 1 << 20


class Images:
    """Images whose content no engine and no registry has seen."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.names: list[str] = []

    def build(self, name: str, size: int = MIB, base: str = "scratch") -> str:
        """An image with a layer of random bytes of its own. Gives its id."""
        self.names.append(name)
        dockerfile = f"FROM {base}\nCOPY data /{uuid.uuid4()}\n"
        return self.engine.build({"Dockerfile": dockerfile, "data": os.urandom(size)}, name)

    def tag(self, source: str, name: str) -> None:
        """One more name."""
        self.names.append(name)
        self.engine.docker("tag", source, name)

    def diff_ids(self, name: str) -> list[str]:
        """Of its layers, the lowest first."""
        found: list[str] = self.engine.client.images.get(name).attrs["RootFS"]["Layers"]
        return found

    def remove(self) -> None:
        """All that were made, and what was made to have their names."""
        self.engine.docker("rmi", "--force", *self.names, check=False)


def skopeo(name: str, *words: str) -> Any:
    """What skopeo says of an image in a registry."""
    command = [require_tool("skopeo"), "inspect", "--tls-verify=false", *words, f"docker://{name}"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def layer_sizes(name: str) -> list[int]:
    """The bytes of the layers in a registry, as they are stored."""
    return [layer["size"] for layer in skopeo(name, "--raw")["layers"]]
