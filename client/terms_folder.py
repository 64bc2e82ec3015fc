"""Signed terms that arrived, one file each: HOME/terms/FINGERPRINT-OPERATOR.terms; the ledger says their state."""

import hashlib
import logging
from pathlib import Path

from protocol.errors import ConfigurationError, WardroundError
from protocol.signed_terms import SignedTerms, load_terms, signed_terms_to_bytes
from protocol.signing import write_new

logger = logging.getLogger("wardround.hospital")

MOST_KEPT = 1000
_SUFFIX = ".terms"


def keep_pending(folder: Path, signed: SignedTerms) -> None:
    """Keep an operator's terms for a person to decide on; a later expiry replaces the same terms' earlier one.

    At most ``MOST_KEPT`` files; that they are full, or the disk, is only logged.
    """
    operator = hashlib.sha256(signed.operator.encode()).hexdigest()[:8]
    path = folder / f"{signed.terms.fingerprint}-{operator}{_SUFFIX}"
    payload = signed_terms_to_bytes(signed)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and path.read_bytes() == payload:
            return
        if not path.exists() and len(list(folder.glob(f"*{_SUFFIX}"))) >= MOST_KEPT:
            logger.warning("terms: %d are kept already; decide on some and remove their files", MOST_KEPT)
            return
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        write_new(fresh, payload, 0o644)
        fresh.replace(path)
    except OSError as error:
        logger.warning("terms: not kept (%s)", error.strerror)
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
