"""``status``: how the server, its certificates, its hospitals and its studies stand."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from wardround.protocol.text.say import say, say_json
from wardround.server.network.clocks import NOTABLE_SECONDS
from wardround.server.store.operator_home import load_operator_home
from wardround.server.watch.standing import standing


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
    say("hospitals:" if plain["hospitals"] else "hospitals: none enrolled")
    say(*(f"  {name}: {_hospital_line(one)}" for name, one in plain["hospitals"].items()))
    say(*(f"  {name}: not enrolled: {why}" for name, why in plain["hospitals_unread"].items()))
    say(*(f"study {name}: {why}" for name, why in plain["studies_unread"].items()))
    for study in plain["studies"]:
        valid = f"; terms valid until {study['valid_until']}" if study["valid_until"] else ""
        of = f" of {study['rounds']}" if study["rounds"] else ""
        say(f"study {study['study']}: {study['state']}, round {study['round']}{of}, {study['at']}{valid}")
        say(*_measured_lines(study["evaluated"]), *_sum_lines(study), *study["other_releases"])
        say(*_cost_lines(study["epsilon"]), f"  next: {study['next_step']}")


def _hospital_line(one: Mapping[str, Any]) -> str:
    since, ahead = one["connected_since"], one["clock_ahead_seconds"]
    parts = [f"connected since {since}" if since else "not connected"]
    parts += [one["release"]] if one["release"] else []
    parts += [f"last round: {one['last_round']}"] if one["last_round"] else []
    parts += [f"{one['missed_rounds']} rounds missed"] if one["missed_rounds"] else []
    parts += [f"has not approved {', '.join(one['approval_pending'])}"] if one["approval_pending"] else []
    if ahead is not None and abs(ahead) >= NOTABLE_SECONDS:
        parts.append(f"its clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}")
    return "; ".join(parts)


def _cost_lines(epsilon: Mapping[str, float] | None) -> tuple[str, ...]:
    """Say what the study costs a patient, if it is carried out in full."""
    if epsilon is None:
        return ()
    accounts = ", ".join(f"{name.replace('_', '-')} {value:.3g}" for name, value in epsilon.items() if value)
    return (f"  ε per patient, in full: {accounts}",)


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
