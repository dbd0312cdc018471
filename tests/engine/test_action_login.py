"""Login: a real engine and a real registry check it, a helper keeps it, and nobody else gets to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imgscope.actions.credentials import Credentials, Login
from imgscope.actions.engine import Engine
from imgscope.actions.login import LogIn, parse_registry
from imgscope.actions.plan import Done
from imgscope.actions.push import Push
from imgscope.errors import AuthRequired, EngineError, UsageError
from imgscope.job import Job
from tests.support import program
from tests.support.fresh import Images, skopeo
from tests.support.helper import Helper, write_config
from tests.support.registry import PASSWORD, USER, Registry


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    return Helper(tmp_path / "bin", monkeypatch)


def run(action: LogIn) -> Done:
    *_, done = action.execute(Job())
    assert isinstance(done, Done)
    return done


@pytest.mark.parametrize(
    ("written", "registry"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("http://localhost:5000/", "localhost:5000"),
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io/me/app", "ghcr.io"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_what_people_write(written: str, registry: str) -> None:
    assert parse_registry(written) == registry


@pytest.mark.parametrize("written", ["host name", "me", "-x.y", "a:b", "x@y.z"])
def test_what_is_no_registry(written: str) -> None:
    with pytest.raises(UsageError):
        parse_registry(written)


def test_right_login_serves_this_run(
    actions: Engine, images: Images, closed_registry: Registry, tmp_path: Path
) -> None:
    name = f"{closed_registry.host}/login/right:1"
    images.build(name)
    credentials = Credentials(tmp_path)
    action = LogIn(actions, closed_registry.host, USER, PASSWORD, credentials)
    plan = action.describe()
    assert plan.command == f"docker login --username {USER} --password-stdin {closed_registry.host}"
    assert "it is kept in memory until imgscope ends" in plan.lines
    assert credentials.find(closed_registry.host) is None
    done = run(action)
    assert credentials.find(closed_registry.host) == Login(USER, PASSWORD)
    assert PASSWORD not in f"{plan}{done}{action!r}"
    assert list(tmp_path.iterdir()) == []
    *_, pushed = Push(actions, name, credentials).execute(Job())
    assert isinstance(pushed, Done)
    assert pushed.result == skopeo(name, f"--creds={USER}:{PASSWORD}")["Digest"]


def test_wrong_login_is_not_kept(actions: Engine, closed_registry: Registry, tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    with pytest.raises(AuthRequired, match=f"refused the login of {USER}") as caught:
        run(LogIn(actions, closed_registry.host, USER, "wrong-" + PASSWORD, credentials))
    assert caught.value.registry == closed_registry.host
    assert PASSWORD not in str(caught.value)
    assert credentials.find(closed_registry.host) is None


def test_registry_that_is_not_there(actions: Engine, own_registry: Registry, tmp_path: Path) -> None:
    own_registry.kill()
    with pytest.raises(EngineError, match=r"Not logged in to .*connection refused\.$") as caught:
        run(LogIn(actions, own_registry.host, USER, PASSWORD, Credentials(tmp_path)))
    assert not isinstance(caught.value, AuthRequired)


def test_nothing_to_log_in_with(actions: Engine, tmp_path: Path) -> None:
    for user, password in (("", PASSWORD), (USER, "")):
        with pytest.raises(UsageError, match="a user name and a password"):
            LogIn(actions, "docker.io", user, password, Credentials(tmp_path)).describe()


def test_helper_keeps_it(actions: Engine, closed_registry: Registry, tmp_path: Path, helper: Helper) -> None:
    folder = write_config(tmp_path / "config", {"credHelpers": {closed_registry.host: "test"}})
    action = LogIn(actions, closed_registry.host, USER, PASSWORD, Credentials(folder), store=True)
    assert "docker-credential-test keeps the login" in action.describe().lines
    assert "kept by docker-credential-test" in run(action).text
    assert Credentials(folder).find(closed_registry.host) == Login(USER, PASSWORD)
    assert PASSWORD.encode() not in helper.seen


# -- the command ----------------------------------------------------------------------------------


def login(
    images: Images, registry: Registry, folder: Path, password: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """`imgscope login` as a script calls it."""
    command = ["login", registry.host, "--username", USER, "--password-stdin", *options]
    places = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "DOCKER_CONFIG": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "imgscope", *command],
        env={**images.engine.environment, "PATH": os.environ["PATH"], **places},
        input=password + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_with_a_helper(
    images: Images, closed_registry: Registry, tmp_path: Path, helper: Helper
) -> None:
    folder = write_config(tmp_path / "config", {"credsStore": "test"})
    ended = login(images, closed_registry, folder, PASSWORD, "--store")
    assert ended.returncode == 0, ended.stderr
    assert "kept by docker-credential-test" in ended.stdout
    assert helper.kept == {closed_registry.host: {"Username": USER, "Secret": PASSWORD}}
    # neither on a command line, nor in the environment, nor printed, nor in a file of docker's
    assert f"--username\0{USER}".encode() in helper.seen
    assert PASSWORD.encode() not in helper.seen
    assert PASSWORD not in ended.stdout + ended.stderr
    assert PASSWORD not in (folder / "config.json").read_text()

    name = f"{closed_registry.host}/login/command:1"
    images.build(name)
    environment = {**images.engine.environment, "PATH": os.environ["PATH"], "DOCKER_CONFIG": str(folder)}
    pushed = program.run("push", name, "--yes", environment=environment)
    assert pushed.returncode == 0, pushed.stderr
    assert skopeo(name, f"--creds={USER}:{PASSWORD}")["Digest"] in pushed.stdout
    assert PASSWORD not in pushed.stdout + pushed.stderr


def test_command_without_a_helper(images: Images, closed_registry: Registry, tmp_path: Path) -> None:
    ended = login(images, closed_registry, tmp_path, PASSWORD)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (
        f"The login of {USER} is right. It was not kept: no credential helper is configured, "
        "and imgscope writes no password in clear\n"
    )
    said = program.complaint(login(images, closed_registry, tmp_path, PASSWORD, "--store"))
    assert said.startswith(f"No credential helper is configured for {closed_registry.host}")
    assert list(tmp_path.iterdir()) == []


def test_command_with_a_wrong_password(images: Images, closed_registry: Registry, tmp_path: Path) -> None:
    ended = login(images, closed_registry, tmp_path, "wrong-" + PASSWORD)
    assert ended.returncode == 2
    assert ended.stderr.endswith(f"refused the login of {USER}; look at the user name and the password.\n")
    assert PASSWORD not in ended.stdout + ended.stderr
    assert ended.stdout == ""


def test_helper_that_is_missing_keeps_nobody_from_open_registries(
    images: Images, registry: Registry, closed_registry: Registry, tmp_path: Path
) -> None:
    folder = write_config(tmp_path / "config", {"credsStore": "not-there"})
    environment = {**images.engine.environment, "DOCKER_CONFIG": str(folder)}
    for host in (registry.host, closed_registry.host):
        images.build(f"{host}/login/anonymous:1")
    ended = program.run("push", f"{registry.host}/login/anonymous:1", "--yes", environment=environment)
    assert ended.returncode == 0, ended.stderr
    closed = program.run(
        "push", f"{closed_registry.host}/login/anonymous:1", "--yes", environment=environment
    )
    assert "wants a login (docker-credential-not-there is not installed" in program.complaint(closed)
