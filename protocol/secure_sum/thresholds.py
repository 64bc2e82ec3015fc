"""How many members may help a lying server, how many must answer, and how many honest ones any sum then holds.

A secret is shared so that q shares give it, q = ``threshold``. Each honest member gives one share for each member:
of what opens its release (counted as in) or of what takes it out. The helpers, t = ``colluding``, give both.
"""

from dataclasses import dataclass

from wardround.protocol.errors import require

LEAST_HOSPITALS = 3
MOST_HOSPITALS_OF_SUM = 1000
"""Of a real study: each member deals a share to each, and beyond this the server's work for one round is hours.

The numbers hold for any H: a simulation, which deals no shares, may have more hospitals."""


@dataclass(frozen=True)
class Thresholds:
    """The three public numbers that a secure sum stands on.

    hospitals: H, members of the roster. colluding: t, how many of them may help the server. threshold: q, the
    fewest survivors and the fewest answers.
    Guarantee: 2 q > H + t, so that no secret pair (a member's mask of its own, its slot key) can ever be complete.
    ConfigurationError where no such sum exists.
    """

    hospitals: int
    colluding: int
    threshold: int

    def __post_init__(self) -> None:
        """Check the ranges, and that no member can be both in and out."""
        H, t, q = self.hospitals, self.colluding, self.threshold
        require(H >= LEAST_HOSPITALS, "hospitals", H, f"a secure sum needs at least {LEAST_HOSPITALS}")
        require(0 <= t <= H - 2, "secure_sum.colluding", t, f"must be from 0 to {H - 2} for {H} hospitals")
        least = (H + t) // 2 + 1
        allowed = f"must be from {least} to {H} for {H} hospitals of which {t} may help the server"
        require(least <= q <= H, "secure_sum.threshold", q, allowed)

    @property
    def honest_shares(self) -> int:
        """Give m: the fewest honest members in any sum that a lying server with its t helpers can obtain.

        m = H - t - ⌊(H - t)(H - q) / (q - t)⌋. An honest member whose release is kept out of the sum was counted
        as out by q - t honest ones, each of whom can count H - q members as out. Guarantee: at least 1, attained,
        and not smaller for fewer helpers (``tests/protocol/secure_sum/test_thresholds.py`` tries all answers).
        """
        honest = self.hospitals - self.colluding
        return honest - honest * (self.hospitals - self.threshold) // (self.threshold - self.colluding)

    @property
    def shares_for_reader(self) -> int:
        """Give q - t: the honest shares of noise in what an honest server publishes, t members helping a reader."""
        return self.threshold - self.colluding


def default_thresholds(
    hospitals: int, colluding: int | None = None, threshold: int | None = None
) -> Thresholds:
    """Choose t = max(1, ⌊H/10⌋), and q = 0.8 H where that is allowed and leaves room for one drop-out.

    q = max(⌊(H + t)/2⌋ + 1, min(H - 1, ⌈0.8 H⌉)). Three hospitals can lose nobody. colluding, threshold: t and q where
    they are given. ConfigurationError below three hospitals, and for numbers that fit no sum.
    """
    t = max(1, hospitals // 10) if colluding is None else colluding
    usual = max((hospitals + t) // 2 + 1, min(hospitals - 1, (4 * hospitals + 4) // 5))
    return Thresholds(hospitals, t, usual if threshold is None else threshold)
