"""Changing OCI layout folders without an engine: tag, rmi, prune."""

from __future__ import annotations

from collections.abc import Sequence

from imgscope.actions.layout.changes import LayoutPrune, LayoutRemove, LayoutTag
from imgscope.actions.layout.store import LayoutError, LayoutStore
from imgscope.errors import UsageError
from imgscope.sources import TRANSPORTS, Target, parse_target

__all__ = (
    "LayoutError",
    "LayoutPrune",
    "LayoutRemove",
    "LayoutStore",
    "LayoutTag",
    "needs_engine",
    "prune_layout",
    "remove_from_layout",
    "require_engine",
    "tag_in_layout",
)


def needs_engine(action: str, source: str) -> UsageError:
    """The error for an action that only an engine can do: `action` as in `run`, `source` is a label."""
    return UsageError(f"There is no engine behind {source}, and {action} needs one.")


def require_engine(action: str, reference: str) -> None:
    """Raise `needs_engine` where a reference is of a layout, an archive or the demo."""
    if _transport(reference):
        raise needs_engine(action, reference)


def tag_in_layout(reference: str, name: str) -> LayoutTag | None:
    """Tagging `oci:DIR:NAME` as `name`; None where the reference is of the engine. Raises `UsageError`."""
    found = _open("tag", reference)
    return None if found is None else LayoutTag(found[0], found[1].name, name)


def remove_from_layout(references: Sequence[str], *, force: bool = False) -> LayoutRemove | None:
    """Removing `oci:DIR:NAME` and more of the same folder; None where all references are of the engine.

    Raises `UsageError`, also where they are not all of one place.
    """
    if not any(map(_transport, references)):
        return None
    found = [_open("rmi", reference) for reference in references]
    opened = [item for item in found if item is not None]
    if len({store.folder for store, _ in opened}) > 1 or len(opened) < len(found):
        raise UsageError("Images of one place at a time can be removed; call rmi once for each place.")
    store = opened[0][0]
    names = tuple(target.name for _, target in opened if target.name)
    if len(names) < len(opened):
        raise UsageError(f"Say which image of {store} to remove, as in {store}:NAME.")
    return LayoutRemove(store, names, force)


def prune_layout(reference: str, *, force: bool = False) -> LayoutPrune | None:
    """Pruning `oci:DIR`; None where the reference is none of a layout. Raises `UsageError`."""
    found = _open("prune", reference)
    if found is None:
        return None
    store, target = found
    if target.name:
        raise UsageError(f"prune works on the whole of a layout: write {store}.")
    return LayoutPrune(store, force)


def _transport(reference: str) -> str:
    """The transport that a reference names, empty for the engine's.

    Only a transport that is written out counts: a name of the engine may also be that of a folder here,
    and what is changed or removed must not hang on that.
    """
    transport, colon, _ = reference.partition(":")
    return transport if colon and transport in TRANSPORTS and transport != "docker-daemon" else ""


def _open(action: str, reference: str) -> tuple[LayoutStore, Target] | None:
    """The layout of a reference. Archives are not changed in place, and the demo goes with its program."""
    if not _transport(reference):
        return None
    target = parse_target(reference)
    if target.transport == "demo":
        raise UsageError(
            f"The demo images last only as long as imgscope demo runs; {action} has nothing to work on here."
        )
    if target.path is None or target.transport != "oci":
        raise UsageError(
            f"{reference} is an archive, and archives are not changed; {action} works on an engine and on "
            "OCI layouts in folders, as in oci:DIR:NAME."
        )
    return LayoutStore(target.path), target
