"""What `.dockerignore` leaves out of a build context.

Source of the rules: github.com/moby/patternmatcher (`patternmatcher.go`, `ignorefile/ignorefile.go`),
and for the walk github.com/tonistiigi/fsutil (`filter.go`), as BuildKit has them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from imgscope.errors import UsageError

_CLASS = r"\[\^?(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\]"
_TOKENS = re.compile(rf"\*\*/?|\*|\?|{_CLASS}|\\.|[^\\\[]", re.DOTALL)
_FOREIGN = re.compile(r"(?<!\\)[\[&|~^]")  # what means something in a class to Python and nothing to Go
_SPECIAL = frozenset("*?[]\\")


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    exception: bool  # written with !
    regex: re.Pattern[str]


@dataclass(slots=True)
class Ignore:
    """The patterns of one `.dockerignore`; the last one that matches decides."""

    patterns: list[_Pattern] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, where: str = ".dockerignore") -> Ignore:
        """Raises `UsageError` for a pattern that no builder accepts."""
        found = cls()
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            if line.startswith("#") or not (line := line.strip()):
                continue
            exception = line.startswith("!")
            pattern = line[1:].strip() if exception else line
            if not pattern:
                raise UsageError(f"{where} has a bare ! in line {number}; write the path that stays.")
            pattern = _clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
            try:
                found.patterns.append(_Pattern(pattern, exception, re.compile(_regex(pattern), re.DOTALL)))
            except (ValueError, re.error):
                raise UsageError(
                    f"{where} has a pattern that is none in line {number} ({pattern}); close its brackets."
                ) from None
        return found

    def __call__(self, path: str) -> bool:
        """Whether a path (relative, with /) is left out, by itself or by a directory above it."""
        out = False
        for pattern in self.patterns:
            if pattern.exception == out and any(pattern.regex.match(part) for part in _upwards(path)):
                out = not out
        return out

    def may_hold(self, folder: str) -> bool:
        """Whether an exception may bring back something from within a folder that is left out."""
        exceptions = [pattern.text for pattern in self.patterns if pattern.exception]
        if any(_wild(text) for text in exceptions):
            return True
        return any(f"{text}/".startswith(f"{folder}/") for text in exceptions)


def _wild(text: str) -> bool:
    """Whether a pattern has wildcards other than `*` or `**` as its last part."""
    for end in ("/**", "/*"):
        text = text.removesuffix(end)
    return any(character in text for character in "*[?^")


def _upwards(path: str) -> Iterator[str]:
    """A path, and the directories above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _clean(path: str) -> str:
    """As Go's filepath.Clean: Python's normpath, that keeps no double slash at the start."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


def _regex(pattern: str) -> str:
    """The regular expression of a pattern; `ValueError` for what Go's filepath.Match says is none.

    `**` spans directories, `*` and `?` do not.
    """
    rest = pattern.removeprefix("**")
    if rest != pattern and not rest.startswith("/") and not _SPECIAL.intersection(rest):
        return f".*{re.escape(rest)}\\Z"  # a plain end of the path, also within a name
    made, at = "", 0
    while at < len(pattern):
        token = _TOKENS.match(pattern, at)
        if token is None:
            raise ValueError(pattern)
        at = token.end()
        made += _translated(token[0], last=at == len(pattern))
    return made + r"\Z"


def _translated(part: str, last: bool) -> str:
    if part.startswith("**"):
        return ".*" if last else "(.*/)?"
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        start, body = ("[^", part[2:-1]) if part[1] == "^" else ("[", part[1:-1])
        return f"{start}{_FOREIGN.sub(_quoted, body)}]"
    return re.escape(part[-1])


def _quoted(found: re.Match[str]) -> str:
    return "\\" + found[0]
