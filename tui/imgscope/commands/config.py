"""What the person set: config, and what shells and man can know of the commands: completion, man."""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, Namespace
from typing import TYPE_CHECKING, Any

from imgscope.commands import Add, print_json, print_lines
from imgscope.text import clean

if TYPE_CHECKING:
    from imgscope.config import Value
    from imgscope.ui.theme import Themes

SCHEMA = 1
SHELLS = ("bash", "zsh", "fish", "tcsh")


def register(add: Add) -> None:
    """Add the commands to the parser."""
    config = add("config", "print the settings that count and where each comes from, and the themes", _config)
    config.add_argument("--json", action="store_true", help="as JSON")
    config.add_argument(
        "--keys", action="store_true", help="the keys instead, by the ids that [keymap] takes"
    )
    config.add_argument("--theme", default="", metavar="THEME", help="as if it were given to imgscope")
    config.add_argument("--read-only", action="store_true", help="as if it were given to imgscope")
    config.add_argument("--no-cache", action="store_true", help="as if it were given to imgscope")
    completion = add("completion", "print a script that completes imgscope's words in a shell", _completion)
    completion.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS))
    completion.add_argument("--names", metavar="BEGINNING", help=SUPPRESS)
    add("man", "print the manual page, for man -l -", _man)


def _config(options: Namespace) -> int:
    from imgscope.config import config_path, effective, user_themes_folder
    from imgscope.ui.theme import Themes

    if options.keys:
        return _keys(options)
    themes = Themes.find()
    chosen = {"ascii": options.ascii, "read-only": options.read_only, "cache": options.no_cache}
    given = {key: key != "cache" for key, asked in chosen.items() if asked}
    values = effective(given, lambda: themes.choose(options.theme))
    _own_keys()  # what the screen would refuse is no setting that counts
    path = config_path()
    if options.json:
        print_json(
            {
                "schema": SCHEMA,
                "path": str(path),
                "exists": path.exists(),
                "settings": {
                    value.key: {"value": _plain(value.value), "from": value.origin} for value in values
                },
                "themes": dict(sorted(themes.origins.items())),
                "themes_folder": str(user_themes_folder()),
                "problems": themes.problems,
            }
        )
    else:
        print_lines(map(clean, _text(str(path) + " (not there)" * (not path.exists()), values, themes)))
    return 0


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else list(value) if isinstance(value, tuple) else value


def _text(path: str, values: list[Value], themes: Themes) -> list[str]:
    from imgscope.config import shown, user_themes_folder

    cells = [(value.key, shown(value.value), value.origin) for value in values]
    wide = min(max(len(text) for _, text, _ in cells), 48)
    ours = [name for name, origin in themes.origins.items() if origin != "textual"]
    theirs = [name for name, origin in themes.origins.items() if origin == "textual"]
    return [
        f"settings  {path}",
        *(f"  {key:<16}  {text:<{wide}}  {origin}" for key, text, origin in cells),
        f"themes    yours in {user_themes_folder()}",
        f"  {', '.join(sorted(ours))}",
        f"  from Textual: {', '.join(sorted(theirs))}",
        *(f"  {problem}" for problem in themes.problems),
    ]


def _own_keys() -> dict[str, str]:
    """The person's keys by the ids of what they do; raises `UsageError` for those that cannot be."""
    from imgscope.config import parse, read

    if (document := read()) is None or not (keymap := parse(document).keymap):
        return {}
    from imgscope.ui.keymap import check  # loads all screens

    return check(keymap, lambda name, says: document.error(f"keymap.{name}", says))


def _keys(options: Namespace) -> int:
    from imgscope.ui.keymap import known, places

    ids, own = known(places()), _own_keys()
    rows = [
        (name, own.get(name, binding.key), binding.tooltip or binding.description, name in own)
        for name, binding in ids.items()
    ]
    if options.json:
        print_json(
            {
                "schema": SCHEMA,
                "keys": {name: {"keys": keys.split(","), "what": what} for name, keys, what, _ in rows},
            }
        )
        return 0
    wide = max(len(keys) for _, keys, _, _ in rows)
    print_lines(f"{name:<22}  {keys:<{wide}}  {what}{'  (yours)' * mine}" for name, keys, what, mine in rows)
    return 0


def _completion(options: Namespace) -> int:
    from imgscope import completion

    if options.names is not None:
        print_lines(completion.names(options.names))
        sys.stdout.flush()
        os._exit(0)  # an engine that does not answer is not waited for
    print_lines([completion.script(options.shell)])
    return 0


def _man(options: Namespace) -> int:
    from imgscope.cli import parser
    from imgscope.manual import page

    print_lines(page(parser()))
    return 0
