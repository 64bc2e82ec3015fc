"""A secure sum with real agents: set-up and both trips, repeats and restarts, and what it all leaves in the ledger."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.sum_hospitals import SumHospitals
from wardround.client.agent.rehearse import rehearse
from wardround.client.checks.sums import secure_sums
from wardround.client.home.home import load_home
from wardround.client.home.terms_folder import kept_terms
from wardround.client.ledger.backup import back_up
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.ledger.verify import export, verify
from wardround.client.secure_sum.study_keys import StudyKeyFiles
from wardround.protocol.errors import Refusal
from wardround.protocol.secure_sum.exchange import TakenShares
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.sum_wire import SumAnswer, SumStep, encode_sum_answer


def everything(hospitals: SumHospitals, fixed: Any = None) -> list[bytes | None]:
    """The bytes of every answer of one hospital, asked now; survivors too where there are some."""
    requests = [
        hospitals.signed("h2", SumStep.KEYS),
        hospitals.signed("h2", SumStep.DEAL, hospitals.roster_keys),
        hospitals.signed("h2", SumStep.TAKE, hospitals.for_member("h2")),
        hospitals.signed_plan("h2"),
        *([hospitals.survivors("h2", fixed)] if fixed else []),
    ]
    agent = hospitals.hospitals["h2"].agent
    return [agent.answer(payload).payload for payload in requests]


def test_the_sum_is_the_plain_sum_of_the_survivors_integers(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wardround.client.secure_sum.for_plan as for_plan

    plain: list[np.ndarray] = []
    mask = for_plan.mask

    def seen(member: Any, integers: Any, *more: Any) -> Any:
        plain.append(integers.copy())
        return mask(member, integers, *more)

    monkeypatch.setattr(for_plan, "mask", seen)
    # h2 drops out before trip 1; h4 between the trips.
    fixed = ready.first_trip(("h1", "h3", "h4"), 1)
    total = ready.second_trip(fixed, ("h1", "h2", "h3"), 1)
    assert (total == np.add.reduce(plain)).all()
    assert len({vector.tobytes() for vector in plain}) == 3
    # The next slot is another sum, with all of them.
    plain.clear()
    fixed = ready.first_trip(ready.names, 2)
    assert (ready.second_trip(fixed, ready.names, 2) == np.add.reduce(plain)).all()


def test_what_is_asked_again_is_answered_with_the_same_bytes_after_a_restart_too(
    ready: SumHospitals,
) -> None:
    first = everything(ready)
    fixed = ready.first_trip(("h1", "h2", "h3"))
    assert everything(ready) == first
    first = everything(ready, fixed)
    assert first[:4] == everything(ready)
    ready.hospitals["h2"].stop()
    assert everything(ready, fixed) == first
    assert len(set(first)) == 5
    for kind in ("roster", "charged", "released", "survivors"):
        assert len(ready.hospitals["h2"].entries(kind)) == 1


def test_a_rounds_charge_is_that_of_the_smallest_sum_and_names_its_label(ready: SumHospitals) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    ready.second_trip(fixed, ready.names)
    hospital = ready.hospitals["h1"]
    (charged,), (roster,) = hospital.entries("charged"), hospital.entries("roster")
    (survivors,) = hospital.entries("survivors")
    assert charged.fields["noise_multiplier"] == ready.terms.noise_multiplier
    assert charged.fields["label"] == ready.label().hex() == survivors.fields["label"]
    assert roster.fields["roster"] == ready.digest
    assert survivors.fields["survivors"] == "1 2 3"
    assert survivors.fields["held"] == charged.hash
    verify(export(hospital.agent._ledger.entries()), hospital.key.public, ready.heads["h1"])
    # Who sent nothing gave shares too, and paid nothing.
    assert ready.hospitals["h4"].epsilon == 0
    assert ready.hospitals["h4"].entries("survivors")


def test_set_up_and_survivors_read_no_table_and_wait_for_nobody(
    hospitals: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospitals.set_up()
    fixed = hospitals.first_trip(("h1", "h2", "h3"))
    monkeypatch.setattr("wardround.client.agent.warm.read_tables", lambda *_: 1 / 0)
    for payload in (
        hospitals.signed("h4", SumStep.KEYS),
        hospitals.signed("h4", SumStep.DEAL, hospitals.roster_keys),
        hospitals.signed("h4", SumStep.TAKE, hospitals.for_member("h4")),
        hospitals.survivors("h4", fixed),
    ):
        reply = hospitals.hospitals["h4"].agent.answer(payload)
        assert isinstance(hospitals.send("h4", payload), SumAnswer)
        assert reply.delay_seconds == 0


def test_nothing_is_answered_for_terms_that_no_person_approved(hospitals: SumHospitals) -> None:
    hospital = hospitals.hospitals["h1"]
    hospitals.set_up()
    fixed = hospitals.first_trip(("h1", "h2", "h3"))
    hospital.approve(kind="declined")
    asked = {
        "keys": hospitals.signed("h1", SumStep.KEYS),
        "deal": hospitals.signed("h1", SumStep.DEAL, hospitals.roster_keys),
        "take": hospitals.signed("h1", SumStep.TAKE, hospitals.for_member("h1")),
        "survivors": hospitals.survivors("h1", fixed),
        "plan": hospitals.signed_plan("h1", 2),
    }
    assert {hospitals.send("h1", payload) for payload in asked.values()} == {"approval"}
    (kept,) = kept_terms(hospital.folder / "terms")
    assert kept.terms.fingerprint == hospitals.terms.fingerprint
    assert not hospital.entries("survivors")


def test_a_plan_is_refused_before_any_charge_until_set_up_is_done(hospitals: SumHospitals) -> None:
    hospitals.use(hospitals.keys())
    assert hospitals.clause_of_plan("h1") == "set_up"
    hospitals.given("h1", SumStep.DEAL, hospitals.roster_keys)
    assert hospitals.clause_of_plan("h1") == "set_up"
    hospitals.set_up()
    for changes, clause in (
        ({"roster": ""}, "roster"),
        ({"roster": "f" * 64}, "roster"),
        ({"asks": ""}, "asks"),
        ({"asks": "mean_rows"}, "asks"),
        ({"number": 99}, "round"),
    ):
        assert hospitals.clause_of_plan("h1", **{"number": 1, **changes}) == clause
    assert not hospitals.hospitals["h1"].entries("charged")
    hospitals.masked("h1", 5)  # the spare slot


def test_the_studys_keys_are_the_owners_alone_and_in_no_backup(ready: SumHospitals, tmp_path: Path) -> None:
    hospital = ready.hospitals["h1"]
    (file,) = (hospital.folder / "sums").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    secret = file.read_bytes().partition(b"\n")[2][:32]
    back_up(hospital.agent._ledger, hospital.key, tmp_path / "copy")
    assert secret not in (tmp_path / "copy").read_bytes()
    assert secret not in export(hospital.agent._ledger.entries())


def test_the_studys_keys_go_when_its_terms_expire(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = ready.hospitals["h1"]
    agent, folder = hospital.agent, hospital.folder / "sums"
    # Half a year at a time: a clock that leaps further deletes nothing.
    ends = datetime.fromisoformat(ready.terms.expires_at)
    now, step = datetime.now(UTC), timedelta(days=180)
    while now < ends:
        assert list(folder.iterdir())
        monkeypatch.setattr(agent, "_now", lambda now=now: now)
        hospital.agent._ledger.decide("note", now, topic="test", reason="", person="")
        agent.forget_expired()
        now += step
    monkeypatch.setattr(agent, "_now", lambda: now)
    agent.forget_expired()
    # The look before was half a year ago: an hour later the clock says the same, and they go.
    assert list(folder.iterdir())
    agent.forget_expired()
    assert not list(folder.iterdir())


def test_a_clock_that_was_ahead_for_a_moment_deletes_no_keys(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = ready.hospitals["h1"]
    agent, folder = hospital.agent, hospital.folder / "sums"
    right = datetime.now(UTC)
    # As if the terms ended within the leap that the ledger allows.
    monkeypatch.setattr(
        "wardround.client.secure_sum.study_keys._expiry", lambda _: right + timedelta(days=90)
    )
    for days in (120, 0, 120, 0):
        monkeypatch.setattr(agent, "_now", lambda days=days: right + timedelta(days=days))
        agent.forget_expired()
        assert list(folder.iterdir())


def test_whoever_lost_the_studys_keys_is_gone_and_makes_no_second_set(ready: SumHospitals) -> None:
    hospital = ready.hospitals["h1"]
    fixed = ready.first_trip(("h1", "h2", "h3"))
    (file,) = (hospital.folder / "sums").iterdir()
    kept = file.read_bytes()
    file.unlink()
    asked = [
        ready.signed("h1", SumStep.KEYS),
        ready.signed("h1", SumStep.DEAL, ready.roster_keys),
        ready.survivors("h1", fixed),
        ready.signed_plan("h1", 2),
    ]
    assert {ready.send("h1", payload) for payload in asked} == {"study_keys"}
    assert not file.exists()
    # What was stored leaves again all the same; and a damaged file is not taken for a lost one.
    file.write_bytes(kept[:-1])
    assert ready.send("h1", asked[2]) == "study_keys"
    file.write_bytes(kept)
    assert isinstance(ready.send("h1", asked[2]), SumAnswer)


def test_a_bad_dealer_is_named_at_set_up_and_nobody_is_charged(hospitals: SumHospitals) -> None:
    hospitals.use(hospitals.keys())
    for name in hospitals.names:
        hospitals.dealings[name] = hospitals.given(name, SumStep.DEAL, hospitals.roster_keys).body
    right = dict(hospitals.dealings)
    # h2's share for h1 is another's; h3 signs another roster.
    spoilt = bytearray(right["h2"])
    spoilt[64 + 40] ^= 1
    hospitals.dealings |= {"h2": bytes(spoilt), "h3": right["h4"][:64] + right["h3"][64:]}
    answer = hospitals.given("h1", SumStep.TAKE, hospitals.for_member("h1"))
    assert TakenShares.from_bytes(answer.body, 4).failed == (2, 3)
    assert hospitals.clause_of_plan("h1") == "set_up"
    # Once the right ones come, it is whole; and then it stays as it is.
    hospitals.dealings = right
    assert hospitals.given("h1", SumStep.TAKE, hospitals.for_member("h1")).body == b""
    hospitals.masked("h1")


def test_the_tables_of_held_out_patients_are_a_sum_of_their_own(
    sum_hospitals_evaluated: SumHospitals,
) -> None:
    """A hospital may be out of a round's sum and in its tables': other keys, another slot, another account."""
    ready = sum_hospitals_evaluated
    tables = {"account": "held_out", "asks": "tables"}
    fixed = ready.first_trip(("h1", "h2", "h3"), 1)
    measured = ready.first_trip(("h2", "h3", "h4"), 1, **tables)
    assert fixed.asked.label != measured.asked.label
    assert isinstance(ready.second_trip(fixed, ready.names, 1), np.ndarray)
    assert len(ready.second_trip(measured, ready.names, 1)) == ready.terms.table_noise.dimension
    for name, accounts in (("h1", {"training"}), ("h2", {"training", "held_out"}), ("h4", {"held_out"})):
        entries = ready.hospitals[name].entries("charged")
        assert {entry.fields["account"] for entry in entries} == accounts
        assert len(ready.hospitals[name].entries("survivors")) == 2
    # Late, each in its own account.
    assert ready.clause_of_plan("h4", 1) == "survivors"
    assert ready.clause_of_plan("h1", 1, **tables) == "survivors"


def test_status_and_doctor_say_whether_the_sum_is_set_up(hospitals: SumHospitals) -> None:
    home = load_home(hospitals.hospitals["h1"].folder)
    signed = sign_terms(hospitals.terms, hospitals.operator)

    def standing() -> list[tuple[str, str]]:
        ledger = hospitals.hospitals["h1"].agent._ledger
        return [(one.state, one.text) for one in secure_sums(home, ledger, [signed])]

    assert standing() == [
        ("ok", "tea: the secure sum of 4 hospitals is not set up yet; the operator's server asks for it")
    ]
    hospitals.set_up()
    assert standing() == [
        ("ok", "tea: the secure sum of 4 hospitals is set up; 3 must take part in each round")
    ]
    for file in (home.folder / "sums").iterdir():
        file.unlink()
    ((state, text),) = standing()
    assert state == "warn"
    assert "keys of this study are lost" in text


def test_a_rehearsal_masks_as_a_round_would_and_leaves_nothing(hospitals: SumHospitals) -> None:
    home = load_home(hospitals.hospitals["h1"].folder)
    policy = home.in_force(home.policy.current())
    signed = sign_terms(hospitals.terms, hospitals.operator)
    done = rehearse(home, policy, signed, datetime.now(UTC))
    assert done.numbers == hospitals.terms.update_noise(1).dimension
    hospitals.set_up()
    assert done.size_bytes == len(encode_sum_answer(hospitals.masked("h1")))
    assert not list(home.folder.glob("rehearsal-*"))


def extended(hospitals: SumHospitals, day: str) -> None:
    """Have the operator sign the same terms with another expiry."""
    before = hospitals.terms.fingerprint
    hospitals.terms = replace(hospitals.terms, expires_at=f"{day}T00:00:00+00:00")
    assert hospitals.terms.fingerprint == before


def approve_until(hospital: Any, day: str) -> None:
    """What ``approve`` writes: until when the terms were that a person saw."""
    who = {"operator": hospital.operator.public, "reason": "reviewed", "person": "officer"}
    terms, until = hospital.terms, f"{day}T00:00:00+00:00"
    study = {"study": terms.study, "terms": terms.fingerprint, "expires_at": until}
    hospital.agent._ledger.decide("approved", datetime.now(UTC), **study, **who)


def kept_until(hospital: Any) -> str:
    (file,) = (hospital.folder / "sums").iterdir()
    return str(json.loads(file.read_bytes().split(b"\n")[1])["expires_at"])[:10]


def test_extended_terms_extend_no_keys_until_a_person_approves_them(hospitals: SumHospitals) -> None:
    """The operator alone extends terms: masks that it kept must not stay openable for as long as it likes."""
    hospital = hospitals.hospitals["h1"]
    extended(hospitals, "2090-01-01")
    approve_until(hospital, "2090-01-01")
    hospitals.set_up()
    extended(hospitals, "2099-01-01")
    hospitals.masked("h1", 1)
    assert kept_until(hospital) == "2090-01-01"
    stored = hospital.entries("released")[-1].fields["expires_at"]
    # The terms wait for a person, and status says what is at stake.
    (kept,) = kept_terms(hospital.folder / "terms")
    assert kept.terms.expires_at.startswith("2099")
    ((_, said),) = standing_of(hospitals)
    assert "kept until 2090-01-01 00:00 UTC, as approved, and the terms now say 2099-01-01 00:00" in said
    approve_until(hospital, "2099-01-01")
    hospitals.masked("h1", 2)
    assert kept_until(hospital) == "2099-01-01"
    assert "as approved" not in standing_of(hospitals)[0][1]
    # A person may also think better of it; and what has ended is refused whatever the operator signs.
    approve_until(hospital, "2095-01-01")
    hospitals.masked("h1", 3)
    assert kept_until(hospital) == "2095-01-01"
    # What was masked goes with the keys, whatever the terms said when it left.
    assert stored.startswith("2090")


def test_after_the_approved_expiry_extended_terms_are_refused_and_cost_nothing(
    hospitals: SumHospitals, caplog: pytest.LogCaptureFixture
) -> None:
    hospital = hospitals.hospitals["h1"]
    hospitals.set_up()
    fixed = hospitals.first_trip(("h1", "h2", "h3"))
    approve_until(hospital, "2020-01-01")
    before = len(hospital.entries("charged"))
    for payload in (
        hospitals.signed("h1", SumStep.KEYS),
        hospitals.signed("h1", SumStep.DEAL, hospitals.roster_keys),
        hospitals.signed("h1", SumStep.TAKE, hospitals.for_member("h1")),
        hospitals.survivors("h1", fixed),
        hospitals.signed_plan("h1", 2),
    ):
        assert hospitals.send("h1", payload) == "expires_at"
    assert "only a new study can go on" in caplog.text
    assert len(hospital.entries("charged")) == before
    assert not hospital.entries("survivors")


def test_where_no_person_approves_the_first_expiry_stays(hospitals: SumHospitals) -> None:
    extended(hospitals, "2090-01-01")
    hospitals.set_up()
    for number, day in enumerate(("2080-01-01", "2099-01-01"), 1):
        extended(hospitals, day)
        hospitals.masked("h1", number)
        assert kept_until(hospitals.hospitals["h1"]) == "2090-01-01"


def standing_of(hospitals: SumHospitals) -> list[tuple[str, str]]:
    """What doctor says of h1's secure sums."""
    home = load_home(hospitals.hospitals["h1"].folder)
    signed = sign_terms(hospitals.terms, hospitals.operator)
    ledger = hospitals.hospitals["h1"].agent._ledger
    return [(one.state, one.text) for one in secure_sums(home, ledger, [signed])]


