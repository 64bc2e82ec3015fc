"""Messages chosen by staff: a model that weighs by their propensities learns what a message does, and not for whom.

Half of the patients are reliable, which no column says. Staff telephone one in ten of them, and nine in ten of the
others; a call raises everybody's chance by 0.2. Among those who were called fewer come than among those who were
written to: without weights the call looks as if it kept people away.
"""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import yaml

import wardround
from tests.builders import visits_contract
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.train.update import clipped_sums
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import predict_probabilities
from wardround.protocol.terms.settings import ModelSettings
from wardround.server.algorithm import newton

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRUTH = 0.2
SEEDS = (11, 12, 13)
MODEL = ModelSettings()


def plain_contract(**changes):
    channel = {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "call"]}
    plain = visits_contract(hospital="clinic", events_per_patient=2, features={"channel": channel}, **changes)
    return {key: value for key, value in plain.items() if key not in ("decided_at", "outcome_at")}


def drawn_by_staff(seed: int, patients: int = 6000, even: bool = False) -> pl.DataFrame:
    """Two messages of each patient, with the chance of the channel that was drawn. even: by a coin instead."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(patients), 2)
    reliable = (rng.random(patients) < 0.5)[person]
    call_chance = np.where(even, 0.5, np.where(reliable, 0.1, 0.9))
    call = rng.random(len(person)) < call_chance
    came = rng.random(len(person)) < np.where(reliable, 0.7, 0.2) + TRUTH * call
    return pl.DataFrame(
        {
            "id": [f"p{one}" for one in person],
            "clinic": [f"c{one % 4}" for one in person],
            "channel": np.where(call, "call", "sms"),
            "came": came.astype(int).astype(str),
            "chance": np.where(call, call_chance, 1 - call_chance).astype(str),
            "other": np.where(call, 1 - call_chance, call_chance).astype(str),
        }
    )


def effect_learned(frame: pl.DataFrame, contract) -> float:
    """What a call adds to the chance, by the gate, the closed form and plain descent without noise."""
    admitted = admit(Tables(frame), contract, b"key", NOW)
    cohort = encode(admitted.training, contract)
    layout = contract.layout
    weights = np.zeros((1, layout.width))
    for _ in range(300):
        gradient = clipped_sums(MODEL, layout, weights, cohort, 1e6, dtype=np.float64)
        weights = weights - 8.0 * gradient / cohort.event_shares.sum()
    one = cohort.take(np.array([0]))
    called, written = (np.array([[place]], np.int32) for place in (1, 0))
    chances = [
        predict_probabilities(MODEL, layout, weights[0], replace(one, bins=bins))
        for bins in (called, written)
    ]
    return float(chances[0][0] - chances[1][0])


def contract_of(column: str | None, least: float = 0.1):
    named = {} if column is None else {"propensity": {"column": column, "least": least}}
    return contract_from_mapping(plain_contract(**named))


@pytest.mark.statistical
@pytest.mark.parametrize("seed", SEEDS)
def test_weights_by_propensity_remove_the_bias_of_staffs_choice(seed):
    frame = drawn_by_staff(seed)
    # Its standard error is 0.014; five of them.
    assert effect_learned(frame, contract_of("chance")) == pytest.approx(TRUTH, abs=0.07)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "wrong", [None, "other", "clipped"], ids=["no weights", "chance of the other", "clipped"]
)
def test_without_them_or_with_wrong_ones_the_bias_is_there(seed, wrong):
    """Unweighted, and by the chance of what was not sent, a call seems to harm; clipped at 0.5, to help too little."""
    frame = drawn_by_staff(seed)
    contract = contract_of("chance", 0.6) if wrong == "clipped" else contract_of(wrong)
    found = effect_learned(frame, contract)
    assert abs(found - TRUTH) > 0.07
    assert found < TRUTH


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("seed", SEEDS)
def test_messages_drawn_by_a_coin_give_the_same_model_with_and_without(seed):
    frame = drawn_by_staff(seed, even=True)
    weighed = effect_learned(frame, contract_of("chance", 0.5))
    assert weighed == effect_learned(frame, contract_of(None))  # bit for bit: all weigh 1
    assert weighed == pytest.approx(TRUTH, abs=0.05)


@pytest.fixture
def effect_of_study(tmp_path):
    """Run a whole private study of four hospitals: what a call adds by the model that it released."""
    frame = drawn_by_staff(3)
    frame.write_csv(tmp_path / "visits.csv")
    files = {"data.path": str(tmp_path / "visits.csv"), "data.contract": str(tmp_path / "visits.yaml")}

    def run(**named) -> float:
        (tmp_path / "visits.yaml").write_text(yaml.safe_dump(plain_contract(**named)))
        study = wardround.simulate("data=table", {**files, "federation.cache": False}, epsilon=3.0, seed=4)
        found = study.predictions(model="federated_private")
        channels = found.with_columns(channel=frame["channel"].gather(found["row"]))
        by = dict(channels.group_by("channel").agg(pl.col("probability").mean()).rows())
        return by["call"] - by["sms"]

    return run


@pytest.mark.slow
@pytest.mark.statistical
def test_a_private_study_learns_what_a_call_does(effect_of_study, monkeypatch):
    """At ε = 3. Noise and the prior keep a part of the effect from it, and never its sign."""
    drawn = {"column": "chance", "least": 0.1}
    weighed = effect_of_study(propensity=drawn)
    assert 0.12 < weighed < 0.24
    assert effect_of_study() < -0.1
    # A server that took these events, which weigh 0.2 on average, for whole ones would find less of it.
    monkeypatch.setattr(newton, "mean_importance", lambda terms, mean_row: 1.0)
    assert effect_of_study(propensity=drawn) < 0.9 * weighed
