"""The containers of an image, on a real engine: listed, heard, stopped and removed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from docker.errors import APIError

from imgscope.actions.containers import Logs, RemoveContainer, StopContainer, Use, containers_of
from imgscope.actions.engine import Engine as ActionEngine
from imgscope.actions.plan import Done, Event, Said
from imgscope.errors import CancelledError, EngineError, NotFoundError
from imgscope.job import Job
from tests.support.engine import Engine
from tests.support.wait import wait_for


class Containers:
    """Makes containers for one test."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image
        self.ids: list[str] = []

    def make(self, *words: str, image: str = "", options: tuple[str, ...] = (), run: bool = True) -> str:
        verb = ["run", "-d"] if run else ["create"]
        made = self.engine.docker(*verb, *options, image or self.image, *words).stdout.strip()
        self.ids.append(made)
        return made

    def ended(self, container: str) -> str:
        self.engine.docker("wait", container)
        return container


@pytest.fixture
def containers(engine: Engine, busybox_base: str) -> Iterator[Containers]:
    containers = Containers(engine, busybox_base)
    yield containers
    for container in containers.ids:
        with suppress(APIError):
            engine.client.api.remove_container(container, force=True, v=True)


def lines(events: Iterator[Event]) -> list[str]:
    """What was said, of an action that ends well."""
    *said, done = events
    assert isinstance(done, Done)
    assert all(isinstance(event, Said) for event in said)
    return [event.text for event in said if isinstance(event, Said)]


# -- which there are ---------------------------------------------------------------------------------------


def test_the_containers_of_an_image_its_names_and_its_children(
    engine: Engine, actions: ActionEngine, containers: Containers
) -> None:
    name, child = engine.name("used:1"), engine.name("used-child:1")
    built = engine.build({"Dockerfile": f"FROM {containers.image}\nCOPY f /used\n", "f": b"used" * 9}, name)
    engine.build({"Dockerfile": f"FROM {name}\nCOPY f /child\n", "f": b"child" * 9}, child, buildkit=True)
    engine.docker("tag", name, engine.name("used:other"))
    try:
        first = containers.make(image=name, run=False)
        second = containers.make("sleep", "1000", image=engine.name("used:other"))
        third = containers.make(image=child, run=False)
        uses = containers_of(actions.inventory(), built)
        assert uses[0] == Use(uses[0].container)
        assert {(use.container.id, use.through) for use in uses} == {
            (first, ""),
            (second, ""),
            (third, child),
        }
        assert [use.container.running for use in uses] == [True, False, False]
        child_id = str(engine.client.images.get(child).id)
        assert [use.container.id for use in containers_of(actions.inventory(), child_id)] == [third]
        # its image removed by force, the container still has the layers
        engine.docker("rmi", "--force", child)
        found = {use.container.id: use.through for use in containers_of(actions.inventory(), built)}
        assert found[third].endswith("(removed)")
    finally:
        for container in containers.ids:
            engine.client.api.remove_container(container, force=True)
        engine.docker("rmi", "--force", name, engine.name("used:other"), check=False)


# -- logs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
def test_logs(actions: ActionEngine, containers: Containers, terminal: bool) -> None:
    script = "echo one; echo zwei; printf 'a\\033[31mb\\n'; printf end"
    options = ("-t",) if terminal else ()
    container = containers.ended(containers.make("sh", "-c", script, options=options))
    assert lines(Logs(actions, container).execute(Job())) == ["one", "zwei", "a\x1b[31mb", "end"]
    assert lines(Logs(actions, container, tail=2).execute(Job())) == ["a\x1b[31mb", "end"]


def test_logs_of_both_streams(actions: ActionEngine, containers: Containers) -> None:
    container = containers.ended(containers.make("sh", "-c", "printf out; echo err >&2; echo put"))
    assert sorted(lines(Logs(actions, container).execute(Job()))) == ["err", "output"]


