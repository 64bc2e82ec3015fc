"""Signs as values of a command line: ``data.format.separator=;`` means what it says.

A shell takes the quotes away, and Hydra's grammar has a meaning of its own for the bare sign.
"""

import re

_ONE_SIGN = re.compile(r"(data\.format\.(?:separator|quote|decimal|thousands))=([^\w\\])")


def with_quoted_sign(override: str) -> str:
    """Quote the value where it is one sign of a table's format; anything else stays as it is.

    >>> with_quoted_sign("data.format.separator=;")
    "data.format.separator=';'"
    """
    found = _ONE_SIGN.fullmatch(override)
    if found is None:
        return override
    key, sign = found.groups()
    quote = '"' if sign == "'" else "'"
    return f"{key}={quote}{sign}{quote}"
