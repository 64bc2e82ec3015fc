"""``kind: hierarchical``: a code counts in its own node and in every listed group, wherever a feature's kind counts."""

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import AGE, CHANNEL, PUBLIC, SEX, cohort_of, small_contract, visits_contract
from tests.protocol.contract.test_tree import CLINICS, trees
from wardround.client.connectors import parsing
from wardround.client.connectors.codes import count_codes, unknown_words
from wardround.client.connectors.source import Tables
from wardround.client.connectors.swapped import swapped_columns
from wardround.client.features import encode
from wardround.client.gate.admit import Admitted, admit
from wardround.client.home.contract_draft import Choices, draft_contract
from wardround.client.notice.words import used_features
from wardround.client.outreach.choose.gain import field_shares, message_differences
from wardround.client.outreach.content.module import Module
from wardround.client.outreach.content.words import word_faults
from wardround.client.outreach.proposals.option_events import blind_effects
from wardround.client.outreach.reasons import Reasons
from wardround.client.train.check_closed_form import check_closed_form
from wardround.client.train.update import clipped_sums
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.codes import code_index
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.model.design import active_columns, active_entries, dense_rows
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.prior import prior_covariance
from wardround.protocol.terms.settings import ModelSettings
from wardround.server.algorithm.fisher import bin_shares, second_moments
from wardround.simulations.report.effects import additive_effects, effect_chart
from wardround.simulations.study.comparison import UNORDERED

CODES = ["E00-E90", "E10-E14", "E11", "F00-F99", "I10"]
DIAGNOSIS = {"kind": "hierarchical", "column": "icd", "codes": CODES}
CLINIC = {"kind": "hierarchical", "column": "clinic", "tree": CLINICS}
LABELS = ("rest of E00-E90", "rest of E10-E14", "E11", "F00-F99", "I10", "other")


def contract_with(**features: Any) -> Contract:
    return contract_from_mapping(visits_contract(features=features or {"diagnosis": DIAGNOSIS}, groups=[]))


def active_labels(contract: Contract, bins: list[int]) -> list[str]:
    """Name the columns that one event has, without the intercept."""
    layout = contract.layout
    events = SimpleNamespace(bins=np.array([bins], np.int32), values=np.zeros((1, 0), np.float32))
    names = [f"{field.name}: {label}" for field in layout.fields for label in field.labels]
    return [names[column - 1] for column in active_columns(layout, events)[0, 1:]]


def test_a_code_has_its_own_column_and_one_for_each_group_above() -> None:
    contract = contract_with()
    assert contract.features[0].labels == LABELS
    assert contract.layout.width == 1 + 6 + 4 + 5
    assert active_labels(contract, [2]) == [
        "diagnosis: E11", "diagnosis group 1: E00-E90", "diagnosis group 2: E10-E14",
    ]  # fmt: skip
    assert active_labels(contract, [0])[1:] == [
        "diagnosis group 1: E00-E90",
        "diagnosis group 2: rest of E00-E90",
    ]
    assert {label.split(": ")[1] for label in active_labels(contract, [5])} == {"other"}
    assert contract_from_mapping(contract.to_mapping()) == contract


@given(trees(), st.data())
def test_columns_are_the_listed_ancestors_in_random_trees(
    tree: dict[str, list[str]], data: st.DataObject
) -> None:
    contract = contract_with(clinic={**CLINIC, "tree": tree}, channel=CHANNEL)
    found = contract.features[1].tree
    assert found is not None
    word = data.draw(st.integers(0, len(found.nodes) - 1))
    above, at = [], word
    while at >= 0:
        above.append(found.nodes[at])
        at = found.parents[at]
    labels = active_labels(contract, [0, word])
    own = {label.split(": ")[1].removeprefix("rest of ") for label in labels if label.startswith("clinic")}
    assert own == set(above)
    assert len(labels) == 2 + found.levels - 1


