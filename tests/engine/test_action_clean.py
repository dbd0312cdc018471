"""Clean up on a real engine: the promise of the ticked lines is what is freed, and only they go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from imgscope.actions.clean import CleanUp
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program, sweeping
from tests.support.engine import Engine as RealEngine
from tests.support.registry import Registry
from tests.support.sweeping import Bystanders, image_ids, on_disk, two_dangling


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


def run(cleanup: CleanUp) -> Done:
    *_, done = cleanup.execute(Job())
    assert isinstance(done, Done)
    return done


def clutter(docker: RealEngine) -> dict[str, str]:
    """Something for every line but the images by digest; gives ids by what it is."""
    base = docker.name("busybox:base")
    made = dict(zip(("first", "second"), two_dangling(docker), strict=True))
    docker.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 30000 /dev/urandom > /cached\n"}, "cached:1", buildkit=True
    )
    docker.build({"Dockerfile": f"FROM {base}\nLABEL c=1\n"}, "cached:1")  # the first one dangles
    for name, words in {
        "empty": ("true",),
        "wrote": ("sh", "-c", "head -c 700 /dev/zero > /written"),
    }.items():
        docker.docker("run", "--name", name, base, *words)
        made[name] = docker.docker("inspect", "--format", "{{.Id}}", name).stdout.strip()
    made["waits"] = docker.docker("create", "--name", "waits", base, "true").stdout.strip()
    committed = docker.docker("commit", "wrote").stdout.strip()
    made["committed"] = committed
    made["network"] = docker.docker("network", "create", "nobodys").stdout.strip()
    docker.docker("volume", "create", "named")
    made["anonymous"] = docker.docker(
        "volume", "create", "--label", "com.docker.volume.anonymous="
    ).stdout.strip()
    docker.build(
        {"Dockerfile": f"FROM {base}\nRUN head -c 9000 /dev/urandom > /u\n"}, "unused:1", "--no-cache"
    )
    return made


def test_what_nobody_can_miss_goes_and_frees_what_was_promised(docker: RealEngine, ours: Engine) -> None:
    bystanders = Bystanders.make(docker)
    made = clutter(docker)
    cleanup = CleanUp(ours)
    lines = {line.key: [item.id for item in line.items] for line in cleanup.lines() if line.ticked}
    assert set(lines) == {"containers", "dangling", "cache", "networks"}
    assert lines["containers"] == [made["empty"]]
    assert lines["networks"] == [made["network"]]
    assert {made["first"], made["second"]} < set(lines["dangling"])
    assert made["committed"] not in lines["dangling"]
    plan = cleanup.describe()
    assert plan.frees is not None
    assert plan.frees > 132_000  # the dangling ones of 102 kB, what was built with BuildKit, its context
    disk = on_disk(docker)
    done = run(cleanup)
    assert done.freed == plan.frees
    assert disk - on_disk(docker) == plan.frees
    assert set(done.deleted) == set(plan.deletes)
    assert (plan.untags, done.untagged) == ((), ())
    assert " freed, as planned." in done.text
    bystanders.check()
    for kept in ("wrote", "waits", "named", made["anonymous"], "unused:1", made["committed"]):
        docker.docker("inspect", kept)
    left = [line.key for line in CleanUp(ours).lines() if line.ticked]
    assert left == []


def test_everything_that_can_go(docker: RealEngine, ours: Engine) -> None:
    bystanders = Bystanders.make(docker)
    made = clutter(docker)
    cleanup = CleanUp(ours)
    lines = cleanup.lines()
    keys = [line.key for line in lines]
    assert "volume:named" in keys
    assert "volume:bystander" not in keys
    sums = sum(line.bytes or 0 for line in lines)
    cleanup.choose(keys)
    plan = cleanup.describe()
    assert "named" in plan.deletes
    assert made["anonymous"] in plan.deletes
    assert "unused:1" in plan.untags
    assert plan.frees is not None
    assert plan.frees != sums
    done = run(cleanup)
    assert done.freed == plan.frees
    assert set(done.deleted) == set(plan.deletes)
    bystanders.check()
    assert docker.docker("volume", "ls", "-q").stdout == "bystander\n"


def test_unused_images_are_new_when_they_were_just_tagged(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    assert docker.client.images.get(base).attrs["Metadata"]["LastTagTime"]
    lines = {line.key: [item.name for item in line.items] for line in CleanUp(ours).lines()}
    assert lines == {"images-new": [base]}
    later = CleanUp(ours, now=docker_time(docker, base) + 40 * 86400)
    assert [line.key for line in later.lines()] == ["images-30d"]


def docker_time(docker: RealEngine, name: str) -> float:
    from imgscope.actions.prune import seconds

    moment = seconds(docker.client.images.get(name).attrs["Metadata"]["LastTagTime"])
    assert moment is not None
    return moment


def test_images_pulled_by_digest_are_not_ticked(docker: RealEngine, ours: Engine, registry: Registry) -> None:
    name = f"{registry.host}/clean/digest:1"
    image = docker.build({"Dockerfile": f"FROM {docker.name('busybox:base')}\nLABEL d=1\n"}, name)
    docker.docker("push", name)
    digest = docker.client.images.get(name).attrs["RepoDigests"][0]
    docker.docker("rmi", name)
    docker.docker("pull", digest)
    cleanup = CleanUp(ours)
    lines = {line.key: ([item.id for item in line.items], line.ticked) for line in cleanup.lines()}
    assert lines["by-digest"] == ([image], False)
    run(cleanup)
    docker.client.images.get(digest)
    cleanup = CleanUp(ours, ["by-digest"])
    plan = cleanup.describe()
    done = run(cleanup)
    assert (done.deleted, done.freed) == ((image,), plan.frees)


def test_what_changed_since_the_plan_is_kept(docker: RealEngine, ours: Engine) -> None:
    base = docker.name("busybox:base")
    docker.docker("run", "--name", "again", base, "sh", "-c", "test -e /proc/1/again || true")
    docker.docker("network", "create", "joined")
    first, second = two_dangling(docker)
    cleanup = CleanUp(ours)
    promised = cleanup.describe().frees
    docker.docker("run", "-d", "--name", "joins", "--network", "joined", first, "sleep", "1000")
    docker.docker("rm", "again")
    docker.docker("run", "-d", "--name", "again", base, "sleep", "1000")  # of the same name, but another
    done = run(cleanup)
    assert (
        docker.docker("inspect", "--format", "{{.State.Running}}", "again", "joins").stdout == "true\ntrue\n"
    )
    assert first in image_ids(docker)
    assert second not in image_ids(docker)
    assert promised == 102_000
    assert done.freed == 1000
    assert "1 kB freed, 102 kB planned. Kept container again (it is gone already), image " in done.text


def test_looking_again(docker: RealEngine, ours: Engine) -> None:
    cleanup = CleanUp(ours)
    assert "networks" not in {line.key for line in cleanup.lines()}
    docker.docker("network", "create", "later")
    assert "networks" not in {line.key for line in cleanup.lines()}
    cleanup.look()
    assert "networks" in {line.key for line in cleanup.lines()}


def test_command_line(docker: RealEngine) -> None:
    first, second = two_dangling(docker)
    docker.docker("volume", "create", "mine")
    told = program.answer("clean", "--dry-run", environment=docker.environment)
    assert {first, second} <= set(told["deletes"])
    assert told["frees"] == 102_000
    said = program.run("clean", "--dry-run", environment=docker.environment)
    assert "[x] dangling: dangling images of builds: 2, 102 kB alone" in said.stdout
    assert (
        "[ ] volume:mine: volume mine: 1, 0 B alone; somebody named it; its data would be lost" in said.stdout
    )
    assert first in image_ids(docker)
    done = program.run("clean", "--json", "--yes", environment=docker.environment)
    assert done.returncode == 0
    assert json.loads(done.stdout)["freed"] == 102_000
    assert not {first, second} & image_ids(docker)
    assert docker.docker("volume", "ls", "-q").stdout == "mine\n"


def test_command_line_includes_and_excludes(docker: RealEngine) -> None:
    two_dangling(docker)
    docker.docker("volume", "create", "mine")
    words = ("--include", "volume:mine", "--exclude", "dangling")
    told = program.answer("clean", "--dry-run", *words, environment=docker.environment)
    assert (told["deletes"], told["command"]) == (["mine"], "docker volume rm mine")
    said = program.run("clean", "--yes", *words, environment=docker.environment)
    assert said.stdout == "Removed 1 volume; 0 B freed, as planned.\n"
    refused = program.run("clean", "--include", "all", "--dry-run", environment=docker.environment)
    assert program.complaint(refused).startswith("There is no line 'all' to clean up; there are dangling, ")
    refused = program.run("clean", environment=docker.environment)
    assert "--yes" in program.complaint(refused)
