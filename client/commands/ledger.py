"""``ledger``: the record of every release; its copies are in ``ledger_keep``."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from wardround.client.commands import ledger_evidence, ledger_keep
from wardround.client.commands.open_home import open_record, public_key
from wardround.client.commands.terminal import say, table
from wardround.client.home.home import load_home
from wardround.client.ledger.entries import Entry, stated_of_entry
from wardround.client.ledger.verify import Verified, export, verify
from wardround.protocol.errors import LedgerError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.say import say_json

LARGEST_EXPORT = 2**31


def run(options: Namespace) -> None:
    """Show the last entries, check all, write them out, or keep them from being lost."""
    actions = {
        "show": _show,
        "verify": _verify,
        "export": _export,
        "evidence": ledger_evidence.run,
        "backup": ledger_keep.backup,
        "restore": ledger_keep.restore,
        "recover": ledger_keep.recover_ledger,
        "clock": ledger_keep.clock,
    }
    actions[options.action](options)


def _show(options: Namespace) -> None:
    with open_record(options.home) as (_, ledger):
        entries = ledger.entries()
    last = entries[-max(options.last, 1) :]
    if options.json:
        say_json([{"kind": e.kind, "sequence": e.sequence, "time": e.time.isoformat(), "hash": e.hash,
                   "previous": e.previous, **e.fields} for e in last])  # fmt: skip
        return
    rows = [(str(e.sequence), f"{e.time:%Y-%m-%d %H:%M:%S}", e.kind, describe(e), e.hash[:8]) for e in last]
    table(
        f"Ledger: {len(entries)} entries",
        ("no.", "time (UTC)", "entry", "what", "hash"),
        rows,
        right=("no.",),
    )


def describe(entry: Entry) -> str:
    """Say in words what an entry records."""
    fields = entry.fields
    match entry.kind:
        case "charged":
            return f"{fields['study']}, round {fields['round']}: {_for_life(entry)}"
        case "released":
            return f"release {str(fields['release'])[:12]}… kept until {str(fields['expires_at'])[:10]}"
        case "refused":
            return f"{fields['study'] or 'a request'}: clause {fields['clause']}"
        case "approved" | "declined":
            return f"{fields['study']}, by {fields['person']}: {fields['reason']}"
        case "assumed":
            left = fields["releases"] or "all"
            return f"{fields['study']}: {left} releases may have left, {_for_life(entry)}"
        case "recovered":
            held = len(str(fields["heads"]).split())
            return f"after a loss, {held} heads of others, by {fields['person']}: {fields['reason']}"
        case "roster":
            return f"{fields['study']}: roster {str(fields['roster'])[:12]}… of its secure sum is signed"
        case "survivors":
            count = len(str(fields["survivors"]).split())
            return (
                f"{fields['study']}, round {fields['round']}: {count} survivors, {fields['account']} account, sum "
                f"{str(fields['label'])[:12]}…"
            )
        case "contradiction":
            return f"{fields['study']}, round {fields['round']}: the operator signed two requests for one sum"
        case "known_by":
            return f"patients are known by {fields['form']}, {str(fields['digest'])[:12]}…"
        case "clock":
            return f"is right, says {fields['person']}: {fields['reason']}"
        case "rotated" | "revoked":
            return f"{str(fields['operator'])[:16]}…, by {fields['person']}: {fields['reason']}"
        case _:
            return " ".join(str(fields[name]) for name in ("topic", "person", "reason") if fields.get(name))


def _for_life(entry: Entry) -> str:
    """Say what the account comes to after a charge; without masks too where it had sums."""
    masked, unmasked = stated_of_entry(entry)
    failed = f" ({unmasked.life:.4g} if every mask failed)" if unmasked != masked else ""
    return f"ε = {masked.life:.4g} for life{failed}, {entry.fields['account']} account"


def _verify(options: Namespace) -> None:
    if options.file is None:
        with open_record(options.home) as (home, ledger):
            content, key = export(ledger.entries()), home.key.public
    else:
        content, key = _read(options.file), None
    if options.key:
        key = public_key(options.key)
    if key is None:
        key = load_home(options.home).key.public
    checked = verify(content, key, options.head)
    if options.json:
        say_json({**asdict(checked), "first": checked.first.isoformat(), "last": checked.last.isoformat()})
    else:
        _say_verified(checked)


def _say_verified(checked: Verified) -> None:
    say(f"OK: {checked.entries} entries, each signed and in its place")
    say(f"  from    {checked.first:%Y-%m-%d %H:%M} to {checked.last:%Y-%m-%d %H:%M} UTC")
    say(f"  head    {checked.head}")
    for account, epsilon in checked.epsilon.items():
        unmasked = checked.unmasked[account]
        failed = f"; {unmasked:.6g} if every mask failed" if unmasked != epsilon else ""
        say(f"  ε       {epsilon:.6g} composed over the {account.replace('_', '-')} account{failed}")
    say(f"What this check cannot tell: {checked.unknown}")


def _read(path: Path) -> bytes:
    try:
        content = read_bounded(path, LARGEST_EXPORT)
    except OSError as error:
        raise LedgerError(f"ledger={path}: cannot be read ({error.strerror})") from error
    if len(content) > LARGEST_EXPORT:
        raise LedgerError(f"ledger={path}: larger than {LARGEST_EXPORT} bytes")
    return content


def _export(options: Namespace) -> None:
    with open_record(options.home) as (_, ledger):
        entries = ledger.entries()
        write_new(options.file, export(entries), 0o600)
        head = entries[-1].hash
    if options.json:
        say_json({"file": str(options.file), "entries": len(entries), "head": head})
    else:
        say(f"{len(entries)} entries written to {options.file}; head {head}")
        say("Give the head to whoever will check this file, separately from the file.")
