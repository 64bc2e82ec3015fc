"""The group report against fairlearn's definitions; limits, suppression, mitigation, the gate, and the card."""

from dataclasses import replace
from datetime import date
from statistics import NormalDist

import numpy as np
import pytest

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import initial_weights, predict_logits
from wardround.protocol.terms.evaluation import FairnessSettings, TableRow
from wardround.protocol.terms.settings import ModelSettings
from wardround.server.evaluation import measures
from wardround.server.evaluation.estimates import Estimate, NoisedTables, estimate
from wardround.server.evaluation.evaluation import Evaluation, evaluate_tables
from wardround.server.evaluation.group_report import EXCEEDED, HELD, NOT_SHOWN, SelectionRule, group_report
from wardround.server.evaluation.mitigate import group_offsets, group_thresholds, mitigated_weights
from wardround.server.evaluation.release_decision import decide_release

BINS = 20
SHARES = np.arange(1, BINS) / BINS
EDGES = np.log(SHARES / (1 - SHARES))
ROWS = (TableRow(), TableRow("sex", "F"), TableRow("sex", "M"), TableRow("sex", "other"))


def events(seed: int = 0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores in bins, labels, groups: 3,000 of F, 2,000 of M with scores lower by ``shift``, 40 others."""
    draw = np.random.default_rng(seed)
    groups = np.repeat([0, 1, 2], [3000, 2000, 40])
    logits = draw.normal(size=len(groups)) - shift * (groups == 1)
    labels = (draw.random(len(groups)) < 1 / (1 + np.exp(-logits))).astype(int)
    return np.minimum((BINS / (1 + np.exp(-logits))).astype(int), BINS - 1), labels, groups


def tables_of(bins: np.ndarray, labels: np.ndarray, groups: np.ndarray, noise: float = 0.0) -> NoisedTables:
    counts = np.zeros((4, 2, BINS))
    np.add.at(counts[0], (labels, bins), 1)
    np.add.at(counts, (1 + groups, labels, bins), 1)
    return NoisedTables(2, ROWS, counts, np.eye(4) * noise**2, np.eye(len(EDGES) + 1), EDGES, 1)


def test_rates_and_differences_are_fairlearns() -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    bins, labels, groups = events()
    found = group_report(
        tables_of(bins, labels, groups), FairnessSettings(selected_share=0.4, min_group_patients=1)
    )
    selected = (bins >= found.first_selected).astype(int)
    frame = metrics.MetricFrame(
        metrics={
            "selection": metrics.selection_rate,
            "true_positive": metrics.true_positive_rate,
            "false_positive": metrics.false_positive_rate,
        },
        y_true=labels,
        y_pred=selected,
        sensitive_features=groups,
    )
    for group, row in zip(found.groups, (0, 1, 2), strict=True):
        for name in ("selection", "true_positive", "false_positive"):
            assert group.measures[name].value == pytest.approx(frame.by_group[name][row])
    sensitive = {"y_true": labels, "y_pred": selected, "sensitive_features": groups}
    largest = found.largest("sex", "selection")
    assert largest is not None
    assert largest.size == pytest.approx(metrics.demographic_parity_difference(**sensitive))
    odds = [found.largest("sex", name) for name in ("true_positive", "false_positive")]
    worst = max(gap.size for gap in odds if gap is not None)
    assert worst == pytest.approx(metrics.equalized_odds_difference(**sensitive))


def test_small_groups_are_suppressed_by_their_noised_number() -> None:
    settings = FairnessSettings(min_group_patients=100)
    found = group_report(tables_of(*events()), settings)
    assert [group.suppressed for group in found.groups] == [False, False, True]
    assert not found.groups[2].measures
    assert {gap.first for gap in found.gaps} | {gap.second for gap in found.gaps} == {"F", "M"}
    # 40 cells of noise 90 drown even 2,000 patients, whatever the settings ask.
    drowned = group_report(tables_of(*events(), noise=90.0), replace(settings, min_group_patients=1))
    assert [group.suppressed for group in drowned.groups] == [False, True, True]


@pytest.mark.parametrize(
    ("shift", "limit", "noise", "outcome"),
    [
        (0.0, 0.1, 1.0, HELD),
        (1.0, 0.1, 1.0, EXCEEDED),
        (0.0, 0.1, 40.0, NOT_SHOWN),
        (1.0, 0.36, 1.0, NOT_SHOWN),
    ],
)
def test_a_limit_holds_only_where_it_is_shown(shift: float, limit: float, noise: float, outcome: str) -> None:
    found = group_report(
        tables_of(*events(shift=shift), noise=noise), FairnessSettings(max_selection_gap=limit)
    )
    assert [verdict.outcome for verdict in found.verdicts] == [outcome]


def test_an_attribute_that_cannot_be_audited_does_not_hold() -> None:
    bins, labels, groups = events()
    found = group_report(
        tables_of(bins, labels, groups), FairnessSettings(max_auc_gap=0.5, min_group_patients=2500)
    )
    assert found.verdicts[0].outcome == NOT_SHOWN
    assert found.verdicts[0].worst is None


@pytest.mark.parametrize("kind", ["equal_selection", "equal_opportunity", "calibration"])
def test_offsets_move_the_groups_towards_each_other(kind: str) -> None:
    measure = {
        "equal_selection": "selection",
        "equal_opportunity": "true_positive",
        "calibration": "calibration",
    }[kind]
    settings = FairnessSettings(**{f"max_{measure}_gap": 0.01}, mitigation=kind)
    draw = np.random.default_rng(1)
    logits = draw.normal(size=20_000)
    groups = draw.integers(0, 2, 20_000)
    true = logits - 1.0 * groups if kind == "calibration" else logits
    scored = logits if kind == "calibration" else logits - 1.0 * groups
    labels = (draw.random(20_000) < 1 / (1 + np.exp(-true))).astype(int)

    def binned(values: np.ndarray) -> np.ndarray:
        return np.minimum((BINS / (1 + np.exp(-values))).astype(int), BINS - 1)

    tables = tables_of(binned(scored), labels, groups, noise=1.0)
    before = group_report(tables, settings)
    offsets = group_offsets(tables, settings, before)["sex"]
    moved = tables_of(binned(scored + offsets[groups]), labels, groups)
    after = group_report(tables, settings, SelectionRule(moved, before.first_selected))
    if kind == "calibration":
        after = group_report(moved, settings)
    else:  # thresholds leave the scores alone
        assert after.largest("sex", "auc").difference == before.largest("sex", "auc").difference
        assert (
            after.largest("sex", "calibration").difference == before.largest("sex", "calibration").difference
        )
        own = np.array(list(group_thresholds(before, {"sex": offsets})["sex"].values()))
        selected = 1 / (1 + np.exp(-scored)) >= own[groups]
        assert abs(selected[groups == 0].mean() - selected[groups == 1].mean()) < 0.15
    sizes = [found.largest("sex", measure) for found in (before, after)]
    assert sizes[0] is not None
    assert sizes[1] is not None
    assert sizes[1].size < 0.3 * sizes[0].size
    assert offsets[2] == 0  # suppressed


def test_offsets_are_folded_into_the_weights_exactly(make_terms) -> None:
    terms = make_terms()
    layout = terms.contract.layout
    weights = np.random.default_rng(0).normal(size=layout.width)
    offsets = np.array([0.5, -0.25, 0.0, 1.0, 0.1])[: layout.features[0].size]

    class Events:
        bins = np.arange(len(offsets), dtype=np.int32)[:, None]
        values = np.empty((len(offsets), 0), np.float32)

    before = predict_logits(terms.model, layout, weights, Events())
    moved = mitigated_weights(terms, weights, {"age": offsets})
    assert predict_logits(terms.model, layout, moved, Events()) - before == pytest.approx(offsets)
    deep = replace(terms, model=ModelSettings(kind="mlp", hidden=(4,)))
    with pytest.raises(ConfigurationError, match="choose additive or wide_deep"):
        mitigated_weights(deep, initial_weights(deep.model, layout), {"age": offsets})


TODAY = date(2026, 3, 1)


def reviewed(limit: float, noise: float = 1.0, **settings: object):
    tables = tables_of(*events(), noise=noise)
    found = group_report(tables, FairnessSettings(max_selection_gap=limit))
    return decide_release(evaluate_tables(tables, 0.95), found, ReleaseDecisionSettings(**settings), TODAY)  # type: ignore[arg-type]


def test_the_gate_opens_where_limits_hold_or_a_person_signs() -> None:
    assert reviewed(1.0).releasable
    assert not reviewed(1.0).blocks
    stopped = reviewed(0.1)
    assert not stopped.releasable
    assert stopped.blocks[0].startswith("selection by sex: F and M differ by 0.3")
    signed = reviewed(0.1, exception_by="Dr. A. Weiss", exception_reason="calls go to both groups alike")
    assert signed.releasable
    assert signed.blocks
    assert signed.exception_by == "Dr. A. Weiss"
    assert signed.to_facts()["releasable"] == "yes"
    assert "exception_reason" in signed.to_facts()
    needless = reviewed(1.0, exception_by="Dr. A. Weiss", exception_reason="just in case")
    assert needless.exception_by == ""


def test_what_was_not_measured_is_never_releasable() -> None:
    nobody = decide_release(
        None, None, ReleaseDecisionSettings(exception_by="A", exception_reason="B"), TODAY
    )
    assert not nobody.releasable
    assert nobody.to_facts()["releasable"] == "no"
    lost = reviewed(0.1, noise=1e4, exception_by="A", exception_reason="B")
    assert not lost.releasable
    assert "lost in noise" in lost.blocks[0]


def test_a_model_that_is_not_shown_to_be_better_than_a_coin_waits_for_a_person() -> None:
    bins, labels, groups = events()
    guessing = tables_of(np.random.default_rng(1).permutation(bins), labels, groups)
    found = evaluate_tables(guessing, 0.95)
    no_limits = group_report(guessing, FairnessSettings())
    stopped = decide_release(found, no_limits, ReleaseDecisionSettings(), TODAY)
    assert not stopped.releasable
    assert stopped.limits_unmet
    assert stopped.blocks[0].startswith(f"AUC {found.auc.text(0.95)}: not shown to be above 0.5")
    person = {"exception_by": "Dr. A. Weiss", "exception_reason": "a pilot that nobody acts on"}
    assert (
        decide_release(found, no_limits, ReleaseDecisionSettings(**person), TODAY).exception_by
        == "Dr. A. Weiss"
    )
    assert decide_release(found, no_limits, ReleaseDecisionSettings(min_auc=0.0), TODAY).releasable
    good = evaluate_tables(tables_of(bins, labels, groups), 0.95)
    low, high = good.auc.interval(0.95)
    assert decide_release(good, None, ReleaseDecisionSettings(min_auc=low - 0.001), TODAY).releasable
    assert not decide_release(good, None, ReleaseDecisionSettings(min_auc=(low + high) / 2), TODAY).releasable


def found_of(halfwidth: float, gap: float = 0.0, gap_halfwidth: float = 0.01) -> Evaluation:
    """What was found of a good model, with intervals of these half-widths."""
    bins, labels, groups = events()
    good = evaluate_tables(tables_of(bins, labels, groups), 0.95)
    one = NormalDist().inv_cdf(0.975)
    auc = Estimate(0.75, halfwidth / one, 0.0)
    return replace(good, auc=auc, calibration_gap=Estimate(gap, gap_halfwidth / one, 0.0))


@pytest.mark.parametrize(
    ("found", "block"),
    [
        (found_of(0.02), ""),
        (found_of(0.059), ""),
        (found_of(0.061), "known to ±0.061 only, must be ±0.06 or less"),
        (found_of(0.02, gap=0.08), ""),
        (found_of(0.02, gap=0.095), "not shown to be within ±0.1"),
        (found_of(0.02, gap=-0.095), "not shown to be within ±0.1"),
        (found_of(0.02, gap_halfwidth=0.06), "known to ±0.060 only, must be ±0.05 or less"),
        (found_of(0.02, gap=np.nan, gap_halfwidth=np.nan), "calibration gap –: known to"),
    ],
    ids=["good", "just", "wide", "gap", "above", "below", "vague", "lost"],
)
def test_a_model_must_be_known_well_enough_and_be_calibrated(found: Evaluation, block: str) -> None:
    decision = decide_release(found, None, ReleaseDecisionSettings(), TODAY)
    assert decision.releasable == (not block)
    assert block in " ".join(decision.blocks)
    assert decision.limits_unmet == bool(block)
    no_limits = ReleaseDecisionSettings(max_auc_halfwidth=1, max_calibration_gap=1)
    assert decide_release(found, None, no_limits, TODAY).releasable


def test_review_falls_due() -> None:
    assert reviewed(1.0, days=30).usable_until == date(2026, 3, 31)


@pytest.mark.parametrize(
    "settings",
    [
        {"exception_by": "A"},
        {"exception_reason": "B"},
        {"days": 0},
        {"exception_by": "A\nB"},
        {"min_auc": 1.0},
        {"max_auc_halfwidth": 0.0},
        {"max_calibration_gap": 1.5},
    ],
)
def test_half_an_exception_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="release_decision"):
        ReleaseDecisionSettings(**settings)  # type: ignore[arg-type]


def test_an_estimate_without_a_value_has_no_interval() -> None:
    nothing = Estimate(np.nan, np.nan, np.nan)
    assert np.isnan(nothing.interval(0.95)).all()
    assert nothing.text(0.95) == "–"


def test_what_is_told_of_a_share_stays_a_share_however_noised_its_table() -> None:
    counts = np.array([[[-40.0, 900.0], [10.0, 300.0]]])
    noised = NoisedTables(1, ROWS[:1], counts, np.array([[30.0**2]]), np.eye(2), np.array([0.0]), 3)
    found = estimate(noised, measures.selection_rate(2, 1))
    assert found.value == 1.0
    assert found.interval(0.95)[1] == 1.0
    assert found.interval(0.95)[0] < 1.0
    wide = estimate(noised, measures.false_positive_rate(2, 1))
    assert wide.text(0.95).endswith(", 1.000]")
