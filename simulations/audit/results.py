"""What an audit found, before anybody writes it down."""

from dataclasses import dataclass

from wardround.conf.audited import AuditSettings
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.membership import MembershipFinding
from wardround.simulations.audit.one_run import OneRunFinding
from wardround.simulations.audit.stages import AuditFinding


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditResults:
    """One audit: the study's terms, the findings in the order in which they were made, and what models told.

    one_runs: what one run with many canaries showed, of each stage that can be audited so.
    """

    settings: AuditSettings
    terms: Terms
    findings: tuple[AuditFinding, ...]
    one_runs: tuple[OneRunFinding, ...]
    memberships: tuple[MembershipFinding, ...]
    seconds: float

    @property
    def as_it_is(self) -> list[AuditFinding]:
        """Findings of the code as it is."""
        return [found for found in self.findings if found.mutation is None]

    @property
    def broken(self) -> list[AuditFinding]:
        """Findings of the code broken on purpose: each should refute the stated ε."""
        return [found for found in self.findings if found.mutation is not None]
