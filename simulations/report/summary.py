"""What a run found, as one frozen value, and the summary that other programs read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from wardround.client.cohort import Cohort
from wardround.protocol.arrays import Floats, Integers
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.privacy.noise import NoiseMode
from wardround.protocol.terms.limits import MAX_DELTA_TIMES_PATIENTS, delta_clause
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.assess import Assessment
from wardround.server.evaluation.measured import null_where_nan, summary_of
from wardround.simulations.measures import metrics
from wardround.simulations.measures.engagement import Engagement
from wardround.simulations.measures.one_thread import one_thread
from wardround.simulations.measures.paired import NoWorseOff, auc_difference, no_worse_off
from wardround.simulations.report.assessed import Exact, exact_of
from wardround.simulations.report.scores import METHOD_KEYS, MethodScores, score_methods

PROTECTS_NOBODY_WARNING = (
    "This run read a real table, and its folder protects nobody in the table: the noise came from a seed, other models "
    "were trained without noise, and counts and scores are exact. Do not share the folder or use its models."
)


@dataclass(frozen=True, kw_only=True)
class RoundRow:
    """One private federated round: seconds it took, patient ε spent so far, AUC on held-out patients.

    The AUC is read without noise, so it exists in simulations only; NaN where it was not looked at.
    """

    round: int
    seconds: float
    epsilon: float
    auc: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PrivacyFacts:
    """What privacy cost.

    events compose to the stated ε: every private step and every other release about training patients.
    evaluation_event is what held-out patients paid, on their own account, None for nothing.
    hospital_epsilon: float64 [hospitals], patient ε against whoever gets the model. epsilon_by_adversary: as
    ``protocol.privacy.accounting.epsilon_by_adversary`` gives it; colluding is its number of hospitals.
    independent_epsilon: a second accountant's, None where it was not asked.
    """

    mode: NoiseMode
    target_epsilon: float
    delta: float
    clip_norm: float
    accountant: str
    events: Sequence[PrivacyEvent]
    hospital_epsilon: Floats
    epsilon_by_adversary: Mapping[str, float]
    colluding: int = 0
    independent_epsilon: float | None = None
    evaluation_event: PrivacyEvent | None = None
    evaluation_epsilon: float = 0.0

    @property
    def patient_epsilon(self) -> float:
        """Largest patient ε over hospitals, against whoever gets the model."""
        return float(np.max(self.hospital_epsilon))


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """Everything that summary, files, table and report need; ``simulations.report.run_files.write_run`` takes it.

    settings: the composed study, plain data. weights: float64 [parameters], the shared private model.
    hospitals: names, in the order of the cohort's. training_patients: int64 [hospitals], admitted for
    training; training: those patients, where somebody asks for predictions about them. heldout: the held-out
    patients, all their events. probabilities: method → float64 [events] over
    ``heldout``; keys of ``METHOD_KEYS`` without ``best_possible``, a missing key was not run.
    true_probability: float64 [events] where the data is synthetic. seconds: keys data, train (the private
    rounds alone), total. gate: counts by reason of what the gate set aside (simulation only).
    public_patients: as the terms declare them. real_table: whether somebody stands in the table, and nobody is
    invented. how_read: per table of one's own, how its cells were read, in words. terms, assessment: what the model
    card is written from. outreach: how many engage by who chooses messages; None where nobody asked.
    weight_error: float64 [width, width], A of the effects' covariance A Aᵀ; None where the study's steps do not tell.
    why_additive: in a line, of a study that asked for interactions and has none; else empty.
    """

    study: str
    settings: Mapping[str, object]
    contract: Contract
    model: ModelSettings
    weights: Floats
    hospitals: Sequence[str]
    training_patients: Integers
    heldout: Cohort
    probabilities: Mapping[str, Floats]
    rounds: Sequence[RoundRow]
    privacy: PrivacyFacts
    seconds: Mapping[str, float]
    peak_rss_mb: float
    seed: int
    data_fingerprint: str
    terms_fingerprint: str = ""
    true_probability: Floats | None = None
    gate: Mapping[str, int] = field(default_factory=dict)
    public_patients: Mapping[str, int] = field(default_factory=dict)
    terms: Terms | None = None
    assessment: Assessment | None = None
    approved_by: tuple[str, ...] = ()
    real_table: bool = False
    how_read: Mapping[str, str] = field(default_factory=dict)
    training: Cohort | None = None
    outreach: Engagement | None = None
    weight_error: Floats | None = None
    why_additive: str = ""

    def __post_init__(self) -> None:
        """Check that the arrays belong together, so that no number is put beside the wrong name."""
        unknown = set(self.probabilities) - set(METHOD_KEYS[1:])
        if unknown:
            raise ConfigurationError(f"probabilities: unknown method {sorted(unknown)[0]}")
        for key, scores in self._all_probabilities().items():
            if scores.shape != (self.heldout.event_count,) or not np.isfinite(scores).all():
                raise ConfigurationError(f"probabilities.{key}: must be one finite number per held-out event")
        lengths = {len(self.hospitals), len(self.training_patients), len(self.privacy.hospital_epsilon)}
        if lengths != {self.heldout.hospital_count}:
            raise ConfigurationError(
                "results: hospitals, training_patients, hospital_epsilon differ in length"
            )

    def _all_probabilities(self) -> dict[str, Floats]:
        known = {} if self.true_probability is None else {"best_possible": self.true_probability}
        return {**known, **self.probabilities}

    @cached_property
    def scores(self) -> dict[str, MethodScores]:
        """Each method's scores on the held-out patients, computed once."""
        return score_methods(self.heldout, self._all_probabilities())

    @property
    def share_better_together(self) -> float:
        """Share of hospitals whose AUC is greater together, private, than alone, private; NaN if not run."""
        if not {"federated_private", "local_private"} <= set(self.scores):
            return math.nan
        together, alone = self.scores["federated_private"], self.scores["local_private"]
        return metrics.share_better(together.hospital_auc, alone.hospital_auc)

    @cached_property
    def exact(self) -> Exact | None:
        """What the private evaluation estimates, without noise; None where nothing was evaluated."""
        shared = self.probabilities.get("federated_private")
        if shared is None or self.assessment is None or self.assessment.released is None:
            return None
        threshold = self.assessment.released.group_report.threshold
        with one_thread("blas"):
            return exact_of(self.heldout, shared, self.contract, threshold)

    @cached_property
    def no_worse_off(self) -> NoWorseOff | None:
        """Whether any hospital would have been better off alone; None where one of the two was not run."""
        if not {"personalised", "local"} <= set(self.probabilities):
            return None
        found = auc_difference(self.heldout, self.probabilities["personalised"], self.probabilities["local"])
        patients = self.training_patients + np.diff(self.heldout.patients_from)
        return no_worse_off(found, self.hospitals, patients)

    @property
    def releasable(self) -> bool:
        """Whether the model may be used; True where nobody decided."""
        return self.assessment is None or self.assessment.release_decision.releasable

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must be told before any figure."""
        found = [PROTECTS_NOBODY_WARNING] if self.real_table else []
        clause = delta_clause(
            self.privacy.delta, max(self.public_patients.values(), default=0), MAX_DELTA_TIMES_PATIENTS
        )
        if not clause.holds:
            found.append(f"{clause.asked} of the largest hospital; a real study may have {clause.allowed}")
        return tuple(found)


def summarise(results: Results) -> dict[str, object]:
    """Plain data of summary.json: numbers, or None where one does not exist.

    patients counts training and held-out together. patient_epsilon is the largest over hospitals, against
    whoever gets the model. macro_auc leaves out macro_left_out hospitals, whose held-out patients have one
    class.
    """
    privacy = results.privacy
    training, heldout = int(results.training_patients.sum()), results.heldout.patient_count
    plain: dict[str, object] = {
        "study": results.study,
        "simulation": True,
        "warnings": list(results.warnings),
        "hospitals": len(results.hospitals),
        "patients": training + heldout,
        "training_patients": training,
        "heldout_patients": heldout,
        "heldout_events": results.heldout.event_count,
        "rounds": len(results.rounds),
        "noise": privacy.mode.name,
        "delta": privacy.delta,
        "target_epsilon": privacy.target_epsilon,
        "patient_epsilon": privacy.patient_epsilon,
        "epsilon_by_adversary": dict(privacy.epsilon_by_adversary),
        "independent_epsilon": privacy.independent_epsilon,
        **_by_method(results.scores),
        "share_better_together": results.share_better_together,
        "no_worse_off": None if results.no_worse_off is None else asdict(results.no_worse_off),
        "mechanism": {
            "clip_norm": privacy.clip_norm,
            "accountant": privacy.accountant,
            "events": [asdict(event) for event in privacy.events],
            "held_out_events": [asdict(privacy.evaluation_event)] if privacy.evaluation_event else [],
        },
        **_assessed(results),
        "outreach": None if results.outreach is None else _engaged(results.outreach),
        "model": {
            "kind": results.model.kind,
            "parameters": len(results.weights),
            "why_additive": results.why_additive,
        },
        "contract": {
            "name": results.contract.name,
            "version": results.contract.version,
            "fingerprint": results.contract.fingerprint,
        },
        "seed": results.seed,
        "gate": dict(results.gate),
        "seconds": dict(results.seconds),
        "peak_rss_mb": results.peak_rss_mb,
    }
    without_nan: dict[str, object] = null_where_nan(plain)
    return without_nan


def _assessed(results: Results) -> dict[str, object]:
    if results.assessment is None:
        return {}
    exact = results.exact
    if exact is None:
        return summary_of(results.assessment)
    return {**summary_of(results.assessment, exact.measures), "exact_groups": list(exact.groups)}


def _engaged(found: Engagement) -> dict[str, object]:
    """Engagement by group and policy, and gains over the best single message with their errors, in probability."""
    return {
        "moments": dict(found.counts),
        "engagement": {group: dict(values) for group, values in found.by.items()},
        "gain_errors": {group: dict(values) for group, values in found.gain_errors.items()},
        "changed": dict(found.changed),
        "share_of_oracle": {policy: found.share(policy) for policy in found.policies},
    }


def engagement_of(plain: Mapping[str, Any]) -> Engagement:
    """Read back what stands under ``outreach`` in a summary."""
    return Engagement(
        by=plain["engagement"],
        counts=plain["moments"],
        changed=plain["changed"],
        gain_errors=plain["gain_errors"],
    )


def _by_method(scores: Mapping[str, MethodScores]) -> dict[str, object]:
    """Each measure with one value per method; None for methods that were not run."""

    def of(name: str) -> dict[str, float | None]:
        return {key: getattr(scores[key], name) if key in scores else None for key in METHOD_KEYS}

    left_out = next((found.one_class for found in scores.values()), 0)
    calibration = {
        key: {
            "expected_error": scores[key].calibration.expected_error,
            "slope": scores[key].calibration.slope,
            "intercept": scores[key].calibration.intercept,
        }
        for key in scores
    }
    measures = ("auc", "macro_auc", "log_loss", "auc_known", "auc_unknown")
    return {**{name: of(name) for name in measures}, "macro_left_out": left_out, "calibration": calibration}
