"""Removing images: rmi."""

from __future__ import annotations

from argparse import Namespace

from imgscope.commands import Add
from imgscope.commands.acting import act, add_acting, connected


def register(add: Add) -> None:
    """Add the command to the parser."""
    rmi = add("rmi", "remove images by name or id, knowing first what that frees", _rmi)
    rmi.add_argument(
        "names", nargs="+", metavar="NAME", help="a reference, or an id; oci:DIR:NAME in a layout"
    )
    rmi.add_argument(
        "-f", "--force", action="store_true", help="all names of an id; in spite of stopped containers"
    )
    add_acting(rmi)


def _rmi(options: Namespace) -> int:
    from imgscope.actions.layout import remove_from_layout
    from imgscope.actions.remove import Remove

    layout = remove_from_layout(options.names, force=options.force)
    if layout is not None:
        return act(layout, options)
    with connected() as engine:
        return act(Remove(engine, tuple(options.names), force=options.force), options)
