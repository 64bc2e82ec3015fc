"""Many hospitals at one server on one machine: that a study ends, how long its rounds are, what the server needs."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.noise import SECURE
from wardround.protocol.terms.settings import TrainingSettings
from wardround.server.algorithm.noise_choice import chosen_noise
from wardround.simulations.loopback.federation import PATIENTS, Loopback
from wardround.simulations.loopback.processes import (
    descendants,
    open_lines,
    processor_seconds,
    resident_mib,
)
from wardround.simulations.loopback.together import Together

STUDY = "many"
LONGEST_SECONDS = 3600.0
WAITS = ("--round-seconds=300", "--wait-seconds=600")
PATIENTS_TOGETHER = 300
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the server's processes had taken at one time.

    server_cpu: processor seconds of ``up`` and the SuperLink. study_cpu: of the process that runs the study.
    server_mib, study_mib: resident memory of the SuperLink and of that process. lines: open at the server's port.
    """

    server_cpu: float
    study_cpu: float
    server_mib: float
    study_mib: float
    lines: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a study of many hospitals took.

    took_part: how many releases each round had. seconds: of each round. closed: by number of closed rounds, the
    reading that was taken first when so many were closed (0: before the study began). peak_mib: the most that was
    ever resident, of SuperLink and study. most_lines: at one time. left: how many hospitals were gone in the last
    round, which then counts apart.
    """

    took_part: tuple[int, ...]
    seconds: tuple[float, ...]
    closed: Mapping[int, Reading]
    peak_mib: tuple[float, float]
    most_lines: int
    left: int = 0

    @property
    def cpu_per_hospital_and_round(self) -> float:
        """Processor seconds of the server, first round left out: hospitals connect before it, and sums are set up."""
        return self._each(self._last.server_cpu - self.closed[1].server_cpu)

    @property
    def study_cpu_per_hospital_and_round(self) -> float:
        """Processor seconds of the study's own process, first round left out."""
        return self._each(self._last.study_cpu - self.closed[1].study_cpu)

    @property
    def _whole(self) -> int:
        """How many rounds had whoever there is."""
        return len(self.seconds) - (1 if self.left else 0)

    @property
    def _last(self) -> Reading:
        return self.closed[self._whole]

    def _each(self, seconds: float) -> float:
        return seconds / sum(self.took_part[1 : self._whole])

    def without_those_that_left(self) -> dict[str, float]:
        """Give the seconds and processor seconds of the last round; nothing where nobody left."""
        if not self.left:
            return {}
        last = self.closed[len(self.seconds)]
        return {
            "seconds": self.seconds[-1],
            "server_cpu": last.server_cpu - self._last.server_cpu,
            "study_cpu": last.study_cpu - self._last.study_cpu,
        }

    def facts(self) -> dict[str, object]:
        """Give all of it for a program."""
        return {
            "took_part": self.took_part,
            "seconds": self.seconds,
            "median_seconds": self.median_seconds,
            "server_cpu_per_hospital_and_round": self.cpu_per_hospital_and_round,
            "study_cpu_per_hospital_and_round": self.study_cpu_per_hospital_and_round,
            "first_round_server_cpu": self.closed[1].server_cpu - self.closed[0].server_cpu,
            "peak_mib": self.peak_mib,
            "most_lines": self.most_lines,
            "left": self.left,
            "without_those_that_left": self.without_those_that_left(),
            "closed": {number: asdict(one) for number, one in self.closed.items()},
        }

    @property
    def median_seconds(self) -> float:
        """The median length of a round after the first, of those that had whoever there is."""
        later = sorted(self.seconds[1 : self._whole])
        return later[len(later) // 2]

    def lines(self) -> list[str]:
        """Say it for a person."""
        rounds, first, last = self._whole, self.closed[1], self._last
        return [
            f"{rounds} rounds, {min(self.took_part[:rounds])} to {max(self.took_part[:rounds])} releases each, "
            f"{self.median_seconds:.1f} s (median after the first)",
            *(
                f"memory of {name}: {begun:.0f} MiB after round 1, {end:.0f} MiB after round {rounds}, {peak:.0f} MiB "
                "at most"
                for name, begun, end, peak in (
                    ("the SuperLink", first.server_mib, last.server_mib, self.peak_mib[0]),
                    ("the study's process", first.study_mib, last.study_mib, self.peak_mib[1]),
                )
            ),
            f"processor time per hospital and round: {self.cpu_per_hospital_and_round:.3f} s of the SuperLink, "
            f"{self.study_cpu_per_hospital_and_round:.4f} s of the study's process; until the end of round 1 "
            f"{first.server_cpu - self.closed[0].server_cpu:.1f} s of the SuperLink",
            f"at most {self.most_lines} lines open at the server's port",
            *self._lines_of_the_last(),
        ]

    def _lines_of_the_last(self) -> list[str]:
        last = self.without_those_that_left()
        if not last:
            return []
        return [
            f"the last round, without {self.left} that had left: {last['seconds']:.1f} s; processor time "
            f"{last['server_cpu']:.1f} s of the SuperLink, {last['study_cpu']:.1f} s of the study's process"
        ]


def numbered(hospitals: int) -> list[str]:
    """Name so many hospitals."""
    return [f"hospital-{number:03d}" for number in range(1, hospitals + 1)]


def run_many(
    folder: Path, hospitals: int, rounds: int, noise: str = "auto", together: bool = False, leaving: int = 0
) -> Measured:
    """Provision so many hospitals, run one study over them, and measure; ConfigurationError where it fails.

    noise: as ``privacy.noise``. Where it is ``secure`` hospitals are introduced first, each to each.
    together: all hospitals in one process, as a hundred must be. leaving: so many of them are killed before the last
    round, and do not come back; of secure sums their part is then opened with the others' shares.
    """
    names = numbered(hospitals)
    with _made(folder, names, together, leaving) as loopback:
        loopback.provision()
        settings = loopback.settings(STUDY, rounds, f"privacy.noise={noise}")
        if chosen_noise(noise, hospitals, TrainingSettings(), simulation=False) == SECURE.name:
            loopback.introduce()
        loopback.approve(STUDY, *settings)
        loopback.start_server()
        loopback.start_hospitals()
        loopback.await_that(loopback.all_let_in, LONGEST_SECONDS / 10)
        before = _reading(loopback)
        loopback.start_study(*settings, *WAITS, f"--quorum={(hospitals - leaving) / hospitals}")
        closed, peak_mib, most_lines = _watched(loopback, rounds - 1)
        if code := loopback.wait_study(60.0):
            raise ConfigurationError(f"the study ended with {code}: {loopback.log('study')[-2000:]}")
        events = [event for event in loopback.events(STUDY) if event["event"] == "round"]
        return Measured(
            took_part=tuple(len(event["accepted"]) for event in events),
            seconds=tuple(float(event["seconds"]) for event in events),
            closed={0: before, **closed},
            peak_mib=peak_mib,
            most_lines=most_lines,
            left=leaving,
        )


def _made(folder: Path, names: list[str], together: bool, leaving: int) -> Loopback:
    if together:
        made = Together(folder, names, PATIENTS_TOGETHER)
        made.leaving = leaving
        return made
    if leaving:
        raise ConfigurationError("--leaving: only with --together")
    return Loopback(folder, names, PATIENTS)


def _watched(loopback: Loopback, leave_at: int) -> tuple[dict[int, Reading], tuple[float, float], int]:
    """Read the processes until the study ends; of each number of closed rounds the first reading is kept.

    leave_at: the number of closed rounds at which whoever leaves is killed.
    """
    closed: dict[int, Reading] = {}
    server_peak = study_peak = 0.0
    most_lines = 0
    process, port = loopback.processes["study"], loopback.port
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        _require_running(loopback)
        number = sum(event["event"] == "round" for event in loopback.events(STUDY))
        if number and number not in closed:
            closed[number] = _reading(loopback)
            if number == leave_at and isinstance(loopback, Together):
                loopback.leave()
        # Of a process that has just ended nothing is read: the last true figure is kept.
        server_peak = max(server_peak, resident_mib(superlink_of(loopback), most=True))
        study_peak = max(study_peak, resident_mib(process.pid, most=True))
        most_lines = max(most_lines, open_lines(port))
        time.sleep(_LOOK_SECONDS)
    return closed, (server_peak, study_peak), most_lines


def _reading(loopback: Loopback) -> Reading:
    up, study = loopback.processes["server"].pid, loopback.processes.get("study")
    superlink = superlink_of(loopback)
    return Reading(
        server_cpu=sum(map(processor_seconds, (up, *descendants(up)))),
        study_cpu=processor_seconds(study.pid) if study else 0.0,
        server_mib=resident_mib(superlink),
        study_mib=resident_mib(study.pid) if study else 0.0,
        lines=open_lines(loopback.port),
    )


def _require_running(loopback: Loopback) -> None:
    for name, process in loopback.processes.items():
        if name != "study" and (code := process.poll()) is not None:
            raise ConfigurationError(f"{name} ended with {code}: {loopback.log(name)[-2000:]}")


def superlink_of(loopback: Loopback) -> int:
    """Give the number of the running SuperLink's process: the largest of what ``up`` started; 0 where there is none."""
    started = descendants(loopback.processes["server"].pid)
    return max(((resident_mib(one), one) for one in started), default=(0.0, 0))[1]
