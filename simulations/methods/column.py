"""One column of the benchmark: one federation under one seed, read once, and every cell on it.

A cell is one method at one noise mode and ε; what it finds is plain data, measured on the held-out patients.
References without privacy are a cell of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from wardround.client.cohort import Cohort
from wardround.client.personal.personal_scores import USED_KIND
from wardround.conf.composed import compose_study
from wardround.conf.settings import StudySettings
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import predict_probabilities
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.rounds import reported_weights
from wardround.simulations.federation.federation import Federation, load_federation, through_gate
from wardround.simulations.federation.in_process import run
from wardround.simulations.measures import metrics
from wardround.simulations.measures.paired import auc_difference, no_worse_off
from wardround.simulations.methods.cases import UNBOUNDED, Case
from wardround.simulations.methods.compared import DEFAULT, ComparedMethod, registry
from wardround.simulations.methods.flamby import SPLIT_SEED, flamby_split
from wardround.simulations.methods.registry import attempt
from wardround.simulations.population.zoo import draw_zoo
from wardround.simulations.population.zoo_design import BY_NAME, ZooFederation
from wardround.simulations.population.zoo_fields import zoo_contract
from wardround.simulations.study.boosting import pooled_boosting
from wardround.simulations.study.comparison import UNORDERED, Contest, personalised
from wardround.simulations.study.descents import alone_models, pooled_model
from wardround.simulations.study.fine_columns import fine_columns, fine_contract
from wardround.simulations.study.study import answering, simulated_terms

REFERENCES = "references"


@dataclass(frozen=True)
class Cell:
    """One figure to find; noise and epsilon say nothing where the method is ``references``."""

    method: str
    noise: str = "none"
    epsilon: float = math.inf


def cells_of(
    methods: Sequence[ComparedMethod], noises: Sequence[str], epsilons: Sequence[float]
) -> list[Cell]:
    """Give all cells of one column, the references first."""
    grid = [Cell(m.name, n, e) for m in methods for n in noises if n in m.noises for e in epsilons]
    return [Cell(REFERENCES), *grid]


def settings_of(case: Case, seed: int, cell: Cell) -> StudySettings:
    """Give a cell's settings: the user's defaults, and what the case, the method and the grid ask for."""
    settings = replace(_composed(case, cell.method), seed=seed)
    if cell.method == REFERENCES:
        return settings
    epsilon = UNBOUNDED if math.isinf(cell.epsilon) else cell.epsilon
    return replace(settings, privacy=replace(settings.privacy, noise=cell.noise, epsilon=epsilon))


def _composed(case: Case, method: str) -> StudySettings:
    own = () if method == REFERENCES else registry()[method].overrides
    settings = _compose((*case.overrides, f"privacy.delta={case.delta}", *own))
    return replace(settings, contract=zoo_contract(BY_NAME[case.zoo])) if case.zoo else settings


@lru_cache(maxsize=256)
def _compose(overrides: tuple[str, ...]) -> StudySettings:
    return compose_study(*overrides, "report.progress=false")


@dataclass(frozen=True, eq=False)
class Column:
    """A federation under one seed; tables, gate and features are passed once."""

    case: Case
    seed: int

    @cached_property
    def federation(self) -> Federation:
        """Read or draw it, split by the seed."""
        federation = self._load(self._settings.contract)
        if self.case.split == "gate":
            return federation
        return flamby_split(federation, SPLIT_SEED if self.case.split == "flamby_43" else self.seed)

    @cached_property
    def _settings(self) -> StudySettings:
        return settings_of(self.case, self.seed, Cell(REFERENCES))

    def _load(self, contract: Contract) -> Federation:
        """Pass the case's tables through the gate by this contract."""
        if self.case.zoo:
            return _zoo_federation(BY_NAME[self.case.zoo], contract, self.seed)
        return load_federation(self._settings.data, contract, self.seed)

    def measure(self, cell: Cell, settings: StudySettings) -> dict[str, object]:
        """Run one cell. ConfigurationError where a method spent more than the cell's ε."""
        if cell.method == REFERENCES:
            return self._references(settings)
        if registry()[cell.method].challenger:
            return self._challenger(cell, settings)
        terms = simulated_terms(settings, self.federation)
        weights = reported_weights(run(terms, answering(self.federation, terms)))
        spent = compose_epsilon(training_events(terms), terms.privacy.delta)
        found = self._spent(cell, settings.privacy, spent)
        found |= measures(self.federation.heldout, self._predict(terms, weights))
        found["training"] = {**asdict(terms.training), "public_patients": None}
        if cell.method == DEFAULT and cell.epsilon in self.case.personal:
            contest = Contest(self.federation, terms, weights, USED_KIND)
            found["personal"] = self._personal(terms, personalised(contest))
        return found

    def _challenger(self, cell: Cell, settings: StudySettings) -> dict[str, object]:
        found = attempt(cell.method, self.federation, settings.privacy, self.seed)
        spent = found.epsilon(settings.privacy.delta)
        # exp overflows beyond 709, with a warning.
        probabilities = np.asarray(1 / (1 + np.exp(-np.clip(found.logits, -500, 500))))
        return {
            **self._spent(cell, settings.privacy, spent),
            **measures(self.federation.heldout, probabilities),
        }

    def _spent(self, cell: Cell, privacy: PrivacySettings, spent: float) -> dict[str, object]:
        # The noise was found for this very ε: composed anew, its last digits may differ. Not `>`: NaN is refused, too.
        if not spent <= privacy.epsilon * (1 + 1e-9):
            raise ConfigurationError(f"{cell.method}: spent ε = {spent}, above the asked {privacy.epsilon}")
        return {"verified_epsilon": spent}

    def _references(self, settings: StudySettings) -> dict[str, object]:
        """Measure what sees the records without privacy; ``best_possible`` where the truth is known."""
        federation, terms = self.federation, self._plain_terms
        heldout = federation.heldout
        unordered = [f.kind in UNORDERED for f in settings.contract.features if f.binned]
        fine = self._load(fine_contract(settings.contract))
        raw = (fine_columns(federation.training, fine), fine_columns(heldout, fine))
        del fine  # as large as the federation itself
        boosted = pooled_boosting(federation.training, heldout, unordered, self.seed, raw)
        pooled = self._predict(terms, pooled_model(terms, terms.contract.layout, federation.training))
        found: dict[str, object] = {
            "pooled_boosting": measures(heldout, boosted),
            "pooled": measures(heldout, pooled),
            "alone": measures(heldout, self._alone),
        }
        if federation.true_probability is not None:
            found["best_possible"] = measures(heldout, federation.true_probability)
        return found

    @cached_property
    def _plain_terms(self) -> Terms:
        return simulated_terms(settings_of(self.case, self.seed, Cell(REFERENCES)), self.federation)

    @cached_property
    def _alone(self) -> Floats:
        """Each hospital's own model without privacy, on its own held-out events."""
        terms, federation = self._plain_terms, self.federation
        weights = alone_models(terms, terms.contract.layout, federation.training)
        parts = [
            self._predict(terms, own, federation.heldout.hospital(index)) for index, own in enumerate(weights)
        ]
        return np.concatenate(parts)

    def _personal(self, terms: Terms, probabilities: Floats) -> dict[str, object]:
        federation = self.federation
        heldout = federation.heldout
        patients = federation.training_patients + np.diff(heldout.patients_from)
        against = auc_difference(heldout, probabilities, self._alone)
        counted = no_worse_off(against, federation.hospitals, patients)
        return {
            **measures(heldout, probabilities),
            "no_worse_share": counted.share,
            "hospitals": counted.hospitals,
            "exceptions": list(counted.exceptions),
        }

    def _predict(self, terms: Terms, weights: Floats, cohort: Cohort | None = None) -> Floats:
        asked = self.federation.heldout if cohort is None else cohort
        return predict_probabilities(terms.model, terms.contract.layout, weights, asked)


def _zoo_federation(drawn_by: ZooFederation, contract: Contract, seed: int) -> Federation:
    drawn = draw_zoo(drawn_by, seed)
    return through_gate(
        drawn.tables, contract, drawn.hospitals, seed, drawn.as_of, {}, drawn.true_probability
    )


def measures(heldout: Cohort, probabilities: Floats) -> dict[str, float]:
    """AUC, its mean over hospitals, log-loss, and accuracy at 0.5 as the mean over hospitals with patients."""
    hospital = heldout.hospital_of_patient[heldout.patient_of_event]
    by_hospital = metrics.auc_by_segment(heldout.labels, probabilities, hospital, heldout.hospital_count)
    events = np.bincount(hospital, minlength=heldout.hospital_count)
    right = (probabilities > 0.5) == (heldout.labels > 0.5)
    filled = events > 0
    accuracy = np.bincount(hospital, right, minlength=heldout.hospital_count)[filled] / events[filled]
    return {
        "auc": metrics.auc(heldout.labels, probabilities),
        "macro_auc": metrics.macro_auc(by_hospital)[0],
        "log_loss": metrics.log_loss(heldout.labels, probabilities),
        "accuracy": float(accuracy.mean()),
    }
