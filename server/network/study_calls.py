"""How long a study waits for one call of its own to the server, and how long it repeats it: by what is in the way.

A server at which nobody listens is started again within seconds, or is away: then the study waits for it, and says so
(``server.study.at_server``). One that takes calls and does not answer is busy, or was stopped for a while, and has the
study's run still: given up, all of its hospitals would be asked again, by a machine that has too much to do already.
Flower 1.42 gives each call 30 s, and gives up where the token is unknown by ending the whole process.
"""

import ssl
import time
from collections.abc import Callable, Generator
from functools import partial
from threading import local

import httpx
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.retry import RetryInvoker, exponential

ANSWER_SECONDS = 100.0
"""For which one try waits for its answer. The server is on this machine: no line to it is silent for long."""
BUSY_SECONDS = 300.0
"""For which a call is repeated where somebody listens; below what a run goes unheard (``repeated_calls``)."""
AWAY_SECONDS = 20.0
"""For which it is repeated where nobody does."""
LONGEST_PAUSE_SECONDS = 3
"""Between two tries. Flower waits for up to 20 s; the server restarts in a few, and holds every hospital up."""
LEAVE_SECONDS = 30.0
"""For which a heartbeat, and the last call of a run, wait for an answer: whoever stops a study waits for both."""
_UNKNOWN_TOKEN = 401
_FAILED = 500
_LEAVING = frozenset({"/v1/runtime/send-task-heartbeat", "/v1/runtime/push-task-output"})


class AnswerTimes:
    """Gives each request the time that its answer may take. An interceptor of Flower's clients."""

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Send it on."""
        seconds = LEAVE_SECONDS if context.request.url.path in _LEAVING else ANSWER_SECONDS
        context.request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
        return call_next(context)


class _Begun(local):
    """When this thread's call was begun, and since when nobody has listened to it; None while somebody does."""

    at: float = 0.0
    away_since: float | None = None


class _Patience:
    """When to give a call up. Each thread has one under way at a time."""

    def __init__(
        self,
        hopeless: Callable[[Exception], bool],
        listening: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._hopeless, self._listening, self._clock = hopeless, listening, clock
        self._begun = _Begun()

    def pauses(self) -> Generator[float, None, None]:
        """Begin a call: Flower's invoker asks for its pauses first."""
        self._begun.at, self._begun.away_since = self._clock(), None
        return exponential(max_delay=LONGEST_PAUSE_SECONDS)

    def over(self, error: Exception) -> bool:
        """Whether to give the call up. A failure is repeated for a little: a database that others write to is one."""
        now, begun = self._clock(), self._begun
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == _FAILED:
            return now - begun.at > AWAY_SECONDS
        if self._hopeless(error):
            return True
        if self._listening():
            begun.away_since = None
            return now - begun.at > BUSY_SECONDS
        begun.away_since = now if begun.away_since is None else begun.away_since
        return now - begun.away_since > AWAY_SECONDS


def repeat_calls(
    invoker: RetryInvoker, listening: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> None:
    """Have one of Flower's invokers repeat calls so. listening: whether somebody listens at the server's port now."""
    patience = _Patience(partial(_hopeless, invoker.should_giveup), listening, clock)
    invoker.wait_gen_factory = patience.pauses
    invoker.should_giveup = patience.over


def _hopeless(flowers: Callable[[Exception], bool] | None, error: Exception) -> bool:
    """Whether no repeat can help. Where the server no longer knows the token, Flower would end this whole process."""
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == _UNKNOWN_TOKEN:
        return True
    # Flower takes what names TLS for a wrong certificate: a handshake, too, that a busy server had no time for.
    return not _broke_off(error) and flowers is not None and flowers(error)


def _broke_off(error: BaseException | None) -> bool:
    """Whether the server was silent, or hung up: in a handshake, too."""
    if isinstance(error, httpx.TimeoutException | ssl.SSLEOFError):
        return True
    return error is not None and _broke_off(error.__cause__)
