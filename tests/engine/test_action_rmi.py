"""rmi on a real engine: what the plan says is what the engine does, and what is gone from its disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.errors import APIError

from imgscope.actions.containers import RemoveContainer
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Plan
from imgscope.actions.remove import Remove
from imgscope.errors import EngineError, NotFoundError
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.engine.test_containerd_store import Store
from tests.engine.test_containerd_store import store as containerd_store  # noqa: F401 – a fixture
from tests.support import program, sweeping
from tests.support.engine import Engine as RealEngine
from tests.support.registry import Registry
from tests.support.sweeping import image_ids, on_disk


@dataclass(frozen=True)
class Ground:
    """An engine with nothing on it but the base image, and the same as the actions see it."""

    docker: RealEngine
    engine: Engine
    base: str

    def build(self, name: str, *steps: str, buildkit: bool = False, base: str = "") -> str:
        """Steps on the base; each `+N` copies a new file of N random bytes."""
        files: dict[str, str | bytes] = {}
        lines = [f"FROM {base or self.base}"]
        for step in steps:
            if step.startswith("+"):
                file = f"f{len(files)}"
                files[file] = os.urandom(int(step))
                step = f"COPY {file} /{name.partition(':')[0].replace('/', '-')}-{file}"
            lines.append(step)
        return self.docker.build({"Dockerfile": "\n".join(lines), **files}, name, buildkit=buildkit)

    def run(self, *words: str) -> str:
        return self.docker.docker(*words).stdout.strip()

    def plan(self, *names: str, force: bool = False) -> Plan:
        return Remove(self.engine, names, force).describe()

    def check(self, *names: str, force: bool = False) -> tuple[Plan, Done]:
        """Remove, and hold the plan against the engine's answer and its disk."""
        action = Remove(self.engine, names, force)
        plan = action.describe()
        assert not plan.blocked, plan
        ids, disk = image_ids(self.docker), on_disk(self.docker)
        *_, done = action.execute(Job())
        assert isinstance(done, Done)
        assert sorted(done.untagged) == sorted(plan.untags)
        assert set(done.deleted) == set(plan.deletes) == ids - image_ids(self.docker)
        freed = disk - on_disk(self.docker)
        assert done.freed == freed
        assert plan.frees is not None
        if any("may keep" in line for line in plan.lines):
            assert plan.frees >= freed
        else:
            assert plan.frees == freed, plan
        return plan, done

    def refused(self, name: str, *, force: bool = False) -> Plan:
        """The plan of a removal that it says is blocked: the engine must refuse it, and we in a sentence."""
        action = Remove(self.engine, [name], force)
        plan = action.describe()
        assert plan.blocked, plan
        assert (plan.frees, plan.deletes, plan.untags) == (0, (), ())
        with pytest.raises(APIError) as refusal:
            self.docker.client.api.remove_image(name, force=force)
        assert refusal.value.status_code == 409
        with pytest.raises(EngineError) as told:
            list(action.execute(Job()))
        assert told.value.status == 409
        assert str(told.value).count("\n") == 0
        assert plan.blocked_by[0].what in str(told.value)
        return plan


@pytest.fixture
def ground(empty_engine: RealEngine) -> Iterator[Ground]:
    with (
        sweeping.only_the_base(empty_engine),
        contextlib.closing(EngineSource.connect(empty_engine.host)) as source,
    ):
        yield Ground(empty_engine, Engine(source), empty_engine.name("busybox:base"))


# -- names ----------------------------------------------------------------------------------------------


def test_one_of_several_names(ground: Ground) -> None:
    image = ground.build("a:1", "+1000")
    ground.run("tag", "a:1", "a:2")
    plan, done = ground.check("a:2")
    assert (plan.title, plan.frees, plan.deletes, plan.untags) == ("Untag a:2", 0, (), ("a:2",))
    assert "the image stays as a:1" in plan.lines
    assert done.text == "Untagged a:2; 0 B freed, as planned."
    plan, _ = ground.check("a:1")
    assert plan.title == "Remove a:1"
    assert (plan.frees, plan.deletes[0]) == (1000, image)
    assert plan.command == "docker rmi a:1"


