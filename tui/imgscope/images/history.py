"""The history of an image, as a person wrote it.

The OCI image specification (`config.md`, "history") leaves `created_by` to the builder. This reads
what docker's classic builder, BuildKit, buildah and kaniko write there; anything else stays as it is.
All of it is untrusted text: what cannot be read is shown as stored, and nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise

from imgscope.images.model import History

# A shell and its options, up to where the command starts. `-o NAME` is the one option with a word of its own.
_SHELL = re.compile(
    r"""(?<!\S)(?:
        (?:\S*/)?(?:busybox\ )?(?:ba|da|z|k|a)?sh
            (?:\ -[A-Za-z]*o\ [a-z]+|\ --?[\w-]+)*?
            (?:\ -[A-Za-z]*c[A-Za-z]*o\ [a-z]+|\ -[A-Za-z]*c[A-Za-z]*)
      | (?i:(?:\S*[\\/])?cmd(?:\.exe)?\ /S\ /C)
      | (?i:(?:\S*[\\/])?(?:powershell|pwsh)(?:\.exe)?
            (?:\ -NoLogo|\ -NoProfile|\ -NonInteractive|\ -ExecutionPolicy\ \w+)*\ -(?:Command|c))
    )(?=\s)""",
    re.VERBOSE,
)
_NOP = re.compile(r"(?:\S+\s+){0,16}?#\(nop\)(?=\s)")  # behind whatever SHELL was in force
_ARGS = re.compile(r"\|([0-9]{1,4})\s")
_ARG = re.compile(r"(?<!\S)[A-Za-z_][A-Za-z0-9_.-]*=")
_WORD = re.compile(r"[A-Z]+(?=\s|\Z)")
_HASH = re.compile(r"(file|dir|multi):([0-9a-f]{12})[0-9a-f]{20,}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_QUOTED_LIST = re.compile(r'\[\s*(?:"(?:[^"\\]|\\.)*"\s*)*\]', re.DOTALL)
_RETRIES = re.compile(r"'(\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\?.)'\}\Z")
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)

_STORES = frozenset({"ADD", "COPY", "RUN"})
_STORES_NOT = frozenset(
    [
        "ARG",
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
    ]
)
INSTRUCTIONS = _STORES | _STORES_NOT | {"FROM", "WORKDIR"}


@lru_cache(maxsize=1024)  # tables ask for it whenever they draw a row, and it may have megabytes
def instruction(history: History) -> str:
    """One step as a line of a Dockerfile: `RUN apt-get update`, `CMD ["/bin/sh", "-c", "x"]`.

    Build arguments are left out (`build_args` has them), hashes of added files are shortened,
    line breaks and tabs stay (see `one_line`). Without a `created_by`, as after `docker import`,
    it is the comment, or "".
    """
    return _instruction(history.created_by) or history.comment.strip()


def build_args(created_by: str) -> tuple[str, ...]:
    """The build arguments that a RUN step was given, as NAME=VALUE."""
    text = created_by.strip()
    return _split_args(text[4:].lstrip() if text.startswith("RUN ") else text)[0]


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return " ".join(text.split())


def makes_layer_hint(created_by: str) -> bool | None:
    """Whether an instruction of this kind stores a layer; None where it depends (WORKDIR) or is unknown."""
    word = _WORD.match(_instruction(created_by))
    if word is None:
        return None
    return True if word[0] in _STORES else False if word[0] in _STORES_NOT else None


def assign_layers(history: Sequence[tuple[str, int]], layers: int) -> list[bool]:
    """Which steps own a layer, oldest first, told from (created_by, bytes) alone.

    An inference: an engine's history call leaves out `empty_layer`. Steps that added bytes come
    first, then RUN, COPY and ADD, then those that may store a layer, last those that never do;
    among equals the older ones. Exactly `layers` are True, or all where there are fewer steps.
    """

    def rank(step: int) -> int:
        created_by, size = history[step]
        return 0 if size > 0 else {True: 1, None: 2, False: 3}[makes_layer_hint(created_by)]

    owners = set(sorted(range(len(history)), key=rank)[: max(layers, 0)])
    return [step in owners for step in range(len(history))]


def pair(diff_ids: Sequence[str], history: Sequence[History]) -> tuple[History | None, ...]:
    """The step that made each layer: the non-empty ones in order, None where the history is shorter."""
    steps = [step for step in history if not step.empty_layer][: len(diff_ids)]
    return (*steps, *(None for _ in range(len(diff_ids) - len(steps))))


def identity(step: History) -> tuple[str, str, str]:
    """What makes two steps the same step: the moment, `created_by` and the comment.

    `created` counts as a moment, since builders that take over a history write its fractions and
    time zone anew, and Go's zero time is no time. `empty_layer` does not count: not every engine
    tells it (see `assign_layers`).
    """
    return _moment(step.created or ""), step.created_by, step.comment


def _moment(created: str) -> str:
    """RFC 3339 text in one spelling, in UTC; "" for Go's zero time; other text as it stands."""
    match = _MOMENT.fullmatch(created)
    if match is None:
        return created
    whole, fraction, zone = match[1].upper(), (match[2] or "").rstrip("0"), match[3]
    if zone not in "Zz":
        try:
            whole = datetime.fromisoformat(whole + zone).astimezone(UTC).replace(tzinfo=None).isoformat()
        except (OverflowError, ValueError):
            return created
    if whole == "0001-01-01T00:00:00" and not fraction:
        return ""
    return f"{whole}.{fraction}" if fraction else whole


