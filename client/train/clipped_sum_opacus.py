"""Clipped sum by Opacus, the oracle of the closed forms: ghost clipping, or hooks (a gradient per patient).

Works for any torch module that keeps the patient dimension first. Ghost clipping: Li et al. 2022; Opacus
calls it fast gradient clipping. Importing this file imports Opacus (slow): import it where it is used.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from wardround.client.train.one_pass import blank
from wardround.client.train.patient_batch import PatientBatch, flattened
from wardround.client.train.quiet_opacus import (
    DPLossFastGradientClipping,
    DPOptimizerFastGradientClipping,
    GradSampleModule,
    GradSampleModuleFastGradientClipping,
)
from wardround.client.train.rounding import norm_allowance, safe_norms
from wardround.protocol.arrays import Floats
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.modules import to_vector
from wardround.protocol.privacy.mechanism import clip_factors

# What Opacus leaves on layers and parameters after `remove_hooks`; the next engine would find it.
_LAYER_MARKS = ("activations", "max_batch_len", "autograd_grad_sample_hooks")
_PARAMETER_MARKS = ("grad_sample", "summed_grad", "_norm_sample", "_forward_counter", "_current_grad_sample")


def clipped_sum_opacus(module: nn.Module, batch: PatientBatch, clip_norm: float, engine: str) -> Floats:
    """Sum the clipped per-patient gradients of one hospital: float64 [parameters], in the module's order.

    engine: ``ghost`` or ``hooks``. Guarantee: one patient moves the sum by at most clip_norm; a patient
    whose gradient is not finite adds zero: with hooks in the same pass, with ghost by a second one, so that ghost
    is for invented patients alone. ConfigurationError where the module mixes patients and events so that gradients
    no longer belong to patients.
    """
    if len(batch) == 0:
        return np.zeros(sum(p.numel() for p in module.parameters()))
    if engine == "hooks":
        return to_vector(_hooks(module, batch, clip_norm))
    clipped, finite = _ghost(module, batch, clip_norm)
    if not finite.all():
        return clipped_sum_opacus(module, batch.only(finite), clip_norm, engine)
    return to_vector(clipped)


class _PatientGhost(GradSampleModuleFastGradientClipping):  # type: ignore[misc]
    """Opacus's ghost clipping with our clip factors, and a look at whose norms these are."""

    patients: int
    finite: torch.Tensor

    def get_clipping_coef(self) -> torch.Tensor:
        """Clip factor [patients]; 0 where a gradient is not finite (Opacus itself would give NaN)."""
        # Events that were flattened pass for patients in silence (event-level privacy): the number of norms shows it.
        for parameter in self.trainable_parameters:
            _check_patients(parameter._norm_sample, self.patients)
        norms = self.get_norm_sample()
        self.finite = torch.isfinite(norms)
        return _factors(norms, self.max_grad_norm)


def _ghost(
    module: nn.Module, batch: PatientBatch, clip_norm: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Clipped sum per parameter, and which patients' gradients are finite (bool [patients])."""
    wrapped = _PatientGhost(module, loss_reduction="sum", max_grad_norm=clip_norm)
    wrapped.patients = len(batch)
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,  # never stepped: noise is ``PatientOptimizer``'s affair
        max_grad_norm=clip_norm,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    criterion = DPLossFastGradientClipping(wrapped, optimizer, _PatientLoss(), loss_reduction="sum")
    try:
        with _quiet_hooks():
            criterion(wrapped(batch.rows), batch).backward()
        sums = [p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters()]
        return sums, wrapped.finite
    finally:
        _unwrap(wrapped, module)


class _PatientLoss:
    """A criterion as Opacus wants it: one loss per patient."""

    reduction = "sum"

    def __call__(self, logits: torch.Tensor, batch: PatientBatch) -> torch.Tensor:
        return batch.losses(logits)


def _hooks(module: nn.Module, batch: PatientBatch, clip_norm: float) -> list[torch.Tensor]:
    """Clipped sum per parameter, with every patient's gradient in memory."""
    samples = [sample.double() for sample in patient_gradients(module, batch)]
    squared = torch.stack([sample.flatten(1).square().sum(dim=1) for sample in samples]).sum(dim=0).numpy()
    lengths = sum(sample[0].numel() for sample in samples)
    # A norm never falls short of the true one by rounding, however many parameters there are.
    norms = safe_norms(squared, np.sqrt(squared), norm_allowance(lengths, np.float64))
    factors, finite = torch.from_numpy(clip_factors(norms, clip_norm)), np.isfinite(norms)
    for sample in samples:
        blank(sample.numpy(), finite)  # a factor of zero would leave zero times infinity
    return [torch.einsum("i,i...->...", factors, sample) for sample in samples]


def patient_gradients(module: nn.Module, batch: PatientBatch) -> list[torch.Tensor]:
    """Each patient's gradient by Opacus's hooks, before clipping: by parameter, [patients, *shape].

    ConfigurationError where gradients are not the patients', or a parameter gets none.
    """
    wrapped = GradSampleModule(module, loss_reduction="sum")
    try:
        with _quiet_hooks():
            batch.losses(wrapped(batch.rows)).sum().backward()
        samples: list[torch.Tensor] = []
        for name, parameter in module.named_parameters():
            sample = getattr(parameter, "grad_sample", None)
            if not isinstance(sample, torch.Tensor):
                line = "use it once in forward, or leave it out"
                raise ConfigurationError(f"model: parameter {name} has no gradient per patient; {line}")
            _check_patients(sample, len(batch))
            samples.append(sample.detach())
        return samples
    finally:
        _unwrap(wrapped, module)


def _factors(norms: torch.Tensor, clip_norm: float) -> torch.Tensor:
    return torch.from_numpy(clip_factors(norms.detach().double().numpy(), clip_norm)).to(norms.dtype)


def _check_patients(per_patient: torch.Tensor, patients: int) -> None:
    """Refuse gradients per event that pass for gradients per patient."""
    if per_patient.shape[0] != patients:
        raise flattened(per_patient.shape[0], patients)


def _unwrap(wrapped: GradSampleModule | GradSampleModuleFastGradientClipping, module: nn.Module) -> None:
    """Leave the module as it was before Opacus hooked into it."""
    wrapped.remove_hooks()
    for layer in module.modules():
        for name in _LAYER_MARKS:
            if name in layer.__dict__:
                delattr(layer, name)
    for parameter in module.parameters():
        parameter.grad = None
        for name in _PARAMETER_MARKS:
            if hasattr(parameter, name):
                delattr(parameter, name)


@contextmanager
def _quiet_hooks() -> Iterator[None]:
    """Silence torch's note that inputs need no gradient: they are data."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield
