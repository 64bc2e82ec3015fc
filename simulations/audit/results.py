"""What an audit found, before anybody writes it down."""

from dataclasses import dataclass

from wardround.conf.audited import AuditSettings
from wardround.protocol.terms.terms import Terms
from wardround.simulations.audit.membership import MembershipFinding
from wardround.simulations.audit.stages import AuditFinding


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditResults:
    """One audit: the study's terms, the findings in the order in which they were made, and what models told."""

    settings: AuditSettings
    terms: Terms
    findings: tuple[AuditFinding, ...]
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
