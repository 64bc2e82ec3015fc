"""A query: a study that trains no model, and asks each hospital for one noised table of its patients.

    kind          of whom               cells                                      rows
    feasibility   training patients     label 0, label 1                           all, and the groups of each
    uplift        of either account,    of each arm: sum of outcomes, patients     attribute of the contract
                  one table each        (``protocol.terms.uplift``)

It is a study as all others: signed terms, a hospital's policy, a person's approval, a charge, one release, by secure
sum where the terms have one. The release stands in an update's place: the account of training patients pays, and the
noise multiplier of the terms is σ ÷ 1, since one patient moves the table by at most 1 (``evaluation.row_factors``).
An uplift query asks held-out patients too, in a table of its own that their account pays: no patient is in both.
Plans carry no weights.
"""

from dataclasses import dataclass

from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.terms.evaluation import TableShape, row_count, row_factors, table_rows
from wardround.protocol.terms.settings import TrainingSettings

FEASIBILITY, UPLIFT = "feasibility", "uplift"
QUERIES = (FEASIBILITY, UPLIFT)
"""The kinds of query that ship; a hospital's policy lists those that it answers."""
PATIENT_BOUND = 1.0
"""By how much one patient may move a query's table in L2 norm: what stands in the place of a clip norm."""
NO_TRAINING = TrainingSettings(rounds=1)
"""What the terms of a query say of training, hospitals aside: one release, of every patient."""


@dataclass(frozen=True, kw_only=True)
class QuerySettings:
    """What is asked."""

    kind: str = FEASIBILITY

    def __post_init__(self) -> None:
        """Check the kind."""
        require(self.kind in QUERIES, "query.kind", self.kind, f"must be one of {', '.join(QUERIES)}")

    @property
    def both_accounts(self) -> bool:
        """Whether held-out patients are asked as well, in a table of their own."""
        return self.kind == UPLIFT

    def check_contract(self, contract: Contract) -> None:
        """ConfigurationError where the contract lacks what this kind reads."""
        line = "needs a contract that names arms (its section arms), with each arm's share"
        require(self.kind != UPLIFT or contract.arms is not None, "query.kind", self.kind, line)
        # Each patient counts in the arm that was drawn, whatever was sent: messages without propensity as well.
        line = "needs a contract without propensity: an uplift counts every outcome of an arm"
        require(self.kind != UPLIFT or contract.propensity is None, "query.kind", self.kind, line)


def query_shape(contract: Contract, query: QuerySettings) -> TableShape:
    """Give the shape of a query's table; every attribute, and all patients, have an equal part of the sensitivity."""
    factors = row_factors(contract, 1 / (1 + len(contract.groups)))
    return TableShape(table_rows(contract), _cells(contract, query), factors)


def query_size(contract: Contract, query: QuerySettings) -> int:
    """Length of a query's release."""
    return row_count(contract) * _cells(contract, query)


def _cells(contract: Contract, query: QuerySettings) -> int:
    """Give the cells of a row: two of everybody, or two of each arm."""
    return 2 * len(contract.arms.words) if query.kind == UPLIFT and contract.arms is not None else 2
