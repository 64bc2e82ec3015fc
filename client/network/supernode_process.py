"""Flower's SuperNode at a hospital, with Flower's own arguments; ``wardround-hospital supernode`` becomes it.

Two processes of the SuperNode's user. One is Flower's SuperNode. The other, the runner, has imported Flower
before the first message and forks for each: the fork does what ``flwr-clientapp`` does (it loads the shim that
the server shipped, and nothing else: client/network/known_app.py), without the seconds that a new program needs to
import. Neither holds data; both stand where server/network/shim may run, see deploy/wardround-supernode.service.

Flower 1.42 fixes four times that suit rounds of minutes: 3 s between two looks for messages, 0.5 s between two
looks for an answer, a heartbeat of 30 s, after two of which a killed node's key is let in again and a killed shim
is given up, and up to 20 s between two calls of a server that is away. They are set here (test_supernode_process.py
fails where Flower no longer has them).
"""

import logging
import os
import select
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import httpx
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore import heartbeat
from flwr.supercore.constant import TaskType
from flwr.supercore.corestate import in_memory_corestate
from flwr.supercore.inflatable.inflatable_utils import pull_objects
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.retry import (
    RetryInvoker,
    RetryState,
    exponential,
    full_jitter,
    make_simple_http_retry_invoker,
)
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode import fleet_http_connection, start_client_internal
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode, flower_supernode
from flwr.supernode.runtime import run_clientapp

from wardround.client.network.known_app import run_the_shim_alone
from wardround.client.network.left_behind import leaving_nothing_behind
from wardround.client.network.long_look import LongLooks
from wardround.client.network.proxy import server_transport
from wardround.client.network.repeated_parts import RepeatedParts
from wardround.client.network.server_look import cause_of
from wardround.protocol.exit_with_parent import exit_when_parent_exits
from wardround.protocol.text.log import log_as, log_style, report, take_over
from wardround.protocol.text.text import visible

FLOWERS_PAUSE_SECONDS = 3.0
LOOK_SECONDS = 0.25  # the shortest pause between two looks for messages
PATIENCE = 0.1  # the share of the time waited so far that the next pause may take
YIELD = 4.0  # the least pause, in times that the last look took: a busy server is not asked faster than it answers
ANSWER_SECONDS = 0.05  # between two looks for the app's answer, in this process's memory
PARTS_SECONDS = 0.05  # the first pause before asking again for a message's parts; doubles
TASK_SECONDS = 1.0  # how often the runner looks for a task that nobody woke it for; Flower's default
HEARTBEAT_SECONDS = 10  # the least that Flower's server takes
AWAY_SECONDS = 3  # the longest pause between two calls of a server that is away
_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})


