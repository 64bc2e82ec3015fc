"""A served study's evaluation: asked until a quorum answers, kept, resumed for free; its files and exception."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.builders import PUBLIC, SEX, small_contract
from wardround.client.outreach.signed_model import check_marks, take_model
from wardround.conf.proposal import Serving
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model_file import load_model, read_model
from wardround.protocol.terms.contrasts import contrasts
from wardround.protocol.terms.evaluation import (
    EvaluationSettings,
    FairnessSettings,
    table_factors,
    table_rows,
)
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Release
from wardround.protocol.wire.signed_model import MODEL, sign_exception, weights_digest
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key, save_key
from wardround.server.algorithm import rounds
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.screen import NoRelease
from wardround.server.commands import approve, status
from wardround.server.commands.approve import sign
from wardround.server.commands.arguments import parser
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume
from wardround.server.store.event_log import EventLog, read_events
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study import held_out, quorum, serve, study_files
from wardround.server.study.begin import keep_terms
from wardround.server.study.exception_file import load_exception
from wardround.server.study.release_decision_file import begin_release_decision
from wardround.server.study.served import ServedStudy, look_at
from wardround.server.watch.standing import standing

HOSPITALS = {"north": 20_000, "south": 30_000, "west": 60_000}
CONTRACT = small_contract(**PUBLIC, features={"sex": SEX}, groups=["sex"])


class Ward:
    """Hospitals that answer evaluations with exact tables, the second group's scores shifted by ``shift`` bins."""

    def __init__(self, terms, shift=0):
        self.terms, self.shift, self.asked, self.silent = terms, shift, [], set()

    def __call__(self, plans):
        for plan in plans:
            self.asked.append((plan.hospital, plan.round, plan.weights_digest))
            if plan.hospital in self.silent:
                yield NoRelease(plan.hospital, "refused: max_epsilon_for_life")
            else:
                yield self.release(plan)

    def release(self, plan):
        asked = self.terms.evaluation
        bins = asked.score_bins
        counts = np.zeros((len(table_rows(self.terms.contract)), 2, bins))
        centre = 6 * (np.arange(bins) - bins / 2 + 0.5)
        # A threshold per group is asked for in weights that were moved: then the shift is gone.
        shift = self.shift if plan.round <= self.terms.training.rounds else 0
        for row, moved in ((1, -shift), (2, shift)):
            for label in (0, 1):
                bell = np.exp(-(((centre - moved - (4 if label else -4)) / 6) ** 2))
                counts[row, label] = 3000 * bell / bell.sum()
        counts[0] = counts[1:].sum(axis=0)
        factors = table_factors(self.terms.contract, asked)
        return Release(
            study="tea",
            hospital=plan.hospital,
            round=plan.round,
            terms_fingerprint=self.terms.fingerprint,
            weights_digest=plan.weights_digest,
            vector=(contrasts(bins).of(counts) * factors[:, None, None]).ravel().astype(np.float32),
            account="held_out",
        )


def terms_of(rounds_named=(), **fairness):
    return propose(
        study="tea",
        contract=contract_from_mapping(CONTRACT),
        model=ModelSettings(),
        privacy=PrivacySettings(delta=1e-6),
        training=TrainingSettings(rounds=3),
        public_patients=HOSPITALS,
        simulation=False,
        evaluation=EvaluationSettings(rounds=rounds_named),
        fairness=FairnessSettings(**fairness),
    )


@pytest.fixture
def make_study(tmp_path, capsys):
    def make(terms, **decision):
        home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
        folder = home.study("tea")
        serving = Serving(
            study="tea",
            home=home.folder,
            round_seconds=1.0,
            quorum=0.6,
            wait_seconds=0.05,
            now=datetime.now(UTC),
        )
        signed = sign_terms(terms, home.key())
        keep_terms(folder, signed)
        begin_release_decision(folder.release_decision, ReleaseDecisionSettings(**decision))
        return ServedStudy(load_operator_home(home.folder), folder, signed, serving, EventLog(folder.events))

    return make


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.001)


