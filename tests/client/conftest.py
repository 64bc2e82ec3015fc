"""Fixtures of a hospital's tests: a small hospital, alone or several (``small_hospital``)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.outreach.decide.outreach_home import propose, write_outreach
from tests.client.small_hospital import Hospital, small_tables, small_terms
from tests.client.sum_hospitals import SumHospitals
from wardround.client.main import main
from wardround.protocol.terms.evaluation import EvaluationSettings


@pytest.fixture(scope="session")
def hospital_made(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """A hospital that nobody asked anything yet, made once; each test has a copy."""
    return Hospital(tmp_path_factory.mktemp("hospital") / "north")


@pytest.fixture
def hospital(hospital_made: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hospital whose agent takes the agreement of closed form and Opacus for granted (seconds per study)."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    place = hospital_made.copied_to(tmp_path / "north")
    yield place
    place.stop()


@pytest.fixture
def approved(hospital: Hospital) -> Hospital:
    """The hospital after its person approved the study."""
    hospital.approve()
    return hospital


@pytest.fixture
def outreach(hospital: Hospital) -> Hospital:
    """The hospital with modules, people, recipients, and twelve proposals that wait."""
    write_outreach(hospital)
    propose(hospital, *range(1, 13))
    return hospital


@pytest.fixture
def run_outreach(outreach: Hospital, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run one act of outreach; give its exit code, its JSON (or text) and its line on standard error."""

    def command(*arguments: object, plain: bool = False) -> tuple[int, Any, str]:
        given = ["outreach", *map(str, arguments), "--home", str(outreach.folder)]
        code = main([*given, *([] if plain else ["--json"])])
        printed = capsys.readouterr()
        return code, printed.out if plain or not printed.out else json.loads(printed.out), printed.err

    return command


@pytest.fixture(scope="session")
def terms_with() -> Any:
    """Make terms within the hospital's policy, with changes (``small_terms``)."""
    return small_terms


@pytest.fixture(scope="session")
def tables_of() -> Any:
    """Make the hospital's tables for some patients (``small_tables``)."""
    return small_tables


@pytest.fixture
def make_hospital(tmp_path: Path) -> Any:
    """Make more hospitals, each in a folder of its own; stop their agents at the end."""
    made: list[Hospital] = []

    def make(name: str = "other") -> Hospital:
        made.append(Hospital(tmp_path / name))
        return made[-1]

    yield make
    for place in made:
        place.stop()


@pytest.fixture(scope="session")
def sum_hospitals_made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four hospitals that approved a study with secure sums, before and after its set-up, made once for all tests."""
    approved = SumHospitals(tmp_path_factory.mktemp("sums") / "approved")
    ready = approved.copied_to(approved.folder.with_name("ready"))
    ready.set_up()
    ready.stop()
    return approved, ready


@pytest.fixture
def hospitals(
    sum_hospitals_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SumHospitals]:
    """Four hospitals that approved a study with secure sums, one of which may help the server; nothing was asked."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    made = sum_hospitals_made[0].copied_to(tmp_path / "sums")
    yield made
    made.stop()


@pytest.fixture
def ready(sum_hospitals_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SumHospitals]:
    """The same after set-up."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    made = sum_hospitals_made[1].copied_to(tmp_path / "sums")
    yield made
    made.stop()


@pytest.fixture
def sum_hospitals_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SumHospitals]:
    """Four hospitals after the set-up of a study that evaluates after its first round."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    evaluation = EvaluationSettings(rounds=(1,), noise_multiplier=20.0, score_bins=8)
    made = SumHospitals(tmp_path / "sums", evaluation=evaluation)
    made.set_up()
    yield made
    made.stop()
