"""The arms of a trial: which patients got messages chosen in which way, as a hospital's table ``arms`` says.

One row per patient. An event is in its patient's arm if its outcome falls after ``since`` and not after ``until``;
events in no arm are history alone. Shares are those of the draw, so that they are public and need no counting.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.errors import ContractError
from wardround.protocol.text.canonical import comparable
from wardround.protocol.text.section import Section, shown

LEAST_SHARE = 0.01
MOST_ARMS = 20
PERSONAL = "personal"
"""A word that no arm may have: what a personal part chose is never measured over several hospitals (rule 10)."""


@dataclass(frozen=True, kw_only=True)
class TrialArms:
    """column: the arm's word. since, until: columns of times; both None in a contract without times.

    reference: the arm that the others are compared with. shares: word → share of patients drawn into it, in the order
    of the words. They may sum to less than 1: whoever is in an arm that is not named is not counted.
    """

    column: str
    reference: str
    shares: Mapping[str, float]
    since: str | None = None
    until: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The arms, the reference first."""
        return (self.reference, *(word for word in self.shares if word != self.reference))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, beside the patient's."""
        return tuple(c for c in (self.column, self.since, self.until) if c is not None)

    def to_mapping(self) -> dict[str, object]:
        """Plain data in the YAML format, without defaults."""
        times = {key: getattr(self, key) for key in ("since", "until") if getattr(self, key) is not None}
        return {"column": self.column, "reference": self.reference, "shares": dict(self.shares), **times}


def read_arms(section: Section, timed: bool) -> TrialArms:
    """Read and check the arms of a contract. timed: whether the contract has times.

    ConfigurationError or ContractError, one line.
    """
    arms = TrialArms(
        column=section.text("column"),
        reference=section.text("reference"),
        shares=_shares(section),
        since=section.optional_text("since"),
        until=section.optional_text("until"),
    )
    section.finish()
    if arms.reference not in arms.shares:
        raise section.fail("reference", f"must be one of the arms: {', '.join(arms.shares)}")
    if (arms.since is not None, arms.until is not None) != (timed, timed):
        wanted = "must both be given" if timed else "need decided_at and outcome_at, and must be left out"
        raise ContractError(f"{section.path}.since and until: {wanted}")
    return arms


def _shares(section: Section) -> Mapping[str, float]:
    part = section.section("shares")
    shares = {word: _share(part, word) for word in sorted(part.keys())}
    if not 2 <= len({comparable(word) for word in shares}) == len(shares) <= MOST_ARMS:
        raise section.fail("shares", f"must name 2 to {MOST_ARMS} different arms")
    if PERSONAL in {word.lower() for word in shares}:
        raise section.fail(
            "shares", f"must not name {PERSONAL}: what a hospital's own part chose is its own to measure"
        )
    if sum(shares.values()) > 1 + 1e-9:
        raise section.fail("shares", f"sum to {sum(shares.values()):g}, must be at most 1")
    return shares


def _share(part: Section, word: str) -> float:
    share = part.value(word)
    if isinstance(share, bool) or not isinstance(share, int | float) or not LEAST_SHARE <= share < 1:
        raise ContractError(
            f"{part.path}.{shown(word)}={shown(share)}: must be a share from {LEAST_SHARE} to below 1"
        )
    return float(share)