def trained(study, moved=0.25):
    state = rounds.skip_to(rounds.init(study.terms), study.terms.training.rounds + 1)
    state = replace(state, weights=state.weights + moved)
    serve.save_state(study.folder.checkpoints, state)
    return state


def finish(study, ask, state=None):
    state = state or trained(study)
    serve._evaluate(study, state, ask)
    found = held_out.conclude(study, state)
    serve._finish(study, found)
    return found


def kinds(study):
    return [event["event"] for event in read_events(study.folder.events)]


def facts_of(study):
    return load_model(study.folder.model, study.terms.contract).facts


def test_the_finished_model_is_evaluated_once_and_marked_with_what_was_found(make_study):
    study = make_study(terms_of(), approved_by=("Dr. Weiss",))
    ward = Ward(study.terms)
    found = finish(study, ward)
    assert [hospital for hospital, _, _ in ward.asked] == ["north", "south", "west"]
    assert {number for _, number, _ in ward.asked} == {3}
    assert kinds(study) == ["evaluation_announced", "evaluated", "finished"]
    assert facts_of(study)["releasable"] == "yes"
    assert facts_of(study)["simulation"] == "false"
    folder = study.folder.folder
    plain = json.loads((folder / "evaluation.json").read_text())
    assert plain["evaluation"]["auc"]["value"] == pytest.approx(found.before.evaluation.auc.value)
    assert plain["evaluation"]["auc"]["low"] < plain["evaluation"]["auc"]["value"]
    assert plain["evaluation_epsilon"] == pytest.approx(1.0, abs=1e-3)
    for name in ("model_card.md", "model_card.html"):
        card = (folder / name).read_text()
        assert "Releasable, usable until" in card
        assert f"{found.before.evaluation.auc.value:.3f}" in card
        assert "approved by: Dr. Weiss" in card
    assert "Fairness" in (folder / "report.html").read_text()
    assert json.loads((folder / "report.json").read_text())["releasable"] is True


def test_whoever_resumes_a_finished_study_asks_nobody(make_study):
    study = make_study(terms_of())
    state = trained(study)
    finish(study, Ward(study.terms), state)
    files = [path for path in study.folder.folder.glob("*.*") if path.suffix in (".html", ".md", ".json")]
    before, marked = {path: path.read_bytes() for path in files}, facts_of(study)
    serve._finish(study, serve._run(study, state))
    assert len(before) == 6
    assert {path: path.read_bytes() for path in files} == before
    assert facts_of(study) == marked


def test_a_killed_server_asks_again_with_the_same_weights(make_study, monkeypatch):
    study = make_study(terms_of())
    state, ward = trained(study), Ward(study.terms)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(held_out, "save_sum", dies)
        with pytest.raises(KeyboardInterrupt):
            serve._evaluate(study, state, ward)
    assert held_out.conclude(study, state) is None
    assert facts_of(study)["releasable"] == "no"
    first, ward.asked = ward.asked, []
    finish(study, ward, state)
    assert ward.asked == first
    assert facts_of(study)["releasable"] == "yes"


def test_below_the_quorum_the_same_is_asked_again_and_the_wait_ends_unevaluated(make_study):
    study = make_study(terms_of())
    ward = Ward(study.terms)
    ward.silent = {"south", "west"}
    with pytest.raises(ConfigurationError, match=r"1 of 3 hospitals .*west: refused: max_epsilon_for_life"):
        finish(study, ward)
    asked = len(ward.asked)
    assert asked >= 6
    assert len(set(ward.asked)) == 3
    assert facts_of(study)["releasable"] == "no"
    assert "was not evaluated" in facts_of(study)["release_blocks"]
    assert json.loads((study.folder.folder / "evaluation.json").read_text())["evaluation_epsilon"] > 0.9
    ward.silent = {"west"}
    found = finish(study, ward, trained(study))
    assert found.released.evaluation.hospitals == 2


