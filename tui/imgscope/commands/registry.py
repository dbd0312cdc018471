"""Images on their way to and from registries: tag, push, pull, login."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from imgscope.commands import Add, add_platform, platform, print_lines
from imgscope.commands.acting import act, add_acting, connected, run
from imgscope.errors import AuthRequired, UsageError
from imgscope.text import clean

if TYPE_CHECKING:
    from imgscope.actions.credentials import Credentials
    from imgscope.actions.engine import Engine
    from imgscope.actions.plan import Action


def register(add: Add) -> None:
    """Add the commands to the parser."""
    tag = add("tag", "give an image one more name", _tag)
    tag.add_argument("source", metavar="SOURCE", help="a name or an id, or oci:DIR:NAME of a layout")
    tag.add_argument("target", metavar="TARGET", help="the new name, as in localhost:5000/me/app:1")
    add_acting(tag)
    push = add("push", "push a tag to its registry; says first what will travel", _push)
    push.add_argument("reference", metavar="REF")
    push.add_argument(
        "-a", "--all-tags", action="store_true", help="all tags of the repository that REF names"
    )
    add_acting(push)
    pull = add("pull", "pull an image from its registry", _pull)
    pull.add_argument("reference", metavar="REF")
    add_platform(pull)
    add_acting(pull)
    login = add("login", "log in to a registry", _login)
    login.add_argument("registry", nargs="?", default="docker.io", metavar="REGISTRY")
    login.add_argument("-u", "--username", default="", metavar="USER")
    login.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    login.add_argument(
        "--store", action="store_true", help="hand the login to docker's configured credential helper"
    )


def _tag(options: Namespace) -> int:
    from imgscope.actions.layout import tag_in_layout
    from imgscope.actions.tag import Tag

    layout = tag_in_layout(options.source, options.target)
    if layout is not None:
        return act(layout, options)
    with connected() as engine:
        return act(Tag(engine, options.source, options.target), options)


def _push(options: Namespace) -> int:
    from imgscope.actions.credentials import Credentials
    from imgscope.actions.layout import require_engine
    from imgscope.actions.push import Push

    require_engine("push", options.reference)
    credentials = Credentials()
    with connected() as engine:
        action = Push(engine, options.reference, credentials, options.all_tags)
        return _act(action, engine, credentials, options)


def _pull(options: Namespace) -> int:
    from imgscope.actions.credentials import Credentials
    from imgscope.actions.layout import require_engine
    from imgscope.actions.pull import Pull

    require_engine("pull", options.reference)
    credentials = Credentials()
    wanted = platform(options)
    with connected() as engine:
        action = Pull(engine, options.reference, wanted, credentials)
        return _act(action, engine, credentials, options)


def _login(options: Namespace) -> int:
    from imgscope.actions.credentials import Credentials
    from imgscope.actions.login import LogIn, parse_registry, require_helper

    credentials = Credentials()
    registry = parse_registry(options.registry)
    if options.store:
        require_helper(registry, credentials)
    if options.password_stdin and not options.username:
        raise UsageError("With --password-stdin name the user by --username.")
    with connected() as engine:
        username, password = _asked(options.username, stdin=options.password_stdin)
        done = run(LogIn(engine, registry, username, password, credentials, store=options.store))
    if options.store:
        said = done.text
    elif helper := credentials.helper(registry):
        said = f"The login of {username} is right. It was not kept: --store hands it to {helper}"
    else:
        said = (
            f"The login of {username} is right. It was not kept: no credential helper is configured, "
            "and imgscope writes no password in clear"
        )
    print_lines([clean(said)])
    return 0


def _act(action: Action, engine: Engine, credentials: Credentials, options: Namespace) -> int:
    """`act`; where a login turns out to be wanted a person at a terminal is asked, and it goes on."""
    from imgscope.actions.login import LogIn

    try:
        return act(action, options)
    except AuthRequired as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        print(clean(str(error)), file=sys.stderr)
        username, password = _asked("")
        run(LogIn(engine, error.registry, username, password, credentials))
    return act(action, options)


def _asked(username: str, *, stdin: bool = False) -> tuple[str, str]:
    """User name and password, from the terminal where they are not given. Raises `UsageError`."""
    from getpass import getpass

    if stdin:
        return username, sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("There is no terminal to ask for the password; give it by --password-stdin.")
    try:
        if not username:
            print("Username: ", end="", file=sys.stderr, flush=True)
            username = sys.stdin.readline().strip()
        return username, getpass("Password: ", stream=sys.stderr)
    except EOFError:
        raise UsageError("No password was given.") from None
