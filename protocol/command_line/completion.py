"""Completion of a command line in bash and zsh, written from the parser that reads it.

The script holds all that it offers: nothing of ours runs while somebody types. Write it anew after an update.
"""

from argparse import Action
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from wardround.protocol.command_line.parser import SETTINGS, OneLineParser

_NAMES_FILE = ("KEY", "NEW", "PEER", "TERMS")
"""Metavars of arguments that are texts, and mostly name a file."""


@dataclass(frozen=True)
class Place:
    """What may stand behind the words of ``path``, as in ``ledger show``.

    files, folders, others: flags by what follows them. arguments: whether file names may stand here.
    """

    path: str
    words: Sequence[str] = ()
    flags: Sequence[str] = ()
    files: Sequence[str] = ()
    folders: Sequence[str] = ()
    others: Sequence[str] = ()
    arguments: bool = False
    settings: bool = False
    choices: dict[str, Sequence[str]] = field(default_factory=dict)


def places(parser: OneLineParser, path: str = "") -> Iterator[Place]:
    """Give what the parser takes, by the words that were typed."""
    valued = [action for action in parser.added if action.option_strings and action.nargs != 0]
    plain = [action for action in valued if not action.choices]
    folders = [action for action in plain if action.metavar == "DIR"]
    files = [action for action in plain if _is_file(action) and action not in folders]
    positional = [action for action in parser.added if not action.option_strings]
    yield Place(
        path=path,
        words=tuple(parser.words),
        flags=parser.flags,
        files=_names(files),
        folders=_names(folders),
        others=_names([action for action in plain if action not in files + folders]),
        arguments=any(_is_file(action) for action in positional),
        settings=any(action.dest == SETTINGS for action in positional),
        choices={
            name: [str(choice) for choice in action.choices]
            for action in valued
            if action.choices
            for name in action.option_strings
        },
    )
    for word, inner in parser.words.items():
        yield from places(inner, f"{path} {word}".strip())


def script(shell: str, program: str, offered: Sequence[Place], settings: Sequence[str]) -> str:
    """Write the script for ``bash`` or ``zsh``. settings: ``key=`` and ``group=option``, without blanks."""
    name = "_" + program.replace("-", "_")
    table = "\n".join(_case(place) for place in offered)
    body = {"bash": _BASH, "zsh": _ZSH}[shell]
    for mark, text in (
        ("SETTINGS", quote("\n".join(settings))),
        ("TABLE", table),
        ("NAME", name),
        ("PROGRAM", program),
    ):
        body = body.replace(f"@{mark}@", text)
    return body


def _is_file(action: Action) -> bool:
    return action.type is Path or action.metavar in _NAMES_FILE


def _names(actions: Sequence[Action]) -> list[str]:
    return [name for action in actions for name in action.option_strings]


def _case(place: Place) -> str:
    """One line of the table: what the shell's variables are at this place."""
    parts = [
        ("next_words", place.words), ("flags", place.flags), ("files", place.files), ("folders", place.folders),
        ("others", place.others), ("arguments", ["yes"] if place.arguments else []),
        ("settings", ["yes"] if place.settings else []),
    ]  # fmt: skip
    assignments = "; ".join(f"{key}={quote(' '.join(value))}" for key, value in parts)
    chosen = "".join(
        f" {quote(flag)}) choices={quote(' '.join(values))};;" for flag, values in place.choices.items()
    )
    return f'    {quote(place.path)}) {assignments}; choices=; case "$2" in{chosen or " *) ;;"} esac;;'


_TABLE = """\
# What may stand behind the words $1, and after the flag $2.
@NAME@_at() {
  case "$1" in
@TABLE@
  esac
}
"""

_BASH = (
    """\
# Completion of @PROGRAM@ in bash: source <(@PROGRAM@ --completion bash)
"""
    + _TABLE
    + """
@NAME@() {
  local next_words flags files folders others arguments settings choices
  local before=${COMP_LINE:0:COMP_POINT} path='' previous='' current typed word kept
  # Cut at blanks alone: readline also cuts at the = of key=value.
  read -ra typed <<< "$before"
  [[ $before == *[[:space:]] ]] && typed+=('')
  current=${typed[${#typed[@]}-1]}
  @NAME@_at '' ''
  for word in "${typed[@]:1:${#typed[@]}-2}"; do
    if [[ " $next_words " == *" $word "* && " $files $folders $others " != *" ${previous:-none} "* ]]; then
      path="${path:+$path }$word"
    fi
    previous=$word
    @NAME@_at "$path" "$previous"
  done
  kept=''
  if [[ $current == --*=* ]]; then
    previous=${current%%=*} kept=${current%%=*}= current=${current#*=}
    @NAME@_at "$path" "$previous"
  fi
  COMPREPLY=()
  if [[ -n $choices ]]; then
    COMPREPLY=($(compgen -W "$choices" -- "$current"))
  elif [[ -n $previous && " $folders " == *" $previous "* ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -d -- "$current")
  elif [[ -n $previous && " $files " == *" $previous "* ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ -n $previous && " $others " == *" $previous "* ]]; then
    :
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $settings ]]; then
    COMPREPLY=($(compgen -W @SETTINGS@ -- "$current"))
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2> /dev/null
    # What stands before the last = is not replaced.
    [[ $current == *=* && $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*=}"}"}")
  elif [[ -n $next_words ]]; then
    COMPREPLY=($(compgen -W "$next_words" -- "$current"))
  elif [[ -n $arguments ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
  if [[ -n $kept && $COMP_WORDBREAKS != *=* ]]; then COMPREPLY=("${COMPREPLY[@]/#/$kept}"); fi
}
complete -F @NAME@ @PROGRAM@
"""
)

_ZSH = (
    """\
#compdef @PROGRAM@
# Completion of @PROGRAM@ in zsh: source <(@PROGRAM@ --completion zsh), after compinit
"""
    + _TABLE
    + """
@NAME@() {
  local -a typed=("${(@)words[2,CURRENT]}")
  local next_words flags files folders others arguments settings choices
  local at='' previous='' current="${typed[-1]}" word
  @NAME@_at '' ''
  for word in "${(@)typed[1,-2]}"; do
    if [[ " $next_words " == *" $word "* && " $files $folders $others " != *" ${previous:-none} "* ]]; then
      at="${at:+$at }$word"
    fi
    previous=$word
    @NAME@_at "$at" "$previous"
  done
  if [[ $current == --*=* ]]; then
    previous=${current%%=*}
    compset -P '*='
    @NAME@_at "$at" "$previous"
  fi
  if [[ -n $choices ]]; then
    compadd -- ${=choices}
  elif [[ -n $previous && " $folders " == *" $previous "* ]]; then
    _files -/
  elif [[ -n $previous && " $files " == *" $previous "* ]]; then
    _files
  elif [[ -n $previous && " $others " == *" $previous "* ]]; then
    _message 'a value'
  elif [[ $current == -* ]]; then
    compadd -- ${=flags}
  elif [[ -n $settings ]]; then
    local all=@SETTINGS@
    local -a known=(${=all})
    compadd -S '' -- ${(M)known:#*=}
    compadd -- ${known:#*=}
  elif [[ -n $next_words ]]; then
    compadd -- ${=next_words}
  elif [[ -n $arguments ]]; then
    _files
  fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then @NAME@ "$@"; else compdef @NAME@ @PROGRAM@; fi
"""
)
