"""Why a proposal is what it is, and what would have been sent otherwise, in words. Pure."""

from collections.abc import Mapping
from typing import Any

from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.measure.protocol import BEST_SINGLE, EXPLORED, STANDARD

STANDARD_WORDS = "the standard message"


def why_this_one(proposal: OutreachProposal) -> tuple[str, ...]:
    """Say what made it due, and why this module: the standard, a protocol's arm, or a model's gain with its error."""
    return (*map(str, proposal.reasons), _chosen(proposal))


def otherwise(proposal: OutreachProposal) -> str:
    """Name the module that would be sent without a model or an arm; of the standard message itself: ''."""
    return "" if proposal.module == proposal.standard else proposal.standard


def _chosen(proposal: OutreachProposal) -> str:
    if proposal.recipient != "patient":
        return STANDARD_WORDS
    if proposal.propensity < 1:
        return f"chance picked it among equal modules (arm {EXPLORED}); otherwise {proposal.standard}"
    if proposal.module == proposal.standard:
        return f"{STANDARD_WORDS}{_left_aside(proposal)}"
    if proposal.arm == EXPLORED:  # neither drawn nor the standard one
        return f"a person chose it in the place of another; otherwise {proposal.standard}"
    if proposal.arm == BEST_SINGLE:
        return f"the one message for all of arm {BEST_SINGLE}; otherwise {proposal.standard}"
    taken = next((one for one in proposal.options if _is(one, proposal.module)), None)
    gain = "chosen by the model" if taken is None else f"the model expects {_gain(taken)}"
    own = " with the hospital's own part" if proposal.stands_on.get("own_part") else ""
    return f"{gain}{own}; otherwise {proposal.standard}"


def _left_aside(proposal: OutreachProposal) -> str:
    """Say what else the model looked at, and why it was left aside."""
    if not proposal.options or proposal.arm == STANDARD:
        return ""
    best = proposal.options[0]
    if _is(best, proposal.module):
        return "; the model expects no gain from another"
    if float(best["gain"]) > float(best["error"]):
        reason = "no room is left for it" if proposal.arm != EXPLORED else "chance drew this one"
    else:
        reason = "not beyond its error"
    return f"; {best['module']} would give {_gain(best)}: {reason}"


def _gain(option: Mapping[str, Any]) -> str:
    return f"{100 * float(option['gain']):+.1f} ± {100 * float(option['error']):.1f} points"


def _is(option: Mapping[str, Any], module: str) -> bool:
    """Whether an option is of this module; options have no language."""
    return bool(option["module"] == module.rpartition(".")[0])
