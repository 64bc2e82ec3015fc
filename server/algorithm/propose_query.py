"""From an operator's settings to the terms of a query: σ for the target ε, and nothing of a model."""

from collections.abc import Mapping
from dataclasses import replace

from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import require
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.terms.query import NO_TRAINING, PATIENT_BOUND, QuerySettings, query_size
from wardround.protocol.terms.secure_sum import SecureSumChoice, SecureSumSettings
from wardround.protocol.terms.settings import EQUAL, ModelSettings, PrivacySettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.noise_choice import chosen_noise, with_cap
from wardround.server.algorithm.propose import check_delta


def propose_query(
    *,
    study: str,
    query: QuerySettings,
    contract: Contract,
    privacy: PrivacySettings,
    public_patients: Mapping[str, int],
    simulation: bool,
    secure_sum: SecureSumChoice,
    members: Mapping[str, str],
) -> Terms:
    """Compose terms whose one release costs each training patient at most ``privacy.epsilon`` at ``privacy.delta``.

    public_patients: how many training patients each hospital may have; a guess, which δ alone is held against.
    secure_sum, members: as in ``propose``. ConfigurationError as there.
    """
    require(bool(public_patients), "hospitals", "{}", "must name at least one hospital")
    query.check_contract(contract)
    check_delta(privacy.delta, max(public_patients.values()), simulation)
    noise = chosen_noise(privacy.noise, len(public_patients), NO_TRAINING, simulation)
    privacy = replace(privacy, noise=noise, clip_norm=PATIENT_BOUND, schedule=EQUAL)
    sums = None
    if not privacy.mode.alone:
        thresholds = secure_sum.thresholds(len(public_patients))
        sums = SecureSumSettings(
            threshold=thresholds.threshold,
            colluding=thresholds.colluding,
            parameters=query_size(contract, query),
            spare_slots=secure_sum.spare_slots,
            members=dict(members),
        )
    terms = Terms(
        study=study,
        contract=contract,
        model=ModelSettings(),
        privacy=privacy,
        training=replace(NO_TRAINING, public_patients=dict(public_patients)),
        noise_multiplier=noise_multiplier_for(privacy.epsilon, privacy.delta, 1.0, 1),
        simulation=simulation,
        secure_sum=sums,
        query=query,
    )
    return with_cap(terms, secure_sum.max_epsilon_unmasked) if sums and not simulation else terms
