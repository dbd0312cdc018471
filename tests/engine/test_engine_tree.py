"""The tree of the notes, built on the real engine: with the engine's parents, and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import bases, program
from tests.support.engine import Engine

# The images of the notes: A, the base; B = A + Ruby; C = A + Go; D = B + Rails 4.2; E = B + Rails 3.2.
# Files stand for what they install.
NAMES = {
    "A": "notes/base:a",
    "B": "notes/ruby:b",
    "C": "notes/golang:c",
    "D": "notes/rails:d",
    "E": "notes/rails:e",
}
PARENTS = {"A": None, "B": "A", "C": "A", "D": "B", "E": "B"}
STEPS = {
    "A": "ENV LANG=C.UTF-8\nRUN head -c 100000 /dev/urandom > /libc",
    "B": 'RUN head -c 60000 /dev/urandom > /ruby && rm /bin/true\nCMD ["irb"]',
    "C": 'RUN head -c 90000 /dev/urandom > /go\nENV GOPATH=/go-path\nWORKDIR /work\nCMD ["go"]',
    "D": 'RUN head -c 20000 /dev/urandom > /rails && echo 4.2 > /version\nCMD ["rails", "server"]',
    "E": "RUN head -c 20000 /dev/urandom > /rails && echo 3.2 > /version\nEXPOSE 3000",
}

Tree = dict[str, Any]  # a node's names, or what it is → the same of its children


class Notes:
    """The images A–E on an engine that has no others."""

    def __init__(self, engine: Engine, buildkit: bool) -> None:
        self.engine = engine
        base = bases.busybox_base(engine)
        for letter, parent in PARENTS.items():
            start = NAMES[parent] if parent else base
            dockerfile = f"FROM {start}\n{STEPS[letter]}\n"
            # the cache of an earlier build knows parents of its own
            engine.build({"Dockerfile": dockerfile}, NAMES[letter], "--no-cache", buildkit=buildkit)
        engine.docker("rmi", base)
        self.sizes = {letter: engine.client.images.get(name).attrs["Size"] for letter, name in NAMES.items()}

    def nodes(self) -> list[dict[str, Any]]:
        told = program.answer("tree", environment=self.engine.environment)
        assert told["schema"] == 1
        nodes: list[dict[str, Any]] = told["nodes"]
        assert len({node["id"] for node in nodes}) == len(nodes)
        return nodes

    def tree(self) -> Tree:
        """The nodes as nested dictionaries, named by letter."""
        nodes = self.nodes()
        letters = {name: letter for letter, name in NAMES.items()}

        def name(node: dict[str, Any]) -> str:
            if node["virtual"]:
                return f"shared base, {node['layers']} layers"
            return "".join(letters.get(name, name) for name in node["references"]) or "untagged"

        def below(identifier: str | None) -> Tree:
            return {name(node): below(node["id"]) for node in nodes if node["parent"] == identifier}

        assert not any(node["parent_candidates"] for node in nodes)
        return below(None)

    def load_again(self, letters: Sequence[str], folder: Path) -> None:
        """Save the images, remove all there is on the engine, and load them: no parents are left."""
        path = folder / "notes.tar"
        self.engine.docker("save", "-o", path, *(NAMES[letter] for letter in letters))
        self.engine.clear()
        self.engine.docker("builder", "prune", "--all", "--force")
        assert self.engine.client.images.list(all=True) == []
        self.engine.docker("load", "-i", path)
        assert {self.engine.client.images.get(NAMES[letter]).attrs["Parent"] for letter in letters} == {""}


@pytest.fixture(params=[False, True], ids=["classic", "buildkit"])
def notes(empty_engine: Engine, request: pytest.FixtureRequest) -> Iterator[Notes]:
    yield Notes(empty_engine, request.param)
    empty_engine.clear()


WHOLE: Tree = {"A": {"B": {"D": {}, "E": {}}, "C": {}}}


def test_the_images_of_the_notes_make_their_tree(notes: Notes, tmp_path: Path) -> None:
    assert notes.tree() == WHOLE
    sizes = {tuple(node["references"]): node["size"] for node in notes.nodes()}
    assert sizes == {(NAMES[letter],): size for letter, size in notes.sizes.items()}

    # saved, removed and loaded the same tree comes from the layers alone
    notes.load_again("ABCDE", tmp_path)
    assert notes.tree() == WHOLE

    # where B is gone, D and E share more than A
    notes.engine.docker("rmi", NAMES["B"])
    assert notes.tree() == {"A": {"C": {}, "shared base, 3 layers": {"D": {}, "E": {}}}}


def test_a_fork_shows_where_its_base_is_gone(notes: Notes, tmp_path: Path) -> None:
    notes.load_again("BC", tmp_path)
    assert notes.tree() == {"shared base, 2 layers": {"B": {}, "C": {}}}
    base = next(node for node in notes.nodes() if node["virtual"])
    assert base["references"] == []
    assert base["size"] == notes.sizes["A"]


def test_without_its_tag_the_base_is_a_step_and_the_fork_still_shows(empty_engine: Engine) -> None:
    notes = Notes(empty_engine, buildkit=False)
    notes.engine.docker("rmi", "--no-prune", NAMES["A"])
    # B and C name it as their parent still, but it has no name to show
    assert notes.tree() == {"shared base, 2 layers": {"B": {"D": {}, "E": {}}, "C": {}}}


def test_a_dangling_image_is_shown(empty_engine: Engine, busybox_base: str) -> None:
    """What was built under a name that a later build took over."""
    for content in "xy":
        empty_engine.build({"Dockerfile": f"FROM {busybox_base}\nRUN echo {content} > /x\n"}, "again:1")
    nodes = program.answer("tree", environment=empty_engine.environment)["nodes"]
    base = next(node for node in nodes if node["references"] == [busybox_base])
    assert [(node["references"], node["parent"]) for node in nodes if node is not base] == [
        (["again:1"], base["id"]),
        ([], base["id"]),
    ]


def test_a_config_only_child_hangs_under_its_parent(
    empty_engine: Engine, busybox_base: str, tmp_path: Path
) -> None:
    empty_engine.build({"Dockerfile": f"FROM {busybox_base}\nENV A=1\n"}, "config:1")
    empty_engine.build({"Dockerfile": "FROM config:1\nENV B=2\n"}, "config:2")

    def names() -> list[tuple[list[str], list[str] | None]]:
        nodes = program.answer("tree", environment=empty_engine.environment)["nodes"]
        by_id = {node["id"]: node for node in nodes}
        return [
            (node["references"], by_id[node["parent"]]["references"] if node["parent"] else None)
            for node in nodes
        ]

    chain = [([busybox_base], None), (["config:1"], [busybox_base]), (["config:2"], ["config:1"])]
    assert names() == chain
    path = tmp_path / "all.tar"
    empty_engine.docker("save", "-o", path, busybox_base, "config:1", "config:2")
    empty_engine.clear()
    empty_engine.docker("load", "-i", path)
    assert names() == chain


def test_images_of_no_layers_are_roots(empty_engine: Engine, busybox_base: str) -> None:
    empty_engine.build({"Dockerfile": 'FROM scratch\nCMD ["/x"]\n'}, "nothing:1")
    nodes = program.answer("tree", environment=empty_engine.environment)["nodes"]
    assert {node["references"][0]: (node["parent"], node["size"] == 0) for node in nodes} == {
        busybox_base: (None, False),
        "nothing:1": (None, True),
    }


def test_an_empty_engine_has_an_empty_tree(empty_engine: Engine) -> None:
    assert program.answer("tree", environment=empty_engine.environment) == {"schema": 1, "nodes": []}
    done = program.run("tree", environment=empty_engine.environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_tree_as_text(empty_engine: Engine) -> None:
    Notes(empty_engine, buildkit=False)
    done = program.run("tree", environment=empty_engine.environment)
    assert done.returncode == 0
    assert [line.rpartition("  ")[0] for line in done.stdout.splitlines()] == [
        "notes/base:a",
        "├─ notes/golang:c",
        "└─ notes/ruby:b",
        "   ├─ notes/rails:d",
        "   └─ notes/rails:e",
    ]
