"""An operator's home with a server, hospitals and a study, whose event log a test writes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.builders import simulated_terms
from wardround.client.network.supernode import node_public_key
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signed_terms import sign_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm.rounds import RoundSummary
from wardround.server.algorithm.screen import NoRelease
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import EventLog
from wardround.server.store.operator_home import OperatorHome, load_operator_home
from wardround.server.study.begin import keep_terms

HOSPITALS = ("north", "south", "west")


def watched_home(
    folder: Path, hospitals: tuple[str, ...] = HOSPITALS, address: str = "127.0.0.1:8443"
) -> OperatorHome:
    """Begin a home, enrol the hospitals, and sign a study's terms."""
    home = begin_operator_home(folder / "op", address)
    for name in hospitals:
        key, node = new_key(), folder / name
        node.mkdir(parents=True)
        request = sign_join_request(name, node_public_key(node), key)
        save_signed(request, home.folder / "hospitals" / f"{name}.json")
    return load_operator_home(home.folder)


def begin_study(
    home: OperatorHome, name: str = "tea", expires_at: str = "2100-01-01T00:00:00+00:00", **changes: Any
) -> EventLog:
    """Sign a study's terms, and give its event log, with the first event."""
    terms = replace(
        simulated_terms(**changes),
        study=name,
        simulation=False,
        reply_delay_seconds=0.0,
        expires_at=expires_at,
    )
    folder = home.study(name)
    keep_terms(folder, sign_terms(terms, home.key()))
    log = EventLog(folder.events, quiet=True)
    log.write("started", study=name, terms=terms.fingerprint)
    return log


def close_round(
    log: EventLog, number: int, accepted: tuple[str, ...], rejected: dict[str, str], missing: tuple[str, ...]
) -> None:
    """Write a closed round."""
    summary = RoundSummary(
        study="tea",
        round=number,
        planned=len(accepted) + len(rejected) + len(missing),
        accepted=accepted,
        rejected=tuple(NoRelease(name, why) for name, why in rejected.items()),
        missing=missing,
        discarded="",
        gradient_norm=1.0,
        update_norm=1.0,
    )
    log.round(summary, 1.0, 10**6)
