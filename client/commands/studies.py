"""``studies``: what was proposed, and what was decided."""

from argparse import Namespace

from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.terminal import say, table
from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.signed_terms import SignedTerms


def run(options: Namespace) -> None:
    """List the studies whose terms are kept."""
    with open_home(options.home) as opened:
        rows = [study_row(opened, signed) for signed in opened.known()]
    if options.json:
        say_json(rows)
    elif not rows:
        say(
            "No study was proposed yet. Terms arrive with a study's first plan, or as a file (forecast, approve)"
        )
    else:
        cells = [
            (str(r["study"]), str(r["operator"]), str(r["decision"]), f"{r['rounds_charged']} of {r['rounds']}",
             f"{r['epsilon']:.3g}", str(r["expires_at"])[:10], str(r["terms"])[:8])
            for r in rows
        ]  # fmt: skip
        columns = ("study", "operator", "decision", "rounds", "ε", "until", "terms")
        table("Studies", columns, cells, right=("rounds", "ε"))


def study_row(opened: OpenHome, signed: SignedTerms) -> dict[str, object]:
    """Say how a study stands, as plain values."""
    terms, training = signed.terms, signed.terms.training
    payer = opened.ledger.identify(signed.operator) or signed.operator
    return {
        "study": terms.study,
        "operator": opened.operator_name(signed.operator),
        "decision": opened.decision(signed),
        "rounds": training.rounds,
        "rounds_charged": opened.ledger.rounds_charged(payer, terms.fingerprint),
        "epsilon": study_epsilon(terms, opened.policy.delta)["training"],
        "expires_at": terms.expires_at,
        "terms": terms.fingerprint,
    }
