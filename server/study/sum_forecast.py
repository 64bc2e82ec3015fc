"""What a study's secure sums would cost in bytes and in the server's time, before anything is signed or asked."""

from dataclasses import dataclass

from wardround.protocol.model.sizes import weights_asked
from wardround.protocol.secure_sum.exchange import DEALT_BYTES, DIGEST_BYTES, SIGNATURE_BYTES
from wardround.protocol.secure_sum.keys import SECRET_BYTES
from wardround.protocol.secure_sum.sharing import SHARE_BYTES
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import Terms

MASKED_BYTES_A_SECOND = 500e6
"""What one core makes and adds of masks, at least (docs/lab/performance.md)."""
_INDEX_BYTES = 4


@dataclass(frozen=True)
class SumForecast:
    """Bytes of one hospital, both ways, without heads and framing; and what taking masks out costs the server.

    set_up: once. first_trip, second_trip: of one round. survivors: the fewest, which is the worst case: then most
    members' masks must be taken out of most releases. unmasking: bytes of mask then made in one round.
    """

    set_up: int
    first_trip: int
    second_trip: int
    fewest_survivors: int
    unmasking: int

    @property
    def unmasking_seconds(self) -> float:
        """Give the longest that one round's unmasking takes one core of the server."""
        return self.unmasking / MASKED_BYTES_A_SECOND


def sum_forecast(terms: Terms) -> SumForecast | None:
    """Forecast a study's secure sums; None where it has none."""
    if terms.secure_sum is None:
        return None
    members, fewest, slots = len(terms.hospitals), terms.thresholds.threshold, len(slots_of(terms))
    dimension = terms.update_noise(1).dimension
    return SumForecast(
        set_up=set_up_bytes(members, slots),
        first_trip=4 * weights_asked(terms) + 8 * dimension + DIGEST_BYTES + members * DEALT_BYTES,
        second_trip=second_trip_bytes(members),
        fewest_survivors=fewest,
        unmasking=unmasking_bytes(members, fewest, dimension),
    )


def set_up_bytes(members: int, slots: int) -> int:
    """Bytes of one hospital's set-up: its keys and everybody's, its dealing, and what all dealt to it."""
    keys = SECRET_BYTES * (1 + slots) + SIGNATURE_BYTES
    dealing = SIGNATURE_BYTES + slots * members * DEALT_BYTES
    brought = members * (SIGNATURE_BYTES + slots * DEALT_BYTES)
    return (1 + members) * keys + dealing + brought


def second_trip_bytes(members: int) -> int:
    """Bytes of one hospital's trip 2, where everybody is in the sum: seeds' shares down, shares of all members up."""
    down = DIGEST_BYTES + _INDEX_BYTES + members * (_INDEX_BYTES + DEALT_BYTES)
    return down + members * (_INDEX_BYTES + SHARE_BYTES)


def unmasking_bytes(members: int, survivors: int, dimension: int) -> int:
    """Bytes of mask that the server makes for one sum: of each survivor its own, and one for each who is gone."""
    return 8 * dimension * survivors * (1 + members - survivors)
