"""dive's three figures against the dive binary, on docker-archives.

Not compared, for dive is wrong or unstable there: a whiteout of a path that does not exist (dive
drops the rest of that layer), a layer that the archive stores as a symlink to another (dive takes it
for empty), and archives without a manifest.json (it orders the layers of an OCI layout at random).
"""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from imgscope.findings.dive import figures
from tests.support.dive import dive_figures, dive_prints
from tests.support.stacks import (
    Layer,
    Member,
    char_device,
    fifo,
    file,
    folder,
    hardlink,
    merged,
    opaque,
    sound_stacks,
    symlink,
    whiteout,
    write_docker_archive,
)

EXAMPLES: dict[str, list[Layer]] = {
    "no layer stores anything": [[], []],
    "one layer": [[folder("d"), file("d/f", 100)]],
    "overwritten": [[file("a", 100), file("b", 7)], [file("a", 30)]],
    "overwritten by the same": [[file("a", 100)], [file("a", 100)], [file("a", 100)]],
    "only metadata changed": [[folder("d"), file("d/f", 100)], [folder("d"), file("d/f", 100, mode=0o755)]],
    "removed": [[file("a", 100), file("b", 7)], [whiteout("a")]],
    "removed and stored again": [[file("a", 100)], [whiteout("a"), file("b", 1)], [file("a", 60)]],
    "replaced in the layer that removes": [[file("a", 100)], [whiteout("a"), file("a", 60)]],
    "directory removed": [
        [folder("d"), folder("d/e"), file("d/e/f", 100), file("d/g", 7)],
        [folder("d"), file("d/g", 8)],
        [whiteout("d"), file("x", 3)],
    ],
    "directory removed twice": [
        [folder("d"), file("d/f", 100)],
        [whiteout("d")],
        [folder("d"), file("d/f", 60)],
        [whiteout("d")],
    ],
    "removed below a directory that goes later": [
        [folder("d"), file("d/f", 100), file("d/g", 7)],
        [folder("d"), whiteout("d/f")],
        [whiteout("d")],
    ],
    "empty directories": [[folder("d"), folder("e")], [folder("d"), file("d/f", 9)], [whiteout("e")]],
    "links": [
        [file("a", 100), hardlink("b", "a"), symlink("s", "a")],
        [hardlink("c", "a"), whiteout("b")],
        [whiteout("s"), symlink("a", "c")],
    ],
    "device and fifo": [[char_device("null", 1, 3), fifo("p")], [whiteout("null"), file("p", 5)]],
    "opaque": [
        [folder("d"), file("d/f", 100), file("d/g", 7)],
        [folder("d"), opaque("d"), file("d/f", 60)],
        [file("x", 3)],
    ],
    "an opaque directory goes later": [
        [folder("d"), file("d/f", 100)],
        [folder("d"), opaque("d"), file("d/g", 60)],
        [whiteout("d")],
    ],
    "opaque, no entry for its directory": [
        [folder("d"), file("d/f", 100), file("x", 50)],
        [opaque("d"), file("x", 50)],
        [whiteout("d")],
    ],
    "directory becomes a file": [[folder("d"), file("d/f", 100)], [file("d", 7)], [whiteout("d")]],
    "file becomes a directory": [[file("d", 100)], [folder("d"), file("d/f", 7)], [whiteout("d")]],
    "a replaced directory below one that goes": [
        [folder("p"), folder("p/d"), file("p/d/f", 100)],
        [folder("p"), file("p/d", 7)],
        [whiteout("p")],
    ],
    "no entry for the directory": [[file("d/f", 100)], [whiteout("d")], [file("d/f", 8)]],
    "no entry for the directory any more": [
        [folder("d"), file("d/f", 100)],
        [file("d/f", 20)],
        [whiteout("d")],
    ],
    "the same path twice in a layer": [[file("a", 100), file("a", 30)], [file("a", 5)]],
}


def assert_like_dive(layers: Sequence[Layer]) -> None:
    ours = figures(merged(*layers))
    with tempfile.TemporaryDirectory() as scratch:
        theirs = dive_figures(write_docker_archive(Path(scratch, "image.tar"), layers))
    assert ours.wasted_bytes == theirs["inefficientBytes"]
    assert ours.efficiency == pytest.approx(theirs["efficiencyScore"], rel=1e-12)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(name: str) -> None:
    assert_like_dive(EXAMPLES[name])


@pytest.mark.parametrize("name", ["overwritten", "directory removed", "one layer", "removed"])
def test_what_dive_prints(tmp_path: Path, name: str) -> None:
    ours = figures(merged(*EXAMPLES[name]))
    printed = dive_prints(write_docker_archive(tmp_path / "image.tar", EXAMPLES[name]))
    found = re.search(
        r"efficiency: ([\d.]+) %\s+wastedBytes: (\d+) bytes.*\s+userWastedPercent: (\S+) %", printed
    )
    assert found, printed
    efficiency, wasted, percent = found.groups()
    assert f"{100 * ours.efficiency:.4f}" == efficiency
    assert str(ours.wasted_bytes) == wasted
    if percent in ("NaN", "+Inf"):
        assert ours.user_wasted_percent is None
    else:
        assert ours.user_wasted_percent is not None
        assert f"{ours.user_wasted_percent:.4f}" == percent


@given(sound_stacks())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_random_stacks(layers: list[list[Member]]) -> None:
    assert_like_dive(layers)


def test_the_percentage_is_of_all_layers_but_the_first() -> None:
    assert figures(merged([file("a", 100)], [file("a", 60)])).user_wasted_percent == pytest.approx(160 / 0.6)
    assert figures(merged([file("a", 100)])).user_wasted_percent is None
    assert figures(merged([file("a", 100)], [whiteout("a")])).user_wasted_percent is None


def test_a_whiteout_of_what_is_not_there_leaves_the_rest_of_its_layer() -> None:
    """Where dive does not: it would not see that b is stored twice."""
    layers = [[file("b", 10)], [whiteout("a"), file("b", 5)]]
    assert figures(merged(*layers)).wasted_bytes == 15


def test_links_and_devices_have_no_size() -> None:
    layer = [file("a", 10), hardlink("b", "a"), symlink("c", "a"), fifo("d")]
    assert {member.type for member in layer} > {tarfile.LNKTYPE, tarfile.SYMTYPE}
    assert figures(merged(layer, layer)).wasted_bytes == 20
