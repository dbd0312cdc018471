"""What an image's config says, one thing at a time, in the words of who runs it.

Rules: OCI image specification, `config.md` and `annotations.md`; Docker's additions (Healthcheck, Shell,
OnBuild) as the Docker Engine API has them. A config is untrusted JSON: what has not the type that it should
have is told as it stands, and nothing here raises.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgscope.images.model import Image

SHOWN_LIMIT = 2000  # facts of one group
_OCI = "org.opencontainers.image."
# of the whole config: told by other facts, by the layers and by the history
_TOLD = {"architecture", "author", "config", "created", "history", "os", "rootfs", "variant"}
_READ = {
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
}
# Docker once kept a whole container's settings in an image: only what is set is worth a row.
_QUIET: tuple[object, ...] = ("", None, False, 0, [], {})
_UNITS = ((3600 * 10**9, "h"), (60 * 10**9, "m"), (10**9, "s"), (10**6, "ms"), (10**3, "µs"))


@dataclass(frozen=True, slots=True)
class Fact:
    """One row. `group` is what it belongs to; `name` is "" where it goes on with the row above.

    Both other texts are untrusted. `warns` marks what a careful person would look at.
    """

    group: str
    name: str
    value: str
    warns: bool = False


def facts(image: Image, document: Mapping[str, Any] | None = None) -> Sequence[Fact]:
    """All facts of an image, group by group. `document` is its whole config, where that is known."""
    config, whole = image.config, document if document is not None else {}
    groups = (
        _image(image, whole),
        _runs(config),
        _environment(config.get("Env"), image.platform.os),
        _network(config),
        _health(config.get("Healthcheck")),
        _labels(config.get("Labels")),
        _others(config, whole),
    )
    return [fact for group in groups for fact in _limited(group)]


def shell_line(words: Sequence[str]) -> str:
    """Words as a POSIX shell reads them, each quoted where it must be."""
    return shlex.join(words)


def exec_form(words: Sequence[str]) -> str:
    """Words as a Dockerfile has them in its exec form."""
    return json.dumps(list(words), ensure_ascii=False)


def duration_text(nanoseconds: object) -> str:
    """A duration as Docker writes it: 1m30s. Other things than a number as they stand."""
    if isinstance(nanoseconds, bool) or not isinstance(nanoseconds, int | float):
        return as_text(nanoseconds)
    if not math.isfinite(nanoseconds) or abs(nanoseconds) >= 1 << 63 or nanoseconds != int(nanoseconds):
        return as_text(nanoseconds)
    left, parts = abs(int(nanoseconds)), []
    for unit, name in _UNITS:
        if left >= unit:
            parts.append(f"{left // unit}{name}")
            left %= unit
    if left or not parts:
        parts.append(f"{left}ns" if left else "0s")
    return ("-" if nanoseconds < 0 else "") + "".join(parts)


def as_text(value: object) -> str:
    """Any JSON value on one line; text as it is."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        return "(nested too deep to show)"


