"""How many patients engage under each way to choose a message: the value that summary, table and figures read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALL, UNKNOWN, KNOWN = "all", "unknown users", "known users"
POLICIES = {
    "random": "any message of the topic, at random",
    "standard": "the usual message",
    "single": "the best single message",
    "of_topic": "the best message of each topic",
    "by_hand": "rules by hand",
    "private": "the private model",
    "own": "the same with each hospital's own part",
    "open": "a model without privacy",
    "oracle": "the best by all that a gain may use",
    "all_knowing": "the best by all, employment too",
}


@dataclass(frozen=True)
class Engagement:
    """Mean true chance of engaging. by: group → policy → value. counts: group → moments. share: by policy, changed.

    changed: share of moments whose message is not the best single one. gain_errors: group → policy → standard error
    over patients of ``gain``. A policy is missing where it was not tried.
    """

    by: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, int]
    changed: Mapping[str, float]
    gain_errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def policies(self) -> Sequence[str]:
        """Policies that were tried, in the order of ``POLICIES``."""
        return [policy for policy in POLICIES if policy in self.by[ALL]]

    def gain(self, policy: str, group: str = ALL) -> float:
        """Give what a policy gains over the best single message, in probability."""
        return self.by[group][policy] - self.by[group]["single"]

    def share(self, policy: str) -> float:
        """Give a policy's gain as a share of the oracle's; NaN where nothing is to be gained."""
        possible = self.gain("oracle")
        return self.gain(policy) / possible if possible > 0 else math.nan

    def least(self, policy: str) -> str:
        """Give the group that gains least by a policy; of all patients where there is no group."""
        return min(set(self.by) - {ALL} or {ALL}, key=lambda group: (self.gain(policy, group), group))
