"""The person's settings, and read-only by each of the three ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgscope.config import Config, config_path, is_read_only, load, may_use_internals
from imgscope.errors import UsageError
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
        ("read-only = 1", "true or false"),
        ("engine-internals = 'yes'", "true or false"),
        ("readonly = true", "'readonly'"),
        ("= x", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(settings: Path, text: str, wrong: str) -> None:
    settings.write_text(text)
    with pytest.raises(UsageError) as error:
        load()
    assert str(settings) in str(error.value)
    assert wrong in str(error.value)


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
