"""How server, certificates, hospitals and studies stand, as plain data: one answer for status, metrics and alerts."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.speaker import Speaker, speaker_to_mapping, this_speaker
from wardround.server.network.clocks import CLOCKS, key_name, read_clocks
from wardround.server.store.agent_releases import agents_heard, release_lines
from wardround.server.store.certificates import days_left
from wardround.server.store.checkpoint import resume
from wardround.server.store.event_log import (
    AGENT,
    ASKED,
    EVALUATED,
    NOT_ENROLLED,
    NOT_READ,
    QUERY_ANSWERED,
    QUERY_ASKED,
    READY,
    SET_UP,
    SET_UP_BEGUN,
    SURVIVORS,
    UNMASKED,
    VOID,
    read_events,
)
from wardround.server.store.lock import is_held
from wardround.server.store.operator_home import OperatorHome, StudyFolder
from wardround.server.watch.attendance import answers
from wardround.server.watch.next_step import next_step

_ASIDE = ("exception", "recalled", AGENT, NOT_ENROLLED, NOT_READ)
"""None tells how a study stands: exception and recall are signed after its end, the others come within a round."""
_RUNNING = frozenset(
    {"round", "announced", EVALUATED, ASKED, QUERY_ASKED, QUERY_ANSWERED}
    | {READY, SURVIVORS, UNMASKED, VOID, SET_UP_BEGUN}
)

Logs = Mapping[str, Sequence[Mapping[str, Any]]]
"""By study, the events of its log."""


def read_logs(home: OperatorHome) -> Logs:
    """Read the event log of every study of which it can be read."""
    found = dict[str, Sequence[Mapping[str, Any]]]()
    for study in home.studies():
        with suppress(OSError):  # `standing` says so
            found[study.folder.name] = read_events(study.events)
    return found


def standing(home: OperatorHome, now: datetime | None = None, logs: Logs | None = None) -> dict[str, Any]:
    """Give all of it as plain data; asks nobody but this machine's files and port.

    now: by default of the clock. logs: for a caller who has read them; by default they are read here.
    """
    from wardround.server.network.superlink import is_listening  # Flower: a second

    up, logs = is_listening(home), read_logs(home) if logs is None else logs
    studies, unread = _studies(home, logs)
    return {
        "up": up,
        "address": home.address,
        "release": str(this_speaker()),
        "certificate_days_left": {
            name: days_left(home.tls(f"{name}.crt"), now) for name in ("root", "server")
        },
        "hospitals": _hospitals(home, up, studies),
        "hospitals_unread": home.unread_hospitals(),
        "ledger_heads": {name: home.heads.newest(name) for name in home.hospitals()},
        "studies": studies,
        "studies_unread": unread,
    }


def _studies(home: OperatorHome, logs: Logs) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Give how each study stands, and by name why one cannot be looked at: that one hides no other."""
    found, unread = list[dict[str, Any]](), dict[str, str]()
    for study in home.studies():
        try:
            found.append(study_standing(study, logs.get(study.folder.name)))
        except OSError as error:
            unread[study.folder.name] = f"{error.filename}: cannot be read ({error.strerror})"
    return found, unread


