"""What an operator asks without training, from ``conf/feasibility.yaml`` or ``conf/uplift.yaml``, checked once."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wardround.conf.compose import group_of, privacy_settings, refuse_unknown, secure_sum_choice, typed
from wardround.conf.proposal import Proposal, contract_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.query import NO_TRAINING, QuerySettings
from wardround.protocol.terms.settings import ModelSettings

KEYS = (
    "contract", "contract_file", "hospitals", "privacy", "secure_sum", "valid_days", "reply_delay_seconds",
    "simulation",
)  # fmt: skip
_PRIVACY = ("epsilon", "delta", "noise")


def query_proposal(plain: Mapping[str, object], *, kind: str, study: str, key: Path, out: Path) -> Proposal:
    """Check a composed query and freeze it; ConfigurationError or ContractError, one line."""
    refuse_unknown(plain, KEYS, "")
    privacy = group_of(plain, "privacy")
    refuse_unknown(privacy, _PRIVACY, "privacy.")
    if plain.get("hospitals") is None:
        raise ConfigurationError("hospitals: is missing; name every hospital, as in {north: 1000}")
    hospitals = typed(plain["hospitals"], Mapping[str, int], "hospitals")
    return Proposal(
        study=study,
        contract=contract_of(plain),
        model=ModelSettings(),
        privacy=privacy_settings(privacy),
        secure_sum=secure_sum_choice(plain),
        training=replace(NO_TRAINING, public_patients=hospitals),
        valid_days=typed(plain["valid_days"], int, "valid_days"),
        reply_delay_seconds=typed(plain["reply_delay_seconds"], float, "reply_delay_seconds"),
        simulation=typed(plain["simulation"], bool, "simulation"),
        key=key,
        out=out,
        query=QuerySettings(kind=kind),
    )
