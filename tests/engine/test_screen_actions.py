"""The keys of the screen on a real engine and real registries: what is done, and what the list then shows."""

from __future__ import annotations

import os
import urllib.request
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from imgscope.ui.screens import action as action_module
from imgscope.ui.screens import checklist
from imgscope.ui.screens.checklist import CleanScreen
from imgscope.ui.screens.containers import ContainersScreen
from imgscope.ui.screens.form import FormScreen
from imgscope.ui.widgets.containers import ContainerTable
from tests.support.engine import Engine
from tests.support.fresh import skopeo
from tests.support.registry import PASSWORD, USER, Registry
from tests.ui.dialogs import confirm, dialog, form, key, log_in, said, type_name
from tests.ui.driver import Screen, rows, screen

SERVER = 'CMD ["httpd", "-f", "-p", "8080", "-h", "/srv"]\nEXPOSE 8080\n'


@pytest.fixture
def ground(empty_engine: Engine, busybox_base: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine with the base and app:1 on it, that the screen finds by itself."""
    for name, value in empty_engine.environment.items():
        monkeypatch.setenv(name, value)
    for module in (action_module, checklist):  # the tests of the dialogs hold the guard
        monkeypatch.setattr(module, "GUARD", 0)
    build(empty_engine, "app:1", busybox_base)
    return empty_engine


def build(engine: Engine, name: str, base: str = "busybox:base", size: int = 300_000) -> str:
    """An image of the base and a file of its own."""
    files: dict[str, str | bytes] = {
        "Dockerfile": f"FROM {base}\nCOPY data /{uuid.uuid4()}\n",
        "data": os.urandom(size),
    }
    return engine.build(files, name)


@asynccontextmanager
async def engine_screen(*names: str) -> AsyncIterator[Screen]:
    """The screen on the engine, once it lists these images."""
    async with screen("", wait=False) as it:
        await shows(it, *names)
        yield it


async def shows(it: Screen, *names: str, gone: str = "\0") -> None:
    """Wait until the list has these names, and one no more."""

    def there() -> bool:
        text = "\n".join(rows(it.images, 200))
        return all(name in text for name in names) and gone not in text

    await it.until(f"{names} without {gone!r}", there)


async def go(it: Screen, name: str) -> None:
    await shows(it, name)
    it.images.focus()
    it.images.cursor = next(n for n, line in enumerate(rows(it.images, 200)) if name in line)
    await it.pilot.pause()


async def back(it: Screen) -> None:
    await it.until("no dialog", lambda: it.app.screen is it.main)


def tags(engine: Engine) -> list[str]:
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return sorted(listed)


def containers(engine: Engine) -> list[str]:
    return sorted(engine.docker("ps", "--all", "--format", "{{.Names}}").stdout.split())


async def test_tag(ground: Engine) -> None:
    async with engine_screen("app:1") as it:
        await go(it, "app:1")
        await key(it, "t")
        await type_name(it, "App:2")
        assert "App:2" in str((await form(it)).query_one("#form-note", Static).render())
        await type_name(it, "app:2")
        short = ground.docker("images", "--quiet", "app:1").stdout.strip()
        assert await confirm(it) == f"app:2 is {short} now"
        await shows(it, "app:1", "app:2")
        assert tags(ground) == ["app:1", "app:2", "busybox:base"]


async def test_remove_by_name_takes_that_name_only(ground: Engine) -> None:
    ground.docker("tag", "app:1", "app:2")
    async with engine_screen("app:1", "app:2") as it:
        for name, left in (("app:1", ["app:2", "busybox:base"]), ("app:2", ["busybox:base"])):
            await go(it, name)
            await key(it, "d")
            if len(left) > 1:  # it has two names still: the first is proposed
                await form(it)
                await key(it, "enter")
            assert name in await dialog(it, "enter does it")
            await confirm(it)
            await shows(it, "busybox:base", gone=name)
            assert tags(ground) == left


async def test_remove_of_marked_images(ground: Engine) -> None:
    build(ground, "app:2")
    async with engine_screen("app:1", "app:2") as it:
        for name in ("app:1", "app:2"):
            await go(it, name)
            await key(it, "space")
        await key(it, "d")
        assert "600 kB" in await dialog(it, "enter does it")
        assert "600 kB freed" in await confirm(it)
        await shows(it, "busybox:base", gone="app:")
        assert tags(ground) == ["busybox:base"]


async def test_a_container_in_the_way_is_removed_and_then_the_image(ground: Engine) -> None:
    ground.docker("run", "-d", "--name", "inway", "app:1", "sleep", "300")
    async with engine_screen("app:1") as it:
        await go(it, "app:1")
        await key(it, "d")
        assert "inway" in await dialog(it, "o shows the containers")
        await key(it, "o")
        await it.until("the list", lambda: isinstance(it.app.screen, ContainersScreen))
        table = it.app.screen.query_one(ContainerTable)
        await it.until("the container", lambda: "inway" in "".join(rows(table)))
        await key(it, "d")
        assert "inway is running" in await dialog(it, "f forces it")
        await key(it, "f")
        await confirm(it)
        await it.until("none", lambda: table.note == "no container uses this image" and not table.row_count)
        await key(it, "escape")
        await confirm(it)
        await shows(it, "busybox:base", gone="app:1")
        assert (containers(ground), tags(ground)) == ([], ["busybox:base"])


async def test_logs_and_stop_of_a_container(ground: Engine) -> None:
    ground.docker("run", "-d", "--name", "talks", "app:1", "sh", "-c", "echo it talks; exec sleep 300")
    async with engine_screen("app:1") as it:
        await go(it, "app:1")
        await key(it, "o")
        await it.until("the list", lambda: isinstance(it.app.screen, ContainersScreen))
        shown = it.app.screen
        table = shown.query_one(ContainerTable)
        await it.until("the container", lambda: "talks" in "".join(rows(table)))
        await key(it, "l")
        await dialog(it, "esc cancels")
        log = it.app.screen.query_one("RichLog")
        await it.until("its words", lambda: "it talks" in [line.text.strip() for line in log.lines])  # type: ignore[attr-defined]
        await key(it, "escape")
        await dialog(it, "esc closes")
        await key(it, "escape")
        await it.until("the list", lambda: it.app.screen is shown)
        assert ground.client.containers.get("talks").status == "running"


async def test_run_in_the_background_with_a_published_port(ground: Engine) -> None:
    ground.build(
        {"Dockerfile": f"FROM busybox:base\nCOPY index.html /srv/\n{SERVER}", "index.html": "it serves"},
        "web:1",
    )
    async with engine_screen("web:1") as it:
        await go(it, "web:1")
        await key(it, "r")
        fields = await form(it)
        assert "8080" in fields.query_one("#field-ports", Input).value
        fields.query_one("#field-name", Input).value = "served"
        fields.query_one("#field-ports", Input).value = "127.0.0.1::8080"
        await it.pilot.pause()
        await key(it, "enter")
        text = await dialog(it, "enter closes")
        assert text.startswith("Container served runs, 127.0.0.1:")
        address = text.partition("127.0.0.1:")[2].split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{address}/index.html", timeout=10) as answer:
            assert answer.read() == b"it serves"
        await key(it, "enter")
        await back(it)
        await it.until("its container", lambda: " 1 " in " ".join(rows(it.images, 120)).replace("  ", " "))
        assert containers(ground) == ["served"]


async def test_a_run_that_fails_is_a_sentence_and_leaves_nothing(ground: Engine) -> None:
    async with engine_screen("app:1") as it:
        await go(it, "app:1")
        await key(it, "r")
        fields = await form(it)
        fields.query_one("#field-command", Input).value = "/no/such"
        await it.pilot.pause()
        await key(it, "enter")
        assert await dialog(it, "esc closes") == (
            "There is no program /no/such in app:1; give another command."
        )
        assert containers(ground) == []


async def test_prune(ground: Engine) -> None:
    build(ground, "app:1")  # the first one has no name any more
    ground.docker("run", "--name", "over", "app:1", "true")
    async with engine_screen("<untagged>") as it:
        await key(it, "x")
        await form(it)
        await key(it, "enter")
        await confirm(it)
        await shows(it, "app:1", gone="<untagged>")
        dangling = ground.docker("images", "--quiet", "--filter", "dangling=true").stdout
        assert dangling == ""


async def test_clean_up(ground: Engine) -> None:
    build(ground, "app:1")
    ground.docker("run", "--name", "over", "app:1", "true")
    ground.docker("run", "--name", "wrote", "app:1", "sh", "-c", "echo hello > /hello")
    async with engine_screen("app:1", "<untagged>") as it:
        await key(it, "c")
        await it.until("the lines", lambda: isinstance(it.app.screen, CleanScreen))
        shown = it.app.screen
        await it.until("the sum", lambda: "are freed" in str(shown.query_one("#clean-sum", Static).render()))
        promise = str(shown.query_one("#clean-sum", Static).render()).partition(" are freed")[0]
        size = promise.partition("go, ")[2]
        await key(it, "enter")
        assert f"{size} freed" in await dialog(it, "enter closes")
        await key(it, "enter")
        await shows(it, "app:1", gone="<untagged>")
        assert containers(ground) == ["wrote"]


async def test_push_and_pull(ground: Engine, registry: Registry) -> None:
    name = f"{registry.host}/screen/app:1"
    ground.docker("tag", "app:1", name)
    ground.docker("rmi", "app:1")
    async with engine_screen(name) as it:
        await go(it, name)
        await key(it, "p")
        assert "docker push" in await dialog(it, "enter does it")
        await confirm(it)
        await back(it)
        digest = skopeo(name)["Digest"]
        await go(it, name)
        await key(it, "d")
        await confirm(it)
        await shows(it, "busybox:base", gone=name)
        await key(it, "P")
        await type_name(it, name)
        await confirm(it)
        await shows(it, name)
        assert ground.client.images.get(name).attrs["RepoDigests"] == [f"{name.rpartition(':')[0]}@{digest}"]


async def test_push_with_a_login_that_is_wrong_and_then_right(
    ground: Engine, closed_registry: Registry
) -> None:
    name = f"{closed_registry.host}/screen/app:1"
    ground.docker("tag", "app:1", name)
    ground.docker("rmi", "app:1")
    async with engine_screen(name) as it:
        await go(it, name)
        await key(it, "p")
        await confirm_or_fail(it)
        await log_in(it, closed_registry.host, USER, "wrong")
        assert "refused the login" in await dialog(it, "esc closes")
        await key(it, "escape")
        assert "refused the login" in await log_in(it, closed_registry.host, USER, PASSWORD)
        await dialog(it, "enter closes")
        await key(it, "enter")
        await confirm(it)
        await back(it)
        digest = skopeo(name, "--creds", f"{USER}:{PASSWORD}")["Digest"]
        assert digest.startswith("sha256:")
        await go(it, name)
        await key(it, "p")  # the login is remembered
        await confirm(it)
        await back(it)
    config = Path(os.environ["DOCKER_CONFIG"])
    assert not any(PASSWORD in path.read_text() for path in config.rglob("*") if path.is_file())


async def confirm_or_fail(it: Screen) -> None:
    """Do it as far as it goes: the plan asks the registry already, and may fail there."""

    def there() -> bool:
        query = it.app.screen.query("#action-keys")
        return (bool(query) and str(query.first(Static).render()) == "esc closes") or may_go()

    def may_go() -> bool:
        query = it.app.screen.query("#action-keys")
        return bool(query) and "enter does it" in str(query.first(Static).render())

    await it.until("a plan", there)
    if may_go():
        await key(it, "enter")
    await dialog(it, "esc closes")
    await key(it, "escape")


async def test_build_from_a_folder_opens_what_was_built(ground: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:base\nCOPY data /data\n")
    (tmp_path / "data").write_bytes(os.urandom(200_000))
    async with engine_screen("app:1") as it:
        await key(it, "b")
        fields = await form(it)
        fields.query_one("#field-folder", Input).value = str(tmp_path)
        fields.query_one("#field-tag", Input).value = "made:1"
        await it.pilot.pause()
        await key(it, "enter")
        assert "made:1" in await dialog(it, "enter does it")
        await confirm(it)
        await shows(it, "made:1")
        await it.until("its layers", lambda: it.main.analysis is not None)
        assert it.analysis.image.references == ("made:1",)
        await it.until("the focus", lambda: it.focused == "layers")
        assert it.images.node is not None
        assert it.images.node.references == ("made:1",)


async def test_a_build_that_fails_is_told(ground: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:base\nCOPY nothing /data\n")
    before = tags(ground)
    async with engine_screen("app:1") as it:
        await key(it, "b")
        fields = await form(it)
        fields.query_one("#field-folder", Input).value = str(tmp_path)
        await it.pilot.pause()
        await key(it, "enter")
        await dialog(it, "enter does it")
        await key(it, "enter")
        assert "nothing" in await dialog(it, "esc closes")
        assert tags(ground) == before


async def test_what_changes_elsewhere_is_seen(ground: Engine) -> None:
    async with engine_screen("app:1") as it:
        ground.docker("tag", "app:1", "elsewhere:1")
        await shows(it, "elsewhere:1")
        ground.docker("rmi", "elsewhere:1")
        await shows(it, "app:1", gone="elsewhere:1")
        ground.docker("run", "-d", "--name", "outside", "app:1", "sleep", "300")
        await go(it, "app:1")
        await it.until(
            "its container",
            lambda: (
                any(node.image and node.image.containers for node in it.images.forest.nodes.values())
                if it.images.forest
                else False
            ),
        )


async def test_read_only_lists_containers_and_changes_nothing(
    ground: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    ground.docker("run", "-d", "--name", "stays", "app:1", "sleep", "300")
    before = tags(ground)
    async with engine_screen("app:1") as it:
        await go(it, "app:1")
        for number, name in enumerate("rstpPbdxcL"):
            await key(it, name)
            assert len(said(it)) == number + 1, name
            assert it.app.screen is it.main
        await key(it, "o")
        await it.until("the list", lambda: isinstance(it.app.screen, ContainersScreen))
        table = it.app.screen.query_one(ContainerTable)
        await it.until("the container", lambda: "stays" in "".join(rows(table)))
        await key(it, "d")
        assert isinstance(it.app.screen, ContainersScreen)
        assert not isinstance(it.app.screen, FormScreen)
    assert (tags(ground), containers(ground)) == (before, ["stays"])
