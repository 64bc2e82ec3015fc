"""Suggest the known name that is nearest to one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 64


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Give ``did you mean X? ``, to stand before what is allowed; nothing where no name is near.

    prefix: stands before the nearest name.

    >>> did_you_mean("roudns", ["rounds", "seed"], prefix="training.")
    'did you mean training.rounds? '
    >>> did_you_mean("x" * 1000, ["rounds"])
    ''
    """
    # Comparing takes time by the product of both lengths: nobody mistypes a name of a megabyte.
    close = get_close_matches(name, list(known), n=1) if len(name) <= _LONGEST else []
    return f"did you mean {prefix}{close[0]}? " if close else ""
