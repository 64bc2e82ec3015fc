"""A SuperNode asks its server to hold looks, and says that it lives only where the server cannot know it."""

import httpx
import pytest

from wardround.client.network.long_look import GRACE_SECONDS, LOOK_PATH, LongLooks
from wardround.client.network.supernode_process import FLOWERS_PAUSE_SECONDS, LOOK_SECONDS, Pauses
from wardround.protocol.wire.held_look import HELD, LONGEST_HELD_SECONDS, WAIT
from wardround.server.network.fleet import PULL_MESSAGES

URL = "https://a.example:1"


class Server:
    """Answers looks, held or not, and takes its time; heartbeats are counted."""

    def __init__(self, holds):
        self.holds, self.now, self.beats = holds, 100.0, 0
        self.looks = LongLooks(lambda: self.now)
        self.beat = self.looks.instead_of(self._beat)

    def _beat(self):
        self.beats += 1
        return True

    def look(self, seconds=0.0, meanwhile=lambda: None, path=LOOK_PATH):
        request = httpx.Request("POST", URL + path)

        def send():
            meanwhile()
            self.now += seconds
            return httpx.Response(200, headers={HELD: "1"} if self.holds else {})

        self.looks.carry(request, send)
        return request


def test_the_path_is_the_servers():
    assert LOOK_PATH == PULL_MESSAGES


def test_looks_ask_to_be_held_and_no_other_call_does():
    server = Server(holds=True)
    assert WAIT in server.look().headers
    assert WAIT not in server.look(path="/v1/fleet/push-messages").headers


def test_a_server_that_holds_looks_is_sent_no_heartbeat_while_it_does():
    server = Server(holds=True)
    server.beat()
    server.look(LONGEST_HELD_SECONDS)
    assert server.beats == 1
    server.look(LONGEST_HELD_SECONDS, meanwhile=server.beat)
    server.beat()
    assert server.beats == 1
    server.now += GRACE_SECONDS + 0.1  # a message is being answered
    server.beat()
    assert server.beats == 2


def test_a_server_of_an_earlier_release_is_sent_all_heartbeats():
    server = Server(holds=False)
    for _ in range(3):
        server.look(meanwhile=server.beat)
        server.beat()
    assert server.beats == 6
    assert not server.looks.held


def test_after_a_look_that_failed_heartbeats_go_out_again():
    server = Server(holds=True)
    server.look()

    def cut():
        raise httpx.ReadError("cut")

    with pytest.raises(httpx.ReadError):
        server.looks.carry(httpx.Request("POST", URL + LOOK_PATH), cut)
    server.beat()
    assert server.beats == 1
    assert not server.looks.held


def test_a_server_that_says_nothing_is_believed_no_longer_than_a_look_is_held():
    server = Server(holds=True)
    server.look()

    def silent():
        server.now += LONGEST_HELD_SECONDS + GRACE_SECONDS + 0.1
        server.beat()

    server.look(meanwhile=silent)
    assert server.beats == 1


@pytest.mark.parametrize(("held", "pause"), [(True, LOOK_SECONDS), (False, FLOWERS_PAUSE_SECONDS)])
def test_a_held_look_is_repeated_at_once(held, pause):
    slept, now = [], [0.0]
    pauses = Pauses(lambda: None, lambda: now[0], slept.append, lambda: held)
    now[0] = LONGEST_HELD_SECONDS * 3
    pauses.sleep(FLOWERS_PAUSE_SECONDS)
    assert slept == [pause]