def test_latest_goes_unsaid(ground: Ground) -> None:
    ground.build("a:latest", "+1000")
    plan, _ = ground.check("docker.io/library/a")
    assert plan.untags == ("a:latest",)


def test_all_names_at_once(ground: Ground) -> None:
    ground.build("a:1", "+1000")
    ground.run("tag", "a:1", "other/a:1")
    plan, _ = ground.check("a:1", "other/a:1")
    assert plan.frees == 1000


@pytest.mark.parametrize("digits", [12, 64])
def test_by_id(ground: Ground, digits: int) -> None:
    image = ground.build("a:1", "+1000", "+2000")
    plan, _ = ground.check(image.removeprefix("sha256:")[:digits])
    assert (plan.untags, plan.frees) == (("a:1",), 3000)
    assert [line.partition(" goes: ")[0] for line in plan.lines if " goes: " in line] == [
        "layer 2 of a:1",
        "layer 3 of a:1",
    ]


def test_an_id_of_several_names_is_refused(ground: Ground) -> None:
    image = ground.build("a:1", "+1000")
    ground.run("tag", "a:1", "a:2")
    plan = ground.refused(image)
    assert {(item.id, item.forceable) for item in plan.blocked_by} == {("a:1", True), ("a:2", True)}
    assert "remove it by its names a:1 and a:2" in " ".join(plan.lines)
    plan, _ = ground.check(image, force=True)
    assert (set(plan.untags), plan.frees) == ({"a:1", "a:2"}, 1000)
    assert plan.command == f"docker rmi --force {image}"


def test_names_by_digest(ground: Ground, registry: Registry) -> None:
    """They go with the last tag of their repository, and are names like others elsewhere."""
    image = ground.build("a:1", "+1000")
    for name in (f"{registry.host}/a:1", f"{registry.host}/a:2", f"{registry.host}/b:1"):
        ground.run("tag", "a:1", name)
        ground.run("push", name)
    digests = ground.docker.client.images.get(image).attrs["RepoDigests"]
    assert len(digests) == 2
    digest_a = next(name for name in digests if "/a@" in name)
    ground.refused(image)
    plan, _ = ground.check(f"{registry.host}/a:1")
    assert plan.untags == (f"{registry.host}/a:1",)
    plan, _ = ground.check(f"{registry.host}/a:2")
    assert set(plan.untags) == {f"{registry.host}/a:2", digest_a}
    ground.check("a:1")
    plan, _ = ground.check(image)  # one repository left, with one tag
    assert (len(plan.untags), plan.frees) == (2, 1000)


def test_pulled_by_digest(ground: Ground, registry: Registry) -> None:
    name = f"{registry.host}/by-digest:1"
    ground.build(name, "+1000")
    ground.run("push", name)
    digest = ground.docker.client.images.get(name).attrs["RepoDigests"][0]
    ground.check(name)
    ground.run("pull", digest)
    plan, _ = ground.check(digest)
    # what was a step of the build is gone; pulled again, the same layers
    assert (plan.untags, plan.frees) == ((digest,), 1000)


def test_no_such_image(ground: Ground) -> None:
    ground.build("simple-node:1", "+10")
    with pytest.raises(NotFoundError, match="no image 'simple-nod:1'; near it are simple-node:1"):
        ground.plan("simple-nod:1")
    with pytest.raises(NotFoundError, match="no image '0123456789ab'"):
        ground.plan("0123456789ab")
    with pytest.raises(NotFoundError, match="no image 'zzz'"):
        list(Remove(ground.engine, ["simple-node:1", "zzz"]).execute(Job()))
    assert ground.run("images", "-q", "simple-node:1")  # nothing went


# -- what shares ------------------------------------------------------------------------------------------


