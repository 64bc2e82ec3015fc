"""Ask an agent as 0.1.0's server does, by its own code: ``ask.py HOME SOCKET`` says what it made of the answer."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from protocol.envelope import decode_answer, encode_request, sign_request
from protocol.signed_terms import load_terms, signed_terms_to_bytes
from protocol.signing import load_key
from server.shim.shim import ask

from protocol.errors import MessageError
from server import rounds


def main(home: Path, socket: str) -> None:
    """Ask for the study's first round."""
    signed = load_terms(home / "studies/tea/study.terms")
    (plan,) = rounds.plans(rounds.init(signed.terms), signed.terms)
    terms, until = signed_terms_to_bytes(signed), datetime(2100, 1, 1, tzinfo=UTC)
    request = sign_request(terms, plan, until, load_key(home / "operator.key"))
    answer = ask(socket, encode_request(request), 240.0)
    try:
        print("no answer" if answer is None else type(decode_answer(answer)).__name__)
    except MessageError:
        print("malformed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
