"""``forecast``: ε of both accounts as ledgers will say it, and by which clause a hospital would refuse."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from tests.builders import SEX, small_contract
from wardround.client.ledger.sqlite import create_ledger
from wardround.client.network.supernode import node_public_key
from wardround.client.policy.policy import Policy, forecast, permit
from wardround.conf.proposal import Serving
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, Refusal
from wardround.protocol.terms.cost import two_hospitals_epsilon
from wardround.protocol.terms.evaluation import EvaluationSettings
from wardround.protocol.terms.limits import Limits
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.published_policy import load_policy, publish_policy
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm.propose import propose
from wardround.server.commands.forecast import lines as plan_lines
from wardround.server.commands.forecast import outlook_lines
from wardround.server.main import main
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.forecast import outlooks, patient_cost, published_policies, study_forecast

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CONTRACT = small_contract(features={"sex": SEX})
POLICY = Policy(
    delta=1e-5,
    operators={"theirs": "ed25519:" + "B" * 42 + "A"},
    purposes=("engagement",),
    contracts=(contract_from_mapping(CONTRACT).fingerprint,),
    models=("additive",),
    max_epsilon_per_study=1.0,
    max_epsilon_per_operator=2.0,
    max_epsilon_for_life=3.0,
    max_rounds=20,
    max_events_per_patient=4,
    min_clip_norm=0.5,
    max_clip_norm=2.0,
    min_noise_multiplier=1.0,
    min_patients=735_713,
)


@pytest.fixture
def home(tmp_path):
    return load_operator_home(begin_operator_home(tmp_path / "op", "127.0.0.1:8443").folder)


def terms_of(simulation=False, **training):
    return propose(
        study="tea",
        contract=contract_from_mapping(CONTRACT),
        model=ModelSettings(),
        privacy=PrivacySettings(),
        training=TrainingSettings(**{"rounds": 10, **training}),
        public_patients={"north": 1000, "south": 800},
        simulation=simulation,
        evaluation=EvaluationSettings(rounds=(5, 10)),
    )


def published(home, policy=POLICY, name="north", key=None):
    folder = home.folder / "policies"
    folder.mkdir(exist_ok=True)
    save_signed(publish_policy(name, policy, NOW, key or new_key()), folder / f"{name}.policy")


def conflicts(home, terms):
    return [line for one in outlooks(home, terms, NOW) for line in outlook_lines(one)]


def kept(home, terms):
    """Lay signed terms into the operator's home, as a study that was begun; how it would be served."""
    folder = home.study("tea")
    folder.folder.mkdir(parents=True)
    save_terms(sign_terms(terms, home.key()), folder.terms)
    return Serving(study="tea", home=home.folder, round_seconds=60.0, quorum=0.5, wait_seconds=60.0, now=NOW)


def test_both_accounts_cost_what_a_hospitals_own_forecast_says(home, tmp_path):
    terms = terms_of()
    ledger = create_ledger(tmp_path / "ledger.sqlite", new_key(), "test", NOW)
    seen = forecast(POLICY, terms, home.key().public, ledger, NOW)
    ledger.close()
    cost = patient_cost(terms)
    assert (cost.training_epsilon, cost.held_out_epsilon) == (seen.epsilon, seen.heldout_epsilon)
    assert cost.delta_times_largest == pytest.approx(0.01)
    assert cost.two_hospitals_epsilon == two_hospitals_epsilon(terms, 1e-5)
    assert patient_cost(replace(terms, evaluation=None)).held_out_epsilon is None


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"max_rounds": 9}, "max_rounds"),
        ({"purposes": ("research",)}, "purposes"),
        ({"contracts": ("other",)}, "contracts"),
        ({"models": ("mlp",)}, "models"),
        ({"delta": 1e-6}, "delta"),
        ({"max_delta_times_patients": 0.009}, "max_delta_times_patients"),
        ({"max_epsilon_per_study": 0.5}, "max_epsilon_per_study"),
        ({"max_clip_norm": 0.75}, "max_clip_norm"),
        ({"min_noise_multiplier": 100.0}, "min_noise_multiplier"),
        ({"max_events_per_patient": 3}, "max_events_per_patient"),
        ({"min_reply_delay_seconds": 2.5}, "min_reply_delay_seconds"),
    ],
)
def test_plan_names_the_clause_by_which_the_hospital_itself_refuses(home, tmp_path, changes, clause):
    policy = replace(POLICY, operators={"op": home.key().public}, require_approval=False, **changes)
    published(home, policy)
    terms = terms_of()
    lines = conflicts(home, terms)
    assert lines[0].startswith(f"north: would refuse, clause {clause}: ")
    assert lines[-1] == "south: published no policy"
    ledger = create_ledger(tmp_path / "ledger.sqlite", new_key(), "test", NOW)
    with pytest.raises(Refusal) as refused:
        permit(policy, terms, home.key().public, ledger, NOW)
    ledger.close()
    assert refused.value.clause == clause


def test_terms_within_every_limit_have_no_conflict(home):
    published(home)
    assert conflicts(home, terms_of())[0].startswith("north: no conflict with the policy that it published")
    assert "would refuse, clause simulation" in conflicts(home, terms_of(simulation=True))[0]


def test_an_extract_under_another_ending_is_said_and_not_left_out_in_silence(home):
    published(home)
    (home.folder / "policies/north.policy").rename(home.folder / "policies/north.extract")
    lines = list(plan_lines(study_forecast(kept(home, terms_of()))))
    assert lines[-3] == "north: published no policy"
    assert lines[-1] == "policies/north.extract: ignored; its name must end in .policy"


