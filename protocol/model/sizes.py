"""How many numbers a study's plans carry, and how many one of its training releases has."""

from wardround.protocol.model.model import parameter_count
from wardround.protocol.terms.query import query_size
from wardround.protocol.terms.terms import Terms


def weights_asked(terms: Terms) -> int:
    """Numbers in a plan's weights: the model's parameters, none where no model is trained."""
    return 0 if terms.query is not None else parameter_count(terms.model, terms.contract.layout)


def numbers_released(terms: Terms) -> int:
    """Numbers in one release of training patients: as many as the model's parameters, or a query's cells."""
    if terms.query is not None:
        return query_size(terms.contract, terms.query)
    return parameter_count(terms.model, terms.contract.layout)
