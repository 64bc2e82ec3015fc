"""Two decoders of one line: what the quick one reads, Python's own reads alike, to the last digit."""

import json
import random
import sys
from typing import Any

import pytest

from tests.client.connectors.test_fhir import COLUMNS, HOSTILE, MAPPING, appointment, consent, written
from wardround.client.connectors.fhir_json import exact_resource, quick_reader
from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.source import DAMAGED

REFUSED = "refused"
ELEMENTS = ("resourceType", "participant", "priority", "valueQuantity", "a")
"""What is asked of a resource; all its other elements are left out."""
QUICK = quick_reader(ELEMENTS)


def texts(value: Any) -> Any:
    """Give a value with its whole numbers as texts, which is how a path finds them."""
    if isinstance(value, dict):
        return {key: texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [texts(inner) for inner in value]
    return str(value) if type(value) is int else value


def outcome(read, line, names=ELEMENTS):
    """Give the elements that are asked for, numbers as texts; REFUSED where the line is refused."""
    try:
        found = texts(read(line))
    except (ValueError, RecursionError):
        return REFUSED
    return {key: found[key] for key in names if key in found} if isinstance(found, dict) else found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"1.50", "1.50"),
        (b"1E+2", "1E+2"),
        (b"1e400", "1e400"),
        (b"-1e-400", "-1e-400"),
        (b"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        (b"0", "0"),
        (b"-0", "0"),
        (b"-0.0", "-0.0"),
        (b"18446744073709551616", "18446744073709551616"),
        (b"19933688932870350000", "19933688932870350000"),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b"9" * 4300, "9" * 4300),
        (b"9" * 5000, "9" * 5000),
        (b"NaN", "NaN"),
        (b"[1, -Infinity]", ["1", "-Infinity"]),
        (b'{"a":1,"b":2,"a":"3"}', {"a": "3", "b": "2"}),
        (b'{"a":{"c":1},"a":{"d":NaN}}', {"a": {"d": "NaN"}}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\ud800"', "\ud800"),
        (b'{"\\udc00x": "\\ude00\\ud83d"}', {"\udc00x": "\ude00\ud83d"}),
        (b'"\\u0000\\/\x7f"', "\0/\x7f"),
        (b'"\xed\xa0\x80"', REFUSED),
        (b'"\xe9"', REFUSED),
        (b'{"\xe9": 1}', REFUSED),
        (b'"b\tc"', REFUSED),
        (b'"b\x00"', REFUSED),
        (b"[1,]", REFUSED),
        (b'{"b": 1,}', REFUSED),
        (b"'1'", REFUSED),
        (b"01", REFUSED),
        (b".5", REFUSED),
        (b"1.", REFUSED),
        (b"1_000", REFUSED),
        (b"tru", REFUSED),
        (b'"\\u+123"', REFUSED),
        (b'"\\x"', REFUSED),
        (b"[" * 100_000 + b"]" * 100_000, REFUSED),
        (b'{"a":' * 100_000, REFUSED),
        (b"", REFUSED),
    ],
)  # fmt: skip
def test_both_decoders_find_the_same_text_and_look_as_strictly_at_what_is_left_out(value, text):
    asked = b'{"a":%s}' % value
    assert (
        outcome(QUICK, asked)
        == outcome(exact_resource, asked)
        == (REFUSED if text == REFUSED else {"a": text})
    )
    other = b'{"priority":7,"b":%s}' % value
    rest = REFUSED if text == REFUSED else {"priority": "7"}
    assert outcome(QUICK, other) == outcome(exact_resource, other) == rest


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'\xef\xbb\xbf {"a": true}\r\n', {"a": True}),
        (b'{"a":1,"b":2,"a":"3"}', {"a": "3"}),
        (b'{"a":1,"\\u0061":"2"}', {"a": "2"}),
        (b"[[1]]", [["1"]]),
        (b"null", None),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", REFUSED),
        (b"{}\x00", REFUSED),
        (b"{} {}", REFUSED),
        (b"\xc2\xa0{}", REFUSED),
        (b"\x0c{}", REFUSED),
        (b"{}\xff", REFUSED),
        (b"{'a': 1}", REFUSED),
        (b"", REFUSED),
    ],
)
def test_both_decoders_read_whole_lines_alike(line, value):
    assert outcome(QUICK, line) == outcome(exact_resource, line) == value


PARTS = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud83d\\ude00", b"\\ud800", b"-0", b"0", b"1.50",
    b"19933688932870350000", b"1E+400", b"-", b".", b"e5", b"NaN", b"Infinity", b"true", b"nul", b" ", b"\t", b"\x0b",
    b"\x00", b"\x7f", b"\xc3\xa9", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b'"a":', b"9" * 20,
)  # fmt: skip


def spoilt_line(chance, line):
    """Give a line with up to three of its bytes replaced, left out, or made of something else."""
    spoilt = bytearray(line)
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(spoilt))
        spoilt[at : at + chance.randint(0, 2)] = chance.choice([*PARTS, chance.randbytes(1), b""])
    return bytes(spoilt)


