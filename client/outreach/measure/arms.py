"""Which arm a patient is in, what part of a capacity an arm has, and draws among modules that are equal. Pure.

An arm is a keyed hash of the patient's identifier under the hospital's patients key, with a label of its own
(``gate.keyed_hash``): neither the gate's split of patients nor the journal's tokens tell anything of it
(``test_arms_are_independent_of_the_gates_split``). It is fixed for as long as a protocol runs, whatever is due,
allowed or left of a capacity; another protocol draws anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wardround.client.gate.keyed_hash import ARM, EXPLORED, KeyedHash, Use
from wardround.protocol.arrays import Floats


@dataclass(frozen=True)
class Draw:
    """A module that chance picked among ``propensity⁻¹`` equal ones."""

    module: str
    propensity: float


def drawn_arms(
    patients: Sequence[str], key: bytes, protocol: str, shares: Mapping[str, float]
) -> tuple[str, ...]:
    """Give each patient's arm. patients: canonical identifiers; shares: arm → share, summing to 1."""
    edges = np.cumsum(list(shares.values()))[:-1]
    names = tuple(shares)
    places = np.searchsorted(edges, uniform(patients, key, protocol), side="right")
    return tuple(names[place] for place in places.tolist())


def uniform(patients: Sequence[str], key: bytes, protocol: str, use: Use = ARM) -> Floats:
    """Give each patient's number in [0, 1), of 53 bits: float64 [patients]. protocol: its name, a line."""
    # No name holds a zero: no two pairs run into each other.
    keyed = KeyedHash(key, use, protocol.encode() + b"\0")
    words = np.frombuffer(b"".join(keyed(patient.encode()) for patient in patients), ">u8")
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def split_capacity(capacity: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Share out a capacity among the arms, whole and as closely as can be; the parts sum to ``capacity``.

    Arms that competed for one capacity would take it from each other, and the difference between them would be
    measured too large. What is left after rounding down goes to the largest remainders, the first arms before others.
    """
    exact = {arm: capacity * share for arm, share in shares.items()}
    # 0.29 * 100 is 28.999…: a whole number that was missed by rounding is meant.
    parts = {arm: int(value + 1e-9) for arm, value in exact.items()}
    by_remainder = sorted(shares, key=lambda arm: parts[arm] - exact[arm])
    for arm in by_remainder[: capacity - sum(parts.values())]:
        parts[arm] += 1
    return parts


def draw_module(
    patient: str,
    occasion: str,
    allowed: Sequence[str],
    standard: str,
    *,
    key: bytes,
    protocol: str,
    equivalent: Sequence[Sequence[str]],
) -> Draw | None:
    """Draw one of the modules that the protocol names as equal to the standard one, each with the same chance.

    allowed: ids of the modules that may go to this patient now. occasion: what the message is for, so that a repeat
    draws the same. None where fewer than two are equal and allowed: then nothing is explored.
    """
    equal = next((group for group in equivalent if standard in group), ())
    candidates = sorted(set(allowed) & set(equal))
    if len(candidates) < 2:
        return None
    place = uniform([f"{patient}\0{occasion}"], key, protocol, EXPLORED)[0] * len(candidates)
    return Draw(candidates[int(place)], 1 / len(candidates))
