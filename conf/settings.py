"""What shapes one run around its terms: data, personal part, carrier, report; and all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardround.protocol import plugins
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.structure import kinds_with
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import checked_name, is_line

DATA_NAMES = ("synthetic", "noshow", "heart", "table", "own")
PERSONALIZATION_KINDS = ("none", "mixture", "intercept_slope", "last_layer", "boosted")
FIGURE_FORMATS = ("svg", "png")
TRACKERS = ("mlflow",)
FEDERATION_KINDS = ("in_process", "messages", "flower")
OUTREACH_KINDS = ("none", "personalised")


MAPPED = ("columns", "values", "format", "patients", "consents", "assessments")
"""Settings of ``data=table`` that say how its tables are read, as a hospital's mapping does."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which tables. path is None for ``synthetic`` and ``own`` alone; contract is the YAML file of ``table``, ``own``.

    A program may give those a contract as a value instead (the group ``contract``); contract is then None. source
    names the plugin that gives the tables of ``own``.

    timezone is the hospitals' own, in which days begin; mapping holds what else says how ``table`` is read: columns,
    values, format, and its other tables by name (MAPPED), as in a hospital's mapping.

    population holds the sizes of a synthetic federation, keys of ``simulations.population.draw``'s settings,
    which check their ranges; empty for the others. Relative paths start where the command was started.
    """

    name: str
    path: Path | None = None
    contract: Path | None = None
    source: str = ""
    timezone: str = "UTC"
    mapping: Mapping[str, object] = field(default_factory=dict)
    population: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that each kind of data has what it reads."""
        require(self.name in DATA_NAMES, "data.name", self.name, f"must be one of {', '.join(DATA_NAMES)}")
        pathless, own = self.name in ("synthetic", "own"), self.name in ("table", "own")
        line = (
            f"must be left out for data={self.name}"
            if pathless
            else f"data={self.name} needs a path to its table"
        )
        require(pathless == (self.path is None), "data.path", self.path or "null", line)
        line = "belongs to data=table and data=own alone"
        require(own or self.contract is None, "data.contract", self.contract or "null", line)
        fits = plugins.is_path(self.source) if self.name == "own" else not self.source
        line = "must be a function's import path, as in mypackage.tables:read, and belongs to data=own alone"
        require(fits, "data.source", shown(self.source or None), line)


@dataclass(frozen=True, kw_only=True)
class PersonalizationSettings:
    """What each hospital fits for itself, on its training patients, once the shared model is frozen."""

    kind: str = "mixture"

    def __post_init__(self) -> None:
        """Check the kind."""
        plugins.check_known("personalization", self.kind, PERSONALIZATION_KINDS)


