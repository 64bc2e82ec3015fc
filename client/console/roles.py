"""Who uses the hospital's pages."""

PRIVACY, COMMUNICATIONS, CLINICIAN, IT = "privacy", "communications", "clinician", "it"
ROLES = (PRIVACY, COMMUNICATIONS, CLINICIAN, IT)


def only(*roles: str) -> frozenset[str]:
    """Name the roles that may ask something."""
    return frozenset(roles)
