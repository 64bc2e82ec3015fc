"""Signed terms that arrived, one file each: HOME/terms/FINGERPRINT-OPERATOR.terms; the ledger says their state."""

import hashlib
import logging
from pathlib import Path

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.files import write_durably
from wardround.protocol.wire.signed_terms import SignedTerms, load_terms, signed_terms_to_bytes

logger = logging.getLogger("wardround.hospital")

MOST_KEPT = 1000
LARGEST_KEPT = 64 * 2**20
"""Files, and bytes of them, of one operator: whoever has an operator's key can neither fill the ledger's disk with
terms (one file may have 4 MiB) nor keep another operator's from being seen."""
_SUFFIX = ".terms"


def keep_pending(folder: Path, signed: SignedTerms) -> None:
    """Keep an operator's terms for a person to decide on; a later expiry replaces the same terms' earlier one.

    At most ``MOST_KEPT`` files of an operator, of together ``LARGEST_KEPT`` bytes; that there is no more room, in
    there or on the disk, is only logged.
    """
    # In the file's name: two operators may sign the same terms, and neither may replace the other's file.
    operator = hashlib.sha256(signed.operator.encode()).hexdigest()[:8]
    path = folder / f"{signed.terms.fingerprint}-{operator}{_SUFFIX}"
    payload = signed_terms_to_bytes(signed)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and path.read_bytes() == payload:
            return
        others = [kept.stat().st_size for kept in folder.glob(f"*-{operator}{_SUFFIX}") if kept != path]
        if len(others) >= MOST_KEPT or sum(others) + len(payload) > LARGEST_KEPT:
            logger.warning(
                "terms: %d of this operator are already stored (%d bytes); decide on some and remove their files",
                len(others), sum(others),
            )  # fmt: skip
            return
        write_durably(path, payload, 0o644)
    except OSError as error:
        logger.warning("terms: not stored (%s)", error.strerror)
    except ConfigurationError as error:
        logger.warning("terms: not stored: %s", error)


def kept_terms(folder: Path) -> list[SignedTerms]:
    """Read all kept terms, in the order of their fingerprints; a file that is none is left out, and logged."""
    found = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            found.append(load_terms(path))
        except WardroundError as error:
            logger.warning("terms: %s: %s", path.name, error)
    return found
