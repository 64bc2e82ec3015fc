"""Keys of a study's secure sums, in a file of the home for each operator's terms: HOME/sums/TERMS-OPERATOR.keys.

It holds the study secret, the roster once it is signed, and the shares of others' slot keys once they are opened. It is
not part of the ledger, nor of its backups, and is deleted when the terms expire: after that nobody, not even all
hospitals together, can take the masks off what a server kept. Whoever lost it takes no further part in the study; a
copy of it that lies elsewhere can be used against this hospital, so no backup should hold the folder.
"""

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wardround.client.secure_sum.evidence import study_word
from wardround.client.secure_sum.member import Opened
from wardround.client.secure_sum.secret_file import erase, erase_leftovers, leftovers_of, replace_secret
from wardround.protocol.errors import Refusal
from wardround.protocol.files import read_bounded, sync_folder
from wardround.protocol.secure_sum.keys import SECRET_BYTES, StudySecret
from wardround.protocol.secure_sum.sharing import SHARE_BYTES
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_json

logger = logging.getLogger("wardround.hospital")

MOST_STUDIES, LARGEST_KEPT = 200, 2**30
"""Files, and bytes of them, of one operator: where no person approves, it may propose studies without end."""
_LARGEST, _LARGEST_HEAD = 2**28, 4096
_DIGEST_HEX = 64
_SUFFIX = ".keys"


@dataclass(frozen=True, eq=False)
class StudyKeys:
    """What a file holds. expires_at: when it goes. roster_keys: all members' keys as they came, empty before dealing.

    opened: empty until every dealer's shares were opened.
    """

    secret: StudySecret = field(repr=False)
    expires_at: datetime
    roster_keys: bytes = field(default=b"", repr=False)
    opened: Opened = field(default=(), repr=False)


class StudyKeyFiles:
    """The folder of these files, which its owner alone may read.

    Guarantee: ``save`` has the file on the disk, whole, when it returns. A file that is damaged is a Refusal (clause
    ``study_keys``), and never taken for one that is not there.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made with the first file."""
        self._folder = folder

    def load(self, operator: str, terms: str) -> StudyKeys | None:
        """Read a study's keys; None where there is no file. operator: its first key."""
        path = self._path(operator, terms)
        try:
            content = read_bounded(path, _LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(path, f"cannot be read ({error.strerror})") from error
        try:
            return _read(content)
        except (ValueError, KeyError, TypeError) as error:
            raise _refused(path, "is damaged, or a newer release wrote it") from error

    def save(self, operator: str, terms: str, keys: StudyKeys) -> None:
        """Write a study's keys durably, and overwrite what was there (``secret_file``).

        Refusal where the disk does not take them, or where this operator has as many studies as may be.
        """
        path, content = self._path(operator, terms), _written(keys)
        try:
            self._require_room(path, len(content))
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700)
                # The folder's own name too: keys that were announced must not be gone after a power cut.
                sync_folder(self._folder.parent)
            replace_secret(path, content)
        except OSError as error:
            raise _refused(path, f"cannot be written ({error.strerror}); free the disk") from error

    def forget_parts(self) -> None:
        """Erase what a crash left half written or not yet overwritten. For an agent's start: nobody writes then."""
        for path in leftovers_of(self._folder, _SUFFIX):
            try:
                erase_leftovers(path)
            except OSError as error:
                logger.warning("study keys: what is beside %s stays (%s)", path.name, error.strerror)

    def studies(self) -> set[str]:
        """Give the studies that have keys here (``evidence.study_word``)."""
        return {path.stem for path in self._folder.glob(f"*{_SUFFIX}")}

    def forget_expired(self, now: datetime) -> int:
        """Overwrite and delete the files of terms that have expired; returns how many."""
        forgotten = 0
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                content = read_bounded(path, _LARGEST)
                # It begins with zeros: a crash came while it was overwritten, or before its name was taken away.
                if content[:1] in (b"", b"\0") or _expiry(content) <= now:
                    erase(path)
                    forgotten += 1
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("study keys: %s could not be looked at (%s)", path.name, type(error).__name__)
        return forgotten

    def _require_room(self, path: Path, size: int) -> None:
        """Refuse one file too many of an operator, before it is written."""
        operator = path.name.rpartition("-")[2]
        others = [one.stat().st_size for one in self._folder.glob(f"*-{operator}") if one != path]
        if len(others) >= MOST_STUDIES or sum(others) + size > LARGEST_KEPT:
            raise Refusal(
                "study_keys",
                f"{len(others)} studies of this operator have keys here already ({sum(others)} bytes, at most "
                f"{MOST_STUDIES} studies and {LARGEST_KEPT} bytes); they go when their terms expire: have the operator "
                "wait, or remove the files of studies that have ended from sums/",
            )

    def _path(self, operator: str, terms: str) -> Path:
        return self._folder / f"{study_word(operator, terms)}{_SUFFIX}"


def _written(keys: StudyKeys) -> bytes:
    opened = b"".join(share for shares in keys.opened for share in shares)
    body = keys.secret.to_bytes() + keys.roster_keys + opened
    head = {
        "expires_at": keys.expires_at.isoformat(),
        "roster_bytes": len(keys.roster_keys),
        "dealers": len(keys.opened),
    }
    rest = canonical_json(head) + b"\n" + body
    # Over the head too: with another number of dealers the shares would be cut elsewhere, and given for others.
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def _read(content: bytes) -> StudyKeys:
    digest, _, rest = content.partition(b"\n")
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        raise ValueError("damaged")
    line, _, body = rest.partition(b"\n")
    head = read_json(line, _LARGEST_HEAD)
    if set(head) != {"expires_at", "roster_bytes", "dealers"}:
        raise ValueError("of another form")  # what follows may be cut otherwise
    roster_end = SECRET_BYTES + head["roster_bytes"]
    return StudyKeys(
        secret=StudySecret(body[:SECRET_BYTES]),
        expires_at=datetime.fromisoformat(head["expires_at"]),
        roster_keys=body[SECRET_BYTES:roster_end],
        opened=_split(body[roster_end:], head["dealers"]),
    )


def _split(shares: bytes, dealers: int) -> Opened:
    each = len(shares) // dealers if dealers else 0
    return tuple(
        tuple(shares[at : at + SHARE_BYTES] for at in range(dealer * each, (dealer + 1) * each, SHARE_BYTES))
        for dealer in range(dealers)
    )


def _expiry(content: bytes) -> datetime:
    # Of a damaged file too, as far as it says one: nobody can use it, and its secret must go all the same.
    line = content[_DIGEST_HEX + 1 :].partition(b"\n")[0]
    return datetime.fromisoformat(read_json(line, _LARGEST_HEAD)["expires_at"])


def _refused(path: Path, what: str) -> Refusal:
    line = "this hospital can take no further part in the sums of that study"
    return Refusal("study_keys", f"keys={path.name}: {what}; without that file {line}")
