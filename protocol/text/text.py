"""What a text may be that somebody else wrote, and how it is shown (rule 11).

Three kinds. A *name* names a hospital, study, operator or contract, and so files and labels. A *line* is for
people or must equal what a table holds: any language's letters, nothing that moves, hides or ends a line.
Whatever else is to be shown goes through ``visible``.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from wardround.protocol.characters import escape, is_visible
from wardround.protocol.errors import require

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST_PATTERN = "[0-9a-f]{64}"
_DIGEST = re.compile(DIGEST_PATTERN)
_CLAUSE = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST_LINE = 200
"""Characters of a line, unless the reader says otherwise."""


ALLOWED_IN_NAMES = "must be letters, digits, '.', '_', '-', at most 64, the first a letter or digit"


def is_name(value: object) -> bool:
    """Whether this may name a hospital, study, operator or contract."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def is_digest(value: object) -> bool:
    """Whether this spells a SHA-256 (a fingerprint, a ledger's head) in its one way: 64 digits, lower case."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def zoned_time(text: str) -> datetime:
    """Read a date and time that says its zone, ISO 8601. ValueError for another text, TypeError for what is none."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found


def is_clause(value: object) -> bool:
    """Whether this names a clause that a hospital refuses by: the one word of a refusal that travels."""
    return isinstance(value, str) and _CLAUSE.fullmatch(value) is not None


def checked_name(name: str, key: str = "hospital") -> str:
    """Return a name if it is one; else ConfigurationError under the setting's key."""
    require(is_name(name), key, visible(name, 60), ALLOWED_IN_NAMES)
    return name


def is_line(value: object, most: int = LONGEST_LINE) -> bool:
    """Whether this is one line that is not empty, of at most ``most`` characters, all of which a person sees.

    No control, bidirectional, zero-width or otherwise invisible character, no space at either end, no more
    combining marks in a row than a language needs.
    """
    return isinstance(value, str) and 0 < len(value) <= most and value == value.strip() and is_visible(value)


def is_visible_throughout(value: object) -> bool:
    """Whether a person sees every character of every text in a plain value, keys included."""
    if isinstance(value, Mapping):
        return all(is_visible_throughout(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return all(map(is_visible_throughout, value))
    return not isinstance(value, str) or is_visible(value)


def visible(value: object, most: int = LONGEST_LINE) -> str:
    r"""Write a value for a person to read, whoever wrote it: one line of at most ``most`` visible characters.

    What cannot be seen becomes ``\x1b``, ``\n``, ``\u202e``; what is longer ends in ``...``.
    """
    # Cut before looking: somebody else's text may be megabytes long.
    text = escape(str(value)[: most + 1])
    return text if len(text) <= most else text[: max(most - 3, 0)] + "..."