def test_the_keys_are_read_before_the_charge_and_never_after(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be masked costs nothing; and no file is looked at between computing and leaving."""
    hospital, reads = ready.hospitals["h1"], []
    load, charge = StudyKeyFiles.load, SqliteLedger.charge
    monkeypatch.setattr(StudyKeyFiles, "load", lambda *given: reads.append("keys") or load(*given))
    monkeypatch.setattr(
        SqliteLedger, "charge", lambda *given, **more: reads.append("charge") or charge(*given, **more)
    )
    ready.masked("h1")
    assert reads == ["keys", "charge"]
    (file,) = (hospital.folder / "sums").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert ready.clause_of_plan("h1", 2) == "study_keys"
    assert len(hospital.entries("charged")) == 1


def test_a_refusal_after_the_tables_were_read_leaves_no_sooner_than_a_release(
    hospitals: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = hospitals
    ready.terms = replace(ready.terms, reply_delay_seconds=2.5)
    for hospital in ready.hospitals.values():
        hospital.terms = ready.terms
        hospital.approve()
    ready.set_up()

    def full(*given: Any) -> bytes:
        raise Refusal("ledger", "cannot be written")

    monkeypatch.setattr(SqliteLedger, "released", full)
    reply = ready.hospitals["h1"].agent.answer(ready.signed_plan("h1"))
    assert reply.delay_seconds == ready.terms.reply_delay_seconds == 2.5
    assert reply.payload is not None
    # By a clause before the charge it leaves at once, as ever.
    assert ready.hospitals["h1"].agent.answer(ready.signed_plan("h1", 99)).delay_seconds == 0
