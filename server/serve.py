"""A real study from its signed terms to its model: ``train`` and ``resume``.

    terms signed → server reached → round state saved → round announced → releases until the deadline
    → quorum? the state moves on : the same round is asked again (a repeat is free) → … → model, report

What is durable is on disk before what depends on it leaves: a server killed anywhere asks again with the
same round and the same weights.
"""

import errno
import math
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from conf.proposal import Serving
from protocol.canonical import canonical_json
from protocol.errors import ConfigurationError
from protocol.model_file import model_bytes
from protocol.signed_terms import SignedTerms, load_terms, save_terms
from protocol.terms import Terms
from server import rounds
from server.checkpoint import resume as resume_checkpoint
from server.checkpoint import save_state
from server.event_log import EventLog, closed_rounds, read_events
from server.messages import Letters
from server.operator_home import OperatorHome, StudyFolder, load_operator_home
from server.rounds import RoundState, RoundSummary
from server.sign_terms import signed_terms
from server.signed_letters import SignedLetters
from server.strategy import Limits, Roster, run_round
from server.superlink import HttpGrid, ServerAway, answers, open_run, roster

LOOK_SECONDS = 0.5
GATHER_SECONDS = 60.0
"""How long a study that begins, or goes on, waits for all of its hospitals to connect."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@dataclass(frozen=True, eq=False)
class Study:
    """What stays the same while a study runs."""

    home: OperatorHome
    folder: StudyFolder
    signed: SignedTerms
    serving: Serving
    log: EventLog

    @property
    def terms(self) -> Terms:
        """The study's terms."""
        return self.signed.terms

    @property
    def quorum(self) -> int:
        """The least number of releases that close a round."""
        return max(1, math.ceil(self.serving.quorum * len(self.terms.hospitals)))


def train(serving: Serving) -> None:
    """Sign the terms where the study is new, and run it to its end, or on from its last checkpoint."""
    home = load_operator_home(serving.home)
    folder = home.study(serving.study)
    composed = None if serving.proposal is None else signed_terms(serving.proposal, serving.now)
    study = Study(home, folder, _terms(folder, composed), serving, EventLog(folder.events))
    _check_enrolled(study)
    folder.stop.unlink(missing_ok=True)
    try:
        state = _run(study, _first_state(study))
        if rounds.finished(state, study.terms):
            _finish(study, state)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise ConfigurationError(
            f"{folder.folder}: cannot be written ({error.strerror}); make room there and resume "
            f"study={serving.study} (what was charged is answered again for free)"
        ) from error


def _terms(folder: StudyFolder, composed: SignedTerms | None) -> SignedTerms:
    """Give the study's terms: those on disk, which must be what was composed; new ones are written."""
    if not folder.terms.exists():
        if composed is None:
            raise ConfigurationError(f"study={folder.folder.name}: has no terms here; begin it with train")
        folder.folder.mkdir(parents=True, exist_ok=True)
        save_terms(composed, folder.terms)
        return composed
    signed = load_terms(folder.terms)
    if composed is not None and composed.terms.fingerprint != signed.terms.fingerprint:
        raise ConfigurationError(
            f"study={folder.folder.name}: exists with other terms ({signed.terms.fingerprint[:12]}); "
            "resume it as it is, or choose another name"
        )
    return signed


def _check_enrolled(study: Study) -> None:
    if study.terms.privacy.noise != "local":
        raise ConfigurationError(
            f"privacy.noise={study.terms.privacy.noise}: needs secure aggregation, which does not exist yet; use local"
        )
    enrolled = study.home.hospitals()
    unknown = [name for name in study.terms.hospitals if name not in enrolled]
    if len(study.terms.hospitals) - len(unknown) < study.quorum:
        raise ConfigurationError(
            f"training.public_patients: {', '.join(unknown)} are not enrolled; wardround-serve enrol request=FILE"
        )
    if study.signed.operator != study.home.key().public:
        raise ConfigurationError(
            "terms: are signed by another key than operator.key; use the home they were made in"
        )


def _first_state(study: Study) -> RoundState:
    resumed = resume_checkpoint(study.folder.checkpoints, study.terms)
    hospitals = ", ".join(study.terms.hospitals)
    if resumed is None:
        line = f"study {study.terms.study}: {study.terms.training.rounds} rounds with {hospitals}"
        study.log.write("started", line, study=study.terms.study, terms=study.terms.fingerprint)
        return rounds.init(study.terms)
    line = f"study {study.terms.study}: on at round {resumed.state.round}"
    lost = list(resumed.lost_rounds)
    study.log.write("resumed", line, round=resumed.state.round, lost_rounds=lost, notes=list(resumed.notes))
    return resumed.state


def _run(study: Study, state: RoundState) -> RoundState:
    """Run rounds until the last, or until stopped; a server that goes away is waited for."""
    while not rounds.finished(state, study.terms) and not study.folder.stop.exists():
        _await_server(study)
        try:
            with open_run(study.home, study.folder.run) as grid:
                letters = SignedLetters(
                    signed=study.signed, key=study.home.key(), keys=_signing_keys(study.home)
                )
                present = partial(roster, grid, study.home)
                _await_hospitals(study, present)
                while not rounds.finished(state, study.terms) and not study.folder.stop.exists():
                    state = _one_round(study, state, grid, letters, present)
        except ServerAway as away:
            study.log.write("server_away", f"the server went away ({away})", cause=str(away))
    if not rounds.finished(state, study.terms):
        line = (
            f"stopped before round {state.round}; go on with wardround-serve resume study={study.terms.study}"
        )
        study.log.write("stopped", line, round=state.round)
    return state


