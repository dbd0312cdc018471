"""The lines of a clean-up: what is ticked, why, and what the ticked ones come to together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from imgscope.actions.clean import CleanUp, from_build
from imgscope.actions.engine import Engine
from imgscope.actions.inventory import CacheRecord, Container, Inventory, Network, Volume
from imgscope.errors import UsageError
from imgscope.images.model import History, Image, Layer
from imgscope.job import Job

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
BUILT = (History(None, "RUN /bin/sh -c make # buildkit", "buildkit.dockerfile.v0", empty_layer=False),)
ANONYMOUS = "a" * 64


class Client:
    """As much of the SDK's client as plans ask."""

    def __init__(self, tagged: Mapping[str, timedelta], mounts: Mapping[str, str]) -> None:
        self.tagged = tagged
        self.mounts = mounts

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [
            {
                "Id": container,
                "NetworkSettings": {"Networks": {"used": {}}},
                "Mounts": [{"Type": "volume", "Name": volume}, {"Type": "bind", "Source": "/"}],
            }
            for container, volume in self.mounts.items()
        ]

    def inspect_image(self, identifier: str) -> dict[str, Any]:
        if identifier not in self.tagged:
            return {"Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"}}
        return {"Metadata": {"LastTagTime": (NOW - self.tagged[identifier]).isoformat()}}


class Fake:
    """An engine that answers from an inventory and cannot change anything."""

    def __init__(
        self,
        inventory: Inventory,
        tagged: Mapping[str, timedelta] | None = None,
        mounts: Mapping[str, str] | None = None,
    ) -> None:
        self.held = inventory
        self.asked = 0
        self.client = Client(tagged or {}, mounts or {})

    @contextmanager
    def errors(self) -> Iterator[None]:
        yield

    def inventory(self, job: Job | None = None) -> Inventory:
        self.asked += 1
        return self.held


def clean_up(fake: Fake) -> CleanUp:
    return CleanUp(cast(Engine, fake), now=NOW.timestamp())


def image(
    number: int,
    *layers: tuple[str, int],
    tags: Sequence[str] = (),
    digests: Sequence[str] = (),
    history: tuple[History, ...] = BUILT,
    cmd: Sequence[str] = (),
) -> Image:
    return Image(
        id=f"sha256:{number:064x}",
        references=tuple(tags),
        digests=tuple(digests),
        layers=tuple(Layer(n, f"sha256:{name}", size=size) for n, (name, size) in enumerate(layers, 1)),
        history=history,
        config={"Cmd": list(cmd)},
        size=sum(size for _, size in layers),
    )


BASE = ("aa", 1000)
EVERYTHING = Inventory(
    images=(
        image(1, BASE, tags=["used:1"]),
        image(2, BASE, ("bb", 500), ("cc", 10)),
        image(3, BASE, ("bb", 500), ("dd", 20)),
        image(4, BASE, ("ee", 40), digests=[f"a@sha256:{'1' * 64}"]),
        image(5, BASE, ("ff", 80), tags=["old:1"]),
        image(6, BASE, ("gg", 160), tags=["new:1"]),
        image(7, BASE, ("hh", 320), tags=["unknown:1"]),
        image(8, ("ii", 640), history=(History(None, "", "Imported from -", empty_layer=False),)),
    ),
    containers=(
        Container("c1", "runs", f"sha256:{1:064x}", "running", written=5),
        Container("c2", "empty", f"sha256:{1:064x}", "exited", written=0),
        Container("c3", "wrote", f"sha256:{1:064x}", "exited", written=7),
        Container("c4", "waits", f"sha256:{1:064x}", "created", written=0),
        Container("c5", "unmeasured", f"sha256:{1:064x}", "exited", written=None),
    ),
    cache=(
        CacheRecord("r1", (), "regular", "RUN a", 30, in_use=False, shared=False),
        CacheRecord("r2", (), "regular", "RUN b", 60, in_use=True, shared=False),
    ),
    volumes=(
        Volume("data", False, 100, 0),
        Volume("mounted", False, 200, 1),
        Volume(ANONYMOUS, True, 300, 0),
        Volume("c3s", False, 400, None),
    ),
    networks=(
        Network("n1", "nobodys", 0),
        Network("n2", "used", 0),
        Network("n3", "podman", 0),
    ),
    layers_size=5000,
)
TAGGED = {f"sha256:{5:064x}": timedelta(days=45), f"sha256:{6:064x}": timedelta(hours=1)}
MOUNTS = {"c3": "c3s"}


@pytest.fixture
def lines() -> dict[str, Any]:
    return {line.key: line for line in clean_up(Fake(EVERYTHING, TAGGED, MOUNTS)).lines()}


def test_ticked_is_what_nobody_can_miss(lines: dict[str, Any]) -> None:
    ticked = {key: [item.id for item in line.items] for key, line in lines.items() if line.ticked}
    assert ticked == {
        "containers": ["c2"],
        "dangling": [f"sha256:{2:064x}", f"sha256:{3:064x}"],
        "cache": ["r1"],
        "networks": ["n1"],
    }


def test_the_rest_is_there_but_not_ticked(lines: dict[str, Any]) -> None:
    unticked = {key: [item.id for item in line.items] for key, line in lines.items() if not line.ticked}
    assert unticked == {
        "containers-written": ["c3", "c5"],
        "containers-created": ["c4"],
        "untagged": [f"sha256:{8:064x}"],
        "by-digest": [f"sha256:{4:064x}"],
        "images-30d": [f"sha256:{5:064x}"],
        "images-new": [f"sha256:{6:064x}"],
        "images-undated": [f"sha256:{7:064x}"],
        "volumes": [ANONYMOUS],
        "volume:data": ["data"],
    }


