"""Who uses the hospital's pages: roles of ``people.yaml``."""

from wardround.client.policy.people import APPROVER, CLINICIAN, COMMUNICATIONS, IT, PRIVACY

ROLES = (PRIVACY, COMMUNICATIONS, CLINICIAN, IT, APPROVER)


def only(*roles: str) -> frozenset[str]:
    """Name the roles that may ask something."""
    return frozenset(roles)
