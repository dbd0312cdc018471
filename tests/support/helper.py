"""A credential helper as docker calls them, for tests: keeps logins in a file, notes how it was called."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

_SCRIPT = """\
#!{python}
import json, os, pathlib, sys
store = pathlib.Path({store!r})
kept = json.loads(store.read_text()) if store.exists() else {{}}
seen, pid = b"", os.getpid()
while pid > 1:
    process = pathlib.Path("/proc", str(pid))
    seen += process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
    pid = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
pathlib.Path({seen!r}).write_bytes(seen)
said = sys.stdin.read()
if sys.argv[1] == "get":
    if said.strip() not in kept:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(dict(kept[said.strip()], ServerURL=said.strip())))
elif sys.argv[1] == "store":
    login = json.loads(said)
    kept[login.pop("ServerURL")] = login
    store.write_text(json.dumps(kept))
else:
    sys.exit(1)
"""


class Helper:
    """`docker-credential-NAME` in a folder of its own, found by PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "test") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.store = folder / "kept.json"
        self.program = folder / f"docker-credential-{name}"
        self._seen = folder / "seen"
        self.write(_SCRIPT.format(python=sys.executable, store=str(self.store), seen=str(self._seen)))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(self, script: str) -> None:
        """Have it do something else."""
        self.program.write_text(script)
        self.program.chmod(0o755)

    @property
    def kept(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(self.store.read_text()) if self.store.exists() else {}
        return found

    @property
    def seen(self) -> bytes:
        """Command line and environment of it when it last ran, of who called it, and so on up."""
        return self._seen.read_bytes()


def write_config(folder: Path, config: object) -> Path:
    """docker's config.json in a folder; gives the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder
