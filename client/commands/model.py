"""``model``: who answers for a model's file and its card, and whether it may be used here; nobody is scored."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from wardround.client.commands.contract_file import read_contract_file
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say
from wardround.client.outreach.recalls import refuse_recalled
from wardround.client.outreach.score import is_simulated, refuse_not_releasable
from wardround.client.outreach.signed_model import ModelAtHand, check_marks, take_model
from wardround.client.policy.policy import allows_operator
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model_file import StoredModel, contract_fingerprint, read_model
from wardround.protocol.text.say import say_json
from wardround.protocol.text.text import visible
from wardround.protocol.wire.signed_model import MODEL, SIGNATURE

SHOWN = ("study", "patient_epsilon", "delta", "noise", "releasable", "usable_until", "release_blocks")


def run(options: Namespace) -> None:
    """Verify model, marks, exception, and whatever else of the study lies beside; refuse what score would refuse."""
    with open_home(options.home) as opened:
        at_hand = model_at_hand(opened, options.model, options.signature, None)
        stored = read_model(at_hand.content, model_contract(opened, at_hand, options.terms), options.model)
        check_marks(at_hand, stored)
        operator = opened.operator_name(at_hand.signature.operator) if at_hand.signature else ""
        refused = _refused(at_hand, stored, opened)
    if options.json:
        marks = {key: text for key, text in stored.facts.items() if key != "model"}
        say_json({**vouched(at_hand, stored), "marks": marks, "refused": refused or None})
        return
    say(*who_answers(at_hand, stored, operator), "")
    say(*(f"  {key:16} {visible(text, 500)}" for key, text in _shown(stored.facts)), "")
    say(refused or "score accepts it.")


def model_at_hand(
    opened: OpenHome, path: Path, signature: Path | None, accepted_unsigned: str | None
) -> ModelAtHand:
    """Take the model's bytes; one that nobody signed goes on in a simulated home, or where a person accepts it."""
    real = opened.home.simulation is None
    at_hand = take_model(
        path, signature, lambda key: not real or allows_operator(opened.policy, opened.ledger, key)
    )
    if at_hand.signature is None and real and not accepted_unsigned:
        raise ConfigurationError(
            f"model={path}: there is no signature beside it ({SIGNATURE}); ask the operator for it, or give "
            "score --accept-unsigned REASON, which is recorded"
        )
    return at_hand


def model_contract(
    opened: OpenHome, at_hand: ModelAtHand, terms: str | None, file: Path | None = None
) -> Contract:
    """The contract named, or the known one that the model says it belongs to, or the one known.

    file: of a contract that nobody approved, which a simulated home alone may read.
    """
    if file is not None:
        if opened.home.simulation is None:
            raise ConfigurationError(
                f"--contract={file}: is for simulated homes alone; here a model's contract stands in terms that people "
                "approved (--terms)"
            )
        return read_contract_file(file)
    if terms is None:
        wanted = contract_fingerprint(at_hand.content, at_hand.path)
        for signed in opened.known():
            if signed.terms.contract.fingerprint == wanted and opened.decision(signed) != "declined":
                return signed.terms.contract
    return opened.contract(terms)


def vouched(at_hand: ModelAtHand, stored: StoredModel) -> dict[str, object]:
    """Spell who answers for the model."""
    signed, exception = at_hand.signature, at_hand.exception
    return {
        "model": at_hand.digest,
        "study": signed.study if signed else None,
        "operator": signed.operator if signed else None,
        "verified": [MODEL, *at_hand.beside] if signed else [],
        "exception": {"by": exception.person, "reason": exception.reason} if exception else None,
        "simulation": is_simulated(stored),
    }


def who_answers(at_hand: ModelAtHand, stored: StoredModel, operator: str) -> list[str]:
    """Say who answers for the model, in words."""
    signed, exception = at_hand.signature, at_hand.exception
    lines = ["NOBODY SIGNED this model: anybody may have written its weights and marks."]
    if signed is not None:
        files = ", ".join([MODEL, *at_hand.beside])
        lines = [f"Model of study {signed.study}, signed by {operator}; as it was signed: {files}."]
    if exception is not None:
        limits = "; ".join(exception.limits)
        lines.append(
            f"EXCEPTION: {exception.person} signed for limits not shown to hold ({limits}): {exception.reason}"
        )
    if is_simulated(stored):
        lines.append("This model comes from a SIMULATION: use it only for invented patients.")
    return lines


def _refused(at_hand: ModelAtHand, stored: StoredModel, opened: OpenHome) -> str:
    try:
        refuse_recalled(opened.home.recalls, at_hand, stored)
        refuse_not_releasable(stored, opened.now.date(), opened.home.simulation is None)
    except ConfigurationError as error:
        return f"score refuses it: {error}"
    return ""


def _shown(facts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key, facts[key]) for key in SHOWN if key in facts]
