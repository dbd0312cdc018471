"""Filters of a prune, and what several removals come to on the model of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.actions.inventory import CacheRecord, Container, Inventory, Network, Volume
from imgscope.actions.prune import Filters, by_digest, dangling, parse_until, seconds, stopped
from imgscope.actions.sweep import Item, Outlook, Stock, _same_names, foresee
from imgscope.errors import UsageError
from imgscope.images.model import Image, Layer

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        (".5h", timedelta(minutes=30)),
        ("300ms", timedelta(milliseconds=300)),
        ("24h", timedelta(days=1)),
        ("30d", timedelta(days=30)),
        ("2w12h", timedelta(days=14, hours=12)),
        ("0", timedelta()),
        (" 1s ", timedelta(seconds=1)),
    ],
)
def test_until_as_a_duration(text: str, ago: timedelta) -> None:
    assert parse_until(text, NOW) == pytest.approx((NOW - ago).timestamp())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T08:00:00", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("2024-01-31T08:00:00Z", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("2024-01-31T08:00:00.123456789Z", datetime(2024, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)),
        ("2024-01-31T08:00:00+02:00", datetime(2024, 1, 31, 6, tzinfo=UTC)),
        ("1706688000", datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ("1706688000.5", datetime(2024, 1, 31, 8, 0, 0, 500000, tzinfo=UTC)),
    ],
)
def test_until_as_a_moment(text: str, moment: datetime) -> None:
    assert parse_until(text) == moment.timestamp()  # the tests' time zone is UTC


@pytest.mark.parametrize(
    "text", ["", "soon", "-1h", "1h-", "h", "1y", "10", "2024-13-01", "9" * 400 + "h", "1h 2m", "٣h"]
)
def test_until_as_nonsense(text: str) -> None:
    with pytest.raises(UsageError, match="is no time; write a duration as 24h"):
        parse_until(text)


@given(st.text(max_size=20))
def test_until_of_any_text(text: str) -> None:
    with suppress(UsageError):
        assert isinstance(parse_until(text), float)


def test_labels() -> None:
    labels = {"team": "red", "keep": ""}
    assert Filters().fits({})
    assert Filters(labels=("team",)).fits(labels)
    assert Filters(labels=("team=red", "keep=")).fits(labels)
    assert not Filters(labels=("team", "none")).fits(labels)
    assert not Filters(labels=("team=blue",)).fits(labels)
    # any one of them keeps a thing, where the engine wants all of them
    assert not Filters(not_labels=("team=blue", "keep")).fits(labels)
    assert Filters(not_labels=("team=blue",)).fits(labels)


@pytest.mark.parametrize("label", ["", "=", "=a", " "])
def test_a_label_without_a_key(label: str) -> None:
    with pytest.raises(UsageError, match="is no label"):
        Filters.parse(labels=[label])


def test_age() -> None:
    assert Filters().old(None)
    filters = Filters(until=1_000_000.0)
    assert filters.old(1_000_000.0)
    assert not filters.old(1_000_001.0)
    assert not filters.old(None)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2024-01-31T08:00:00Z", 1706688000.0),
        ("2024-01-31T08:00:00", 1706688000.0),
        ("2024-01-31T09:00:00.000000001+01:00", 1706688000.0),
        ("0001-01-01T00:00:00Z", None),  # Go's zero time
        ("1970-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_dates_of_engines(text: str | None, count: float | None) -> None:
    assert seconds(text) == count


def image(
    name: str,
    *layers: tuple[str, int],
    tags: Sequence[str] = (),
    digests: Sequence[str] = (),
    parent: str = "",
) -> Image:
    return Image(
        id=f"sha256:{name:0>4}",
        references=tuple(tags),
        digests=tuple(digests),
        layers=tuple(
            Layer(number, f"sha256:{diff_id}", size=size) for number, (diff_id, size) in enumerate(layers, 1)
        ),
        parent=f"sha256:{parent:0>4}" if parent else None,
        size=sum(size for _, size in layers),
    )


def look(inventory: Inventory, *images: Image, more: Sequence[Item] = ()) -> Outlook:
    stock = Stock(inventory)
    return foresee(stock, [*stock.images(images), *more])


BASE, BIG, SMALL, OTHER = ("aa", 1000), ("bb", 500), ("cc", 10), ("dd", 20)


def test_a_shared_layer_counts_once() -> None:
    kept = image("01", BASE, tags=["kept:1"])
    one, two = image("02", BASE, BIG, SMALL), image("03", BASE, BIG, OTHER)
    outlook = look(Inventory((kept, one, two)), one, two)
    assert outlook.bytes == 530
    assert [item.bytes for item in outlook.going] == [10, 20]  # each alone would free but its own
    assert look(Inventory((kept, one, two)), one).bytes == 10


def test_same_layers_as_a_tagged_image() -> None:
    tagged, stage = image("01", BASE, BIG, tags=["a:1"]), image("02", BASE, BIG)
    outlook = look(Inventory((tagged, stage)), stage)
    assert (outlook.bytes, outlook.deletes) == (0, (stage.id,))


def test_children_go_before_their_parents_whatever_the_order() -> None:
    parent = image("01", BASE, tags=["parent:1"])
    child = image("02", BASE, BIG, tags=["child:1"], parent="01")
    for order in ((parent, child), (child, parent)):
        outlook = look(Inventory((parent, child)), *order)
        assert [item.id for item in outlook.going] == [child.id, parent.id]
        assert outlook.bytes == 1500
    alone = look(Inventory((parent, child)), parent)
    assert (alone.going, alone.untags, alone.bytes) == ((), (), 0)  # it would lose its name for nothing
    assert alone.kept[0][1] == "another image was built on it"


def test_untagged_parents_go_with_the_last_child() -> None:
    step, child = image("01", BASE), image("02", BASE, BIG, parent="01")
    outlook = look(Inventory((step, child)), child)
    assert outlook.deletes == (child.id, step.id)
    assert outlook.bytes == 1500
    assert dangling(Inventory((step, child))) == [child]


def test_names_by_digest_go_with_the_tag() -> None:
    name = f"example.com/a@sha256:{'1' * 64}"
    pulled = image("01", BASE, tags=["example.com/a:1"], digests=[name])
    outlook = look(Inventory((pulled,)), pulled)
    assert outlook.untags == ("example.com/a:1", name)
    assert outlook.deletes == (pulled.id,)
    untagged = image("02", BASE, digests=[name])
    assert by_digest(Inventory((pulled, untagged))) == [untagged]
    assert dangling(Inventory((pulled, untagged))) == []


def containers(inventory: Inventory) -> list[Item]:
    return [Stock(inventory).container(item) for item in stopped(inventory)]


def test_a_container_keeps_its_image_until_it_goes() -> None:
    held = image("01", BASE)
    user = Container("c1", "user", held.id, "exited", written=7)
    inventory = Inventory((held,), (user,))
    alone = look(inventory, held)
    assert (alone.bytes, alone.deletes) == (0, ())
    assert alone.kept[0][1] == "container user was made from it"
    both = look(inventory, held, more=containers(inventory))
    assert [item.id for item in both.going] == ["c1", held.id]
    assert (both.bytes, both.frees["container"], both.frees["image"]) == (1007, 7, 1000)
    assert both.command == f"docker rm c1 && docker rmi {held.id}"


def test_running_containers_never_go() -> None:
    running = [Container(state, state, "", state) for state in ("running", "paused", "restarting")]
    inventory = Inventory((), (*running, Container("removing", "removing", "", "removing")))
    assert stopped(inventory) == []
    outlook = look(inventory, more=[Stock(inventory).container(item) for item in running])
    assert outlook.deletes == ()
    assert {reason for _, reason in outlook.kept} == {"it is running"}


def record(name: str, *parents: str, in_use: bool = False, size: int = 10) -> CacheRecord:
    return CacheRecord(name, parents, "regular", f"step {name}", size, in_use, shared=False)


def cache(*records: CacheRecord, asked: str) -> Outlook:
    stock = Stock(Inventory((), cache=records))
    return foresee(stock, [stock.record(item) for item in records if item.id in asked])


def test_cache_records_go_from_the_top() -> None:
    base, middle, top = record("r1"), record("r2", "r1"), record("r3", "r2")
    outlook = cache(base, middle, top, asked="r1 r2 r3")
    assert outlook.deletes == ("r3", "r2", "r1")
    assert outlook.bytes == 30
    assert outlook.command == "docker builder prune --all --force"


def test_a_cache_record_below_one_that_stays_stays() -> None:
    base, middle, top = record("r1"), record("r2", "r1"), record("r3", "r1", in_use=True)
    outlook = cache(base, middle, top, asked="r1 r2 r3")
    assert outlook.deletes == ("r2",)
    assert outlook.bytes == 10
    assert {(item.id, reason) for item, reason in outlook.kept} == {
        ("r1", "a later record builds on it"),
        ("r3", "a build uses it"),
    }
    assert outlook.command == """docker builder prune --all --force --filter 'id="^(r2)$"'"""


def test_networks_and_volumes_wait_for_their_containers() -> None:
    user = Container("c1", "user", "", "exited", written=0)
    inventory = Inventory(
        (),
        (user,),
        volumes=(Volume("data", False, 100, 1),),
        networks=(Network("n1", "net", 0),),
    )
    stock = Stock(inventory, {"net": frozenset(["c1"])}, {"data": frozenset(["c1"])})
    things = [stock.network(inventory.networks[0]), stock.volume(inventory.volumes[0])]
    alone = foresee(stock, things)
    assert (alone.deletes, alone.bytes) == ((), 0)
    assert {reason for _, reason in alone.kept} == {"container user uses it"}
    both = foresee(stock, [*things, stock.container(user)])
    assert (both.deletes, both.bytes) == (("c1", "n1", "data"), 100)
    assert both.command == "docker rm c1 && docker network rm n1 && docker volume rm data"


def test_what_nobody_measured_is_unknown_and_not_nothing() -> None:
    stock = Stock(Inventory((), volumes=(Volume("remote", False, None, 0),)))
    outlook = foresee(stock, [stock.volume(stock.inventory.volumes[0])])
    plan = outlook.plan("Prune", [])
    assert plan.lines == ("1 of unknown size: what they free comes on top.",)
    assert outlook.going[0].text == "remote (size unknown)"
    assert not Stock(Inventory((image("01", BASE),), layers_size=0)).measured
    assert Stock(Inventory((image("01", BASE),), layers_size=1000)).measured
    assert Stock(Inventory(())).measured


def test_what_a_plan_cannot_know_it_says() -> None:
    held = image("01", BASE, tags=["a:1"])
    cached = CacheRecord("r1", (), "regular", "somewhere", 1000, in_use=False, shared=True)
    orphan = Container("c1", "orphan", "sha256:gone", "exited", written=1, unknown=True)
    inventory = Inventory((held, image("02", OTHER)), (orphan,), (cached,), layers_size=1020)
    stock = Stock(inventory)
    (item,) = stock.images([held])
    assert foresee(stock, [item]).doubts == (
        "1 record of the build cache may hold some of these layers: it could free less.",
    )
    assert foresee(stock, [item, stock.record(cached)]).doubts == ()
    (doubt,) = foresee(stock, [stock.container(orphan)]).doubts
    assert "the engine tells no bytes" in doubt


def test_hostile_names_are_shown_safely() -> None:
    item = Item("volume", "x\x1b[2J", "x\x1b[2J", 1)
    outlook = Outlook(Stock(Inventory(())), going=(item,), kept=((item, "\x1b[1m"),))
    plan = outlook.plan("Prune", [item.text])
    assert "\x1b" not in "".join([plan.command, *plan.lines, *plan.keeps])


DIGEST = f"a@sha256:{'1' * 64}"


@pytest.mark.parametrize(
    ("listed", "tags", "digests", "same"),
    [
        ((), [], [], True),
        ((), ["a:1"], [], False),  # by its id it would go all the same, and the new name with it
        ((), [], [DIGEST], False),
        (("a:1",), ["a:1"], [], True),
        (("a:1", "a:2"), ["a:2", "a:1"], [], True),
        (("a:1",), ["a:1", "a:2"], [], False),
        (("a:1",), [], [], False),
        ((DIGEST,), [], [DIGEST], True),
        ((DIGEST,), ["a:1"], [DIGEST], False),
        ((DIGEST,), [], [], False),
        # with containerd's store: one name by digest in the list, two where the image is asked for
        (("a:1", "b:1", DIGEST), ["a:1", "b:1"], [DIGEST, DIGEST.replace("a@", "b@")], True),
    ],
)
def test_whether_an_image_has_the_names_that_were_listed(
    listed: Sequence[str], tags: list[str], digests: list[str], same: bool
) -> None:
    assert _same_names(listed, tags, digests) is same


LAYERS = [(f"{number:02x}", 1 << number) for number in range(1, 9)]


@given(
    st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=5, unique=True), min_size=1, max_size=6),
    st.data(),
)
def test_bytes_are_those_of_layers_that_nothing_holds(stacks: list[list[int]], data: st.DataObject) -> None:
    """Against the count by paths of a tree: a layer lies on its whole stack, not on its diff ID."""
    images = [
        image(f"{number:04x}", *(LAYERS[layer] for layer in stack)) for number, stack in enumerate(stacks)
    ]
    gone = data.draw(st.sets(st.integers(0, len(images) - 1)))

    def paths(numbers: set[int]) -> set[tuple[int, ...]]:
        return {tuple(stacks[n][: k + 1]) for n in numbers for k in range(len(stacks[n]))}

    everything = set(range(len(images)))
    freed = paths(everything) - paths(everything - gone)
    outlook = look(Inventory(tuple(images)), *(images[number] for number in sorted(gone)))
    assert outlook.bytes == sum(LAYERS[path[-1]][1] for path in freed)
