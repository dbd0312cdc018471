"""The real program in a real terminal (tmux), on the real daemon."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.terminal import SIZES, Open
from tests.support.terminal import terminal as terminal  # noqa: PLC0414 – a fixture
from tests.support.wait import wait_for


@pytest.fixture
def images(empty_engine: Engine, busybox_base: str) -> Engine:
    """An engine that holds a base and, on it, an image with a file that was removed too late."""
    dockerfile = f"""\
FROM {busybox_base}
RUN head -c 3000000 /dev/zero > /BigFile
RUN rm /BigFile
CMD ["sh"]
"""
    empty_engine.build({"Dockerfile": dockerfile}, "screen:big")
    return empty_engine


@pytest.mark.parametrize("size", SIZES)
def test_the_images_of_the_engine(terminal: Open, images: Engine, size: tuple[int, int]) -> None:
    it = terminal("", images.environment, size)
    it.until("docker", "2 images", "busybox:base", "└─ screen:big")
    assert it.alternate
    it.go_to("screen:big")
    assert " 3 MB ? " in it.row("└─ screen:big")
    assert "RUN rm /BigFile" in it.text
    it.until("enter reads the layers of")
    it.press("Enter")
    assert it.row("/BigFile", "stored by 2").endswith("3 MB /BigFile stored by 2, removed by 3")
    assert " 3 MB 3 MB " in it.row("└─ screen:big")
    it.press("Down", "Down")
    it.until("layer 2, changes · 3 MB")
    assert it.row("│+", "BigFile").endswith("3 MB dead")
    it.press("v")
    it.until("layers 1–2 merged")
    it.press("q")
    it.check_restored(0)


def test_an_image_by_its_name(terminal: Open, images: Engine) -> None:
    it = terminal("screen:big", images.environment)
    it.until("▸ └─ screen:big", "removed by 3", "efficiency")
    it.press("C-c")
    it.check_restored(130)


def test_a_new_size_while_an_image_is_read(terminal: Open, images: Engine) -> None:
    it = terminal("", images.environment)
    it.go_to("screen:big")
    it.press("Enter")
    for size in ((60, 20), (200, 50), (80, 24)):
        it.resize(*size)
    it.until("removed by 3", "efficiency")
    assert max(map(len, it.lines)) <= 80
    it.until("q quit")
    assert "q quit" in it.lines[23]
    it.press("q")
    it.check_restored(0)


def test_a_name_that_the_engine_does_not_have(terminal: Open, images: Engine) -> None:
    it = terminal("screen:small", images.environment)
    it.until("There is no image 'screen:small'", "└─ screen:big")
    it.press("q")
    it.check_restored(0)


def test_an_engine_of_no_images(terminal: Open, empty_engine: Engine) -> None:
    it = terminal("", empty_engine.environment)
    it.until("0 images", "no images here yet: pull or build one")
    it.press("Enter", "Tab", "v", "z", "q")
    it.check_restored(0)


@pytest.mark.parametrize("size", SIZES)
def test_the_demo(terminal: Open, size: tuple[int, int]) -> None:
    it = terminal("demo", size=size)
    it.until("demo images", "9 images", "bigfile:latest", "├─ golang:c", "efficiency")
    it.press("Enter", "Enter")
    it.until("BigFile", "dead")
    it.press("?")
    it.until("in this pane")
    it.press("Escape")
    it.until(gone="in this pane")
    it.press("q")
    it.check_restored(0)


def test_without_an_engine_the_demo_opens_and_says_how_to_connect_one(terminal: Open, tmp_path: Path) -> None:
    it = terminal("", {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none"})
    it.until("demo images shown", "Start Docker/Podman", "bigfile:latest", "efficiency")
    it.press("q")
    it.check_restored(0)


def test_an_engine_that_is_silent_keeps_nobody(terminal: Open, tmp_path: Path) -> None:
    """It takes the connection and never answers: the program can be left all the same."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/s")
        silent.listen()
        it = terminal("", {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/s"})
        it.until("looking for images")
        it.press("q")
        it.check_restored(0)


def test_leaving_before_the_demo_is_made_leaves_nothing(terminal: Open, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    it = terminal("demo", {**os.environ, "TMPDIR": str(temporary)})
    wait_for("the screen", lambda: it.alternate)
    it.press("q")
    it.check_restored(0)
    assert list(temporary.iterdir()) == []


def test_a_file_that_is_not_there(terminal: Open) -> None:
    it = terminal("./nosuch.tar")
    it.check_restored(2)
    assert it.row("imgscope:") == "imgscope: There is no file or folder ./nosuch.tar; check the path."