def words_of(value: object) -> list[str] | None:
    """A list of nothing but text; None for anything else."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


# -- groups -------------------------------------------------------------------------------------------


def _image(image: Image, whole: Mapping[str, Any]) -> Iterator[Fact]:
    for position, name in enumerate(image.references):
        yield Fact("image", "" if position else "names", name)
    yield Fact("image", "id", image.id)
    if image.manifest_digest:
        yield Fact("image", "manifest", image.manifest_digest)
    for position, name in enumerate(image.digests):
        yield Fact("image", "" if position else "digests", name)
    yield Fact("image", "platform", str(image.platform))
    yield Fact("image", "created", image.created or "(not told)")
    author = whole.get("author", whole.get("Author"))
    if author not in _QUIET:
        yield Fact("image", "author", as_text(author))


def _runs(config: Mapping[str, Any]) -> Iterator[Fact]:
    entrypoint, command = config.get("Entrypoint"), config.get("Cmd")
    shell = words_of(config.get("Shell")) or ["/bin/sh", "-c"]
    first, last = words_of(entrypoint or []), words_of(command or [])
    if first is not None and last is not None:
        line = shell_line([*first, *last])
        yield Fact("runs", "runs", line or "(nothing: the run must say what)", not line)
    for name, value in (("entrypoint", entrypoint), ("cmd", command)):
        if value in _QUIET:
            continue
        words = words_of(value)
        if words is None:
            yield Fact("runs", name, f"{as_text(value)} (no list of words)", True)
        elif len(words) == len(shell) + 1 and words[:-1] == shell:
            yield Fact("runs", name, f"{words[-1]} (shell form: {shell_line(shell)})")
        else:
            yield Fact("runs", name, exec_form(words))
    yield Fact("runs", "workdir", as_text(config.get("WorkingDir") or "/"))
    user = config.get("User")
    if not user or (isinstance(user, str) and user.partition(":")[0] in ("root", "0")):
        yield Fact(
            "runs", "user", f"{as_text(user)} (root)" if user not in _QUIET else "root (none is set)", True
        )
    else:
        yield Fact("runs", "user", as_text(user))
    for key, name in (("StopSignal", "stop signal"), ("Shell", "shell"), ("OnBuild", "on build")):
        value = config.get(key)
        if value in _QUIET:
            continue
        words = words_of(value)
        if key == "OnBuild" and words is not None:
            for position, step in enumerate(words):
                yield Fact("runs", "" if position else name, step)
        else:
            yield Fact("runs", name, as_text(value) if words is None else exec_form(words))


def _environment(value: object, system: str) -> Iterator[Fact]:
    for item in _items(value, "environment", "env"):
        if isinstance(item, Fact):
            yield item
            continue
        name, equals, text = item.partition("=")
        separator = ";" if system == "windows" else ":"
        several = name.upper().endswith("PATH") and "://" not in text
        parts = text.split(separator) if several else [text]
        for position, part in enumerate(parts[:SHOWN_LIMIT]):
            if position:
                yield Fact("environment", "", part or "(empty: the working directory)")
            else:
                yield Fact("environment", name, part if equals else "(no = in it)", not equals)


def _network(config: Mapping[str, Any]) -> Iterator[Fact]:
    for key, name in (("ExposedPorts", "ports"), ("Volumes", "volumes")):
        value = config.get(key)
        if value in _QUIET:
            continue
        if not isinstance(value, dict):
            yield Fact("network, disk", name, f"{as_text(value)} (not as it should be)", True)
            continue
        keys = sorted(map(str, value), key=_port if key == "ExposedPorts" else str)
        for position, item in enumerate(keys[: SHOWN_LIMIT + 1]):
            yield Fact("network, disk", "" if position else name, item)


def _port(text: str) -> tuple[int, str]:
    number = text.partition("/")[0]
    return (int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0), text


def _health(value: object) -> Iterator[Fact]:
    if value in _QUIET:
        return
    if not isinstance(value, dict):
        yield Fact("health", "healthcheck", f"{as_text(value)} (not as it should be)", True)
        return
    test = words_of(value.get("Test"))
    match test:
        case None:
            if "Test" in value:
                yield Fact("health", "test", as_text(value["Test"]), True)
        case []:
            yield Fact("health", "test", "(that of the base)")
        case ["NONE"]:
            yield Fact("health", "test", "none (switched off)")
        case ["CMD-SHELL", line]:
            yield Fact("health", "test", line)
        case ["CMD", *words]:
            yield Fact("health", "test", shell_line(words))
        case words:
            yield Fact("health", "test", exec_form(words))
    for key, name in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start period"),
        ("StartInterval", "start interval"),
    ):
        if value.get(key) not in _QUIET:
            yield Fact("health", name, duration_text(value[key]))
    if value.get("Retries") not in _QUIET:
        yield Fact("health", "retries", as_text(value["Retries"]))
    known = {"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}
    yield from _unknown("health", value, known)


def _labels(value: object) -> Iterator[Fact]:
    if value in _QUIET:
        return
    if not isinstance(value, dict):
        yield Fact("labels", "labels", f"{as_text(value)} (not as it should be)", True)
        return
    for key in sorted(value, key=_label_order):
        yield Fact("labels", key, as_text(value[key]))


def _label_order(key: str) -> tuple[bool, str, str]:
    """The OCI's annotations first, then those of one owner (com.example.…) beside one another."""
    return not key.startswith(_OCI), ".".join(key.split(".")[:2]), key


def _others(config: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[Fact]:
    yield from _unknown("other", config, _READ)
    if "Config" not in whole:  # an engine's own words have names of their own
        yield from _unknown("other", whole, _TOLD | {"container_config"})


def _unknown(group: str, mapping: Mapping[str, Any], known: Iterable[str]) -> Iterator[Fact]:
    for key in sorted(mapping.keys() - set(known)):
        if mapping[key] not in _QUIET:
            yield Fact(group, key, as_text(mapping[key]))


def _items(value: object, group: str, name: str) -> Iterator[str | Fact]:
    """The texts of a list; what is none comes as a fact."""
    if value in _QUIET:
        return
    if not isinstance(value, list):
        yield Fact(group, name, f"{as_text(value)} (not as it should be)", True)
        return
    for item in value:
        yield item if isinstance(item, str) else Fact(group, name, f"{as_text(item)} (no text)", True)


def _limited(group: Iterable[Fact]) -> Iterator[Fact]:
    last = None
    for count, last in enumerate(group):
        if count == SHOWN_LIMIT:
            yield Fact(last.group, "…", f"no more than {SHOWN_LIMIT:,} are shown")
            return
        yield last
