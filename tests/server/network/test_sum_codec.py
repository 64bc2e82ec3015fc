"""Requests of a secure sum in Flower's messages: what the shim hands on is what was signed, and whose answers count."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from tests.builders import ROOT
from wardround.protocol.wire.envelope import (
    decode_request,
    encode_answer,
    is_what_was_signed,
    sign_release,
    sign_sum_answer,
)
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep, decode_sum_request
from wardround.server.algorithm import rounds
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network.signed_codec import MaskedCodec, SignedCodec, SumCodec
from wardround.server.store.held_heads import HeldHeads

HEAD = "ab" * 32


@pytest.fixture
def hospital():
    return new_key()


@pytest.fixture
def codec(make_terms, tmp_path, hospital):
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    operator = new_key()
    return SignedCodec(
        signed=sign_terms(make_terms(), operator),
        key=operator,
        key_of={"north": hospital.public}.get,
        heads=HeldHeads(tmp_path),
        hear=lambda hospital, speaker: None,
    )


def shim():
    spec = importlib.util.spec_from_file_location("shim", ROOT / "server/network/shim/shim.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked_of(hospital, body=b"shares"):
    return SumRequest(
        step=SumStep.TAKE, study="tea", hospital=hospital, terms_fingerprint="cd" * 32, body=body
    )


def answer_by(key, **changes):
    answer = SumAnswer(
        step=SumStep.TAKE, study="tea", hospital="north", terms_fingerprint="cd" * 32, asked=HEAD, body=b""
    )
    return told(encode_answer(sign_sum_answer(replace(answer, **changes), key)))


def told(payload):
    return Message(RecordDict({"answer": ConfigRecord({"answer": payload})}), 1, MessageType.TRAIN)


@pytest.mark.parametrize("body", [b"", b"shares" * 1000, bytes(2**20 + 1)])
def test_what_the_shim_hands_on_is_what_the_operator_signed(codec, body):
    codec.heads.keep("north", HEAD)
    sent = SumCodec(codec).write([asked_of("north", body), asked_of("south")], {"north": 1, "south": 2}, 60.0)
    request = decode_request(shim().request_of(sent[0]))
    assert is_what_was_signed(request)
    found = decode_sum_request(request.plan)
    assert (found.hospital, found.step, found.body, found.ledger_head) == (
        "north",
        SumStep.TAKE,
        body,
        HEAD,
    )
    assert [message.metadata.dst_node_id for message in sent] == [1, 2]


def test_an_answer_counts_with_its_own_hospitals_signature_alone(codec, hospital):
    sums = SumCodec(codec)
    found = sums.read(answer_by(hospital, ledger_head=HEAD), "north")
    assert isinstance(found, SumAnswer)
    assert codec.heads.newest("north") == HEAD
    assert sums.read(answer_by(new_key()), "north") == NoRelease("north", "wrong signature")
    assert sums.read(answer_by(hospital), "south") == NoRelease("south", "wrong hospital")
    assert sums.read(told(b"rubbish"), "north") == NoRelease("north", "malformed")


def test_masked_and_plain_releases_do_not_pass_for_each_other(codec, hospital, make_terms, make_release):
    terms = make_terms()
    plan = rounds.plans(rounds.init(terms), terms)[0]
    plain = told(encode_answer(sign_release(make_release(plan, np.zeros(6)), hospital)))
    malformed = NoRelease("north", "malformed")
    assert codec.read(answer_by(hospital), "north") == malformed
    assert MaskedCodec(codec).read(plain, "north") == malformed
    assert SumCodec(codec).read(plain, "north") == malformed
    assert codec.read(plain, "north").hospital == "north"