@dataclass(frozen=True, kw_only=True)
class FederationSettings:
    """What carries plans and releases: a function call, Flower's messages, or its engine on Ray.

    memory_mb bounds, in MiB, what one step may hold of the federation's design besides the patients
    themselves; less means that designs are built anew each round. workers: threads that compare methods; in a
    sweep, also processes that run a job each.
    cache: whether encoded patients, and baselines that ε does not touch, are kept on disk for the next run, below
    cache_dir (None: the user's cache folder), all entries together at most cache_mb MiB. masks: whether secure sums
    go through keys, shares and masks as in a real study; the figures are the same, bit for bit.
    """

    kind: str = "in_process"
    memory_mb: int = 2048
    workers: int = 2
    cache: bool = True
    cache_dir: Path | None = None
    cache_mb: int = 2048
    masks: bool = False

    def __post_init__(self) -> None:
        """Check kind and ranges."""
        line = "are for federation=in_process"
        require(self.kind == "in_process" or not self.masks, "federation.masks", self.masks, line)
        allowed = f"must be one of {', '.join(FEDERATION_KINDS)}"
        require(self.kind in FEDERATION_KINDS, "federation.kind", self.kind, allowed)
        in_range = 16 <= self.memory_mb <= 1 << 20
        require(in_range, "federation.memory_mb", self.memory_mb, "must be from 16 to 1048576")
        require(1 <= self.workers <= 256, "federation.workers", self.workers, "must be from 1 to 256")
        require(
            1 <= self.cache_mb <= 1 << 20, "federation.cache_mb", self.cache_mb, "must be from 1 to 1048576"
        )


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """compare: whether baselines and the personalised model stand beside the shared private one.

    progress: a live bar on the terminal. html: write ``report.html``.
    predictions: write ``predictions.parquet``, a row for each event of each patient; None: only where every
    patient is invented. figures: write each figure of the run to ``figures/``, in these formats (svg, png).
    trackers: experiment trackers that take the run's files once they are written (mlflow).
    """

    compare: bool = True
    progress: bool = True
    html: bool = True
    predictions: bool | None = None
    figures: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check formats and trackers."""
        for name in self.trackers:
            require(name in TRACKERS, "report.trackers", name, f"must be among {', '.join(TRACKERS)}")
        for kind in self.figures:
            allowed = f"must be among {', '.join(FIGURE_FORMATS)}"
            require(kind in FIGURE_FORMATS, "report.figures", kind, allowed)


@dataclass(frozen=True, kw_only=True)
class ReleaseDecisionSettings:
    """Who answers for the model, and until when it may be used without another look.

    days: from the day of release to ``usable_until``. min_auc: what the whole interval of the private AUC must lie
    above, 0 for no limit. max_auc_halfwidth: how long half of that interval may be at most, so that it says something.
    max_calibration_gap: how far from 0 the whole interval of mean predicted less observed share may reach, and half
    of it may be half as long; 1 is no limit for either. approved_by: who approved the study, for the model card.
    exception_by, exception_reason: a person's signature under limits that were not shown to hold.
    """

    days: int = 365
    min_auc: float = 0.5
    max_auc_halfwidth: float = 0.06
    max_calibration_gap: float = 0.1
    approved_by: tuple[str, ...] = ()
    exception_by: str = ""
    exception_reason: str = ""

    def __post_init__(self) -> None:
        """Check that texts are short lines, and that an exception has both a name and a reason."""
        require(1 <= self.days <= 3650, "release_decision.days", self.days, "must be from 1 to 3650")
        require(
            0 <= self.min_auc < 1,
            "release_decision.min_auc",
            self.min_auc,
            "must be from 0 (no limit) to below 1",
        )
        for key in ("max_auc_halfwidth", "max_calibration_gap"):
            most, line = getattr(self, key), "must be greater than 0 and at most 1 (1: no limit)"
            require(0 < most <= 1, f"release_decision.{key}", most, line)
        for text in (*self.approved_by, self.exception_by, self.exception_reason):
            require(
                not text.strip(" ") or is_line(text, 500),
                "release_decision",
                "…",
                "names and reasons must be one line of at most 500 visible characters",
            )
        person, reason = bool(self.exception_by.strip()), bool(self.exception_reason.strip())
        missing = "exception_reason" if person else "exception_by"
        require(
            person == reason,
            f"release_decision.{missing}",
            "''",
            "an exception needs a person's name and a reason",
        )


@dataclass(frozen=True, kw_only=True)
class SimulatedOutreachSettings:
    """Whether messages are chosen by the study's model and by others, and how many engage by the truth.

    patients: held-out patients that are looked at, at most.
    """

    kind: str = "none"
    patients: int = 2000

    def __post_init__(self) -> None:
        """Check kind and range."""
        allowed = f"must be one of {', '.join(OUTREACH_KINDS)}"
        require(self.kind in OUTREACH_KINDS, "outreach.kind", self.kind, allowed)
        in_range = 100 <= self.patients <= 1_000_000
        require(in_range, "outreach.patients", self.patients, "must be from 100 to 1000000")

    @property
    def wanted(self) -> bool:
        """Whether anything is measured."""
        return self.kind != "none"

    def check_data(self, name: object) -> None:
        """Refuse tables of which nobody knows what another message would have done; name: of the data."""
        line = f"belongs to data=synthetic alone, where the truth is known (here data={shown(name)})"
        require(not self.wanted or name == "synthetic", "outreach.kind", self.kind, line)


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Everything that one simulated study needs, composed and checked once.

    seed draws tables, split and noise: simulations only. output_dir is this run's own folder (in a sweep,
    this job's).
    """

    study: str
    seed: int
    output_dir: Path
    data: DataSettings
    contract: Contract
    model: ModelSettings
    privacy: PrivacySettings
    training: TrainingSettings
    personalization: PersonalizationSettings
    federation: FederationSettings
    report: ReportSettings
    secure_sum: SecureSumChoice = field(default_factory=SecureSumChoice)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    fairness: FairnessSettings = field(default_factory=FairnessSettings)
    release_decision: ReleaseDecisionSettings = field(default_factory=ReleaseDecisionSettings)
    outreach: SimulatedOutreachSettings = field(default_factory=SimulatedOutreachSettings)

    def __post_init__(self) -> None:
        """Check what no single group can check."""
        checked_name(self.study, "study")
        # From 2⁶³ on our own readers refuse a number: the run's config.yaml could not be read back.
        require(0 <= self.seed < 2**63, "seed", self.seed, "must be from 0 to 2**63 - 1")
        require(
            self.personalization.kind != "last_layer" or bool(self.model.hidden),
            "personalization.kind",
            self.personalization.kind,
            f"needs a model with hidden layers (model={kinds_with('hidden')})",
        )
        self.privacy.check_steps(self.training)
        check_mitigation(self.fairness, self.evaluation, self.model)
        self.outreach.check_data(self.data.name)
        fits = not self.outreach.wanted or self.model.structure.convex
        line = f"needs model={kinds_with('convex')}, whose gains have known errors (here model={self.model.kind})"
        require(fits, "outreach.kind", self.outreach.kind, line)
        self._check_carrier()

    def _check_carrier(self) -> None:
        """Ray's workers read the terms anew, and import nothing that terms name."""
        for role, name in (
            ("model", self.model.kind),
            ("aggregate", self.training.aggregate),
            ("optimizer", self.training.optimizer),
        ):
            plugin = plugins.find(role, name) is not None
            line = f"cannot carry a plugin ({plugins.ROLES[role]}={name}); use in_process or messages"
            require(self.federation.kind != "flower" or not plugin, "federation.kind", "flower", line)


def check_mitigation(
    fairness: FairnessSettings, evaluation: EvaluationSettings, model: ModelSettings
) -> None:
    """ConfigurationError where a mitigation has nothing to be chosen from, or nothing to fold into."""
    require(
        fairness.mitigation == "none" or (evaluation.enabled and model.structure.linear),
        "fairness.mitigation",
        fairness.mitigation,
        f"needs a private evaluation, and a model with effects per bin ({kinds_with('linear')})",
    )
