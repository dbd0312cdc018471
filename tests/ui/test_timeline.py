"""The timeline: rows in the order of layers, with dates, times between, and bases."""

from __future__ import annotations

from pathlib import Path

from imgscope.ui.screens.timeline import TimelineScreen
from imgscope.ui.widgets.timeline import TimelineTable
from tests.support.stacks import file, layer_tar
from tests.ui.driver import Screen, row, rows, screen, write_layout
from tests.ui.test_hostile import NASTY


def table(it: Screen) -> TimelineTable:
    assert isinstance(it.app.screen, TimelineScreen)
    return it.app.screen.query_one(TimelineTable)


def text(it: Screen, name: str) -> str:
    return str(it.app.screen.query_one(name).render()).strip()


TARS = [layer_tar([file(name, size)]) for name, size in (("a", 4000), ("b", 1000), ("c", 200))]


def config(*dates: str | None) -> dict[str, object]:
    return {
        "history": [{"created": date, "created_by": f"RUN {number}"} for number, date in enumerate(dates, 1)]
    }


DATED = config("2024-01-01T00:00:00Z", "2024-01-21T00:00:00Z", "2024-01-21T00:00:30Z")


async def test_layers_by_age(tmp_path: Path) -> None:
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', DATED, TARS)])}", (120, 30)) as it:
        await it.press("T")
        shown = table(it)
        assert [line.split()[0] for line in rows(shown)] == ["1", "2", "3"]
        assert row(shown, "RUN 2").startswith("2 2024-01-21 00:00 +20 days ")
        assert "+30 s" in row(shown, "RUN 3")
        marks = [line.index("●") for line in rows(shown)]
        assert marks[0] < marks[1] == marks[2]
        assert [line.count("█") for line in rows(shown)] == [8, 2, 0]
        assert "20 days from first to last" in shown.title
        await it.press("down")
        assert text(it, "#moment").startswith("layer 2 · 2024-01-21 00:00:00 UTC · ")
        assert text(it, "#moment").endswith(" ago · 1 kB")
        assert text(it, "#step") == "RUN 2"
        assert dict(shown.copies())["date"] == "2024-01-21T00:00:00+00:00"


async def test_enter_goes_to_the_layer(tmp_path: Path) -> None:
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', DATED, TARS)])}") as it:
        await it.layer(2)
        await it.press("T")
        assert table(it).cursor == 1, "it starts on the layer one was on"
        await it.press("down", "enter")
        assert it.at_main
        assert (it.layers.number, it.focused) == (3, "layers")
        await it.press("T", "escape")
        assert (it.at_main, it.layers.number) == (True, 3)


async def test_layers_without_a_date(tmp_path: Path) -> None:
    dates = config(None, "1970-01-01T00:00:00Z", "2024-01-21T00:00:30Z")
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', dates, TARS)])}", (80, 24)) as it:
        await it.press("T")
        shown = table(it)
        assert "2 without a date (1970, or none)" in shown.title
        assert row(shown, "RUN 1") == "1 no date no date 4 kB RUN 1"
        assert "●" in row(shown, "RUN 3")
        assert (
            text(it, "#moment") == "layer 1 · no date: builds that are to be reproducible leave it out · 4 kB"
        )


async def test_the_base_is_named_with_its_age() -> None:
    async with screen("demo:ruby:b", (120, 30)) as it:
        await it.press("T")
        shown = table(it)
        assert rows(shown)[0].split("  ") == ["debian:a", "7 days older than ruby:b"]
        assert rows(shown)[2] == "ruby:b"
        assert shown.row_count == 2 + len(it.analysis.image.layers)


async def test_it_is_readable_on_a_small_terminal(tmp_path: Path) -> None:
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', DATED, TARS)])}", (60, 20)) as it:
        await it.press("T")
        assert row(table(it), "RUN 2").split()[:3] == ["2", "+20", "days"]
        assert all(len(line) <= 58 for line in rows(table(it)))


async def test_an_image_without_layers_has_none_by_age(tmp_path: Path) -> None:
    async with screen(f"oci:{write_layout(tmp_path, [('img:1', {}, [])])}") as it:
        await it.press("T")
        assert it.at_main
        assert any("no layers" in note.message for note in it.app._notifications)


async def test_texts_from_outside(tmp_path: Path) -> None:
    texts = list(NASTY.values())
    steps = [{"created": text, "created_by": text, "comment": text} for text in texts]
    tars = [layer_tar([file(f"a{number}", 9)]) for number, _ in enumerate(texts)]
    images = [(texts[0], {"history": steps}, tars), ("[b]\x1b[31m\u202e", {"history": steps[:1]}, tars[:1])]
    async with screen(f"oci:{write_layout(tmp_path, images)}", (80, 24)) as it:
        for name in ("[b]", texts[0]):
            await it.open(name)
            await it.press("T")
            shown = table(it)
            assert all(line.isprintable() for line in (*rows(shown), *shown.title))
            for _ in range(shown.row_count):
                assert text(it, "#step").isprintable()
                assert text(it, "#moment").isprintable()
                await it.press("down")
            await it.press("escape")
