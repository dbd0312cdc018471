"""The arithmetic and the tables of the benchmark; what it measures is tested by nobody but its reader."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from tests.bench.inputs import files, removed, write_layer
from tests.bench.measure import MeasureError, Program, Sample, figures, in_turn
from tests.bench.report import Table, Target, number


def test_medians_are_taken_column_by_column() -> None:
    told = figures([Sample(3, 1, 10), Sample(1, 9, 30), Sample(2, 2, 20)])
    assert (told.seconds, told.cpu, told.memory) == (2, 2, 20)
    assert (told.fastest, told.slowest) == (1, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.012"), (0.5, "0.500"), (1.234, "1.23"), (56.78, "56.8"), (1234.5, "1234")],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_target_says_whether_it_is_met() -> None:
    assert str(Target(0.05, 0.06)) == "0.050 ≤ 0.06"
    assert str(Target(0.07, 0.06)) == "0.070 **>** 0.06"


def test_columns_line_up_and_reasons_stand_below() -> None:
    table = Table("case", "s")
    table.add("a long one", "1.00")
    table.add("b")
    table.reasons.append("b: no engine")
    assert str(table).splitlines() == [
        "| case       |    s |",
        "| ---------- | ---: |",
        "| a long one | 1.00 |",
        "| b          |      |",
        "",
        "Not run: b: no engine",
    ]


def test_programs_run_as_whole_processes() -> None:
    environment = {"PATH": "/usr/bin:/bin"}
    quick = Program("quick", ["echo", "done"], environment, says="done")
    screen = Program(
        "screen", ["sh", "-c", "printf 'th\\033[1mere'; read key"], environment, screen="there", keys=["\n"]
    )
    taken = in_turn([quick, screen], 2)
    assert set(taken) == {"quick", "screen"}
    assert all(told.seconds > 0 and told.memory > 0 for told in taken.values())


@pytest.mark.parametrize(
    "program",
    [
        Program("p", ["echo", "failed"], {}, says="done"),
        Program("p", ["false"], {}),
        Program("p", ["no-such-program"], {}),
        Program("p", ["echo", "something else"], {}, screen="there"),
    ],
)
def test_a_run_that_did_not_do_its_work_is_no_figure(program: Program) -> None:
    with pytest.raises(MeasureError):
        in_turn([program], 1)


def test_layers_are_tars_that_the_standard_library_reads() -> None:
    first, second = removed(300, 3)
    buffer = io.BytesIO()
    assert write_layer(first, buffer) == hashlib.sha256(buffer.getvalue()).hexdigest()
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        stored = {entry.name: entry.size for entry in tar if entry.isfile()}
    assert stored == {path: len(data) for path, data in files(300) if data is not None}
    gone = [path.replace("/.wh.", "/") for path, _ in second]
    assert len(gone) == 3
    assert set(gone) < set(stored)
