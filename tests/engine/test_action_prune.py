"""Prune on a real engine: what is promised is freed, to the byte, and nothing else goes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Said
from imgscope.actions.prune import KINDS, Filters, Prune
from imgscope.actions.sweep import Stock, foresee
from imgscope.errors import CancelledError, EngineError
from imgscope.images.model import short_id
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program, sweeping
from tests.support.engine import Engine as RealEngine
from tests.support.registry import Registry
from tests.support.sweeping import Bystanders, image_ids, on_disk, two_dangling
from tests.support.wait import wait_for


@pytest.fixture
def docker(empty_engine: RealEngine) -> Iterator[RealEngine]:
    """An engine with nothing on it but the base image; empty of everything afterwards."""
    with sweeping.only_the_base(empty_engine):
        yield empty_engine


@pytest.fixture
def ours(docker: RealEngine) -> Iterator[Engine]:
    """The same, as the actions see it."""
    with contextlib.closing(EngineSource.connect(docker.host)) as source:
        yield Engine(source)


def run(action: Prune) -> Done:
    *said, done = action.execute(Job())
    assert all(isinstance(event, Said) for event in said)
    assert isinstance(done, Done)
    return done


def test_images_that_share_a_layer(docker: RealEngine, ours: Engine) -> None:
    ids = two_dangling(docker)
    prune = Prune(ours, ["dangling"])
    plan = prune.describe()
    assert set(ids) <= set(plan.deletes)
    assert (plan.frees, plan.untags) == (102_000, ())
    assert sum(docker.client.images.get(name).attrs["Size"] for name in ids) > 2 * 102_000
    disk = on_disk(docker)
    done = run(prune)
    assert done.freed == 102_000
    assert disk - on_disk(docker) == 102_000
    assert set(done.deleted) == set(plan.deletes)
    assert done.text.endswith("102 kB freed, as planned.")
    assert not image_ids(docker) & set(ids)
    docker.client.images.get(docker.name("busybox:base"))


def test_a_dangling_stage_of_a_tagged_images_layers_frees_nothing(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.build(
        {"Dockerfile": f"FROM {base} AS stage\nLABEL stage=1\nFROM stage\nLABEL final=1\n"}, "staged:1"
    )
    docker.build({"Dockerfile": f"FROM {base}\nLABEL other=1\n"}, "staged:1")
    prune = Prune(ours, ["dangling"])
    plan = prune.describe()
    assert len(plan.deletes) == 2  # the image, and the stage that only it was built on
    assert plan.frees == 0
    disk = on_disk(docker)
    assert run(prune).freed == 0
    assert on_disk(docker) == disk
    assert docker.docker("images", "--quiet", "--filter", "dangling=true").stdout == ""


def test_an_image_held_by_the_build_cache(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    step = "RUN head -c 100000 /dev/urandom > /a\nRUN head -c 50000 /dev/urandom > /b\n"
    docker.build({"Dockerfile": f"FROM {base}\n{step}"}, "held:1", buildkit=True)
    plan = Prune(ours, ["images"]).describe()
    assert "held:1" in plan.untags
    assert plan.frees == 0
    together = Prune(ours, ["images", "cache"])
    docker.docker("tag", base, "keep:1")
    keep = docker.docker("create", base, "true").stdout.strip()
    plan = together.describe()
    assert keep not in plan.deletes
    context = sum(
        record["Size"] for record in docker.client.api.df()["BuildCache"] if not record.get("Shared")
    )
    assert plan.frees == 150_000 + context
    assert any("build cache" in line for line in plan.lines)
    done = run(together)
    assert done.freed == plan.frees
    assert not docker.client.api.df()["BuildCache"]


def test_the_image_alone_frees_nothing_while_the_cache_holds_it(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker("create", base, "true")
    docker.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 100000 /dev/urandom > /a\n"}, "held:1", buildkit=True
    )
    images = Prune(ours, ["images"])
    assert images.describe().frees == 0
    assert run(images).freed == 0
    cache = Prune(ours, ["cache"])
    promised = cache.describe().frees
    assert promised is not None
    assert promised >= 100_000
    assert run(cache).freed == promised


def test_the_cache_of_older_builds(docker: RealEngine, ours: Engine) -> None:
    """Only the listed records go, though the engine's prune would take them all."""
    base = docker.name("busybox:base")
    docker.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 70000 /dev/urandom > /a\n"}, "older:1", buildkit=True
    )
    docker.docker("rmi", "older:1")
    between = time.time()
    docker.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 80000 /dev/urandom > /b\n"}, "newer:1", buildkit=True
    )
    docker.docker("rmi", "newer:1")
    records = {item["ID"]: item["Size"] for item in docker.client.api.df()["BuildCache"]}
    prune = Prune(ours, ["cache"], Filters(until=between))
    plan = prune.describe()
    sizes = [records[name] for name in plan.deletes]
    assert 70_000 in sizes
    assert 80_000 not in sizes
    assert plan.frees == sum(sizes)
    assert "--filter" in plan.command
    done = run(prune)
    assert done.freed == plan.frees
    left = {item["ID"] for item in docker.client.api.df()["BuildCache"]}
    assert left == set(records) - set(plan.deletes)


