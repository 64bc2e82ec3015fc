"""A withdrawal counts whatever its words may mean; a grant counts by its very words alone."""

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.builders import PUBLIC, small_contract
from wardround.client.connectors.source import Tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping

NOW = datetime(2024, 6, 1, tzinfo=UTC)
COLUMNS = ("patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at")
REQUIRED = {"required": True, "basis": "consent"}
ASKING = contract_from_mapping(small_contract(consent=REQUIRED, purpose="visit planning"))
OPEN = contract_from_mapping(small_contract(**{**PUBLIC, "purpose": "visit planning"}))
GRANT = ("P1", "purpose", "visit planning", "2024-01-01", None, None)
MEANT = {
    "an invisible letter in the kind": ("purpose\u200b", "visit planning"),
    "a mark in the value": ("purpose", "\ufeffvisit planning"),
    "a dash of Word's": ("purpose", "visit\u2013planning"),
    "an underscore": ("Purpose", "Visit_Planning"),
    "full-width letters": ("\uff50urpose", "visit planning"),
    "a point at its end": ("purpose", "visit planning."),
    "no value": ("purpose", None),
    "all": ("purpose", "ALL"),
    "a word for missing": ("purpose", "n/a"),
    "no kind": (None, "visit planning"),
    "neither": (None, None),
    "a kind that nobody knows": ("opt-out", "please"),
}
NOT_MEANT = {
    "another purpose": ("purpose", "marketing"),
    "a topic": ("topic", "visit planning"),
    "something else, says the hospital": ("other", "photographs"),
}


def admitted(contract, *rows):
    consents = pl.DataFrame(list(rows), dict.fromkeys(COLUMNS, pl.String), orient="row")
    messages = pl.DataFrame({"patient": ["P1", "P2"] * 3, "opened": ["1", "0"] * 3, "age": ["30"] * 6})
    counts = admit(Tables(messages, None, consents), contract, b"k" * 32, NOW).counts
    return counts["training patients"] + counts["heldout patients"]


@pytest.mark.parametrize(("kind", "value"), MEANT.values(), ids=MEANT)
def test_a_withdrawal_is_heard_whatever_its_words_may_mean(kind, value):
    withdrawal = ("P1", kind, value, None, "2024-03-01", None)
    assert admitted(ASKING, GRANT, withdrawal) == 0
    assert admitted(ASKING, GRANT, ("P1", kind, value, None, "someday", None)) == 0
    assert admitted(OPEN, withdrawal) == 1, "P2 said nothing, and was not asked"


@pytest.mark.parametrize(("kind", "value"), NOT_MEANT.values(), ids=NOT_MEANT)
def test_a_withdrawal_of_something_else_takes_nothing_back(kind, value):
    assert admitted(ASKING, GRANT, ("P1", kind, value, None, "2024-03-01", None)) == 1


@pytest.mark.parametrize(("kind", "value"), MEANT.values(), ids=MEANT)
def test_a_grant_in_such_words_grants_nothing(kind, value):
    exact = (kind, value) == ("purpose", "visit planning")
    assert admitted(ASKING, ("P1", kind, value, "2024-01-01", None, None)) == exact
    # Nor does the grant of a row that was once taken back, where its words had to be interpreted.
    assert admitted(ASKING, ("P1", kind, value, "2024-03-01", "2024-02-01", None)) == exact


@pytest.mark.parametrize(("kind", "value"), MEANT.values(), ids=MEANT)
def test_a_later_grant_in_plain_words_counts_again(kind, value):
    later = ("P1", "purpose", "visit planning", "2024-04-01", None, None)
    assert admitted(ASKING, GRANT, ("P1", kind, value, None, "2024-03-01", None), later) == 1
    # A row that says both, the grant last, is no withdrawal any more.
    assert admitted(ASKING, GRANT, ("P1", kind, value, "2024-03-02", "2024-03-01", None)) == 1


TOPICS = contract_from_mapping(
    small_contract(
        consent=REQUIRED,
        topic={"column": "topic", "sensitive": ["mental health"]},
        features={
            "topic": {
                "kind": "categorical",
                "table": "messages",
                "column": "topic",
                "vocabulary": ["flu_shot", "mental health"],
            }
        },
    )
)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("flu shot", "mental health"),
        ("FLU-SHOT", "mental health"),
        ("mental\u00a0health", "flu_shot"),
        (None, ""),
        ("all", ""),
        ("knees", "both"),
    ],
)
def test_a_topic_is_taken_back_however_it_is_spelt(value, left):
    chosen = [("P1", "topic", topic, "2024-01-01", None, None) for topic in ("flu_shot", "mental health")]
    purpose = ("P1", "purpose", TOPICS.purpose, "2024-01-01", None, None)
    rows = [purpose, *chosen, ("P1", "topic", value, None, "2024-03-01", None)]
    consents = pl.DataFrame(rows, dict.fromkeys(COLUMNS, pl.String), orient="row")
    messages = pl.DataFrame(
        {"patient": ["P1"] * 4, "opened": ["1", "0"] * 2, "topic": ["flu_shot", "mental health"] * 2}
    )
    found = admit(Tables(messages, None, consents), TOPICS, b"k" * 32, NOW)
    rows_left = {*found.training["row"], *found.heldout["row"]}
    wanted = {"flu_shot": {0, 2}, "mental health": {1, 3}, "both": {0, 1, 2, 3}, "": set()}[left]
    assert rows_left == wanted
