"""Pull on a real engine and real registries."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.request

import pytest

from imgscope.actions.credentials import Credentials, Login
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Transfer
from imgscope.actions.pull import Pull
from imgscope.actions.push import Push
from imgscope.errors import AuthRequired, CancelledError, EngineError, NotFoundError
from imgscope.images.model import Platform, short_id
from imgscope.job import Job
from tests.support import program
from tests.support.fresh import MIB, Images, layer_sizes, skopeo
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.wait import wait_for


def run(action: Pull | Push) -> list[Event]:
    return list(action.execute(Job()))


def done(action: Pull) -> Done:
    last = run(action)[-1]
    assert isinstance(last, Done)
    return last


def push(actions: Engine, images: Images, name: str, base: str = "scratch") -> str:
    """An image that only the registry has. Gives its id."""
    identifier = images.build(name, 2 * MIB, base)
    run(Push(actions, name))
    images.engine.docker("rmi", name)
    return identifier


def test_comes_back_as_it_was(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/pull/back:1"
    identifier = push(actions, images, name)
    action = Pull(actions, name)
    plan = action.describe()
    assert (plan.sends, plan.estimate) == (sum(layer_sizes(name)), False)
    assert plan.command == f"docker pull {name}"
    events = run(action)
    end = events[-1]
    assert isinstance(end, Done)
    assert end.result == identifier
    assert end.text == f"Pulled {name}: {short_id(identifier)}"
    transfers = [event for event in events if isinstance(event, Transfer)]
    (layer,) = skopeo(name)["Layers"]
    assert {event.part for event in transfers} == {short_id(layer)}
    assert {"Downloading", "Extracting"} <= {event.status for event in transfers if event.done}
    assert transfers[-1].status == "Pull complete"


def test_up_to_date(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/pull/same:1"
    identifier = push(actions, images, name)
    run(Pull(actions, name))
    plan = Pull(actions, name).describe()
    assert (plan.sends, plan.estimate, plan.keeps) == (0, False, ())
    assert f"{name} is up to date: {short_id(identifier)}" in plan.lines
    end = done(Pull(actions, name))
    assert (end.text, end.result) == (f"{name} is up to date: {short_id(identifier)}", identifier)


def test_only_what_is_not_here_comes(actions: Engine, images: Images, registry: Registry) -> None:
    base, child = f"{registry.host}/pull/part:base", f"{registry.host}/pull/part:child"
    images.build(base, 2 * MIB)
    run(Push(actions, base))
    push(actions, images, child, base)
    plan = Pull(actions, child).describe()
    assert plan.sends == layer_sizes(child)[1]
    events = run(Pull(actions, child))
    statuses = [event.status for event in events if isinstance(event, Transfer)]
    assert statuses.count("Already exists") == 1
    assert statuses.count("Pull complete") == 1


def test_name_moves_to_what_is_newer(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/pull/newer:1"
    newer = push(actions, images, name)
    older = images.build(name)
    plan = Pull(actions, name).describe()
    assert plan.keeps == (
        f"{short_id(older)}, which has the name now, stays without a name, and becomes dangling",
    )
    assert done(Pull(actions, name)).result == newer
    images.names.append(older)


def test_by_digest(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/pull/digest:1"
    identifier = push(actions, images, name)
    digest = f"{registry.host}/pull/digest@{skopeo(name)['Digest']}"
    images.names.append(digest)
    plan = Pull(actions, digest).describe()
    assert plan.sends == sum(layer_sizes(name))
    assert done(Pull(actions, digest)).result == identifier


def test_platforms_of_an_index(actions: Engine, images: Images, registry: Registry) -> None:
    repository = f"{registry.host}/pull/many"
    own = images.build(f"{repository}:one")
    run(Push(actions, f"{repository}:one"))
    manifest = skopeo(f"{repository}:one", "--raw")
    config = skopeo(f"{repository}:one", "--config", "--raw")
    descriptors = []
    for architecture in (config["architecture"], "s390x"):
        data = json.dumps({**config, "architecture": architecture}).encode()
        digest = upload(registry, "pull/many", data)
        changed = {**manifest, "config": {**manifest["config"], "digest": digest, "size": len(data)}}
        document = json.dumps(changed).encode()
        put(registry, f"pull/many/manifests/{sha256(document)}", document, manifest["mediaType"])
        platform = {"os": "linux", "architecture": architecture}
        descriptors.append(
            {
                "mediaType": manifest["mediaType"],
                "digest": sha256(document),
                "size": len(document),
                "platform": platform,
            }
        )
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": descriptors}).encode()
    put(registry, "pull/many/manifests/all", index, kind)

    name = f"{repository}:all"
    images.names.append(name)
    pulled = done(Pull(actions, name)).result
    assert pulled != own
    assert images.engine.client.images.get(name).attrs["Architecture"] == config["architecture"]
    action = Pull(actions, name, Platform.parse("linux/s390x"))
    assert action.describe().command == f"docker pull --platform linux/s390x {name}"
    done(action)
    assert images.engine.client.images.get(name).attrs["Architecture"] == "s390x"
    with pytest.raises(NotFoundError, match=r"not there for linux/arm64, only for linux/.*, linux/s390x\.$"):
        Pull(actions, name, Platform.parse("linux/arm64")).describe()
    images.names.append(pulled)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put(registry: Registry, path: str, data: bytes, kind: str) -> None:
    request = urllib.request.Request(f"{registry.url}/v2/{path}", data, {"Content-Type": kind}, method="PUT")
    urllib.request.urlopen(request).close()


def upload(registry: Registry, repository: str, data: bytes) -> str:
    start = urllib.request.Request(f"{registry.url}/v2/{repository}/blobs/uploads/", b"", method="POST")
    with urllib.request.urlopen(start) as answer:
        place = answer.headers["Location"]
    there = f"{place}&digest={sha256(data)}"
    kind = {"Content-Type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(there, data, kind, method="PUT")).close()
    return sha256(data)


def test_not_there(actions: Engine, images: Images, registry: Registry) -> None:
    name = f"{registry.host}/pull/known:1"
    push(actions, images, name)
    for missing, said in (
        (f"{registry.host}/pull/known:2", r"known:2 in the registry; the repository has the tags 1\.$"),
        (f"{registry.host}/pull/unknown:1", r"unknown:1 in the registry, nor such a repository\.$"),
    ):
        with pytest.raises(NotFoundError, match=said):
            Pull(actions, missing).describe()
        with pytest.raises(NotFoundError, match=r"was not pulled: manifest .* not found: manifest unknown"):
            run(Pull(actions, missing))


def test_registry_that_is_not_there(actions: Engine, own_registry: Registry) -> None:
    own_registry.kill()
    action = Pull(actions, f"{own_registry.host}/pull/gone:1")
    plan = action.describe()
    assert plan.sends is None
    assert f"what comes is not known: The registry {own_registry.host} does not answer" in plan.lines
    with pytest.raises(EngineError, match=r"gone:1 was not pulled: .*connection refused\.$"):
        run(action)


def test_error_half_way(actions: Engine, images: Images, own_registry: Registry) -> None:
    """A layer whose blob is gone: the answer begins well, and the error comes in it."""
    name = f"{own_registry.host}/pull/broken:1"
    push(actions, images, name)
    (layer,) = skopeo(name)["Layers"]
    hexadecimal = layer.removeprefix("sha256:")
    (own_registry.folder / f"docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data").unlink()
    events: list[Event] = []
    with pytest.raises(EngineError, match=r"broken:1 was not pulled: .*\.$"):
        events.extend(Pull(actions, name).execute(Job()))
    assert any(isinstance(event, Transfer) for event in events)
    assert images.engine.docker("image", "inspect", name, check=False).returncode


def test_cancel_while_the_registry_is_silent(actions: Engine, images: Images, own_registry: Registry) -> None:
    name = f"{own_registry.host}/pull/silent:1"
    push(actions, images, name)
    own_registry.pause()
    job, ended = Job(), []

    def pull() -> None:
        try:
            list(Pull(actions, name).execute(job))
        except CancelledError:
            ended.append(time.monotonic())

    thread = threading.Thread(target=pull)
    thread.start()
    wait_for("the question to the engine", lambda: job._wakers)
    start = time.monotonic()
    job.cancel()
    thread.join(10)
    assert ended
    assert ended[0] - start < 1


def test_login(actions: Engine, images: Images, closed_registry: Registry) -> None:
    name = f"{closed_registry.host}/pull/closed:1"
    identifier = images.build(name)
    credentials = Credentials()
    credentials.remember(closed_registry.host, Login(USER, PASSWORD))
    run(Push(actions, name, credentials))
    images.engine.docker("rmi", name)
    wrong = Credentials()
    wrong.remember(closed_registry.host, Login(USER, "wrong-" + PASSWORD))
    for refused, said in ((Credentials(), "wants a login"), (wrong, f"refused the login of {USER}")):
        for call in (
            Pull(actions, name, credentials=refused).describe,
            lambda refused=refused: run(Pull(actions, name, credentials=refused)),
        ):
            with pytest.raises(AuthRequired, match=said) as caught:
                call()
            assert caught.value.registry == closed_registry.host
            assert PASSWORD not in str(caught.value)
    action = Pull(actions, name, credentials=credentials)
    assert action.describe().sends is not None
    assert done(action).result == identifier


def test_command(images: Images, actions: Engine, registry: Registry) -> None:
    name = f"{registry.host}/pull/command:1"
    identifier = push(actions, images, name)
    environment = images.engine.environment
    plan = program.answer("pull", name, "--dry-run", environment=environment)
    assert (plan["sends"], plan["estimate"]) == (sum(layer_sizes(name)), False)
    assert images.engine.docker("image", "inspect", name, check=False).returncode
    ended = program.run("pull", name, "--yes", environment=environment)
    assert (ended.returncode, ended.stdout) == (0, f"Pulled {name}: {short_id(identifier)}\n")
    assert "Pull complete" in ended.stderr
