"""Opacus's optimiser with noise from a cryptographic stream; where the clipped sum comes from is open."""

import numpy as np
import torch

from wardround.client.train.quiet_opacus import DPOptimizerFastGradientClipping
from wardround.protocol.arrays import Floats
from wardround.protocol.model.modules import as_parameter, to_vector
from wardround.protocol.privacy.mechanism import add_noise
from wardround.protocol.privacy.randomness import Keystream


class PatientOptimizer(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """One hospital's ``DPOptimizer``: sums of clipped patients, public batch size, noise of its own stream.

    Its step is Opacus's: take the clipped sum, ``add_noise``, ``scale_grad`` (nothing for sums), the step
    hook (where an Opacus accountant counts), then the wrapped optimiser. Guarantee: torch's generator is
    never drawn from; an empty sample is a clipped sum of zeros, and is noised and counted like any other.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        noise_stddev: float,
        clip_norm: float,
        expected_batch_size: int,
    ) -> None:
        """Wrap a torch optimiser. noise_stddev is that of one coordinate of one step's sum."""
        super().__init__(
            optimizer,
            noise_multiplier=noise_stddev / clip_norm,  # for Opacus's accountants; we draw by noise_stddev
            max_grad_norm=clip_norm,
            expected_batch_size=expected_batch_size,
            loss_reduction="sum",  # with "mean" Opacus would divide the sum by expected_batch_size
        )
        self.noise_stddev = noise_stddev
        self._stream: Keystream | None = None

    def step_on(self, clipped_sum: Floats, stream: Keystream) -> Floats:
        """Take one step on a clipped sum [parameters] with the noise of ``stream``; give the noised sum."""
        self.zero_grad(set_to_none=True)
        self._stream = stream
        self._spread(clipped_sum)
        self.step()
        return to_vector(parameter.grad for parameter in self.params)

    def add_noise(self) -> None:
        """Replace Opacus's draw from torch's generator by one from the step's stream, used once."""
        # Used once: the same noise under two sums would give their difference away.
        stream, self._stream = self._stream, None
        if stream is None:
            raise ValueError("no noise stream for this step: use step_on")
        summed = to_vector(parameter.summed_grad for parameter in self.params)
        self._spread(add_noise(summed[np.newaxis], self.noise_stddev, [stream])[0])

    def _spread(self, vector: Floats) -> None:
        """Set every parameter's gradient from a flat vector."""
        parts = torch.from_numpy(vector).split([parameter.numel() for parameter in self.params])
        for parameter, part in zip(self.params, parts, strict=True):
            parameter.grad = as_parameter(part, parameter).to(parameter.dtype).clone()
