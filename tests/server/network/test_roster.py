"""Who connects late or again within a round is asked then; the absent are not waited for; signed messages."""

import time
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity

from wardround.protocol.errors import Refusal
from wardround.protocol.wire import speaker
from wardround.protocol.wire.envelope import decode_request, encode_answer, sign_release
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.protocol.wire.speaker import (
    ANSWER,
    PROTOCOL,
    SPEAKER_BYTES,
    Speaker,
    speaker_to_bytes,
    this_speaker,
)
from wardround.protocol.wire.wire import decode_plan
from wardround.server.algorithm import rounds
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network import strategy
from wardround.server.network.signed_codec import OTHER_SHIM, SignedCodec
from wardround.server.network.strategy import Presence, TimeLimits, run_round
from wardround.server.store.held_heads import HeldHeads

LIMITS = TimeLimits(round_seconds=2.0, poll_seconds=0.01)
NODES = {"north": 1, "south": 2, "west": 3}
EVERYBODY = {name: Presence(node, "1") for name, node in NODES.items()}


class Agents:
    """A grid whose nodes answer as agents do; each answer is a function of the plan, None for silence."""

    def __init__(self, answer):
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self.answer = answer
        self.asked = []
        self.replies = []

    def push_messages(self, messages):
        ids = []
        for message in messages:
            identity = str(len(self.asked) + 1)
            message.metadata.__dict__["_message_id"] = identity
            data = message.content["weights"]["weights"].data
            request = decode_request(message.content["plan"]["head"] + data)
            plan = decode_plan(request.plan)
            self.asked.append((plan.hospital, message.metadata.dst_node_id))
            answered = self.answer(plan)
            if isinstance(answered, Error):
                self.replies.append(Message(answered, reply_to=message))
            elif answered is not None:
                record = ConfigRecord(answered if isinstance(answered, dict) else {"answer": answered})
                self.replies.append(Message(RecordDict({"answer": record}), reply_to=message))
            ids.append(identity)
        return ids

    def pull_messages(self, ids):
        found = [reply for reply in self.replies if reply.metadata.reply_to_message_id in ids]
        self.replies = [reply for reply in self.replies if reply not in found]
        return found


@pytest.fixture
def operator():
    return new_key()


@pytest.fixture
def keys():
    return {name: new_key() for name in NODES}


@pytest.fixture
def play(make_terms, operator, keys, tmp_path):
    """Close one round; the summary."""

    def play(
        grid, connected=lambda: EVERYBODY, limits=LIMITS, revoked=(), hear=lambda hospital, speaker: None
    ):
        terms = make_terms(rounds=2)
        public = {name: key.public for name, key in keys.items() if name not in revoked}
        codec = SignedCodec(
            signed=sign_terms(terms, operator),
            key=operator,
            key_of=public.get,
            heads=HeldHeads(tmp_path),
            hear=hear,
        )
        state = rounds.init(terms)
        return run_round(grid, {}, terms, state, limits, codec=codec, connected=connected)[1]

    return play


@pytest.fixture
def honest(make_release, keys):
    return lambda plan: encode_answer(sign_release(make_release(plan), keys[plan.hospital]))


def test_everybody_is_asked_once_at_its_own_node(play, honest):
    grid = Agents(honest)
    assert set(play(grid).accepted) == set(NODES)
    assert sorted(grid.asked) == sorted(NODES.items())


def test_who_connects_within_the_round_is_asked_then(play, honest, monkeypatch):
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)
    began = time.monotonic()

    def connected():
        late = time.monotonic() - began > 0.3
        return EVERYBODY if late else EVERYBODY | {"west": None}

    assert set(play(Agents(honest), connected).accepted) == set(NODES)


