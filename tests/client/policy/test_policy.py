"""Terms against a hospital's policy, clause by clause."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import AGE, CHANNEL, small_contract
from wardround.client.ledger.budget import Charge
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.peers import Peer
from wardround.client.policy.policy import Policy, at_approval, forecast, permit, simulation_policy
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, noise_multiplier_for
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.secure_sum import SecureSumSettings
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signing import new_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OPERATOR = new_key().public
CONTRACT = small_contract(
    features={"age": {**AGE, "table": "patients"}, "channel": {**CHANNEL, "vocabulary": ["sms"]}}
)
READ = (
    *(f"messages.{column}" for column in ("patient", "opened", "channel")),
    *(f"patients.{column}" for column in ("patient", "age")),
    *(
        f"consents.{column}"
        for column in ("patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at")
    ),
)
TERMS = Terms(
    study="tea",
    contract=contract_from_mapping(CONTRACT),
    model=ModelSettings(),
    privacy=PrivacySettings(epsilon=1.0, delta=1e-5),
    training=TrainingSettings(rounds=20, public_patients={"north": 1000, "south": 10_000}),
    noise_multiplier=noise_multiplier_for(1.0, 1e-5, 1.0, 20),
    expires_at="2031-01-01T00:00:00+00:00",
)
POLICY = Policy(
    delta=1e-5,
    operators={"consortium": OPERATOR},
    purposes=("engagement",),
    contracts=(TERMS.contract.fingerprint,),
    features=READ,
    models=("additive",),
    max_epsilon_per_study=1.0,
    max_epsilon_per_operator=2.0,
    max_epsilon_for_life=3.0,
    max_rounds=20,
    max_events_per_patient=4,
    min_clip_norm=0.5,
    max_clip_norm=2.0,
    min_noise_multiplier=10.0,
    min_patients=100,
    require_approval=False,
)


class Decided(MemoryLedger):
    """A ledger that holds one decision, and operators out of use."""

    def __init__(self, decision: str | None = None, retired: tuple[str, ...] = (), first: str | None = None):
        super().__init__()
        self._decision, self._retired, self._first = decision, retired, first

    def decision(self, terms: str, operator: str) -> str | None:
        return self._decision

    def identify(self, key: str) -> str | None:
        return None if key in self._retired else self._first or key


def _with(terms: Terms, **changes: Any) -> Terms:
    for group in ("privacy", "training", "model"):
        if group in changes:
            changes[group] = replace(getattr(terms, group), **changes[group])
    if "contract" in changes:
        changes["contract"] = contract_from_mapping({**CONTRACT, **changes["contract"]})
    return replace(terms, **changes)


def _refused(
    policy: Policy, terms: Terms, operator: str = OPERATOR, ledger: MemoryLedger | None = None
) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        permit(policy, terms, operator, ledger or MemoryLedger(), NOW)
    assert "\n" not in str(refusal.value)
    return refusal.value


def test_terms_within_the_policy_are_permitted() -> None:
    ledger = MemoryLedger()
    before = ledger.head
    permit(POLICY, TERMS, OPERATOR, ledger, NOW)  # a refusal would be raised
    assert all(clause.holds for clause in forecast(POLICY, TERMS, OPERATOR, ledger, NOW).clauses)
    assert ledger.head == before  # asking costs nothing


def test_the_defaults_allow_nothing() -> None:
    answer = forecast(Policy(delta=1e-5), TERMS, OPERATOR, MemoryLedger(), NOW)
    allowed = {clause.name for clause in answer.clauses if clause.holds}
    # What holds is about the terms themselves; everything that a policy must grant is refused.
    themselves = {"simulation", "noise", "expires_at", "require_consent", "delta", "epsilon"}
    assert allowed == themselves | {"max_delta_times_patients", "min_reply_delay_seconds"}


LOOSER: dict[str, dict[str, Any]] = {
    "simulation": {"simulation": True},
    "expires_at": {"expires_at": "2029-12-31T23:59:59+00:00"},
    "purposes": {"contract": {"purpose": "advertising"}},
    "contracts": {"contract": {"version": 2}},
    "features": {"contract": {"features": {"income": {"kind": "numeric", "column": "income", "edges": [1]}}}},
    "require_consent": {"contract": {"consent": {"required": False, "basis": "public interest"}}},
    "models": {"model": {"kind": "mlp", "hidden": (4,)}},
    "max_events_per_patient": {"contract": {"events_per_patient": 5}},
    "delta": {"privacy": {"delta": 2e-5}},
    "max_delta_times_patients": {"training": {"public_patients": {"north": 1000, "south": 10_001}}},
    "min_clip_norm": {"privacy": {"clip_norm": 0.49}},
    "max_clip_norm": {"privacy": {"clip_norm": 2.01}},
    "min_noise_multiplier": {"noise_multiplier": 9.99},
    "max_rounds": {"training": {"rounds": 21}},
    "min_reply_delay_seconds": {"reply_delay_seconds": 1.99},
    "epsilon": {"privacy": {"epsilon": 0.99}},
    "max_epsilon_per_study": {"privacy": {"epsilon": 9.0}, "noise_multiplier": 12.0},
}


@pytest.mark.parametrize("clause", LOOSER)
def test_terms_looser_in_one_clause_are_refused_for_that_clause(clause: str) -> None:
    terms, policy = _with(TERMS, **LOOSER[clause]), POLICY
    if clause != "contracts" and "contract" in LOOSER[clause]:
        policy = replace(policy, contracts=())  # by its columns; another contract has another fingerprint
    refusal = _refused(policy, terms)
    assert refusal.clause == clause


@pytest.mark.parametrize(
    ("clause", "cap"),
    [("max_epsilon_per_operator", "max_epsilon_per_operator"), ("max_epsilon_for_life",) * 2],
)
def test_a_study_that_alone_exceeds_a_wider_cap_is_refused(clause: str, cap: str) -> None:
    assert _refused(replace(POLICY, **{cap: 0.9}), TERMS).clause == clause


def test_every_clause_of_a_forecast_is_tried_by_a_looser_proposal() -> None:
    clauses = {clause.name for clause in forecast(POLICY, TERMS, OPERATOR, MemoryLedger(), NOW).clauses}
    elsewhere = {"noise", "operators", "approval", "max_epsilon_per_operator", "max_epsilon_for_life"}
    assert clauses == LOOSER.keys() | elsewhere


def test_a_smaller_delta_is_another_delta_and_refused() -> None:
    assert _refused(POLICY, _with(TERMS, privacy={"delta": 5e-6})).clause == "delta"


def test_every_noised_step_counts_and_sampling_too() -> None:
    refusal = _refused(POLICY, _with(TERMS, training={"local_steps": 2}))
    cost = compose_epsilon([PrivacyEvent(TERMS.noise_multiplier, 1.0, 40)], 1e-5)
    assert refusal.clause == "epsilon"
    assert f"={cost:.8g}" in str(refusal)
    permit(
        POLICY, _with(TERMS, training={"local_steps": 2, "sampling_rate": 0.1}), OPERATOR, MemoryLedger(), NOW
    )


def test_a_refusal_shows_both_values() -> None:
    text = str(_refused(POLICY, _with(TERMS, privacy={"clip_norm": 2.5})))
    assert "clip_norm=2.5" in text
    assert "at most 2" in text
    assert "policy.yaml" in text


def test_only_listed_operators_with_a_key_in_use() -> None:
    stranger, first = new_key().public, new_key().public
    assert _refused(POLICY, TERMS, stranger).clause == "operators"
    assert _refused(POLICY, TERMS, ledger=Decided(retired=(OPERATOR,))).clause == "operators"
    # After a rotation the policy may name the first key or the one in use.
    permit(replace(POLICY, operators={"consortium": first}), TERMS, OPERATOR, Decided(first=first), NOW)
    permit(POLICY, TERMS, OPERATOR, Decided(first=first), NOW)


def test_a_contract_is_allowed_by_fingerprint_or_by_its_columns_and_never_by_name() -> None:
    ledger = MemoryLedger()
    permit(
        replace(POLICY, contracts=(TERMS.contract.fingerprint,), features=()), TERMS, OPERATOR, ledger, NOW
    )
    permit(replace(POLICY, contracts=(), features=READ), TERMS, OPERATOR, ledger, NOW)
    named = replace(POLICY, contracts=(TERMS.contract.name,), features=())
    assert _refused(named, TERMS).clause == "contracts"
    assert _refused(replace(POLICY, contracts=(), features=()), TERMS).clause == "contracts"
    assert _refused(replace(POLICY, contracts=("other",), features=READ), TERMS).clause == "contracts"


@pytest.mark.parametrize("column", READ)
def test_each_column_that_is_read_must_be_listed(column: str) -> None:
    features = tuple(name for name in READ if name != column)
    refusal = _refused(replace(POLICY, features=features), TERMS)
    assert refusal.clause == "features"
    assert column in str(refusal)


def test_a_person_approves_by_default() -> None:
    asking = replace(POLICY, require_approval=True)
    assert Policy(delta=1e-5).require_approval
    assert _refused(asking, TERMS).clause == "approval"
    permit(asking, TERMS, OPERATOR, Decided("approved"), NOW)
    assert _refused(asking, TERMS, ledger=Decided("declined")).clause == "approval"
    assert _refused(POLICY, TERMS, ledger=Decided("declined")).clause == "approval"


@pytest.mark.parametrize("expiry", ["tomorrow", "2031-01-01", "2031-01-01T00:00:00"])
def test_an_expiry_that_is_no_date_with_its_zone_is_past(expiry: str) -> None:
    assert _refused(POLICY, replace(TERMS, expires_at=expiry)).clause == "expires_at"


def test_a_simulation_policy_permits_simulations_and_nothing_else() -> None:
    policy = simulation_policy(1e-5)
    permit(policy, replace(TERMS, simulation=True), "anybody", MemoryLedger(), NOW)
    assert _refused(policy, TERMS).clause == "simulation"
    assert _refused(POLICY, replace(TERMS, simulation=True)).clause == "simulation"


def _charge(round_number: int) -> Charge:
    event = PrivacyEvent(TERMS.noise_multiplier, 1.0, 1)
    terms = TERMS.fingerprint
    return Charge(
        operator=OPERATOR, study="tea", terms=terms, round=round_number, weights_digest="0" * 64, event=event
    )


def test_a_forecast_tells_the_cost_and_spends_nothing() -> None:
    ledger = MemoryLedger()
    answer = forecast(POLICY, TERMS, OPERATOR, ledger, NOW)
    exact = compose_epsilon([PrivacyEvent(TERMS.noise_multiplier, 1.0, 20)], 1e-5)
    assert answer.permitted
    assert answer.epsilon == exact <= 1.0
    assert (ledger.spent("training", 1e-5), ledger.head) == (0.0, "0" * 64)


def test_a_forecast_counts_rounds_already_charged_once() -> None:
    ledger = MemoryLedger()
    for number in range(1, 8):
        ledger.charge(_charge(number), POLICY.caps, NOW)
    assert forecast(POLICY, TERMS, OPERATOR, ledger, NOW).permitted


def test_a_forecast_sees_that_the_rest_of_the_budget_does_not_last() -> None:
    ledger = MemoryLedger()
    for number, study in enumerate(("coffee", "milk", "water") * 20):
        other = replace(_charge(number), study=study, terms="f" * 64, operator=f"other {study}")
        ledger.charge(other, replace(POLICY.caps, study=math.inf, operator=math.inf), NOW)
    answer = forecast(replace(POLICY, max_epsilon_for_life=2.0), TERMS, OPERATOR, ledger, NOW)
    refused = [clause for clause in answer.clauses if not clause.holds]
    assert [clause.name for clause in refused] == ["max_epsilon_for_life"]
    both = compose_epsilon([PrivacyEvent(TERMS.noise_multiplier, 1.0, 80)], 1e-5)
    assert f"={both:.8g}" in refused[0].asked
    # The terms alone are within the policy: rounds are refused one by one, from the one that does not fit.
    permit(replace(POLICY, max_epsilon_for_life=2.0), TERMS, OPERATOR, ledger, NOW)


@given(
    rounds=st.integers(1, 40),
    steps=st.integers(1, 5),
    noise=st.floats(0.5, 50),
    clip_norm=st.floats(0.01, 10),
    epsilon=st.floats(0.1, 10),
)
def test_whatever_is_permitted_is_within_every_limit(
    rounds: int, steps: int, noise: float, clip_norm: float, epsilon: float
) -> None:
    terms = _with(
        TERMS,
        privacy={"epsilon": epsilon, "clip_norm": clip_norm},
        training={"rounds": rounds, "local_steps": steps},
        noise_multiplier=noise,
    )
    try:
        permit(POLICY, terms, OPERATOR, MemoryLedger(), NOW)
    except Refusal:
        return
    cost = compose_epsilon([PrivacyEvent(noise, 1.0, rounds * steps)], 1e-5)
    assert cost <= min(epsilon, POLICY.max_epsilon_per_study)
    assert rounds <= 20
    assert noise >= 10
    assert 0.5 <= clip_norm <= 2


def test_a_person_answers_for_what_depends_on_the_tables() -> None:
    def held(hospital: str, eligible: int) -> dict[str, bool]:
        return {clause.name: clause.holds for clause in at_approval(POLICY, TERMS, hospital, eligible)}

    everything = {
        "hospital": True,
        "min_patients": True,
        "max_delta_times_patients": True,
        "max_patients": True,
    }
    assert held("north", 100) == everything
    assert held("north", 99) == {**everything, "min_patients": False}
    assert held("south", 10_000) == everything  # 1e-5 times 10,000 is 0.1, which the policy allows
    assert held("south", 10_001)["max_delta_times_patients"] is False  # more than declared counts as it is
    assert held("north", 2**23 + 1)["max_patients"] is False
    assert held("east", 100)["hospital"] is False


def test_evaluation_is_policed_and_forecast_on_its_own_account() -> None:
    evaluation = EvaluationSettings(rounds=(2, 4), epsilon=0.5, noise_multiplier=12.0)
    terms = replace(TERMS, evaluation=evaluation)
    cost = compose_epsilon([PrivacyEvent(12.0, 1.0, 2)], POLICY.delta)
    seen = forecast(POLICY, terms, OPERATOR, MemoryLedger(), NOW)
    assert seen.heldout_epsilon == cost
    asked = [clause.asked for clause in seen.clauses if "held_out" in clause.asked]
    assert len(asked) == 7
    dear = replace(TERMS, evaluation=replace(evaluation, noise_multiplier=0.5))
    broken = {c.name for c in forecast(POLICY, dear, OPERATOR, MemoryLedger(), NOW).clauses if not c.holds}
    assert {"epsilon", "max_epsilon_per_study", "max_epsilon_for_life"} <= broken


def test_where_the_next_release_joins_the_accounts_the_rest_of_a_study_is_composed_of_both() -> None:
    evaluation = EvaluationSettings(rounds=(2, 4), epsilon=0.5, noise_multiplier=12.0)
    terms = replace(TERMS, evaluation=evaluation)
    seen = forecast(POLICY, terms, OPERATOR, MemoryLedger(), NOW, would_join=True)
    whole = [PrivacyEvent(terms.noise_multiplier, 1.0, 20), PrivacyEvent(12.0, 1.0, 2)]
    both = compose_epsilon(whole, POLICY.delta)
    assert seen.joined
    assert seen.epsilon == seen.heldout_epsilon == both
    assert both > forecast(POLICY, terms, OPERATOR, MemoryLedger(), NOW).epsilon
    broken = [clause.name for clause in seen.clauses if not clause.holds]
    assert broken == ["max_epsilon_per_study"] * 2  # either account alone would keep to 1.0


KEYS = {name: new_key().public for name in ("east", "north", "south", "west")}
SECURE = _with(
    TERMS,
    privacy={"noise": "secure"},
    training={"public_patients": dict.fromkeys(KEYS, 1000), "rounds": 19},
    secure_sum=SecureSumSettings(threshold=4, colluding=1, parameters=3, members=KEYS),
)
FRIENDS = replace(
    POLICY,
    identity={"north": KEYS["north"]},
    peers={name: Peer(key, "2029-01-01") for name, key in KEYS.items() if name != "north"},
)


def _held(policy: Policy, terms: Terms) -> dict[str, bool]:
    clauses = forecast(policy, terms, OPERATOR, MemoryLedger(), NOW).clauses
    # One clause per name: a refusal says the name alone.
    assert len({clause.name for clause in clauses if clause.name in _SUMS}) == len(
        [clause for clause in clauses if clause.name in _SUMS]
    )
    return {clause.name: clause.holds for clause in clauses if clause.name in _SUMS}


_SUMS = ("peers", "min_colluding", "min_honest_hospitals")


def test_a_study_of_peers_is_permitted_and_one_of_strangers_is_not() -> None:
    assert _held(FRIENDS, SECURE) == dict.fromkeys(_SUMS, True)
    assert not _held(replace(FRIENDS, peers={}), SECURE)["peers"]
    assert not _held(replace(POLICY, peers={}, identity={}), SECURE)["peers"]
    # Without secure sums nobody needs to know anybody.
    assert _held(replace(FRIENDS, peers={}), TERMS) == {}


def test_one_unknown_hospital_takes_a_place_among_the_helpers() -> None:
    some = {name: peer for name, peer in FRIENDS.peers.items() if name != "west"}
    assert not _held(replace(FRIENDS, peers=some), SECURE)["peers"]
    assert _held(replace(FRIENDS, peers=some, min_colluding=0), SECURE)["peers"]


def test_the_least_t_and_the_least_m_are_the_policys() -> None:
    assert SECURE.thresholds.honest_shares == 3
    assert _held(replace(FRIENDS, min_honest_hospitals=3), SECURE)["min_honest_hospitals"]
    assert not _held(replace(FRIENDS, min_honest_hospitals=4), SECURE)["min_honest_hospitals"]
    assert _held(replace(FRIENDS, min_colluding=1), SECURE)["min_colluding"]
    assert not _held(replace(FRIENDS, min_colluding=2), SECURE)["min_colluding"]