class Pauses:
    """Stands where Flower's SuperNode expects the module ``time``, and pauses by another rule.

    After a message it looks often; where none comes the pauses grow to Flower's own, so that no message waits
    longer than a tenth of the time since the last one (or LOOK_SECONDS), and an idle hospital asks seldom. Where
    the server takes its time the pauses are longer too. A server that holds looks is asked again at once.
    """

    def __init__(
        self,
        on_message: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """on_message: called when Flower begins to wait for the app's answer to a message.

        held: whether the server held the last look, and so has seen to the pause itself.
        """
        self._on_message, self._clock, self._sleep, self._held = on_message, clock, sleep, held
        self._last = self._woke = clock()
        self._answering = False

    def sleep(self, seconds: float) -> None:
        """Pause in the place of ``time.sleep``: of 3 s between messages, of less within one."""
        if seconds >= FLOWERS_PAUSE_SECONDS:
            self._answering = False
            now = self._clock()
            waited, took = now - self._last, now - self._woke
            pause = LOOK_SECONDS if self._held() else max(LOOK_SECONDS, PATIENCE * waited, YIELD * took)
            self._sleep(min(seconds, pause))
            self._woke = self._clock()
            return
        if not self._answering:
            self._answering = True
            self._on_message()
        self._sleep(min(seconds, ANSWER_SECONDS))
        self._last = self._woke = self._clock()


def main() -> None:
    """Start the runner, then be the SuperNode until a signal comes."""
    options = _parse_args_run_supernode().parse_args()
    take_over("flwr", os.environ)
    secret = Path(options.superexec_auth_secret_file).read_bytes()
    run_the_shim_alone(run_clientapp)
    set_heartbeats()
    waiting, wake = os.pipe()
    # Before the SuperNode has threads: a fork copies none of them, but their locks.
    runner = _fork(
        "wardround-runner", lambda: _serve(f"{options.host}:{options.port}", secret, waiting, wake)
    )
    os.close(waiting)
    looks = LongLooks()
    # After the fork: the runner dials this process, never the server.
    httpx.Client = calling_the_server(Path(options.root_certificates).parent, looks)  # type: ignore[misc]
    os.set_blocking(wake, False)
    _set_times(runner, wake, looks)
    _end_with(flower_supernode)


def _end_with(act: Callable[[], None]) -> NoReturn:
    """End the process where Flower's main loop gives up (a broken TLS handshake, say): it raises, or returns.

    A thread of Flower's would keep it alive, deaf to the server, so that nobody starts it again.
    """
    why = "its main loop ended"
    try:
        act()
    except Exception as error:
        why = f"{type(error).__name__}: {visible(error, 200)}"
    with log_as(log_style(os.environ, sys.stderr.isatty())):
        report(f"the SuperNode gave up: {why}", logging.ERROR)
    os._exit(1)


def set_heartbeats() -> None:
    """Set how often this process tells the server that it lives, and the shims, its forks' forks, tell this one."""
    for module in (heartbeat, fleet_http_connection, in_memory_corestate):
        module.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_SECONDS  # type: ignore[attr-defined]


def _set_times(runner: int, wake: int, looks: LongLooks) -> None:
    def on_message() -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(wake, b".")
        if os.waitpid(runner, os.WNOHANG) != (0, 0):
            signal.raise_signal(signal.SIGTERM)  # without a runner no message is answered: start both again

    pauses = Pauses(on_message, held=lambda: looks.held)
    start_client_internal.time = pauses  # type: ignore[assignment, attr-defined]
    set_calls(repeated_parts())

    def sender(beat: Callable[[], bool]) -> heartbeat.HeartbeatSender:
        return heartbeat.HeartbeatSender(looks.instead_of(beat))

    fleet_http_connection.HeartbeatSender = sender  # type: ignore[assignment, attr-defined]


def repeated_parts() -> RepeatedParts:
    """Fetch a message's parts, which may still be on their way to the server when it is seen there."""
    return RepeatedParts(partial(pull_objects, initial_backoff=PARTS_SECONDS))


def set_calls(fetch: Callable[[Sequence[str], Callable[[str], bytes]], dict[str, bytes]]) -> None:
    """Set how this process fetches messages, and when it calls again where a call failed. fetch: a message's parts."""
    start_client_internal.pull_objects = fetch  # type: ignore[assignment, attr-defined]
    pull = start_client_internal._pull_and_store_message
    start_client_internal._pull_and_store_message = leaving_nothing_behind(pull, RunNotRunningException)
    fleet_http_connection.make_simple_http_retry_invoker = calling_again_soon  # type: ignore[attr-defined]
    heartbeat.exponential = _soon  # type: ignore[assignment, attr-defined]


def fetch_message(**parts: Any) -> Any:
    """Do Flower's step that takes a message from the server, as ``set_calls`` has it; give its run, or None."""
    return start_client_internal._pull_and_store_message(**parts)


def _soon(max_delay: int) -> Iterator[float]:
    """Stand where a heartbeat that failed takes its pauses from."""
    return exponential(max_delay=min(max_delay, AWAY_SECONDS))


def calling_again_soon() -> RetryInvoker:
    """Make Flower's own rule of repeated calls, with short pauses where the server cannot be reached.

    Else a study waits for all hospitals after its server's restart of a few seconds. A server that answers, but has
    no room (503), is left alone for as long as Flower does.
    """
    invoker = make_simple_http_retry_invoker()
    note, flowers = invoker.on_backoff, invoker.should_giveup

    def given_up(error: Exception) -> bool:
        # Flower gives up on any error with "ssl" in its words: on each handshake that a line cut for a while leaves
        # without an answer. A certificate that is not accepted stays so.
        if isinstance(error, httpx.TransportError):
            return cause_of(error, ssl.SSLCertVerificationError) is not None
        return flowers is None or flowers(error)

    def sooner(state: RetryState) -> None:
        if isinstance(state.exception, httpx.TransportError) and (state.actual_wait or 0) > AWAY_SECONDS:
            state.actual_wait = full_jitter(AWAY_SECONDS)  # or all hospitals would call at the same time
        if note is not None:
            note(state)

    invoker.on_backoff, invoker.should_giveup = sooner, given_up
    return invoker


def _serve(address: str, secret: bytes, waiting: int, wake: int) -> None:
    """Be the runner: take tasks from the SuperNode and fork for each, until the SuperNode is gone."""
    os.close(wake)
    httpx.Client = dialling_from(address.rpartition(":")[0])  # type: ignore[misc]
    client = RuntimeHttpClient.from_server_address(
        address,
        insecure=True,  # this machine's loopback, as between Flower's own two processes
        root_certificates=None,
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            SuperExecAuthHttpInterceptor(master_secret=secret, protected_methods=_ACQUIRE),
        ],
    )
    asked = AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
    me = os.getpid()
    while True:
        ready, _, _ = select.select([waiting], [], [], TASK_SECONDS)
        if ready and not os.read(waiting, 4096):
            return  # the SuperNode has ended
        _bury()
        with suppress(httpx.HTTPError):  # it is still starting, or already stopping
            token = client.AcquireTask(asked).token
            if token:
                run = partial(
                    run_clientapp.run_clientapp, address, token, insecure=True, parent_pid=me,
                    runtime_dependency_install=False,  # an app could name packages, and Flower would fetch them
                )  # fmt: skip
                _fork("wardround-shim", run)


def calling_the_server(folder: Path, looks: LongLooks) -> type[httpx.Client]:
    """Give the client of this process, which calls the server alone: through the hospital's proxy, if it has one."""

    class ServerClient(httpx.Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(transport=server_transport(folder), **options)

        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            return looks.carry(request, partial(super().send, request, **options))

    return ServerClient


def dialling_from(host: str) -> type[httpx.Client]:
    """Give the client of this process and its forks, which dial the SuperNode alone: from the SuperNode's address.

    The kernel would dial all of 127.0.0.0/8 from 127.0.0.1, and from there the unit lets nothing through.
    """

    class Client(httpx.Client):
        def __init__(self, **options: Any) -> None:
            transport = httpx.HTTPTransport(local_address=host, verify=options.get("verify", True))
            super().__init__(transport=transport, **options)

    return Client


def _bury() -> None:
    """Let forks that have ended go."""
    with suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _fork(name: str, act: Callable[[], None]) -> int:
    """Run ``act`` in a copy of this process that never returns, nor outlives it; gives the copy's number."""
    parent, child = os.getpid(), os.fork()
    if child:
        return child
    code = 1
    try:
        exit_when_parent_exits(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        Path("/proc/self/comm").write_text(name, encoding="ascii")  # for ps and top
        act()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
