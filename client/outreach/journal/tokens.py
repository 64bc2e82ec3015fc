"""What stands for a patient in outreach: a keyed hash of the canonical identifier, by use. Pure.

BLAKE2b (RFC 7693) under the hospital's patients key, whose ``person`` field keeps the uses apart: a token of one use
says nothing about those of another, nor about the accounts of the ledger.
"""

import hashlib

import polars as pl

JOURNAL, PROFESSIONALS = b"outreach journal", b"outreach staff"
_TOKEN_BYTES, _KEY_BYTES = 16, 32


def tokens(identifiers: pl.Series, key: bytes, use: bytes = JOURNAL) -> pl.Series:
    """Give the token of each canonical identifier: 32 hexadecimal digits, null where there is none.

    >>> one, other = (tokens(pl.Series(["P1"]), bytes(32), use)[0] for use in (JOURNAL, PROFESSIONALS))
    >>> len(one), one == other
    (32, False)
    """
    # Hashed first, as for the gate's tokens: BLAKE2b takes keys of at most 64 bytes.
    fitted = hashlib.blake2b(key, digest_size=_KEY_BYTES, person=b"wardround key").digest()
    keyed = hashlib.blake2b(key=fitted, digest_size=_TOKEN_BYTES, person=use)

    def token(text: str | None) -> str | None:
        if text is None:
            return None
        one = keyed.copy()  # the key's block is hashed once, not once per patient
        one.update(text.encode())
        return one.hexdigest()

    return pl.Series("token", [token(text) for text in identifiers.to_list()], pl.String)


def token_of(identifier: str, key: bytes, use: bytes = JOURNAL) -> str:
    """Give one patient's token."""
    return str(tokens(pl.Series([identifier]), key, use)[0])
