"""Looks that are held until a message is whole; and that Fleet's calls are still each node's own."""

import asyncio
from types import SimpleNamespace

import pytest
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.runtime_pb2 import PushAppMessagesRequest, PushAppMessagesResponse

from wardround.server.network import held_looks
from wardround.server.network.held_looks import ALIVE_SECONDS, BEATS, HeldLooks
from wardround.server.network.line import Line

NODE, OTHER = 7, 8
LONG = 60.0


async def forever():
    await asyncio.Event().wait()


def look(during, longest=LONG, receive=forever, line=None):
    """One held look of NODE, with ``during(looks, news)`` meanwhile; whether it may be answered, and the beats."""
    beats = []

    async def alive():
        beats.append(1)

    async def run():
        looks = HeldLooks(longest)
        with looks.open(NODE, line) as news:
            waiting = asyncio.ensure_future(news.wait(alive, receive))
            await asyncio.sleep(0)
            await asyncio.to_thread(during, looks, news)
            # Far below what a look is held for: only news end it in time.
            return await asyncio.wait_for(waiting, LONG / 4), len(beats)

    return asyncio.run(run())


def test_a_message_that_is_whole_ends_the_look_at_once():
    assert look(lambda looks, news: looks.laid_down({NODE: {"a", "b"}}, set())) == (True, 1)


def test_a_message_whose_parts_are_still_to_come_ends_it_with_the_last_part():
    def during(looks, news):
        looks.laid_down({NODE: {"a", "b", "there"}}, {"a", "b", "of another"})
        assert news.incomplete
        looks.arrived("a")
        assert news.incomplete
        assert not news._came.is_set()
        looks.arrived("b")
        assert not news.incomplete

    assert look(during) == (True, 1)


def test_another_nodes_message_ends_nobody_elses_look():
    def during(looks, news):
        looks.laid_down({OTHER: {"a"}}, {"a"})
        looks.arrived("a")

    assert look(during, longest=0.02) == (True, BEATS)


def test_a_look_without_a_message_ends_and_forgets_parts_that_never_came():
    looks_of = []

    def during(looks, news):
        looks_of.append(looks)
        looks.laid_down({NODE: {"a"}}, {"a"})

    assert look(during, longest=0.05) == (True, BEATS)
    assert not looks_of[0].waits_for_parts(NODE)
    assert not looks_of[0]._open


def test_who_has_hung_up_is_given_no_message():
    async def gone():
        return {"type": "http.disconnect"}

    assert look(lambda looks, news: None, receive=gone)[0] is False


def test_a_server_that_stops_lets_whoever_waits_go():
    line = SimpleNamespace(when_server_stops=None)

    async def run():
        looks = HeldLooks(LONG)

        async def alive():
            pass

        with looks.open(NODE, line) as news:
            waiting = asyncio.ensure_future(news.wait(alive, forever))
            await asyncio.sleep(0)
            line.cycle = SimpleNamespace(response_complete=False)
            Line.shutdown(line_like(line))
            return await asyncio.wait_for(waiting, LONG / 4)

    assert asyncio.run(run()) is False
    assert line.when_server_stops is None


def line_like(plain):
    """A Line without a transport, for its own ``shutdown``."""
    line = Line.__new__(Line)
    line.cycle, line.when_server_stops = plain.cycle, plain.when_server_stops
    return line


def test_a_look_is_renewed_before_flower_takes_its_node_for_gone():
    from flwr.common.constant import HEARTBEAT_MIN_INTERVAL, HEARTBEAT_PATIENCE

    assert ALIVE_SECONDS >= HEARTBEAT_MIN_INTERVAL
    assert HeldLooks().beat_seconds < HEARTBEAT_PATIENCE * ALIVE_SECONDS - 5


@pytest.mark.parametrize("missing", [[], ["m"]])
def test_what_a_study_lays_down_is_told_after_flower_has_stored_it(missing):
    stored = []
    answer = PushAppMessagesResponse(objects_to_push=missing)
    handlers = SimpleNamespace(
        push_messages=lambda request, state, task: stored.append("message") or answer,
        push_object=lambda request, state, task: stored.append("part"),
    )
    looks = HeldLooks()
    held_looks.watch(handlers, looks)
    message = Message(metadata=Metadata(dst_node_id=NODE))
    asked = PushAppMessagesRequest(messages_list=[message], message_object_trees=[ObjectTree(object_id="m")])
    assert handlers.push_messages(asked, None, None) is answer
    assert looks.waits_for_parts(NODE) is bool(missing)
    handlers.push_object(SimpleNamespace(object_id="m"), None, None)
    assert not looks.waits_for_parts(NODE)
    assert stored == ["message", "part"]
