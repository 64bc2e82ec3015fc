"""What one enrolled hospital may lay down in the SuperLink's database."""

import math
from hashlib import sha256
from types import SimpleNamespace

import pytest
from fastapi import HTTPException
from flwr.proto.error_pb2 import Error
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import (
    Message,
    Metadata,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.recorddict_pb2 import RecordDict

from wardround.server.network import laid as module
from wardround.server.network.answer import MOST_REASON
from wardround.server.network.laid import MOST_PARTS, MOST_TRIES, Laid, hold
from wardround.server.network.laid_record import LaidRecord

NORTH, SERVER, RUN = 2**63 + 7, 1, 2**63 + 9


def name(word):
    """A part's name, as Flower would give it."""
    return sha256(word.encode()).hexdigest()


class Store(dict):
    """Flower's object store, as far as it is asked."""

    def delete(self, part):
        self.pop(part, None)


class State:
    """Flower's LinkState, as far as it is asked. asked: node by message; store: content by part."""

    def __init__(self, asked):
        self.asked, self.object_store = {name(word): node for word, node in asked.items()}, Store()

    def get_valid_message_ins(self, message):
        node = self.asked.get(message)
        if node is None:
            return None
        signed = node - 2**64 if node >= 2**63 else node
        return {
            "message_id": message, "dst_node_id": signed, "run_id": RUN - 2**64, "message_type": "train",
        }  # fmt: skip


def answer(asked="ask", tree=("a", "b", "c"), **metadata):
    first, *others = [name(word) for word in tree]
    said = {
        "message_id": first, "src_node_id": NORTH, "dst_node_id": SERVER, "run_id": RUN, "created_at": 1.0,
        "ttl": 1.0, "reply_to_message_id": name(asked), "message_type": "train", "group_id": "1",
    }  # fmt: skip
    message = Message(metadata=Metadata(**(said | metadata)), content=RecordDict())
    trees = [ObjectTree(object_id=first, children=[ObjectTree(object_id=one) for one in others])]
    return PushMessagesRequest(
        node=Node(node_id=NORTH), messages_list=[message], message_object_trees=trees,
        clientapp_runtime_list=[math.nan],
    )  # fmt: skip


def part(word="a", size=10):
    return PushObjectRequest(
        node=Node(node_id=NORTH), object_id=name(word), object_content=bytes(size), run_id=RUN
    )


@pytest.fixture
def state():
    return State({"ask": NORTH, "theirs": 5})


def test_an_answer_to_what_was_asked_is_laid_down(state):
    laid, pushed = Laid(), answer()
    assert laid.may_answer(pushed, state)
    assert laid.may_answer(answer(), state)  # Flower repeats what it does not know the outcome of
    assert laid.may_store(part("c"), state)
    assert not pushed.clientapp_runtime_list  # which Flower adds up over all nodes: no number would end that


def with_content():
    pushed = answer()
    pushed.messages_list[0].content.items.add(key="x" * 1000)
    return pushed


@pytest.mark.parametrize(
    "pushed",
    [
        answer(reply_to_message_id=""),  # a message of its own, to whomever
        answer(src_node_id=SERVER),
        answer(src_node_id=5),
        answer(tree="abcd"),
        answer(message_id=name("other")),
        answer(message_id="A" * 64),
        answer(run_id=RUN + 1),
        answer(message_type="train.x"),
        answer(group_id="x" * 21),
        answer(created_at=math.nan),
        answer(ttl=math.nan),
        answer(ttl=math.inf),
        with_content(),
        PushMessagesRequest(node=Node(node_id=NORTH)),
    ],
)
def test_what_is_no_answer_of_this_node_is_refused(pushed, state):
    with pytest.raises(HTTPException) as refused:
        Laid().may_answer(pushed, state)
    assert refused.value.status_code == 400


def test_the_reason_of_a_failure_is_cut(state):
    pushed = answer()
    pushed.messages_list[0].error.CopyFrom(Error(code=1, reason="x" * 60_000))
    assert Laid().may_answer(pushed, state)
    assert len(pushed.messages_list[0].error.reason) == MOST_REASON


@pytest.mark.parametrize("asked", ["never", "theirs"])
def test_an_answer_too_late_or_to_anothers_message_leaves_nothing(asked, state):
    laid = Laid()
    assert not laid.may_answer(answer(asked), state)
    assert not laid.may_store(part(), state)


def test_an_answer_has_one_tree_and_few_tries(state):
    laid = Laid()
    for _ in range(MOST_TRIES):
        laid.may_answer(answer(), state)
    with pytest.raises(HTTPException):
        laid.may_answer(answer(), state)
    other = Laid()
    other.may_answer(answer(), state)
    with pytest.raises(HTTPException):
        other.may_answer(answer(tree="xyz"), state)


def test_bytes_that_wait_are_bounded_and_room_comes_back_when_they_are_fetched(state):
    laid = Laid(most_bytes=25)
    laid.may_answer(answer(), state)
    for word in "ab":
        assert laid.may_store(part(word), state)
        state.object_store[name(word)] = bytes(10)
    with pytest.raises(HTTPException) as full:
        laid.may_store(part("c"), state)
    assert full.value.status_code == 503  # which Flower's SuperNode repeats
    assert laid.may_store(part("b"), state)  # the same part again is no more
    del state.object_store[name("a")]
    assert laid.may_store(part("c"), state)


def test_an_empty_push_of_a_part_that_stands_makes_no_room(state):
    laid = Laid(most_bytes=25)
    laid.may_answer(answer(), state)
    for word in "ab":
        laid.may_store(part(word), state)
        state.object_store[name(word)] = bytes(10)
        laid.may_store(part(word, size=0), state)
    with pytest.raises(HTTPException):
        laid.may_store(part("c"), state)


def test_parts_that_wait_are_bounded(state):
    laid = Laid()
    for number in range(MOST_PARTS // 3):
        state.asked[name(f"ask{number}")] = NORTH
        words = tuple(f"{letter}{number}" for letter in "abc")
        laid.may_answer(answer(f"ask{number}", words), state)
        state.object_store.update({name(word): b"" for word in words})
    with pytest.raises(HTTPException):
        laid.may_answer(answer(), state)
    state.object_store.clear()
    assert laid.may_answer(answer(), state)


def test_a_restart_of_the_superlink_forgets_no_part_and_lets_an_upload_go_on(state, tmp_path):
    record = LaidRecord(tmp_path / "laid.sqlite")
    laid = Laid(record, most_bytes=25)
    laid.may_answer(answer(), state)
    for word in "ab":
        laid.may_store(part(word), state)
        state.object_store[name(word)] = bytes(10)
    record.close()
    again = Laid(LaidRecord(tmp_path / "laid.sqlite"), most_bytes=25)
    assert not again.may_store(part("unknown"), state)
    with pytest.raises(HTTPException):
        again.may_store(part("c"), state)
    state.object_store.clear()
    assert again.may_store(part("c"), state)


def test_flowers_handlers_are_asked_for_what_may_be_laid_down_alone(state):
    asked = []

    def flowers(request, state):
        asked.append(request)
        return "stored"

    names = ("push_messages", "push_object", "pull_object", "get_fab", "confirm_message_received")
    handlers = SimpleNamespace(**dict.fromkeys(names, flowers))
    hold(handlers, Laid())
    assert handlers.push_object(request=part(), state=state) == PushObjectResponse(stored=False)
    assert handlers.push_messages(request=answer("never"), state=state) == PushMessagesResponse()
    with pytest.raises(HTTPException):
        handlers.pull_object(request=PullObjectRequest(object_id="\x1b[31m"), state=state)
    assert not asked
    state.object_store[name("ask")] = b"a plan"
    assert handlers.push_messages(request=answer(), state=state) == "stored"
    assert name("ask") not in state.object_store  # who answers has read it
    assert handlers.push_object(request=part(), state=state) == "stored"
    assert handlers.pull_object(request=PullObjectRequest(object_id=name("a")), state=state) == "stored"


def test_flowers_router_looks_its_handlers_up_at_each_call():
    """Contract with Flower: ``hold`` puts its bounds into the module that the router calls."""
    from flwr.superlink.routers.fleet import router
    from flwr.superlink.servicer.fleet import fleet_handlers

    assert router.fleet_handlers is fleet_handlers
    for handler in ("push_messages", "push_object", "pull_object", "get_fab", "confirm_message_received"):
        assert handler in router.__dict__[f"fleet_{handler}"].__code__.co_names
    assert module.check_answer
