"""Replies pulled one by one: memory, half uploads, and what a hospital may not do to others or to the run."""

import json
import os
import subprocess
import sys

import httpx
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree

from tests.builders import ROOT
from tests.server.network.superlink_folder import SuperLinkFolder
from wardround.server.algorithm.screen import NoRelease
from wardround.server.network import streamed_grid
from wardround.simulations.federation.plain_codec import release_of


@pytest.fixture
def link(tmp_path):
    return SuperLinkFolder(tmp_path)


@pytest.fixture
def ask(link):
    """Push one message to each node; the identities of the messages, in order."""
    grid = link.grid()

    def ask(count):
        plans = [
            Message(RecordDict({"plan": ConfigRecord({"n": n})}), n, "train", ttl=60.0) for n in range(count)
        ]
        return grid, plans, list(grid.push_messages(plans))

    return ask


def answer(plan, payload=b"bytes"):
    return Message(RecordDict({"answer": ConfigRecord({"answer": payload})}), reply_to=plan)


def payloads(messages):
    return [message.content["answer"]["answer"] for message in messages]


def test_a_reply_is_given_before_the_next_is_fetched(link, ask):
    grid, plans, ids = ask(3)
    for number, (asked, plan) in enumerate(zip(ids, plans, strict=True)):
        link.put(asked, answer(plan, bytes([number])))
    stream = grid.pull_messages(ids)
    first = next(stream)
    assert (len(link.confirmed), len(set(link.pulled))) == (1, 3)
    assert sorted(payloads([first, *stream])) == [b"\x00", b"\x01", b"\x02"]
    assert len(link.confirmed) == 3


def test_a_reply_that_is_still_being_uploaded_keeps_nobody_waiting(link, ask):
    grid, plans, ids = ask(2)
    parts = link.put(ids[0], answer(plans[0], b"a" * 1000))
    link.put(ids[1], answer(plans[1], b"b"))
    link.missing = {max(parts, key=lambda name: len(parts[name]))}
    assert payloads(grid.pull_messages(ids)) == [b"b"]
    assert payloads(grid.pull_messages(ids[:1])) == []
    link.missing = set()
    assert payloads(grid.pull_messages(ids[:1])) == [b"a" * 1000]
    assert payloads(grid.pull_messages(ids[:1])) == []


def test_an_upload_that_broke_off_is_lost_on_the_way(link, ask):
    grid, plans, ids = ask(1)
    for name in link.put(ids[0], answer(plans[0])):
        (link.folder / name).unlink()
    (message,) = grid.pull_messages(ids)
    assert message.error.code == ErrorCode.MESSAGE_UNAVAILABLE
    assert message.metadata.reply_to_message_id == ids[0]


def test_a_hospitals_error_comes_through(link, ask):
    grid, plans, ids = ask(1)
    link.put(ids[0], Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION), reply_to=plans[0]))
    (message,) = grid.pull_messages(ids)
    assert message.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION


def malformed(messages, asked):
    (message,) = messages
    assert message.metadata.reply_to_message_id == asked
    assert release_of(message, "north") == NoRelease("north", "malformed")


def test_two_gigabytes_in_many_parts_are_refused_unread(link, ask):
    """Flower cuts arrays into parts of 5 MB, each small enough for the door: here as many as 2 GB would have."""
    grid, plans, ids = ask(1)
    large = RecordDict({"answer": ArrayRecord({f"a{i}": Array(np.zeros(2) + i) for i in range(410)})})
    link.put(ids[0], Message(large, reply_to=plans[0]))
    malformed(grid.pull_messages(ids), ids[0])
    assert link.pulled == []
    assert len(link.confirmed) == 1


def test_a_reply_longer_than_an_answer_is_dropped(link, ask, monkeypatch):
    monkeypatch.setattr(streamed_grid, "LARGEST_REPLY", 4000)
    grid, plans, ids = ask(2)
    link.put(ids[0], answer(plans[0], b"a" * 5000))
    link.put(ids[1], answer(plans[1], b"a" * 2000))
    found = {message.metadata.reply_to_message_id: message for message in grid.pull_messages(ids)}
    malformed([found[ids[0]]], ids[0])
    assert payloads([found[ids[1]]]) == [b"a" * 2000]


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 50, b"Message 0 5\x00abcde", b"RecordDict 0 2\x00{}", None]
)
def test_parts_that_are_not_what_they_say_end_no_run(link, ask, content):
    grid, plans, ids = ask(1)
    reply = answer(plans[0])
    link.put(ids[0], reply)
    if content is None:  # the message names a part that the tree does not hold
        proto, _ = link.ready[ids[0]]
        link.ready[ids[0]] = proto, ObjectTree(object_id=reply.object_id)
    else:
        (link.folder / reply.object_id).write_bytes(content)
    malformed(grid.pull_messages(ids), ids[0])


def test_nobody_answers_for_another(link, ask):
    """What counts is whom the SuperLink took the reply from, not what the reply says that it answers."""
    grid, plans, ids = ask(2)
    link.put(ids[1], answer(plans[0], b"spoofed"))
    (message,) = grid.pull_messages(ids)
    assert payloads([message]) == [b"spoofed"]
    assert message.metadata.reply_to_message_id == ids[1]


def test_a_server_that_goes_away_is_no_bad_reply(link, ask, monkeypatch):
    grid, plans, ids = ask(1)
    link.put(ids[0], answer(plans[0]))

    def away(request):
        raise httpx.ConnectError("away")

    monkeypatch.setattr(link, "PullObject", away)
    with pytest.raises(httpx.ConnectError):
        list(grid.pull_messages(ids))


def measured(folder, hospitals, kind="streamed"):
    folder.mkdir()
    line = [
        sys.executable,
        "-P",
        "-m",
        "tests.server.network.superlink_folder",
        str(folder),
        str(hospitals),
        "sum",
        kind,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(line, capture_output=True, check=True, env=environment, cwd=ROOT)
    found = json.loads(made.stdout)
    assert found["accepted"] == hospitals
    assert found["parameters"] > 990_000
    return (found["after_kib"] - found["before_kib"]) / 1024


@pytest.mark.slow
def test_a_hundred_hospitals_with_a_million_parameters_take_the_memory_of_ten(tmp_path):
    """Peak memory of the round's own process, in MiB; a release is 4. Flower's own grid takes 100 releases more."""
    ten, hundred = measured(tmp_path / "ten", 10), measured(tmp_path / "hundred", 100)
    print(f"10 hospitals: {ten:.0f} MiB, 100: {hundred:.0f} MiB")
    assert hundred < ten + 16
    assert measured(tmp_path / "flower", 100, "flower") > ten + 200
