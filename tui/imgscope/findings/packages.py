"""The packages that an image says it holds: read from what dpkg, apk, pip and npm leave behind.

Pure functions of paths and bytes. Whatever an image holds there, nothing raises; what is no package is left
out. Formats: dpkg's status (deb822, `deb-control(5)`), apk's installed database, the core metadata of Python
packages (PEP 314 and later, "METADATA" and "PKG-INFO"), npm's package.json.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import islice
from typing import NamedTuple

# What is read of one file, in bytes. A database of packages is larger than what tells of a single one.
_DATABASE, _SINGLE, _HEAD = 64_000_000, 4_000_000, 65_536
MOST_FILES = 50_000  # files of one kind that are read
_MOST_PACKAGES = 200_000  # of one file
_LONG = 300  # characters of a name or a version that are kept


class PackageKind(Enum):
    """Who installed it."""

    DEB = "deb"
    APK = "apk"
    PYTHON = "python"
    NPM = "npm"
    RPM = "rpm"  # found, not read

    def __str__(self) -> str:
        return self.value


class Package(NamedTuple):
    """One package, as its own installer names it."""

    kind: PackageKind
    name: str
    version: str


class PackageChange(NamedTuple):
    """Versions of a package in A and in B; several where it is there several times, none where it is not."""

    kind: PackageKind
    name: str
    a: tuple[str, ...]
    b: tuple[str, ...]


_DPKG = b"var/lib/dpkg/status"
_APK = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_RPM = re.compile(rb"(var|usr)/lib/(rpm|sysimage/rpm)/(rpmdb\.sqlite|Packages(\.db)?)")
_NPM = re.compile(rb"(.*/)?node_modules/(@[^/]+/)?[^/@.][^/]*/package\.json", re.DOTALL)
_NAMES = frozenset((b"status", b"installed", b"METADATA", b"PKG-INFO", b"package.json"))


def may_tell(name: bytes, parent: bytes) -> bool:
    """Whether a file of this name, in a directory of this name, is worth asking `kind_of` about. Fast."""
    return name in _NAMES or parent in (b"status.d", b"rpm") or name.endswith(b".egg-info")


def kind_of(path: bytes) -> PackageKind | None:
    """Whose packages the file at a path tells of, None for any other file."""
    folder, _, name = path.rpartition(b"/")
    if path == _DPKG or (folder == _DPKG + b".d" and not name.endswith(b".md5sums")):
        return PackageKind.DEB  # distroless images have a file for each package
    if path in _APK:
        return PackageKind.APK
    if (
        (name == b"METADATA" and folder.endswith(b".dist-info"))
        or (name == b"PKG-INFO" and folder.endswith(b".egg-info"))
        or name.endswith(b".egg-info")
    ):
        return PackageKind.PYTHON
    if name == b"package.json" and _NPM.fullmatch(path):
        return PackageKind.NPM
    return PackageKind.RPM if _RPM.fullmatch(path) else None


def most_bytes(path: bytes) -> int:
    """How much of a file is looked at, in bytes."""
    if path == _DPKG or path in _APK:
        return _DATABASE
    return _HEAD if kind_of(path) == PackageKind.PYTHON else _SINGLE


def parse(path: bytes, data: bytes) -> list[Package]:
    """The packages that the content of a file tells of; none where it is damaged."""
    match kind_of(path):
        case PackageKind.DEB:
            return _packages(PackageKind.DEB, _dpkg(data))
        case PackageKind.APK:
            return _packages(PackageKind.APK, _apk(data))
        case PackageKind.PYTHON:
            return _packages(PackageKind.PYTHON, _python(data))
        case PackageKind.NPM:
            return _packages(PackageKind.NPM, _npm(data))
        case _:
            return []


def package_changes(a: Iterable[Package], b: Iterable[Package]) -> list[PackageChange]:
    """What differs, by kind and name. A package counts as the same where all its versions are."""
    left, right = _by_name(a), _by_name(b)
    return [
        PackageChange(kind, name, left.get((kind, name), ()), right.get((kind, name), ()))
        for kind, name in sorted(left.keys() | right.keys(), key=lambda key: (key[0].value, key[1]))
        if left.get((kind, name)) != right.get((kind, name))
    ]


def _by_name(packages: Iterable[Package]) -> Mapping[tuple[PackageKind, str], tuple[str, ...]]:
    versions: dict[tuple[PackageKind, str], set[str]] = defaultdict(set)
    for package in packages:
        versions[package.kind, package.name].add(package.version)
    return {key: tuple(sorted(found)) for key, found in versions.items()}


def _packages(kind: PackageKind, found: Iterator[tuple[str, str]]) -> list[Package]:
    packages: list[Package] = []
    for name, version in found:
        if len(packages) == _MOST_PACKAGES:
            break
        if name.strip():
            packages.append(Package(kind, name.strip()[:_LONG], version.strip()[:_LONG]))
    return packages


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _stanzas(data: bytes, separator: str) -> Iterator[dict[str, str]]:
    """Blocks of `Key<separator>value` lines, blank lines between; of a repeated key the first counts."""
    fields: dict[str, str] = {}
    for line in _text(data).split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():  # else it goes on from the line before
            key, found, value = line.partition(separator)
            if found:
                fields.setdefault(key, value)
    if fields:
        yield fields


def _dpkg(data: bytes) -> Iterator[tuple[str, str]]:
    """Packages that are there: one that was removed keeps its stanza while its settings stay.

    One of another architecture than most gets it added to its name, as dpkg writes it.
    """
    found: list[tuple[str, str, str]] = []
    for fields in islice(_stanzas(data, ":"), _MOST_PACKAGES):
        status = fields.get("Status", "install ok installed").split()
        if status[-1:] not in (["not-installed"], ["config-files"]):
            machine = fields.get("Architecture", "").strip()
            found.append((fields.get("Package", "").strip(), machine, fields.get("Version", "")))
    machines = Counter(machine for _, machine, _ in found if machine not in ("", "all"))
    usual = {"", "all", *(machine for machine, _ in machines.most_common(1))}
    for name, machine, version in found:
        yield name if machine in usual or not name else f"{name}:{machine}", version


def _apk(data: bytes) -> Iterator[tuple[str, str]]:
    return ((fields.get("P", ""), fields.get("V", "")) for fields in _stanzas(data, ":"))


def _python(data: bytes) -> Iterator[tuple[str, str]]:
    for fields in _stanzas(data, ":"):
        # names that differ in case, or in `-`, `_` and `.`, are the same (PEP 503)
        yield re.sub(r"[-_.]+", "-", fields.get("Name", "").strip()).lower(), fields.get("Version", "")
        return  # the rest is a description


def _npm(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        name, version = found.get("name"), found.get("version")
        if isinstance(name, str) and isinstance(version, str):
            yield name, version
