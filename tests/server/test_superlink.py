"""A server that was away so long that it forgot the run: another is opened. Flower would end the study's process."""

import signal

import httpx
import pytest
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.superlink.grid import HttpGrid

from server.superlink import heartbeats, live_on

ASKED = httpx.Request("POST", "https://127.0.0.1/v1/runtime/pull-messages")


def answered(status):
    return httpx.HTTPStatusError("said", request=ASKED, response=httpx.Response(status, request=ASKED))


@pytest.fixture
def interrupted():
    """Signals that came, of the kind that Flower sends to its own process."""
    came = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGINT, before)


def test_a_token_that_the_server_forgot_is_an_error_and_no_signal(interrupted):
    invoker = make_simple_http_retry_invoker()
    invoker.should_giveup = live_on(invoker.should_giveup)

    def ask():
        raise answered(401)

    with pytest.raises(httpx.HTTPStatusError):
        invoker.invoke(ask)
    assert interrupted == []


def test_what_flower_repeats_is_still_repeated():
    giving_up = live_on(make_simple_http_retry_invoker().should_giveup)
    assert not giving_up(answered(503))
    assert not giving_up(httpx.ConnectError("refused"))
    assert giving_up(answered(404))


@pytest.mark.parametrize("error", [answered(401), answered(503), httpx.ConnectError("refused"), None])
def test_a_heartbeat_never_ends_the_process(error, interrupted):
    class Client:
        def SendTaskHeartbeat(self, request):  # noqa: N802 (Flower's name)
            if error is not None:
                raise error

    assert heartbeats(Client())()
    assert interrupted == []


def test_a_grids_calls_all_pass_by_the_one_invoker():
    grid = HttpGrid("127.0.0.1:1", root_certificates=None, token="t")
    assert grid._runtime_client._retry_invoker is grid._retry_invoker
    grid.close()
