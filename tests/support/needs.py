"""What a test needs of the machine: there, or the test is skipped and says what is missing.

With IMGSCOPE_REQUIRE_ENGINE set, as in CI, it fails instead: nothing goes untested unseen.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from typing import NoReturn

import pytest

REQUIRED = bool(os.environ.get("IMGSCOPE_REQUIRE_ENGINE"))

# Root's shell has the sbin folders, a person's on Debian has not; dive lies beside the tests' Python.
PATH = os.pathsep.join(
    [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
)


def missing(reason: str) -> NoReturn:
    """End the test here: skipped for `reason`, or failed where everything is required."""
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def find_tool(name: str) -> str | None:
    """The path of the program `name`, or None."""
    return shutil.which(name, path=PATH)


def require_tool(name: str) -> str:
    """The path of the program `name`; a test cannot go on without it."""
    return find_tool(name) or missing(f"{name} is not installed")
