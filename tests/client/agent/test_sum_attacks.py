"""What a server that lies can ask of hospitals, over the real wire, and what each gives: one sum a slot at most.

Four hospitals, one of which may help the server (t = 1), three of which must answer (q = 3). ``check_one_sum`` is the
count behind every test: whose secret could be put together from what the honest gave and one helper adds.
"""

from collections.abc import Callable
from copy import copy as shallow_copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest

from tests.client.sum_hospitals import SumHospitals
from wardround.protocol.errors import MessageError
from wardround.protocol.secure_sum.exchange import (
    GivenShares,
    MaskedIntegers,
    MemberKeys,
    RosterKeys,
    Survivors,
    TakenShares,
)
from wardround.protocol.secure_sum.keys import new_study_secret, public_key
from wardround.protocol.secure_sum.label import seed_label
from wardround.protocol.secure_sum.seal import SealContext, ShareKind, share_digest
from wardround.protocol.wire.envelope import sign_sum_request
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_roster import sign_member_keys
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep
from wardround.server.algorithm.sum_setup import read_keys
from wardround.server.algorithm.sum_trips import (
    FixedSum,
    SentSeed,
    await_shares,
    outcome,
    survivors_for,
    take_given,
)

HELPERS, THRESHOLD = 1, 3


def check_one_sum(ready: SumHospitals, number: int = 1) -> None:
    """Assert, by what the ledgers say was given for this slot, that at most one sum of m honest ones can be learned.

    Whoever of the hospitals helps the server, and so gives both kinds of share for everybody.
    """
    answered = {name: survivors_answered(ready, name, number) for name in ready.names}
    members = range(1, len(ready.names) + 1)
    for helper, name in enumerate(ready.names, 1):
        honest = [survivors for other, survivors in answered.items() if other != name and survivors]
        opened = {i for i in members if sum(i in one for one in honest) + HELPERS >= THRESHOLD}
        taken_out = {i for i in members if sum(i not in one for one in honest) + HELPERS >= THRESHOLD}
        assert not opened & taken_out
        if len(opened | taken_out) == len(members):
            assert len(opened - {helper}) >= ready.terms.thresholds.honest_shares


def survivors_answered(ready: SumHospitals, name: str, number: int) -> set[int]:
    """Give the one set of survivors that a hospital answered for, empty for none."""
    entries = [e for e in ready.hospitals[name].entries("survivors") if e.fields["round"] == number]
    assert len(entries) <= 1
    return {int(index) for entry in entries for index in str(entry.fields["survivors"]).split()}


def kinds_given(
    ready: SumHospitals, name: str, answer: SumAnswer, fixed: FixedSum
) -> dict[int, set[ShareKind]]:
    """Say of what each share is that a hospital gave: found by the hashes that dealers sent openly."""
    index, found = ready.names.index(name) + 1, {}
    slot_keys, slot = ready.slot_key_digests(fixed), fixed.asked.slot
    assert ready.roster is not None
    for dealer, share in GivenShares.from_bytes(answer.body, len(ready.names)).shares.items():
        dealt = {
            ShareKind.SEED: (
                seed_label(slot, fixed.asked.label),
                fixed.sent[dealer].shares[index - 1].digest,
            ),
            ShareKind.SLOT_KEY: (fixed.asked.slot.digest(), slot_keys[dealer][index - 1]),
        }
        found[dealer] = {
            kind
            for kind, (label, digest) in dealt.items()
            if share_digest(SealContext(dealer, index, kind, ready.roster.digest, label), share) == digest
        }
    return found


def without(fixed: FixedSum, *indices: int) -> FixedSum:
    """The same sum with other survivors."""
    return replace(fixed, sent={index: one for index, one in fixed.sent.items() if index not in indices})


