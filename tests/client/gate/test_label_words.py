"""Words of the label that are no outcome: set aside and counted, or refused before a study."""

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.builders import clinics_contract
from wardround.client.connectors.readable import check_types, count_unreadable
from wardround.client.connectors.source import Tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError, TableError

LABEL = {"column": "status", "engaged": ["completed"], "not_engaged": ["no_show"]}
NOW = datetime(2024, 6, 1, tzinfo=UTC)
STATUS = pl.DataFrame(
    {
        "person": ["1"] * 5,
        "sent": [f"2024-03-0{day}T09:00" for day in range(1, 6)],
        "visit_day": [f"2024-03-1{day}" for day in range(1, 5)] + ["2024-07-01"],
        "status": ["cancelled", "completed", " Rescheduled", "lost", "cancelled"],
    }
)


def contract(**label):
    return contract_from_mapping(
        clinics_contract(
            label={**LABEL, **label},
            features={
                "sent_before": {"kind": "history", "statistic": "count", "edges": [1, 2, 3, 4]},
                "pending": {"kind": "history", "statistic": "pending", "edges": [1, 2, 3, 4]},
            },
        )
    )


ASIDE = contract(set_aside=["cancelled", "Rescheduled"])


def test_words_set_aside_are_counted_and_in_no_part():
    admitted = admit(Tables(STATUS), ASIDE, b"key", NOW)
    learned = pl.concat([admitted.training, admitted.heldout])
    assert admitted.counts["label set aside"] == 3
    assert admitted.counts["unreadable label"] == 1
    assert learned["row"].to_list() == [1]
    assert admitted.undecided["row"].to_list() == [3], "a cancelled appointment is not scored either"
    undeclared = admit(Tables(STATUS), contract(), b"key", NOW)
    assert undeclared.counts["unreadable label"] == 3
    assert "label set aside" not in undeclared.counts


def test_history_knows_what_was_sent_and_no_outcome_of_it():
    """That it was cancelled came later: to leave it out of an earlier message's history would be a look-ahead."""
    admitted = admit(Tables(STATUS), ASIDE, b"key", NOW)
    learned = pl.concat([admitted.training, admitted.heldout])
    assert learned["feature:sent_before"].to_list() == [1]
    assert learned["feature:pending"].to_list() == [1]
    completed = STATUS.with_columns(status=pl.lit("completed"))
    whole = admit(Tables(completed), ASIDE, b"key", NOW)
    same = pl.concat([whole.training, whole.heldout, whole.undecided]).filter(row=1)
    assert same.select("feature:sent_before", "feature:pending").rows() == [(1, 1)]


@pytest.mark.parametrize(("other", "most"), [(None, 0.1), ("set_aside", 1.0), ("refuse", 0.0)])
def test_words_of_no_list_are_set_aside_or_refused(other, most):
    asked = contract(set_aside=["cancelled", "Rescheduled"], **({"other": other} if other else {}))
    (label,) = [one for one in count_unreadable(Tables(STATUS), asked) if one.column == "status"]
    assert (label.given, label.unreadable, label.most) == (5, 1, most)
    assert admit(Tables(STATUS), asked, b"key", NOW).counts["unreadable label"] == 1, (
        "a study runs all the same"
    )
    if other == "set_aside":
        check_types(Tables(STATUS), asked)
        return
    with pytest.raises(TableError, match=r"status: 1 of 5 rows .* \(label.set_aside\)") as caught:
        check_types(Tables(STATUS), asked)
    assert "lost" not in str(caught.value)


def test_one_word_in_a_thousand_is_refused_where_the_contract_says_so():
    rows = pl.concat([STATUS[1:2]] * 999 + [STATUS[3:4]])
    check_types(Tables(rows), contract())
    with pytest.raises(TableError, match="1 of 1000 rows"):
        check_types(Tables(rows), contract(other="refuse"))


def test_a_contract_without_these_keys_keeps_its_fingerprint():
    plain = contract()
    assert set(plain.to_mapping()["label"]) == {"column", "engaged", "not_engaged"}
    assert contract_from_mapping(ASIDE.to_mapping()) == ASIDE
    assert len({plain.fingerprint, ASIDE.fingerprint, contract(other="refuse").fingerprint}) == 3


def test_contradictions_are_one_line():
    with pytest.raises(ContractError, match="completed is both engaged and set_aside"):
        contract(set_aside=["completed"])
    with pytest.raises(ConfigurationError, match=r"label\.other=maybe: must be one of"):
        contract(other="maybe")
