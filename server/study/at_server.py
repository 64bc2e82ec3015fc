"""What a study does while its server is there: reach the hospitals, carry plans, wait for a server that went away."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.retry import Backoff, LastLine
from wardround.server.network.signed_codec import MaskedCodec, SignedCodec, SumCodec
from wardround.server.network.strategy import Connected, TimeLimits, collect
from wardround.server.network.superlink import HttpGrid, ServerAway, connected, open_run
from wardround.server.store.agent_releases import AgentReleases
from wardround.server.store.enrolled import Enrolled
from wardround.server.store.event_log import NOT_ENROLLED, NOT_READ, SET_UP_BEGUN
from wardround.server.study.carrier import Carrier
from wardround.server.study.quorum import Stopped, waiting
from wardround.server.study.secure_sums import Sums
from wardround.server.study.served import ServedStudy, check_times
from wardround.server.study.set_up_sums import SumAsks, set_up

LOOK_SECONDS = 0.5
GATHER_SECONDS = 60.0
"""How long a study that begins, or goes on, waits for all of its hospitals to connect."""
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class AtServer:
    """A server that is there. ask: carries plans. check_times: ConfigurationError where the terms are over by now.

    did_well: to be told of each round that closed.
    """

    grid: HttpGrid
    codec: SignedCodec
    present: Connected
    ask: Carrier
    check_times: Callable[[], None]
    did_well: Callable[[], None]


def while_served(
    study: ServedStudy, conclude: Callable[[], Found | None], work: Callable[[AtServer], None]
) -> Found | None:
    """Work until there is a conclusion, which is given; None where the operator stops the study before.

    work: begun again each time that the server is reached, after one that went away.
    """
    enrolled = Enrolled(study.home, partial(study.log.write, NOT_READ))
    codec = SignedCodec(
        signed=study.signed,
        key=study.home.key(),
        key_of=enrolled.signing_key,
        heads=study.home.heads,
        hear=AgentReleases(study.folder, study.log).hear,
    )
    away, last, begun = waiting(study, study.serving.wait_seconds), LastLine(), time.monotonic()

    def did_well() -> None:
        # A round that closed shows the server well: its next absence has the whole wait again.
        away.reset()
        last.clear()

    while (found := conclude()) is None and not study.folder.stop.exists():
        _check_times_now(study, begun)
        try:
            with open_run(study.home, study.folder.run) as grid:
                present = partial(connected, grid, enrolled)
                _await_hospitals(study, present)
                ask = _carrier(study, grid, codec, present)
                check = partial(_check_times_now, study, begun)
                work(AtServer(grid, codec, present, ask, check, did_well))
        except ServerAway as cause:
            _await_server(study, away, last, str(cause))
        except Stopped:
            break
    return found


def _carrier(study: ServedStudy, grid: HttpGrid, codec: SignedCodec, present: Connected) -> Carrier:
    """Say how this study's releases are carried; where that is in secure sums, they are set up first."""
    limits = TimeLimits(round_seconds=study.serving.round_seconds)
    masked, messages = MaskedCodec(codec), SumCodec(codec)
    # No nodes to begin with: each hospital is asked as soon as its node is connected.
    if study.terms.secure_sum is None:
        return lambda plans: collect(grid, {}, plans, limits, codec=codec, connected=present)

    def within(seconds: float | None) -> TimeLimits:
        return (
            limits if seconds is None else replace(limits, round_seconds=min(seconds, limits.round_seconds))
        )

    asks = SumAsks(
        lambda plans: collect(grid, {}, plans, limits, codec=masked, connected=present),
        lambda asked, seconds: collect(grid, {}, asked, within(seconds), codec=messages, connected=present),
    )
    # What a hospital was asked is in the log before it is asked: such a study is never deleted (delete_study.py).
    study.log.write(SET_UP_BEGUN)
    return Sums(set_up(study, asks), asks)


def _check_times_now(study: ServedStudy, begun: float) -> None:
    # A study may outlive its terms: then every hospital refuses, and the study would wait for them in vain.
    check_times(study.terms, study.serving, timedelta(seconds=time.monotonic() - begun))


def _await_hospitals(study: ServedStudy, present: Connected) -> None:
    """Wait for all enrolled hospitals for a while; latecomers are asked as soon as they connect."""
    # A round closes soon after its *connected* hospitals have answered (ABSENT_SECONDS): SuperNodes that are still
    # dialling, as all are after the server's restart, would miss it.
    deadline = time.monotonic() + min(GATHER_SECONDS, study.serving.wait_seconds)
    last, last_gone = LastLine(), LastLine()
    while time.monotonic() < deadline and not study.folder.stop.exists():
        roll = present()
        gone = [name for name in study.terms.hospitals if name not in roll]
        missing = [name for name in study.terms.hospitals if name in roll and roll[name] is None]
        line = f"{', '.join(gone)}: not enrolled, or revoked; the study goes on without"
        if gone and last_gone.differs(line):
            study.log.write(NOT_ENROLLED, line, hospitals=gone)
        if not missing:
            return
        line = f"waiting for {', '.join(missing)} to connect"
        if last.differs(line):
            study.log.write("waiting", line, hospitals=missing)
        time.sleep(LOOK_SECONDS)


def _await_server(study: ServedStudy, away: Backoff, last: LastLine, cause: str) -> None:
    where = f"the server at {study.home.local_address} does not serve this study ({cause})"
    if last.differs(where):
        study.log.write("server_away", f"{where}; waiting for it", cause=cause)
    if not away.sleep():
        raise ConfigurationError(
            f"{where} for {study.serving.wait_seconds:.0f} s; start it (wardround-serve up), then "
            f"wardround-serve resume --study {study.terms.study}"
        )
