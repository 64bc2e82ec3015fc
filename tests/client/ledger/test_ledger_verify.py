"""An export away from its hospital: whatever was changed, dropped, swapped or cut off is found."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.ledger.budget import Charge
from wardround.client.ledger.entries import Entry, charge_fields, make_entry
from wardround.client.ledger.fields import FIELDS, Field
from wardround.client.ledger.verify import Verified, export, verify
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.wire.signing import SigningKey, new_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DELTA = 1e-5
KEY, OPERATOR = new_key(), new_key().public
PERSON: Mapping[str, Field] = {"reason": "agreed: ε is small", "person": "privacy officer"}
STUDY: Mapping[str, Field] = {"operator": OPERATOR, "study": "tea", "terms": "a" * 64}


def _charged(round_number: int, charged: int, **changes: Field) -> dict[str, Field]:
    epsilon = compose_epsilon([PrivacyEvent(20.0, 1.0, charged)], DELTA)
    charge = Charge(
        operator=OPERATOR,
        study="tea",
        terms="a" * 64,
        round=round_number,
        weights_digest="b" * 64,
        event=PrivacyEvent(20.0, 1.0, 1),
    )
    stated = {f"epsilon_{scope}": epsilon for scope in ("study", "operator", "life")}
    return {**charge_fields(charge), **stated, "delta": DELTA, "code": "test", "held": "", **changes}


def _assumed() -> dict[str, Field]:
    fields = _charged(1, 3, steps=3)
    return {name: fields[name] for name in fields.keys() - {"round", "weights", "held"}}


def _chain(*pairs: tuple[str, Mapping[str, Field]], key: SigningKey = KEY) -> list[Entry]:
    entries: list[Entry] = []
    for number, (kind, fields) in enumerate(pairs, 1):
        previous = entries[-1].hash if entries else "0" * 64
        entries.append(make_entry(kind, number, NOW + timedelta(seconds=number), previous, fields, key))
    return entries


def _released(charge: str) -> tuple[str, Mapping[str, Field]]:
    expiry = "2031-01-01T00:00:00+00:00"
    return "released", {"charge": charge, "release": "d" * 64, "expires_at": expiry}


def _good() -> list[Entry]:
    entries = _chain(
        ("note", {"topic": "ledger_begun", "reason": "", "person": ""}),
        ("refused", {"clause": "approval", "operator": OPERATOR, "study": "tea", "round": 1}),
        ("approved", {**STUDY, **PERSON}),
        ("charged", _charged(1, 1)),
    )
    for number in (2, 3):
        time, last = NOW + timedelta(minutes=number), entries[-1]
        kind, fields = _released(last.hash)
        entries.append(make_entry(kind, last.sequence + 1, time, last.hash, fields, KEY))
        last = entries[-1]
        entries.append(
            make_entry("charged", last.sequence + 1, time, last.hash, _charged(number, number), KEY)
        )
    return entries


ENTRIES = _good()
EXPORT = export(ENTRIES)
LINES = EXPORT.splitlines(keepends=True)
HEAD = ENTRIES[-1].hash


def _accepted(content: bytes, held_head: str | None = HEAD) -> Verified | None:
    """Verify; None where a fault was found, whose text must be one line."""
    try:
        return verify(content, KEY.public, held_head)
    except LedgerError as error:
        fault = str(error)
    assert "\n" not in fault
    return None


def test_a_good_ledger_is_told_as_it_is() -> None:
    verified = verify(EXPORT, KEY.public, HEAD)
    assert (verified.entries, verified.head, verified.after_held) == (8, HEAD, 0)
    assert (verified.first, verified.last) == (ENTRIES[0].time, ENTRIES[-1].time)
    assert verified.epsilon == {
        "training": compose_epsilon([PrivacyEvent(20.0, 1.0, 3)], DELTA),
        "held_out": 0.0,
    }


@settings(max_examples=300)
@given(position=st.integers(0, len(EXPORT) - 1), flip=st.integers(1, 255))
def test_any_one_byte_changed_is_found(position: int, flip: int) -> None:
    changed = bytearray(EXPORT)
    changed[position] ^= flip
    assert _accepted(bytes(changed)) is None


@pytest.mark.slow
@pytest.mark.parametrize("flip", [1, 2, 4, 8, 16, 32, 64, 128])
def test_every_one_bit_changed_is_found(flip: int) -> None:
    for position in range(len(EXPORT)):
        changed = bytearray(EXPORT)
        changed[position] ^= flip
        assert _accepted(bytes(changed)) is None, position


@given(st.integers(0, len(EXPORT) - 1))
def test_an_export_cut_off_anywhere_is_found_with_a_held_head(length: int) -> None:
    assert _accepted(EXPORT[:length]) is None


@given(st.integers(0, len(EXPORT)), st.binary(min_size=1, max_size=30))
def test_bytes_put_in_are_found(position: int, extra: bytes) -> None:
    assert _accepted(EXPORT[:position] + extra + EXPORT[position:]) is None


@given(st.sets(st.integers(0, len(LINES) - 1), min_size=1))
def test_dropped_entries_are_found(dropped: set[int]) -> None:
    kept = b"".join(line for number, line in enumerate(LINES) if number not in dropped)
    assert _accepted(kept) is None


@given(st.permutations(range(len(LINES))).filter(lambda order: order != sorted(order)))
def test_reordered_entries_are_found(order: list[int]) -> None:
    assert _accepted(b"".join(LINES[number] for number in order)) is None


@given(st.integers(0, len(LINES) - 1), st.integers(0, len(LINES)))
def test_repeated_entries_are_found(copied: int, position: int) -> None:
    assert _accepted(b"".join([*LINES[:position], LINES[copied], *LINES[position:]])) is None


def test_without_a_head_it_says_what_it_cannot_know() -> None:
    whole, cut = _accepted(EXPORT, None), _accepted(b"".join(LINES[:5]), None)
    assert whole is not None
    assert cut is not None  # every prefix is a ledger that once was
    assert whole.after_held is None
    assert "cut off" in whole.unknown
    assert "old copy" in whole.unknown


def test_an_earlier_head_vouches_for_what_stands_before_it() -> None:
    held = ENTRIES[4].hash
    verified = _accepted(EXPORT, held)
    assert verified is not None
    assert verified.after_held == 3
    assert "3 entries follow" in verified.unknown
    assert _accepted(b"".join(LINES[:4]), held) is None


def test_a_ledger_rewritten_with_another_key_is_found() -> None:
    assert verify(export(_chain(("note", {"topic": "begun", **PERSON}), key=KEY)), KEY.public)
    with pytest.raises(LedgerError, match="not signed"):
        verify(export(_chain(("note", {"topic": "begun", **PERSON}), key=new_key())), KEY.public)


def test_a_ledger_rewritten_by_the_hospital_itself_lacks_the_held_head() -> None:
    rewritten = _chain(("note", {"topic": "ledger_begun", "reason": "", "person": ""}))
    with pytest.raises(LedgerError, match="old copy"):
        verify(export(rewritten), KEY.public, HEAD)


BAD_CHAINS = {
    "a round charged twice": (("charged", _charged(1, 1)), ("charged", _charged(1, 2))),
    "a release of nothing": (_released("e" * 64),),
    "epsilon understated": (("charged", _charged(1, 1, epsilon_life=0.01)),),
    "a key rotated to itself": (("rotated", {"operator": OPERATOR, "successor": OPERATOR, **PERSON}),),
    "a revoked key rotated": (
        ("revoked", {"operator": OPERATOR, **PERSON}),
        ("rotated", {"operator": OPERATOR, "successor": new_key().public, **PERSON}),
    ),
}


@pytest.mark.parametrize("fault", BAD_CHAINS)
def test_entries_that_contradict_each_other_are_found_though_signed(fault: str) -> None:
    with pytest.raises(LedgerError):
        verify(export(_chain(*BAD_CHAINS[fault])), KEY.public)


def test_a_second_release_of_a_charge_is_found_though_signed() -> None:
    entries = _chain(("charged", _charged(1, 1)))
    for number in (2, 3):
        kind, fields = _released(entries[0].hash)
        entries.append(make_entry(kind, number, NOW + timedelta(days=1), entries[-1].hash, fields, KEY))
    assert verify(export(entries[:2]), KEY.public).entries == 2
    with pytest.raises(LedgerError, match="released before"):
        verify(export(entries), KEY.public)


def test_a_number_left_out_is_found_though_signed() -> None:
    first = _chain(("note", {"topic": "begun", **PERSON}))[0]
    third = make_entry("note", 3, NOW + timedelta(days=1), first.hash, {"topic": "third", **PERSON}, KEY)
    with pytest.raises(LedgerError, match="does not follow"):
        verify(export([first, third]), KEY.public)


def test_time_that_runs_backwards_is_found() -> None:
    first = _chain(("note", {"topic": "begun", **PERSON}))[0]
    second = make_entry("note", 2, NOW - timedelta(days=1), first.hash, {"topic": "back", **PERSON}, KEY)
    with pytest.raises(LedgerError, match="earlier time"):
        verify(export([first, second]), KEY.public)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"{}\n", b"\xff\n", b'{"entry":{},"signature":""}\n'])
def test_what_is_no_export_is_one_line(content: bytes) -> None:
    assert _accepted(content, None) is None


def test_every_line_is_json_for_other_tools() -> None:
    for line, entry in zip(LINES, ENTRIES, strict=True):
        plain = json.loads(line)
        assert (plain["entry"]["kind"], plain["signature"]) == (entry.kind, entry.signature)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.lists(st.text(max_size=3), max_size=2),
)


@given(
    st.sampled_from(sorted(FIELDS)),
    st.dictionaries(st.sampled_from(["patient", "age", "email"]), VALUES, min_size=1),
)
def test_no_entry_has_room_for_a_field_of_its_own(kind: str, extra: dict[str, Field]) -> None:
    good: dict[str, dict[str, Field]] = {
        "charged": _charged(1, 1),
        "released": dict(_released("e" * 64)[1]),
        "refused": {"clause": "approval", "operator": "", "study": "tea", "round": 1},
        "approved": {**STUDY, **PERSON},
        "declined": {**STUDY, **PERSON},
        "rotated": {"operator": OPERATOR, "successor": new_key().public, **PERSON},
        "revoked": {"operator": OPERATOR, **PERSON},
        "note": {"topic": "begun", **PERSON},
        "clock": dict(PERSON),
        "known_by": {"digest": "c" * 64, "form": "text"},
        "recovered": {"heads": f"{'c' * 64} {'d' * 64}", **PERSON},
        "assumed": {**_assumed(), "releases": 3},
        "roster": {**STUDY, "roster": "a" * 64, "held": ""},
        "contradiction": {
            **STUDY,
            "account": "training",
            "round": 1,
            "first": "b" * 64,
            "second": "c" * 64,
        },
        "survivors": {
            **STUDY,
            "account": "training",
            "round": 1,
            "label": "a" * 64,
            "survivors": "1 2 10",
            "request": "b" * 64,
            "answer": "c" * 64,
            "expires_at": "2100-01-01T00:00:00+00:00",
            "held": "",
        },
    }
    make_entry(kind, 1, NOW, "0" * 64, good[kind], KEY)
    with pytest.raises(ConfigurationError, match="unknown field"):
        make_entry(kind, 1, NOW, "0" * 64, {**good[kind], **extra}, KEY)


@given(st.sampled_from(sorted(_charged(1, 1))), VALUES)
def test_a_charges_fields_hold_digests_keys_numbers_and_names_only(name: str, value: Field) -> None:
    good = _charged(1, 1)
    named = name in ("study", "code") or (name == "account" and value in ACCOUNTS)
    if named or (name == "held" and value == ""):  # no head was named
        return
    try:
        make_entry("charged", 1, NOW, "0" * 64, {**good, name: value}, KEY)
    except ConfigurationError:
        return
    assert type(value) in (int, float)
    assert isinstance(good[name], (int, float))


def test_an_entry_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ENTRIES[0].hash = "0" * 64  # type: ignore[misc]