def test_a_stop_between_two_askings_leaves_the_evaluation_for_resume(make_study):
    study = make_study(terms_of())
    ward = Ward(study.terms)
    ward.silent = set(HOSPITALS)
    state = trained(study)

    def ask(plans):
        study.folder.stop.touch()
        return ward(plans)

    with pytest.raises(quorum.Stopped):
        serve._evaluate(study, state, ask)


def test_evaluations_on_the_way_are_kept_and_counted_and_a_silent_one_stops_nothing(make_study):
    study = make_study(terms_of(rounds_named=(1, 2, 3)))
    ward, terms = Ward(study.terms), study.terms
    first = rounds.skip_to(rounds.init(terms), 2)
    held_out.evaluate_between(study, first, ward)
    held_out.evaluate_between(study, first, ward)  # killed and resumed at the same place
    assert len(ward.asked) == 3
    ward.silent = set(HOSPITALS)
    held_out.evaluate_between(study, rounds.skip_to(first, 3), ward)
    assert kinds(study)[-1] == "not_evaluated"
    ward.silent = set()
    found = finish(study, ward)
    assert [one.evaluation.round for one in found.findings] == [1, 3]
    assert found.event.count == 3  # what was asked for is paid, whether it was answered or not
    assert standing_of(study)["evaluated"]["round"] == 3


def standing_of(study):
    (plain,) = standing(study.home)["studies"]
    return plain


def test_status_says_each_hospitals_newest_ledger_head(make_study):
    study = make_study(terms_of())
    assert standing_of(study)["ledger_heads"] == {}
    state = replace(rounds.skip_to(rounds.init(study.terms), 2), ledger_heads={"north": "ab" * 32})
    serve.save_state(study.folder.checkpoints, state)
    assert standing_of(study)["ledger_heads"] == {"north": "ab" * 32}


def said_by_status(study, capsys):
    capsys.readouterr()
    (study.home.folder / "tls").mkdir(exist_ok=True)
    status.run(parser().parse_args(["status", f"--home={study.home.folder}"]))
    return capsys.readouterr().out


def test_status_says_the_newest_evaluation(make_study, capsys):
    study = make_study(terms_of())
    found = finish(study, Ward(study.terms))
    plain = standing_of(study)
    assert plain["evaluated"]["auc"]["value"] == pytest.approx(found.before.evaluation.auc.value)
    assert plain["releasable"] is True
    said = said_by_status(study, capsys)
    assert f"AUC {found.before.evaluation.auc.value:.3f}" in said
    assert "on held-out patients, after round 3\n" in said


def test_weights_that_were_measured_and_lost_leave_the_model_unevaluated(make_study):
    study = make_study(terms_of())
    ward = Ward(study.terms)
    ward.silent = set(HOSPITALS)
    with pytest.raises(ConfigurationError, match="0 of 3"):
        finish(study, ward)
    lost = trained(study, moved=0.5)
    ward.silent, ward.asked = set(), []
    found = held_out.conclude(study, lost)
    assert found.before is None
    assert not found.release_decision.releasable
    assert found.event.count == 1
    assert ward.asked == []


def test_tables_of_other_weights_never_speak_for_a_model(make_study):
    study = make_study(terms_of())
    finish(study, Ward(study.terms))
    found = held_out.conclude(study, trained(study, moved=0.5))
    assert found.before is None
    assert not found.release_decision.releasable


def test_a_damaged_sum_is_asked_for_again(make_study):
    study = make_study(terms_of())
    ward, state = Ward(study.terms), trained(study)
    finish(study, ward, state)
    (path,) = study.folder.evaluations.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert held_out.conclude(study, state) is None
    finish(study, ward, state)
    assert len(ward.asked) == 6
    assert len(set(ward.asked)) == 3


