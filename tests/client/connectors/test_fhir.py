"""FHIR exports: paths, lines of any bytes, what Consents say, and a federation's worth of resources."""

import gzip
import json
import random
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.builders import small_contract
from wardround.client.connectors.fhir import FhirSource
from wardround.client.connectors.fhir_consent import NO_DATE, OTHER, ConsentRow, consent_rows
from wardround.client.connectors.fhir_path import path_from_text
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import DAMAGED, read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, TableError

MAPPING = {
    "messages": {
        "resource": "Appointment",
        "columns": {
            "patient": "participant.actor.reference[*=Patient/] | id",
            "decided": "created",
            "due": "start",
            "opened": "status",
            "topic": "serviceType.coding[system=urn:topics].code",
        },
        "where": {"status": ["fulfilled", "noshow", "arrived"]},
        "values": {"opened": {"fulfilled": "1", "arrived": "1", "noshow": "0"}},
    },
    "patients": {"resource": "Patient", "columns": {"patient": "id", "age": "extension[url=urn:age].valueInteger"}},
    "consents": {
        "resource": "Consent",
        "columns": {"patient": "patient.reference | id"},
        "meanings": {"HMARKT": {"purpose": "engagement"}, "HRESCH": "other"},
    },
}  # fmt: skip
CONTRACT = contract_from_mapping(
    small_contract(
        decided_at="decided",
        outcome_at="due",
        features={"age": {"kind": "numeric", "column": "age", "edges": [20, 40, 60], "table": "patients"}},
    )
)
COLUMNS = ("patient", "decided", "due", "opened", "topic")
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def appointment(patient, number=0, **changes):
    return {
        "resourceType": "Appointment",
        "id": f"a{number}",
        "status": "fulfilled" if number % 3 else "noshow",
        "serviceType": [{"coding": [{"system": "urn:else", "code": "x"}, {"system": "urn:topics", "code": "heart"}]}],
        "created": f"2024-0{1 + number % 9}-01T09:00:00+02:00",
        "start": f"2024-0{1 + number % 9}-10T09:00:00Z",
        "participant": [
            {"actor": {"reference": "Practitioner/9"}, "status": "accepted"},
            {"actor": {"reference": f"https://ehr.example/fhir/Patient/{patient}"}, "status": "accepted"},
        ],
        **changes,
    }  # fmt: skip


def consent(patient, **changes):
    return {
        "resourceType": "Consent",
        "status": "active",
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": "2023-05-11",
        "provision": {"type": "permit", "purpose": [{"code": "HMARKT"}]},
        **changes,
    }


def written(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, resources in files.items():
        (folder / f"{name}.ndjson").write_text("".join(json.dumps(one) + "\n" for one in resources))
    return source_from_mapping({"fhir": str(folder), **MAPPING}, folder)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("start", "2024-01-10T09:00:00Z"),
        ("participant.actor.reference", "Practitioner/9"),
        ("participant.actor.reference[=https]", None),
        ("participant[actor.reference*=https].status", "accepted"),
        ("participant[actor.reference*=https].actor.reference | id", "7"),
        ("serviceType.coding[system=urn:topics].code", "heart"),
        ("nowhere.at.all", None),
        ("status.coding.code", None),
        ("status[code=fulfilled].text", None),
        ("participant", None),
    ],
)
def test_a_path_finds_the_first_value(path, found):
    assert path_from_text(path, "x").first(appointment("7")) == found


def test_a_reference_is_chosen_by_its_beginning():
    plain = appointment("7")
    plain["participant"][1]["actor"]["reference"] = "Patient/7/_history/2"
    for of in (
        "participant.actor.reference[*=Patient/] | id",
        "participant.actor[reference*=Patient/].reference | id",
    ):
        assert path_from_text(of, "x").first(plain) == "7"


@pytest.mark.parametrize("path", ["", "a b", "a..b", "a[", "a[x]", "a | name", "a[x=]", "a;b", "$.a"])
def test_what_is_no_path_is_refused_by_name(path):
    with pytest.raises(ConfigurationError, match=r"^here="):
        path_from_text(path, "here")


