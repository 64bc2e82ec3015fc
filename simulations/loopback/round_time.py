"""How long a round takes in secure sums and with local noise: ``python -m wardround.simulations.loopback.round_time``.

Real processes over TLS on this machine, all delays 0. Short studies in turn, one of each noise and then the next two,
so that a machine that is busier for a while slows both. A round lasts from the end of the one before to its own, as
the study's log has it, everything included; a study's first round, before which hospitals connect and sums are set
up, is not counted.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.privacy.noise import LOCAL, SECURE
from wardround.protocol.text.say import complain, say
from wardround.simulations.loopback.federation import Loopback

NOISES = (LOCAL.name, SECURE.name)
WAITS = ("--round-seconds=120", "--wait-seconds=300", "--quorum=1")
EPSILON = "privacy.epsilon=0.05"  # so that all these studies fit into a hospital's policy


@dataclass(frozen=True)
class RoundTimes:
    """Seconds of each counted round, by noise and turn."""

    seconds: Mapping[str, Sequence[Sequence[float]]]

    def median_of(self, noise: str) -> float:
        """The median over all turns."""
        return median(one for turn in self.seconds[noise] for one in turn)

    @property
    def ratio(self) -> float:
        """How many times as long a round in secure sums takes as one with local noise."""
        return self.median_of(SECURE.name) / self.median_of(LOCAL.name)

    def lines(self) -> list[str]:
        """Say it for a person, each turn too."""
        turns = [
            f"turn {number}: " + ", ".join(f"{name} {median(turn):.2f} s" for name, turn in pair)
            for number, pair in enumerate(
                zip(*([(n, turn) for turn in self.seconds[n]] for n in NOISES), strict=True), 1
            )
        ]
        both = ", ".join(f"{name} {self.median_of(name):.2f} s" for name in NOISES)
        return [*turns, f"median round: {both}; secure sums take {self.ratio:.2f} times as long"]


def measure(folder: Path, hospitals: int, turns: int, rounds: int) -> RoundTimes:
    """Run the studies in turn; ConfigurationError where one fails. rounds: of each study, those counted."""
    names = [f"hospital-{number}" for number in range(1, hospitals + 1)]
    found: dict[str, list[list[float]]] = {noise: [] for noise in NOISES}
    with Loopback(folder, names) as loopback:
        loopback.provision()
        loopback.introduce()
        loopback.start_server()
        for turn in range(turns):
            for noise in NOISES:
                study = f"{noise}-{turn + 1}"
                settings = loopback.settings(study, rounds + 1, f"privacy.noise={noise}", EPSILON)
                loopback.approve(study, *settings)
                for name in names if not (turn or found[LOCAL.name]) else ():
                    loopback.start_hospital(name)
                loopback.start_study(*settings, *WAITS)
                if loopback.wait_study(120.0 + 30.0 * rounds):
                    raise ConfigurationError(f"the study {study} failed: {loopback.log('study')[-2000:]}")
                found[noise].append(lengths(loopback.events(study)))
    return RoundTimes(found)


def lengths(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Give the seconds from the end of each round to that of the next."""
    ends = [datetime.fromisoformat(event["time"]) for event in events if event["event"] == "round"]
    return [(after - before).total_seconds() for before, after in pairwise(ends)]


def main(arguments: Sequence[str]) -> int:
    """Measure, and print medians, their ratio and the machine's load."""
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.loopback.round_time")
    parser.add_argument("--folder", type=Path, default=Path("outputs/round-time"))
    parser.add_argument("--hospitals", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=12, help="counted ones, of each study")
    options = parser.parse_args(arguments)
    shutil.rmtree(options.folder, ignore_errors=True)
    try:
        found = measure(options.folder, options.hospitals, options.turns, options.rounds)
    except WardroundError as error:
        complain(str(error))
        return 2
    load = os.getloadavg()[1]
    say(*found.lines(), f"load of the last five minutes: {load:.1f} on {os.cpu_count()} processors")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