@given(trees(), st.integers(0, 1000))
def test_a_scaled_row_has_norm_1_and_a_patient_moves_a_sum_by_the_clip_norm(
    tree: dict[str, list[str]], seed: int
) -> None:
    contract = contract_with(clinic={**CLINIC, "tree": tree}, age=AGE)
    layout, model = contract.layout, ModelSettings()
    cohort = cohort_of(layout, [3], seed=seed)
    entries = active_entries(active_columns(layout, cohort), cohort.values, column_scale(model, layout))
    assert np.allclose(np.square(entries).sum(axis=1), 1)
    weights = np.random.default_rng(seed).normal(0, 30, (1, layout.width))
    sums = [
        clipped_sums(model, layout, weights, part, 0.1, "closed_form", dtype=np.float64)
        for part in (cohort, cohort_of(layout, [2], seed=seed))
    ]
    assert all(
        np.linalg.norm(one) <= 0.1 * patients + 1e-9 for one, patients in zip(sums, (3, 2), strict=True)
    )


def test_closed_form_and_opacus_agree_on_it() -> None:
    contract = contract_with(diagnosis=DIAGNOSIS, clinic=CLINIC, age=AGE)
    check_closed_form(ModelSettings(), contract.layout, 3)
    check_closed_form(ModelSettings(kind="wide_deep", hidden=(3,)), contract.layout, 2)


