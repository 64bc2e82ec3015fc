"""A real study from its signed terms to its model: ``train`` and ``resume``. A query goes to ``ask_query``.

    terms signed → server reached → round state saved → round announced → releases until the deadline
    → quorum? the state moves on : the same round is asked again (a repeat is free) → … → evaluated on
    held-out patients (server/study/held_out.py) → model with its marks, card, reports

What is durable is on disk before what depends on it leaves: a server killed anywhere asks again with the
same round and the same weights.
"""

from dataclasses import replace
from pathlib import Path

from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import DISK_TROUBLES
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState, RoundSummary
from wardround.server.evaluation.assess import Assessment
from wardround.server.network.strategy import Connected, PlanCodec, TimeLimits, run_round
from wardround.server.network.superlink import HttpGrid
from wardround.server.store.checkpoint import resume as resume_checkpoint
from wardround.server.store.checkpoint import save_state
from wardround.server.store.event_log import EventLog, read_events
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.ask_query import has_been_answered, serve_query
from wardround.server.study.at_server import AtServer, while_served
from wardround.server.study.begin import check_enrolled, check_new, keep_terms, terms_of
from wardround.server.study.carrier import Carrier
from wardround.server.study.held_out import (
    conclude,
    evaluate_between,
    evaluate_last,
    not_yet_measured,
)
from wardround.server.study.own_parts import check_own_parts
from wardround.server.study.quorum import ask_until_quorum
from wardround.server.study.release_decision_file import begin_release_decision, keep_release_day
from wardround.server.study.secure_sums import Sums
from wardround.server.study.served import ServedStudy
from wardround.server.study.sign_terms import signed_terms
from wardround.server.study.study_files import write_files
from wardround.server.study.sum_rounds import one_sum_round


def train(serving: Serving) -> None:
    """Sign the terms where the study is new, and run it to its end, or on from its last checkpoint."""
    home = load_operator_home(serving.home)
    folder = home.study(serving.study)
    composed = None if serving.proposal is None else signed_terms(serving.proposal, serving.now)
    try:
        study = ServedStudy(home, folder, terms_of(folder, composed), serving, EventLog(folder.events))
        if not folder.terms.exists():
            # Before anything is written: a study that cannot begin must not take its name.
            check_new(study)
        folder.folder.mkdir(parents=True, exist_ok=True)
        # Two processes could close one round with different answers, and go on with different weights; hospitals
        # refuse the second ones for a round that they were charged for.
        with alone(folder.lock, f"study={serving.study}: another process is running it; stop that one first"):
            # Looked at anew: until here another process could begin the study, or delete it.
            signed = terms_of(folder, composed)
            keep_terms(folder, signed)
            _serve(replace(study, signed=signed))
    except OSError as error:
        if error.errno not in DISK_TROUBLES:
            raise
        raise ConfigurationError(
            f"{folder.folder}: cannot be written ({error.strerror}); put that right, then run this command again: "
            "charged releases are resent at no further privacy cost"
        ) from error


def _serve(study: ServedStudy) -> None:
    check_own_parts(study.terms)
    if not _has_ended(study):
        check_enrolled(study)
    # A request to stop ends one run: left there, it would end the next before its first round.
    study.folder.stop.unlink(missing_ok=True)
    begin_release_decision(study.folder.release_decision, study.serving.release_decision)
    if study.terms.query is not None:
        serve_query(study)
        return
    found = _run(study, _first_state(study))
    if found is not None:
        _finish(study, found)


def _has_ended(study: ServedStudy) -> bool:
    """Whether all was asked: then nobody need be enrolled, and the files are signed with the key of today."""
    if study.terms.query is not None:
        return has_been_answered(study)
    resumed = resume_checkpoint(study.folder.checkpoints, study.terms)
    return resumed is not None and conclude(study, resumed.state) is not None


