"""What a person sees of the tables before a study: who is one patient, columns' words, and doubts. Counts alone."""

from wardround.client.checks import age, codes, identity
from wardround.client.checks.finding import OK, guarded
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.codes import count_codes
from wardround.client.connectors.source import read_tables
from wardround.protocol.contract.contract import Contract


def show_tables(opened: OpenHome, contract: Contract) -> None:
    """Write identity, words and age of the tables, on the screen alone."""
    home, policy = opened.home, opened.policy
    read = read_tables(home.source, contract)
    findings = [
        *guarded("identity", lambda: identity.changed(home, opened.ledger, contract, policy.delta)),
        *guarded("identity", lambda: identity.identity(home, read, contract)),
        *guarded("codes", lambda: codes.codes(read, policy, contract)),
        *guarded("age", lambda: age.age(home, read, policy, contract, opened.now)),
    ]
    rows = [(f.state if f.state != OK else "", f.topic, f.text) for f in findings]
    table("Your tables", ("", "what", "how it stands"), rows)
    shares = codes.shares_rows(count_codes(read, contract))
    if shares:
        columns = ("column", "missing", "other", "out of range")
        table("Cells against the contract's words and ranges", columns, shares, right=columns[1:])
    if any(finding.state != OK for finding in findings):
        say("doctor names the remedies.")
