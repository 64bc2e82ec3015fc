"""Every proposal says why it is what it is and what would be sent otherwise; a queue, to whom it may not go."""

import polars as pl
import pytest

from tests.client.outreach.decide.decided import proposal
from wardround.client.outreach.decide.queue import held_back
from wardround.client.outreach.decide.why import otherwise, why_this_one

GOOD = {"module": "call", "hour": "9", "gain": 0.061, "error": 0.02}
DOUBTFUL = {**GOOD, "error": 0.07}
USUAL = {"reasons": ["booked"], "model": "d" * 64}
OTHER = {**USUAL, "module": "call.en", "standard": "visit.en", "channel": "phone"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reasons": ["booked"]}, "the standard message"),
        ({**USUAL, "options": [DOUBTFUL]}, "call would give +6.1 ± 7.0 points: not beyond its error"),
        ({**USUAL, "options": [GOOD]}, "call would give +6.1 ± 2.0 points: no room is left for it"),
        ({**USUAL, "options": [{**GOOD, "module": "visit"}]}, "the model expects no gain from another"),
        ({**USUAL, "options": [GOOD], "arm": "standard"}, "the standard message"),
        ({**OTHER, "options": [GOOD]}, "the model expects +6.1 ± 2.0 points; otherwise visit.en"),
        ({**OTHER, "options": [{**GOOD, "module": "letter"}, GOOD]}, "expects +6.1 ± 2.0 points; otherwise"),
        (
            {**OTHER, "options": [GOOD], "stands_on": {"own_part": True}},
            "points with the hospital's own part; otherwise visit.en",
        ),
        ({**OTHER, "arm": "best_single"}, "the one message for all of arm best_single; otherwise visit.en"),
        ({**OTHER, "arm": "explored", "propensity": 0.5}, "chance picked it among equal modules"),
        ({**OTHER, "arm": "explored"}, "a person chose it in the place of another; otherwise visit.en"),
        ({"reasons": ["3 of yours are overdue"], "recipient": "professional"}, "the standard message"),
    ],
)
def test_a_proposal_says_why_and_what_would_be_sent_otherwise(changes, words):
    one = proposal(**changes)
    first, chosen = why_this_one(one)
    assert first == one.reasons[0]
    assert words in chosen
    assert otherwise(one) == ("" if one.module == one.standard else "visit.en")


def test_who_may_not_get_it_is_counted_by_rule_as_the_last_run_saw_it():
    def held(token, rule, made_at="2026-12-10T09:00:00Z", occasion="a"):
        why = f"{rule}!"
        return {
            "token": token,
            "trigger": "visit",
            "occasion": occasion,
            "rule": rule,
            "why": why,
            "made_at": made_at,
        }

    rows = [held(f"t{n}", "contact") for n in range(11)]
    rows += [held("v", "veto"), held("old", "veto", made_at="2026-12-09T09:00:00Z"), held("now", "contact")]
    proposed = pl.DataFrame([{"token": "now", "trigger": "visit", "occasion": "a"}])
    counts = {one.rule: one.count for one in held_back(pl.DataFrame(rows), proposed, all_counts=True)}
    assert counts == {"contact": 11, "veto": 1}
    few = held_back(pl.DataFrame(rows), proposed, all_counts=False)
    assert [(one.rule, one.shown) for one in few] == [("contact", "11"), ("veto", "fewer than 11")]
