"""A user's own torch module as a model: a flat vector of parameters, and the logits of events.

torch is imported where it is needed only: whoever uses the shipped models does not wait for it.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np

from wardround.protocol import plugins
from wardround.protocol.arrays import Floats, Floats32, Integers32
from wardround.protocol.contract.layout import Layout
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.model.design import Events, dense_rows
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.text.canonical import fingerprint
from wardround.protocol.text.section import shown

if TYPE_CHECKING:
    from torch import nn

_BLOCK_NUMBERS = 2**23
"""Numbers of dense design rows that are held at a time: 64 MiB."""
_PROBES, _PROBE_STDDEV = 64, 0.3
"""Rows, and size of the weights, that a module's digest is made from."""


@runtime_checkable
class TorchModel(Protocol):
    """Make a torch module for a contract's layout; named by ``model.kind``. A module's class is one.

    The module takes float64 ``[patients, K, layout.width]``, dense design rows that are not scaled, and gives logits
    ``[patients, K]``, each from its own row alone: nothing may pass between patients or between events. It has
    layers that Opacus can clip and no buffers. ``wardround.check_model`` tells whether that holds.

    >>> import wardround
    >>> from torch import nn
    >>> class Line(nn.Module):
    ...     def __init__(self, layout):
    ...         super().__init__()
    ...         self.line = nn.Linear(layout.width, 1)
    ...     def forward(self, rows):
    ...         return self.line(rows)[..., 0]
    >>> isinstance(Line, wardround.TorchModel)
    True
    """

    def __call__(self, layout: Layout) -> "nn.Module":
        """Return a new module; layout gives ``width``, and what each column stands for."""


def build_own_module(model: ModelSettings, layout: Layout) -> "nn.Module":
    """Build the user's module in float64, with initial weights that are the same in every process.

    ConfigurationError, one line, where the plugin is unknown, fails, or gives no module with parameters.
    """
    import torch
    from torch import nn

    factory = _factory(model)
    # Forked: the seed must not move the caller's generator. No devices: each GPU's would be saved and put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # public: initial weights are the same at the server and in every simulation
        module = plugins.called("model", model.kind, lambda: factory(layout))
    require(isinstance(module, nn.Module), "model.kind", model.kind, "must give a torch.nn.Module")
    require(any(True for _ in module.parameters()), "model.kind", model.kind, "its module has no parameters")
    return module.to(torch.float64)


def own_shapes(model: ModelSettings, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the module's parameters, in its own order; a matrix is [inputs, outputs]."""
    return dict(_shapes(_factory(model), model, layout))


def own_initial_weights(model: ModelSettings, layout: Layout) -> Floats:
    """float64 [parameters]: as the module's constructor leaves them under a fixed seed."""
    from wardround.protocol.model.modules import to_vector

    return to_vector(build_own_module(model, layout).parameters())


def module_digest(model: ModelSettings, layout: Layout) -> str:
    """SHA-256, hex, of what a study's operator and hospitals must have alike, each by its own installation.

    That is the names and shapes of the parameters, and the logits that public random weights give to public random
    rows, to six digits: so much is the same on every machine, whatever computes it. A module of the same size that
    computes something else has another digest. ConfigurationError where the module fails, or a logit is not finite.
    """
    shapes = own_shapes(model, layout)
    stream = Keystream(derive_key("module digest", layout.width))
    weights = _PROBE_STDDEV * stream.gaussian(sum(prod(shape) for shape in shapes.values()))
    logits = own_logits(model, layout, weights, _probe(layout, stream))
    require(bool(np.isfinite(logits).all()), "model.kind", model.kind, "gave logits that are not finite")
    scale = max(float(np.abs(logits).max()), 1.0)
    digits = [f"{number + 0.0:.6f}" for number in np.round(logits / scale, 6)]  # + 0.0: no minus zero
    return fingerprint({"shapes": [[name, list(shape)] for name, shape in shapes.items()],
                        "scale": f"{scale:.6e}", "logits": digits})  # fmt: skip


def _probe(layout: Layout, stream: Keystream) -> "_Block":
    """Invent events of a layout, the same everywhere."""
    bins = [np.floor(stream.uniform(_PROBES) * field.size) for field in layout.features]
    ranged = [2 * stream.uniform(_PROBES) - 1 for _ in layout.values]
    columns = [np.stack(part, axis=1) if part else np.zeros((_PROBES, 0)) for part in (bins, ranged)]
    return _Block(columns[0].astype(np.int32), columns[1].astype(np.float32))


def own_logits(
    model: ModelSettings, layout: Layout, weights: Floats, events: Events, at_once: int | None = None
) -> Floats:
    """float64 [events]: the module's logits, each event as a patient of its own; in blocks of bounded memory.

    at_once: events in a block; as many as memory allows, if None. With 1 an event's logit has the same bits whoever
    else is there, at some 0.1 ms an event; in a larger block rounding may differ by an event's place.
    """
    import torch

    from wardround.protocol.model.modules import load_vector

    module = build_own_module(model, layout).train(False)
    load_vector(module, weights)
    at_once = at_once or max(_BLOCK_NUMBERS // layout.width, 1)
    logits = np.empty(len(events.bins))
    with torch.no_grad():
        for first in range(0, len(logits), at_once):
            part = _Block(events.bins[first : first + at_once], events.values[first : first + at_once])
            # [events, 1, width]: a module sees the shape that it trains on, [patients, K, width].
            rows = torch.from_numpy(dense_rows(layout, part))[:, np.newaxis]
            given = plugins.called("model", model.kind, lambda rows=rows: module(rows))  # type: ignore[misc]
            shape = list(given.shape)
            line = f"gave logits of shape {shape}, must be {[len(rows), 1]}: one for each row"
            require(shape == [len(rows), 1], "model.kind", model.kind, line)
            logits[first : first + at_once] = given[:, 0].double().numpy()
    return logits


class _Block:
    """Some events."""

    def __init__(self, bins: Integers32, values: Floats32) -> None:
        self.bins, self.values = bins, values


def _factory(model: ModelSettings) -> Callable[[Layout], "nn.Module"]:
    found = plugins.find("model", model.kind)
    if found is None:
        line = "this machine has no such plugin (in a home: plugins.yaml, models)"
        raise ConfigurationError(f"model.kind={shown(model.kind)}: {line}")
    return cast(TorchModel, found)


@lru_cache(maxsize=32)
def _shapes(factory: object, model: ModelSettings, layout: Layout) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Remember the shapes: every plan's vector is held to them. factory makes a class defined anew another entry."""
    named = build_own_module(model, layout).named_parameters()
    return tuple((f"module.{name}", tuple(p.shape[::-1] if p.dim() == 2 else p.shape)) for name, p in named)
