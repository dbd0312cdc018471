"""Making room: prune, clean."""

from __future__ import annotations

from argparse import Namespace

from imgscope.commands import Add
from imgscope.commands.acting import act, add_acting, connected
from imgscope.errors import UsageError

_KINDS = {
    "dangling": "images without a name, except those pulled by digest",
    "images": "all images without a container, dangling ones and those pulled by digest too",
    "containers": "containers that do not run",
    "networks": "networks without a container, running or not",
    "cache": "the build cache that no build uses",
    "volumes": "volumes without a container, named ones too: look at the list first",
}


def register(add: Add) -> None:
    """Add the commands to the parser."""
    prune = add(
        "prune",
        "remove what nothing uses, by kind; without a kind: dangling images, networks and the build cache",
        _prune,
    )
    prune.add_argument(
        "layout", nargs="?", default="", metavar="oci:DIR", help="instead: the unused blobs of an OCI layout"
    )
    for kind, summary in _KINDS.items():
        prune.add_argument(f"--{kind}", action="append_const", dest="kinds", const=kind, help=summary)
    prune.add_argument(
        "--until",
        metavar="TIME",
        help="only what is older: 24h, 30d or a date; images by when they were last tagged or pulled",
    )
    for option, summary in (("--label", "only what has"), ("--not-label", "nothing that has")):
        prune.add_argument(
            option,
            action="append",
            default=[],
            metavar="KEY[=VALUE]",
            help=f"{summary} this label (may be repeated)",
        )
    prune.add_argument(
        "-f", "--force", action="store_true", help="oci:DIR: even where manifests are not in the folder"
    )
    add_acting(prune)
    clean = add("clean", "remove what nobody can miss, and what you include", _clean)
    for option, summary in (("--include", "a line more"), ("--exclude", "a line less")):
        clean.add_argument(
            option,
            action="append",
            default=[],
            metavar="KEY",
            help=f"{summary} than those ticked in --dry-run (may be repeated)",
        )
    add_acting(clean)


def _prune(options: Namespace) -> int:
    from imgscope.actions.layout import prune_layout
    from imgscope.actions.prune import DEFAULT, Filters, Kind, Prune

    if options.layout:
        layout = prune_layout(options.layout, force=options.force)
        if layout is None or options.kinds or options.until or options.label or options.not_label:
            raise UsageError("What prune takes besides options is oci:DIR alone, an OCI layout.")
        return act(layout, options)
    if options.force:
        raise UsageError("--force is for oci:DIR; an engine's things are pruned only as it allows.")
    filters = Filters.parse(options.until, options.label, options.not_label)
    kinds: list[Kind] = options.kinds or list(DEFAULT)
    if not options.kinds and (filters.labels or filters.not_labels):
        kinds.remove("cache")  # it has no labels, so the filter leaves it out
    Prune.check(kinds, filters)
    with connected() as engine:
        return act(Prune(engine, kinds, filters), options)


def _clean(options: Namespace) -> int:
    from imgscope.actions.clean import CleanUp

    with connected() as engine:
        cleanup = CleanUp(engine)
        if options.include or options.exclude:
            cleanup.choose((cleanup.keys | set(options.include)) - set(options.exclude))
        return act(cleanup, options)
