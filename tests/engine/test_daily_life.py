"""A day with images, lived in imgscope alone: a real terminal (tmux), the real engine, a real registry."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.fresh import skopeo
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.terminal import Open, Terminal
from tests.support.terminal import terminal as terminal  # noqa: PLC0414 – a fixture
from tests.support.wait import wait_for

SIZE = (120, 40)


@pytest.fixture
def folder(tmp_path: Path, busybox_base: str) -> Path:
    """A server to be built."""
    made = tmp_path / "site"
    made.mkdir()
    (made / "Dockerfile").write_text(
        f"FROM {busybox_base}\nCOPY index.html data /srv/\nEXPOSE 8080\n"
        'CMD ["httpd", "-f", "-p", "8080", "-h", "/srv"]\n'
    )
    (made / "index.html").write_text("a page of mine\n")
    (made / "data").write_bytes(os.urandom(500_000))
    return made


@pytest.fixture
def engine_alone(empty_engine: Engine, busybox_base: str) -> Iterator[Engine]:
    """An engine with the base only, and nothing left in the build cache at the end."""
    yield empty_engine
    empty_engine.clear()


def type_in(it: Terminal, label: str, text: str, *keys: str) -> None:
    """Go to a field by these keys, and type in place of what it holds: that is selected."""
    it.until(label)
    it.press(*keys)
    it.tmux("send-keys", "-l", text)


def untick(it: Terminal, label: str) -> None:
    """Press space until the box is empty: the field before takes what is faster than a tab, and strips it."""
    while "[ ]" not in it.row(label):
        it.press("Space")
        with suppress(TimeoutError):
            wait_for("the box to change", lambda: "[ ]" in it.row(label), seconds=1)


def do(it: Terminal, *plan: str) -> None:
    """Read the plan, do it, read that it is done, and close."""
    it.until(*plan, "enter does it")
    it.press("Enter")
    with suppress(TimeoutError):
        wait_for("the beginning", lambda: "enter does it" not in it.text, seconds=1)
    if "enter does it" in it.text:  # so shortly after it appears a destructive plan takes no enter
        it.press("Enter")
    it.until("enter closes")
    it.press("Enter")
    it.until(gone="enter closes")


def names(engine: Engine) -> list[str]:
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return sorted(listed)


def test_a_day(
    terminal: Open, engine_alone: Engine, folder: Path, closed_registry: Registry, tmp_path: Path
) -> None:
    engine = engine_alone
    there = f"{closed_registry.host}/day/site:1"
    it = terminal("", engine.environment, SIZE)
    it.until("1 image", "busybox:base")

    # build: what the context sends, then the build, then the new image on its layers
    it.press("b")
    it.until("Build an image")
    type_in(it, "folder", str(folder))
    type_in(it, "name", "site:1", "Tab")
    it.until(str(folder)[-30:], "site:1")
    it.press("Enter")
    do(it, "Build site:1", "docker build")
    it.until("2 images", "▸ └─ site:1", "layers · site:1", "COPY index.html data /srv/", "efficiency")

    # run it, and see its container
    it.until("v changes/merged")  # the footer of the layers
    it.press("Escape")
    it.until("r run", gone="v changes/merged")  # the footer of the images; the cursor is on the new one
    it.press("r")
    it.until("Run site:1", "8080")
    type_in(it, "name", "page")
    type_in(it, "ports", "127.0.0.1::8080", "Tab", "Tab", "Tab")
    it.until("127.0.0.1::8080")
    it.press("Enter")
    row = it.row("Container page runs, 127.0.0.1:")
    port = row.partition("127.0.0.1:")[2].split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=10) as answer:
        assert answer.read() == b"a page of mine\n"
    it.until("enter closes")
    it.press("Enter")
    it.until(gone="enter closes")
    it.press("o")
    it.until("containers of site:1", "● page", "esc closes")
    it.press("d")
    it.until("container page is running", "f forces it")
    it.press("f")
    do(it, "Remove container page", "docker rm --force page")
    it.until("no container uses this image")
    it.press("Escape")
    it.until(gone="no container uses this image")

    # a name for the registry, a login, and there it goes
    it.press("t")
    it.until("Another name for site:1")
    type_in(it, "new name", there)
    it.until(there)
    it.press("Enter")
    do(it, f"Tag {there}")
    it.until(f"{there}, site:1")  # the list knows both names
    it.press("d")
    it.until("Remove names of an image that has 2", "it has")
    type_in(it, "names", "site:1")
    it.press("Enter")
    do(it, "untags", "site:1", "docker rmi site:1")
    it.until("day/site:1", gone="└─ site:1")
    it.press("L")
    it.until("Log in", "registry")
    type_in(it, "registry", closed_registry.host)
    type_in(it, "user name", USER, "Tab")
    type_in(it, "password", PASSWORD, "Tab")
    it.until("•" * len(PASSWORD))
    assert PASSWORD not in it.text
    it.press("Enter")
    it.until(f"Logged in to {closed_registry.host}", "enter closes")
    it.press("Enter")
    it.until(gone="enter closes")
    it.press("p")
    do(it, "docker push")
    digest = skopeo(there, "--creds", f"{USER}:{PASSWORD}")["Digest"]

    # away with it, and back again
    it.press("d")
    do(it, "deletes", "docker rmi")
    it.until("1 image", gone="day/site:1")
    assert names(engine) == ["busybox:base"]
    it.press("P")
    it.until("Pull an image")
    type_in(it, "image", there)
    it.until(there)
    it.press("Enter")
    do(it, "docker pull")
    it.until("2 images", "day/site:1")
    assert engine.client.images.get(there).attrs["RepoDigests"] == [f"{there.rpartition(':')[0]}@{digest}"]

    # what nothing uses
    engine.build({"Dockerfile": 'FROM busybox:base\nCMD ["true"]\n'}, "old:1")
    engine.docker("tag", "busybox:base", "old:1")  # and the one just built has no name any more
    it.until("<untagged>")
    it.press("x")
    it.until("Prune: what nothing uses", "[x]")
    it.press("Enter")
    do(it, "Prune", "docker")
    it.until("2 images", gone="<untagged>")
    assert engine.docker("images", "--quiet", "--filter", "dangling=true").stdout == ""
    it.press("q")
    it.check_restored(0)
    assert PASSWORD not in it.text


def test_a_terminal_lent_to_a_container_comes_back(terminal: Open, engine_alone: Engine) -> None:
    it = terminal("", engine_alone.environment, SIZE)
    it.until("layers · busybox:base", "r run")
    it.press("r")
    it.until("Run busybox:base", "in the background")
    it.press("Tab")
    untick(it, "in the background")
    it.press("Enter")
    it.until("docker run", "-it", "/ #")
    assert it.flag("alternate_on") == "0"
    it.tmux("send-keys", "-l", "echo $((6 * 7)) > /tmp/said; cat /tmp/said\n")
    it.until("42")
    it.tmux("send-keys", "-l", "exit\n")
    it.until("1 image", "busybox:base", "r run")
    assert it.flag("alternate_on") == "1"
    it.press("s")
    it.until("docker run", "--entrypoint", "/ #", gone="─ layers")
    it.tmux("send-keys", "-l", "exit\n")
    it.until("1 image", "r run")
    left = engine_alone.docker("ps", "--all", "--format", "{{.Status}}").stdout.split()
    assert left[:2] == ["Exited", "(0)"]  # that of run, which was to stay; the shell's is gone
    assert left.count("Exited") == 1
    it.press("q")
    it.check_restored(0)