def test_who_restarts_within_the_round_is_asked_again(play, honest, monkeypatch):
    """The first message is lost with the SuperNode that had taken it; Flower says so, or says nothing."""
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)
    lost = {"south": Error(code=ErrorCode.NODE_UNAVAILABLE), "west": None}
    grid = Agents(lambda plan: lost.pop(plan.hospital) if plan.hospital in lost else honest(plan))
    began = time.monotonic()

    def connected():
        since = "2" if time.monotonic() - began > 0.3 else "1"
        return {name: replace(presence, since=since) for name, presence in EVERYBODY.items()}

    assert set(play(grid, connected).accepted) == set(NODES)
    assert sorted(name for name, _ in grid.asked) == ["north", "south", "south", "west", "west"]


def test_whose_message_was_lost_is_asked_again_though_its_node_was_there_all_the_time(
    play, honest, monkeypatch
):
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)
    lost = {"south": Error(code=ErrorCode.REPLY_MESSAGE_UNAVAILABLE)}
    grid = Agents(lambda plan: lost.pop(plan.hospital) if plan.hospital in lost else honest(plan))
    assert set(play(grid).accepted) == set(NODES)
    assert sorted(name for name, _ in grid.asked) == ["north", "south", "south", "west"]


@pytest.mark.slow
def test_who_goes_on_losing_messages_is_asked_less_and_less_often(play, honest, monkeypatch):
    """Each message holds all weights: 40 looks make six messages (after 0, 1, 3, 7, 15 and 31 looks), not 40."""
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)

    def answer(plan):
        return Error(code=ErrorCode.NODE_UNAVAILABLE) if plan.hospital == "south" else honest(plan)

    grid = Agents(answer)
    assert set(play(grid).accepted) == {"north", "west"}
    assert 3 <= [name for name, _ in grid.asked].count("south") <= 6


def test_a_round_does_not_wait_for_who_is_not_connected(play, honest, monkeypatch):
    monkeypatch.setattr(strategy, "ABSENT_SECONDS", 0.2)
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)
    there = EVERYBODY | {"west": None}
    began = time.monotonic()
    summary = play(Agents(honest), lambda: there, TimeLimits(round_seconds=30.0, poll_seconds=0.01))
    assert time.monotonic() - began < 5
    assert summary.missing == ("west",)


@pytest.mark.parametrize("asked_first", [False, True])
def test_a_round_does_not_wait_a_moment_for_who_is_revoked(asked_first, play, honest, monkeypatch):
    """Before the round, or while its answer is awaited: it could not count."""
    monkeypatch.setattr(strategy, "LOOK_AGAIN_SECONDS", 0.05)
    began = time.monotonic()

    def connected():
        here = asked_first and time.monotonic() - began < 0.3
        return EVERYBODY if here else {name: EVERYBODY[name] for name in ("north", "south")}

    grid = Agents(lambda plan: None if plan.hospital == "west" else honest(plan))
    summary = play(grid, connected, TimeLimits(round_seconds=30.0, poll_seconds=0.01))
    assert time.monotonic() - began < strategy.ABSENT_SECONDS / 2
    assert (set(summary.accepted), summary.missing) == ({"north", "south"}, ("west",))
    assert ("west", 3) in grid.asked if asked_first else ("west", 3) not in grid.asked


def test_who_is_late_is_left_out_at_the_deadline(play, honest):
    grid = Agents(lambda plan: None if plan.hospital == "west" else honest(plan))
    began = time.monotonic()
    summary = play(grid, limits=TimeLimits(round_seconds=0.3, poll_seconds=0.01))
    assert 0.3 <= time.monotonic() - began < 5
    assert (set(summary.accepted), summary.missing) == ({"north", "south"}, ("west",))


