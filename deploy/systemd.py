"""systemd's own programs: users and folders made, units known, started and stopped."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wardround.protocol.errors import ConfigurationError

THIS_MACHINE = Path("/")
_SECONDS = 120


def require_systemd(root: Path) -> None:
    """Raise ConfigurationError where another machine's units would be written to this one, or nobody may write."""
    if root != THIS_MACHINE:
        return
    if not Path("/run/systemd/system").is_dir():
        raise ConfigurationError(
            "systemd does not run this machine; use the containers (deploy/containers), or --root DIR for an image"
        )
    if os.geteuid() != 0:
        raise ConfigurationError("only root may do this; run it by sudo, or try it with --root DIR")


def make_users(root: Path, files: Sequence[Path]) -> None:
    """Make the users, then the folders, that these files say. An image's are made when it first boots."""
    if root != THIS_MACHINE:
        return
    for folder, line in (
        ("sysusers.d", ["systemd-sysusers"]),
        ("tmpfiles.d", ["systemd-tmpfiles", "--create"]),
    ):
        if named := [str(path) for path in files if path.parent.name == folder]:
            _run(*line, *named)


def enable(root: Path, units: Sequence[str]) -> None:
    """Have units started at each boot, and on this machine now."""
    _run("systemctl", *_where(root), "enable", *_now(root), *units)


def disable(root: Path, units: Sequence[str]) -> None:
    """Stop units, on this machine now, and start them at no boot."""
    if units:
        _run("systemctl", *_where(root), "disable", *_now(root), *units)


def read_units_again(root: Path) -> None:
    """Let systemd see that unit files came, changed or went."""
    if root == THIS_MACHINE:
        _run("systemctl", "daemon-reload")


def activity(unit: str) -> str:
    """Say what this machine's systemd makes of a unit: active, inactive, failed."""
    done = subprocess.run(
        ["systemctl", "is-active", "--", unit],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _where(root: Path) -> tuple[str, ...]:
    return () if root == THIS_MACHINE else (f"--root={root}",)


def _now(root: Path) -> tuple[str, ...]:
    return ("--now",) if root == THIS_MACHINE else ()


def _run(*line: str) -> None:
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{' '.join(line)}: cannot be run; run it by hand, and try again") from error
    if done.returncode:
        raise ConfigurationError(f"{' '.join(line)}: failed: {done.stderr.strip()[:500]}")
