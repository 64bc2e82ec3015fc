"""How much memory this program took."""

import resource
import sys
from pathlib import Path


def peak_mb() -> float:
    """Peak resident memory of this program in MB; on Linux without what the parent process had used."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    # ru_maxrss outlives exec, so that a child of a large process would report its parent's peak.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)  # macOS counts bytes, others KiB
