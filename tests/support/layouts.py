"""OCI layouts in folders: random ones, and what real tools say of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgscope.actions.layout import LayoutPrune, LayoutRemove, LayoutStore, LayoutTag
from imgscope.actions.plan import Action, Done, Event
from imgscope.images.model import Platform
from imgscope.job import Job
from tests.support import archives as made
from tests.support.archives import Descriptor, Layout, Made, Members
from tests.support.needs import require_tool
from tests.support.stacks import file, layer_tar

REF_NAME = "org.opencontainers.image.ref.name"


def layer(content: str) -> made.Blob:
    return made.gzipped(layer_tar([file("f", content * 50)]))


def image(*contents: str) -> Made:
    """An image of this host's platform with one small layer for each content."""
    return Made(tuple(map(layer, contents)), (), "linux", Platform.host().architecture)


def under(described: Descriptor, name: str) -> Descriptor:
    """A descriptor with a name as skopeo and umoci write it."""
    return {**described, "annotations": {**described.get("annotations", {}), REF_NAME: name}}


def write(members: Members, folder: Path) -> Path:
    """A layout in a folder."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        path.write_bytes(content)
    return folder


def path_of(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "/")


def simple(folder: Path) -> Path:
    """base:1 below app:1 and app:2, and one blob that nothing refers to."""
    layout = Layout()
    layout.blob(b"garbage" * 100, "")
    return write(
        layout.members(
            under(layout.image(image("base")), "base:1"),
            under(layout.image(image("base", "one")), "app:1"),
            under(layout.image(image("base", "two")), "app:2"),
        ),
        folder,
    )


def drawn(seed: int, folder: Path) -> Path:
    """A layout with nested indexes, attestations, artifacts, shared layers, several names, and garbage."""
    draw = random.Random(seed)
    layout = Layout()
    contents = [f"content {number}" for number in range(4)]
    described = [
        layout.image(image(*draw.sample(contents, draw.randint(0, 3)))) for _ in range(draw.randint(0, 5))
    ]
    described += [layout.artifact() for _ in range(draw.randint(0, 2))]
    for _ in range(draw.randint(0, 3)):
        inner = draw.sample(described, draw.randint(0, min(3, len(described))))
        described.append(layout.index(*inner, *[layout.attestation(item) for item in inner[:1]]))
    for number in range(draw.randint(0, 3)):
        layout.blob(bytes([number]) * draw.randint(0, 3000), "")
    top = []
    for number, item in enumerate(draw.choices(described, k=draw.randint(0, 6)) if described else []):
        top.append(under(item, f"image:{number}") if draw.random() < 0.8 else item)
    return write(layout.members(*top), folder)


def blobs(folder: Path) -> set[str]:
    """The digests of the files in blobs/."""
    return {f"{path.parent.name}:{path.name}" for path in folder.glob("blobs/*/*")}


def index(folder: Path) -> Any:
    return json.loads((folder / "index.json").read_bytes())


def listed(folder: Path) -> list[tuple[str, str]]:
    """(name, digest) of all that index.json lists, a name empty where there is none."""
    return [
        (item.get("annotations", {}).get(REF_NAME, ""), item["digest"]) for item in index(folder)["manifests"]
    ]


def disk_bytes(folder: Path) -> int:
    """Bytes of all files in blobs/, links not followed, hard links once."""
    sizes = {}
    for root, _, files in os.walk(folder / "blobs"):
        for name in files:
            status = os.lstat(os.path.join(root, name))
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def end(action: Action) -> Done:
    """Carry out an action; gives its end."""
    events: list[Event] = list(action.execute(Job()))
    last = events[-1]
    assert isinstance(last, Done)
    return last


def digest_of(folder: Path, name: str) -> str:
    """The digest that a name stands for."""
    return dict(listed(folder))[name]


def everything(folder: Path) -> dict[str, bytes]:
    """All files of a folder and their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def remove(folder: Path, *names: str, force: bool = False) -> LayoutRemove:
    return LayoutRemove(LayoutStore(folder), names, force)


def tag(folder: Path, source: str | None, target: str) -> LayoutTag:
    return LayoutTag(LayoutStore(folder), source, target)


def prune(folder: Path, *, force: bool = False) -> LayoutPrune:
    return LayoutPrune(LayoutStore(folder), force)


def umoci(*words: str | Path) -> str:
    done = subprocess.run([require_tool("umoci"), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def umoci_names(folder: Path) -> list[str]:
    return umoci("list", "--layout", folder).split()


def copied_by_skopeo(folder: Path, to: Path) -> Iterator[str]:
    """Copy every named image out of a layout, as skopeo checks it: each blob against its digest."""
    to.mkdir(exist_ok=True)
    for number, name in enumerate(umoci_names(folder)):
        words = ["copy", "--quiet", "--all", f"oci:{folder}:{name}", f"dir:{to}/{number}"]
        done = subprocess.run([require_tool("skopeo"), *words], capture_output=True, text=True)
        # skopeo knows no indexes in indexes
        assert done.returncode == 0 or "received a manifest list instead" in done.stderr, done.stderr
        yield name
