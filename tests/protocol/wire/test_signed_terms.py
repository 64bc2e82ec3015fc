"""The signed terms file: what it proves, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.bounds import LARGEST_TERMS
from wardround.protocol.wire.signed_file import write_signed
from wardround.protocol.wire.signed_terms import (
    FORM,
    load_terms,
    save_terms,
    sign_terms,
    signed_terms_from_bytes,
    signed_terms_to_bytes,
)
from wardround.protocol.wire.signing import Purpose, SigningKey, new_key

KEY = new_key()
TERMS = Terms(
    study="tea",
    contract=contract_from_mapping(small_contract()),
    model=ModelSettings(),
    privacy=PrivacySettings(),
    training=TrainingSettings(public_patients={"north": 100}),
    noise_multiplier=20.0,
)
FILE = signed_terms_to_bytes(sign_terms(TERMS, KEY))


LINE, BODY = FILE[:-1].split(b"\n")


def _file(body: bytes, key: SigningKey = KEY) -> bytes:
    """A terms file whose body is whatever its signer wrote."""
    signature = key.sign(Purpose.TERMS, body)
    return write_signed(FORM, key.public, signature, body)


def _resigned(change: Any) -> bytes:
    plain = json.loads(BODY)
    change(plain)
    return _file(json.dumps(plain).encode())


def test_terms_survive_their_file(tmp_path: Path) -> None:
    save_terms(sign_terms(TERMS, KEY), tmp_path / "terms.json")
    signed = load_terms(tmp_path / "terms.json")
    assert signed.operator == KEY.public
    assert signed.terms.fingerprint == TERMS.fingerprint
    with pytest.raises(ConfigurationError, match="never overwritten"):
        save_terms(signed, tmp_path / "terms.json")


@given(position=st.integers(0, len(FILE) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused(position: int, byte: int) -> None:
    changed = FILE[:position] + bytes([byte]) + FILE[position + 1 :]
    if changed != FILE:
        with pytest.raises(ConfigurationError) as error:
            signed_terms_from_bytes(changed)
        assert "\n" not in str(error.value)


@given(cut=st.integers(0, len(FILE) - 1), more=st.binary(min_size=1, max_size=9))
def test_a_file_cut_or_lengthened_is_refused(cut: int, more: bytes) -> None:
    for changed in (FILE[:cut], FILE + more):
        with pytest.raises(ConfigurationError):
            signed_terms_from_bytes(changed)


def test_nothing_is_decoded_before_its_signature_was_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **settings: object) -> object:
        raise AssertionError("decoded")

    monkeypatch.setattr("wardround.protocol.wire.signed_terms.decode", never)
    other = _file(BODY, new_key())
    for forged in (LINE + b"\n" + BODY.replace(b"tea", b"pea") + b"\n", LINE + other[len(LINE) : -2] + b"\n"):
        with pytest.raises(ConfigurationError, match="signature"):
            signed_terms_from_bytes(forged)
    with pytest.raises(AssertionError, match="decoded"):
        signed_terms_from_bytes(FILE)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b":", b": ", 1),
        b" " + BODY,
        BODY + b"\n",
        BODY.replace(b'"rounds":40', b'"rounds":40,"rounds":40'),
        BODY.replace(b'"noise_multiplier":20.0', b'"noise_multiplier":20.00'),
        BODY.replace(b"tea", b"te\\u0061"),
        BODY.replace(b'"study":"tea"', b'"study":"tea","extra":1'),
    ],
)
def test_what_is_signed_has_one_spelling(body: bytes) -> None:
    assert body != BODY
    with pytest.raises(ConfigurationError):
        signed_terms_from_bytes(_file(body))


def test_a_file_of_an_earlier_version_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="earlier version; ask the operator for the file again"):
        signed_terms_from_bytes(b'{"format":"wardround-terms-1","operator":"ed25519:x"}\n')


def test_every_term_is_under_the_signature() -> None:
    for changed in (
        replace(TERMS, study="coffee"),
        replace(TERMS, noise_multiplier=2.0),
        replace(TERMS, reply_delay_seconds=1.0),
        replace(TERMS, expires_at="2101-01-01T00:00:00+00:00"),
        replace(TERMS, simulation=True),
        replace(TERMS, privacy=PrivacySettings(epsilon=2.0)),
        replace(TERMS, training=TrainingSettings(public_patients={"north": 101})),
        replace(TERMS, model=ModelSettings(kind="mlp", hidden=(4,))),
    ):
        forged = replace(sign_terms(TERMS, KEY), terms=changed)
        with pytest.raises(ConfigurationError, match="signature"):
            signed_terms_from_bytes(signed_terms_to_bytes(forged))


def test_another_key_does_not_fit() -> None:
    forged = replace(sign_terms(TERMS, KEY), operator=new_key().public)
    with pytest.raises(ConfigurationError, match="signature"):
        signed_terms_from_bytes(signed_terms_to_bytes(forged))


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("training", "rounds", 2.5),
        ("training", "rounds", True),
        ("training", "public_patients", {"north": 1.5}),
        ("training", "public_patients", ["north"]),
        ("training", "learning_rate", "1"),
        ("privacy", "epsilon", "1"),
        ("privacy", "epsilon", True),
        ("privacy", "secret", 1),
        ("model", "hidden", [1.5]),
        ("model", "kind", ["additive"]),
        ("", "simulation", "no"),
        ("", "simulation", 0),
        ("", "study", ["tea"]),
        ("", "expires_at", 1),
        ("", "noise_multiplier", None),
        ("", "reply_delay_seconds", float("inf")),
        ("", "reply_delay_seconds", float("nan")),
        ("", "contract", 3),
    ],
)
def test_a_value_of_another_type_is_one_line(group: str, key: str, value: object) -> None:
    def change(plain: Any) -> None:
        (plain[group] if group else plain)[key] = value

    with pytest.raises(ConfigurationError) as error:
        signed_terms_from_bytes(_resigned(change))
    assert "\n" not in str(error.value)
    assert "signature does not fit" not in str(error.value)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        FORM.format.encode(),
        LINE,
        LINE + b"\n",
        LINE + b"\n\n",
        b"\xff\xfe",
        b"[" * 100_000,
        FILE[:-20],
        b" " * (LARGEST_TERMS + 1),
        FILE.replace(b"\n", b"\r\n"),
        *map(_file, (b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}', b"1" * 10_000)),
        _file(BODY.replace(b"20.0", b"2e999")),
    ],
)
def test_what_is_no_terms_file_is_one_line(payload: bytes) -> None:
    with pytest.raises(ConfigurationError) as error:
        signed_terms_from_bytes(payload)
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_endless_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_terms(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="larger"):
        load_terms(Path("/dev/zero"))
