"""What an uplift query's answer will say, and how exactly, in the words of pages for people at a hospital."""

from wardround.protocol.terms.terms import Terms
from wardround.protocol.terms.uplift import stated_widths
from wardround.protocol.text.text import visible


def stated_words(terms: Terms) -> tuple[str, ...]:
    """Say how exact the answer is expected to be over all patients, by arm; nothing of other studies."""
    if terms.query is None or not terms.query.both_accounts or terms.contract.arms is None:
        return ()
    reference = visible(terms.contract.arms.reference, 60)
    return tuple(
        f"{visible(one.arm, 60)} against {reference} to within about ± {100 * one.with_noise:.2g} percentage points"
        for one in stated_widths(terms)
        if not one.attribute
    )
