"""The options of a run: read, checked and written as docker takes them."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from docker.utils.ports import build_port_bindings
from hypothesis import given
from hypothesis import strategies as st

from imgscope.actions.options import Port, RunOptions, environment, parse_ports
from imgscope.errors import UsageError
from imgscope.images.model import Image


def image(**config: Any) -> Image:
    return Image(id="sha256:" + "0" * 64, references=("app:1",), config=config)


# -- ports --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [Port(80)]),
        ("80/udp", [Port(80, protocol="udp")]),
        ("80/TCP", [Port(80)]),
        ("3000:3000", [Port(3000, 3000)]),
        ("127.0.0.1:8080:80/tcp", [Port(80, 8080, ip="127.0.0.1")]),
        ("127.0.0.1::80", [Port(80, ip="127.0.0.1")]),
        ("[::1]:8080:80", [Port(80, 8080, ip="::1")]),
        (":80", [Port(80)]),
        ("8000-8002:80-82", [Port(80, 8000), Port(81, 8001), Port(82, 8002)]),
        ("80-81", [Port(80), Port(81)]),
        ("0:80", [Port(80)]),
    ],
)
def test_ports(text: str, ports: list[Port]) -> None:
    assert list(Port.parse(text)) == ports


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no port; write it"),
        ("web", "is no port; write it"),
        ("80:", "is no port; write it"),
        ("80:web", "is no port; write it"),
        ("1:2:3", "is no port; write it"),
        ("localhost:80:80", "is no port; write it"),
        ("-80", "is no port; write it"),
        ("80 ", "is no port; write it"),
        ("٨٠", "is no port; write it"),
        ("0", "from 1 to 65535"),
        ("65536", "from 1 to 65535"),
        ("70000:80", "from 0 to 65535"),
        ("80-70", "from 1 to 65535"),
        ("80/icmp", "tcp, udp or sctp"),
        ("8000-8001:80", "different lengths"),
        ("300.0.0.1:80:80", "IP address"),
    ],
)
def test_what_is_no_port(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Port.parse(text)
    assert str(caught.value).endswith(".")


_NUMBERS = st.integers(1, 65535)


@given(st.sampled_from(["", "127.0.0.1", "0.0.0.0", "::1"]), st.just(0) | _NUMBERS, _NUMBERS, st.booleans())
def test_ports_read_as_the_sdk_reads_them(ip: str, host: int, inner: int, udp: bool) -> None:
    port = Port(inner, host, "udp" if udp else "tcp", ip)
    assert Port.parse(str(port)) == (port,)
    theirs = build_port_bindings([str(port)])
    name = f"{inner}/udp" if udp else str(inner)
    expected: Any = str(host) if host else None
    if ip:
        assert theirs == {name: [(ip, expected if host else "")]} or theirs == {name: [(ip, expected)]}
    else:
        assert theirs == {name: [expected]}


# -- what an image says -------------------------------------------------------------------------------


def test_prefilled_from_the_image() -> None:
    options = RunOptions.for_image(
        image(
            ExposedPorts={"8080/tcp": {}, "53/udp": {}},
            Env=["PATH=/bin", "A=b"],
            Volumes={"/data": {}},
            Cmd=["serve", "two words"],
        )
    )
    assert options.ports == (Port(53, protocol="udp"), Port(8080))
    assert options.env == ("PATH=/bin", "A=b")
    assert options.volumes == ("/data",)
    assert options.command == ("serve", "two words")
    assert options.detach
    assert not options.remove


def test_what_the_image_says_is_not_said_again() -> None:
    told = image(ExposedPorts={"80": {}}, Env=["A=b"], Volumes={"/data": {}}, Cmd=["serve"])
    options = RunOptions.for_image(told)
    assert options.words(told, "app:1") == ["-d", "-p", "80", "app:1"]
    texts = {**options.texts(), "env": "A=b A=c", "command": "serve --fast"}
    changed = RunOptions.from_texts(texts)
    assert changed.words(told, "app:1") == ["-d", "-p", "80", "-e", "A=c", "app:1", "serve", "--fast"]


def test_an_entrypoint_of_ones_own_needs_the_command_said() -> None:
    told = image(Entrypoint=["/run"], Cmd=["serve"])
    texts = {**RunOptions.for_image(told).texts(), "entrypoint": "/bin/sh"}
    words = RunOptions.from_texts(texts).words(told, "app:1")
    assert words == ["-d", "--entrypoint", "/bin/sh", "app:1", "serve"]


@pytest.mark.parametrize(
    "config",
    [
        {"ExposedPorts": None, "Env": None, "Volumes": None, "Cmd": None},
        {"ExposedPorts": ["80"], "Env": {"A": "b"}, "Volumes": "x", "Cmd": "serve"},
        {"ExposedPorts": {"no port": {}, "99999": {}}, "Env": [1, None], "Cmd": [["x"]]},
    ],
)
def test_an_image_may_say_anything(config: dict[str, Any]) -> None:
    options = RunOptions.for_image(image(**config))
    assert (options.ports, options.env, options.volumes, options.command) == ((), (), (), ())


_WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=3).map(tuple)


@given(_WORDS, st.lists(st.text(" ='\"\\ab\n$", max_size=8).map("N={}".format), max_size=3).map(tuple))
def test_a_form_gives_back_what_it_was_given(words: tuple[str, ...], env: tuple[str, ...]) -> None:
    options = RunOptions(command=words, env=env, ports=(Port(80), Port(53, 5353, "udp")), remove=True)
    assert RunOptions.from_texts(options.texts()) == options


# -- what is wrong, before an engine is asked ---------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(name="-x"), "'-x' is no name for a container"),
        (RunOptions(name="a"), "two or more"),
        (RunOptions(name="a b"), "is no name"),
        (RunOptions(env=("=x",)), "write it as NAME=VALUE"),
        (RunOptions(env=("A B=x",)), "'A B=x' is no variable"),
        (RunOptions(volumes=("./x:/x",)), "the relative host path './x'"),
        (RunOptions(volumes=("x/y:/x",)), "the relative host path 'x/y'"),
        (RunOptions(volumes=("~/x:/x",)), "the relative host path '~/x'"),
        (RunOptions(volumes=("x",)), "give a path from /"),
        (RunOptions(volumes=("/x:y",)), "leads to 'y' in the container"),
        (RunOptions(volumes=("/x:/y:rx",)), "the mode 'rx'"),
        (RunOptions(volumes=("/x::/y",)), "is no volume"),
        (RunOptions(volumes=("/x:/",)), "hide the whole image"),
        (RunOptions(volumes=("a$:/x",)), "the name 'a$'"),
        (RunOptions(restart="sometimes"), "is no restart policy"),
        (RunOptions(restart="always:3"), "only on-failure takes a count"),
        (RunOptions(restart="on-failure:x"), "only on-failure takes a count"),
        (RunOptions(remove=True, restart="always"), "exclude each other"),
        (RunOptions(ports=parse_ports(["80:1", "80:2"])), "The port 80 is published twice"),
        (RunOptions(ports=(Port(80),), network="host"), "no ports are published"),
    ],
)
def test_one_sentence_for_each_mistake(options: RunOptions, said: str) -> None:
    (problem,) = options.problems()
    assert said in problem
    assert problem.endswith(".")
    with pytest.raises(UsageError) as caught:
        options.check()
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(name="kuard", ports=parse_ports(["8080:8080"])),
        RunOptions(env=("A=", "A", "A=b=c d"), volumes=("/x", "/x:/y:ro,z", "name:/z")),
        RunOptions(restart="on-failure:3"),
        RunOptions(remove=True, restart="no"),
        RunOptions(ports=parse_ports(["127.0.0.1:80:1", "127.0.0.2:80:1", "80:1/udp"])),
    ],
)
def test_nothing_wrong(options: RunOptions) -> None:
    assert options.problems() == []


def test_quotes_that_do_not_close() -> None:
    with pytest.raises(UsageError, match="The command end within quotes"):
        RunOptions.from_texts({"command": "sh -c 'x"})


def test_a_variable_without_a_value_comes_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "x=y")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert environment(["A=b", "HERE", "NOWHERE"]) == ["A=b", "HERE=x=y"]


def test_the_words_are_dockers() -> None:
    options = RunOptions(
        name="n",
        remove=True,
        detach=False,
        ports=(Port(80, 8080, ip="::1"),),
        env=("A=two words",),
        volumes=("v:/v",),
        network="net",
        command=("echo", "$A"),
    )
    said = "--rm --name n --network net -p '[::1]:8080:80' -e 'A=two words' -v v:/v app:1 echo '$A'"
    assert shlex.join(options.words(image(), "app:1")) == said
