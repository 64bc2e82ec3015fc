"""Federated uplift, as stated: 1.3 times the interval without noise at most, and widths that were right beforehand."""

from dataclasses import replace

import pytest
from scipy.stats import binomtest

from wardround.simulations.bench import uplift
from wardround.simulations.bench.uplift import measured, settings, table_lines

_CHANCE = 1e-4
ALL = list(settings())
NAMES = [f"{one.name}, {one.noise}, {one.epsilon:g}" for one in ALL]


@pytest.mark.statistical
@pytest.mark.parametrize("setting", ALL, ids=NAMES)
def test_81_hospitals_know_it_nearly_as_well_as_without_noise_and_all_what_was_stated(setting) -> None:
    row = measured(setting, 10)
    assert row.off < 0.1
    if row.hospitals == 81 and row.noise == "secure":
        assert max(row.ratio) <= 1.3
    assert min(row.ratio) > 1.0
    assert row.held >= 0.5
    assert f"| {setting.name} | {row.patients:,} | {setting.noise} |" in "\n".join(table_lines([row]))


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("noise", ["secure", "local"])
def test_coverage_of_federated_uplift_over_two_thousand_runs(noise) -> None:
    setting = next(one for one in ALL if one.name == "30 small hospitals" and one.noise == noise)
    row = measured(setting, 2000)
    assert binomtest(round(row.held * row.runs), row.runs, 0.95).pvalue > _CHANCE
    assert row.off < 0.1


@pytest.mark.statistical
def test_an_effect_that_is_not_there_is_not_held(monkeypatch) -> None:
    setting = replace(ALL[0], hospitals={f"h{at}": 800 for at in range(12)})
    assert measured(setting, 40).held > 0.75
    monkeypatch.setattr(uplift, "EFFECT", 0.0)  # what is drawn, while the truth is still taken for 0.03
    wrong = [
        uplift.one_trial(uplift.terms_of(setting), setting, seed)[0].comparisons[0] for seed in range(40)
    ]
    assert sum(seen.low <= 0.03 <= seen.high for seen in wrong) < 10
