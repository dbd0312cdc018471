"""Running: run, shell."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

from imgscope.commands import Add
from imgscope.commands.acting import act, add_acting, connected, run
from imgscope.config import is_read_only
from imgscope.errors import ImgscopeError, UsageError
from imgscope.text import clean

if TYPE_CHECKING:
    from imgscope.actions.engine import Engine
    from imgscope.actions.options import RunOptions
    from imgscope.actions.run import Run
    from imgscope.images.model import Image


def register(add: Add) -> None:
    """Add the commands to the parser."""
    command = add("run", "create a container of an image and start it", _run)
    command.add_argument(
        "-d", "--detach", action="store_true", help="print the container's id and leave it running"
    )
    command.add_argument("--rm", action="store_true", help="remove it when it ends")
    command.add_argument(
        "-i", "--interactive", action="store_true", help="with the terminal's input; by docker"
    )
    command.add_argument("-t", "--tty", action="store_true", help="with a terminal; by docker")
    command.add_argument("--name", default="", help="the container's name")
    command.add_argument(
        "-p", "--publish", action="append", default=[], metavar="[[IP:]HOST:]PORT[/udp]",
        help="publish a port; without HOST at one that is free",
    )  # fmt: skip
    command.add_argument("-P", "--publish-all", action="store_true", help="publish all ports of the image")
    command.add_argument(
        "-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable"
    )
    command.add_argument(
        "-v", "--volume", action="append", default=[], metavar="[SOURCE:]TARGET[:ro]", help="mount a volume"
    )
    command.add_argument("--network", "--net", default="", help="the network to be on")
    command.add_argument("--entrypoint", help="the program, in place of the image's own")
    command.add_argument(
        "--restart", default="no", metavar="POLICY", help="no, always, unless-stopped, on-failure[:N]"
    )
    add_acting(command)
    command.add_argument("image", metavar="IMAGE")
    command.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="in place of the image's own"
    )
    shell = add("shell", "open a shell in an image, in a container that goes with it", _shell)
    add_acting(shell)
    shell.add_argument("image", metavar="IMAGE")


def read_only(options: Namespace) -> bool:
    """Whether nothing may be changed: then `act` says so."""
    return is_read_only(options.read_only)


def _run(options: Namespace) -> int:
    from imgscope.actions.layout import require_engine
    from imgscope.actions.run import Run

    require_engine("run", options.image)
    wanted = _options(options)
    wanted.check()
    with connected() as engine:
        image, name = _find(engine, options)
        action = Run(engine, image, wanted, name)
        if options.dry_run or read_only(options):
            return act(action, options, ask=False)
        if wanted.terminal:
            words, environment = _terminal(action)
        elif options.json and not wanted.detach:
            raise UsageError(
                "--json has nothing to say of a container that is followed; add -d, or leave it out."
            )
        elif options.json:
            return act(action, options, ask=False)
        elif wanted.detach:
            done = run(action)
            print(clean(done.text), file=sys.stderr)
            print(done.result)
            return 0
        else:
            return _follow(action)
    return _become(words, environment)


def _shell(options: Namespace) -> int:
    from imgscope.actions.layout import require_engine
    from imgscope.actions.run import Run, Shell

    require_engine("shell", options.image)
    with connected() as engine:
        image, name = _find(engine, options)
        action = Run(engine, image, Shell(engine, image, name).options(), name)
        if options.dry_run or read_only(options):
            return act(action, options, ask=False)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("A shell needs a terminal; in scripts use imgscope run IMAGE COMMAND.")
        words, environment = _terminal(action)
    return _become(words, environment)


def _find(engine: Engine, options: Namespace) -> tuple[Image, str]:
    name = options.image.removeprefix("docker-daemon:")
    return engine.source.find(name), name


def _options(options: Namespace) -> RunOptions:
    from imgscope.actions.options import RunOptions, parse_ports

    if options.detach and (options.interactive or options.tty):
        raise UsageError("-d leaves the terminal alone and -i and -t use it; leave one out.")
    return RunOptions(
        name=options.name,
        detach=options.detach,
        remove=options.rm,
        ports=parse_ports(options.publish),
        env=tuple(options.env),
        volumes=tuple(options.volume),
        command=tuple(options.command[options.command[:1] == ["--"] :]),
        entrypoint=options.entrypoint,
        network=options.network,
        restart=options.restart,
        publish_all=options.publish_all,
        terminal=options.interactive or options.tty,
    )


def _follow(action: Run) -> int:
    """The container's output where it belongs, as it is where nobody reads it; gives its exit status."""
    from imgscope.actions.plan import Done, Said
    from imgscope.job import Job

    with closing(action.execute(Job())) as events:
        for event in events:
            if isinstance(event, Said):
                stream = sys.stderr if event.error else sys.stdout
                if stream.isatty():
                    print(clean(event.text), file=stream, flush=True)
                else:
                    stream.flush()
                    stream.buffer.write(os.fsencode(event.text) + b"\n")
                    stream.buffer.flush()
            elif isinstance(event, Done) and event.status is not None:
                return event.status
    raise ImgscopeError("The container's exit status is not known; look at it with docker ps -a.")


def _terminal(action: Run) -> tuple[list[str], dict[str, str]]:
    from imgscope.actions.run import interactive_command, interactive_environment

    words = interactive_command(action.engine, action.image, action.options, action.reference)
    return words, interactive_environment(action.engine)


def _become(words: list[str], environment: dict[str, str]) -> NoReturn:
    """Go on as another program, in this terminal."""
    sys.stdout.flush()
    try:
        os.execve(words[0], words, environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise ImgscopeError(f"{words[0]} does not run ({error.strerror}).") from None
