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
from wardround.server.network.strategy import Presence
from wardround.server.network.superlink import ServerAway
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.checkpoint import resume
from wardround.server.store.enrolled import Enrolled
from wardround.server.store.event_log import EventLog, closed_rounds, read_events
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study import at_server, quorum, serve
from wardround.server.study.begin import check_enrolled, keep_terms, terms_of
from wardround.server.study.delete_study import delete_study
from wardround.server.study.served import Answers, ServedStudy, attendance_line, check_times
from wardround.server.study.study_files import report
from wardround.server.watch.standing import standing


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
    kept(study, study.signed)
    study.folder.stop.touch()
    with pytest.raises(quorum.Stopped):
        serve._one_round(study, rounds.init(study.terms), None, None, None)
    assert serve._first_state(study).round == 1


def test_a_study_that_has_ended_is_not_stopped(study):
    kept(study, study.signed)
    assert serve.ask_to_stop(study.home.folder, study.folder.folder.name)
    study.folder.stop.unlink()
    study.log.write("finished", "done")
    assert not serve.ask_to_stop(study.home.folder, study.folder.folder.name)
    assert not study.folder.stop.exists()


def kept(study, signed):
    """What ``train`` does first with composed terms."""
    found = terms_of(study.folder, signed)
    keep_terms(study.folder, found)
    return found


def test_terms_of_a_study_never_change_under_it(study, make_terms):
    kept(study, study.signed)
    assert terms_of(study.folder, None).terms == study.terms
    other = sign_terms(replace(make_terms(rounds=3), simulation=False), study.home.key())
    with pytest.raises(ConfigurationError, match="exists with other terms"):
        terms_of(study.folder, other)


def test_the_same_terms_that_are_valid_for_longer_take_the_place_of_those_on_disk(study):
    def until(year):
        return sign_terms(replace(study.terms, expires_at=f"{year}-01-01T00:00:00+00:00"), study.home.key())

    kept(study, until(2100))
    assert kept(study, until(2099)).terms.expires_at.startswith("2100")
    assert load_terms(study.folder.terms).terms.expires_at.startswith("2100")
    assert kept(study, until(2101)).terms.expires_at.startswith("2101")
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
    kept(study, study.signed)
    patient = replace(study, serving=replace(study.serving, wait_seconds=600.0))
    assert serve._run(patient, rounds.init(study.terms)) is None
    assert [event["event"] for event in read_events(study.folder.events)] == ["server_away", "stopped"]


def test_one_process_runs_a_study(study, capsys):
    kept(study, study.signed)
    with alone(study.folder.lock, "busy"):
        with pytest.raises(ConfigurationError, match="study=tea: another process is running it"):
            serve.train(study.serving)
        given = ["approve", f"--home={study.home.folder}", "--study=tea", "--person=A", "--reason=b"]
        with pytest.raises(ConfigurationError, match="study=tea: another process is running it"):
            approve.run(parser().parse_args(given))
    with pytest.raises(ConfigurationError, match="are not enrolled"):
        serve.train(study.serving)


def test_whoever_is_let_in_or_gets_another_key_while_a_study_runs_counts_from_then_on(study):
    path, enrolled = study.home.folder / "hospitals/north.json", Enrolled(study.home)
    assert enrolled.signing_key("north") is None
    for key in (new_key(), new_key()):
        path.unlink(missing_ok=True)
        node = node_public_key(study.home.folder / "node")
        save_signed(sign_join_request("north", node, key), path)
        assert enrolled.signing_key("north") == key.public
    path.unlink()
    assert enrolled.signing_key("north") is None


def test_a_study_needs_a_quorum_of_enrolled_hospitals(study):
    with pytest.raises(ConfigurationError, match="north, south, west are not enrolled"):
        check_enrolled(study)


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


def enrol(study, *names):
    """Let these hospitals in."""
    for name in names:
        node = node_public_key(study.home.folder / f"node-{name}")
        save_signed(sign_join_request(name, node, new_key()), study.home.folder / f"hospitals/{name}.json")


def composed(study, monkeypatch, **changes):
    """Serving settings with which ``train`` composes this study's terms."""
    monkeypatch.setattr(serve, "signed_terms", lambda proposal, now: study.signed)
    lasting = replace(study.terms, expires_at="2100-01-01T00:00:00+00:00", **changes)
    object.__setattr__(study, "signed", sign_terms(lasting, study.home.key()))
    return replace(study.serving, proposal=object())


def test_a_misspelt_hospital_takes_no_name_though_the_others_meet_the_quorum(study, monkeypatch):
    """Once stored, terms never change under a study: its name would be lost to a slip of the keyboard."""
    settings = composed(study, monkeypatch)
    enrol(study, "north", "south", "wets")
    with pytest.raises(
        ConfigurationError, match=r"west are not enrolled; did you mean wets\?.*enrol --request"
    ):
        serve.train(settings)
    assert not study.folder.folder.exists()
    assert load_operator_home(study.home.folder).studies() == []


def test_a_deadline_that_no_answer_could_meet_takes_no_name(study, monkeypatch):
    settings = composed(study, monkeypatch, reply_delay_seconds=1.0)
    enrol(study, *study.terms.hospitals)
    with pytest.raises(ConfigurationError, match="--round-seconds"):
        serve.train(settings)
    assert not study.folder.folder.exists()


def test_a_study_that_can_begin_keeps_its_terms(study, monkeypatch):
    settings = composed(study, monkeypatch)
    enrol(study, *study.terms.hospitals)
    monkeypatch.setattr(serve, "_run", lambda study, state: None)
    serve.train(settings)
    assert load_terms(study.folder.terms).terms == study.terms


