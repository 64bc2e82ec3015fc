"""The flag of commands that timers start. Imports nothing heavy."""

from argparse import ArgumentTypeError

from wardround.protocol.command_line.parser import OneLineParser, whole_number

MOST_HOURS = 24 * 366


def by_timer(parser: OneLineParser, name: str) -> None:
    """Add it. name: of this timer's notes in the home, and of its unit behind ``wardround-``."""
    parser.add_argument(
        "--by-timer",
        type=_hours,
        metavar="HOURS",
        help="a timer runs this every so many hours: alerts tell of a run that failed, or never began",
    )
    parser.set_defaults(timer=name)


def _hours(text: str) -> int:
    found = whole_number(text)
    if not 1 <= found <= MOST_HOURS:
        raise ArgumentTypeError(f"{text}: must be a number of hours from 1 to {MOST_HOURS}")
    return found
