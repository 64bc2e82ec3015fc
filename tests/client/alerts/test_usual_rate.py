"""More opt-outs than usual are noticed, as many as usual are not, whatever the number of messages."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from wardround.client.alerts.usual_rate import BEFORE, CHANCE, LAST, above_usual

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def spread(count: int, begin: timedelta, length: timedelta) -> list[datetime]:
    return [NOW - begin + (number + 1) * length / (count + 1) for number in range(count)]


def before(count: int) -> list[datetime]:
    return spread(count, LAST + BEFORE, BEFORE)


def recent(count: int) -> list[datetime]:
    return spread(count, LAST, LAST)


def test_four_times_the_usual_rate_is_noticed_and_the_usual_rate_is_not() -> None:
    sent = before(8000) + recent(1000)
    assert above_usual(before(40) + recent(20), sent, NOW)
    assert not above_usual(before(40) + recent(5), sent, NOW)


def test_four_times_the_opt_outs_after_four_times_the_messages_are_usual() -> None:
    assert not above_usual(before(40) + recent(20), before(8000) + recent(4000), NOW)


def test_fewer_than_five_or_no_time_before_say_nothing() -> None:
    assert not above_usual(recent(4), before(8000) + recent(1000), NOW)
    assert not above_usual(recent(40), recent(1000), NOW)


def test_what_is_older_than_the_days_before_or_ahead_counts_for_nothing() -> None:
    old, ahead = NOW - LAST - BEFORE - timedelta(days=1), NOW + timedelta(days=1)
    sent = before(8000) + recent(1000)
    quiet, loud = before(40) + recent(5), before(40) + recent(20)
    assert not above_usual([*quiet, *[ahead] * 50], sent, NOW)
    assert above_usual([*loud, *[old] * 500], [*sent, *[old] * 10**4], NOW)


@pytest.mark.statistical
def test_the_usual_rate_alone_is_noticed_no_more_often_than_stated() -> None:
    """Of 2,000 draws at one rate at most 0.1 % are noticed: 9 or more would come about with a chance below 1e-3."""
    rng = np.random.default_rng(1)
    sent = before(160) + recent(20)
    draws = [(rng.poisson(80), rng.poisson(10)) for _ in range(2000)]
    noticed = sum(above_usual(before(b) + recent(r), sent, NOW) for b, r in draws)
    assert CHANCE == 1e-3
    assert noticed < 9
