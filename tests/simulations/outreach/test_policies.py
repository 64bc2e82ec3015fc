"""Simulated outreach on a small federation: options as the gate reads them, and policies in their order."""

from dataclasses import replace

import numpy as np
import pytest

from wardround.client.connectors.source import Tables
from wardround.conf.compose import build
from wardround.conf.composed import compose_study
from wardround.protocol.model.model import column_scale
from wardround.server.algorithm.rounds import init
from wardround.simulations.federation.federation import through_gate
from wardround.simulations.measures.engagement import ALL, POLICIES
from wardround.simulations.outreach import own_parts
from wardround.simulations.outreach.engagement import engagement, known_moments
from wardround.simulations.outreach.options import FIELDS, OPTIONS
from wardround.simulations.outreach.own_parts import by_own_parts
from wardround.simulations.outreach.policies import best_single, by_model, by_permitted_truth, option_index
from wardround.simulations.population.draw import PopulationSettings, draw_population
from wardround.simulations.study.study import simulated_terms

SMALL = (
    "contract=outreach",
    "data.hospitals=4",
    "data.patients=1200",
    "data.messages=5000",
    "data.smallest=100",
    "data.largest=600",
    "data.habit=1",
    "data.tastes=1",
    "seed=3",
)


@pytest.fixture(scope="module")
def measured_on():
    settings = compose_study(*SMALL)
    population = draw_population(build(PopulationSettings, settings.data.population, "data"), 3)
    tables = Tables(population.messages, population.patients, population.consents)
    federation = through_gate(tables, settings.contract, population.hospitals, 3, population.as_of, {})
    terms = simulated_terms(settings, federation)
    return (
        federation,
        terms,
        known_moments(population, terms, federation.training, federation.heldout, 3, 150),
    )


@pytest.mark.slow
def test_a_moment_with_the_message_that_was_sent_is_the_event_that_the_gate_gave(measured_on):
    federation, _, field = measured_on
    moments, sent = field.moments, field.population.truth.messages
    drawn = field.population.truth.rows[moments.rows]
    hour = np.searchsorted((9, 12, 17), sent.minute[drawn] // 60, side="right")
    codes = np.stack([*(getattr(sent, name)[drawn] for name in FIELDS[:-1]), hour], axis=1)
    place = {row: index for index, row in enumerate(federation.heldout.rows)}
    own = federation.heldout.bins[[place[row] for row in moments.rows]]
    again = moments.with_message(codes).bins
    # A time that was spoilt in the table is read as missing there; here it is the true hour.
    same = (again == own).all(axis=1)
    assert same.mean() > 0.97


def test_options_are_every_message_once_and_found_again():
    assert len(OPTIONS) == 288
    assert (option_index(OPTIONS) == np.arange(288)).all()


@pytest.mark.slow
def test_the_oracle_is_best_and_noise_that_hides_all_leaves_the_best_single_message(measured_on):
    _, terms, field = measured_on
    state = init(terms)
    # A moment round and eleven gradients that said nothing: weights stay where they were expected.
    row = np.zeros(terms.contract.layout.width)
    ended = replace(state, optimizer=replace(state.optimizer, mean_row=row, row_count=1, steps=11))
    found = engagement(field, terms, ended, state.weights)
    assert set(found.by[ALL]) == set(POLICIES)
    assert found.gain("private") == 0
    assert found.by[ALL]["own"] <= found.by[ALL]["all_knowing"]
    assert found.changed["private"] == 0
    values = found.by[ALL]
    assert values["random"] < values["single"] <= values["of_topic"] <= values["all_knowing"]
    assert values["single"] < values["oracle"] <= values["all_knowing"]


def test_the_oracle_does_not_look_at_employment(measured_on):
    _, _, field = measured_on
    chosen = by_permitted_truth(field.population, field.moments, field.truth)
    patients = field.population.truth.patients
    drawn = field.population.truth.messages.patient[field.population.truth.rows[field.moments.rows]]
    working = patients.employment[drawn]
    hours = OPTIONS[chosen][:, FIELDS.index("hour")]
    evening = OPTIONS[field.truth.argmax(axis=1)][:, FIELDS.index("hour")] == 3
    # Who knows employment sends to the employed in the evening; the permitted oracle hardly tells them apart by it.
    among = (patients.recorded_age[drawn] >= 26) & (patients.recorded_age[drawn] < 65)
    gap = [
        rows[among & (working == 0)].mean() - rows[among & (working == 1)].mean()
        for rows in (evening, hours == 3)
    ]
    assert gap[0] > gap[1] + 0.1


def test_a_hospital_chooses_by_its_own_part_and_one_that_weighs_it_nothing_by_the_shared_model(
    measured_on, monkeypatch
):
    """With all weight on the shared candidate the choice is the shared model's, hospital by hospital."""
    federation, terms, field = measured_on
    moments, contract = field.moments, terms.contract
    draw = np.random.default_rng(2)
    weights = draw.normal(0, 0.3, contract.layout.width) / column_scale(terms.model, contract.layout)
    factor, shares = 0.05 * np.eye(contract.layout.width), field.shares(contract)
    single = best_single(moments, field.truth)
    given = (field.population, moments, terms, weights, factor, federation.training, single, shares)
    effects = weights * column_scale(terms.model, contract.layout)
    by_shared = by_model(contract, moments, effects, factor, single, shares)
    assert (by_own_parts(*given) != by_shared).any()
    fitted = own_parts.fit_mixture

    def all_shared(*arguments):
        mixture = fitted(*arguments)
        return replace(mixture, weights=np.eye(5)[np.zeros(len(mixture.weights), int)])

    monkeypatch.setattr(own_parts, "fit_mixture", all_shared)
    assert (by_own_parts(*given) == by_shared).all()