def check_spoilt_lines(seed, count):
    chance = random.Random(seed)
    whole = [
        json.dumps(appointment("7", 1, priority=0, minutesDuration=12.50)).encode(),
        json.dumps({**consent("é"), "text": "\U0001f600"}, ensure_ascii=False).encode(),
        b'{"resourceType":"Observation","valueQuantity":{"value":-0.10},"a":[[1,-0],{"b":null,"b":[2e5]}]}',
        *HOSTILE,
    ]  # fmt: skip
    read = 0
    for _ in range(count):
        line = chance.choice([*whole, b"".join(chance.choices(PARTS, k=chance.randint(1, 9)))])
        spoilt = spoilt_line(chance, line)
        found = outcome(QUICK, spoilt)
        assert found == outcome(exact_resource, spoilt), spoilt[:200]
        read += found != REFUSED
    assert read > count // 20


def test_spoilt_lines_are_read_alike():
    check_spoilt_lines(1, 2000)


@pytest.mark.slow
def test_two_hundred_thousand_spoilt_lines_are_read_alike():
    check_spoilt_lines(2, 200_000)


def test_a_number_is_the_text_that_the_export_has(tmp_path):
    written(tmp_path, Appointment=[], Patient=[], Consent=[])
    mapping = {"resource": "Observation", "columns": {"patient": "subject.reference | id", "steps": "value"}}
    source = source_from_mapping({"fhir": str(tmp_path), **MAPPING, "messages": mapping}, tmp_path)
    said = ["1.50", "12", "-3", "1e400", "9" * 25, "9" * 5000, "0", "[true, 1]", '"x"']
    (tmp_path / "Observation.ndjson").write_text(
        "".join(
            f'{{"resourceType":"Observation","subject":{{"reference":"Patient/7"}},"value":{value}}}\n'
            for value in said
        )
    )
    found = source.read("messages", ("patient", "steps")).collect()
    assert found["steps"].to_list() == [*said[:7], "true", "x"]
    assert found[DAMAGED].to_list() == [None] * 9


@pytest.mark.parametrize("named", ["1", "1.5", '"Encounter"'])
def test_a_line_of_another_resource_is_passed_over_also_where_a_number_names_it(tmp_path, named):
    source = written(tmp_path, Appointment=[], Patient=[], Consent=[])
    (tmp_path / "Appointment.ndjson").write_text(f'{{"resourceType":{named}}}\n')
    assert len(source.read("messages", COLUMNS).collect()) == 0


@pytest.mark.parametrize("named", ["true", "null", "[]", "{}"])
def test_a_line_that_names_no_resource_is_damaged(tmp_path, named):
    source = written(tmp_path, Appointment=[], Patient=[], Consent=[])
    (tmp_path / "Appointment.ndjson").write_text(f'{{"resourceType":{named}}}\n')
    assert source.read("messages", COLUMNS).collect().rows() == [(*(None,) * 5, "")]


@pytest.mark.parametrize("depth", [100, sys.getrecursionlimit() * 100])
def test_a_deep_line_is_its_own_rows_business(tmp_path, depth):
    source = written(tmp_path, Appointment=[], Patient=[], Consent=[])
    plain, deep = (json.dumps(appointment(one, 1)) for one in "78")
    deep = deep[:-1] + ', "extension": ' + "[" * depth + "]" * depth + "}"
    (tmp_path / "Appointment.ndjson").write_text("\n".join([plain, deep, plain]))
    found = source.read("messages", COLUMNS).collect()
    assert found["patient"].to_list() == ["7", "8" if depth == 100 else None, "7"]
    assert found[DAMAGED].to_list() == [None, None if depth == 100 else "8", None]


@pytest.mark.parametrize(
    "change", [{"provision": 0}, {"provision": {"type": "permit", "period": 0, "purpose": [{"code": "HMARKT"}]}}]
)  # fmt: skip
def test_a_consent_with_a_number_for_an_element_is_damaged(tmp_path, change):
    """As an int, 0 would pass for an element that is not there, and a broken period for no period."""
    source = written(tmp_path, Appointment=[], Patient=[], Consent=[consent("8", **change)])
    (row,) = source.read("consents", ("patient", "kind", "value")).collect().rows()
    assert row == (None, None, None, "8")


def test_what_must_hold_of_a_resource_may_stand_where_no_column_looks(tmp_path):
    written(tmp_path, Appointment=[appointment("7", 0), appointment("8", 1)], Patient=[], Consent=[])
    mapping = {"resource": "Appointment", "columns": {"due": "start"}, "where": {"status": ["noshow"]}}
    source = source_from_mapping({"fhir": str(tmp_path), **MAPPING, "messages": mapping}, tmp_path)
    assert source.read("messages", ("due",)).collect()["due"].to_list() == ["2024-01-10T09:00:00Z"]
