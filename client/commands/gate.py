"""``gate``: who passes today, by reason, and the columns that are read. The counts stay in the hospital."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.source import read_tables
from wardround.client.gate.admit import admit
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.text.say import say_json

PASSED = ("training", "heldout", "undecided")


def run(options: Namespace) -> None:
    """Pass the tables through the gate as it stands now, and count."""
    with open_home(options.home) as opened:
        contract = opened.contract(options.terms)
        tables = read_tables(opened.home.source, contract)
        counts = admit(tables, contract, opened.home.patients_key, opened.now).counts
        now = opened.now
    read = {name: contract.columns(name) for name in TABLES if getattr(tables, name) is not None}
    passed = {
        f"{part} {what}": counts.pop(f"{part} {what}") for part in PASSED for what in ("patients", "events")
    }
    if options.json:
        facts = {"contract": contract.name, "version": contract.version, "at": now.isoformat()}
        say_json({**facts, "set_aside": counts, "passed": passed, "columns": read})
        return
    say(f"The gate under contract {contract.name} {contract.version} at {now:%Y-%m-%d %H:%M} UTC", "")
    table(
        "Messages set aside, each counted once, by its first reason",
        ("reason", "messages"),
        [(reason, f"{count:,}") for reason, count in counts.items()],
        right=("messages",),
    )
    meaning = {
        "training": "learned from",
        "heldout": "measured on only",
        "undecided": "outcome not known: only scored",
    }
    table("What passed", ("part", "patients", "messages"),
          [(meaning[part], f"{passed[f'{part} patients']:,}", f"{passed[f'{part} events']:,}") for part in PASSED],
          right=("patients", "messages"))  # fmt: skip
    table("Columns read (no others are)", ("table", "columns"), [(n, ", ".join(c)) for n, c in read.items()])
