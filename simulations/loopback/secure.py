"""A study of secure sums as processes on one machine: four hospitals, one of them killed between the trips of a round.

Of what the hospitals' agents stored nothing shows a release: masked numbers add up to nothing without the members'
secrets. What is checked is what ledgers and log say: one set of survivors for each slot, at every hospital the same.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from wardround.client.home.home import load_home
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say
from wardround.simulations.loopback.federation import Loopback

STUDY = "secure"
HOSPITALS = ("north", "south", "east", "west")
KILLED = "west"
ROUNDS = 8
WAITS = ("--round-seconds=45", "--wait-seconds=120", "--quorum=0.75")
_LOOK_SECONDS = 0.01


def demonstrate_secure(folder: Path, patients: int, rounds: int = ROUNDS) -> None:
    """Run the study, and check what it shows; ConfigurationError where it does not."""
    with Loopback(folder, HOSPITALS, patients) as loopback:
        say("four hospitals join, for a study whose releases the server sees as sums alone")
        loopback.provision()
        loopback.introduce()
        settings = loopback.settings(
            STUDY, rounds, "privacy.noise=secure", "secure_sum.threshold=3", evaluation="private"
        )
        loopback.approve(STUDY, *settings)
        loopback.start_server()
        for name in HOSPITALS:
            loopback.start_hospital(name)
        loopback.start_study(*settings, *WAITS)
        number = rounds // 2
        fixed = await_survivors(loopback, number)
        loopback.kill(KILLED)
        say(
            f"round {number}: survivors {', '.join(fixed)}; {KILLED} is killed (SIGKILL) before it answers for them"
        )
        loopback.start_hospital(KILLED)
        code = loopback.wait_study(240.0)
        if code:
            raise ConfigurationError(f"the study ended with {code}: {loopback.log('study')[-2000:]}")
        _report(loopback, rounds, number)


def await_survivors(loopback: Loopback, number: int, seconds: float = 240.0) -> tuple[str, ...]:
    """Wait until the survivors of a round are fixed; their names. Looks often: trip 2 follows at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in loopback.events(STUDY):
            if event["event"] == "survivors" and event["round"] == number:
                return tuple(event["survivors"])
        if loopback.processes["study"].poll() is not None:
            break
        time.sleep(_LOOK_SECONDS)
    raise ConfigurationError(
        f"the survivors of round {number} were not fixed: {loopback.log('study')[-2000:]}"
    )


def _report(loopback: Loopback, rounds: int, number: int) -> None:
    closed = [event for event in loopback.events(STUDY) if event["event"] == "round"]
    for event in closed:
        say(f"  round {event['round']}: {event['accepted']}, {float(event['seconds']):.1f} s")
    if sum(not event["discarded"] for event in closed) != rounds:
        raise ConfigurationError(f"of {len(closed)} rounds closed not {rounds} gave a sum")
    survivors = survivors_by_slot(loopback)
    for slot, sets in survivors.items():
        if len(sets) > 1:
            raise ConfigurationError(f"{slot}: hospitals answered for {len(sets)} sets of survivors")
    say(f"{len(survivors)} sums, each with one set of survivors in every ledger that answered for it")
    took_part = next(event["accepted"] for event in closed if event["round"] == number)
    say(f"round {number}: its sum holds the release of {KILLED}: {'yes' if KILLED in took_part else 'no'}")
    for name in HOSPITALS:
        loopback.hospital(name, "ledger", "verify", "--json")
    say("all ledgers verified")
    whole, first = median(float(event["seconds"]) for event in closed), median(first_trips(loopback))
    say(f"a round took {whole:.1f} s (median), of which trip 1 took {first:.1f} s")
    for event in loopback.events(STUDY):
        if event["event"] == "evaluated":
            say(f"held-out patients of {event['accepted']}: AUC {_shown(event['auc'])}")


def first_trips(loopback: Loopback) -> list[float]:
    """Give for each round the seconds from its announcement until its survivors were fixed: what local noise takes."""
    announced: dict[object, datetime] = {}
    found = []
    for event in loopback.events(STUDY):
        when = datetime.fromisoformat(event["time"])
        if event["event"] == "announced":
            announced[event["round"]] = when
        elif event["event"] == "survivors" and event["account"] == "training":
            found.append((when - announced[event["round"]]).total_seconds())
    return found


def survivors_by_slot(loopback: Loopback) -> dict[tuple[str, int], set[str]]:
    """Give by account and number the sets of survivors that the hospitals' ledgers hold."""
    found: dict[tuple[str, int], set[str]] = {}
    for name in loopback.hospitals:
        ledger = load_home(loopback.home(name)).open_ledger()
        try:
            entries = [entry.fields for entry in ledger.entries() if entry.kind == "survivors"]
        finally:
            ledger.close()
        for fields in entries:
            slot = (str(fields["account"]), int(str(fields["round"])))
            found.setdefault(slot, set()).add(str(fields["survivors"]))
    return found


def _shown(auc: Mapping[str, Any]) -> str:
    value, low, high = (auc[key] for key in ("value", "low", "high"))
    return "lost in noise" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
