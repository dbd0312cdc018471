"""Makes the images of the notes as an OCI image layout, on the spot: no engine, no network, no data files.

::

    debian:a ─┬─ ruby:b ─┬─ rails-4.2:d      the tree of the notes, A–E, 1/100 of their size
              │          └─ rails-3.2:e
              └─ golang:c
    bigfile:latest                           BigFile stored, removed, a static binary added
    (node, no tag) ─┬─ simple-node:case-1    server.js below the packages
                    └─ simple-node:case-2    server.js above them
    kuard:blue                               one static binary on a small base

Paths, modes and links are those of the real images; most contents are filler, and a file that a
later layer overwrites has other content there. The bytes written are the same everywhere and every
time: dates are fixed, layers are plain tars, nothing is drawn from the host.

`python -m imgscope.sources.demo_images DIR` writes the layout into DIR.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

Descriptor = dict[str, Any]  # OCI `descriptor.md`: mediaType, digest, size in bytes
_Put = Callable[[str, bytes], Descriptor]  # (media type, blob) → its descriptor, the blob stored

_OCI = "application/vnd.oci.image."
_CLASSIC = "/bin/sh -c "  # how the classic builder's history lines start; all others are BuildKit's
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROOT = {"Env": [f"PATH={_PATH}"], "WorkingDir": "/"}


def write_layout(folder: Path) -> None:
    """Write `oci-layout`, `index.json` and `blobs/sha256/*` (18.5 MB) into `folder`, made if need be.

    index.json comes last, so a folder that was left half written is no layout. Raises `OSError`.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(media_type: str, blob: bytes) -> Descriptor:
        digest = hashlib.sha256(blob).hexdigest()
        (blobs / digest).write_bytes(blob)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(blob)}

    manifests = [
        {**manifest, "annotations": {"org.opencontainers.image.ref.name": name}}
        for name, manifest in _images(put).items()
    ]
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}index.v1+json", "manifests": manifests}
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json(index))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- files -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    """One path of an image. `data` is its content, None for filler of `size` bytes drawn from `seed`.

    `mtime` (seconds since 1970) 0 means: that of the layer that writes it.
    """

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    size: int = 0
    data: bytes | None = None
    seed: str = ""
    link: str = ""
    uid: int = 0
    gid: int = 0
    mtime: int = 0

    def content(self) -> bytes:
        if self.kind != tarfile.REGTYPE:
            return b""
        if self.data is not None:
            return self.data
        seed = (self.seed or self.path).encode()
        digest = hashlib.sha256(seed)
        if self.mode & 0o111 or re.search(r"\.(so|a|o|node)\b", self.path):
            head, filler = b"\x7fELF\x02\x01\x01\0" + digest.digest(), _NOISE
        elif re.search(r"\.(bin|deb|gem|gpg|gz|tgz)$|/(BigFile|[0-9a-f]{6,})$", self.path):
            head, filler = digest.digest(), _NOISE
        else:
            head, filler = f"# {digest.hexdigest()[:12]} ".encode() + seed + b"\n", _LINES
        return (head + filler * (self.size // len(filler) + 1))[: self.size]


_NOISE = hashlib.shake_256(b"imgscope demo images").digest(1 << 16)
_LINES = b"".join(_NOISE[at : at + 32].hex().encode() + b"\n" for at in range(0, 1 << 14, 32))


def _text(path: str, text: str, mode: int = 0o644, gid: int = 0) -> _File:
    return _File(path, mode=mode, gid=gid, data=text.encode())


def _directory(path: str, mode: int = 0o755, mtime: int = 0) -> _File:
    return _File(path, tarfile.DIRTYPE, mode, mtime=mtime)


_TOKEN = re.compile(
    r"(?P<name>[^!/]+?)(?P<dir>/)?(?:!(?P<mode>[0-7]+))?(?:=>(?P<hard>.+)|->(?P<soft>.+)|=(?P<size>\d+))?"
)


def _tree(table: str) -> list[_File]:
    """Files from lines of `FOLDER: NAME=SIZE NAME->SYMLINK NAME=>HARDLINK NAME/`, sizes in kB.

    `!MODE` may follow the name; else files in bin, sbin and tool folders are executable.
    """
    files = []
    for line in table.split("\n"):
        folder, _, tokens = line.strip().partition(": ")
        prefix = "" if folder == "." else folder + "/"
        default = 0o755 if re.search(r"(bin|tool/\w+)$", folder) else 0o644
        for token in tokens.split():
            match = _TOKEN.fullmatch(token)
            assert match, token
            path, size = prefix + match["name"], int(match["size"] or 0) * 1000
            mode = int(match["mode"], 8) if match["mode"] else default
            if match["dir"]:
                files.append(_directory(path, mode if match["mode"] else 0o755))
            elif match["soft"]:
                files.append(_File(path, tarfile.SYMTYPE, 0o777, link=match["soft"]))
            elif match["hard"]:
                files.append(_File(path, tarfile.LNKTYPE, mode, link=prefix + match["hard"]))
            else:
                files.append(_File(path, mode=mode, size=size))
    return files


def _fit(total: int, scaled: Iterable[_File], kept: Iterable[_File] = ()) -> list[_File]:
    """All files, those of `scaled` that are filler shrunk until everything sums up to `total` bytes."""
    files, fixed = list(scaled), list(kept)
    whole = sum(file.size for file in files if file.data is None)
    rest = total - sum(file.size or len(file.data or b"") for file in fixed)
    rest -= sum(len(file.data or b"") for file in files)
    before = 0
    for at, file in enumerate(files):
        if file.size and file.data is None:
            after = before + file.size
            files[at] = replace(file, size=rest * after // whole - rest * before // whole)
            before = after
    return files + fixed


# --- layers ----------------------------------------------------------------------------------------


class _Stack:
    """An image in the making: its merged files, its layers and its history."""

    def __init__(self, put: _Put) -> None:
        self._put = put
        self._files: dict[str, _File] = {}
        self._layers: list[Descriptor] = []
        self._history: list[dict[str, Any]] = []

    def fork(self) -> _Stack:
        """Another image on the same layers."""
        fork = _Stack(self._put)
        fork._files, fork._layers, fork._history = dict(self._files), list(self._layers), list(self._history)
        return fork

    def below(self, folder: str) -> list[_File]:
        """All that the image holds in `folder`, and the folder itself."""
        return [file for path, file in self._files.items() if path == folder or path.startswith(folder + "/")]

    def note(self, created: str, *steps: str) -> None:
        """Steps that only change the config: history without a layer."""
        for step in steps:
            self._history.append({**_step(created, step), "empty_layer": True})

    def layer(
        self,
        created: str,
        step: str,
        files: Iterable[_File] = (),
        removed: Iterable[str] = (),
        emptied: Iterable[str] = (),
    ) -> None:
        """A layer as an engine stores it: what is written, with the folders above it, and whiteouts.

        `removed` paths leave a whiteout; `emptied` folders were removed and made anew, which leaves an
        opaque marker. A folder takes the layer's time only where a name in it was written or removed.
        """
        now = int(datetime.fromisoformat(created).timestamp())
        removed, emptied = list(removed), list(emptied)
        written: dict[str, _File] = {}
        for file in [*map(_directory, emptied), *files]:
            if not file.mtime:
                seed = f"{file.path} {created}" if file.path in self._files else file.seed
                file = replace(file, mtime=now, seed=seed)
            written[file.path] = file

        folders = {folder for path in [*written, *removed] for folder in _above(path)} - written.keys()
        written.update({path: _directory(path, mtime=now) for path in folders - self._files.keys()})
        touched = {path.rpartition("/")[0] for path, file in written.items() if file.mtime == now}
        touched.update(path.rpartition("/")[0] for path in removed)
        for path in folders & self._files.keys():
            kept = self._files[path]
            written[path] = replace(kept, mtime=now) if path in touched else kept

        whiteouts = [f"{folder}/.wh..wh..opq" for folder in emptied]
        whiteouts += ["/.wh.".join(path.rpartition("/")[::2]).lstrip("/") for path in removed]
        markers = [_File(path, mtime=now, data=b"") for path in whiteouts]
        self._layers.append(self._put(f"{_OCI}layer.v1.tar", _tar([*written.values(), *markers])))
        self._history.append(_step(created, step))
        for gone in [*removed, *emptied]:
            for file in self.below(gone):
                del self._files[file.path]
        self._files.update(written)

    def image(self, config: dict[str, Any]) -> Descriptor:
        """Store config and manifest; returns the manifest's descriptor. `config` is Env, Cmd and the like."""
        whole = {
            "created": self._history[-1]["created"],
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            # the layers are plain tars: the digest of the blob is the diff ID
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in self._layers]},
            "history": self._history,
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}manifest.v1+json",
            "config": self._put(f"{_OCI}config.v1+json", _json(whole)),
            "layers": self._layers,
        }
        return self._put(f"{_OCI}manifest.v1+json", _json(manifest))


