"""What an operator proposes, composed from the groups of ``conf/serve.yaml`` and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conf.compose import build, read_contract, refuse_unknown, typed
from protocol.contract import Contract, contract_from_mapping
from protocol.errors import ConfigurationError, require
from protocol.settings import ModelSettings, PrivacySettings, TrainingSettings

KEYS = (
    "study", "contract", "contract_file", "model", "privacy", "training",
    "valid_days", "reply_delay_seconds", "simulation", "key", "out",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A study before its noise is found and its terms are signed. key, out: the files of both."""

    study: str
    contract: Contract
    model: ModelSettings
    privacy: PrivacySettings
    training: TrainingSettings
    valid_days: int
    reply_delay_seconds: float
    simulation: bool
    key: Path
    out: Path

    def __post_init__(self) -> None:
        """Check ranges, and that a real study declares its hospitals."""
        require(1 <= self.valid_days <= 3660, "valid_days", self.valid_days, "must be from 1 to 3660")
        delay = self.reply_delay_seconds
        require(0 <= delay <= 86_400, "reply_delay_seconds", delay, "must be from 0 to 86400")
        require(
            bool(self.training.public_patients),
            "training.public_patients",
            "null",
            "must name every hospital with its declared training patients, as in {north: 1200}",
        )


def proposal(plain: Mapping[str, object], output_dir: Path | None = None) -> Proposal:
    """Check a composed configuration and freeze it; ConfigurationError or ContractError, one line."""
    refuse_unknown(plain, KEYS, "")
    for key in ("study", "key", "out"):
        if plain.get(key) is None:
            raise ConfigurationError(f"{key}: is missing; say {key}=…")
    return Proposal(
        study=typed(plain["study"], str, "study"),
        contract=_contract(plain),
        model=build(ModelSettings, _group(plain, "model"), "model"),
        privacy=build(PrivacySettings, _group(plain, "privacy"), "privacy"),
        training=build(TrainingSettings, _group(plain, "training"), "training"),
        valid_days=typed(plain["valid_days"], int, "valid_days"),
        reply_delay_seconds=typed(plain["reply_delay_seconds"], float, "reply_delay_seconds"),
        simulation=typed(plain["simulation"], bool, "simulation"),
        key=typed(plain["key"], Path, "key"),
        out=typed(plain["out"], Path, "out"),
    )


def _contract(plain: Mapping[str, object]) -> Contract:
    if plain.get("contract_file") is not None:
        return read_contract(typed(plain["contract_file"], Path, "contract_file"), "contract_file")
    return contract_from_mapping(_group(plain, "contract"))


def _group(plain: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = plain.get(key)
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{key}={value}: must be a group of settings (choose one: {key}=OPTION)")
    return value
