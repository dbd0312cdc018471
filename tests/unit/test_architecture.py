"""The rules that keep the rooms of the code apart."""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import imgscope
from imgscope.commands import HOMES

PACKAGE = Path(imgscope.__file__).parent
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
CORE = ("images/", "layers/", "findings/")
# what may know the screen and the words of the command line
CALLERS = ("ui/", "commands/", "cli.py", "__main__.py", "completion.py", "manual.py")
MAX_LINES = 800


def imports(source: str) -> set[str]:
    """The modules that a source text imports, wherever in it, with the names taken from them.

    `from imgscope.ui import app` counts as imgscope.ui and as imgscope.ui.app: either may be the module.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            module = str(node.module)
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def forbidden(module: str) -> set[str]:
    """What a module, given by its path in the package, may not import."""
    rooms = {"textual", "rich"} if not module.startswith("ui/") else set()
    if module != "sources/connection.py" and not module.startswith("actions/"):
        rooms.add("docker")
    if not module.startswith(CALLERS):
        rooms |= {"imgscope.ui", "imgscope.commands", "imgscope.cli"}
    if module.startswith(CORE):
        rooms |= {f"imgscope.{room}" for room in ("ui", "sources", "actions", "cli")}
    return rooms


def breaches(module: str, source: str) -> set[str]:
    return {
        name
        for name in imports(source)
        for room in forbidden(module)
        if name == room or name.startswith(f"{room}.")
    }


def test_there_are_modules() -> None:
    for room in (*CORE, "sources/", "ui/"):
        assert any(module.startswith(room) for module in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_keep_to_their_room(module: str) -> None:
    assert not breaches(module, (PACKAGE / module).read_text())


@pytest.mark.parametrize(
    ("module", "line", "breach"),
    [
        ("layers/tar.py", "from textual.app import App", True),
        ("layers/tar.py", "import docker.errors", True),
        ("findings/waste.py", "from imgscope import sources", True),
        ("images/model.py", "def f():\n    from imgscope.ui.app import run", True),
        ("cli.py", "def f():\n    import textual", True),
        ("sources/archive.py", "import docker", True),
        ("sources/connection.py", "import docker", False),
        ("sources/engine.py", "import docker", True),
        ("sources/archive.py", "import docker_something", False),
        ("cli.py", "from imgscope.ui import app", False),
        ("commands/show.py", "from imgscope.ui import app", False),
        ("comparison.py", "from imgscope.ui import loader", True),
        ("extraction/place.py", "import textual", True),
        ("extraction/extract.py", "import docker", True),
        ("viewing/rows.py", "from imgscope.ui.widgets import lines", True),
        ("viewing/highlight.py", "from rich.text import Text", True),
        ("ui/app.py", "import textual", False),
        ("ui/app.py", "import docker", True),
    ],
)
def test_the_rule_bites(module: str, line: str, breach: bool) -> None:
    assert bool(breaches(module, line)) is breach


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_short(module: str) -> None:
    lines = (PACKAGE / module).read_text().count("\n")
    assert lines <= MAX_LINES


def test_every_command_is_where_it_is_looked_for() -> None:
    found = []
    for module in sorted(set(HOMES.values())):
        names = argparse.ArgumentParser().add_subparsers()
        import_module(f"imgscope.commands.{module}").register(
            lambda name, summary, run, names=names: names.add_parser(name)
        )
        found += [(name, module) for name in names.choices]
    assert dict(found) == HOMES
    assert len(found) == len(HOMES)


def loaded(code: str) -> set[str]:
    """The top-level names of the modules that are loaded once the code has run."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_command_line_starts_light() -> None:
    """A command that only prints pays neither for the screen nor for the engine's client."""
    assert not loaded("import imgscope.cli") & {"textual", "docker", "rich"}
    asked = "from imgscope.cli import main; main(['analyze', 'demo:bigfile'])"
    assert not loaded(asked) & {"textual", "docker", "rich"}