def test_order_and_spelling_of_nodes_say_nothing_and_their_kind_does() -> None:
    turned = {**DIAGNOSIS, "codes": ["e1.1", *CODES[:2], *CODES[3:]][::-1]}
    assert contract_with(diagnosis=turned).fingerprint == contract_with().fingerprint
    fewer = {**DIAGNOSIS, "codes": CODES[:-1]}
    words = {"kind": "categorical", "column": "icd", "vocabulary": CODES}
    assert len({contract_with(diagnosis=one).fingerprint for one in (DIAGNOSIS, fewer, words)}) == 3


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ({**DIAGNOSIS, "tree": {"a": []}}, "diagnosis: must have either codes .* or tree"),
        ({"kind": "hierarchical", "column": "icd"}, "diagnosis: must have either codes .* or tree"),
        ({**DIAGNOSIS, "codes": []}, "diagnosis.codes: 0 nodes, must be from 1 to 9999"),
        ({**DIAGNOSIS, "codes": ["E10-E14", "E12-E20"]}, "diagnosis.codes: E10-E14 and E12-E20 overlap"),
        ({**DIAGNOSIS, "codes": ["diabetes"]}, "diagnosis.codes: diabetes: one of the first three signs"),
        ({**DIAGNOSIS, "vocabulary": ["E11"]}, "diagnosis.vocabulary: unknown key"),
        ({**CLINIC, "tree": {}}, "diagnosis.tree: 0 nodes"),
        ({**CLINIC, "tree": {"a": ["b"], "c": ["b"]}}, "diagnosis.tree: b lies in a and in c"),
        ({**CLINIC, "tree": {"a": ["0"], "c": ["0.0"]}}, "diagnosis.tree: words must be different texts"),
        ({**CLINIC, "tree": {"a": ["b"], " a": []}}, "diagnosis.tree.a: the key must be one line"),
        ({**CLINIC, "tree": {"a": ["b"], "1": [], "1.0": []}}, "diagnosis.tree: words must be different texts"),
        ({**CLINIC, "tree": {"a": ["rest of a"]}}, "rest of a is a word, and what is left of a group"),
        ({**CLINIC, "tree": {"a": "b"}}, "diagnosis.tree.a=b: must be a list"),
    ],
)  # fmt: skip
def test_what_is_no_tree_is_refused_in_one_line(feature: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        contract_with(diagnosis=feature)
    assert "\n" not in str(caught.value)


def test_groups_are_bounded_and_have_names_of_their_own() -> None:
    with pytest.raises(
        ContractError, match="diagnosis group 1: is the name of diagnosis's groups; rename it"
    ):
        contract_with(diagnosis=DIAGNOSIS, **{"diagnosis group 1": AGE})
    deep = {**CLINIC, "tree": {f"w{at}": [f"w{at + 1}"] for at in range(5)}}
    many = {f"c{at}": deep for at in range(201)}
    with pytest.raises(
        ContractError, match="1005 crosses and levels above the deepest, must be at most 1000"
    ):
        contract_with(**many)
    wide = {**DIAGNOSIS, "codes": ["0-9", *(f"{at:04}" for at in range(9000))]}
    crosses = [["a", "b"]]
    with pytest.raises(ContractError, match="must be at most 1000000; use fewer bins"):
        contract_from_mapping(visits_contract(features={"a": wide, "b": wide}, crosses=crosses, groups=[]))


def tables(codes: list[str | None], **columns: Any) -> Tables:
    count = len(codes)
    rows = {
        "id": [f"p{n}" for n in range(count)],
        "booked": ["2024-01-01"] * count,
        "due": ["2024-01-05"] * count,
    }
    given = {**rows, "came": ["1"] * count, "icd": codes, "hospital": ["h"] * count, **columns}
    return Tables(pl.DataFrame(given, schema_overrides={"icd": pl.String}))


def admitted(read: Tables, contract: Contract) -> Admitted:
    return admit(read, contract, b"k", datetime(2024, 6, 1, tzinfo=UTC))


def bins_by_row(read: Tables, contract: Contract) -> list[int]:
    passed = admitted(read, contract)
    cohort = encode(pl.concat([passed.training, passed.heldout]), contract)
    return [int(cohort.bins[at, 0]) for at in np.argsort(cohort.rows)]


def test_the_gate_keeps_the_node_and_nothing_deeper_however_a_cell_is_spelt() -> None:
    cells = [
        "E11.90",
        "e11",
        " E10.1 ",
        "E03",
        "F32.1 G",
        "I10.00",
        "Z00",
        None,
        "",
        "none",
        "E",
        "\0",
        "é" * 99,
    ]
    contract = contract_with()
    assert bins_by_row(tables(cells), contract) == [2, 2, 1, 0, 3, 4, *[5] * 7]
    deeper = [cell and cell.replace("E11.90", "E11.22") for cell in cells]
    one, other = (encode(admitted(tables(of), contract).training, contract) for of in (cells, deeper))
    assert one.bins.tobytes() == other.bins.tobytes()


PIECES = st.sampled_from(
    ["E10", "E1", "e11", ".", "-", "\u2013", " ", "F", "3", "\u00df", "\u0131", "\n", "\x1c", "9" * 30]
)


@given(
    st.lists(
        st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=8)), min_size=1, max_size=30
    )
)
def test_a_column_is_read_as_its_cells_are(cells: list[str]) -> None:
    tree = contract_with().features[0].tree
    assert tree is not None
    frame = pl.DataFrame({"icd": cells}, schema={"icd": pl.String})
    stripped = frame.select(parsing.text("icd", pl.String()))["icd"].to_list()
    found = frame.select(parsing.listed_index("icd", pl.String(), tree.nodes, codes=tree))["icd"].to_list()
    assert found == [code_index(tree).node_of(cell) for cell in stripped]


def test_words_of_a_tree_are_read_as_any_vocabulary() -> None:
    words = ["heart", "failure", "medicine", " hand ", "Heart", "imaging"]
    read = tables(["E11"] * 6, clinic=words)
    contract = contract_with(clinic=CLINIC)
    nodes = contract.features[0].vocabulary
    assert bins_by_row(read, contract) == [*(nodes.index(word.strip()) for word in words[:4]), 8, 0]


def test_history_counts_by_the_groups_of_a_level() -> None:
    past = {"kind": "history", "statistic": "count", "by": "diagnosis", "edges": [1, 2]}
    read = tables(
        ["E11.1", "E10", "E03", "E11.9"], id=["p"] * 4, booked=[f"2024-01-0{n}" for n in range(1, 5)]
    )
    levels: dict[str, int] = {}
    for level in (None, 1, 2):
        by = past if level is None else {**past, "by_level": level}
        contract = contract_with(diagnosis=DIAGNOSIS, past=by)
        passed = admitted(read, contract)
        cohort = encode(pl.concat([passed.training, passed.heldout]), contract)
        levels[str(level)] = int(cohort.bins[np.argmax(cohort.rows), 1])
    assert levels == {"None": 1, "1": 2, "2": 2}, "E11 once, two or more in E00-E90 and in E10-E14"


