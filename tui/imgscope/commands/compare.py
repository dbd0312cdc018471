"""Comparing two images: compare. What `--json` gives is documented in comparison_report.py."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack, closing
from itertools import islice

from imgscope.commands import Add, add_no_cache, add_platform, interruptible, platform, print_lines, warn

_MOST = 20  # rows of each kind


def register(add: Add) -> None:
    """Add the command to the parser."""
    compare: ArgumentParser = add(
        "compare", "print what differs between two images, from any sources", _compare
    )
    compare.add_argument("a", metavar="A", help="a reference, see below")
    compare.add_argument("b", metavar="B", help="another one; may be in another source")
    compare.add_argument("--json", action="store_true", help="as JSON, every path that differs, in bytes")
    compare.add_argument(
        "--all", action="store_true", help=f"every row, not only the first {_MOST} of a kind"
    )
    compare.add_argument("--exit-code", action="store_true", help="end with status 1 where they differ")
    add_platform(compare)
    add_no_cache(compare)


def _compare(options: Namespace) -> int:
    from imgscope.analysis import analyze, cache_for
    from imgscope.comparison import Side, compare
    from imgscope.comparison_report import Names, comparison_json_text, comparison_text
    from imgscope.sources import open_source, parse_target

    wanted, names = platform(options), Names(options.a, options.b)
    targets = [parse_target(name) for name in names]
    with interruptible() as job, ExitStack() as stack:
        sides: list[Side] = []
        for target in targets:
            if sides and (target.transport, target.path) == (targets[0].transport, targets[0].path):
                source = sides[0].source
            else:
                source = stack.enter_context(closing(open_source(target, job)))
            cache = cache_for(source, off=options.no_cache)
            analysis = analyze(source, source.find(target.name, wanted), job, cache=cache)
            warn(analysis.problems)
            sides.append(Side(source, analysis, cache))
        found = compare(sides[0], sides[1], job)
    if options.json:
        pieces = comparison_json_text(found, names)
        while text := "".join(islice(pieces, 1000)):
            sys.stdout.write(text)
        print()
    else:
        print_lines(comparison_text(found, names, most=None if options.all else _MOST))
    return int(options.exit_code and found.differs)
