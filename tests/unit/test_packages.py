"""Packages, read from what their managers leave behind; whatever it is, nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgscope.findings.packages import (
    Package,
    PackageChange,
    PackageKind,
    kind_of,
    may_tell,
    most_bytes,
    package_changes,
    parse,
)

STATUS = b"var/lib/dpkg/status"
DPKG = b"""\
Package: adduser
Status: install ok installed
Priority: important
Maintainer: Debian Adduser Developers <adduser@packages.debian.org>
Architecture: all
Multi-Arch: foreign
Version: 3.134
Depends: passwd
Conffiles:
 /etc/deluser.conf 775bd4a4ce7c4a94e5a1ea4f25a5a0b1
Description: add and remove users and groups
 This package includes the 'adduser' and 'deluser' commands for creating
 and removing users.
 .
 Version: 9 of a description
Homepage: https://tracker.debian.org/pkg/adduser

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u13

Package: bash
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b13

Package: libc6
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9+deb12u13

Package: vim
Status: deinstall ok config-files
Architecture: amd64
Version: 2:9.0.1378-2

Package: half
Status: install reinstreq half-installed
Architecture: amd64
Version: 1
"""
APK = b"""\
C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:alpine-baselayout
V:3.6.8-r1
A:x86_64
S:8917
F:dev
F:etc
R:motd
Z:Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=

C:Q1mM12W5tGo2ukRwAxXqPnCCmTkdE=
P:busybox
V:1.37.0-r9
D:so:libc.musl-x86_64.so.1
"""
METADATA = b"""\
Metadata-Version: 2.1
Name: Typing_Extensions
Version: 4.12.2
Summary: Backported
Description-Content-Type: text/markdown
Name: another

Name: described
Version: 0
"""
NPM = b'{"name": "@babel/core", "version": "7.26.0", "dependencies": {"ms": "2"}}'
PARSERS = [
    STATUS,
    b"lib/apk/db/installed",
    b"usr/lib/python3/dist-packages/x-1.dist-info/METADATA",
    b"app/node_modules/x/package.json",
]


def found(path: bytes, data: bytes) -> list[tuple[str, str]]:
    packages = parse(path, data)
    assert {package.kind for package in packages} <= {kind_of(path)}
    return [(package.name, package.version) for package in packages]


def test_dpkg() -> None:
    """What is installed, also in part; a foreign architecture is told in the name, as dpkg does."""
    assert found(STATUS, DPKG) == [
        ("adduser", "3.134"),
        ("libc6", "2.36-9+deb12u13"),
        ("bash", "5.2.15-2+b13"),
        ("libc6:i386", "2.36-9+deb12u13"),
        ("half", "1"),
    ]


def test_distroless() -> None:
    data = b"Package: tzdata\nVersion: 2025b-0+deb12u2\nArchitecture: all\nDescription: time\n zones\n"
    assert found(STATUS + b".d/tzdata", data) == [("tzdata", "2025b-0+deb12u2")]


def test_apk() -> None:
    assert found(b"lib/apk/db/installed", APK) == [
        ("alpine-baselayout", "3.6.8-r1"),
        ("busybox", "1.37.0-r9"),
    ]


def test_python() -> None:
    """The head counts, not the description; names are normalised as pip does."""
    assert found(b"a/typing_extensions-4.12.2.dist-info/METADATA", METADATA) == [
        ("typing-extensions", "4.12.2")
    ]


def test_npm() -> None:
    assert found(b"node_modules/@babel/core/package.json", NPM) == [("@babel/core", "7.26.0")]
    for odd in (b"", b"[]", b"{", b'{"name": 1, "version": "1"}', b'{"name": "x"}', b"[" * 100_000, b"\xff"):
        assert found(b"node_modules/x/package.json", odd) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("var/lib/dpkg/status", "deb"),
        ("var/lib/dpkg/status.d/base", "deb"),
        ("var/lib/dpkg/status.d/base.md5sums", None),
        ("var/lib/dpkg/status-old", None),
        ("x/var/lib/dpkg/status", None),
        ("lib/apk/db/installed", "apk"),
        ("usr/lib/apk/db/installed", "apk"),
        ("usr/lib/python3/dist-packages/pip-23.dist-info/METADATA", "python"),
        ("usr/lib/python3/dist-packages/six-1.16.egg-info/PKG-INFO", "python"),
        ("usr/lib/python3/dist-packages/six-1.16.egg-info", "python"),
        ("METADATA", None),
        ("node_modules/express/package.json", "npm"),
        ("a/node_modules/@types/node/package.json", "npm"),
        ("a/node_modules/send/node_modules/ms/package.json", "npm"),
        ("a/node_modules/send/lib/package.json", None),
        ("a/node_modules/.bin/package.json", None),
        ("a/node_modules/package.json", None),
        ("app/package.json", None),
        ("var/lib/rpm/rpmdb.sqlite", "rpm"),
        ("usr/lib/sysimage/rpm/Packages.db", "rpm"),
        ("var/lib/rpm/Name", None),
    ],
)
def test_which_files_tell(path: str, kind: str | None) -> None:
    found = kind_of(path.encode())
    assert (str(found) if found else None) == kind
    if kind:
        *_, parent, name = "", *path.split("/")
        assert may_tell(name.encode(), parent.encode())
        assert most_bytes(path.encode()) > 0


def test_limits() -> None:
    [package] = parse(STATUS, b"Package: " + b"x" * 10_000 + b"\nVersion: " + b"1" * 10_000)
    assert (len(package.name), len(package.version)) == (300, 300)
    assert len(parse(STATUS, b"Package: x\n\n" * 250_000)) == 200_000


LINES = st.sampled_from([*DPKG.split(b"\n"), *APK.split(b"\n"), *METADATA.split(b"\n"), NPM, b"", b":"])


@given(st.sampled_from(PARSERS), st.binary() | st.lists(LINES | st.binary()).map(b"\n".join))
def test_anything_else_is_no_package(path: bytes, data: bytes) -> None:
    for name, version in found(path, data):
        assert name.strip() == name != ""
        assert isinstance(version, str)


@given(st.binary())
def test_any_path(path: bytes) -> None:
    kind_of(path)


def test_changes() -> None:
    deb, npm = PackageKind.DEB, PackageKind.NPM
    a = [Package(deb, "a", "1"), Package(deb, "b", "1"), Package(npm, "m", "2"), Package(npm, "m", "1")]
    b = [Package(deb, "a", "1"), Package(deb, "c", "1"), Package(npm, "m", "1"), Package(npm, "m", "1")]
    assert package_changes(a, b) == [
        PackageChange(deb, "b", ("1",), ()),
        PackageChange(deb, "c", (), ("1",)),
        PackageChange(npm, "m", ("1", "2"), ("1",)),
    ]
    assert package_changes(a, a) == []
