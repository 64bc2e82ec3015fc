"""What a side's pages are served with: frozen, and checked once."""

from dataclasses import dataclass

LARGEST_FORM = 64 * 1024
"""Bytes of one request's body; a form of ours is a few hundred."""


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """How one side's pages are served.

    name: whose pages they are, shown on each. hosts: what a browser may call this server, with the port; any other
    Host is refused, so that no foreign name can be pointed here. secure: whether they are served over TLS.
    by_link: how a path begins whose address alone gives the right to post there; empty where sessions do. No cookie
    counts there, so that a browser without Origin may post, and anybody RFC 8058's one click.
    """

    name: str
    hosts: tuple[str, ...]
    secure: bool
    largest_form: int = LARGEST_FORM
    by_link: str = ""

    @property
    def origins(self) -> tuple[str, ...]:
        """Where a form that is sent here may stand: on these pages alone."""
        return tuple(f"{'https' if self.secure else 'http'}://{host}" for host in self.hosts)

    @property
    def cookie(self) -> str:
        """The session's cookie. Over TLS no other name of the same domain can set it, or read it."""
        return "__Host-wardround" if self.secure else "wardround"
