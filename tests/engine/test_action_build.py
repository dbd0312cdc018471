"""Building on a real engine: what it gets of a folder, its output, and what goes wrong."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgscope.actions import build as build_module
from imgscope.actions.build import Build, BuildError
from imgscope.actions.engine import Engine as Actions
from imgscope.actions.plan import Done, Event, Said, Transfer
from imgscope.errors import CancelledError, EngineError, UsageError
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program
from tests.support.engine import Engine
from tests.support.needs import missing, require_tool
from tests.support.podman import running_podman
from tests.support.wait import wait_for


@pytest.fixture
def actions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actions]:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    with closing(EngineSource.connect()) as source:
        yield Actions(source)


@pytest.fixture(params=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest, actions: Actions, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each builder in turn."""
    if request.param == "classic":
        monkeypatch.setattr(build_module, "_buildkit_command", lambda path: "")
    elif not build_module._buildkit_command(os.environ["PATH"]):
        missing("no docker command with BuildKit is installed")
    return str(request.param)


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    name = engine.name(f"built-{uuid.uuid4().hex[:8]}:1")
    yield name
    engine.docker("rmi", "--force", name, check=False)


def write(folder: Path, dockerfile: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for path, content in files.items():
        (folder / path).write_text(content)
    return folder


def events(action: Build) -> list[Event]:
    return list(action.execute(Job()))


def image_of(action: Build) -> str:
    last = events(action)[-1]
    assert isinstance(last, Done)
    return last.result


def output(happened: list[Event]) -> str:
    return "\n".join(event.text for event in happened if isinstance(event, Said))


def containers(engine: Engine) -> set[str]:
    """The ids of all containers, running or not."""
    return {item["Id"] for item in engine.client.api.containers(all=True)}


def files_of(engine: Engine, image: str, below: str) -> dict[str, tarfile.TarInfo]:
    """What the image has below a directory, by docker's own export."""
    container = engine.client.api.create_container(image, command=["-"])["Id"]
    try:
        exported = b"".join(engine.client.api.export(container))
    finally:
        engine.client.api.remove_container(container, v=True)
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        return {
            member.name.removeprefix(f"{below}/"): member
            for member in tar
            if member.name.startswith(f"{below}/")
        }


# -- what the engine gets -----------------------------------------------------------------------------

RULES = {
    "none": None,
    "plain": "node_modules\n*.log\n# comment\n",
    "all but": "*\n!src\n!README.md\n",
    "in the middle": "src\n!src/keep\nsrc/keep/*.log\n",
    "stars": "**/*.log\n**/tmp\nsrc/**/deep\n",
    "question marks and classes": "a?.txt\nb[0-9].txt\n",
    "the build's own files": "Dockerfile\n.dockerignore\n",
    "the build's own files by star": "*\n!src/keep/**\n",
    "dot": ".\n/README.md\nsrc/\n",
    "again": "README.md\n!README.md\n*.md\n",
}
TREE = (
    "README.md",
    "x.log",
    "a1.txt",
    "b1.txt",
    "bx.txt",
    "node_modules/x/index.js",
    "src/main.c",
    "src/x.log",
    "src/keep/a",
    "src/keep/b.log",
    "src/keep/deep/c",
    "src/keep/deep/tmp/d",
    "tmp/e",
)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
def test_the_context_is_what_the_engine_gets(
    engine: Engine,
    actions: Actions,
    builder: str,
    busybox_base: str,
    tmp_path: Path,
    tag: str,
    rules: str | None,
) -> None:
    write(tmp_path, "FROM scratch\nCOPY . /ctx\n")
    for path in TREE:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "run").write_text("#!")
    (tmp_path / "run").chmod(0o751)
    (tmp_path / "link").symlink_to("../outside")
    os.link(tmp_path / "README.md", tmp_path / "README.hard")
    if rules is not None:
        (tmp_path / ".dockerignore").write_text(rules)
    action = Build(actions, tmp_path, tag)
    context = action.context()
    found = files_of(engine, image_of(action), "ctx")
    ours = {entry.path: entry for entry in context.entries}
    leaves = {path for path, member in found.items() if not member.isdir()}
    assert leaves == {path for path, entry in ours.items() if entry.mode & 0o170000 != 0o040000}
    for path in leaves:
        if found[path].isfile():
            assert found[path].mode & 0o7777 == ours[path].mode & 0o7777
            assert (found[path].uid, found[path].gid) == (0, 0)
    distinct = sum(member.size for member in found.values() if member.isfile())
    hard = sum(len("README.md") for member in found.values() if member.isfile() and "README" in member.name)
    # BuildKit copies both names of a hardlink
    assert context.total in (distinct, distinct - hard // 2)


def test_a_dockerfile_from_elsewhere(
    engine: Engine, actions: Actions, builder: str, tmp_path: Path, tag: str
) -> None:
    folder = write(tmp_path / "ctx", "FROM nothing-of-the-kind\n", a="a")
    (tmp_path / "other").write_text("FROM scratch\nCOPY . /ctx\n")
    action = Build(actions, folder, tag, dockerfile=str(tmp_path / "other"))
    assert f"-f {tmp_path}/other" in action.describe().command
    assert set(files_of(engine, image_of(action), "ctx")) == {"a", "Dockerfile"}


def test_a_large_context_is_streamed(
    engine: Engine, actions: Actions, tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_buildkit_command", lambda path: "")
    folder = write(tmp_path, "FROM scratch\nCOPY big /big\n")
    with (folder / "big").open("wb") as big:
        big.truncate(64_000_000)
    action = Build(actions, folder, tag)
    chunks = action.context().tar(Job())[1]
    assert max(map(len, chunks)) <= 1 << 18
    *_, last = happened = events(action)
    sent = [event for event in happened if isinstance(event, Transfer)]
    assert (sent[-1].done, sent[-1].total) == (action.context().total, action.context().total)
    assert isinstance(last, Done)
    assert engine.client.images.get(last.result).attrs["Size"] == 64_000_000


# -- the options --------------------------------------------------------------------------------------


def test_the_options_reach_the_builder(
    engine: Engine, actions: Actions, builder: str, busybox_base: str, tmp_path: Path, tag: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("FROM_HERE", "here")
    dockerfile = (
        f'FROM {busybox_base} AS first\nARG A\nARG FROM_HERE\nRUN echo "[$A] [$FROM_HERE]" >/said\n'
        "FROM first\nRUN false\n"
    )
    folder = write(tmp_path, dockerfile)
    second = f"{tag}-b"
    action = Build(
        actions, folder, tag, more_tags=(second,), target="first", args=("A=two words", "FROM_HERE"),
        network="host", no_cache=True,
    )  # fmt: skip
    image = image_of(action)
    assert image.startswith("sha256:")
    assert {tag, second} <= set(engine.client.images.get(image).tags)
    said = engine.client.containers.run(image, ["cat", "/said"], remove=True, network_mode="none")
    assert said == b"[two words] [here]\n"
    # and docker takes the command that the plan shows
    words = action.describe().command
    assert words.startswith(f"docker build -t {tag} -t {second} --target first")
    environment = {**engine.environment, "DOCKER_BUILDKIT": "0", "FROM_HERE": "here"}
    assert subprocess.run(f"exec {words}", shell=True, env=environment, capture_output=True).returncode == 0


def test_a_build_without_a_name(engine: Engine, actions: Actions, builder: str, tmp_path: Path) -> None:
    folder = write(tmp_path, f"FROM scratch\nLABEL unique={uuid.uuid4().hex}\nCOPY a /\n", a="a")
    image = image_of(Build(actions, folder))
    assert engine.client.images.get(image).tags == []
    engine.client.images.remove(image)


# -- what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "kit", "classic"),
    [
        (
            "RUN exit 7",
            "Step [2/2] RUN exit 7 failed: exit code: 7.",
            "Step 2/2 RUN exit 7 failed: exit code: 7.",
        ),
        ("COPY no /", "Step [2/2] COPY no / failed: ", "Step 2/2 COPY no / failed: COPY failed"),
        ("NONSENSE", "The build failed: ", ""),
        ("FROM 127.0.0.1:1/no", "The build failed: ", "Step 2/2 FROM 127.0.0.1:1/no failed: "),
    ],
)
def test_a_step_that_fails(
    engine: Engine, actions: Actions, builder: str, busybox_base: str, tmp_path: Path, tag: str,
    step: str, kit: str, classic: str,
) -> None:  # fmt: skip
    folder = write(tmp_path, f"FROM {busybox_base}\n{step}\n")
    before = containers(engine)
    with pytest.raises(EngineError) as caught:
        events(Build(actions, folder, tag, network="host"))
    said = str(caught.value)
    assert said.startswith(kit if builder == "buildkit" else classic)
    assert said.endswith(".")
    assert "\n" not in said
    if step == "NONSENSE":
        assert "NONSENSE" in said
    else:
        assert isinstance(caught.value, BuildError)
    assert containers(engine) == before
    assert not engine.client.images.list(tag)


@pytest.mark.parametrize(
    ("tag", "args", "said"),
    [
        ("UPPER", (), "UPPER"),
        ("a:b:c", (), "a:b:c"),
        (f"a@sha256:{'0' * 64}", (), "names a digest"),
        ("a", ("=x",), "is no build argument"),
        ("a", ("A B=x",), "is no build argument"),
    ],
)
def test_what_is_wrong_is_said_before(
    actions: Actions, tmp_path: Path, tag: str, args: tuple[str, ...], said: str
) -> None:
    folder = write(tmp_path, "FROM scratch\n")
    action = Build(actions, folder, tag, args=args)
    for ask in (action.describe, lambda: events(action)):
        with pytest.raises(UsageError, match=said):
            ask()


def test_cancelling_ends_the_build(
    engine: Engine, actions: Actions, builder: str, busybox_base: str, tmp_path: Path, tag: str
) -> None:
    mark = uuid.uuid4().hex
    folder = write(tmp_path, f"FROM {busybox_base}\nRUN echo begun-$((40+2)); sleep 600; echo {mark}\n")
    job, before = Job(), containers(engine)
    running_build = Build(actions, folder, tag, network="host").execute(job)
    assert any(isinstance(event, Said) and "begun-42" in event.text for event in running_build)
    assert running(mark)
    threading.Timer(0.1, job.cancel).start()  # while the next line is waited for
    with pytest.raises(CancelledError):
        list(running_build)
    wait_for("the end of the step", lambda: not running(mark))
    wait_for("the end of its container", lambda: containers(engine) == before)
    assert not engine.client.images.list(tag)


def running(mark: str) -> bool:
    """Whether a process has the mark on its command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "cmdline").read_bytes():
                return True
    return False


def test_describing_says_what_is_sent_and_changes_nothing(
    engine: Engine, actions: Actions, builder: str, tmp_path: Path, tag: str
) -> None:
    folder = write(tmp_path, "FROM scratch\nCOPY a /\n", a="x" * 2000, b="y" * 9000)
    (folder / ".dockerignore").write_text("b")
    plan = Build(actions, folder, tag).describe()
    assert plan.lines[0] == "context  3 files, 2.02 kB"
    assert "ignored  1 file, 9 kB, by .dockerignore" in plan.lines
    assert plan.command == f"docker build -t {tag} {folder}"
    assert not engine.client.images.list(tag)


def test_podman_builds_by_its_api(tmp_path: Path) -> None:
    folder = write(tmp_path, "FROM scratch\nCOPY . /ctx\n", a="a", b="b")
    (folder / ".dockerignore").write_text("b\nDockerfile\n")
    with (
        running_podman() as podman,
        closing(EngineSource.connect(podman.host)) as source,
    ):
        image = image_of(Build(Actions(source), folder, "localhost/built:1"))
        assert image == f"sha256:{podman.inspect('localhost/built:1', 'Id')}"
        (folder / "Dockerfile").write_text("FROM localhost/built:1\nCOPY nothing /\n")
        with pytest.raises(BuildError, match=r"^Step COPY nothing / failed: .*no such file or directory\.$"):
            events(Build(Actions(source), folder, "localhost/built:2"))


# -- which builder ------------------------------------------------------------------------------------


def fake_docker(folder: Path, version: str, buildx: bool) -> Path:
    folder.mkdir()
    script = f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\nexit {0 if buildx else 1}\n'
    (folder / "docker").write_text(script)
    (folder / "docker").chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("version", "buildx", "usable"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128", False, True),
        ("Docker version 28.2.2, build e6534b4", False, False),
        ("Docker version 28.2.2, build e6534b4", True, True),
        ("podman version 4.3.1", True, False),
        ("", True, False),
    ],
)
def test_which_command_has_buildkit(tmp_path: Path, version: str, buildx: bool, usable: bool) -> None:
    folder = fake_docker(tmp_path / "bin", version, buildx)
    found = build_module._buildkit_command(str(folder))
    assert found == (str(folder / "docker") if usable else "")


def test_a_later_command_on_the_path_will_do(tmp_path: Path) -> None:
    first = fake_docker(tmp_path / "a", "Docker version 28.2.2, build x", False)
    second = fake_docker(tmp_path / "b", "Docker version 27.0.1, build x", True)
    assert build_module._buildkit_command(f"/nowhere:{first}:{second}") == str(second / "docker")


# -- the command --------------------------------------------------------------------------------------


def test_the_command_gives_the_id(engine: Engine, busybox_base: str, tmp_path: Path, tag: str) -> None:
    folder = write(
        tmp_path, f"FROM {busybox_base}\nRUN echo live-$((40+2)) {uuid.uuid4().hex}\n", a="x" * 2000
    )
    done = program.run("build", "-t", tag, "--network", "host", folder, environment=engine.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{engine.client.images.get(tag).id}\n"
    assert done.stderr.startswith("context  2 files, ")
    assert "live-42" in done.stderr
    assert f"as {tag}" in done.stderr


def test_the_command_fails_as_a_check_fails(engine: Engine, busybox_base: str, tmp_path: Path) -> None:
    folder = write(tmp_path, f"FROM {busybox_base}\nRUN exit 3\n")
    done = program.run("build", "--network", "host", folder, environment=engine.environment)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("imgscope: Step ")
    assert last.endswith("RUN exit 3 failed: exit code: 3.")


def test_bad_use_of_the_command(engine: Engine, tmp_path: Path) -> None:
    def said(*words: str | Path) -> str:
        return program.complaint(program.run("build", *words, environment=engine.environment))

    assert "is empty" in said(tmp_path)
    assert "There is no folder" in said(tmp_path / "none")
    write(tmp_path, "FROM scratch\n")
    assert "There is no Dockerfile other" in said("-f", "other", tmp_path)
    assert "read-only" in said("--read-only", tmp_path)
    (tmp_path / ".dockerignore").write_text("a[")
    assert "line 1" in said(tmp_path)


def test_a_file_that_may_not_be_read(engine: Engine, tmp_path: Path) -> None:
    """Root without the right to pass over permissions: anybody else might not get at this Python."""
    if os.geteuid() != 0:
        missing("only root can give a file to somebody else")
    folder = write(tmp_path, "FROM scratch\n", secret="x")
    (folder / "secret").chmod(0)
    os.chown(folder / "secret", 65534, 65534)
    weak = (require_tool("setpriv"), "--bounding-set=-dac_override,-dac_read_search")
    done = program.run("build", "--dry-run", folder, environment=engine.environment, before=weak)
    assert program.complaint(done).startswith(
        f"{folder}/secret cannot be read (Permission denied); name it in"
    )
    (folder / ".dockerignore").write_text("secret")
    done = program.run("build", "--dry-run", folder, environment=engine.environment, before=weak)
    assert done.returncode == 0


def test_interrupting_the_command_ends_the_build(engine: Engine, busybox_base: str, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    folder = write(tmp_path, f"FROM {busybox_base}\nRUN echo begun-$((40+2)); sleep 600; echo {mark}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "imgscope", "build", "--network", "host", folder],
        env={**engine.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("begun-42" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    wait_for("the end of the step", lambda: not running(mark))
