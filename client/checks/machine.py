"""The machine: versions, clock, disks."""

import ctypes
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.checks.volumes import NETWORK, unencrypted_swap, volume_of
from wardround.client.home.home import LEDGER, Home
from wardround.client.ledger.clock import FIRST, LAST, clock_fault
from wardround.protocol.wire.speaker import PROTOCOL

SHOWN = ("torch", "opacus", "polars", "flwr", "cryptography")
LEAST_FREE_BYTES, FEW_FREE_BYTES = 200 * 2**20, 2 * 2**30
_UNSYNCHRONISED = 5  # adjtimex: TIME_ERROR


def versions() -> Iterator[Finding]:
    """Compare what is installed with what the distribution asks for."""
    try:
        own, wanted = version("wardround"), requires("wardround") or []
    except PackageNotFoundError:
        yield fault(
            "versions",
            "wardround is not installed here",
            f"in the checkout scripts/install.sh {sys.prefix} hospital",
        )
        return
    wrong = list(_unmet(wanted))
    for name, has, asked in wrong:
        yield fault("versions", f"{name} is {has}, needed is {asked}", "reinstall: scripts/install.sh")
    if not wrong:
        parts = ", ".join(f"{name} {_version(name)}" for name in SHOWN)
        yield ok(
            "versions", f"wardround {own}, protocol {PROTOCOL}, Python {sys.version.split()[0]}, {parts}"
        )


def _unmet(wanted: list[str]) -> Iterator[tuple[str, str, str]]:
    from packaging.requirements import Requirement

    for text in wanted:
        requirement = Requirement(text)
        # Of the extras a hospital installs what it needs: a missing one is no fault.
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        has = _version(requirement.name)
        if has == "missing" or not requirement.specifier.contains(has.split("+")[0], prereleases=True):
            yield requirement.name, has, str(requirement.specifier)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def clock(last_entry: datetime | None, now: datetime | None = None) -> Iterator[Finding]:
    """Look whether the clock is plausible, beside the ledger's too, and kept by somebody.

    last_entry: of the ledger, refusals aside; None in a simulated home, whose time is not the clock's.
    """
    now = now or datetime.now(UTC)
    wrong = "" if last_entry is None else clock_fault(now, last_entry)
    if not FIRST <= now < LAST:
        yield fault("clock", f"says {now:%Y-%m-%d %H:%M} UTC, which is certainly wrong", "set the clock")
    elif wrong:
        yield fault(
            "clock", wrong, "set the clock; if it is right, wardround-hospital ledger clock --reason TEXT"
        )
    elif last_entry is not None and now < last_entry:
        yield warn(
            "clock",
            f"is {last_entry - now} behind the ledger's last entry; until it catches up, the entry's time counts",
            "set the clock, and keep it by NTP",
        )
    elif clock_state() == _UNSYNCHRONISED:
        yield warn("clock", f"{now:%Y-%m-%d %H:%M} UTC, not synchronised", "keep it by NTP (timedatectl)")
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC")


def clock_state() -> int:
    """Ask the kernel whether its clock is synchronised (adjtimex(2)); 0 where it does not say."""
    try:
        # Zeros only ask (modes = 0); 512 bytes are more than struct timex has on any machine.
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError):
        return 0


def disks(home: Home) -> Iterator[Finding]:
    """Name what is not encrypted, and look for room; features live in memory, so swap counts."""
    free = shutil.disk_usage(home.folder).free
    text = f"{free / 2**30:.1f} GiB free at {home.folder}"
    if free < LEAST_FREE_BYTES:
        yield fault("disk", text, "free some space: a charge that cannot be written is refused")
    elif free < FEW_FREE_BYTES:
        yield warn("disk", text, "free some space")
    else:
        yield ok("disk", text)
    yield from _ledger_disk(home)
    yield from _encryption(home)


def _ledger_disk(home: Home) -> Iterator[Finding]:
    volume = volume_of(home.folder / LEDGER)
    if volume is not None and volume.kind in NETWORK:
        yield fault(
            "disk", f"the ledger is on a network volume ({volume.kind} at {volume.mount})", "use a local disk"
        )
    if volume is not None and volume.in_memory:
        yield fault(
            "disk", f"the ledger is in memory ({volume.mount})", "a restart would lose it: use a disk"
        )


def _encryption(home: Home) -> Iterator[Finding]:
    paths = {"home": home.folder}
    # Of a folder of files one says on which volume they lie.
    paths |= {table: own[0] for table, own in home.source.files().items() if own}
    volumes: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for name, path in paths.items():
        volume = volume_of(path)
        if volume is None or volume.encrypted is None:
            unknown.setdefault(volume.mount if volume else "?", []).append(name)
        elif not volume.encrypted:
            volumes.setdefault(f"{volume.mount} ({volume.device})", []).append(name)
    for mount, names in volumes.items():
        yield warn(
            "encryption", f"{mount} is not encrypted; it holds {', '.join(names)}", "use an encrypted volume"
        )
    for mount, names in unknown.items():
        yield warn(
            "encryption", f"cannot tell for {mount}; it holds {', '.join(names)}", "make sure that it is"
        )
    for name in unencrypted_swap():
        yield warn(
            "encryption", f"swap {name} is not encrypted; memory may reach it", "encrypt it or turn it off"
        )
    if not volumes and not unknown:
        yield ok("encryption", "home and tables are on encrypted volumes")