def test_an_export_is_read_as_its_mapping_says(tmp_path):
    source = written(
        tmp_path,
        Appointment=[appointment("7", 1), appointment("8", 3), appointment("8", 4, status="booked")],
        Patient=[
            {"resourceType": "Patient", "id": "7", "extension": [{"url": "urn:age", "valueInteger": 33}]}
        ],
        Consent=[consent("7"), consent("8")],
    )
    tables = read_tables(source, CONTRACT)
    assert tables.messages.collect().drop(DAMAGED).rows() == [
        ("7", "2024-02-01T09:00:00+02:00", "2024-02-10T09:00:00Z", "1"),
        ("8", "2024-04-01T09:00:00+02:00", "2024-04-10T09:00:00Z", "0"),
    ]
    assert tables.patients.collect().drop(DAMAGED).rows() == [("7", "33")]
    counts = admit(tables, CONTRACT, b"key", NOW).counts
    assert counts["training events"] + counts["heldout events"] == 2
    assert counts["no consent for the purpose"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": "inactive"},
        {"status": "entered-in-error"},
        {"status": "somehow"},
        {"provision": {"type": "deny", "purpose": [{"code": "HMARKT"}]}, "dateTime": "2024-12-01"},
        {"provision": {"type": "permit", "period": {"end": "2024-06-01"}, "purpose": [{"code": "HMARKT"}]}},
    ],
)
def test_who_withdraws_in_fhirs_way_is_not_learned_from(tmp_path, change):
    source = written(
        tmp_path,
        Appointment=[appointment("7", 1), appointment("8", 2)],
        Patient=[],
        Consent=[consent("7"), consent("8", **change)],
    )
    counts = admit(read_tables(source, CONTRACT), CONTRACT, b"key", NOW).counts
    assert counts["training events"] + counts["heldout events"] == 1
    assert counts["no consent for the purpose"] == 1


MEANINGS = {"HMARKT": ("purpose", "engagement"), "urn:w|on": ("source", "wearables"), "HRESCH": OTHER}
GRANT = ConsentRow("purpose", "engagement", granted_at="2023-05-11")
TAKEN = ConsentRow("purpose", "engagement", withdrawn_at="2023-05-11")
ALL_TAKEN = [TAKEN, ConsentRow("source", "wearables", withdrawn_at="2023-05-11")]
PERMIT, DENY = {"type": "permit"}, {"type": "deny"}
WORN = {"code": [{"coding": [{"system": "urn:w", "code": "on"}]}]}
HMARKT, HRESCH = {"purpose": [{"code": "HMARKT"}]}, {"purpose": [{"code": "HRESCH"}]}


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, [GRANT]),
        ({"provision": {**DENY, **HMARKT}}, [TAKEN]),
        ({"provision": HMARKT}, [TAKEN]),
        ({"provision": HMARKT, "policyRule": {"coding": [{"code": "OPTIN"}]}}, [GRANT]),
        ({"provision": {**DENY}}, ALL_TAKEN),
        ({"provision": None}, ALL_TAKEN),
        ({"provision": {**DENY, "purpose": [{"code": "unheard-of"}]}}, ALL_TAKEN),
        ({"provision": {**DENY, **HRESCH}}, []),
        ({"provision": {**PERMIT, "purpose": [{"code": "unheard-of"}]}}, []),
        ({"status": "draft"}, []),
        ({"status": "proposed", "provision": {**DENY, **HMARKT}}, [TAKEN]),
        ({"status": "rejected"}, [TAKEN]),
        ({"status": None}, [TAKEN]),
        ({"status": "inactive", "dateTime": None}, [TAKEN._replace(withdrawn_at=NO_DATE)]),
        ({"dateTime": None}, [GRANT._replace(granted_at=None)]),
        ({"provision": {**PERMIT, **HMARKT, "period": {"start": "2023-06-01"}}}, [GRANT._replace(granted_at=None)]),
        (
            {"provision": {**PERMIT, **HMARKT, "period": {"start": "2023-01-01", "end": "2024-01-01"}}},
            [GRANT._replace(expires_at="2024-01-01")],
        ),
        ({"provision": {**PERMIT, **HMARKT, "provision": [{**DENY, "actor": []}]}}, [GRANT, TAKEN]),
        (
            {"provision": {**PERMIT, **HMARKT, "provision": [{**DENY, **WORN}]}},
            [GRANT, ALL_TAKEN[1]],
        ),
        (
            {"provision": {**DENY, **HRESCH, "provision": [{**PERMIT, **HMARKT}]}},
            [GRANT],
        ),
    ],
)  # fmt: skip
def test_what_a_consent_says(changes, rows):
    assert consent_rows(consent("7", **changes), MEANINGS) == rows


