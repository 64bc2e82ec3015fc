"""The feature contract: which columns are read, and how each becomes features, from public knowledge only.

Hospital and server hold the same contract: it fixes the model's design (``Contract.layout``) and is named
by its fingerprint. ``docs/contract.md`` teaches the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from wardround.protocol.contract.feature import Feature, feature_from_section
from wardround.protocol.contract.layout import Cross, Field, Layout
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.text.bounds import MOST_CROSSES, MOST_FEATURES, WIDEST_DESIGN
from wardround.protocol.text.canonical import canonical_number, comparable, fingerprint
from wardround.protocol.text.section import Section, shown

TABLES = ("messages", "patients", "consents", "assessments")
CONSENT_COLUMNS = ("kind", "value", "granted_at", "withdrawn_at", "expires_at")
HOSPITAL_COLUMN = "hospital"
LONGEST_BASIS = 1000  # characters; a sentence or three


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
    of keys in a file changes nothing. events_per_patient is K. retention_days None keeps all events.

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

    @cached_property
    def layout(self) -> Layout:
        """The model's design: features' bins, then crosses' bins, then ranged values.

        >>> import importlib.resources, wardround
        >>> shipped = importlib.resources.files("wardround.conf") / "contract" / "noshow.yaml"
        >>> wardround.read_contract(str(shipped)).layout.width > 100
        True
        """
        fields = {f.name: Field(f.name, f.labels) for f in self.features if f.binned}
        crosses = tuple(Cross(fields[first], fields[second]) for first, second in self.crosses)
        values = tuple(f.name for f in self.features if not f.binned)
        return Layout(features=tuple(fields.values()), crosses=crosses, values=values)

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
            used = [c for c in extra if c] + used
        elif table == "assessments":
            used = [c for c in (self.assessed_at,) if c] + used
        elif table == "consents":
            used = list(CONSENT_COLUMNS)
        elif table not in TABLES:
            raise ContractError(f"table={table}: must be one of {', '.join(TABLES)}")
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
        for key in ("hospital", "decided_at", "outcome_at", "assessed_at"):
            if getattr(self, key) is not None:
                plain[key] = getattr(self, key)
        if self.retention_days is not None:
            plain["retention_days"] = canonical_number(self.retention_days)
        if self.topic is not None:
            plain["topic"] = {"column": self.topic.column, "sensitive": list(self.topic.sensitive)}
        return plain


def contract_from_mapping(plain: Mapping[str, object]) -> Contract:
    """Read and check a contract.

    Raises ConfigurationError (unknown key, wrong type, out of range) or ContractError (it contradicts
    itself), each one line that names the key, the value and what is allowed.
    """
    section = Section(plain, "contract")
    contract = Contract(
        name=section.name("name"),
        version=section.integer("version", 1, 10**6),
        purpose=section.text("purpose"),
        patient=section.text("patient"),
        hospital=section.optional_text("hospital"),
        decided_at=section.optional_text("decided_at"),
        outcome_at=section.optional_text("outcome_at"),
        assessed_at=section.optional_text("assessed_at"),
        label=_label(section.section("label")),
        events_per_patient=section.integer("events_per_patient", 1, 10_000, note="K"),
        retention_days=_retention_days(section),
        consent=_consent(section.section("consent", {})),
        topic=_topic(section),
        unknown_patients=section.boolean("unknown_patients", True),
        features=_features(section.section("features")),
        crosses=_crosses(section),
        groups=section.texts("groups", ()),
    )
    section.finish()
    _check_times(contract)
    _check_histories(contract)
    _check_assessments(contract)
    _check_columns(contract)
    _check_crosses_and_groups(contract)
    return contract


def _expected_rate(section: Section) -> float | None:
    rate = section.value("expected_rate", None)
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        raise section.fail("expected_rate", "must be a share between 0 and 1, or left out")
    return float(rate)


def _label(section: Section) -> Label:
    column = section.text("column")
    engaged, not_engaged = section.texts("engaged"), section.texts("not_engaged")
    label = Label(
        column=column,
        engaged=engaged,
        not_engaged=not_engaged,
        set_aside=section.texts("set_aside", ()),
        other=section.choice("other", ("set_aside", "refuse")) if section.has("other") else None,
        expected_rate=_expected_rate(section),
    )
    section.finish()
    for key, words in (("engaged", label.engaged), ("not_engaged", label.not_engaged)):
        if not words:
            raise section.fail(key, "must name at least one value")
    lists = {"engaged": engaged, "not_engaged": not_engaged, "set_aside": label.set_aside}
    for (first, words), (second, others) in combinations(lists.items(), 2):
        both = {comparable(word) for word in words} & {comparable(word) for word in others}
        if both:
            raise ContractError(f"contract.label: {sorted(map(str, both))[0]} is both {first} and {second}")
    return label


def _consent(section: Section) -> Consent:
    basis = section.text("basis", "", most=LONGEST_BASIS)
    consent = Consent(required=section.boolean("required", True), basis=basis)
    section.finish()
    return consent


def _retention_days(section: Section) -> int | None:
    if section.value("retention_days", None) is None:
        return None
    return section.integer("retention_days", 1, 36_500)


def _topic(contract: Section) -> Topic | None:
    if contract.value("topic", None) is None:
        return None
    section = contract.section("topic")
    topic = Topic(column=section.text("column"), sensitive=tuple(sorted(section.texts("sensitive", ()))))
    section.finish()
    return topic


def _features(section: Section) -> tuple[Feature, ...]:
    names = sorted(section.keys())
    if not names:
        raise ConfigurationError(f"{section.path}: must name at least one feature")
    if len(names) > MOST_FEATURES:
        raise ConfigurationError(f"{section.path}: {len(names)} features, must be at most {MOST_FEATURES}")
    return tuple(feature_from_section(name, section.section(name)) for name in names)


def _crosses(section: Section) -> tuple[tuple[str, str], ...]:
    pairs = section.value("crosses", ())
    if not isinstance(pairs, (list, tuple)):
        raise section.fail("crosses", "must be a list of pairs of features")
    if len(pairs) > MOST_CROSSES:
        raise ConfigurationError(
            f"{section.path}.crosses: {len(pairs)} pairs, must be at most {MOST_CROSSES}"
        )
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(isinstance(n, str) for n in pair):
            raise section.fail("crosses", "each must be a pair of features, as in [lead, age]")
    return tuple((first.strip(), second.strip()) for first, second in pairs)


def _check_times(contract: Contract) -> None:
    if (contract.decided_at is None) != (contract.outcome_at is None):
        raise ContractError("contract.decided_at and contract.outcome_at: give both, or neither")
    if contract.decided_at is not None:
        return
    for feature in contract.features:
        if feature.kind == "history":
            where = f"contract.features.{feature.name}"
            raise ContractError(f"{where}: kind=history needs decided_at and outcome_at")
    for key, holds in (
        ("retention_days", contract.retention_days is None),
        ("unknown_patients", contract.unknown_patients),
    ):
        if not holds:
            value = str(getattr(contract, key)).lower()
            raise ContractError(f"contract.{key}={value}: needs decided_at and outcome_at")


def _check_histories(contract: Contract) -> None:
    """A history by a feature groups the patient's events by what each message was, so it needs words of messages."""
    words = {f.name for f in contract.features if f.kind == "categorical" and f.table == "messages"}
    for feature in contract.features:
        if feature.by is not None and feature.by not in words:
            known = ", ".join(sorted(words)) or "none yet"
            raise ContractError(
                f"contract.features.{feature.name}.by={shown(feature.by)}: must be a categorical feature of the "
                f"messages ({known})"
            )


