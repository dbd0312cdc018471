"""Looking: view (the screen), demo, analyze, tree."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing
from itertools import islice

from imgscope.commands import (
    Add,
    add_no_cache,
    add_platform,
    interruptible,
    platform,
    print_json,
    print_lines,
)
from imgscope.config import NO_CACHE, READ_ONLY, THEME, is_read_only, load
from imgscope.text import clean


def register(add: Add) -> None:
    """Add the commands to the parser."""
    view = add("view", "open the images in the terminal; what `imgscope [REF]` does", _view)
    view.add_argument("reference", nargs="?", default="", metavar="REF")
    add_platform(view)
    _add_theme(view)
    _add_read_only(view)
    add_no_cache(view)
    analyze = add("analyze", "print the layers of an image and its wasted bytes", _analyze)
    analyze.add_argument("reference", metavar="REF")
    analyze.add_argument("--json", action="store_true", help="as JSON, all wasted paths, in bytes")
    add_platform(analyze)
    add_no_cache(analyze)
    tree = add("tree", "print the parent/child tree of the images", _tree)
    tree.add_argument(
        "reference",
        nargs="?",
        default="",
        metavar="SOURCE",
        help="default: the settings' source, or the engine; with a name, its tree only",
    )
    tree.add_argument("--json", action="store_true", help="as JSON")
    add_no_cache(tree)
    demo = add("demo", "open the demo images: no engine and no network needed", _demo)
    demo.add_argument("name", nargs="?", default="", metavar="NAME", help="a demo image to open, as bigfile")
    _add_theme(demo)
    _add_read_only(demo)
    add_no_cache(demo)


def _add_theme(command: ArgumentParser) -> None:
    command.add_argument(
        "--theme", default="", metavar="THEME", help=f"the colours; {THEME}=… does the same; f2 shows all"
    )


def _add_read_only(command: ArgumentParser) -> None:
    command.add_argument(
        "--read-only", action="store_true", help=f"no key changes anything; {READ_ONLY}=1 does the same"
    )


def _view(options: Namespace) -> int:
    wanted = platform(options)
    # Textual draws on stderr
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        print(
            "imgscope: the screen needs a terminal; in scripts use imgscope analyze REF or imgscope tree.",
            file=sys.stderr,
        )
        return 2
    if is_read_only(options.read_only):
        os.environ[READ_ONLY] = "1"
    if options.no_cache:
        os.environ[NO_CACHE] = "1"
    from imgscope.sources import open_ahead, parse_target

    reference = options.reference or load().source
    opened = open_ahead(parse_target(reference))  # the engine answers while the screen is loaded
    from imgscope.ui.app import run

    return run(reference, wanted, opened, options.theme)


def _demo(options: Namespace) -> int:
    return _view(Namespace(**vars(options) | {"reference": f"demo:{options.name}", "platform": None}))


def _analyze(options: Namespace) -> int:
    from imgscope.analysis import analyze, cache_for
    from imgscope.report import analysis_json_text, analysis_text
    from imgscope.sources import open_source, parse_target

    wanted = platform(options)
    target = parse_target(options.reference)
    with interruptible() as job, closing(open_source(target, job)) as source:
        image = source.find(target.name, wanted)
        if target.name is None and source.cheap:
            *_, images = source.images(job)
            others = len({found.references for found in images}) - 1
            if others > 0:
                note = f"this is {image.name}, one of {others + 1} images in it; name another after a colon."
                print(f"imgscope: {clean(note)}", file=sys.stderr)
        analysis = analyze(source, image, job, cache=cache_for(source, off=options.no_cache))
    if options.json:
        pieces = analysis_json_text(analysis, options.reference, source.origin)
        while text := "".join(islice(pieces, 1000)):
            sys.stdout.write(text)
        print()
    else:
        print_lines(analysis_text(analysis, options.reference, source.label))
    return 0


def _tree(options: Namespace) -> int:
    from imgscope.analysis import analyze, cache_for
    from imgscope.images.ancestry import build
    from imgscope.report import forest_json, forest_text
    from imgscope.sources import open_source, parse_target

    target = parse_target(options.reference or load().source)
    with interruptible() as job, closing(open_source(target, job)) as source:
        named = source.find(target.name) if target.name is not None else None
        *_, images = source.images(job)
        if source.cheap:  # archives tell no sizes before their layers are read
            cache = cache_for(source, off=options.no_cache)
            images = [analyze(source, image, job, cache=cache).sized_image for image in images]
        forest = build(images)
        if named is not None:
            forest = forest.tree_of(named.id)
    if options.json:
        print_json(forest_json(forest))
    else:
        print_lines(forest_text(forest))
    return 0
