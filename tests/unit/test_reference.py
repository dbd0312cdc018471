from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.errors import UsageError
from imgscope.images.reference import Reference, is_id, same

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "normalised", "familiar"),
    [
        ("ubuntu", "docker.io/library/ubuntu", "ubuntu"),
        ("ubuntu:24.04", "docker.io/library/ubuntu:24.04", "ubuntu:24.04"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("docker.io/library/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
        ("index.docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost:5000/x", "localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        (
            "ghcr.io/a/b_c/d--e__f:V1.0-x_y",
            "ghcr.io/a/b_c/d--e__f:V1.0-x_y",
            "ghcr.io/a/b_c/d--e__f:V1.0-x_y",
        ),
        ("Registry/x", "Registry/x", "Registry/x"),
        ("[2001:db8::1]:5000/x:y", "[2001:db8::1]:5000/x:y", "[2001:db8::1]:5000/x:y"),
        (f"a@{DIGEST}", f"docker.io/library/a@{DIGEST}", f"a@{DIGEST}"),
        (f"a:t@{DIGEST}", f"docker.io/library/a:t@{DIGEST}", f"a:t@{DIGEST}"),
        (f"a@sha512:{HEX}{HEX}", f"docker.io/library/a@sha512:{HEX}{HEX}", f"a@sha512:{HEX}{HEX}"),
        # the short form would name something else
        ("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c"),
        (f"docker.io/library/{HEX}", f"docker.io/library/{HEX}", f"docker.io/library/{HEX}"),
    ],
)
def test_parse(text: str, normalised: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == normalised
    assert reference.familiar == familiar


def test_parts() -> None:
    assert Reference.parse("ubuntu") == Reference("docker.io", "library/ubuntu", None, None)
    assert Reference.parse(f"a.b:1/c/d:e@{DIGEST}") == Reference("a.b:1", "c/d", "e", DIGEST)


def test_default_tag_only_where_nothing_is_said() -> None:
    assert str(Reference.parse("ubuntu").with_default_tag()) == "docker.io/library/ubuntu:latest"
    assert str(Reference.parse("ubuntu:a").with_default_tag()) == "docker.io/library/ubuntu:a"
    assert str(Reference.parse(f"a@{DIGEST}").with_default_tag()) == f"docker.io/library/a@{DIGEST}"


def test_limits() -> None:
    path = "a" * (255 - len("library/"))
    assert Reference.parse(path).path == "library/" + path
    assert Reference.parse("example.com/" + "a" * 255).path == "a" * 255
    assert Reference.parse("a:" + "t" * 128).tag == "t" * 128
    for text, reason in [
        (path + "a", "256 characters"),
        ("example.com/" + "a" * 256, "256 characters"),
        ("a:" + "t" * 129, "129 characters"),
    ]:
        with pytest.raises(UsageError, match=reason):
            Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("Ubuntu", "must be lowercase, but has 'U' (character 1)"),
        ("me/App", "must be lowercase, but has 'A' (character 4)"),
        ("x y", "a name has no ' ' (character 2)"),
        (" x", "a name has no ' ' (character 1)"),
        ("x\n", "a name has no '\\n' (character 2)"),
        ("naïve", "a name has no 'ï' (character 3)"),
        ("a..b", "'.' must stand between letters or digits, and only '_' and '-' may repeat (character 2)"),
        ("a___b", "'_' must stand between"),
        ("-a", "'-' must stand between"),
        ("a-", "'-' must stand between"),
        ("a//b", "a part of the name is empty (character 3)"),
        ("a/", "a part of the name is empty (character 3)"),
        ("/a", "a part of the name is empty (character 1)"),
        (":x", "the name is empty (character 1)"),
        ("ghcr.io/", "the name is empty (character 9)"),
        ("x:", "the tag after ':' is empty (character 2)"),
        ("x:-a", "a tag cannot start with '-' (character 3)"),
        ("x:a/b", "the port must be a number (character 2)"),
        ("me/x:a/b", "a name has no ':' (character 5)"),
        ("x:a+b", "a tag has no '+' (character 4)"),
        ("x:é", "a tag cannot start with 'é' (character 3)"),
        ("https://ghcr.io/x", "leave out the scheme"),
        ("a.b:c/d", "the port must be a number (character 4)"),
        ("A_b.c/d", "a host name has no '_' there (character 2)"),
        ("-a.b/c", "cannot start with '-' (character 1)"),
        ("a@b", "after '@' comes a digest, as in @sha256: and 64 hex digits (character 2)"),
        ("a@", "after '@' comes a digest"),
        ("a@md5:" + "a" * 32, "after '@' comes a digest"),
        ("a@sha256:abc", "a sha256 digest has 64 hex digits, not 3 (character 10)"),
        (f"a@sha256:{HEX.upper()}", "a digest has no 'A' (character 20)"),
        (HEX, "is an image id, not a name"),
        (DIGEST, "is an image id, not a name"),
    ],
)
def test_what_is_wrong_and_where(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        Reference.parse("!" * 10_000)
    assert len(str(caught.value)) < 300


def test_is_id() -> None:
    assert is_id(HEX)
    assert is_id(DIGEST)
    assert not is_id(HEX[:-1])
    assert not is_id(HEX.upper())
    assert not is_id(HEX + "\n")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("ruby:b", "docker.io/library/ruby:b", True),
        ("ruby", "ruby:latest", True),
        ("ruby", "ruby:b", False),
        ("b", "ruby:b", False),
        ("b", "b", True),
        (f"ruby:a@{DIGEST}", f"ruby@{DIGEST}", True),
        (f"ruby@{DIGEST}", "ruby", False),
        ("Not A Name", "Not A Name", True),
        ("Not A Name", "not a name", False),
        (HEX, HEX, True),
        ("", "", True),
        ("", "latest", False),
    ],
)
def test_same(a: str, b: str, expected: bool) -> None:
    assert same(a, b) is expected
    assert same(b, a) is expected


_component = st.from_regex(r"[a-z0-9]{1,5}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
_domain = st.sampled_from(
    ["", "localhost/", "a.b/", "docker.io/", "index.docker.io/", "x:5000/", "UP/", "[::1]/"]
)
_tag = st.just("") | st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
_digest = st.sampled_from(["", f"@{DIGEST}"])


@given(_domain, st.lists(_component, min_size=1, max_size=3), _tag, _digest)
def test_both_forms_read_back(domain: str, path: list[str], tag: str, digest: str) -> None:
    reference = Reference.parse(f"{domain}{'/'.join(path)}{tag}{digest}")
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert len(reference.familiar) <= len(str(reference))


@given(st.text(), st.text())
def test_same_never_raises(a: str, b: str) -> None:
    assert same(a, a)
    assert same(a, b) == same(b, a)
