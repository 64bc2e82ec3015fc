"""Flags that several commands have. Imports nothing heavy."""

from argparse import SUPPRESS
from pathlib import Path

from wardround.protocol.command_line.parser import OneLineParser


def inner(parser: OneLineParser, name: str, summary: str, machine: bool = True) -> OneLineParser:
    """Add a word behind a command, whose common flags leave alone what stood before it. machine: as in ``common``."""
    word = parser.add_word(name, summary)
    common(word, SUPPRESS, machine)
    return word


def common(parser: OneLineParser, home: Path | str, machine: bool = True, homeless: bool = False) -> None:
    """Add the flags of every command. home: the default, SUPPRESS for an inner word. machine: with ``--json``."""
    # An inner word's defaults come last in argparse: they would undo a flag that was typed before it.
    off = SUPPRESS if home == SUPPRESS else False
    if not homeless:
        parser.add_argument("--home", type=Path, default=home, metavar="DIR", help="the home folder")
    if machine:
        parser.add_argument("--json", action="store_true", default=off, help="print JSON, for scripts")
    parser.add_argument(
        "--verbose", "-v", action="store_true", default=off, help="log each step on standard error"
    )


def optional_terms(parser: OneLineParser) -> None:
    """Add the choice of a study whose contract counts."""
    parser.add_argument(
        "--terms",
        metavar="TERMS",
        help="a signed terms file or a study's name; needed if several contracts are known",
    )


def of_contract(parser: OneLineParser) -> None:
    """Add the choice of a contract: of a study, or of a file."""
    optional_terms(parser)
    parser.add_argument("--contract", type=Path, metavar="FILE", help="the contract, before there are terms")


def of_model(parser: OneLineParser) -> None:
    """Add what says who answers for a model that is used."""
    parser.add_argument(
        "--signature", type=Path, metavar="FILE", help="the study's model.signature (default: beside MODEL)"
    )
    optional_terms(parser)
    parser.add_argument(
        "--accept-not-releasable",
        metavar="REASON",
        help="use a signed model that is not marked releasable; the reason is recorded",
    )
    parser.add_argument(
        "--accept-unsigned", metavar="REASON", help="use a model that nobody signed; the reason is recorded"
    )
    parser.add_argument(
        "--contract",
        type=Path,
        metavar="FILE",
        help="in a simulated home: the contract.yaml beside a simulation's model",
    )
    of_person(parser, "who accepts")


def of_person(parser: OneLineParser, who: str, signs: bool = True) -> None:
    """Add who acts. signs: whether their password is asked for, where they have one."""
    parser.add_argument("--person", metavar="NAME", help=f"{who} (default: the user's name)")
    if signs:
        parser.add_argument(
            "--password-file",
            type=Path,
            metavar="FILE",
            help="where they have a password: its one line, or /dev/fd/N (default: asked at the terminal)",
        )
