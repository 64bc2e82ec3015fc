"""Many hospitals as processes on one machine: that a study ends, how long its rounds are, what the server needs."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy.noise import SECURE
from wardround.protocol.terms.settings import TrainingSettings
from wardround.server.algorithm.noise_choice import chosen_noise
from wardround.simulations.loopback.federation import Loopback, descendants

STUDY = "many"
LONGEST_SECONDS = 1800.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a study of many hospitals took.

    took_part: how many releases each round had. seconds: of each round. server_mib, study_mib: by closed round,
    the resident memory of Flower's SuperLink and of the process that runs the study. server_cpu: by closed round, the
    processor seconds that the SuperLink has taken since it started.
    """

    took_part: tuple[int, ...]
    seconds: tuple[float, ...]
    server_mib: Mapping[int, float]
    study_mib: Mapping[int, float]
    server_cpu: Mapping[int, float]

    @property
    def cpu_per_hospital_and_round(self) -> float:
        """Processor seconds of the SuperLink, first round left out: hospitals connect before it."""
        return (self.server_cpu[len(self.seconds)] - self.server_cpu[1]) / sum(self.took_part[1:])

    def lines(self) -> list[str]:
        """Say it for a person."""
        rounds = len(self.seconds)
        median = sorted(self.seconds)[rounds // 2]
        return [
            f"{rounds} rounds, {min(self.took_part)} to {max(self.took_part)} releases each, {median:.1f} s (median)",
            *(
                f"memory of {name}: {mib[1]:.0f} MiB after round 1, {mib[rounds]:.0f} MiB after round {rounds}"
                for name, mib in (("the SuperLink", self.server_mib), ("the study's process", self.study_mib))
            ),
            f"processor time of the SuperLink: {self.cpu_per_hospital_and_round:.3f} s per hospital and round",
        ]


def run_many(folder: Path, hospitals: int, rounds: int, noise: str = "auto") -> Measured:
    """Provision so many hospitals, run one study over them, and measure; ConfigurationError where it fails.

    noise: as ``privacy.noise``. Where it is ``secure`` hospitals are introduced first, each to each.
    """
    names = [f"hospital-{number:02d}" for number in range(1, hospitals + 1)]
    with Loopback(folder, names) as loopback:
        loopback.provision()
        settings = loopback.settings(STUDY, rounds, f"privacy.noise={noise}")
        if chosen_noise(noise, hospitals, TrainingSettings(), simulation=False) == SECURE.name:
            loopback.introduce()
        loopback.approve(STUDY, *settings)
        loopback.start_server()
        for name in names:
            loopback.start_hospital(name)
        loopback.start_study(*settings, "--round-seconds=300", "--wait-seconds=600", "--quorum=1")
        server_mib, study_mib, server_cpu = _watched(loopback)
        code = loopback.wait_study(60.0)
        if code:
            raise ConfigurationError(f"the study ended with {code}: {loopback.log('study')[-2000:]}")
        closed = [event for event in loopback.events(STUDY) if event["event"] == "round"]
        return Measured(
            took_part=tuple(len(event["accepted"]) for event in closed),
            seconds=tuple(float(event["seconds"]) for event in closed),
            server_mib=server_mib,
            study_mib=study_mib,
            server_cpu=server_cpu,
        )


def _watched(loopback: Loopback) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
    """Read both processes until the study ends; of each count of closed rounds the last reading stays."""
    server: dict[int, float] = {}
    study: dict[int, float] = {}
    cpu: dict[int, float] = {}
    process = loopback.processes["study"]
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        closed = sum(event["event"] == "round" for event in loopback.events(STUDY))
        superlink = superlink_of(loopback)
        server[closed] = _resident_mib(superlink)
        # A reading of 0 is of a process that has just ended: the last true one is kept.
        cpu[closed] = processor_seconds(superlink) or cpu.get(closed, 0.0)
        study[closed] = _resident_mib(process.pid) or study.get(closed, 0.0)
        time.sleep(_LOOK_SECONDS)
    return server, study, cpu


def superlink_of(loopback: Loopback) -> int:
    """Give the number of the running SuperLink's process: the largest of what ``up`` started; 0 where there is none."""
    started = descendants(loopback.processes["server"].pid)
    return max(((_resident_mib(one), one) for one in started), default=(0.0, 0))[1]


def processor_seconds(pid: int) -> float:
    """Processor time from /proc; 0 where the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # User and system time: fields 14 and 15 of the line, of which the first two are cut off.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    """Resident memory from /proc; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
