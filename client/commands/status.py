"""``status``: what is left of the budget, which round could be next, what left last."""

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from wardround.client.agent.door_state import is_listening
from wardround.client.checks.budget import SpentOfCap, budget
from wardround.client.checks.releases import other_releases
from wardround.client.checks.rounds import describe as describe_noise
from wardround.client.checks.rounds import describe_away
from wardround.client.checks.sums import contradictions
from wardround.client.commands.bounded_ages import bounded_ages
from wardround.client.commands.ledger import describe
from wardround.client.commands.open_home import open_home
from wardround.client.commands.standing import content_lines, faults_now, next_round
from wardround.client.commands.terminal import bar, say, table
from wardround.client.home.round_log import noise_alone, tables_away
from wardround.client.ledger.entries import Entry
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.speaker import this_speaker

LAST = 5
_SHOWN = ("charged", "released", "refused", "roster", "survivors", "contradiction")
"""What left, was refused, or had to be written before something left."""


def run(options: Namespace) -> None:
    """Show where the hospital stands; everything is read off policy, ledger and socket."""
    with open_home(options.home) as opened:
        entries = opened.ledger.entries()
        others = list(other_releases(opened.home, opened.policy, opened.ledger))
        facts: dict[str, Any] = {
            "hospital": opened.home.hospital,
            "agent": is_listening(opened.home.socket),
            "delta": opened.policy.delta,
            "head": opened.ledger.head,
            "faults": [line for line, understood in others if not understood] + faults_now(opened, entries),
            "alerts": list(contradictions(opened.ledger, opened.policy)),
            "release": str(this_speaker()),
            "other_releases": [line for line, understood in others if understood],
            "content": content_lines(opened),
        }
        ages = bounded_ages(opened)
        rounds = opened.home.round_log.read()
        noise, away = noise_alone(rounds), tables_away(rounds)
        spent = budget(opened.ledger, opened.policy, entries)
        next_rounds = [
            next_round(opened, signed) for signed in opened.known() if opened.decision(signed) == "approved"
        ]
        pending = sorted(s.terms.study for s in opened.known() if opened.decision(s) == "pending")
    last = [entry for entry in entries if entry.kind in _SHOWN][-LAST:]
    if options.json:
        releases = [{"kind": e.kind, "time": e.time.isoformat(), **e.fields} for e in last]
        plain = [{**asdict(n), "since": n.since.isoformat(), "last": n.last.isoformat()} for n in noise]
        more = {
            "next": next_rounds,
            "pending": pending,
            "noise_alone": plain,
            "tables_away": [{**asdict(one), "since": one.since.isoformat()} for one in away],
            "last": releases,
            "exports": ages,
        }
        say_json({**facts, "budget": [asdict(row) for row in spent], **more})
    else:
        _show(facts, spent, next_rounds, pending, last)
        for row in ages:
            late = "FAULT: " if row["too_old"] else ""
            say(f"{late}Export of {row['table']}: {row['text']}; at most {row['most']:g} days are allowed.")
        for line in facts["content"]:
            say(f"Content: {line}.")
        for one in noise:
            say(f"NOISE ALONE: {describe_noise(one)}. Fix this, then try it with rehearse.")
        for waiting in away:
            say(f"TABLES AWAY: {describe_away(waiting)}.")


def _show(
    facts: dict[str, Any],
    spent: list[SpentOfCap],
    next_rounds: list[dict[str, object]],
    pending: list[str],
    last: list[Entry],
) -> None:
    say(
        f"{facts['hospital']}: the agent {'is running' if facts['agent'] else 'is not running'}; {facts['release']}",
        "",
    )
    for fault in facts["faults"]:
        say(f"FAULT: {fault}", "")
    for alert in facts["alerts"]:
        say(f"ALERT: {alert}. See ledger evidence.", "")
    for line in facts["other_releases"]:
        say(line, "")
    _show_budget(spent, facts["delta"])
    if next_rounds:
        table(
            "Next", ("study", "next round possible"), [(str(r["study"]), str(r["next"])) for r in next_rounds]
        )
    for row in next_rounds:
        if "secure_sum" in row:
            say(f"{row['study']}: {row['secure_sum']}.")
    for study in pending:
        say(f"Waiting for a person's decision: {study} (forecast {study}, then approve or decline)")
    if last:
        table(
            "Last",
            ("time (UTC)", "entry", "what"),
            [(f"{e.time:%Y-%m-%d %H:%M}", e.kind, describe(e)) for e in last],
        )
    else:
        say("Nothing has left this hospital.")


def _show_budget(spent: list[SpentOfCap], delta: float) -> None:
    """Show spent and cap of each scope; where sums were charged also what holds if every mask failed."""
    rows = []
    with_sums = any(row.unmasked != row.spent for row in spent)
    for row in spent:
        account, amount = row.account.replace("_", "-"), f"{row.spent:.3g} of {row.cap:g}"
        what = (row.scope, account, bar(row.share), amount)
        rows.append((*what, f"{row.unmasked:.3g}") if with_sums else what)
    names = ("scope", "account", "", "spent", *(("without masks",) if with_sums else ()))
    table(f"ε spent, at δ = {small_number(delta)}", names, rows, right=("spent", "without masks"))
    if with_sums:
        say(
            "Without masks: if more hospitals help an operator than the terms assume, or the encryption is broken."
        )
