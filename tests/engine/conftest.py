"""The real engine, base images and registry, for all tests in this folder.

Every test here is marked `engine`. Where something is missing it is skipped and says so; with
IMGSCOPE_REQUIRE_ENGINE set it fails instead.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from imgscope.actions.engine import Engine as ActionEngine
from imgscope.sources.engine import EngineSource
from tests.support import bases
from tests.support.engine import Engine, running_engine
from tests.support.fresh import Images
from tests.support.needs import REQUIRED, missing
from tests.support.registry import PASSWORD, USER, Registry, running_registry

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.engine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but IMGSCOPE_REQUIRE_ENGINE is set: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine, one per test process. Tests share it: name images apart, and count on no others."""
    with running_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
def empty_engine(engine: Engine) -> Engine:
    """The engine with no image and no container on it: only ever the tests' own."""
    if not engine.own:
        missing("the engine at DOCKER_HOST is not the tests' own to empty")
    engine.clear()
    return engine


@pytest.fixture
def busybox_base(engine: Engine) -> str:
    """The name of a small image to build on, with a shell: 2 MB, made from scratch in a second."""
    return bases.busybox_base(engine)


@pytest.fixture
def debian_base(engine: Engine) -> str:
    """The name of Debian's minimal system to build on, with apt."""
    return bases.debian_base(engine)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry on the loopback interface, which engines trust without TLS."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a login: `USER` with `PASSWORD`."""
    with running_registry(tmp_path_factory.mktemp("registry"), {USER: PASSWORD}) as registry:
        yield registry


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[Registry]:
    """An open registry for one test, which may kill it or spoil what it stores."""
    with running_registry(tmp_path) as registry:
        yield registry


@pytest.fixture
def actions(engine: Engine) -> Iterator[ActionEngine]:
    """The engine, as imgscope's actions see it."""
    source = EngineSource.connect(engine.host)
    yield ActionEngine(source)
    source.close()


@pytest.fixture
def images(engine: Engine) -> Iterator[Images]:
    """Makes images for one test."""
    images = Images(engine)
    yield images
    images.remove()
