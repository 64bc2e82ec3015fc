"""A flood of refusals leaves one line a minute and clause, which says how many there were."""

from wardround.client.agent.noted import MOST_NOTED, NOTE_SECONDS, Noted


def test_one_of_each_clause_a_minute_with_their_number() -> None:
    now = 0.0
    noted = Noted(lambda: now)
    assert [noted.count("operators") for _ in range(100)] == [1] + [0] * 99
    assert noted.count("message") == 1
    now = NOTE_SECONDS
    assert noted.count("operators") == 100
    assert noted.count("operators") == 0


def test_kinds_beyond_what_it_holds_are_counted_as_one():
    now = [0.0]
    noted = Noted(lambda: now[0])
    assert [noted.count(f"round study-{number}") for number in range(MOST_NOTED)] == [1] * MOST_NOTED
    assert [noted.count(f"approval study-{number}") for number in range(5)] == [1, 0, 0, 0, 0]
    assert len(noted._due) == MOST_NOTED + 1
    now[0] = NOTE_SECONDS + 1
    assert noted.count("approval study-9") == 1
    assert len(noted._due) <= 2
