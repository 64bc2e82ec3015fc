"""The parts of Opacus that Wardround builds on, imported without what the import does to logging.

The import is slow (seconds) and gives the root logger a handler: so only what needs Opacus imports this
file, and the handler is taken back here.
"""

import logging

_handlers, _level = list(logging.root.handlers), logging.root.level

from opacus import GradSampleModule, GradSampleModuleFastGradientClipping  # noqa: E402
from opacus.optimizers import DPOptimizerFastGradientClipping  # noqa: E402
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping  # noqa: E402

logging.root.handlers[:] = _handlers
logging.root.setLevel(_level)

__all__ = [
    "DPLossFastGradientClipping",
    "DPOptimizerFastGradientClipping",
    "GradSampleModule",
    "GradSampleModuleFastGradientClipping",
]