@pytest.mark.parametrize(
    ("past", "said"),
    [
        ({"by": "diagnosis", "by_level": 4}, "past.by_level=4: diagnosis has levels 1 to 3"),
        ({"by": "channel", "by_level": 1}, "past.by_level=1: needs by, a hierarchical feature"),
        ({"by_level": 1}, "past.by_level=1: needs by, a hierarchical feature"),
    ],
)
def test_a_level_that_is_not_there_is_refused(past: dict[str, Any], said: str) -> None:
    history = {"kind": "history", "statistic": "count", "edges": [1], **past}
    with pytest.raises(ContractError, match=said):
        contract_with(diagnosis=DIAGNOSIS, channel=CHANNEL, past=history)


def test_doctor_counts_cells_that_no_node_holds() -> None:
    read = tables(["E11.9", "F32", "diabetes", "Z00", "Z00", None])
    (icd,) = (one for one in count_codes(read, contract_with()) if one.column == "icd")
    assert (icd.given, icd.other, icd.first) == (5, 3, 2)
    assert unknown_words(read, contract_with(), icd) == [("Z00", 2), ("diabetes", 1)]


def test_doctor_sees_two_columns_that_were_swapped() -> None:
    contract = contract_with(diagnosis=DIAGNOSIS, channel=CHANNEL)
    codes, words = ["E11.9", "F32"] * 50, ["sms", "email"] * 50
    (pair,) = swapped_columns(tables(words, channel=codes), contract)
    assert set(pair) == {("messages", "icd"), ("messages", "channel")}
    assert swapped_columns(tables(codes, channel=words), contract) == []


def test_the_prior_has_codes_of_one_group_alike_and_others_apart() -> None:
    contract = contract_with()
    bins = np.arange(6, dtype=np.int32)[:, None]
    rows = dense_rows(contract.layout, SimpleNamespace(bins=bins, values=np.zeros((6, 0), np.float32)))[:, 1:]
    effects = rows @ prior_covariance(contract)[1:, 1:] @ rows.T
    assert np.array_equal(np.diag(effects), np.full(6, 3.0)), (
        "no code is expected to differ more than another"
    )
    assert effects[1, 2] == 2, "both in E10-E14, and so in E00-E90"
    assert effects[0, 2] == 1, "both in E00-E90 alone"
    assert not effects[[0, 1, 2]][:, [3, 4, 5]].any()


