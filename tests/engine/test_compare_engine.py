"""An engine's image against its own archive, and against one built on it."""

from __future__ import annotations

from pathlib import Path

from tests.support import program
from tests.support.engine import Engine

STATUS = "mkdir -p /var/lib/dpkg && printf 'Package: curl\\nVersion: {}\\n\\n' > /var/lib/dpkg/status"


def test_an_image_its_archive_and_the_next_one(engine: Engine, busybox_base: str, tmp_path: Path) -> None:
    one, other = engine.name("compare/app:1"), engine.name("compare/app:2")
    first = f"FROM {busybox_base}\nENV A=1\nRUN {STATUS.format(7)} && head -c 300000 /dev/zero > /zeros\n"
    second = f"ENV A=2\nRUN {STATUS.format(8)} && rm /zeros && echo same-size > /new && chmod 700 /new\n"
    third = "RUN echo other-one > /new\n"
    engine.build({"Dockerfile": first + second}, one)
    engine.build({"Dockerfile": first + second + third}, other)
    archive = tmp_path / "saved.tar"
    engine.docker("save", "--output", archive, one)

    # the archive's word on its layers is no proof: what the engine has is compared with what it wrote
    same = program.answer("compare", one, archive, environment=engine.environment)
    assert (same["differs"], same["files"], same["config"], same["notes"]) == (False, [], [], [])
    assert same["layers"]["prefix"] == same["a"]["layers"] == same["b"]["layers"]
    assert same["a"]["source"].startswith("docker-daemon:")
    assert same["b"]["source"].startswith("docker-archive:")

    found = program.answer("compare", archive, other, environment=engine.environment)
    [new] = [row for row in found["files"] if row["path"] == "/new"]
    assert (new["state"], new["size_a"], new["size_b"]) == ("content", 10, 10)
    assert {row["path"] for row in found["files"] if row["state"] != "metadata"} == {"/new"}
    assert [layer["created_by"] for layer in found["layers"]["only_b"]] == [
        "/bin/sh -c echo other-one > /new"
    ]
    assert found["layers"]["only_a"] == []

    engine.build({"Dockerfile": first}, other)
    found = program.answer("compare", other, archive, environment=engine.environment)
    states = {row["path"]: row["state"] for row in found["files"] if row["state"] != "metadata"}
    assert states == {"/zeros": "removed", "/new": "added", "/var/lib/dpkg/status": "content"}
    assert found["packages"] == [{"kind": "deb", "name": "curl", "a": ["7"], "b": ["8"]}]
    assert [row for row in found["config"] if row["section"] == "env"] == [
        {"section": "env", "name": "A", "a": "1", "b": "2"}
    ]
