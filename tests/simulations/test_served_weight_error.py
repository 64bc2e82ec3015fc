"""A served newton study leaves its weights' error beside its model, signed; no hospital proposes by a changed one."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.builders import ROOT
from wardround.client.main import main
from wardround.client.outreach.signed_model import signed_beside, take_model
from wardround.conf.composed import compose_study
from wardround.conf.proposal import Serving
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.weight_error_file import WEIGHT_ERROR, read_weight_error
from wardround.protocol.wire.signed_model import MODEL
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.server.algorithm.rounds import RoundState
from wardround.server.algorithm.weight_error import posterior_factor
from wardround.server.evaluation.assess import unmeasured
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume, save_state
from wardround.server.store.event_log import EventLog
from wardround.server.store.operator_home import StudyFolder, load_operator_home
from wardround.server.study.served import ServedStudy
from wardround.server.study.study_files import write_files
from wardround.simulations.federation.federation import load_federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.study.study import answering, simulated_terms

SMALL = (
    "data.hospitals=3",
    "data.patients=1500",
    "data.messages=5000",
    "data.smallest=100",
    "data.largest=1200",
    "privacy.noise=local",
    "report.progress=false",
    "federation.cache=false",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedStudy:
    """A study served from an operator's home, its rounds closed and kept as ``train`` does, its files written."""
    settings = compose_study(*SMALL)
    federation = load_federation(settings.data, settings.contract, settings.seed)
    terms = replace(simulated_terms(settings, federation), study="tea")
    home = begin_operator_home(tmp_path_factory.mktemp("served") / "op", "127.0.0.1:8443")
    folder = home.study("tea")
    serving = Serving(
        study="tea",
        home=home.folder,
        round_seconds=1.0,
        quorum=0.6,
        wait_seconds=0.5,
        now=datetime.now(UTC),
    )
    signed = sign_terms(terms, home.key())
    study = ServedStudy(load_operator_home(home.folder), folder, signed, serving, EventLog(folder.events))
    state = run(
        terms,
        answering(federation, terms),
        on_round=lambda _, after: keep(folder, after),
    )
    write_files(study, unmeasured(terms, state, ReleaseDecisionSettings(), date(2026, 12, 7)))
    return study


def keep(folder: StudyFolder, state: RoundState) -> None:
    save_state(folder.checkpoints, state)


def copied(study: ServedStudy, folder: Path) -> Path:
    """What an operator gives out: the model, its error and the signature."""
    folder.mkdir()
    for name in (MODEL, WEIGHT_ERROR, "model.signature"):
        (folder / name).write_bytes((study.folder.folder / name).read_bytes())
    return folder / MODEL


def anybody(_key: str) -> bool:
    return True


def test_the_error_of_a_newton_study_is_signed_with_its_model_and_is_the_last_rounds(
    served: ServedStudy, tmp_path: Path
) -> None:
    assert served.terms.training.optimizer == "newton"
    at_hand = take_model(copied(served, tmp_path / "given"), None, anybody)
    assert at_hand.signature is not None
    assert {MODEL, WEIGHT_ERROR} <= set(at_hand.signature.files)
    content = signed_beside(at_hand, WEIGHT_ERROR)
    assert content is not None
    found = read_weight_error(content, served.terms.contract, WEIGHT_ERROR)
    kept = resume(served.folder.checkpoints, served.terms)
    assert kept is not None
    state = kept.state
    np.testing.assert_allclose(found, posterior_factor(served.terms, state.optimizer), rtol=1e-5, atol=1e-6)
    assert np.abs(found).max() > 0.01


@pytest.fixture
def propose(
    served: ServedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Path], tuple[int, str]]:
    """The guide's simulated home, which knows the study's terms; propose by a model there."""
    home = tmp_path / "home"
    monkeypatch.setenv("WARDROUND_HOME", str(home))
    begin = ["init", "--simulation", "7", "--as-of", "2026-12-07T09:00", "--hospital", "demo"]
    assert main(begin) == 0
    subprocess.run([sys.executable, str(ROOT / "examples/outreach/begin.py"), str(home)], check=True)
    (home / "terms").mkdir(exist_ok=True)
    save_terms(served.signed, home / "terms/tea.terms")

    def once(model: Path) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["outreach", "propose", str(model), "--accept-not-releasable", "a trial"])
        said = capsys.readouterr()
        return code, said.out + said.err

    return once


def test_a_hospital_proposes_by_the_signed_error_and_by_no_changed_one(
    served: ServedStudy, propose: Callable[[Path], tuple[int, str]], tmp_path: Path
) -> None:
    model = copied(served, tmp_path / "given")
    code, said = propose(model)
    assert code == 0, said
    assert "Proposed now" in said
    error = model.with_name(WEIGHT_ERROR)
    content = bytearray(error.read_bytes())
    content[-1] ^= 1
    error.write_bytes(content)
    code, said = propose(model)
    assert code == 2
    assert f"{WEIGHT_ERROR}: is not what the operator signed with this model" in said
    error.unlink()
    code, said = propose(model)
    assert code == 2
    assert "says nothing of its weights' error" in said


def test_an_error_exchanged_after_the_model_was_taken_is_refused(served: ServedStudy, tmp_path: Path) -> None:
    at_hand = take_model(copied(served, tmp_path / "given"), None, anybody)
    error = at_hand.path.with_name(WEIGHT_ERROR)
    error.write_bytes(error.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(ConfigurationError, match="is not what the operator signed"):
        signed_beside(at_hand, WEIGHT_ERROR)