def moments(contract: Contract, noise_stddev: float, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Give shares read of a noised mean row, the moments made of them, and the true moments."""
    rng = np.random.default_rng(seed)
    layout = contract.layout
    bins = np.column_stack([rng.integers(0, field.size, 4000) for field in layout.features]).astype(np.int32)
    # Every combination as often as independence says: what moments cannot know is then nothing.
    grid = np.array(np.meshgrid(*bins.T[:, :40])).reshape(len(layout.features), -1).T.astype(np.int32)
    rows = dense_rows(layout, SimpleNamespace(bins=grid, values=np.zeros((len(grid), 0), np.float32)))
    noise = rng.normal(0, noise_stddev, layout.width) if noise_stddev else 0.0
    shares = bin_shares(layout, rows.mean(axis=0) + noise, noise_stddev)
    return shares, second_moments(layout, shares), rows.T @ rows / len(rows)


def test_second_moments_are_exact_without_noise() -> None:
    _, found, true = moments(contract_with(diagnosis=DIAGNOSIS, age=AGE), 0.0)
    assert np.allclose(found, true)


@pytest.mark.parametrize("seed", range(5))
def test_noised_shares_of_groups_are_sums_of_what_lies_in_them(seed: int) -> None:
    contract = contract_with(diagnosis=DIAGNOSIS, clinic=CLINIC, age=AGE)
    shares, found, _ = moments(contract, 0.05, seed)
    layout = contract.layout
    places = {field.name: start for field, start in zip(layout.fields, layout.offsets, strict=True)}
    for coarse in layout.coarse:
        own = shares[places[coarse.of.name] :][: coarse.of.size]
        groups = shares[places[coarse.name] :][: coarse.size]
        assert np.allclose(np.bincount(coarse.bins, own), groups)
        assert groups.sum() == pytest.approx(1)
    assert np.allclose(found, found.T)
    assert np.linalg.eigvalsh(found).min() > -1e-9


def test_a_group_s_share_is_its_own_and_not_the_sum_of_many_noised_ones() -> None:
    codes = {**DIAGNOSIS, "codes": ["A00-A99", "B00-B99", *(f"A{at:02}" for at in range(100))]}
    contract = contract_with(diagnosis=codes)
    layout = contract.layout
    row = np.zeros(layout.width)
    row[0] = 1
    row[layout.offsets[1] : layout.offsets[1] + 3] = 0.1, 0.9, 0.0
    # Nearly all lies in B; 100 empty codes of A have noise, which floors make positive.
    noisy = row + np.random.default_rng(1).normal(0, 0.02, layout.width)
    noisy[layout.offsets[0] + layout.features[0].labels.index("B00-B99")] = 0.9
    found = bin_shares(layout, noisy, 0.02)[layout.offsets[1] :][:3]
    assert np.allclose(found, [0.1, 0.9, 0.0], atol=0.06)


def test_a_reason_names_the_level() -> None:
    contract = contract_with()
    effects = np.zeros(contract.layout.width)
    columns = contract.layout.offsets
    effects[columns[2] + list(contract.layout.coarse[1].labels).index("E10-E14")] = 1.0
    effects[columns[0] + LABELS.index("E11")] = -0.5
    event = SimpleNamespace(bins=np.array([[2]], np.int32), values=np.zeros((1, 0), np.float32))
    assert Reasons(contract, effects).of(event)[0].tolist() == [
        "diagnosis group 2: E10-E14 (+0.80)", "diagnosis: E11 (-0.42)", "",
    ]  # fmt: skip


def test_patients_read_which_groups_count() -> None:
    past = {"kind": "history", "statistic": "count", "by": "diagnosis", "by_level": 1, "edges": [1]}
    contract = contract_with(diagnosis=DIAGNOSIS, clinic=CLINIC, past=past)
    clinic, diagnosis = used_features(contract, "messages")
    assert diagnosis.how == (
        "never the exact code, only the narrowest of these groups that it is in: E00–E90, E10–E14, E11, F00–F99 "
        "and I10; else “other”"
    )
    assert clinic.how.startswith(
        "one of imaging, medicine, heart, failure, kidney, surgery, hand or urology;"
    )
    (history,) = used_features(contract, None)
    assert "among those with the same diagnosis (group of level 1)" in history.how


def test_its_effects_are_bars_level_by_level() -> None:
    contract = contract_with()
    found = {one.name: one for one in additive_effects(contract, ModelSettings(), np.arange(16.0))}
    assert set(found) == {"diagnosis", "diagnosis group 1", "diagnosis group 2"}
    assert {one.shape for one in found.values()} == {"bars"}
    assert found["diagnosis group 1"].labels == ("E00-E90", "F00-F99", "I10", "other")
    assert "E00-E90" in effect_chart(found["diagnosis group 1"], -2, 2)


def test_a_module_s_words_must_be_nodes_or_codes_in_one() -> None:
    module = Module(
        id="visit.en", language="en", topic="E11.9", channel="sms", message_class="reminder", author="A",
        valid_from=date(2024, 1, 1), valid_until=date(2024, 12, 31), parts={},
    )  # fmt: skip
    contract = contract_with(topic=DIAGNOSIS)
    assert not list(word_faults(module, contract))
    (fault,) = word_faults(replace(module, topic="visit"), contract)
    assert fault.startswith("topic=visit: is no word of the contract visits (topic)")


def test_what_a_gain_may_not_use_counts_in_no_group_either() -> None:
    contract = contract_from_mapping(
        small_contract(
            features={"diagnosis": DIAGNOSIS, "channel": CHANNEL}, crosses=[["diagnosis", "channel"]]
        )
    )
    layout = contract.layout
    cohort = cohort_of(layout, [50], seed=3)
    shares = field_shares(layout, cohort, ["diagnosis"])
    effects = np.random.default_rng(1).normal(size=layout.width)
    turned = cohort.bins.copy()
    turned[:, 1] = np.roll(turned[:, 1], 7)  # another code, the same channel
    other = SimpleNamespace(bins=turned, values=cohort.values)
    difference, error = message_differences(layout, effects, np.eye(layout.width), other, cohort, shares)
    assert np.allclose(difference, 0)
    assert np.allclose(error, 0)
    seen = blind_effects(layout, effects, shares, ["diagnosis"])
    logits = [dense_rows(layout, one) @ seen for one in (cohort, other)]
    assert np.allclose(*logits)
    changed = cohort.bins.copy()
    changed[:, 0] = (changed[:, 0] + 1) % 3
    moved = SimpleNamespace(bins=changed, values=cohort.values)
    difference, _ = message_differences(layout, effects, np.eye(layout.width), moved, cohort, shares)
    assert np.allclose(difference, (dense_rows(layout, moved) - dense_rows(layout, cohort)) @ seen)
    # Against the average of all: what the plain effects say on average over the shares.
    level = dense_rows(layout, cohort) @ effects
    assert not np.allclose(level, logits[0])


def test_boosting_takes_its_bins_as_words() -> None:
    assert DIAGNOSIS["kind"] in UNORDERED


def test_a_draft_lists_the_chapters_of_a_classification_that_a_column_is_named_after() -> None:
    columns = {
        "id": "text",
        "came": "truth",
        "icd10_code": "text",
        "atc": "text",
        "diagnosis": "text",
        "batch": "text",
    }
    draft = draft_contract({"messages": columns}, Choices(patient="id", label="came"))
    found = {feature.name: feature for feature in draft.contract.features}
    assert set(found) == {"icd10_code", "atc"}
    chapters = contract_with(diagnosis=found["icd10_code"].to_mapping())
    cells = ["C44.9", "D48", "D50", "H59.9", "H60", "K93", "Y98", "Z99.9", "T98", "U07.1", "H99", "none"]
    labels = chapters.features[0].labels
    assert [labels[bin_] for bin_ in bins_by_row(tables(cells, icd10_code=cells), chapters)] == [
        "C00-D49", "C00-D49", "D50-D89", "H00-H59", "H60-H95", "K00-K95", "V00-Y99", "Z00-Z99", "S00-T98", "U00-U99",
        "other", "other",
    ]  # fmt: skip
    assert any("categorical, ordered or hierarchical" in line for line in draft.untold)


def test_a_column_may_be_read_twice_so_that_its_widest_groups_stand_in_crosses() -> None:
    chapter = {**DIAGNOSIS, "codes": ["E00-E90", "F00-F99"]}
    contract = contract_from_mapping(
        visits_contract(features={"chapter": chapter, "diagnosis": DIAGNOSIS, "sex": SEX}, groups=["chapter"],
                        crosses=[["chapter", "sex"]])
    )  # fmt: skip
    read = tables(["E11.9", "I10", "F32"], sex=["F", "M", "F"])
    passed = admitted(read, contract)
    cohort = encode(pl.concat([passed.training, passed.heldout]), contract)
    assert cohort.bins[np.argsort(cohort.rows), :2].tolist() == [[0, 2], [2, 4], [1, 3]]
    assert [cross.size for cross in contract.layout.crosses] == [9]


def test_it_may_stand_in_crosses_and_groups() -> None:
    contract = contract_from_mapping(
        small_contract(**PUBLIC, features={"diagnosis": DIAGNOSIS, "sex": SEX}, crosses=[["diagnosis", "sex"]],
                       groups=["diagnosis"])
    )  # fmt: skip
    layout = contract.layout
    assert layout.width == 1 + 6 + 3 + 18 + 4 + 5
    assert np.array_equal(prior_covariance(contract), np.diag(np.diag(prior_covariance(contract))))
