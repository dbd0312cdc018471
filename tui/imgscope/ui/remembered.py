"""What the screen remembers of the person from one run to the next: where they put the borders."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

BORDERS = ("images", "layers", "wasted")
_LARGE = 10_000  # bytes: no file of ours is


def state_path() -> Path:
    """The file: screen.json in the person's state folder (XDG_STATE_HOME)."""
    from platformdirs import user_state_path

    return user_state_path("imgscope") / "screen.json"


def load_borders() -> dict[str, float]:
    """The parts of the screen, by the names of `BORDERS`, each above 0 and below 1.

    What is not there, not readable or not such a number is left out.
    """
    known: object = None
    with suppress(OSError, ValueError, RecursionError), state_path().open("rb") as file:
        known = json.loads(file.read(_LARGE))
    borders = known.get("borders") if isinstance(known, dict) else None
    if not isinstance(borders, dict):
        return {}
    parts = {name: borders.get(name) for name in BORDERS}
    return {name: part for name, part in parts.items() if isinstance(part, float) and 0 < part < 1}


def save_borders(borders: dict[str, float]) -> None:
    """Keep them for the next run, for the person's eyes only; where that cannot be, nothing happens."""
    with suppress(OSError):
        path = state_path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"borders": borders}, file)
        new.replace(path)
