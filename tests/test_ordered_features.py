"""``kind: ordered``: brackets in the order that a contract lists, known wherever a feature's kind counts."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.builders import CHANNEL, small_contract, visits_contract
from wardround.client.connectors.codes import count_codes, unknown_words
from wardround.client.connectors.readable import count_unreadable
from wardround.client.connectors.source import Tables
from wardround.client.connectors.swapped import swapped_columns
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.home.contract_draft import Choices, draft_contract
from wardround.client.notice.words import used_features
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.words import word_faults
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.model.prior import ordered_covariance, prior_covariance
from wardround.protocol.terms.settings import ModelSettings
from wardround.simulations.report.effects import additive_effects, effect_chart, short_labels
from wardround.simulations.study.comparison import UNORDERED

BRACKETS = ["[0-10)", "[10-50)", "[50-60)", "[60-100)"]
BAND = {"kind": "ordered", "column": "band", "vocabulary": BRACKETS}


def contract_with(**features: Any) -> Contract:
    return contract_from_mapping(visits_contract(features=features or {"band": BAND}, groups=[]))


def test_it_has_a_bin_for_each_word_in_its_order_and_other() -> None:
    feature = contract_with().features[0]
    assert feature.labels == (*BRACKETS, "other")
    assert contract_with().layout.width == 1 + 5
    assert contract_from_mapping(contract_with().to_mapping()) == contract_with()


def test_kind_and_order_are_part_of_the_contract() -> None:
    others = ({**BAND, "vocabulary": BRACKETS[::-1]}, {**BAND, "kind": "categorical"})
    prints = {contract_with().fingerprint, *(contract_with(band=other).fingerprint for other in others)}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocabulary": ["all"]}, "contract.features.band.vocabulary: 1 words, must be from 2 to 9999"),
        ({"vocabulary": ["a", "a"]}, "contract.features.band.vocabulary=.*must be different texts"),
        ({"edges": [1, 2]}, "contract.features.band.edges: unknown key"),
    ],
)
def test_what_has_no_order_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        contract_with(band={**BAND, **changes})


def test_the_prior_has_neighbours_alike_and_other_apart() -> None:
    covariance = prior_covariance(contract_with())[1:, 1:]
    assert np.array_equal(covariance[:-1, :-1], ordered_covariance(4))
    assert covariance[0, 1] > covariance[0, 2] > covariance[0, 3] > 0
    assert not covariance[-1, :-1].any()
    words = prior_covariance(contract_with(band={**BAND, "kind": "categorical"}))[1:, 1:]
    assert np.array_equal(words, np.eye(5)), "without an order nothing is alike"


def tables(bands: list[str | None], **columns: Any) -> Tables:
    count = len(bands)
    rows = {
        "id": [f"p{n}" for n in range(count)],
        "booked": ["2024-01-01"] * count,
        "due": ["2024-01-05"] * count,
    }
    given = {**rows, "came": ["1"] * count, "band": bands, **columns, "hospital": ["h"] * count}
    return Tables(pl.DataFrame(given, schema_overrides={"band": pl.String}))


def test_cells_become_their_bracket_s_place() -> None:
    admitted = admit(
        tables([*BRACKETS, " [50-60) ", "50-60", None, "["]),
        contract_with(),
        b"k",
        datetime(2024, 6, 1, tzinfo=UTC),
    )
    cohort = encode(pl.concat([admitted.training, admitted.heldout]), contract_with())
    assert sorted(cohort.bins[:, 0].tolist()) == sorted([0, 1, 2, 3, 2, 4, 4, 4])


def test_doctor_counts_words_that_are_no_bracket() -> None:
    read = tables([*BRACKETS, "50+", None])
    (band,) = (one for one in count_codes(read, contract_with()) if one.column == "band")
    assert (band.given, band.other, band.first) == (5, 1, 4)
    assert "band" not in {one.column for one in count_unreadable(read, contract_with())}, "words always parse"
    assert unknown_words(read, contract_with(), band) == [("50+", 1)]


def test_doctor_sees_two_columns_that_were_swapped() -> None:
    contract = contract_with(band=BAND, channel=CHANNEL)
    words, bands = ["sms", "email"] * 50, BRACKETS * 25
    (pair,) = swapped_columns(tables(words, channel=bands), contract)
    assert set(pair) == {("messages", "band"), ("messages", "channel")}
    assert swapped_columns(tables(bands, channel=words), contract) == []


def test_history_may_be_by_it() -> None:
    by = {"kind": "history", "statistic": "count", "by": "band", "edges": [1]}
    assert contract_with(band=BAND, past=by).features[1].by == "band"
    with pytest.raises(
        ContractError, match="must be a categorical, ordered or hierarchical feature of the messages"
    ):
        contract_with(band={**BAND, "table": "patients"}, past=by)


def test_patients_read_its_words() -> None:
    (used,) = used_features(contract_with(), "messages")
    assert used.how == "one of [0-10), [10-50), [50-60) or [60-100); anything else counts as “other”"


def test_its_effects_are_a_curve_from_which_other_stands_apart() -> None:
    contract = contract_with()
    (effect,) = additive_effects(contract, ModelSettings(), np.arange(6.0))
    assert effect.shape == "curve"
    assert short_labels(contract.features[0])[-1] == "other"
    drawn = effect_chart(effect, -2, 2)
    assert drawn.count("hollow") == 1
    (path,) = (part for part in drawn.split("<path")[1:])
    assert path.count("L") + path.count("M") == 4, "four brackets are joined, other is not"


def test_a_module_s_words_must_be_its_words() -> None:
    lengths = {"kind": "ordered", "column": "length", "vocabulary": ["short", "long"]}
    module = Module(
        id="visit.en", language="en", topic="visit", channel="sms", length="lnog", message_class="reminder",
        author="A", valid_from=date(2024, 1, 1), valid_until=date(2024, 12, 31), parts={},
    )  # fmt: skip
    (fault,) = word_faults(module, contract_with(length=lengths))
    assert fault.startswith("length=lnog: is no word of the contract visits (length); did you mean long?")
    assert not list(word_faults(replace(module, length="long"), contract_with(length=lengths)))


def test_boosting_knows_its_order() -> None:
    assert BAND["kind"] not in UNORDERED


def test_a_draft_has_lengths_in_their_order() -> None:
    columns = {"id": "text", "came": "truth", "length": "text", "tone": "text"}
    draft = draft_contract({"messages": columns}, Choices(patient="id", label="came"))
    kinds = {feature.name: feature.kind for feature in draft.contract.features}
    assert (kinds["length"], kinds["tone"]) == ("ordered", "categorical")


def test_a_contract_of_the_smallest_kind_may_have_it_in_crosses_and_groups() -> None:
    features = {"band": BAND, "channel": CHANNEL}
    contract = contract_from_mapping(
        small_contract(features=features, crosses=[["band", "channel"]], groups=["band"])
    )
    block = prior_covariance(contract)[1 + 5 + 3 :, 1 + 5 + 3 :]
    assert np.allclose(block, np.kron(prior_covariance(contract)[1:6, 1:6], np.eye(3)))