def _await_hospitals(study: Study, present: Roster) -> None:
    """Wait for all planned hospitals for a while; who comes later is asked when he comes."""
    deadline = time.monotonic() + min(GATHER_SECONDS, study.serving.wait_seconds)
    said: list[str] = []
    while time.monotonic() < deadline:
        connected = present()
        missing = [name for name in study.terms.hospitals if name not in connected]
        if not missing:
            return
        if missing != said:
            study.log.write("waiting", f"waiting for {', '.join(missing)} to connect", hospitals=missing)
            said = missing
        time.sleep(LOOK_SECONDS)


def _one_round(
    study: Study, state: RoundState, grid: HttpGrid, letters: Letters, present: Roster
) -> RoundState:
    """Ask for one round until enough have answered; ConfigurationError after ``wait_seconds`` in vain."""
    save_state(study.folder.checkpoints, state)
    given_up = time.monotonic() + study.serving.wait_seconds
    limits = Limits(round_seconds=study.serving.round_seconds)
    while True:
        study.log.write("announced", round=state.round)
        begun = time.monotonic()
        after, summary = run_round(grid, {}, study.terms, state, limits, letters=letters, roster=present)
        if len(summary.accepted) >= study.quorum:
            # Logged first: killed in between, the round is closed again, and never missing from the log.
            study.log.round(summary, time.monotonic() - begun, study.terms.training.rounds)
            save_state(study.folder.checkpoints, after)
            return after
        _below_quorum(study, summary)
        if study.folder.stop.exists():
            return state
        if time.monotonic() > given_up:
            raise ConfigurationError(
                f"round {state.round}: {_who(summary)} after {study.serving.wait_seconds:.0f} s, "
                f"quorum {study.quorum}; mend it and resume (what was charged is answered again for free)"
            )
        time.sleep(LOOK_SECONDS)


def _below_quorum(study: Study, summary: RoundSummary) -> None:
    line = f"round {summary.round}: {_who(summary)}, quorum {study.quorum}; asking again"
    rejected = {one.hospital: one.reason for one in summary.rejected}
    facts = {"accepted": list(summary.accepted), "rejected": rejected, "missing": list(summary.missing)}
    study.log.write("below_quorum", line, round=summary.round, **facts)


def _who(summary: RoundSummary) -> str:
    parts = [f"{len(summary.accepted)} of {summary.planned} hospitals gave a release"]
    parts += [f"{one.hospital}: {one.reason}" for one in summary.rejected]
    parts += [f"no answer from {', '.join(summary.missing)}"] if summary.missing else []
    return "; ".join(parts)


def _signing_keys(home: OperatorHome) -> dict[str, str]:
    return {name: one.signing_key for name, one in home.hospitals().items()}


def _await_server(study: Study) -> None:
    if answers(study.home):
        return
    study.log.write("waiting", f"waiting for the server at {study.home.local_address} (wardround-serve up)")
    deadline = time.monotonic() + study.serving.wait_seconds
    while not answers(study.home):
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"the server at {study.home.local_address} is away for {study.serving.wait_seconds:.0f} s; "
                f"start it (wardround-serve up) and resume study={study.terms.study}"
            )
        time.sleep(LOOK_SECONDS)


def _finish(study: Study, state: RoundState) -> None:
    """Write the model and the report, and say where they are."""
    terms = study.terms
    weights = rounds.reported_weights(state)
    facts = {
        "study": terms.study,
        "terms": terms.fingerprint,
        "epsilon": f"{terms.privacy.epsilon:g}",
        "delta": f"{terms.privacy.delta:g}",
        "simulation": str(terms.simulation).lower(),
    }
    study.folder.model.write_bytes(model_bytes(terms.contract, terms.model, weights, facts))
    report = study.folder.folder / "report.json"
    report.write_bytes(canonical_json(_report(study, state)) + b"\n")
    study.log.write("finished", f"{study.folder.model}\n{report}", rounds=state.round - 1)


def _report(study: Study, state: RoundState) -> dict[str, object]:
    """Count by hospital what the log says; ε is what the terms promise each patient at most."""
    closed = closed_rounds(read_events(study.folder.events)).values()
    took_part = Counter(name for event in closed for name in event["accepted"])
    hospitals = {name: took_part[name] for name in study.terms.hospitals}
    seconds = [float(event["seconds"]) for event in closed]
    return {
        "study": study.terms.study,
        "terms": study.terms.fingerprint,
        "rounds": study.terms.training.rounds,
        "rounds_by_hospital": hospitals,
        "epsilon_at_most": study.terms.privacy.epsilon,
        "delta": study.terms.privacy.delta,
        "seconds_per_round": round(sum(seconds) / max(len(seconds), 1), 3),
        "simulation": study.terms.simulation,
    }


def stop(folder: Path, name: str) -> str:
    """Ask a running study to stop before its next round; what a round has charged is not lost."""
    study = load_operator_home(folder).study(name)
    if not study.terms.exists():
        raise ConfigurationError(f"study={name}: is not here ({study.folder})")
    study.stop.touch()
    return f"{name} stops when its round is closed; go on with wardround-serve resume study={name}"
