"""The home folder: permissions, keys, policy, certificates, ledger, socket."""

import grp
import os
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.client.agent.door_state import is_listening
from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.home.home import (
    EVIDENCE,
    HOSPITAL_KEY,
    LEDGER,
    PATIENTS_KEY,
    POLICY,
    ROUNDS,
    SETTINGS,
    SUMS,
    TERMS,
    Home,
)
from wardround.client.ledger.entries import Entry
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.ledger.verify import export, verify
from wardround.client.policy.operator_names import operator_names
from wardround.client.policy.policy import Policy
from wardround.protocol.files import read_bounded
from wardround.protocol.wire.signing import key_fingerprint, load_public_key

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SOON = timedelta(days=30)
CERTIFICATES = ("*.pem", "*.crt", "certificates/*.pem", "certificates/*.crt", "supernode/*.crt")
_LARGEST_CERTIFICATE = 2**20


def permissions(home: Home) -> Iterator[Finding]:
    """Look who may read the home, its keys and the tables, beside their owner."""
    open_to_others = [
        name
        for name in (
            *(
                ".",
                "keys",
                SETTINGS,
                POLICY,
                LEDGER,
                ROUNDS,
                HOSPITAL_KEY,
                PATIENTS_KEY,
                TERMS,
                SUMS,
                EVIDENCE,
            ),
        )
        if (home.folder / name).exists() and _others_may(home.folder / name)
    ]
    for name in open_to_others:
        path = home.folder / name
        yield warn("files", f"{path}: others may read it", f"chmod o-rwx {path}")
    for table, paths in home.source.files().items():
        for path in paths:
            if path.exists() and _others_may(path):
                yield warn(
                    "files", f"{table}: every user of this machine may read {path}", f"chmod o-rwx {path}"
                )
    if not os.access(home.folder / LEDGER, os.W_OK):
        yield fault(
            "files", f"{LEDGER} cannot be written by this user", "run as the agent's user, or chown it"
        )
    elif not open_to_others:
        yield ok("files", "only this user can read settings, policy, keys and ledger")


def _others_may(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o007) and not _behind_closed_door(path)


def _behind_closed_door(path: Path) -> bool:
    """Whether a parent folder keeps others out, whatever the file itself says."""
    return any(not parent.stat().st_mode & stat.S_IXOTH for parent in path.absolute().parents)


def keys(home: Home) -> Iterator[Finding]:
    """Show the hospital's fingerprint, and that the public half belongs to the private one."""
    public = home.folder / f"{HOSPITAL_KEY}.pub"
    if not public.exists() or load_public_key(public) != home.key.public:
        yield warn(
            "keys",
            f"{public.name} is not the public half of hospital.key",
            f"echo {home.key.public} > {public}",
        )
    yield ok("keys", f"this hospital's key has the fingerprint {key_fingerprint(home.key.public)}")


def time_zone(home: Home) -> Iterator[Finding]:
    """Show in which time zone days begin, above all where none was set."""
    if home.timezone_is_set or home.simulation is not None:
        yield ok("time zone", home.timezone)
        return
    remedy = "set timezone in hospital.yaml, as in timezone: Europe/Madrid"
    yield warn("time zone", f"{home.timezone} (not set): days begin at midnight {home.timezone}", remedy)


def policy(current: Policy) -> Iterator[Finding]:
    """Look whether the policy allows anything at all."""
    missing = [
        name
        for name, allowed in (
            ("operators", current.operators),
            ("purposes", current.purposes),
            ("contracts or features", current.contracts or current.features),
            ("models or queries", current.models or current.queries),
            ("max_epsilon_per_study", current.max_epsilon_per_study),
            ("max_epsilon_per_operator", current.max_epsilon_per_operator),
            ("max_epsilon_for_life", current.max_epsilon_for_life),
            ("max_rounds", current.max_rounds),
            ("max_events_per_patient", current.max_events_per_patient),
            ("max_clip_norm", current.max_clip_norm or current.queries),
        )
        if not allowed
    ]
    if missing:
        yield fault("policy", f"allows nothing: {', '.join(missing)} is empty", f"fill it in {POLICY}")
        return
    names = ", ".join(current.operators)
    yield ok(
        "policy",
        f"allows {names}; ε at most {current.max_epsilon_per_study:g} per study, "
        f"{current.max_epsilon_for_life:g} for life",
    )
    if not current.require_approval:
        yield warn("policy", "studies run without a person's approval", f"require_approval: true in {POLICY}")
    if not current.require_consent:
        yield warn("policy", "contracts without consent are allowed", f"require_consent: true in {POLICY}")


