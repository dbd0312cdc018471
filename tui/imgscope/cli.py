"""The command line: thin over the core. stdout holds the answer only.

Exit status: 0 done, 1 a check failed, 2 bad use or bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from imgscope.commands import HOMES, Run
from imgscope.errors import CancelledError, ImgscopeError, UsageError
from imgscope.plain import prepare
from imgscope.text import clean

# Objects made between two searches for unused cycles. What a command makes it mostly needs to its end: the
# searches of Python's own limit (700) would take a tenth of its time.
_COLLECT = 100_000
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


def parser(word: str = "") -> argparse.ArgumentParser:
    """The parser for a call that begins with the word: with its command's module, or with all of them."""
    whole = _Parser(
        prog="imgscope",
        usage="imgscope [REF] [--platform OS/ARCH]\n       imgscope COMMAND …",
        description="See what your container images are made of, and what they waste.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="store_true", help="print the version and exit")
    commands = whole.add_subparsers(
        title="commands", metavar="COMMAND", prog="imgscope", parser_class=_Parser
    )

    def add(name: str, summary: str, run: Run) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    for module in {HOMES[word]: None} if word in HOMES else dict.fromkeys(HOMES.values()):
        import_module(f"imgscope.commands.{module}").register(add)
    from imgscope.config import ASCII

    for command in commands.choices.values():
        command.add_argument(
            "--ascii", action="store_true", help=f"write ASCII only; {ASCII}=1 does the same"
        )
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    gc.set_threshold(_COLLECT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    if sys.stdout is None:  # started with it closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 – it lives as long as the program
    for stream in (sys.stdout, sys.stderr):
        prepare(stream)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*HOMES, "-h", "--help", "--version"):
        words.insert(0, "view")
    try:
        if words[0] == "--version":  # not worth a parser of all commands
            import imgscope

            print(f"imgscope {imgscope.__version__}")
            return 0
        options = parser(words[0]).parse_args(words)
        _settle(options)
        run: Run = options.run
        status = run(options)
        sys.stdout.flush()
        return status
    except ImgscopeError as error:
        print(f"imgscope: {clean(str(error))}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, CancelledError):
        return 130
    except BrokenPipeError:  # the reader (head, less) has what it wanted
        _give_up_stdout()
        return 141
    except OSError as error:
        _give_up_stdout()
        print(f"imgscope: {clean(error.strerror or str(error))}, while writing the answer.", file=sys.stderr)
        return 2


def _settle(options: argparse.Namespace) -> None:
    """What the settings say of every command. Those that are none are told of by whoever needs them."""
    from imgscope.config import ASCII, Config, load  # needs dataclasses, which take half as long as --version

    try:
        config = load()
    except UsageError:
        config = Config()
    if options.ascii or config.ascii:
        os.environ[ASCII] = "1"
    if os.environ.get(ASCII):
        for stream in (sys.stdout, sys.stderr):
            prepare(stream, "ascii")
    if config.engine and not (os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT")):
        os.environ["DOCKER_HOST"] = config.engine


def _give_up_stdout() -> None:
    """Keep Python from writing what is left at exit, and from complaining about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(number: int, _frame: object) -> NoReturn:
    """End by the way out, so that temporary folders and sockets are let go."""
    sys.exit(128 + number)
