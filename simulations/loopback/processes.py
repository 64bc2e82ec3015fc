"""What /proc says of a process: its children, processor time, memory, and lines. All are 0 of one that has ended."""

import os
from pathlib import Path

_ESTABLISHED = "01"


def descendants(pid: int) -> list[int]:
    """Processes started by this one, and by those."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _fields(int(path.parent.name)):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.append(child)
            waiting.append(child)
    return found


def processor_seconds(pid: int) -> float:
    """Processor time of a process, in its own code and in the system's."""
    fields = _fields(pid)
    # User and system time: fields 14 and 15 of the line, of which the first two are cut off.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def resident_mib(pid: int, most: bool = False) -> float:
    """Resident memory; ``most``: the most that ever was."""
    wanted = "VmHWM:" if most else "VmRSS:"
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(wanted)), 0.0)


def open_lines(port: int) -> int:
    """Lines of TCP over IPv4 that are established at a port of this machine, from its own side."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED for row in rows)


def _fields(pid: int) -> list[str]:
    try:
        # A process's name may itself hold spaces and brackets: fields are counted from the last bracket.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []
