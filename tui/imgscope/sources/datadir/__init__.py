"""An engine's own folder, where it can be read: layers without `docker save`.

Which layout lies there is told by what the engine says of itself (GET /info). Nothing in the folder is
taken on trust alone: an image must be there under its id and with the layers that the engine names, and
each layer's metadata must fit its diff ID and its size. Whatever is in doubt, missing or not to be read is
left out without a word; the caller asks the engine for it instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from imgscope.config import is_read_only, may_use_internals
from imgscope.sources.base import LayerStore
from imgscope.sources.connection import Connection
from imgscope.sources.datadir.base import DataRoot
from imgscope.sources.datadir.classic import ClassicRoot

HINT = (
    "Faster: engine-internals = true in the settings lets imgscope read layer metadata by a container "
    "that is never started."
)
_NAME = re.compile("[a-z][a-z0-9-]*")


def layer_stores(connection: Connection, info: Mapping[str, Any], *, podman: bool) -> list[LayerStore]:
    """Where layers of an engine may be had without its streams, the quickest first.

    `info` is the engine's answer to GET /info. Raises `UsageError` for settings that are none.
    """
    stores: list[LayerStore] = []
    root = open_root(info, podman=podman)
    if root is not None and connection.where.startswith("unix://"):
        stores.append(root)
    if isinstance(root, ClassicRoot) and may_use_internals():
        from imgscope.sources.datadir.helper import HelperRoot

        stores.append(HelperRoot(connection, root))
    return stores


def hint(connection: Connection, info: Mapping[str, Any], *, podman: bool) -> str:
    """`HINT` where a setting would spare the person the engine's streams, else nothing.

    Raises `UsageError` for settings that are none.
    """
    root = open_root(info, podman=podman)
    if not isinstance(root, ClassicRoot) or may_use_internals() or is_read_only():
        return ""
    readable = os.access(f"{root.root}/image/{root.driver}/layerdb", os.R_OK | os.X_OK)
    return "" if readable and connection.where.startswith("unix://") else HINT


def open_root(info: Mapping[str, Any], *, podman: bool) -> DataRoot | None:
    """The data root of an engine on this machine, by its answer to GET /info; None where nothing is known."""
    root, driver = info.get("DockerRootDir"), info.get("Driver")
    if not (isinstance(root, str) and root.startswith("/")):
        return None
    if not (isinstance(driver, str) and _NAME.fullmatch(driver)):
        return None
    if podman:
        from imgscope.sources.datadir.podman import PodmanRoot

        return PodmanRoot(root, driver)
    status = driver_status(info)
    if status.get("driver-type") == "io.containerd.snapshotter.v1":
        from imgscope.sources.datadir.containerd import ContainerdRoot

        return ContainerdRoot(root)
    return ClassicRoot(root, driver, native=status.get("Native Overlay Diff") == "true")


def driver_status(info: Mapping[str, Any]) -> dict[str, str]:
    """What an engine says of its storage driver: pairs of words."""
    pairs = info.get("DriverStatus")
    pairs = pairs if isinstance(pairs, list) else []
    return {str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2}