def test_two_sets_of_survivors_for_one_slot(ready: SumHospitals) -> None:
    """The attack on plain sharing: two sums that differ by one hospital give its release."""
    fixed = ready.first_trip(ready.names)
    for name in ("h1", "h2"):
        assert isinstance(ready.send(name, ready.survivors(name, without(fixed, 4))), SumAnswer)
    for name in ("h3", "h4"):
        assert isinstance(ready.send(name, ready.survivors(name, without(fixed, 1))), SumAnswer)
    for name in ready.names:
        for left_out in ((1,), (2,), (3,), (4,), ()):
            answer = ready.send(name, ready.survivors(name, without(fixed, *left_out)))
            own = (4,) if name in ("h1", "h2") else (1,)
            assert answer == "slot" if left_out != own else isinstance(answer, SumAnswer)
    check_one_sum(ready)


def test_survivors_that_are_no_set_of_members_or_too_few(ready: SumHospitals) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    share = survivors_for(fixed, 1).shares[0]
    for survivors in ((), (1, 2), (1, 2, 2), (2, 1, 3), (1, 2, 5), (0, 1, 2), (1, 1, 1)):
        asked = Survivors(fixed.asked.label, survivors, (share,) * len(survivors))
        assert ready.send("h1", ready.survivors("h1", fixed, asked=asked)) == "survivors"
    assert not ready.hospitals["h1"].entries("survivors")
    # It is still to be had for the right ones.
    ready.second_trip(fixed, ready.names)


def test_survivors_answered_again_under_another_label_or_for_another_sum_of_the_slot(
    ready: SumHospitals,
) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    # h4 sent nothing: it knows no label of its own, and takes the first that it is told.
    other = replace(fixed, asked=replace(fixed.asked, label=b"o" * 32))
    assert isinstance(ready.send("h4", ready.survivors("h4", other)), SumAnswer)
    assert ready.send("h4", ready.survivors("h4", fixed)) == "slot"
    # What it gave under the wrong label opens no seed: no share in it was sealed under that.
    answer = ready.send("h4", ready.survivors("h4", other))
    assert isinstance(answer, SumAnswer)
    assert set(GivenShares.from_bytes(answer.body, 4).shares) == {4}
    # And who sent a release answers for its own sum alone.
    assert ready.send("h1", ready.survivors("h1", other)) == "label"
    assert not ready.hospitals["h1"].entries("survivors")


def test_seeds_of_one_slot_are_not_had_in_another_that_nobody_was_charged_for(ready: SumHospitals) -> None:
    """A hospital that sent nothing in a slot takes the label that it is told; this one is of another slot.

    The spare slot is asked for every survivor's seed of the first, then the first for the slot key of h4. With q of
    both h4's release would be open, at no charge and without any helper.
    """
    fixed = ready.first_trip(ready.names)
    for name in ready.names[:3]:
        answer = ready.send(name, ready.survivors(name, fixed, number=ready.terms.last_round))
        assert isinstance(answer, SumAnswer)
        assert GivenShares.from_bytes(answer.body, len(ready.names)).shares == {}
        keys = ready.send(name, ready.survivors(name, without(fixed, 4)))
        assert isinstance(keys, SumAnswer)
        assert kinds_given(ready, name, keys, fixed)[4] == {ShareKind.SLOT_KEY}


def test_different_weights_terms_or_rounds_to_different_hospitals_in_one_slot(ready: SumHospitals) -> None:
    weights = ready.plan("h1").weights
    ready.masked("h1"), ready.masked("h2")
    ready.masked("h3", weights=(weights + 1).astype(np.float32))
    # A hospital that has released takes no other plan for the slot, and the other's survivors it does not answer.
    assert ready.clause_of_plan("h1", weights=(weights + 1).astype(np.float32)) == "label"
    # Of other terms or another study there is no plan for this slot at all.
    assert ready.clause_of_plan("h1", terms_fingerprint="f" * 64) == "terms"
    assert ready.clause_of_plan("h1", study="other") == "study"
    labels = {
        name: str(ready.hospitals[name].entries("charged")[0].fields["label"]) for name in ("h1", "h2", "h3")
    }
    assert labels["h1"] == labels["h2"] != labels["h3"]
    for name, other in (("h1", "h3"), ("h3", "h1")):
        asked = Survivors(bytes.fromhex(labels[other]), (1, 2, 3), (ready_share(ready),) * 3)
        payload = ready.signed(name, SumStep.SURVIVORS, asked.to_bytes(), round=1)
        assert ready.send(name, payload) == "label"
    check_one_sum(ready)