def meanwhile(monkeypatch, act):
    """Let another process act between the look at a new study and the lock."""
    before = serve.check_new

    def looked_at(study):
        before(study)
        act()

    monkeypatch.setattr(serve, "check_new", looked_at)


def test_another_process_that_begins_the_study_with_other_terms_keeps_them(study, monkeypatch):
    settings = composed(study, monkeypatch)
    enrol(study, *study.terms.hospitals)
    others = sign_terms(replace(study.terms, noise_multiplier=2.0), study.home.key())
    meanwhile(monkeypatch, lambda: kept(study, others))
    with pytest.raises(ConfigurationError, match="exists with other terms"):
        serve.train(settings)
    assert load_terms(study.folder.terms).terms == others.terms


def test_a_study_that_is_deleted_meanwhile_begins_anew_or_not_at_all(study, monkeypatch):
    settings, run = composed(study, monkeypatch), []
    enrol(study, *study.terms.hospitals)
    monkeypatch.setattr(serve, "_run", lambda study, state: run.append(study.folder.terms.exists()))

    def begun_and_deleted():
        kept(study, study.signed)
        delete_study(study.home.folder, "tea")

    meanwhile(monkeypatch, begun_and_deleted)
    serve.train(settings)
    assert run == [True]


def test_a_folder_that_is_deleted_just_before_its_lock_is_an_error_in_one_line(study, monkeypatch):
    settings = composed(study, monkeypatch)
    enrol(study, *study.terms.hospitals)
    locked = serve.alone

    def deleted_before(path, busy):
        path.parent.rmdir()
        return locked(path, busy)

    monkeypatch.setattr(serve, "alone", deleted_before)
    with pytest.raises(ConfigurationError, match="another process"):
        serve.train(settings)
    assert load_operator_home(study.home.folder).studies() == []


def test_a_study_that_never_ran_is_deleted_and_one_that_asked_is_kept(study, monkeypatch):
    kept(study, study.signed)
    study.log.write("started", study="tea")
    with (
        alone(study.folder.lock, ""),
        pytest.raises(ConfigurationError, match="another process is running it"),
    ):
        delete_study(study.home.folder, "tea")
    delete_study(study.home.folder, "tea")
    assert not study.folder.folder.exists()
    with pytest.raises(ConfigurationError, match="study=tea: is not here"):
        delete_study(study.home.folder, "tea")
    kept(study, study.signed)
    closing(monkeypatch, ("north",))
    with pytest.raises(ConfigurationError, match="1 of 3"):
        serve._one_round(study, rounds.init(study.terms), None, None, None)
    with pytest.raises(ConfigurationError, match=r"has asked hospitals for releases.*another name"):
        delete_study(study.home.folder, "tea")
    assert study.folder.terms.exists()


@pytest.mark.parametrize("event", ["announced", "set_up_begun", "an event of a later release"])
def test_a_study_whose_log_says_that_it_asked_is_kept(event, study):
    kept(study, study.signed)
    study.log.write(event)
    with pytest.raises(ConfigurationError, match="has asked"):
        delete_study(study.home.folder, "tea")


def test_who_is_not_enrolled_is_said_and_not_waited_for(study, capsys):
    patient = replace(study, serving=replace(study.serving, wait_seconds=60.0))
    there = {"north": Presence(1, "1"), "south": Presence(2, "1")}
    began = time.monotonic()
    at_server._await_hospitals(patient, lambda: there)
    assert time.monotonic() - began < 5
    assert "west: not enrolled, or revoked" in capsys.readouterr().err
    (event,) = read_events(study.folder.events)
    assert (event["event"], event["hospitals"]) == ("not_enrolled", ["west"])


def test_the_same_hospitals_in_another_order_are_no_news(study, monkeypatch):
    said = [
        (NoRelease("south", "late"), NoRelease("west", "refused: approval")),
        (NoRelease("west", "refused: approval"), NoRelease("south", "late")),
    ]
    turns, asked = itertools.chain(said, itertools.repeat(said[0])), []

    def ask():
        asked.append(Answers(3, ("north",), next(turns), ()))
        if len(asked) == 3:
            study.folder.stop.touch()
        return asked[-1], None

    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.01)
    study.folder.folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(quorum.Stopped):
        quorum.ask_until_quorum(study, ask, "round 1", round_number=1, event="below_quorum", wait_seconds=60)
    assert {attendance_line(one) for one in asked} == {
        "1 of 3 hospitals sent a release; south: late; west: refused: approval"
    }
    assert [event["event"] for event in read_events(study.folder.events)] == ["below_quorum"]


def test_a_file_that_is_being_copied_ends_no_study_and_counts_as_before(study):
    told, folder = [], study.home.folder / "hospitals"
    enrol(study, "north", "south")
    enrolled = Enrolled(study.home, told.append)
    before = enrolled.look()
    whole = (folder / "north.json").read_bytes()
    (folder / "north.json").write_bytes(whole[:100])
    (folder / "west.json").write_bytes(whole[:50])
    (folder / "south.json").unlink()
    for _ in range(3):
        roll = enrolled.look()
        assert roll.hospitals == {"north": before.hospitals["north"]}
        assert roll.unknown == ("west",)
    assert len(told) == 1
    assert "north.json" in told[0]
    assert "counts as before" in told[0]
    (folder / "north.json").write_bytes(whole)
    (folder / "west.json").unlink()
    assert (enrolled.look().hospitals, enrolled.look().unknown) == (roll.hospitals, ())
    assert len(told) == 1


@pytest.mark.parametrize("event", ["not_enrolled", "not_read", "agent"])
def test_what_is_said_within_a_round_leaves_the_study_running(event, study):
    study.log.write("announced", round=1)
    study.log.write(event)
    (found,) = standing(study.home)["studies"]
    assert found["state"] == "running"
