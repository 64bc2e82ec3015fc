"""What a server asks and a hospital answers for a secure sum besides the round's plan, as bytes.

Frames (``protocol.wire.frame``) whose bodies are the messages of ``protocol.secure_sum.exchange``: the carrier says for
which study, slot and roster a message is, the body is for who reads it. Operator and hospital sign both
(``protocol.wire.envelope``).
"""

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.text.bounds import LARGEST_HEADER, LARGEST_VECTOR, MOST_ROUNDS
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.text import ALLOWED_IN_NAMES, is_digest, is_name
from wardround.protocol.wire.frame import (
    PREFIX_BYTES,
    Fields,
    Header,
    body_start,
    is_whole,
    read_header,
    refuse_part,
    write_header,
)

LARGEST_BODY = 4 * LARGEST_VECTOR
"""64 MiB: 8 million masked numbers, or shares of 100 slot keys for 700 members from each."""
LARGEST_SUM_MESSAGE = PREFIX_BYTES + LARGEST_HEADER + LARGEST_BODY


class SumStep(Enum):
    """Which message of the exchange this is. MASKED is the answer to a round's plan; the others have a request each."""

    KEYS = "keys"
    DEAL = "deal"
    TAKE = "take"
    MASKED = "masked"
    SURVIVORS = "survivors"


@dataclass(frozen=True, kw_only=True, eq=False)
class SumRequest:
    """What the server asks of one hospital for a secure sum.

    step: KEYS (no body), DEAL (``RosterKeys``), TAKE (``BroughtShares``) or SURVIVORS (``Survivors``). round and
    account are the slot's, 0 and ``training`` in set-up. roster: its digest, hex; empty before there is one.
    ledger_head: as a plan's.
    """

    step: SumStep
    study: str
    hospital: str
    terms_fingerprint: str
    round: int = 0
    account: str = "training"
    roster: str = ""
    ledger_head: str | None = None
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def body_digest(self) -> str:
        """SHA-256 of the body, hex."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class SumAnswer:
    """What a hospital answers: ``MemberKeys``, ``Dealing``, ``TakenShares``, ``MaskedIntegers`` or ``GivenShares``.

    asked: digest of what it answers (the weights of a plan, the body of a request), hex. roster: its digest, hex; empty
    for KEYS. ledger_head: head of the hospital's ledger after this. simulation: marks what seeds produced.
    """

    step: SumStep
    study: str
    hospital: str
    terms_fingerprint: str
    round: int = 0
    account: str = "training"
    asked: str
    roster: str = ""
    ledger_head: str = ""
    simulation: bool = False
    body: bytes = field(repr=False)


def encode_sum_head(request: SumRequest) -> bytes:
    """Write a request without its body; MessageError for labels out of bounds."""
    header: Header = {
        "kind": SUM_REQUEST,
        "step": request.step.value,
        "study": request.study,
        "hospital": request.hospital,
        "terms_fingerprint": request.terms_fingerprint,
        "round": request.round,
        "account": request.account,
        "roster": request.roster,
        "ledger_head": request.ledger_head,
        "bytes": len(request.body),
    }
    return write_header(header, _REQUEST_FIELDS)


def decode_sum_request(payload: bytes | memoryview) -> SumRequest:
    """Read a request; MessageError for anything but its exact bytes."""
    start = body_start(payload, LARGEST_SUM_MESSAGE)
    header = read_header(payload, start, SUM_REQUEST, _REQUEST_FIELDS)
    body = _body(payload, start, header.pop("bytes"))
    return SumRequest(step=SumStep(header.pop("step")), body=body, **header)


def encode_sum_answer(answer: SumAnswer) -> bytes:
    """Write an answer; MessageError for labels out of bounds."""
    return write_header(_answer_header(answer), _ANSWER_FIELDS) + answer.body


def decode_sum_answer(payload: bytes | memoryview) -> SumAnswer:
    """Read an answer; MessageError for anything but its exact bytes."""
    start = body_start(payload, LARGEST_SUM_MESSAGE)
    header = read_header(payload, start, SUM_ANSWER, _ANSWER_FIELDS)
    body = _body(payload, start, header.pop("bytes"))
    return SumAnswer(step=SumStep(header.pop("step")), body=body, **header)


def sum_signing_bytes(answer: SumAnswer) -> bytes:
    """Give what a hospital signs: every label, and the SHA-256 of the body."""
    return canonical_json({**_answer_header(answer), "body_digest": hashlib.sha256(answer.body).hexdigest()})


def _answer_header(answer: SumAnswer) -> Header:
    return {
        "kind": SUM_ANSWER,
        "step": answer.step.value,
        "study": answer.study,
        "hospital": answer.hospital,
        "terms_fingerprint": answer.terms_fingerprint,
        "round": answer.round,
        "account": answer.account,
        "asked": answer.asked,
        "roster": answer.roster,
        "ledger_head": answer.ledger_head,
        "simulation": answer.simulation,
        "bytes": len(answer.body),
    }


def _body(payload: bytes | memoryview, start: int, count: int) -> bytes:
    if len(payload) - start != count:
        refuse_part("body", "must have as many bytes as the header says, and nothing may follow")
    return bytes(payload[start:])


SUM_REQUEST, SUM_ANSWER = "sum_request", "sum_answer"
"""The kinds of frame."""
_ASKED = tuple(step.value for step in SumStep if step is not SumStep.MASKED)
_GIVEN = tuple(step.value for step in SumStep)
_HEX_OR_EMPTY = (lambda value: value == "" or is_digest(value), "must be empty or 64 hexadecimal digits")
_LABELS: Fields = {
    "study": (is_name, ALLOWED_IN_NAMES),
    "hospital": (is_name, ALLOWED_IN_NAMES),
    "terms_fingerprint": (is_digest, "must be 64 hexadecimal digits"),
    "round": (is_whole(0, MOST_ROUNDS), f"must be from 0 to {MOST_ROUNDS}"),
    "account": (lambda value: value in ACCOUNTS, f"must be one of {', '.join(ACCOUNTS)}"),
    "roster": _HEX_OR_EMPTY,
    "bytes": (is_whole(0, LARGEST_BODY), f"must be at most {LARGEST_BODY}"),
}
_REQUEST_FIELDS: Fields = {
    **_LABELS,
    "step": (lambda value: value in _ASKED, f"must be one of {', '.join(_ASKED)}"),
    "ledger_head": (lambda value: value is None or is_digest(value), "must be null or 64 hexadecimal digits"),
}
_ANSWER_FIELDS: Fields = {
    **_LABELS,
    "step": (lambda value: value in _GIVEN, f"must be one of {', '.join(_GIVEN)}"),
    "asked": (is_digest, "must be 64 hexadecimal digits"),
    "ledger_head": _HEX_OR_EMPTY,
    "simulation": (lambda value: isinstance(value, bool), "must be true or false"),
}