def ready_share(ready: SumHospitals) -> Any:
    """Some share: the hash of nothing, sealed by nobody."""
    from wardround.protocol.secure_sum.exchange import DealtShare
    from wardround.protocol.secure_sum.seal import SEALED_BYTES

    return DealtShare(bytes(SEALED_BYTES), bytes(32))


def swapped(asked: Survivors) -> Survivors:
    return replace(asked, shares=asked.shares[1:] + asked.shares[:1])


def test_sealed_shares_that_were_moved_do_not_open(ready: SumHospitals) -> None:
    first = ready.first_trip(("h1", "h2", "h3"), 1)
    attacks: dict[str, Callable[[FixedSum], Survivors]] = {
        # What was sealed for h2.
        "redirected": lambda fixed: survivors_for(fixed, 2),
        "swapped": lambda fixed: swapped(survivors_for(fixed, 1)),
        # What h1 itself sealed for others comes back to it, as theirs.
        "reflected": lambda fixed: replace(survivors_for(fixed, 1), shares=fixed.sent[1].shares[:3]),
        # The first round's.
        "replayed": lambda fixed: replace(survivors_for(fixed, 1), shares=survivors_for(first, 1).shares),
    }
    for number, (what, attack) in enumerate(attacks.items(), 2):
        fixed = ready.first_trip(("h1", "h2", "h3"), number)
        answer = ready.send("h1", ready.survivors("h1", fixed, number=number, asked=attack(fixed)))
        assert isinstance(answer, SumAnswer)
        # Its own share for itself is in its place where the attack put it there; h4's is of its slot key.
        assert set(GivenShares.from_bytes(answer.body, 4).shares) <= {1, 4}, what
        # The stored answer never changes: the right shares come too late, and no other kind is given instead.
        again = ready.send("h1", ready.survivors("h1", fixed, number=number))
        assert isinstance(again, SumAnswer)
        assert again.body == answer.body


def test_of_members_called_gone_no_seed_is_given_and_of_survivors_no_slot_key(ready: SumHospitals) -> None:
    fixed = ready.first_trip(ready.names)
    gone = without(fixed, 2)
    for name in ready.names:
        answer = ready.send(name, ready.survivors(name, gone))
        assert isinstance(answer, SumAnswer)
        kinds = kinds_given(ready, name, answer, replace(gone, sent=fixed.sent))
        assert kinds == {
            1: {ShareKind.SEED},
            2: {ShareKind.SLOT_KEY},
            3: {ShareKind.SEED},
            4: {ShareKind.SEED},
        }
    check_one_sum(ready)


def test_a_late_release_after_ones_own_answer(ready: SumHospitals) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    ready.second_trip(fixed, ready.names)
    before = ready.hospitals["h4"].agent._ledger.head
    assert ready.clause_of_plan("h4") == "survivors"
    assert not ready.hospitals["h4"].entries("charged")
    assert ready.hospitals["h4"].epsilon == 0
    assert ready.hospitals["h4"].agent._ledger.head != before  # the refusal is noted
    # What had left before comes again, byte for byte, and another plan for the slot does not.
    first = ready.masked("h1")
    assert first.body == ready.masked("h1").body
    ready.masked("h4", 2)


