"""Small real images to build on."""

from __future__ import annotations

import fcntl
import io
import os
import platform
import subprocess
import tarfile
import tempfile
from pathlib import Path

import platformdirs

from tests.support.engine import Engine
from tests.support.needs import PATH, missing, require_tool

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
# Made once and kept; asked for here, before a test gets a home of its own.
CACHE = platformdirs.user_cache_path("imgscope-tests")


def busybox_base(engine: Engine) -> str:
    """`busybox:base`: one layer with busybox and a link for each of its commands, from scratch. 2 MB."""
    name = engine.name("busybox:base")
    if not _has(engine, name):
        program = Path(require_tool("busybox"))
        content = program.read_bytes()
        if b"/ld-linux" in content or b"/ld-musl" in content:
            missing(f"{program} is not statically linked")
        commands = subprocess.run(
            [program, "--list"], capture_output=True, text=True, check=True
        ).stdout.split()
        dockerfile = 'FROM scratch\nADD root.tar /\nCMD ["/bin/sh"]\n'
        engine.build({"Dockerfile": dockerfile, "root.tar": _busybox_root(content, commands)}, name)
    return name


def _busybox_root(program: bytes, commands: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for command in commands:
            if command != "busybox":
                entry = tarfile.TarInfo(f"bin/{command}")
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, "busybox", 0o777
                tar.addfile(entry)
        passwd = b"root:x:0:0:root:/root:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size, entry.mode = len(passwd), 0o644
        tar.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()


def debian_base(engine: Engine) -> str:
    """`debian:base`: Debian's minimal system, some 170 MB, with apt. The first time takes half a minute."""
    name = engine.name("debian:base")
    if not _has(engine, name):
        engine.docker("import", "--change", 'CMD ["bash"]', debian_tar(), name)
    return name


def debian_tar() -> Path:
    """The tar of Debian's minimal system, as debootstrap makes it; kept in the person's cache folder."""
    kept = CACHE / f"debian-{SUITE}-{platform.machine()}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let one process make it while others wait
        if not kept.exists():
            _bootstrap(kept)
    return kept


def _bootstrap(target: Path) -> None:
    debootstrap = require_tool("debootstrap")
    if os.geteuid() != 0:
        missing("debootstrap needs root")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        root, made = Path(folder, "root"), Path(folder, "tar")
        done = subprocess.run(
            [debootstrap, "--variant=minbase", SUITE, root, MIRROR],
            env={**os.environ, "PATH": PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            missing(f"debootstrap could not make a base image: {(done.stderr or done.stdout)[-500:]}")
        subprocess.run(["tar", "--numeric-owner", "-C", root, "-cf", made, "."], check=True)
        made.rename(target)


def _has(engine: Engine, name: str) -> bool:
    return engine.docker("image", "inspect", name, check=False).returncode == 0
