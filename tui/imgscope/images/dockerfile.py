"""The Dockerfile of an image, rebuilt from its history as far as that tells.

Syntax: the Dockerfile reference (line continuation, heredocs, parser directives). What a history cannot tell
is said in comments: sources known by a digest only, texts of heredocs, which stage a file came from. All of
it is untrusted text: no step can add an instruction that is not its own, and nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from imgscope.images.base import Base
from imgscope.images.history import INSTRUCTIONS, build_args, instruction, one_line
from imgscope.images.model import History, Image, Layer
from imgscope.text import clean

_UNKNOWN = (
    "It does not tell what copied files hold, their stage and often their owner",
    "(COPY --from, --chown), what RUN mounted, and arguments before FROM.",
)
_INDENT = "    "
_LONG = 100_000  # characters of a command that is broken into lines
_NAME = re.compile(r"[\w][\w./:@-]*", re.ASCII)
_FIRST = re.compile(r"[A-Z]+(?=\s|\Z)")
_HEREDOC = re.compile(r"""(?<![^\s\d])<<(-?)(["']?)([A-Za-z_]\w*)\2(?!\S)""", re.ASCII)
_OPENS = re.compile(r"(?<!\S)\d*<<-?[^<\s]")  # what a builder may take for one
_SUMMARY = re.compile(r"<<-?(\w+) \((.*)\)", re.ASCII)  # all that some versions of BuildKit keep of one
# the classic builder writes no blank behind --chown
_BY_DIGEST = re.compile(r"((?:--\S+ )*(?:--\S+?)?)(file|dir|multi):([0-9a-f]+)… in (.*)", re.DOTALL)
_WHAT = {"file": "a file", "dir": "a folder", "multi": "several files"}
_ENV_KEY = re.compile(r"(?<!\S)([A-Za-z_][\w.-]*)=", re.ASCII)
_LABEL_KEY = re.compile(r"""(?<!\S)([^\s="']+)=""")
_BARE = re.compile(r"""[^\s"'\\`$#]+""")
# one piece of a command: an escaped character, a quoted text, an operator, white space, anything else
_PIECE = re.compile(r"""\\.|'[^']*'|"(?:[^"\\]|\\.)*"|(?<!&)&&(?!&)|[ \t]+|[^\\'"& \t]+|.""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end. `layer` is the number of the layer that its instruction made, `size` that
    layer's bytes (unpacked), on the first line only. `word` is the instruction that begins here.
    """

    text: str
    layer: int | None = None
    size: int | None = None
    word: str = ""
    comment: bool = False


@dataclass(slots=True)
class _State:
    """What instructions set for those that follow, and what the image says in the end."""

    env: Mapping[str, str]
    labels: Mapping[str, str]
    escape: str
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    args: dict[str, str] = field(default_factory=dict)


def dockerfile(image: Image, base: Base | None = None) -> list[Line]:
    """The lines of a Dockerfile for the image: what comes on top of `base`, or all of it."""
    escape = "`" if image.platform.os == "windows" else "\\"
    lines = [_comment("escape=`")] if escape == "`" else []
    lines += map(_comment, (f"Rebuilt from the history of {one_line(clean(image.name))[:200]}.", *_UNKNOWN))
    steps = _steps(image)
    if len(steps) < len(image.history):
        lines.append(_comment("Its history does not fit its layers: steps that made none are left out."))
    skipped = _skipped(steps, base)
    lines += _from(image, base, skipped)
    state = _State(_env(image.config.get("Env")), _labels(image.config.get("Labels")), escape)
    long = True
    for layer, step in steps[skipped:]:
        more = list(_numbered(layer, step, state))
        if long or len(more) > 1:
            lines.append(Line(""))
        long = len(more) > 1
        lines += more
    return lines + list(_triggers(image.config.get("OnBuild"), lines))


def _steps(image: Image) -> list[tuple[Layer | None, History | None]]:
    """Steps of the history, each with its layer; layers alone where there are others than it tells of."""
    if sum(not step.empty_layer for step in image.history) != len(image.layers):
        return [(layer, layer.history) for layer in image.layers]
    left = iter(image.layers)
    return [(None if step.empty_layer else next(left), step) for step in image.history]


def _skipped(steps: Sequence[tuple[Layer | None, History | None]], base: Base | None) -> int:
    """How many of the steps are the base's."""
    if base is None or not base.layers:
        return 0
    if sum(layer is not None for layer, _ in steps[: base.steps]) == base.layers:
        return base.steps
    numbers = [layer.index if layer else 0 for layer, _ in steps]
    return numbers.index(base.layers) + 1 if base.layers in numbers else 0


def _from(image: Image, base: Base | None, skipped: int) -> Iterator[Line]:
    if base is None or not skipped:
        if base is not None:
            name = one_line(clean(base.name))[:200]
            yield _comment(f"Its label says that it was built on {name}: the steps of that are here, too.")
        yield Line("FROM scratch", word="FROM")
        return
    first, _, other = base.name.partition(" or ")
    if other:
        yield _comment(f"or FROM {one_line(clean(other))[:200]}, which has the same layers")
    sizes = [layer.size for layer in image.layers[: base.layers]]
    known = [size for size in sizes if size is not None]
    size = sum(known) if len(known) == len(sizes) else None
    if _NAME.fullmatch(first):
        yield Line(f"FROM {first}", base.layers, size, "FROM")
    else:
        yield _comment(f"the base is called {one_line(clean(first))[:200]}")
        yield Line("FROM base", base.layers, size, "FROM")


def _triggers(value: object, lines: Sequence[Line]) -> Iterator[Line]:
    """The ONBUILD of an image: BuildKit keeps them in the config only."""
    known = {line.text for line in lines}
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str) and (text := f"ONBUILD {item.strip()}") not in known:
            if "\n" in text or text.endswith(("\\", "`")):
                yield from _commented(text)
            else:
                yield Line(text, word="ONBUILD")


def _numbered(layer: Layer | None, step: History | None, state: _State) -> Iterator[Line]:
    """A step's lines, with its layer and the size on the first that is no comment."""
    number, size = (layer.index, layer.size) if layer else (None, None)
    lines = list(_step(step, state)) if step else []
    if not lines:
        lines = [_comment("nothing tells how this layer was made" if layer else "a step that says nothing")]
    marked = next((place for place, line in enumerate(lines) if not line.comment), 0)
    for place, line in enumerate(lines):
        yield Line(line.text, number, size if place == marked else None, line.word, line.comment)


def _step(step: History, state: _State) -> Iterator[Line]:
    text = instruction(step).strip()
    first = _FIRST.match(text)
    word = first[0] if first else ""
    rest = text[len(word) :].strip()
    if word == "FROM" or word not in INSTRUCTIONS or not rest:
        yield from _commented(text)
        return
    if word == "RUN":
        yield from _arguments(step, state)
        yield from _run(rest, state)
        return
    if word in ("ADD", "COPY"):
        found = _BY_DIGEST.fullmatch(rest)
        if found is not None:
            flags, kind, digest, target = found.groups()
            yield _comment(f"{_WHAT[kind]}, whose name is not known")
            words = [f"{kind}:{digest}", target]
            flags = f"{flags.strip()} ".lstrip()
            rest = flags + (json.dumps(words) if re.search(r"\s", target) else " ".join(words))
        elif "\n" not in rest and (ends := _heredocs(rest)) and not _goes_on(rest, state):
            yield _comment("what this heredoc says is not known")
            yield Line(f"{word} {rest}", word=word)
            yield from (Line(end) for _, end in ends)
            return
    elif word == "ENV":
        rest = _assignments(rest, _ENV_KEY, state.env, state)
    elif word == "LABEL":
        rest = _assignments(rest, _LABEL_KEY, state.labels, state)
    elif word == "ARG":
        name, _, value = rest.partition("=")
        state.args[name] = value
        rest = _assignments(rest, _ENV_KEY, {}, state)
    elif word in ("CMD", "ENTRYPOINT"):
        rest = _shell_form(rest, state)
    elif word == "SHELL":
        state.shell = _words(rest) or state.shell
    if "\n" in rest or _goes_on(rest, state) or (word in ("ADD", "COPY") and _OPENS.search(rest)):
        yield from _commented(f"{word} {rest}")
    else:
        yield Line(f"{word} {rest}", word=word)


def _arguments(step: History, state: _State) -> Iterator[Line]:
    """The build arguments of a RUN, where no ARG before it gave them."""
    for pair in build_args(step.created_by):
        name, _, value = pair.partition("=")
        if name not in state.args:
            text = f"ARG {_assignments(pair, _ENV_KEY, {}, state)}"
            yield from [Line(text, word="ARG")] if "\n" not in text else _commented(text)
        elif state.args[name] != value:
            yield _comment(f"built with {one_line(clean(pair))[:200]}")
        state.args[name] = value


# -- RUN ----------------------------------------------------------------------------------------------


def _run(command: str, state: _State) -> Iterator[Line]:
    summary = _SUMMARY.fullmatch(command)
    if summary is not None and "\n" not in command:
        yield _comment("only the beginning of this heredoc is known")
        command = f"{summary[2]}\n"
    if "\n" in command or _goes_on(command, state):
        yield from _heredoc(command)
        return
    if _OPENS.search(command):  # its lines are not told, and those that follow must not be taken for them
        yield from _commented(f"RUN {command}")
        return
    pieces = _broken(command) if state.escape == "\\" else [command]
    for place, piece in enumerate(pieces):
        end = f" {state.escape}" if place < len(pieces) - 1 else ""
        yield Line(f"{_INDENT if place else 'RUN '}{piece}{end}", word="" if place else "RUN")


def _heredoc(command: str) -> Iterator[Line]:
    """A command of several lines: its own heredocs as they are, else one around all of it."""
    lines = command.split("\n")
    ends = _heredocs(lines[0])
    at = 1
    for tabs, end in ends:
        while at < len(lines) and (lines[at].lstrip("\t") if tabs else lines[at]) != end:
            at += 1
        at += 1
    if ends and at == len(lines):
        yield Line(f"RUN {lines[0]}", word="RUN")
        yield from map(Line, lines[1:])
        return
    end, taken = "EOF", set(map(str.strip, lines))
    while end in taken:
        end += "F"
    yield Line(f"RUN <<{end}", word="RUN")
    yield from map(Line, lines[:-1] if not lines[-1] else lines)
    yield Line(end)


def _heredocs(line: str) -> list[tuple[bool, str]]:
    """(whether tabs before its end are dropped, the end) of each; none where quotes are in the way."""
    found = [(bool(match[1]), match[3]) for match in _HEREDOC.finditer(line)]
    odd = set("'\"\\`") & set(_HEREDOC.sub("", line)) or len(_OPENS.findall(line)) != len(found)
    return [] if odd else found


def _broken(command: str) -> list[str]:
    """A command in pieces for lines of their own: at && and where the Dockerfile had its line ends.

    A line end comes as the blanks that the next line began with. Quoted text is never broken. One piece
    where the quotes do not fit, where a line would begin as a comment, or where it is too long to be read.
    """
    if len(command) > _LONG or "&&&" in command:
        return [command]
    pieces, piece = [], ""
    for found in _PIECE.finditer(command):
        text = found[0]
        if text in ("'", '"'):
            return [command]
        if text == "&&" or (text.isspace() and (len(text) > 1 or "\t" in text) and piece != "&&"):
            pieces.append(piece.strip(" "))
            piece = text.strip()
        elif text.isspace():
            piece += " "
        elif piece == "&&":
            piece += f" {text}"
        else:
            piece += text
    pieces = [piece for piece in [*pieces, piece.strip(" ")] if piece]
    return [command] if any(piece.startswith("#") for piece in pieces[1:]) else pieces


# -- words --------------------------------------------------------------------------------------------


def _assignments(text: str, key: re.Pattern[str], known: Mapping[str, str], state: _State) -> str:
    """`A=x y B=z`, as builders print it, with quotes where they are needed.

    `known` are values as they are in the end, with blanks and = in them. Text of another form as it stands.
    """
    starts = list(key.finditer(text))
    if not starts or starts[0].start() != 0:
        return text
    ends = {found.start() for found in starts} | {len(text) + 1}
    done, at = [], 0
    for found, following in zip_longest(starts, starts[1:]):
        if found.start() < at:
            continue  # it is a part of the value before
        at = following.start() if following else len(text)
        value = known.get(found[1])
        if value is not None and text.startswith(value, found.end()) and found.end() + len(value) + 1 in ends:
            at = found.end() + len(value)
        else:
            value = text[found.end() : at].strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                done.append(f"{found[1]}={value}")  # as the person wrote it
                continue
        done.append(f"{found[1]}={_quoted(value, state.escape)}")
    return " ".join(done)


def _quoted(value: str, escape: str) -> str:
    if _BARE.fullmatch(value):
        return value
    for character in (escape, '"', "$"):
        value = value.replace(character, escape + character)
    return f'"{value}"'


def _shell_form(rest: str, state: _State) -> str:
    """The shell form where the words begin with the shell, else as it stands."""
    words = _words(rest)
    if words is None or len(words) != len(state.shell) + 1 or words[:-1] != state.shell:
        return rest
    command = words[-1]
    return rest if "\n" in command or command.startswith("[") or not command.strip() else command


def _words(text: str) -> list[str] | None:
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _goes_on(text: str, state: _State) -> bool:
    """Whether a line of this text would go on in the next."""
    return text.rstrip().endswith(state.escape)


def _env(value: object) -> dict[str, str]:
    items = value if isinstance(value, list) else []
    return dict(item.split("=", 1) for item in items if isinstance(item, str) and "=" in item)


def _labels(value: object) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}


def _comment(text: str) -> Line:
    return Line(f"# {text}", comment=True)


def _commented(text: str) -> Iterator[Line]:
    """What is no instruction, or cannot be written as one."""
    for line in text.splitlines():
        yield _comment(line.removeprefix("# "))
