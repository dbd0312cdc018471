"""The Dockerfile of an image, rebuilt from its history."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing

from imgscope.commands import Add, add_platform, interruptible, platform, print_lines
from imgscope.text import clean


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("dockerfile", "print the Dockerfile of an image, rebuilt from its history", _dockerfile)
    command.add_argument("reference", metavar="REF")
    command.add_argument(
        "--whole", action="store_true", help="from scratch, also where the image it was built on is there"
    )
    add_platform(command)


def _dockerfile(options: Namespace) -> int:
    from imgscope.images.ancestry import build
    from imgscope.images.base import base_of
    from imgscope.images.dockerfile import dockerfile
    from imgscope.sources import open_source, parse_target

    wanted = platform(options)
    target = parse_target(options.reference)
    with interruptible() as job, closing(open_source(target, job)) as source:
        image = source.find(target.name, wanted)
        base = None
        if not options.whole:
            *_, images = source.images(job)
            base = base_of(image, build(images))
    # tabs and trailing backslashes mean something; all else that a terminal obeys is made visible
    print_lines("\t".join(map(clean, line.text.split("\t"))) for line in dockerfile(image, base))
    return 0
