"""Whether the operators' servers and this installation are of releases that understand each other."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, fault, ok
from wardround.client.home.home import Home
from wardround.client.home.server_releases import describe_release
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.operator_names import operator_name
from wardround.client.policy.policy import Policy, allows_operator
from wardround.protocol.wire.speaker import this_speaker, understands


def servers(home: Home, policy: Policy, ledger: SqliteLedger) -> Iterator[Finding]:
    """Compare each listed operator's release, as its last request stated, with what is installed here."""
    lines = list(other_releases(home, policy, ledger))
    for line, understood in lines:
        if understood:
            yield ok("release", line)
        else:
            remedy = "upgrade the older one, after a backup; nothing is charged until then"
            yield fault("release", line, remedy)
    if not lines:
        yield ok("release", f"{this_speaker()}; no operator's server has named another")


def other_releases(home: Home, policy: Policy, ledger: SqliteLedger) -> Iterator[tuple[str, bool]]:
    """Give a line for each listed operator whose server is of another release; and whether the two go together."""
    for key, one in home.server_releases.read().items():
        line = describe_release(operator_name(policy, ledger, key), one)
        if line and allows_operator(policy, ledger, key):
            yield line, understands(one.speaker)
