"""What a study costs a patient, against each adversary and by two accountants.

The second one's ε is kept in the user's cache: its library takes longer to load than to compute.
"""

from dataclasses import astuple
from functools import lru_cache

import numpy as np

from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon, independent_epsilon
from wardround.protocol.terms.cost import colluding_hospitals, epsilon_against, training_events
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.assess import Assessment
from wardround.simulations.federation.code_digest import code_digest
from wardround.simulations.federation.entry_store import EntryStore, StoredArrays
from wardround.simulations.report.summary import PrivacyFacts

KIND = "accountant"
_CODE = (("wardround.protocol", ""),)
_LIBRARIES = ("dp-accounting", "numpy", "scipy")
ACCOUNTANT = "PLD (dp-accounting); full participation by the analytic Gaussian mechanism"


def privacy_facts(terms: Terms, assessment: Assessment, store: EntryStore | None = None) -> PrivacyFacts:
    """Say what the study costs a patient of either account, against each adversary.

    store: where the second accountant's ε is kept between runs; None keeps nothing.
    """
    events, privacy = training_events(terms), terms.privacy
    epsilon = compose_epsilon(events, privacy.delta)
    return PrivacyFacts(
        mode=privacy.mode,
        target_epsilon=privacy.epsilon,
        delta=privacy.delta,
        clip_norm=privacy.clip_norm,
        accountant=ACCOUNTANT,
        events=list(events),
        evaluation_event=assessment.event,
        evaluation_epsilon=assessment.epsilon,
        hospital_epsilon=np.full(len(terms.hospitals), epsilon),
        epsilon_by_adversary=epsilon_against(terms, UPDATE, terms.last_round),
        colluding=colluding_hospitals(terms),
        independent_epsilon=second_epsilon(tuple(events), privacy.delta, store),
    )


@lru_cache(maxsize=64)  # a sweep asks again for each seed
def second_epsilon(events: tuple[PrivacyEvent, ...], delta: float, store: EntryStore | None) -> float:
    """Give ``independent_epsilon`` of the events at ``delta``, from ``store`` where it is there; None keeps nothing.

    Guarantee: the same number, bit for bit, with and without.
    """
    if store is None:
        return independent_epsilon(events, delta)
    key = {
        "events": [list(astuple(event)) for event in events],
        "delta": delta,
        "code": code_digest(_CODE, _LIBRARIES),
    }
    found = store.find(KIND, key)
    if found is not None and "epsilon" in found.arrays:
        return float(found.arrays["epsilon"])
    epsilon = independent_epsilon(events, delta)
    store.keep(KIND, key, StoredArrays({"epsilon": np.array(epsilon)}))
    return epsilon
