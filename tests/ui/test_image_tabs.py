"""The tabs of an image that are read from its documents: config, manifest, Dockerfile, containers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from rich.cells import cell_len

from imgscope.actions.containers import Use
from imgscope.actions.inventory import Container
from imgscope.errors import EngineError
from imgscope.images.documents import Document, Kind, file_document
from imgscope.images.model import Image, Layer
from imgscope.job import Job
from imgscope.ui import loader, messages
from imgscope.ui.screens.viewer import ViewerScreen
from imgscope.ui.widgets import containers
from imgscope.ui.widgets.config import ConfigTab
from imgscope.ui.widgets.containers import ContainersTab
from imgscope.ui.widgets.dockerfile import DockerfileTab
from imgscope.ui.widgets.lines import Lines
from imgscope.ui.widgets.manifest import ManifestTab
from tests.support import archives as made
from tests.support.archives import Made
from tests.support.stacks import file, layer_tar
from tests.ui.driver import FakeSource, Screen, drawn, index, row, rows, screen, style, write_layout
from tests.ui.test_hostile import NASTY

P = TypeVar("P", bound=Lines)
CONFIG, MANIFEST, DOCKERFILE, CONTAINERS = "3", "4", "5", "6"


async def tab(it: Screen, key: str, kind: type[P]) -> P:
    """The pane of a tab, shown by its key."""
    await it.press(key)
    pane = it.main.query_one(kind)
    assert pane.display
    pane.enter()
    await it.settle()
    return pane


def words(pane: Lines) -> list[str]:
    return [" ".join(line.split()) for line in rows(pane, 120)]


# -- config -------------------------------------------------------------------------------------------


async def test_the_config_of_an_image() -> None:
    async with screen("demo:rails-4.2:d") as it:
        pane = await tab(it, CONFIG, ConfigTab)
        shown = words(pane)
        assert "runs runs rails server -b 0.0.0.0" in shown
        assert 'cmd ["rails", "server", "-b", "0.0.0.0"]' in shown
        assert "user ! root (none is set)" in shown
        assert "environment PATH /usr/local/sbin" in shown
        assert "network, disk ports 3000/tcp" in shown
        assert shown.count("platform linux/amd64") == 1
        assert pane.title == ("config", "1 to look at (!)")


async def test_a_value_opens_whole() -> None:
    async with screen("demo:rails-4.2:d") as it:
        pane = await tab(it, CONFIG, ConfigTab)
        pane.cursor = words(pane).index("environment PATH /usr/local/sbin") + 2
        assert pane.copies() == [("value", "/usr/sbin"), ("name", "PATH")]
        await it.press("enter")
        assert isinstance(it.app.screen, ViewerScreen)
        await it.press("escape")
        assert it.focused == "config"


async def test_another_image_is_read_anew_and_the_cursor_stays_for_the_same() -> None:
    async with screen() as it:
        await it.open("golang:c")
        pane = await tab(it, CONFIG, ConfigTab)
        assert "runs runs go version" in words(pane)
        pane.cursor = 4
        await it.press("f5")
        assert pane.cursor == 4
        await it.open("kuard:blue")
        assert it.main.query_one(ConfigTab).cursor == 0
        assert "runs runs /kuard" in words(pane)


# -- manifest -----------------------------------------------------------------------------------------


async def test_the_documents_of_an_image() -> None:
    async with screen("demo:golang:c") as it:
        pane = await tab(it, MANIFEST, ManifestTab)
        assert row(pane, "index.json").startswith("index index.json ▏ 2.06 kB")
        assert [line.split()[0] for line in words(pane)] == ["index", "manifest", "config", *["layer"] * 4]
        sizes = [str(document.size) for document in pane.documents]
        assert len(set(sizes)) >= 5
        assert "6.18 MB oci.image.layer.v1.tar" in row(pane, "layer 2")  # what its files have, unpacked
        assert " ████████ " in row(pane, "layer 2")  # the largest
        assert "█" not in row(pane, "layer 2", 80)  # no room
        assert pane.title == ("manifest", "2 checked (✓)")
        pane.cursor = 1
        manifest = it.analysis.image.manifest_digest
        assert pane.copies()[0] == ("digest", manifest)


async def test_layers_that_were_read_whole_are_checked(tmp_path: Path) -> None:
    right, wrong = (made.gzipped(layer_tar([file(name, "x")])) for name in "ab")
    members = made.oci(Made((right, wrong)))
    members[f"blobs/sha256/{made.encoded(wrong.digest)}"] = right.data
    async with screen(f"oci-archive:{made.write(tmp_path / 'it.tar', members)}") as it:
        pane = await tab(it, MANIFEST, ManifestTab)
        assert [document.verified for document in pane.documents if document.layer] == [True, False]
        assert pane.title == ("manifest", "1 not what the digest says (✗)", "3 checked (✓)")


async def test_raw_json_is_one_key_away() -> None:
    async with screen("demo:golang:c") as it:
        await tab(it, MANIFEST, ManifestTab)
        await it.press("down", "enter")
        viewer = it.app.screen
        assert isinstance(viewer, ViewerScreen)
        text = "\n".join(line for pane in viewer.query(Lines) for line in drawn(pane) if pane.display)
        assert '"schemaVersion": 2,' in text
        await it.press("escape")
        assert it.focused == "manifest"


async def test_enter_on_a_layer_goes_there() -> None:
    async with screen("demo:golang:c") as it:
        pane = await tab(it, MANIFEST, ManifestTab)
        pane.cursor = 5
        await it.press("enter")
        assert it.focused == "layers"
        assert it.layers.number == 3


class Told(FakeSource):
    """A source with documents that a test makes up."""

    def __init__(self, *documents: Document) -> None:
        super().__init__({"it:1": [index(file("a", "1"))]}, cheap=True)
        self.told = documents
        self.asked: list[Job] = []

    def documents(self, image: Image, job: Job) -> Sequence[Document]:
        self.asked.append(job)
        return self.told


async def show(it: Screen, source: FakeSource) -> None:
    it.main.post_message(messages.SourceOpened(cast(Any, source), None))
    await it.settle()


async def test_documents_that_are_not_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "open_target", lambda *arguments: None)
    gone = Document(Kind.MANIFEST, "linux/arm64", digest="sha256:" + "b" * 64, note="not stored here")
    other = Document(Kind.CONFIG, "config", digest="sha256:" + "c" * 64, data=b"{}", verified=False)
    layer = Document(Kind.LAYER, "layer 1", 1, size=3, layer=1, note="a/layer.tar")
    async with screen() as it:
        await show(it, Told(gone, other, layer))
        pane = await tab(it, MANIFEST, ManifestTab)
        assert pane.title == ("manifest", "1 not what the digest says (✗)")
        assert style(pane, "✗") == "dead"
        assert row(pane, "arm64") == "manifest linux/arm64 bbbbbbbbbbbb ? not stored here"
        assert "a/layer.tar" in row(pane, "layer 1")
        await it.press("enter")  # there is nothing to show of it
        assert not isinstance(it.app.screen, ViewerScreen)
        assert [note.message for note in it.app._notifications] == ["not stored here"]
        pane.cursor = 2
        assert pane.copies() == [("diff ID", "sha256:it:1-1")]


async def test_a_source_that_is_slow_shows_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "open_target", lambda *arguments: None)
    may = threading.Event()

    class Slow(Told):
        def documents(self, image: Image, job: Job) -> Sequence[Document]:
            super().documents(image, job)
            while not may.is_set():
                job.wait(0.01)
            return self.told

    source = Slow(file_document("manifest.json", b"[]"))
    async with screen() as it:
        await show(it, source)
        await it.pilot.press(MANIFEST)
        await it.until("the tab", lambda: it.main.query(ManifestTab))
        pane = it.main.query_one(ManifestTab)
        await it.until("the note", lambda: pane.note == "reading …" and source.asked)
        await it.pilot.press("f5")
        await it.until("being asked again", lambda: source.asked[0].cancelled or len(source.asked) > 1)
        may.set()
        await it.until("the documents", lambda: pane.row_count == 1)


async def test_an_engine_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "open_target", lambda *arguments: None)

    class Gone(Told):
        def documents(self, image: Image, job: Job) -> Sequence[Document]:
            raise EngineError("The engine\x1b went away.")

    async with screen() as it:
        await show(it, Gone())
        for key, kind in ((CONFIG, ConfigTab), (MANIFEST, ManifestTab)):
            pane = await tab(it, key, cast(type[Lines], kind))
            assert (pane.row_count, pane.note) == (0, "The engine\\x1b went away.")


# -- Dockerfile ---------------------------------------------------------------------------------------


async def test_the_dockerfile_of_an_image() -> None:
    async with screen("demo:golang:c") as it:
        pane = await tab(it, DOCKERFILE, DockerfileTab)
        assert pane.title == ("dockerfile", "on debian:a")
        assert row(pane, "FROM debian") == "4 ██▏ 1.67 MB FROM debian:a"
        assert row(pane, "FROM debian", 80) == "4 1.67 MB FROM debian:a"  # no room for a bar
        run = row(pane, "apt-get update")
        assert run == "6 ████████ 6.18 MB RUN apt-get update \\"
        assert style(pane, "CMD") == "word"
        pane.cursor = next(n for n, line in enumerate(words(pane)) if "apt-get install" in line)
        await it.press("enter")
        assert it.focused == "layers"
        assert it.layers.number == 2


async def test_a_base_that_is_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "open_target", lambda *arguments: None)
    below, above = index(file("a", "1")), index(file("b", "22"))

    class Growing(FakeSource):
        def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
            app = replace(self.image("app:1"), layers=(Layer(1, "sha256:base:1-1"), Layer(2, "sha256:top")))
            yield [app]
            shown.wait()
            yield [app, self.image("base:1")]

    shown = threading.Event()
    async with screen() as it:
        source = Growing({"app:1": [below, above], "base:1": [below]}, cheap=False)
        it.main.post_message(messages.SourceOpened(source, None))
        await it.until("the image", lambda: it.images.row_count)
        await it.pilot.press(DOCKERFILE)
        await it.until("the tab", lambda: it.main.query(DockerfileTab))
        pane = it.main.query_one(DockerfileTab)
        await it.until("all of it", lambda: "FROM scratch" in [line.text for line in pane.lines])
        shown.set()
        await it.until("its base", lambda: "FROM base:1" in [line.text for line in pane.lines])


async def test_all_of_a_dockerfile() -> None:
    async with screen("demo:golang:c") as it:
        pane = await tab(it, DOCKERFILE, DockerfileTab)
        own = pane.row_count
        await it.press("v")
        assert row(pane, "FROM scratch") == "4 FROM scratch"
        assert pane.row_count > own
        assert pane.title == ("dockerfile", "all of it, with debian:a")
        await it.press("v")
        assert pane.row_count == own


# -- containers ---------------------------------------------------------------------------------------


async def test_archives_have_no_containers() -> None:
    async with screen("demo:golang:c") as it:
        pane = await tab(it, CONTAINERS, ContainersTab)
        assert (pane.row_count, pane.note) == (0, "an archive has no containers; an engine has")
        await it.press("l", "s", "d", "enter")
        assert len(it.app.screen_stack) == 1


class FakeEngine(Told):
    """Passes for an engine."""


def container(name: str) -> Use:
    return Use(
        Container(
            id=f"id-{name}",
            name=name,
            image="sha256:aa",
            state="running",
            status="Up 2 hours",
            created=1,
            written=1_500_000,
            ports=("80/tcp",),
        )
    )


async def test_the_containers_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:

    class Inventory:
        def __init__(self, source: object) -> None: ...

        def inventory(self) -> None: ...

    monkeypatch.setattr(loader, "open_target", lambda *arguments: None)
    monkeypatch.setattr(loader, "watch", lambda *arguments: None)
    monkeypatch.setattr(containers, "EngineSource", FakeEngine)
    monkeypatch.setattr(containers, "Engine", Inventory)
    monkeypatch.setattr(
        containers, "containers_of", lambda inventory, image: [container("web"), container("[b]")]
    )
    async with screen() as it:
        await show(it, FakeEngine())
        pane = await tab(it, CONTAINERS, ContainersTab)
        await it.until("the list", lambda: pane.row_count == 2)
        assert words(pane)[0] == "● web Up 2 hours ████████ 1.5 MB 80/tcp"
        assert words(pane)[1].startswith("● [b] ")
        assert pane.copies() == [("name", "web"), ("id", "id-web")]
        monkeypatch.setattr(pane, "read_only", True)
        await it.press("s", "d")
        said = [note.message for note in it.app._notifications]
        assert said == [f"imgscope is read-only here: {what} is switched off." for what in ("stop", "remove")]
        assert len(it.app.screen_stack) == 1


# -- what an image may claim ----------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """An image whose config and history have every nasty text everywhere."""
    texts = list(NASTY.values())
    config = {
        "author": NASTY["markup"],
        "created": NASTY["escape"],
        "config": {
            "Env": [f"{text}={text}" for text in texts] + [7, None, ["x"]],
            "Entrypoint": texts,
            "Cmd": {"no": "list"},
            "User": NASTY["link"],
            "WorkingDir": NASTY["bidi"],
            "Labels": {text: text for text in texts},
            "ExposedPorts": {text: {} for text in texts},
            "Volumes": texts,
            "Healthcheck": {"Test": texts, "Interval": NASTY["escape"], "Retries": []},
            "OnBuild": texts,
            NASTY["red"]: NASTY["escape"],
        },
        "history": [{"created_by": f"RUN {text}", "comment": text} for text in texts],
    }
    tars = [layer_tar([file(f"f{number}", "x")]) for number in range(len(texts))]
    return write_layout(tmp_path / "layout", [(NASTY["escape"], config, tars)])


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (20, 10)])
async def test_nothing_that_a_config_says_acts(hostile: Path, size: tuple[int, int]) -> None:
    async with screen(f"oci:{hostile}", size) as it:
        for key, kind in ((CONFIG, ConfigTab), (MANIFEST, ManifestTab), (DOCKERFILE, DockerfileTab)):
            pane = await tab(it, key, cast(type[Lines], kind))
            assert pane.row_count >= 20
            for line in rows(pane):
                assert line.isprintable()
                assert cell_len(line) <= max(pane.size.width - 2, 1) or size[0] < 60
            for line in drawn(pane):
                assert line.isprintable()
                assert cell_len(line) == pane.size.width
            await it.press("end", "enter")
            if len(it.app.screen_stack) > 1:
                await it.press("escape")
            assert all(part.isprintable() for part in pane.title)
