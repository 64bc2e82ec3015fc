"""What a study could do, expected before it is proposed: from counted patients and public numbers alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.noise import AUTO
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.settings import BY_RULE, ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.contract_advice import drowned_fields
from wardround.server.algorithm.propose import check_delta, propose
from wardround.server.algorithm.table_weights import expected_auc_variance, release_weights
from wardround.server.evaluation.estimates import Estimate

EPSILONS = (0.5, 1.0, 3.0, 8.0)
"""For which a study is looked ahead to."""
_LEVEL = 0.95
_RATES = (0.005, 0.995)


@dataclass(frozen=True)
class StudyOutlook:
    """What a study of the default method could do at one ε of training, and of evaluation.

    auc_halfwidth: expected of the interval of its private AUC. fields: of the contract, drowned: those of whose effects
    noise hides more than half. why_not: empty where a study can work.
    """

    epsilon: float
    auc_halfwidth: float
    fields: int
    drowned: int
    why_not: str


def study_outlooks(terms: Terms, patients: Mapping[str, int], rate: Estimate) -> tuple[StudyOutlook, ...]:
    """Look ahead to a study with the contract, δ and noise mode of these terms, at each of ``EPSILONS``.

    patients: training patients by hospital. rate: of label 1; where noise hides it, the contract's own is taken.
    """
    contract = _with_rate(terms.contract, rate.value)
    return tuple(_outlook(terms, contract, patients, epsilon) for epsilon in EPSILONS)


def _with_rate(contract: Contract, rate: float) -> Contract:
    if not math.isfinite(rate):
        return contract
    return replace(
        contract, label=replace(contract.label, expected_rate=min(max(rate, _RATES[0]), _RATES[1]))
    )


def _outlook(terms: Terms, contract: Contract, patients: Mapping[str, int], epsilon: float) -> StudyOutlook:
    try:
        planned = _planned(terms, contract, patients, epsilon)
        fields = drowned_fields(planned)
    except ConfigurationError as error:
        return StudyOutlook(epsilon, math.nan, 0, 0, str(error))
    stddev = math.sqrt(expected_auc_variance(planned, release_weights(planned)))
    halfwidth = NormalDist().inv_cdf((1 + _LEVEL) / 2) * stddev
    drowned = sum(fields.values())
    return StudyOutlook(epsilon, halfwidth, len(fields), drowned, _why_not(halfwidth, len(fields), drowned))


def _planned(terms: Terms, contract: Contract, patients: Mapping[str, int], epsilon: float) -> Terms:
    """Compose the study that the defaults would make; it is never signed."""
    check_delta(terms.privacy.delta, max(patients.values()), terms.simulation)
    privacy = PrivacySettings(
        epsilon=epsilon,
        delta=terms.privacy.delta,
        clip_norm=BY_RULE,
        noise=terms.privacy.noise,
        schedule=AUTO,
    )
    return propose(
        study=terms.study,
        contract=contract,
        model=ModelSettings(),
        privacy=privacy,
        training=TrainingSettings(rounds=BY_RULE, optimizer=AUTO),
        public_patients=patients,
        # Hospitals of a simulation have no keys, and here nobody is asked.
        simulation=True,
        evaluation=EvaluationSettings(epsilon=epsilon),
    )


def _why_not(halfwidth: float, fields: int, drowned: int) -> str:
    most = ReleaseDecisionSettings().max_auc_halfwidth
    if halfwidth > most:
        return f"its AUC would be known to ±{halfwidth:.2g} only, and a release needs ±{most:g}"
    if 2 * drowned > fields:
        return f"noise would hide {drowned} of the contract's {fields} fields"
    return ""
