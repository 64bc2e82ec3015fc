"""Which release of Wardround is installed here."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

UNINSTALLED = "uninstalled"


@cache
def installed_version() -> str:
    """Give the distribution's version, as in ``0.3.0``; ``uninstalled`` where the code runs without an installation.

    Looking it up takes 40 ms: ask when it is needed, not when a module is imported.
    """
    try:
        return version("wardround")
    except PackageNotFoundError:
        return UNINSTALLED