def test_a_shared_layer_stays(ground: Ground) -> None:
    ground.build("a:1", "+100000")
    ground.build("b:1", "+1000", base="a:1")
    plan, _ = ground.check("b:1")
    assert plan.frees == 1000
    assert plan.keeps == ("1 layer (1.98 MB): used by a:1, busybox:base", "1 layer (100 kB): used by a:1")


def test_the_last_child_takes_untagged_parents_along(ground: Ground) -> None:
    base = image_ids(ground.docker)
    ground.build("a:1", "+100000", "ENV a=b")
    child = ground.build("b:1", "+1000", "CMD b", base="a:1")
    plan, _ = ground.check("a:1")
    assert (plan.deletes, plan.frees) == ((), 0)
    assert "the image stays without a name: image b:1 was built on it" in plan.lines
    plan, _ = ground.check("b:1")
    assert (len(plan.deletes), plan.deletes[0], plan.frees) == (4, child, 101_000)
    assert image_ids(ground.docker) == base


def test_a_parent_is_refused(ground: Ground) -> None:
    parent = ground.build("a:1", "+1000")
    child = ground.build("b:1", "+1000", base="a:1")
    plan = ground.refused(parent)
    assert [(item.id, item.forceable) for item in plan.blocked_by] == [(child, False)]
    assert "remove image b:1 first" in " ".join(plan.lines)
    ground.refused(parent, force=True)
    plan, _ = ground.check("b:1", parent)
    assert plan.frees == 2000


def test_a_dangling_stage_with_the_layers_of_a_tagged_image(ground: Ground) -> None:
    ground.build("a:1", "+5000")
    stage = ground.build("stage:1", "LABEL a=b", base="a:1")
    ground.build("a:2", "LABEL c=d", base="a:1")
    ground.run("tag", "a:2", "stage:1")
    plan, _ = ground.check(stage)
    assert (plan.deletes, plan.frees) == ((stage,), 0)
    assert "1 layer (5 kB): used by a:1, a:2" in plan.keeps


def test_the_build_cache_keeps_layers(ground: Ground) -> None:
    image = ground.build("k:1", "+3000", "RUN echo hello > /hello", "WORKDIR /w", buildkit=True)
    plan, _ = ground.check("k:1")
    assert (plan.deletes, plan.frees) == ((image,), 0)
    assert "3 layers (3.01 kB): kept by the build cache: prune it, too" in plan.keeps
    # the base, too: the cache's lowest record is the base image
    plan, _ = ground.check(ground.base)
    assert plan.frees == 0
    disk = on_disk(ground.docker)
    ground.docker.client.api.prune_builds(all=True)
    assert disk - on_disk(ground.docker) >= 3006 + 1_000_000


def test_the_build_cache_pruned_first(ground: Ground) -> None:
    ground.build("k:1", "+3000", "RUN echo hello > /hello", buildkit=True)
    ground.docker.client.api.prune_builds(all=True)
    plan, _ = ground.check("k:1")
    assert plan.frees == 3006


# -- containers -------------------------------------------------------------------------------------------


def test_a_stopped_container(ground: Ground) -> None:
    image = ground.build("a:1", "+4000")
    container = ground.run("create", "--name", "old", "a:1")
    for name in ("a:1", image):
        plan = ground.refused(name)
        assert [(item.id, item.forceable) for item in plan.blocked_by] == [(container, True)]
        assert "container old was made from it (Created)" in plan.blocked_by[0].what
        assert "remove container old first" in " ".join(plan.lines)
    plan, _ = ground.check("a:1", force=True)
    assert (image in plan.deletes, plan.frees) == (True, 0)
    assert "1 layer (4 kB): kept by container old until it is removed" in plan.keeps


