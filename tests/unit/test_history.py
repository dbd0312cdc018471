from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.images.history import (
    assign_layers,
    build_args,
    identity,
    instruction,
    makes_layer_hint,
    one_line,
    pair,
)
from imgscope.images.model import History

HASH = "3af3091e7d2bb40bc1e6550eb5ea290badc6bbf3339105626f245a963cc11450"


def step(
    created_by: str = "", comment: str = "", created: str | None = None, empty_layer: bool = False
) -> History:
    return History(created, created_by, comment, empty_layer)


@pytest.mark.parametrize(
    ("created_by", "expected"),
    [
        # docker's classic builder, and buildah
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ('/bin/sh -c #(nop) CMD ["/bin/sh" "-c" "x y"]', 'CMD ["/bin/sh", "-c", "x y"]'),
        (f"/bin/sh -c #(nop) ADD file:{HASH} in / ", "ADD file:3af3091e7d2b… in /"),
        (f"/bin/sh -c #(nop) COPY dir:{HASH} in /x ", "COPY dir:3af3091e7d2b… in /x"),
        (f"/bin/sh -c #(nop) COPY multi:{HASH} in /x/ ", "COPY multi:3af3091e7d2b… in /x/"),
        (
            f"/bin/sh -c #(nop) COPY --chown=1:2multi:{HASH} in /x ",
            "COPY --chown=1:2multi:3af3091e7d2b… in /x",
        ),
        ("/bin/sh -c #(nop)  ENV PATH=/a:/b B=x y", "ENV PATH=/a:/b B=x y"),
        ("/bin/sh -c #(nop)  EXPOSE 8080", "EXPOSE 8080"),
        ("/bin/sh -c #(nop)  EXPOSE map[443/tcp:{} 80/tcp:{}]", "EXPOSE 443/tcp 80/tcp"),
        ("/bin/sh -c #(nop)  VOLUME [/data /log]", "VOLUME /data /log"),
        ("/bin/sh -c #(nop)  USER [app]", "USER app"),
        (
            '/bin/sh -c #(nop)  ENTRYPOINT &{["/entry.sh" "say \\"hi\\""]}',
            'ENTRYPOINT ["/entry.sh", "say \\"hi\\""]',
        ),
        ("/bin/bash -o pipefail -c #(nop)  WORKDIR /x", "WORKDIR /x"),
        ("/bin/bash -o pipefail -c #(nop)  SHELL [/bin/sh -c]", 'SHELL ["/bin/sh", "-c"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("/bin/sh -c set -eux; \t\tapt-get update", "RUN set -eux; \t\tapt-get update"),
        ("|1 VERSION=1.0 /bin/sh -c make", "RUN make"),
        ("|2 A=x y B= /bin/sh -c make A=2", "RUN make A=2"),
        ("|1 A=1 make all", "RUN make all"),
        # BuildKit
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("RUN |2 A=1 B=2 /bin/sh -c make # buildkit", "RUN make"),
        ("RUN |1 A=1 make all # buildkit", "RUN make all"),
        ("RUN make all # buildkit", "RUN make all"),
        ("RUN /bin/sh -c <<EOF (echo hi...) # buildkit", "RUN <<EOF (echo hi...)"),
        ("RUN <<EOF (echo hi...)", "RUN <<EOF (echo hi...)"),
        ("RUN /bin/sh -c echo a # not the end", "RUN echo a # not the end"),
        ("COPY /a /b # buildkit", "COPY /a /b"),
        ("WORKDIR /x", "WORKDIR /x"),
        ("EXPOSE [8080/tcp 443/tcp]", "EXPOSE 8080/tcp 443/tcp"),
        ('SHELL ["/bin/bash" "-c"]', 'SHELL ["/bin/bash", "-c"]'),
        ('CMD ["a", "b"]', 'CMD ["a", "b"]'),
        ("CMD []", "CMD []"),
        (
            'HEALTHCHECK &{["CMD-SHELL" "curl \\"x\\" || exit 1"] "30s" "3s" "0s" "0s" \'\\x03\'}',
            'HEALTHCHECK --interval=30s --timeout=3s --retries=3 CMD curl "x" || exit 1',
        ),
        (
            'HEALTHCHECK &{["CMD" "a" "b"] "0s" "0s" "5s" \'\\x00\'}',
            'HEALTHCHECK --start-period=5s CMD ["a", "b"]',
        ),
        ('HEALTHCHECK &{["CMD" "a"] "0s" "0s" "0s" \'\\n\'}', 'HEALTHCHECK --retries=10 CMD ["a"]'),
        ('HEALTHCHECK &{["NONE"] "0s" "0s" "0s" \'\\x00\'}', "HEALTHCHECK NONE"),
        ("HEALTHCHECK &{[oops", "HEALTHCHECK &{[oops"),
        # other shells
        ("/bin/bash -o pipefail -c curl x | tar x", "RUN curl x | tar x"),
        ("RUN /bin/bash -euxo pipefail -c curl x # buildkit", "RUN curl x"),
        ("RUN /bin/bash -ceuo pipefail curl x # buildkit", "RUN curl x"),
        ("RUN /bin/ash -eo pipefail -c curl x # buildkit", "RUN curl x"),
        ("RUN /usr/bin/env bash -c x # buildkit", "RUN /usr/bin/env bash -c x"),
        ("RUN /bin/bash -l script.sh # buildkit", "RUN /bin/bash -l script.sh"),
        ("cmd /S /C mkdir x", "RUN mkdir x"),
        (r"C:\Windows\System32\cmd.exe /S /C mkdir x", "RUN mkdir x"),
        ('cmd /S /C #(nop) ENTRYPOINT ["x"]', 'ENTRYPOINT ["x"]'),
        ("powershell -Command Get-Item x", "RUN Get-Item x"),
        (
            "powershell -Command $ErrorActionPreference = 'Stop'; $Progress = 'Off'; #(nop)  USER x",
            "USER x",
        ),
        # what is no instruction stays
        ("bazel build //x:image", "bazel build //x:image"),
        ("/bin/sh", "/bin/sh"),
        ("# debian.sh --arch 'amd64' out/ 'bookworm'", "# debian.sh --arch 'amd64' out/ 'bookworm'"),
        ("env A=1 program", "env A=1 program"),
        ("|x /bin/sh", "|x /bin/sh"),
    ],
)
def test_instruction(created_by: str, expected: str) -> None:
    assert instruction(step(created_by)) == expected


def test_instruction_without_created_by_is_the_comment() -> None:
    assert instruction(step("", "Imported from -")) == "Imported from -"
    assert instruction(step("  ")) == ""
    assert instruction(step("RUN true", "buildkit.dockerfile.v0")) == "RUN true"


def test_build_args_stay_reachable() -> None:
    assert build_args("|2 A=x y B= /bin/sh -c make A=2") == ("A=x y", "B=")
    assert build_args("RUN |1 VERSION=1.0 /bin/sh -c make # buildkit") == ("VERSION=1.0",)
    assert build_args("RUN |1 A=1 make all") == ("A=1",)
    assert build_args("RUN make A=1") == ()


def test_one_line() -> None:
    assert one_line("RUN a \t\n  b\r\n c ") == "RUN a b c"


@given(st.text() | st.text(alphabet="|1 A=/binsh-c#(nop){}[]\"'&\\xRUNCMD "))
def test_no_text_raises(text: str) -> None:
    shown = instruction(step(text))
    assert shown == shown.strip()
    build_args(text)
    makes_layer_hint(text)
    identity(step(text, created=text))


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "a",
        "/",
        "\\",
        '"',
        "a=",
        "A= ",
        "sh -",
        "/bin/sh -o x",
        "map[",
        "a:{}",
        "#(nop) ",
        "'x'} ",
        "-a ",
    ],
)
@pytest.mark.parametrize("start", ["", "|99 ", "EXPOSE map[", 'HEALTHCHECK &{["CMD" "', 'CMD ["', "/bin/sh "])
def test_hostile_text_costs_no_more_than_its_length(start: str, unit: str) -> None:
    began = time.process_time()
    instruction(step(start + unit * 100_000 + "!"))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("created_by", "hint"),
    [
        ("/bin/sh -c true", True),
        ("RUN /bin/sh -c true # buildkit", True),
        (f"/bin/sh -c #(nop) ADD file:{HASH} in /", True),
        ("COPY /a /b # buildkit", True),
        ('/bin/sh -c #(nop)  CMD ["bash"]', False),
        ("ENV A=1", False),
        ("VOLUME [/data]", False),
        ("ONBUILD RUN x", False),
        ("/bin/sh -c #(nop) WORKDIR /x", None),
        ("bazel build", None),
        ("", None),
    ],
)
def test_makes_layer_hint(created_by: str, hint: bool | None) -> None:
    assert makes_layer_hint(created_by) is hint


