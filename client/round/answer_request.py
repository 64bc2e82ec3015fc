"""Answer whatever a plan asks for: the one place where a kind of request meets what computes it."""

from collections.abc import Mapping, Sequence

from wardround.client.round.evaluate import evaluate
from wardround.client.round.participate import participate
from wardround.client.round.query import answer_query
from wardround.client.round.ward import Admit, Answered, Ward
from wardround.client.train.prepared import MEMORY_BYTES
from wardround.protocol.terms.request import TABLES, QueryRequest, request_in
from wardround.protocol.terms.terms import RoundPlan, Terms


def answer_request(
    plans: Sequence[RoundPlan],
    wards: Sequence[Ward],
    terms: Terms,
    operator: str,
    admit: Mapping[str, Admit],
    memory_bytes: int = MEMORY_BYTES,
) -> list[Answered]:
    """Answer plans of one kind of request, one per ward, in order.

    admit: by account, what gives that account's patients. Guarantees as ``participate``'s.
    """
    request = request_in(plans[0], terms)
    admitted = admit[request.account]
    if request is TABLES:
        return evaluate(plans, wards, terms, operator, admitted)
    if isinstance(request, QueryRequest):
        return answer_query(plans, wards, terms, operator, admitted, request)
    return participate(plans, wards, terms, operator, admitted, memory_bytes)
