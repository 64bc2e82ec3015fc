"""The converter both ways, and what it makes of everything that is not a release."""

import json

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from wardround.protocol.errors import MessageError, Refusal
from wardround.protocol.wire.wire import encode_release
from wardround.server.algorithm.rounds import init, plans
from wardround.server.algorithm.screen import NoRelease
from wardround.simulations.federation.app import hospital_app, plan_of, reply
from wardround.simulations.federation.plain_codec import plan_messages, release_of

NODES = {"north": 11, "south": 12, "west": 13}


@pytest.fixture
def asked(make_terms):
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    terms = make_terms()
    written = plans(init(terms), terms)
    return written, plan_messages(written, NODES, 60.0)


def test_plans_come_back_as_they_were(asked):
    written, messages = asked
    assert [message.metadata.dst_node_id for message in messages] == [11, 12, 13]
    assert {message.metadata.ttl for message in messages} == {60.0}
    for plan, message in zip(written, messages, strict=True):
        read = plan_of(message)
        np.testing.assert_array_equal(read.weights, plan.weights)
        assert (read.study, read.hospital, read.round, read.ledger_head) == ("tea", plan.hospital, 1, None)
        assert (read.terms_fingerprint, read.weights_digest) == (plan.terms_fingerprint, plan.weights_digest)


def test_all_plans_share_one_array(asked):
    _, messages = asked
    assert len({id(message.content["weights"]) for message in messages}) == 1


def test_no_plans_no_messages():
    assert plan_messages([], NODES, 60.0) == []


def test_a_release_comes_back_as_it_was(asked, make_release):
    written, messages = asked
    sent = make_release(written[0], np.array([1.5, np.nan, np.inf, -0.0, 1e-40, 3]))
    read = release_of(reply(messages[0], sent), "north")
    assert sent.vector.tobytes() == read.vector.tobytes()
    assert encode_release(sent) == encode_release(read)


def test_a_refusal_brings_its_clause_and_nothing_else(asked):
    _, messages = asked
    answer = reply(messages[0], Refusal("max_epsilon_for_life", "ε would be 3.21 with patient 4711"))
    assert release_of(answer, "north") == NoRelease("north", "refused: max_epsilon_for_life")
    assert "4711" not in repr(answer)


def test_nobody_speaks_for_others(asked, make_release):
    written, messages = asked
    answer = reply(messages[0], make_release(written[1]))
    assert release_of(answer, "north") == NoRelease("north", "wrong hospital")


def test_an_error_is_no_release(asked):
    _, messages = asked
    answer = Message(Error(code=1, reason="patient 4711"), reply_to=messages[0])
    assert release_of(answer, "north") == NoRelease("north", "error")


MALFORMED = {
    "nothing": {},
    "arrays": {"answer": ArrayRecord({"x": Array(np.zeros(3))})},
    "metrics": {"answer": MetricRecord({"num-examples": 1e12})},
    "no release": {"answer": ConfigRecord({"text": "hello"})},
    "text": {"answer": ConfigRecord({"release": "wardrnd1"})},
    "no bytes": {"answer": ConfigRecord({"release": b""})},
    "junk": {"answer": ConfigRecord({"release": b"wardrnd1" + bytes(100)})},
    "long clause": {"answer": ConfigRecord({"refused": "a" * 65})},
    "clause with a value": {"answer": ConfigRecord({"refused": "age = 93"})},
    "clause of bytes": {"answer": ConfigRecord({"refused": b"rounds"})},
    "pickle": {"answer": ConfigRecord({"release": b"\x80\x04N."})},
}


@pytest.mark.parametrize("content", MALFORMED)
def test_whatever_else_comes_is_malformed(content, asked):
    _, messages = asked
    answer = Message(RecordDict(MALFORMED[content]), reply_to=messages[0])
    assert release_of(answer, "north") == NoRelease("north", "malformed")


def test_a_cut_or_longer_release_is_malformed(asked, make_release):
    written, messages = asked
    payload = encode_release(make_release(written[0]))
    for changed in (payload[:-1], payload + b"\0", payload[4:]):
        answer = Message(RecordDict({"answer": ConfigRecord({"release": changed})}), reply_to=messages[0])
        assert release_of(answer, "north") == NoRelease("north", "malformed")


@pytest.mark.parametrize("content", [*MALFORMED, "another header"])
def test_what_is_no_plan_is_refused(content, asked):
    _, messages = asked
    good = messages[0].content
    records = {**MALFORMED.get(content, {}), "weights": good["weights"]}
    if content == "another header":
        records["plan"] = ConfigRecord({"header": json.dumps({"round": 1}).encode()})
    bad = Message(RecordDict(records), 11, "train")
    with pytest.raises(MessageError):
        plan_of(bad)
    answer = hospital_app(lambda plan, context: pytest.fail("asked"))(bad, None)
    assert release_of(answer, "north") == NoRelease("north", "refused: plan")