def test_assign_layers_prefers_bytes_then_kind() -> None:
    history = [
        ("/bin/sh -c #(nop) ADD file:x in /", 100),
        ("ENV A=1", 0),
        ("WORKDIR /x", 0),
        ("RUN /bin/sh -c true # buildkit", 0),
        ('CMD ["x"]', 0),
        ("", 5),
    ]
    assert assign_layers(history, 2) == [True, False, False, False, False, True]
    assert assign_layers(history, 3) == [True, False, False, True, False, True]
    assert assign_layers(history, 4) == [True, False, True, True, False, True]
    assert assign_layers(history, 5) == [True, True, True, True, False, True]
    assert assign_layers(history, 9) == [True] * 6
    assert assign_layers(history, 0) == [False] * 6


@given(
    st.lists(st.tuples(st.sampled_from(["RUN x", "ENV x", "WORKDIR /"]), st.integers(0, 2))),
    st.integers(0, 12),
)
def test_assign_layers_gives_every_layer_a_step(history: list[tuple[str, int]], layers: int) -> None:
    owners = assign_layers(history, layers)
    assert len(owners) == len(history)
    assert sum(owners) == min(layers, len(history))


def test_pair_skips_empty_steps_and_pads() -> None:
    a, b, c = step("a"), step("b", empty_layer=True), step("c")
    assert pair(["1", "2"], [a, b, c]) == (a, c)
    assert pair(["1", "2", "3"], [a, b, c]) == (a, c, None)
    assert pair(["1"], [a, b, c]) == (a,)
    assert pair([], [a]) == ()


def test_identity_reads_created_as_a_moment() -> None:
    same = [
        "2024-01-02T03:04:05.6Z",
        "2024-01-02T03:04:05.600000000Z",
        "2024-01-02T04:04:05.6+01:00",
        "2024-01-01T22:04:05.60-05:00",
    ]
    assert len({identity(step("a", created=text)) for text in same}) == 1
    assert identity(step("a", created=same[0])) != identity(step("a", created="2024-01-02T03:04:05.7Z"))
    assert identity(step("a", created=None)) == identity(step("a", created="0001-01-01T00:00:00Z"))
    assert identity(step("a", created="yesterday")) != identity(step("a", created=None))
    assert identity(step("a", empty_layer=True)) == identity(step("a"))
    assert identity(step("a", "x")) != identity(step("a", "y"))