def test_a_release_charged_but_not_sent_before_ones_own_answer_never_leaves(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("wardround.client.round.leaving.encode_sum_answer", lambda answer: 1 / 0)
        assert ready.hospitals["h4"].agent.answer(ready.signed_plan("h4")).payload is None
    fixed = ready.first_trip(("h1", "h2", "h3"))
    ready.second_trip(fixed, ready.names)
    assert ready.clause_of_plan("h4") == "survivors"
    assert len(ready.hospitals["h4"].entries("charged")) == 1
    assert not ready.hospitals["h4"].entries("released")


def test_a_late_release_after_the_survivors_were_fixed_without_it(ready: SumHospitals) -> None:
    """The server holds h4's masked release beside the shares of its slot key: its own mask stays on it."""
    fixed = ready.first_trip(("h1", "h2", "h3"))
    for name in ("h1", "h2", "h3"):
        assert isinstance(ready.send(name, ready.survivors(name, fixed)), SumAnswer)
    # h4 was asked nothing yet: it takes the plan for what it is, and is charged.
    late = MaskedIntegers.from_bytes(ready.masked("h4").body, 4, ready.asked().dimension)
    everybody = replace(fixed, sent={**fixed.sent, 4: SentSeed(late.commitment, late.seed_shares)})
    for name in ("h1", "h2", "h3"):
        assert ready.send(name, ready.survivors(name, everybody)) == "slot"
        answer = ready.send(name, ready.survivors(name, fixed))
        assert isinstance(answer, SumAnswer)
        assert kinds_given(ready, name, answer, everybody)[4] == {ShareKind.SLOT_KEY}
    # h4 itself, told that it is in, gives the one share of its seed that there will be: q are needed.
    assert isinstance(ready.send("h4", ready.survivors("h4", everybody)), SumAnswer)
    check_one_sum(ready)


def test_a_hospital_that_never_answers_trip_2_stops_no_sum_and_fewer_than_q_give_none(
    ready: SumHospitals,
) -> None:
    fixed = ready.first_trip(ready.names)
    assert isinstance(ready.second_trip(fixed, ("h1", "h2", "h4")), np.ndarray)
    assert not ready.hospitals["h3"].entries("survivors")
    fixed = ready.first_trip(ready.names, 2)
    trip = await_shares(fixed, ready.slot_key_digests(fixed))
    for name in ("h1", "h2"):
        answer = ready.send(name, ready.survivors(name, fixed, 2))
        assert isinstance(answer, SumAnswer)
        trip = take_given(trip, answer, answer.asked)
    assert outcome(trip) is None
    for number in (1, 2):
        check_one_sum(ready, number)


def test_a_bad_answerer_is_named_and_does_no_harm_beside_q_right_ones(ready: SumHospitals) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    trip = await_shares(fixed, ready.slot_key_digests(fixed))
    for name in ("h2", "h1", "h3", "h4"):
        answer = ready.send(name, ready.survivors(name, fixed))
        assert isinstance(answer, SumAnswer)
        if name == "h2":
            spoilt = bytearray(answer.body)
            spoilt[-1] ^= 1
            answer = replace(answer, body=bytes(spoilt))
        trip = take_given(trip, answer, answer.asked)
    assert isinstance(outcome(trip), np.ndarray)
    assert "h2" in trip.wrong or 2 in trip.wrong
    assert len(trip.wrong) == 1


def test_two_sums_that_differ_by_one_hospital_are_two_charges_with_fresh_noise(
    ready: SumHospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights in two rounds, once with h4 and once without: the difference has all noise of both."""
    import wardround.client.secure_sum.for_plan as for_plan

    masked, plain = for_plan.mask, {}

    def seen(member: Any, integers: Any, label: Any, slot: Any, *more: Any) -> Any:
        plain[member.index, slot.number] = integers.copy()
        return masked(member, integers, label, slot, *more)

    monkeypatch.setattr(for_plan, "mask", seen)
    sums = []
    for number, names in ((1, ready.names), (2, ready.names[:3])):
        fixed = ready.first_trip(names, number)
        sums.append(ready.second_trip(fixed, ready.names, number))
        check_one_sum(ready, number)
    for index, name in enumerate(ready.names[:3], 1):
        assert (plain[index, 1] != plain[index, 2]).mean() > 0.9
        charged = ready.hospitals[name].entries("charged")
        assert [entry.fields["weights"] for entry in charged] == [charged[0].fields["weights"]] * 2
    assert (sums[0] - sums[1] != plain[4, 1]).mean() > 0.9


def test_a_second_roster_of_one_study(ready: SumHospitals) -> None:
    """Another member's new keys make another roster: signed by nobody who signed the first."""
    names, keys = ready.names, RosterKeys.from_bytes(ready.roster_keys, 4, len(ready.study.slots))
    secret = new_study_secret()
    fresh = sign_member_keys(
        secret, ready.study.slots, terms=ready.terms.fingerprint, hospital="h4", key=ready.hospitals["h4"].key
    )
    first = ready.digest
    ready.use(RosterKeys((*keys.members[:3], fresh)))
    for name in names[:3]:
        assert ready.ask(name, SumStep.DEAL, ready.roster_keys) == "roster"
        assert ready.ask(name, SumStep.TAKE, ready.for_member(name)) == "roster"
        assert ready.clause_of_plan(name) == "roster"
        assert len(ready.hospitals[name].entries("roster")) == 1
        assert ready.hospitals[name].entries("roster")[0].fields["roster"] == first
    # h4 does not know these keys for its own.
    assert ready.ask("h4", SumStep.DEAL, ready.roster_keys) == "roster"


def under_another_operator(hospitals: SumHospitals) -> SumHospitals:
    """The same hospitals and terms, which a second operator signed and all of them approved as well."""
    other = shallow_copy(hospitals)
    other.operator, other.heads, other.dealings = new_key(), dict.fromkeys(hospitals.names), {}
    both = {"first": hospitals.operator.public, "second": other.operator.public}
    terms, who = hospitals.terms, {"reason": "reviewed", "person": "officer"}
    for name, hospital in hospitals.hospitals.items():
        hospital.write_policy(operators=both, **hospitals.policy(name))
        study = {"operator": other.operator.public, "study": terms.study, "terms": terms.fingerprint}
        hospital.agent._ledger.decide("approved", datetime.now(UTC), **study, **who)
    return other


def test_what_was_signed_for_one_operator_joins_no_roster_of_another(ready: SumHospitals) -> None:
    """Member keys and rosters are signed for terms, whoever the operator is: keys of each operator's own hold them."""
    other = under_another_operator(ready)
    first = RosterKeys.from_bytes(ready.roster_keys, 4, len(ready.study.slots))
    # The whole of it: nobody finds keys in it that it made for this operator.
    other.use(first)
    other.keys()
    for name in other.names:
        assert other.ask(name, SumStep.DEAL, other.roster_keys) == "roster"
    # One hospital's keys and dealing, beside what the others give now.
    mine = other.keys()
    assert not {one.sealing_key for one in first.members} & {one.sealing_key for one in mine.members}
    other.use(RosterKeys((first.members[0], *mine.members[1:])))
    assert other.ask("h1", SumStep.DEAL, other.roster_keys) == "roster"
    other.dealings = {"h1": ready.dealings["h1"]} | {
        name: other.given(name, SumStep.DEAL, other.roster_keys).body for name in other.names[1:]
    }
    for name in other.names[1:]:
        answer = other.given(name, SumStep.TAKE, other.for_member(name))
        assert TakenShares.from_bytes(answer.body, 4).failed == (1,)
        assert other.clause_of_plan(name) == "set_up"
    assert not any(other.hospitals[name].entries("charged") for name in other.names)
    # The first operator's study goes on.
    ready.masked("h1")


def _signed(
    hospitals: SumHospitals, name: str, secret: Any, signer: Any = None, terms: str = ""
) -> MemberKeys:
    key = signer or hospitals.hospitals[name].key
    return sign_member_keys(
        secret, hospitals.study.slots, terms=terms or hospitals.terms.fingerprint, hospital=name, key=key
    )


def _resigned(hospitals: SumHospitals, keys: MemberKeys, **changes: Any) -> MemberKeys:
    """Keys as their own hospital would sign them if it helped: whatever they are."""
    import wardround.protocol.wire.sum_roster as wire

    made = replace(keys, **changes)
    statement = wire._keys_statement(hospitals.terms.fingerprint, "h2", made.sealing_key, made.slot_keys)
    signature = hospitals.hospitals["h2"].key.sign(wire.Purpose.MEMBER_KEYS, statement)
    return replace(made, signature=signature)


BAD_KEYS: dict[str, Callable[[SumHospitals, tuple[MemberKeys, ...]], MemberKeys]] = {
    "equal": lambda h, k: _resigned(h, k[1], slot_keys=(k[1].slot_keys[0], *k[1].slot_keys[:-1])),
    "copied": lambda h, k: _resigned(h, k[1], slot_keys=k[0].slot_keys),
    "copied sealing key": lambda h, k: _resigned(h, k[1], sealing_key=k[0].sealing_key),
    "copied whole": lambda h, k: k[0],
    "forged": lambda h, k: _signed(h, "h2", new_study_secret(), signer=new_key()),
    "of other terms": lambda h, k: _signed(h, "h2", new_study_secret(), terms="f" * 64),
    "small order": lambda h, k: _resigned(h, k[1], sealing_key=(1).to_bytes(32, "little")),
    "zero": lambda h, k: _resigned(h, k[1], slot_keys=(bytes(32), *k[1].slot_keys[1:])),
    "second spelling": lambda h, k: _resigned(h, k[1], sealing_key=(2**255 - 19 + 9).to_bytes(32, "little")),
}


def test_a_roster_with_bad_keys_is_not_signed(hospitals: SumHospitals) -> None:
    keys = hospitals.keys()
    hospitals.use(keys)
    for what, bad in BAD_KEYS.items():
        members = list(keys.members)
        members[1] = bad(hospitals, keys.members)
        body = RosterKeys(tuple(members)).to_bytes()
        # Whatever digest the server names for it.
        for roster in (hospitals.digest, "a" * 64):
            assert hospitals.ask("h1", SumStep.DEAL, body, roster=roster) == "roster", what
    # Nor is one without a hospital, or with one more.
    for wrong in (keys.members[:3], (*keys.members, keys.members[0])):
        body = RosterKeys(tuple(wrong)).to_bytes()
        assert hospitals.ask("h1", SumStep.DEAL, body) == "roster"
    assert not hospitals.hospitals["h1"].entries("roster")
    # The server names whose they are as they come, where one hospital's keys are bad by themselves.
    for what in ("equal", "forged", "of other terms", "small order", "zero", "second spelling"):
        with pytest.raises(MessageError, match=r"^keys: "):
            read_keys(hospitals.study, "h2", BAD_KEYS[what](hospitals, keys.members).to_bytes())


def test_a_roster_with_other_keys_of_this_hospital_is_not_signed(hospitals: SumHospitals) -> None:
    """The hospital's own signature is on it all the same: from another set-up, or from a copy of its home."""
    keys = hospitals.keys()
    members = list(keys.members)
    members[0] = _signed(hospitals, "h1", new_study_secret())
    hospitals.use(RosterKeys(tuple(members)))
    assert hospitals.ask("h1", SumStep.DEAL, hospitals.roster_keys) == "roster"


def test_terms_that_name_another_signing_key_for_this_hospital(hospitals: SumHospitals) -> None:
    assert hospitals.terms.secure_sum is not None
    members = {**hospitals.terms.secure_sum.members, "h1": new_key().public}
    terms = replace(hospitals.terms, secure_sum=replace(hospitals.terms.secure_sum, members=members))
    hospital = hospitals.hospitals["h1"]
    hospital.approve(terms)
    fields = {"terms_fingerprint": terms.fingerprint, "terms": terms}
    assert hospitals.ask("h1", SumStep.KEYS, **fields) == "peers"
    assert not (hospital.folder / "sums").exists()


def test_an_older_ledger_put_back_answers_nothing(ready: SumHospitals, tmp_path: Path) -> None:
    hospital = ready.hospitals["h1"]
    hospital.stop()
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in ("ledger.sqlite", "ledger.head"):
        copy(hospital.folder / file, kept / file)
    fixed = ready.first_trip(ready.names)
    assert isinstance(ready.send("h1", ready.survivors("h1", fixed)), SumAnswer)
    # With its head outside, as a copy of the whole home would be.
    hospital.stop()
    for beside in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (hospital.folder / beside).unlink(missing_ok=True)
    for file in ("ledger.sqlite", "ledger.head"):
        copy(kept / file, hospital.folder / file)
    asked = [
        ready.survivors("h1", without(fixed, 2)),
        ready.signed("h1", SumStep.KEYS),
        ready.signed("h1", SumStep.DEAL, ready.roster_keys),
        ready.signed("h1", SumStep.TAKE, ready.for_member("h1")),
        ready.signed_plan("h1", 2),
    ]
    assert {ready.send("h1", payload) for payload in asked} == {"ledger_head"}


def test_a_ledger_from_before_the_roster_does_not_go_with_the_studys_keys(
    hospitals: SumHospitals, tmp_path: Path
) -> None:
    """Even where nobody holds a head: the keys' file remembers that a roster was signed."""
    hospital = hospitals.hospitals["h1"]
    hospital.stop()
    for file in ("ledger.sqlite", "ledger.head"):
        copy(hospital.folder / file, tmp_path / file)
    hospitals.set_up()
    hospital.stop()
    for beside in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (hospital.folder / beside).unlink(missing_ok=True)
    for file in ("ledger.sqlite", "ledger.head"):
        copy(tmp_path / file, hospital.folder / file)
    hospitals.heads["h1"] = None
    for payload in (
        hospitals.signed("h1", SumStep.KEYS),
        hospitals.signed("h1", SumStep.DEAL, hospitals.roster_keys),
        hospitals.signed_plan("h1"),
    ):
        assert hospitals.send("h1", payload) == "study_keys"


def test_after_a_recovery_nothing_of_a_study_that_had_begun_is_answered(ready: SumHospitals) -> None:
    fixed = ready.first_trip(ready.names)
    hospital = ready.hospitals["h1"]
    hospital.agent._ledger.recover(datetime.now(UTC), [], "officer", "disk lost", [], 1e-5)
    hospital.approve()
    asked = [
        ready.survivors("h1", fixed),
        ready.signed("h1", SumStep.KEYS),
        ready.signed("h1", SumStep.DEAL, ready.roster_keys),
        ready.signed("h1", SumStep.TAKE, ready.for_member("h1")),
        ready.signed_plan("h1", 2),
    ]
    assert {ready.send("h1", payload) for payload in asked} == {"recovered"}


def test_messages_for_others_or_from_strangers(ready: SumHospitals) -> None:
    fixed = ready.first_trip(("h1", "h2", "h3"))
    body = survivors_for(fixed, 1).to_bytes()
    for changes, clause in (
        ({"hospital": "h2"}, "hospital"),
        ({"study": "other"}, "study"),
        ({"terms_fingerprint": "f" * 64}, "terms"),
        ({"roster": "f" * 64}, "roster"),
        ({"round": 99}, "round"),
        ({"account": "held_out"}, "round"),
        ({"ledger_head": "f" * 64}, "ledger_head"),
        ({"ledger_head": None}, "ledger_head"),
    ):
        assert ready.ask("h1", SumStep.SURVIVORS, body, **{"round": 1, **changes}) == clause
    assert ready.ask("h1", SumStep.KEYS, b"more") == "message"
    assert ready.ask("h1", SumStep.KEYS, round=1) == "round"
    assert ready.ask("h1", SumStep.TAKE, b"short") == "message"
    assert ready.ask("h1", SumStep.SURVIVORS, b"short", round=1) == "survivors"
    stranger = new_key()
    terms = signed_terms_to_bytes(sign_terms(ready.terms, stranger))
    request = SumRequest(
        step=SumStep.KEYS, study="tea", hospital="h1", terms_fingerprint=ready.terms.fingerprint
    )
    payload = sign_sum_request(terms, request, datetime.now(UTC) + timedelta(days=1), stranger)
    assert ready.send("h1", payload) == "operators"
    # Changed on its way.
    changed = bytearray(ready.survivors("h1", fixed))
    changed[-1] ^= 1
    assert ready.send("h1", bytes(changed)) == "signature"
    assert not ready.hospitals["h1"].entries("survivors")


def test_public_halves_are_not_secrets_of_other_slots(ready: SumHospitals) -> None:
    """What members can put together of one slot opens no other: each slot has a key of its own, at every hospital."""
    keys = RosterKeys.from_bytes(ready.roster_keys, 4, len(ready.study.slots))
    every = [key for member in keys.members for key in (member.sealing_key, *member.slot_keys)]
    assert len(set(every)) == len(every) == 4 * (1 + len(ready.study.slots))
    assert public_key(new_study_secret().sealing_key()) not in every
