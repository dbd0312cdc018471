"""What a build's context holds: moby's rules for .dockerignore, the walk, and the tar."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.actions.context import Context
from imgscope.actions.ignore import Ignore
from imgscope.errors import CancelledError, UsageError
from imgscope.job import Job


def fill(folder: Path, *paths: str, ignore: str | None = None) -> Path:
    for path in ("Dockerfile", *paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    if ignore is not None:
        (folder / ".dockerignore").write_text(ignore)
    return folder


def sent(context: Context) -> set[str]:
    return {entry.path for entry in context.files}


def unpacked(
    context: Context, job: Job | None = None
) -> tuple[str, dict[str, tarfile.TarInfo], dict[str, bytes]]:
    name, chunks = context.tar(job or Job())
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        members = {member.name: member for member in tar}
        files = {path: tar.extractfile(member) for path, member in members.items() if member.isfile()}
        return name, members, {path: file.read() for path, file in files.items() if file}


# -- patterns -----------------------------------------------------------------------------------------

# From moby/patternmatcher's own tests (patternmatcher_test.go), as far as they are of this system.
MOBY = [
    ("**", "file", True),
    ("**", "file/", True),
    ("**/", "file", True),
    ("**/", "file/", True),
    ("**", "/", True),
    ("**/", "/", True),
    ("**", "dir/file", True),
    ("**/", "dir/file", True),
    ("**/**", "dir/file", True),
    ("dir/**", "dir/file", True),
    ("dir/**", "dir/file/", True),
    ("dir/**", "dir/dir2/file", True),
    ("**/dir", "dir", True),
    ("**/dir", "dir/file", True),
    ("**/dir2/*", "dir/dir2/file", True),
    ("**/dir2/*", "dir/dir2/dir3/file", True),
    ("**file", "file", True),
    ("**file", "dir/file", True),
    ("**/file", "dir/file", True),
    ("**file", "dir/dir/file", True),
    ("**/file", "dir/dir/file", True),
    ("**/file*", "dir/dir/file", True),
    ("**/file*", "dir/dir/file.txt", True),
    ("**/file*txt", "dir/dir/file.txt", True),
    ("**/file*.txt", "dir/dir/file.txt", True),
    ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "dir/dir/file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("**/*.txt", "file.txt", True),
    ("**/**/*.txt", "file.txt", True),
    ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True),
    ("a/*.txt", "a/dir/file.txt", False),
    ("a/*.txt", "a/file.txt", True),
    ("a/*.txt**", "a/file.txt", True),
    ("a[b-d]e", "ae", False),
    ("a[b-d]e", "ace", True),
    ("a[b-d]e", "aae", False),
    ("a[^b-d]e", "aze", True),
    (".*", ".foo", True),
    (".*", "foo", False),
    ("abc.def", "abcdef", False),
    ("abc.def", "abc.def", True),
    ("abc.def", "abcZdef", False),
    ("abc?def", "abcZdef", True),
    ("abc?def", "abcdef", False),
    (r"a\*b", "a*b", True),
    (r"a\*b", "axb", False),
    (r"**/foo/bar", "foo/bar", True),
    ("**/foo/bar", "dir/foo/bar", True),
    ("**/foo/bar", "dir/dir2/foo/bar", True),
    ("abc/**", "abc", False),
    ("abc/**", "abc/def", True),
    ("**/.foo", ".foo", True),
    ("**/.foo", "bar.foo", False),
    ("a(b)c/def", "a(b)c/def", True),
    ("a(b)c/def", "a(b)c/xyz", False),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
    ("dist/a-2.4.0rc3.dev36+g08acad9.whl", "dist/a-2.4.0rc3.dev36+g08acad9.whl", True),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", True),
    ("ABC", "abc", False),
    ("[[]x", "[x", True),
    ("[&&a]", "&", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "path", "matches"), MOBY)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert Ignore.parse(pattern)(path.strip("/") or "x") is matches


@pytest.mark.parametrize(
    ("text", "path", "out"),
    [
        ("*\n!a", "a", False),
        ("*\n!a", "b", True),
        ("!a\n*", "a", True),
        ("docs\n!docs/README.md", "docs/README.md", False),
        ("docs\n!docs/README.md", "docs/x", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-x.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("# a comment\n\n  a  \n", "a", True),
        (" #a", "#a", True),
        ("/a", "a", True),
        ("a/", "a", True),
        ("./a/../b", "b", True),
        ("\ufeffa", "a", True),
        ("a\r\nb", "a", True),
        (".", "a", False),
        ("! a\na\n! a", "a", False),
        ("a", "a/b/c", True),
    ],
)
def test_the_last_pattern_decides(text: str, path: str, out: bool) -> None:
    assert Ignore.parse(text)(path) is out


@pytest.mark.parametrize("pattern", ["a[", "[]", "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "a[^"])
def test_what_go_says_is_no_pattern(pattern: str) -> None:
    with pytest.raises(UsageError, match="in line 2"):
        Ignore.parse(f"# rules\n{pattern}")


def test_a_bare_exclamation_mark() -> None:
    with pytest.raises(UsageError, match=r"\.dockerignore has a bare ! in line 1"):
        Ignore.parse("!")


@given(st.text("ab*?[]^-!\\/.#& |~", max_size=8), st.text("ab/", min_size=1, max_size=6))
def test_any_text_is_rules_or_an_error(text: str, path: str) -> None:
    try:
        ignore = Ignore.parse(text)
    except UsageError:
        return
    assert ignore(path) in (True, False)


# -- a folder -----------------------------------------------------------------------------------------


def test_all_is_sent_without_rules(tmp_path: Path) -> None:
    context = Context.read(fill(tmp_path, "a", "d/b"))
    assert sent(context) == {"Dockerfile", "a", "d/b"}
    assert context.total == len("Dockerfile") + len("a") + len("d/b")
    assert (context.ignored_files, context.ignored_bytes) == (0, 0)
    assert context.lines()[0] == "context  3 files, 14 B"
    assert "nothing: there is no .dockerignore" in context.lines()[-1]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    fill(tmp_path, "a", "node_modules/x/index.js", "node_modules/y.js", ignore="node_modules")
    context = Context.read(tmp_path)
    assert sent(context) == {"Dockerfile", ".dockerignore", "a"}
    assert context.ignored_files == 2
    assert context.ignored_bytes == len("node_modules/x/index.js") + len("node_modules/y.js")


def test_exceptions_bring_their_directories(tmp_path: Path) -> None:
    fill(tmp_path, "src/a/keep.py", "src/a/drop.c", "src/b/drop.c", ignore="*\n!src/a/*.py\n")
    context = Context.read(tmp_path)
    assert [entry.path for entry in context.entries] == ["src", "src/a", "src/a/keep.py"]
    assert context.ignored_files == 4


def test_exceptions_with_wildcards_in_front(tmp_path: Path) -> None:
    fill(tmp_path, "x/y/a.py", "x/y/b.c", ignore="*\n!**/*.py")
    assert sent(Context.read(tmp_path)) == {"x/y/a.py"}


def test_the_rules_of_one_dockerfile(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b", "dev.Dockerfile", ignore="a")
    (tmp_path / "dev.Dockerfile.dockerignore").write_text("b\n*.dockerignore\n.dockerignore")
    assert sent(Context.read(tmp_path, "dev.Dockerfile")) == {"Dockerfile", "dev.Dockerfile", "a"}
    assert "a" not in sent(Context.read(tmp_path))


def test_the_largest_files(tmp_path: Path) -> None:
    fill(tmp_path)
    for number in range(8):
        (tmp_path / f"f{number}").write_bytes(bytes(1000 * number))
    context = Context.read(tmp_path)
    assert [entry.path for entry in context.largest(3)] == ["f7", "f6", "f5"]
    assert "largest      7 kB  f7" in context.lines()


def test_links_are_sent_and_their_targets_are_not(tmp_path: Path) -> None:
    folder = fill(tmp_path / "ctx", "d/a")
    (tmp_path / "secret").write_text("x" * 1000)
    for name, target in (
        ("abs", "/etc/passwd"),
        ("up", "../secret"),
        ("d/in", "../Dockerfile"),
        ("d/up", "../../secret"),
    ):
        (folder / name).symlink_to(target)
    context = Context.read(folder)
    assert set(context.leading_out) == {"abs", "up", "d/up"}
    assert context.total < 100
    assert "Symlinks that lead out of the folder" in context.lines()[-1]
    _, members, _ = unpacked(context)
    assert members["up"].linkname == "../secret"
    assert members["up"].issym()


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    folder = fill(tmp_path, "d/a")
    (folder / "loop").symlink_to(".")
    assert sent(Context.read(folder)) == {"Dockerfile", "d/a"}


def test_a_hardlink_counts_once(tmp_path: Path) -> None:
    folder = fill(tmp_path, "a")
    os.link(folder / "a", folder / "b")
    context = Context.read(folder)
    assert context.total == len("Dockerfile") + 1
    _, members, _ = unpacked(context)
    assert (members["b"].islnk(), members["b"].linkname) == (True, "a")


def test_sockets_are_not_sent(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(folder)  # the paths of sockets are short
        try:
            listener.bind("s")
        finally:
            os.chdir(before)
        assert [entry.path for entry in Context.read(folder).entries] == ["Dockerfile"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / os.fsdecode(b"\xff\x1b[31m")).write_bytes(bytes(1000))
    context = Context.read(folder)
    assert any("\\xff\\x1b[31m" in line for line in context.lines())
    _, members, _ = unpacked(context)
    assert os.fsdecode(b"\xff\x1b[31m") in members


# -- what is wrong with it ----------------------------------------------------------------------------


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        Context.read(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; name the folder"):
        Context.read(tmp_path / "file")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty; a build needs a Dockerfile"):
        Context.read(tmp_path)


def test_no_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match=r"There is no Dockerfile in .*; name one with -f"):
        Context.read(tmp_path)
    with pytest.raises(UsageError, match="There is no Dockerfile other"):
        Context.read(tmp_path, "other")
    (tmp_path / "Dockerfile").mkdir()
    with pytest.raises(UsageError, match="is no file to read a Dockerfile from"):
        Context.read(tmp_path)
    with pytest.raises(UsageError, match="standard input"):
        Context.read(tmp_path, "-")


def test_a_dockerfile_outside(tmp_path: Path) -> None:
    folder = fill(tmp_path / "ctx", "a", ignore="Dockerfile\n")
    (tmp_path / "other").write_text("FROM scratch")
    context = Context.read(folder, tmp_path / "other")
    assert context.dockerfile_path is None
    assert "The Dockerfile lies outside the folder; it is sent beside it." in context.lines()
    name, _, files = unpacked(context)
    assert files[name] == b"FROM scratch"
    # the engine drops it from what COPY sees, by the same rules
    assert Ignore.parse(files[".dockerignore"].decode())(name)
    assert sent(context) == {".dockerignore", "a"}


def test_a_dockerfile_that_is_left_out_is_sent_all_the_same(tmp_path: Path) -> None:
    folder = fill(tmp_path, "a", ignore="*\n!a")
    context = Context.read(folder)
    assert sent(context) == {"a"}
    name, _, files = unpacked(context)
    assert files[name] == b"Dockerfile"
    assert Ignore.parse(files[".dockerignore"].decode())(name)


def test_a_file_that_shrinks(tmp_path: Path) -> None:
    context = Context.read(fill(tmp_path, "a-long-name"))
    (tmp_path / "a-long-name").write_text("x")
    with pytest.raises(UsageError, match="became shorter while it was sent"):
        unpacked(context)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    context = Context.read(fill(tmp_path, "a"))
    (tmp_path / "a").unlink()
    with pytest.raises(UsageError, match="a cannot be read"):
        unpacked(context)


def test_a_file_that_grows_is_cut_where_it_was_measured(tmp_path: Path) -> None:
    context = Context.read(fill(tmp_path, "a"))
    (tmp_path / "a").write_text("a" * 5000)
    _, members, files = unpacked(context)
    assert files["a"] == b"a"
    assert set(members) == {"Dockerfile", "a"}


def test_the_tar_holds_the_bytes_that_were_promised(tmp_path: Path) -> None:
    folder = fill(tmp_path, "d/a")
    (folder / "big").write_bytes(os.urandom(600_001))
    (folder / "run").write_text("#!")
    (folder / "run").chmod(0o755)
    context, job = Context.read(folder), Job()
    _, members, files = unpacked(context, job)
    assert sum(map(len, files.values())) == context.total == job.done
    assert files["big"] == (folder / "big").read_bytes()
    assert members["run"].mode == 0o755
    assert members["d"].isdir()
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}


def test_reading_is_cancelled(tmp_path: Path) -> None:
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        Context.read(fill(tmp_path), job=job)
