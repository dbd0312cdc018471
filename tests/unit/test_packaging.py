"""The ways to install imgscope, each from a fresh environment: a wheel, an sdist, a checkout, editable."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
THEMES = {path.name for path in (ROOT / "themes").glob("*.toml")}

# pip's settings and cache are the person's: taken before a test gets a home of its own.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program outside of the checkout; gives its output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


class Environment:
    """A fresh virtual environment, filled by the pip of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "env"
        self.outside = folder / "elsewhere"
        self.outside.mkdir()
        run(sys.executable, "-m", "venv", "--without-pip", self.folder, cwd=self.outside)
        self.bin = self.folder / "bin"

    def install(self, *what: str | Path) -> None:
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.bin / "python",
            "--disable-pip-version-check",
        ]
        run(*pip, "install", "--quiet", "--no-input", *what, cwd=self.outside)

    def borrow(self) -> None:
        """Lend it what the tests' own environment has, so that nothing but imgscope is to install."""
        site = self.folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def python(self, code: str) -> str:
        return run(self.bin / "python", "-c", code, cwd=self.outside).strip()

    def check(self, home: Path) -> None:
        """imgscope runs there, its code lies under `home`, and it finds its themes."""
        assert run(self.bin / "imgscope", "--version", cwd=self.outside).split() == [
            "imgscope",
            PROJECT["version"],
        ]
        assert Path(self.python("import imgscope; print(imgscope.__file__)")).is_relative_to(home)
        themes = self.python("from imgscope.ui.theme import bundled_themes; print(*sorted(bundled_themes()))")
        assert themes.split() == sorted(name.removesuffix(".toml") for name in THEMES)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of the checkout, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def test_wheel_holds_the_package_and_its_themes(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        names = set(wheel.namelist())
    assert {name.removeprefix("imgscope/themes/") for name in names if "/themes/" in name} == THEMES
    modules = {f"imgscope/{path.relative_to(ROOT / 'tui/imgscope')}" for path in (ROOT / "tui").rglob("*.py")}
    assert modules | {"imgscope/py.typed"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"imgscope"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_sdist_holds_what_the_tests_need(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "Makefile", "README.md", "pyproject.toml", "tests/conftest.py", ".ci/run"} <= names
    assert {f"themes/{name}" for name in THEMES} <= names
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_wheel_with_its_dependencies(archives: tuple[Path, Path], environment: Environment) -> None:
    """The one that has pip resolve the dependencies: it fails where one is not named."""
    environment.install(archives[1])
    environment.check(environment.folder)


def test_sdist(archives: tuple[Path, Path], environment: Environment) -> None:
    environment.borrow()
    environment.install("--no-build-isolation", "--no-deps", "--ignore-installed", archives[0])
    environment.check(environment.folder)


def test_checkout(environment: Environment) -> None:
    environment.borrow()
    environment.install("--no-build-isolation", "--no-deps", "--ignore-installed", ROOT)
    environment.check(environment.folder)


def test_editable_checkout(environment: Environment) -> None:
    environment.borrow()
    environment.install("--no-build-isolation", "--no-deps", "--ignore-installed", "--editable", ROOT)
    environment.check(ROOT / "tui")
