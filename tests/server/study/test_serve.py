"""A round below its quorum: the state stays, the same round is asked again, and the wait ends with who was lacking."""

import itertools
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from wardround.client.network.supernode import node_public_key
from wardround.conf.proposal import Serving
from wardround.conf.settings import ReleaseDecisionSettings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signed_terms import load_terms, sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundSummary
from wardround.server.algorithm.screen import NoRelease
from wardround.server.commands import approve
from wardround.server.commands.arguments import parser
from wardround.server.evaluation.assess import unmeasured
from wardround.server.network.superlink import ServerAway
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume
from wardround.server.store.event_log import EventLog, closed_rounds, read_events
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study import at_server, quorum, serve
from wardround.server.study.served import ServedStudy, check_times
from wardround.server.study.study_files import report


@pytest.fixture
def study(make_terms, tmp_path, capsys):
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    folder = home.study("tea")
    quick = replace(make_terms(rounds=2), simulation=False, reply_delay_seconds=0.0)
    terms = sign_terms(quick, home.key())
    settings = Serving(
        study="tea",
        home=home.folder,
        round_seconds=1.0,
        quorum=0.6,
        wait_seconds=0.5,
        now=datetime.now(UTC),
    )
    return ServedStudy(load_operator_home(home.folder), folder, terms, settings, EventLog(folder.events))


def closing(monkeypatch, *accepted):
    """Let each round that is asked be accepted by the next of these; what was asked."""
    asked, turns = [], itertools.chain(accepted, itertools.repeat(accepted[-1]))

    def run_round(grid, nodes, terms, state, limits, *, codec, connected):
        asked.append((state.round, state.weights.copy()))
        names = next(turns)
        rejected = () if "west" in names else (NoRelease("west", "refused: approval"),)
        missing = tuple(name for name in terms.hospitals if name not in (*names, "west"))
        summary = RoundSummary(
            study=terms.study,
            round=state.round,
            planned=3,
            accepted=names,
            rejected=rejected,
            missing=missing,
            discarded="",
            gradient_norm=1.0,
            update_norm=1.0,
        )
        return replace(state, round=state.round + 1, weights=state.weights + 1), summary

    monkeypatch.setattr(serve, "run_round", run_round)
    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.01)
    return asked


def test_a_round_below_its_quorum_is_asked_again_with_the_same_weights(study, monkeypatch):
    asked = closing(monkeypatch, ("north",), ("north",), ("north", "south"))
    state = rounds.init(study.terms)
    after = serve._one_round(study, state, None, None, None)
    assert [number for number, _ in asked] == [1, 1, 1]
    assert all(np.array_equal(weights, state.weights) for _, weights in asked)
    assert after.round == 2
    assert resume(study.folder.checkpoints, study.terms).state.round == 2
    kinds = [event["event"] for event in read_events(study.folder.events)]
    assert kinds == ["announced", "below_quorum", "round"]  # the same thing is said once


def test_the_wait_ends_and_says_who_was_lacking(study, monkeypatch):
    closing(monkeypatch, ("north",))
    state = rounds.init(study.terms)
    with pytest.raises(ConfigurationError, match=r"1 of 3 .*west: refused: approval; no answer from south"):
        serve._one_round(study, state, None, None, None)
    assert resume(study.folder.checkpoints, study.terms).state.round == 1


def test_a_stop_between_two_askings_leaves_the_round_for_resume(study, monkeypatch):
    closing(monkeypatch, ("north",))
    study.folder.stop.touch()
    with pytest.raises(quorum.Stopped):
        serve._one_round(study, rounds.init(study.terms), None, None, None)
    assert serve._first_state(study).round == 1


def test_a_study_that_has_ended_is_not_stopped(study):
    study.folder.terms.write_text("terms")
    assert serve.ask_to_stop(study.home.folder, study.folder.folder.name)
    study.folder.stop.unlink()
    study.log.write("finished", "done")
    assert not serve.ask_to_stop(study.home.folder, study.folder.folder.name)
    assert not study.folder.stop.exists()


def test_terms_of_a_study_never_change_under_it(study, make_terms):
    serve._terms(study.folder, study.signed)
    assert serve._terms(study.folder, None).terms == study.terms
    other = sign_terms(replace(make_terms(rounds=3), simulation=False), study.home.key())
    with pytest.raises(ConfigurationError, match="exists with other terms"):
        serve._terms(study.folder, other)


def test_the_same_terms_that_are_valid_for_longer_take_the_place_of_those_on_disk(study):
    def until(year):
        return sign_terms(replace(study.terms, expires_at=f"{year}-01-01T00:00:00+00:00"), study.home.key())

    serve._terms(study.folder, until(2100))
    assert serve._terms(study.folder, until(2099)).terms.expires_at.startswith("2100")
    assert serve._terms(study.folder, until(2101)).terms.expires_at.startswith("2101")
    assert load_terms(study.folder.terms).terms.expires_at.startswith("2101")


def test_terms_that_are_over_and_deadlines_that_no_answer_could_meet_are_refused(study):
    over = replace(study.terms, expires_at="2020-01-01T00:00:00+00:00")
    with pytest.raises(ConfigurationError, match=r"valid until 2020.*valid_days=N to extend"):
        check_times(over, study.serving)
    slow = replace(study.terms, reply_delay_seconds=1.0)
    with pytest.raises(
        ConfigurationError, match=r"--round-seconds=1: must be greater than .*reply_delay_seconds=1"
    ):
        check_times(slow, study.serving)
    check_times(replace(study.terms, reply_delay_seconds=0.5), study.serving)


