"""A query's answer by its kind: read off the sums that are kept, in words and as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.query import UPLIFT
from wardround.protocol.terms.request import QUERY
from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.evaluation import TableSum
from wardround.server.evaluation.feasibility import feasibility
from wardround.server.evaluation.uplift import uplift
from wardround.server.study.feasibility_facts import feasibility_facts, feasibility_lines
from wardround.server.study.uplift_facts import uplift_facts, uplift_lines


@dataclass(frozen=True)
class QueryAnswer:
    """One answer. name: of its file, without the suffix; lines: for people; facts: for programs."""

    name: str
    lines: tuple[str, ...]
    facts: Mapping[str, object]


def read_answer(terms: Terms, sums: Mapping[str, TableSum]) -> QueryAnswer:
    """Read a query's answer. sums: by account. ConfigurationError where they say nothing, or nothing was asked."""
    if terms.query is None:
        raise ConfigurationError(f"study={terms.study}: trains a model, and asks no query")
    kind = terms.query.kind
    if kind == UPLIFT:
        found = uplift(terms, sums)
        return QueryAnswer(kind, tuple(uplift_lines(terms, found)), uplift_facts(terms, found))
    counted = feasibility(terms, sums[QUERY.account])
    return QueryAnswer(kind, tuple(feasibility_lines(terms, counted)), feasibility_facts(terms, counted))
