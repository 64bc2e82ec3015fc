"""Whether rounds were computed from the tables, or answered with noise alone because of a fault in them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.home.home import Home
from wardround.client.home.round_log import NoiseAlone, TablesAway, noise_alone, tables_away

LONG_AGO = timedelta(days=30)
_REMEDY = "fix it, then try it with rehearse; the study goes on with the next round"


def answered(home: Home, now: datetime) -> Iterator[Finding]:
    """Say which rounds were noise alone, since when and why; one long ago keeps no study from running."""
    lines = home.round_log.read()
    standing = noise_alone(lines)
    for one in standing:
        say = fault if now - one.last < LONG_AGO else warn
        yield say("rounds", describe(one), _REMEDY)
    waiting = tables_away(lines)
    for away in waiting:
        yield warn("rounds", describe_away(away), "once the tables can be reached, the round is computed")
    if not standing and not waiting:
        yield ok(
            "rounds", "the last round of every study was computed from the tables" if lines else "none yet"
        )


def describe(one: NoiseAlone) -> str:
    """Say it in a line."""
    first, last = one.first_round, one.last_round
    rounds = f"round {first}" if first == last else f"rounds {first} to {last}"
    return (
        f"{one.study}, {one.account.replace('_', '-')} patients, {rounds}: noise alone was sent, and charged, "
        f"since {one.since:%Y-%m-%d %H:%M} UTC: {one.fault}"
    )


def describe_away(one: TablesAway) -> str:
    """Say in a line what a round waits for."""
    return (
        f"{one.study}, {one.account.replace('_', '-')} patients, round {one.round}: waits for the tables since "
        f"{one.since:%Y-%m-%d %H:%M} UTC, and nothing was sent: {one.why}"
    )
