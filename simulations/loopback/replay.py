"""Replay a study from what the hospitals' agents stored: the same ``rounds.apply``, no server."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from wardround.client.home.home import load_home
from wardround.protocol.arrays import Floats
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import Release, Terms
from wardround.protocol.wire.signed_terms import SignedTerms
from wardround.protocol.wire.wire import decode_release
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import RoundState


def replay(signed: SignedTerms, accepted: Iterable[Iterable[str]], homes: Path) -> RoundState:
    """Apply the stored releases of each round's accepted hospitals, in that order; gives the last state."""
    state = rounds.init(signed.terms)
    for hospitals in accepted:
        releases = [stored_release(signed, name, state, homes / name) for name in hospitals]
        state, _ = rounds.apply(state, signed.terms, releases)
    return state


def stored_release(signed: SignedTerms, hospital: str, state: RoundState, folder: Path) -> Release:
    """Read what a hospital's ledger stores of a state's round; ConfigurationError where nothing is stored.

    It is addressed to the state's weights. A replay's agree with the server's to some 1e-12, since linear algebra
    may round otherwise in another process, and so now and then to another float32: other bytes, another digest.
    """
    number = state.round
    ledger = load_home(folder).open_ledger()
    try:
        receipt = ledger.find(signed.operator, signed.terms.fingerprint, number)
    finally:
        ledger.close()
    if receipt is None or receipt.stored is None:
        raise ConfigurationError(f"{hospital}: no release of round {number} is stored")
    release = decode_release(receipt.stored)
    return replace(release, weights_digest=rounds.plans(state, signed.terms)[0].weights_digest)


def largest_difference(terms: Terms, one: RoundState, other: Floats) -> float:
    """The largest difference between a state's reported weights and others."""
    if len(other) != len(one.weights):
        raise ConfigurationError(f"{terms.study}: {len(other)} weights, must be {len(one.weights)}")
    return float(np.abs(rounds.reported_weights(one) - other).max())
