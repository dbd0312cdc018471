"""The person's settings, and read-only by each of the three ways."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.config import Config, config_path, is_read_only, load, may_use_internals
from imgscope.errors import UsageError
from imgscope.toml import LIMIT, Document
from tests.support.program import complaint, run


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(path))
    monkeypatch.delenv("IMGSCOPE_READ_ONLY", raising=False)
    return path


def test_no_file_is_no_settings() -> None:
    assert load() == Config()
    assert not is_read_only()


def test_read_only_by_option_environment_or_file(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_read_only(True)
    settings.write_text("read-only = false\n")
    assert not is_read_only()
    settings.write_text("read-only = true\n")
    assert is_read_only()
    settings.unlink()
    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    assert is_read_only()


def test_engine_internals_are_asked_for_and_never_read_only(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not may_use_internals()
    settings.write_text("engine-internals = true\n")
    assert may_use_internals()
    settings.write_text("engine-internals = true\nread-only = true\n")
    assert not may_use_internals()
    settings.unlink()
    monkeypatch.setenv("IMGSCOPE_ENGINE_INTERNALS", "1")
    assert may_use_internals()
    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    assert not may_use_internals()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("read-only = 1", ", line 3: read-only = 1 is not what it should be: true or false."),
        ("engine-internals = 'yes'", ", line 3: "),
        ("readonly = true", ", line 3: there is no setting 'readonly' (did you mean read-only?); there are "),
        ("theme = true", ', line 3: theme = true is not what it should be: text, as "…".'),
        ("cache-limit = -1", "no less than 0"),
        ('cache-limit = "5 quarts"', 'a number of bytes, or a size as "500 MB"'),
        ('cache-limit = "1.2.3 MB"', 'a number of bytes, or a size as "500 MB"'),
        ('sort = "sice"', ", line 3: sort knows no 'sice' (did you mean size?); it knows name, size, state"),
        ('columns = "size"', "a list of names"),
        ("columns = [1]", "a list of names"),
        ("columns = [\n  'size',\n  'ages',\n]", ", line 3: columns knows no 'ages' (did you mean age?)"),
        ('confirm = "never"', "it knows usual, always"),
        ('engine = "docker"', "an address, as"),
        ("keymap = 3", "a table of keys by id"),
        ("[keymap]\nact.run = ['r']", ', line 4: keymap: act.run = ["r"] is not what it should be'),
        ("= x", "cannot be read: Invalid statement (at line 3, column 1)."),
        ("theme = 'a'\ntheme = 'b'", "cannot be read: Cannot overwrite a value"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_line(settings: Path, text: str, wrong: str) -> None:
    settings.write_text(f"# mine\n\n{text}")
    with pytest.raises(UsageError) as error:
        load()
    assert str(error.value).startswith(f"The settings in {settings}")
    assert wrong in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_of_every_kind(settings: Path) -> None:
    settings.write_text(
        """
theme = "nord"
engine = "ssh://me@there"
source = "~/images"
columns = []
images-sort = "wasted"
sort = "dead"
confirm = "always"
ascii = true
cache = false
cache-limit = "1.5 GB"
read-only = true

[keymap]
act.run = "f9, R"
"act.tag" = "f10"
"""
    )
    assert load() == Config(
        theme="nord",
        engine="ssh://me@there",
        source="~/images",
        columns=(),
        images_sort="wasted",
        sort="dead",
        confirm="always",
        ascii=True,
        cache=False,
        cache_limit=1_500_000_000,
        read_only=True,
        keymap={"act.run": "f9,R", "act.tag": "f10"},
    )


def test_a_file_that_is_none(settings: Path) -> None:
    settings.mkdir()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load()
    settings.rmdir()
    settings.write_bytes(b"#" * (LIMIT + 1))
    with pytest.raises(UsageError, match="bytes are not read"):
        load()


words = st.text("abc-_", min_size=1, max_size=4)
scalars = st.one_of(st.integers(), st.booleans(), st.text("ab\"'[]=#\n", max_size=6))
values = st.one_of(scalars, st.lists(scalars, max_size=3))


@given(st.data())
def test_every_key_is_on_its_line(data: st.DataObject) -> None:
    """A file that is written key by key, with arrays and strings over several lines, and comments."""
    lines, there = [], {}
    for table in ("", *data.draw(st.lists(words, unique=True, max_size=3))):
        if table:
            lines.append(f"[{table}] # [no.table] = 5")
            there[table] = len(lines)
        for word in data.draw(st.lists(words.map(lambda word: f"k{word}"), unique=True, max_size=4)):
            lines += data.draw(st.lists(st.sampled_from(["", "# k = 1", "  # [t]"]), max_size=2))
            name = f"{table}.{word}" if table else word
            if name.partition(".")[0] not in there or table:
                there[name] = len(lines) + 1
            value = data.draw(values)
            text = json.dumps(value)
            if isinstance(value, list) and data.draw(st.booleans()):
                text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n]"
            elif isinstance(value, str) and data.draw(st.booleans()):
                text = '"""\n' + json.dumps(value)[1:-1].replace("\\n", "\n") + '"""'
            lines += f"{word} = {text}".split("\n")
    text = "\n".join(lines)
    document = Document(Path("x.toml"), "The file", text, tomllib.loads(text))
    assert {name: document.line(name) for name in there} == there
    assert document.line("nobody") == 0


def test_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMGSCOPE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_path().name == "config.toml"
    assert config_path().parent.name == "imgscope"


def test_a_changing_command_is_refused(settings: Path, tmp_path: Path) -> None:
    from imgscope.sources.demo.layout import write_layout

    write_layout(tmp_path / "layout")
    settings.write_text("read-only = true\n")
    said = complaint(run("rmi", f"oci:{tmp_path / 'layout'}:kuard:blue", "--yes"))
    assert "read-only" in said
    assert "kuard:blue" in run("tree", f"oci:{tmp_path / 'layout'}").stdout
