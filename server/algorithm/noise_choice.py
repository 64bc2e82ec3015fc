"""Which noise a study has where nobody chose, how much a cap on the unmasked ε asks for, and what each costs.

All of it follows from public quantities.
"""

import math
from dataclasses import replace

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.privacy.noise import LOCAL, SECURE
from wardround.protocol.secure_sum.thresholds import MOST_HOSPITALS_OF_SUM
from wardround.protocol.terms.cost import events
from wardround.protocol.terms.request import TABLES, UPDATE, RequestKind
from wardround.protocol.terms.secure_sum import SecureSumChoice, SecureSumSettings
from wardround.protocol.terms.settings import TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.aggregate import noise_gain
from wardround.server.algorithm.noise_schedule import scaled, with_equal_noise

LEAST_FOR_SECURE = 5
"""Hospitals from which secure sums are chosen: with fewer, one that is away is a void round, or ε rests on two."""


def chosen_noise(noise: str, hospitals: int, training: TrainingSettings, simulation: bool) -> str:
    """Resolve ``auto``: secure from five hospitals on, where their sum may be private as a whole; else local.

    A rule that looks at single releases (trimmed, median, one's own) and several local steps need local noise.
    """
    if noise != "auto":
        return noise
    fits = hospitals >= LEAST_FOR_SECURE and (simulation or hospitals <= MOST_HOSPITALS_OF_SUM)
    return SECURE.name if fits and _summable(training) else LOCAL.name


def with_cap(terms: Terms, cap: float) -> Terms:
    """Raise the noise of secure sums until a patient's ε stays within ``cap`` even if every mask failed."""
    sampled, steps = terms.training.sampling_rate, len(UPDATE.rounds(terms))
    needed = noise_multiplier_for(cap, terms.privacy.delta, sampled, steps)
    while (have := _of_one_share(terms, UPDATE)) < needed:
        if terms.round_noise_multipliers:
            terms = scaled(terms, max(needed / have, 1 + 1e-5) * (1 + 1e-5))
        else:
            terms = replace(terms, noise_multiplier=_raised(terms.noise_multiplier, needed / have))
    if terms.evaluation is None:
        return terms
    needed = noise_multiplier_for(cap, terms.privacy.delta, 1.0, len(terms.evaluation.rounds))
    while (have := _of_one_share(terms, TABLES)) < needed:
        sigma = _raised(terms.evaluation.noise_multiplier, needed / have)
        terms = replace(terms, evaluation=replace(terms.evaluation, noise_multiplier=sigma))
    return terms


def raised_by_cap(terms: Terms) -> bool:
    """Whether a training patient's ε is below the one asked for, since the cap on the unmasked ε raised the noise."""
    spare_slots = terms.secure_sum.spare_slots if terms.secure_sum else 0
    # Multipliers of rounds that differ are each rounded up, in the fifth digit.
    slack = 2e-4 if terms.round_noise_multipliers else 1e-9
    return with_equal_noise(terms).noise_multiplier > _multiplier(terms, spare_slots) * (1 + slack)


def noise_costs(terms: Terms, choice: SecureSumChoice) -> dict[str, float]:
    """Give the noise in a round's mean gradient by noise mode, as a multiple of that under one trusted server.

    Of the terms' own mode as it is; of the other as it would be composed for the same ε, where it is possible.
    choice: what secure sums a local study would have had, with the cap on its unmasked ε unless it is simulated.
    """
    # Both modes share their noise out alike: the ratio is that of equal noise, of one round as of all.
    terms = with_equal_noise(terms)
    counts = terms.training.public_patients.values()
    trusted = terms.privacy.clip_norm / (terms.training.sampling_rate * sum(counts))
    trusted *= _multiplier(terms, 0)
    modes = {LOCAL.name: _locally(terms), SECURE.name: _securely(terms, choice)}
    costs = {name: gradient_noise_stddev(one) / trusted for name, one in modes.items() if one is not None}
    return {**costs, terms.privacy.noise: gradient_noise_stddev(terms) / trusted}


def gradient_noise_stddev(terms: Terms, round_number: int = 1) -> float:
    """Standard deviation of the noise in one coordinate of a round's mean gradient (one local step)."""
    return terms.hospital_noise_stddev(round_number) * noise_gain(terms)


def mean_noise_stddev(terms: Terms) -> float:
    """Standard deviation of the noise in one coordinate of the mean of all rounds' gradients, each weighing alike."""
    rounds = terms.training.rounds
    if not terms.round_noise_multipliers:
        return gradient_noise_stddev(terms) / math.sqrt(rounds)
    return math.hypot(*(gradient_noise_stddev(terms, one) for one in range(1, rounds + 1))) / rounds


def _locally(terms: Terms) -> Terms:
    local = replace(terms.privacy, noise=LOCAL.name)
    return replace(terms, privacy=local, secure_sum=None, noise_multiplier=_multiplier(terms, 0))


def _securely(terms: Terms, choice: SecureSumChoice) -> Terms | None:
    if not _summable(terms.training):
        return None
    try:
        q = choice.thresholds(len(terms.hospitals))
    except ConfigurationError:
        # Too few hospitals, or thresholds that were chosen for others: a local study never needed them to fit.
        return None
    # A size alone matters for the grid, and members have no part in it: the terms are never signed.
    sums = SecureSumSettings(
        threshold=q.threshold,
        colluding=q.colluding,
        parameters=_parameters(terms),
        spare_slots=choice.spare_slots,
    )
    secure = replace(
        terms,
        privacy=replace(terms.privacy, noise=SECURE.name),
        secure_sum=sums,
        simulation=True,
        module_digest="",
        noise_multiplier=_multiplier(terms, choice.spare_slots),
    )
    # Of the study, not of its stand-in: hospitals refuse what real ones would pay if every mask failed.
    return secure if terms.simulation else with_cap(secure, choice.max_epsilon_unmasked)


def _parameters(terms: Terms) -> int:
    return terms.secure_sum.parameters if terms.secure_sum else terms.contract.layout.width


def _multiplier(terms: Terms, spare_slots: int) -> float:
    """Give σ for the terms' ε over their rounds and so many spare ones."""
    training, privacy = terms.training, terms.privacy
    steps = (training.rounds + spare_slots) * training.local_steps
    return noise_multiplier_for(privacy.epsilon, privacy.delta, training.sampling_rate, steps)


def _summable(training: TrainingSettings) -> bool:
    return training.aggregate == "sum" and training.local_steps == 1


def _of_one_share(terms: Terms, request: RequestKind) -> float:
    """Give the multiplier of one share alone; of rounds that differ, the equal one that costs as much."""
    alone = [
        (request.sum_noise_at(terms, event.noise_multiplier).shares.multiplier(1), event.count)
        for event in events(terms, request)
    ]
    if len(alone) == 1:
        return alone[0][0]
    return math.sqrt(sum(count for _, count in alone) / math.fsum(count / one**2 for one, count in alone))


def _raised(multiplier: float, factor: float) -> float:
    """Raise by a factor, and by a little: one share's multiplier is not quite in proportion."""
    return float(f"{multiplier * max(factor, 1 + 1e-5) * (1 + 1e-5):.6g}")