def test_what_is_published_is_the_limits_and_nothing_of_patients_or_operators(home, tmp_path):
    path = tmp_path / "north.policy"
    save_signed(
        publish_policy("north", replace(POLICY, max_epsilon_for_life=float("inf")), NOW, new_key()), path
    )
    read = load_policy(path)
    assert read.limits == Limits(
        **{
            **{one.name: getattr(POLICY, one.name) for one in fields(Limits)},
            "max_epsilon_for_life": float("inf"),
        }
    )
    text = path.read_text()
    assert "735713" not in text
    assert "ed25519:BBBB" not in text
    for word in ("operators", "min_patients", "approval", "simulation"):
        assert word not in text


def test_a_file_that_the_hospital_did_not_sign_is_refused(home, tmp_path):
    path = home.folder / "policies" / "north.policy"
    published(home)
    text = path.read_text()
    path.write_text(text.replace('"max_rounds":20', '"max_rounds":2000'))
    with pytest.raises(ConfigurationError, match="signature does not fit"):
        published_policies(home)
    for wrong in (
        "",
        "[]",
        text.replace('"max_rounds":20', '"max_rounds":"20"'),
        text.replace("-policy-2", "-kit-2"),
    ):
        path.write_text(wrong)
        with pytest.raises(
            ConfigurationError, match=r"^policy=.*north\.policy: .*ask the hospital for the file again"
        ):
            published_policies(home)


def test_a_limit_that_is_no_line_of_text_is_refused_though_it_is_signed(home):
    hostile = Limits(delta=1e-5, purposes=("engagement\x1b[8m",))
    with pytest.raises(ConfigurationError, match="does not hold a policy's limits"):
        publish_policy("north", hostile, NOW, new_key())


def test_a_policy_signed_by_another_than_the_enrolled_key_is_refused(home):
    joined = new_key()
    node_key = node_public_key(home.folder / "node")
    (home.folder / "hospitals").mkdir(exist_ok=True)
    save_signed(sign_join_request("north", node_key, joined), home.folder / "hospitals/north.json")
    published(home, key=joined)
    assert set(published_policies(home)) == {"north"}
    (home.folder / "policies/north.policy").unlink()
    published(home)
    with pytest.raises(ConfigurationError, match="another key"):
        published_policies(home)


def test_plan_says_it_all_and_signs_nothing(home, capsys):
    published(home, replace(POLICY, max_rounds=9))
    kept(home, terms_of())
    asked = ["forecast", f"--home={home.folder}", "--study=tea", "--round-seconds=60"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "for held-out patients, over all evaluations (2)" in said
    assert "north: would refuse, clause max_rounds: rounds=10; it allows at most 9" in said
    assert "south: is not enrolled" in said
    assert main([*asked, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert f"ε = {plain['cost']['training_epsilon']:.4g} at" in said
    assert plain["longest_seconds"] == 12 * 60
    assert plain["hospitals"]["north"]["refuses"][0]["clause"] == "max_rounds"
    assert plain["hospitals"]["south"] == {"enrolled": False, "policy_published": None, "refuses": []}
    assert [path.name for path in home.study("tea").folder.iterdir()] == ["study.terms"]


def test_the_worst_time_and_bytes_count_spare_rounds_as_epsilon_does(home):
    members = {name: new_key().public for name in ("north", "south", "west", "east")}
    few, many = (
        propose(
            study="tea",
            contract=contract_from_mapping(CONTRACT),
            model=ModelSettings(),
            privacy=PrivacySettings(noise="secure"),
            training=TrainingSettings(rounds=10),
            public_patients=dict.fromkeys(members, 1000),
            simulation=False,
            evaluation=EvaluationSettings(rounds=(5, 10)),
            secure_sum=SecureSumChoice(spare_slots=spare),
            members=members,
        )
        for spare in (0, 3)
    )
    without = study_forecast(kept(home, few))
    home.study("tea").terms.unlink()
    home.study("tea").folder.rmdir()
    found = study_forecast(kept(home, many))
    assert (without.requests, found.requests) == (12, 15)
    assert found.longest_seconds - without.longest_seconds == 3 * 2 * 60  # two trips of each spare round
    assert found.longest_seconds == (2 * 15 + 3) * 60
    assert found.seconds == without.seconds  # spare rounds are the exception
    # Three rounds of four hospitals, and the keys of three slots more; a signature of other terms has other digits.
    set_up = found.sums.set_up - without.sums.set_up
    more = 4 * (3 * found.bytes_per_round + set_up)
    assert found.bytes_in_all - without.bytes_in_all == pytest.approx(more, abs=4 * 12 * 16)


def test_a_study_that_asked_for_interactions_is_told_why_it_has_none(home, tmp_path, capsys):
    study = ["--study", "tea", "training.public_patients={north: 1200, south: 800}"]
    signing = ["--key", str(home.folder / "operator.key"), "--out"]
    for model, count in (("interactions", 1), ("additive", 0)):
        asked = [*study, f"model={model}"]
        for command in (
            ["forecast", "--home", str(home.folder), *asked],
            ["terms", *signing, str(tmp_path / f"{model}.terms"), *asked],
        ):
            assert main(command) == 0
            said = capsys.readouterr().out.splitlines()
            why = [line for line in said if line.startswith("model=interactions is additive here")]
            assert len(why) == count
        assert main(["forecast", "--json", "--home", str(home.folder), *asked]) == 0
        told = json.loads(capsys.readouterr().out)
        assert main(["terms", "--json", *signing, str(tmp_path / f"{model}.json"), *asked]) == 0
        also = json.loads(capsys.readouterr().out)
        for one in (told, also):
            assert one["model"] == "additive"
            assert ("standard deviations of its noise, and 2 are needed" in one["why_additive"]) == bool(
                count
            )
