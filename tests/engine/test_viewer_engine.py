"""The viewer on a real engine: what a later layer removed, and what it changed, by both ways to a layer."""

from __future__ import annotations

import pytest

from imgscope.sources import datadir
from imgscope.ui.screens.diff import DiffScreen, DiffView
from imgscope.ui.screens.viewer import ViewerScreen
from tests.support.engine import Engine
from tests.ui.driver import Screen, drawn, rows, screen

DOCKERFILE = """\
FROM {base}
RUN seq 1 400000 > /secret && seq 1 9 > /changed
RUN rm /secret && sed -i s/5/five/ /changed
"""


async def cursor_on(it: Screen, path: str) -> None:
    """The file tree's cursor, in the last layer."""
    number = len(it.analysis.image.layers)
    it.layers.go(number)
    await it.until("the layer", lambda: it.files.view is not None and it.files.view.layer == number)
    it.files.focus()
    assert it.files.view is not None
    assert it.files.reveal(it.files.view.overlay.find(path.encode()))


@pytest.mark.parametrize("readable", [True, False], ids=["data root", "stream"])
async def test_a_removed_and_a_changed_file(
    engine: Engine, busybox_base: str, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    if not readable:
        monkeypatch.setattr(datadir, "layer_stores", lambda *_, **__: [])
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    name = engine.name("viewer/app:1")
    engine.build({"Dockerfile": DOCKERFILE.format(base=busybox_base)}, name)
    try:
        async with screen(name, wait=False) as it:
            await it.until("the image is read", lambda: it.main.analysis is not None and it.files.row_count)
            await cursor_on(it, "secret")
            await it.pilot.press("enter")
            await it.until("the viewer", lambda: isinstance(it.app.screen, ViewerScreen))
            seen = it.app.screen
            assert isinstance(seen, ViewerScreen)
            await it.until("its content", lambda: seen.view.row_count)
            number = len(it.analysis.image.layers)
            assert str(seen.query_one("#viewer-fate").render()) == f"removed in layer {number}, still ships"
            assert drawn(seen.view)[2].split() == ["1", "1"]
            assert any("first 1 MB of 2.69 MB" in part for part in seen.view.title)
            await it.pilot.press("G")
            await it.until("its end", lambda: drawn(seen.view)[-1].split() == ["400000", "400000"])
            await it.pilot.press("escape")
            await cursor_on(it, "changed")
            await it.pilot.press("D")
            await it.until("the diff", lambda: isinstance(it.app.screen, DiffScreen) and it.app.screen.diff)
            found = [line.split()[1:] for line in rows(it.app.screen.query_one(DiffView), 200)]
            assert ["−", "5"] in found
            assert ["+", "five"] in found
    finally:
        engine.docker("rmi", "--force", name)
