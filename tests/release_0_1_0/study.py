"""A study under 0.1.0, run by 0.1.0's own Python: ``study.py FOLDER``; ``python -m tests.release_0_1_0.make`` calls it.

It leaves in FOLDER ``mid`` (killed after two of four rounds) and ``ended`` (the same, gone on to its end), and one
request and one answer as they went over the wire.
"""

import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from protocol.envelope import encode_answer, encode_request, sign_release, sign_request
from protocol.signed_terms import load_terms, signed_terms_to_bytes
from protocol.signing import load_key

from protocol.wire import decode_release
from server import rounds
from simulations.loopback.federation import Loopback


def main(folder: Path) -> None:
    with Loopback(folder / "ended", ["north"], 300) as loopback:
        loopback.provision()
        settings = loopback.settings("tea", 4, "round_seconds=60", "wait_seconds=300", "quorum=1.0")
        loopback.approve("tea", *settings)
        loopback.start_server()
        loopback.start_hospital("north")
        loopback.start_study(*settings)
        loopback.await_event("tea", lambda event: event["event"] == "round" and event["round"] == 2, 200)
        loopback.kill("study")
        loopback.stop("north")
        loopback.stop("server")
        shutil.copytree(loopback.folder, folder / "mid", ignore=shutil.ignore_patterns("*.sock"))
        loopback.start_server()
        loopback.start_hospital("north")
        loopback.start_study(*settings)
        assert loopback.wait_study(300) == 0, loopback.log("study")
    _messages(folder)


def _messages(folder: Path) -> None:
    operator, north = folder / "mid/operator", folder / "mid/north"
    signed = load_terms(operator / "studies/tea/study.terms")
    (plan,) = rounds.plans(rounds.init(signed.terms), signed.terms)
    terms, until = signed_terms_to_bytes(signed), datetime(2100, 1, 1, tzinfo=UTC)
    request = sign_request(terms, plan, until, load_key(operator / "operator.key"))
    (folder / "request.bin").write_bytes(encode_request(request))
    (stored,) = (
        sqlite3.connect(north / "ledger.sqlite").execute("SELECT payload FROM stored LIMIT 1").fetchone()
    )
    release = sign_release(decode_release(stored), load_key(north / "keys/hospital.key"))
    (folder / "answer.bin").write_bytes(encode_answer(release))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