def ledger(opened: SqliteLedger, home: Home, current: Policy) -> Iterator[Finding]:
    """Check every hash and signature, recompose ε, and say what is left."""
    checked = verify(export(opened.entries()), home.key.public)
    spent = opened.spent("training", current.delta)
    life = current.max_epsilon_for_life
    count = f"{checked.entries} {'entry' if checked.entries == 1 else 'entries'}"
    text = f"{count}, all signed and in place; ε spent {spent:.3g} of {life:g}"
    if spent >= life:
        yield fault("ledger", text, "the budget for life is used up, so no study can learn here")
    else:
        yield ok("ledger", text)


def heads(opened: SqliteLedger, current: Policy) -> Iterator[Finding]:
    """Look whether an operator holds an entry that this ledger lacks: an old copy was put back, head and all."""
    for name, entry in strange_heads(opened, current, opened.entries()).items():
        yield fault(
            "ledger",
            f"{name} names a head that this ledger does not have, since {entry.time:%Y-%m-%d %H:%M} UTC",
            "ask which head it holds; restore the backup that holds it, or see ledger recover --help",
        )


def strange_heads(ledger: SqliteLedger, policy: Policy, entries: Iterable[Entry]) -> dict[str, Entry]:
    """Give, by operator's name, the first plan refused by its head since the last one that was charged."""
    names = operator_names(policy, ledger)
    found: dict[str, Entry] = {}
    for entry in entries:
        name = names.get(ledger.first_key(str(entry.fields.get("operator", ""))), "")
        if entry.kind == "recovered":
            found.clear()
        elif name and entry.kind == "charged":
            # Charged since: the operator named a head that is here again.
            found.pop(name, None)
        elif name and entry.kind == "refused" and entry.fields["clause"] == "ledger_head":
            found.setdefault(name, entry)
    return found


def certificates(home: Home, now: datetime | None = None) -> Iterator[Finding]:
    """Read the dates of every certificate in the home."""
    now = now or datetime.now(UTC)
    found = _certificate_files(home)
    for path in found:
        yield from _dated(path, now)
    if not found:
        yield ok("certificates", "none in the home: not joined to a server yet")


def certificate_dates(home: Home) -> dict[str, datetime]:
    """Give by file's name when each certificate ends that can be read."""
    return {
        path.name: first.not_valid_after_utc for path in _certificate_files(home) if (first := _first(path))
    }


def _certificate_files(home: Home) -> list[Path]:
    return sorted({path for pattern in CERTIFICATES for path in home.folder.glob(pattern)})


def _first(path: Path) -> "Certificate | None":
    """Give the certificate that ends first of a file, which may hold a chain; None where there is none to read."""
    from cryptography import x509

    try:
        return min(
            x509.load_pem_x509_certificates(read_bounded(path, _LARGEST_CERTIFICATE)),
            key=lambda one: one.not_valid_after_utc,
        )
    except (ValueError, OSError):
        return None


def _dated(path: Path, now: datetime) -> Iterator[Finding]:
    first = _first(path)
    if first is None:
        yield fault("certificates", f"{path.name} is not a PEM certificate", "ask the operator for it again")
        return
    until = first.not_valid_after_utc
    if until <= now:
        yield fault(
            "certificates", f"{path.name} expired on {until:%Y-%m-%d}", "ask the operator for a new one"
        )
    elif first.not_valid_before_utc > now:
        yield fault(
            "certificates",
            f"{path.name} is valid from {first.not_valid_before_utc:%Y-%m-%d}",
            "check the clock",
        )
    elif until - now < SOON:
        yield warn(
            "certificates", f"{path.name} expires on {until:%Y-%m-%d}", "ask the operator for a new one"
        )
    else:
        yield ok("certificates", f"{path.name} is valid until {until:%Y-%m-%d}")


def socket(home: Home) -> Iterator[Finding]:
    """Look whether an agent answers, or could."""
    folder = home.socket.parent
    if is_listening(home.socket):
        group = grp.getgrgid(home.socket.stat().st_gid).gr_name
        yield ok("socket", f"an agent answers at {home.socket}; the group {group} may use it")
    elif folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o007:
        yield fault("socket", f"others may enter {folder}", f"chmod 750 {folder}")
    elif folder.exists() and not os.access(folder, os.W_OK):
        yield fault(
            "socket", f"{folder} cannot be written by this user", "run as the agent's user, or chown it"
        )
    else:
        yield ok("socket", f"free at {home.socket}; start the agent when a study is approved")
