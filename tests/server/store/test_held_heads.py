"""The operator remembers each hospital's newest ledger head, over all of its studies."""

from dataclasses import replace

import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.envelope import decode_request, encode_answer, sign_release
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.wire import decode_plan
from wardround.server.algorithm import rounds
from wardround.server.evaluation import evaluation
from wardround.server.network.signed_codec import SignedCodec
from wardround.server.store.held_heads import KEPT, HeldHeads

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


def test_the_newest_head_outlives_the_process_and_one_heard_before_is_not_newer(tmp_path):
    heads = HeldHeads(tmp_path)
    assert heads.newest("north") is None
    for head in (ONE, TWO, ONE, "no head", ""):
        heads.keep("north", head)
    heads.keep("south", THREE)
    assert HeldHeads(tmp_path).newest("north") == TWO
    assert HeldHeads(tmp_path).newest("south") == THREE


def test_so_many_heads_are_kept_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr("wardround.server.store.held_heads.KEPT", 3)
    heads = HeldHeads(tmp_path)
    for number in range(5):
        heads.keep("north", f"{number:064x}")
    assert (tmp_path / "north.heads").read_text().split() == [f"{number:064x}" for number in (2, 3, 4)]
    assert KEPT >= 1000


def test_a_damaged_file_of_heads_is_said_and_never_taken_for_none(tmp_path):
    heads = HeldHeads(tmp_path)
    heads.keep("north", ONE)
    (tmp_path / "north.heads").write_text("rubbish\n")
    with pytest.raises(ConfigurationError, match="status shows"):
        heads.newest("north")


@pytest.fixture
def codec(tmp_path):
    """Codecs of studies of one operator, and the heads that their plans carry, by hospital."""
    operator, hospital = new_key(), new_key()

    def make(terms):
        return SignedCodec(
            signed=sign_terms(terms, operator),
            key=operator,
            key_of=lambda name: hospital.public,
            heads=HeldHeads(tmp_path / "heads"),
            hear=lambda hospital, speaker: None,
        )

    make.hospital = hospital
    return make


def named(codec, plans):
    """The head that each plan's message names."""
    messages = codec.write(plans, {plan.hospital: 1 for plan in plans}, 60.0)
    found = {}
    for plan, message in zip(plans, messages, strict=True):
        head = message.content["plan"]["head"]
        request = decode_request(head + plan.weights.astype("<f4").tobytes())
        found[plan.hospital] = decode_plan(request.plan).ledger_head
    return found


def test_the_first_plan_of_every_study_and_of_every_account_names_the_newest_head(
    codec, make_terms, make_release
):
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    first = make_terms(rounds=2)
    second = replace(first, study="coffee")
    state = rounds.init(first)
    asked = rounds.plans(state, first)
    assert set(named(codec(first), asked).values()) == {None}
    # A release that its hospital signed was charged there, whether the round counts it or not.
    release = make_release(asked[0])
    payload = encode_answer(sign_release(release, codec.hospital))
    message = Message(RecordDict({"answer": ConfigRecord({"answer": payload})}), 1, MessageType.TRAIN)
    codec(first).read(message, asked[0].hospital)
    others = rounds.plans(rounds.init(second), second)
    assert named(codec(second), others)[asked[0].hospital] == release.ledger_head
    weights = rounds.reported_weights(state)
    measured = evaluation.plans(state, first, weights, 1)
    assert named(codec(first), measured)[asked[0].hospital] == release.ledger_head
    # What another hospital's key signed says nothing about this one's ledger.
    forged = encode_answer(sign_release(make_release(asked[1]), new_key()))
    message = Message(RecordDict({"answer": ConfigRecord({"answer": forged})}), 1, MessageType.TRAIN)
    codec(first).read(message, asked[1].hospital)
    assert named(codec(second), others)[asked[1].hospital] is None
