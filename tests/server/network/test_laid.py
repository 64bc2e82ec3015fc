"""What one enrolled hospital may lay down in the SuperLink's database."""

from types import SimpleNamespace

import pytest
from fastapi import HTTPException
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree, PushObjectRequest, PushObjectResponse
from flwr.proto.node_pb2 import Node

from wardround.server.network import laid as module
from wardround.server.network.laid import MOST_PARTS, MOST_TRIES, Laid, hold

NORTH, SERVER = 2**63 + 7, 1


class State:
    """Flower's LinkState, as far as it is asked. asked: node by message; store: content by part."""

    def __init__(self, asked):
        self.asked, self.object_store = asked, {}

    def get_valid_message_ins(self, message):
        node = self.asked.get(message)
        return None if node is None else {"dst_node_id": node - 2**64 if node >= 2**63 else node}


def answer(asked="ask", tree=("a", "b", "c"), source=NORTH, node=NORTH):
    first, *others = tree
    message = Message(metadata=Metadata(src_node_id=source, dst_node_id=SERVER, reply_to_message_id=asked))
    trees = [ObjectTree(object_id=first, children=[ObjectTree(object_id=one) for one in others])]
    return PushMessagesRequest(node=Node(node_id=node), messages_list=[message], message_object_trees=trees)


def part(name="a", size=10, node=NORTH):
    return PushObjectRequest(node=Node(node_id=node), object_id=name, object_content=bytes(size))


@pytest.fixture
def state():
    return State({"ask": NORTH, "theirs": 5})


def test_an_answer_to_what_was_asked_is_laid_down(state):
    laid = Laid()
    assert laid.may_answer(answer(), state)
    assert laid.may_answer(answer(), state)  # Flower repeats what it does not know the outcome of
    assert laid.may_store(part("c"), state)


@pytest.mark.parametrize(
    "pushed",
    [
        answer(asked=""),  # a message of its own, to whomever
        answer(source=SERVER),
        answer(source=5),
        answer(tree="abcd"),
        PushMessagesRequest(node=Node(node_id=NORTH)),
    ],
)
def test_what_is_no_answer_of_this_node_is_refused(pushed, state):
    with pytest.raises(HTTPException) as refused:
        Laid().may_answer(pushed, state)
    assert refused.value.status_code == 400


@pytest.mark.parametrize("asked", ["never", "theirs"])
def test_an_answer_too_late_or_to_anothers_message_leaves_nothing(asked, state):
    laid = Laid()
    assert not laid.may_answer(answer(asked=asked), state)
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
    for name in "ab":
        assert laid.may_store(part(name), state)
        state.object_store[name] = bytes(10)
    with pytest.raises(HTTPException) as full:
        laid.may_store(part("c"), state)
    assert full.value.status_code == 503  # which Flower's SuperNode repeats
    assert laid.may_store(part("b"), state)  # the same part again is no more
    del state.object_store["a"]
    assert laid.may_store(part("c"), state)


def test_parts_that_wait_are_bounded(state):
    laid = Laid()
    for number in range(MOST_PARTS // 3):
        state.asked[f"ask{number}"] = NORTH
        names = tuple(f"{letter}{number}" for letter in "abc")
        laid.may_answer(answer(f"ask{number}", names), state)
        state.object_store.update(dict.fromkeys(names, b""))
    with pytest.raises(HTTPException):
        laid.may_answer(answer(), state)
    state.object_store.clear()
    assert laid.may_answer(answer(), state)


def test_an_upload_goes_on_after_a_restart_of_the_superlink(state):
    state.object_store.update({"a": b"", "b": b"there"})
    laid = Laid(most_bytes=25)
    assert laid.may_store(part("a"), state)
    assert not laid.may_store(part("b"), state)
    assert not laid.may_store(part("unknown"), state)


def test_flowers_handlers_are_asked_for_what_may_be_laid_down_alone(state):
    asked = []
    handlers = SimpleNamespace(
        push_messages=lambda request, state: asked.append(request) or "stored",
        push_object=lambda request, state: asked.append(request) or "stored",
    )
    hold(handlers, Laid())
    assert handlers.push_object(request=part(), state=state) == PushObjectResponse(stored=False)
    assert handlers.push_messages(request=answer("never"), state=state) == PushMessagesResponse()
    assert not asked
    assert handlers.push_messages(request=answer(), state=state) == "stored"
    assert handlers.push_object(request=part(), state=state) == "stored"


def test_flowers_router_looks_its_handlers_up_at_each_call():
    """Contract with Flower: ``hold`` puts its bounds into the module that the router calls."""
    from flwr.superlink.routers.fleet import router
    from flwr.superlink.servicer.fleet import fleet_handlers

    assert router.fleet_handlers is fleet_handlers
    assert {"push_messages", "push_object"} <= set(router.fleet_push_messages.__code__.co_names) | set(
        router.fleet_push_object.__code__.co_names
    )
    assert module.iterate_object_tree