def _step(created: str, step: str) -> dict[str, Any]:
    comment = {} if step.startswith(_CLASSIC) else {"comment": "buildkit.dockerfile.v0"}
    return {"created": created, "created_by": step, **comment}


def _above(path: str) -> list[str]:
    """`a/b/c` → `a`, `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _tar(files: Iterable[_File]) -> bytes:
    """A tar in the order of a walk: each folder before what is in it."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for file in sorted(files, key=lambda file: file.path.split("/")):
            content = file.content()
            info = tarfile.TarInfo(file.path)
            info.type, info.mode, info.size, info.mtime = file.kind, file.mode, len(content), file.mtime
            info.uid, info.gid, info.linkname = file.uid, file.gid, file.link
            tar.addfile(info, BytesIO(content))
    return buffer.getvalue()


# --- the images ------------------------------------------------------------------------------------


def _images(put: _Put) -> dict[str, Descriptor]:
    """Make everything; reference → descriptor of its manifest."""
    debian = _debian(put)
    ruby = _ruby(debian)
    node = _node(put)
    irb = {**_ROOT, "Env": [*_ROOT["Env"], "LANG=C.UTF-8"], "Cmd": ["irb"]}
    return {
        "debian:a": debian.image({**_ROOT, "Cmd": ["bash"]}),
        "ruby:b": ruby.image(irb),
        "golang:c": _golang(debian),
        "rails-4.2:d": _rails_4(ruby, irb),
        "rails-3.2:e": _rails_3(ruby, irb),
        "bigfile:latest": _bigfile(put),
        "simple-node:case-1": _simple_node(node, 1),
        "simple-node:case-2": _simple_node(node, 2),
        "kuard:blue": _kuard(put),
    }


# A: Debian ------------------------------------------------------------------------------------------

