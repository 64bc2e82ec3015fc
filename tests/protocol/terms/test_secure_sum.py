"""What terms say of secure sums: bounds, defaults, members; the noise of one hospital; slots; what a plan asks."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import PUBLIC, simulated_terms, small_contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.accounting import compose_epsilon
from wardround.protocol.secure_sum.label import Slot
from wardround.protocol.secure_sum.thresholds import Thresholds, default_thresholds
from wardround.protocol.terms.cost import study_epsilon, training_events
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.reading import terms_from_mapping
from wardround.protocol.terms.request import MEAN_ROWS, TABLES, UPDATE, misasked, request_in
from wardround.protocol.terms.secure_sum import SecureSumChoice, SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import RoundPlan, Terms, terms_to_mapping
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.wire.signed_file import sign_body
from wardround.protocol.wire.signed_terms import (
    FORM,
    sign_terms,
    signed_terms_from_bytes,
    signed_terms_to_bytes,
)
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm.propose import propose

KEY = new_key()
NAMES = ("east", "north", "south", "west")
MEMBERS = {name: new_key().public for name in NAMES}


def terms(**changes: Any) -> Terms:
    """Give a real study of four hospitals, composed as an operator would."""
    given: dict[str, Any] = {
        "study": "tea",
        "contract": contract_from_mapping(small_contract(**PUBLIC)),
        "model": ModelSettings(),
        "privacy": PrivacySettings(noise="secure"),
        "training": TrainingSettings(rounds=8, optimizer="newton"),
        "public_patients": dict.fromkeys(NAMES, 1000),
        "simulation": False,
        "evaluation": EvaluationSettings(rounds=(4, 8)),
        "members": MEMBERS,
    }
    return propose(**given | changes)


def plan(of: Terms, **changes: Any) -> RoundPlan:
    fields: dict[str, Any] = {"round": 1, "asks": "update", "roster": "ab" * 32, **changes}
    weights = np.zeros(3, np.float32)
    return RoundPlan(
        study=of.study, hospital="north", terms_fingerprint=of.fingerprint, weights=weights, **fields
    )


def test_defaults_are_resolved_in_terms_and_what_is_chosen_stays() -> None:
    assert terms().thresholds == default_thresholds(4) == Thresholds(4, 1, 3)
    chosen = terms(secure_sum=SecureSumChoice(threshold=4, colluding=2, spare_slots=3))
    assert chosen.thresholds == Thresholds(4, 2, 4)
    assert chosen.last_round == 11
    assert terms().secure_sum.parameters == terms().contract.layout.width


def test_terms_travel_signed_and_have_one_spelling() -> None:
    signed = sign_terms(terms(), KEY)
    back = signed_terms_from_bytes(signed_terms_to_bytes(signed))
    assert back == signed
    assert terms_from_mapping(terms_to_mapping(terms())) == terms()


@pytest.mark.parametrize("which", ["rounds", "one round", "tables"])
def test_noise_that_no_sum_has_is_refused_with_its_terms(which: str) -> None:
    """A hospital could ask no clause of them: it was late for ever, and said to nobody why."""
    whole = terms(privacy=PrivacySettings(noise="secure", schedule="weighted"))
    if which == "rounds":
        each = tuple(4e7 * one for one in whole.round_noise_multipliers)
        loud = replace(whole, noise_multiplier=min(each), round_noise_multipliers=each)
    elif which == "one round":
        loud = replace(whole, round_noise_multipliers=(*whole.round_noise_multipliers[:-1], 9e8))
    else:
        assert whole.evaluation is not None
        loud = replace(whole, evaluation=replace(whole.evaluation, noise_multiplier=9e8))
    with pytest.raises(ConfigurationError, match=r"^(variance of noise|clip units)="):
        signed_terms_from_bytes(signed_terms_to_bytes(sign_terms(loud, KEY)))


def test_local_studies_have_the_fingerprint_that_they_had() -> None:
    assert "secure_sum" not in terms_to_mapping(simulated_terms())


@pytest.mark.parametrize("number", [3.0, 3.5, True, "3", None, [3], {}])
def test_a_number_of_another_type_is_refused_whoever_signed(number: object) -> None:
    plain: dict[str, Any] = terms_to_mapping(terms())
    plain["secure_sum"] = {**plain["secure_sum"], "threshold": number}
    with pytest.raises(ConfigurationError):
        signed_terms_from_bytes(sign_body(FORM, canonical_json(plain), KEY))


def test_two_hospitals_have_no_secure_sum() -> None:
    line = r"^privacy\.noise=secure: needs at least 3 hospitals, here 2; use local$"
    with pytest.raises(ConfigurationError, match=line):
        terms(public_patients={"north": 1000, "south": 1000})


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        ({"threshold": 2}, r"secure_sum\.threshold=2: must be from 3 to 4 for 4 hospitals of which 1"),
        ({"colluding": 3}, r"secure_sum\.colluding=3: must be from 0 to 2"),
        ({"spare_slots": 101}, r"secure_sum\.spare_slots=101: must be from 0 to 100"),
        ({"max_epsilon_unmasked": 0.0}, r"secure_sum\.max_epsilon_unmasked=0\.0"),
    ],
)
def test_what_fits_no_sum_is_one_line(choice: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        terms(secure_sum=SecureSumChoice(**choice))


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({}, "must name exactly the study's hospitals"),
        ({name: MEMBERS[name] for name in NAMES[:3]}, r"look at west"),
        ({**MEMBERS, "other": KEY.public}, r"look at other"),
        ({**MEMBERS, "west": MEMBERS["north"]}, "two hospitals have one signing key"),
    ],
)
def test_members_are_exactly_the_hospitals_with_keys_of_their_own(members: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        terms(members=members)


@pytest.mark.parametrize(
    "key",
    ["", "north", "ed25519:" + "A" * 43, MEMBERS["north"] + "="],
    ids=["none", "a_name", "small_order", "second_spelling"],
)
def test_a_member_without_a_good_key_is_signed_by_nobody_and_read_by_nobody(key: str) -> None:
    wrong = terms(members={**MEMBERS, "west": key})
    with pytest.raises(ConfigurationError, match=r"^secure_sum\.members\.west: key: is "):
        sign_terms(wrong, KEY)
    with pytest.raises(ConfigurationError, match=r"^secure_sum\.members\.west: key: is "):
        signed_terms_from_bytes(sign_body(FORM, canonical_json(terms_to_mapping(wrong)), KEY))


def test_a_simulation_has_no_members_and_may_be_larger_than_any_real_study() -> None:
    with pytest.raises(ConfigurationError, match=r"secure_sum\.members.*must be empty in a simulation"):
        terms(simulation=True)
    many = {f"h{number}": 1000 for number in range(10_000)}
    assert terms(simulation=True, members=None, public_patients=many).thresholds.honest_shares == 6429
    names = list(many)[:1001]
    with pytest.raises(ConfigurationError, match=r"hospitals=1001: must be at most 1000"):
        terms(members=dict.fromkeys(names, "k"), public_patients=dict.fromkeys(names, 1000))


def test_the_settings_and_the_word_come_together() -> None:
    with pytest.raises(ConfigurationError, match=r"secure_sum=None: must be set with privacy\.noise=secure"):
        replace(simulated_terms(noise="secure"), secure_sum=None)
    sums = SecureSumSettings(threshold=3, colluding=1, parameters=5)
    with pytest.raises(ConfigurationError, match="left out otherwise"):
        replace(simulated_terms(), secure_sum=sums)


@pytest.mark.parametrize("request_kind", [UPDATE, MEAN_ROWS, TABLES], ids=lambda kind: kind.word)
def test_the_smallest_sum_has_the_noise_that_is_charged(request_kind: Any) -> None:
    """σ of the event is at most that of m shares, and the grid's rounding costs less than 1 % of it."""
    asked = terms()
    number = request_kind.rounds(asked)[0]
    noise, sigma = request_kind.sum_noise(asked, number), request_kind.event(asked, number).noise_multiplier
    honest = asked.thresholds.honest_shares
    assert sigma <= noise.shares.multiplier(honest) < 1.01 * sigma
    assert noise.shares.multiplier(honest - 1) < sigma
    bound = asked.privacy.clip_norm if request_kind.account == "training" else 1.0
    assert noise.stddev == pytest.approx(sigma * bound / math.sqrt(honest), rel=0.01)
    assert request_kind.noise_stddev(asked, number) == noise.stddev


