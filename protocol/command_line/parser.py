"""A command's words and flags, by argparse; whatever is wrong with a command line is one line."""

import sys
from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.nearest import did_you_mean

SETTINGS = "settings"
"""The argument of a command that takes Hydra's ``key=value``: they stand after the flags, or between them."""


class OneLineParser(ArgumentParser):
    """A parser whose errors are one line. It keeps what was added, to name it in errors and in completions.

    A flag is written in full (an abbreviation in somebody's script would break with the next new flag) and once,
    unless it was added to be repeated: argparse by itself would silently take the last.
    """

    def __init__(self, **given: Any) -> None:
        """Take argparse's keywords."""
        self.added: list[Action] = []
        self.words: dict[str, OneLineParser] = {}
        self._repeated: set[str] = set()
        self._choose_word: Any = None
        self._word = ""
        super().__init__(**{"allow_abbrev": False, "formatter_class": RawDescriptionHelpFormatter, **given})

    def add_argument(self, *names: Any, **given: Any) -> Action:
        """Add an argument, as argparse does."""
        action = super().add_argument(*names, **given)
        self.added.append(action)
        if given.get("action") == "append":
            self._repeated.update(action.option_strings)
        return action

    def begin_words(self, dest: str, metavar: str) -> None:
        """Make a word necessary, kept under ``dest``: the words are added next."""
        self._word = metavar
        self._choose_word = self.add_subparsers(dest=dest, metavar=metavar, required=True)

    def add_word(self, name: str, summary: str) -> "OneLineParser":
        """Add a word; gives its own parser."""
        self.words[name] = self._choose_word.add_parser(name, help=summary, description=summary)
        return self.words[name]

    @property
    def flags(self) -> list[str]:
        """All flags in full."""
        return [name for action in self.added for name in action.option_strings if name.startswith("--")]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Namespace, list[str]]:
        """Parse; ConfigurationError for a flag that is unknown or given twice, before any other fault is looked for."""
        given = sys.argv[1:] if args is None else list(args)
        # Here, not in parse_args: argparse calls an inner word's parser by parse_known_args alone.
        self._look_at(given)
        options, rest = super().parse_known_args(given, namespace)
        settings = getattr(options, SETTINGS, None)
        if settings is not None and not self.words:
            # argparse gives up on an argument of any number at the first flag behind it.
            settings = [*settings, *(text for text in rest if not text.startswith("-"))]
            rest = [text for text in rest if text.startswith("-")]
            for text in settings:
                self._refuse_flag_as_setting(text)
            setattr(options, SETTINGS, settings)
        if rest:
            self.error(f"{rest[0]}: unknown argument; {self._instead_of(rest[0])}")
        return options, []

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError in the place of usage and exit."""
        # argparse tells its errors apart by their words alone.
        chosen = message.removeprefix(f"argument {self._word}: invalid choice: ")
        if self._word and chosen != message:
            word = chosen.removeprefix("'").partition("'")[0]
            message = (
                f"{word}: unknown command; {did_you_mean(word, self.words)}one of {', '.join(self.words)}"
            )
        raise ConfigurationError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def _look_at(self, given: Iterable[str]) -> None:
        """Refuse unknown flags, up to a word with flags of its own, and known ones that stand there twice."""
        seen, known, mine = set[str](), set(self.flags), True
        for text in given:
            # Behind it argparse takes nothing for a flag.
            if text == "--":
                return
            mine = mine and text not in self.words
            flag = text.partition("=")[0]
            if not flag.startswith("--"):
                continue
            if flag in known and flag in seen and flag not in self._repeated:
                self.error(f"{flag}: is given twice; give it once")
            if flag not in known and mine:
                self.error(f"{flag}: unknown flag; {self._instead_of(flag)}")
            seen.add(flag)

    def _instead_of(self, text: str) -> str:
        """Say what might be meant, and what is allowed."""
        name = "--" + text.lstrip("-").partition("=")[0].replace("_", "-")
        return f"{did_you_mean(name, self.flags)}allowed: {', '.join(self.flags)}"

    def _refuse_flag_as_setting(self, text: str) -> None:
        key, _, value = text.partition("=")
        flag = f"--{key.replace('_', '-')}"
        if flag in self.flags:
            self.error(f"{text}: is a flag, not a study's setting; write {flag} {value}".rstrip())


class ShowVersion(Action):
    """Says the installed version."""

    def __call__(self, parser: ArgumentParser, *_: object, **__: object) -> NoReturn:
        """Write one line, and leave."""
        from wardround.protocol.installed import installed_version
        from wardround.protocol.text.say import say

        say(f"wardround {installed_version()}")
        parser.exit()


class WriteCompletion(Action):
    """Writes the script that completes the command line in a shell. const: gives the settings that may stand there."""

    def __call__(self, parser: ArgumentParser, _: object, shell: object, *__: object) -> NoReturn:
        """Write it, and leave."""
        from wardround.protocol.command_line.completion import places, script
        from wardround.protocol.text.say import say

        if isinstance(parser, OneLineParser) and callable(self.const):
            text = script(str(shell), parser.prog, list(places(parser)), self.const())
            say(*text.splitlines())
        parser.exit()


def _nothing_more(parser: OneLineParser) -> None:
    """Add no argument."""


@dataclass(frozen=True)
class Command:
    """One word of a command line. module: the file that runs it. machine: whether it takes ``--json``."""

    name: str
    module: str
    summary: str
    add: Callable[[OneLineParser], object] = field(default=_nothing_more)
    machine: bool = True


def begin(
    program: str, description: str, epilog: str, settings: Callable[[], Sequence[str]] = tuple
) -> OneLineParser:
    """Make a program's parser, which asks for one of its commands. settings: what completion offers as ``key=``."""
    top = OneLineParser(prog=program, description=description, epilog=epilog)
    top.add_argument("--version", action=ShowVersion, nargs=0, help="the version of wardround")
    add_completion(top, settings)
    top.begin_words("command", "COMMAND")
    return top


def add_completion(parser: OneLineParser, settings: Callable[[], Sequence[str]] = tuple) -> None:
    """Add the flag that writes the script for a shell. settings: what is offered as ``key=``."""
    parser.add_argument(
        "--completion",
        action=WriteCompletion,
        choices=("bash", "zsh"),
        const=settings,
        metavar="SHELL",
        help="print a completion script: source <(%(prog)s --completion bash), or zsh",
    )


def number(text: str) -> float:
    """Read a flag's number."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: must be a number") from None


def whole_number(text: str) -> int:
    """Read a flag's whole number."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: must be a whole number") from None
