"""Reading a contract: plain data, as YAML or a wire gives it, becomes a checked ``Contract``."""

from collections.abc import Mapping
from itertools import combinations

from wardround.protocol.contract.arm import TrialArms, read_arms
from wardround.protocol.contract.consistency import check_consistency
from wardround.protocol.contract.contract import Consent, Contract, Label, Topic
from wardround.protocol.contract.feature import Feature, feature_from_section
from wardround.protocol.contract.propensity import read_propensity
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.text.bounds import EXPECTED_RATES, MOST_CROSSES, MOST_FEATURES
from wardround.protocol.text.canonical import comparable
from wardround.protocol.text.section import Section

LONGEST_BASIS = 1000  # characters; a sentence or three


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
        # The proof of `privacy.mechanism.ordered_clip_norm` counts on at most 10,000 events of a patient.
        events_per_patient=section.integer("events_per_patient", 1, 10_000, note="K"),
        retention_days=_retention_days(section),
        consent=_consent(section.section("consent", {})),
        topic=_topic(section),
        unknown_patients=section.boolean("unknown_patients", True),
        features=_features(section.section("features")),
        crosses=_crosses(section),
        groups=section.texts("groups", ()),
        arms=_arms(section),
        propensity=read_propensity(section.section("propensity")) if section.has("propensity") else None,
    )
    section.finish()
    check_consistency(contract)
    return contract


def _expected_rate(section: Section) -> float | None:
    rate = section.value("expected_rate", None)
    if rate is None:
        return None
    least, most = EXPECTED_RATES
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not least <= rate <= most:
        raise section.fail(
            "expected_rate", f"must be a share between 0 and 1, from {least} to {most}, or left out"
        )
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
        # Compared as cells are: "0" and "0.0" are one word there, and could not mean two things.
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


def _arms(contract: Section) -> TrialArms | None:
    if not contract.has("arms"):
        return None
    return read_arms(contract.section("arms"), contract.has("decided_at"))


def _features(section: Section) -> tuple[Feature, ...]:
    # By name: the order of keys in a file must not move a column of the design.
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