def test_what_a_container_of_a_removed_image_keeps(ground: Ground, tmp_path: Path) -> None:
    """Another image with the same layer frees nothing while that container is there."""
    ground.build("a:1", "+4000")
    ground.build("b:1", "+1000", base="a:1")
    ground.run("save", "-o", str(tmp_path / "b.tar"), "b:1")
    ground.run("create", "--name", "old", "a:1")
    ground.check("b:1")
    plan, _ = ground.check("a:1", force=True)
    assert plan.frees == 0
    ground.run("load", "-i", str(tmp_path / "b.tar"))
    plan, _ = ground.check("b:1")
    assert plan.frees == 1000
    assert "1 layer (4 kB): kept by container old until it is removed" in plan.keeps
    disk = on_disk(ground.docker)
    remove = RemoveContainer(ground.engine, "old")
    assert remove.describe().frees == 4000
    *_, done = remove.execute(Job())
    assert isinstance(done, Done)
    assert done.freed == disk - on_disk(ground.docker) == 4000


def test_a_running_container(ground: Ground) -> None:
    image = ground.build("a:1", "+4000")
    ground.run("run", "-d", "--name", "busy", "a:1", "sleep", "1000")
    plan = ground.refused(image, force=True)
    assert [item.forceable for item in plan.blocked_by] == [False]
    assert "stop and remove container busy first" in " ".join(plan.lines)
    ground.refused("a:1")
    plan, _ = ground.check("a:1", force=True)  # by force its name goes, and it stays
    assert (plan.untags, plan.deletes, plan.frees) == (("a:1",), (), 0)
    assert any("the image stays without a name" in line for line in plan.lines)


# -- at random ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_removals_in_any_order(ground: Ground, registry: Registry, seed: int) -> None:
    """Of a store in which all of it comes together; containers and build cache go in between."""
    chance = random.Random(seed)
    _crowd(ground, registry.host)
    for _ in range(40):
        name, force = _any_name(ground, chance), chance.random() < 0.4
        if not name:
            break
        containers = ground.run("ps", "-aq").split()
        if containers and chance.random() < 0.2:
            ground.run("rm", "--force", chance.choice(containers))
        if chance.random() < 0.03:
            ground.docker.client.api.prune_builds(all=True)
        plan = ground.plan(name, force=force)
        if plan.blocked:
            ground.refused(name, force=force)
        else:
            ground.check(name, force=force)


def _crowd(ground: Ground, registry: str) -> None:
    ground.build("a:1", "+1000", "ENV a=1", "+2000")
    ground.run("tag", "a:1", f"{registry}/a:1")
    ground.run("push", f"{registry}/a:1")
    ground.run("tag", "a:1", "other:1")
    ground.build("b:1", "+3000", "CMD b", base="a:1")
    ground.build("c:1", "LABEL c=1", base="a:1")
    ground.build("d:1", "+4000")
    ground.build("d:1", "+5000")  # the first is dangling now
    ground.build("k:1", "+6000", "RUN echo k > /k", buildkit=True)
    ground.build("k:2", "+7000", "ENV k=2", "RUN echo kk > /k", base="k:1", buildkit=True)
    ground.build("l:1", "RUN echo k > /l", base="b:1", buildkit=True)
    for number, image in enumerate(("a:1", "c:1", "d:1", "k:2")):
        ground.run("create", "--name", f"made-{number}", image)
    ground.run("run", "-d", "--name", "running", "b:1", "sleep", "1000")


def _any_name(ground: Ground, chance: random.Random) -> str:
    names: list[str] = []
    for item in ground.docker.client.api.images(all=True):
        identifier: str = item["Id"]
        names += [identifier, identifier[7:19], *(item["RepoTags"] or []), *(item["RepoDigests"] or [])]
    names = sorted(name for name in names if "<none>" not in name)
    return chance.choice(names) if names else ""


# -- containerd's image store -------------------------------------------------------------------------------


