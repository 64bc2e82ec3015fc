"""``status``: how the server, its certificates, its hospitals and its studies stand."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.say import say, say_json
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.speaker import this_speaker
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
from wardround.server.store.operator_home import OperatorHome, StudyFolder, load_operator_home


def run(options: Namespace) -> None:
    """Write lines for a person, or one JSON value."""
    home = load_operator_home(options.home)
    plain = standing(home)
    if options.json:
        say_json(plain)
        return
    say(f"server {home.address}: {'up' if plain['up'] else 'down'}; {plain['release']}")
    certificates = plain["certificate_days_left"]
    say("certificates: " + ", ".join(f"{k} {v} days" for k, v in certificates.items()))
    say(f"hospitals: {', '.join(plain['hospitals']) or 'none enrolled'}")
    for study in plain["studies"]:
        valid = f"; terms valid until {study['valid_until']}" if study["valid_until"] else ""
        say(f"study {study['study']}: {study['state']}, round {study['round']}, {study['at']}{valid}")
        say(*_measured_lines(study["evaluated"]), *_sum_lines(study), *study["other_releases"])


def standing(home: OperatorHome) -> dict[str, Any]:
    """Give all of it as plain data; asks nobody but this machine's files and port."""
    from wardround.server.network.superlink import is_listening

    return {
        "up": is_listening(home),
        "address": home.address,
        "release": str(this_speaker()),
        "certificate_days_left": {name: days_left(home.tls(f"{name}.crt")) for name in ("root", "server")},
        "hospitals": list(home.hospitals()),
        "ledger_heads": {name: home.heads.newest(name) for name in home.hospitals()},
        "studies": [_study(study) for study in home.studies()],
    }


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


def _study(study: StudyFolder) -> dict[str, object]:
    events, terms = read_events(study.events), _terms(study)
    closed = [event["round"] for event in events if event.get("event") == "round"]
    # None of these tells how the study stands: an exception is signed after its end, the others come within a round.
    aside = ("exception", AGENT, NOT_ENROLLED, NOT_READ)
    run = [event for event in events if event.get("event") not in aside]
    last = run[-1] if run else {"event": "no event yet", "time": "never"}
    words = dict.fromkeys(
        (
            "round",
            "announced",
            EVALUATED,
            ASKED,
            QUERY_ASKED,
            QUERY_ANSWERED,
            READY,
            SURVIVORS,
            UNMASKED,
            VOID,
            SET_UP_BEGUN,
        ),
        "running",
    )
    state = words.get(str(last["event"]), str(last["event"]))
    measured = [event for event in events if event.get("event") == EVALUATED]
    newest = (
        {key: measured[-1][key] for key in ("round", "mitigated", "auc", "log_loss")} if measured else None
    )
    verdicts = [event["releasable"] for event in events if event.get("event") == "finished"]
    releasable = verdicts[-1] if verdicts else None
    if any(event.get("event") == "exception" for event in events):
        releasable = True
    return {
        "study": study.folder.name,
        "state": state,
        "round": closed[-1] if closed else 0,
        "at": last["time"],
        "evaluated": newest,
        "releasable": releasable,
        "ledger_heads": {} if terms is None else _heads(study, terms),
        "valid_until": None if terms is None else terms.expires_at,
        "other_releases": release_lines(agents_heard(events)),
        "roster": next((event["roster"] for event in events if event.get("event") == READY), None),
        "set_up_waits_for": _waited_for(last) if last["event"] == SET_UP else {},
        "void_sums": [[one.get("account"), one.get("round")] for one in events if one.get("event") == VOID],
    }


def _waited_for(event: Mapping[str, Any]) -> dict[str, str]:
    """Give by hospital why its part of the set-up is missing."""
    return {**dict.fromkeys(event["missing"], "no answer"), **event["rejected"]}


def _sum_lines(study: Mapping[str, Any]) -> tuple[str, ...]:
    """Say for whom a set-up waits, or which roster a study has and how many sums gave nothing; else nothing."""
    if study["set_up_waits_for"]:
        waits = ", ".join(f"{name} ({why})" for name, why in study["set_up_waits_for"].items())
        return (f"  set-up of secure sums needs every hospital; not there yet: {waits}",)
    if study["roster"] is None:
        return ()
    void = f", {len(study['void_sums'])} void" if study["void_sums"] else ""
    return (f"  secure sums of roster {study['roster'][:12]}{void}",)


def _measured_lines(measured: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say the newest private evaluation, nothing where there was none."""
    if measured is None:
        return ()
    auc = measured["auc"]
    value, low, high = (auc[key] for key in ("value", "low", "high"))
    text = "lost in noise" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    of = "as mitigated" if measured["mitigated"] else f"after round {measured['round']}"
    return (f"  AUC {text} on held-out patients, {of}",)