def _hospitals(
    home: OperatorHome, up: bool, studies: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Give by enrolled hospital how it stands. Its clock: seconds ahead of this machine's when it was last heard."""
    from wardround.server.network.superlink import ServerAway, connected_since, node_key_bytes

    since: Mapping[str, str | None] = {}
    with suppress(ServerAway):  # it went away since it was looked for: then nobody is connected
        since = connected_since(home) if up else {}
    clocks = read_clocks(home.folder / "superlink" / CLOCKS)
    return {
        name: {
            "connected_since": since.get(name) or None,
            "clock_ahead_seconds": clocks.get(key_name(node_key_bytes(one.node_key))),
            **_heard(name, studies),
        }
        for name, one in home.hospitals().items()
    }


def _heard(name: str, studies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give what a hospital's answers told, over all studies: its release, its last round, rounds missed, approvals."""
    own = [(study, study["answers"][name]) for study in studies if name in study["answers"]]
    speakers = [study["agents"][name] for study in studies if name in study["agents"]]
    took = [(str(study["at"]), study["study"], one["last_round"]) for study, one in own if one["last_round"]]
    return {
        "release": speakers[-1]["release"] if speakers else None,
        "protocol": speakers[-1]["protocol"] if speakers else None,
        "last_round": f"{max(took)[1]}, round {max(took)[2]}" if took else None,
        "missed_rounds": sum(one["missed"] for _, one in own),
        "approval_pending": [study["study"] for study, one in own if one["waits"] and _goes_on(study)],
    }


def _goes_on(study: Mapping[str, Any]) -> bool:
    return bool(study["state"] != "finished")


def _terms(study: StudyFolder) -> Terms | None:
    try:
        return load_terms(study.terms).terms
    except ConfigurationError:
        return None


def _heads(study: StudyFolder, terms: Terms) -> dict[str, str]:
    """Give each hospital's ledger head, as its newest counted release told it: exports are checked against it."""
    try:
        found = resume(study.checkpoints, terms)
    except ConfigurationError:
        return {}
    return {} if found is None else dict(found.state.ledger_heads)


def study_standing(
    study: StudyFolder, events: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, object]:
    """Give how one study stands, from its terms, its event log (read here by default) and its lock."""
    events, terms = read_events(study.events) if events is None else events, _terms(study)
    heard = agents_heard(events)
    closed = [event["round"] for event in events if event.get("event") == "round"]
    run = [event for event in events if event.get("event") not in _ASIDE]
    last = run[-1] if run else {"event": "no event yet", "time": "never"}
    measured = [event for event in events if event.get("event") == EVALUATED]
    newest = (
        {key: measured[-1][key] for key in ("round", "mitigated", "auc", "log_loss")} if measured else None
    )
    found = {
        "study": study.folder.name,
        "state": "running" if last["event"] in _RUNNING else str(last["event"]),
        "round": closed[-1] if closed else 0,
        "rounds": None if terms is None else terms.training.rounds,
        "epsilon": None if terms is None else study_epsilon(terms, terms.privacy.delta),
        "is_run": is_held(study.lock),
        "at": last["time"],
        "evaluated": newest,
        "releasable": _releasable(events),
        "recalled": study.recall.exists(),
        "ledger_heads": {} if terms is None else _heads(study, terms),
        "valid_until": None if terms is None else terms.expires_at,
        "other_releases": release_lines(heard),
        "agents": {name: _speaker(one) for name, one in heard.items()},
        "answers": {}
        if terms is None
        else {n: asdict(one) for n, one in answers(events, terms.hospitals).items()},
        "roster": next((event["roster"] for event in events if event.get("event") == READY), None),
        "set_up_waits_for": _waited_for(last) if last["event"] == SET_UP else {},
        "void_sums": [[one.get("account"), one.get("round")] for one in events if one.get("event") == VOID],
    }
    return {**found, "next_step": next_step(found)}


def _releasable(events: Sequence[Mapping[str, Any]]) -> bool | None:
    """Give what the study's end said, or a person's exception; None before the end, and where nothing was measured."""
    if any(event.get("event") == "exception" for event in events):
        return True
    verdicts: list[bool | None] = [
        event["releasable"] for event in events if event.get("event") == "finished"
    ]
    return verdicts[-1] if verdicts else None


def _speaker(one: Speaker) -> dict[str, Any]:
    return {"release": str(one), **speaker_to_mapping(one)}


def _waited_for(event: Mapping[str, Any]) -> dict[str, str]:
    """Give by hospital why its part of the set-up is missing."""
    return {**dict.fromkeys(event["missing"], "no answer"), **event["rejected"]}
