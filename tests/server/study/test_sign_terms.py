"""``wardround-serve key`` and ``terms``: a file that a hospital can read, whose noise pays for its ε."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import load_public_key
from wardround.server.main import main

HOSPITALS = "training.public_patients={north: 1200, south: 800}"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def serve(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround-serve", *arguments])
    return main()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Path:
    assert serve(monkeypatch, "key", "--out=operator.key") == 0
    return Path("operator.key")


def terms(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    given = ("--study=tea", "--key=operator.key", "--out=tea.terms", HOSPITALS)
    names = {argument.split("=")[0] for argument in arguments}
    return serve(monkeypatch, "terms", *(g for g in given if g.split("=")[0] not in names), *arguments)


def test_terms_are_signed_by_the_key_real_and_within_their_epsilon(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        terms(
            monkeypatch, "privacy.epsilon=2", "training.rounds=20", "valid_days=10", "reply_delay_seconds=5"
        )
        == 0
    )
    signed = load_terms(Path("tea.terms"))
    made = signed.terms
    assert signed.operator == load_public_key(Path("operator.key.pub"))
    assert not made.simulation
    assert dict(made.training.public_patients) == {"north": 1200, "south": 800}
    assert made.reply_delay_seconds == 5.0
    assert 1.99 < compose_epsilon(map(PrivacyEvent, made.round_noise_multipliers), 1e-5) <= 2.0
    assert len(made.round_noise_multipliers) == 20
    left = datetime.fromisoformat(made.expires_at) - datetime.now(UTC)
    assert timedelta(days=9) < left <= timedelta(days=10)
    assert sorted(path.name for path in Path().iterdir()) == ["operator.key", "operator.key.pub", "tea.terms"]


def test_terms_of_a_schedule_carry_each_round_s_noise_and_say_from_which_to_which(
    key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terms(monkeypatch, "privacy.schedule=weighted", "training.rounds=10") == 0
    each = load_terms(Path("tea.terms")).terms.round_noise_multipliers
    assert len(each) == 10
    assert f"noise multiplier {min(each):g} to {max(each):g}, by round" in capsys.readouterr().out


def test_a_contract_of_the_operators_own_is_read_from_its_file(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.yaml").write_text(
        "{name: own, version: 1, purpose: help, patient: p, label: {column: y, engaged: [a], not_engaged: [b]},"
        " events_per_patient: 2, decided_at: d, outcome_at: o, features: {x: {kind: boolean, column: x}}}"
    )
    assert terms(monkeypatch, "contract_file=own.yaml") == 0
    assert load_terms(Path("tea.terms")).terms.contract.name == "own"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("training.public_patients=null",), "training.public_patients=null: must name every hospital"),
        (("study=milk",), "study=milk: is a flag, not a study's setting; write --study milk"),
        (("privacy.epsilon=0",), "privacy.epsilon=0.0: must be greater than 0"),
        (("privacy.delta=0.01",), "privacy.delta=0.01: times the "),
        (("privacy.noise=distributed",), "privacy.noise=distributed: must be one of auto, local, secure"),
        (("valid_days=0",), "valid_days=0: must be from 1"),
        (("--key=nowhere.key",), "key=nowhere.key: cannot be read"),
        (("privacy.epsilonn=1",), "privacy.epsilonn=1: unknown key; did you mean privacy.epsilon?"),
        (("contract_file=none.yaml",), "contract_file=none.yaml: cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_line_and_writes_nothing(
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    line: str,
) -> None:
    capsys.readouterr()
    assert terms(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1
    assert not Path("tea.terms").exists()


def test_nothing_is_overwritten(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert terms(monkeypatch) == 0
    before = Path("tea.terms").read_bytes()
    assert terms(monkeypatch) == 2
    assert serve(monkeypatch, "key", "--out=operator.key") == 2
    assert Path("tea.terms").read_bytes() == before


@pytest.mark.parametrize("arguments", [("dance",), ("key",), ("key", "--out")])
def test_a_wrong_word_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert serve(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['wardround-serve', '--help']\n"
        "from wardround.server.main import main; code = main()\n"
        "sys.exit(code or bool({'hydra', 'torch', 'flwr', 'polars'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True,
                         text=True, timeout=60)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "compose a study" in ran.stdout


def test_terms_carry_the_evaluation_and_the_limits_that_were_asked_for(
    key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("training.rounds=20", "evaluation.rounds=[10,20]", "evaluation.epsilon=0.5", "fairness=limited")
    assert terms(monkeypatch, *asked) == 0
    assert "after round 10, 20, mitigation, at ε = 0.5" in capsys.readouterr().out
    made = load_terms(Path("tea.terms")).terms
    assert made.evaluation is not None
    assert made.evaluation.rounds == (10, 20, 21)  # one more measures what a mitigation does
    spent = compose_epsilon([PrivacyEvent(made.evaluation.noise_multiplier, 1.0, 3)], 1e-5)
    assert 0.49 < spent <= 0.5
    assert made.fairness.limits["selection"] == 0.2
    assert terms(monkeypatch, "evaluation=none", "--out=bare.terms") == 0
    assert "will not be marked releasable" in capsys.readouterr().out
    assert load_terms(Path("bare.terms")).terms.evaluation is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("evaluation=none", "fairness=limited"), "fairness.mitigation=equal_selection"),
        (("evaluation.epsilon=0",), "evaluation.epsilon=0"),
        (("release_decision.days=0",), "release_decision.days=0"),
        (("release_decision.exception_by=Weiss",), "release_decision.exception_reason"),
    ],
)
def test_wrong_settings_of_evaluation_and_review_are_one_line(
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: tuple[str, ...],
    said: str,
) -> None:
    assert terms(monkeypatch, *wrong) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
    assert not Path("tea.terms").exists()


@pytest.mark.parametrize("wrong", ["privacy.epsilon=1e9", "privacy.clip_norm=1e-30", "privacy.delta=1e-13"])
def test_terms_that_no_hospital_could_count_with_are_not_signed(
    key: Path, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terms(monkeypatch, wrong) == 2
    assert "in terms" in capsys.readouterr().err
    assert not Path("tea.terms").exists()
