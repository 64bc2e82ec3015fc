"""What an honest hospital does whose ledger is lost: nothing that may have been spent is forgotten.

A person says which copy is the newest, which heads others hold, and why. Every release that may have left since
is charged at its worst, none of these rounds is ever computed again, and every approval lapses.
"""

import math
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from wardround.client.ledger.backup import (
    copy_of,
    ledger_part,
    put_in_place,
    read_copy,
    read_entries,
)
from wardround.client.ledger.budget import Assumed, Charge
from wardround.client.ledger.chain import Chain
from wardround.client.ledger.entries import Entry, charge_of_entry
from wardround.client.ledger.head_file import Head, head_path, read_head, write_head
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.ledger.store import Store
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.privacy.accounting import PrivacyEvent, noise_multiplier_for
from wardround.protocol.terms.cost import events_left, releases, unmasked_multiplier
from wardround.protocol.terms.terms import ACCOUNTS
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.protocol.wire.signing import SigningKey

UNKNOWN = "unknown"
"""The study under which is charged what studies may have cost of which nobody here knows any more."""
NO_TERMS = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What a person says. heads: of entries that were lost, as others hold them. assumed: what was lost, at its worst.

    delta: at which the entries state ε.
    """

    heads: tuple[str, ...]
    assumed: tuple[Assumed, ...]
    delta: float
    person: str
    reason: str


def at_worst(chain: Chain, known: Iterable[SignedTerms]) -> list[Assumed]:
    """Charge every release of these studies that is not charged yet; simulations cost nobody anything."""
    # One study for each operator: terms that were signed again after a key's exchange are the same.
    studies = {(one.terms.fingerprint, chain.first_key(one.operator)): one.terms for one in known}
    found = []
    for (_, first), terms in studies.items():
        for account, _ in () if terms.simulation else releases(terms):
            charged = chain.rounds_charged(first, terms.fingerprint, account)
            for event in events_left(terms, account, charged):
                charge = _charge(first, terms.study, terms.fingerprint, account, event)
                alone = unmasked_multiplier(terms, account, event)
                steps = terms.training.local_steps if account == "training" else 1
                found.append(Assumed(replace(charge, unmasked_noise_multiplier=alone), event.count // steps))
    return found


def unknown_studies(hospital: str, delta: float, life: float) -> list[Assumed]:
    """Charge the whole ε for life, to the hospital itself: no study runs before a person raises that cap.

    hospital: its public key. ConfigurationError where the policy has no such cap.
    """
    if not 0 < life < math.inf:
        raise ConfigurationError(
            f"max_epsilon_for_life={life:g}: unknown studies are charged all of it; set a cap in policy.yaml"
        )
    # A little more than the cap: the multiplier is found to a tolerance.
    event = PrivacyEvent(noise_multiplier_for(1.01 * life, delta, 1.0, 1), 1.0, 1)
    return [Assumed(_charge(hospital, UNKNOWN, NO_TERMS, account, event), 0) for account in ACCOUNTS]


def newest_copy(database: Path, file: Path | None, key: SigningKey) -> tuple[Chain, list[Assumed]]:
    """Read what is left: a backup, or where none is named what lies in the ledger's place.

    Also gives what the ledger's own file charged and the backup lacks: a machine that is set back to a snapshot goes
    on from an earlier entry. LedgerError where that file holds all of the backup and more, which would be forgotten.
    """
    if file is None:
        return _in_place(database, key)[0], []
    chain = read_copy(file, key.public)
    try:
        there, entries = _in_place(database, key)
    except LedgerError:
        return chain, []
    if there.sequence > chain.sequence and chain.head in there.heads:
        raise LedgerError(
            f"ledger={file}: holds {chain.sequence} entries, the ledger here the same and more, {there.sequence} in "
            "all; leave FILE out, to go on from what is here"
        )
    return chain, _besides(chain, entries)


def _besides(chain: Chain, entries: Iterable[Entry]) -> list[Assumed]:
    """Add up what other entries charged than those of the chain, by study, account and mechanism."""
    found: dict[Charge, Assumed] = {}
    for entry in entries:
        if entry.kind not in ("charged", "assumed") or entry.hash in chain.heads:
            continue
        charge, releases = charge_of_entry(entry), int(entry.fields.get("releases", 1))
        one = replace(charge, round=0, weights_digest="", label="", event=replace(charge.event, count=1))
        before = found.get(one)
        event = replace(charge.event, count=charge.event.count + (before.charge.event.count if before else 0))
        found[one] = Assumed(replace(one, event=event), releases + (before.releases if before else 0))
    return list(found.values())


def _in_place(database: Path, key: SigningKey) -> tuple[Chain, list[Entry]]:
    with ledger_part(database) as part:
        _copy(database, None, part)
        return read_entries(part, key.public)


def recover(
    database: Path, file: Path | None, key: SigningKey, code: str, now: datetime, recovery: Recovery
) -> str:
    """Put the newest copy in place with what a person says of the rest; returns the new head.

    The head outside, where it is still there, is taken in among the heads that others hold. Killed on the way,
    no ledger opens, and the same command does it again; once the copy is in place it asks to leave ``file`` out.
    """
    outside = read_head(head_path(database))
    with ledger_part(database) as part:
        _copy(database, file, part)
        own = {outside.hash} if outside is not None else set()
        heads = sorted((own | set(recovery.heads)) - read_copy(part, key.public).heads.keys())
        head = _enter(part, key, code, now, heads, recovery)
        chain = read_copy(part, key.public)
        put_in_place(part, database)
        # Last: where entries were lost, the old head keeps the ledger closed until then; run the command again.
        write_head(head_path(database), Head(chain.sequence, chain.head))
    return head


def _enter(
    part: Path, key: SigningKey, code: str, now: datetime, heads: Sequence[str], recovery: Recovery
) -> str:
    ledger = SqliteLedger(Store(part), key, code, None)
    try:
        head = ledger.recover(now, heads, recovery.person, recovery.reason, recovery.assumed, recovery.delta)
    finally:
        ledger.close()
    with closing(sqlite3.connect(part, isolation_level=None)) as database:
        # Opened as a ledger it went into WAL mode; what is moved into place must be one file.
        database.execute("PRAGMA journal_mode = DELETE")
    return head


def _copy(database: Path, file: Path | None, part: Path) -> None:
    if file is not None:
        copy_of(file, part)
        return
    store = Store(database)
    try:
        store.flush()  # so that no entry is in the log alone when the file is moved aside
        store.copy_to(part)
    except sqlite3.Error as error:
        raise LedgerError(f"ledger={database}: cannot be read ({error}); name the newest backup") from error
    finally:
        store.close()


def _charge(operator: str, study: str, terms: str, account: str, event: PrivacyEvent) -> Charge:
    return Charge(
        operator=operator, study=study, terms=terms, round=0, weights_digest="", event=event, account=account
    )