def test_long_lines(actions: ActionEngine, containers: Containers) -> None:
    script = "head -c 200000 /dev/zero | tr '\\0' x; echo; echo short"
    container = containers.ended(containers.make("sh", "-c", script))
    *pieces, short = lines(Logs(actions, container).execute(Job()))
    assert ("".join(pieces), short) == ("x" * 200_000, "short")


def test_logs_are_followed_to_the_end(actions: ActionEngine, containers: Containers) -> None:
    script = "echo ready; until [ -e /go ]; do sleep 0.05; done; echo gone"
    container = containers.make("sh", "-c", script)
    events = Logs(actions, container, follow=True).execute(Job())
    assert next(events) == Said("ready")
    containers.engine.docker("exec", container, "touch", "/go")
    assert lines(events) == ["gone"]


def test_following_is_cancelled(actions: ActionEngine, containers: Containers) -> None:
    container = containers.make("sh", "-c", "echo ready; exec sleep 1000")
    job = Job()
    events = Logs(actions, container, follow=True).execute(job)
    assert next(events) == Said("ready")
    threading.Timer(0.1, job.cancel).start()
    with pytest.raises(CancelledError):
        next(events)


# -- stopping and removing ---------------------------------------------------------------------------------


def test_stop(engine: Engine, actions: ActionEngine, containers: Containers) -> None:
    container = containers.make("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    wait_for("the trap", lambda: engine.docker("logs", container).stdout)
    stop = StopContainer(actions, container)
    name = engine.client.containers.get(container).name
    plan = stop.describe()
    assert (plan.title, plan.command) == (f"Stop container {name}", f"docker stop {name}")
    *_, done = stop.execute(Job())
    assert isinstance(done, Done)
    assert done.text == f"Container {name} is stopped."
    state = engine.client.api.inspect_container(container)["State"]
    assert (state["Running"], state["ExitCode"]) == (False, 3)


def test_remove(engine: Engine, actions: ActionEngine, containers: Containers) -> None:
    container = containers.ended(
        containers.make("sh", "-c", "head -c 5000 /dev/zero > /written", options=("-v", "/v"))
    )
    remove = RemoveContainer(actions, container)
    plan = remove.describe()
    assert (plan.frees, plan.deletes, plan.keeps) == (5000, (container,), ("its volumes stay",))
    assert plan.lines == ("what it wrote goes: 5 kB",)
    *_, done = remove.execute(Job())
    assert isinstance(done, Done)
    assert (done.freed, done.deleted) == (5000, (container,))
    with pytest.raises(NotFoundError, match="no container"):
        remove.describe()
    for volume in engine.client.volumes.list(filters={"dangling": True}):
        volume.remove()


def test_a_running_one_goes_by_force_only(
    engine: Engine, actions: ActionEngine, containers: Containers
) -> None:
    container = containers.make("sleep", "1000")
    plan = RemoveContainer(actions, container).describe()
    assert [(item.id, item.forceable) for item in plan.blocked_by] == [(container, True)]
    with pytest.raises(EngineError, match=r"is running; stop it first, or force it\.$") as refusal:
        list(RemoveContainer(actions, container).execute(Job()))
    assert refusal.value.status == 409
    forced = RemoveContainer(actions, container, force=True)
    assert not forced.describe().blocked
    *_, done = forced.execute(Job())
    assert isinstance(done, Done)
    assert container not in {item.id for item in engine.client.containers.list(all=True)}


@pytest.mark.parametrize("kind", [StopContainer, RemoveContainer, Logs])
def test_no_such_container(
    actions: ActionEngine, containers: Containers, kind: type[StopContainer | RemoveContainer | Logs]
) -> None:
    containers.make(options=("--name", "imgscope-there"), run=False)
    with pytest.raises(NotFoundError, match=r"no container 'imgscope-gone'; there are .*imgscope-there"):
        kind(actions, "imgscope-gone").describe()
    with pytest.raises(NotFoundError):
        list(kind(actions, "imgscope-gone").execute(Job()))
