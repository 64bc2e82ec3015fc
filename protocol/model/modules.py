"""The same models as torch modules, for Opacus and for whoever reads torch; imports torch, nothing above it.

Modules take ``[patients, K, width]`` and keep the patient dimension to the end: flattening patients and
events would turn the guarantee per patient into one per event without any error.
"""

from collections.abc import Iterable
from math import sqrt

import numpy as np
import torch
from torch import nn
from torch.nn.utils import skip_init

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.layout import Layout
from wardround.protocol.model.interactions import cell_count, cell_scale
from wardround.protocol.model.model import column_scale, main_scale
from wardround.protocol.model.own_module import build_own_module
from wardround.protocol.terms.settings import ModelSettings


class EngagementModule(nn.Module):
    """``[patients, K, width]`` unscaled dense design rows -> logits ``[patients, K]``.

    What it needs of Opacus: linear layers only, so ghost clipping throughout. Scales are public constants,
    kept outside the module's buffers because Opacus refuses modules with buffers.
    """

    def __init__(self, model: ModelSettings, layout: Layout, dtype: torch.dtype) -> None:
        """Lay out the layers; their weights are undefined until ``load_vector`` fills them."""
        super().__init__()
        self.is_linear, self.widths = model.structure.linear, model.hidden
        self.column_scale = torch.tensor(column_scale(model, layout), dtype=dtype)
        self.main_scale = torch.tensor(main_scale(model, layout), dtype=dtype)
        bins = 1 + sum(field.size for field in layout.features)
        ranged = range(layout.width - len(layout.values), layout.width)
        self.main_columns = torch.tensor([*range(1, bins), *ranged])
        if self.is_linear:
            self.linear = _linear(layout.width, 1, False, dtype)
        inputs = [layout.main_width, *model.hidden]
        sizes = zip(inputs, model.hidden, strict=False)
        self.hidden = nn.ModuleList(_linear(before, after, True, dtype) for before, after in sizes)
        if model.hidden:
            self.output = _linear(model.hidden[-1], 1, model.structure.output_bias, dtype)
        self.pairs = _places_of_pairs(layout) if model.structure.interactions else []
        self.cell_scale = cell_scale(layout)
        if model.structure.interactions:
            self.interactions = _linear(cell_count(layout), 1, False, dtype)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits of each event; see ``protocol.model.model``."""
        logits = torch.zeros(rows.shape[:-1], dtype=rows.dtype)
        if self.is_linear:
            logits = logits + self.linear(rows * self.column_scale)[..., 0]
        if self.widths:
            activation = rows[..., self.main_columns] * self.main_scale
            for layer, width in zip(self.hidden, self.widths, strict=True):
                activation = torch.tanh(layer(activation)) / sqrt(width)
            logits = logits + self.output(activation)[..., 0]
        if self.pairs:
            cells = [(rows[..., a, None] * rows[..., None, b]).flatten(-2) for a, b in self.pairs]
            logits = logits + self.interactions(torch.cat(cells, -1) * self.cell_scale)[..., 0]
        return logits


def _places_of_pairs(layout: Layout) -> list[tuple[slice, slice]]:
    """Columns of the design with the bins of both fields, of each interaction."""
    starts = {field.name: start for start, field in zip(layout.offsets, layout.features, strict=False)}
    places = {
        field.name: slice(starts[field.name], starts[field.name] + field.size) for field in layout.features
    }
    return [(places[pair.first.name], places[pair.second.name]) for pair in layout.interactions]


def build_module(model: ModelSettings, layout: Layout, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Build the torch module of a model, with all weights zero: ``load_vector`` fills it.

    A user's own module keeps its initial weights, and is float64 whatever the dtype.
    """
    if model.structure.own_module:
        return build_own_module(model, layout)
    module = EngagementModule(model, layout, dtype)
    # skip_init leaves in the weights whatever the memory held.
    load_vector(module, np.zeros(sum(parameter.numel() for parameter in module.parameters())))
    return module


def load_vector(module: nn.Module, weights: Floats) -> None:
    """Copy a flat vector [parameters], in the order of ``protocol.model.model.parameter_shapes``, into a module."""
    parts = torch.from_numpy(np.array(weights, np.float64)).split([p.numel() for p in module.parameters()])
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), parts, strict=True):
            parameter.copy_(as_parameter(part, parameter))


def as_parameter(part: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Shape one part of the flat vector like its parameter; torch keeps matrices as [outputs, inputs]."""
    return part.reshape(parameter.shape[::-1]).T if parameter.dim() == 2 else part.reshape(parameter.shape)


def to_vector(tensors: Iterable[torch.Tensor]) -> Floats:
    """Flatten tensors that are shaped and ordered like a module's parameters; inverse of ``load_vector``."""
    flat = [(tensor.T if tensor.dim() == 2 else tensor).reshape(-1).double() for tensor in tensors]
    return np.asarray(torch.cat(flat).detach().numpy())


def _linear(inputs: int, outputs: int, bias: bool, dtype: torch.dtype) -> nn.Linear:
    """A layer without torch's own random weights: weights come from the round's plan alone."""
    # Drawing weights would also move torch's global generator, which is the caller's.
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs, bias=bias, dtype=dtype)
    return layer
