"""imgscope config, completion and man; ASCII on stdout; an engine and a source of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imgscope.commands import HOMES
from imgscope.completion import names
from imgscope.sources.demo.layout import write_layout
from tests.support.program import answer, complaint, run


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "themes").mkdir()
    monkeypatch.setenv("IMGSCOPE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine")
    return tmp_path / "config.toml"


# -- config ---------------------------------------------------------------------------------------------


def test_what_counts_and_where_it_comes_from(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = answer("config")
    assert (said["path"], said["exists"]) == (str(config), False)
    assert {value["from"] for value in said["settings"].values()} == {"default"}
    config.write_text('\nsort = "size"\nread-only = false\ntheme = "nord"\ncache-limit = "1 GB"\n')
    monkeypatch.setenv("IMGSCOPE_READ_ONLY", "1")
    monkeypatch.setenv("IMGSCOPE_NO_CACHE", "1")
    said = answer("config", "--theme", "dracula", "--ascii")
    settings = {key: (value["value"], value["from"]) for key, value in said["settings"].items()}
    assert said["exists"]
    assert settings["sort"] == ("size", f"{config}:2")
    assert settings["read-only"] == (True, "IMGSCOPE_READ_ONLY")
    assert settings["cache"] == (False, "IMGSCOPE_NO_CACHE")
    assert settings["theme"] == ("dracula", "--theme")
    assert settings["ascii"] == (True, "--ascii")
    assert settings["cache-limit"] == (1_000_000_000, f"{config}:5")
    assert settings["columns"] == (["size", "unique", "wasted", "used-by", "age"], "default")
    lines = [line.split() for line in run("config").stdout.splitlines()]
    assert lines[0] == ["settings", str(config)]
    assert ["theme", '"nord"', f"{config}:4"] in lines


def test_themes_that_are_there_and_files_that_are_none(config: Path) -> None:
    mine, bad = config.parent / "themes/mine.toml", config.parent / "themes/bad.toml"
    mine.write_text('primary = "#123456"')
    bad.write_text('primary = "#123456"\nerror = "\x1b[31m"\n'.replace("\x1b", "\\u001b"))
    said = answer("config")
    assert said["themes"]["mine"] == str(mine)
    assert (said["themes"]["kanagawa"], said["themes"]["nord"]) == ("imgscope", "textual")
    assert len(said["problems"]) == 1
    assert said["problems"][0].startswith(f"The theme {bad}, line 2: error")
    text = run("config").stdout
    assert f"{bad}, line 2" in text
    assert "\x1b" not in text


def test_settings_that_are_none(config: Path) -> None:
    config.write_text("themes = 'nord'\n")
    assert "line 1: there is no setting 'themes' (did you mean theme?)" in complaint(run("config"))
    config.write_text("theme = 'norf'\n")
    assert "(did you mean nord?)" in complaint(run("config"))


def test_the_ids_of_the_keys(config: Path) -> None:
    keys = answer("config", "--keys")["keys"]
    assert keys["act.run"]["keys"] == ["r"]
    assert "docker run" in keys["act.run"]["what"]
    assert keys["quit"]["keys"] == ["q"]
    assert all(key["what"] for key in keys.values())
    config.write_text('[keymap]\nact.run = "f9"\n')
    assert answer("config", "--keys")["keys"]["act.run"]["keys"] == ["f9"]
    lines = run("config", "--keys").stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.endswith("(yours)")] == [["act.run", "f9"]]
    config.write_text('[keymap]\n\nact.rum = "f9"\n')
    for words in ((), ("--keys",)):
        assert "line 3: keymap knows no 'act.rum' (did you mean act.run?)" in complaint(run("config", *words))


# -- the settings of all commands -----------------------------------------------------------------------


def test_a_source_of_ones_own(config: Path, tmp_path: Path) -> None:
    write_layout(tmp_path / "layout")
    config.write_text(f'source = "oci:{tmp_path / "layout"}"\n')
    assert "kuard:blue" in run("tree").stdout
    config.write_text('source = "demo:"\n')
    assert "kuard:blue" in run("tree").stdout


def test_an_engine_of_ones_own(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(f'engine = "unix://{tmp_path}/mine"\n')
    assert f"{tmp_path}/no-engine" in complaint(run("tree"))  # DOCKER_HOST goes before
    monkeypatch.delenv("DOCKER_HOST")
    assert f"{tmp_path}/mine" in complaint(run("tree"))


@pytest.mark.parametrize("how", ["--ascii", "IMGSCOPE_ASCII", "settings", "encoding"])
def test_ascii(how: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not run("tree", "demo:").stdout.isascii()
    words = ["tree", "demo:"]
    if how == "--ascii":
        words.append(how)
    elif how == "settings":
        config.write_text("ascii = true")
    elif how == "encoding":
        monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    else:
        monkeypatch.setenv(how, "1")
    text = run(*words).stdout
    assert text.isascii()
    assert "+- ruby:b" in text
    assert "\\u" not in text


def test_what_names_have_that_ascii_has_not_is_escaped(tmp_path: Path) -> None:
    said = complaint(run("analyze", f"{tmp_path}/é→.tar", "--ascii"))
    assert f"{tmp_path}/\\xe9>.tar" in said


# -- completion -----------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `imgscope` on the path, to work in."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin/imgscope").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imgscope "$@"\n')
    (home / "bin/imgscope").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.chdir(home)
    return home


def completed(line: str) -> list[str]:
    """What bash proposes where tab is pressed at the end of a line; a colon ends a word to it."""
    code = r"""