_DEBIAN_TREE = """\
.: bin->usr/bin lib->usr/lib lib64->usr/lib64 sbin->usr/sbin boot/ dev/ home/ media/ mnt/ opt/ proc/ srv/
.: sys/ root/!700 run/ tmp/!1777
run: lock/!1777
usr: games/ include/ local/ src/
usr/local: bin/ etc/ lib/ sbin/ share/ src/
usr/lib64: ld-linux-x86-64.so.2->../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
usr/bin: [=68 apt=19 apt-cache=89 apt-get=52 apt-key=28 awk->mawk bash=1266 cat=44 chage!2755=80 chgrp=69
usr/bin: chmod=64 chown=73 cp=151 cut=52 dash=126 date=122 dd=89 df=102 diff=155 dpkg=318 dpkg-deb=171
usr/bin: dpkg-divert=158 dpkg-query=162 dpkg-split=130 du=175 env=48 find=225 findmnt=86 gpgv=474
usr/bin: grep=203 gunzip=3 gzip=98 head=52 install=160 ln=73 localedef=299 ls=151 lsblk=207 lscpu=129
usr/bin: lsfd=123 mawk=158 mkdir=98 mount!4755=60 mv=143 newgrp!4755=49 nl=114 passwd!4755=68 perl=3804
usr/bin: perl5.36.0=>perl rbash->bash rm=73 sed=126 sh->dash sort=118 stat=97 stty=85 su!4755=72
usr/bin: tail=77 tar=532 tee=48 tic=93 touch=110 tr=56 umount!4755=35 uncompress=>gunzip uname=40
usr/bin: vdir=151 xargs=72
usr/sbin: adduser=54 blkid=125 debugfs=239 e2fsck=357 fsck.ext2->e2fsck fsck.ext4->e2fsck groupadd=101
usr/sbin: ldconfig=983 losetup=117 mke2fs=142 mkfs.ext4->mke2fs nologin=15 pivot_root=15 tune2fs=117
usr/sbin: useradd=160 usermod=147
usr/lib/apt/methods: cdrom!755=72 file!755=64 gpgv!755=113 http!755=199 https->http mirror!755=121
usr/lib/apt/methods: rred!755=88
usr/lib/x86_64-linux-gnu: ld-linux-x86-64.so.2!755=215 libapt-pkg.so.6.0->libapt-pkg.so.6.0.0
usr/lib/x86_64-linux-gnu: libapt-pkg.so.6.0.0=2068 libapt-private.so.0.0.0=498
usr/lib/x86_64-linux-gnu: libblkid.so.1->libblkid.so.1.1.0 libblkid.so.1.1.0=355
usr/lib/x86_64-linux-gnu: libbz2.so.1.0->libbz2.so.1.0.4 libbz2.so.1.0.4=75 libc.so.6!755=1926
usr/lib/x86_64-linux-gnu: libcrypt.so.1->libcrypt.so.1.1.0 libcrypt.so.1.1.0=207 libdb-5.3.so=1844
usr/lib/x86_64-linux-gnu: libext2fs.so.2->libext2fs.so.2.4 libext2fs.so.2.4=439 libgcc_s.so.1=125
usr/lib/x86_64-linux-gnu: libgcrypt.so.20->libgcrypt.so.20.4.1 libgcrypt.so.20.4.1=1332
usr/lib/x86_64-linux-gnu: libgmp.so.10.4.1=529 libgnutls.so.30->libgnutls.so.30.34.3
usr/lib/x86_64-linux-gnu: libgnutls.so.30.34.3=2210 libhogweed.so.6.6=293 liblz4.so.1->liblz4.so.1.9.4
usr/lib/x86_64-linux-gnu: liblz4.so.1.9.4=150 liblzma.so.5->liblzma.so.5.4.1 liblzma.so.5.4.1=190
usr/lib/x86_64-linux-gnu: libm.so.6=912 libmount.so.1.1.0=404 libmvec.so.1=1019 libnettle.so.8.6=318
usr/lib/x86_64-linux-gnu: libp11-kit.so.0.3.0=1261 libpcre2-8.so.0->libpcre2-8.so.0.11.2
usr/lib/x86_64-linux-gnu: libpcre2-8.so.0.11.2=629 libselinux.so.1=174 libsepol.so.2=764
usr/lib/x86_64-linux-gnu: libstdc++.so.6->libstdc++.so.6.0.30 libstdc++.so.6.0.30=2190
usr/lib/x86_64-linux-gnu: libsystemd.so.0->libsystemd.so.0.35.0 libsystemd.so.0.35.0=845
usr/lib/x86_64-linux-gnu: libtinfo.so.6->libtinfo.so.6.4 libtinfo.so.6.4=204 libudev.so.1.7.5=183
usr/lib/x86_64-linux-gnu: libunistring.so.2.2.0=1792 libz.so.1->libz.so.1.2.13 libz.so.1.2.13=121
usr/lib/x86_64-linux-gnu: libzstd.so.1->libzstd.so.1.5.4 libzstd.so.1.5.4=764
usr/lib/x86_64-linux-gnu/gconv: BIG5HKSCS.so=240 GB18030.so=183 IBM1390.so=236 IBM1399.so=236
usr/lib/x86_64-linux-gnu/gconv: libCNS.so=473
usr/lib/x86_64-linux-gnu/security: pam_limits.so=31 pam_namespace.so=43 pam_unix.so=55
usr/lib/x86_64-linux-gnu/perl-base: Carp.pm=25 Config_heavy.pl=56 POSIX.pm=20 Socket.pm=14 warnings.pm=30
usr/share/keyrings: debian-archive-bookworm-automatic.gpg=9 debian-archive-keyring.gpg=56
usr/share/common-licenses: Apache-2.0=11 GPL->GPL-3 GPL-2=18 GPL-3=35 LGPL-2.1=27 MPL-2.0=17
usr/share/perl5/Debconf: ConfModule.pm=16 Config.pm=7 Question.pm=6 Template.pm=8
usr/share/zoneinfo: Etc/ UTC->Etc/UTC
usr/share/zoneinfo/Etc: UTC=1
usr/share/zoneinfo/Europe: Amsterdam=3 Berlin=2 London=4
usr/share/locale/de/LC_MESSAGES: apt.mo=48 bash.mo=186 coreutils.mo=410 dpkg.mo=154 tar.mo=75
usr/share/locale/fr/LC_MESSAGES: apt.mo=50 bash.mo=192 coreutils.mo=415 dpkg.mo=162 tar.mo=76
usr/share/locale/ja/LC_MESSAGES: bash.mo=206 coreutils.mo=395 dpkg.mo=125
etc: bash.bashrc=2 ld.so.cache=5 login.defs=13 mke2fs.conf=1 profile=1 os-release->../usr/lib/os-release
etc: localtime->/usr/share/zoneinfo/Etc/UTC opt/ rmt->/usr/sbin/rmt
etc/alternatives: awk->/usr/bin/mawk pager->/bin/more
etc/apt/apt.conf.d: 01autoremove=1 70debconf=1
etc/apt/trusted.gpg.d: debian-archive-bookworm-automatic.asc=12 debian-archive-bookworm-stable.asc=12
etc/pam.d: common-auth=1 common-password=2 login=4 su=2
etc/skel: .bash_logout=1 .bashrc=4 .profile=1
root: .bashrc=1 .profile=1
var: backups/ local/!2775 lock->/run/lock mail/!2775 opt/ run->/run spool/ tmp/!1777
var/cache/apt/archives: partial/!700
var/cache/debconf: config.dat=4 templates.dat=753 templates.dat-old=714
var/lib/apt/lists: partial/!700
var/lib/dpkg: triggers/ updates/
var/log: bootstrap.log=56 btmp!660=1 lastlog!664=1 apt/"""

_DEBIAN_PACKAGES = """\
adduser apt base-files base-passwd bash coreutils dash debconf debian-archive-keyring diffutils dpkg
e2fsprogs findutils gpgv grep gzip hostname libc-bin libc6 libgcrypt20 libgnutls30 libpam-modules
libstdc++6 libsystemd0 login mawk mount ncurses-base passwd perl-base sed sysvinit-utils tar tzdata
util-linux zlib1g"""

_OS_RELEASE = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
"""
_USERS = (
    "root:0:/root:/bin/bash daemon:1:/usr/sbin bin:2:/bin sys:3:/dev man:6:/var/cache/man mail:8:/var/mail \
www-data:33:/var/www _apt:42:/nonexistent nobody:65534:/nonexistent"
)
_LISTS = "var/lib/apt/lists"


def _users(users: str) -> list[_File]:
    """etc/passwd, etc/group and etc/shadow for words of NAME:ID:HOME[:SHELL]."""
    rows = [(*user.split(":"), "/usr/sbin/nologin")[:4] for user in users.split()]
    passwd = "".join(f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}\n" for name, uid, home, shell in rows)
    return [
        _text("etc/passwd", passwd),
        _text("etc/group", "".join(f"{row[0]}:x:{row[1]}:\n" for row in rows) + "shadow:x:42:\n"),
        _text("etc/shadow", "".join(f"{row[0]}:*:20394:0:99999:7:::\n" for row in rows), 0o640, gid=42),
    ]


def _status(packages: str) -> str:
    return "".join(
        f"Package: {package}\nStatus: install ok installed\nMaintainer: Debian\nArchitecture: amd64\n\n"
        for package in packages.split()
    )


def _packages(installed: str, new: str) -> list[_File]:
    """What dpkg leaves behind when it installs the packages `new` beside `installed`."""
    log = "".join(f"status installed {package}:amd64\n" for package in f"{installed} {new}".split())
    files = [
        _text("var/lib/dpkg/status-old", _status(installed)),
        _text("var/lib/dpkg/status", _status(f"{installed} {new}")),
        _text("var/log/dpkg.log", log),
    ]
    for package in new.split():
        listing = f"/.\n/usr\n/usr/share\n/usr/share/doc/{package}\n/usr/share/doc/{package}/copyright\n"
        files.append(_text(f"var/lib/dpkg/info/{package}.list", listing))
        files.append(_File(f"usr/share/doc/{package}/copyright", size=4000))
    return files


def _apt_update() -> list[_File]:
    """The package lists that `apt-get update` fetches: a third of a small image. Sizes are of the demo."""
    site = f"{_LISTS}/deb.debian.org_debian_dists_bookworm"
    return [
        _File(f"{site}_InRelease", size=1_500),
        _File(f"{site}_main_binary-amd64_Packages", size=528_500),
        _File(f"{_LISTS}/lock", mode=0o640, data=b""),
    ]


def _apt_install(installed: str, new: str) -> list[_File]:
    """What any `apt-get install` changes beside the packages' own files. Sizes are of the real thing."""
    return [
        *_packages(installed, new),
        *_tree("etc: ld.so.cache=9\nvar/cache/apt: pkgcache.bin=9500 srcpkgcache.bin=9400"),
        *_tree("var/log/apt: history.log=4 term.log!640=30\nvar/cache/debconf: templates.dat=790"),
    ]


