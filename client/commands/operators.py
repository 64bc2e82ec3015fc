"""``operators``: whose terms are read, with the fingerprints to compare; rotation and revocation of their keys."""

from argparse import Namespace

from wardround.client.commands.open_home import OpenHome, open_home, open_record, public_key
from wardround.client.commands.signing import signer
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
            "person": signer(options),
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
    rows = [_row(name, key, opened.ledger.key_in_use(key)) for name, key in opened.policy.operators.items()]
    if as_json:
        say_json(rows)
    elif not rows:
        say("policy.yaml allows no operator")
    else:
        cells = [(str(r["name"]), str(r["fingerprint"]), _use(r)) for r in rows]
        table("Operators", ("name", "fingerprint of the key", "in use"), cells)
        for one in rows:
            if one["successor"]:
                # On a line of its own: it is compared by telephone, and a cell would be folded.
                say(f"{one['name']}: its key in use is {one['successor_fingerprint']}")


def _row(name: str, key: str, now: str | None) -> dict[str, str | bool | None]:
    """now: the operator's newest key, of this one or its successors; None where it was revoked."""
    successor = now if now != key else None
    return {
        "name": name,
        "key": key,
        "fingerprint": key_fingerprint(key),
        "in_use": now == key,
        "revoked": now is None,
        "successor": successor,
        "successor_fingerprint": key_fingerprint(successor) if successor else None,
    }


def _use(row: dict[str, str | bool | None]) -> str:
    if row["in_use"]:
        return "yes"
    return "no: revoked" if row["revoked"] else "no: see below"
