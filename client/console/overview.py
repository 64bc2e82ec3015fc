"""What a privacy officer sees first: what waits, what is wrong, and how much was spent."""

from dataclasses import asdict
from typing import Any

from wardround.client.agent.door_state import is_listening
from wardround.client.checks.budget import budget
from wardround.client.checks.releases import other_releases
from wardround.client.checks.rounds import describe as describe_noise
from wardround.client.checks.rounds import describe_away
from wardround.client.checks.sums import contradictions
from wardround.client.commands.bounded_ages import bounded_ages
from wardround.client.commands.ledger import describe
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.standing import content_lines, faults_now, next_round
from wardround.client.home.round_log import noise_alone, tables_away
from wardround.client.ledger.entries import Entry

LAST, PAGE = 6, 50
_LEFT = ("charged", "released", "assumed")


def overview(opened: OpenHome) -> dict[str, Any]:
    """Say where the hospital stands; everything is read off policy, ledger and socket, and no table."""
    entries = opened.ledger.entries()
    known = opened.known()
    spent = budget(opened.ledger, opened.policy, entries)
    return {
        "hospital": opened.home.hospital,
        "simulated": opened.home.simulation is not None,
        "agent": is_listening(opened.home.socket),
        "delta": opened.policy.delta,
        "budget": [asdict(one) for one in spent],
        "pending": [_named(opened, one) for one in known if opened.decision(one) == "pending"],
        "next": [next_round(opened, one) for one in known if opened.decision(one) == "approved"],
        "wrong": _wrong(opened, entries),
        "last": [_row(entry) for entry in reversed(entries) if entry.kind in _LEFT][:LAST],
    }


def left(opened: OpenHome, before: int | None) -> dict[str, Any]:
    """Give one page of the ledger, the newest entries first. before: the entry that follows the page."""
    entries = opened.ledger.entries()
    end = len(entries) if before is None else min(max(before - 1, 0), len(entries))
    shown = [_row(entry) for entry in reversed(entries[max(end - PAGE, 0) : end])]
    older = shown[-1]["sequence"] if shown and end > PAGE else None
    newer = end + PAGE + 1 if end < len(entries) else None
    return {"entries": shown, "all": len(entries), "older": older, "newer": newer, "head": opened.ledger.head}


def _named(opened: OpenHome, signed: Any) -> dict[str, str]:
    return {
        "study": signed.terms.study,
        "terms": signed.terms.fingerprint,
        "operator": opened.operator_name(signed.operator),
    }


def _wrong(opened: OpenHome, entries: list[Entry]) -> list[str]:
    """Say all that a person should look at, what is worst first."""
    others = list(other_releases(opened.home, opened.policy, opened.ledger))
    rounds = opened.home.round_log.read()
    return [
        *contradictions(opened.ledger, opened.policy),
        *(line for line, understood in others if not understood),
        *faults_now(opened, entries),
        *(describe_noise(one) for one in noise_alone(rounds)),
        *(describe_away(one) for one in tables_away(rounds)),
        *(f"Export of {row['table']}: {row['text']}" for row in bounded_ages(opened) if row["too_old"]),
        *content_lines(opened),
    ]


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "time": entry.time.isoformat(),
        "kind": entry.kind,
        "what": describe(entry),
        "hash": entry.hash,
    }
