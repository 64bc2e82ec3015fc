"""``gate``: who passes today, by reason, and the columns that are read. The counts stay in the hospital."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from wardround.client.commands.open_home import open_home
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.source import read_tables
from wardround.client.gate.admit import admit
from wardround.client.gate.group_shares import GroupShare, group_shares
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.text.say import say_json

PASSED = ("training", "heldout", "undecided")


def run(options: Namespace) -> None:
    """Pass the tables through the gate as it stands now, and count."""
    with open_home(options.home) as opened:
        contract = opened.contract(options.terms)
        tables = read_tables(opened.home.source, contract)
        key = opened.home.patients_key
        admitted = admit(tables, contract, key, opened.now)
        counts, groups = admitted.counts, group_shares(tables, contract, key, admitted)
        now = opened.now
    read = {name: contract.columns(name) for name in TABLES if getattr(tables, name) is not None}
    passed = {
        f"{part} {what}": counts.pop(f"{part} {what}") for part in PASSED for what in ("patients", "events")
    }
    if options.json:
        facts = {"contract": contract.name, "version": contract.version, "at": now.isoformat()}
        shares = [asdict(one) for one in groups]
        say_json({**facts, "set_aside": counts, "passed": passed, "columns": read, "groups": shares})
        return
    say(f"The gate under contract {contract.name} {contract.version} at {now:%Y-%m-%d %H:%M} UTC", "")
    table(
        "Messages set aside, each counted once, under the first reason",
        ("reason", "messages"),
        [(reason, f"{count:,}") for reason, count in counts.items()],
        right=("messages",),
    )
    meaning = {
        "training": "learned from",
        "heldout": "used to measure only",
        "undecided": "only scored: outcome not known yet",
    }
    table("What passed", ("part", "patients", "messages"),
          [(meaning[part], f"{passed[f'{part} patients']:,}", f"{passed[f'{part} events']:,}") for part in PASSED],
          right=("patients", "messages"))  # fmt: skip
    _show_groups(groups)
    table("Columns read (and no others)", ("table", "columns"), [(n, ", ".join(c)) for n, c in read.items()])


def _show_groups(groups: Sequence[GroupShare]) -> None:
    """Write who is missing among those learned from: for this hospital's eyes alone."""
    if not groups:
        return
    columns = ("group", "band", "in the table", "share", "learned from", "share of these")
    rows = [
        (
            one.group,
            one.band,
            f"{one.in_table:,}",
            f"{one.table_share:.1%}",
            f"{one.learned_from:,}",
            f"{one.learned_share:.1%}",
        )
        for one in groups
    ]
    table("Who is missing: patients with a message, by group", columns, rows, right=columns[2:])
