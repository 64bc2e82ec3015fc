"""A trial over several hospitals, invented: its contract, its terms, its patients in arms, and what they answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.builders import PUBLIC, SEX, small_contract
from wardround.client.cohort import Cohort
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.terms.request import HELD_OUT_QUERY, QUERY
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.evaluation.evaluation import TableSum
from wardround.simulations.bench.uplift import COMPARED, answered

ARMS = {"column": "arm", "reference": "standard", "shares": {"standard": 0.5, "personalised": 0.5}}


def trial_contract(rate: float | None = 0.2, **changes: Any) -> Contract:
    """Give the small contract with two arms, and the sexes as groups."""
    label = {"column": "opened", "engaged": ["1"], "not_engaged": ["0"]}
    label |= {} if rate is None else {"expected_rate": rate}
    plain = {"label": label, "features": {"sex": SEX}, "groups": ["sex"], "arms": ARMS, **changes}
    return contract_from_mapping(small_contract(**PUBLIC, **plain))


def trial_terms(
    hospitals: Mapping[str, int], noise: str = "local", epsilon: float = 1.0, **contract: Any
) -> Terms:
    """Give terms of an uplift query of simulated hospitals, with declared training patients."""
    return propose_query(
        study="spring",
        query=COMPARED,
        contract=trial_contract(**contract),
        privacy=PrivacySettings(epsilon=epsilon, noise=noise),
        public_patients=hospitals,
        simulation=True,
        secure_sum=SecureSumChoice(spare_slots=0),
        members={},
    )


def in_arms(
    terms: Terms,
    patients: Mapping[str, int],
    rates: tuple[float, ...],
    rng: np.random.Generator,
    events: int = 1,
) -> Cohort:
    """Invent patients of so many events in the terms' hospitals: arms drawn by their shares, outcomes by arm's rate."""
    arms, counts = terms.contract.arms, np.array([patients[name] for name in terms.hospitals])
    assert arms is not None
    total = int(counts.sum())
    shares = np.array([arms.shares[word] for word in arms.words])
    each = rng.choice(len(shares), total, p=shares / shares.sum()).astype(np.int32)
    owners = np.repeat(np.arange(total), events)
    return Cohort(
        bins=rng.integers(0, 2, (total, 1), np.int32)[owners],
        values=np.empty((total * events, 0), np.float32),
        labels=(rng.random(total * events) < np.array(rates)[each][owners]).astype(np.float64),
        rows=np.arange(total * events),
        known=np.zeros(total * events, np.bool_),
        tokens=np.zeros((total, 16), np.uint8),
        events_from=np.arange(total + 1) * events,
        patients_from=np.concatenate([[0], np.cumsum(counts)]),
        arms=each[owners],
    )


def trial(
    terms: Terms,
    training: Mapping[str, int],
    rates: tuple[float, ...],
    seed: int,
    *,
    events: int = 1,
    scale: float = 1.0,
) -> dict[str, TableSum]:
    """Draw a trial anew, with a third as many held-out patients, and let both accounts answer.

    scale: of the noise that is really added, beside that of the terms.
    """
    rng = np.random.default_rng(seed)
    held_out = {name: count // 3 for name, count in training.items()}
    noised = replace(terms, noise_multiplier=terms.noise_multiplier * scale)
    parts = ((QUERY, training), (HELD_OUT_QUERY, held_out))
    return {
        request.account: answered(terms, in_arms(terms, there, rates, rng, events), request, seed, noised)
        for request, there in parts
    }
