"""The protocol's number is raised with the bytes: what both sides must read alike is held here, by its digest."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.builders import small_contract
from tests.protocol.wire.test_sum_wire import BODIES
from tests.protocol.wire.test_sum_wire import answer as sum_answer
from tests.protocol.wire.test_sum_wire import request as sum_request
from wardround.client.network.known_app import SHIM_DIGEST, SHIM_VERSION
from wardround.protocol.contract.feature import KINDS, STATISTICS
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.protocol.text import bounds
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire import speaker
from wardround.protocol.wire.envelope import (
    encode_answer,
    sign_release,
    sign_request,
    sign_sum_answer,
    sign_sum_request,
)
from wardround.protocol.wire.kit import KIT, REQUEST
from wardround.protocol.wire.signed_file import FileForm
from wardround.protocol.wire.signed_model import EXCEPTION_FORM, SIGNATURE_FORM
from wardround.protocol.wire.signed_terms import FORM as TERMS
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import Purpose, SigningKey, public_key_text
from wardround.protocol.wire.speaker import PROTOCOL

HELD = {2: "723478ac30fc4fd9faf0dd79909ce843fd32794dab1160c5c2c606fc6d4d6e41"}
"""By protocol, the digest of ``what_both_sides_read``.

Another digest is another protocol: raise ``PROTOCOL``, add a line here, and say in the changelog what becomes of
studies that run. Only while no release has a number may its digest change.
"""
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32))


def messages() -> list[bytes]:
    """Terms, a request, a release and a refusal, and those of a secure sum, by a fixed key."""
    terms = Terms(
        study="tea",
        contract=contract_from_mapping(small_contract()),
        model=ModelSettings(kind="wide_deep", hidden=(4,)),
        privacy=PrivacySettings(),
        training=TrainingSettings(public_patients={"north": 1000}),
        noise_multiplier=20.0,
        evaluation=EvaluationSettings(rounds=(2,), noise_multiplier=5.0),
    )
    file = signed_terms_to_bytes(sign_terms(terms, KEY))
    summed = signed_terms_to_bytes(sign_terms(_summed(terms), KEY))
    plan = RoundPlan(
        study="tea", hospital="north", round=1, terms_fingerprint="ab" * 32, weights=np.ones(3, np.float32)
    )
    release = Release(
        study="tea",
        hospital="north",
        round=1,
        terms_fingerprint="ab" * 32,
        weights_digest="cd" * 32,
        vector=np.ones(3, np.float32),
    )
    until = datetime(2026, 1, 1, tzinfo=UTC)
    request = sign_request(file, plan, until, KEY)
    asked = sign_sum_request(file, sum_request(), until, KEY)
    answers = [sign_release(release, KEY), sign_sum_answer(sum_answer(), KEY), Refusal("budget", "x")]
    bodies = [body for body, _ in BODIES.values()]
    return [file, summed, request, asked, *map(encode_answer, answers), *bodies]


def _summed(terms: Terms) -> Terms:
    """Give the same study with secure sums, and members by fixed keys."""
    members = {name: public_key_text(name.encode() * 8) for name in ("east", "nort", "west")}
    return replace(
        terms,
        privacy=PrivacySettings(noise="secure"),
        training=TrainingSettings(public_patients=dict.fromkeys(members, 1000)),
        secure_sum=SecureSumSettings(threshold=3, colluding=1, parameters=3, members=members),
    )


def what_both_sides_read() -> bytes:
    """Messages, the forms of files, bounds, kinds of features, what signatures are for, and the shim."""

    def form(one: FileForm) -> list[object]:
        return [one.kind, one.format, one.purpose.value.decode(), list(one.parts), one.most]

    limits = {name: value for name, value in vars(bounds).items() if name.isupper()}
    return canonical_json(
        {
            "messages": [message.hex() for message in messages()],
            "forms": [form(one) for one in (TERMS, KIT, REQUEST, SIGNATURE_FORM, EXCEPTION_FORM)],
            "bounds": limits,
            "features": [KINDS, STATISTICS],
            "purposes": [purpose.value.decode() for purpose in Purpose],
            "contrasts": contrasts(8).of(np.eye(8)).round(9).ravel().tolist(),
            "shim": [SHIM_DIGEST, SHIM_VERSION],
        }
    )


def test_what_both_sides_read_changes_with_the_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "installed_version", lambda: "0.0.0")
    assert {PROTOCOL: hashlib.sha256(what_both_sides_read()).hexdigest()} == {PROTOCOL: HELD.get(PROTOCOL)}


def test_one_byte_of_any_of_them_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = what_both_sides_read()
    monkeypatch.setattr(speaker, "PROTOCOL", PROTOCOL + 1)
    assert what_both_sides_read() != before
    monkeypatch.undo()
    monkeypatch.setattr(bounds, "MOST_ROUNDS", 5)
    assert what_both_sides_read() != before
