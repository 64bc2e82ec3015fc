"""The number of patients that a hospital tells the operator: rounded, and by a bound that nobody outside knows.

Declared numbers are public: they weigh releases and bound δ × patients. A count that is rounded at a known place would
still say, next to it, whether one patient is there. So the place where it is rounded up is drawn for each hospital
from its own key, for good: somebody who knows all patients but one, and not the key, sees that patient tip the figure
with a chance of at most ``tipping_chance``. That is no ε: whoever declares may type a coarser number, or an older one.
"""

import hashlib
import hmac

LEAST_PLACE, MOST_PLACE = 0.25, 0.5
"""Between these shares of a step a figure is rounded up: below 1.5 times the declared there is nothing undeclared."""


def declared_number(patients: int, key: bytes) -> int:
    """Round to one significant digit, at least 10, up from a place between ¼ and ½ of a step that the key draws.

    key: the hospital's, which hides identifiers too. Guarantee: fewer than 1.5 times the declared number are there
    (from 10 patients on), as ``server.algorithm.screen`` counts on; the same count gives the same number every time.
    """
    # One digit of a smaller number would be the number itself.
    if patients < 10:
        return 10
    step = step_of(patients)
    whole, over = divmod(patients, step)
    return (whole + (over >= place_of(step, key) * step)) * step


def one_digit_of(number: int) -> int:
    """Round down to one digit and zeros: 1,183 is 1,000; at least 1."""
    unit = int(10 ** (len(str(max(number, 1))) - 1))
    return max(number, 1) // unit * unit


def step_of(patients: int) -> int:
    """Give the step of one significant digit: 1,180 is told in thousands."""
    return int(10 ** (len(str(max(patients, 10))) - 1))


def place_of(step: int, key: bytes) -> float:
    """Draw the share of a step from which on is rounded up, by the key and the step's size alone."""
    digest = hmac.new(key, f"wardround declared {step}".encode(), hashlib.sha256).digest()
    uniform = int.from_bytes(digest[:8], "big") / 2.0**64
    return LEAST_PLACE + (MOST_PLACE - LEAST_PLACE) * uniform


def tipping_chance(patients: int) -> float:
    """Bound the chance, over keys, that one patient more or less changes the declared number."""
    return min(1.0, 1.0 / ((MOST_PLACE - LEAST_PLACE) * step_of(patients)))
