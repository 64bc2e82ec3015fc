"""The contract: every mistake is one line that names it, and the fingerprint is the same everywhere."""

import copy
import re

import pytest

from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, ContractError, WardroundError
from wardround.protocol.text.canonical import canonical_json, canonical_number

SMALL = {
    "name": "visits",
    "version": 1,
    "purpose": "reminder",
    "patient": "id",
    "label": {"column": "came", "engaged": ["yes"], "not_engaged": ["no"]},
    "events_per_patient": 2,
    "features": {"age": {"kind": "numeric", "column": "age", "edges": [18, 65]}},
}

FULL = {
    "name": "noshow",
    "version": 3,
    "purpose": "appointment_reminder",
    "patient": "PatientId",
    "hospital": "Neighbourhood",
    "decided_at": "ScheduledDay",
    "outcome_at": "AppointmentDay",
    "label": {"column": "No-show", "engaged": ["No"], "not_engaged": ["Yes"]},
    "events_per_patient": 8,
    "retention_days": 730,
    "consent": {"required": False, "basis": "public research table"},
    "topic": {"column": "topic", "sensitive": ["maternity"]},
    "unknown_patients": True,
    "features": {
        "age": {"kind": "numeric", "column": "Age", "edges": [6, 13, 20], "valid": [0, 115]},
        "steps": {
            "kind": "numeric",
            "table": "patients",
            "column": "daily_steps",
            "range": [0, 20000],
            "source": "wearable",
        },
        "sex": {"kind": "categorical", "table": "patients", "column": "sex", "vocabulary": ["F", "M"]},
        "sms": {"kind": "boolean", "column": "SMS_received"},
        "weekday": {"kind": "weekday", "column": "AppointmentDay"},
        "hour": {"kind": "hour", "column": "ScheduledDay", "edges": [9, 12, 15]},
        "month": {"kind": "month", "column": "AppointmentDay"},
        "lead": {"kind": "gap_days", "from": "ScheduledDay", "to": "AppointmentDay", "edges": [1, 3, 7]},
        "past_rate": {"kind": "history", "statistic": "rate", "edges": [0.34, 0.67, 1.0]},
        "past": {"kind": "history", "statistic": "count", "edges": [1, 2, 4]},
    },
    "crosses": [["lead", "age"]],
    "groups": ["sex", "age"],
}


def changed(path, value, base=FULL):
    plain = copy.deepcopy(base)
    *parents, last = path.split(".")
    place = plain
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return plain


def test_layout_has_a_readable_label_for_each_bin():
    layout = contract_from_mapping(FULL).layout
    labels = {field.name: tuple(field.labels) for field in layout.fields}
    assert labels["age"] == ("under 6", "6 to under 13", "13 to under 20", "20 or more", "missing")
    assert labels["sex"] == ("F", "M", "other")
    assert labels["sms"] == ("no", "yes", "missing")
    assert labels["lead"] == ("under 1", "1 to 2", "3 to 6", "7 or more", "missing")
    assert labels["hour"] == ("0 to 8", "9 to 11", "12 to 14", "15 or more", "missing")
    assert labels["past"] == ("0", "1", "2 to 3", "4 or more", "missing")
    assert labels["past_rate"] == (
        "under 0.34", "0.34 to under 0.67", "0.67 to under 1", "1 or more", "missing",
    )  # fmt: skip
    assert labels["weekday"][0] == "Monday"
    assert len(labels["month"]) == 13
    assert labels["lead × age"][:2] == ("under 1 × under 6", "under 1 × 6 to under 13")
    assert layout.values == ("steps",)
    assert [field.name for field in layout.crosses] == ["lead × age"]
    assert layout.crosses[0].parents == ("lead", "age")
    sizes = [field.size for field in layout.fields]
    assert layout.width == 1 + sum(sizes) + 1


def test_only_the_contracts_columns_are_ever_named():
    contract = contract_from_mapping(FULL)
    assert set(contract.columns("messages")) == {
        "PatientId", "ScheduledDay", "AppointmentDay", "No-show", "topic", "Age", "SMS_received",
    }  # fmt: skip
    assert contract.columns("patients") == ("PatientId", "sex", "daily_steps")
    assert contract.columns("consents") == (
        "PatientId", "kind", "value", "granted_at", "withdrawn_at", "expires_at",
    )  # fmt: skip
    assert contract_from_mapping(SMALL).columns("patients") == ()
    with pytest.raises(ContractError, match="table=beds: must be one of"):
        contract.columns("beds")


def test_fingerprints_are_the_same_on_every_machine():
    """Pinned: a change here makes every signed study and saved model unusable."""
    assert (
        contract_from_mapping(SMALL).fingerprint
        == "5c213d568d7dce45c091186bdcaab853a4341f2f13109f84c32f45b9e4f42520"
    )
    assert (
        contract_from_mapping(FULL).fingerprint
        == "fc6c9bab8c80a82dadbfda114c9ba0fff2ae3af37e8a93d5adccbb0a7c05bf02"
    )