def _instruction(created_by: str) -> str:
    text = created_by.strip().removesuffix("# buildkit").rstrip()
    if nop := _NOP.match(text):
        return _written(text[nop.end() :].strip())
    if text.startswith("RUN "):
        return f"RUN {_command(text[4:].lstrip())}"
    if _SHELL.match(text) or _ARGS.match(text):
        return f"RUN {_command(text)}"
    return _written(text)


def _command(text: str) -> str:
    """`|1 A=1 /bin/sh -c CMD` → CMD."""
    text = _split_args(text)[1]
    shell = _SHELL.match(text)
    return text[shell.end() :].strip() if shell else text


def _split_args(text: str) -> tuple[tuple[str, ...], str]:
    """`|2 A=1 B=x y /bin/sh -c CMD` → (A=1, B=x y), "/bin/sh -c CMD".

    Values stand unquoted, so the arguments go up to the shell; where there is none (a RUN in JSON
    form) the last value is taken to be one word.
    """
    match = _ARGS.match(text)
    if match is None:
        return (), text
    text = text[match.end() :].lstrip()
    shell = _SHELL.search(text)
    end = shell.start() if shell else len(text)
    starts = [found.start() for found in _ARG.finditer(text, 0, end)][: int(match[1])]
    if not starts:
        return (), text
    if shell is None:
        end = starts[-1] + len(text[starts[-1] :].split(maxsplit=1)[0])
    args = (text[a:b].strip() for a, b in pairwise([*starts, end]))
    return tuple(args), text[end:].strip()


def _written(text: str) -> str:
    """An instruction that is no RUN, from the builder's print of its parsed form to a Dockerfile's."""
    word = _WORD.match(text)
    if word is None or word[0] not in INSTRUCTIONS:
        return text
    name, rest = word[0], text[word.end() :].strip()
    if name in {"ADD", "COPY"}:
        rest = _HASH.sub(r"\1:\2…", rest)
    elif name in {"CMD", "ENTRYPOINT"}:
        rest = _json_list(_unwrapped(rest, "&{", "}"))
    elif name == "EXPOSE":
        rest = _unwrapped(_unwrapped(rest, "map[", "]"), "[", "]").replace(":{}", "")
    elif name == "VOLUME" and '"' not in rest:
        rest = _unwrapped(rest, "[", "]")
    elif name == "SHELL" and '"' not in rest:
        rest = json.dumps(_unwrapped(rest, "[", "]").split(), ensure_ascii=False)
    elif name == "SHELL":
        rest = _json_list(rest)
    elif name == "USER":
        rest = _unwrapped(rest, "[", "]")
    elif name == "HEALTHCHECK":
        rest = _health_check(rest)
    return f"{name} {rest}".rstrip()


def _unwrapped(text: str, start: str, end: str) -> str:
    return text[len(start) : -len(end)] if text.startswith(start) and text.endswith(end) else text


def _json_list(text: str) -> str:
    """Go's `["a" "b"]` as JSON's `["a", "b"]`; other text as it stands."""
    return f"[{', '.join(_QUOTED.findall(text))}]" if _QUOTED_LIST.fullmatch(text) else text


def _health_check(text: str) -> str:
    """Go's print of docker's HealthConfig, `&{["CMD-SHELL" "x"] "30s" "0s" "0s" '\\x03'}`."""
    test = _QUOTED_LIST.match(text, 2)
    if not text.startswith("&{") or test is None:
        return text
    words = _QUOTED.findall(test[0])
    kind = words[0].strip('"') if words else ""
    if kind == "NONE":
        return "NONE"
    if kind == "CMD-SHELL" and len(words) == 2:
        command = f"CMD {_unquoted(words[1])}"
    elif kind == "CMD":
        command = f"CMD [{', '.join(words[1:])}]"
    else:
        return text
    times = [_unquoted(quoted) for quoted in _QUOTED.findall(text, test.end())]
    names = ("interval", "timeout", "start-period", "start-interval")
    options = [
        f"--{name}={time}" for name, time in zip(names, times, strict=False) if time not in {"0s", "0"}
    ]
    if retries := _RETRIES.search(text, test.end()):
        number = _rune(retries[1])
        options += [f"--retries={number}"] if number else []
    return " ".join([*options, command])


def _unquoted(quoted: str) -> str:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:  # an escape that is Go's and not JSON's
        return quoted[1:-1]


def _rune(text: str) -> int:
    """The number that Go printed as a quoted character: `\\x03`, `\\n` or `A`."""
    if text[0] != "\\" or len(text) == 1:
        return ord(text)
    if len(text) > 2:
        return int(text.lstrip("\\xu"), 16)
    return {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}.get(text[1], ord(text[1]))
