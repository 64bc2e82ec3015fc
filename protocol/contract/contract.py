"""The feature contract: which columns are read, and how each becomes features, from public knowledge only.

Hospital and server hold the same contract: it fixes the model's design (``Contract.layout``) and is named
by its fingerprint. ``docs/contract.md`` teaches the format.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from wardround.protocol.contract.arm import TrialArms
from wardround.protocol.contract.feature import Feature, with_other
from wardround.protocol.contract.layout import Coarse, Cross, Field, Layout
from wardround.protocol.contract.propensity import Propensity
from wardround.protocol.errors import ContractError
from wardround.protocol.text.canonical import canonical_number, fingerprint

TABLES = ("messages", "patients", "consents", "assessments", "arms")
CONSENT_COLUMNS = ("kind", "value", "granted_at", "withdrawn_at", "expires_at")
HOSPITAL_COLUMN = "hospital"


@dataclass(frozen=True, kw_only=True)
class Label:
    """The column that holds the outcome, and the texts that stand for 1 (engaged) and 0.

    set_aside: texts of events without an outcome (cancelled, rescheduled): never learned from or measured on; history
    knows them as messages whose outcome is not known. other: what texts of no list are: ``set_aside`` too, or
    ``refuse``: a fault that a person is told before a study. None: set aside, and a fault where they are many.
    expected_rate: share of messages that patients are expected to engage with, from public knowledge and never
    from the tables; None where nobody knows.
    """

    column: str
    engaged: tuple[str, ...]
    not_engaged: tuple[str, ...]
    set_aside: tuple[str, ...] = ()
    other: str | None = None
    expected_rate: float | None = None

    def to_mapping(self) -> dict[str, object]:
        """Plain data in the YAML format, without defaults."""
        words: dict[str, object] = {"engaged": list(self.engaged), "not_engaged": list(self.not_engaged)}
        if self.set_aside:
            words["set_aside"] = list(self.set_aside)
        if self.other is not None:
            words["other"] = self.other
        rate = {} if self.expected_rate is None else {"expected_rate": self.expected_rate}
        return {"column": self.column, **words, **rate}

    @property
    def words(self) -> tuple[str, ...]:
        """All texts that the contract knows: not engaged, engaged, set aside."""
        return (*self.not_engaged, *self.engaged, *self.set_aside)

    @property
    def expected_residual(self) -> float:
        """Residual of the rarer outcome under a model that knows the expected rate alone, in [0.5, 1).

        Where nobody knows the rate, that of one in five.
        """
        return 0.8 if self.expected_rate is None else max(self.expected_rate, 1 - self.expected_rate)


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Whether a patient needs an active consent for the purpose; basis says why, for the notice."""

    required: bool = True
    basis: str = ""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The messages' column with the topic, and the topics that need an opt-in of their own."""

    column: str
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A checked contract; build it with ``contract_from_mapping``, as ``wardround.read_contract`` does.

    patient names the identifier's column in all tables; hospital the column that splits a real table in
    a simulation. decided_at is an event's cut-off; from the day after outcome_at its outcome counts as
    known (both None: events without time). assessed_at dates the rows of the table assessments: an event sees the
    latest of an earlier day. features stand in the order of their names, so that the order
    of keys in a file changes nothing. events_per_patient is K. retention_days None keeps all events. arms: of a trial;
    all other events are then history alone. propensity: how events weigh in training; those without one are history
    alone.

    >>> import wardround
    >>> plain = {
    ...     "name": "visits", "version": 1, "purpose": "engagement", "patient": "id", "events_per_patient": 4,
    ...     "label": {"column": "came", "engaged": ["yes"], "not_engaged": ["no"]},
    ...     "features": {"age": {"kind": "numeric", "column": "age", "edges": [40, 65], "table": "patients"}},
    ... }
    >>> contract = wardround.read_contract(plain)
    >>> contract.features[0].labels
    ('under 40', '40 to under 65', '65 or more', 'missing')
    """

    name: str
    version: int
    purpose: str
    patient: str
    label: Label
    features: tuple[Feature, ...]
    events_per_patient: int
    hospital: str | None = None
    decided_at: str | None = None
    outcome_at: str | None = None
    assessed_at: str | None = None
    retention_days: int | None = None
    consent: Consent = Consent()
    topic: Topic | None = None
    unknown_patients: bool = True
    crosses: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    arms: TrialArms | None = None
    propensity: Propensity | None = None

    @cached_property
    def layout(self) -> Layout:
        """The model's design: features' bins, then those of crosses and of groups, then ranged values.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> wardround.read_contract(str(shipped)).layout.width > 100
        True
        """
        fields = {f.name: Field(f.name, f.labels) for f in self.features if f.binned}
        crosses = tuple(Cross(fields[first], fields[second]) for first, second in self.crosses)
        values = tuple(f.name for f in self.features if not f.binned)
        coarse = tuple(one for f in self.features for one in _groups(f, fields))
        return Layout(features=tuple(fields.values()), crosses=crosses, values=values, coarse=coarse)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical form, hex: the same on every machine and for every order of keys.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> len(wardround.read_contract(str(shipped)).fingerprint)
        64
        """
        return fingerprint(self.to_mapping())

    def columns(self, table: str) -> tuple[str, ...]:
        """Name the only columns ever read of one of ``TABLES``; none: not read.

        The hospital's column is not among them: only a simulation that splits a table asks for it.
        ContractError for another table.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> wardround.read_contract(str(shipped)).columns("patients")
        ()
        """
        used = [c for f in self.features if f.table == table for c in f.columns]
        if table == "messages":
            extra = (self.decided_at, self.outcome_at, self.label.column, self.topic and self.topic.column)
            drawn = [self.propensity.column] if self.propensity is not None else []
            used = [c for c in extra if c] + used + drawn
        elif table == "assessments":
            used = [c for c in (self.assessed_at,) if c] + used
        elif table == "consents":
            used = list(CONSENT_COLUMNS)
        elif table == "arms":
            used = list(self.arms.columns) if self.arms is not None else []
        elif table not in TABLES:
            raise ContractError(f"table={table}: must be one of {', '.join(TABLES)}")
        # Each column once, in a fixed order: two features may read the same one.
        return tuple(dict.fromkeys([self.patient, *used])) if used else ()

    @property
    def needs_consents(self) -> bool:
        """Whether nobody passes in full without the consents table: purpose, sensitive topic, or source.

        A consents table that is there is always read: an opt-out counts where no consent is needed.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> wardround.read_contract(str(shipped)).needs_consents
        False
        """
        sensitive = self.topic is not None and bool(self.topic.sensitive)
        return self.consent.required or sensitive or any(f.source for f in self.features)

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources (wearables, assessments) that need a patient's opt-in, in the order of their names.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> wardround.read_contract(str(shipped)).sources
        ()
        """
        return tuple(sorted({f.source for f in self.features if f.source}))

    def to_mapping(self) -> dict[str, object]:
        """Plain data in the YAML format, without defaults; ``contract_from_mapping`` is its inverse.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> contract = wardround.read_contract(str(shipped))
        >>> wardround.read_contract(contract.to_mapping()) == contract
        True
        """
        plain: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "purpose": self.purpose,
            "patient": self.patient,
            "label": self.label.to_mapping(),
            "events_per_patient": self.events_per_patient,
            "consent": {"required": self.consent.required, "basis": self.consent.basis},
            "unknown_patients": self.unknown_patients,
            "features": {feature.name: feature.to_mapping() for feature in self.features},
            "crosses": [list(pair) for pair in self.crosses],
            "groups": list(self.groups),
        }
        # Left out, not null: a new key written with its default would change every contract's fingerprint.
        for key in ("hospital", "decided_at", "outcome_at", "assessed_at"):
            if getattr(self, key) is not None:
                plain[key] = getattr(self, key)
        if self.retention_days is not None:
            plain["retention_days"] = canonical_number(self.retention_days)
        if self.topic is not None:
            plain["topic"] = {"column": self.topic.column, "sensitive": list(self.topic.sensitive)}
        if self.arms is not None:
            plain["arms"] = self.arms.to_mapping()
        if self.propensity is not None:
            plain["propensity"] = self.propensity.to_mapping()
        return plain


def _groups(feature: Feature, fields: Mapping[str, Field]) -> Iterator[Coarse]:
    """Give the groups of a hierarchical feature, level by level; what is deepest is the feature's own field."""
    if feature.tree is None:
        return
    for level in range(1, feature.tree.levels):
        labels = with_other(feature.tree.upto(level).labels)
        yield Coarse(feature.group_name(level), fields[feature.name], labels, feature.tree.bins_at(level))
