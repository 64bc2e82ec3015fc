"""Check a user's torch module: what Opacus clips must be the gradient of one patient each.

The reference is plain autograd on one patient at a time, without padding and without anybody else in the batch. A
module in which patients or events meet (BatchNorm, attention over events, a mean over the batch) differs from it.
"""

import numpy as np
import torch
from torch import nn

from wardround.client.cohort import Cohort
from wardround.client.train.check_closed_form import of_unlike_importance, random_cohort
from wardround.client.train.clipped_sum_opacus import patient_gradients
from wardround.client.train.patient_batch import pad_patients
from wardround.client.train.quiet_opacus import GradSampleModule
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.modules import load_vector, to_vector
from wardround.protocol.model.own_module import build_own_module
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings

TOLERANCE = 1e-6


def check_module(
    model: ModelSettings,
    layout: Layout,
    events_per_patient: int,
    patients: int = 8,
    tolerance: float = TOLERANCE,
) -> float:
    """Compare Opacus's per-patient gradients with autograd's, float64: the largest relative difference.

    ``patients`` invented patients of 1 to ``events_per_patient`` events, under the module's initial weights and
    under random ones. No patient data is touched. ConfigurationError, one line, where Opacus cannot clip the
    module, or where a patient's gradient depends on others, on padding or on chance.
    """
    module = build_own_module(model, layout).train()
    _check_clippable(module, model.kind)
    stream = Keystream(derive_key("check module", layout.width, events_per_patient))
    # At least two events: with one nothing is padded, and no two events can meet.
    cohort = random_cohort(layout, (patients,), max(events_per_patient, 2), stream)
    cohort = of_unlike_importance(cohort, stream.child("importance"))
    initial = to_vector(module.parameters())
    worst = 0.0
    # Both: behind a layer that starts at zeros there is no gradient to compare.
    for weights in (initial, initial + 0.3 * stream.gaussian(len(initial))):
        load_vector(module, weights)
        worst = max(worst, _difference(module, layout, cohort, model.kind))
        if not worst <= tolerance:
            raise ConfigurationError(
                f"model.kind={model.kind}: its per-patient gradients differ from autograd's by {worst:.1e}, at most "
                f"{tolerance:.0e} is allowed; keep patients and events apart in every layer, and draw nothing at random"
            )
    return worst


def _check_clippable(module: nn.Module, name: str) -> None:
    """Refuse what Opacus does not know how to clip, by its own validator, and parameters that are not trained."""
    frozen = [key for key, parameter in module.named_parameters() if not parameter.requires_grad]
    if frozen:
        raise ConfigurationError(
            f"model.kind={name}: parameter {frozen[0]} takes no gradient; make it a tensor instead"
        )
    problems = GradSampleModule.validate(module, strict=False)
    # A buffer may be state that patients write (BatchNorm's running mean), which no clip norm bounds.
    buffers = [key for key, _ in module.named_buffers()]
    if problems or buffers:
        kinds = ", ".join(dict.fromkeys(_unclippable(module)))
        raise ConfigurationError(
            f"model.kind={name}: Opacus cannot clip {kinds or 'this module'} per patient; use layers without "
            f"buffers that treat each row alone (LayerNorm in the place of BatchNorm)"
        )


def _unclippable(module: nn.Module) -> list[str]:
    """Name the layers that hold buffers or that Opacus refuses by themselves."""
    leaves = [layer for layer in module.modules() if not list(layer.children())]
    return [
        type(layer).__name__
        for layer in leaves
        if list(layer.buffers(recurse=False)) or GradSampleModule.validate(layer, strict=False)
    ]


def _difference(module: nn.Module, layout: Layout, cohort: Cohort, name: str) -> float:
    """Largest distance of a patient's two gradients, relative to the larger of its norm and the median norm."""
    ours = _by_opacus(module, layout, cohort, name)
    theirs = np.stack(
        [_alone(module, layout, cohort.take(np.array([i])), name) for i in range(cohort.patient_count)]
    )
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    norms = np.linalg.norm(theirs, axis=1)
    # Where a patient's events cancel, the norm is near zero, and relative to it alone rounding would look like a fault.
    scale = np.maximum(norms, max(float(np.median(norms)), 1e-300))
    return float((np.linalg.norm(ours - theirs, axis=1) / scale).max())


def _by_opacus(module: nn.Module, layout: Layout, cohort: Cohort, name: str) -> Floats:
    try:
        samples = patient_gradients(module, pad_patients(layout, cohort))
    except ConfigurationError:
        raise
    except Exception as error:
        raise _failed(name, "Opacus cannot clip it", error) from error
    return np.stack(
        [to_vector(sample[patient] for sample in samples) for patient in range(cohort.patient_count)]
    )


def _alone(module: nn.Module, layout: Layout, patient: Cohort, name: str) -> Floats:
    """One patient's gradient by autograd: float64 [parameters]."""
    batch = pad_patients(layout, patient)
    parameters = list(module.parameters())
    try:
        loss = batch.losses(module(batch.rows)).sum()
        # allow_unused: a parameter that this patient's rows do not reach has a gradient of zero.
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
    except ConfigurationError:
        raise
    except Exception as error:
        raise _failed(name, "its module failed", error) from error
    pairs = zip(found, parameters, strict=True)
    return to_vector(torch.zeros_like(p) if each is None else each for each, p in pairs)


def _failed(name: str, what: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"model.kind={name}: {what} ({type(error).__name__}); see docs/plugins.md")