def _debian(put: _Put) -> _Stack:
    when = "2025-11-03T09:00:00Z"
    kept = [
        _text("usr/lib/os-release", _OS_RELEASE),
        _text("etc/debian_version", "12.12\n"),
        _text("etc/hostname", "debian\n"),
        _text("etc/issue", "Debian GNU/Linux 12 \\n \\l\n\n"),
        _text("etc/apt/sources.list", "deb http://deb.debian.org/debian bookworm main\n"),
        _text("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
        *_users(_USERS),
        *_apt_update(),
    ]
    files = _fit(1_670_000, [*_tree(_DEBIAN_TREE), *_packages("", _DEBIAN_PACKAGES)], kept)
    stack = _Stack(put)
    rootfs = hashlib.sha256(b"rootfs.tar.xz").hexdigest()
    stack.layer(when, f"{_CLASSIC}#(nop) ADD file:{rootfs} in / ", files)
    stack.note(when, f'{_CLASSIC}#(nop)  CMD ["bash"]')
    return stack


# B and C: Ruby and Go --------------------------------------------------------------------------------

_RUBY_TREE = """\
usr/bin: erb->erb3.1 erb3.1=6 gem->gem3.1 gem3.1=1 irb->irb3.1 irb3.1=1 rake=2 rdoc->rdoc3.1 rdoc3.1=1
usr/bin: ruby->ruby3.1 ruby3.1=14 openssl=998
usr/lib/x86_64-linux-gnu: libcrypto.so.3=4709 libssl.so.3=696 libruby-3.1.so.3.1->libruby-3.1.so.3.1.2
usr/lib/x86_64-linux-gnu: libruby-3.1.so.3.1.2=4072 libyaml-0.so.2->libyaml-0.so.2.0.9
usr/lib/x86_64-linux-gnu: libyaml-0.so.2.0.9=133 libreadline.so.8->libreadline.so.8.2
usr/lib/x86_64-linux-gnu: libreadline.so.8.2=352 libgdbm.so.6.0.0=72
usr/lib/x86_64-linux-gnu/ruby/3.1.0: bigdecimal.so=119 date_core.so=319 digest.so=19 etc.so=31
usr/lib/x86_64-linux-gnu/ruby/3.1.0: monitor.so=15 openssl.so=482 pathname.so=48 psych.so=48
usr/lib/x86_64-linux-gnu/ruby/3.1.0: ripper.so=1230 socket.so=221 stringio.so=64 strscan.so=39 zlib.so=83
usr/lib/x86_64-linux-gnu/ruby/3.1.0/enc: big5.so=31 euc_jp.so=27 gb18030.so=19 shift_jis.so=27
usr/lib/x86_64-linux-gnu/ruby/3.1.0/enc: utf_16le.so=15
usr/lib/ruby/3.1.0: English.rb=6 abbrev.rb=4 base64.rb=4 benchmark.rb=19 cgi.rb=10 csv.rb=96 date.rb=2
usr/lib/ruby/3.1.0: delegate.rb=14 erb.rb=31 fileutils.rb=84 find.rb=3 forwardable.rb=6 ipaddr.rb=22
usr/lib/ruby/3.1.0: json.rb=18 logger.rb=18 matrix.rb=63 mkmf.rb=88 monitor.rb=7 optparse.rb=63
usr/lib/ruby/3.1.0: ostruct.rb=15 pp.rb=17 pstore.rb=22 resolv.rb=73 securerandom.rb=3
usr/lib/ruby/3.1.0: set.rb=26 tempfile.rb=13 time.rb=25 timeout.rb=4 uri.rb=3 yaml.rb=2
usr/lib/ruby/3.1.0/net: http.rb=60 protocol.rb=12 https.rb=1
usr/lib/ruby/3.1.0/rubygems: installer.rb=28 package.rb=20 resolver.rb=9 security.rb=22
usr/lib/ruby/3.1.0/rubygems: specification.rb=73 version.rb=13
usr/lib/ruby/3.1.0/bundler: cli.rb=34 definition.rb=32 dsl.rb=18 installer.rb=10 settings.rb=14
usr/lib/ruby/3.1.0/bundler: source.rb=4
usr/share/ri/3.1.0/system: cache.ri=1900 page-NEWS.ri=410
usr/share/rubygems-integration/all/specifications: rake-13.0.6.gemspec=2 rdoc-6.4.0.gemspec=7
etc/alternatives: gem->/usr/bin/gem3.1 ruby->/usr/bin/ruby3.1
var/cache/apt/archives: libruby3.1_3.1.2-7+deb12u1_amd64.deb=5335 ruby3.1_3.1.2-7+deb12u1_amd64.deb=663
var/cache/apt/archives: ruby_1%3a3.1_amd64.deb=6 rubygems-integration_1.18_all.deb=6
var/cache/apt/archives: openssl_3.0.17-1_amd64.deb=1430 rake_13.0.6-3_all.deb=84
var/cache/apt/archives: ca-certificates_20230311_all.deb=156 lock!640
etc/ssl/certs: ca-certificates.crt=220
var/lib/gems: 3.1.0/"""

_RUBY_PACKAGES = (
    "ca-certificates libruby libruby3.1 libssl3 libyaml-0-2 openssl rake ruby ruby3.1 rubygems-integration"
)

_GO_TREE = """\
usr/bin: go->../lib/go-1.19/bin/go gofmt->../lib/go-1.19/bin/gofmt gcc->gcc-12 gcc-12=1104 g++->g++-12
usr/bin: g++-12=1108 ar=60 as=700 cpp=1104 gdb-add-index=5 ld->ld.bfd ld.bfd=1720 ld.gold=2400 make=240
usr/bin: nm=46 objcopy=190 objdump=400 pkg-config=40 ranlib=60 readelf=780 strip=190
usr/lib/go-1.19: VERSION=1 api->../../share/go-1.19/api misc->../../share/go-1.19/misc
usr/lib/go-1.19: src->../../share/go-1.19/src
usr/lib/go-1.19/bin: go=13800 gofmt=3200
usr/lib/go-1.19/pkg/tool/linux_amd64: addr2line=3700 api=5400 asm=4300 buildid=2600 cgo=4200
usr/lib/go-1.19/pkg/tool/linux_amd64: compile=21800 cover=4600 dist=3000 doc=3500 fix=2900 link=5900
usr/lib/go-1.19/pkg/tool/linux_amd64: nm=3700 objdump=4100 pack=2100 pprof=14200 test2json=2900
usr/lib/go-1.19/pkg/tool/linux_amd64: trace=12900 vet=7500
usr/lib/go-1.19/pkg/linux_amd64: archive.a=940 bufio.a=280 bytes.a=390 compress.a=1500 context.a=250
usr/lib/go-1.19/pkg/linux_amd64: crypto.a=15200 database.a=860 debug.a=3900 encoding.a=5800 errors.a=50
usr/lib/go-1.19/pkg/linux_amd64: expvar.a=160 flag.a=390 fmt.a=570 go.a=9900 hash.a=420 html.a=2600
usr/lib/go-1.19/pkg/linux_amd64: image.a=2100 io.a=720 log.a=230 math.a=2600 mime.a=990 net.a=16300
usr/lib/go-1.19/pkg/linux_amd64: os.a=2300 path.a=330 plugin.a=30 reflect.a=1900 regexp.a=1300
usr/lib/go-1.19/pkg/linux_amd64: runtime.a=8600 sort.a=170 strconv.a=430 strings.a=470 sync.a=330
usr/lib/go-1.19/pkg/linux_amd64: syscall.a=1300 testing.a=1800 text.a=2900 time.a=1000 unicode.a=450
usr/lib/go-1.19/pkg/linux_amd64_race: crypto.a=17300 encoding.a=6600 go.a=11200 net.a=18900
usr/lib/go-1.19/pkg/linux_amd64_race: runtime.a=9100 text.a=3300
usr/lib/gcc/x86_64-linux-gnu/12: cc1!755=32400 cc1plus!755=34600 collect2!755=720 crtbegin.o=3 crtend.o=1
usr/lib/gcc/x86_64-linux-gnu/12: libgcc.a=3200 libgcov.a=400 libstdc++.a=5900 lto-wrapper!755=1100
usr/lib/gcc/x86_64-linux-gnu/12: lto1!755=31100
usr/lib/x86_64-linux-gnu: libasan.so.8.0.0=6800 libbfd-2.40-system.so=1400 libc.a=6100
usr/lib/x86_64-linux-gnu: libisl.so.23.2.0=2200 libm-2.36.a=3600 libmpfr.so.6.2.0=700
usr/lib/x86_64-linux-gnu: libopcodes-2.40-system.so=840 libtsan.so.2.0.0=6100
usr/include: stdio.h=31 stdlib.h=35 string.h=19 unistd.h=43 pthread.h=42 math.h=54
usr/include/linux: bpf.h=240 ethtool.h=87 input-event-codes.h=31 nl80211.h=330 videodev2.h=95
usr/share/go-1.19/src/cmd/compile/internal/ssa: op.go=19 opGen.go=1100 rewriteAMD64.go=1000
usr/share/go-1.19/src/cmd/compile/internal/ssa: rewriteARM64.go=850 rewriteS390X.go=500
usr/share/go-1.19/src/cmd/go/internal/modload: build.go=14 init.go=58 load.go=75 query.go=40
usr/share/go-1.19/src/crypto/tls: common.go=53 conn.go=46 handshake_client.go=34 handshake_server.go=27
usr/share/go-1.19/src/fmt: doc.go=14 format.go=15 print.go=32 scan.go=32
usr/share/go-1.19/src/net/http: client.go=34 fs.go=27 h2_bundle.go=330 request.go=47 server.go=112
usr/share/go-1.19/src/net/http: transport.go=87
usr/share/go-1.19/src/runtime: asm_amd64.s=49 chan.go=41 malloc.go=54 map.go=45 mgc.go=57 proc.go=178
usr/share/go-1.19/src/runtime: select.go=16 slice.go=10
usr/share/go-1.19/src/time: format.go=44 sleep.go=6 time.go=45 zoneinfo.go=18
usr/share/go-1.19/src/unicode: tables.go=205
usr/share/go-1.19/test: run.go=55 escape2.go=30 chancap.go=5
usr/share/go-1.19/api: go1.1.txt=2600 go1.19.txt=26 except.txt=37
usr/share/doc/golang-1.19-doc/html: go_mem.html=32 go_spec.html=240
var/cache/apt/archives: golang-1.19-go_1.19.8-2_amd64.deb=44900 golang-1.19-src_1.19.8-2_all.deb=17900
var/cache/apt/archives: gcc-12_12.2.0-14_amd64.deb=19300 g++-12_12.2.0-14_amd64.deb=10700
var/cache/apt/archives: cpp-12_12.2.0-14_amd64.deb=9770 binutils-x86-64-linux-gnu_2.40-2_amd64.deb=2250
var/cache/apt/archives: libc6-dev_2.36-9_amd64.deb=1900 lock!640"""

_GO_PACKAGES = """\
binutils cpp-12 g++-12 gcc-12 golang golang-1.19-doc golang-1.19-go golang-1.19-src golang-go libasan8
libc6-dev libgcc-12-dev libisl23 libmpfr6 libstdc++-12-dev linux-libc-dev make pkg-config"""


def _ruby(debian: _Stack) -> _Stack:
    files = [*_tree(_RUBY_TREE), *_apt_install(_DEBIAN_PACKAGES, _RUBY_PACKAGES)]
    stack = debian.fork()
    stack.layer(
        "2025-11-10T14:20:05Z",
        f"{_CLASSIC}apt-get update && apt-get install -y ruby",
        _fit(1_600_000, files, _apt_update()),
    )
    stack.note(
        "2025-11-10T14:20:06Z", f"{_CLASSIC}#(nop)  ENV LANG=C.UTF-8", f'{_CLASSIC}#(nop)  CMD ["irb"]'
    )
    return stack


def _golang(debian: _Stack) -> Descriptor:
    files = [*_tree(_GO_TREE), *_apt_install(_DEBIAN_PACKAGES, _GO_PACKAGES)]
    stack = debian.fork()
    stack.layer(
        "2025-11-17T10:42:31Z",
        f"{_CLASSIC}apt-get update && apt-get install -y golang",
        _fit(6_180_000, files, _apt_update()),
    )
    # removed and made anew in one step: an opaque folder; and too late, for the layer below keeps the bytes
    stack.layer(
        "2025-11-17T10:42:40Z",
        f"{_CLASSIC}rm -rf /{_LISTS} && mkdir -p /{_LISTS}/partial",
        [_directory(f"{_LISTS}/partial")],
        emptied=[_LISTS],
    )
    when = "2025-11-17T10:42:42Z"
    stack.layer(when, f"{_CLASSIC}mkdir -p /go/src /go/bin", _tree("go: bin/ src/"))
    stack.note(
        when,
        f"{_CLASSIC}#(nop)  ENV GOPATH=/go",
        f"{_CLASSIC}#(nop)  ENV PATH=/go/bin:{_PATH}",
        f'{_CLASSIC}#(nop)  CMD ["go" "version"]',
    )
    return stack.image(
        {"Env": [f"PATH=/go/bin:{_PATH}", "GOPATH=/go"], "Cmd": ["go", "version"], "WorkingDir": "/go"}
    )


# D and E: Rails --------------------------------------------------------------------------------------

_GEMS = "var/lib/gems/3.1.0"
_RAILS_4 = """\
actionmailer:4.2.11.3:64 actionpack:4.2.11.3:1040 actionview:4.2.11.3:760 activejob:4.2.11.3:90
activemodel:4.2.11.3:290 activerecord:4.2.11.3:1900 activesupport:4.2.11.3:1400 arel:6.0.4:160
builder:3.2.4:120 concurrent-ruby:1.1.10:1800 erubis:2.7.0:280 globalid:0.4.2:36 i18n:0.9.5:170
loofah:2.20.0:110 mail:2.7.1:2300 mini_mime:1.1.5:180 minitest:5.18.1:340 nokogiri:1.15.5:9800
rack:1.6.13:1100 rack-test:0.6.3:140 rails:4.2.11.3:20 rails-html-sanitizer:1.6.0:90
railties:4.2.11.3:700 sprockets:3.7.2:310 thor:1.2.2:230 tzinfo:1.2.11:520"""
_RAILS_3 = """\
actionmailer:3.2.22.5:70 actionpack:3.2.22.5:1200 activemodel:3.2.22.5:200 activerecord:3.2.22.5:1300
activeresource:3.2.22.5:130 activesupport:3.2.22.5:1200 arel:3.0.3:130 builder:3.0.4:110 erubis:2.7.0:280
hike:1.2.3:50 i18n:0.6.11:160 journey:1.0.4:200 json:1.8.6:900 mail:2.5.5:2000 multi_json:1.15.0:60
polyglot:0.3.5:20 rack:1.4.7:900 rack-cache:1.17.0:160 rails:3.2.22.5:20 railties:3.2.22.5:800
rdoc:3.12.2:700 sprockets:2.2.3:180 thor:0.20.3:220 tilt:1.4.1:140 treetop:1.4.15:220 tzinfo:0.3.61:600"""
_BLOG_TREE = """\
srv/blog: Gemfile=1 Gemfile.lock=3 README.rdoc=9 Rakefile=1 config.ru=1 lib/ vendor/
srv/blog/app/controllers: application_controller.rb=1 posts_controller.rb=3
srv/blog/app/assets/images: rails.png=7 header.jpg=240
srv/blog/app/models: post.rb=1
srv/blog/app/views/layouts: application.html.erb=1
srv/blog/app/views/posts: index.html.erb=1 show.html.erb=1
srv/blog/config: application.rb=3 boot.rb=1 database.yml=1 environment.rb=1 routes.rb=2
srv/blog/db: schema.rb=1 development.sqlite3=60
srv/blog/log: development.log=180
srv/blog/public: 404.html=1 500.html=1 favicon.ico=4 robots.txt=1
srv/blog/script: rails!755=1
srv/blog/tmp: cache/ pids/"""
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software.
"""


def _gems(gems: str) -> list[_File]:
    """What `gem install` leaves for words of NAME:VERSION:KILOBYTES, the .gem in its cache included."""
    files: list[_File] = []
    for gem in gems.split():
        name, version, kilobytes = gem.split(":")
        whole, size = f"{name}-{version}", int(kilobytes)
        home = f"{_GEMS}/gems/{whole}"
        files += _tree(
            f"{_GEMS}/cache: {whole}.gem={size // 3 + 1}\n"
            f"{_GEMS}/specifications: {whole}.gemspec=2\n"
            f"{home}: CHANGELOG.md={size // 20 + 1} README.md={size // 30 + 1}\n"
            f"{home}/lib: {name}.rb={size // 20 + 1}\n"
            f"{home}/lib/{name}: base.rb={size // 3 + 1} railtie.rb={size // 9 + 1} version.rb=1"
        )
        files.append(_text(f"{home}/MIT-LICENSE", _MIT))
    return files


def _rails_4(ruby: _Stack, config: dict[str, Any]) -> Descriptor:
    native = f"{_GEMS}/gems/nokogiri-1.15.5/lib/nokogiri: nokogiri.so=6900"
    programs = "usr/local/bin: rackup=1 rails=1 rake=1 sprockets=1"
    stack = ruby.fork()
    stack.layer(
        "2025-12-01T08:15:12Z",
        f"{_CLASSIC}gem install rails -v 4.2.11.3",
        _fit(830_000, [*_gems(_RAILS_4), *_tree(f"{native}\n{programs}")]),
    )
    gone = {file.path.split("/")[4] for file in stack.below(_LISTS) if file.path != _LISTS}
    stack.layer(  # too late: the lists stay in the layer of Ruby
        "2025-12-01T08:15:20Z",
        f"{_CLASSIC}rm -rf /{_LISTS}/*",
        removed=[f"{_LISTS}/{name}" for name in sorted(gone)],
    )
    stack.note(
        "2025-12-01T08:15:21Z",
        f"{_CLASSIC}#(nop)  EXPOSE 3000",
        f'{_CLASSIC}#(nop)  CMD ["rails" "server" "-b" "0.0.0.0"]',
    )
    command = ["rails", "server", "-b", "0.0.0.0"]  # noqa: S104 – inside a container, and never run
    return stack.image({**config, "ExposedPorts": {"3000/tcp": {}}, "Cmd": command})


def _rails_3(ruby: _Stack, config: dict[str, Any]) -> Descriptor:
    programs = _tree("usr/local/bin: erubis=1 rackup=1 rails=1 tilt=1 tt=1")
    stack = ruby.fork()
    stack.layer(
        "2025-12-08T16:03:44Z",
        f"{_CLASSIC}gem install rails -v 3.2.22.5 && rails new /srv/blog",
        [*_fit(730_000, [*_gems(_RAILS_3), *programs]), *_fit(50_000, _tree(_BLOG_TREE))],
    )
    # nothing but the owner changes, yet each file is stored again
    stack.layer(
        "2025-12-08T16:03:52Z",
        f"{_CLASSIC}chown -R www-data:www-data /srv/blog",
        [replace(file, uid=33, gid=33) for file in stack.below("srv/blog")],
    )
    stack.note(
        "2025-12-08T16:03:53Z",
        f"{_CLASSIC}#(nop) WORKDIR /srv/blog",
        f"{_CLASSIC}#(nop)  USER www-data",
        f"{_CLASSIC}#(nop)  EXPOSE 3000",
        f'{_CLASSIC}#(nop)  CMD ["rails" "server"]',
    )
    return stack.image(
        {
            **config,
            "User": "www-data",
            "WorkingDir": "/srv/blog",
            "ExposedPorts": {"3000/tcp": {}},
            "Cmd": ["rails", "server"],
        }
    )


# BigFile ----------------------------------------------------------------------------------------------


def _bigfile(put: _Put) -> Descriptor:
    """Layer 1 stores BigFile, 2 removes it, 3 adds a static binary: who pulls it still gets BigFile."""
    busybox = _tree("bin: busybox=1 cat->busybox ls->busybox rm->busybox sh->busybox")
    stack = _Stack(put)
    stack.layer(
        "2026-01-12T10:00:00Z",
        "ADD BigFile busybox.tar / # buildkit",
        [*_fit(8_000, busybox), _File("BigFile", size=3_000_000)],
    )
    stack.layer("2026-01-12T10:00:02Z", "RUN /bin/sh -c rm /BigFile # buildkit", removed=["BigFile"])
    when = "2026-01-12T10:00:05Z"
    stack.layer(
        when,
        "COPY server /usr/local/bin/server # buildkit",
        [_File("usr/local/bin/server", mode=0o755, size=400_000)],
    )
    stack.note(when, 'ENTRYPOINT ["/usr/local/bin/server"]')
    return stack.image({**_ROOT, "Entrypoint": ["/usr/local/bin/server"]})


# simple-node ------------------------------------------------------------------------------------------

_ALPINE_TREE = """\
.: dev/ home/ media/ mnt/ opt/ proc/ root/!700 run/ srv/ sys/ tmp/!1777
bin: busybox=808 ash->/bin/busybox cat->/bin/busybox chmod->/bin/busybox cp->/bin/busybox
bin: grep->/bin/busybox ln->/bin/busybox ls->/bin/busybox mkdir->/bin/busybox mv->/bin/busybox
bin: rm->/bin/busybox sh->/bin/busybox
lib: ld-musl-x86_64.so.1!755=650 libc.musl-x86_64.so.1->ld-musl-x86_64.so.1
lib/apk/db: installed=14 scripts.tar=13 triggers=1 lock!600
sbin: apk=71 ldconfig=1 init->/bin/busybox
etc: alpine-release=1 os-release->../usr/lib/os-release profile=1 shells=1
etc/apk: repositories=1 world=1
etc/ssl/certs: ca-certificates.crt=216
usr/lib: libapk.so.2.14.0=256 libcrypto.so.3=4530 libssl.so.3=770 libz.so.1->libz.so.1.3.1
usr/lib: libz.so.1.3.1=98
usr/bin: env->/bin/busybox find->/bin/busybox getent=48 scanelf=80 ssl_client=14 xargs->/bin/busybox
var/cache: apk/ misc/"""
_NODE_TREE = """\
usr/lib: libgcc_s.so.1=170 libstdc++.so.6->libstdc++.so.6.0.33 libstdc++.so.6.0.33=2700
usr/local/bin: node=98000 nodejs->node npm->../lib/node_modules/npm/bin/npm-cli.js
usr/local/bin: npx->../lib/node_modules/npm/bin/npx-cli.js
usr/local/bin: corepack->../lib/node_modules/corepack/dist/corepack.js
usr/local/include/node: node.h=67 node_api.h=11 v8.h=3 v8-object.h=33 uv.h=72
usr/local/lib/node_modules/corepack/dist: corepack.js!755=1 npm.js=1
usr/local/lib/node_modules/npm: LICENSE=10 README.md=4 package.json=7
usr/local/lib/node_modules/npm/bin: npm-cli.js=1 npx-cli.js=3
usr/local/lib/node_modules/npm/lib: cli.js=1 npm.js=12
usr/local/lib/node_modules/npm/lib/commands: audit.js=4 ci.js=4 install.js=5 publish.js=8 run-script.js=6
usr/local/share/doc/node: gdbinit=10 lldb_commands.py=4
usr/local/share/man/man1: node.1=24
home: node/"""

_NPM = """\
accepts:1.3.8:5252 array-flatten:1.1.1:1195 body-parser:1.20.3:2681 bytes:3.1.2:3613
content-disposition:0.5.4:10594 content-type:1.0.5:4809 cookie:0.7.1:8103 cookie-signature:1.0.6:1230
debug:2.6.9:263 depd:2.0.0:10932 destroy:1.2.0:4258 encodeurl:2.0.0:1586 escape-html:1.0.3:1362
etag:1.8.1:2479 express:4.21.2:224 finalhandler:1.3.1:6804 forwarded:0.2.0:1578 fresh:0.5.2:2711
http-errors:2.0.0:6391 iconv-lite:0.4.24:5123 inherits:2.0.4:250 ipaddr.js:1.9.1:9719
media-typer:0.3.0:6375 merge-descriptors:1.0.3:1218 methods:1.1.2:1040 mime:1.6.0:2726 mime-db:1.52.0:189
mime-types:2.1.35:3663 ms:2.0.0:2764 negotiator:0.6.3:2451 on-finished:2.4.1:4430 parseurl:1.3.3:2809
path-to-regexp:0.1.12:4432 proxy-addr:2.0.7:6000 qs:6.13.0:211 range-parser:1.2.1:2900
raw-body:2.5.2:7171 safe-buffer:5.2.1:1670 send:0.19.0:23340 serve-static:1.16.2:4527
setprototypeof:1.2.0:407 statuses:2.0.1:2610 toidentifier:1.0.1:504 type-is:1.6.18:5562 unpipe:1.0.0:1118
utils-merge:1.0.1:381 vary:1.1.2:2930"""
_EXPRESS = {
    "application.js": 14593,
    "express.js": 2409,
    "request.js": 12505,
    "response.js": 28729,
    "view.js": 3325,
}
_SERVER_JS = """\
const express = require("express");

const app = express();

app.get("/", (request, response) => response.send("Hello World!\\n"));
app.listen(3000, () => console.log("Listening on port 3000"));
"""


def _npm_install() -> list[_File]:
    """package.json and node_modules of an express app, and the cache npm keeps. Sizes are the real ones."""
    home = "app/node_modules"
    files: list[_File] = []
    names = [package.split(":")[0] for package in _NPM.split()]
    for package in _NPM.split():
        name, version, length = package.split(":")
        described = {"name": name, "version": version, "license": "MIT", "main": "index.js"}
        files.append(_text(f"{home}/{name}/package.json", json.dumps(described, indent=2) + "\n"))
        files.append(_File(f"{home}/{name}/index.js", size=int(length)))
        if int(length) > 2500:  # the same licence under many paths
            files.append(_text(f"{home}/{name}/LICENSE", _MIT))
        if name in ("express", "send", "debug", "iconv-lite", "mime-db"):  # what npm fetched, by its hash
            tarball = hashlib.sha512(package.encode()).hexdigest()
            files.append(
                _File(
                    f"root/.npm/_cacache/content-v2/sha512/{tarball[:2]}/{tarball[2:4]}/{tarball[4:]}",
                    size=9000,
                )
            )
    for name, size in _EXPRESS.items():
        files.append(_File(f"{home}/express/lib/{name}", size=size))
    files.append(_File(f"{home}/mime-db/db.json", size=185_882 // 4))
    # a nested copy, as npm makes them where versions differ
    files.append(_File(f"{home}/send/node_modules/ms/index.js", size=3024, seed="ms 2.1.3"))
    files.append(_File(f"{home}/.package-lock.json", size=9_600))
    lock = {
        "name": "simple-node",
        "lockfileVersion": 3,
        "packages": {f"node_modules/{name}": {} for name in names},
    }
    own = {
        "name": "simple-node",
        "version": "1.0.0",
        "main": "server.js",
        "scripts": {"start": "node server.js"},
        "dependencies": {"express": "^4.21.2"},
    }
    files.append(_text("app/package.json", json.dumps(own, indent=2) + "\n"))
    files.append(_text("app/package-lock.json", json.dumps(lock, indent=2) + "\n"))
    return files


def _node(put: _Put) -> _Stack:
    """The base both cases share; no image of its own has a name."""
    os_release = _text("usr/lib/os-release", 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.21.0\n')
    users = _users("root:0:/root:/bin/sh daemon:2:/sbin nobody:65534:/")
    stack = _Stack(put)
    when = "2025-11-20T12:00:00Z"
    stack.layer(
        when,
        "ADD alpine-minirootfs-3.21.0-x86_64.tar.gz / # buildkit",
        _fit(80_000, _tree(_ALPINE_TREE), [os_release, *users]),
    )
    stack.note(when, 'CMD ["/bin/sh"]', "ENV NODE_VERSION=22.12.0")
    users = _users("root:0:/root:/bin/sh daemon:2:/sbin node:1000:/home/node:/bin/sh nobody:65534:/")
    files = [
        replace(file, uid=1000, gid=1000, mode=0o2755) if file.path == "home/node" else file
        for file in _tree(_NODE_TREE)
    ]
    when = "2025-11-20T12:10:00Z"
    stack.layer(
        when,
        "RUN /bin/sh -c addgroup -g 1000 node && adduser -u 1000 -G node -s /bin/sh -D node && "
        "apk add --no-cache libstdc++ && wget -qO- "
        "https://unofficial-builds.nodejs.org/download/release/v$NODE_VERSION/"
        "node-v$NODE_VERSION-linux-x64-musl.tar.xz | tar -xJ --strip 1 -C /usr/local # buildkit",
        _fit(1_100_000, files, users),
    )
    stack.note(when, 'CMD ["node"]')
    stack.layer("2026-01-19T09:30:00Z", "WORKDIR /app", [_directory("app")])
    return stack


def _simple_node(node: _Stack, case: int) -> Descriptor:
    """Case I: a change of server.js makes the packages anew. Case II: it does not."""
    stack = node.fork()
    minute = "2026-01-19T09:3" if case == 1 else "2026-01-19T09:4"
    copy = ("COPY server.js . # buildkit", [_text("app/server.js", _SERVER_JS)])
    install = ("RUN /bin/sh -c npm init -y && npm install express # buildkit", _npm_install())
    for step, (instruction, files) in enumerate([copy, install] if case == 1 else [install, copy], start=1):
        stack.layer(f"{minute}{step}:00Z", instruction, files)
    stack.note(f"{minute}3:00Z", "EXPOSE map[3000/tcp:{}]", 'CMD ["npm" "start"]')
    return stack.image(
        {
            "Env": [f"PATH={_PATH}", "NODE_VERSION=22.12.0"],
            "WorkingDir": "/app",
            "ExposedPorts": {"3000/tcp": {}},
            "Cmd": ["npm", "start"],
        }
    )


# kuard ------------------------------------------------------------------------------------------------

_DISTROLESS_TREE = """\
.: bin/ boot/ dev/ home/ lib/ proc/ root/!700 run/ sbin/ sys/ tmp/!1777
etc: debian_version=1 host.conf=1 nsswitch.conf=1 os-release->../usr/lib/os-release
etc/ssl/certs: ca-certificates.crt=220
usr/share/zoneinfo: UTC=1 tzdata.zi=107
usr/share/zoneinfo/Europe: Amsterdam=3 London=4
usr/share/zoneinfo/America: New_York=4 Los_Angeles=3
usr/share/doc/base-files: copyright=2
usr/share/doc/tzdata: copyright=2
var/lib/dpkg/status.d: base=1 netbase=1 tzdata=1
var: run->/run tmp/!1777"""


def _kuard(put: _Put) -> Descriptor:
    kept = [
        _text("usr/lib/os-release", 'PRETTY_NAME="Distroless"\n' + _OS_RELEASE.partition("\n")[2]),
        *_users("root:0:/root nobody:65534:/nonexistent nonroot:65532:/home/nonroot"),
    ]
    stack = _Stack(put)
    stack.layer(
        "2025-10-13T07:00:00Z", "COPY rootfs / # buildkit", _fit(20_000, _tree(_DISTROLESS_TREE), kept)
    )
    when = "2026-02-02T11:25:00Z"
    stack.layer(when, "COPY kuard /kuard # buildkit", [_File("kuard", mode=0o755, size=230_000)])
    stack.note(when, "EXPOSE map[8080/tcp:{}]", "USER nobody:nobody", 'CMD ["/kuard"]')
    return stack.image(
        {
            **_ROOT,
            "User": "nobody:nobody",
            "ExposedPorts": {"8080/tcp": {}},
            "Cmd": ["/kuard"],
            "Labels": {
                "org.opencontainers.image.title": "kuard",
                "org.opencontainers.image.source": "https://github.com/kubernetes-up-and-running/kuard",
                "org.opencontainers.image.version": "blue",
            },
        }
    )


def main(arguments: list[str]) -> int:
    """Write the layout into the one folder named; returns the exit status."""
    if len(arguments) != 1:
        print("Usage: python -m imgscope.sources.demo_images DIR", file=sys.stderr)
        return 2
    try:
        write_layout(Path(arguments[0]))
    except OSError as error:
        print(f"The demo images cannot be written to {arguments[0]!r}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
