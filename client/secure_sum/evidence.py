"""What an operator signed of each sum's survivors, kept so that a lie can be proven: HOME/evidence/.

    TERMS-OPERATOR-ACCOUNT-ROUND.first     the request that was answered for a slot
    TERMS-OPERATOR-ACCOUNT-ROUND.second    the first one that contradicts it

At most two files for a slot, and none that does not belong to a study with keys here. The first ones go with the
study's keys; a pair stays until a person removes it. None of it is a secret, and nothing rests on it but the proof:
that a slot is answered once is the ledger's.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from wardround.protocol.errors import MessageError
from wardround.protocol.files import read_bounded, write_durably
from wardround.protocol.wire.opening import OPENING_BYTES
from wardround.protocol.wire.sum_evidence import Contradiction, read_contradiction
from wardround.protocol.wire.sum_wire import LARGEST_SUM_MESSAGE

logger = logging.getLogger("wardround.hospital")

_FIRST, _SECOND = ".first", ".second"
_LARGEST = OPENING_BYTES + LARGEST_SUM_MESSAGE


class SumEvidence:
    """The folder. A disk that takes nothing changes no answer, and is logged."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made with the first file."""
        self._folder = folder

    def keep_first(self, operator: str, terms: str, account: str, round_number: int, signed: bytes) -> None:
        """Keep the request that is about to be answered for a slot. operator: its first key."""
        self._write(self._path(operator, terms, account, round_number, _FIRST), signed)

    def keep_second(
        self, operator: str, terms: str, account: str, round_number: int, signed: bytes
    ) -> tuple[bytes, bytes] | None:
        """Keep a request that contradicts the first, unless one is kept; both, or None where they prove nothing."""
        place = operator, terms, account, round_number
        first, second = self._path(*place, _FIRST), self._path(*place, _SECOND)
        try:
            if not second.exists():
                read_contradiction(read_bounded(first, _LARGEST), signed)
                self._write(second, signed)
            return self._pair(second)
        except (OSError, MessageError) as error:
            logger.warning("evidence: %s proves nothing (%s)", first.stem, error)
            return None

    def pairs(self) -> Iterator[tuple[bytes, bytes, Contradiction]]:
        """Give every pair that is kept, verified anew; what proves nothing is left out, and logged."""
        for second in sorted(self._folder.glob(f"*{_SECOND}")):
            try:
                first, other = self._pair(second)
                yield first, other, read_contradiction(first, other)
            except (OSError, MessageError) as error:
                logger.warning("evidence: %s proves nothing (%s)", second.stem, error)

    def forget_but(self, studies: Collection[str]) -> None:
        """Delete the first requests of all other studies (``study_word``) where nothing contradicts them."""
        for path in self._folder.glob(f"*{_FIRST}"):
            study = "-".join(path.stem.split("-")[:2])
            if study not in studies and not path.with_suffix(_SECOND).exists():
                path.unlink(missing_ok=True)

    def _pair(self, second: Path) -> tuple[bytes, bytes]:
        return read_bounded(second.with_suffix(_FIRST), _LARGEST), read_bounded(second, _LARGEST)

    def _path(self, operator: str, terms: str, account: str, round_number: int, suffix: str) -> Path:
        return self._folder / f"{study_word(operator, terms)}-{account}-{round_number}{suffix}"

    def _write(self, path: Path, signed: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(path, signed, 0o600)
        except OSError as error:
            logger.warning("evidence: %s cannot be written (%s)", path.name, error.strerror)


def study_word(operator: str, terms: str) -> str:
    """Name a study in a file's name: two operators may sign the same terms. operator: its first key."""
    return f"{terms}-{hashlib.sha256(operator.encode()).hexdigest()}"
