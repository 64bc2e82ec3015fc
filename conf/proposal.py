"""What an operator proposes, composed from the groups of ``conf/serve.yaml`` and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wardround.conf.compose import (
    build,
    group_of,
    model_settings,
    privacy_settings,
    read_contract,
    refuse_unknown,
    secure_sum_choice,
    training_settings,
    typed,
)
from wardround.conf.settings import ReleaseDecisionSettings, check_mitigation
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import require
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings
from wardround.protocol.terms.query import QuerySettings
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import LONGEST_REPLY_DELAY_SECONDS

KEYS = (
    "contract", "contract_file", "model", "privacy", "secure_sum", "training", "evaluation", "fairness",
    "release_decision", "valid_days", "reply_delay_seconds", "simulation",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A study before its noise is found and its terms are signed. key, out: the files of both.

    query: what is asked where no model is trained; model, training and evaluation are then unread.
    """

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
    secure_sum: SecureSumChoice = field(default_factory=SecureSumChoice)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    fairness: FairnessSettings = field(default_factory=FairnessSettings)
    release_decision: ReleaseDecisionSettings = field(default_factory=ReleaseDecisionSettings)
    query: QuerySettings | None = None

    def __post_init__(self) -> None:
        """Check ranges, and that a real study declares its hospitals."""
        require(1 <= self.valid_days <= 3660, "valid_days", self.valid_days, "must be from 1 to 3660")
        delay = self.reply_delay_seconds
        most = LONGEST_REPLY_DELAY_SECONDS
        require(0 <= delay <= most, "reply_delay_seconds", delay, f"must be from 0 to {most:g}")
        require(
            bool(self.training.public_patients),
            "training.public_patients",
            "null",
            "must name every hospital with its declared training patients, as in {north: 1200}",
        )
        require(
            not self.release_decision.exception_by,
            "release_decision.exception_by",
            "…",
            "is signed for limits that were measured: wardround-serve approve, after the study has ended",
        )
        check_mitigation(self.fairness, self.evaluation, self.model)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a study is run. home: the operator's folder. proposal: None where the study's terms exist already.

    round_seconds: a round's deadline. quorum: the share of the planned hospitals that must have answered by
    then, else the same round is asked again. wait_seconds: how long that goes on, or an absent server is
    waited for. now: the time from which new terms are valid. release_decision: who answers for the model;
    a study keeps what it was begun with.
    """

    study: str
    home: Path
    round_seconds: float
    quorum: float
    wait_seconds: float
    now: datetime
    proposal: Proposal | None = None
    release_decision: ReleaseDecisionSettings | None = None

    def __post_init__(self) -> None:
        """Check that every wait ends, and that a round needs at least somebody."""
        for key in ("round_seconds", "wait_seconds"):
            value = getattr(self, key)
            flag = f"--{key.replace('_', '-')}"
            require(0 < value <= 30 * 86_400, flag, value, "must be greater than 0 and at most 30 days")
        require(0 < self.quorum <= 1, "--quorum", self.quorum, "must be greater than 0 and at most 1")


def proposal(plain: Mapping[str, object], *, study: str, key: Path, out: Path) -> Proposal:
    """Check a composed configuration and freeze it; ConfigurationError or ContractError, one line."""
    refuse_unknown(plain, KEYS, "")
    contract = contract_of(plain)
    return Proposal(
        study=study,
        contract=contract,
        model=model_settings(group_of(plain, "model")),
        privacy=privacy_settings(group_of(plain, "privacy")),
        secure_sum=secure_sum_choice(plain),
        training=training_settings(group_of(plain, "training")),
        evaluation=build(EvaluationSettings, group_of(plain, "evaluation"), "evaluation"),
        fairness=build(FairnessSettings, group_of(plain, "fairness"), "fairness"),
        release_decision=build(
            ReleaseDecisionSettings, group_of(plain, "release_decision"), "release_decision"
        ),
        valid_days=typed(plain["valid_days"], int, "valid_days"),
        reply_delay_seconds=typed(plain["reply_delay_seconds"], float, "reply_delay_seconds"),
        simulation=typed(plain["simulation"], bool, "simulation"),
        key=key,
        out=out,
    )


def contract_of(plain: Mapping[str, object]) -> Contract:
    """Read the contract that the settings choose."""
    if plain.get("contract_file") is not None:
        return read_contract(typed(plain["contract_file"], Path, "contract_file"), "contract_file")
    return contract_from_mapping(group_of(plain, "contract"))