def test_a_consent_whose_line_is_broken_names_whom_it_may_mean(tmp_path):
    source = written(tmp_path, Appointment=[appointment("7", 1), appointment("8", 2)], Patient=[])
    broken = json.dumps(consent("8", status="inactive"))[:-9]
    (tmp_path / "Consent.ndjson").write_text(
        "\n".join([json.dumps(consent("7")), json.dumps(consent("8")), broken])
    )
    tables = read_tables(source, CONTRACT)
    assert tables.consents.collect()[DAMAGED].to_list() == [None, None, "8"]
    counts = admit(tables, CONTRACT, b"key", NOW).counts
    assert counts["training events"] + counts["heldout events"] == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("patient.reference | id", b'{"resourceType":"Consent","patient":{"reference":"Patient\\/8"},"x":'),
        ("patient.identifier.value", b'{"patient":{"identifier":{"system":"urn:mrn","value": "8"}},"status"'),
        ("patient.identifier[system=urn:mrn].value", b'{"identifier":[{"value":"no"}],"value":"8","id":"9"'),
        ("patient.display", b'\xff{"patient":{"display":"8"}}'),
    ],
)
def test_a_broken_consent_names_its_patient_wherever_the_mapping_finds_one(tmp_path, path, line):
    written(tmp_path, Appointment=[appointment("7", 1), appointment("8", 2), appointment("9", 1)], Patient=[])
    mapping = {**MAPPING, "consents": {**MAPPING["consents"], "columns": {"patient": path}}}
    source = source_from_mapping({"fhir": str(tmp_path), **mapping}, tmp_path)
    given = [{**consent(one), "patient": _subject(one)} for one in "789"]
    text = "".join(json.dumps(one) + "\n" for one in given).encode()
    (tmp_path / "Consent.ndjson").write_bytes(text)
    counts = admit(read_tables(source, CONTRACT), CONTRACT, b"key", NOW).counts
    assert counts["no consent for the purpose"] == 0
    (tmp_path / "Consent.ndjson").write_bytes(text + line)
    counts = admit(read_tables(source, CONTRACT), CONTRACT, b"key", NOW).counts
    assert counts["no consent for the purpose"] == 1


def _subject(patient):
    """A patient named in every way."""
    number = {"system": "urn:mrn", "value": patient}
    return {"reference": f"Patient/{patient}", "identifier": number, "display": patient}


HOSTILE = [
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"resourceType": 1}',
    b'{"resourceType":"Consent"}', b'{"resourceType":"Appointment","start":"\\ud800"}',
    b'{"resourceType":"Appointment","status":{"a":[1e999]},"participant":7}',
    b'{"resourceType":"Appointment","start":' + b"9" * 5000 + b"}",
    b'{"resourceType":"Appointment","status":"noshow","start":NaN}',
    b'{"resourceType":"Appointment","resourceType":"Patient"}', b"\x00" * 50, b'{"a":"' + b"x" * 100_000,
]  # fmt: skip


def check_random_lines(folder, seed, count):
    chance = random.Random(seed)
    source = written(folder, Appointment=[], Consent=[], Patient=[])
    lines = [json.dumps(appointment(str(number), number)).encode() for number in range(6)]
    victim = 3

    def rows(with_line):
        (folder / "Appointment.ndjson").write_bytes(b"\n".join([*lines[:victim], with_line, *lines[victim:]]))
        return source.read("messages", COLUMNS).collect().rows()

    wanted = rows(b"")
    for _ in range(count):
        line = chance.choice([*HOSTILE, chance.randbytes(chance.randint(0, 99)), lines[victim]])
        spoilt = bytearray(line)
        for _ in range(chance.randint(0, 3) if spoilt else 0):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        found = rows(bytes(spoilt).replace(b"\n", b" "))
        others = [*found[:victim], *found[len(found) - len(wanted) + victim :]]
        assert others == wanted
        assert len(found) - len(wanted) in (0, 1)


def test_a_line_is_its_own_rows_business(tmp_path):
    check_random_lines(tmp_path, 1, 100)


@pytest.mark.slow
def test_a_line_is_its_own_rows_business_in_5000_exports(tmp_path):
    check_random_lines(tmp_path, 2, 5000)


def test_half_of_a_surrogate_pair_is_a_question_mark_in_its_own_cell(tmp_path):
    said = [appointment(f"{n}", 1) for n in range(200)]
    said[199] = appointment("199", 1, created="2024 \ud83d", start="\U0001f600\udc00")
    source = written(tmp_path, Appointment=said, Patient=[], Consent=[])
    found = source.read("messages", COLUMNS).collect()
    assert found.row(199) == ("199", "2024 ?", "\U0001f600?", "fulfilled", "heart", None)
    assert found.head(199).rows() == [(f"{n}", *found.row(0)[1:]) for n in range(199)]


