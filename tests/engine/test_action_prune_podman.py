"""Prune and clean up on Podman's Docker-compatible API, which differs in what it tells and refuses."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgscope.actions.clean import CleanUp
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Said
from imgscope.actions.prune import KINDS, Kind, Prune
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program
from tests.support.needs import require_tool
from tests.support.podman import Podman, running_podman


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """Podman's service with a storage of its own."""
    with running_podman() as podman:
        yield podman


@pytest.fixture
def ours(podman: Podman) -> Iterator[Engine]:
    """Podman as the actions see it, with nothing left on it afterwards."""
    with contextlib.closing(EngineSource.connect(podman.host)) as source:
        yield Engine(source)
    podman("rm", "--all", "--force")
    podman("rmi", "--all", "--force")
    podman("volume", "prune", "--force")
    podman("network", "prune", "--force")


def build(podman: Podman, folder: Path, tag: str, *steps: str) -> str:
    """An image of busybox and some steps that run nothing; gives its id."""
    shutil.copy(require_tool("busybox"), folder / "busybox")
    (folder / "Dockerfile").write_text("\n".join(["FROM scratch", "COPY busybox /bin/true", *steps]))
    podman("build", "--isolation", "chroot", "--layers", "--tag", tag, folder)
    return f"sha256:{podman.inspect(tag, 'Id')}"


def run(action: Prune | CleanUp) -> tuple[list[str], Done]:
    *said, done = action.execute(Job())
    assert isinstance(done, Done)
    return [event.text for event in said if isinstance(event, Said)], done


def images(podman: Podman) -> set[str]:
    return {f"sha256:{line}" if ":" not in line else line for line in _lines(podman, "images", "--all")}


def _lines(podman: Podman, *words: str) -> list[str]:
    return podman(*words, "--quiet", "--no-trunc").split()


def test_dangling_images(podman: Podman, ours: Engine, tmp_path: Path) -> None:
    old = build(podman, tmp_path, "app:1", "LABEL a=1", "COPY Dockerfile /x")
    new = build(podman, tmp_path, "app:1", "LABEL b=1")
    prune = Prune(ours, ["dangling"])
    plan = prune.describe()
    assert old in plan.deletes
    assert new not in plan.deletes
    assert "does not count the bytes of its layers" in plan.lines[-1]
    _, done = run(prune)
    assert done.freed is None  # unknown, and not 0
    assert "this engine does not say what that freed" in done.text
    assert set(done.deleted) == set(plan.deletes)
    left = images(podman)
    assert old not in left
    assert new in left


def test_all_kinds_at_once(podman: Podman, ours: Engine, tmp_path: Path) -> None:
    """No build cache is there to prune, and the engine's own network stays."""
    image = build(podman, tmp_path, "app:1", "LABEL a=1")
    podman("tag", "app:1", "other:1")
    podman("create", "--name", "gone", "--volume", "data:/d", "app:1", "/bin/true")
    podman("network", "create", "nobodys")
    prune = Prune(ours, KINDS)
    plan = prune.describe()
    assert image in plan.deletes
    assert {"localhost/app:1", "localhost/other:1"} <= set(plan.untags)
    assert "data" in plan.deletes
    said, done = run(prune)
    assert not [line for line in said if line.startswith("Kept ")]
    assert set(plan.deletes) == set(done.deleted)
    assert podman("ps", "--all", "--quiet") == ""
    assert podman("volume", "ls", "--quiet") == ""
    assert podman("network", "ls", "--format", "{{.Name}}") == "podman"
    assert images(podman) == set()


def test_what_a_container_needs_stays(podman: Podman, ours: Engine, tmp_path: Path) -> None:
    image = build(podman, tmp_path, "app:1", "LABEL a=1")
    podman("network", "create", "needed")
    podman("create", "--name", "waits", "--network", "needed", "--volume", "data:/d", "app:1", "/bin/true")
    kinds: list[Kind] = ["images", "networks", "volumes", "cache", "dangling"]
    assert Prune(ours, kinds).describe().empty
    cleanup = CleanUp(ours)
    lines = {line.key: line.ticked for line in cleanup.lines()}
    assert lines == {"containers-created": False}
    assert image in images(podman)


def test_what_changed_since_the_plan_is_kept(podman: Podman, ours: Engine, tmp_path: Path) -> None:
    build(podman, tmp_path, "app:1", "LABEL a=1")
    for name in ("first", "second"):
        podman("volume", "create", name)
        podman("network", "create", name)
    prune = Prune(ours, ["images", "networks", "volumes"])
    assert not prune.describe().empty
    podman("create", "--name", "waits", "--network", "first", "--volume", "first:/d", "app:1", "/bin/true")
    said, done = run(prune)
    assert len([line for line in said if line.startswith("Kept ")]) == 3
    assert "Kept image localhost/app:1 (" in done.text
    assert podman("volume", "ls", "--quiet") == "first"
    assert "first" in podman("network", "ls", "--format", "{{.Name}}").split()
    podman("image", "inspect", "app:1")


def test_command_line(podman: Podman, ours: Engine, tmp_path: Path) -> None:
    old = build(podman, tmp_path, "app:1", "LABEL a=1")
    build(podman, tmp_path, "app:1", "LABEL b=1")
    told = program.answer("prune", "--dry-run", environment=podman.environment)
    assert old in told["deletes"]
    done = program.run("clean", "--yes", "--json", environment=podman.environment)
    assert done.returncode == 0, done.stderr
    assert old in json.loads(done.stdout)["deletes"]
    assert old not in images(podman)
