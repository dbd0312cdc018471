"""Push on a real engine and real registries: what is promised, what travels, what goes wrong."""

from __future__ import annotations

import subprocess
import threading
import time

import pytest

from imgscope.actions.credentials import Credentials, Login
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, Transfer
from imgscope.actions.push import Push
from imgscope.errors import AuthRequired, CancelledError, EngineError, NotFoundError, UsageError
from imgscope.images.model import short_id
from imgscope.job import Job
from tests.support.fresh import Images, layer_sizes, skopeo
from tests.support.needs import require_tool
from tests.support.registry import PASSWORD, USER, Registry

MIB = 1 << 20


def run(action: Push, job: Job | None = None) -> list[Event]:
    return list(action.execute(job or Job()))


def done(action: Push) -> Done:
    last = run(action)[-1]
    assert isinstance(last, Done)
    return last


def uploads(registry: Registry) -> int:
    return registry.log.count('"PATCH /v2/')


def text(plan: Plan) -> str:
    return "\n".join([plan.title, *plan.lines, *plan.keeps, plan.command])


def test_first_push_sends_all(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/push/first:1"
    images.build(name, 3 * MIB)
    action = Push(actions, name)
    plan = action.describe()
    assert (plan.sends, plan.estimate) == (3 * MIB, True)
    assert plan.command == f"docker push {name}"
    assert "1 is new there" in plan.lines
    before = registry.stored
    events = run(action)
    end = events[-1]
    assert isinstance(end, Done)
    assert end.result == skopeo(name)["Digest"]
    # the compressed bytes that it says it sent are those that the registry got
    manifest = skopeo(name, "--raw")
    assert end.sent == sum(layer_sizes(name))
    documents = manifest["config"]["size"] + len(
        subprocess.run(
            [require_tool("skopeo"), "inspect", "--tls-verify=false", "--raw", f"docker://{name}"],
            capture_output=True,
            check=True,
        ).stdout
    )
    assert registry.stored - before == end.sent + documents
    transfers = [event for event in events if isinstance(event, Transfer)]
    assert {event.part for event in transfers} == {short_id(images.diff_ids(name)[0])}
    assert transfers[-1].status == "Pushed"
    assert any(0 < event.done <= (event.total or 0) for event in transfers)
    assert all(event.total is None or event.done <= event.total for event in transfers)


def test_shared_layers_do_not_travel(actions: Engine, images: Images, registry: Registry) -> None:
    base, child = f"{registry.host}/push/shared:base", f"{registry.host}/push/shared:child"
    images.build(base, 4 * MIB)
    images.build(child, MIB, base)
    run(Push(actions, base))
    plan = Push(actions, child).describe()
    assert plan.sends == MIB
    assert "1 layer it has already: not sent" in plan.lines
    before = registry.stored
    end = done(Push(actions, child))
    shared, own = layer_sizes(child)
    assert end.sent == own
    assert own <= registry.stored - before < own + 10_000 < shared


def test_nothing_travels_twice(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/push/twice:1"
    images.build(name)
    run(Push(actions, name))
    images.tag(name, f"{registry.host}/push/twice:2")
    for again in (name, f"{registry.host}/push/twice:2"):
        plan = Push(actions, again).describe()
        assert (plan.sends, plan.estimate) == (0, False)
        before = uploads(registry)
        assert done(Push(actions, again)).sent == 0
        assert uploads(registry) == before
    assert "1 names this image there already" in Push(actions, name).describe().lines


def test_layer_of_another_repository_is_mounted(actions: Engine, images: Images, registry: Registry) -> None:
    name, other = f"{registry.host}/push/here:1", f"{registry.host}/push/there:1"
    images.build(name)
    run(Push(actions, name))
    images.tag(name, other)
    plan = Push(actions, other).describe()
    assert (plan.sends, plan.estimate) == (0, True)
    assert "in push/here" in text(plan)
    before = uploads(registry)
    events = run(Push(actions, other))
    assert "Mounted from push/here" in [event.status for event in events if isinstance(event, Transfer)]
    assert uploads(registry) == before + 1  # the config only


def test_layer_that_the_engine_does_not_know_of(actions: Engine, images: Images, registry: Registry) -> None:
    """Another program pushed the same layer: the engine sends it again, and the plan does not deny it."""
    name = f"{registry.host}/push/foreign:1"
    images.build(name)
    copy = ["copy", "--quiet", "--dest-tls-verify=false", "--src-daemon-host", images.engine.host]
    command = [require_tool("skopeo"), *copy, f"docker-daemon:{name}", f"docker://{name}"]
    subprocess.run(command, check=True, capture_output=True)
    plan = Push(actions, name).describe()
    assert (plan.sends, plan.estimate) == (0, True)
    assert "unless this engine never pushed or pulled" in text(plan)
    assert done(Push(actions, name)).sent == sum(layer_sizes(name))


def test_tag_that_moves_in_the_registry(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/push/moves:1"
    first = images.build(name)
    run(Push(actions, name))
    images.build(name)
    plan = Push(actions, name).describe()
    assert f"1 names another image there, {short_id(first)}" in text(plan)


def test_all_tags_only_when_asked(actions: Engine, images: Images, registry: Registry) -> None:
    repository = f"{registry.host}/push/all"
    for tag in ("a", "b", "latest"):
        images.build(f"{repository}:{tag}")
    run(Push(actions, repository))
    assert skopeo(repository)["RepoTags"] == ["latest"]
    action = Push(actions, repository, all_tags=True)
    plan = action.describe()
    assert plan.command == f"docker push --all-tags {repository}"
    assert plan.sends == 2 * MIB
    run(action)
    assert sorted(skopeo(repository)["RepoTags"]) == ["a", "b", "latest"]
    with pytest.raises(UsageError, match="names one tag"):
        Push(actions, f"{repository}:a", all_tags=True).describe()
    with pytest.raises(NotFoundError, match="has a tag in"):
        Push(actions, f"{repository}-not", all_tags=True).describe()


def test_what_is_not_there_and_what_is_no_tag(actions: Engine, registry: Registry) -> None:
    name = f"{registry.host}/push/none:1"
    with pytest.raises(NotFoundError, match="push/none:1"):
        Push(actions, name).describe()
    with pytest.raises(EngineError, match=r"was not pushed: .*does not exist"):
        run(Push(actions, name))  # in-band
    with pytest.raises(UsageError, match="digest"):
        Push(actions, f"{name}@sha256:{'0' * 64}").describe()
    with pytest.raises(UsageError, match="an image id"):
        Push(actions, f"sha256:{'0' * 64}").describe()


def test_registry_that_is_not_there(actions: Engine, images: Images, own_registry: Registry) -> None:
    name = f"{own_registry.host}/push/gone:1"
    images.build(name)
    own_registry.kill()
    plan = Push(actions, name).describe()
    assert (plan.sends, plan.estimate) == (MIB, True)
    assert f"which layers it has is not known: The registry {own_registry.host} does not answer" in plan.lines
    with pytest.raises(EngineError, match=r"gone:1 was not pushed: .*connection refused\.$"):
        run(Push(actions, name))


def test_registry_dies_and_comes_back(actions: Engine, images: Images, own_registry: Registry) -> None:
    name = f"{own_registry.host}/push/dies:1"
    images.build(name, 64 * MIB)
    statuses: list[str] = []
    end: Event | None = None
    for event in Push(actions, name).execute(Job()):
        end = event
        if isinstance(event, Transfer):
            if event.status == "Pushing" and "killed" not in statuses:
                own_registry.kill()
                statuses.append("killed")
            elif event.status.startswith("Retrying") and "back" not in statuses:
                own_registry.start()
                statuses.append("back")
    assert statuses == ["killed", "back"]
    assert isinstance(end, Done)
    assert end.result == skopeo(name)["Digest"]
    assert end.sent == sum(layer_sizes(name))


@pytest.mark.parametrize("state", ["alive", "dead"])
def test_cancel(actions: Engine, images: Images, own_registry: Registry, state: str) -> None:
    name = f"{own_registry.host}/push/cancel:1"
    images.build(name, 64 * MIB)
    job, begun, ended = Job(), threading.Event(), []

    def push() -> None:
        try:
            for event in Push(actions, name).execute(job):
                if isinstance(event, Transfer) and event.status.startswith("Pushing"):
                    if state == "dead":
                        own_registry.kill()
                    else:
                        begun.set()
                elif isinstance(event, Transfer) and event.status.startswith("Retrying"):
                    begun.set()
        except CancelledError:
            ended.append(time.monotonic())

    thread = threading.Thread(target=push)
    thread.start()
    assert begun.wait(60)
    start = time.monotonic()
    job.cancel()
    thread.join(10)
    assert ended
    assert ended[0] - start < 1
    if state == "alive":  # nothing half-pushed has the name
        with pytest.raises(subprocess.CalledProcessError):
            skopeo(name)


@pytest.mark.parametrize("password", [None, "wrong-" + PASSWORD])
def test_login_wanted(
    actions: Engine, images: Images, closed_registry: Registry, password: str | None
) -> None:
    name = f"{closed_registry.host}/push/closed:1"
    images.build(name)
    credentials = Credentials()
    if password:
        credentials.remember(closed_registry.host, Login(USER, password))
    for call in (Push(actions, name, credentials).describe, lambda: run(Push(actions, name, credentials))):
        with pytest.raises(AuthRequired) as caught:
            call()
        assert caught.value.registry == closed_registry.host
        assert (f"refused the login of {USER}" if password else "wants a login") in str(caught.value)
        assert PASSWORD not in str(caught.value)


def test_right_password(actions: Engine, images: Images, closed_registry: Registry) -> None:
    name = f"{closed_registry.host}/push/open:1"
    images.build(name)
    credentials = Credentials()
    credentials.remember(closed_registry.host, Login(USER, PASSWORD))
    action = Push(actions, name, credentials)
    plan = action.describe()
    assert plan.sends == MIB
    events = run(action)
    end = events[-1]
    assert isinstance(end, Done)
    assert end.result == skopeo(name, f"--creds={USER}:{PASSWORD}")["Digest"]
    assert PASSWORD not in f"{text(plan)}{events}{action!r}{credentials.find(closed_registry.host)!r}"
