"""Before a study is approved, and before it charges anything: what trains here is what its terms mean.

Shapes alone do not say so of a module of the parties' own: an operator's and a hospital's version of it may have the
same parameters and compute different things.
"""

from wardround.client.train.check_closed_form import check_closed_form
from wardround.protocol.errors import Refusal, WardroundError
from wardround.protocol.model.own_module import module_digest
from wardround.protocol.model.precondition import preconditioner_of
from wardround.protocol.terms.terms import Terms


def check_training(terms: Terms) -> float:
    """Check an own module's digest, then clipping per patient: the largest relative difference from the reference.

    0 for a query, which trains nothing and clips nothing.
    The reference is Opacus, or plain autograd for an own module. No patient data is touched. Refusal by clause
    ``module_digest`` or ``agreement``, and ``plugins`` where an own module cannot be made.
    """
    contract = terms.contract
    if terms.query is not None:
        return 0.0
    if terms.module_digest:
        _check_digest(terms)
    try:
        known = preconditioner_of(terms)
        return check_closed_form(terms.model, contract.layout, contract.events_per_patient, known)
    except WardroundError as error:
        raise Refusal("agreement", str(error)) from error


def _check_digest(terms: Terms) -> None:
    try:
        found = module_digest(terms.model, terms.contract.layout)
    except WardroundError as error:
        raise Refusal("plugins", str(error)) from error
    if found != terms.module_digest:
        raise Refusal(
            "module_digest",
            f"model.kind={terms.model.kind}: the module that plugins.yaml names here has {found[:12]}, the operator's "
            f"{terms.module_digest[:12]}; install the same version of it",
        )
