"""The Dockerfile that is rebuilt from a history: as builders write histories, and as nobody should."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.cli import main
from imgscope.images.base import Base
from imgscope.images.dockerfile import Line, dockerfile
from imgscope.images.model import History, Image, Layer, Platform
from tests.ui.driver import write_layout

HASH = "3af3091e7d2bb40bc1e6550eb5ea290badc6bbf3339105626f245a963cc11450"
HEAD = 3  # lines of comments


def image(*steps: str, config: dict[str, Any] | None = None, system: str = "linux") -> Image:
    """An image of these steps; those that begin with ! made no layer."""
    history = tuple(History(None, step.removeprefix("!"), "", step.startswith("!")) for step in steps)
    stored = [step for step in history if not step.empty_layer]
    layers = tuple(
        Layer(number, f"sha256:{number}", size=number * 100) for number in range(1, len(stored) + 1)
    )
    return Image(
        "sha256:" + "a" * 64, ("it:1",), Platform(system, "amd64"), None, layers, history, config or {}
    )


def text(lines: Iterable[Line]) -> list[str]:
    """Without the head and FROM."""
    found = [line.text for line in lines]
    return [line for line in found[found.index("FROM scratch") + 1 :] if line]


def one(step: str, **config: Any) -> list[str]:
    return text(dockerfile(image(step, config=config)))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # BuildKit
        ("RUN /bin/sh -c make # buildkit", ["RUN make"]),
        ("COPY a b /x/ # buildkit", ["COPY a b /x/"]),
        ("WORKDIR /x", ["WORKDIR /x"]),
        ('CMD ["sh"]', ['CMD ["sh"]']),
        ('ENTRYPOINT ["/bin/sh" "-c" "exec it"]', ["ENTRYPOINT exec it"]),
        ("EXPOSE map[80/tcp:{}]", ["EXPOSE 80/tcp"]),
        # the classic builder
        (
            "/bin/sh -c apt-get update && apt-get install x",
            ["RUN apt-get update \\", "    && apt-get install x"],
        ),
        (
            f"/bin/sh -c #(nop) COPY --chown=1:2 file:{HASH} in /x ",
            ["# a file, whose name is not known", "COPY --chown=1:2 file:3af3091e7d2b /x"],
        ),
        (  # with no blank behind --chown
            f"/bin/sh -c #(nop) COPY --chown=1:2multi:{HASH} in /x/ ",
            ["# several files, whose name is not known", "COPY --chown=1:2 multi:3af3091e7d2b /x/"],
        ),
        (
            f"/bin/sh -c #(nop) ADD dir:{HASH} in /a b ",
            ["# a folder, whose name is not known", 'ADD ["dir:3af3091e7d2b", "/a b"]'],
        ),
        ('/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "echo [x]"]', ["CMD echo [x]"]),
        ('/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "[ -f x ]"]', ['CMD ["/bin/sh", "-c", "[ -f x ]"]']),
        # others
        ("bazel build ...", ["# bazel build ..."]),
        ("# debian.sh --arch amd64", ["# debian.sh --arch amd64"]),
        ("FROM elsewhere", ["# FROM elsewhere"]),
        ("RUN", ["# RUN"]),
        ("", ["# nothing tells how this layer was made"]),
    ],
)
def test_one_step(step: str, expected: list[str]) -> None:
    assert one(step) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("a && b && c", ["RUN a \\", "    && b \\", "    && c"]),
        ("set -eux; \tapt-get update; \t\tmake", ["RUN set -eux; \\", "    apt-get update; \\", "    make"]),
        ("a &&     b", ["RUN a \\", "    && b"]),
        ("a     && b", ["RUN a \\", "    && b"]),
        ("a || b", ["RUN a || b"]),
        ("echo 'a && b' \"c && d   e\"", ["RUN echo 'a && b' \"c && d   e\""]),
        ("echo it\\'s && b", ["RUN echo it\\'s \\", "    && b"]),
        ("echo a\\  && b", ["RUN echo a\\ \\", "    && b"]),
        ("echo 'never closed && b", ["RUN echo 'never closed && b"]),
        ("a    # a comment && b", ["RUN a    # a comment && b"]),
    ],
)
def test_where_a_command_is_broken(command: str, expected: list[str]) -> None:
    assert one(f"RUN /bin/sh -c {command} # buildkit") == expected


def test_a_command_without_end_is_one_line() -> None:
    assert len(one("RUN " + "a && " * 100_000 + "a")) == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("a\nb", ["RUN <<EOF", "a", "b", "EOF"]),
        ("a\nEOF\n", ["RUN <<EOFF", "a", "EOF", "EOFF"]),
        ("cat <<END >/x\nline\nEND", ["RUN cat <<END >/x", "line", "END"]),
        ("cat <<-END\n\tline\n\tEND", ["RUN cat <<-END", "\tline", "\tEND"]),
        ("cat <<A <<B\nB\nA\nB", ["RUN cat <<A <<B", "B", "A", "B"]),
        # what a Dockerfile would not read as the shell did goes into a heredoc of its own
        ("cat <<END\nEND\nUSER x", ["RUN <<EOF", "cat <<END", "END", "USER x", "EOF"]),
        ("echo '<<END'\nUSER x\nEND", ["RUN <<EOF", "echo '<<END'", "USER x", "END", "EOF"]),
        ("ends in \\", ["RUN <<EOF", "ends in \\", "EOF"]),
        (
            "<<EOF (echo hi...)",
            ["# only the beginning of this heredoc is known", "RUN <<EOF", "echo hi...", "EOF"],
        ),
    ],
)
def test_heredocs(command: str, expected: list[str]) -> None:
    assert one(f"RUN /bin/sh -c {command} # buildkit") == expected


def test_a_heredoc_that_is_copied() -> None:
    assert one("COPY <<EOF /x # buildkit") == [
        "# what this heredoc says is not known",
        "COPY <<EOF /x",
        "EOF",
    ]


@pytest.mark.parametrize(
    ("step", "config", "expected"),
    [
        ("ENV A=b", {}, "ENV A=b"),
        ("ENV A=", {}, 'ENV A=""'),
        ("ENV A=b c D=e", {}, 'ENV A="b c" D=e'),
        ("ENV A=b C=d", {"Env": ["A=b C=d"]}, 'ENV A="b C=d"'),
        ("ENV A=b C=d", {"Env": ["A=b", "C=d"]}, "ENV A=b C=d"),
        ('ENV A="b c"', {}, 'ENV A="b c"'),  # kaniko keeps it as written
        ('ENV A="b c"', {"Env": ['A="b c"']}, 'ENV A="\\"b c\\""'),
        ("ENV A=$B\\c", {"Env": ["A=$B\\c"]}, 'ENV A="\\$B\\\\c"'),
        ("ENV A b c", {}, "ENV A b c"),
        ("LABEL a.b/c=d e f-g=h", {}, 'LABEL a.b/c="d e" f-g=h'),
        ("LABEL m=A B <a=b@c>", {"Labels": {"m": "A B <a=b@c>"}}, 'LABEL m="A B <a=b@c>"'),
        ("ARG A", {}, "ARG A"),
        ("ARG A=b c", {}, 'ARG A="b c"'),
    ],
)
def test_values_are_quoted(step: str, config: dict[str, Any], expected: str) -> None:
    assert one(step, **config) == [expected]


def test_values_with_line_breaks_are_comments() -> None:
    assert one("LABEL a=b\nUSER x") == ['# LABEL a="b', '# USER x"']


def test_build_arguments() -> None:
    lines = text(
        dockerfile(
            image(
                "!ARG A=1",
                "!ARG B",
                "RUN |2 A=1 B=2 /bin/sh -c one # buildkit",
                "RUN |2 A=1 B=2 /bin/sh -c two # buildkit",
                "|1 C=x y /bin/sh -c three",
            )
        )
    )
    assert lines == ["ARG A=1", "ARG B", "# built with B=2", "RUN one", "RUN two", 'ARG C="x y"', "RUN three"]


def test_what_buildkit_keeps_in_the_config_only() -> None:
    config = {"OnBuild": ["RUN a", "RUN b\nUSER x", 7, "ADD c /"]}
    lines = text(dockerfile(image("RUN x", "!ONBUILD RUN a", config=config)))
    assert lines == ["RUN x", "ONBUILD RUN a", "# ONBUILD RUN b", "# USER x", "ONBUILD ADD c /"]


def test_another_shell() -> None:
    steps = (
        '!SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
        '!CMD ["/bin/bash" "-o" "pipefail" "-c" "x | y"]',
    )
    assert text(dockerfile(image(*steps)))[-1] == "CMD x | y"


def test_layers_and_sizes() -> None:
    lines = dockerfile(image("ADD a /", "!ENV A=b", "RUN a && b"))
    told = [(line.layer, line.size, line.word, line.text) for line in lines if line.text and not line.comment]
    assert told == [
        (None, None, "FROM", "FROM scratch"),
        (1, 100, "ADD", "ADD a /"),
        (None, None, "ENV", "ENV A=b"),
        (2, 200, "RUN", "RUN a \\"),
        (2, None, "", "    && b"),
    ]


def test_steps_that_do_not_fit_the_layers() -> None:
    odd = image("RUN a", "!ENV A=b", "RUN b")
    odd = Image(odd.id, layers=odd.layers[:1], history=odd.history)
    lines = [line.text for line in dockerfile(odd)]
    assert any("does not fit" in line for line in lines)
    assert lines[-1] == "# nothing tells how this layer was made"


STEPS = ("ADD base /", '!CMD ["sh"]', "RUN mine", '!CMD ["mine"]')


@pytest.mark.parametrize("base", [Base("base:1", 1, 2), Base("registry.example:5000/a/base@sha256:0a", 1, 2)])
def test_on_a_base(base: Base) -> None:
    lines = dockerfile(image(*STEPS), base)[HEAD:]
    assert [line.text for line in lines if line.text] == [f"FROM {base.name}", "RUN mine", 'CMD ["mine"]']
    assert (lines[0].layer, lines[0].size, lines[0].word) == (1, 100, "FROM")


def test_a_base_whose_history_is_another() -> None:
    lines = [line.text for line in dockerfile(image(*STEPS), Base("base:1", 1, 9))[HEAD:] if line.text]
    assert lines == ["FROM base:1", 'CMD ["sh"]', "RUN mine", 'CMD ["mine"]']


def test_bases_by_label_or_of_several_names() -> None:
    lines = [line.text for line in dockerfile(image(*STEPS), Base("ruby:3"))[HEAD:] if line.text]
    assert lines[0] == "# Its label says that it was built on ruby:3: the steps of that are here, too."
    assert lines[1:3] == ["FROM scratch", "ADD base /"]
    lines = [line.text for line in dockerfile(image(*STEPS), Base("a:1 or b:1", 1, 2))[HEAD:] if line.text]
    assert lines[:2] == ["# or FROM b:1, which has the same layers", "FROM a:1"]
    hostile = [line.text for line in dockerfile(image(*STEPS), Base("a\nUSER x", 1, 2))[HEAD:] if line.text]
    assert hostile[:2] == ["# the base is called a\\nUSER x", "FROM base"]


def test_windows_escapes_otherwise() -> None:
    lines = [line.text for line in dockerfile(image("RUN cmd /S /C dir C:\\ && x", system="windows"))]
    assert lines[0] == "# escape=`"
    assert lines[-1] == "RUN dir C:\\ && x"


# -- an independent reader of Dockerfiles ---------------------------------------------------------------


def instructions(lines: Sequence[str]) -> list[str]:
    """The words that a builder finds: comments, continued lines and heredocs, by the Dockerfile reference."""
    found = []
    left = list(lines)
    while left:
        line = left.pop(0)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        while re.search(r"\\[ \t]*$", line) and left:
            following = left.pop(0)
            if not following.lstrip().startswith("#"):
                line = re.sub(r"\\[ \t]*$", "", line) + following
        word = line.split()[0]
        found.append(word)
        if word in ("RUN", "COPY", "ADD"):
            try:
                words = shlex.split(line, posix=False)
            except ValueError:
                words = []
            for name in words:
                if heredoc := re.fullmatch(r"\d*<<(-?)([^<]+)", name):
                    end = heredoc[2].strip("\"'")
                    while left and (left[0].lstrip("\t") if heredoc[1] else left[0]) != end:
                        left.pop(0)
                    assert left, f"heredoc without its end: {lines}"
                    left.pop(0)
    return found


@pytest.mark.parametrize("step", ["RUN <<1", "RUN /bin/sh -c cat <<EOF", "COPY <<1 /etc/one"])
def test_a_heredoc_whose_lines_are_not_told_takes_no_others(step: str) -> None:
    lines = [line.text for line in dockerfile(image(step, "USER 1"))]
    assert instructions(lines) == ["FROM", "USER"]


hostile = st.text(alphabet="RUNCOPYENV <>-'\"\\`EOF\n\t&#=[]{}|1 a$()") | st.text()
steps = st.builds(
    "".join, st.tuples(st.sampled_from(["", "!", "RUN ", "/bin/sh -c ", "COPY ", "ENV A="]), hostile)
)


@given(st.lists(steps, max_size=4), st.dictionaries(st.sampled_from(["Env", "Labels", "Cmd"]), st.just([1])))
def test_no_step_adds_an_instruction_of_its_own(created_by: list[str], config: dict[str, Any]) -> None:
    lines = [line.text for line in dockerfile(image(*created_by, config=config))]
    assert not any("\n" in line for line in lines)
    found = instructions(lines)
    assert found[0] == "FROM"
    assert found.count("FROM") == 1
    assert len([word for word in found[1:] if word != "ARG"]) <= len(created_by)


pieces = st.sampled_from(["a", "b", "'", '"', "\\", " ", "  ", "\t", ";", "#", " && ", "&&", "&"])


@given(st.lists(pieces).map("".join))
def test_a_broken_command_is_the_same_command(command: str) -> None:
    """Joined again as a builder joins lines, it has the same words for the shell."""
    command = command.strip()
    if not command:
        return
    lines = one(f"RUN /bin/sh -c x {command} # buildkit")
    if lines[0] == "RUN <<EOF":
        assert lines[1:-1] == [f"x {command}"]
        return
    joined = "".join(line.removesuffix("\\") for line in lines).removeprefix("RUN ")
    if len(lines) == 1:
        joined = lines[0].removeprefix("RUN ")

    def words(line: str) -> list[str]:
        try:
            parts = shlex.shlex(line, posix=True, punctuation_chars="&")
            parts.whitespace_split, parts.commenters = True, ""
            return list(parts)
        except ValueError:
            return [line]

    assert words(joined) == words(f"x {command}")


# -- the command line -----------------------------------------------------------------------------------


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dockerfile", "demo:golang:c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert instructions(lines) == ["FROM", "RUN", "RUN", "RUN", "ENV", "ENV", "CMD"]
    assert "FROM debian:a" in lines
    assert main(["dockerfile", "demo:golang:c", "--whole"]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert "FROM scratch" in whole
    assert instructions(whole)[-6:] == ["RUN", "RUN", "RUN", "ENV", "ENV", "CMD"]


def test_the_command_makes_control_characters_visible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"history": [{"created_by": "RUN a\x1b[2J\tb\x07"}]}
    folder = write_layout(tmp_path / "layout", [("bad\x1b:1", config, [b""])])
    assert json.loads((folder / "index.json").read_text())
    assert main(["dockerfile", f"oci:{folder}"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "RUN a\\x1b[2J" in said