def test_order_of_keys_and_spelling_of_numbers_do_not_matter():
    contract = contract_from_mapping(FULL)
    turned = {key: FULL[key] for key in reversed(FULL)}
    turned["features"] = {key: FULL["features"][key] for key in reversed(FULL["features"])}
    turned["events_per_patient"] = 8.0
    turned["features"]["age"] = {
        "valid": [0.0, 115.0],
        "edges": [6.0, 13, 20],
        "column": "Age",
        "kind": "numeric",
    }
    other = contract_from_mapping(turned)
    assert other == contract
    assert other.fingerprint == contract.fingerprint
    assert other.layout == contract.layout


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 4),
        ("purpose", "billing"),
        ("events_per_patient", 7),
        ("retention_days", None),
        ("consent.required", True),
        ("topic.sensitive", []),
        ("unknown_patients", False),
        ("features.age.edges", [6, 13, 21]),
        ("features.age.valid", ...),
        ("features.steps.source", ...),
        ("label.engaged", ["no"]),
        ("label.expected_rate", 0.7),
        ("crosses", [["age", "lead"]]),
        ("groups", []),
        ("hospital", ...),
    ],
)
def test_every_change_changes_the_fingerprint(path, value):
    assert contract_from_mapping(changed(path, value)).fingerprint != contract_from_mapping(FULL).fingerprint


@pytest.mark.parametrize("plain", [SMALL, FULL, changed("retention_days", None)])
def test_to_mapping_is_the_inverse(plain):
    contract = contract_from_mapping(plain)
    assert contract_from_mapping(contract.to_mapping()) == contract
    canonical_json(contract.to_mapping())


