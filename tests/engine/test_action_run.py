"""Running containers on a real engine: started, followed, refused, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from imgscope.actions.engine import Engine as Actions
from imgscope.actions.options import Port, RunOptions, parse_ports
from imgscope.actions.plan import Done, Event, Said
from imgscope.actions.run import (
    Run,
    Shell,
    interactive_command,
    interactive_environment,
    published,
)
from imgscope.errors import CancelledError, EngineError, NotFoundError, UsageError
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support import program
from tests.support.engine import Engine
from tests.support.wait import wait_for

SERVER = ("httpd", "-f", "-p", "8080", "-h", "/etc")


@pytest.fixture
def actions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actions]:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    with closing(EngineSource.connect()) as source:
        yield Actions(source)


@pytest.fixture
def box(engine: Engine) -> Iterator[str]:
    """A name for a container of this test, removed at its end; `box-…`."""
    name = f"box-{uuid.uuid4().hex[:8]}"
    yield name
    for container in engine.client.containers.list(all=True, ignore_removed=True):
        if container.name and container.name.startswith(name):
            container.remove(force=True, v=True)


def run_of(actions: Actions, name: str, options: RunOptions) -> Run:
    return Run(actions, actions.source.find(name), options, name)


def events(action: Run) -> list[Event]:
    return list(action.execute(Job()))


def done(action: Run) -> Done:
    last = events(action)[-1]
    assert isinstance(last, Done)
    return last


def containers(engine: Engine) -> set[str]:
    """The ids of all containers, running or not."""
    listed = engine.client.api.containers(all=True)
    return {item["Id"] for item in listed if item["State"] != "removing"}


def get(address: str) -> str:
    def fetch() -> str:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://{address}/passwd", timeout=5) as answer,
        ):
            return str(answer.read().decode())
        return ""

    return wait_for(f"an answer at {address}", fetch)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# -- detached -----------------------------------------------------------------------------------------


def test_detached_at_a_port_that_the_engine_chooses(
    engine: Engine, actions: Actions, busybox_base: str, box: str
) -> None:
    options = RunOptions(name=box, ports=(Port(8080),), command=SERVER)
    result = done(run_of(actions, busybox_base, options))
    (address,) = [text for text in published(actions, result.result) if text.startswith("0.0.0.0:")]
    assert address.endswith(" → 8080/tcp")
    assert result.text == f"Container {box} runs, {address}."
    port = address.split()[0].rpartition(":")[2]
    assert get(f"127.0.0.1:{port}").startswith("root:")
    assert engine.client.containers.get(result.result).name == box


def test_the_options_reach_the_engine(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    network = engine.client.networks.create(box)
    try:
        options = RunOptions(
            name=box,
            ports=parse_ports([f"127.0.0.1:{free_port()}:80", "53/udp"]),
            env=("A=two words", "PATH=/bin"),
            volumes=(f"{engine.folder}:/host:ro", f"{box}-volume:/named", "/nameless"),
            command=("600",),
            entrypoint="sleep",
            network=box,
            restart="on-failure:3",
        )
        action = run_of(actions, busybox_base, options)
        found = engine.client.api.inspect_container(done(action).result)
        assert found["Config"]["Env"][:2] == ["A=two words", "PATH=/bin"]
        assert (found["Config"]["Entrypoint"], found["Config"]["Cmd"]) == (["sleep"], ["600"])
        assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
        assert set(found["NetworkSettings"]["Networks"]) == {box}
        mounts = {item["Destination"]: (item["Type"], item["RW"]) for item in found["Mounts"]}
        assert mounts == {"/host": ("bind", False), "/named": ("volume", True), "/nameless": ("volume", True)}
        assert sorted(found["HostConfig"]["PortBindings"]) == ["53/udp", "80/tcp"]
        # and docker makes the same of the command that the plan shows
        engine.client.api.remove_container(box, force=True, v=True)
        words = action.describe().command
        assert subprocess.run(f"exec {words}", shell=True, env=engine.environment).returncode == 0
        theirs = engine.client.api.inspect_container(box)
        assert sorted(theirs["HostConfig"]["Binds"]) == sorted(found["HostConfig"]["Binds"])
        for part in ("PortBindings", "RestartPolicy", "NetworkMode"):
            assert theirs["HostConfig"][part] == found["HostConfig"][part]
        for part in ("Cmd", "Entrypoint", "ExposedPorts", "Volumes", "Image"):
            assert theirs["Config"][part] == found["Config"][part]
        # docker's command line sends the variables in no order (it merges the proxy's by a map)
        assert sorted(theirs["Config"]["Env"]) == sorted(found["Config"]["Env"])
    finally:
        with contextlib.suppress(Exception):
            engine.client.api.remove_container(box, force=True, v=True)
        network.remove()
        engine.client.volumes.get(f"{box}-volume").remove()


def test_prefilled_options_run_as_they_are(
    engine: Engine, actions: Actions, busybox_base: str, box: str
) -> None:
    name = engine.name("app:prefilled")
    dockerfile = f'FROM {busybox_base}\nEXPOSE 8080\nENV A="b c"\nVOLUME /data\nCMD {json.dumps(SERVER)}\n'
    engine.build({"Dockerfile": dockerfile}, name)
    image = actions.source.find(name)
    options = RunOptions.from_texts({**RunOptions.for_image(image).texts(), "name": box})
    result = done(Run(actions, image, options, name))
    port = published(actions, result.result)[0].split()[0].rpartition(":")[2]
    assert get(f"127.0.0.1:{port}").startswith("root:")
    assert engine.client.containers.get(box).attrs["Config"]["Image"] == name


def test_one_that_ends_at_once_says_so(actions: Actions, busybox_base: str, box: str) -> None:
    wait = RunOptions(name=box, command=("false",))
    result = done(run_of(actions, busybox_base, wait))
    # it may end a moment later than the engine is asked
    assert result.text in (
        f"Container {box} ended at once with exit status 1; look at its logs.",
        f"Container {box} runs.",
    )


# -- followed -----------------------------------------------------------------------------------------


def test_followed_to_its_end(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    before = containers(engine)
    script = "echo out; echo err >&2; printf 'no end'; exit 3"
    options = RunOptions(name=box, detach=False, remove=True, command=("sh", "-c", script))
    *said, last = events(run_of(actions, busybox_base, options))
    assert {event for event in said if isinstance(event, Said)} == {
        Said("out"),
        Said("err", error=True),
        Said("no end"),
    }
    assert isinstance(last, Done)
    assert last.status == 3
    assert containers(engine) == before


def test_output_comes_while_it_runs_and_cancelling_ends_it(
    engine: Engine, actions: Actions, busybox_base: str, box: str
) -> None:
    job = Job()
    options = RunOptions(name=box, detach=False, remove=True, command=("sh", "-c", "echo on; sleep 600"))
    running = run_of(actions, busybox_base, options).execute(job)
    assert next(running) == Said("on")
    assert engine.client.containers.get(box).status == "running"
    timer = threading.Timer(0.1, job.cancel)
    timer.start()
    with pytest.raises(CancelledError):
        next(running)
    timer.join()
    assert box not in [item.name for item in engine.client.containers.list(all=True)]


def test_without_remove_a_cancelled_one_is_stopped_and_kept(
    engine: Engine, actions: Actions, busybox_base: str, box: str
) -> None:
    job = Job()
    options = RunOptions(
        name=box,
        detach=False,
        command=("sh", "-c", "trap 'exit 9' TERM; echo on; while :; do sleep .1; done"),
    )
    running = run_of(actions, busybox_base, options).execute(job)
    assert next(running) == Said("on")
    job.cancel()
    with pytest.raises(CancelledError):
        list(running)
    state = engine.client.containers.get(box).attrs["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 9)


def test_a_generator_that_nobody_asks_on_leaves_nothing(
    engine: Engine, actions: Actions, busybox_base: str, box: str
) -> None:
    options = RunOptions(name=box, detach=False, remove=True, command=("sh", "-c", "echo on; sleep 600"))
    running = run_of(actions, busybox_base, options).execute(Job())
    assert next(running) == Said("on")
    running.close()
    assert box not in [item.name for item in engine.client.containers.list(all=True)]


# -- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(command=("nope",)), "There is no program nope in {image}"),
        (RunOptions(command=("/no/pe",)), "There is no program /no/pe in {image}"),
        (RunOptions(command=("/etc/passwd",)), "/etc/passwd in {image} is no program that may be run"),
        (RunOptions(entrypoint="nope"), "There is no program nope in {image}"),
        (RunOptions(command=("true",), network="nowhere"), "There is no network nowhere"),
        (
            RunOptions(command=("true",), volumes=("/etc/passwd:/etc",)),
            "/etc/passwd cannot be mounted at /etc: one is a file",
        ),
    ],
)
def test_a_start_that_fails_leaves_nothing(
    engine: Engine, actions: Actions, busybox_base: str, options: RunOptions, said: str, detach: bool
) -> None:
    before = containers(engine)
    with pytest.raises(EngineError) as caught:
        events(run_of(actions, busybox_base, replace(options, detach=detach)))
    assert str(caught.value).startswith(said.format(image=busybox_base))
    assert str(caught.value).endswith(".")
    assert containers(engine) == before


def test_a_port_that_is_taken(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    before = containers(engine)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        options = RunOptions(name=box, ports=(Port(80, port),), command=("sleep", "600"))
        with pytest.raises(
            EngineError, match=f"^The port {port} is taken on the engine's host; choose another"
        ):
            events(run_of(actions, busybox_base, options))
    assert containers(engine) == before


def test_a_port_that_a_container_has(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    first = RunOptions(name=f"{box}-a", ports=(Port(80),), command=("sleep", "600"))
    identifier = done(run_of(actions, busybox_base, first)).result
    port = int(published(actions, identifier)[0].split()[0].rpartition(":")[2])
    before = containers(engine)
    with pytest.raises(EngineError, match=f"^The port {port} is taken"):
        events(run_of(actions, busybox_base, RunOptions(name=f"{box}-b", ports=(Port(80, port),))))
    assert containers(engine) == before


def test_a_name_that_is_taken(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    options = RunOptions(name=box, command=("sleep", "600"))
    identifier = done(run_of(actions, busybox_base, options)).result
    before = containers(engine)
    with pytest.raises(EngineError) as caught:
        events(run_of(actions, busybox_base, options))
    said = f"The name {box} is taken by the container {identifier[:12]}; choose another, or remove that one."
    assert str(caught.value) == said
    assert caught.value.status == 409
    assert containers(engine) == before  # above all, the other one still runs
    assert engine.client.containers.get(box).status == "running"


def test_an_image_that_says_no_command(engine: Engine, actions: Actions, busybox_base: str) -> None:
    name = engine.name("app:silent")
    engine.build({"Dockerfile": "FROM scratch\nCOPY x /x\n", "x": "x"}, name)
    before = containers(engine)
    with pytest.raises(EngineError, match="says no command and none was given; give one"):
        events(run_of(actions, name, RunOptions()))
    assert containers(engine) == before


def test_an_image_that_is_gone(engine: Engine, actions: Actions, busybox_base: str) -> None:
    name = engine.name("app:gone")
    engine.build({"Dockerfile": f"FROM {busybox_base}\nLABEL gone={uuid.uuid4().hex}\n"}, name)
    action = run_of(actions, name, RunOptions())
    engine.client.images.remove(name)
    with pytest.raises(EngineError, match="is not there any more"):
        events(action)


def test_what_is_wrong_is_said_before_the_engine_is_asked(
    engine: Engine, actions: Actions, busybox_base: str
) -> None:
    before = containers(engine)
    action = run_of(actions, busybox_base, RunOptions(remove=True, restart="always"))
    for ask in (action.describe, lambda: events(action)):
        with pytest.raises(UsageError, match="exclude each other"):
            ask()
    assert containers(engine) == before


def test_describing_changes_nothing(engine: Engine, actions: Actions, busybox_base: str, box: str) -> None:
    before = containers(engine)
    plan = run_of(actions, busybox_base, RunOptions(name=box, ports=(Port(80),))).describe()
    assert plan.command == f"docker run -d --name {box} -p 80 {busybox_base}"
    assert not plan.destructive
    assert containers(engine) == before


# -- a shell ------------------------------------------------------------------------------------------


def test_the_engine_tells_which_shell_there_is(engine: Engine, actions: Actions, busybox_base: str) -> None:
    before = containers(engine)
    assert Shell(actions, actions.source.find(busybox_base)).find() == "/bin/sh"
    assert containers(engine) == before


def test_links_lead_to_a_shell_or_they_do_not(engine: Engine, actions: Actions, busybox_base: str) -> None:
    name = engine.name("app:links")
    dockerfile = (
        f"FROM {busybox_base} AS box\nRUN mkdir -p /r/usr/bin /r/busybox && cp /bin/busybox /r/usr/bin/real"
        " && ln -s usr/bin /r/bin && ln -s ../usr/bin/gone /r/usr/bin/bash && ln -s loop /r/usr/bin/loop"
        " && ln -s loop /r/usr/bin/sh && ln -s /usr/bin/real /r/usr/bin/ash && echo >/r/busybox/sh\n"
        "FROM scratch\nCOPY --from=box /r /\n"
    )
    engine.build({"Dockerfile": dockerfile}, name)
    assert Shell(actions, actions.source.find(name), name).find() == "/bin/ash"


def test_an_image_without_a_shell(engine: Engine, actions: Actions, busybox_base: str) -> None:
    name = engine.name("app:noshell")
    # a directory and a file that may not be run are no shells
    dockerfile = "FROM scratch\nCOPY x /bin/bash/x\nCOPY x /bin/sh\n"
    engine.build({"Dockerfile": dockerfile, "x": "x"}, name)
    before = containers(engine)
    shell = Shell(actions, actions.source.find(name), name)
    with pytest.raises(NotFoundError, match=f"^{name} has no shell \\(none of /bin/bash"):
        shell.find()
    assert containers(engine) == before


def test_the_layers_tell_as_well(actions: Actions, busybox_base: str) -> None:
    image = actions.source.find(busybox_base)
    assert Shell(actions, image, has=lambda path: path == "/busybox/sh").find() == "/busybox/sh"
    with pytest.raises(NotFoundError, match="has no shell"):
        Shell(actions, image, has=lambda path: False).find()


# -- in the terminal ----------------------------------------------------------------------------------


def in_a_terminal(words: list[str], environment: dict[str, str], typed: bytes = b"") -> tuple[int, str]:
    """Run a command in a terminal of its own; its exit status and all that it drew."""
    process, terminal = pty.fork()
    if not process:
        os.execvpe(words[0], words, environment)
    os.write(terminal, typed)
    drawn = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody has open by EIO
        while chunk := os.read(terminal, 1 << 16):
            drawn += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), drawn.decode(errors="replace")


def test_the_command_for_the_terminal(engine: Engine, actions: Actions, busybox_base: str) -> None:
    image = actions.source.find(busybox_base)
    options = RunOptions(detach=False, remove=True, command=("sh", "-c", "tty; exit 5"))
    words = interactive_command(actions, image, options, busybox_base)
    assert words[1:] == ["run", "-it", "--rm", busybox_base, "sh", "-c", "tty; exit 5"]
    status, drawn = in_a_terminal(words, interactive_environment(actions))
    assert status == 5
    assert "/dev/" in drawn


def test_neither_docker_nor_podman(
    actions: Actions, busybox_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = actions.source.find(busybox_base)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="docker has to be on PATH; install its command line"):
        interactive_command(actions, image, RunOptions(detach=False))


def test_the_terminal_talks_to_this_engine(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "another")
    monkeypatch.delenv("DOCKER_HOST")
    environment = interactive_environment(actions)
    assert environment["DOCKER_HOST"] == actions.where
    assert "DOCKER_CONTEXT" not in environment


# -- the commands -------------------------------------------------------------------------------------


def spawn(engine: Engine, *words: str) -> subprocess.Popen[str]:
    environment = {**engine.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-m", "imgscope", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_simple_node(engine: Engine, busybox_base: str) -> None:
    """`imgscope run --rm -p 3000:3000 simple-node`, as in the notes; on a port that is free here."""
    name = engine.name("simple-node")
    dockerfile = f'FROM {busybox_base}\nEXPOSE 3000\nCMD ["httpd", "-f", "-v", "-p", "3000", "-h", "/etc"]\n'
    engine.build({"Dockerfile": dockerfile}, name)
    before = containers(engine)
    port = free_port()
    process = spawn(engine, "run", "--rm", "-p", f"{port}:3000", name)
    try:
        assert get(f"127.0.0.1:{port}").startswith("root:")
        assert process.stderr is not None
        said = process.stderr.readline()  # the server's log, as it comes
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "response:200" in said
    assert containers(engine) == before


def test_kuard(engine: Engine, busybox_base: str, box: str) -> None:
    """`imgscope run -d --name kuard --publish 8080:8080 …`."""
    port = free_port()
    words = ("run", "-d", "--name", box, "--publish", f"{port}:8080", busybox_base, *SERVER)
    finished = program.run(*words, environment=engine.environment)
    assert finished.returncode == 0, finished.stderr
    assert engine.client.containers.get(finished.stdout.strip()).name == box
    assert f"0.0.0.0:{port} → 8080/tcp" in finished.stderr
    assert get(f"127.0.0.1:{port}").startswith("root:")
    again = program.complaint(program.run(*words, environment=engine.environment))
    assert again.startswith(f"The name {box} is taken")


def test_output_and_exit_status_are_the_containers(engine: Engine, busybox_base: str) -> None:
    script = r"printf '\377a\n'; echo err >&2; exit 7"
    words = ["run", "--rm", busybox_base, "sh", "-c", script]
    command = [sys.executable, "-m", "imgscope", *words]
    environment = {**engine.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    finished = subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL)
    assert (finished.returncode, finished.stdout, finished.stderr) == (7, b"\xffa\n", b"err\n")


def test_options_after_the_image_are_the_containers(engine: Engine, busybox_base: str) -> None:
    finished = program.run(
        "run", "--rm", "-e", "A=b", busybox_base, "sh", "-c", 'echo "$A $0 $@"', "x", "--rm", "-d",
        environment=engine.environment,
    )  # fmt: skip
    assert (finished.returncode, finished.stdout) == (0, "b x --rm -d\n")


def test_dry_run_and_read_only(engine: Engine, busybox_base: str, box: str) -> None:
    before = containers(engine)
    words = ("run", "-d", "--name", box, "-p", "80", busybox_base, "sleep", "600")
    dry = program.run("run", "--dry-run", "--json", *words[1:], environment=engine.environment)
    assert json.loads(dry.stdout)["command"] == f"docker {' '.join(words)}"
    refused = {**engine.environment, "IMGSCOPE_READ_ONLY": "1"}
    assert "read-only" in program.complaint(program.run(*words, environment=refused))
    assert "read-only" in program.complaint(program.run("shell", busybox_base, environment=refused))
    assert containers(engine) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-d", "--rm", "--restart", "always"), "exclude each other"),
        (("-v", "./x:/x"), "the relative host path './x'"),
        (("-p", "web"), "'web' is no port"),
        (("-d", "-it"), "leave one out"),
        (("--json",), "add -d"),
    ],
)
def test_bad_use(engine: Engine, busybox_base: str, words: tuple[str, ...], said: str) -> None:
    before = containers(engine)
    assert said in program.complaint(program.run("run", *words, busybox_base, environment=engine.environment))
    assert containers(engine) == before


def test_a_shell_by_command(engine: Engine, busybox_base: str) -> None:
    before = containers(engine)
    said = program.complaint(program.run("shell", busybox_base, environment=engine.environment))
    assert "needs a terminal" in said
    environment = {**engine.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [sys.executable, "-m", "imgscope", "shell", busybox_base]
    status, drawn = in_a_terminal(words, environment, b"echo in-$((1+1)); exit 4\n")
    assert status == 4
    assert "in-2" in drawn
    assert containers(engine) == before
