"""Terms read from plain data, as somebody signed them: the inverse of ``terms_to_mapping``."""

from collections.abc import Mapping
from typing import Any

from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings
from wardround.protocol.terms.query import QuerySettings
from wardround.protocol.terms.request import TABLES, UPDATE
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.bounds import CLIP_NORMS, DELTAS, NOISE_MULTIPLIERS, SAMPLING_RATES


def terms_from_mapping(plain: Mapping[str, object]) -> Terms:
    """Read terms from plain data; anything that does not fit is one ConfigurationError."""
    try:
        fields: dict[str, Any] = dict(plain)
        model = dict(fields.pop("model"))
        model["hidden"] = tuple(model.get("hidden", ()))
        evaluation = fields.pop("evaluation", None)
        secure_sum = fields.pop("secure_sum", None)
        query = fields.pop("query", None)
        # As for `rounds` below: 2 becomes 2.0 here, and the canonical form then shows it.
        each = tuple(float(one) for one in fields.pop("round_noise_multipliers", ()))
        return Terms(
            contract=contract_from_mapping(fields.pop("contract")),
            model=ModelSettings(**model),
            privacy=PrivacySettings(**fields.pop("privacy")),
            training=TrainingSettings(**fields.pop("training")),
            fairness=FairnessSettings(**fields.pop("fairness", {})),
            evaluation=None if evaluation is None else _evaluation(evaluation),
            secure_sum=None if secure_sum is None else _secure_sum(secure_sum),
            query=None if query is None else QuerySettings(**query),
            round_noise_multipliers=each,
            **fields,
        )
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise ConfigurationError(f"terms: not of the expected form ({type(error).__name__})") from error


def _evaluation(plain: Mapping[str, Any]) -> EvaluationSettings:
    # 2.5 becomes 2 here; in signed terms the canonical form, written anew, then shows it (`signed_terms`).
    rounds = tuple(int(number) for number in plain["rounds"])
    return EvaluationSettings(**{**plain, "rounds": rounds})


def _secure_sum(plain: Mapping[str, Any]) -> SecureSumSettings:
    members = dict(plain["members"])
    # As for `rounds` above: what is not of its type becomes so, and the canonical form then shows it.
    keys = {str(hospital): str(key) for hospital, key in members.items()}
    counts = {name: int(value) for name, value in plain.items() if name != "members"}
    return SecureSumSettings(**counts, members=keys)


def require_countable(terms: Terms) -> None:
    """Refuse numbers at which accounting, noise or the ledger would crash before any clause could refuse."""
    bounded = [
        ("noise_multiplier", terms.noise_multiplier, NOISE_MULTIPLIERS),
        ("training.sampling_rate", terms.training.sampling_rate, SAMPLING_RATES),
        ("privacy.clip_norm", terms.privacy.clip_norm, CLIP_NORMS),
        ("privacy.delta", terms.privacy.delta, DELTAS),
        *(("round_noise_multipliers", one, NOISE_MULTIPLIERS) for one in terms.round_noise_multipliers),
    ]
    if terms.evaluation is not None:
        noise = terms.evaluation.noise_multiplier
        bounded.append(("evaluation.noise_multiplier", noise, NOISE_MULTIPLIERS))
    for key, value, (least, most) in bounded:
        require(least <= value <= most, key, value, f"must be from {least:g} to {most:g} in terms")
    if terms.secure_sum is not None:
        _require_sums(terms)


def _require_sums(terms: Terms) -> None:
    """Refuse terms of whose sums one has no grid: to hospitals that would be a fault, and to the operator silence."""
    # The loudest has the most units of noise, and the quietest is what all clauses are asked about.
    for multiplier in {terms.noise_multiplier, max(terms.round_noise_multipliers, default=0.0)} - {0.0}:
        UPDATE.sum_noise_at(terms, multiplier)
    if terms.evaluation is not None:
        TABLES.sum_noise_at(terms, terms.evaluation.noise_multiplier)
