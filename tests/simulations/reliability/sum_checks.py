"""What must hold of a study of secure sums that ended, whatever was killed on the way."""

import json
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from wardround.client.home.home import load_home
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.envelope import SignedSumAnswer, decode_answer
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.sum_roster import roster_order
from wardround.protocol.wire.sum_wire import SumStep
from wardround.server.store.event_log import VOID
from wardround.simulations.loopback.federation import OPERATOR


def check_study(stage, study):
    """The study ended with all of its rounds, and each hospital's ledger tells the truth."""
    signed = load_terms(stage.loopback.home(OPERATOR) / "studies" / study / "study.terms")
    events = stage.loopback.events(study)
    assert events[-1]["event"] == "finished"
    assert not [event for event in events if event["event"] == VOID]
    closed = stage.closed(study)
    assert sorted(closed) == list(range(1, signed.terms.training.rounds + 1))
    assert not any(event["discarded"] for event in closed.values())
    fixed = survivors_in(events)
    left = what_left(stage, signed.terms.fingerprint)
    for name in stage.hospitals:
        check_ledger(stage, name, signed.terms, fixed, left[name])
    for number, event in closed.items():
        assert set(event["accepted"]) == set(fixed["training", number])
        check_sum(stage, study, number, fixed["training", number])


def survivors_in(events):
    """By account and round the names that the server's log holds; one set for each, however often it was killed."""
    named = defaultdict(set)
    for event in events:
        if event["event"] == "survivors":
            named[event["account"], event["round"]].add(tuple(event["survivors"]))
    assert all(len(sets) == 1 for sets in named.values()), named
    return {slot: next(iter(sets)) for slot, sets in named.items()}


def what_left(stage, fingerprint):
    """By hospital, step and slot the answers of one study that its agent began to send, whoever received them."""
    found = {name: defaultdict(set) for name in stage.hospitals}
    for path in (stage.places / "left").iterdir():
        answer = None if path.name.startswith(".") else decode_answer(path.read_bytes())
        if isinstance(answer, SignedSumAnswer) and answer.answer.terms_fingerprint == fingerprint:
            told = answer.answer
            found[told.hospital][told.step, told.account, told.round].add(path.read_bytes())
    return found


def check_ledger(stage, name, terms, fixed, left):
    """One charge and one set of survivors a slot; nothing left twice in other bytes, and nothing uncharged."""
    entries = ledger_of(stage, name)
    own = {
        kind: [e.fields for e in entries if e.kind == kind and e.fields.get("terms") == terms.fingerprint]
        for kind in ("roster", "charged", "survivors")
    }
    assert len(own["roster"]) == 1
    slots = [(fields["account"], fields["round"]) for fields in own["charged"]]
    answered = [(fields["account"], fields["round"]) for fields in own["survivors"]]
    assert len(set(slots)) == len(slots), f"{name}: charged twice"
    assert len(set(answered)) == len(answered), f"{name}: two sets of survivors for one slot"
    members = roster_order(terms.hospitals)
    for fields in own["survivors"]:
        named = {members[int(index) - 1] for index in str(fields["survivors"]).split()}
        assert named == set(fixed[fields["account"], fields["round"]])
    for (step, account, number), sent in left.items():
        assert len(sent) == 1, f"{name}: {step.value} of {account} {number} left in {len(sent)} forms"
    gone = {slot[1:] for slot in left if slot[0] is SumStep.MASKED}
    assert gone <= set(slots), f"{name}: masked releases left uncharged"
    assert {slot[1:] for slot in left if slot[0] is SumStep.SURVIVORS} <= set(answered)
    assert {slot for slot, names in fixed.items() if name in names} <= gone
    check_epsilon(stage, name, entries, terms, gone)


def check_epsilon(stage, name, entries, terms, gone):
    """ε in the ledger is that of all charges; so at least that of what left, of this study and of those before."""
    charged = [entry.fields for entry in entries if entry.kind == "charged"]
    truth = [f for f in charged if f["terms"] != terms.fingerprint or (f["account"], f["round"]) in gone]
    delta = load_home(stage.loopback.home(name)).policy.current().delta
    verified = json.loads(stage.loopback.hospital(name, "ledger", "verify", "--json"))
    stated = verified["epsilon"]["training"]
    assert stated == pytest.approx(epsilon_of(charged, delta), rel=1e-6)
    assert stated >= epsilon_of(truth, delta) * (1 - 1e-9)


def epsilon_of(charged, delta):
    events = [PrivacyEvent(f["noise_multiplier"], f["sampling_rate"], f["steps"]) for f in charged]
    return compose_epsilon(events, delta)


def ledger_of(stage, name):
    ledger = load_home(stage.loopback.home(name)).open_ledger()
    try:
        entries = list(ledger.entries())
    finally:
        ledger.close()
    assert all(one.sequence < two.sequence for one, two in pairwise(entries))
    return entries


def check_sum(stage, study, number, survivors):
    """The server opened the sum of what the survivors masked, bit for bit."""
    plain = [numbers(stage, "plain", f"{study}.training.{number}.{name}") for name in survivors]
    assert np.array_equal(sum(plain), numbers(stage, "summed", f"{study}.training.{number}"))


def numbers(stage, folder, name):
    return np.frombuffer((stage.places / folder / name).read_bytes(), np.int64)
