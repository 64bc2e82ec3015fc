"""A recalled model is used by nobody, whatever a person accepts; a recall of a stranger takes nothing away."""

import errno
import json
import os
import shutil
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.client.outreach.test_signed_model import TERMS, Operator, notes
from wardround.client.alerts.standing import local
from wardround.client.commands.open_home import open_home
from wardround.client.commands.outreach_propose import usable_model
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.recalls import recalled_models
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.recall import SignedRecall, read_recall, sign_recall
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import SigningKey, new_key

STANDS = ("recalled", "timer")
SAID = "was recalled on 2026-05-03 by Dr. Weiss: scores of one group are inverted"


class Recalled:
    """A hospital that has a released model, and the operator who may recall it."""

    def __init__(self, hospital: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.hospital, self.folder, self.capsys = hospital, folder, capsys
        (hospital.folder / "terms").mkdir(exist_ok=True)
        save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "terms/tea.terms")
        self.operator = Operator(hospital, folder)
        self.operator.release()

    def recall(self, key: SigningKey | None = None, **other: Any) -> SignedRecall:
        said = {"study": "tea", "terms": TERMS, "model": "cd" * 32, "day": date(2026, 5, 3)}
        why = {"person": "Dr. Weiss", "reason": "scores of one group are inverted"}
        return sign_recall(key or self.operator.key, **{**said, **why, **other})

    def record(self, recall: SignedRecall, *words: str) -> tuple[int, str, str]:
        path = self.folder / "model.recall"
        path.write_bytes(recall.content)
        found = self.run("recall", str(path), *words)
        path.unlink()  # what lies beside the model counts by itself
        return found

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main([*words, "--home", str(self.hospital.folder)])
        said = self.capsys.readouterr()
        return code, " ".join(said.out.split()), " ".join(said.err.split())

    def score(self, *words: str) -> tuple[int, str, str]:
        out = self.folder / "scores.csv"
        found = self.run("score", str(self.operator.model), str(out), *words)
        assert out.exists() == (found[0] == 0)
        out.unlink(missing_ok=True)
        return found


