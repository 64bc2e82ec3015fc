"""``make federation``: one server and three hospitals as processes, over TLS; one hospital killed on the way.

With ``--secure`` four hospitals in secure sums instead, one of them killed between the trips of a round. With
``--hospitals 12 --rounds 5`` so many hospitals, nobody killed, and what the server needs measured; from five on in
secure sums, unless ``--noise local`` says otherwise. ``--together`` has these hospitals share one process.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.model.model_file import load_model
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.say import complain, say, say_json
from wardround.protocol.wire.signed_model import MODEL
from wardround.protocol.wire.signed_terms import load_terms
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.many import run_many
from wardround.simulations.loopback.postgres import ThrowAwayPostgres, installed
from wardround.simulations.loopback.replay import largest_difference, replay
from wardround.simulations.loopback.secure import demonstrate_secure

HOSPITALS = ("north", "south", "west")
PATIENTS = 4000  # so that three hospitals' noise leaves an interval that says something
STUDY, KILLED, IN_DATABASE = "federation", "west", "south"
# Far above what linear algebra rounds otherwise in another process (replay.py), far below what one release moves.
TOLERANCE = 1e-6


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; 0 when everything that it shows holds. SIGTERM and SIGINT end all its processes."""
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.loopback", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/federation"), help="an old one is deleted first"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--secure", action="store_true", help="four hospitals, in secure sums, 8 rounds")
    parser.add_argument("--hospitals", type=int, help="measure with this many; without: the demonstration")
    parser.add_argument("--noise", default="auto", help="privacy.noise of that study")
    parser.add_argument(
        "--together", action="store_true", help="those hospitals in one process: up to hundreds"
    )
    parser.add_argument(
        "--leaving", type=int, default=0, help="so many of them leave for good before the last round"
    )
    parser.add_argument("--json", action="store_true", help="what was measured, for a program")
    options = parser.parse_args(arguments)
    # As an exception: `with` blocks end servers and databases on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shutil.rmtree(options.folder, ignore_errors=True)
    begun = time.monotonic()
    try:
        if options.hospitals:
            found = run_many(
                options.folder,
                options.hospitals,
                options.rounds,
                options.noise,
                options.together,
                options.leaving,
            )
            if options.json:
                say_json(found.facts())
            else:
                say(*found.lines())
            return 0
        if options.secure:
            demonstrate_secure(options.folder, PATIENTS)
            say(f"every check passed, in {time.monotonic() - begun:.0f} s; all files are in {options.folder}")
            return 0
        with ExitStack() as stack:
            loopback = stack.enter_context(Loopback(options.folder, HOSPITALS, PATIENTS))
            _demonstrate(loopback, stack, options.rounds)
    except WardroundError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    say(f"every check passed, in {time.monotonic() - begun:.0f} s; all files are in {options.folder}")
    return 0


def _demonstrate(loopback: Loopback, stack: ExitStack, rounds: int) -> None:
    say("making a certificate authority and three kits; three hospitals join, each with its own key")
    loopback.provision()
    if installed():
        database = ThrowAwayPostgres()
        stack.callback(database.stop)
        tables = database.load(loopback.home(IN_DATABASE) / "tables")
        loopback.use_postgresql(IN_DATABASE, database.uri, tables)
        say(f"{IN_DATABASE}'s tables are in PostgreSQL")
    else:
        say(
            "PostgreSQL is not installed (scripts/install-parts.sh installs it): all three hospitals read files"
        )
    settings = loopback.settings(STUDY, rounds, evaluation="private")
    loopback.approve(STUDY, *settings)
    say("the terms are signed, and approved at each hospital; server and hospitals start")
    loopback.start_server()
    for name in HOSPITALS:
        loopback.start_hospital(name)
    loopback.start_study(*settings, "--round-seconds=45", "--wait-seconds=120", "--quorum=0.6")
    _round_closed(loopback, rounds // 3)
    loopback.kill(KILLED)
    say(
        f"round {rounds // 3} is closed; the agent and SuperNode of {KILLED} are killed (SIGKILL) and started again"
    )
    loopback.start_hospital(KILLED)
    code = loopback.wait_study(200.0)
    if code:
        raise ConfigurationError(f"the study ended with {code}: {loopback.log('study')[-2000:]}")
    _report(loopback, rounds)


def _round_closed(loopback: Loopback, number: int) -> None:
    loopback.await_event(
        STUDY, lambda event: event.get("event") == "round" and event["round"] == number, 150.0
    )


def _report(loopback: Loopback, rounds: int) -> None:
    """Check what the demonstration claims, and print it."""
    folder = loopback.home(OPERATOR) / "studies" / STUDY
    signed = load_terms(folder / "study.terms")
    closed = [event for event in loopback.events(STUDY) if event["event"] == "round"]
    for event in closed:
        say(_line(event))
    accepted: list[list[str]] = [event["accepted"] for event in closed]
    if len(closed) != rounds:
        raise ConfigurationError(f"{len(closed)} rounds were closed, must be {rounds}")
    state = replay(signed, accepted, loopback.folder)
    model = load_model(folder / "model.safetensors", signed.terms.contract)
    apart = largest_difference(signed.terms, state, model.weights)
    if not apart <= TOLERANCE:
        raise ConfigurationError(f"the model is {apart:.2g} away from the agents' stored releases")
    say(f"the model equals rounds.apply over the agents' stored releases, to {apart:.1e}")
    for name in loopback.hospitals:
        verified = read_json(loopback.hospital(name, "ledger", "verify", "--json").encode(), 2**20)
        took_part = sum(name in hospitals for hospitals in accepted)
        say(
            f"{name}: ledger verified ({verified['entries']} entries); took part in {took_part} of {rounds} rounds"
        )
    seconds = sorted(float(event["seconds"]) for event in closed)
    say(f"a round took {seconds[len(seconds) // 2]:.1f} s (median)")
    _measured(loopback, folder)


def _measured(loopback: Loopback, folder: Path) -> None:
    """Print what the private evaluation found, and where report and card are."""
    found = [event for event in loopback.events(STUDY) if event["event"] == "evaluated"]
    if len(found) != 1:
        raise ConfigurationError(f"{len(found)} evaluations were closed, must be 1")
    auc, hospitals = found[0]["auc"], found[0]["accepted"]
    value, low, high = (auc[key] for key in ("value", "low", "high"))
    shown = "lost in noise" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
    say(f"held-out patients of {hospitals}: AUC {shown}")
    name = loopback.hospitals[0]
    checked = read_json(loopback.hospital(name, "model", str(folder / MODEL), "--json").encode(), 2**20)
    say(f"{name}: signed by the operator and unchanged since: {', '.join(checked['verified'])}")
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    say(f"the model card says: {card.splitlines()[2].replace(chr(92), '')}")
    say(f"model card: {folder / 'model_card.html'}; report: {folder / 'report.html'}")


def _line(event: Mapping[str, Any]) -> str:
    missing = f"; no answer from {event['missing']}" if event["missing"] else ""
    return f"  round {event['round']}: {event['accepted']}, {float(event['seconds']):.1f} s{missing}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
