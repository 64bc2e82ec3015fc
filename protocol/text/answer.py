"""A question to the person at the terminal, whose yes is a word that nobody types by accident."""

import sys

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import prompt


def types(answer: str, *question: str, unattended: str) -> bool:
    """Ask, on standard error, and say whether the person typed ``answer``.

    unattended: the line of the ConfigurationError where nobody is at the terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():  # None where it was closed before the start
        raise ConfigurationError(unattended)
    prompt(*question)
    return sys.stdin.readline().strip() == answer