@pytest.fixture
def stage(hospital: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Recalled:
    return Recalled(hospital, tmp_path, capsys)


def test_a_recalled_model_is_refused_by_score_and_model_whatever_is_accepted(stage: Recalled) -> None:
    assert stage.score()[0] == 0
    code, said, _ = stage.record(stage.recall())
    assert (code, SAID in said) == (0, True)
    for words in ([], ["--accept-not-releasable", "we need it"], ["--accept-unsigned", "we need it"]):
        code, _, error = stage.score(*words)
        assert (code, SAID in error) == (2, True)
    assert SAID in stage.run("model", str(stage.operator.model))[1]
    assert SAID in json.loads(stage.run("model", str(stage.operator.model), "--json")[1])["refused"]
    # Signed anew by an exception, or with its signature taken away: the same model.
    exception = stage.operator.exception()
    marks = {"exception_by": exception.person, "exception_reason": exception.reason}
    stage.operator.release(exception, **marks, release_blocks="; ".join(exception.limits))
    assert SAID in stage.score()[2]
    stage.operator.signature.unlink()
    assert SAID in stage.score("--accept-unsigned", "we need it")[2]


def test_a_timers_run_scores_nothing_by_a_recalled_model_and_has_not_failed(stage: Recalled) -> None:
    """Each night would be a fault, and an alert, that tells people what they know."""
    folder = stage.hospital.folder

    def nightly(*words: str) -> tuple[int, str, str]:
        line = ("score", str(stage.operator.model), str(stage.folder / "scores.csv"), "--by-timer", "24")
        found = stage.run(*line, *words)
        assert not (stage.folder / "scores.csv").exists()
        return found

    def told() -> list[str]:
        return sorted(one.event for one in local(load_home(folder), datetime.now(UTC)) if one.event in STANDS)

    beside = stage.folder / "model.recall"
    beside.write_bytes(stage.recall().content)
    code, _, error = nightly()  # nobody recorded it, and nobody was told
    assert (code, SAID in error, f"wardround-hospital recall {beside}" in error) == (2, True, True)
    assert told() == ["timer"]
    beside.unlink()
    stage.record(stage.recall())
    for _ in range(2):
        code, said, _ = nightly()
        assert (code, SAID in said, "systemctl disable --now wardround-score.timer" in said) == (
            0,
            True,
            True,
        )
        assert told() == ["recalled"]
    assert SAID in json.loads(nightly("--json")[1])["refused"]
    [kept] = (folder / "recalls").iterdir()
    kept.write_bytes(kept.read_bytes()[:-10])
    assert nightly()[0] == 2  # which model it names is not known any more


def test_propose_refuses_a_recalled_model(stage: Recalled) -> None:
    stage.record(stage.recall())
    options = Namespace(
        model=stage.operator.model,
        signature=None,
        terms=None,
        contract=None,
        accept_unsigned=None,
        accept_not_releasable="we need it",
        person="ada",
    )
    with open_home(stage.hospital.folder) as opened, pytest.raises(ConfigurationError, match="was recalled"):
        usable_model(opened, options)


@pytest.mark.parametrize("other", [{"study": "coffee"}, {"terms": "ef" * 32}])
def test_a_recall_of_another_study_leaves_this_one(stage: Recalled, other: dict[str, str]) -> None:
    assert stage.record(stage.recall(**other))[0] == 0
    assert stage.score()[0] == 0


def test_a_recall_names_the_file_too(stage: Recalled) -> None:
    with open_home(stage.hospital.folder):
        digest = json.loads(stage.run("model", str(stage.operator.model), "--json")[1])["model"]
    stage.record(stage.recall(study="coffee", model=digest))
    assert SAID in stage.score()[2]


def test_a_strangers_recall_is_refused_and_nothing_is_written(stage: Recalled) -> None:
    code, _, error = stage.record(stage.recall(new_key()))
    assert (code, "policy.yaml does not list" in error) == (2, True)
    assert not (stage.hospital.folder / "recalls").exists()
    assert "model_recalled" not in notes(stage.hospital)


@pytest.mark.parametrize("place", range(0, 500, 7))
def test_a_recall_with_a_byte_changed_is_refused(stage: Recalled, place: int) -> None:
    content = bytearray(stage.recall().content)
    content[place % len(content)] ^= 1
    with pytest.raises(ConfigurationError):
        read_recall(bytes(content), "changed")


def test_a_recall_is_noted_once_and_counts_though_the_key_went_out_of_use(stage: Recalled) -> None:
    assert json.loads(stage.record(stage.recall(), "--json")[1])["new"] is True
    assert json.loads(stage.record(stage.recall(), "--json")[1])["new"] is False
    assert notes(stage.hospital).count("model_recalled") == 1
    assert stage.run("operators", "revoke", stage.operator.key.public, "--reason", "x", "--yes")[0] in (0, 2)
    stage.operator.signature.unlink()
    assert SAID in stage.score("--accept-unsigned", "we need it")[2]


def test_a_recall_cut_short_before_its_note_is_refused_already_and_noted_by_the_same_command(
    stage: Recalled,
) -> None:
    recalls = stage.hospital.folder / "recalls"
    recalls.mkdir()
    (recalls / stage.recall().name).write_bytes(stage.recall().content)
    assert stage.score()[0] == 2
    stage.record(stage.recall())
    assert notes(stage.hospital).count("model_recalled") == 1


def test_a_recall_that_does_not_read_any_more_may_name_any_model(stage: Recalled) -> None:
    stage.record(stage.recall(study="coffee"))
    [kept] = (stage.hospital.folder / "recalls").iterdir()
    kept.write_bytes(kept.read_bytes()[:-10])
    code, _, error = stage.score()
    assert (code, "no model is used here" in error) == (2, True)


def test_recalls_that_may_not_be_read_may_name_any_model(
    stage: Recalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody recorded one as root: the folder is root's then, and holds nothing for whoever scores."""
    stage.record(stage.recall())
    folder = stage.hospital.folder / "recalls"
    # Both ways to list a folder: `glob` uses the first, and takes it for empty.
    for name in ("scandir", "listdir"):
        listed = getattr(os, name)

        def refused(path: Any = ".", listed: Any = listed) -> Any:
            if Path(path) == folder:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return listed(path)

        monkeypatch.setattr(os, name, refused)
    code, _, error = stage.score()
    assert (code, "Permission denied); until it can no model is used here" in error) == (2, True)
    assert recalled_models(folder).unreadable


def test_a_recall_that_lies_beside_the_model_counts_unrecorded(stage: Recalled) -> None:
    (stage.folder / "model.recall").write_bytes(stage.recall().content)
    assert SAID in stage.score()[2]


def test_a_recall_is_an_alert_to_this_hospitals_people(stage: Recalled) -> None:
    def told() -> list[str]:
        home = load_home(stage.hospital.folder)
        with open_home(stage.hospital.folder) as opened:
            now = opened.now
        return [str(one) for one in local(home, now) if one.event == "recalled"]

    assert told() == []
    stage.record(stage.recall())
    [line] = told()
    assert SAID in line
    shutil.rmtree(stage.hospital.folder / "recalls")
    assert told() == []


def test_a_reason_that_is_no_line_is_not_signed(stage: Recalled) -> None:
    for reason in ("", "two\nlines", "x" * 501):
        with pytest.raises(ConfigurationError, match="must each be one line"):
            stage.recall(reason=reason)
    read_again = read_recall(stage.recall().content, "again")
    assert replace(read_again, content=b"") == replace(stage.recall(), content=b"")
