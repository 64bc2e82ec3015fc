"""The kinds of request: what a plan asks of a hospital, of which patients, in which rounds, and at what cost."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.terms.secure_sum import SumNoise
from wardround.protocol.terms.terms import RoundPlan, Terms


class RequestKind(ABC):
    """One kind. account: whose patients it is about, and so whose budget pays (``ledger``)."""

    account: ClassVar[str]
    word: ClassVar[str]
    """Names the kind in a plan of a secure sum (``RoundPlan.asks``)."""

    @abstractmethod
    def rounds(self, terms: Terms) -> Sequence[int]:
        """Give the numbers of the rounds in which the terms provide for it."""

    @abstractmethod
    def when(self, terms: Terms) -> str:
        """Say so in words, for a refusal."""

    @abstractmethod
    def event(self, terms: Terms, round_number: int) -> PrivacyEvent:
        """Give what the release of a round costs a patient of the account."""

    @abstractmethod
    def noise_stddev(self, terms: Terms, round_number: int) -> float:
        """Give the standard deviation of one hospital's noise, in one step of a round."""

    @abstractmethod
    def sum_noise_at(self, terms: Terms, noise_multiplier: float) -> SumNoise:
        """Give grid and share of noise of a secure sum with this multiplier; ValueError where the terms have none."""

    def sum_noise(self, terms: Terms, round_number: int) -> SumNoise:
        """Give grid and share of noise of a round's secure sum; ValueError where the terms have none."""
        return self.sum_noise_at(terms, self.event(terms, round_number).noise_multiplier)


class UpdateRequest(RequestKind):
    """A clipped, noised sum of training patients' gradients, or what several such steps did to the weights."""

    account = "training"
    word = "update"

    def rounds(self, terms: Terms) -> Sequence[int]:
        """Every round trains; spare ones stand in for void ones, and are counted as all others."""
        return range(1, terms.last_round + 1)

    def when(self, terms: Terms) -> str:
        """Say which rounds there are."""
        return f"these terms have rounds 1 to {terms.last_round}"

    def event(self, terms: Terms, round_number: int) -> PrivacyEvent:
        """All private steps of one round, with that round's noise."""
        training = terms.training
        return PrivacyEvent(terms.multiplier_of(round_number), training.sampling_rate, training.local_steps)

    def noise_stddev(self, terms: Terms, round_number: int) -> float:
        """Noise in proportion to the clip norm."""
        return terms.hospital_noise_stddev(round_number)

    def sum_noise_at(self, terms: Terms, noise_multiplier: float) -> SumNoise:
        """Sums of gradients, as of mean rows, which stand in their place."""
        return terms.update_noise_at(noise_multiplier)


class MeanRowsRequest(UpdateRequest):
    """A noised sum of training patients' mean design rows, in an update's place: bounded, noised and paid alike."""

    word = "mean_rows"


class InteractionsRequest(UpdateRequest):
    """A noised sum of training patients' residuals by pairs of bins: bounded, noised and paid as an update."""

    word = "interactions"


class QueryRequest(UpdateRequest):
    """A query's noised table of training patients, in an update's place: bounded, noised and paid alike."""

    word = "query"


class HeldOutQueryRequest(QueryRequest):
    """The same table of held-out patients, where a query asks both accounts; each patient is in one, and pays once."""

    account = "held_out"
    word = "held_out_query"

    def when(self, terms: Terms) -> str:
        """Say that it is asked once."""
        return "these terms ask once"


class TablesRequest(RequestKind):
    """Noised tables of held-out patients, by label, score and group, under the plan's weights."""

    account = "held_out"
    word = "tables"

    def rounds(self, terms: Terms) -> Sequence[int]:
        """Give the rounds after which the terms evaluate; none where they evaluate nothing."""
        return terms.evaluation.rounds if terms.evaluation else ()

    def when(self, terms: Terms) -> str:
        """Say after which rounds."""
        return f"these terms evaluate after {list(self.rounds(terms))}"

    def event(self, terms: Terms, round_number: int) -> PrivacyEvent:
        """One noised table, alike in every round; ValueError where the terms evaluate nothing."""
        if terms.evaluation is None:
            raise ValueError("these terms evaluate nothing")
        return PrivacyEvent(terms.evaluation.noise_multiplier)

    def noise_stddev(self, terms: Terms, round_number: int) -> float:
        """Noise in units of one patient, who moves the tables by at most 1."""
        return terms.table_noise_stddev

    def sum_noise_at(self, terms: Terms, noise_multiplier: float) -> SumNoise:
        """Sums of tables, which all have the noise that the terms give them."""
        return terms.table_noise


UPDATE, MEAN_ROWS, QUERY, TABLES = UpdateRequest(), MeanRowsRequest(), QueryRequest(), TablesRequest()
INTERACTIONS, HELD_OUT_QUERY = InteractionsRequest(), HeldOutQueryRequest()
_KINDS = (UPDATE, MEAN_ROWS, INTERACTIONS, QUERY, HELD_OUT_QUERY, TABLES)


def requests_of(terms: Terms) -> tuple[RequestKind, ...]:
    """Give one kind of each account.

    UPDATE counts every training round: those for mean rows and interactions, and a query, cost the same.
    """
    return UPDATE, _of_held_out(terms)


def _of_held_out(terms: Terms) -> RequestKind:
    both = terms.query is not None and terms.query.both_accounts
    return HELD_OUT_QUERY if both else TABLES


ASKED = tuple(kind.word for kind in _KINDS)
"""The words of all kinds."""


def request_of(terms: Terms, round_number: int, account: str = UPDATE.account) -> RequestKind:
    """Give the kind that a round asks of an account's patients."""
    if account == TABLES.account:
        return _of_held_out(terms)
    if terms.query is not None:
        return QUERY
    if terms.asks_interactions(round_number):
        return INTERACTIONS
    return MEAN_ROWS if terms.training.asks_moments(round_number) else UPDATE


def request_in(plan: RoundPlan, terms: Terms) -> RequestKind:
    """Give the kind of a plan's request: what the plan says, or else what its round asks."""
    said = next((kind for kind in _KINDS if kind.word == plan.asks), None)
    return request_of(terms, plan.round, plan.account) if said is None else said


def misasked(plan: RoundPlan, terms: Terms) -> str:
    """Say what is wrong with ``plan.asks``; empty where nothing is.

    In secure sums a round's number is its slot's, and void ones shift what the later ones are for: so the plan says
    it, and mean rows and interactions only where the terms have such rounds. Elsewhere the number says it, and nothing
    else may.
    """
    if terms.secure_sum is None:
        return "must be empty: without secure sums the round's number says it" if plan.asks else ""
    moments = (MEAN_ROWS,) if terms.training.moment_rounds else ()
    pairs = (INTERACTIONS,) if terms.model.structure.interactions else ()
    learned = (QUERY,) if terms.query is not None else (UPDATE, *moments, *pairs)
    allowed = [k.word for k in (*learned, _of_held_out(terms)) if k.account == plan.account]
    return "" if plan.asks in allowed else f"must be {' or '.join(allowed)} for {plan.account} patients"