def _first_state(study: ServedStudy) -> RoundState:
    resumed = resume_checkpoint(study.folder.checkpoints, study.terms)
    hospitals = ", ".join(study.terms.hospitals)
    if resumed is None:
        line = f"study {study.terms.study}: {study.terms.training.rounds} rounds with {hospitals}"
        study.log.write("started", line, study=study.terms.study, terms=study.terms.fingerprint)
        return rounds.init(study.terms)
    line = f"study {study.terms.study}: resumed at round {resumed.state.round}"
    lost = list(resumed.lost_rounds)
    study.log.write("resumed", line, round=resumed.state.round, lost_rounds=lost, notes=list(resumed.notes))
    return resumed.state


def _run(study: ServedStudy, state: RoundState) -> Assessment | None:
    """Run rounds and evaluations to the last, or until stopped; a server that goes away is waited for."""

    def work(there: AtServer) -> None:
        nonlocal state
        while not rounds.finished(state, study.terms) and not study.folder.stop.exists():
            there.check_times()
            evaluate_between(study, state, there.ask)
            if isinstance(there.ask, Sums):
                state = one_sum_round(study, state, there.ask)
            else:
                state = _one_round(study, state, there.grid, there.codec, there.present)
            there.did_well()
        _evaluate(study, state, there.ask)

    found = while_served(study, lambda: conclude(study, state), work)
    if found is None:
        at = "its evaluation" if rounds.finished(state, study.terms) else f"round {state.round}"
        line = f"stopped before {at}; continue with wardround-serve resume --study {study.terms.study}"
        study.log.write("stopped", line, round=state.round)
    return found


def _evaluate(study: ServedStudy, state: RoundState, ask: Carrier) -> None:
    """Evaluate a trained model; until it is, what lies in the folder is not marked releasable."""
    if rounds.finished(state, study.terms) and not study.folder.stop.exists():
        if conclude(study, state) is None:
            write_files(study, not_yet_measured(study, state))
        evaluate_last(study, state, ask)


def _one_round(
    study: ServedStudy, state: RoundState, grid: HttpGrid, codec: PlanCodec, present: Connected
) -> RoundState:
    """Ask for one round until enough have answered; ConfigurationError after ``wait_seconds`` in vain."""
    # On disk before any plan leaves: after a crash the same weights are asked for, and hospitals answer those for free.
    save_state(study.folder.checkpoints, state)
    limits = TimeLimits(round_seconds=study.serving.round_seconds)
    study.log.write("announced", round=state.round)

    def ask_once() -> tuple[RoundSummary, tuple[RoundState, RoundSummary]]:
        after, summary = run_round(grid, {}, study.terms, state, limits, codec=codec, connected=present)
        return summary, (after, summary)

    (after, summary), seconds = ask_until_quorum(
        study,
        ask_once,
        f"round {state.round}",
        round_number=state.round,
        event="below_quorum",
        wait_seconds=study.serving.wait_seconds,
    )
    # Logged first: killed in between, the round is closed again, and never missing from the log.
    study.log.round(summary, seconds, study.terms.training.rounds)
    save_state(study.folder.checkpoints, after)
    return after


def _finish(study: ServedStudy, found: Assessment) -> None:
    """Write the model, its card and the reports, and say where they are."""
    # Before the files: a crash between the two must not give the model a later day when they are written again.
    keep_release_day(study.folder.release_decision)
    *_, report = paths = write_files(study, found)
    decision = found.release_decision
    outcome = "releasable" if decision.releasable else f"not releasable: {'; '.join(decision.blocks)}"
    lines = "\n".join(str(path) for path in paths if path.suffix in (".safetensors", ".html"))
    facts = {"rounds": study.terms.training.rounds, "releasable": decision.releasable}
    study.log.write("finished", f"the model is {outcome}\n{lines}", report=str(report), **facts)


def ask_to_stop(folder: Path, name: str) -> bool:
    """Ask a study to stop before its next round, and say whether there was anything to stop: it may have ended."""
    study = load_operator_home(folder).study(name)
    if not study.terms.exists():
        raise ConfigurationError(f"study={name}: is not here ({study.folder})")
    if any(event.get("event") == "finished" for event in read_events(study.events)):
        return False
    study.stop.touch()
    return True