def test_bytes_of_each_line_alone(lines: dict[str, Any]) -> None:
    assert {key: line.bytes for key, line in lines.items()} == {
        "containers": 0,
        "dangling": 530,
        "cache": 30,
        "networks": 0,
        "containers-written": 7,
        "containers-created": 0,
        "untagged": 640,
        "by-digest": 40,
        "images-30d": 80,
        "images-new": 160,
        "images-undated": 320,
        "volumes": 300,
        "volume:data": 100,
    }


def test_each_line_says_why(lines: dict[str, Any]) -> None:
    assert all(line.title and line.reason for line in lines.values())
    assert "lost" in lines["volume:data"].reason
    assert "lost" in lines["containers-written"].reason
    assert lines["dangling"].text.startswith("dangling images of builds: 2, 530 B alone; ")


def test_bytes_of_lines_together_are_no_sum() -> None:
    """A layer that a dangling image shares with a tagged one frees only where both go."""
    shared = Inventory(
        (image(1, BASE, ("bb", 500)), image(2, BASE, ("bb", 500), tags=["a:1"])), layers_size=1500
    )
    cleanup = clean_up(Fake(shared))
    assert {line.key: line.bytes for line in cleanup.lines()} == {"dangling": 0, "images-undated": 0}
    assert cleanup.plan(["dangling"]).frees == 0
    assert cleanup.plan(["images-undated"]).frees == 0
    assert cleanup.plan(["dangling", "images-undated"]).frees == 1500
    assert cleanup.plan([]).frees == 0
    assert cleanup.plan([]).empty


def test_a_plan_asks_the_engine_once() -> None:
    fake = Fake(EVERYTHING, TAGGED, MOUNTS)
    cleanup = clean_up(fake)
    cleanup.describe()
    for line in cleanup.lines():
        cleanup.plan([line.key])
    assert fake.asked == 1


def test_the_plan_of_what_is_ticked() -> None:
    cleanup = clean_up(Fake(EVERYTHING, TAGGED, MOUNTS))
    plan = cleanup.describe()
    assert plan.frees == 560
    assert set(plan.deletes) == {"c2", f"sha256:{2:064x}", f"sha256:{3:064x}", "r1", "n1"}
    assert plan.untags == ()
    listed = [line for line in plan.lines if line.startswith("[")]
    assert [line[:4] for line in listed] == ["[x] "] * 4 + ["[ ] "] * 9
    assert [line for line in plan.lines if not line.startswith("[")] == [
        "  c2 empty (0 B)",
        "  000000000000 (own 10 B)",
        "  000000000000 (own 20 B)",
        "  r1 RUN a (30 B)",
        "  n1 nobodys",
    ]
    assert "images pulled by digest: not chosen" in plan.keeps


def test_choosing_lines() -> None:
    cleanup = clean_up(Fake(EVERYTHING, TAGGED, MOUNTS))
    cleanup.choose(["volume:data", "images-30d"])
    plan = cleanup.describe()
    assert (plan.frees, plan.untags) == (180, ("old:1",))
    assert plan.command == "docker rmi old:1 && docker volume rm data"
    with pytest.raises(UsageError, match=r"There is no line 'volumez' to clean up; there are containers, "):
        cleanup.choose(["volumez"])
    with pytest.raises(UsageError, match="there is nothing to clean up"):
        clean_up(Fake(Inventory(()))).choose(["dangling"])


def test_an_image_that_only_an_empty_container_has_goes_with_it() -> None:
    inventory = Inventory(
        (image(1, BASE),),
        (Container("c1", "empty", f"sha256:{1:064x}", "exited", written=0),),
        layers_size=1000,
    )
    cleanup = clean_up(Fake(inventory))
    assert cleanup.describe().frees == 1000
    alone = cleanup.plan(["dangling"])
    assert alone.frees == 0
    assert any("container empty was made from it" in kept for kept in alone.keeps)


@pytest.mark.parametrize(
    ("days", "key"), [(0, "images-new"), (7, "images-7d"), (30, "images-30d"), (90, "images-90d")]
)
def test_age(days: int, key: str) -> None:
    """By when an image was tagged: its creation date is years ago in every reproducible build."""
    one = image(1, BASE, tags=["a:1"])
    cleanup = clean_up(Fake(Inventory((one,)), {one.id: timedelta(days=days)}))
    assert [line.key for line in cleanup.lines()] == [key]


def test_a_tag_from_the_future_is_new() -> None:
    one = image(1, BASE, tags=["a:1"])
    cleanup = clean_up(Fake(Inventory((one,)), {one.id: timedelta(days=-400)}))
    assert [line.key for line in cleanup.lines()] == ["images-new"]


@pytest.mark.parametrize(
    ("created_by", "comment", "cmd", "build"),
    [
        ("RUN /bin/sh -c make # buildkit", "buildkit.dockerfile.v0", (), True),
        ('/bin/sh -c #(nop)  CMD ["a"]', "", ("a",), True),
        ("/bin/sh -c make", "", ("/app",), True),
        # the commit of a container: the command that it ran is now the image's
        ("/bin/sh -c make", "", ("/bin/sh", "-c", "make"), False),
        ("/bin/sh -c make", "before the update", ("/app",), False),
        ("sh", "", ("sh",), False),
        ("bash -l", "", ("bash",), False),
        ("", "Imported from -", (), False),
        ("", "", (), False),
    ],
)
def test_which_images_builds_made(created_by: str, comment: str, cmd: Sequence[str], build: bool) -> None:
    history = (History(None, created_by, comment, empty_layer=False),)
    assert from_build(image(1, BASE, history=history, cmd=cmd)) is build


def test_an_image_without_history_is_nobodys_build() -> None:
    assert not from_build(image(1, BASE, history=()))
