"""Scripts that complete imgscope's words in a shell, made from the parser by shtab, and names of images."""

from __future__ import annotations

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

PATIENCE = 1.0  # seconds that a key may wait for the engine
_PATHS = ("docker-archive:", "oci-archive:", "oci:")
_IMAGES = {"REF", "SOURCE", "IMAGE", "A", "B", "TARGET", "NAME", "NAME[:TAG]"}
_ASK = "imgscope completion bash --names"

_REFERENCES: dict[str, Any] = {
    "bash": "_imgscope_images",
    "zsh": "_imgscope_images",
    "fish": "(_imgscope_images)",
    "tcsh": "f",
    "preamble": {
        "bash": f"""
_imgscope_images() {{
  compgen -W "$({_ASK} "$1" 2>/dev/null)" -- "$1"
  _imgscope_paths "$1"
}}
""",
        "zsh": f"""
_imgscope_images() {{
  local -a images
  images=(${{(f)"$({_ASK} "$PREFIX" 2>/dev/null)"}})
  compadd -- $images
  _files
}}
""",
        "fish": f"""
function _imgscope_images
  {_ASK} (commandline -ct) 2>/dev/null
  __fish_complete_path (commandline -ct)
end
""",
    },
}
_PATH: dict[str, Any] = {"bash": "_imgscope_paths", "zsh": "_files", "tcsh": "f"}
_FOLDER: dict[str, Any] = {"bash": "_imgscope_folders", "zsh": "_files -/", "tcsh": "d"}
_BASH_PATHS = """
_imgscope_folders() {
  compgen -d -S / -- "$1"
}
_imgscope_paths() {
  local path
  while IFS= read -r path; do
    [[ -d $path ]] || echo "$path"
  done < <(compgen -f -- "$1")
  _imgscope_folders "$1"
}
"""
# bash takes a colon for the end of a word; names of images have them
_BASH_WORDS = """
_imgscope() {
  local word typed
  if [[ ${COMP_WORDS[*]} == *:* ]]; then
    local -a COMP_WORDS words
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=("")
    COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$((${#words[@]} - 1))
  fi
  _shtab_imgscope
  word=${COMP_WORDS[COMP_CWORD]}
  if [[ $COMP_CWORD -eq 1 && $word != -* ]]; then  # imgscope REF opens it
    while IFS= read -r typed; do COMPREPLY+=("$typed"); done < <(_imgscope_images "$word")
  fi
  if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
    typed=${word%"${word##*:}"}
    COMPREPLY=("${COMPREPLY[@]#"$typed"}")
  fi
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:/] ]] && compopt -o nospace
  return 0
}
complete -o bashdefault -F _imgscope imgscope
"""


def script(shell: str) -> str:
    """The script for bash, zsh, fish or tcsh; for bash it takes names with colons for one word."""
    import shtab

    from imgscope.cli import parser

    whole = parser()
    for name, command in commands(whole).items():
        for action in command._actions:
            metavar = str(action.metavar)
            if action.choices or (metavar == "NAME" and (action.option_strings or name == "demo")):
                continue  # the name of something else
            if (found := _completer(metavar, shtab)) is not None:
                vars(action)["complete"] = found
    text: str = shtab.complete(whole, shell, preamble=_BASH_PATHS if shell == "bash" else "")
    return text + _BASH_WORDS if shell == "bash" else text


def commands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """The parsers of the commands, by their words."""
    (found,) = (action for action in parser._actions if isinstance(action, _SubParsersAction))
    return dict(found.choices)


def _completer(metavar: str, shtab: Any) -> dict[str, Any] | None:
    """What completes an argument, by how the help names its value."""
    if metavar in _IMAGES:
        return _REFERENCES
    if metavar == "THEME":
        return dict(shtab.cmd(f"{_ASK} theme: 2>/dev/null"))
    if metavar in ("PATH", "FILE"):
        return dict(shtab.FILE | _PATH)
    if metavar in ("DIR", "FOLDER", "oci:DIR"):
        return dict(shtab.DIRECTORY | _FOLDER)
    return None


def names(beginning: str) -> list[str]:
    """What images may be called that begin so: the engine's names, or what a transport's prefix leads to.

    An engine that does not answer in time has none. `theme:` asks for the themes.
    """
    if beginning == "theme:":
        from imgscope.ui.theme import Themes

        return sorted(Themes.find().by_name)
    found: list[str] = []
    if beginning.startswith("demo:"):
        found = [f"demo:{name}" for name in _demo()]
    elif (prefix := next((word for word in _PATHS if beginning.startswith(word)), None)) is not None:
        found = [prefix + path for path in _paths(beginning.removeprefix(prefix))]
    else:
        asking = Thread(target=lambda: found.extend(_engine()), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        found = [*found, *(f"docker-daemon:{name}" for name in found), "docker-daemon:", "demo:", *_PATHS]
        if not beginning:  # a list that can be read
            found = [name for name in found if not name.startswith("docker-daemon:")]
    return sorted({name for name in found if name.startswith(beginning) and name.isprintable()})


def _engine() -> list[str]:
    """The names that the engine has; none where it does not answer."""
    from imgscope.errors import ImgscopeError
    from imgscope.images.reference import Reference
    from imgscope.sources.connection import Connection

    with suppress(ImgscopeError, TypeError, AttributeError):
        listed = Connection.find().get_json("/images/json")
        tags = {str(tag) for item in listed for tag in item.get("RepoTags") or ()} - {"<none>:<none>"}
        return [name for tag in tags for name in {tag, Reference.parse(tag).familiar}]
    return []


def _demo() -> Iterator[str]:
    from contextlib import closing

    from imgscope.job import Job
    from imgscope.sources.demo import DemoSource

    with closing(DemoSource()) as source:
        for images in source.images(Job()):
            for image in images:
                yield from image.references


def _paths(beginning: str) -> Iterator[str]:
    """The files and folders that begin so; a folder with a slash at its end."""
    folder, slash, name = beginning.rpartition("/")
    with suppress(OSError):
        for path in Path(folder + slash or ".").expanduser().iterdir():
            if path.name.startswith(name) and (name or not path.name.startswith(".")):
                yield f"{folder}{slash}{path.name}{'/' * path.is_dir()}"