def test_a_mitigation_is_measured_by_one_more_evaluation_and_its_thresholds_stand_in_the_model(
    make_study, capsys
):
    study = make_study(terms_of(max_selection_gap=0.2, mitigation="equal_selection"))
    ward = Ward(study.terms, shift=5)
    found = finish(study, ward)
    assert sorted({number for _, number, _ in ward.asked}) == [3, 4]
    assert found.event.count == 2
    thresholds = json.loads(facts_of(study)["group_thresholds"])
    assert thresholds["sex"]["M"] > float(facts_of(study)["selection_threshold"]) > thresholds["sex"]["F"]
    card = (study.folder.folder / "model_card.md").read_text()
    assert "Mitigation “equal selection”" in card
    assert standing_of(study)["evaluated"]["mitigated"] is True
    assert "on held-out patients, as mitigated\n" in said_by_status(study, capsys)


def test_a_named_person_signs_for_an_unmet_limit_afterwards(make_study):
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    marked = facts_of(study)
    assert marked["releasable"] == "no"
    again = look_at(study.home, "tea")
    sign(again, "Dr. Weiss", "both groups are called by hand")
    signed = facts_of(study)
    assert signed["releasable"] == "yes"
    assert signed["exception_by"] == "Dr. Weiss"
    assert signed["usable_until"] == marked["usable_until"]
    card = (study.folder.folder / "model_card.md").read_text()
    assert "by the exception that Dr. Weiss signed" in card
    assert "both groups are called by hand" in card
    assert kinds(study)[-1] == "exception"
    assert standing_of(study)["releasable"] is True
    assert standing_of(study)["state"] == "finished"
    with pytest.raises(ConfigurationError, match="nothing to sign for"):
        sign(again, "Somebody", "else")


def test_no_signature_replaces_an_evaluation(make_study):
    study = make_study(replace(terms_of(), evaluation=None))
    with pytest.raises(ConfigurationError, match="has not ended"):
        sign(study, "Dr. Weiss", "in a hurry")
    finish(study, Ward(study.terms))
    assert facts_of(study)["releasable"] == "no"
    with pytest.raises(ConfigurationError, match=r"was not evaluated .*can lift limits, but not this"):
        sign(study, "Dr. Weiss", "in a hurry")


def test_an_exception_needs_a_name_and_a_reason(make_study, capsys):
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    with pytest.raises(ConfigurationError, match="exception"):
        sign(study, "Dr. Weiss", " ")
    given = ["approve", "--study=tea", f"--home={study.home.folder}", "--reason=called by hand"]
    with pytest.raises(ConfigurationError, match="required: --person"):
        parser().parse_args(given)
    assert facts_of(study)["releasable"] == "no"
    approve.run(parser().parse_args([*given, "--person=Dr. Weiss"]))
    assert "by the exception that Dr. Weiss signed" in capsys.readouterr().out
    assert facts_of(study)["exception_reason"] == "called by hand"


def taken(study):
    """What a hospital that lists this operator verifies of the study's folder."""
    return take_model(study.folder.model, None, {study.home.key().public}.__contains__)


def test_all_that_a_study_leaves_is_signed(make_study):
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    at_hand = taken(study)
    assert {MODEL, *at_hand.beside} == {
        "model.safetensors", "model_card.md", "model_card.html", "evaluation.json", "report.json", "report.html",
    }  # fmt: skip
    assert (at_hand.signature.study, at_hand.signature.terms) == ("tea", study.terms.fingerprint)
    check_marks(at_hand, read_model(at_hand.content, study.terms.contract, "model"))
    assert at_hand.exception is None
    sign(look_at(study.home, "tea"), "Dr. Weiss", "called by hand")
    after = taken(study)
    check_marks(after, read_model(after.content, study.terms.contract, "model"))
    assert (after.exception.person, after.exception.reason) == ("Dr. Weiss", "called by hand")
    assert after.exception.limits == conclude(study).release_decision.blocks


def conclude(study):
    return held_out.conclude(study, resume(study.folder.checkpoints, study.terms).state)


