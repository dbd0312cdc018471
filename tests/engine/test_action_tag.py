"""Tag on a real engine."""

from __future__ import annotations

import pytest

from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Plan
from imgscope.actions.tag import Tag
from imgscope.errors import NotFoundError, UsageError
from imgscope.images.model import short_id
from imgscope.job import Job
from tests.support import program
from tests.support.fresh import Images


def run(action: Tag) -> Done:
    (done,) = action.execute(Job())
    assert isinstance(done, Done)
    return done


def id_of(images: Images, name: str) -> str:
    return str(images.engine.client.images.get(name).id)


def dangling(images: Images) -> set[str]:
    found = images.engine.client.images.list(filters={"dangling": True})
    return {str(image.id) for image in found}


def text(plan: Plan) -> str:
    return "\n".join([*plan.lines, *plan.keeps])


def test_new_name(actions: Engine, images: Images) -> None:
    name, new = images.engine.name("tag:old"), images.engine.name("tag-new")
    identifier = images.build(name)
    images.names.append(new)
    action = Tag(actions, name, new)
    plan = action.describe()
    assert plan.untags == ()
    assert plan.command == f"docker tag {name} {new}:latest"
    assert "moves" not in text(plan)
    done = run(action)
    assert (done.result, done.untagged) == (identifier, ())
    assert id_of(images, f"{new}:latest") == identifier
    assert id_of(images, name) == identifier


def test_only_name_moves(actions: Engine, images: Images) -> None:
    first, second = images.engine.name("tag-moves:1"), images.engine.name("tag-moves:2")
    old, new = images.build(first), images.build(second)
    action = Tag(actions, second, first)
    plan = action.describe()
    assert plan.untags == (first,)
    assert f"the name moves from another image, {short_id(old)}" in text(plan)
    assert f"{short_id(old)} stays without a name, and becomes dangling" in text(plan)
    assert old not in dangling(images)
    assert run(action).untagged == (first,)
    assert id_of(images, first) == new
    assert old in dangling(images)
    images.names.append(old)


def test_one_of_several_names_moves(actions: Engine, images: Images) -> None:
    first, second = images.engine.name("tag-several:1"), images.engine.name("tag-several:2")
    other = images.engine.name("tag-several:other")
    old = images.build(first)
    images.tag(first, other)
    images.build(second)
    plan = Tag(actions, second, first).describe()
    assert plan.keeps == (f"{short_id(old)} stays as {other}",)
    run(Tag(actions, second, first))
    assert old not in dangling(images)
    assert id_of(images, other) == old


def test_name_that_it_has(actions: Engine, images: Images) -> None:
    name = images.engine.name("tag-has:1")
    identifier = images.build(name)
    action = Tag(actions, identifier, name)
    plan = action.describe()
    assert plan.untags == plan.keeps == ()
    assert "nothing changes" in text(plan)
    assert run(action).untagged == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("Upper:1", r"must be lowercase, but has 'U' \(character 1\)"),
        ("a b", r"a name has no ' ' \(character 2\)"),
        ("name:-x", r"cannot start with '-' \(character 6\)"),
        ("name:", r"the tag after ':' is empty \(character 5\)"),
        (f"name@sha256:{'0' * 64}", "has a digest"),
        ("0" * 64, "an image id"),
        ("", "empty"),
    ],
)
def test_what_is_no_name(actions: Engine, images: Images, target: str, said: str) -> None:
    name = images.engine.name("tag-bad:1")
    images.build(name)
    for call in (Tag(actions, name, target).describe, lambda: run(Tag(actions, name, target))):
        with pytest.raises(UsageError, match=said):
            call()


def test_no_such_image(actions: Engine) -> None:
    with pytest.raises(NotFoundError, match="not-there:1"):
        Tag(actions, "not-there:1", "new:1").describe()
    with pytest.raises(NotFoundError, match="not-there:1"):
        run(Tag(actions, "not-there:1", "new:1"))


def test_command(images: Images) -> None:
    name, new = images.engine.name("tag-command:1"), images.engine.name("tag-command:2")
    identifier = images.build(name)
    images.names.append(new)
    environment = images.engine.environment
    plan = program.answer("tag", name, new, "--dry-run", environment=environment)
    assert plan["command"] == f"docker tag {name} {new}"
    assert "no terminal" in program.complaint(program.run("tag", name, new, environment=environment))
    read_only = {**environment, "IMGSCOPE_READ_ONLY": "1"}
    assert "read-only" in program.complaint(program.run("tag", name, new, "--yes", environment=read_only))
    assert images.engine.docker("image", "inspect", new, check=False).returncode
    assert program.answer("tag", name, new, "--yes", environment=environment)["result"] == identifier
    assert id_of(images, new) == identifier
