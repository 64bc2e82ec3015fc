"""What a person sees of the tables before a study: who is one patient, columns' words, and doubts. Counts alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from wardround.client.checks import age, codes, identity
from wardround.client.checks.finding import OK, Finding, guarded
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.codes import count_codes
from wardround.client.connectors.source import read_tables
from wardround.protocol.contract.contract import Contract


@dataclass(frozen=True)
class TablesSeen:
    """findings: as the doctor's; shares: by column, cells that are missing, other and out of range, in words."""

    findings: Sequence[Finding]
    shares: Sequence[Sequence[str]]

    @property
    def doubtful(self) -> bool:
        """Whether a person should read what the doctor says."""
        return any(finding.state != OK for finding in self.findings)


def look_at_tables(opened: OpenHome, contract: Contract) -> TablesSeen:
    """Look at identity, words and age of the tables, for a person at this hospital alone."""
    home, policy = opened.home, opened.policy
    read = read_tables(home.source, contract)
    findings = [
        *guarded("identity", lambda: identity.changed(home, opened.ledger, contract, policy.delta)),
        *guarded("identity", lambda: identity.identity(home, read, contract)),
        *guarded("codes", lambda: codes.codes(read, policy, contract)),
        *guarded("age", lambda: age.age(home, read, policy, contract, opened.now)),
    ]
    return TablesSeen(findings, codes.shares_rows(count_codes(read, contract)))


def show_tables(opened: OpenHome, contract: Contract) -> None:
    """Write it on the screen."""
    seen = look_at_tables(opened, contract)
    rows = [(f.state if f.state != OK else "", f.topic, f.text) for f in seen.findings]
    table("Your tables", ("", "what", "how it stands"), rows)
    if seen.shares:
        columns = ("column", "missing", "other", "out of range")
        table("Cells against the contract's words and ranges", columns, seen.shares, right=columns[1:])
    if seen.doubtful:
        say("doctor names the remedies.")
