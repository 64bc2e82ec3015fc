"""Habits, tastes and messages that staff chose: what they change, and the truth about messages that were not sent."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from wardround.protocol.errors import ConfigurationError
from wardround.simulations.population.draw import PopulationSettings, draw_population
from wardround.simulations.population.effects import CHANNELS
from wardround.simulations.population.habits import HABIT_EFFECT, draw_with_habits
from wardround.simulations.population.messages import Messages

SMALL = PopulationSettings(
    hospitals=3, patients=1500, messages=9000, smallest=100, largest=1000, faulty_share=0, hospital_shift=0
)


def messages_of(patient, day, outcome_day, channel):
    zero = np.zeros(len(patient), np.int64)
    given = {"patient": patient, "day": day, "outcome_day": outcome_day, "channel": channel}
    arrays = {name: np.array(values) for name, values in given.items()}
    return Messages(**arrays, minute=zero, topic=zero, tone=zero, length=zero, link=zero)


def test_a_habit_counts_known_outcomes_of_the_same_channel_alone():
    # One patient: channel 0 on days 0 and 5, channel 1 on day 6; the outcome of day 5 is known from day 10 on.
    messages = messages_of([0] * 4, [0, 5, 6, 9], [2, 9, 8, 12], [0, 0, 1, 0])
    always = np.zeros(4)  # uniform draws of 0: everybody engages
    engaged, logits = draw_with_habits(always, np.zeros(4), messages, habit=1.0)
    assert engaged.tolist() == [1, 1, 1, 1]
    none, full = HABIT_EFFECT[3], HABIT_EFFECT[2]
    assert logits[:, 0].tolist() == [none, full, full, full]
    assert logits[:, 1].tolist() == [none, none, none, full]
    missed, logits = draw_with_habits(np.ones(4), np.zeros(4), messages, habit=2.0)
    assert not missed.any()
    assert logits[3].tolist() == [2 * HABIT_EFFECT[0], 2 * HABIT_EFFECT[0], 0.0, 0.0]


@pytest.mark.parametrize("change", [{}, {"habit": 1.0}, {"tastes": 1.0}, {"assignment": "observational"}])
def test_the_true_probability_is_right_on_average_whatever_is_switched_on(change):
    settings = replace(SMALL, patients=3000, messages=30_000, largest=2500, **change)
    population = draw_population(settings, 4)
    engaged = population.messages["engaged"].cast(pl.Float64).to_numpy()
    for part in np.array_split(np.argsort(population.true_probability), 5):
        difference = engaged[part].mean() - population.true_probability[part].mean()
        assert abs(difference) < 4 * 0.5 / np.sqrt(len(part))


def test_the_truth_of_the_message_that_was_sent_is_the_true_probability():
    population = draw_population(replace(SMALL, habit=1.0, tastes=1.0, unfairness=0.3), 5)
    rows = np.arange(0, len(population.messages), 7)
    sent = population.truth.messages
    drawn = population.truth.rows[rows]
    message = {name: getattr(sent, name)[drawn] for name in ("channel", "tone", "length", "link")}
    message["hour"] = np.searchsorted((9, 12, 17), sent.minute[drawn] // 60, side="right")
    assert np.allclose(population.truth.probability(rows, message), population.true_probability[rows])


def test_staff_telephone_whom_they_think_unreliable():
    by_staff = draw_population(replace(SMALL, assignment="observational"), 6)
    patients = by_staff.truth.patients
    phoned = by_staff.truth.messages.channel == CHANNELS.index("phone")
    trait = patients.trait[by_staff.truth.messages.patient]
    assert trait[phoned].mean() < trait[~phoned].mean()
    at_random = draw_population(SMALL, 6)
    assert by_staff.messages["topic"].equals(at_random.messages["topic"])


def test_what_is_switched_off_changes_no_table():
    plain, named = draw_population(SMALL, 7), draw_population(replace(SMALL, assignment="random"), 7)
    assert plain.messages.equals(named.messages)
    assert not plain.messages.equals(draw_population(replace(SMALL, habit=1.0), 7).messages)


def test_an_unknown_assignment_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"data\.assignment=chosen: must be among random, observational"
    ):
        replace(SMALL, assignment="chosen")


@pytest.mark.parametrize("assignment", ["random", "observational"])
def test_each_message_has_the_chance_with_which_it_was_drawn(assignment):
    """Weighed by their inverse chances, each of the 72 kinds of messages is as frequent as any other."""
    settings = replace(SMALL, patients=6000, messages=120_000, largest=4500, assignment=assignment)
    messages = draw_population(settings, 8).messages
    chance = messages["propensity"].cast(pl.Float64)
    assert 0 < chance.min() < chance.max() < 1
    kinds = messages.select("channel", "tone", "length", "has_link", weight=1 / chance)
    found = kinds.group_by("channel", "tone", "length", "has_link").agg(
        pl.col("weight").sum(), spread=pl.col("weight").pow(2).sum().sqrt()
    )
    assert len(found) == 4 * 3 * 3 * 2
    errors = (found["weight"] - len(messages)) / found["spread"]
    assert errors.abs().max() < 4.5
    # The same by chances that are a tenth off for one channel.
    wrong = kinds.filter(channel="sms")["weight"] * 1.1
    expected = len(messages) * 3 * 3 * 2
    assert abs(wrong.sum() - expected) > 4.5 * (wrong**2).sum() ** 0.5