def test_containerd(containerd_store: Store) -> None:  # noqa: F811
    """Parents are no matter, an image with a container stays by its id, and bytes are measured."""
    store, context = containerd_store, containerd_store.folder / "rmi"
    context.mkdir()
    for number, steps in enumerate(("FROM scratch", "FROM rmi:1")):
        (context / f"f{number}").write_bytes(os.urandom(100_000))
        (context / "Dockerfile").write_text(f"{steps}\nCOPY f{number} /\nCMD x\n")
        store.docker("build", "--no-cache", "--tag", f"rmi:{number + 1}", "/mnt/rmi")
    store.docker("builder", "prune", "--all", "--force")
    store.docker("create", "--name", "rmi", "rmi:2")

    def check(name: str, *, force: bool = False) -> tuple[Plan, Done]:
        action = Remove(engine, [name], force)
        plan = action.describe()
        *_, done = action.execute(Job())
        assert isinstance(done, Done)
        assert (done.deleted, done.untagged) == (plan.deletes, plan.untags)
        return plan, done

    with contextlib.closing(EngineSource.connect(store.host)) as source:
        engine = Engine(source)
        assert engine.inventory().containerd
        plan, done = check("rmi:1")
        assert (len(plan.deletes), plan.frees, done.freed) == (1, 0, 0)
        with pytest.raises(EngineError, match="container rmi was made from it"):
            check("rmi:2")
        plan, _ = check("rmi:2", force=True)
        assert (plan.deletes, plan.untags) == ((), ("rmi:2",))
        image = next(image for image in engine.inventory().images if not image.references)
        store.docker("rm", "rmi")
        plan, done = check(image.id)
        assert plan.frees is not None
        assert plan.frees > 200_000
        assert done.freed == plan.frees
        assert any("collects contents later" in line for line in plan.lines)


# -- the command line --------------------------------------------------------------------------------------


def test_the_command(ground: Ground) -> None:
    image = ground.build("a:1", "+1000")
    ground.run("tag", "a:1", "a:2")
    environment = ground.docker.environment
    plan = program.answer("rmi", "--dry-run", "a:1", "a:2", environment=environment)
    assert plan == {
        "frees": 1000,
        "deletes": plan["deletes"],
        "untags": ["a:1", "a:2"],
        "keeps": ["1 layer (1.98 MB): used by busybox:base"],
        "blocked_by": [],
        "command": "docker rmi a:1 a:2",
    }
    assert plan["deletes"] == [image]
    said = program.complaint(program.run("rmi", "a:1", environment=environment))
    assert "no terminal to ask on; add --yes" in said
    done = program.run("rmi", "--yes", "a:1", environment=environment)
    assert (done.returncode, done.stdout) == (0, "Untagged a:1; 0 B freed, as planned.\n")
    assert "Untagged a:1." in done.stderr
    done = program.run("rmi", "--yes", "--json", "a:2", environment=environment)
    assert json.loads(done.stdout) == {**plan, "freed": 1000, "untags": ["a:2"], "command": "docker rmi a:2"}
    assert image not in image_ids(ground.docker)


def test_the_command_where_it_is_blocked(ground: Ground) -> None:
    image = ground.build("a:1", "+1000")
    container = ground.run("create", "--name", "old", "a:1")
    environment = ground.docker.environment
    plan = program.answer("rmi", "--dry-run", "a:1", environment=environment)
    what = "container old was made from it (Created)"
    assert plan["blocked_by"] == [{"what": what, "id": container, "forceable": True}]
    said = program.complaint(program.run("rmi", "--yes", "a:1", environment=environment))
    assert said == f"Nothing was changed: {what}; --force does it all the same."
    done = program.run("rmi", "--yes", "--force", "a:1", environment=environment)
    assert done.stdout == "Untagged a:1; deleted 1 image; 0 B freed, as planned.\n"
    assert image not in image_ids(ground.docker)


def test_the_command_where_it_is_read_only(ground: Ground) -> None:
    ground.build("a:1", "+1000")
    environment = ground.docker.environment
    for done in (
        program.run("rmi", "--yes", "--read-only", "a:1", environment=environment),
        program.run("rmi", "--yes", "a:1", environment={**environment, "IMGSCOPE_READ_ONLY": "1"}),
    ):
        assert "read-only" in program.complaint(done)
    assert ground.run("images", "-q", "a:1")
