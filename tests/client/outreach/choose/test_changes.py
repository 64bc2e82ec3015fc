"""Each change of a message earns its place: parts add up, and luck does not ride along."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.builders import cohort_of
from wardround.client.outreach.choose.changes import change_differences, earned
from wardround.client.outreach.choose.gain import message_differences
from wardround.conf.composed import compose_study

CONTRACT = compose_study("contract=outreach").contract
LAYOUT = CONTRACT.layout
POSITION = {field.name: place for place, field in enumerate(LAYOUT.features)}


def events(**bins):
    cohort = cohort_of(LAYOUT, [40])
    own = cohort.bins.copy()
    for name, value in bins.items():
        own[:, POSITION[name]] = value
    return SimpleNamespace(bins=own, values=cohort.values)


def weights(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=LAYOUT.width), rng.normal(size=(LAYOUT.width, 20))


def test_changes_add_up_to_the_whole_difference():
    effects, factor = weights()
    standard = events(channel=0, tone=0, hour=1, link=0)
    option = events(channel=3, tone=2, hour=1, link=1)
    parts, errors = change_differences(CONTRACT, effects, factor, option, standard, {})
    whole, _ = message_differences(LAYOUT, effects, factor, option, standard, {})
    assert parts.shape == errors.shape == (len(option.bins), 3)
    assert np.allclose(parts.sum(axis=1), whole)


def test_a_history_by_the_channel_changes_with_the_channel():
    effects, factor = weights()
    standard = events(channel=0, channel_rate=0, tone=0)
    option = events(channel=1, channel_rate=2, tone=0)
    parts, _ = change_differences(CONTRACT, effects, factor, option, standard, {})
    assert parts.shape == (len(option.bins), 1)


def test_the_same_message_has_no_changes_and_earns_nothing():
    parts, errors = change_differences(CONTRACT, *weights(), events(), events(), {})
    assert parts.shape == (len(events().bins), 0)
    assert not earned(parts, errors).any()


def test_doubtful_changes_for_the_better_do_not_count_and_those_for_the_worse_do():
    differences = np.array([[0.5, 0.1, -0.1], [0.1, 0.1, 0.1], [0.5, 0.5, 0.0]])
    errors = np.full((3, 3), 0.1)
    assert earned(differences, errors, guard=2.0) == pytest.approx([0.4, 0.0, 1.0])


def test_luck_that_rides_along_with_a_true_gain_is_left_behind():
    rng = np.random.default_rng(0)
    # One change gains 1 for sure; twenty alternatives of another are all noise of 0.3.
    luck = rng.normal(0, 0.3, (2_000, 20))
    differences = np.stack([np.ones_like(luck), luck], axis=2).reshape(-1, 2)
    errors = np.tile([0.1, 0.3], (len(differences), 1))
    value = earned(differences, errors, guard=2.0).reshape(luck.shape)
    guarded = luck[np.arange(2_000), value.argmax(axis=1)][value.max(axis=1) > 1]
    by_whole = luck.max(axis=1)
    # By the whole gain every pick carries luck along: the promised gain exceeds the true one by that much.
    assert by_whole.mean() > 0.5
    assert len(guarded) / 2_000 < 0.5