def spoilt(kind, plan, make_release, keys):
    other = next(name for name in NODES if name != plan.hospital)
    release = make_release(plan)
    return {
        "late": {"late": True},
        "error": Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION),
        "malformed": b"\x00" * 100,
        "refused: purposes": encode_answer(Refusal("purposes", "here alone")),
        "wrong signature": encode_answer(sign_release(release, new_key())),
        "wrong hospital": encode_answer(sign_release(replace(release, hospital=other), keys[other])),
        "not finite": encode_answer(
            sign_release(make_release(plan, np.full(6, np.nan)), keys[plan.hospital])
        ),
        "norm out of bound": encode_answer(
            sign_release(make_release(plan, np.full(6, 1e12)), keys[plan.hospital])
        ),
        "wrong shape": encode_answer(sign_release(make_release(plan, np.zeros(5)), keys[plan.hospital])),
        "wrong round": encode_answer(sign_release(replace(release, round=2), keys[plan.hospital])),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "late",
        "error",
        "malformed",
        "refused: purposes",
        "wrong signature",
        "wrong hospital",
        "not finite",
        "norm out of bound",
        "wrong shape",
        "wrong round",
    ],
)
def test_what_is_no_good_release_is_named_and_the_round_goes_on(play, honest, make_release, keys, kind):
    def answer(plan):
        return spoilt(kind, plan, make_release, keys) if plan.hospital == "west" else honest(plan)

    summary = play(Agents(answer))
    assert set(summary.accepted) == {"north", "south"}
    assert [(one.hospital, one.reason) for one in summary.rejected] == [("west", kind)]


def test_a_revoked_hospitals_release_does_not_count_though_its_node_is_still_there(play, honest):
    summary = play(Agents(honest), revoked=("west",))
    assert set(summary.accepted) == {"north", "south"}
    assert [(one.hospital, one.reason) for one in summary.rejected] == [("west", "wrong signature")]


@pytest.mark.parametrize("other", [PROTOCOL - 1, PROTOCOL + 1])
def test_who_speaks_another_protocol_gives_no_release_and_is_said_in_one_line(other, play, honest):
    """Whatever stands behind the bytes that never change; the others' round goes on without it."""

    def answer(plan):
        if plan.hospital != "west":
            return honest(plan)
        return speaker_to_bytes(ANSWER, Speaker(other, "9.9.9")) + b"\xff of another layout"

    heard = {}
    summary = play(Agents(answer), hear=heard.__setitem__)
    older = "this server" if other > PROTOCOL else "its agent"
    line = (
        f"its agent speaks protocol {other} (wardround 9.9.9), this server {this_speaker()}; upgrade {older}"
    )
    assert summary.rejected == (NoRelease("west", line),)
    assert set(summary.accepted) == {"north", "south"}
    assert heard == {"north": this_speaker(), "south": this_speaker(), "west": Speaker(other, "9.9.9")}


def test_another_release_of_this_protocol_counts(play, honest, monkeypatch):
    def answer(plan):
        with monkeypatch.context() as release:
            release.setattr(speaker, "installed_version", lambda: "9.9.9")
            return honest(plan)

    heard = {}
    assert set(play(Agents(answer), hear=heard.__setitem__).accepted) == set(NODES)
    assert set(heard.values()) == {Speaker(PROTOCOL, "9.9.9")}


def test_a_release_under_another_speakers_name_is_forged(play, honest):
    """The hospital signed who sends it: who forwards cannot make an operator believe that it was upgraded."""
    swapped = speaker_to_bytes(ANSWER, Speaker(PROTOCOL, "9.9.9"))
    summary = play(
        Agents(
            lambda plan: swapped + honest(plan)[SPEAKER_BYTES:] if plan.hospital == "west" else honest(plan)
        )
    )
    assert summary.rejected == (NoRelease("west", "wrong signature"),)


def test_a_supernode_that_does_not_know_the_shim_is_said(play, honest):
    unloaded = Error(code=ErrorCode.LOAD_CLIENT_APP_EXCEPTION)
    summary = play(Agents(lambda plan: unloaded if plan.hospital == "west" else honest(plan)))
    assert summary.rejected == (NoRelease("west", OTHER_SHIM),)
