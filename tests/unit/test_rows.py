"""The rows of a file tree: opened, closed, sorted and filtered, against a tree walked naively."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.errors import CancelledError
from imgscope.job import Job
from imgscope.layers import rows as rows_module
from imgscope.layers import search as search_module
from imgscope.layers import view as view_module
from imgscope.layers.overlay import ROOT, Overlay, State
from imgscope.layers.rows import Rows, Tree, gathered, sums
from imgscope.layers.search import Pattern, search
from imgscope.layers.view import STATES, LayerView, Lens, Sort, Views, dead_versions
from tests.support.stacks import Member, file, folder, hardlink, merged, stacks, whiteout


def look(overlay: Overlay, layer: int, *, whole: bool = True) -> LayerView:
    return LayerView(overlay, layer, merged=whole, dead=dead_versions(overlay))


def path(view: LayerView, node: int) -> str:
    return "/" + view.overlay.path(node).decode("utf-8", "surrogateescape")


def dead_bytes(view: LayerView, node: int) -> int:
    own = view.overlay.file_size(view.version(node)) if view.is_dead(node) else 0
    return own + sum(dead_bytes(view, child) for child in view.children(node))


ORDER = [State.ADDED, State.CONTENT, State.METADATA, State.REMOVED, State.UNCHANGED]


def first_state(view: LayerView, node: int) -> int:
    """The place in the order of states that a node takes, for what is at and below it."""
    below = [first_state(view, child) for child in view.children(node)]
    return min([ORDER.index(view.state(node)), *below])


def siblings(view: LayerView, node: int, sort: Sort) -> list[int]:
    """What stands in a directory, in order."""
    below = list(view.children(node))
    if sort == Sort.SIZE:
        below.sort(key=lambda child: -(view.size(child) or view.gone(child)))
    elif sort == Sort.STATE:
        below.sort(key=lambda child: first_state(view, child))
    elif sort == Sort.DEAD:
        below.sort(key=lambda child: -dead_bytes(view, child))
    return below


REGEXES: dict[str, Callable[[str, str], bool]] = {
    "~A": lambda where, name: "A" in name,
    "~a": lambda where, name: name in "aA",
    "~^[ab]$": lambda where, name: name in ("a", "b"),
    "~a|c": lambda where, name: name in ("a", "c"),
    "~/(a|b)/": lambda where, name: where.endswith(("/a/", "/b/")),
    "~^/a": lambda where, name: where == "/" and name == "a",
    r"~\A/[^/]+/b\Z": lambda where, name: where.count("/") == 2 and name == "b",
    "~/a.*/c": lambda where, name: "/a/" in where and name == "c",
}


def is_found(view: LayerView, node: int, text: str) -> bool:
    """What a pattern means, by the words of the help."""
    where, _, name = path(view, node).rpartition("/")
    where += "/"
    if text in REGEXES:
        return REGEXES[text](where, name)
    before, slash, wanted = text.rpartition("/")
    if text == text.lower():
        name, where = name.lower(), where.lower()
    if any(sign in text for sign in "*?["):
        anywhere = "" if text.startswith("/") else "*/"
        in_folder = not slash or fnmatchcase(where, f"{anywhere}{before}/")
        return in_folder and fnmatchcase(name, wanted or "*")
    return where.endswith(before + slash) and name.startswith(wanted) if slash else wanted in name


def below(view: LayerView, node: int) -> Iterator[int]:
    for child in view.children(node):
        yield child
        yield from below(view, child)


def is_wanted(view: LayerView, node: int, lens: Lens) -> bool:
    """Whether a path is shown for itself, not for what is below it."""
    state, overlay = view.state(node), view.overlay
    if not view.merged:
        return state in lens.states and not (state == State.UNCHANGED and view.has_children(node))
    own = [
        number
        for number in range(lens.above + 1, view.layer + 1)
        if (version := overlay.at(node, number)) >= 0
        and overlay.layer[version] == number
        and (overlay.state_in(node, number) != State.UNCHANGED or overlay.file_size(version))
    ]
    return state in lens.states and (not lens.above or bool(own))


def and_above(view: LayerView, found: Iterable[int]) -> set[int]:
    """Nodes, and the directories they are in."""
    kept = set()
    for node in found:
        while node > ROOT:
            kept.add(node)
            node = view.overlay.parents[node]
    return kept


def shown(view: LayerView, lens: Lens, is_open: Callable[[int], bool]) -> list[int]:
    """The rows, walked from the root."""
    kept = and_above(view, (node for node in below(view, ROOT) if is_wanted(view, node, lens)))
    if lens.pattern:
        found = {node for node in kept if is_found(view, node, lens.pattern.text)}
        kept = and_above(view, found) | {
            child for node in found for child in below(view, node) if child in kept
        }

    def walk(node: int) -> Iterator[int]:
        for child in siblings(view, node, lens.sort):
            if child in kept:
                yield child
                if is_open(child):
                    yield from walk(child)

    return list(walk(ROOT))


def nodes(rows: Rows) -> list[int]:
    return [rows.tree.nodes[rows[row]] for row in range(len(rows))]


PATTERNS = st.sampled_from(
    ["", "a", "A", "b", "*", "?", "a*", "[ab]", "a/", "/a", "a/b", "*/a", "/*/b", "zz", *REGEXES]
)


LENSES = st.builds(
    Lens,
    st.sampled_from(Sort),
    PATTERNS.map(lambda text: Pattern(text) if text else None),
    st.one_of(st.just(STATES), st.frozensets(st.sampled_from(sorted(STATES)))),
    st.sampled_from([0, 0, 1, 2, 3]),
)


@given(
    stacks(),
    st.booleans(),
    LENSES,
    st.lists(st.tuples(st.sampled_from(["fold", "unfold"]), st.integers(0, 50)), max_size=12),
)
def test_rows_are_what_a_walk_of_the_open_directories_sees(
    layers: list[list[Member]], whole: bool, lens: Lens, actions: list[tuple[str, int]]
) -> None:
    view = look(merged(*layers), len(layers), whole=whole)
    tree = view.arranged(lens)
    opened = set(range(len(view.overlay)))
    rows = Rows(tree, bytearray(len(tree)))
    assert nodes(rows) == shown(view, lens, opened.__contains__)
    for action, number in actions:
        if not len(rows):
            break
        row = number % len(rows)
        position = rows[row]
        node = tree.nodes[position]
        if tree.spans[position] == 1 or (node in opened) == (action == "unfold"):
            continue
        if action == "fold":
            rows.fold(row)
            opened.discard(node)
        else:
            rows.unfold(row)
            opened.add(node)
        seen = shown(view, lens, opened.__contains__)
        assert nodes(rows) == seen
        assert nodes(Rows(tree, rows.closed)) == seen
        assert all(rows.row(rows[row]) == row for row in range(len(rows)))


@given(stacks(), st.booleans())
def test_dead_bytes_of_what_is_shown(layers: list[list[Member]], whole: bool) -> None:
    view = look(merged(*layers), 1, whole=whole)
    assert {node: view.dead(node) for node in view.tree.nodes} == {
        node: dead_bytes(view, node) for node in view.tree.nodes
    }


@given(stacks(), PATTERNS)
def test_what_was_found_is_marked_and_the_way_to_it_is_told(layers: list[list[Member]], text: str) -> None:
    view = look(merged(*layers), len(layers))
    if not text:
        return
    tree = view.arranged(Lens(pattern=Pattern(text)))
    found = {node for node in below(view, ROOT) if is_found(view, node, text)}
    assert {node for node, mark in zip(tree.nodes, tree.marks, strict=True) if mark} == found
    for position in range(len(tree)):
        inside = {tree.nodes[place] for place in range(position + 1, position + tree.spans[position])}
        assert bool(tree.on_way[position]) == bool(inside & found)
        assert (position in tree.folders) == bool(inside)


@given(stacks(), st.text("abAB", min_size=1, max_size=3), st.text("abAB", max_size=2))
def test_a_pattern_that_grows_finds_what_it_would_find_at_once(
    layers: list[list[Member]], start: str, more: str
) -> None:
    overlay = merged(*layers)
    view = look(overlay, len(layers))
    view.arranged(Lens(pattern=Pattern(start)))
    grown, anew = (
        each.arranged(Lens(pattern=Pattern(start + more))) for each in (view, look(overlay, len(layers)))
    )
    assert (grown.nodes, grown.spans, grown.marks) == (anew.nodes, anew.spans, anew.marks)


# -- positions ----------------------------------------------------------------------------------------

STACK = [
    [
        folder("etc"),
        file("etc/passwd", 10),
        folder("usr"),
        folder("usr/lib"),
        file("usr/lib/libz.so", 500),
        file("usr/lib/Makefile", 7),
        file("big", 300),
        file("café.txt", 1),
    ],
    [whiteout("big"), file("usr/lib/libz.so", 600)],
]


def test_a_row_that_is_not_seen_is_that_of_the_closed_directory_above() -> None:
    view = look(merged(*STACK), 1)
    rows = Rows(view.tree, bytearray(len(view.tree)))
    names = [path(view, node) for node in nodes(rows)]
    assert names[:2] == ["/etc", "/etc/passwd"]
    assert rows.row(0) == 0
    inner = list(view.tree.nodes).index(view.overlay.find(b"usr/lib/Makefile"))
    assert rows.row(inner) == names.index("/usr/lib/Makefile")
    rows.fold(names.index("/usr/lib"))
    assert rows.row(inner) == names.index("/usr/lib")
    rows.fold(names.index("/usr"))
    assert rows.row(inner) == names.index("/usr")


def test_the_way_to_a_node_ends_where_the_tree_does() -> None:
    view = look(merged(*STACK), 1)
    usr, lib = view.overlay.find(b"usr"), view.overlay.find(b"usr/lib")
    way = list(view.tree.way([ROOT, usr, lib]))
    assert [view.tree.nodes[position] for position in way] == [ROOT, usr, lib]
    filtered = view.arranged(Lens(pattern=Pattern("etc")))
    assert [filtered.nodes[position] for position in filtered.way([ROOT, usr, lib])] == [ROOT]


def test_columns_are_summed_and_gathered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "BLOCK", 3)
    assert list(sums("q", iter([5, 1, 0, 2, 9, 4, 4]))) == [0, 5, 6, 6, 8, 17, 21, 25]
    assert list(sums("q", ())) == [0]
    column, places = array("i", range(10, 20)), array("i", (9, 0, 3, 3, 1))
    assert list(gathered(column, places)) == [19, 10, 13, 13, 11]


def test_a_long_directory_is_sorted_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = [file(f"d/{number * 7 % 50:02}", number % 5) for number in range(50)]
    layer += [folder(f"d/{number}x") for number in range(9, 0, -1)]
    short = look(merged(layer), 1)
    expected = [short.arranged(Lens(sort)).nodes for sort in Sort]
    monkeypatch.setattr(rows_module, "BLOCK", 8)
    long = look(merged(layer), 1)
    assert [long.arranged(Lens(sort)).nodes for sort in Sort] == expected


# -- patterns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lib", ["/usr/lib", "/usr/lib/libz.so"]),
        ("LIB", []),
        ("make", ["/usr/lib/Makefile"]),
        ("Make", ["/usr/lib/Makefile"]),
        ("É", []),
        ("é", ["/café.txt"]),
        ("*.so", ["/usr/lib/libz.so"]),
        ("caf?.txt", ["/café.txt"]),
        ("[be]*", ["/etc", "/big"]),
        ("lib*", ["/usr/lib", "/usr/lib/libz.so"]),
        ("/etc", ["/etc"]),
        ("lib/", ["/usr/lib/Makefile", "/usr/lib/libz.so"]),
        ("r/lib", ["/usr/lib"]),
        ("r/lib/m", ["/usr/lib/Makefile"]),
        ("usr/*/*.so", ["/usr/lib/libz.so"]),
        ("/*/passwd", ["/etc/passwd"]),
        ("/lib*", []),
        ("[", []),
        ("(a+)+$", []),
        ("~(a+)+$", []),
        ("~LIB", []),
        (r"~\Slib", []),
        (r"~^lib\S", ["/usr/lib/libz.so"]),
        ("~^LIB", []),
        ("~(?i)^LIB", ["/usr/lib", "/usr/lib/libz.so"]),
        ("~ma.*e", ["/usr/lib/Makefile"]),
        ("~/usr/.*so$", ["/usr/lib/libz.so"]),
        ("~/lib/", ["/usr/lib/Makefile", "/usr/lib/libz.so"]),
        ("~/usr/lib", ["/usr/lib"]),
        ("~(", []),
    ],
)
def test_what_a_pattern_finds(text: str, found: list[str]) -> None:
    view = look(merged(*STACK), 1)
    tree = search(view.overlay, view.tree, Pattern(text), Job())
    assert [path(view, node) for node, mark in zip(tree.nodes, tree.marks, strict=True) if mark] == found


@pytest.mark.parametrize(
    ("text", "told", "name", "part"),
    [
        ("lib", "part of the name", "x-LIB-y", "LIB"),
        ("r/li", "part of the path", "lib", "li"),
        ("l?b", "glob of the name", "lib", "lib"),
        ("/l*", "glob of the path", "lib", "l"),
        ("*.so", "glob of the name", "x.so.so", ".so"),
        ("*.so*", "glob of the name", "x.so.6", ".so"),
        ("*", "glob of the name", "lib", "lib"),
        ("usr/", "part of the path", "lib", "lib"),
        ("~i.", "regex of the name", "LIB", "IB"),
        ("~usr/l", "regex of the path", "lib", "l"),
        ("~/usr/", "regex of the path", "lib", "lib"),
        ("~^/usr/lib$", "regex of the path", "lib", "lib"),
    ],
)
def test_a_pattern_says_what_it_is_and_points_out_what_it_finds(
    text: str, told: str, name: str, part: str
) -> None:
    pattern = Pattern(text)
    start, end = pattern.span(name, "/usr/")
    assert (str(pattern), name[start:end]) == (told, part)


def test_a_glob_of_many_stars_comes_to_an_end() -> None:
    """As a regular expression that backtracks it would take longer than the universe."""
    pattern = Pattern("*a" * 200 + "*b")
    assert pattern.names([b"a" * 60_000, b"a" * 200 + b"b"]) == b"\0\1"


@pytest.mark.parametrize("text", ["~(a|aa)+$", "~/(x|xx|a|aa)+$", "~(?R)", "~(a(?R)?)+b$"])
def test_a_regex_that_takes_too_long_is_given_up(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_ONE", 0.05)
    view = look(merged([file("a" * 60 + f"b{number}") for number in range(2000)]), 1)
    tree = view.arranged(Lens(pattern=Pattern(text)))
    assert (tree.error, tree.marks.count(1)) == ("This regex takes too long; it was given up.", 0)
    assert Pattern(text).span("a" * 60 + "b") == (0, 61)


def test_a_regex_has_its_time_anew_in_each_search(monkeypatch: pytest.MonkeyPatch) -> None:
    view, pattern = look(merged([file(f"a{number}") for number in range(5)]), 1), Pattern("~a.$")
    for tick, told, count in ((0.25, "", 5), (1, "This regex takes too long; it was given up.", 0)):
        now = (tick * number for number in range(1000))  # what each look at the clock tells
        monkeypatch.setattr(search_module, "thread_time", lambda now=now: next(now))
        for _ in range(5):
            tree = search(view.overlay, view.tree, pattern, Job())
            assert (tree.error, tree.marks.count(1)) == (told, count)


def test_a_regex_that_is_used_again_and_again_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(search_module, "thread_time", lambda: next(now))
    pattern = Pattern("~a", 2.5)
    assert pattern.searched(["a"]) == b"\1"
    with pytest.raises(TimeoutError, match="given up"):
        pattern.searched(["a"])


@pytest.mark.parametrize(
    "text",
    ["~(", "~*a", "~[a", "~a)(b", "~\\", "~a{1,99999999999}", "~" + "(" * 900, "~" + "a" * 2000, "~(?<x"],
)
def test_a_wrong_regex_says_so_and_finds_nothing(text: str) -> None:
    pattern = Pattern(text)
    assert pattern.error.startswith("not a regex: ")
    view = look(merged(*STACK), 1)
    tree = view.arranged(Lens(pattern=pattern))
    assert (tree.error, len(tree)) == (pattern.error, 1)


def test_names_are_found_by_what_is_shown_of_them() -> None:
    view = look(merged([file("x\x1b[31m", 1), file("\u202egnp", 1), file("tab\there", 1), file("x1b", 1)]), 1)
    for text, count in (
        (r"\x1b", 1),
        (r"\x1b[", 0),  # a glob whose bracket stays open is one of these very characters
        (r"x\x1b*", 1),
        (r"~\\x1b\[31m$", 1),
        (r"\u202e", 1),
        ("\u202e", 1),
        ("\t", 1),
        (r"\there", 1),
        ("x1b", 2),
    ):
        assert view.arranged(Lens(pattern=Pattern(text))).marks.count(1) == count, text


def test_names_that_are_no_utf_8_are_found_by_the_rest() -> None:
    view = look(merged([file("bad\udcff.txt", 1), file("ok\n.txt")]), 1)
    for text in ("bad", "*.txt", "\udcff", "ok\n"):
        assert view.arranged(Lens(pattern=Pattern(text))).marks.count(1) in (1, 2), text


def test_very_deep_paths_are_found_by_their_end() -> None:
    view = look(merged([file("/".join([*["d"] * 3000, "here"]), 5)]), 1)
    assert view.arranged(Lens(pattern=Pattern("d/d/he"))).marks.count(1) == 1
    assert view.arranged(Lens(pattern=Pattern("*/d/h*"))).marks.count(1) == 1


# -- work that is not wanted any more, and views that are ------------------------------------------------


def test_cancelled_work_ends() -> None:
    overlay = merged(*STACK)
    view, job = look(overlay, 2), Job()
    job.cancel()
    for work in (
        lambda: LayerView(overlay, 2, merged=True, job=job),
        lambda: LayerView(overlay, 2, job=job),
        lambda: view.arranged(Lens(Sort.SIZE), job),
        lambda: view.arranged(Lens(pattern=Pattern("a")), job),
        lambda: view.arranged(Lens(pattern=Pattern("a/")), job),
        lambda: Views(overlay).get(1, True, job),
    ):
        with pytest.raises(CancelledError):
            work()


def test_views_are_kept_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    views = Views(merged(*STACK))
    first = views.get(1, True, Job())
    assert views.get(1, True, Job()) is first
    assert views.get(1, False, Job()) is not first
    assert views.get(2, False, Job()).is_dead(views.overlay.find(b"big"))
    assert views.get(1, True, Job()) is first
    monkeypatch.setattr(view_module, "_KEPT", 1)
    views.get(2, True, Job())
    assert views.get(1, True, Job()) is not first


def test_a_small_change_of_a_large_image() -> None:
    many = [file(f"d/{number}", 1) for number in range(500)]
    view = look(merged(many, [file("d/7", 5), hardlink("e", "d/7")]), 2, whole=False)
    assert [path(view, node) for node in view.tree.nodes] == ["/", "/d", "/d/7", "/e"]
    assert [view.size(node) for node in view.tree.nodes] == [5, 5, 5, 0]
    assert view.children(view.overlay.find(b"d")) == [view.overlay.find(b"d/7")]


def test_another_lens_on_the_same_view() -> None:
    """What is kept of one lens is never taken for another."""
    view = look(merged(*STACK), 2)
    lenses = [
        Lens(sort, Pattern(text) if text else None, states, above)
        for text in ("", "l", "li", "~l", "lib", "*")
        for sort in Sort
        for states in (STATES, STATES - {State.UNCHANGED}, frozenset[State]())
        for above in (0, 1, 2)
    ]
    for lens in lenses:
        assert view.arranged(lens).nodes == look(view.overlay, 2).arranged(lens).nodes, lens


def test_an_empty_tree_has_no_rows() -> None:
    tree = Tree(array("i", (ROOT,)), array("i", (1,)), array("i"))
    assert len(Rows(tree, bytearray(1))) == 0
    assert len(Rows(tree.filtered(bytearray(1)), bytearray(1))) == 0


def test_what_is_removed_is_sorted_by_what_goes() -> None:
    base = [file("a", 10), file("b", 30), folder("c"), file("c/d", 20)]
    view = look(merged(base, [whiteout("a"), whiteout("b"), whiteout("c"), file("e", 25)]), 2, whole=False)
    by_size, by_dead = (view.arranged(Lens(sort)) for sort in (Sort.SIZE, Sort.DEAD))
    assert [path(view, node) for node in by_size.nodes] == ["/", "/b", "/e", "/c", "/c/d", "/a"]
    assert [path(view, node) for node in by_dead.nodes] == ["/", "/b", "/c", "/c/d", "/a", "/e"]
