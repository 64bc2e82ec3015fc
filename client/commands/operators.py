"""``operators``: whose terms are read, with the fingerprints to compare; rotation and revocation of their keys."""

from argparse import Namespace

from wardround.client.commands.open_home import OpenHome, open_home, open_record, person, public_key
from wardround.client.commands.terminal import say, table
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.signing import key_fingerprint


def run(options: Namespace) -> None:
    """List operators, or record that a key was exchanged or is out of use."""
    if options.action == "list":
        with open_home(options.home) as opened:
            _list(opened, options.json)
        return
    # Without the policy: a key that was stolen is revoked though policy.yaml cannot be read just now.
    with open_record(options.home) as (home, ledger):
        fields = {
            "operator": public_key(options.key),
            "reason": options.reason,
            "person": person(options.person),
        }
        kind = "revoked"
        if options.action == "rotate":
            kind, fields["successor"] = "rotated", public_key(options.successor)
        head = ledger.decide(kind, home.gate_now(ledger, home.clock()), **fields)
    if options.json:
        say_json({"kind": kind, "head": head, **fields})
    else:
        say(f"{kind}: {key_fingerprint(fields['operator'])}; ledger entry {head[:12]}…")


def _list(opened: OpenHome, as_json: bool) -> None:
    rows = []
    for name, key in opened.policy.operators.items():
        rows.append({"name": name, "key": key, "fingerprint": key_fingerprint(key),
                     "in_use": opened.ledger.identify(key) is not None})  # fmt: skip
    if as_json:
        say_json(rows)
    elif not rows:
        say("policy.yaml allows no operator")
    else:
        cells = [(str(r["name"]), str(r["fingerprint"]), "yes" if r["in_use"] else "no") for r in rows]
        table("Operators", ("name", "fingerprint of the key", "in use"), cells)