def test_a_server_that_answers_and_serves_nothing_is_asked_ever_more_seldom_and_not_for_ever(
    study, monkeypatch
):
    tried = []

    @contextmanager
    def refusing(home, run_file):
        tried.append(1)
        raise ServerAway("it answers 403")
        yield

    monkeypatch.setattr(at_server, "open_run", refusing)
    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.05)
    with pytest.raises(ConfigurationError, match=r"does not serve this study \(it answers 403\).*start it"):
        serve._run(study, rounds.init(study.terms))
    assert 3 <= len(tried) <= 6  # at 0, 0.05, 0.15, 0.35 and 0.5 s
    assert [event["event"] for event in read_events(study.folder.events)] == ["server_away"]


def test_a_stop_is_heard_while_the_server_is_away(study, monkeypatch):
    @contextmanager
    def gone(home, run_file):
        study.folder.stop.touch()
        raise ServerAway("nobody listens there")
        yield

    monkeypatch.setattr(at_server, "open_run", gone)
    patient = replace(study, serving=replace(study.serving, wait_seconds=600.0))
    assert serve._run(patient, rounds.init(study.terms)) is None
    assert [event["event"] for event in read_events(study.folder.events)] == ["server_away", "stopped"]


def test_one_process_runs_a_study(study, capsys):
    serve._terms(study.folder, study.signed)
    with alone(study.folder.lock, "busy"):
        with pytest.raises(ConfigurationError, match="study=tea: another process is running it"):
            serve.train(study.serving)
        given = ["approve", f"--home={study.home.folder}", "--study=tea", "--person=A", "--reason=b"]
        with pytest.raises(ConfigurationError, match="study=tea: another process is running it"):
            approve.run(parser().parse_args(given))
    with pytest.raises(ConfigurationError, match="are not enrolled"):
        serve.train(study.serving)


def test_whoever_is_let_in_or_gets_another_key_while_a_study_runs_counts_from_then_on(study):
    path = study.home.folder / "hospitals/north.json"
    assert at_server.signing_key(study.home, "north") is None
    for key in (new_key(), new_key()):
        path.unlink(missing_ok=True)
        node = node_public_key(study.home.folder / "node")
        save_signed(sign_join_request("north", node, key), path)
        assert at_server.signing_key(study.home, "north") == key.public
    path.unlink()
    assert at_server.signing_key(study.home, "north") is None


def test_a_study_needs_a_quorum_of_enrolled_hospitals(study):
    with pytest.raises(ConfigurationError, match="north, south, west are not enrolled"):
        serve._check_enrolled(study)


def test_a_log_cut_short_by_a_crash_is_read_up_to_there(study):
    study.log.write("started", study="tea")
    with study.folder.events.open("a") as file:
        file.write('{"event": "rou')
    assert [event["event"] for event in read_events(study.folder.events)] == ["started"]
    EventLog(study.folder.events).write("resumed")
    assert [event["event"] for event in read_events(study.folder.events)] == ["started", "resumed"]


def test_a_log_is_read_whatever_stands_in_it(study):
    study.log.write("exception", person="Dr. M\u2028X", reason="a line\u2028break")
    content = '{"event": "exception", "person": "Dr. Mü'.encode()[:-1]
    with study.folder.events.open("ab") as file:
        file.write(b"17\n" + content)
    assert [event["person"] for event in read_events(study.folder.events)] == ["Dr. M\\u2028X"]


def test_a_round_that_could_not_be_saved_is_in_the_log_and_counts_as_said_last(study, monkeypatch):
    closing(monkeypatch, ("north", "south"), ("north", "west"))
    state, save_state, saved = rounds.init(study.terms), serve.save_state, []

    def full_at_the_second(folder, state):
        saved.append(state.round)
        if len(saved) == 2:
            raise OSError(28, "No space left on device")
        return save_state(folder, state)

    monkeypatch.setattr(serve, "save_state", full_at_the_second)
    with pytest.raises(OSError, match="No space"):
        serve._one_round(study, state, None, None, None)
    again = resume(study.folder.checkpoints, study.terms).state
    assert again.round == 1
    serve._one_round(study, again, None, None, None)
    closed = closed_rounds(read_events(study.folder.events))
    assert {number: event["accepted"] for number, event in closed.items()} == {1: ["north", "west"]}
    found = unmeasured(study.terms, state, ReleaseDecisionSettings(), study.serving.now.date())
    assert report(study, found)["rounds_by_hospital"] == {"north": 1, "south": 0, "west": 1}


def test_a_study_that_outlives_its_terms_says_so_and_waits_for_nobody(study, monkeypatch):
    soon = study.serving.now + timedelta(hours=1)
    lasting = replace(study.terms, expires_at=soon.isoformat(timespec="seconds"))
    dying = replace(study, signed=sign_terms(lasting, study.home.key()))
    at_server._check_times_now(dying, time.monotonic())
    with pytest.raises(ConfigurationError, match="run the same train with valid_days=N"):
        at_server._check_times_now(dying, time.monotonic() - 3700)
