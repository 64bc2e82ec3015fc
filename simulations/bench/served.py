"""(f) A server of many hospitals: a real SuperLink and study over TLS, the hospitals' real agents in one process."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wardround.protocol.text.plain import read_json
from wardround.simulations.bench.page import Part

RUNS = ((10, 6, "local", 0), (100, 4, "local", 0), (100, 5, "secure", 5))
QUICK = ((3, 3, "local", 0),)
"""Hospitals, rounds, noise, and how many of them leave before the last round."""


def benchmark(quick: bool = False) -> Part:
    """Run each of the studies in processes of their own."""
    found = {run: _apart(*run) for run in (QUICK if quick else RUNS)}
    return Part(
        key="f",
        title="A server of many hospitals",
        columns=(
            "hospitals",
            "noise",
            "rounds",
            "a round, s",
            "SuperLink, processor s per hospital and round",
            "study, the same",
            "SuperLink until round 1 ends, s",
            "SuperLink at most, MiB",
            "study at most, MiB",
            "lines at most",
            "last round, who left",
            "its seconds",
            "its processor s: SuperLink",
            "study",
        ),
        rows=[_row(run, one) for run, one in found.items()],
        notes=(
            "`up` with its SuperLink and the study are processes as at any operator. The hospitals have real homes, "
            "keys, ledgers and agents, and what they say to the server over TLS is what SuperNodes say, but they share "
            "one process and this machine (`simulations/loopback/nodes.py`). The first round, before which hospitals "
            "connect and sums are set up, is left out of all but its own column and the largest memory; so is the last "
            "one, where some hospitals were killed before it and did not come back. Of a secure sum their masks are "
            "then taken out with what the others answer, by the study's process.",
        ),
        facts={f"{hospitals} {noise}": dict(one) for (hospitals, _, noise, _), one in found.items()},
    )


def _row(run: tuple[int, int, str, int], found: Mapping[str, Any]) -> list[object]:
    hospitals, rounds, noise, leaving = run
    server_mib, study_mib = found["peak_mib"]
    last = found["without_those_that_left"]
    return [
        hospitals,
        noise,
        rounds,
        found["median_seconds"],
        found["server_cpu_per_hospital_and_round"],
        found["study_cpu_per_hospital_and_round"],
        found["first_round_server_cpu"],
        round(server_mib),
        round(study_mib),
        found["most_lines"],
        leaving or "",
        *(last.get(name, "") for name in ("seconds", "server_cpu", "study_cpu")),
    ]


def _apart(hospitals: int, rounds: int, noise: str, leaving: int) -> Mapping[str, Any]:
    """Measure one study; subprocess.CalledProcessError where it fails."""
    with tempfile.TemporaryDirectory(prefix="wardround-bench-") as name:
        # By its command: benchmarks import no federation of processes.
        program = [
            sys.executable, "-P", "-m", "wardround.simulations.loopback", "--together", "--json",
            f"--folder={Path(name) / 'l'}", f"--hospitals={hospitals}", f"--rounds={rounds}", f"--noise={noise}",
            f"--leaving={leaving}",
        ]  # fmt: skip
        found: Mapping[str, Any] = read_json(
            subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout, 2**20
        )
        return found
