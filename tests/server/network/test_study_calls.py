"""How long a study's calls are repeated, by what is in the way. Time is the tests' own."""

import ssl

import httpx
import pytest
from flwr.supercore.retry import make_simple_http_retry_invoker

from wardround.server.network import study_calls
from wardround.server.network.study_calls import AWAY_SECONDS, BUSY_SECONDS, repeat_calls

ASKED = httpx.Request("POST", "https://127.0.0.1/v1/runtime/pull-messages")
TRY_SECONDS = 4.0


def answered(status):
    return httpx.HTTPStatusError("said", request=ASKED, response=httpx.Response(status, request=ASKED))


def caused(error, cause):
    error.__cause__ = cause
    return error


HANDSHAKE = httpx.ConnectTimeout("_ssl.c:989: The handshake operation timed out")
BROKEN_OFF = caused(httpx.ConnectError("[SSL: UNEXPECTED_EOF_WHILE_READING]"), ssl.SSLEOFError())
CERTIFICATE = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired")
ANOTHER_PROGRAM = httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number")


class Call:
    """One call that fails, each try of which takes a while; ``listening`` says who listens at that time."""

    def __init__(self, error, listening=lambda now: True):
        self.now, self.error, self.pauses = 1000.0, error, []
        self.invoker = make_simple_http_retry_invoker()
        self.invoker.wait_function, self.invoker.jitter = self._wait, None
        repeat_calls(self.invoker, lambda: listening(self.now - 1000.0), clock=lambda: self.now)

    def _wait(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def _try(self):
        self.now += TRY_SECONDS
        if self.error is not None:
            raise self.error

    def seconds(self):
        """How long it is repeated."""
        begun = self.now
        with pytest.raises(type(self.error)):
            self.invoker.invoke(self._try)
        return self.now - begun


LONGEST_TRY = TRY_SECONDS + study_calls.LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize(
    "error", [HANDSHAKE, BROKEN_OFF, httpx.ReadTimeout(""), httpx.ReadError(""), answered(503)]
)
def test_a_server_that_is_busy_is_called_for_minutes(error):
    assert BUSY_SECONDS < Call(error).seconds() <= BUSY_SECONDS + LONGEST_TRY


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError(""), HANDSHAKE])
def test_a_server_that_is_away_is_waited_for_by_the_study_and_not_by_its_call(error):
    taken = Call(error, listening=lambda now: False).seconds()
    assert AWAY_SECONDS < taken <= AWAY_SECONDS + TRY_SECONDS + LONGEST_TRY


def test_one_that_is_killed_after_a_minute_of_silence_is_given_its_time_to_start():
    taken = Call(httpx.ReadError(""), listening=lambda now: now < 60.0).seconds()
    assert 60.0 + AWAY_SECONDS < taken <= 60.0 + AWAY_SECONDS + 2 * LONGEST_TRY


def test_a_failure_is_repeated_for_as_long_as_a_database_may_be_locked_by_chance():
    assert AWAY_SECONDS < Call(answered(500)).seconds() <= AWAY_SECONDS + LONGEST_TRY


@pytest.mark.parametrize("error", [CERTIFICATE, ANOTHER_PROGRAM, answered(404), answered(413)])
def test_what_no_repeat_can_help_is_not_repeated(error):
    assert Call(error).seconds() == TRY_SECONDS


def test_each_call_has_the_whole_time_and_short_pauses():
    call = Call(httpx.ReadTimeout(""))
    first, second = call.seconds(), call.seconds()
    assert first == second
    assert call.pauses[:4] == [1, 2, 3, 3]


def test_requests_have_a_minute_and_more_and_those_for_which_a_stop_waits_have_less():
    seconds = {}
    for path in ("pull-messages", "send-task-heartbeat", "push-task-output"):
        request = httpx.Request("POST", f"https://127.0.0.1/v1/runtime/{path}", extensions={"timeout": {}})

        def sent(context, path=path):
            seconds[path] = set(context.request.extensions["timeout"].values())

        context = study_calls.ProtobufRequestContext("", None, request)
        study_calls.AnswerTimes().intercept(context, sent)
    assert seconds["pull-messages"] == {study_calls.ANSWER_SECONDS}
    assert seconds["send-task-heartbeat"] == seconds["push-task-output"] == {study_calls.LEAVE_SECONDS}
    assert study_calls.LEAVE_SECONDS < 60 < study_calls.ANSWER_SECONDS
