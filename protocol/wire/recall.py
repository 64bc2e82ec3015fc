"""A recall: the operator's signed word that a study's model must not be used any more, why, and since when.

    model.recall   at the operator, and at each hospital that recorded it

It names the study and its terms, so that it holds for every file of that model, also one that was signed anew with
an exception or another key. It only ever takes away: nothing can be done with a recall that could not be done without.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date

from wardround.protocol.errors import require
from wardround.protocol.text.text import checked_name, is_digest, is_line
from wardround.protocol.wire.signed_file import FileForm, read_signed, signed_content
from wardround.protocol.wire.signed_model import LONGEST_TEXT
from wardround.protocol.wire.signing import Purpose, SigningKey

RECALL = "model.recall"
RECALL_FORM = FileForm(
    kind="recall",
    format="wardround-recall-1",
    purpose=Purpose.RECALL,
    signer="operator",
    parts=("study", "terms", "model", "day", "person", "reason"),
    giver="the operator",
    most=2**14,
)


@dataclass(frozen=True, kw_only=True)
class SignedRecall:
    """One model, recalled. terms: fingerprint. model: SHA-256 of the file at the operator, hex. day: since when."""

    study: str
    terms: str
    model: str
    day: date
    person: str
    reason: str
    operator: str
    content: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Give the name under which a hospital keeps it: one for each content."""
        return f"{hashlib.sha256(self.content).hexdigest()[:32]}.recall"

    def __str__(self) -> str:
        """Say it in a line."""
        return f"study {self.study}'s model was recalled on {self.day} by {self.person}: {self.reason}"


def sign_recall(
    key: SigningKey, *, study: str, terms: str, model: str, day: date, person: str, reason: str
) -> SignedRecall:
    """Sign a recall; ConfigurationError where a text is not one line."""
    plain = {"study": study, "terms": terms, "model": model, "person": person, "reason": reason}
    return read_recall(signed_content(RECALL_FORM, {**plain, "day": day.isoformat()}, key), "new")


def read_recall(content: bytes, name: object) -> SignedRecall:
    """Read a recall and verify that it is signed; ConfigurationError for whatever is wrong."""
    plain = read_signed(RECALL_FORM, content, name)
    checked_name(plain["study"], f"recall={name}: study")
    fits = (
        all(is_digest(plain[part]) for part in ("terms", "model"))
        and all(is_line(plain[part], LONGEST_TEXT) for part in ("person", "reason"))
        and (day := _day(plain["day"])) is not None
    )
    allowed = f"person and reason must each be one line of at most {LONGEST_TEXT} characters, and day a date"
    require(fits, "recall", name, allowed)
    return SignedRecall(**{**plain, "day": day}, content=content)


def _day(text: object) -> date | None:
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return None
    return day if day.isoformat() == text else None
