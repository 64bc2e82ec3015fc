"""Against whom a stated ε holds, in words: the keys are those of ``protocol.privacy.accounting``."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Adversary:
    """Who it is, and what it sees."""

    who: str
    sees: str


_OTHERS = "{others}"
ADVERSARIES: Mapping[str, Adversary] = {
    "model": Adversary("whoever gets the model", "the released weights of every round"),
    "server": Adversary("the server", "each hospital’s release by itself"),
    "server_and_hospitals": Adversary(
        f"the server with {_OTHERS}", "each release, and what those hospitals know"
    ),
    "secure_sum_and_hospitals": Adversary(
        f"a server that lies, with {_OTHERS}",
        "the smallest sum that it can obtain, without those hospitals’ shares of the noise",
    ),
    "masks_failed": Adversary(
        "the server, if every mask failed",
        "each release with one hospital’s share of the noise: more hospitals help it, or X25519 is broken one day",
    ),
    "patient_at_two_hospitals": Adversary(
        "the same, about a patient of two hospitals",
        "releases that hold two hospitals’ records of one person",
    ),
}


def adversary(key: str, colluding: int = 1) -> Adversary:
    """Describe one adversary; ``colluding`` other hospitals help it where the key says that hospitals do."""
    found = ADVERSARIES[key]
    others = "one other hospital" if colluding == 1 else f"{colluding} other hospitals"
    return Adversary(found.who.replace(_OTHERS, others), found.sees)
