"""The manual page, made from the parser: roff with the man macros, man(7)."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator

import imgscope
from imgscope.completion import commands

_ENVIRONMENT = (
    ("IMGSCOPE_CONFIG", "the file of settings, in place of config.toml in the configuration folder"),
    ("IMGSCOPE_CACHE", "the folder of the cache"),
    ("IMGSCOPE_NO_CACHE", "neither read nor keep the index of layers on disk"),
    ("IMGSCOPE_READ_ONLY", "nothing is changed"),
    ("IMGSCOPE_ENGINE_INTERNALS", "read an engine's own layer metadata through a container, never started"),
    ("IMGSCOPE_ASCII", "write ASCII only"),
    ("TEXTUAL_THEME", "the theme; of several with commas between them, the first that is there"),
    ("COLORFGBG", "the terminal's colours: on a light ground, the light theme is used"),
    ("NO_COLOR", "draw in shades of grey"),
    ("DOCKER_HOST, DOCKER_CONTEXT", "the engine, as for docker"),
)
_STATUS = (
    ("0", "done"),
    ("1", "a check failed"),
    ("2", "bad use or bad input; one sentence on stderr says which"),
    ("130", "interrupted"),
)


def page(parser: ArgumentParser) -> Iterator[str]:
    """The page of a parser with commands, line by line."""
    yield f'.TH IMGSCOPE 1 "" "imgscope {imgscope.__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"imgscope \\- {_text((parser.description or '').rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".nf"
    for line in (parser.usage or "").splitlines():
        yield _text(line.strip())
    yield ".fi"
    yield ".SH DESCRIPTION"
    yield _text(parser.description or "")
    yield "Without a command, the images are opened in the terminal."
    yield ".SH COMMANDS"
    for name, command in commands(parser).items():
        yield f".SS {_text(_synopsis(name, command))}"
        yield _text(command.description or "")
        for action in command._actions:
            if action.help and action.help != SUPPRESS and action.dest != "help":
                yield from _term(_names(action), _help(action, command))
    title, *rows = (parser.epilog or "").strip().splitlines()
    yield f".SH {title.rstrip(':').upper()}"
    for row in rows:
        words, _, text = row.strip().partition("  ")
        yield from _term(words, text.strip())
    for title, terms in (("ENVIRONMENT", _ENVIRONMENT), ("EXIT STATUS", _STATUS)):
        yield f".SH {title}"
        for term, text in terms:
            yield from _term(term, text)
    yield ".SH FILES"
    yield from _term("~/.config/imgscope/config.toml", "the settings; imgscope config prints them")
    yield from _term("~/.config/imgscope/themes/*.toml", "themes of one's own")
    yield ".SH SEE ALSO"
    yield ".BR docker (1),\n.BR podman (1),\n.BR skopeo (1)"


def _synopsis(name: str, command: ArgumentParser) -> str:
    words = [f"imgscope {name}"]
    for action in command._actions:
        if not action.option_strings and not isinstance(action, _SubParsersAction):
            value = _value(action)
            optional = action.nargs in ("?", "*")
            words.append(f"[{value}]" if optional else value)
            if action.nargs in ("*", "+", "..."):
                words.append("…")
    return " ".join(words)


def _names(action: Action) -> str:
    takes = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(f"{name}{takes}" for name in action.option_strings) or _value(action)


def _value(action: Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _help(action: Action, command: ArgumentParser) -> str:
    return (action.help or "") % {**vars(action), "prog": command.prog}


def _term(term: str, text: str) -> Iterator[str]:
    yield from (".TP", f"\\fB{_text(term)}\\fR", _text(text) or "\\&")


def _text(text: str) -> str:
    """Text that is no markup to roff, with dashes that can be copied; what is not ASCII by its number."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")
    text = text.replace("`", "\\(ga").replace("'", "\\(aq").replace("~", "\\(ti").replace("^", "\\(ha")
    text = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in text)
    return f"\\&{text}" if text.startswith(".") else text
