"""A run that ends while its message is fetched costs a hospital that message, and none of those that follow."""

import inspect

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal
from flwr.supernode.nodestate import NodeStateFactory

from wardround.client.network.left_behind import answer_waits, leaving_nothing_behind

RUN = 7
FLOWERS = start_client_internal._pull_and_store_message


@pytest.fixture(autouse=True)
def as_in_a_run(monkeypatch):
    """Flower stamps messages with the identity of the process that makes them."""
    for name, value in {"_run_id": RUN, "_node_id": 1, "_task_id": 2}.items():
        monkeypatch.setattr(TaskIdentity, name, value)


class Node:
    """A SuperNode's own state, and a server that has one message for it."""

    def __init__(self):
        stores = ObjectStoreFactory()
        self.state, self.store = NodeStateFactory(objectstore_factory=stores).state(), stores.store()
        self.state.set_node_id(3)
        self.state.store_run(Run.create_empty(RUN))
        self.message = Message(RecordDict({"plan": ConfigRecord({"head": b"x"})}), 3, "train", ttl=60.0)
        self.message.metadata.__dict__["_message_id"] = self.message.object_id
        self.parts = {name: one.deflate() for name, one in get_all_nested_objects(self.message).items()}

    def pull(self, pull, confirm=lambda *_: None, fetch=None, there=True):
        return pull(
            state=self.state,
            object_store=self.store,
            node_config={},
            receive=lambda: (self.message, get_object_tree(self.message)) if there else None,
            get_run=None,
            get_fab=None,
            pull_object=fetch or (lambda run, name: self.parts[name]),
            confirm_message_received=confirm,
            trusted_entities=None,
        )

    def waiting(self):
        """Messages that an app would still be given."""
        return self.state.get_messages_legacy(run_ids=[RUN], is_reply=False)


def ended(*_):
    raise RunNotRunningException


@pytest.mark.parametrize("broken", ["confirm", "fetch"])
def test_of_a_message_whose_run_ends_nothing_is_answered(broken):
    node = Node()
    assert node.pull(leaving_nothing_behind(FLOWERS, RunNotRunningException), **{broken: ended}) is None
    assert node.waiting() == []


def test_flower_alone_leaves_it_to_be_answered():
    """If this fails Flower has mended it: ``left_behind`` can go."""
    node = Node()
    assert node.pull(FLOWERS, confirm=ended) is None
    assert len(node.waiting()) == 1


def test_a_message_whose_run_goes_on_is_fetched_as_ever():
    node = Node()
    assert node.pull(leaving_nothing_behind(FLOWERS, RunNotRunningException)) == RUN
    assert len(node.waiting()) == 1


def test_an_answer_that_nobody_took_is_sent_though_no_message_came():
    node = Node()
    pull = leaving_nothing_behind(FLOWERS, RunNotRunningException)
    node.pull(pull)
    assert node.pull(pull, there=False) is None
    reply = Message(RecordDict(), reply_to=node.message)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    node.state.store_message(reply)
    assert answer_waits(node.state)
    assert node.pull(pull, there=False) is not None
    assert list(node.state.get_messages_legacy(is_reply=True)) == [reply]
    assert node.pull(pull, there=False) is None


def test_flower_calls_the_step_by_names():
    loop = inspect.getsource(start_client_internal.start_client_internal)
    assert loop.count("run_id = _pull_and_store_message(\n                state=state,") == 1
    assert "if run_id is None:" in loop
