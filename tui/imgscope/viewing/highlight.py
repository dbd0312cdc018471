"""Syntax colours, found by pygments in a process of its own.

Its lexers are regular expressions. Over a file that somebody made for that they may take for ever, and a
thread that does so holds all others up; a process is ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress

from imgscope.job import Job

LIMIT = 300_000  # bytes of a text that gets colours
_SECONDS = 5.0
STYLES = (
    "",
    "comment",
    "keyword",
    "name",
    "string",
    "number",
    "operator",
    "heading",
    "added",
    "removed",
    "wrong",
)
_TOKENS = (  # the more exact first
    ("Comment.Preproc", "keyword"),
    ("Comment", "comment"),
    ("Literal.String.Doc", "comment"),
    ("Literal.String", "string"),
    ("Literal.Number", "number"),
    ("Literal", "string"),
    ("Keyword", "keyword"),
    ("Operator.Word", "keyword"),
    ("Operator", "operator"),
    ("Name.Function", "name"),
    ("Name.Class", "name"),
    ("Name.Tag", "keyword"),
    ("Name.Attribute", "name"),
    ("Name.Builtin", "name"),
    ("Name.Decorator", "name"),
    ("Name.Namespace", "name"),
    ("Generic.Heading", "heading"),
    ("Generic.Subheading", "heading"),
    ("Generic.Inserted", "added"),
    ("Generic.Deleted", "removed"),
)
_NAMES = {  # what pygments does not know by its name
    "os-release": "ini",
    "lsb-release": "ini",
    ".env": "ini",
    "Containerfile": "docker",
    "passwd": "text",
    ".profile": "bash",
}
_SCRIPTS = {
    "sh": "bash",
    "dash": "bash",
    "ash": "bash",
    "bash": "bash",
    "zsh": "zsh",
    "python": "python",
    "perl": "perl",
    "ruby": "ruby",
    "node": "javascript",
    "php": "php",
    "lua": "lua",
    "awk": "awk",
    "gawk": "awk",
    "tclsh": "tcl",
    "make": "make",
    "openrc-run": "bash",
    "Rscript": "r",
}


class Spans:
    """Which bytes of a text have which style: those from the end before up to `ends[i]` have `styles[i]`."""

    def __init__(self, ends: array[int], styles: bytes) -> None:
        self._ends = ends
        self._styles = styles

    def within(self, start: int, end: int) -> Iterator[tuple[int, str]]:
        """(end, style) of the stretches of [start, end), the last one's end being `end`."""
        at = bisect_right(self._ends, start)
        while start < end:
            known = at < len(self._ends)
            start = min(self._ends[at], end) if known else end
            yield start, STYLES[self._styles[at]] if known else ""
            at += 1


def highlight(name: str, text: bytes, job: Job, alias: str = "") -> Spans | None:
    """The colours of a UTF-8 text by its file's name, or by `alias`, pygments' name of a language.

    None where there are none: no such language, too long a text or too long a wait. Raises `CancelledError`.
    """
    alias = alias or _alias(name, text)
    if len(text) > LIMIT or not text or alias == "text":
        return None
    command = [sys.executable, "-P", "-m", __name__, alias, name]
    path = {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part), "PYTHONIOENCODING": "utf-8"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=path,
            start_new_session=True,  # ctrl+c in the terminal is not for it
        )
    except (OSError, ValueError):
        return None
    with process, job.on_cancel(process.kill):
        try:
            found, _ = process.communicate(text, _SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
        finally:
            if job.cancelled:
                process.kill()
    job.check()
    count = len(found) // 5
    if process.returncode or not count:
        return None
    ends = array("I")
    with suppress(ValueError):
        ends.frombytes(found[: 4 * count])
    return Spans(ends, bytes(min(style, len(STYLES) - 1) for style in found[4 * count :]))


def _alias(name: str, text: bytes) -> str:
    """pygments' name of a language that the name or a #! line tells; "" leaves it to the name alone."""
    if name in _NAMES:
        return _NAMES[name]
    if text.startswith(b"#!"):
        words = text[2:256].partition(b"\n")[0].decode("utf-8", "replace").split()
        words = [word.rpartition("/")[2] for word in words if not word.startswith("-")]
        program = words[1] if words[:1] == ["env"] and len(words) > 1 else (words or [""])[0]
        return _SCRIPTS.get(program, _SCRIPTS.get(program.rstrip("0123456789."), ""))
    if text.startswith(b"<?xml"):
        return "xml"
    return ""


def main(alias: str, name: str) -> None:
    """In the process: the text from standard input; ends and styles to standard output."""
    from pygments.lexers import find_lexer_class_by_name, find_lexer_class_for_filename
    from pygments.util import ClassNotFound

    try:
        found = find_lexer_class_by_name(alias) if alias else find_lexer_class_for_filename(name)
    except ClassNotFound:
        return
    if found is None or found.__name__ == "TextLexer":
        return
    styles: dict[object, int] = {}
    ends, codes = array("I"), bytearray()
    end = 0
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    for _, token, value in found(stripnl=False, ensurenl=False).get_tokens_unprocessed(text):
        style = styles.get(token)
        if style is None:
            words = str(token).removeprefix("Token.")
            known = next((style for prefix, style in _TOKENS if words.startswith(prefix)), "")
            style = styles[token] = STYLES.index(known)
        end += len(value.encode("utf-8", "surrogateescape"))
        if codes and codes[-1] == style:
            ends[-1] = end
        else:
            ends.append(end)
            codes.append(style)
    sys.stdout.buffer.write(ends.tobytes() + codes)


if __name__ == "__main__":
    main(*sys.argv[1:3])
