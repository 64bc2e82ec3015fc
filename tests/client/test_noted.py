"""A flood of refusals leaves one line a minute and clause, which says how many there were."""

from client.noted import NOTE_SECONDS, Noted


def test_one_of_each_clause_a_minute_with_their_number() -> None:
    now = 0.0
    noted = Noted(lambda: now)
    assert [noted.count("operators") for _ in range(100)] == [1] + [0] * 99
    assert noted.count("message") == 1
    now = NOTE_SECONDS
    assert noted.count("operators") == 100
    assert noted.count("operators") == 0