def test_a_container_keeps_the_layers_of_its_image(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    image = docker.build({"Dockerfile": f"FROM {base}\nRUN head -c 100000 /dev/urandom > /a\n"}, "kept:1")
    docker.docker("run", "--name", "kept", "kept:1", "sh", "-c", "echo hello > /x")
    images = Prune(ours, ["images"])
    assert image not in images.describe().deletes
    both = Prune(ours, ["containers", "images"])
    plan = both.describe()
    assert image in plan.deletes
    # the base goes, too: nothing else is on this engine
    assert plan.frees == docker.client.images.get("kept:1").attrs["Size"] + 6
    disk = on_disk(docker)
    assert run(both).freed == plan.frees
    assert disk - on_disk(docker) == plan.frees


def test_the_container_of_a_removed_image(docker: RealEngine, ours: Engine) -> None:
    """The image is gone, its layers are not: they go with the container."""
    base = docker.name("busybox:base")
    docker.build({"Dockerfile": f"FROM {base}\nRUN head -c 100000 /dev/urandom > /a\n"}, "orphan:1")
    docker.docker("run", "--name", "orphan", "orphan:1", "sh", "-c", "echo hello > /x")
    docker.docker("rmi", "--force", "orphan:1")
    prune = Prune(ours, ["containers"])
    plan = prune.describe()
    disk = on_disk(docker)
    assert plan.frees == 100_006
    assert run(prune).freed == 100_006
    assert disk - on_disk(docker) == 100_006


def test_dangling_images_with_children_stay(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    parent = docker.build({"Dockerfile": f"FROM {base}\nRUN echo 1 > /a\n"}, "parent:1", "--no-cache")
    docker.build({"Dockerfile": "FROM parent:1\nRUN echo 2 > /b\n"}, "child:1", "--no-cache")
    docker.docker("rmi", "parent:1")
    plan = Prune(ours, ["dangling"]).describe()
    assert plan.empty
    docker.docker("rmi", "--no-prune", "child:1")
    prune = Prune(ours, ["dangling"])
    assert parent in prune.describe().deletes
    run(prune)
    assert parent not in image_ids(docker)


def test_a_dangling_image_that_a_container_has_is_kept(docker: RealEngine, ours: Engine) -> None:
    image = two_dangling(docker)[0]
    docker.docker("create", "--name", "holder", image, "true")
    plan = Prune(ours, ["dangling"]).describe()
    assert image not in plan.deletes
    assert any("holder" in kept for kept in plan.keeps)
    assert plan.frees == 1000  # the other's own layer


def test_images_pulled_by_digest_are_no_dangling_ones(
    docker: RealEngine, ours: Engine, registry: Registry
) -> None:
    name = f"{registry.host}/by/digest:1"
    image = docker.build({"Dockerfile": f"FROM {docker.name('busybox:base')}\nLABEL d=1\n"}, name)
    docker.docker("push", name)
    digest = docker.client.images.get(name).attrs["RepoDigests"][0]
    docker.docker("rmi", name)
    docker.docker("pull", digest)
    assert image in docker.docker("images", "--no-trunc", "-q", "--filter", "dangling=true").stdout
    plan = Prune(ours, ["dangling"]).describe()
    assert image not in plan.deletes
    assert any("by digest only" in kept for kept in plan.keeps)
    prune = Prune(ours, ["images"])
    plan = prune.describe()
    assert image in plan.deletes
    assert digest in plan.untags
    done = run(prune)
    assert digest in done.untagged
    assert done.freed == plan.frees


def test_until_goes_by_the_last_tag_and_not_by_the_creation_date(docker: RealEngine, ours: Engine) -> None:
    old = docker.build({"Dockerfile": f"FROM {docker.name('busybox:base')}\nLABEL o=1\n"}, "old:1")
    docker.docker("tag", "old:1", "old:2")
    kept = Prune(ours, ["images"], Filters.parse(until="1h")).describe()
    assert old not in kept.deletes
    gone = Prune(ours, ["images"], Filters.parse(until="0")).describe()
    assert old in gone.deletes


def test_labels_choose(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    for name, label in (("c1", "team=red"), ("c2", "team=blue"), ("c3", "keep")):
        docker.docker("create", "--name", name, "--label", label, base, "true")
    ids = {item["Names"][0][1:]: item["Id"] for item in docker.client.api.containers(all=True)}

    def going(*labels: str, no: tuple[str, ...] = ()) -> set[str]:
        filters = Filters.parse(labels=labels, not_labels=no)
        deletes = set(Prune(ours, ["containers"], filters).describe().deletes)
        return {name for name, identifier in ids.items() if identifier in deletes}

    assert going() == {"c1", "c2", "c3"}
    assert going("team") == {"c1", "c2"}
    assert going("team=red") == {"c1"}
    assert going(no=("keep",)) == {"c1", "c2"}
    assert going("team", no=("team=blue", "keep")) == {"c1"}


def test_named_volumes_are_listed_by_name_and_only_the_listed_go(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker(
        "run", "--name", "writer", "-v", "data:/d", "-v", "/anon", base, "sh", "-c", "echo 12345 > /d/x"
    )
    prune = Prune(ours, ["volumes"])
    assert prune.describe().empty  # the container uses both
    both = Prune(ours, ["containers", "volumes"])
    plan = both.describe()
    assert "data" in plan.deletes
    assert any("data" in line for line in plan.lines)
    assert plan.frees == 6
    docker.docker("volume", "create", "later")
    done = run(both)
    assert done.freed == 6
    assert docker.docker("volume", "ls", "-q").stdout.split() == ["later"]


def test_networks_that_a_stopped_container_needs_stay(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    for name in ("used", "waited-for", "nobodys"):
        docker.docker("network", "create", name)
    docker.docker("run", "-d", "--network", "used", base, "sleep", "1000")
    docker.docker("create", "--network", "waited-for", base, "true")
    prune = Prune(ours, ["networks"])
    plan = prune.describe()
    nobodys = docker.docker("network", "inspect", "--format", "{{.Id}}", "nobodys").stdout.strip()
    assert plan.deletes == (nobodys,)
    run(prune)
    left = docker.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").stdout.split()
    assert sorted(left) == ["used", "waited-for"]


def test_nothing_goes_but_what_was_listed(docker: RealEngine, ours: Engine) -> None:
    bystanders = Bystanders.make(docker)
    base = docker.name("busybox:base")
    dangling = two_dangling(docker)
    container = docker.docker("create", "--name", "gone", base, "true").stdout.strip()
    docker.docker("network", "create", "gone")
    docker.docker("volume", "create", "gone")
    prune = Prune(ours, KINDS)
    plan = prune.describe()
    assert {*dangling, container, "gone"} <= set(plan.deletes)
    assert "bystander" not in plan.command
    # what comes after the plan is nobody's business, though each prune of the engine would take it
    later = docker.build({"Dockerfile": "FROM bystander:1\nLABEL later=1\n"}, "later:1")
    docker.docker("rmi", "--no-prune", "later:1")
    later = docker.docker("build", "-q", "-", input="FROM bystander:1\nLABEL later=2\n").stdout.strip()
    stopped = docker.docker("create", "--name", "later", "bystander:1", "true").stdout.strip()
    docker.docker("network", "create", "later")
    docker.docker("volume", "create", "later")
    done = run(prune)
    bystanders.check()
    assert later in image_ids(docker)
    docker.docker("inspect", stopped)
    docker.docker("network", "inspect", "later")
    docker.docker("volume", "inspect", "later")
    assert set(done.deleted) == set(plan.deletes)


@pytest.mark.parametrize("dated", [False, True])
def test_the_command_shown_does_the_same(docker: RealEngine, ours: Engine, dated: bool) -> None:
    until = time.time() + 3600 if dated else None
    base = docker.name("busybox:base")
    two_dangling(docker)
    docker.build({"Dockerfile": f"FROM {base}\nRUN echo 1 > /a\n"}, "built:1", buildkit=True)
    docker.docker("create", "--volume", "data:/d", base, "true")
    docker.docker("network", "create", "gone")
    kinds = [kind for kind in KINDS if kind != "volumes" or until is None]
    plan = Prune(ours, kinds, Filters(until)).describe()
    before = ours.disk_bytes()
    done = subprocess.run(["sh", "-c", plan.command], env=docker.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Prune(ours, kinds).describe().empty
    assert before - ours.disk_bytes() == plan.frees


def test_the_command_for_some_records_of_the_cache(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.build({"Dockerfile": f"FROM {base}\nRUN echo 1 > /a\nRUN echo 2 > /b\n"}, "built:1", buildkit=True)
    stock = Stock.of(ours)
    roots = [item for item in stock.inventory.cache if not item.parents]
    others = [item for item in stock.inventory.cache if item.parents]
    assert roots
    assert len(others) == 2
    outlook = foresee(stock, map(stock.record, others))
    done = subprocess.run(
        ["sh", "-c", outlook.command], env=docker.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    left = {item["ID"] for item in docker.client.api.df()["BuildCache"]}
    assert left == {item.id for item in roots}


def test_what_changed_since_the_plan_is_kept_and_told(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker("create", "--name", "starts", base, "sleep", "1000")
    docker.docker("create", "--name", "writes", base, "sh", "-c", "echo hello > /x")
    docker.docker("create", "--name", "vanishes", base, "true")
    named, removed = two_dangling(docker)
    docker.docker("network", "create", "joined")
    docker.docker("volume", "create", "mounted")
    prune = Prune(ours, ["containers", "dangling", "networks", "volumes"])
    plan = prune.describe()
    assert {named, removed, "mounted"} <= set(plan.deletes)
    docker.docker("start", "starts")
    docker.docker("start", "--attach", "writes")
    docker.docker("rm", "vanishes")
    docker.docker("tag", named, "saved:1")
    docker.docker(
        "run", "-d", "--name", "joins", "--network", "joined", "-v", "mounted:/m", base, "sleep", "1000"
    )
    *said, done = prune.execute(Job())
    assert docker.docker("inspect", "--format", "{{.State.Running}}", "starts").stdout == "true\n"
    docker.docker("inspect", "writes", "joined", "mounted", "saved:1")
    assert removed not in image_ids(docker)
    kept = [event.text for event in said if isinstance(event, Said) and event.text.startswith("Kept ")]
    joins = docker.docker("inspect", "--format", "{{.Id}}", "joins").stdout[:12]
    assert sorted(kept) == [
        "Kept container starts (it is running now).",
        "Kept container vanishes (it is gone already).",
        "Kept container writes (it wrote something meanwhile).",
        f"Kept image {short_id(named)} (its names changed meanwhile).",
        f"Kept network joined (container {joins} is on it now).",
        f"Kept volume mounted (container {joins} uses it now).",
    ]
    assert isinstance(done, Done)
    assert "1 kB freed, 102 kB planned. Kept " in done.text
    assert done.text.endswith(" and 3 more.")


def test_a_volume_made_anew_under_its_name_is_kept(docker: RealEngine, ours: Engine) -> None:
    def made() -> str:
        docker.docker("volume", "create", "data")
        return docker.docker("volume", "inspect", "--format", "{{.CreatedAt}}", "data").stdout

    first = made()
    prune = Prune(ours, ["volumes"])
    assert prune.describe().deletes == ("data",)

    def made_later() -> bool:  # the engine counts in seconds
        docker.docker("volume", "rm", "data")
        return made() != first

    wait_for("a volume of another second", made_later)
    done = run(prune)
    assert done.text == "Removed nothing; 0 B freed, as planned. Kept volume data (it changed meanwhile)."
    docker.docker("volume", "inspect", "data")


def test_a_tag_that_moved_is_left_to_its_new_image(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker("create", base, "true")
    docker.build({"Dockerfile": f"FROM {base}\nLABEL a=1\n"}, "moves:1")
    prune = Prune(ours, ["images"])
    assert "moves:1" in prune.describe().untags
    image = docker.build({"Dockerfile": f"FROM {base}\nLABEL b=1\n"}, "moves:1")
    done = run(prune)
    assert docker.client.images.get("moves:1").id == image
    assert done.deleted == ()
    assert "its names changed meanwhile" in done.text


def test_all_names_of_an_unused_image_go(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker("create", base, "true")
    image = docker.build({"Dockerfile": f"FROM {base}\nRUN head -c 5000 /dev/urandom > /a\n"}, "many:1")
    docker.docker("tag", "many:1", "many:2")
    docker.docker("tag", "many:1", "other/many:1")
    prune = Prune(ours, ["images"])
    plan = prune.describe()
    assert set(plan.untags) == {"many:1", "many:2", "other/many:1"}
    assert image in plan.deletes
    done = run(prune)
    assert (done.freed, set(done.untagged)) == (plan.frees, set(plan.untags))
    assert plan.frees == 5000


def test_cancelled_between_two_things(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    for _ in range(3):
        docker.docker("create", base, "true")
    prune = Prune(ours, ["containers"])
    prune.describe()
    job = Job()
    events = prune.execute(job)
    assert isinstance(next(events), Said)
    job.cancel()
    with pytest.raises(CancelledError):
        list(events)
    assert len(docker.client.api.containers(all=True)) == 2


class Gone:
    """A client whose engine does not answer any more."""

    def __getattr__(self, name: str) -> Any:
        raise requests.ConnectionError("refused")


def test_an_engine_that_goes_away_is_no_kept_thing(docker: RealEngine, ours: Engine) -> None:
    containers = [docker.docker("create", docker.name("busybox:base"), "true") for _ in range(2)]
    prune = Prune(ours, ["containers"])
    prune.describe()
    events = prune.execute(Job())
    assert isinstance(next(events), Said)
    ours.client = Gone()
    with pytest.raises(EngineError, match="No container engine answers"):
        next(events)
    assert len(docker.client.api.containers(all=True)) == len(containers) - 1


def command_line(docker: RealEngine, *words: str) -> subprocess.CompletedProcess[str]:
    return program.run("prune", *words, environment=docker.environment)


def test_command_line_dry_run(docker: RealEngine) -> None:
    ids = two_dangling(docker)
    told = program.answer("prune", "--dry-run", environment=docker.environment)
    assert set(ids) <= set(told["deletes"])
    assert told["frees"] == 102_000
    assert told["command"].startswith("docker rmi sha256:")
    assert set(ids) <= image_ids(docker)
    said = command_line(docker, "--dry-run")
    assert (said.returncode, said.stderr) == (0, "")
    assert "dangling images: 2, 102 kB" in said.stdout


def test_command_line_prunes(docker: RealEngine) -> None:
    ids = two_dangling(docker)
    docker.docker("volume", "create", "mine")
    refused = command_line(docker)
    assert program.complaint(refused)
    assert set(ids) <= image_ids(docker)
    done = command_line(docker, "--yes", "--json")
    assert done.returncode == 0
    assert f"Removed image {short_id(ids[0])}." in done.stderr.splitlines()
    told = json.loads(done.stdout)
    assert told["freed"] == told["frees"] == 102_000
    assert not set(ids) & image_ids(docker)
    assert docker.docker("volume", "ls", "-q").stdout == "mine\n"


def test_command_line_read_only(docker: RealEngine) -> None:
    ids = two_dangling(docker)
    assert "read-only" in program.complaint(command_line(docker, "--yes", "--read-only"))
    assert set(ids) <= image_ids(docker)


def test_command_line_without_kinds_takes_no_volume_and_no_container(docker: RealEngine) -> None:
    base = docker.name("busybox:base")
    docker.docker("create", "--name", "stays", "-v", "stays:/v", "-v", "/anonymous", base, "true")
    docker.docker("volume", "create", "unused")
    docker.docker("tag", base, "unused:1")
    docker.docker("network", "create", "goes")
    assert command_line(docker, "--yes").stdout == "Removed 1 network; 0 B freed, as planned.\n"
    docker.docker("inspect", "stays")
    docker.docker("image", "inspect", "unused:1")
    assert len(docker.docker("volume", "ls", "-q").stdout.split()) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--volumes", "--until", "1h"), "Volumes have no date"),
        (("--cache", "--label", "a"), "The build cache has no labels"),
        (("--until", "soon"), "'soon' is no time"),
        (("--label", "=a"), "'=a' is no label"),
    ],
)
def test_command_line_refuses(words: tuple[str, ...], sentence: str) -> None:
    assert program.complaint(program.run("prune", "--dry-run", *words)).startswith(sentence)
