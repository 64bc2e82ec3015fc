"""Parts that come again are fetched once, whatever else comes between; large ones are not kept."""

import hashlib
from functools import partial

from flwr.app import Message
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import pull_objects
from flwr.supercore.task_identity import TaskIdentity

from wardround.client.network.repeated_parts import LARGEST_KEPT, MOST_KEPT, RepeatedParts
from wardround.protocol.wire.sum_wire import SumRequest, SumStep
from wardround.server.network.messages import sum_message


class Server:
    """Has parts, and counts what is fetched."""

    def __init__(self, contents):
        self.parts = {hashlib.sha256(one).hexdigest(): one for one in contents}
        self.fetched = []

    def fetch(self, name):
        self.fetched.append(name)
        return self.parts[name]


def test_each_part_is_given_and_small_ones_are_fetched_once():
    server = Server([b"a", b"b", bytes(LARGEST_KEPT + 1)])
    pull = RepeatedParts(pull_objects)
    for _ in range(3):
        assert pull(list(server.parts), pull_object_fn=server.fetch) == server.parts
    large = [name for name, content in server.parts.items() if len(content) > LARGEST_KEPT]
    assert sorted(server.fetched) == sorted([*server.parts, *large, *large])


def test_what_is_kept_is_bounded():
    pull = RepeatedParts(partial(pull_objects, initial_backoff=0.05))
    for number in range(2 * MOST_KEPT + 1):
        server = Server([number.to_bytes(4)])
        assert list(pull(list(server.parts), pull_object_fn=server.fetch).values()) == [number.to_bytes(4)]
        assert len(pull._kept) <= MOST_KEPT


def test_a_fault_passes_and_nothing_is_kept_of_it():
    server = Server([b"a"])
    pull = RepeatedParts(pull_objects)

    def broken(name):
        raise ConnectionError

    for _ in range(2):
        try:
            pull(list(server.parts), pull_object_fn=broken)
        except ConnectionError:
            continue
        raise AssertionError("a fault was swallowed")
    assert pull(list(server.parts), pull_object_fn=server.fetch) == server.parts


def parts_of(request, monkeypatch):
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    message: Message = sum_message(request, b"signed", node=3, seconds=60.0)
    return {name: one.deflate() for name, one in get_all_nested_objects(message).items()}


def test_of_the_second_request_of_a_sum_two_parts_are_known(monkeypatch):
    pull, fetched = RepeatedParts(pull_objects), []
    for number in (1, 2):
        request = SumRequest(
            step=SumStep.SURVIVORS,
            study="s",
            hospital="h",
            terms_fingerprint="f" * 64,
            round=number,
            body=bytes([number]),
        )
        server = Server(parts_of(request, monkeypatch).values())
        pull(list(server.parts), pull_object_fn=server.fetch)
        fetched.append(len(server.fetched))
    assert fetched == [5, 3]
