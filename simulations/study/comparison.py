"""The methods side by side: each gives a probability for every event of the same held-out patients."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personal_mixture import AloneFits
from wardround.client.personal.personal_scores import personal_scores
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.protocol.arrays import Floats
from wardround.protocol.model.model import predict_probabilities
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.terms import Terms
from wardround.simulations.federation.entry_store import EntryStore
from wardround.simulations.federation.federation import Federation
from wardround.simulations.study.boosting import pooled_boosting
from wardround.simulations.study.descents import (
    alone_models,
    alone_private_models,
    federated_model,
    pooled_model,
)
from wardround.simulations.study.kept_baselines import KeptBaselines

UNORDERED = ("categorical", "hierarchical", "boolean")


@dataclass(frozen=True, eq=False)
class Contest:
    """What every method gets: the federation, the terms, and the shared private weights [parameters].

    memory_bytes bounds what the steps of one method hold besides the patients. store: where baselines that ε does not
    touch are kept between runs; None keeps nothing.
    """

    federation: Federation
    terms: Terms
    weights: Floats
    personal_kind: str
    memory_bytes: int = MEMORY_BYTES
    store: EntryStore | None = None


def compare(contest: Contest, workers: int = 1) -> dict[str, Floats]:
    """Score all methods: key of ``simulations.report.scores`` → float64 [held-out events] probabilities.

    Methods share nothing that they change, so ``workers`` threads take one each, the longest first; what they
    find is the same with one. NumPy, SciPy and scikit-learn let others run while they compute.
    """
    methods = _methods(contest)
    if workers == 1 or contest.terms.model.structure.own_module:  # Opacus's hooks are not made for threads
        found = {key: method() for key, method in methods.items()}
    else:
        with ThreadPoolExecutor(workers) as pool:
            running = {key: pool.submit(method) for key, method in methods.items()}
            found = {key: future.result() for key, future in running.items()}
    # With one local step, the federation without privacy ends where all records in one place do (`federated_model`).
    return {"federated": found["pooled"], **found}


def shared_model_alone(contest: Contest) -> dict[str, Floats]:
    """Score the shared private model and nothing beside it, for those who asked for no comparison."""
    federation = contest.federation
    return {"federated_private": _predict(contest.terms, contest.weights, federation.heldout)}


def _methods(contest: Contest) -> dict[str, Callable[[], Floats]]:
    """Give the function that scores each method, the slowest first."""
    # Baselines are of the main effects: interactions are read from a release, and these make none.
    federation, terms = contest.federation, replace(contest.terms, model=contest.terms.model.main)
    layout, training, heldout = terms.contract.layout, federation.training, federation.heldout
    unordered = [feature.kind in UNORDERED for feature in terms.contract.features if feature.binned]

    def own_noise(round_number: int) -> Sequence[Keystream]:
        # Other noise than the federation's: alone and together must not share their luck.
        parts = [("alone", federation.seed, name, round_number) for name in federation.hospitals]
        return [Keystream(derive_key(*part)) for part in parts]

    memory = contest.memory_bytes
    kept = KeptBaselines(contest.store, federation, terms, memory).find_or_fit
    methods = {
        "pooled_boosting": lambda: kept(
            "pooled_boosting", lambda: pooled_boosting(training, heldout, unordered, federation.seed)
        ),
        "personalised": lambda: personalised(contest),
        "local": lambda: kept(
            "local", lambda: _predict_each(terms, alone_models(terms, layout, training, memory), heldout)
        ),
        "pooled": lambda: kept(
            "pooled", lambda: _predict(terms, pooled_model(terms, layout, training, memory), heldout)
        ),
        "local_private": lambda: _predict_each(
            terms, alone_private_models(terms, layout, training, own_noise, memory), heldout
        ),
        "federated_private": lambda: _predict(contest.terms, contest.weights, heldout),
    }
    if terms.training.local_steps > 1:
        methods["federated"] = lambda: kept(
            "federated", lambda: _predict(terms, federated_model(terms, layout, training, memory), heldout)
        )
    return methods


def personalised(contest: Contest) -> Floats:
    """Probabilities float64 [held-out events] of the shared private model with each hospital's own part.

    Fitted and chosen on training patients only.
    """
    federation, terms = contest.federation, contest.terms
    training, heldout = federation.training, federation.heldout
    layout = terms.contract.layout

    def logits(alone: AloneFits) -> Floats:
        kind, model, weights = contest.personal_kind, terms.model, contest.weights
        return personal_scores(kind, model, layout, weights, training, heldout, alone)

    kept = KeptBaselines(contest.store, federation, terms, contest.memory_bytes)
    return _probabilities(kept.with_alone_fits(logits))


def _predict(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    return predict_probabilities(terms.model, terms.contract.layout, weights, cohort)


def _predict_each(terms: Terms, weights: Floats, cohort: Cohort) -> Floats:
    """Predict each hospital's events with that hospital's own weights [hospitals, parameters]."""
    parts = [
        _predict(terms, weights[index], cohort.hospital(index)) for index in range(cohort.hospital_count)
    ]
    return np.concatenate(parts)


def _probabilities(logits: Floats) -> Floats:
    # exp overflows beyond 709, with a warning.
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))
