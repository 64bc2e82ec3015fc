"""Signed terms that arrived, one file each: HOME/terms/FINGERPRINT.terms. Their state is the ledger's to say."""

import logging
from contextlib import suppress
from pathlib import Path

from protocol.errors import ConfigurationError, WardroundError
from protocol.signed_terms import SignedTerms, load_terms, signed_terms_to_bytes
from protocol.signing import write_new

logger = logging.getLogger("wardround.hospital")

MOST_KEPT = 1000
_SUFFIX = ".terms"


def keep_pending(folder: Path, signed: SignedTerms) -> None:
    """Keep terms for a person to decide on; at most ``MOST_KEPT`` files, and a full disk is only logged."""
    path = folder / f"{signed.terms.fingerprint}{_SUFFIX}"
    if path.exists():
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if len(list(folder.glob(f"*{_SUFFIX}"))) >= MOST_KEPT:
            logger.warning(
                "terms: %d files are kept already; decide on some and remove their files", MOST_KEPT
            )
            return
    try:
        write_new(path, signed_terms_to_bytes(signed), 0o644)
    except ConfigurationError as error:
        logger.warning("terms: not kept: %s", error)


def kept_terms(folder: Path) -> list[SignedTerms]:
    """Read all kept terms, in the order of their fingerprints; a file that is none is left out, and logged."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(load_terms(path))
        except WardroundError as error:
            logger.warning("terms: %s: %s", path.name, error)
    return found
