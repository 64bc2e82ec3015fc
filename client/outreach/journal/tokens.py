"""What stands for a patient in outreach: a keyed hash of the canonical identifier, by use. Pure.

A token of one use says nothing about those of another, nor about the accounts of the ledger (``gate.keyed_hash``).
"""

import polars as pl

from wardround.client.gate.keyed_hash import JOURNAL, KeyedHash, Use


def tokens(identifiers: pl.Series, key: bytes, use: Use = JOURNAL) -> pl.Series:
    """Give the token of each canonical identifier: 32 hexadecimal digits, null where there is none.

    >>> from wardround.client.gate.keyed_hash import STAFF
    >>> one, other = (tokens(pl.Series(["P1"]), bytes(32), use)[0] for use in (JOURNAL, STAFF))
    >>> len(one), one == other
    (32, False)
    """
    keyed = KeyedHash(key, use)
    texts = [None if text is None else keyed(text.encode()).hex() for text in identifiers.to_list()]
    return pl.Series("token", texts, pl.String)


def token_of(identifier: str, key: bytes, use: Use = JOURNAL) -> str:
    """Give one patient's token."""
    return str(tokens(pl.Series([identifier]), key, use)[0])