def test_an_exception_edited_anywhere_is_refused_by_name(make_study):
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    sign(study, "Dr. Weiss", "called by hand")
    path = study.folder.exception
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ (0x01, 0x20, 0x80)[at % 3]]) + content[at + 1 :])
        with pytest.raises(ConfigurationError, match=r"^exception=.*exception\.signed: "):
            load_exception(study)
    with pytest.raises(ConfigurationError, match=r"exception\.signed: "):
        conclude(study)
    path.write_bytes(content)
    assert conclude(study).release_decision.releasable


def test_an_exception_for_another_model_lets_none_pass(make_study):
    study = make_study(terms_of(max_selection_gap=0.05))
    found = finish(study, Ward(study.terms, shift=5))
    said = {"study": "tea", "terms": study.terms.fingerprint, "limits": found.release_decision.blocks}
    said |= {"weights": weights_digest(found.weights), "person": "Dr. Weiss", "reason": "called by hand"}
    other = {"weights": "cd" * 32}, {"limits": ("another limit",)}, {"study": "coffee"}, {"terms": "cd" * 32}
    for change in other:
        study.folder.exception.write_bytes(sign_exception(study.home.key(), **{**said, **change}).content)
        with pytest.raises(ConfigurationError, match=r"exception\.signed: .*have the person sign again"):
            conclude(study)
    study.folder.exception.write_bytes(sign_exception(new_key(), **said).content)
    with pytest.raises(ConfigurationError, match="another key than operator"):
        conclude(study)
    study.folder.exception.write_bytes(sign_exception(study.home.key(), **said).content)
    assert conclude(study).release_decision.releasable


def test_an_exception_that_is_written_into_the_review_is_refused(make_study):
    """So 0.1.0 kept it: whoever could edit the file could write one."""
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    plain = json.loads(study.folder.release_decision.read_text())
    study.folder.release_decision.write_text(
        json.dumps({**plain, "exception_by": "Dr. Weiss", "exception_reason": "x"})
    )
    with pytest.raises(
        ConfigurationError, match=r"release_decision\.json: holds an exception that nobody signed"
    ):
        conclude(study)


def test_an_ended_study_is_signed_again_with_the_key_of_today(make_study):
    study = make_study(terms_of())
    finish(study, Ward(study.terms))
    before = taken(study).signature.operator
    for name in ("operator.key", "operator.key.pub"):
        (study.home.folder / name).unlink()
    save_key(new_key(), study.home.folder / "operator.key")
    with pytest.raises(ConfigurationError, match="out of use"):
        taken(study)
    serve._serve(study)  # as resume does; nobody is enrolled here, and nobody is asked
    assert taken(study).signature.operator == study.home.key().public != before


def test_files_written_halfway_are_taken_for_signed_by_nobody(make_study, monkeypatch):
    """A crash before the signature over the new files: hospitals refuse the mixture, and resume ends the work."""
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    durably = study_files.write_durably

    def crashes(path, content):
        if path.name == "model.signature":
            raise OSError(28, "No space left on device")
        durably(path, content)

    with monkeypatch.context() as crash:
        crash.setattr(study_files, "write_durably", crashes)
        with pytest.raises(OSError, match="No space"):
            sign(look_at(study.home, "tea"), "Dr. Weiss", "called by hand")
    with pytest.raises(ConfigurationError, match=r"model\.safetensors: is not the model that"):
        taken(study)
    serve._serve(study)
    assert taken(study).exception.person == "Dr. Weiss"
    assert facts_of(study)["releasable"] == "yes"


def test_one_byte_changed_in_any_file_of_a_study_is_refused_by_name(make_study):
    study = make_study(terms_of(max_selection_gap=0.05))
    finish(study, Ward(study.terms, shift=5))
    sign(look_at(study.home, "tea"), "Dr. Weiss", "called by hand")
    for name in (*taken(study).signature.files, "model.signature"):
        path = study.folder.folder / name
        content = path.read_bytes()
        for at in {*range(0, len(content), len(content) // 40), len(content) - 1}:
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :])
            with pytest.raises(ConfigurationError, match=re.escape(name)):
                taken(study)
        path.write_bytes(content)
    assert len(taken(study).beside) == 5