def _check_assessments(contract: Contract) -> None:
    """An assessment counts from the day after it was answered, and only with the patient's opt-in to its source."""
    assessed = [f for f in contract.features if f.table == "assessments"]
    if bool(assessed) != (contract.assessed_at is not None):
        raise ContractError(
            "contract.assessed_at: give it together with features of the table assessments, or neither"
        )
    if assessed and contract.decided_at is None:
        raise ContractError(f"contract.assessed_at={contract.assessed_at}: needs decided_at and outcome_at")
    for feature in assessed:
        if feature.source is None:
            where = f"contract.features.{feature.name}"
            raise ContractError(
                f"{where}: table=assessments needs source, as in source: assessment; patients opt in to it"
            )


def _check_columns(contract: Contract) -> None:
    roles = {contract.label.column: "the label", contract.patient: "the patient's identifier"}
    if len(roles) == 1:
        raise ContractError(f"contract.label.column={contract.patient}: is the patient's identifier")
    if contract.hospital is not None:
        roles[contract.hospital] = "the hospital"
    roles.setdefault(HOSPITAL_COLUMN, "reserved for the hospital in simulations")
    uses = [(f"features.{f.name}", column) for f in contract.features for column in f.columns]
    uses += [("decided_at", contract.decided_at or ""), ("outcome_at", contract.outcome_at or "")]
    uses.append(("assessed_at", contract.assessed_at or ""))
    if contract.topic is not None:
        uses.append(("topic", contract.topic.column))
    for key, column in uses:
        if column in roles:
            raise ContractError(f"contract.{key}: column={column} is {roles[column]}; choose another column")


def _check_crosses_and_groups(contract: Contract) -> None:
    sizes = {feature.name: len(feature.labels) for feature in contract.features}
    for group in contract.groups:
        _check_binned("contract.groups", group, sizes)
    width = 1 + sum(sizes.values())
    seen: set[frozenset[str]] = set()
    for first, second in contract.crosses:
        where = f"contract.crosses: [{first}, {second}]"
        _check_binned(where, first, sizes)
        _check_binned(where, second, sizes)
        if first == second:
            raise ContractError(f"{where}: crosses a feature with itself")
        pair = frozenset((first, second))
        if pair in seen:
            raise ContractError(f"{where}: stands twice")
        seen.add(pair)
        width += sizes[first] * sizes[second]
    if width > WIDEST_DESIGN:
        raise ContractError(
            f"contract: design of {width} columns, must be at most {WIDEST_DESIGN}; use fewer bins"
        )


def _check_binned(where: str, name: str, sizes: Mapping[str, int]) -> None:
    if name not in sizes:
        raise ContractError(f"{where}: unknown feature {name}; allowed: {', '.join(sizes)}")
    if not sizes[name]:
        raise ContractError(f"{where}: {name} has a range; must be a feature with bins (edges)")
