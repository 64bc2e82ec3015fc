"""Gains and their errors: what a message changes and nothing else."""

from types import SimpleNamespace

import numpy as np
from scipy.special import expit

from tests.builders import cohort_of
from wardround.client.outreach.choose.gain import field_shares, gains, message_differences
from wardround.conf.composed import compose_study
from wardround.protocol.model.design import active_columns, active_entries

LAYOUT = compose_study().contract.layout
POSITION = {field.name: place for place, field in enumerate(LAYOUT.features)}


def events(seed=0):
    cohort = cohort_of(LAYOUT, [60], seed=seed)
    return SimpleNamespace(bins=cohort.bins.copy(), values=cohort.values.copy())


def with_bins(of, **bins):
    changed = of.bins.copy()
    for name, value in bins.items():
        changed[:, POSITION[name]] = value
    return SimpleNamespace(bins=changed, values=of.values)


def logits(effects, of):
    return active_entries(active_columns(LAYOUT, of), of.values, effects).sum(axis=1)


def weights(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=LAYOUT.width), rng.normal(size=(LAYOUT.width, 20))


def test_a_difference_is_that_of_the_models_log_odds():
    effects, factor = weights()
    standard, option = with_bins(events(), channel=0, tone=0), with_bins(events(), channel=3, tone=2)
    difference, error = message_differences(LAYOUT, effects, factor, option, standard, {})
    assert np.allclose(difference, logits(effects, option) - logits(effects, standard))
    # The same by brute force: how far each column of the factor moves the difference.
    moved = [logits(column, option) - logits(column, standard) for column in factor.T]
    assert np.allclose(error, np.sqrt(np.square(moved).sum(axis=0)))


def test_a_message_that_changes_a_patients_own_history_counts_with_it():
    effects, factor = weights()
    of = events()
    option = with_bins(of, channel=2)
    # As a history by the same channel would: another bin for each patient.
    option.bins[:, POSITION["past_engaged"]] = np.arange(len(of.bins)) % 4
    difference, _ = message_differences(LAYOUT, effects, factor, option, of, {})
    assert np.allclose(difference, logits(effects, option) - logits(effects, of))


BLIND = ("insurance", "employment")


def test_insurance_and_employment_change_no_gain_whatever_the_contract_crosses():
    effects, factor = weights()
    assert "hour × employment" in {cross.name for cross in LAYOUT.crosses}
    standard, option = with_bins(events(), hour=0), with_bins(events(), hour=3)
    shares = field_shares(LAYOUT, events(), BLIND)
    found = message_differences(LAYOUT, effects, factor, option, standard, shares)
    for employment in range(3):
        others = [with_bins(one, employment=employment, insurance=0) for one in (option, standard)]
        assert np.allclose(found, message_differences(LAYOUT, effects, factor, *others, shares))
    seeing = message_differences(LAYOUT, effects, factor, option, standard, {})
    assert not np.allclose(found[0], seeing[0])


def test_what_a_gain_may_not_use_counts_as_it_is_among_all_patients():
    effects, factor = weights()
    standard, option = with_bins(events(), hour=0), with_bins(events(), hour=3)
    shares = field_shares(LAYOUT, events(), BLIND)
    found, _ = message_differences(LAYOUT, effects, factor, option, standard, shares)
    by_employment = []
    for employment in range(len(shares["employment"])):
        others = [with_bins(one, employment=employment) for one in (option, standard)]
        by_employment.append(message_differences(LAYOUT, effects, factor, *others, {})[0])
    assert np.allclose(found, shares["employment"] @ by_employment)


def test_shares_are_of_all_patients_and_skip_what_the_contract_lacks():
    of = with_bins(events(), employment=1)
    shares = field_shares(LAYOUT, of, ("employment", "shoe size"))
    assert list(shares) == ["employment"]
    assert shares["employment"].tolist() == [0, 1, 0, 0, 0]
    nobody = SimpleNamespace(bins=of.bins[:0], values=of.values[:0])
    assert field_shares(LAYOUT, nobody, ("employment",))["employment"].tolist() == [0.2] * 5


def test_the_same_message_gains_nothing_and_has_no_error():
    difference, error = message_differences(LAYOUT, *weights(), events(), events(), {})
    assert not difference.any()
    assert not error.any()


def test_a_gain_exceeds_its_error_exactly_where_the_difference_does():
    rng = np.random.default_rng(0)
    standard, difference = rng.normal(size=500), rng.normal(size=(500, 4))
    error = np.abs(rng.normal(size=(500, 4)))
    gain, off = gains(standard[:, None] + difference, standard, error)
    assert np.allclose(gain, expit(standard[:, None] + difference) - expit(standard)[:, None])
    assert ((gain > off) == (difference > error)).all()
