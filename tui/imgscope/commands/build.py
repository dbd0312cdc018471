"""Building: build."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from imgscope.commands import Add
from imgscope.commands.acting import act, add_acting, connected, run
from imgscope.commands.run import read_only
from imgscope.text import clean


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("build", "build an image from a folder with a Dockerfile", _build)
    command.add_argument(
        "-t", "--tag", action="append", default=[], metavar="NAME[:TAG]", help="name the image"
    )
    command.add_argument(
        "-f", "--file", default="", metavar="PATH", help="the Dockerfile (default: FOLDER/Dockerfile)"
    )
    command.add_argument("--target", default="", metavar="STAGE", help="the stage to build")
    command.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME[=VALUE]", help="set an argument"
    )
    command.add_argument("--network", default="", help="the network of RUN: none, host")
    command.add_argument("--no-cache", action="store_true", help="run every step anew")
    command.add_argument("--pull", action="store_true", help="ask the registry for newer base images")
    add_acting(command)
    command.add_argument("folder", metavar="FOLDER", type=Path)


def _build(options: Namespace) -> int:
    from imgscope.actions.build import Build, BuildError

    with connected() as engine:
        action = Build(
            engine,
            options.folder,
            more_tags=tuple(options.tag),
            dockerfile=options.file,
            target=options.target,
            args=tuple(options.build_arg),
            network=options.network,
            no_cache=options.no_cache,
            pull=options.pull,
        )
        try:
            if options.dry_run or options.json or read_only(options):
                return act(action, options, ask=False)
            for line in action.describe().lines:
                print(clean(line), file=sys.stderr)
            done = run(action)
        except BuildError as error:  # the call was fine, the Dockerfile is not
            print(f"imgscope: {clean(str(error))}", file=sys.stderr)
            return 1
    print(clean(done.text), file=sys.stderr)
    print(done.result)
    return 0
