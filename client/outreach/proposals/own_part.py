"""The hospital's own part in a gain: its mixture as effects, fitted now, with the error that its few patients leave.

The mixture alone: trees (``score --personal``) state no error, and no difference between two messages that adds up.
It is not kept: who opts out is not in the next one. Nothing of it is released (rule 10).
"""

from datetime import datetime

from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.outreach.reasons import shared_effects
from wardround.client.personal.own_effects import OwnEffects, own_effects
from wardround.client.personal.personal_mixture import fit_mixture
from wardround.client.personal.personal_scores import personal_design
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.model_file import StoredModel

KIND = "mixture"


def own_part(
    tables: Tables, contract: Contract, stored: StoredModel, error_factor: Floats, key: bytes, now: datetime
) -> OwnEffects | None:
    """Fit it on the training patients who pass the gate at ``now``; None where nobody does, or effects do not add up.

    error_factor: of the shared model's effects, as published beside it.
    """
    model, layout = stored.model, contract.layout
    if not model.structure.convex:
        return None
    training = encode(admit(tables, contract, key, now).training, contract)
    if not training.patient_count:
        return None
    design = personal_design(KIND, model, layout, stored.weights, training)
    mixture = fit_mixture(layout, training, design)
    shared = shared_effects(model, layout, stored.weights)
    return own_effects(layout, mixture, 0, training, design, shared, error_factor)
