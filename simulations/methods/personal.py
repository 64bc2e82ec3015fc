"""Personal parts on a shared private model, as the product fits them: what else its settings could choose.

``frozen_body``: the last layer of wide_deep, refitted at each hospital on the privately trained, frozen body (a
linear head on a frozen representation: Kumar et al. 2022; privately federated: Pillutla et al. 2022, "Federated
learning with partial model personalization"). Nothing of it is released, so it costs no ε: the releases are those
of the shared model.
"""

from collections.abc import Callable

from wardround.client.personal.personal_scores import personal_scores
from wardround.protocol.terms.cost import training_events
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import Terms
from wardround.server.algorithm.propose import propose
from wardround.server.algorithm.rounds import reported_weights
from wardround.simulations.federation.federation import Federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.methods.channel import Attempt
from wardround.simulations.study.study import answering

ADDITIVE, WIDE_DEEP = ModelSettings(), ModelSettings(kind="wide_deep", hidden=(16,))
STANDARD, ADAM = TrainingSettings(optimizer="auto"), TrainingSettings(optimizer="adam", learning_rate=0.05)


def personal(
    kind: str, model: ModelSettings = ADDITIVE, training: TrainingSettings = STANDARD
) -> Callable[[Federation, PrivacySettings, int], Attempt]:
    """Give the method that trains ``model`` by the product's rounds and fits personal parts of this kind.

    The seed of the noise is the federation's, as in a simulated study.
    """

    def challenger(federation: Federation, privacy: PrivacySettings, seed: int) -> Attempt:
        terms = composed(federation, privacy, seed, model, training)
        weights = reported_weights(run(terms, answering(federation, terms)))
        layout, training_patients = federation.contract.layout, federation.training
        logits = personal_scores(kind, model, layout, weights, training_patients, federation.heldout)
        return Attempt(logits, training_events(terms))

    return challenger


def composed(
    federation: Federation,
    privacy: PrivacySettings,
    seed: int,
    model: ModelSettings = ADDITIVE,
    training: TrainingSettings = STANDARD,
) -> Terms:
    """Compose the terms of a simulated study on this federation."""
    return propose(
        study=f"challenger-{seed}",
        contract=federation.contract,
        model=model,
        privacy=privacy,
        training=training,
        public_patients=federation.public_patients({}),
        simulation=True,
    )