def test_a_line_without_end_is_one_damaged_row(tmp_path, monkeypatch):
    monkeypatch.setattr("wardround.client.connectors.fhir.LONGEST_LINE", 5000)
    source = written(tmp_path, Consent=[], Patient=[])
    line = json.dumps(appointment("7", 1))
    long = line[:-1] + ', "comment": "' + "x" * 20_000 + '"}'
    (tmp_path / "1.Appointment.ndjson").write_text("\n".join([line, long, line]))
    assert [row[0] for row in source.read("messages", COLUMNS).collect().rows()] == ["7", None, "7"]


def test_files_are_told_by_name_and_lines_by_what_they_say(tmp_path):
    source = written(
        tmp_path,
        Patient=[],
        all=[consent("7"), appointment("7", 1)],
        AppointmentResponse=[appointment("9", 1)],
    )
    with gzip.open(tmp_path / "part-2.Appointment.ndjson.gz", "wt") as file:
        file.write(json.dumps(appointment("8", 1)))
    (tmp_path / "notes.txt").write_text("{")
    assert source.read("messages", COLUMNS).collect()["patient"].to_list() == ["7", "8"]
    assert {path.name for path in source.files()["consents"]} == {"all.ndjson"}
    (tmp_path / "part-2.Appointment.ndjson.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(TableError, match="cannot be read") as caught:
        source.read("messages", COLUMNS).collect()
    assert "\n" not in str(caught.value)


def test_a_mapping_is_refused_by_name(tmp_path):
    def read(**changes):
        return source_from_mapping({"fhir": str(tmp_path), **MAPPING, **changes}, tmp_path)

    assert isinstance(read(), FhirSource)
    for changes, message in (
        (
            {"messages": {"resource": "Encounter", "columns": {}}},
            "mapping.messages.resource=Encounter: must be one of",
        ),
        (
            {"messages": {"resource": "Patient", "columns": {"a": "b c"}}},
            r"mapping.messages.columns.a=b c: must be a",
        ),
        (
            {"consents": {"resource": "Consent", "columns": {"patient": "id"}}},
            "meanings=null: must say what the codes",
        ),
        (
            {"consents": {**MAPPING["consents"], "meanings": {"X": {"kind": "y"}}}},
            "must be other, or one of purpose",
        ),
        ({"odbc": "Driver=SQLite3"}, "odbc and fhir are both given; keep one"),
        ({"messages": {**MAPPING["messages"], "path": "x.csv"}}, "mapping.messages.path: unknown key"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            read(**changes)
    with pytest.raises(TableError, match=r"no .ndjson file of Appointment"):
        read().read("messages", COLUMNS)
    (tmp_path / "x.ndjson").write_text("")
    with pytest.raises(TableError, match="columns without a path: tone; give each one"):
        read().read("messages", ("patient", "tone"))


@pytest.mark.slow
def test_a_hundred_thousand_resources_of_five_hospitals(tmp_path):
    events = 0
    for hospital in range(5):
        patients = range(2000)
        source = written(
            tmp_path / str(hospital),
            Appointment=[appointment(f"{n % 2000}", n) for n in range(16_000)],
            Patient=[{"resourceType": "Patient", "id": f"{n}"} for n in patients],
            Consent=[
                consent(f"{n}", status="inactive" if n % 10 == hospital else "active") for n in patients
            ],
        )
        admitted = admit(read_tables(source, CONTRACT), CONTRACT, b"key", NOW)
        assert admitted.counts["no consent for the purpose"] == 1600
        events += admitted.counts["training patients"] + admitted.counts["heldout patients"]
    assert events == 5 * 1800


def test_rows_come_a_batch_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("wardround.client.connectors.fhir._BATCH_ROWS", 3)
    source = written(
        tmp_path, Appointment=[appointment(str(n), n) for n in range(10)], Patient=[], Consent=[]
    )
    frame = source.read("messages", COLUMNS)
    assert frame.select(pl.len()).collect().item() == 10
    assert frame.head(4).collect()["patient"].to_list() == ["0", "1", "2", "3"]


def test_codes_that_yaml_takes_for_numbers_are_words_here_too(tmp_path):
    """As in any mapping: a code is most often a number, and nobody puts quotes around it."""
    mapping = {**MAPPING, "messages": {**MAPPING["messages"], "values": {"topic": {1: "flu"}}}}
    source = source_from_mapping({"fhir": str(tmp_path), **mapping}, tmp_path)
    assert source.place("messages").values == {"topic": {"1": "flu"}}
