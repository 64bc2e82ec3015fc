"""Settings of ``wardround-simulate audit``: a study as ``wardround-simulate`` composes it, and how it is attacked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.conf.compose import build, study_settings
from wardround.conf.settings import StudySettings
from wardround.protocol.errors import ConfigurationError, require

MUTATION_CHOICES = ("none", "all")


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """How a study is attacked.

    runs: how often each release is made with the canary, and how often without. confidence: of lower bounds and of
    intervals. others: patients beside the canary at each hospital. canaries: how many there are in an audit by one
    run, 0 for none. models: how many are trained, with privacy and without, to infer who took part. mutations: whether
    the code is broken, too.
    """

    runs: int = 4000
    confidence: float = 0.95
    others: int = 4
    canaries: int = 4000
    models: int = 12
    mutations: str = "none"

    def __post_init__(self) -> None:
        """Check ranges."""
        require(100 <= self.runs <= 10**6, "audit.runs", self.runs, "must be from 100 to 1000000")
        line = "must be at least 0.5 and below 1"
        require(0.5 <= self.confidence < 1, "audit.confidence", self.confidence, line)
        require(0 <= self.others <= 1000, "audit.others", self.others, "must be from 0 to 1000")
        line = "must be 0, or from 100 to 100000"
        require(self.canaries == 0 or 100 <= self.canaries <= 10**5, "audit.canaries", self.canaries, line)
        line = "must be 0, or from 2 to 1000"
        require(self.models == 0 or 2 <= self.models <= 1000, "audit.models", self.models, line)
        line = f"must be one of {', '.join(MUTATION_CHOICES)}"
        require(self.mutations in MUTATION_CHOICES, "audit.mutations", self.mutations, line)


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """One audit: the study, and the attack on it."""

    study: StudySettings
    attack: AttackSettings

    def __post_init__(self) -> None:
        """Check that the study is of the kind that the attack knows."""
        model = self.study.model
        line = "the audit's canary is known for the models that ship alone"
        require(not model.structure.own_module, "model.kind", model.kind, line)


def audit_settings(plain: Mapping[str, object], output_dir: Path | None = None) -> AuditSettings:
    """Check a composed audit and freeze it; output_dir and errors as ``study_settings``'s."""
    section = plain.get("audit")
    if not isinstance(section, Mapping):
        raise ConfigurationError("audit: must be a group of settings, as in audit.runs=4000")
    study = {key: value for key, value in plain.items() if key != "audit"}
    return AuditSettings(
        study=study_settings(study, output_dir), attack=build(AttackSettings, section, "audit")
    )
