"""What a measurement of round times says of the rounds that it saw; the measurement itself is run by hand."""

from wardround.simulations.loopback.round_time import RoundTimes, lengths


def test_a_round_lasts_from_the_end_of_the_one_before_to_its_own():
    events = [
        {"time": "2026-11-29T08:00:00.000+00:00", "event": "started"},
        {"time": "2026-11-29T08:00:09.000+00:00", "event": "round"},
        {"time": "2026-11-29T08:00:09.250+00:00", "event": "announced"},
        {"time": "2026-11-29T08:00:10.500+00:00", "event": "round"},
        {"time": "2026-11-29T08:00:11.000+00:00", "event": "round"},
    ]
    assert lengths(events) == [1.5, 0.5]


def test_the_ratio_is_of_medians_over_all_turns():
    found = RoundTimes({"local": [[1.0, 1.0, 9.0], [2.0]], "secure": [[3.0], [3.0, 1.5]]})
    assert found.ratio == 3.0 / 1.5
    assert found.lines() == [
        "turn 1: local 1.00 s, secure 3.00 s",
        "turn 2: local 2.00 s, secure 2.25 s",
        "median round: local 1.50 s, secure 3.00 s; secure sums take 2.00 times as long",
    ]
