"""Names for the arrays that functions take and give; a docstring adds the shape and the unit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]
Integers32 = NDArray[np.int32]
Booleans = NDArray[np.bool_]
Numbers = NDArray[Any]
"""A release's numbers: integers of a secure sum, floats otherwise."""
EitherFloats = NDArray[np.floating]
"""Arrays of float32 in a study, of float64 where the same code is checked against a reference."""
