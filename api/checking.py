"""Look at a model of one's own before a study trains it."""

from wardround.client.train.check_module import check_module
from wardround.conf.composed import compose_study
from wardround.protocol import plugins
from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.own_module import TorchModel
from wardround.protocol.terms.settings import ModelSettings


def check_model(model: TorchModel | str, contract: Contract | None = None) -> float:
    """Compare Opacus's gradient of each patient with autograd's, one patient at a time: the largest difference.

    model: what makes your torch module (its class), or its import path. contract: whose columns the module reads;
    that of the synthetic federation, if None. The difference is relative, and below 1e-6 where the module may be
    trained. Invented patients only. A study makes the same check before it begins.

    ConfigurationError, one line, where patients or events meet in the module, or Opacus cannot clip it.

    >>> import wardround
    >>> from torch import nn
    >>> class Small(nn.Module):
    ...     def __init__(self, layout):
    ...         super().__init__()
    ...         self.first, self.last = nn.Linear(layout.width, 4), nn.Linear(4, 1)
    ...     def forward(self, rows):
    ...         return self.last(self.first(rows).tanh())[..., 0]
    >>> wardround.check_model(Small) < 1e-6
    True
    """
    name = plugins.load("model", model) if isinstance(model, str) else plugins.enter("model", model)
    known = contract or compose_study().contract
    return check_module(ModelSettings(kind=name), known.layout, known.events_per_patient)
