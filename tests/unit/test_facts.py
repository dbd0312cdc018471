"""What an image's config says, in words: of usual configs, and of JSON of any form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.images import facts as module
from imgscope.images.facts import Fact, duration_text, facts, shell_line
from imgscope.images.model import Image, Platform

SECOND = 10**9


def told(config: Any, whole: Any = None, **more: Any) -> list[Fact]:
    return list(facts(Image("sha256:" + "a" * 64, config=config, **more), whole))


def values(name: str, config: Any, whole: Any = None, **more: Any) -> list[str]:
    """The values of a name, with those of the rows that go on with it."""
    found, here = [], False
    for fact in told(config, whole, **more):
        here = fact.name == name or (here and not fact.name)
        if here:
            found.append(fact.value)
    return found


def test_the_image_itself() -> None:
    more = {
        "references": ("a:1", "b:1"),
        "created": "2024-01-01T00:00:00Z",
        "manifest_digest": "sha256:m",
        "platform": Platform("linux", "arm", "v7"),
    }
    rows = [
        (fact.name, fact.value) for fact in told({}, {"author": "Me <me@x>"}, **more) if fact.group == "image"
    ]
    assert rows == [
        ("names", "a:1"),
        ("", "b:1"),
        ("id", "sha256:" + "a" * 64),
        ("manifest", "sha256:m"),
        ("platform", "linux/arm/v7"),
        ("created", "2024-01-01T00:00:00Z"),
        ("author", "Me <me@x>"),
    ]
    assert values("author", {}, {"Author": "an engine's"}) == ["an engine's"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Cmd": ["sh"]}, "sh"),
        ({"Entrypoint": ["/entry.sh", "a b"], "Cmd": ["it's"]}, "/entry.sh 'a b' 'it'\"'\"'s'"),
        ({"Entrypoint": ["/bin/sh", "-c", "exec x"], "Cmd": None}, "/bin/sh -c 'exec x'"),
        ({}, "(nothing: the run must say what)"),
    ],
)
def test_what_really_runs(config: Any, expected: str) -> None:
    assert values("runs", config) == [expected]


def test_exec_and_shell_form() -> None:
    assert values("cmd", {"Cmd": ["a", "b c"]}) == ['["a", "b c"]']
    assert values("cmd", {"Cmd": ["/bin/sh", "-c", "a | b"]}) == ["a | b (shell form: /bin/sh -c)"]
    bash = ["/bin/bash", "-ec"]
    assert values("cmd", {"Cmd": [*bash, "a"], "Shell": bash}) == ["a (shell form: /bin/bash -ec)"]
    assert values("cmd", {"Cmd": ["/bin/sh", "-c", "a", "b"]}) == ['["/bin/sh", "-c", "a", "b"]']


@pytest.mark.parametrize(
    ("user", "expected", "warns"),
    [
        (None, "root (none is set)", True),
        ("", "root (none is set)", True),
        ("root", "root (root)", True),
        ("0:0", "0:0 (root)", True),
        ("nobody", "nobody", False),
        ("1000:0", "1000:0", False),
        (["x"], '["x"]', False),
    ],
)
def test_root_is_marked(user: object, expected: str, warns: bool) -> None:
    fact = next(fact for fact in told({"User": user}) if fact.name == "user")
    assert (fact.value, fact.warns) == (expected, warns)


def test_the_environment() -> None:
    config = {"Env": ["A=b=c", "PATH=/a:/b:", "LD_LIBRARY_PATH=/l", "URL_PATH=http://x:80/", "ODD", "E="]}
    rows = [(fact.name, fact.value) for fact in told(config) if fact.group == "environment"]
    assert rows == [
        ("A", "b=c"),
        ("PATH", "/a"),
        ("", "/b"),
        ("", "(empty: the working directory)"),
        ("LD_LIBRARY_PATH", "/l"),
        ("URL_PATH", "http://x:80/"),
        ("ODD", "(no = in it)"),
        ("E", ""),
    ]
    windows = {"Env": ["Path=C:\\a;D:\\b"]}
    assert values("Path", windows, platform=Platform("windows", "amd64")) == ["C:\\a", "D:\\b"]


def test_ports_and_volumes() -> None:
    config: Any = {"ExposedPorts": {"8080/tcp": {}, "80/udp": {}, "web": {}}, "Volumes": {"/b": {}, "/a": {}}}
    assert values("ports", config) == ["web", "80/udp", "8080/tcp"]
    assert values("volumes", config) == ["/a", "/b"]


def test_a_health_check() -> None:
    check = {
        "Test": ["CMD-SHELL", "curl -f x || exit 1"],
        "Interval": 30 * SECOND,
        "Timeout": 90 * SECOND,
        "StartPeriod": 1_500_000,
        "Retries": 3,
        "New": True,
    }
    rows = [(fact.name, fact.value) for fact in told({"Healthcheck": check}) if fact.group == "health"]
    assert rows == [
        ("test", "curl -f x || exit 1"),
        ("interval", "30s"),
        ("timeout", "1m30s"),
        ("start period", "1ms500µs"),
        ("retries", "3"),
        ("New", "true"),
    ]
    assert values("test", {"Healthcheck": {"Test": ["NONE"]}}) == ["none (switched off)"]
    assert values("test", {"Healthcheck": {"Test": ["CMD", "a b", "c"]}}) == ["'a b' c"]


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (5 * 60 * SECOND, "5m"),
        (3600 * SECOND + 1000, "1h1µs"),
        (-SECOND, "-1s"),
        (2e9, "2s"),
        (float("inf"), "Infinity"),
        (1 << 70, str(1 << 70)),
        ("30s", "30s"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_durations(nanoseconds: object, expected: str) -> None:
    assert duration_text(nanoseconds) == expected


def test_labels_those_of_the_oci_first() -> None:
    names = ["z", "com.b.x", "com.a.y", "org.opencontainers.image.title", "com.b.a"]
    rows = [fact.name for fact in told({"Labels": dict.fromkeys(names, "v")}) if fact.group == "labels"]
    assert rows == ["org.opencontainers.image.title", "com.a.y", "com.b.a", "com.b.x", "z"]


def test_what_is_not_known_is_told_as_it_stands() -> None:
    config = {"Hostname": "", "AttachStdin": False, "ArgsEscaped": True, "New": {"a": [1]}}
    whole = {"architecture": "amd64", "config": config, "history": [], "os.version": "10.0", "rootfs": {}}
    rows = [(fact.name, fact.value) for fact in told(config, whole) if fact.group == "other"]
    assert rows == [("ArgsEscaped", "true"), ("New", '{"a": [1]}'), ("os.version", "10.0")]


def test_there_is_an_end_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_LIMIT", 3)
    rows = [fact for fact in told({"Env": [f"A{n}=x" for n in range(9)]}) if fact.group == "environment"]
    assert [fact.name for fact in rows] == ["A0", "A1", "A2", "…"]


KEYS = ["Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell", "StopSignal"]
KEYS += ["User", "Volumes", "WorkingDir", "Test", "Interval", "Retries", "Other"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=3)
    ),
)


@given(
    st.dictionaries(st.sampled_from(KEYS), anything),
    st.none() | st.dictionaries(st.text() | st.just("author"), anything),
)
def test_any_type_anywhere(config: Any, whole: Any) -> None:
    for fact in told(config, whole):
        assert fact.group
        assert isinstance(fact.name, str)
        assert isinstance(fact.value, str)


def test_what_is_nested_deep_is_said_to_be() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert values("Odd", {"Odd": deep}) == ["(nested too deep to show)"]


@given(st.lists(st.text()))
def test_a_shell_reads_the_line_as_the_words(words: list[str]) -> None:
    import shlex

    assert shlex.split(shell_line(words)) == words
