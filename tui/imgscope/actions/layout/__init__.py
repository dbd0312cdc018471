"""Changing OCI layout folders without an engine: tag, rmi, prune."""

from __future__ import annotations

from collections.abc import Sequence

from imgscope.actions.layout.changes import LayoutPrune, LayoutRemove, LayoutTag
from imgscope.actions.layout.store import LayoutError, LayoutStore
from imgscope.errors import UsageError
from imgscope.sources import Target

__all__ = (
    "LayoutError",
    "LayoutPrune",
    "LayoutRemove",
    "LayoutStore",
    "LayoutTag",
    "layout_store",
    "needs_engine",
    "prune_layout",
    "remove_from_layout",
    "tag_in_layout",
)


def needs_engine(action: str, source: str) -> UsageError:
    """The error for an action that only an engine can do: `action` as in `run`, `source` is a label."""
    return UsageError(f"There is no engine behind {source}, and {action} needs one.")


def layout_store(target: Target, action: str) -> LayoutStore | None:
    """The layout that a reference names; None for the engine.

    Raises `UsageError` for archives, which nobody changes in place, and for the demo images, which are
    made anew for each program and go with it.
    """
    if target.transport == "docker-daemon":
        return None
    if target.transport == "demo":
        raise UsageError(
            f"The demo images live only while a program shows them; {action} works on them within "
            "imgscope demo."
        )
    assert target.path is not None
    if target.path.is_dir():
        return LayoutStore(target.path)
    if not target.path.exists() or target.transport == "oci":
        raise UsageError(f"{target.path} is no folder; {action} works on an OCI layout, as in oci:DIR:NAME.")
    raise UsageError(
        f"{target.path} is an archive, and archives are not changed; {action} works on an engine or on an "
        "OCI layout in a folder."
    )


def tag_in_layout(target: Target, name: str) -> LayoutTag | None:
    """Tagging `oci:DIR:NAME` as `name`; None where the target is of the engine."""
    store = layout_store(target, "tag")
    return None if store is None else LayoutTag(store, target.name, name)


def remove_from_layout(targets: Sequence[Target], *, force: bool = False) -> LayoutRemove | None:
    """Removing `oci:DIR:NAME` and more of the same folder; None where the targets are of the engine.

    Raises `UsageError` where they are not all of one place.
    """
    stores = [layout_store(target, "rmi") for target in targets]
    if len({store and store.folder for store in stores}) > 1:
        raise UsageError("Images of one place at a time can be removed; call rmi once for each.")
    store = stores[0]
    if store is None:
        return None
    if not all(target.name for target in targets):
        raise UsageError(f"Say which image of {store} to remove, as in {store}:NAME.")
    return LayoutRemove(store, tuple(target.name for target in targets if target.name), force)


def prune_layout(target: Target, *, force: bool = False) -> LayoutPrune | None:
    """Pruning `oci:DIR`; None where the target is the engine."""
    store = layout_store(target, "prune")
    if store is None:
        return None
    if target.name:
        raise UsageError(f"prune works on the whole of a layout: write {store}.")
    return LayoutPrune(store, force)