source <(imgscope completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<< "${1//:/ : }"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
complete -p imgscope | grep -q -- '-F _imgscope ' && _imgscope 2> /dev/null
printf '%s\n' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", line], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return sorted(set(done.stdout.split()))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_what_is_typed(shell: Path) -> None:
    (shell / "images.tar").touch()
    (shell / "folder").mkdir()
    assert completed("imgscope ana") == ["analyze"]
    assert completed("imgscope analyze --js") == ["--json"]
    assert completed("imgscope view --theme kana") == ["kanagawa"]
    assert completed("imgscope analyze im") == ["images.tar"]
    assert completed("imgscope analyze fo") == ["folder/"]
    assert completed("imgscope im") == ["images.tar"]
    assert completed("imgscope analyze demo:simple-node:c") == ["case-1", "case-2"]
    assert completed("imgscope compare demo:debian:a demo:kuard:") == ["blue"]
    assert completed("imgscope analyze docker-archive:im") == ["images.tar"]
    assert completed("imgscope completion ") == ["bash", "fish", "tcsh", "zsh"]


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish", "tcsh"])
def test_every_shell_knows_the_commands(shell_name: str) -> None:
    done = run("completion", shell_name)
    assert done.returncode == 0
    assert done.stderr == ""
    missing = [name for name in HOMES if name not in done.stdout]
    assert not missing
    if (program := shutil.which(shell_name)) and shell_name != "tcsh":
        checked = subprocess.run([program, "-n"], input=done.stdout, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_engine_that_does_not_answer_has_no_names(shell: Path) -> None:
    assert names("de") == ["demo:"]
    assert "docker-archive:" in names("")
    assert run("completion", "bash", "--names", "kuard").stdout == ""
    assert names("demo:kua") == ["demo:kuard:blue"]
    (shell / "\x1b[2J.tar").touch()
    (shell / "x.tar").touch()
    assert names("oci-archive:") == ["oci-archive:bin/", "oci-archive:x.tar"]


# -- man ------------------------------------------------------------------------------------------------


def test_the_manual_page_has_every_command_and_option() -> None:
    page = run("man").stdout
    assert page.isascii()
    assert page.startswith(".TH IMGSCOPE 1 ")
    for section in ("NAME", "SYNOPSIS", "COMMANDS", "REFERENCES", "ENVIRONMENT", "EXIT STATUS", "FILES"):
        assert f"\n.SH {section}\n" in page
    for name in HOMES:
        assert f"\n.SS imgscope {name}" in page
    assert "\\-\\-read\\-only" in page
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".nf", ".fi", ".BR"}


@pytest.mark.skipif(shutil.which("mandoc") is None and shutil.which("groff") is None, reason="needs one")
def test_the_manual_page_is_sound() -> None:
    page = run("man").stdout
    if shutil.which("mandoc"):
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "error"], input=page, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, "")
    else:
        done = subprocess.run(
            ["groff", "-man", "-ww", "-Tascii", "-z"], input=page, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
