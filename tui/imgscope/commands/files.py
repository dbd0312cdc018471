"""What is in the files of an image: cat, extract, files."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from imgscope.commands import (
    Add,
    add_no_cache,
    add_platform,
    interruptible,
    platform,
    print_json,
    print_lines,
    warn,
)
from imgscope.errors import CancelledError, NotFoundError, UsageError
from imgscope.text import clean

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.job import Job
    from imgscope.sources.base import Source


def register(add: Add) -> None:
    """Add the commands to the parser."""
    cat = add("cat", "print a file of an image, also one that a later layer removed", _cat)
    _add_path(cat, "as the layers up to N leave it (default: all)")
    cat.add_argument("--raw", action="store_true", help="control characters as they are, also to a terminal")
    extract = add("extract", "write a file or a folder of an image into a folder", _extract)
    _add_path(extract, "only what layer N stores; of what it removes, the copy below")
    extract.add_argument("--merged", action="store_true", help="with --layer: all that layers 1 to N leave")
    extract.add_argument(
        "--to", metavar="DIR", required=True, help="the folder to write below; made if need be"
    )
    extract.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    extract.add_argument("--setuid", action="store_true", help="keep setuid, setgid and sticky bits")
    extract.add_argument("--json", action="store_true", help="what was written as JSON, in bytes")
    files = add("files", "list the files of an image, or what its layers change", _files)
    files.add_argument("reference", metavar="REF")
    files.add_argument(
        "--layer", type=int, metavar="N", help="what layer N changes (default: all files there are)"
    )
    files.add_argument("--merged", action="store_true", help="with --layer: all that layers 1 to N leave")
    files.add_argument(
        "--state",
        metavar="STATE,…",
        help="only added, changed, metadata, removed or unchanged ones; without --layer, of every layer",
    )
    form = files.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as a JSON array, sizes in bytes")
    form.add_argument("--csv", action="store_true", help="as CSV, sizes in bytes")
    _add_common(files)


def _add_path(command: ArgumentParser, layer: str) -> None:
    command.add_argument("reference", metavar="REF")
    command.add_argument("path", metavar="PATH", type=os.fsencode, help="with or without a leading slash")
    command.add_argument("--layer", type=int, metavar="N", help=layer)
    _add_common(command)


def _add_common(command: ArgumentParser) -> None:
    add_platform(command)
    add_no_cache(command)


@contextmanager
def _analyzed(options: Namespace) -> Iterator[tuple[Source, Analysis, Job]]:
    """The image that a call names, read."""
    from imgscope.analysis import analyze, cache_for
    from imgscope.sources import open_source, parse_target

    wanted = platform(options)
    target = parse_target(options.reference)
    with interruptible() as job, closing(open_source(target, job)) as source:
        image = source.find(target.name, wanted)
        analysis = analyze(source, image, job, cache=cache_for(source, off=options.no_cache))
        warn(analysis.problems)
        yield source, analysis, job


# -- cat ----------------------------------------------------------------------------------------------


def _cat(options: Namespace) -> int:
    from imgscope.contents import read_file
    from imgscope.extraction.select import check_layer, find
    from imgscope.layers.index import Kind
    from imgscope.text import path_text

    with _analyzed(options) as (source, analysis, job):
        layer = check_layer(analysis, options.layer)
        node = find(analysis, options.path, layer)
        overlay = analysis.overlay
        version = overlay.at(node, layer)
        kind = overlay.kind(overlay.inode(version)) if version >= 0 else Kind.DIRECTORY
        if kind not in (Kind.FILE, Kind.HARDLINK):
            path = path_text(overlay.path(node))
            if kind == Kind.DIRECTORY:
                raise UsageError(f"{path} is a directory; imgscope extract writes it into a folder.")
            what = "a fifo" if kind == Kind.FIFO else "a device"
            raise NotFoundError(f"{path} is {what}, and has no content.")
        with closing(read_file(source, analysis, version, job)) as chunks:
            if sys.stdout.isatty() and not options.raw:
                for text in shown(chunks):
                    sys.stdout.write(text)
            else:
                sys.stdout.flush()
                for chunk in chunks:
                    sys.stdout.buffer.write(chunk)
    return 0


def shown(chunks: Iterator[bytes]) -> Iterator[str]:
    """A content for a terminal: its lines and tabs, all other control characters as `\\x1b`."""
    from codecs import getincrementaldecoder

    decoder = getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        yield _shown(decoder.decode(chunk))
    yield _shown(decoder.decode(b"", final=True))


def _shown(text: str) -> str:
    return "\n".join("\t".join(map(clean, line.split("\t"))) for line in text.split("\n"))


# -- extract ------------------------------------------------------------------------------------------


def _extract(options: Namespace) -> int:
    from imgscope.commands.acting import run
    from imgscope.extraction.extract import Extract, folder_of
    from imgscope.extraction.select import check_layer, locate

    to = folder_of(options.to)
    with _analyzed(options) as (source, analysis, job):
        layer = check_layer(analysis, options.layer)
        merged = options.layer is None or options.merged
        action = Extract(
            source,
            analysis,
            locate(analysis, options.path, layer, merged),
            layer,
            merged,
            to,
            options.reference,
            overwrite=options.overwrite,
            bits=options.setuid,
        )
        try:
            done = run(action, job)
        except (CancelledError, KeyboardInterrupt):
            print(f"imgscope: Cancelled: {clean(action.so_far())}.", file=sys.stderr)
            raise
    if options.json:
        print_json({"schema": 1, "to": done.result, **action.report.as_json()})
    else:
        first, *notes = done.text.splitlines()
        print_lines([clean(first)])
        print(*map(clean, notes), sep="\n", end="\n" if notes else "", file=sys.stderr)
    return 0


# -- files --------------------------------------------------------------------------------------------


def _files(options: Namespace) -> int:
    from imgscope.extraction.listing import FORMS, listed, parse_states
    from imgscope.extraction.select import check_layer

    states = parse_states(options.state)
    with _analyzed(options) as (_, analysis, job):
        layer = check_layer(analysis, options.layer)
        if options.layer is None and states:
            layers = [(number, False) for number in range(1, layer + 1)]
        else:
            layers = [(layer, options.merged or options.layer is None)]
        rows = listed(analysis, layers, states, job)
        pieces = FORMS["json" if options.json else "csv" if options.csv else "text"](rows)
        while text := "".join(islice(pieces, 1000)):
            sys.stdout.write(text)
    return 0
