"""``recall``: record that an operator recalled a model; from then on nothing here uses it."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.signing import person
from wardround.client.commands.terminal import say
from wardround.client.outreach.recalls import keep_recall, load_recall
from wardround.client.policy.policy import allows_operator
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.signing import key_fingerprint


def run(options: Namespace) -> None:
    """Verify whose it is, keep it, and note it in the ledger."""
    recall = load_recall(options.file)
    with open_home(options.home) as opened:
        if not allows_operator(opened.policy, opened.ledger, recall.operator):
            raise ConfigurationError(
                f"recall={options.file}: is signed with a key that policy.yaml does not list, or that is out of use "
                f"({key_fingerprint(recall.operator)}); ask the operator to sign it anew"
            )
        # Kept first: cut short here, the model is refused already, and the same command writes the note.
        new = keep_recall(opened.home.recalls, recall)
        text = f"study {recall.study}, terms {recall.terms[:32]}: {recall.reason}"
        noted = any(
            (entry.fields["topic"], entry.fields["reason"]) == ("model_recalled", text)
            for entry in opened.ledger.notes()
        )
        if not noted:
            opened.ledger.decide(
                "note", opened.now, topic="model_recalled", reason=text, person=person(options.person)
            )
        operator = opened.operator_name(recall.operator)
    if options.json:
        plain = {"study": recall.study, "day": recall.day.isoformat(), "reason": recall.reason, "new": new}
        say_json({**plain, "operator": recall.operator, "person": recall.person})
        return
    say(
        f"{recall} (signed by {operator})" if new else f"recorded already: {recall}",
        "model, score and outreach propose refuse it from now on; what it chose is neither approved nor exported.",
    )
