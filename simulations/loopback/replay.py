"""Replay a study from what the hospitals' agents stored: the same ``rounds.apply``, no server."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.home import load_home
from protocol.errors import ConfigurationError
from protocol.signed_terms import SignedTerms
from protocol.terms import Release, Terms
from protocol.wire import decode_release
from server import rounds
from server.rounds import RoundState


def replay(signed: SignedTerms, accepted: Iterable[Iterable[str]], homes: Path) -> RoundState:
    """Apply the stored releases of each round's accepted hospitals, in that order; gives the last state."""
    state = rounds.init(signed.terms)
    for hospitals in accepted:
        releases = [stored_release(signed, name, state.round, homes / name) for name in hospitals]
        state, _ = rounds.apply(state, signed.terms, releases)
    return state


def stored_release(signed: SignedTerms, hospital: str, number: int, folder: Path) -> Release:
    """Read a release from a hospital's ledger; ConfigurationError where none is stored."""
    ledger = load_home(folder).open_ledger()
    try:
        receipt = ledger.find(signed.operator, signed.terms.fingerprint, number)
    finally:
        ledger.close()
    if receipt is None or receipt.stored is None:
        raise ConfigurationError(f"{hospital}: no release of round {number} is stored")
    return decode_release(receipt.stored)


def largest_difference(terms: Terms, one: RoundState, other: NDArray[np.float64]) -> float:
    """The largest difference between a state's reported weights and others."""
    if len(other) != len(one.weights):
        raise ConfigurationError(f"{terms.study}: {len(other)} weights, must be {len(one.weights)}")
    return float(np.abs(rounds.reported_weights(one) - other).max())
