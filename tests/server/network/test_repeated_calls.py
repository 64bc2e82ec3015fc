"""A study's calls, made again: the same answer, and Flower asked once. With Flower's real states: test_busy_live."""

from collections import Counter
from types import SimpleNamespace

import pytest
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree, PushObjectRequest, PushObjectResponse
from flwr.proto.runtime_pb2 import (
    PullAppMessagesRequest,
    PullAppMessagesResponse,
    PushAppMessagesRequest,
    PushAppMessagesResponse,
)

from wardround.server.network import repeated_calls
from wardround.server.network.repeated_calls import RepeatedCalls, answer_repeats

RUN, OTHER = SimpleNamespace(run_id=1), SimpleNamespace(run_id=2)


class Handlers:
    """As Flower's module: a reply is given once; each push has a session of its own; parts may be refused."""

    def __init__(self):
        self.replies, self.calls, self.refuses, self.fails = {}, Counter(), set(), False

    def _called(self, name):
        self.calls[name] += 1
        if self.fails:
            raise OSError("disk")

    def pull_messages(self, request, state, task):
        self._called("pull")
        found = [
            self.replies.pop((task.run_id, one))
            for one in request.message_ids
            if (task.run_id, one) in self.replies
        ]
        trees = [ObjectTree(object_id=one.metadata.message_id) for one in found]
        return PullAppMessagesResponse(messages_list=found, message_object_trees=trees)

    def push_messages(self, request, state, task):
        self._called("push")
        return PushAppMessagesResponse(session_id=str(self.calls["push"]))

    def push_object(self, request, state, task):
        self._called("part")
        return PushObjectResponse(stored=request.object_id not in self.refuses)


@pytest.fixture
def flower():
    handlers, states = Handlers(), SimpleNamespace(HEARTBEAT_PATIENCE=2)
    answer_repeats(handlers, states, RepeatedCalls())
    assert states.HEARTBEAT_PATIENCE == repeated_calls.UNHEARD_BEATS
    return handlers


def reply(handlers, task, asked):
    metadata = Metadata(message_id=f"to {asked}", reply_to_message_id=asked)
    handlers.replies[task.run_id, asked] = Message(metadata=metadata)


def pull(handlers, task, *asked):
    answer = handlers.pull_messages(PullAppMessagesRequest(message_ids=asked), None, task)
    trees = [tree.object_id for tree in answer.message_object_trees]
    assert trees == [message.metadata.message_id for message in answer.messages_list]
    return sorted(message.metadata.reply_to_message_id for message in answer.messages_list)


def push(handlers, task, *names):
    messages = [Message(metadata=Metadata(message_id=name)) for name in names]
    return handlers.push_messages(PushAppMessagesRequest(messages_list=messages), None, task).session_id


def part(handlers, task, name, session="s"):
    return handlers.push_object(PushObjectRequest(object_id=name, session_id=session), None, task).stored


def test_a_reply_is_given_until_it_is_no_longer_asked_for(flower):
    reply(flower, RUN, "a")
    assert pull(flower, RUN, "a", "b") == ["a"]
    reply(flower, RUN, "b")
    assert pull(flower, RUN, "a", "b") == ["a", "b"]
    assert pull(flower, RUN, "b") == ["b"]
    assert pull(flower, RUN, "a", "b") == ["b"], "who stops asking has it"


def test_a_reply_is_given_to_its_own_run_alone(flower):
    reply(flower, RUN, "a")
    assert pull(flower, RUN, "a") == ["a"]
    assert pull(flower, OTHER, "a") == []
    assert pull(flower, RUN, "a") == ["a"]


def test_messages_are_laid_down_by_one_session(flower):
    assert push(flower, RUN, "a", "b") == push(flower, RUN, "a", "b") == "1"
    assert push(flower, RUN, "a") == "2"
    assert push(flower, OTHER, "a", "b") == "3"


def test_a_part_is_stored_once_and_one_that_was_refused_may_come_again(flower):
    flower.refuses.add("b")
    assert [part(flower, RUN, name) for name in "aabb"] == [True, True, False, False]
    assert flower.calls["part"] == 3
    assert part(flower, RUN, "a", session="another")
    assert flower.calls["part"] == 4


def test_a_call_that_failed_is_carried_out_when_it_comes_again(flower):
    reply(flower, RUN, "a")
    assert pull(flower, RUN, "a") == ["a"]
    flower.fails = True
    for call in (pull, push, part):
        with pytest.raises(OSError, match="disk"):
            call(flower, RUN, "a")
    flower.fails = False
    assert pull(flower, RUN, "a") == ["a"]
    assert push(flower, RUN, "a")
    assert part(flower, RUN, "a")


def test_what_is_kept_is_bounded(flower, monkeypatch):
    calls = RepeatedCalls()
    handlers = Handlers()
    answer_repeats(handlers, SimpleNamespace(), calls)
    for most in ("_MOST_RUNS", "_MOST_PUSHES", "_MOST_PARTS"):
        monkeypatch.setattr(repeated_calls, most, 4)
    for number in range(9):
        task = SimpleNamespace(run_id=number)
        reply(handlers, task, "a")
        assert pull(handlers, task, "a") == ["a"]
        push(handlers, task, "a")
        part(handlers, task, "a")
    assert [len(kept) for kept in (calls._given, calls._pushes, calls._parts)] == [4, 4, 4]
    assert list(calls._given) == [5, 6, 7, 8], "the newest"
