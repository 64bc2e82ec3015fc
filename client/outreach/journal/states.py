"""What may become of a proposal. Pure.

proposed → approved | held | refused;  held → approved | refused;  approved → exporting → exported
void, from anywhere before exported: it was stopped, its ground is gone, or its time passed
"""

from collections.abc import Mapping
from types import MappingProxyType

PROPOSED, APPROVED, HELD, REFUSED = "proposed", "approved", "held", "refused"
EXPORTING, EXPORTED, VOID = "exporting", "exported", "void"
MOVES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        PROPOSED: frozenset({APPROVED, HELD, REFUSED, VOID}),
        HELD: frozenset({APPROVED, REFUSED, VOID}),
        APPROVED: frozenset({HELD, REFUSED, EXPORTING, VOID}),
        EXPORTING: frozenset({EXPORTED, APPROVED, VOID}),
        EXPORTED: frozenset(),
        REFUSED: frozenset({VOID}),
        VOID: frozenset(),
    }
)
STATES = tuple(MOVES)
OPEN = (PROPOSED, APPROVED, HELD, EXPORTING)
"""States of what may still be sent: each counts towards a patient's caps as if it were."""
OVER = (REFUSED, EXPORTED, VOID)


def sources(state: str) -> tuple[str, ...]:
    """Give the states that may become this one."""
    return tuple(one for one in STATES if state in MOVES[one])