MISTAKES = [
    ("events_per_patient", 0, r"contract.events_per_patient=0 \(K\): must be at least 1"),
    ("events_per_patient", "8", r"contract.events_per_patient=8 \(K\): must be a whole number"),
    ("events_per_patient", True, r"contract.events_per_patient=true \(K\): must be a whole number"),
    ("events_per_patient", float("nan"), r"events_per_patient=nan \(K\): must be a whole number"),
    ("events_per_patient", float("inf"), r"events_per_patient=inf \(K\): must be a whole number"),
    ("version", 1.5, "contract.version=1.5: must be a whole number"),
    ("name", ..., "contract.name: is missing"),
    ("name", "  ", "contract.name=: must be a text"),
    ("purpose", ["a"], "contract.purpose=.*must be a text"),
    ("featurs", {}, "contract.featurs: unknown key; did you mean features"),
    ("features", {}, "contract.features: must name at least one feature"),
    ("features", [1], "contract.features=.*must be a mapping"),
    ("features.age.edges", [6, 13, 13], r"contract.features.age.edges=\[6, 13, 13\]: must be ascending"),
    ("features.age.edges", [6, "13"], r"contract.features.age.edges=.*: must be a list of numbers"),
    ("features.age.edges", [6, float("inf")], r"contract.features.age.edges=.*: must be numbers"),
    ("features.age.edges", [], "contract.features.age: must have either edges"),
    ("features.age.range", [0, 1], "contract.features.age: must have either edges"),
    ("features.age.kind", "number", "contract.features.age.kind=number: must be one of numeric, "),
    ("features.age.vocabulary", ["x"], "contract.features.age.vocabulary: unknown key"),
    ("features.age.table", "consents", "contract.features.age.table=consents: must be one of"),
    ("features.age.valid", [115, 0], "contract.features.age.valid=.*: must be ascending"),
    ("features.age.valid", [0], "contract.features.age.valid=.*: must be a pair"),
    ("features.sex.vocabulary", [], "contract.features.sex.vocabulary: 0 words"),
    ("features.sex.vocabulary", ["F", "F"], "contract.features.sex.vocabulary=.*: must be different"),
    ("features.sex.vocabulary", ["1", "1.0"], "contract.features.sex.vocabulary=.*: must be different"),
    (
        "features.past.by",
        "agee",
        "contract.features.past.by=agee: must be a categorical, ordered or hierarchical feature of the messages",
    ),
    ("features.past.statistic", "median", "contract.features.past.statistic=median: must be one of count"),
    ("features.past.column", "Age", "contract.features.past.column: unknown key"),
    ("features.sms.column", "No-show", "contract.features.sms: column=No-show is the label"),
    (
        "features.sms.column",
        "PatientId",
        "contract.features.sms: column=PatientId is the patient's identifier",
    ),
    ("features.sms.column", "Neighbourhood", "contract.features.sms: column=Neighbourhood is the hospital"),
    ("features.sms.column", "hospital", "contract.features.sms: column=hospital is reserved"),
    ("outcome_at", "No-show", "contract.outcome_at: column=No-show is the label"),
    ("outcome_at", ..., "contract.decided_at and contract.outcome_at: give both, or neither"),
    ("label.column", "PatientId", "contract.label.column=PatientId: is the patient's identifier"),
    ("label.engaged", [False], "contract.label.engaged=.*quotes"),
    ("label.engaged", [], "contract.label.engaged=.*at least one"),
    ("label.engaged", ["Yes"], "contract.label: Yes is both engaged and not_engaged"),
    ("label.extra", 1, "contract.label.extra: unknown key"),
    ("crosses", [["lead", "agee"]], r"contract.crosses: \[lead, agee\]: unknown feature agee; allowed: age"),
    ("crosses", [["lead", "steps"]], r"contract.crosses: \[lead, steps\]: steps has a range"),
    ("crosses", [["lead", "lead"]], "contract.crosses: .*with itself"),
    ("crosses", [["lead", "age"], ["age", "lead"]], "contract.crosses: .*stands twice"),
    ("crosses", [["lead"]], "contract.crosses=.*must be a pair"),
    ("crosses", "lead", "contract.crosses=lead: must be a list of pairs"),
    ("groups", ["steps"], "contract.groups: steps has a range"),
    ("groups", ["ward"], "contract.groups: unknown feature ward"),
    ("consent.required", "yes", "contract.consent.required=yes: must be true or false"),
    ("retention_days", 0, "contract.retention_days=0: must be at least 1"),
    ("topic.column", "No-show", "contract.topic: column=No-show is the label"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_each_mistake_is_one_line(path, value, message):
    with pytest.raises(WardroundError) as caught:
        contract_from_mapping(changed(path, value))
    assert isinstance(caught.value, (ConfigurationError, ContractError))
    assert "\n" not in str(caught.value)
    assert re.search(message, str(caught.value))


def test_history_needs_times():
    plain = changed("outcome_at", ..., changed("decided_at", ...))
    with pytest.raises(ContractError, match="kind=history needs decided_at and outcome_at"):
        contract_from_mapping(plain)
    for key, value in (("retention_days", 30), ("unknown_patients", False)):
        with pytest.raises(ContractError, match=f"contract.{key}=.*: needs decided_at"):
            contract_from_mapping({**SMALL, key: value})


def test_a_design_of_millions_of_columns_is_refused_before_it_is_built():
    words = [f"w{i}" for i in range(5000)]
    features = {name: {"kind": "categorical", "column": name, "vocabulary": words} for name in ("a", "b")}
    with pytest.raises(ContractError, match="must be at most 1000000"):
        contract_from_mapping({**SMALL, "features": features, "crosses": [["a", "b"]]})


def test_a_ranged_feature_counts_in_the_width_of_a_design():
    """Two features of 999 bins and their cross fill the bound with the intercept; one column more is too many."""
    words = [f"w{i}" for i in range(998)]
    full = {name: {"kind": "categorical", "column": name, "vocabulary": words} for name in ("a", "b")}
    assert contract_from_mapping({**SMALL, "features": full, "crosses": [["a", "b"]]}).layout.width == 10**6
    steps = {"kind": "numeric", "column": "steps", "range": [0, 20000]}
    with pytest.raises(ContractError, match="design of 1000001 columns, must be at most 1000000"):
        contract_from_mapping({**SMALL, "features": {**full, "steps": steps}, "crosses": [["a", "b"]]})


@pytest.mark.parametrize("number", [10**400, -(10**5000)], ids=["400", "5000"])
def test_a_whole_number_that_no_file_could_hold_is_refused_in_one_line(number):
    for changes in ({"version": number}, {"label": {**SMALL["label"], "engaged": [number]}}):
        with pytest.raises(ConfigurationError) as caught:
            contract_from_mapping({**SMALL, **changes})
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("plain", [None, [], "x", 3, {1: 2}])
def test_what_is_no_mapping_is_refused(plain):
    with pytest.raises(ConfigurationError, match=r"contract=.*must be a mapping"):
        contract_from_mapping(plain)


def test_canonical_numbers_have_one_spelling():
    assert canonical_json([canonical_number(n) for n in (1, 1.0, 0.1, -0.0, 2.5)]) == b"[1,1,0.1,0,2.5]"
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


RATE = "label.expected_rate"


def test_the_expected_rate_says_how_large_a_first_residual_is():
    assert contract_from_mapping(changed(RATE, 0.2)).label.expected_residual == 0.8
    assert contract_from_mapping(changed(RATE, 0.5)).label.expected_residual == 0.5
    assert contract_from_mapping(changed(RATE, None)).label.expected_residual == 0.8
    again = contract_from_mapping(contract_from_mapping(changed(RATE, 0.3)).to_mapping())
    assert again.label.expected_rate == 0.3
    for wrong in (0, 1, -0.1, True, "half", 5e-324, 9e-7, 1 - 9e-7, float("nan")):
        with pytest.raises(
            ConfigurationError, match=r"label.expected_rate=.*must be a share between 0 and 1"
        ):
            contract_from_mapping(changed(RATE, wrong))
