"""The command line: thin over the core. stdout holds the answer only.

Exit status: 0 done, 1 a check failed, 2 bad use or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from imgscope.errors import CancelledError, ImgscopeError
from imgscope.text import clean

_EPILOG = """\
references:
  NAME, docker-daemon:NAME     an image of the engine (Docker or Podman)
  docker-archive:PATH[:NAME]   an archive of docker save, skopeo, kaniko
  oci-archive:PATH[:NAME]      an OCI layout in a tar
  oci:DIR[:NAME]               an OCI layout in a folder
  PATH                         any of these, recognised by its content
  demo:[NAME]                  the built-in demo images: no engine, no network
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"imgscope: {clean(message)}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="imgscope",
        description="See what your container images are made of, and what they waste.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, summary: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    def platform(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--platform",
            metavar="OS/ARCH[/VARIANT]",
            help="which image of a multi-platform index (default: the host's)",
        )

    view = add("view", "open the images in the terminal; what `imgscope [REF]` does", _view)
    view.add_argument("reference", nargs="?", default="", metavar="REF")
    platform(view)
    analyze = add("analyze", "print the layers of an image and its wasted bytes", _analyze)
    analyze.add_argument("reference", metavar="REF")
    analyze.add_argument("--json", action="store_true", help="as JSON, all wasted paths, in bytes")
    platform(analyze)
    tree = add("tree", "print the parent/child tree of the images", _tree)
    tree.add_argument("reference", nargs="?", default="", metavar="SOURCE", help="default: the engine")
    tree.add_argument("--json", action="store_true", help="as JSON")
    demo = add("demo", "open the demo images: no engine and no network needed", _demo)
    demo.add_argument("name", nargs="?", default="", metavar="NAME", help="a demo image to open, as bigfile")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    commands = ("view", "analyze", "tree", "demo")
    if not any(word in commands or word in ("-h", "--help", "--version") for word in words[:1]):
        words.insert(0, "view")
    try:
        options = parser.parse_args(words)
        if options.version if "version" in options else False:
            import imgscope

            print(f"imgscope {imgscope.__version__}")
            return 0
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except ImgscopeError as error:
        print(f"imgscope: {clean(str(error))}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, CancelledError):
        return 130
    except BrokenPipeError:
        # the reader (head, less) has what it wanted; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _leave(number: int, _frame: object) -> NoReturn:
    """End by the way out, so that temporary folders and sockets are let go."""
    sys.exit(128 + number)


def _view(options: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):  # Textual draws on stderr
        print(
            "imgscope: the screen needs a terminal; in scripts use imgscope analyze REF or imgscope tree.",
            file=sys.stderr,
        )
        return 2
    from imgscope.ui.app import run

    return run(options.reference, options.platform)


def _demo(options: argparse.Namespace) -> int:
    return _view(argparse.Namespace(reference=f"demo:{options.name}", platform=None))


def _analyze(options: argparse.Namespace) -> int:
    from imgscope.analysis import analyze
    from imgscope.report import analysis_json, analysis_text
    from imgscope.sources import open_source, parse_target

    platform = _platform(options.platform)
    target = parse_target(options.reference)
    source = open_source(target)
    try:
        image = source.find(target.name, platform)
        analysis = analyze(source, image)
    finally:
        source.close()
    if options.json:
        _print_json(analysis_json(analysis, options.reference, source.label))
    else:
        _print_lines(analysis_text(analysis, options.reference, source.label))
    return 0


def _tree(options: argparse.Namespace) -> int:
    from imgscope.analysis import analyze
    from imgscope.images.ancestry import build
    from imgscope.job import Job
    from imgscope.report import forest_json, forest_text
    from imgscope.sources import open_source, parse_target

    source = open_source(parse_target(options.reference))
    try:
        images = list(source.images(Job()))[-1]
        if source.cheap:  # archives tell no sizes before their layers are read
            images = [analyze(source, image).sized_image for image in images]
        forest = build(images)
    finally:
        source.close()
    if options.json:
        _print_json(forest_json(forest))
    else:
        _print_lines(forest_text(forest))
    return 0


def _platform(text: str | None) -> Any:
    if text is None:
        return None
    from imgscope.images.model import Platform

    return Platform.parse(text)


def _print_json(value: object) -> None:
    import json

    json.dump(value, sys.stdout, indent=2)
    print()


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