def test_epsilon_counts_the_spare_slots() -> None:
    asked = terms()
    assert [event.count for event in training_events(asked)] == [9]
    assert study_epsilon(asked, 1e-5)["training"] <= 1.0
    (event,) = training_events(asked)
    assert compose_epsilon([replace(event, count=10)], 1e-5) > 1.0


def test_slots_are_numbered_as_rounds_and_tables_have_no_spare() -> None:
    found = slots_of(terms())
    assert found[:9] == tuple(Slot("training", "round", number) for number in range(1, 10))
    assert found[9:] == (Slot("held_out", "tables", 4), Slot("held_out", "tables", 8))
    assert slots_of(simulated_terms()) == ()


def test_a_plan_of_a_secure_sum_says_what_it_asks() -> None:
    asked = terms()
    assert request_in(plan(asked, asks="mean_rows", round=5), asked) is MEAN_ROWS
    assert request_in(plan(asked, asks="update", round=1), asked) is UPDATE
    assert request_in(plan(asked, asks="tables", account="held_out", round=4), asked) is TABLES
    assert [misasked(plan(asked, asks=word), asked) for word in ("update", "mean_rows")] == ["", ""]
    for wrong in ({"asks": ""}, {"asks": "tables"}, {"account": "held_out"}):
        assert misasked(plan(asked, **wrong), asked)


def test_a_plan_says_mean_rows_only_where_the_terms_have_such_rounds_and_nothing_without_secure_sums() -> (
    None
):
    plain = terms(training=TrainingSettings(rounds=8, optimizer="sgd"))
    assert misasked(plan(plain, asks="mean_rows"), plain) == "must be update for training patients"
    local = simulated_terms()
    assert misasked(plan(local, asks="update"), local)
    assert not misasked(plan(local, asks=""), local)
