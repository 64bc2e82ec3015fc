"""Two requests for other survivors of one sum: kept with their signatures, told to people, verified by anybody."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.client.agent.test_sum_attacks import without
from tests.client.sum_hospitals import SumHospitals
from wardround.client.ledger.sqlite import SqliteLedger, open_ledger
from wardround.client.ledger.verify import export, verify
from wardround.client.main import main
from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.wire.opening import OPENING_BYTES, sign_opening
from wardround.protocol.wire.opening import decode_opening as opening_of
from wardround.protocol.wire.opening import decode_statement as statement_of
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_evidence import evidence_to_bytes, read_contradiction, read_survivors
from wardround.protocol.wire.sum_wire import SumAnswer
from wardround.server.algorithm.sum_trips import FixedSum


def folder_of(hospitals: SumHospitals, name: str = "h1") -> Path:
    return hospitals.hospitals[name].folder / "evidence"


def lie(ready: SumHospitals, name: str = "h1", number: int = 1) -> FixedSum:
    """Have the operator ask one hospital for two sets of survivors, the second of them five times."""
    fixed = ready.first_trip(ready.names, number)
    assert isinstance(ready.send(name, ready.survivors(name, without(fixed, 4), number)), SumAnswer)
    for _ in range(3):
        assert ready.send(name, ready.survivors(name, without(fixed, 1), number)) == "slot"
    for left_out in ((2,), ()):
        assert ready.send(name, ready.survivors(name, without(fixed, *left_out), number)) == "slot"
    return fixed


def test_both_requests_are_kept_once_and_the_ledger_says_so(ready: SumHospitals) -> None:
    hospital = ready.hospitals["h1"]
    lie(ready)
    first, second = sorted(folder_of(ready).iterdir())
    assert (first.suffix, second.suffix) == (".first", ".second")
    found = read_contradiction(first.read_bytes(), second.read_bytes())
    # The one that was answered, and the first that contradicts it.
    assert (found.first.asked.survivors, found.second.asked.survivors) == ((1, 2, 3), (2, 3, 4))
    assert found.first.operator == found.second.operator == ready.operator.public
    (entry,) = hospital.entries("contradiction")
    assert (entry.fields["study"], entry.fields["round"], entry.fields["account"]) == ("tea", 1, "training")
    ledger = hospital.agent._ledger
    verify(export(ledger.entries()), hospital.key.public)
    known = ledger.contradicted()
    hospital.stop()
    again = open_ledger(hospital.folder / "ledger.sqlite", hospital.key, "test")
    assert again.contradicted() == known != {}
    again.close()


def test_a_repeat_with_other_sealed_shares_is_no_lie(ready: SumHospitals) -> None:
    """A server that was restored asks again; and shares that do not open are what a hostile member makes."""
    fixed = ready.first_trip(("h1", "h2", "h3"))
    for _ in range(2):
        assert isinstance(ready.send("h1", ready.survivors("h1", fixed)), SumAnswer)
    assert [path.suffix for path in folder_of(ready).iterdir()] == [".first"]
    assert not ready.hospitals["h1"].entries("contradiction")


def test_requests_to_two_hospitals_prove_it_as_well(ready: SumHospitals) -> None:
    """Each of them saw one set of survivors: together they know."""
    fixed = ready.first_trip(ready.names)
    for name, gone in (("h1", 4), ("h3", 1)):
        assert isinstance(ready.send(name, ready.survivors(name, without(fixed, gone))), SumAnswer)
    one, other = (next(folder_of(ready, name).iterdir()).read_bytes() for name in ("h1", "h3"))
    assert "{1, 2, 3} and {2, 3, 4}" in read_contradiction(one, other).describe()


def test_only_the_operator_can_make_such_requests(ready: SumHospitals) -> None:
    lie(ready)
    first, second = (path.read_bytes() for path in sorted(folder_of(ready).iterdir()))
    for at in (0, 45, 80, 110, OPENING_BYTES - 40, OPENING_BYTES + 30, len(second) - 1):
        changed = bytearray(second)
        changed[at] ^= 1
        with pytest.raises(MessageError):
            read_contradiction(first, bytes(changed))
    # Whoever signs it with another key proves that of that key, and of nobody else.
    opening = opening_of(second[:OPENING_BYTES])
    stranger = new_key()
    forged = sign_opening(statement_of(opening), stranger) + second[OPENING_BYTES:]
    assert read_survivors(forged).operator == stranger.public
    for other in (first, b"", first[:OPENING_BYTES], second[:-1]):
        with pytest.raises(MessageError):
            read_contradiction(first, other)
    # A plan is signed by the operator too, and asks for no survivors.
    ready.masked("h1", 2)
    plan = ready.signed_plan("h1", 2)
    terms = statement_of(opening_of(plan[:OPENING_BYTES])).terms_bytes
    with pytest.raises(MessageError):
        read_survivors(plan[:OPENING_BYTES] + plan[OPENING_BYTES + terms :])


def test_people_are_told_and_can_write_it_out_for_others(
    ready: SumHospitals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, out = str(ready.hospitals["h1"].folder), tmp_path / "proof"
    ready.hospitals["h1"].stop()
    assert main(["ledger", "evidence", "--home", home, "--out", str(out)]) == 2
    assert "none is kept here" in capsys.readouterr().err
    assert not out.exists()
    lie(ready)
    ready.hospitals["h1"].stop()
    assert main(["status", "--home", home]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ALERT: consortium signed two requests for other survivors of one sum (study tea, round 1" in said
    # In another round too: the study has one line, and the file both.
    lie(ready, number=2)
    ready.hospitals["h1"].stop()
    assert main(["status", "--home", home, "--json"]) == 0
    (alert,) = json.loads(capsys.readouterr().out)["alerts"]
    assert "of 2 sums, the first (study tea, round 1, training patients)" in alert
    main(["doctor", "--home", home, "--json"])
    warned = [one for one in json.loads(capsys.readouterr().out) if "signed two requests" in one["text"]]
    assert [one["state"] for one in warned] == ["warn"]
    assert main(["ledger", "evidence", "--home", home, "--out", str(out)]) == 0
    capsys.readouterr()
    # Away from the hospital.
    assert main(["ledger", "evidence", str(out), "--home", str(tmp_path / "none")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"PROVEN: study tea, round 1, training patients: {ready.operator.public} signed two requests" in said
    )
    assert "{1, 2, 3} and {2, 3, 4}" in said
    for content in (
        b"",
        b"{}",
        b'{"form":1}',
        out.read_bytes()[:-9],
        out.read_bytes().replace(b"ward", b"hard"),
    ):
        (tmp_path / "altered").write_bytes(content)
        assert main(["ledger", "evidence", str(tmp_path / "altered"), "--home", home]) == 2
        assert "evidence: " in capsys.readouterr().err


def test_a_pair_that_proves_nothing_is_not_written_out() -> None:
    with pytest.raises(MessageError):
        read_contradiction(b"x" * 300, b"y" * 300)
    assert evidence_to_bytes([]).startswith(b"{")


def test_first_requests_go_with_the_studys_keys_and_proofs_stay(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(ready)
    fixed = ready.first_trip(ready.names, 2)
    assert isinstance(ready.send("h1", ready.survivors("h1", fixed, 2)), SumAnswer)
    assert len(list(folder_of(ready).iterdir())) == 3
    agent = ready.hospitals["h1"].agent
    for _ in range(2):
        agent.forget_expired()
    assert len(list(folder_of(ready).iterdir())) == 3
    long_ago = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr("wardround.client.secure_sum.study_keys._expiry", lambda _: long_ago)
    for _ in range(2):
        agent.forget_expired()
    assert sorted(path.suffix for path in folder_of(ready).iterdir()) == [".first", ".second"]


def test_a_disk_that_takes_no_proof_changes_no_answer(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    def no_entry(*given: object) -> None:
        raise Refusal("ledger", "cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr("wardround.client.secure_sum.evidence.write_durably", full)
        lie(ready, "h1", 1)
    assert not ready.hospitals["h1"].entries("contradiction")
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "record_contradiction", no_entry)
        fixed = lie(ready, "h2", 2)
    assert not ready.hospitals["h2"].entries("contradiction")
    # The proof is there: the next such request has the entry written.
    assert ready.send("h2", ready.survivors("h2", without(fixed, 3), 2)) == "slot"
    assert len(ready.hospitals["h2"].entries("contradiction")) == 1
