"""While a list of images begins anew it has names only: what was read before still counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest

from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.ui import loader
from imgscope.ui.screens.find import FindScreen, Whereabouts
from tests.support.stacks import file
from tests.ui.driver import FakeSource, Screen, index, rows, screen


class Naming(FakeSource):
    """Lists the names first; from the second time on nothing more while `held`."""

    def __init__(self) -> None:
        super().__init__({"read:1": [index(file("etc/wanted", 7))], "other:1": [index(file("else", 9))]})
        self.held = threading.Event()

    def images(self, job: Job, first: Callable[[], Iterable[str]] = tuple) -> Iterator[Sequence[Image]]:
        (whole,) = super().images(job)
        yield [replace(image, layers=()) for image in whole]
        if self.listed > 1:
            self.held.wait(20)
        yield whole


def layers(it: Screen) -> int:
    """How many the list of images knows."""
    assert it.images.forest is not None
    return sum(len(node.image.layers) for node in it.images.forest.nodes.values() if node.image)


async def test_find_in_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Naming()
    monkeypatch.setattr(loader, "open_source", lambda target, job=None: source)
    async with screen("fake:") as it:
        await it.open("read:1")
        try:
            await it.pilot.press("f5")
            await it.until("names only", lambda: not layers(it))
            assert it.head.count(" B") == 0  # nobody knows what they take together
            assert it.main.explorer.share_bar.shares is None  # nor what others share
            await it.pilot.press("f", *"wanted")
            found = it.app.screen
            assert isinstance(found, FindScreen)
            await it.pilot.press("tab")
            await it.until("what was read is searched", lambda: found.query_one(Whereabouts).row_count)
            assert rows(found.query_one(Whereabouts), 100)[0].split() == ["read:1"]
        finally:
            source.held.set()
